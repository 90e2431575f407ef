//! Prints what subcommands have to say: aligned text for people, or one JSON document for programs.

use std::io::{ErrorKind, Write as _};

use serde::Serialize;
use tollgate_common::clock::Timestamp;
use tollgate_common::money::NanoUsd;

use super::error::Failure;
use crate::text::{printable, printable_json};

/// A column of a table.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column {
    title: &'static str,
    right: bool,
}

/// A column of words.
pub(super) const fn words(title: &'static str) -> Column {
    Column {
        title,
        right: false,
    }
}

/// A column of numbers.
pub(super) const fn numbers(title: &'static str) -> Column {
    Column { title, right: true }
}

/// What can stand in a table.
pub(super) trait Row: Serialize {
    /// The table's columns.
    const COLUMNS: &'static [Column];

    /// One cell a column.
    fn cells(&self) -> Vec<String>;
}

/// What can be shown by itself.
pub(super) trait Show: Serialize {
    /// Labels and values in the order of reading.
    fn fields(&self) -> Vec<(&'static str, String)>;
}

/// An optional value as a cell.
pub(super) fn or_dash(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

/// A time as a cell: RFC 3339 to the second.
pub(super) fn time(moment: Timestamp) -> String {
    let text = moment.to_string();
    match text.split_once('.') {
        Some((seconds, _)) => format!("{seconds}Z"),
        None => text,
    }
}

/// An optional time as a cell.
pub(super) fn optional_time(moment: Option<Timestamp>) -> String {
    or_dash(moment.map(time))
}

/// Dollars as a cell.
pub(super) fn dollars(amount: NanoUsd) -> String {
    format!("{:.6}", amount.dollars(6))
}

/// Several words as a cell.
pub(super) fn joined(items: &[impl ToString]) -> String {
    let words: Vec<String> = items.iter().map(ToString::to_string).collect();
    if words.is_empty() {
        "-".to_owned()
    } else {
        words.join(", ")
    }
}

/// Where and how to print.
#[derive(Debug, Clone, Copy)]
pub(super) struct Output {
    json: bool,
    raw: bool,
}

impl Output {
    /// Prints JSON or text; `raw` leaves characters in that could steer a terminal.
    pub(super) const fn new(json: bool, raw: bool) -> Self {
        Self { json, raw }
    }

    /// A stored text on its way into a line of text.
    fn cell(self, text: &str) -> String {
        if self.raw {
            text.to_owned()
        } else {
            printable(text)
        }
    }

    fn document(self, document: String) -> String {
        if self.raw {
            document
        } else {
            printable_json(&document)
        }
    }

    fn json<T: Serialize + ?Sized>(self, document: &T) -> Result<(), Failure> {
        let text = self.document(serde_json::to_string_pretty(document)?);
        print(&format!("{text}\n"))
    }

    /// Prints a list; `hint` stands in for an empty one.
    pub(super) fn list<R: Row>(self, rows: &[R], hint: &str) -> Result<(), Failure> {
        self.page(rows, hint, None)
    }

    /// Prints a part of a list and, for people, how to get what comes after it.
    pub(super) fn page<R: Row>(
        self,
        rows: &[R],
        hint: &str,
        next: Option<String>,
    ) -> Result<(), Failure> {
        if self.json {
            return self.json(rows);
        }
        if rows.is_empty() {
            return print(&format!("{hint}\n"));
        }
        let more = next.map(|before| format!("More: --before {}\n", self.cell(&before)));
        print(&format!("{}{}", self.table(rows), more.unwrap_or_default()))
    }

    /// Prints one row of a list that has no end, as one line; says whether anybody still reads.
    pub(super) fn line<R: Row>(self, row: &R, widths: &[usize]) -> Result<bool, Failure> {
        let text = if self.json {
            format!("{}\n", self.document(serde_json::to_string(row)?))
        } else {
            let cells: Vec<String> = row.cells().iter().map(|cell| self.cell(cell)).collect();
            table_line(R::COLUMNS, widths, &cells)
        };
        let mut stdout = std::io::stdout().lock();
        let written = stdout.write_all(text.as_bytes());
        match written.and_then(|()| stdout.flush()) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
            Err(error) => Err(Failure::Output(error)),
        }
    }

    /// Prints one thing.
    pub(super) fn one(self, thing: &impl Show) -> Result<(), Failure> {
        if self.json {
            return self.json(thing);
        }
        print(&self.fields(&thing.fields()))
    }

    /// Prints one thing and a list that belongs to it; as JSON the thing holds the list itself.
    pub(super) fn one_with<R: Row>(self, thing: &impl Show, rows: &[R]) -> Result<(), Failure> {
        if self.json {
            return self.json(thing);
        }
        let below = if rows.is_empty() {
            String::new()
        } else {
            format!("\n{}", self.table(rows))
        };
        print(&format!("{}{below}", self.fields(&thing.fields())))
    }

    /// Prints what a change has led to: a sentence for people, the thing itself for programs.
    pub(super) fn done(self, thing: &impl Serialize, sentence: &str) -> Result<(), Failure> {
        if self.json {
            return self.json(thing);
        }
        print(&format!("{}\n", self.cell(sentence)))
    }

    /// Prints, for people, a table and lines below it; programs get the whole as one document.
    pub(super) fn table_and_lines<R: Row>(
        self,
        rows: &[R],
        lines: &[String],
    ) -> Result<(), Failure> {
        if self.json {
            return Ok(());
        }
        let table = if rows.is_empty() {
            String::new()
        } else {
            format!("{}\n", self.table(rows))
        };
        let lines = lines.iter().map(|line| format!("{}\n", self.cell(line)));
        print(&format!("{table}{}", lines.collect::<String>()))
    }

    /// Prints a document for programs, and nothing for people.
    pub(super) fn document_only(self, thing: &impl Serialize) -> Result<(), Failure> {
        if self.json { self.json(thing) } else { Ok(()) }
    }

    fn fields(self, fields: &[(&'static str, String)]) -> String {
        let width = fields.iter().map(|(label, _)| label.len()).max();
        let width = width.unwrap_or(0);
        fields
            .iter()
            .map(|(label, value)| format!("{label:width$}  {}\n", self.cell(value)))
            .collect()
    }

    fn table<R: Row>(self, rows: &[R]) -> String {
        let titles = R::COLUMNS.iter().map(|c| c.title.to_owned()).collect();
        let mut lines: Vec<Vec<String>> = vec![titles];
        lines.extend(
            rows.iter()
                .map(|row| row.cells().iter().map(|cell| self.cell(cell)).collect()),
        );
        let width = |index: usize| {
            let widths = lines.iter().filter_map(|line| line.get(index));
            widths.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..R::COLUMNS.len()).map(width).collect();
        lines
            .iter()
            .map(|line| table_line(R::COLUMNS, &widths, line))
            .collect()
    }
}

/// Writes a text of our own to standard output.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    match stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
    {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Failure::Output(error)),
        _ => Ok(()),
    }
}

fn table_line(columns: &[Column], widths: &[usize], cells: &[String]) -> String {
    let aligned: Vec<String> = columns
        .iter()
        .zip(widths)
        .zip(cells)
        .map(|((column, &width), cell)| {
            if column.right {
                format!("{cell:>width$}")
            } else {
                format!("{cell:<width$}")
            }
        })
        .collect();
    format!("{}\n", aligned.join("  ").trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    struct Line(&'static str, i64);

    impl Row for Line {
        const COLUMNS: &'static [Column] = &[words("NAME"), numbers("CREDITS")];

        fn cells(&self) -> Vec<String> {
            vec![self.0.to_owned(), self.1.to_string()]
        }
    }

    #[test]
    fn tables_align_words_left_and_numbers_right_and_never_steer_the_terminal() {
        let rows = [Line("größer", 5), Line("a\u{1b}[2J", -1_000)];
        assert_eq!(
            Output::new(false, false).table(&rows),
            "NAME    CREDITS\ngrößer        5\na\u{fffd}[2J     -1000\n"
        );
        let raw = Output::new(false, true).table(&rows);
        assert!(raw.contains("a\u{1b}[2J"), "{raw:?}");
    }

    #[test]
    fn times_are_shown_to_the_second() {
        assert_eq!(
            time(Timestamp::from_micros(1_500_000)),
            "1970-01-01T00:00:01Z"
        );
    }
}
