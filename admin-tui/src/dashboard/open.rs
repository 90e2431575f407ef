//! Opens the dashboard: finds out who sits at what terminal, connects, runs, and gives the terminal
//! back whatever happens.

use std::cell::Cell;
use std::io::IsTerminal as _;
use std::sync::Arc;
use std::time::Duration;

use clap::CommandFactory as _;
use crossterm::event::EventStream;
use ratatui::layout::Size;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tollgate_common::clock::{Clock as _, SystemClock};
use tollgate_common::db::Engine;

use super::charset::Charset;
use super::clipboard::{self, Clipboard};
use super::context::{Context, Link};
use super::message::Message;
use super::model::Model;
use super::runner::Runner;
use super::settings_file::SettingsFile;
use super::store::Source;
use super::surface::{self, Surface as _};
use super::theme::{Theme, ThemeName};
use super::{crash, files, memory};
use crate::cli::error::Failure;
use crate::cli::{Arguments, Options};
use crate::rights::Rights;
use crate::session::{Session, variable};

/// The least time between two frames, on this machine and over a network.
const FRAME_GAP: Duration = Duration::from_millis(16);
const FRAME_GAP_REMOTE: Duration = Duration::from_millis(33);

/// How the dashboard is to look; what is not said comes from the settings file or the terminal.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct Looks {
    #[arg(
        long,
        value_name = "THEME",
        help = "Colours of the dashboard: ansi, dark, light or mono [default: ansi, or mono if \
                NO_COLOR is set]"
    )]
    pub(crate) theme: Option<ThemeName>,
    /// Characters of the dashboard: ascii, block or braille [default: by the locale]
    #[arg(long, value_name = "CHARSET")]
    pub(crate) charset: Option<Charset>,
    /// What the dashboard's header calls this installation [default: the database engine]
    #[arg(long, value_name = "NAME")]
    pub(crate) environment: Option<String>,
    /// Take the mouse wheel from the start; m gives it back
    #[arg(long)]
    pub(crate) mouse: bool,
}

impl Looks {
    /// These, and where they say nothing, those others.
    pub(crate) fn or(self, others: Self) -> Self {
        Self {
            theme: self.theme.or(others.theme),
            charset: self.charset.or(others.charset),
            environment: self.environment.or(others.environment),
            mouse: self.mouse || others.mouse,
        }
    }
}

/// How the subcommands are used.
fn usage() -> String {
    Arguments::command().render_help().to_string()
}

/// The colours that an option, the environment or the settings file asks for.
fn theme(looks: &Looks, file: &SettingsFile) -> ThemeName {
    let plain = variable("NO_COLOR").map(|_| ThemeName::Mono);
    looks
        .theme
        .or(plain)
        .or(file.theme)
        .unwrap_or(ThemeName::Ansi)
}

/// The characters that an option, the settings file or the locale asks for.
fn charset(looks: &Looks, file: &SettingsFile) -> Charset {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
        .into_iter()
        .find_map(variable)
        .unwrap_or_default()
        .to_ascii_uppercase();
    let is_utf8 = locale.contains("UTF-8") || locale.contains("UTF8");
    let is_console = variable("TERM").is_some_and(|term| term == "linux");
    let by_locale = if is_utf8 && !is_console {
        Charset::Block
    } else {
        Charset::Ascii
    };
    looks.charset.or(file.charset).unwrap_or(by_locale)
}

/// Opens the dashboard and runs it until it is left.
pub(crate) async fn run(
    options: &Options,
    rights: Rights,
    looks: &Looks,
    file: &SettingsFile,
) -> Result<(), Failure> {
    if !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() {
        return Err(Failure::Usage(format!(
            "the dashboard needs a terminal; scripts use the subcommands\n\n{}",
            usage()
        )));
    }
    if variable("TERM").is_none_or(|terminal| terminal == "dumb") {
        return Err(Failure::Usage(
            "the dashboard cannot place text on this terminal: set TERM, or use the subcommands"
                .to_owned(),
        ));
    }
    let session = Session::open_later(options, rights)?;
    let mut context = context(&session, looks, file);
    context.clipboard = clipboard::find_out().await;
    let source = Source {
        session,
        files: files::state_folder(),
        is_checked: Cell::new(false),
        check: Cell::new(None),
    };
    // What cannot be read now is named when a filter is saved.
    let filters = memory::read(&source.files).unwrap_or_default();
    let mut model = Model::new(context, source.has_bell()).with_filters(filters);
    let gap = if variable("SSH_CONNECTION").is_some() {
        FRAME_GAP_REMOTE
    } else {
        FRAME_GAP
    };
    crash::report_panics(rights.no_files);
    let mut tty = surface::enter(file.synchronized.unwrap_or(true)).map_err(Failure::Output)?;
    let result = async {
        if looks.mouse || file.mouse == Some(true) {
            tty.take_mouse(true)?;
            model.take_mouse();
        }
        let mut runner = Runner::new(tty, model, source, Arc::new(SystemClock), gap)?;
        quit_on_signals(runner.sender())?;
        runner.run(EventStream::new()).await
    };
    let result = Box::pin(result).await;
    surface::leave();
    // A terminal that is gone is a way to leave.
    match result {
        Err(error) if !std::io::stdout().is_terminal() => {
            let _ = error;
            Ok(())
        }
        other => other.map_err(Failure::Output),
    }
}

fn context(session: &Session, looks: &Looks, file: &SettingsFile) -> Context {
    let engine = match session.database.engine() {
        Engine::Sqlite => "sqlite",
        Engine::Postgres => "postgres",
    };
    let environment = looks
        .environment
        .clone()
        .or_else(|| file.environment.clone());
    let rights = session.rights();
    Context {
        now: SystemClock.now(),
        size: Size::new(80, 24),
        theme: Theme::of(theme(looks, file)),
        charset: charset(looks, file),
        keymap: Arc::new(file.keymap.clone()),
        environment: environment.unwrap_or_else(|| engine.to_owned()),
        database: session.database_url(),
        actor: session.actor().to_owned(),
        role: rights.role,
        read_only: rights.read_only,
        link: Link::Connecting,
        frozen: false,
        clipboard: Clipboard::Terminal,
    }
}

fn quit_on_signals(sender: mpsc::Sender<Message>) -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
        // Nobody listens any more if the program has ended already.
        let _ = sender.send(Message::Quit).await;
    });
    Ok(())
}
