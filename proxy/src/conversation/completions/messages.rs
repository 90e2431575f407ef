//! Messages, role by role.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::object::{Item, Object, is_object, items, text_of};
use super::{expect_function, part};
use crate::chat::{Json, Untranslatable};
use crate::conversation::{Part, Speaker, Turn};

/// What a part of some role is read by.
type ReadPart<'a> = fn(Item<'a>) -> Result<Part<'a>, Untranslatable>;

/// Instructions, and what was said.
type Read<'a> = (Vec<Part<'a>>, Vec<Turn<'a>>);

/// Reads the messages. Instructions hold for the whole conversation wherever they stand, as other
/// dialects have no place for them in between; their order stays.
pub(super) fn read(raw: &RawValue) -> Result<Read<'_>, Untranslatable> {
    let path = "messages".to_owned();
    let mut reader = Reader::default();
    for (index, item) in items(Item { path, raw }, "a list of messages")?
        .into_iter()
        .enumerate()
    {
        reader.read(index, Object::read(item)?)?;
    }
    Ok((reader.system, reader.turns))
}

#[derive(Default)]
struct Reader<'a> {
    system: Vec<Part<'a>>,
    turns: Vec<Turn<'a>>,
    /// The last request for a function in the old way, which has no id: its name, and an id.
    function_call: Option<(Cow<'a, str>, String)>,
}

impl<'a> Reader<'a> {
    fn read(&mut self, index: usize, mut message: Object<'a>) -> Result<(), Untranslatable> {
        let role = message.required_text("role")?;
        match role.as_ref() {
            "system" | "developer" => {
                let parts = required_content(&mut message, part::text_only)?;
                self.system.extend(parts);
            }
            "user" => {
                let parts = required_content(&mut message, part::any)?;
                self.push(Speaker::User, parts);
            }
            "assistant" => {
                let parts = self.assistant(index, &mut message)?;
                self.push(Speaker::Assistant, parts);
            }
            "tool" => {
                let result = tool_result(&mut message)?;
                self.push(Speaker::User, vec![result]);
            }
            "function" => {
                let result = self.function_result(&mut message)?;
                self.push(Speaker::User, vec![result]);
            }
            _ => {
                let roles = "must be system, developer, user, assistant, tool or function";
                return Err(message.refusal("role", roles));
            }
        }
        message.finish()
    }

    fn push(&mut self, speaker: Speaker, parts: Vec<Part<'a>>) {
        if !parts.is_empty() {
            self.turns.push(Turn { speaker, parts });
        }
    }

    fn assistant(
        &mut self,
        index: usize,
        message: &mut Object<'a>,
    ) -> Result<Vec<Part<'a>>, Untranslatable> {
        let mut parts = thoughts(message)?;
        let said = content(message, part::of_assistant)?.unwrap_or_default();
        let refusal = message.text("refusal")?.map(Part::text);
        // Beside requests for tools the text is often empty, and then says nothing.
        let says_something =
            |part: &Part<'_>| !matches!(part, Part::Text { text, .. } if text.is_empty());
        parts.extend(said.into_iter().chain(refusal).filter(says_something));
        for item in message.list("tool_calls")? {
            parts.push(tool_use(item)?);
        }
        if let Some(mut call) = message.object("function_call")? {
            let (name, input) = function(&mut call)?;
            call.finish()?;
            let id = format!("function_call_{index}");
            self.function_call = Some((name.clone(), id.clone()));
            parts.push(Part::ToolUse {
                id: id.into(),
                name,
                input,
                cache_control: None,
            });
        }
        Ok(parts)
    }

    fn function_result(&mut self, message: &mut Object<'a>) -> Result<Part<'a>, Untranslatable> {
        let name = message.required_text("name")?;
        let id = match self.function_call.take() {
            Some((called, id)) if called == name => id,
            _ => {
                let problem = "must be the name of the function_call in a message before";
                return Err(message.refusal("name", problem));
            }
        };
        Ok(Part::ToolResult {
            id: id.into(),
            content: required_content(message, part::text_only)?,
            is_error: false,
            cache_control: None,
        })
    }
}

