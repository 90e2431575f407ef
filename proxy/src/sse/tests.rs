//! The examples of the standard, and: how a stream is cut into pieces never matters.

use proptest::prelude::*;

use super::*;

/// Events as pairs, and how the stream ended: an error, or whether inside an event.
type Story = (Vec<(Option<String>, String)>, Result<bool, TooLarge>);

fn read<'a>(event_bytes_max: usize, pieces: impl IntoIterator<Item = &'a [u8]>) -> Story {
    let mut parser = Parser::new(event_bytes_max);
    let mut events = Vec::new();
    for piece in pieces {
        parser.push(piece);
        loop {
            match parser.next() {
                Ok(Some(event)) => events.push((event.name, event.data)),
                Ok(None) => break,
                Err(error) => return (events, Err(error)),
            }
        }
    }
    (events, Ok(parser.is_mid_event()))
}

fn read_whole(stream: &[u8]) -> Story {
    read(1_000, [stream])
}

fn unnamed(data: &str) -> (Option<String>, String) {
    (None, data.to_owned())
}

#[test]
fn the_standards_rules_hold() {
    for (stream, expected) in [
        ("data: YHOO\ndata: +2\ndata: 10\n\n", vec!["YHOO\n+2\n10"]),
        (
            ": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n",
            vec!["first event", "second event", " third event"],
        ),
        ("data\n\ndata\ndata\n\ndata:\n\n", vec!["", "\n", ""]),
        ("data:test\n\ndata: test\n\n", vec!["test", "test"]),
        ("retry: 10\nid: 4\n\n\n\ndata: a:b: c\n\n", vec!["a:b: c"]),
        ("Data: a\n data: b\ndatum: c\ndata : d\n\n", vec![]),
        ("data: \u{feff}x\n\n", vec!["\u{feff}x"]),
        ("\u{feff}data: x\n\n", vec!["x"]),
        ("\u{feff}\u{feff}data: x\n\n", vec![]),
        (
            "data: a\r\rdata: b\r\n\r\ndata: c\n\r\ndata: d\r\n\n",
            vec!["a", "b", "c", "d"],
        ),
        (
            "data: a\ndata: b\r\ndata: c\rdata: d\n\n",
            vec!["a\nb\nc\nd"],
        ),
        ("\n\r\n\rdata: x\n\n", vec!["x"]),
    ] {
        let expected: Vec<_> = expected.into_iter().map(unnamed).collect();
        assert_eq!(
            read_whole(stream.as_bytes()),
            (expected, Ok(false)),
            "{stream:?}"
        );
    }
}

#[test]
fn a_name_belongs_to_one_event() {
    let stream = b"event: a\nevent: ping\ndata: 1\n\ndata: 2\n\nevent: lost\n\nevent:\ndata: 3\n\n";
    let (events, end) = read_whole(stream);
    let named = (Some("ping".to_owned()), "1".to_owned());
    assert_eq!(events, [named, unnamed("2"), unnamed("3")]);
    assert_eq!(end, Ok(false));
}

#[test]
fn an_event_without_its_blank_line_is_unfinished() {
    for unfinished in [
        "data: x\n",
        "data: x",
        "data: x\r",
        "data: x\r\n",
        "event: x\n",
        "d",
        "data: x\n: c",
        "data: y\n\ndata",
    ] {
        assert_eq!(
            read_whole(unfinished.as_bytes()).1,
            Ok(true),
            "{unfinished:?}"
        );
    }
    for finished in [
        "",
        "data: x\n\n",
        "data: x\r\r",
        ": comment",
        ": comment\n",
        "id: 1\n",
    ] {
        assert_eq!(read_whole(finished.as_bytes()).1, Ok(false), "{finished:?}");
    }
    let mut parser = Parser::new(100);
    for piece in [&b"data: x\r\n\r"[..], b"\n"] {
        parser.push(piece);
        while parser.next().unwrap().is_some() {}
        assert!(!parser.is_mid_event());
    }
}

#[test]
fn what_is_not_utf_8_is_replaced_and_harms_nothing_else() {
    let (events, _) = read_whole(b"event: \xff\ndata: a\xc3\ndata: \xe2\x82\xacb\n\n");
    let expected = (Some("\u{fffd}".to_owned()), "a\u{fffd}\n€b".to_owned());
    assert_eq!(events, [expected]);
}

#[test]
fn an_event_may_have_so_many_bytes_and_not_one_more() {
    let too_large = Err(TooLarge { bytes_max: 10 });
    let end = |stream: &str| read(10, [stream.as_bytes()]).1;
    assert_eq!(end("data: 1234\n\n"), Ok(false));
    assert_eq!(end("data: 12345\n\n"), too_large);
    assert_eq!(end("data: 12345"), too_large);
    assert_eq!(end(": a comment"), too_large);
    assert_eq!(end("data:1\ndata:2\n\n"), Ok(false));
    assert_eq!(end("data:1\ndata:2\ndata:3\ndata:4\n\n"), too_large);
    assert_eq!(end("event:name\ndata:12\n\n"), too_large);
    assert_eq!(end(&": ping\n".repeat(1_000)), Ok(false));
    assert_eq!(end(&"data: 1\n\n".repeat(1_000)), Ok(false));

    let mut parser = Parser::new(10);
    parser.push(b"data: 1\n\ndata: 23456\n\ndata: 7\n\n");
    assert!(parser.next().unwrap().is_some());
    assert!(parser.next().is_err() && parser.next().is_err());
}

