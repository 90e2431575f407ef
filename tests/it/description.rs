//! What `/openapi.json` says of answers, compared with answers.

use reqwest::Method;
use serde_json::{Map, Value, json};
use tollgate_tests::client::prompt_body;
use tollgate_tests::fixture::{EMBED, FAST, GROUP};
use tollgate_tests::{Answer, World};

use crate::setup::{COMPLETIONS, PLENTY, chat, chat_with, merged, world_with_plenty};

/// Headers that every answer may have, or that the description tells under another name.
const UNNAMED: [&str; 3] = ["request-id", "x-job-id", "x-accel-buffering"];

/// The document that the proxy serves.
struct Description(Value);

impl Description {
    fn resolved<'d>(&'d self, node: &'d Value) -> &'d Value {
        match node["$ref"].as_str() {
            None => node,
            Some(reference) => {
                let pointer = reference.strip_prefix('#').unwrap();
                self.resolved(self.0.pointer(pointer).expect(reference))
            }
        }
    }

    /// All fields that a schema names, and those that must be there.
    fn fields<'d>(&'d self, schema: &'d Value) -> (Map<String, Value>, Vec<&'d str>) {
        let (mut fields, mut required) = (Map::new(), Vec::new());
        let parts = schema["allOf"].as_array().into_iter().flatten();
        for part in parts.map(|part| self.resolved(part)) {
            let (more_fields, more_required) = self.fields(part);
            fields.extend(more_fields);
            required.extend(more_required);
        }
        let own = schema["properties"].as_object().into_iter().flatten();
        fields.extend(own.map(|(name, schema)| (name.clone(), schema.clone())));
        let own = schema["required"].as_array().into_iter().flatten();
        required.extend(own.filter_map(Value::as_str));
        (fields, required)
    }

    /// What of a value is not as the schema says, with the way to it.
    fn differences(&self, schema: &Value, value: &Value, way: &str) -> Vec<String> {
        let schema = self.resolved(schema);
        let mut found = Vec::new();
        let is_one = |known: &Value| known.as_array().is_none_or(|known| known.contains(value));
        let is_right = has_type(&schema["type"], value)
            && is_one(&schema["enum"])
            && schema.get("const").is_none_or(|known| known == value);
        if !is_right {
            found.push(format!("{way} is {value}"));
        }
        for (index, item) in value.as_array().into_iter().flatten().enumerate() {
            found.extend(self.differences(&schema["items"], item, &format!("{way}[{index}]")));
        }
        let (fields, required) = self.fields(schema);
        let Some(object) = value.as_object() else {
            return found;
        };
        let missing = required.iter().filter(|name| !object.contains_key(**name));
        found.extend(missing.map(|name| format!("{way}.{name} is missing")));
        let others = &schema["additionalProperties"];
        for (name, value) in object.iter().filter(|_| !fields.is_empty()) {
            let way = format!("{way}.{name}");
            match fields.get(name) {
                Some(schema) => found.extend(self.differences(schema, value, &way)),
                None if others.is_null() => found.push(format!("{way} is not described")),
                None => {}
            }
        }
        found
    }

    /// What of an answer is not as it is described.
    fn check(&self, method: &str, template: &str, answer: &Answer) -> Vec<String> {
        let operation = &self.0["paths"][template][method];
        let Some(response) = operation["responses"].get(answer.status.to_string()) else {
            return vec![format!("status {}: {}", answer.status, answer.text())];
        };
        let response = self.resolved(response);
        let mut found = Vec::new();
        for name in answer
            .headers
            .keys()
            .map(reqwest::header::HeaderName::as_str)
        {
            let is_ours = name.starts_with("x-") || name == "retry-after";
            let mut described = response["headers"].as_object().into_iter().flatten();
            let is_described = described.any(|(known, _)| known.eq_ignore_ascii_case(name));
            if is_ours && !is_described && !UNNAMED.contains(&name) {
                found.push(format!("the header {name} is not described"));
            }
        }
        let kind = answer.header("content-type").split(';').next().unwrap();
        match response["content"].get(kind) {
            None => found.push(format!("the type {kind} is not described")),
            Some(_) if kind != "application/json" => {}
            Some(content) => {
                found.extend(self.differences(&content["schema"], &answer.json, "body"));
            }
        }
        found
    }
}

fn has_type(known: &Value, value: &Value) -> bool {
    let is = |word: &str| match word {
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => value.is_null(),
    };
    match known {
        Value::String(word) => is(word),
        Value::Array(words) => words.iter().filter_map(Value::as_str).any(is),
        _ => true,
    }
}

