//! Messages in OpenAI's dialect, whose texts travel as they are: each field is known or noted, and
//! what it weighs is counted. Parts that are not text are what they are said to be.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tollgate_common::provider::field::fold;

use super::demand::{Ask, Service};
use super::media::{self, Sniffed};
use super::{MESSAGES_MAX, ROLES};
use crate::error::FieldProblem;
use crate::fields::Fields;

/// The most that a document is taken for by limits of tokens per minute.
const TYPICAL_DOCUMENT_TOKENS_MAX: usize = 200_000;

/// The most of an unknown name that an answer repeats, in characters.
const NAME_SHOWN_MAX: usize = 64;

/// Fields of messages that say what they say in text.
const MESSAGE_FIELDS: [&str; 22] = [
    "role",
    "content",
    "name",
    "tool_calls",
    "tool_call_id",
    "function_call",
    "refusal",
    "reasoning",
    "reasoning_content",
    "reasoning_details",
    "thinking",
    "thinking_blocks",
    "annotations",
    "citations",
    "prefix",
    "partial",
    "id",
    "index",
    "finish_reason",
    "status",
    "tool_name",
    "cache_control",
];

/// Types of parts, and which fields each has beside `type` and `cache_control`.
const PARTS: [(&str, &[&str]); 11] = [
    ("text", &["text", "annotations", "citations"]),
    ("refusal", &["refusal"]),
    ("thinking", &["thinking", "signature", "closed"]),
    ("redacted_thinking", &["data"]),
    ("reasoning", &["text", "reasoning"]),
    ("image_url", &["image_url"]),
    ("input_audio", &["input_audio"]),
    ("audio_url", &["audio_url"]),
    ("video_url", &["video_url"]),
    ("document_url", &["document_url", "document_name"]),
    ("file", &["file"]),
];

const PART_TYPES: &str = "must be text, image_url, input_audio, file, audio_url, video_url, \
                          document_url, refusal, thinking, redacted_thinking or reasoning";

#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

fn text_of(raw: &RawValue) -> Option<Cow<'_, str>> {
    let Text(text) = serde_json::from_str(raw.get()).ok()?;
    Some(text)
}

/// Where an object is: as answers name it, and its path without places in lists.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) field: String,
    pub(super) name: String,
}

/// Notes the fields of an object that are not known; names that only look like a known one are
/// refused, since servers may take them for it.
pub(super) fn note_unknown(
    fields: &mut Fields<'_>,
    known: &[&[&str]],
    place: &Place,
    ask: &mut Ask,
) {
    let is_known = |name: &str| known.iter().any(|names| names.contains(&name));
    let all = fields.all();
    let unknown: Vec<_> = all.filter(|(name, _)| !is_known(name)).collect();
    for (name, raw) in unknown {
        let shown: String = name.chars().take(NAME_SHOWN_MAX).collect();
        let folded = fold(&name);
        if let Some(alike) = known
            .iter()
            .flat_map(|names| *names)
            .find(|known| **known == folded)
        {
            let message = format!("must be written as {alike}");
            fields.problem(&shown, message, "look_alike");
        } else if !says_nothing(raw, place) {
            let (field, path) = (&place.field, &place.name);
            ask.pass(format!("{field}.{shown}"), format!("{path}.{name}"));
            ask.content.add_text(raw.get());
        }
    }
}

/// Whether an unknown field asks for nothing. What names a tool may do so by an empty object.
fn says_nothing(raw: &RawValue, place: &Place) -> bool {
    match raw.get() {
        "[]" | "false" => true,
        "{}" => !["tools", "functions"]
            .iter()
            .any(|tools| place.name.starts_with(tools)),
        _ => false,
    }
}

