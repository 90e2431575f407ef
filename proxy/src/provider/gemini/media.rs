//! Images, sounds and documents.

use super::json::Writer;
use crate::conversation::{Part, Source};

/// What the ending of a file's name says about it. The API takes these.
const TYPES: [(&str, &str); 25] = [
    ("png", "image/png"),
    ("jpg", "image/jpeg"),
    ("jpeg", "image/jpeg"),
    ("webp", "image/webp"),
    ("gif", "image/gif"),
    ("heic", "image/heic"),
    ("heif", "image/heif"),
    ("pdf", "application/pdf"),
    ("wav", "audio/wav"),
    ("mp3", "audio/mp3"),
    ("aiff", "audio/aiff"),
    ("aac", "audio/aac"),
    ("ogg", "audio/ogg"),
    ("flac", "audio/flac"),
    ("m4a", "audio/m4a"),
    ("txt", "text/plain"),
    ("md", "text/md"),
    ("html", "text/html"),
    ("htm", "text/html"),
    ("css", "text/css"),
    ("csv", "text/csv"),
    ("xml", "text/xml"),
    ("rtf", "text/rtf"),
    ("js", "text/javascript"),
    ("json", "application/json"),
];

/// Where the bytes of a part are, if it is made of bytes. A document's name is left out: it is a
/// label, and the API has no field for it.
pub(super) const fn source_of<'p, 'a>(part: &'p Part<'a>) -> Option<&'p Source<'a>> {
    match part {
        Part::Image { source, .. } | Part::Audio { source } | Part::Document { source, .. } => {
            Some(source)
        }
        _ => None,
    }
}

const NO_IMAGE: &str =
    "must be an image, as image/png; send other files as a document or as input_audio";

/// Writes the one field of a part that says where its bytes are, or says why it cannot. What is
/// given as an image must be one: other files are counted otherwise.
pub(super) fn write(
    json: &mut Writer,
    source: &Source<'_>,
    is_image: bool,
) -> Result<(), &'static str> {
    let fits = |media_type: &str| !is_image || names_image(media_type);
    match source {
        Source::Base64 { media_type, .. } if !fits(media_type) => return Err(NO_IMAGE),
        Source::Base64 { media_type, data } => {
            write_bytes(json, media_type, data);
        }
        Source::Url(url) => {
            let Some(media_type) = type_by_name(url) else {
                return Err(
                    "is an address that does not tell the file's type by its ending (such as \
                     .png or .pdf), which this model's provider needs; send the bytes",
                );
            };
            if !fits(media_type) {
                return Err(NO_IMAGE);
            }
            json.name("fileData").object(|json| {
                json.name("mimeType").text(media_type);
                json.name("fileUri").text(url);
            });
        }
    }
    Ok(())
}

/// Whether a media type is one of images.
fn names_image(media_type: &str) -> bool {
    let start = media_type.get(.."image/".len());
    start.is_some_and(|start| start.eq_ignore_ascii_case("image/"))
}

/// Writes a field with the bytes themselves.
pub(super) fn write_bytes(json: &mut Writer, media_type: &str, data: &str) {
    json.name("inlineData").object(|json| {
        json.name("mimeType").text(media_type);
        json.name("data").text(data);
    });
}

/// The type of what an address leads to, by the ending of its path.
fn type_by_name(url: &str) -> Option<&'static str> {
    let (_, rest) = url.split_once("://")?;
    let path_end = rest.find(['?', '#']).unwrap_or(rest.len());
    let (_, path) = rest.get(..path_end)?.split_once('/')?;
    let name = path.rsplit('/').next()?;
    let (_, ending) = name.rsplit_once('.')?;
    let found = TYPES
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(ending));
    found.map(|(_, media_type)| *media_type)
}

#[cfg(test)]
mod tests {
    use super::type_by_name;

    #[test]
    fn only_the_ending_of_the_path_tells_the_type() {
        for (url, media_type) in [
            ("https://x.com/a/b.PNG", Some("image/png")),
            (
                "https://x.com/a.pdf?size=1.gif#p.txt",
                Some("application/pdf"),
            ),
            ("gs://bucket/sound.mp3", Some("audio/mp3")),
            ("https://x.com/a.b/c", None),
            ("https://x.com/png", None),
            ("https://x.md", None),
            ("https://x.com?file=a.png", None),
            ("https://x.com/a.unknown", None),
            ("data:image/png;base64,AAAA/a.png", None),
            ("", None),
        ] {
            assert_eq!(type_by_name(url), media_type, "{url}");
        }
    }
}
