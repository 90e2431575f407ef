//! Parts of answers. Whatever is not as documented costs only itself.

use std::borrow::Cow;
use std::fmt::Write as _;

use super::super::members::Members;
use super::json::compact;
use crate::chat::{Json, Said};

/// How much of an answer's id the ids of its calls have, in characters: other providers take only
/// ids of up to 40.
const RESPONSE_ID_LENGTH_MAX: usize = 24;

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
    /// Whether a part was there of which nothing could be read.
    pub(super) has_unreadable: bool,
    /// JSON objects of the calls, and of the images.
    calls_json: Vec<String>,
    images_json: Vec<String>,
}

impl<'a> Heard<'a> {
    pub(super) fn read(parts: &[&'a str], naming: Naming<'_>) -> Self {
        let mut heard = Self::default();
        for part in parts {
            heard.take(part, naming);
        }
        if !heard.calls_json.is_empty() {
            let calls = format!("[{}]", heard.calls_json.join(","));
            heard.said.tool_calls = Some(Cow::Owned(calls));
        }
        if !heard.images_json.is_empty() {
            let images = format!("[{}]", heard.images_json.join(","));
            heard.said.others = vec![("images".into(), Cow::Owned(images))];
        }
        heard
    }

    fn take(&mut self, json: &'a str, naming: Naming<'_>) {
        if json.starts_with('"') {
            append(&mut self.said.content, json);
            return;
        }
        let part = Members::of(json);
        let signature = part.text("thoughtSignature");
        let call = part.object("functionCall");
        if let Some(call) = write_call(&call, naming, self.calls) {
            self.calls = self.calls.saturating_add(1);
            self.calls_json.push(call);
            self.call_signature = self.call_signature.take().or(signature);
            return;
        }
        let is_signed = signature.is_some();
        self.text_signature = signature.or_else(|| self.text_signature.take());
        let image = image(&part.object("inlineData"));
        match part.string("text") {
            Some(text) if part.raw("thought") == Some("true") => {
                append(&mut self.said.reasoning, text);
            }
            Some(text) => append(&mut self.said.content, text),
            None => self.has_unreadable |= image.is_none() && !is_signed,
        }
        self.images_json.extend(image);
    }
}

/// An image that the model made, as other servers tell it in OpenAI's dialect.
fn image(data: &Members<'_>) -> Option<String> {
    let media_type = data.word("mimeType")?;
    let bytes = data.string("data")?.trim_matches('"');
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '+' | '-' | '.');
    let is_image = media_type.starts_with("image/") && media_type.chars().all(is_plain);
    is_image.then(|| {
        format!(
            "{{\"type\":\"image_url\",\"image_url\":{{\"url\":\"data:{media_type};base64,{bytes}\"}}}}"
        )
    })
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

/// A call in OpenAI's shape; `None` if it has no name. `position` is its place in its piece of the
/// answer. Arguments that are no object are the model's fault: the caller sees what it wrote.
fn write_call(call: &Members<'_>, naming: Naming<'_>, position: u32) -> Option<String> {
    let name = call.string("name")?;
    let arguments = call.raw("args").map_or_else(|| "{}".to_owned(), compact);
    let position = naming.calls_before.unwrap_or(0).saturating_add(position);
    let id = call.text("id");
    let id = id.unwrap_or_else(|| Cow::Owned(format!("\"{}\"", id_of(naming, position))));
    let mut json = "{".to_owned();
    // Writing into memory does not fail.
    if naming.calls_before.is_some() {
        let _ = write!(json, "\"index\":{position},");
    }
    let arguments = serde_json::Value::String(arguments);
    let _ = write!(
        json,
        "\"id\":{id},\"type\":\"function\",\"function\":{{\"name\":{name},\"arguments\":{arguments}}}}}"
    );
    Some(json)
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
