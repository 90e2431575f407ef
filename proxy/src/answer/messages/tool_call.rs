//! OpenAI's `tool_calls`, whole or in pieces, as requests for tools in the other dialect.

use std::borrow::Cow;

use serde_json::Value;
use serde_json::value::RawValue;

use crate::chat::Said;
use crate::provider::members::{Members, list};

/// A request for a tool, or a piece of one. What is not as documented costs only itself.
pub(super) struct Call<'a> {
    /// Which request a piece belongs to.
    pub(super) index: u32,
    id: Option<String>,
    name: Option<String>,
    /// JSON.
    arguments: Option<&'a str>,
}

/// The requests of a message, or of a piece of one: its `tool_calls`, or its `function_call`, which
/// some servers still write for a single one.
pub(super) fn list_of<'s>(said: &'s Said<'_>) -> Option<Cow<'s, str>> {
    if let Some(calls) = said.tool_calls.as_deref() {
        return Some(Cow::Borrowed(calls));
    }
    let mut others = said.others.iter();
    let (_, call) = others.find(|(name, _)| name == "function_call")?;
    let list = format!("[{{\"index\":0,\"function\":{call}}}]");
    call.starts_with('{').then_some(Cow::Owned(list))
}

/// Reads the list. What is no list of requests asks for nothing.
pub(super) fn read(json: &str) -> Vec<Call<'_>> {
    let calls = list(json).into_iter().map(Members::of);
    let calls = calls.filter(|call| !call.is_empty()).map(|call| {
        let function = call.object("function");
        Call {
            index: call.index("index").unwrap_or(0),
            id: call.word("id"),
            name: function.word("name"),
            arguments: function.raw("arguments"),
        }
    });
    calls.collect()
}

impl Call<'_> {
    /// What the provider calls the request, if anything.
    pub(super) fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// The tool's name; empty in all pieces but the first.
    pub(super) fn name(&self) -> &str {
        self.name.as_deref().unwrap_or_default()
    }

    /// The arguments, or what a piece adds to them, as a JSON string. Some servers write the object
    /// itself.
    pub(super) fn arguments(&self) -> Option<Cow<'_, str>> {
        let json = self.arguments?;
        if json.starts_with('"') {
            return Some(Cow::Borrowed(json)).filter(|json| json != "\"\"");
        }
        json.starts_with('{')
            .then(|| Cow::Owned(Value::from(json).to_string()))
    }

    /// The arguments as an object. A model may have written something else, or was cut off. An
    /// empty object would then be a request that it has not made, and a tool might carry it out;
    /// under a name that no tool knows, the caller sees what was said and can tell the model.
    pub(super) fn input(&self) -> String {
        let Some(arguments) = self.arguments() else {
            return "{}".to_owned();
        };
        let text: String = serde_json::from_str(&arguments).unwrap_or_default();
        if text.trim().is_empty() {
            return "{}".to_owned();
        }
        let object = serde_json::from_str::<&RawValue>(&text).ok();
        match object.filter(|json| json.get().starts_with('{')) {
            Some(object) => object.get().to_owned(),
            None => format!("{{\"invalid_arguments\":{arguments}}}"),
        }
    }
}