/// The path as the document has it, the path, the body (none if null), and the status.
type Case = (&'static str, String, Value, u16);

/// Requests of calls in the words of each API.
fn calls(job: &str) -> Vec<Case> {
    let hello = prompt_body("Hi");
    let single = json!({ "team_id": PLENTY.id, "job_type": "single" });
    let with_length = |fields: Value| chat_with(FAST, "Hi", fields);
    let of_job = |verb: &str| format!("/api/jobs/{job}/{verb}");
    let path = str::to_owned;
    let (calls, streams) = (
        "/api/jobs/{job_id}/llm-call",
        "/api/jobs/{job_id}/llm-call-stream",
    );
    let once = "/api/jobs/create-and-call";
    let bad = json!({ "messages": 5, "temperature": 9 });
    let messages = "/v1/messages";
    vec![
        (calls, of_job("llm-call"), hello.clone(), 200),
        (calls, of_job("llm-call"), bad.clone(), 400),
        (calls, of_job("llm-call"), prompt_body("do:status=400"), 400),
        (calls, of_job("llm-call"), prompt_body("do:status=500"), 503),
        (calls, of_job("llm-call"), chat("nope", "Hi"), 403),
        (streams, of_job("llm-call-stream"), hello.clone(), 200),
        (streams, of_job("llm-call-stream"), bad.clone(), 400),
        (once, path(once), merged(single.clone(), hello.clone()), 200),
        (once, path(once), merged(single.clone(), bad.clone()), 400),
        (
            COMPLETIONS,
            path(COMPLETIONS),
            chat(FAST, "do:tools,think"),
            200,
        ),
        (COMPLETIONS, path(COMPLETIONS), chat("nope", "Hi"), 403),
        (COMPLETIONS, path(COMPLETIONS), bad.clone(), 400),
        (
            messages,
            path(messages),
            with_length(json!({ "max_tokens": 9 })),
            200,
        ),
        (messages, path(messages), with_length(json!({})), 400),
        (
            "/v1/embeddings",
            path("/v1/embeddings"),
            json!({ "model": EMBED, "input": "a" }),
            200,
        ),
        (
            "/v1/embeddings",
            path("/v1/embeddings"),
            json!({ "model": EMBED }),
            400,
        ),
    ]
}

/// Requests that ask what there is.
fn questions(job: &str) -> Vec<Case> {
    let team = PLENTY.id;
    let credits = |verb: &str| format!("/api/credits/teams/{team}/{verb}");
    let of_team = |verb: &str| format!("/api/teams/{team}/{verb}");
    let of_group = |name: &str| format!("/api/model-groups/{name}/resolve?team_id={team}");
    let of_job = |verb: &str| format!("/api/jobs/{job}{verb}");
    let cases = [
        ("/health", "/health".to_owned(), 200),
        ("/livez", "/livez".to_owned(), 200),
        ("/readyz", "/readyz".to_owned(), 200),
        ("/api/jobs/{job_id}", of_job(""), 200),
        ("/api/jobs/{job_id}", "/api/jobs/nope".to_owned(), 404),
        ("/api/jobs/{job_id}/costs", of_job("/costs"), 200),
        ("/v1/models", "/v1/models".to_owned(), 200),
        ("/v1/models/{model}", format!("/v1/models/{FAST}"), 200),
        ("/v1/models/{model}", "/v1/models/nope".to_owned(), 404),
        (
            "/api/credits/teams/{team_id}/balance",
            credits("balance"),
            200,
        ),
        (
            "/api/credits/teams/{team_id}/transactions",
            credits("transactions"),
            200,
        ),
        (
            "/api/credits/teams/{team_id}/transactions",
            credits("transactions?limit=0"),
            400,
        ),
        (
            "/api/teams/{team_id}/usage",
            of_team("usage?period=2026"),
            200,
        ),
        ("/api/teams/{team_id}/jobs", of_team("jobs"), 200),
        (
            "/api/teams/{team_id}/jobs",
            "/api/teams/other/jobs".to_owned(),
            403,
        ),
        ("/api/model-groups/{group}/resolve", of_group(GROUP), 200),
        ("/api/model-groups/{group}/resolve", of_group("nope"), 404),
    ];
    let cases = cases.into_iter();
    cases
        .map(|(template, path, status)| (template, path, Value::Null, status))
        .collect()
}

/// Requests that end the job.
fn ends(job: &str) -> Vec<Case> {
    let (complete, done) = (
        "/api/jobs/{job_id}/complete",
        json!({ "status": "completed" }),
    );
    let path = format!("/api/jobs/{job}/complete");
    let call = "/api/jobs/{job_id}/llm-call";
    let check = "/api/credits/teams/{team_id}/check";
    // The provider's key rests afterwards.
    let too_much = chat(FAST, "do:status=429,retry-after=60");
    vec![
        (complete, path.clone(), json!({ "status": "perhaps" }), 400),
        (complete, path.clone(), done.clone(), 200),
        (complete, path, done, 200),
        (
            call,
            format!("/api/jobs/{job}/llm-call"),
            prompt_body("Hi"),
            409,
        ),
        (
            check,
            format!("/api/credits/teams/{}/check", PLENTY.id),
            json!({}),
            200,
        ),
        (COMPLETIONS, COMPLETIONS.to_owned(), too_much, 429),
    ]
}

#[tokio::test]
async fn answers_are_as_they_are_described() {
    let world: World = world_with_plenty().await;
    let proxy = world.start().await;
    let plenty = proxy.client(PLENTY);
    let description = Description(plenty.get("/openapi.json").await.expect(200).json);
    let created = plenty.create().await.expect(200);
    let job = created.json["job_id"].as_str().unwrap().to_owned();
    let mut wrong = description.check("post", "/api/jobs/create", &created);
    let unknown = proxy.client_with_key("").create().await.expect(401);
    wrong.extend(description.check("post", "/api/jobs/create", &unknown));
    for (template, path, body, status) in [calls(&job), questions(&job), ends(&job)].concat() {
        let (method, operation) = match &body {
            Value::Null => (Method::GET, "get"),
            _ => (Method::POST, "post"),
        };
        let mut request = plenty
            .request(method, &path)
            .header("x-tollgate-cache", "on");
        if !body.is_null() {
            request = request.json(&body);
        }
        let answer = plenty.send(request).await.expect(status);
        let found = description.check(operation, template, &answer);
        wrong.extend(found.iter().map(|what| format!("{path} {status}: {what}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    world.verify().await;
}
