//! What was said, as the API wants it: the user and the model by turns, in parts.

use std::borrow::Cow;
use std::collections::HashMap;

use super::json::{Writer, is_object};
use super::media;
use crate::chat::Untranslatable;
use crate::conversation::{Part, Source, Speaker, Turn};

/// What the API takes for the signature of a call that none of its models has signed, because
/// another provider's model made it or the caller did not keep the signature:
/// <https://ai.google.dev/gemini-api/docs/thought-signatures>.
const NOT_SIGNED: &str = "skip_thought_signature_validator";

/// Writes the field `contents`. Neighbours of one speaker become one content, since the API wants
/// the results of all tools that were asked for at once together. With `checks_signatures` the
/// model refuses calls that are not signed.
pub(super) fn write(
    json: &mut Writer,
    turns: &[Turn<'_>],
    checks_signatures: bool,
) -> Result<(), Untranslatable> {
    let said = turns.iter().enumerate();
    let said = said.filter(|(_, turn)| turn.parts.iter().any(says_something));
    let said: Vec<_> = said.collect();
    if said.is_empty() {
        let message = "must have something beside instructions: a message of the user";
        return Err(Untranslatable::new("messages", message));
    }
    let mut contents = Contents {
        names: HashMap::new(),
        checks_signatures,
    };
    json.name("contents").list(|json| {
        for run in said.chunk_by(|(_, before), (_, after)| before.speaker == after.speaker) {
            json.object(|json| contents.content(json, run))?;
        }
        Ok(())
    })
}

/// Whether a part must be told. Empty texts are no data for the API, which refuses them. What a
/// model thought is told by its signature alone: the text is a summary for people, and without a
/// signature it is another provider's, as redacted thoughts are.
fn says_something(part: &Part<'_>) -> bool {
    match part {
        Part::Text { text, .. } => !text.is_empty(),
        Part::Thinking { .. } => signature_of(part).is_some(),
        Part::RedactedThinking { .. } => false,
        _ => true,
    }
}

/// The way to a part.
#[derive(Debug, Clone, Copy)]
struct Place {
    turn: usize,
    part: usize,
}

impl Place {
    /// Refuses the part.
    fn refusal(self, message: &str) -> Untranslatable {
        let field = format!("messages[{}].content[{}]", self.turn, self.part);
        // Callers may have written their instructions between the messages.
        let message = format!("{message} (messages of the system are not counted)");
        Untranslatable::new(field, message)
    }

    /// Refuses a part within the part.
    fn refusal_within(self, index: usize, message: &str) -> Untranslatable {
        let mut refusal = self.refusal(message);
        refusal.field = format!("{}.content[{index}]", refusal.field);
        refusal
    }
}

struct Contents<'c> {
    /// What tools were asked for so far, by the ids of the requests.
    names: HashMap<&'c str, &'c str>,
    checks_signatures: bool,
}

impl<'c> Contents<'c> {
    /// What one speaker said in a row.
    fn content(
        &mut self,
        json: &mut Writer,
        run: &[(usize, &'c Turn<'_>)],
    ) -> Result<(), Untranslatable> {
        let is_user = run
            .iter()
            .all(|(_, turn)| matches!(turn.speaker, Speaker::User));
        json.name("role")
            .text(if is_user { "user" } else { "model" });
        json.name("parts").list(|json| {
            for (index, turn) in run {
                let signatures = self.signatures(&turn.parts);
                for ((part, signature), place) in turn.parts.iter().zip(signatures).zip(0..) {
                    let place = Place {
                        turn: *index,
                        part: place,
                    };
                    self.part(json, part, signature, place)?;
                }
            }
            Ok(())
        })
    }

