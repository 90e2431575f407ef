//! A list over a table of numbers that is longer than what the list ever holds.

use proptest::prelude::*;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::*;
use crate::dashboard::testing::context;
use crate::dashboard::widgets::columns::numbers;

/// A row of a table of numbers from 0 on.
#[derive(Debug, Clone, PartialEq)]
struct Number(usize);

impl Row for Number {
    type Cursor = usize;

    const COLUMNS: &'static [Column] = &[numbers("NUMBER", 8, 0)];

    fn cursor(&self) -> usize {
        self.0
    }

    fn id(&self) -> String {
        self.0.to_string()
    }

    fn cells(&self, _context: &Context) -> Vec<Cell> {
        vec![self.0.to_string().into()]
    }

    fn json(&self) -> serde_json::Value {
        self.0.into()
    }
}

/// The part of a table of so many rows that is asked for.
fn page(start: &Start<usize>, length: usize) -> Page<Number> {
    let last = length.saturating_sub(PAGE_ROWS);
    let first = match start {
        Start::First => 0,
        Start::At(row) => (*row).min(length),
        Start::Before(row) => row.saturating_sub(PAGE_ROWS),
        Start::Last => last,
    };
    let end = match start {
        Start::Before(row) => *row,
        _ => (first + PAGE_ROWS).min(length),
    };
    Page {
        rows: (first..end).map(Number).collect(),
        above: first,
        below: end < length,
        count: length.to_string(),
        note: String::new(),
    }
}

fn loaded(length: usize) -> List<Number> {
    let mut list = List::default();
    list.receive(page(&Start::First, length));
    list
}

/// Does an action and reads whatever it asks for.
fn act(list: &mut List<Number>, action: Action, length: usize) {
    if list.act(action) == Some(true) {
        list.receive(page(&list.start(), length));
    }
}

fn place(list: &List<Number>) -> Option<usize> {
    list.current().map(|row| row.0)
}

#[test]
fn the_whole_table_can_be_walked_in_windows() {
    let length = 1_000;
    let mut list = loaded(length);
    for expected in 1..length {
        act(&mut list, Action::Down, length);
        assert_eq!(place(&list), Some(expected));
        assert!(list.rows().len() <= PAGE_ROWS);
    }
    act(&mut list, Action::Down, length);
    assert_eq!(place(&list), Some(length - 1));
    for expected in (0..length - 1).rev() {
        act(&mut list, Action::Up, length);
        assert_eq!(place(&list), Some(expected));
    }
    assert!(list.is_following());
}

#[test]
fn the_ends_are_one_key_away() {
    let mut list = loaded(1_000);
    act(&mut list, Action::Bottom, 1_000);
    assert_eq!(place(&list), Some(999));
    act(&mut list, Action::Top, 1_000);
    assert_eq!(place(&list), Some(0));
    assert!(list.is_following());
}

#[test]
fn rows_that_come_in_above_do_not_move_the_cursor() {
    let mut list = loaded(10);
    act(&mut list, Action::Down, 10);
    act(&mut list, Action::Down, 10);
    let mut newer = page(&Start::First, 10);
    newer.rows.rotate_right(1);
    list.receive(newer);
    assert_eq!(place(&list), Some(2), "the cursor stays on its row");
}

#[test]
fn a_row_that_was_reached_from_below_is_held_whatever_comes_in() {
    let mut list = loaded(10);
    act(&mut list, Action::Down, 10);
    list.start = Start::Before(9);
    list.receive(page(&Start::First, 10));
    assert_eq!(place(&list), Some(1));
    assert_eq!(
        list.start(),
        Start::At(0),
        "more may come in than a page holds"
    );
}

#[test]
fn what_is_beyond_the_count_has_no_number() {
    let mut list = loaded(10);
    let mut far = page(&Start::First, 10);
    far.above = COUNTED_MAX + 1;
    list.receive(far);
    assert_eq!(list.position(), "beyond row 10,000");
}

#[test]
fn rows_are_renewed_and_added_to_where_they_stand() {
    let mut list = loaded(3);
    list.extend(vec![Number(3), Number(4)]);
    list.renew(vec![Number(4), Number(9)]);
    let numbers: Vec<usize> = list.rows().iter().map(|row| row.0).collect();
    assert_eq!(numbers, [0, 1, 2, 3, 4]);
    list.extend((5..300).map(Number).collect());
    assert_eq!(list.rows().len(), PAGE_ROWS);
    assert_eq!(place(&list), Some(0));
}

#[test]
fn marks_hold_on_to_ids() {
    let mut list = loaded(10);
    act(&mut list, Action::Mark, 10);
    act(&mut list, Action::Down, 10);
    act(&mut list, Action::MarkRange, 10);
    assert_eq!(list.marked(), 3);
    let ids: Vec<usize> = list.targets().iter().map(|row| row.0).collect();
    assert_eq!(ids, [0, 1, 2]);
    act(&mut list, Action::ClearMarks, 10);
    assert_eq!(list.targets(), [&Number(2)]);
}

fn any_action() -> impl Strategy<Value = Action> {
    prop_oneof![
        Just(Action::Down),
        Just(Action::Up),
        Just(Action::PageDown),
        Just(Action::PageUp),
        Just(Action::HalfDown),
        Just(Action::HalfUp),
        Just(Action::Top),
        Just(Action::Bottom),
        Just(Action::Mark),
        Just(Action::MarkRange),
        Just(Action::ClearMarks),
        Just(Action::Wide),
    ]
}

proptest! {
    #[test]
    fn no_way_through_a_table_leaves_it(
        actions in proptest::collection::vec(any_action(), 0..60),
        length in 0usize..700,
        height in 2u16..60,
        width in 1u16..80,
    ) {
        let area = Rect::new(0, 0, width, height);
        let mut list = loaded(length);
        for action in actions {
            act(&mut list, action, length);
            list.draw(area, &mut Buffer::empty(area), &context(), "none");
            match place(&list) {
                Some(place) => prop_assert!(place < length),
                None => prop_assert_eq!(length, 0),
            }
            prop_assert!(list.rows().len() <= PAGE_ROWS);
        }
    }
}
