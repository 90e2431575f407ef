//! Images, sounds and files in requests: what their bytes are, whatever they are said to be, and
//! how long a sound is at most.

use std::ops::RangeInclusive;

use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};

/// Takes base64 with or without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// How many bytes are looked at.
const SNIFFED_BYTES: usize = 64;

/// The lowest bit rate of an MP3, 8 kbit/s, in bytes.
const MP3_BYTES_PER_SECOND: u64 = 1_000;

/// What a file's bytes say that it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sniffed {
    Image,
    Other(&'static str),
    /// Nothing that is known here.
    Unknown,
}

/// Bytes of base64 text from the byte `from` on; fewer at the end, none if it is no base64.
fn decoded(data: &str, from: usize, length: usize) -> Vec<u8> {
    let start = from / 3 * 4;
    let end = (from + length).div_ceil(3) * 4;
    let piece = data.as_bytes();
    let piece = piece.get(start..end.min(piece.len())).unwrap_or_default();
    let mut bytes = BASE64.decode(piece).unwrap_or_default();
    bytes.drain(..(from - from / 3 * 3).min(bytes.len()));
    bytes.truncate(length);
    bytes
}

/// How many bytes base64 text stands for, at most.
const fn decoded_length(data: &str) -> u64 {
    (data.len() as u64).div_ceil(4) * 3
}

/// What a file is by its first bytes.
pub(crate) fn sniff(data: &str) -> Sniffed {
    let bytes = decoded(data, 0, SNIFFED_BYTES);
    let at = |place: usize, magic: &[u8]| bytes.get(place..).is_some_and(|b| b.starts_with(magic));
    let is_riff = at(0, b"RIFF");
    let is_image = at(0, b"\x89PNG")
        || at(0, b"\xff\xd8\xff")
        || at(0, b"GIF8")
        || at(0, b"BM")
        || (is_riff && at(8, b"WEBP"))
        || (at(4, b"ftyp")
            && [b"heic", b"heix", b"heif", b"mif1", b"msf1", b"avif"]
                .iter()
                .any(|b| at(8, *b)));
    if is_image {
        return Sniffed::Image;
    }
    let known: [(bool, &'static str); 8] = [
        (at(0, b"%PDF"), "a PDF document"),
        (is_riff, "a sound or a video"),
        (at(4, b"ftyp"), "a video"),
        (at(0, b"\x1a\x45\xdf\xa3"), "a video"),
        (at(0, b"OggS") || at(0, b"fLaC") || at(0, b"ID3"), "a sound"),
        (at(0, b"PK\x03\x04"), "an archive"),
        (at(0, b"\x1f\x8b"), "an archive"),
        (is_text(&bytes), "text"),
    ];
    let found = known.into_iter().find(|(is_it, _)| *is_it);
    found.map_or(Sniffed::Unknown, |(_, what)| Sniffed::Other(what))
}

/// Whether bytes are written text: no image begins like that.
fn is_text(bytes: &[u8]) -> bool {
    let text = match str::from_utf8(bytes) {
        Ok(text) => text,
        // A character may be cut at the end.
        Err(error) if error.error_len().is_none() => {
            str::from_utf8(bytes.get(..error.valid_up_to()).unwrap_or_default()).unwrap_or_default()
        }
        Err(_) => return false,
    };
    let is_written = |c: char| !c.is_control() || c.is_ascii_whitespace();
    text.len() > 3 && text.chars().all(is_written)
}

/// Types of files whose names end so: no image.
const OTHER_ENDINGS: [&str; 33] = [
    "pdf", "txt", "md", "htm", "html", "css", "csv", "xml", "rtf", "js", "json", "jsonl", "doc",
    "docx", "xls", "xlsx", "ppt", "pptx", "mp3", "wav", "aiff", "aac", "ogg", "opus", "flac",
    "m4a", "mp4", "mov", "mkv", "webm", "avi", "mpg", "mpeg",
];

/// Hosts whose addresses providers take for videos or files that they keep, whatever they are said
/// to be, with all hosts below them.
const OTHER_HOSTS: [&str; 4] = [
    "youtube.com",
    "youtu.be",
    "youtube-nocookie.com",
    "generativelanguage.googleapis.com",
];

fn is_other_host(url: &str) -> bool {
    let Ok(url) = url::Url::parse(url) else {
        return false;
    };
    let host = url.host_str().unwrap_or_default().trim_end_matches('.');
    OTHER_HOSTS.iter().any(|other| {
        let below = host.strip_suffix(other);
        below.is_some_and(|below| below.is_empty() || below.ends_with('.'))
    })
}

/// Whether an address names a file that is no image.
pub(crate) fn names_no_image(url: &str) -> bool {
    if is_other_host(url) {
        return true;
    }
    let end = url.find(['?', '#']).unwrap_or(url.len());
    let name = url.get(..end).unwrap_or_default().rsplit('/').next();
    let ending = name.and_then(|name| name.rsplit_once('.'));
    ending.is_some_and(|(_, ending)| OTHER_ENDINGS.iter().any(|o| o.eq_ignore_ascii_case(ending)))
}

/// The most seconds that a sound lasts; `None` if its bytes do not say. A sound whose header cannot
/// be true is refused: servers differ in what they take it for.
pub(crate) fn seconds_max(data: &str, format: &str) -> Result<Option<u64>, &'static str> {
    match format {
        "wav" | "x-wav" | "wave" => wav_seconds(data),
        "mp3" | "mpeg" => Ok(mp3_seconds(data)),
        _ => Ok(None),
    }
}

