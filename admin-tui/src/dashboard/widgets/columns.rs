//! Which columns a table shows in how much room, and how wide.

/// A column of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Column {
    /// Its heading.
    pub(crate) title: &'static str,
    /// The least width that makes sense.
    pub(crate) least: u16,
    /// The width that shows nearly everything.
    pub(crate) ideal: u16,
    /// 0 is never dropped; higher ones are dropped first.
    pub(crate) rank: u8,
    /// Whether its cells end at the right, as numbers do.
    pub(crate) right: bool,
}

/// A column of words.
pub(crate) const fn words(title: &'static str, least: u16, ideal: u16, rank: u8) -> Column {
    Column {
        title,
        least,
        ideal,
        rank,
        right: false,
    }
}

/// A column of numbers.
pub(crate) const fn numbers(title: &'static str, width: u16, rank: u8) -> Column {
    Column {
        title,
        least: width,
        ideal: width,
        rank,
        right: true,
    }
}

/// Columns of this rank are shown only to those who ask for all columns.
pub(crate) const ONLY_WIDE: u8 = 9;

/// What stands between columns.
pub(crate) const GAP: u16 = 2;

/// Which columns are shown, by their places, and how wide each is. Columns of the highest ranks go
/// first where room is short; what is left over makes columns ideal in their order, and then the
/// widest column of words grows.
pub(crate) fn fit(columns: &[Column], room: u16) -> Vec<(usize, u16)> {
    let mut kept: Vec<usize> = (0..columns.len()).collect();
    while kept.len() > 1 && least_width(columns, &kept) > room {
        let Some(place) = droppable(columns, &kept) else {
            break;
        };
        kept.remove(place);
    }
    let mut widths: Vec<(usize, u16)> = kept.iter().map(|&i| (i, columns[i].least)).collect();
    let mut left = room.saturating_sub(least_width(columns, &kept));
    for (index, width) in &mut widths {
        let more = columns[*index].ideal.saturating_sub(*width).min(left);
        *width += more;
        left -= more;
    }
    let flexible = widths
        .iter_mut()
        .filter(|(index, _)| !columns[*index].right);
    if let Some((_, width)) = flexible.max_by_key(|(index, _)| columns[*index].ideal) {
        *width += left;
    }
    if let [(_, width)] = widths.as_mut_slice() {
        *width = (*width).min(room);
    }
    widths
}

fn least_width(columns: &[Column], kept: &[usize]) -> u16 {
    let widths: u16 = kept.iter().map(|&index| columns[index].least).sum();
    widths + GAP * (kept.len() as u16).saturating_sub(1)
}

/// The place in `kept` of the column that goes next: of the highest rank, the last.
fn droppable(columns: &[Column], kept: &[usize]) -> Option<usize> {
    let places = kept.iter().enumerate();
    places
        .filter(|(_, index)| columns[**index].rank > 0)
        .max_by_key(|(place, index)| (columns[**index].rank, *place))
        .map(|(place, _)| place)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const COLUMNS: &[Column] = &[
        words("ID", 8, 8, 0),
        words("TEAM", 8, 20, 1),
        numbers("CALLS", 6, 3),
        numbers("CREDITS", 10, 2),
    ];

    #[test]
    fn the_least_important_go_first_and_the_rest_is_used() {
        assert_eq!(fit(COLUMNS, 8), [(0, 8)]);
        assert_eq!(fit(COLUMNS, 20), [(0, 8), (1, 10)]);
        assert_eq!(fit(COLUMNS, 30), [(0, 8), (1, 8), (3, 10)]);
        assert_eq!(fit(COLUMNS, 100), [(0, 8), (1, 70), (2, 6), (3, 10)]);
    }

    proptest! {
        #[test]
        fn what_is_shown_never_needs_more_than_there_is(room in 8u16..300) {
            let fitted = fit(COLUMNS, room);
            let gaps = GAP * (fitted.len() as u16 - 1);
            let used: u16 = fitted.iter().map(|(_, width)| width).sum::<u16>() + gaps;
            prop_assert!(used <= room);
            prop_assert_eq!(fitted[0].0, 0);
        }
    }
}
