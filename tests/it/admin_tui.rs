//! The dashboard in a real terminal, on a real database, beside a running proxy.

use std::time::Duration;

use tollgate_tests::client::prompt_body;
use tollgate_tests::fixture::{ALPHA, FAST};
use tollgate_tests::pty::Size;
use tollgate_tests::{Client, Relay, Store, Terminal, World, wait};

const SMALL: Size = (80, 24);
const LARGE: Size = (140, 44);

const ENTER: &str = "\r";
const ESCAPE: &str = "\u{1b}";
const CTRL_S: &str = "\u{13}";
const CTRL_U: &str = "\u{15}";
const CTRL_C: &str = "\u{3}";

async fn opened(world: &World, size: Size) -> Terminal {
    let terminal = world.terminal(&["--actor", "alice"], size);
    terminal.until("Overview").await;
    terminal.until("live").await;
    terminal
}

/// The key that stands alone in the key window.
fn shown_key(contents: &str) -> String {
    let words = contents.split_whitespace();
    let mut keys = words.filter(|word| word.starts_with("sk-") && word.len() == 51);
    keys.next().expect("a whole key is shown").to_owned()
}

/// Makes a team with the form, and the key that is offered then; the key in clear.
async fn make_team_and_key(terminal: &mut Terminal) -> String {
    terminal.keys("3");
    terminal.until("team-alpha").await;
    terminal.keys("n");
    terminal.until("New team").await;
    terminal.keys(&format!("team-new\t{CTRL_U}o1\t50\tThe new one\t "));
    terminal.until("The new one").await;
    terminal.keys(CTRL_S);
    terminal.until("opens with 50 credits").await;
    // Enter writes nothing.
    terminal.keys(ENTER);
    terminal.keys("y");
    terminal.until("New key").await;
    terminal.keys("\tproduction");
    terminal.keys(CTRL_S);
    terminal.until_gone("where it is used").await;
    terminal.keys("y");
    terminal.until("shown ONCE").await;
    let key = shown_key(&terminal.contents());
    // Nothing but the word closes it.
    terminal.keys(&format!("{ESCAPE}{CTRL_C}q"));
    terminal.until("shown ONCE").await;
    terminal.keys(&format!("{CTRL_U}saved{ENTER}"));
    terminal.until_gone("shown ONCE").await;
    terminal.until_gone(&key).await;
    key
}

/// A job of the team is seen, cancelled, and refused from then on.
async fn cancel_in_sight(terminal: &mut Terminal, client: &Client) {
    let open = client.create_job().await;
    let mut body = prompt_body("Hello");
    body["model"] = FAST.into();
    let _ = client.call_with(&open, &body).await.expect(200);
    terminal.keys("2");
    terminal.until(&open[open.len() - 8..]).await;
    terminal.keys("/");
    terminal.keys(&format!("status:open{ENTER}"));
    terminal.until("status:open").await;
    terminal.keys("K");
    terminal.until("[ Cancel ]").await;
    terminal.keys("stuck\t");
    terminal.keys("y");
    wait::until("the call is refused", async || {
        let answer = client.call_with(&open, &body).await;
        (answer.status == 409).then_some(())
    })
    .await;
    // Until the answer has come, the window takes all keys.
    terminal.until_gone("[ Cancel ]").await;
}

/// The team is suspended, and its next call is refused.
async fn suspend_in_sight(terminal: &mut Terminal, client: &Client) {
    terminal.keys("3");
    terminal.until("team-new").await;
    terminal.keys(&format!("/team-new{ENTER}"));
    terminal.until("row 1 of 1 ").await;
    terminal.until_quiet(Duration::from_millis(300)).await;
    terminal.keys("p");
    terminal.until("[ Cancel ]").await;
    terminal.keys("unpaid\t");
    terminal.keys("y");
    wait::until("the team is refused", async || {
        (client.knock().await.status == 403).then_some(())
    })
    .await;
    terminal.until_gone("[ Cancel ]").await;
}

async fn story(store: Store) {
    let world = World::on(store).await;
    let proxy = world.start().await;
    let mut terminal = opened(&world, LARGE).await;
    let key = make_team_and_key(&mut terminal).await;
    let client = proxy.client_with_key(&key).of_team("team-new");
    wait::until("the new key is accepted", async || {
        (client.knock().await.status == 200).then_some(())
    })
    .await;
    cancel_in_sight(&mut terminal, &client).await;
    suspend_in_sight(&mut terminal, &client).await;
    terminal.keys("q");
    assert_eq!(terminal.ended().await, 0);
    assert!(!terminal.is_taken());
    world.verify().await;
}

#[tokio::test]
async fn the_story_in_a_terminal_on_sqlite() {
    story(Store::Sqlite).await;
}

#[tokio::test]
async fn the_story_in_a_terminal_on_postgres() {
    story(Store::Postgres).await;
}

