//! What was said, as a list of messages.

use std::borrow::Cow;
use std::io::Write as _;

use super::write_text;
use crate::chat::Untranslatable;
use crate::conversation::{Conversation, Part, Source, Speaker, Turn};

/// Between texts that become one.
const BETWEEN_TEXTS: &str = "\n\n";

/// Tells the model of a tool that failed: the API has no field for it.
const TOOL_FAILED: &str = "The tool failed:";

/// What a document is called that has no name.
const DOCUMENT_NAME: &str = "document";

/// A part, and where the caller has written it.
struct Placed<'p, 'a> {
    turn: usize,
    place: usize,
    part: &'p Part<'a>,
}

impl Placed<'_, '_> {
    fn refuse(&self, message: &str) -> Untranslatable {
        let field = format!("messages[{}].content[{}]", self.turn, self.place);
        Untranslatable::new(field, message)
    }
}

/// Writes all messages. The list is already open.
pub(super) fn write(
    json: &mut Vec<u8>,
    conversation: &Conversation<'_>,
) -> Result<(), Untranslatable> {
    write_system(json, &conversation.system)?;
    let turns = &conversation.turns;
    // The API lets a model answer, never go on with what it has begun to say.
    if let Some(Turn {
        speaker: Speaker::Assistant,
        ..
    }) = turns.last()
    {
        let message = "must be the user's: this model's provider does not continue an answer";
        let field = format!("messages[{}].role", turns.len() - 1);
        return Err(Untranslatable::new(field, message));
    }
    let said: Vec<(usize, &Turn<'_>)> = turns
        .iter()
        .enumerate()
        .filter(|(_, turn)| !is_silent(turn))
        .collect();
    // Neighbours of one speaker are one turn: results of tools must follow their requests at once.
    for run in said.chunk_by(|(_, one), (_, next)| one.speaker == next.speaker) {
        let placed = run.iter().flat_map(|(index, turn)| {
            let parts = turn.parts.iter().enumerate();
            parts.map(|(place, part)| Placed {
                turn: *index,
                place,
                part,
            })
        });
        match run.first().map(|(_, turn)| turn.speaker) {
            Some(Speaker::Assistant) => write_assistant(json, placed)?,
            _ => write_user(json, placed)?,
        }
    }
    Ok(())
}

/// Whether nothing of a turn can be told.
fn is_silent(turn: &Turn<'_>) -> bool {
    let has_only_thoughts = turn.parts.iter().all(is_thought);
    turn.parts.is_empty() || (turn.speaker == Speaker::Assistant && has_only_thoughts)
}

/// Thoughts belong to the model that had them, often another provider's: it alone can read or check
/// them, and this API takes none back. They are left out.
const fn is_thought(part: &Part<'_>) -> bool {
    matches!(part, Part::Thinking { .. } | Part::RedactedThinking { .. })
}

fn write_system(json: &mut Vec<u8>, parts: &[Part<'_>]) -> Result<(), Untranslatable> {
    let texts = parts.iter().enumerate().map(|(place, part)| match part {
        Part::Text { text, .. } => Ok(&**text),
        _ => {
            let message = "must be text for this model's provider";
            Err(Untranslatable::new(format!("system[{place}]"), message))
        }
    });
    let texts = texts.collect::<Result<Vec<_>, _>>()?;
    if !texts.is_empty() {
        open(json, "system");
        json.extend_from_slice(b",\"content\":");
        write_joined(json, &texts);
        json.push(b'}');
    }
    Ok(())
}

/// Begins a message. The object is left open.
fn open(json: &mut Vec<u8>, role: &str) {
    if json.last() != Some(&b'[') {
        json.push(b',');
    }
    let _ = write!(json, "{{\"role\":\"{role}\"");
}

/// Writes texts as one: many servers that speak this dialect know no lists of texts.
fn write_joined(json: &mut Vec<u8>, texts: &[&str]) {
    match texts {
        [only] => write_text(json, only),
        _ => write_text(json, &texts.join(BETWEEN_TEXTS)),
    }
}

fn write_assistant<'p, 'a: 'p>(
    json: &mut Vec<u8>,
    parts: impl Iterator<Item = Placed<'p, 'a>>,
) -> Result<(), Untranslatable> {
    let mut texts = Vec::new();
    let mut calls = Vec::new();
    for placed in parts {
        match placed.part {
            Part::Text { text, .. } => texts.push(&**text),
            Part::ToolUse {
                id, name, input, ..
            } => calls.push((id, name, input)),
            thought if is_thought(thought) => {}
            _ => {
                let message = "cannot be said by the assistant; put it into a message of the user";
                return Err(placed.refuse(message));
            }
        }
    }
    open(json, "assistant");
    json.extend_from_slice(b",\"content\":");
    if texts.is_empty() {
        json.extend_from_slice(b"null");
    } else {
        write_joined(json, &texts);
    }
    for (place, (id, name, input)) in calls.iter().enumerate() {
        json.extend_from_slice(if place == 0 {
            b",\"tool_calls\":["
        } else {
            b","
        });
        json.extend_from_slice(b"{\"id\":");
        write_text(json, id);
        json.extend_from_slice(b",\"type\":\"function\",\"function\":{\"name\":");
        write_text(json, name);
        json.extend_from_slice(b",\"arguments\":");
        write_text(json, input);
        json.extend_from_slice(b"}}");
    }
    if !calls.is_empty() {
        json.push(b']');
    }
    json.push(b'}');
    Ok(())
}

fn write_user<'p, 'a: 'p>(
    json: &mut Vec<u8>,
    parts: impl Iterator<Item = Placed<'p, 'a>>,
) -> Result<(), Untranslatable> {
    let mut rest = Vec::new();
    for placed in parts {
        match placed.part {
            Part::ToolResult {
                id,
                content,
                is_error,
                ..
            } => write_tool_result(json, &placed, id, content, *is_error)?,
            _ => rest.push(placed),
        }
    }
    if rest.is_empty() {
        return Ok(());
    }
    open(json, "user");
    json.extend_from_slice(b",\"content\":");
    let texts = rest.iter().map(|placed| match placed.part {
        Part::Text { text, .. } => Some(&**text),
        _ => None,
    });
    if let Some(texts) = texts.collect::<Option<Vec<_>>>() {
        write_joined(json, &texts);
    } else {
        json.push(b'[');
        for (place, placed) in rest.iter().enumerate() {
            if place > 0 {
                json.push(b',');
            }
            write_part(json, placed)?;
        }
        json.push(b']');
    }
    json.push(b'}');
    Ok(())
}

