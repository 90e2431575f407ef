//! What bodies of calls are refused for, and what they weigh.

use super::*;

fn detail(body: &str) -> String {
    match CallRequest::parse(body.as_bytes(), 10_240) {
        Ok(_) => "valid".to_owned(),
        Err(error) => error.body()["detail"].as_str().unwrap().to_owned(),
    }
}

fn with(field: &str) -> String {
    detail(&format!(
        r#"{{"messages":[{{"role":"user","content":"hi"}}],{field}}}"#
    ))
}

#[test]
fn documented_ranges_are_enforced_at_both_ends() {
    for valid in [
        r#""temperature":0"#,
        r#""temperature":2.0"#,
        r#""top_p":1"#,
        r#""presence_penalty":-2"#,
        r#""max_tokens":1"#,
        r#""stop":"END""#,
        r#""stop":["a","b","c","d"]"#,
        r#""temperature":null"#,
        r#""unknown":{"x":1}"#,
    ] {
        assert_eq!(with(valid), "valid", "{valid}");
    }
    for (invalid, name) in [
        (r#""temperature":2.1"#, "temperature"),
        (r#""temperature":"hot""#, "temperature"),
        (r#""top_p":-0.1"#, "top_p"),
        (r#""frequency_penalty":3"#, "frequency_penalty"),
        (r#""max_tokens":0"#, "max_tokens"),
        (r#""max_tokens":1.5"#, "max_tokens"),
        (r#""max_tokens":99999999999999999999"#, "max_tokens"),
        (r#""stop":["a","b","c","d","e"]"#, "stop"),
        (r#""stop":[]"#, "stop"),
        (r#""tools":[1]"#, "tools"),
        (r#""call_metadata":[]"#, "call_metadata"),
    ] {
        assert!(
            with(invalid).starts_with(name),
            "{invalid}: {}",
            with(invalid)
        );
    }
}

#[test]
fn messages_are_checked_one_by_one() {
    for (body, part) in [
        ("{}", "messages: Field required"),
        (r#"{"messages":"hi"}"#, "must be a list"),
        (r#"{"messages":[]}"#, "at least one"),
        (r#"{"messages":["hi"]}"#, "messages[0]: must be an object"),
        (
            r#"{"messages":[{"role":"user","content":"a"},{"content":"b"}]}"#,
            "messages[1].role",
        ),
        (
            r#"{"messages":[{"role":"king","content":"a"}]}"#,
            "messages[0].role: must be one of",
        ),
        (
            r#"{"messages":[{"role":"user","content":5}]}"#,
            "messages[0].content",
        ),
    ] {
        assert!(detail(body).contains(part), "{body}: {}", detail(body));
    }
    let image = r#"{"messages":[{"role":"user","content":[{"type":"text","text":"what?"},
        {"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}}]}]}"#;
    let request = CallRequest::parse(image.as_bytes(), 10_240).unwrap();
    assert!(request.weight.total() >= 2_000 && request.weight.total() < 2_150);
}

#[test]
fn everything_that_travels_counts_in_the_estimate() {
    let long = "x".repeat(100_000);
    for message in [
        format!(r#"{{"role":"user","content":"{long}"}}"#),
        format!(r#"{{"role":"user","content":[{{"type":"\u0074ext","text":"{long}"}}]}}"#),
        format!(
            r#"{{"role":"user","content":[{{"type":"file","file":{{"file_data":"{long}"}}}}]}}"#
        ),
        format!(r#"{{"role":"assistant","content":null,"function_call":"{long}"}}"#),
    ] {
        let body = format!(r#"{{"messages":[{message}]}}"#);
        let request = CallRequest::parse(body.as_bytes(), 10_240).unwrap();
        assert!(
            request.weight.total() >= 50_000,
            "{}",
            request.weight.total()
        );
    }
    let twice = r#"{"messages":[{"role":"user","content":"a","content":"b"}]}"#;
    assert!(detail(twice).contains("messages[0].content: must be given once"));
}

/// What is wrong with a body of chat completions, or which fields need a provider that passes them.
fn of_completions(fields: &str) -> String {
    let body = format!(r#"{{"messages":[{{"role":"user","content":"hi"}}],{fields}}}"#);
    match CallRequest::parse_completions(body.as_bytes()) {
        Ok(request) => {
            let demands = request.ask.demands.iter();
            let fields: Vec<&str> = demands.map(|demand| demand.field.as_str()).collect();
            fields.join(" ")
        }
        Err(error) => error.body()["detail"].as_str().unwrap().to_owned(),
    }
}

#[test]
fn fields_go_by_the_table() {
    for neutral in [
        r#""top_k":4,"min_p":0.1,"repetition_penalty":1.1,"seed":1,"n":2,"logprobs":true"#,
        r#""chat_template_kwargs":{"enable_thinking":false},"guided_json":{},"min_tokens":3"#,
        r#""service_tier":"auto","modalities":["text"],"user":"u","metadata":{"a":"b"}"#,
        r#""service_tier":null,"unknown":null,"fallbacks":[],"extra_body":{},"best_of":1"#,
        r#""prompt_cache_key":"k","safety_identifier":"s","store":true,"verbosity":"low""#,
        r#""tools":[{"type":"function","function":{"name":"f","parameters":{"Model":1}}}]"#,
        r#""cache_control":{"type":"ephemeral"},"tool_choice":"auto""#,
    ] {
        assert_eq!(of_completions(neutral), "", "{neutral}");
    }
    for (field, demanded) in [
        (r#""extra_of_a_server":1"#, "extra_of_a_server"),
        (r#""service_tier":"priority""#, "service_tier"),
        (r#""service_tier":"flex""#, "service_tier"),
        (r#""web_search_options":{}"#, "web_search_options"),
        (r#""modalities":["text","audio"]"#, "modalities"),
        (r#""audio":{"voice":"a","format":"mp3"}"#, "audio"),
        (
            r#""cache_control":{"type":"ephemeral","ttl":"1h"}"#,
            "cache_control.ttl",
        ),
        (
            r#""tools":[{"type":"function","function":{"name":"f"},"x":1}]"#,
            "tools[0].x",
        ),
        (
            r#""tools":[{"type":"function","function":{"name":"f","x":1}}]"#,
            "tools[0].function.x",
        ),
        (
            r#""tools":[{"type":"function","function":{"name":"f"},"googleSearch":{}}]"#,
            "tools[0].googleSearch",
        ),
        (
            r#""functions":[{"name":"f"},{"name":"g","web_search":{}}]"#,
            "functions[1].web_search",
        ),
        (
            r#""response_format":{"type":"json_object","x":1}"#,
            "response_format.x",
        ),
        (
            r#""response_format":{"type":"json_schema","json_schema":{"name":"a","x":1}}"#,
            "response_format.json_schema.x",
        ),
        (r#""reasoning":{"effort":"low","x":1}"#, "reasoning.x"),
        (r#""thinking":{"type":"disabled","x":1}"#, "thinking.x"),
        (
            r#""tool_choice":{"type":"function","x":1}"#,
            "tool_choice.x",
        ),
        (r#""prediction":{"type":"content","x":1}"#, "prediction.x"),
    ] {
        assert_eq!(of_completions(field), demanded, "{field}");
    }
}

#[test]
fn fields_that_never_travel_are_refused_by_their_name() {
    for (field, problem) in [
        (r#""Model":"gpt-4-32k""#, "Model: must be written as model"),
        (
            r#""MAX_TOKENS":100000"#,
            "MAX_TOKENS: must be written as max_tokens",
        ),
        (r#""N":50"#, "N: must be written as n"),
        (r#""Stream":true"#, "Stream: must be written as stream"),
        (r#""\u0053tream":true"#, "Stream: must be written as stream"),
        (r#""Messages":[]"#, "Messages: must be written as messages"),
        (r#"" model":"x""#, " model: must be written as model"),
        (
            r#""Service_Tier":"priority""#,
            "Service_Tier: must be written as service_tier",
        ),
        (r#""TOP_P":1"#, "TOP_P: must be written as top_p"),
        (r#""models":["openai/o1-pro"]"#, "models: is not taken here"),
        (
            r#""api_base":"http://169.254.169.254""#,
            "api_base: is not taken here",
        ),
        (
            r#""max_new_tokens":100000"#,
            "max_new_tokens: is not taken here; use max_tokens",
        ),
        (r#""best_of":5"#, "best_of: is not taken here; use n"),
        (r#""service_tier":"platinum""#, "service_tier: must be"),
        (
            r#""tools":[{"type":"web_search"}]"#,
            "tools[0].type: must be function or custom",
        ),
        (
            r#""tools":[{"google_search":{}}]"#,
            "tools[0].type: must be function or custom",
        ),
        (
            r#""tools":[{"type":"function","Function":{}}]"#,
            "tools[0].Function: must be written",
        ),
        (
            r#""tool_choice":{"type":"web_search"}"#,
            "tool_choice.type: must be one of",
        ),
        (
            r#""response_format":{"type":"image"}"#,
            "response_format.type: must be one of",
        ),
        (r#""modalities":["video"]"#, "modalities: must be"),
        (r#""seed":1,"seed":2"#, "seed: must be given once"),
    ] {
        let found = of_completions(field);
        assert!(found.starts_with(problem), "{field}: {found}");
    }
}

/// What is wrong with a part of a message, or which fields need a provider that passes them.
fn of_part(part: &str) -> String {
    let body = format!(r#"{{"messages":[{{"role":"user","content":[{part}]}}]}}"#);
    match CallRequest::parse_completions(body.as_bytes()) {
        Ok(request) => {
            let demands = request.ask.demands.iter();
            let fields: Vec<&str> = demands.map(|demand| demand.field.as_str()).collect();
            fields.join(" ")
        }
        Err(error) => error.body()["detail"].as_str().unwrap().to_owned(),
    }
}

#[test]
fn parts_of_messages_are_what_they_are_said_to_be() {
    for fine in [
        r#"{"type":"text","text":"hi","cache_control":{"type":"ephemeral","ttl":"5m"}}"#,
        r#"{"type":"image_url","image_url":"https://x.example/a.png"}"#,
        r#"{"type":"image_url","image_url":{"url":"https://x.example/a","detail":"high"}}"#,
        r#"{"type":"file","file":{"file_data":"data:application/pdf;base64,AA","filename":"a"}}"#,
        r#"{"type":"video_url","video_url":{"url":"https://x.example/v.mp4"}}"#,
    ] {
        assert_eq!(of_part(fine), "", "{fine}");
    }
    for (part, found) in [
        (
            r#"{"type":"input_audio","input_audio":{"data":"AAAA","format":"wav"}}"#,
            "messages[0].content[0]",
        ),
        (
            r#"{"type":"file","file":{"file_id":"f"}}"#,
            "messages[0].content[0].file.file_id",
        ),
        (
            r#"{"type":"text","text":"hi","x":1}"#,
            "messages[0].content[0].x",
        ),
        (
            r#"{"type":"text","text":"hi","cache_control":{"type":"ephemeral","ttl":"1h"}}"#,
            "messages[0].content[0].cache_control.ttl",
        ),
        (
            r#"{"type":"image_url","image_url":{"url":"https://x.example/million.txt"}}"#,
            "messages[0].content[0].image_url: must be an image",
        ),
        (
            r#"{"type":"image_url","image_url":{"url":"data:text/plain;base64,AAAA"}}"#,
            "messages[0].content[0].image_url: must be an image",
        ),
        (
            r#"{"type":"image_url","Image_URL":{"url":"https://x.example/a.png"}}"#,
            "messages[0].content[0].Image_URL: must be written as image_url",
        ),
        (
            r#"{"type":"image_url","image_url":{"url":"https://x.example/a","URL":"b"}}"#,
            "messages[0].content[0].image_url.URL: must be written as url",
        ),
        (
            r#"{"type":"web_search"}"#,
            "messages[0].content[0].type: must be text",
        ),
        (
            r#"{"type":"image_url"}"#,
            "messages[0].content[0].image_url: must be an object",
        ),
        ("5", "messages[0].content[0]: must be an object"),
    ] {
        let said = of_part(part);
        assert!(said.starts_with(found), "{part}: {said}");
    }
}

#[test]
fn fields_of_messages_are_known_or_noted() {
    let spoken = r#"{"messages":[{"role":"assistant","audio":{"id":"a"},"Content":"x"}]}"#;
    let error = CallRequest::parse_completions(spoken.as_bytes()).unwrap_err();
    let detail = error.body()["detail"].to_string();
    assert!(
        detail.contains("messages[0].Content: must be written as content"),
        "{detail}"
    );
    let spoken = r#"{"messages":[{"role":"assistant","audio":{"id":"a"}}]}"#;
    let request = CallRequest::parse_completions(spoken.as_bytes()).unwrap();
    assert_eq!(request.ask.demands[0].field, "messages[0].audio");
}
