//! Stored texts on their way out: callers chose some of them, and none may steer a terminal,
//! reorder a line, or break out of its cell.

use std::fmt::Write as _;

/// What stands for a character that is not printed.
const REPLACEMENT: char = char::REPLACEMENT_CHARACTER;

/// Whether a character does something to a terminal or to the text around it, and shows nothing:
/// control characters (C0, DEL, C1), line separators, marks of direction, invisible joiners and
/// tags.
pub(crate) const fn is_unprintable(c: char) -> bool {
    matches!(
        c,
        '\0'..='\u{1f}'
            | '\u{7f}'..='\u{9f}'
            | '\u{ad}'
            | '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

/// The text with a visible sign in the place of every unprintable character.
pub(crate) fn printable(text: &str) -> String {
    let shown = text.chars();
    shown
        .map(|c| if is_unprintable(c) { REPLACEMENT } else { c })
        .collect()
}

/// The same of a text of several lines, which stay lines.
pub(crate) fn printable_lines(text: &str) -> String {
    let lines = text.split('\n').map(printable);
    lines.collect::<Vec<_>>().join("\n")
}

/// A JSON document with its unprintable characters escaped, which changes no value: outside of
/// strings it has none but line breaks, and these stay.
pub(crate) fn printable_json(document: &str) -> String {
    let mut text = String::with_capacity(document.len());
    for c in document.chars() {
        if c == '\n' || !is_unprintable(c) {
            text.push(c);
            continue;
        }
        let mut units = [0_u16; 2];
        for unit in c.encode_utf16(&mut units) {
            // A string takes whatever is written.
            let _ = write!(text, "\\u{unit:04x}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_steers_a_terminal_or_reorders_a_line_is_replaced_and_letters_are_not() {
        for hostile in [
            "\u{1b}[2J",
            "a\nb",
            "\r",
            "\t",
            "\u{7f}",
            "\u{85}",
            "\u{9b}31m",
            "\u{200b}",
            "\u{200d}",
            "\u{200e}",
            "\u{202e}",
            "\u{2066}",
            "\u{61c}",
            "\u{2028}",
            "\u{feff}",
        ] {
            let shown = printable(hostile);
            assert!(!shown.chars().any(is_unprintable), "{hostile:?}");
            assert!(shown.contains(REPLACEMENT), "{hostile:?}");
        }
        for harmless in [
            "größer 1 234",
            "日本語",
            "שלום",
            "مرحبا",
            "👍 ok",
            "e\u{301}",
        ] {
            assert_eq!(printable(harmless), harmless);
        }
        assert_eq!(printable_lines("a\u{7}\nb"), "a\u{fffd}\nb");
    }

    proptest! {
        #[test]
        fn escaping_a_document_keeps_its_values_and_prints_nothing_else(text in any::<String>()) {
            let value = serde_json::json!({ "text": text, "list": [text] });
            let document = serde_json::to_string_pretty(&value).unwrap();
            let shown = printable_json(&document);
            prop_assert!(!shown.chars().any(|c| c != '\n' && is_unprintable(c)));
            let read: serde_json::Value = serde_json::from_str(&shown).unwrap();
            prop_assert_eq!(read, value);
        }

        #[test]
        fn nothing_unprintable_is_left_of_any_text(text in any::<String>()) {
            prop_assert!(!printable(&text).chars().any(is_unprintable));
        }
    }
}
