//! Carries acts out, and remembers what came of them.

use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tollgate_tests::raw::Caller;
use tollgate_tests::{Client, Door, Proxy, World, wait};

use super::acts::{Act, CallAct, Leaves, Meanwhile, Script};
use super::teams::HostileTeam;

/// A call and what its caller got of it.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) act: CallAct,
    /// Whether the provider got the request.
    pub(super) was_asked: bool,
    /// All that came back.
    pub(super) seen: String,
    /// What came back when it was sent again.
    pub(super) repeated: Option<String>,
}

impl Made {
    /// How many words the caller was shown at least.
    pub(super) fn words_shown(&self) -> i64 {
        words_in(&self.seen)
    }
}

/// How many words of an answer are in what came back. A word is a token at least.
fn words_in(seen: &str) -> i64 {
    let whole = seen.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    let mut text = text_of(whole);
    for data in seen.lines().filter_map(|line| line.strip_prefix("data: ")) {
        text.push_str(&text_of(data));
    }
    i64::try_from(text.split_whitespace().count()).unwrap()
}

/// The text in an event or in a whole answer, in whatever dialect; empty if it is none.
fn text_of(json: &str) -> String {
    let json: Value = serde_json::from_str(json.trim()).unwrap_or_default();
    let places = [
        "/choices/0/delta/content",
        "/choices/0/message/content",
        "/delta/text",
        "/content/0/text",
        "/response/content",
    ];
    let mut texts = places
        .iter()
        .filter_map(|place| json.pointer(place)?.as_str());
    texts.next().unwrap_or_default().to_owned()
}

/// A caller that reads on while the history goes on.
#[derive(Debug)]
struct Pending {
    made: Made,
    reading: JoinHandle<String>,
}

/// An open job and whose it is.
type OpenJob = (&'static HostileTeam, String);

/// Carries acts out one after the other; calls go on beside them.
pub(super) struct Driver<'w> {
    world: &'w World,
    proxies: &'w [Proxy],
    jobs: Vec<OpenJob>,
    made: Vec<Made>,
    pending: Vec<Pending>,
    unread: Vec<Caller>,
    ending: Vec<JoinHandle<()>>,
    seed: u64,
    turn: usize,
}

impl<'w> Driver<'w> {
    pub(super) const fn new(world: &'w World, proxies: &'w [Proxy], seed: u64) -> Self {
        Self {
            world,
            proxies,
            jobs: Vec::new(),
            made: Vec::new(),
            pending: Vec::new(),
            unread: Vec::new(),
            ending: Vec::new(),
            seed,
            turn: 0,
        }
    }