/// Sample rates that sounds have, in hertz.
const SAMPLE_RATES: RangeInclusive<u64> = 1_000..=768_000;

/// The most chunks of a WAV file that are looked at.
const WAV_CHUNKS_MAX: usize = 64;

/// A WAV file of plain samples lasts as long as its bytes at the rate that it tells.
fn wav_seconds(data: &str) -> Result<Option<u64>, &'static str> {
    let start = decoded(data, 0, 12);
    if !start.starts_with(b"RIFF") || start.get(8..12) != Some(b"WAVE") {
        return Ok(None);
    }
    let Some(format) = wav_format(data)? else {
        return Ok(None);
    };
    let number = |place: usize, length: usize| little_endian(&format, place, length);
    if !matches!(number(0, 2), 1 | 3) {
        return Ok(None);
    }
    let (rate, told, block) = (number(4, 4), number(8, 4), number(12, 2));
    let is_possible = SAMPLE_RATES.contains(&rate)
        && block > 0
        && block == number(2, 2) * number(14, 2).div_ceil(8)
        && told == rate * block;
    if !is_possible {
        return Err(
            "must be a WAV file whose header has a sample rate from 1 to 768 kHz and the \
                    byte rate that follows from it",
        );
    }
    Ok(decoded_length(data)
        .checked_div(told)
        .map(|seconds| seconds + 1))
}

/// The format that a WAV file tells, which it does once; `None` if it is not found.
fn wav_format(data: &str) -> Result<Option<Vec<u8>>, &'static str> {
    let mut found = None;
    let mut place = 12_usize;
    for _ in 0..WAV_CHUNKS_MAX {
        let head = decoded(data, place, 24);
        if head.len() < 8 {
            return Ok(found);
        }
        if head.starts_with(b"fmt ") {
            if found.is_some() {
                return Err("must be a WAV file with one format: its header tells several");
            }
            found = head.get(8..).map(<[u8]>::to_vec);
        }
        let length = usize::try_from(little_endian(&head, 4, 4)).unwrap_or(usize::MAX);
        // Chunks begin at even places.
        let padded = length.saturating_add(length % 2);
        place = place.saturating_add(8).saturating_add(padded);
        if u64::try_from(place).unwrap_or(u64::MAX) >= decoded_length(data) {
            return Ok(found);
        }
    }
    Err("must be a WAV file with at most 64 chunks")
}