#[test]
fn the_buffer_does_not_grow_with_the_stream() {
    let mut parser = Parser::new(1_000_000);
    let large = [&b"data: "[..], &vec![b'x'; 100_000], b"\n\n"].concat();
    for _ in 0..20 {
        for piece in large.chunks(1_000) {
            parser.push(piece);
            while parser.next().unwrap().is_some() {}
        }
        assert!(parser.input.capacity() <= IDLE_BUFFER_BYTES_MAX);
    }
    // A reader that falls behind keeps what it has not read, not what it has.
    for _ in 0..1_000 {
        parser.push(b"data: a\n\ndata: b\n\n");
        assert!(parser.next().unwrap().is_some());
        assert!(parser.next().unwrap().is_some());
        assert!(parser.input.len() <= 36);
    }
}

#[test]
fn line_ends_are_found_at_every_place() {
    for length in 0..100 {
        let mut bytes = vec![b'x'; length];
        assert_eq!(line_end_in(&bytes), None);
        for at in (0..length).rev() {
            bytes[at] = if at % 2 == 0 { b'\n' } else { b'\r' };
            assert_eq!(line_end_in(&bytes), Some(at));
        }
    }
}

/// Streams made of what matters to a parser.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        4 => Just(&b"\n"[..]),
        2 => Just(&b"\r\n"[..]),
        1 => Just(&b"\r"[..]),
        4 => Just(&b"data: "[..]),
        2 => Just(&b"data"[..]),
        1 => Just(&b"event:"[..]),
        1 => Just(&b"id: 1"[..]),
        1 => Just(&b": "[..]),
        1 => Just(&b" "[..]),
        1 => Just(BYTE_ORDER_MARK),
        1 => Just("€ü".as_bytes()),
        1 => Just(&b"\xe2\x82"[..]),
        2 => Just(&b"{\"choices\":[{\"delta\":{\"content\":\"word\"}}]}"[..]),
    ];
    (any::<bool>(), proptest::collection::vec(part, 0..40)).prop_map(|(mark, parts)| {
        let mark = if mark { BYTE_ORDER_MARK } else { b"" };
        [mark, &parts.concat()].concat()
    })
}

/// The standard's algorithm on the whole stream, line by line.
fn read_naively(stream: &[u8]) -> Vec<(Option<String>, String)> {
    let text = String::from_utf8_lossy(stream)
        .replace("\r\n", "\n")
        .replace('\r', "\n");
    let mut lines: Vec<&str> = text
        .strip_prefix('\u{feff}')
        .unwrap_or(&text)
        .split('\n')
        .collect();
    lines.pop();
    let (mut events, mut name, mut data) = (Vec::new(), String::new(), String::new());
    for line in lines {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        if line.is_empty() {
            let name = mem::take(&mut name);
            if let Some(data) = mem::take(&mut data).strip_suffix('\n') {
                events.push(((!name.is_empty()).then_some(name), data.to_owned()));
            }
        } else if field == "data" {
            data.push_str(value);
            data.push('\n');
        } else if field == "event" {
            value.clone_into(&mut name);
        }
    }
    events
}

proptest! {
    #[test]
    fn any_stream_reads_as_the_standard_says(stream in stream()) {
        prop_assert_eq!(read(100_000, [&stream[..]]).0, read_naively(&stream));
    }

    #[test]
    fn a_cut_at_any_one_place_changes_nothing(stream in stream(), bytes_max in 0_usize..200) {
        let whole = read(bytes_max, [&stream[..]]);
        for at in 0..=stream.len() {
            let (left, right) = stream.split_at(at);
            prop_assert_eq!(&read(bytes_max, [left, right]), &whole, "cut at {}", at);
        }
        prop_assert_eq!(&read(bytes_max, stream.chunks(1)), &whole);
    }

    #[test]
    fn cuts_at_many_places_change_nothing(
        stream in stream(),
        cuts in proptest::collection::vec(0_usize..400, 0..12),
        bytes_max in 0_usize..200,
    ) {
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(stream.len())).collect();
        cuts.sort_unstable();
        cuts.push(stream.len());
        let mut start = 0;
        let pieces = cuts.iter().map(|cut| &stream[mem::replace(&mut start, *cut)..*cut]);
        prop_assert_eq!(read(bytes_max, pieces), read(bytes_max, [&stream[..]]));
    }
}