#[tokio::test]
async fn all_tabs_the_palette_and_the_help_open() {
    let world = World::sqlite().await;
    let mut terminal = opened(&world, SMALL).await;
    for (digit, title) in [
        ("2", "Jobs"),
        ("3", "Teams"),
        ("4", "Orgs"),
        ("5", "Keys"),
        ("6", "Credits"),
        ("7", "Models"),
        ("8", "Providers"),
        ("9", "Audit"),
        ("0", "Settings"),
        ("1", "Overview"),
    ] {
        terminal.keys(digit);
        let begins = |shown: &str| shown.trim_start().starts_with(title);
        terminal.until_screen(title, begins).await;
    }
    terminal.keys("?");
    terminal.until("half a page down").await;
    terminal.keys(ESCAPE);
    terminal.until_gone("half a page down").await;
    terminal.keys(":");
    terminal.keys("credits");
    terminal.until("credits").await;
    terminal.keys(ENTER);
    terminal
        .until_screen("Credits", |shown| shown.trim_start().starts_with("Credits"))
        .await;
    // Escape goes back, never out.
    terminal.keys(&ESCAPE.repeat(3));
    // An escape right before a letter would be taken for Alt.
    terminal.until_quiet(Duration::from_millis(300)).await;
    terminal.keys("q");
    assert_eq!(terminal.ended().await, 0);
}

#[tokio::test]
async fn the_terminal_is_given_back_however_it_ends() {
    let world = World::sqlite().await;
    for end in ["q", CTRL_C, "TERM", "HUP"] {
        let mut terminal = opened(&world, SMALL).await;
        assert!(terminal.is_taken());
        if end.len() == 1 {
            terminal.keys(end);
        } else {
            terminal.signal(end);
        }
        assert_eq!(terminal.ended().await, 0, "{end}");
        wait::until("the terminal is given back", async || {
            (!terminal.is_taken()).then_some(())
        })
        .await;
        let raw = terminal.raw();
        assert!(raw.contains("\u{1b}[?1004l"), "focus is told of no more");
    }
}

#[tokio::test]
async fn plain_terminals_get_no_colour() {
    let world = World::sqlite().await;
    let coloured = opened(&world, SMALL).await;
    assert!(coloured.is_coloured());
    drop(coloured);
    let world = world.with("NO_COLOR", "1");
    let plain = opened(&world, SMALL).await;
    assert!(!plain.is_coloured());
}

#[tokio::test]
async fn what_is_no_terminal_is_refused() {
    let world = World::sqlite().await;
    let finished = world.admin(&[]).await;
    assert_eq!(finished.code, Some(2), "{}", finished.stderr);
    assert!(finished.stderr.contains("terminal"), "{}", finished.stderr);
    assert_eq!(finished.stdout, "");
    let world = world.with("TERM", "dumb");
    let mut dumb = world.terminal(&[], SMALL);
    assert_eq!(dumb.ended().await, 2);
    assert!(!dumb.is_taken());
}

#[tokio::test]
async fn who_may_only_read_changes_nothing() {
    let world = World::sqlite().await;
    let mut terminal = world.terminal(&["--read-only"], LARGE);
    terminal.until("RO").await;
    terminal.keys("3");
    terminal.until(ALPHA.id).await;
    for key in ["n", "p", "c", "e"] {
        terminal.keys(key);
        terminal.until("--read-only").await;
    }
    terminal.keys("q");
    assert_eq!(terminal.ended().await, 0);
}

#[tokio::test]
async fn an_idle_dashboard_writes_nothing() {
    let world = World::sqlite().await;
    let mut terminal = opened(&world, SMALL).await;
    terminal.keys("7");
    terminal.until("chat-fast").await;
    terminal.until_quiet(Duration::from_secs(2)).await;
    let (before, _) = terminal.written();
    terminal.until_quiet(Duration::from_secs(7)).await;
    assert_eq!(terminal.written().0, before, "{}", terminal.contents());
}

#[tokio::test]
async fn any_size_will_do() {
    let world = World::sqlite().await;
    let mut terminal = opened(&world, LARGE).await;
    terminal.keys("3");
    terminal.until(ALPHA.id).await;
    terminal.resize((60, 15));
    terminal.until(ALPHA.id).await;
    terminal.resize((20, 5));
    terminal.until("too small").await;
    terminal.resize((1, 1));
    terminal.resize(LARGE);
    terminal.until(ALPHA.id).await;
    terminal.until_gone("too small").await;
    terminal.keys("q");
    assert_eq!(terminal.ended().await, 0);
}

#[tokio::test]
async fn what_was_shown_stays_when_the_database_goes_away() {
    let world = World::postgres().await;
    let mut url = url::Url::parse(world.database_url()).unwrap();
    let server = url.socket_addrs(|| Some(5_432)).unwrap()[0];
    let relay = Relay::to(server).await;
    url.set_port(Some(relay.port())).unwrap();
    let mut terminal = world.terminal(&["--database-url", url.as_str()], LARGE);
    terminal.keys("3");
    terminal.until(ALPHA.id).await;
    relay.cut();
    terminal.until("OFFLINE").await;
    assert!(terminal.contents().contains(ALPHA.id));
    terminal.keys("n");
    terminal.until("cannot be reached").await;
    relay.mend();
    terminal.until_gone("OFFLINE").await;
    terminal.until("live").await;
    terminal.keys("q");
    assert_eq!(terminal.ended().await, 0);
}
