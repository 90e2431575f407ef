//! The blocks of a message's content.

use std::borrow::Cow;

use serde_json::json;

use super::super::demand::Ask;
use super::super::media::{self, Sniffed};
use super::super::message::check_cache_control;
use super::object::Object;
use crate::conversation::{Part, Source};

/// The most that a document is taken for by limits of tokens per minute: a hundred pages.
const TYPICAL_DOCUMENT_TOKENS_MAX: usize = 200_000;

const IMAGE_TYPES: [&str; 4] = ["image/jpeg", "image/png", "image/gif", "image/webp"];

/// Where a block stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    System,
    User,
    Assistant,
    ToolResult,
}

impl Place {
    /// The types of blocks that may stand there.
    const fn kinds(self) -> &'static [&'static str] {
        match self {
            Self::System => &["text"],
            Self::User => &["text", "image", "document", "tool_result"],
            Self::Assistant => &["text", "tool_use", "thinking", "redacted_thinking"],
            Self::ToolResult => &["text", "image", "document"],
        }
    }
}

/// Reads a text or a list of blocks, if it is there.
pub(super) fn content<'a>(
    object: &mut Object<'a>,
    name: &str,
    place: Place,
    ask: &mut Ask,
) -> Vec<Part<'a>> {
    let Some(raw) = object.fields.raw(name) else {
        return Vec::new();
    };
    if raw.get().starts_with('"') {
        ask.content.add_text(raw.get());
        let text = object.optional_text(name);
        return text.map(Part::text).into_iter().collect();
    }
    if !raw.get().starts_with('[') {
        let message = "must be a string or a list of blocks";
        object.fields.problem(name, message, "string_type");
        return Vec::new();
    }
    let list = object.list(name).unwrap_or_default();
    object.each(name, list, |block| part(block, place, ask))
}

fn part<'a>(block: &mut Object<'a>, place: Place, ask: &mut Ask) -> Option<Part<'a>> {
    let kind = block.text("type")?;
    if !place.kinds().contains(&&*kind) {
        let message = format!("must be one of: {}", place.kinds().join(", "));
        block.fields.problem("type", message, "enum");
        return None;
    }
    count_text(block, &kind, ask);
    match kind.as_ref() {
        "image" => image(block, ask),
        "document" => document(block, ask),
        "tool_use" => tool_use(block),
        "tool_result" => tool_result(block, ask),
        "thinking" => thinking(block),
        "redacted_thinking" => {
            block.only(&["type", "data"]);
            let data = block.text("data")?;
            Some(Part::RedactedThinking { data })
        }
        _ => text(block),
    }
}

/// Counts what a block says in text, whatever the names of its fields.
fn count_text(block: &Object<'_>, kind: &str, ask: &mut Ask) {
    for (name, raw) in block.fields.all() {
        match (kind, name.as_ref()) {
            // These are counted where they are read.
            (_, "type") | ("image" | "document", "source") | ("tool_result", "content") => {}
            (_, "cache_control") => check_cache_control(raw, "cache_control", ask),
            // Providers may write requests for tools anew, as they do with tools.
            ("tool_use", _) => ask.content.add_schema(raw.get()),
            _ => ask.content.add_text(raw.get()),
        }
    }
}

fn text<'a>(block: &mut Object<'a>) -> Option<Part<'a>> {
    block.only(&["type", "text", "cache_control", "citations"]);
    block.only_if("citations", &json!([]), "leave it out");
    let cache_control = block.cache_control();
    let text = block.text("text")?;
    Some(Part::Text {
        text,
        cache_control,
    })
}

fn image<'a>(block: &mut Object<'a>, ask: &mut Ask) -> Option<Part<'a>> {
    block.only(&["type", "source", "cache_control"]);
    let cache_control = block.cache_control();
    let source = block.required_member("source", |source| {
        let kind = source.text("type")?;
        let image = match kind.as_ref() {
            "base64" => base64(source, &IMAGE_TYPES),
            "url" => url(source),
            _ => refuse_source(source, "must be base64 or url"),
        };
        check_image(source, image?)
    })?;
    ask.content.add_image(false);
    Some(Part::Image {
        source,
        cache_control,
    })
}

/// Checks that a source stands for an image and nothing else: other files weigh more.
fn check_image<'a>(source: &mut Object<'a>, image: Source<'a>) -> Option<Source<'a>> {
    let (field, is_other) = match &image {
        Source::Base64 { data, .. } => ("data", matches!(media::sniff(data), Sniffed::Other(_))),
        Source::Url(url) => ("url", media::names_no_image(url)),
    };
    if is_other {
        let message = "must be an image: send another file as a document";
        source.fields.problem(field, message, "image_type");
        return None;
    }
    Some(image)
}