/// Checks a mark for the provider's cache.
pub(super) fn check_cache_control(raw: &RawValue, field: &str, ask: &mut Ask) {
    #[derive(Deserialize)]
    struct Mark<'a> {
        #[serde(borrow)]
        ttl: Option<&'a RawValue>,
    }
    let mark: Option<Mark<'_>> = serde_json::from_str(raw.get()).ok();
    let ttl = mark.and_then(|mark| mark.ttl);
    if ttl.is_some_and(|ttl| ttl.get() != "\"5m\"") {
        ask.service(format!("{field}.ttl"), Service::CacheHour);
    }
}

/// Checks the messages, counts what they weigh and notes what they ask for.
pub(super) fn read_all(fields: &mut Fields<'_>, ask: &mut Ask) {
    let Some(raw) = fields.raw("messages") else {
        fields.problem("messages", "Field required", "missing");
        return;
    };
    let messages: Vec<&RawValue> = match serde_json::from_str(raw.get()) {
        Ok(messages) => messages,
        Err(_) => {
            fields.problem("messages", "must be a list of messages", "list_type");
            return;
        }
    };
    if messages.is_empty() {
        fields.problem("messages", "must have at least one message", "too_short");
    }
    if messages.len() > MESSAGES_MAX {
        let message = format!("must have at most {MESSAGES_MAX} messages");
        fields.problem("messages", message, "too_long");
        return;
    }
    for (index, message) in messages.into_iter().enumerate() {
        ask.content.add_message();
        read(fields, message, index, ask);
    }
}

fn read(fields: &mut Fields<'_>, raw: &RawValue, index: usize, ask: &mut Ask) {
    let location = vec![json!("body"), json!("messages"), json!(index)];
    let Some(mut message) = Fields::of_nested(raw, location.clone()) else {
        fields.absorb(vec![FieldProblem {
            location,
            message: "must be an object with role and content".to_owned(),
            kind: "dict_type",
        }]);
        return;
    };
    let role = message.raw("role").and_then(text_of);
    if !role.is_some_and(|role| ROLES.contains(&role.as_ref())) {
        let message_text = format!("must be one of: {}", ROLES.join(", "));
        message.problem("role", message_text, "enum");
    }
    let place = || Place {
        field: format!("messages[{index}]"),
        name: "messages".to_owned(),
    };
    if message
        .all()
        .any(|(name, _)| !MESSAGE_FIELDS.contains(&name.as_ref()))
    {
        note_unknown(&mut message, &[&MESSAGE_FIELDS], &place(), ask);
    }
    let texts: Vec<_> = message.all().collect();
    for (name, raw) in texts {
        match name.as_ref() {
            "role" => {}
            "content" => read_content(&mut message, raw, index, ask),
            "cache_control" => {
                check_cache_control(raw, &format!("{}.cache_control", place().field), ask);
            }
            // Providers may write requests for tools anew, as they do with tools.
            "tool_calls" | "function_call" => ask.content.add_schema(raw.get()),
            name if MESSAGE_FIELDS.contains(&name) => ask.content.add_text(raw.get()),
            _ => {}
        }
    }
    fields.absorb(message.into_problems());
}

fn read_content(message: &mut Fields<'_>, raw: &RawValue, index: usize, ask: &mut Ask) {
    if raw.get().starts_with('"') {
        ask.content.add_text(raw.get());
        return;
    }
    let Ok(parts) = serde_json::from_str::<Vec<&RawValue>>(raw.get()) else {
        let problem = "must be a string, a list of parts, or null";
        message.problem("content", problem, "string_type");
        return;
    };
    for (part_index, raw) in parts.into_iter().enumerate() {
        let location = [
            "body".into(),
            "messages".into(),
            index.into(),
            "content".into(),
            part_index.into(),
        ];
        let location: Vec<Value> = location.into();
        let Some(part) = Fields::of_nested(raw, location.clone()) else {
            message.absorb(vec![FieldProblem {
                location,
                message: "must be an object with a type".to_owned(),
                kind: "dict_type",
            }]);
            continue;
        };
        let mut reader = PartReader {
            fields: part,
            place: Place {
                field: format!("messages[{index}].content[{part_index}]"),
                name: "messages.content".to_owned(),
            },
            ask,
        };
        reader.read();
        message.absorb(reader.fields.into_problems());
    }
}