fn write_tool_result(
    json: &mut Vec<u8>,
    placed: &Placed<'_, '_>,
    id: &str,
    content: &[Part<'_>],
    is_error: bool,
) -> Result<(), Untranslatable> {
    let mut texts = Vec::with_capacity(content.len() + 1);
    if is_error {
        texts.push(TOOL_FAILED);
    }
    for part in content {
        let Part::Text { text, .. } = part else {
            let message = "must be text for this model's provider; put images and documents beside \
                           the tool_result, into the same message";
            return Err(placed.refuse(message));
        };
        texts.push(text);
    }
    open(json, "tool");
    json.extend_from_slice(b",\"tool_call_id\":");
    write_text(json, id);
    json.extend_from_slice(b",\"content\":");
    write_joined(json, &texts);
    json.push(b'}');
    Ok(())
}

fn write_part(json: &mut Vec<u8>, placed: &Placed<'_, '_>) -> Result<(), Untranslatable> {
    match placed.part {
        Part::Text { text, .. } => {
            json.extend_from_slice(b"{\"type\":\"text\",\"text\":");
            write_text(json, text);
            json.push(b'}');
        }
        Part::Image { source, .. } => {
            json.extend_from_slice(b"{\"type\":\"image_url\",\"image_url\":{\"url\":");
            match source {
                Source::Base64 { media_type, data } => write_data_url(json, media_type, data),
                Source::Url(url) => write_text(json, url),
            }
            json.extend_from_slice(b"}}");
        }
        Part::Audio { source } => write_audio(json, placed, source)?,
        Part::Document { source, name, .. } => {
            write_document(json, placed, source, name.as_deref())?;
        }
        Part::ToolUse { .. }
        | Part::ToolResult { .. }
        | Part::Thinking { .. }
        | Part::RedactedThinking { .. } => {
            let message = "cannot be said by the user; put it into a message of the assistant";
            return Err(placed.refuse(message));
        }
    }
    Ok(())
}

fn write_data_url(json: &mut Vec<u8>, media_type: &str, data: &str) {
    let url = format_args!("data:{media_type};base64,{data}");
    // Writing JSON into memory fails only for maps with keys that are no strings.
    let _ = serde_json::to_writer(json, &url);
}

fn write_audio(
    json: &mut Vec<u8>,
    placed: &Placed<'_, '_>,
    source: &Source<'_>,
) -> Result<(), Untranslatable> {
    let Source::Base64 { media_type, data } = source else {
        let message = "must be sent as base64: this model's provider fetches no sounds";
        return Err(placed.refuse(message));
    };
    let format = match media_type.as_ref() {
        "audio/wav" | "audio/wave" | "audio/x-wav" => "wav",
        "audio/mp3" | "audio/mpeg" => "mp3",
        _ => return Err(placed.refuse("must be wav or mp3 for this model's provider")),
    };
    json.extend_from_slice(b"{\"type\":\"input_audio\",\"input_audio\":{\"data\":");
    write_text(json, data);
    let _ = write!(json, ",\"format\":\"{format}\"}}}}");
    Ok(())
}

fn write_document(
    json: &mut Vec<u8>,
    placed: &Placed<'_, '_>,
    source: &Source<'_>,
    name: Option<&str>,
) -> Result<(), Untranslatable> {
    let Source::Base64 { media_type, data } = source else {
        let message = "must be sent as base64: this model's provider fetches no documents";
        return Err(placed.refuse(message));
    };
    if media_type != "application/pdf" {
        return Err(placed.refuse("must be a PDF for this model's provider"));
    }
    json.extend_from_slice(b"{\"type\":\"file\",\"file\":{\"filename\":");
    write_text(json, &file_name(name.unwrap_or(DOCUMENT_NAME)));
    json.extend_from_slice(b",\"file_data\":");
    write_data_url(json, media_type, data);
    json.extend_from_slice(b"}}");
    Ok(())
}

/// The API takes a file for what its name says.
fn file_name(name: &str) -> Cow<'_, str> {
    let ending = name.len().saturating_sub(".pdf".len());
    let has_ending = name
        .get(ending..)
        .is_some_and(|ending| ending.eq_ignore_ascii_case(".pdf"));
    if has_ending {
        Cow::Borrowed(name)
    } else {
        Cow::Owned(format!("{name}.pdf"))
    }
}
