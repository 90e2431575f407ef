//! Parts of answers.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::json::compact;
use crate::chat::{Json, Said};

/// How much of an answer's id the ids of its calls have, in characters: other providers take only
/// ids of up to 40.
const RESPONSE_ID_LENGTH_MAX: usize = 24;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WirePart<'a> {
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    thought: Option<bool>,
    #[serde(borrow)]
    thought_signature: Option<&'a RawValue>,
    #[serde(borrow)]
    function_call: Option<WireCall<'a>>,
    inline_data: Option<IgnoredAny>,
    file_data: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct WireCall<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    name: &'a RawValue,
    #[serde(borrow)]
    args: Option<&'a RawValue>,
}

/// What the calls of an answer are called where the provider gives them no ids.
#[derive(Clone, Copy)]
pub(super) struct Naming<'n> {
    /// Tells the calls of one answer from those of another in the same conversation.
    pub(super) response_id: &'n str,
    pub(super) candidate: u32,
    /// In a piece of an answer: how many calls came before.
    pub(super) calls_before: Option<u32>,
}

/// What some parts of a candidate say.
#[derive(Default)]
pub(super) struct Heard<'a> {
    /// All but the signature.
    pub(super) said: Said<'a>,
    pub(super) calls: u32,
    /// The signature of the first call that has one. It is wanted back.
    pub(super) call_signature: Option<Json<'a>>,
    /// The last signature of another part. It is welcome back.
    pub(super) text_signature: Option<Json<'a>>,
}

impl<'a> Heard<'a> {
    pub(super) fn read(parts: Vec<WirePart<'a>>, naming: Naming<'_>) -> Result<Self, &'static str> {
        let mut heard = Self::default();
        let mut calls = String::new();
        for part in parts {
            if part.inline_data.is_some() || part.file_data.is_some() {
                return Err("the answer has bytes beside text");
            }
            let signature = part.thought_signature.map(string).transpose()?;
            let signature = signature.filter(|json| *json != "\"\"").map(Cow::Borrowed);
            if let Some(call) = part.function_call {
                calls.push(if heard.calls == 0 { '[' } else { ',' });
                write_call(&mut calls, &call, naming, heard.calls)?;
                heard.calls = heard.calls.saturating_add(1);
                heard.call_signature = heard.call_signature.or(signature);
                continue;
            }
            heard.text_signature = signature.or(heard.text_signature);
            if let Some(text) = part.text {
                let is_thought = part.thought == Some(true);
                let said = &mut heard.said;
                append(
                    if is_thought {
                        &mut said.reasoning
                    } else {
                        &mut said.content
                    },
                    string(text)?,
                );
            }
        }
        if heard.calls > 0 {
            calls.push(']');
            heard.said.tool_calls = Some(Cow::Owned(calls));
        }
        Ok(heard)
    }
}

fn string(raw: &RawValue) -> Result<&str, &'static str> {
    let json = raw.get();
    if json.starts_with('"') {
        Ok(json)
    } else {
        Err("what should be a string is none")
    }
}

/// Joins JSON strings without decoding them. An empty one says nothing.
fn append<'a>(joined: &mut Option<Json<'a>>, json: &'a str) {
    if json == "\"\"" {
        return;
    }
    match joined {
        Some(before) => {
            let before = before.to_mut();
            before.pop();
            before.push_str(json.get(1..).unwrap_or_default());
        }
        None => *joined = Some(Cow::Borrowed(json)),
    }
}

/// Writes a call in OpenAI's shape. `position` is its place in its piece of the answer.
fn write_call(
    json: &mut String,
    call: &WireCall<'_>,
    naming: Naming<'_>,
    position: u32,
) -> Result<(), &'static str> {
    let name = string(call.name)?;
    let arguments = match call.args.map(RawValue::get) {
        None => "{}".to_owned(),
        Some(args) if args.starts_with('{') => compact(args),
        Some(_) => return Err("the arguments of a call are not an object"),
    };
    let position = naming.calls_before.unwrap_or(0).saturating_add(position);
    let id = match call.id {
        Some(id) => Cow::Borrowed(string(id)?),
        None => Cow::Owned(format!("\"{}\"", id_of(naming, position))),
    };
    json.push('{');
    // Writing into memory does not fail.
    if naming.calls_before.is_some() {
        let _ = write!(json, "\"index\":{position},");
    }
    let arguments = serde_json::Value::String(arguments);
    let _ = write!(
        json,
        "\"id\":{id},\"type\":\"function\",\"function\":{{\"name\":{name},\"arguments\":{arguments}}}}}"
    );
    Ok(())
}

/// An id that says where the call stands: the same answer gives the same ids.
fn id_of(naming: Naming<'_>, position: u32) -> String {
    let mut id = "call_".to_owned();
    let known = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let response_id = naming.response_id.chars().filter(known);
    id.extend(response_id.take(RESPONSE_ID_LENGTH_MAX));
    if id.len() > "call_".len() {
        id.push('_');
    }
    let _ = write!(id, "{}_{position}", naming.candidate);
    id
}
