//! Comma-separated values (RFC 4180), safe to open in a spreadsheet.

use std::io::{self, Write};

use tollgate_common::clock::Timestamp;

use crate::text::printable;

/// One field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Field {
    /// Whatever somebody may have chosen.
    Text(String),
    /// A number.
    Number(i64),
    /// Nothing.
    Empty,
}

impl Field {
    /// A text of any kind.
    pub(crate) fn text(text: impl ToString) -> Self {
        Self::Text(text.to_string())
    }

    /// A text, if there is one.
    pub(crate) fn optional(text: Option<impl ToString>) -> Self {
        text.map_or(Self::Empty, Self::text)
    }

    /// A number, if there is one.
    pub(crate) fn number(number: Option<i64>) -> Self {
        number.map_or(Self::Empty, Self::Number)
    }

    /// A moment, if there is one.
    pub(crate) fn moment(moment: Option<Timestamp>) -> Self {
        Self::optional(moment)
    }
}

/// What a spreadsheet may take for the beginning of a formula.
const FORMULA: [char; 6] = ['=', '+', '-', '@', '\t', '\r'];

/// Writes the first line.
pub(super) fn headings(out: &mut impl Write, headings: &[&str]) -> io::Result<()> {
    writeln_fields(out, headings.iter().map(|heading| (*heading).to_owned()))
}

/// Writes one line; if it is not to be `raw`, nothing in it breaks the line or steers a terminal.
pub(super) fn line(out: &mut impl Write, fields: &[Field], raw: bool) -> io::Result<()> {
    writeln_fields(out, fields.iter().map(|field| shown(field, raw)))
}

fn writeln_fields(out: &mut impl Write, fields: impl Iterator<Item = String>) -> io::Result<()> {
    for (index, field) in fields.enumerate() {
        if index > 0 {
            out.write_all(b",")?;
        }
        out.write_all(field.as_bytes())?;
    }
    out.write_all(b"\r\n")
}

/// A field as it is written. Texts that begin like a formula get an apostrophe before them, which
/// spreadsheets take as «this is a text».
fn shown(field: &Field, raw: bool) -> String {
    let text = match field {
        Field::Empty => return String::new(),
        Field::Number(number) => return number.to_string(),
        Field::Text(text) if raw => text.clone(),
        Field::Text(text) => printable(text),
    };
    let text = if text.starts_with(FORMULA) {
        format!("'{text}")
    } else {
        text
    };
    if text.contains(['"', ',', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_becomes_a_formula_and_numbers_stay_numbers() {
        let fields = [
            Field::text("=HYPERLINK(\"x\")"),
            Field::text("@sum"),
            Field::Number(-5),
            Field::Empty,
            Field::text("a, \"b\"\nc"),
        ];
        let mut out = Vec::new();
        line(&mut out, &fields, false).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "\"'=HYPERLINK(\"\"x\"\")\",'@sum,-5,,\"a, \"\"b\"\"\u{fffd}c\"\r\n"
        );
        let mut out = Vec::new();
        line(&mut out, &fields[4..], true).unwrap();
        let raw = String::from_utf8(out).unwrap();
        assert_eq!(raw, "\"a, \"\"b\"\"\nc\"\r\n");
    }
}