/// A part of a message's content that is being read.
struct PartReader<'r, 'a> {
    fields: Fields<'a>,
    place: Place,
    ask: &'r mut Ask,
}

impl<'a> PartReader<'_, 'a> {
    fn read(&mut self) {
        let kind = self.fields.raw("type").and_then(text_of);
        let mut known = PARTS.iter();
        let Some((kind, names)) = known.find(|(known, _)| kind.as_deref() == Some(known)) else {
            self.fields.problem("type", PART_TYPES, "enum");
            return;
        };
        let common: &[&str] = &["type", "cache_control"];
        note_unknown(&mut self.fields, &[common, names], &self.place, self.ask);
        if let Some(raw) = self.fields.raw("cache_control") {
            check_cache_control(
                raw,
                &format!("{}.cache_control", self.place.field),
                self.ask,
            );
        }
        match *kind {
            "image_url" => self.image(),
            "input_audio" => self.sound(),
            "file" => self.file(),
            "audio_url" | "video_url" | "document_url" => self.address(kind),
            _ => {
                for name in *names {
                    if let Some(raw) = self.fields.raw(name) {
                        self.ask.content.add_text(raw.get());
                    }
                }
            }
        }
    }

    /// Reads the object in a field of the part; its own unknown fields are noted.
    fn inner(&mut self, name: &str, known: &[&str]) -> Option<Fields<'a>> {
        let raw = self.fields.raw(name)?;
        let Some(mut inner) = Fields::of_nested(raw, Vec::new()) else {
            self.fields.problem(name, "must be an object", "dict_type");
            return None;
        };
        let place = Place {
            field: format!("{}.{name}", self.place.field),
            name: format!("{}.{name}", self.place.name),
        };
        note_unknown(&mut inner, &[known], &place, self.ask);
        Some(inner)
    }

    /// Takes over what is wrong within a field.
    fn absorb(&mut self, name: &str, inner: Fields<'_>) {
        if let Some(problem) = inner.into_problems().into_iter().next() {
            let place = problem.location.last().and_then(Value::as_str);
            let field = format!("{name}.{}", place.unwrap_or_default());
            self.fields.problem(&field, problem.message, problem.kind);
        }
    }

    /// An address in a field of the part, alone or within an object.
    fn url(&mut self, name: &str, known: &[&str]) -> Option<(Cow<'a, str>, bool)> {
        let raw = self.fields.raw(name)?;
        if let Some(url) = text_of(raw) {
            return Some((url, false));
        }
        let inner = self.inner(name, known)?;
        let url = inner.raw("url").and_then(text_of);
        let is_low = inner
            .raw("detail")
            .is_some_and(|raw| raw.get() == "\"low\"");
        self.absorb(name, inner);
        Some((url?, is_low))
    }

    fn image(&mut self) {
        let Some((url, is_low)) = self.url("image_url", &["url", "detail"]) else {
            let message = "must be an object with a url";
            self.fields.problem("image_url", message, "missing");
            return;
        };
        self.ask.content.add_image(is_low);
        if let Err(message) = check_image(&url) {
            self.fields.problem("image_url", message, "image_type");
        }
    }

    fn sound(&mut self) {
        let Some(raw) = self.fields.raw("input_audio") else {
            let message = "must be an object with data and format";
            self.fields.problem("input_audio", message, "missing");
            return;
        };
        if raw.get().starts_with('"') {
            self.add_sound(None);
            return;
        }
        let Some(inner) = self.inner("input_audio", &["data", "format"]) else {
            return;
        };
        let data = inner.raw("data").and_then(text_of);
        let format = inner.raw("format").and_then(text_of);
        let seconds = match data.zip(format) {
            Some((data, format)) => media::seconds_max(&data, &format),
            None => Ok(None),
        };
        if let Err(message) = seconds {
            self.fields.problem("input_audio", message, "audio_type");
        }
        self.add_sound(seconds.unwrap_or_default());
        self.absorb("input_audio", inner);
    }

    fn add_sound(&mut self, seconds: Option<u64>) {
        self.ask.content.add_sound(seconds);
        self.ask
            .service(self.place.field.clone(), Service::AudioInput);
    }

    fn file(&mut self) {
        let known = ["file_data", "filename"];
        let Some(inner) = self.inner("file", &known) else {
            let message = "must be an object with file_data";
            self.fields.problem("file", message, "missing");
            return;
        };
        let bytes = inner.raw("file_data").map_or(0, |raw| raw.get().len());
        self.add_document(bytes);
        self.absorb("file", inner);
    }

    fn add_document(&mut self, bytes: usize) {
        let typical = TYPICAL_DOCUMENT_TOKENS_MAX.min(bytes / 2);
        let typical = i64::try_from(typical).unwrap_or(i64::MAX);
        self.ask.content.add_document(typical);
    }

    /// A sound, a video or a document behind an address, whatever its length.
    fn address(&mut self, name: &str) {
        let Some((url, _)) = self.url(name, &["url"]) else {
            self.fields
                .problem(name, "must be an object with a url", "missing");
            return;
        };
        if name == "audio_url" {
            self.add_sound(None);
        } else {
            self.add_document(url.len());
        }
        if !has_scheme(&url, "https://")
            && !has_scheme(&url, "http://")
            && !has_scheme(&url, "data:")
        {
            let message = "must be an address that begins with https://, or a data: URL";
            self.fields.problem(name, message, "url_scheme");
        }
    }
}