    /// The signature that each part of a turn goes back with.
    fn signatures<'p>(&self, parts: &'p [Part<'_>]) -> Vec<Option<&'p str>> {
        let mut signatures = vec![None; parts.len()];
        for (index, part) in parts.iter().enumerate() {
            if let Some(signature) = signature_of(part)
                && let Some(place) = signatures.get_mut(carrier(parts, index))
            {
                *place = Some(signature);
            }
        }
        let is_call = |part: &Part<'_>| matches!(part, Part::ToolUse { .. });
        // Of calls that were made at once only the first is signed.
        if self.checks_signatures
            && let Some(first) = parts.iter().position(is_call)
            && let Some(place) = signatures.get_mut(first)
        {
            place.get_or_insert(NOT_SIGNED);
        }
        signatures
    }

    /// Writes a part, if it says something or carries a signature.
    fn part(
        &mut self,
        json: &mut Writer,
        part: &'c Part<'_>,
        signature: Option<&str>,
        place: Place,
    ) -> Result<(), Untranslatable> {
        let is_thought = signature_of(part).is_some();
        if signature.is_none() && (is_thought || !says_something(part)) {
            return Ok(());
        }
        json.object(|json| {
            self.data(json, part, place)?;
            if let Some(signature) = signature {
                json.name("thoughtSignature").text(signature);
            }
            Ok(())
        })
    }

    /// Writes the field that says what a part is.
    ///
    /// `cache_control` is left out: it never changes an answer, and the API caches by itself.
    fn data(
        &mut self,
        json: &mut Writer,
        part: &'c Part<'_>,
        place: Place,
    ) -> Result<(), Untranslatable> {
        if let Some(source) = media::source_of(part) {
            let is_image = matches!(part, Part::Image { .. });
            let written = media::write(json, source, is_image);
            return written.map_err(|message| place.refusal(message));
        }
        match part {
            Part::Text { text, .. } => json.name("text").text(text),
            Part::ToolUse {
                id, name, input, ..
            } => {
                self.names.insert(id, name);
                json.name("functionCall").object(|json| {
                    json.name("id").text(id);
                    json.name("name").text(name);
                    json.name("args").raw(input);
                });
            }
            Part::ToolResult {
                id,
                content,
                is_error,
                ..
            } => {
                let Some(name) = self.names.get(id.as_ref()) else {
                    let message = "answers a request for a tool that no message before makes; \
                        send the assistant's message with that request too";
                    return Err(place.refusal(message));
                };
                return json.name("functionResponse").object(|json| {
                    json.name("id").text(id);
                    json.name("name").text(name);
                    write_response(json, &joined(content), *is_error);
                    write_media(json, content, place)
                });
            }
            // A signature that nothing is left to carry.
            _ => json.name("text").text(""),
        }
        Ok(())
    }
}

fn signature_of<'p>(part: &'p Part<'_>) -> Option<&'p str> {
    match part {
        Part::Thinking { signature, .. } => signature.as_deref().filter(|text| !text.is_empty()),
        _ => None,
    }
}

/// The part that carries the signature of the thought at `index`: the first call that came of the
/// thought, else the last part that did, as the API itself signs its answers.
fn carrier(parts: &[Part<'_>], index: usize) -> usize {
    let mut carrier = index;
    for (place, part) in parts.iter().enumerate().skip(index + 1) {
        match part {
            Part::ToolUse { .. } => return place,
            part if signature_of(part).is_some() => break,
            part if says_something(part) => carrier = place,
            _ => {}
        }
    }
    carrier
}

/// The texts among what a tool said.
fn joined<'p>(content: &'p [Part<'_>]) -> Cow<'p, str> {
    let mut texts = content.iter().filter_map(|part| match part {
        Part::Text { text, .. } => Some(text.as_ref()),
        _ => None,
    });
    let Some(first) = texts.next() else {
        return Cow::Borrowed("");
    };
    texts.fold(Cow::Borrowed(first), |before, text| {
        Cow::Owned(format!("{before}\n{text}"))
    })
}

/// Writes what a tool said: the API wants an object, and knows errors by their name.
fn write_response(json: &mut Writer, text: &str, is_error: bool) {
    let trimmed = text.trim();
    let is_object = is_object(trimmed);
    json.name("response");
    if is_object && !is_error {
        return json.raw(trimmed);
    }
    json.object(|json| {
        json.name(if is_error { "error" } else { "result" });
        if is_object {
            json.raw(trimmed);
        } else {
            json.text(text);
        }
    });
}

/// Writes what a tool said beside text.
fn write_media(
    json: &mut Writer,
    content: &[Part<'_>],
    place: Place,
) -> Result<(), Untranslatable> {
    let is_text = |part: &Part<'_>| matches!(part, Part::Text { .. });
    if content.iter().all(is_text) {
        return Ok(());
    }
    json.name("parts").list(|json| {
        for (index, part) in content.iter().enumerate() {
            match media::source_of(part) {
                Some(Source::Base64 { media_type, data }) => {
                    json.object(|json| media::write_bytes(json, media_type, data));
                }
                None if is_text(part) => {}
                _ => {
                    let message = "must be text, or bytes of an image, a sound or a document: \
                        this model's provider takes no addresses in what a tool says";
                    return Err(place.refusal_within(index, message));
                }
            }
        }
        Ok(())
    })
}