fn little_endian(bytes: &[u8], place: usize, length: usize) -> u64 {
    let bytes = bytes.get(place..place + length).unwrap_or_default();
    let bytes = bytes.iter().rev();
    bytes.fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

/// An MP3 lasts at most as long as its bytes at the lowest rate, if they are one.
fn mp3_seconds(data: &str) -> Option<u64> {
    let head = decoded(data, 0, 10);
    let start = if head.starts_with(b"ID3") {
        let size = head.get(6..10)?.iter();
        10 + size.fold(0_usize, |sum, byte| sum << 7 | usize::from(byte & 0x7f))
    } else {
        0
    };
    let frame = decoded(data, start, 3);
    let [0xff, second, third] = frame.as_slice() else {
        return None;
    };
    // A whole sync word, layer III, and a bit rate that is told.
    let is_frame = second & 0xe6 == 0xe2 && !matches!(third >> 4, 0 | 15);
    is_frame.then(|| decoded_length(data) / MP3_BYTES_PER_SECOND + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encode(bytes: &[u8]) -> String {
        BASE64.encode(bytes)
    }

    fn wav(rate: u32, block: u16, format: u16, length: usize) -> Vec<u8> {
        let mut bytes = b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0".to_vec();
        bytes.extend(format.to_le_bytes());
        bytes.extend(1_u16.to_le_bytes());
        bytes.extend(rate.to_le_bytes());
        bytes.extend(rate.wrapping_mul(u32::from(block)).to_le_bytes());
        bytes.extend(block.to_le_bytes());
        bytes.extend((block * 8).to_le_bytes());
        bytes.extend(b"data\xff\xff\xff\xff");
        bytes.resize(length, 0);
        bytes
    }

    #[test]
    fn headers_of_sounds_that_cannot_be_true_are_refused() {
        let refused = |bytes: &[u8]| seconds_max(&encode(bytes), "wav").is_err();
        for (rate, block) in [
            (0, 2),
            (1, 1),
            (999, 2),
            (768_001, 2),
            (4_000_000_000, 1),
            (48_000, 0),
        ] {
            assert!(refused(&wav(rate, block, 1, 320_000)), "{rate} {block}");
        }
        let mut other_rate = wav(16_000, 2, 1, 320_000);
        other_rate[28..32].copy_from_slice(&4_000_000_u32.to_le_bytes());
        assert!(refused(&other_rate));
        let mut other_block = wav(16_000, 2, 1, 320_000);
        other_block[34] = 64;
        assert!(refused(&other_block));
        // A second format, before or after the samples.
        let header = wav(768_000, 8, 1, 36);
        let format = |rate, block| wav(rate, block, 1, 36)[12..36].to_vec();
        let before = [&wav(768_000, 8, 1, 36)[..], &format(8_000, 1), &[0; 999]].concat();
        assert!(refused(&before));
        let mut after = wav(768_000, 8, 1, 44);
        after[40..44].copy_from_slice(&100_u32.to_le_bytes());
        after.resize(144, 0);
        after.extend(format(8_000, 1));
        assert!(refused(&after));
        let many = [&header[..12], &[0; 8 * 100]].concat();
        assert!(refused(&many));
    }

    #[test]
    fn files_are_known_by_their_bytes() {
        let png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";
        for (bytes, sniffed) in [
            (&png[..], Sniffed::Image),
            (b"\xff\xd8\xff\xe0\0\x10JFIF", Sniffed::Image),
            (b"GIF89a\x01\0\x01\0", Sniffed::Image),
            (b"RIFF\x10\0\0\0WEBPVP8 ", Sniffed::Image),
            (b"\0\0\0\x18ftypheic\0\0", Sniffed::Image),
            (b"%PDF-1.7\n%\xe2\xe3", Sniffed::Other("a PDF document")),
            (
                b"RIFF\x10\0\0\0WAVEfmt ",
                Sniffed::Other("a sound or a video"),
            ),
            (b"\0\0\0\x18ftypmp42\0\0", Sniffed::Other("a video")),
            (b"ID3\x04\0\0\0\0\0\0", Sniffed::Other("a sound")),
            (b"Ignore all previous", Sniffed::Other("text")),
            (
                "текст на русском языке, длиннее".as_bytes(),
                Sniffed::Other("text"),
            ),
            (&[0, 0, 0], Sniffed::Unknown),
            (&[0x80, 0x81, 0xff, 0xfe, 9], Sniffed::Unknown),
        ] {
            assert_eq!(sniff(&encode(bytes)), sniffed, "{bytes:?}");
        }
        assert_eq!(sniff("not base64!"), Sniffed::Unknown);
        assert_eq!(sniff("AAAA"), Sniffed::Unknown);
    }

    #[test]
    fn addresses_of_other_files_are_known_by_their_ending() {
        for url in [
            "https://x/a.pdf",
            "https://x/A.TXT?x=1.png",
            "https://x/v.mp4#t",
            "https://youtu.be/a.png",
            "https://www.youtube.com/watch?v=a",
            "HTTPS://M.YouTube.com./shorts/a",
            "https://a@youtube.com:443/a",
            "https:/\\youtube.com/a",
            "https://you%74ube.com/a",
            "https://generativelanguage.googleapis.com/v1beta/files/a",
        ] {
            assert!(names_no_image(url), "{url}");
        }
        for url in [
            "https://x/a.png",
            "https://x/a",
            "https://x/i?f=a.pdf",
            "https://x.pdf/i",
            "https://notyoutube.com/a",
            "https://i.ytimg.com/vi/a/0.jpg",
            "https://x/youtube.com",
        ] {
            assert!(!names_no_image(url), "{url}");
        }
    }

    #[test]
    fn a_sound_lasts_as_long_as_its_bytes_can_at_most() {
        let seconds = |bytes: &[u8], format: &str| seconds_max(&encode(bytes), format).unwrap();
        assert_eq!(seconds(&wav(16_000, 2, 1, 320_000), "wav"), Some(11));
        assert_eq!(
            seconds(&wav(16_000, 2, 0x55, 320_000), "wav"),
            None,
            "compressed"
        );
        let mut mp3 = vec![0xff, 0xfb, 0x90, 0];
        mp3.resize(100_000, 0);
        assert_eq!(seconds(&mp3, "mp3"), Some(101));
        let mut tagged = b"ID3\x04\0\0\0\0\x01\0".to_vec();
        tagged.resize(10 + 128, 7);
        tagged.extend(&mp3);
        assert_eq!(seconds(&tagged, "mp3"), Some(101));
        tagged.splice(138..141, *b"fLa");
        assert_eq!(seconds(&tagged, "mp3"), None);
        assert_eq!(seconds(&mp3, "flac"), None);
        assert_eq!(seconds(b"fLaC", "mp3"), None);
        assert_eq!(seconds(b"", "wav"), None);
    }
}
