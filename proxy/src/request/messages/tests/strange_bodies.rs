//! Nothing that a caller sends makes the parser fail in another way than by its answer.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::{FIELDS, parse};
use super::with;

/// JSON of the words that requests are made of, in any order.
fn any_json() -> impl Strategy<Value = Value> {
    let word = prop::sample::select(vec![
        "text",
        "image",
        "document",
        "tool_use",
        "tool_result",
        "thinking",
        "base64",
        "url",
        "user",
        "assistant",
        "ephemeral",
        "custom",
        "auto",
        "tool",
        "enabled",
        "adaptive",
        "low",
        "json_schema",
        "image/png",
        "https://a.example",
        "",
    ]);
    let name = prop::sample::select(vec![
        "type",
        "text",
        "role",
        "content",
        "source",
        "media_type",
        "data",
        "url",
        "id",
        "name",
        "input",
        "tool_use_id",
        "is_error",
        "thinking",
        "signature",
        "cache_control",
        "ttl",
        "input_schema",
        "budget_tokens",
        "effort",
        "format",
        "schema",
        "user_id",
        "strict",
    ]);
    let leaf = prop_oneof![
        4 => word.prop_map(Value::from),
        1 => any::<i64>().prop_map(Value::from),
        1 => any::<f64>().prop_map(Value::from),
        1 => any::<bool>().prop_map(Value::from),
        1 => Just(Value::Null),
    ];
    leaf.prop_recursive(5, 60, 5, move |inner| {
        let fields = prop::collection::vec((name.clone(), inner.clone()), 0..5);
        prop_oneof![
            prop::collection::vec(inner, 0..4).prop_map(Value::from),
            fields.prop_map(|fields| {
                let fields = fields
                    .into_iter()
                    .map(|(name, value)| (name.to_owned(), value));
                Value::Object(fields.collect())
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_body_is_too_strange(
        field in prop::sample::select(FIELDS.to_vec()),
        value in any_json(),
        text in ".*",
    ) {
        let _ = parse(text.as_bytes());
        let _ = parse(with(json!({(field): value})).to_string().as_bytes());
    }

    #[test]
    fn no_content_is_too_strange(blocks in prop::collection::vec(any_json(), 0..4)) {
        for role in ["user", "assistant"] {
            let body = with(json!({"messages": [{"role": role, "content": blocks}]}));
            if let Err(error) = parse(body.to_string().as_bytes()) {
                let detail = error.body()["detail"].to_string();
                prop_assert!(detail.contains("messages[0]"), "{}", detail);
            }
        }
    }
}
