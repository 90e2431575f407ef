//! A curve of one line: the newest values at the right.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::pane::line;
use crate::dashboard::charset::Charset;

/// Draws the last values that fit, scaled to the largest; as high as the area.
pub(crate) fn draw(
    area: Rect,
    buffer: &mut Buffer,
    charset: Charset,
    values: &[u64],
    style: Style,
) {
    let skip = values.len().saturating_sub(area.width.into());
    let shown = &values[skip..];
    let largest = shown.iter().copied().max().unwrap_or(0).max(1);
    let levels = charset.levels();
    let full = levels.len() as u64 - 1;
    let steps = full * u64::from(area.height);
    let start = area.right().saturating_sub(shown.len() as u16);
    for (x, value) in (start..area.right()).zip(shown) {
        // Anything above nothing can be seen.
        let height = (value * steps).div_ceil(largest);
        for (above, y) in (area.y..area.bottom()).rev().enumerate() {
            let level = height.saturating_sub(above as u64 * full).min(full);
            line(x, y, x + 1, buffer, levels[level as usize], style);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_stand_at_the_right_and_the_largest_is_full() {
        let area = Rect::new(0, 0, 4, 1);
        let mut buffer = Buffer::empty(area);
        let values = [9, 0, 1, 3];
        draw(
            area,
            &mut buffer,
            Charset::Ascii,
            &values[1..],
            Style::new(),
        );
        assert_eq!(buffer, Buffer::with_lines(["  .|"]));
        let mut high = Buffer::empty(Rect::new(0, 0, 2, 2));
        draw(high.area, &mut high, Charset::Ascii, &[3, 6], Style::new());
        assert_eq!(high, Buffer::with_lines([" |", "||"]));
    }
}