    /// The next proxy in turn.
    fn proxy(&mut self) -> &'w Proxy {
        self.turn += 1;
        &self.proxies[self.turn % self.proxies.len()]
    }

    fn client(&mut self, hostile: &HostileTeam) -> Client {
        self.proxy().client(hostile.team)
    }

    pub(super) async fn carry_out(&mut self, act: Act) {
        match act {
            Act::Open(hostile) => {
                let created = self.client(hostile).create().await;
                if created.status == 200 {
                    let id = created.json["job_id"].as_str().unwrap().to_owned();
                    self.jobs.push((hostile, id));
                }
            }
            Act::Call(call) => self.call(call).await,
            Act::End { place, how } => {
                if let Some((hostile, job)) = self.take_job(place) {
                    self.end(hostile, job, how).await;
                }
            }
            Act::Release { place } => {
                if let Some((_, job)) = self.take_job(place) {
                    let words = ["job", "cancel", &job, "--release"];
                    let _ = self.world.admin(&words).await;
                }
            }
        }
    }

    fn take_job(&mut self, place: usize) -> Option<OpenJob> {
        let count = self.jobs.len();
        (count > 0).then(|| self.jobs.remove(place % count))
    }

    /// The open job of a call of this team, if there is one.
    fn job_for(&self, call: &CallAct) -> Option<String> {
        let own = self
            .jobs
            .iter()
            .filter(|(hostile, _)| hostile.team.id == call.team.team.id);
        let own: Vec<&OpenJob> = own.collect();
        (!own.is_empty()).then(|| own[call.place % own.len()].1.clone())
    }

    async fn end(&mut self, hostile: &HostileTeam, job: String, how: Meanwhile) {
        let client = self.client(hostile);
        match how {
            Meanwhile::Nothing => {}
            Meanwhile::Fail => {
                let _ = client.end(&job, "failed").await;
            }
            // It waits for calls in flight, but nobody has to wait for it.
            Meanwhile::Complete => self.ending.push(tokio::spawn(async move {
                let _ = client.complete(&job).await;
            })),
            Meanwhile::Cancel => {
                let _ = self.world.admin(&["job", "cancel", &job]).await;
            }
        }
    }

    async fn call(&mut self, call: CallAct) {
        let job = match call.door {
            Door::Job => match self.job_for(&call) {
                Some(job) => job,
                None => return,
            },
            _ => String::new(),
        };
        let port = self.proxy().port();
        let request = request(&call, &job);
        let mut caller = Caller::send(port, &request).await;
        let was_asked = self.until_asked(&call, &mut caller).await;
        if call.door == Door::Job && was_asked && call.meanwhile != Meanwhile::Nothing {
            self.jobs.retain(|(_, open)| *open != job);
            self.end(call.team, job, call.meanwhile).await;
        }
        let made = Made {
            act: call,
            was_asked,
            seen: String::new(),
            repeated: None,
        };
        if !was_asked {
            self.made.push(Made {
                seen: caller.seen(),
                ..made
            });
            return;
        }
        self.leave(made, caller).await;
        if call.repeats {
            let again = Caller::send(port, &request).await.read_to_end().await;
            let pending = self.take_pending_of(&call).await;
            self.made.extend(pending);
            let made = self
                .made
                .iter_mut()
                .rfind(|made| made.act.number == call.number);
            made.unwrap().repeated = Some(again);
        }
    }

    /// Waits until the provider has the request or the proxy has refused it.
    async fn until_asked(&self, call: &CallAct, caller: &mut Caller) -> bool {
        let tag = format!(" {}", call.tag());
        let what = format!("seed {}: the provider has {}", self.seed, call.tag());
        wait::until(&what, async || {
            if self.was_asked(&tag) {
                return Some(true);
            }
            let seen = caller.seen();
            let is_refused = seen.starts_with("HTTP/1.1 4") || seen.starts_with("HTTP/1.1 5");
            if is_refused {
                return Some(self.was_asked(&tag));
            }
            caller.read_for(std::time::Duration::from_millis(5)).await;
            None
        })
        .await
    }

    fn was_asked(&self, tag: &str) -> bool {
        let requests = self.world.upstream.requests();
        requests
            .iter()
            .rev()
            .any(|request| request.prompt().ends_with(tag))
    }

    /// Reads as the act says, and leaves.
    async fn leave(&mut self, mut made: Made, mut caller: Caller) {
        match made.act.leaves {
            Leaves::Never => {
                let reading = tokio::spawn(caller.read_to_end());
                self.pending.push(Pending { made, reading });
                return;
            }
            Leaves::WithoutReading => {
                made.seen = caller.seen();
                self.unread.push(caller);
                self.made.push(made);
                return;
            }
            Leaves::AtOnce => made.seen = caller.seen(),
            Leaves::After(words) => {
                let is_late = made.act.script == Script::LateUsage && made.act.is_last_word_late();
                let words = i64::try_from(words).unwrap() - i64::from(is_late);
                while words_in(&caller.seen()) < words && caller.read_more().await {}
                made.seen = caller.seen();
            }
        }
        drop(caller);
        if made.act.script == Script::LateUsage {
            self.world.upstream.release();
        }
        self.made.push(made);
    }

    /// What came of a call whose caller reads on.
    async fn take_pending_of(&mut self, call: &CallAct) -> Option<Made> {
        let is_it = |pending: &Pending| pending.made.act.number == call.number;
        let place = self.pending.iter().position(is_it)?;
        let Pending { made, reading } = self.pending.remove(place);
        let seen = reading.await.unwrap();
        Some(Made { seen, ..made })
    }

    /// Waits for all callers that read on, lets the others go, and returns what was made.
    pub(super) async fn finish(mut self) -> Vec<Made> {
        self.unread.clear();
        for Pending { made, reading } in self.pending {
            let seen = reading.await.unwrap();
            self.made.push(Made { seen, ..made });
        }
        for ending in self.ending {
            ending.await.unwrap();
        }
        self.made
    }
}

/// A call as the bytes of a request.
fn request(call: &CallAct, job: &str) -> Vec<u8> {
    let tag = call.tag();
    let mut body = json!({
        "model": call.model.alias,
        "max_tokens": call.output_max(),
        "messages": [{ "role": "user", "content": call.prompt() }],
    });
    let mut headers = String::new();
    let mut path = call.door.path(job);
    match call.door {
        Door::Job => body["purpose"] = tag.clone().into(),
        Door::Single => {
            body["team_id"] = call.team.team.id.into();
            body["job_type"] = tag.clone().into();
        }
        Door::OpenAi | Door::Anthropic => {
            body["stream"] = call.is_streamed.into();
            headers = format!("x-tollgate-job-type: {tag}\r\n");
        }
    }
    if !call.is_streamed {
        path = path.trim_end_matches("-stream").to_owned();
    }
    if let Some(budget) = call.thinking_budget() {
        body["thinking"] = json!({ "type": "enabled", "budget_tokens": budget });
    }
    if call.repeats {
        headers = format!("{headers}idempotency-key: {tag}\r\n");
    }
    let body = body.to_string();
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
         Authorization: Bearer {}\r\nContent-Type: application/json\r\n{headers}\
         Content-Length: {length}\r\n\r\n{body}",
        call.team.team.key
    )
    .into_bytes()
}
