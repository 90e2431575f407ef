//! The demo upstream's answers word by word, as server-sent events.

use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http_body_util::channel::Channel;
use serde_json::{Value, json};

use super::{Answer, MODEL};

/// How many events may wait for a slow reader.
const WAITING_MAX: usize = 16;

/// Streams an answer with this pause before each word but the first. `usage` is told if it is asked
/// for: then it is null until the end.
pub(super) fn answer(answer: &Answer, usage: Option<Value>, token: Duration) -> Response {
    let events = events(answer, usage);
    let (mut sender, body) = Channel::<Bytes>::new(WAITING_MAX);
    tokio::spawn(async move {
        for (index, event) in events.into_iter().enumerate() {
            // The first event only opens the answer, and with the second begins its text.
            if index > 1 && !token.is_zero() {
                tokio::time::sleep(token).await;
            }
            if sender.send_data(event).await.is_err() {
                return;
            }
        }
    });
    let headers = [
        (CONTENT_TYPE, "text/event-stream; charset=utf-8"),
        (CACHE_CONTROL, "no-cache"),
    ];
    (headers, Body::new(body)).into_response()
}

/// All events in their order; the last one holds all that follows the text.
fn events(answer: &Answer, usage: Option<Value>) -> Vec<Bytes> {
    let chunk = |choices: Value, usage: Option<&Value>| {
        let mut chunk = json!({
            "id": "chatcmpl-demo",
            "object": "chat.completion.chunk",
            "created": 0,
            "model": MODEL,
            "choices": choices,
        });
        if let Some(usage) = usage {
            chunk["usage"] = usage.clone();
        }
        format!("data: {chunk}\n\n")
    };
    let not_yet = usage.as_ref().map(|_| Value::Null);
    let delta = |delta: Value, reason: Option<&str>| {
        let choice = json!({ "index": 0, "delta": delta, "finish_reason": reason });
        chunk(json!([choice]), not_yet.as_ref())
    };
    let mut events = vec![delta(json!({ "role": "assistant", "content": "" }), None)];
    let words = answer.text.split_inclusive(char::is_whitespace);
    events.extend(words.map(|word| delta(json!({ "content": word }), None)));
    let mut end = delta(json!({}), Some(answer.finish_reason));
    if let Some(usage) = &usage {
        end += &chunk(json!([]), Some(usage));
    }
    end += "data: [DONE]\n\n";
    events.push(end);
    events.into_iter().map(Bytes::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_add_up_and_usage_comes_last_if_asked_for() {
        let answer = Answer {
            text: "one two three".to_owned(),
            tokens: 3,
            finish_reason: "stop",
        };
        let data = |events: Vec<Bytes>| -> Vec<Value> {
            let text = String::from_utf8(events.concat()).unwrap();
            let (text, done) = text.split_at(text.find("data: [DONE]").unwrap());
            assert_eq!(done, "data: [DONE]\n\n");
            let lines = text.split_terminator("\n\n");
            let json = lines.map(|line| serde_json::from_str(&line["data: ".len()..]).unwrap());
            json.collect()
        };
        let plain = data(events(&answer, None));
        let content = |chunk: &Value| {
            let content = chunk["choices"][0]["delta"]["content"].as_str();
            content.unwrap_or_default().to_owned()
        };
        assert_eq!(plain.iter().map(content).collect::<String>(), answer.text);
        assert_eq!(plain.len(), 5);
        assert_eq!(plain[4]["choices"][0]["finish_reason"], "stop");
        assert!(plain.iter().all(|chunk| chunk.get("usage").is_none()));
        let told = data(events(&answer, Some(json!({ "total_tokens": 7 }))));
        assert_eq!(told[0].get("usage"), Some(&Value::Null));
        assert_eq!(told[5]["usage"]["total_tokens"], 7);
        assert_eq!(told[5]["choices"], json!([]));
    }
}
