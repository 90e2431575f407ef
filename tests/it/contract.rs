//! Requests and the answers that the contract asks for, as tables.

use reqwest::Method;
use serde_json::Value;
use tollgate_tests::fixture::{ALPHA, TEAM_B};
use tollgate_tests::{Client, Proxy, World};

/// One request and what must come back.
pub(crate) struct Case {
    /// What it shows.
    pub(crate) name: &'static str,
    /// The value of `Authorization`; not sent if empty.
    pub(crate) authorization: &'static str,
    /// The verb.
    pub(crate) method: Method,
    /// The path; `{job}`, `{ended}` and `{foreign}` stand for jobs.
    pub(crate) path: &'static str,
    /// The JSON body; not sent if null.
    pub(crate) body: Value,
    /// The expected status.
    pub(crate) status: u16,
    /// What the `detail` must contain.
    pub(crate) detail: &'static str,
}

/// A request with the key of team-alpha; [`Case::gives`] says what must come back.
pub(crate) const fn verb(name: &'static str, method: Method, path: &'static str) -> Case {
    Case {
        name,
        authorization: "Bearer sk-alpha-virtual-key-7f3a",
        method,
        path,
        body: Value::Null,
        status: 200,
        detail: "",
    }
}

/// GET.
pub(crate) const fn get(name: &'static str, path: &'static str) -> Case {
    verb(name, Method::GET, path)
}

/// POST of a body.
pub(crate) fn post(name: &'static str, path: &'static str, body: Value) -> Case {
    verb(name, Method::POST, path).sends(body)
}

/// PATCH with a body.
pub(crate) fn patch(name: &'static str, path: &'static str, body: Value) -> Case {
    verb(name, Method::PATCH, path).sends(body)
}

impl Case {
    /// The expected status, and what its `detail` contains.
    pub(crate) fn gives(self, status: u16, detail: &'static str) -> Self {
        Self {
            status,
            detail,
            ..self
        }
    }

    /// Shows something else than the key of team-alpha.
    pub(crate) fn showing(self, authorization: &'static str) -> Self {
        Self {
            authorization,
            ..self
        }
    }

    fn sends(self, body: Value) -> Self {
        Self { body, ..self }
    }
}

/// The jobs that the paths of a table stand for.
struct Jobs {
    open: String,
    ended: String,
    foreign: String,
}

impl Jobs {
    async fn create(proxy: &Proxy) -> Self {
        let alpha = proxy.client(ALPHA);
        let ended = alpha.create_job().await;
        let _ = alpha.complete(&ended).await.expect(200);
        Self {
            open: alpha.create_job().await,
            ended,
            foreign: proxy.client(TEAM_B).create_job().await,
        }
    }

    fn fill(&self, path: &str) -> String {
        path.replace("{job}", &self.open)
            .replace("{ended}", &self.ended)
            .replace("{foreign}", &self.foreign)
    }
}

/// Tries all cases on one proxy and reports every one that came out otherwise.
pub(crate) async fn check(cases: Vec<Case>) {
    let world = World::sqlite().await;
    let proxy = world.start().await;
    let jobs = Jobs::create(&proxy).await;
    let client = proxy.client_with_key("");
    let mut wrong = Vec::new();
    for case in cases {
        wrong.extend(outcome(&client, &jobs, &case).await);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    world.verify().await;
}

async fn outcome(client: &Client, jobs: &Jobs, case: &Case) -> Option<String> {
    let path = jobs.fill(case.path);
    let mut request = client.request(case.method.clone(), &path);
    if !case.authorization.is_empty() {
        request = request.header("authorization", case.authorization);
    }
    if !case.body.is_null() {
        request = request.json(&case.body);
    }
    let answer = client.send(request).await;
    let right = answer.status == case.status
        && answer.detail().contains(case.detail)
        && !answer.header("x-request-id").is_empty()
        && (answer.status != 400 || answer.json["errors"].is_array());
    (!right).then(|| {
        format!(
            "{}: {} {path} should answer {} \"{}\", but answered {} {}",
            case.name,
            case.method,
            case.status,
            case.detail,
            answer.status,
            answer.text()
        )
    })
}
