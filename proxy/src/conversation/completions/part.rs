//! Parts of a message's content.

use std::borrow::Cow;

use super::object::{Item, Object, text_of};
use crate::chat::Untranslatable;
use crate::conversation::{Part, Source};

/// Reads a part that is text.
pub(super) fn text_only(item: Item<'_>) -> Result<Part<'_>, Untranslatable> {
    read_as(item, "must be text", |kind, object| match kind {
        "text" => Some(text(object)),
        _ => None,
    })
}

/// Reads a part of what the assistant said.
pub(super) fn of_assistant(item: Item<'_>) -> Result<Part<'_>, Untranslatable> {
    read_as(item, "must be text or refusal", |kind, object| match kind {
        "text" => Some(text(object)),
        "refusal" => Some(object.required_text("refusal").map(Part::text)),
        _ => None,
    })
}

/// Reads a part of what the user or a tool said.
pub(super) fn any(item: Item<'_>) -> Result<Part<'_>, Untranslatable> {
    let known = "must be text, image_url, input_audio or file";
    read_as(item, known, |kind, object| match kind {
        "text" => Some(text(object)),
        "image_url" => Some(image(object)),
        "input_audio" => Some(audio(object)),
        "file" => Some(file(object)),
        _ => None,
    })
}

/// Reads a part by its type; `None` from the reader means that the type does not belong there.
fn read_as<'a>(
    item: Item<'a>,
    known: &str,
    read: impl FnOnce(&str, &mut Object<'a>) -> Option<Result<Part<'a>, Untranslatable>>,
) -> Result<Part<'a>, Untranslatable> {
    let mut object = Object::read(item)?;
    let kind = object.required_text("type")?;
    let Some(part) = read(&kind, &mut object) else {
        return Err(object.refusal("type", known));
    };
    let part = part?;
    object.finish()?;
    Ok(part)
}

fn text<'a>(object: &mut Object<'a>) -> Result<Part<'a>, Untranslatable> {
    Ok(Part::Text {
        text: object.required_text("text")?,
        cache_control: object.json_object("cache_control")?,
    })
}

fn image<'a>(object: &mut Object<'a>) -> Result<Part<'a>, Untranslatable> {
    let path = object.path_of("image_url");
    let Some(raw) = object.take("image_url") else {
        return Err(Untranslatable::new(path, "must be an object with a url"));
    };
    // Some clients give the address alone.
    let url = match text_of(raw) {
        Some(url) => url,
        None => {
            let mut inner = Object::read(Item {
                path: path.clone(),
                raw,
            })?;
            let url = inner.required_text("url")?;
            // How closely to look is a hint: other providers decide that by the image's size.
            inner.text("detail")?;
            inner.finish()?;
            url
        }
    };
    let source = source(url).ok_or_else(|| {
        let message = "must be an address that begins with https://, or a data: URL with base64";
        Untranslatable::new(path, message)
    })?;
    Ok(Part::Image {
        source,
        cache_control: object.json_object("cache_control")?,
    })
}

fn audio<'a>(object: &mut Object<'a>) -> Result<Part<'a>, Untranslatable> {
    let mut inner = object.required_object("input_audio")?;
    let data = inner.required_text("data")?;
    let format = inner.required_text("format")?;
    inner.finish()?;
    Ok(Part::Audio {
        source: Source::Base64 {
            media_type: format!("audio/{format}").into(),
            data,
        },
    })
}

fn file<'a>(object: &mut Object<'a>) -> Result<Part<'a>, Untranslatable> {
    let mut inner = object.required_object("file")?;
    if inner.take("file_id").is_some() {
        let message = "is not known to this model's provider; send the file as file_data";
        return Err(inner.refusal("file_id", message));
    }
    let url = inner.required_text("file_data")?;
    let Some(source @ Source::Base64 { .. }) = source(url) else {
        let message = "must be a data: URL with base64, as data:application/pdf;base64,...";
        return Err(inner.refusal("file_data", message));
    };
    let name = inner.text("filename")?;
    inner.finish()?;
    Ok(Part::Document {
        source,
        name,
        cache_control: object.json_object("cache_control")?,
    })
}

/// What an address stands for; `None` if it is of another kind than a provider could fetch or read.
fn source(url: Cow<'_, str>) -> Option<Source<'_>> {
    let has_scheme = |scheme: &str| {
        let start = url.get(..scheme.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    };
    if has_scheme("http://") || has_scheme("https://") {
        return Some(Source::Url(url));
    }
    if !has_scheme("data:") {
        return None;
    }
    let comma = url.find(',')?;
    let mut words = url.get("data:".len()..comma)?.split(';');
    let media_type = words.next().filter(|word| !word.is_empty())?;
    if !words.any(|word| word.eq_ignore_ascii_case("base64")) {
        return None;
    }
    let media = "data:".len().."data:".len() + media_type.len();
    let data = comma + 1..url.len();
    Some(match url {
        Cow::Borrowed(url) => Source::Base64 {
            media_type: url.get(media)?.into(),
            data: url.get(data)?.into(),
        },
        Cow::Owned(url) => Source::Base64 {
            media_type: url.get(media)?.to_owned().into(),
            data: url.get(data)?.to_owned().into(),
        },
    })
}