fn has_scheme(url: &str, scheme: &str) -> bool {
    let start = url.get(..scheme.len());
    start.is_some_and(|start| start.eq_ignore_ascii_case(scheme))
}

/// Checks that an address stands for an image and nothing else: other files weigh more.
fn check_image(url: &str) -> Result<(), String> {
    if has_scheme(url, "https://") || has_scheme(url, "http://") {
        return if media::names_no_image(url) {
            Err("must be an image: the address names another file; send it as file".to_owned())
        } else {
            Ok(())
        };
    }
    if !has_scheme(url, "data:") {
        return Err(
            "must be an address that begins with https://, or a data: URL with an image".to_owned(),
        );
    }
    let (head, data) = url.split_once(',').unwrap_or((url, ""));
    if !has_scheme(head, "data:image/") {
        return Err("must be an image: other data is sent as file or input_audio".to_owned());
    }
    match media::sniff(data) {
        Sniffed::Other(what) => Err(format!("must be an image: its bytes are {what}")),
        Sniffed::Image | Sniffed::Unknown => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::check_image;

    #[test]
    fn only_images_pass_for_images() {
        for image in [
            "https://x.example/y.png",
            "HTTP://x.example/y",
            "data:image/png;base64,iVBORw0KGgo=",
            "DATA:image/jpeg;base64,/9j/4AAQ",
            "data:image/png;base64,AAAA",
        ] {
            assert_eq!(check_image(image), Ok(()), "{image}");
        }
        for other in [
            "https://x.example/million.txt",
            "https://www.youtube.com/watch?v=x",
            "https://youtu.be/x",
            "https://x.example/a.PDF?x=.png",
            "data:text/plain;base64,aGVsbG8gd29ybGQ=",
            "data:application/pdf;base64,JVBERi0xLjcK",
            "data:image/png;base64,JVBERi0xLjcK",
            "data:image/png;base64,aGVsbG8gd29ybGQ=",
            "data:image/png;base64,SUQzBAAAAAAAAA==",
            "data:video/mp4;base64,AAAA",
            "gs://bucket/image.png",
            "file:///etc/passwd",
            "iVBORw0KGgo=",
            "",
        ] {
            assert!(check_image(other).is_err(), "{other}");
        }
    }
}
