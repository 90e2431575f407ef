//! Blocks of content.

use std::borrow::Cow;

use serde::Serialize;

use super::Raw;
use crate::chat::Untranslatable;
use crate::conversation::{Part, Source};

/// The documents that the API reads.
const PDF: &str = "application/pdf";

/// What is said: a text, or blocks.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Content<'p> {
    Text(&'p str),
    Blocks(Vec<Block<'p>>),
}

impl<'p> Content<'p> {
    pub(super) fn of(blocks: Vec<Block<'p>>) -> Self {
        match blocks.as_slice() {
            [
                Block::Text {
                    text,
                    cache_control: None,
                },
            ] => Self::Text(text),
            _ => Self::Blocks(blocks),
        }
    }
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Block<'p> {
    Text {
        text: &'p str,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<Raw<'p>>,
    },
    Image {
        source: WireSource<'p>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<Raw<'p>>,
    },
    Document {
        source: WireSource<'p>,
        #[serde(skip_serializing_if = "Option::is_none")]
        title: Option<&'p str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<Raw<'p>>,
    },
    ToolUse {
        id: Cow<'p, str>,
        name: &'p str,
        input: Raw<'p>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<Raw<'p>>,
    },
    ToolResult {
        tool_use_id: Cow<'p, str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        content: Option<Content<'p>>,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        is_error: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<Raw<'p>>,
    },
    Thinking {
        thinking: &'p str,
        signature: &'p str,
    },
    RedactedThinking {
        data: &'p str,
    },
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum WireSource<'p> {
    Base64 { media_type: &'p str, data: &'p str },
    Url { url: &'p str },
}

impl<'p> WireSource<'p> {
    fn of(source: &'p Source<'_>) -> Self {
        match source {
            Source::Base64 { media_type, data } => Self::Base64 { media_type, data },
            Source::Url(url) => Self::Url { url },
        }
    }
}

/// Says parts in blocks. Parts that say nothing have none.
pub(super) fn of_parts<'p>(parts: &'p [Part<'_>]) -> Result<Vec<Block<'p>>, Untranslatable> {
    let blocks = parts.iter().map(of_part).filter_map(Result::transpose);
    blocks.collect()
}

fn of_part<'p>(part: &'p Part<'_>) -> Result<Option<Block<'p>>, Untranslatable> {
    Ok(Some(match part {
        // The API refuses texts without a visible character.
        Part::Text { text, .. } if text.trim().is_empty() => return Ok(None),
        Part::Text {
            text,
            cache_control,
        } => Block::Text {
            text,
            cache_control: Raw::of(cache_control.as_ref()),
        },
        Part::Image {
            source,
            cache_control,
        } => Block::Image {
            source: WireSource::of(source),
            cache_control: Raw::of(cache_control.as_ref()),
        },
        Part::Audio { .. } => {
            let message = "must not have sounds: this model's provider cannot hear; send text";
            return Err(Untranslatable::new("messages", message));
        }
        Part::Document {
            source,
            name,
            cache_control,
        } => Block::Document {
            source: document(source)?,
            title: name.as_deref(),
            cache_control: Raw::of(cache_control.as_ref()),
        },
        Part::ToolUse {
            id,
            name,
            input,
            cache_control,
        } => Block::ToolUse {
            id: plain_id(id),
            name,
            input: Raw(input),
            cache_control: Raw::of(cache_control.as_ref()),
        },
        Part::ToolResult {
            id,
            content,
            is_error,
            cache_control,
        } => Block::ToolResult {
            tool_use_id: plain_id(id),
            content: self::content(content)?,
            is_error: *is_error,
            cache_control: Raw::of(cache_control.as_ref()),
        },
        // The provider takes back only thoughts that it has signed: others are not its own, or
        // their signature was lost on the way.
        Part::Thinking {
            signature: None, ..
        } => return Ok(None),
        Part::Thinking {
            text,
            signature: Some(signature),
        } => Block::Thinking {
            thinking: text,
            signature,
        },
        Part::RedactedThinking { data } => Block::RedactedThinking { data },
    }))
}

/// Says parts as a whole; nothing if they say nothing.
pub(super) fn content<'p>(parts: &'p [Part<'_>]) -> Result<Option<Content<'p>>, Untranslatable> {
    let blocks = of_parts(parts)?;
    Ok((!blocks.is_empty()).then(|| Content::of(blocks)))
}

fn document<'p>(source: &'p Source<'_>) -> Result<WireSource<'p>, Untranslatable> {
    match source {
        Source::Base64 { media_type, .. } if !media_type.eq_ignore_ascii_case(PDF) => {
            let message = "must not have files that are not PDF for this model's provider; \
                           send them as text";
            Err(Untranslatable::new("messages", message))
        }
        _ => Ok(WireSource::of(source)),
    }
}

/// An id of a request for a tool with the characters that the API allows. Those of other providers
/// may have more, and only have to be equal where they were equal.
fn plain_id(id: &str) -> Cow<'_, str> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if id.bytes().all(is_plain) {
        return Cow::Borrowed(id);
    }
    let written = id.bytes().map(|byte| {
        if is_plain(byte) {
            char::from(byte).to_string()
        } else {
            format!("_{byte:02x}")
        }
    });
    Cow::Owned(written.collect())
}