/// What a document says, or where it is.
enum Document<'a> {
    File(Source<'a>),
    Text(Cow<'a, str>),
}

fn document<'a>(block: &mut Object<'a>, ask: &mut Ask) -> Option<Part<'a>> {
    block.only(&[
        "type",
        "source",
        "cache_control",
        "title",
        "context",
        "citations",
    ]);
    block.only_if("citations", &json!({"enabled": false}), "leave it out");
    let remedy = "put it into a block of text before the document";
    block.only_if("context", &json!(""), remedy);
    let cache_control = block.cache_control();
    let name = block.optional_text("title");
    let document = block.required_member("source", document_source)?;
    match document {
        Document::File(source) => {
            let bytes = match &source {
                Source::Base64 { data, .. } => data.len(),
                Source::Url(_) => usize::MAX,
            };
            let typical = TYPICAL_DOCUMENT_TOKENS_MAX.min(bytes / 2);
            ask.content
                .add_document(i64::try_from(typical).unwrap_or(i64::MAX));
            Some(Part::Document {
                source,
                name,
                cache_control,
            })
        }
        // Every provider takes a document that is text as text, with its title above it.
        Document::Text(text) => {
            ask.content.add_text(&text);
            Some(Part::Text {
                text: match name {
                    Some(name) => format!("{name}\n\n{text}").into(),
                    None => text,
                },
                cache_control,
            })
        }
    }
}

fn document_source<'a>(source: &mut Object<'a>) -> Option<Document<'a>> {
    let kind = source.text("type")?;
    match kind.as_ref() {
        "base64" => base64(source, &["application/pdf"]).map(Document::File),
        "url" => url(source).map(Document::File),
        "text" => {
            source.only(&["type", "media_type", "data"]);
            media_type(source, &["text/plain"])?;
            source.text("data").map(Document::Text)
        }
        _ => refuse_source(source, "must be base64, url or text"),
    }
}

fn base64<'a>(source: &mut Object<'a>, media_types: &[&str]) -> Option<Source<'a>> {
    source.only(&["type", "media_type", "data"]);
    let media_type = media_type(source, media_types);
    let data = source.name("data")?;
    Some(Source::Base64 {
        media_type: media_type?,
        data,
    })
}

fn media_type<'a>(source: &mut Object<'a>, known: &[&str]) -> Option<Cow<'a, str>> {
    let media_type = source.text("media_type")?;
    if !known.contains(&&*media_type) {
        let message = format!("must be one of: {}", known.join(", "));
        source.fields.problem("media_type", message, "enum");
        return None;
    }
    Some(media_type)
}

fn url<'a>(source: &mut Object<'a>) -> Option<Source<'a>> {
    source.only(&["type", "url"]);
    let url = source.text("url")?;
    if !url.starts_with("https://") && !url.starts_with("http://") {
        let message = "must begin with https:// or http://";
        source.fields.problem("url", message, "url_scheme");
        return None;
    }
    Some(Source::Url(url))
}

fn refuse_source<T>(source: &mut Object<'_>, known: &str) -> Option<T> {
    let message = format!("{known}; uploaded files are not kept here");
    source.fields.problem("type", message, "enum");
    None
}

fn tool_use<'a>(block: &mut Object<'a>) -> Option<Part<'a>> {
    block.only(&["type", "id", "name", "input", "cache_control", "caller"]);
    // Only the model itself calls tools here.
    block.only_if("caller", &json!({"type": "direct"}), "leave it out");
    let cache_control = block.cache_control();
    let (id, name) = (block.name("id"), block.name("name"));
    Some(Part::ToolUse {
        input: block.json_object("input")?,
        id: id?,
        name: name?,
        cache_control,
    })
}

fn tool_result<'a>(block: &mut Object<'a>, ask: &mut Ask) -> Option<Part<'a>> {
    block.only(&[
        "type",
        "tool_use_id",
        "content",
        "is_error",
        "cache_control",
    ]);
    let cache_control = block.cache_control();
    let is_error = block.fields.optional_flag("is_error").unwrap_or(false);
    let content = content(block, "content", Place::ToolResult, ask);
    Some(Part::ToolResult {
        id: block.name("tool_use_id")?,
        content,
        is_error,
        cache_control,
    })
}

fn thinking<'a>(block: &mut Object<'a>) -> Option<Part<'a>> {
    block.only(&["type", "thinking", "signature"]);
    let signature = block.optional_text("signature");
    Some(Part::Thinking {
        text: block.text("thinking")?,
        // Thoughts of a model that signs nothing were told with an empty signature.
        signature: signature.filter(|signature| !signature.is_empty()),
    })
}