/// Reads the content: a string, which may be marked for the cache beside it, or a list of parts.
fn content<'a>(
    message: &mut Object<'a>,
    read_part: ReadPart<'a>,
) -> Result<Option<Vec<Part<'a>>>, Untranslatable> {
    let Some(raw) = message.take("content") else {
        return Ok(None);
    };
    if let Some(text) = text_of(raw) {
        let cache_control = message.json_object("cache_control")?;
        return Ok(Some(vec![Part::Text {
            text,
            cache_control,
        }]));
    }
    let path = message.path_of("content");
    let items = items(Item { path, raw }, "a string or a list of parts")?;
    let parts = items.into_iter().map(read_part);
    Ok(Some(parts.collect::<Result<_, _>>()?))
}

fn required_content<'a>(
    message: &mut Object<'a>,
    read_part: ReadPart<'a>,
) -> Result<Vec<Part<'a>>, Untranslatable> {
    let parts = content(message, read_part)?;
    parts.ok_or_else(|| message.refusal("content", "must be a string or a list of parts"))
}

/// Reads what the assistant thought. Blocks say it with the provider's signature, the plain text
/// says the same without.
fn thoughts<'a>(message: &mut Object<'a>) -> Result<Vec<Part<'a>>, Untranslatable> {
    let text = message.text("reasoning_content")?;
    let blocks = message.list("thinking_blocks")?;
    if blocks.is_empty() {
        let text = text.filter(|text| !text.is_empty());
        let signature = None;
        return Ok(text
            .map(|text| Part::Thinking { text, signature })
            .into_iter()
            .collect());
    }
    blocks.into_iter().map(thought).collect()
}

fn thought(item: Item<'_>) -> Result<Part<'_>, Untranslatable> {
    let mut block = Object::read(item)?;
    let kind = block.required_text("type")?;
    let part = match kind.as_ref() {
        "thinking" => Part::Thinking {
            text: block.required_text("thinking")?,
            signature: block.text("signature")?.filter(|text| !text.is_empty()),
        },
        "redacted_thinking" => Part::RedactedThinking {
            data: block.required_text("data")?,
        },
        _ => {
            return Err(block.refusal("type", "must be thinking or redacted_thinking"));
        }
    };
    block.finish()?;
    Ok(part)
}

fn tool_use(item: Item<'_>) -> Result<Part<'_>, Untranslatable> {
    let mut call = Object::read(item)?;
    expect_function(&mut call)?;
    let id = call.required_text("id")?;
    // Put together from a stream, requests keep their place in the list.
    call.take("index");
    let mut inner = call.required_object("function")?;
    let (name, input) = function(&mut inner)?;
    inner.finish()?;
    let cache_control = call.json_object("cache_control")?;
    call.finish()?;
    Ok(Part::ToolUse {
        id,
        name,
        input,
        cache_control,
    })
}

/// Reads the name of a function and its arguments. Models that have none to give say nothing.
fn function<'a>(call: &mut Object<'a>) -> Result<(Cow<'a, str>, Json<'a>), Untranslatable> {
    let name = call.required_text("name")?;
    let arguments = call.text("arguments")?.unwrap_or_default();
    if arguments.trim().is_empty() {
        return Ok((name, "{}".into()));
    }
    if !is_object(&arguments) {
        return Err(call.refusal("arguments", "must be a JSON object, written as a string"));
    }
    Ok((name, arguments))
}

fn tool_result<'a>(message: &mut Object<'a>) -> Result<Part<'a>, Untranslatable> {
    let id = message.required_text("tool_call_id")?;
    // The request with this id names the tool already.
    message.text("name")?;
    // Taken before the content is read: here the mark belongs to the whole result.
    let cache_control = message.json_object("cache_control")?;
    Ok(Part::ToolResult {
        id,
        content: required_content(message, part::any)?,
        is_error: false,
        cache_control,
    })
}
