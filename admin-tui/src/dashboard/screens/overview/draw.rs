//! How the overview looks in each class of room.

use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Style;
use tollgate_common::money::NanoUsd;

use super::health::{self, micros, millis};
use super::{Overview, Pane};
use crate::dashboard::context::{Class, Context};
use crate::dashboard::format;
use crate::dashboard::view::draw_waiting;
use crate::dashboard::widgets::bars::{self, Bar};
use crate::dashboard::widgets::facts::{self, Fact, fact, styled};
use crate::dashboard::widgets::pane::{line, pane, rows};
use crate::dashboard::widgets::{columns, curve};

/// Draws it.
pub(super) fn draw(screen: &Overview, area: Rect, buffer: &mut Buffer, context: &Context) {
    if screen.present.is_none() {
        draw_waiting(area, buffer, context, "Overview");
        return;
    }
    match context.class() {
        Class::Tiny | Class::Compact => compact(screen, area, buffer, context),
        Class::Normal => normal(screen, area, buffer, context),
        Class::Wide => wide(screen, area, buffer, context),
    }
}

/// An area cut into parts by weights, downwards or sideways.
fn parts<const N: usize>(area: Rect, weights: [u16; N], down: bool) -> [Rect; N] {
    let fills = weights.map(Constraint::Fill);
    if down {
        Layout::vertical(fills).areas(area)
    } else {
        Layout::horizontal(fills).areas(area)
    }
}

fn compact(screen: &Overview, area: Rect, buffer: &mut Buffer, context: &Context) {
    let top = 7.min(area.height);
    let middle = 6.min(area.height.saturating_sub(top));
    let [above, between, below] = Layout::vertical([
        Constraint::Length(top),
        Constraint::Length(middle),
        Constraint::Fill(1),
    ])
    .areas(area);
    let [left, right] = parts(above, [1, 1], false);
    traffic(screen, left, buffer, context);
    money(screen, right, buffer, context);
    let [left, right] = parts(between, [1, 1], false);
    providers(screen, left, buffer, context);
    teams(screen, right, buffer, context);
    attention(screen, below, buffer, context);
}

fn normal(screen: &Overview, area: Rect, buffer: &mut Buffer, context: &Context) {
    let [above, between, below] = parts(area, [10, 9, 9], true);
    let [one, two, three] = parts(above, [1, 1, 1], false);
    traffic(screen, one, buffer, context);
    latency(screen, two, buffer, context);
    money(screen, three, buffer, context);
    let [one, two, three] = parts(between, [1, 1, 1], false);
    providers(screen, one, buffer, context);
    teams(screen, two, buffer, context);
    errors(screen, three, buffer, context);
    let [one, two] = parts(below, [2, 1], false);
    attention(screen, one, buffer, context);
    models(screen, two, buffer, context);
}

fn wide(screen: &Overview, area: Rect, buffer: &mut Buffer, context: &Context) {
    let [above, between, below] = parts(area, [11, 10, 16], true);
    let [one, two, three] = parts(above, [1, 1, 1], false);
    traffic(screen, one, buffer, context);
    latency(screen, two, buffer, context);
    errors(screen, three, buffer, context);
    let [one, two, three] = parts(between, [1, 1, 1], false);
    providers(screen, one, buffer, context);
    teams(screen, two, buffer, context);
    models(screen, three, buffer, context);
    let [left, right] = parts(below, [2, 1], false);
    jobs(screen, left, buffer, context);
    let [one, two] = Layout::vertical([Constraint::Length(9), Constraint::Fill(1)]).areas(right);
    money(screen, one, buffer, context);
    attention(screen, two, buffer, context);
}

fn traffic(screen: &Overview, area: Rect, buffer: &mut Buffer, context: &Context) {
    let theme = &context.theme;
    let nodes = screen.present.as_ref().map_or(&[][..], |p| &p.nodes[..]);
    let title = format!("Calls ({})", screen.range().1);
    let remark = health::nodes(nodes, context.now);
    let inside = pane(area, buffer, context, (&title, &remark), false);
    let told = || nodes.iter().filter_map(|node| node.told.as_ref());
    let sum = |of: fn(&tollgate_common::live::NodeFigures) -> u64| {
        told().map(|told| of(&told.figures)).sum::<u64>()
    };
    let ended = sum(|now| now.ended_per_second.iter().rev().take(10).sum());
    let per_second = format!("{}.{}", ended / 10, ended % 10);
    let all = screen.past.as_ref().map(|past| &past.all);
    let errors: u64 = all.map_or(0, |all| {
        let counted = all
            .errors
            .iter()
            .filter(|(cause, _)| *cause != "caller_gone");
        counted.map(|(_, count)| count).sum()
    });
    let requests = all.map_or(0, |all| all.requests);
    let share = format::percent(errors as i64, requests as i64);
    let count = |number: u64| format::number(number as i64);
    let error_style = if errors > 0 { theme.warn } else { theme.text };
    let facts = [
        fact("calls/s", format!("{per_second} (last 10s)")),
        fact("in flight", count(sum(|now| now.calls_in_flight))),
        fact("streams", format!("{} open", count(sum(|now| now.streams)))),
        styled(
            "errors",
            format!("{} ({share})", count(errors)),
            error_style,
        ),
        fact("retries", count(all.map_or(0, |all| all.retries))),
    ];
    let height = inside.height.min(facts.len() as u16);
    let curve_width = (inside.width / 2).max(8).min(inside.width);
    if inside.height > facts.len() as u16 + 2 {
        facts::draw(Rect { height, ..inside }, buffer, context, &facts, 0);
        let below = Rect {
            y: inside.y + height + 1,
            height: inside.height - height - 1,
            ..inside
        };
        calls_curve(screen, below, buffer, context);
    } else {
        let left = Rect {
            width: inside.width.saturating_sub(curve_width + 1),
            ..inside
        };
        facts::draw(left, buffer, context, &facts, 0);
        let right = Rect {
            x: inside.right().saturating_sub(curve_width),
            width: curve_width,
            ..inside
        };
        calls_curve(screen, right, buffer, context);
    }
}

/// Calls per minute; a long range is gathered into as many columns as there are.
fn calls_curve(screen: &Overview, area: Rect, buffer: &mut Buffer, context: &Context) {
    let Some(past) = &screen.past else {
        return;
    };
    let width = usize::from(area.width).max(1);
    let each = past.calls.len().div_ceil(width).max(1);
    let gathered: Vec<u64> = past
        .calls
        .rchunks(each)
        .rev()
        .map(|c| c.iter().sum())
        .collect();
    // A short range is stretched, so that the curve fills its room.
    let stretch = (width / gathered.len().max(1)).max(1);
    let values: Vec<u64> = gathered
        .iter()
        .flat_map(|value| std::iter::repeat_n(*value, stretch))
        .collect();
    curve::draw(area, buffer, context.charset, &values, context.theme.accent);
}

fn latency(screen: &Overview, area: Rect, buffer: &mut Buffer, context: &Context) {
    let title = format!("Latency ({})", screen.range().1);
    let inside = pane(area, buffer, context, (&title, "p50 p95 p99 max"), false);
    let Some(past) = &screen.past else {
        return;
    };
    let all = &past.all;
    let shown = |histogram: &tollgate_common::live::Histogram, write: fn(Option<u64>) -> String| {
        let quantiles = [500, 950, 990].map(|per_mille| histogram.quantile(per_mille));
        let cells = quantiles.into_iter().chain([histogram.max()]);
        cells
            .map(|value| format!("{:>8}", write(value)))
            .collect::<String>()
    };
    let facts = [
        fact("first", shown(&all.first_token_ms, millis)),
        fact("total", shown(&all.total_ms, millis)),
        fact("gateway", shown(&all.overhead_us, micros)),
        fact("", ""),
        fact("", "gateway: its own part, without the"),
        fact("", "time that providers took"),
        fact("tokens in", format::number(all.input_tokens as i64)),
        fact("tokens out", format::number(all.output_tokens as i64)),
    ];
    facts::draw(inside, buffer, context, &facts, 0);
}

fn money(screen: &Overview, area: Rect, buffer: &mut Buffer, context: &Context) {
    let theme = &context.theme;
    let Some(books) = &screen.books else {
        pane(area, buffer, context, ("Money (today UTC)", ""), false);
        return;
    };
    let read = format!("read {} ago", format::age(books.at, context.now));
    let inside = pane(area, buffer, context, ("Money (today UTC)", &read), false);
    let day = &books.day;
    let margin = NanoUsd(day.client_cost.0 - day.provider_cost.0);
    let share = format::percent(margin.0, day.client_cost.0);
    let ledger = match &books.check {
        None => styled("ledger", "never verified (V)", theme.dim),
        Some(check) if check.differences == 0 => {
            let age = format::age(check.at, context.now);
            styled("ledger", format!("balanced, {age} ago"), theme.good)
        }
        Some(check) => {
            let text = format!("! {} differences", check.differences);
            styled("ledger", text, theme.bad)
        }
    };
    let low = match books.low_count {
        0 => fact("low balance", "none"),
        count => styled("low balance", format!("! {count} teams"), theme.warn),
    };
    let facts = [
        fact("credits used", format::credits(day.credits)),
        fact("provider cost", format::dollars(day.provider_cost)),
        fact(
            "billed",
            format!("{}  margin {share}", format::dollars(day.client_cost)),
        ),
        low,
        ledger,
        fact(
            "jobs",
            format!("{} ok, {} failed", day.completed, day.failed),
        ),
    ];
    facts::draw(inside, buffer, context, &facts, 0);
}

fn providers(screen: &Overview, area: Rect, buffer: &mut Buffer, context: &Context) {
    let focus = screen.pane == Pane::Providers;
    let remark = screen.range().1;
    let inside = pane(area, buffer, context, ("Providers", remark), focus);
    let Some(present) = &screen.present else {
        return;
    };
    if present.providers.is_empty() {
        let text = "none yet: 8, then n";
        line(
            inside.x,
            inside.y,
            inside.right(),
            buffer,
            text,
            context.theme.dim,
        );
    }
    let rows_shown = present.providers.iter().map(|(name, keys)| {
        let traffic = screen
            .past
            .as_ref()
            .and_then(|past| past.all.providers.get(name));
        let resting = health::resting(present, keys);
        let (word, style) = health::provider(keys, resting, traffic, &context.theme);
        let figures = traffic.map_or_else(String::new, |traffic| {
            let p95 = millis(traffic.total_ms.quantile(950));
            let share = format::percent(traffic.failures as i64, traffic.tries as i64);
            format!("p95 {p95:>6}  err {share:>6}")
        });
        (name.clone(), word, style, figures)
    });
    let rows_shown: Vec<_> = rows_shown.collect();
    let cursor = focus.then_some(screen.place);
    listed(
        inside,
        buffer,
        context,
        cursor,
        rows_shown.len(),
        |row, index, buffer| {
            let (name, word, style, figures) = &rows_shown[index];
            let width = row.width.saturating_sub(columns::GAP * 2);
            let name_width = (width / 3).max(8);
            let name = format::cut(name, name_width.into(), context.charset.ellipsis());
            line(row.x, row.y, row.right(), buffer, &name, context.theme.text);
            let x = row.x + name_width + 1;
            line(x, row.y, row.right(), buffer, word, *style);
            let start = row.right().saturating_sub(figures.len() as u16).max(x + 10);
            line(
                start,
                row.y,
                row.right(),
                buffer,
                figures,
                context.theme.text,
            );
        },
    );
}

/// Rows from the one on that keeps the cursor in sight, each drawn by `draw`.
fn listed(
    area: Rect,
    buffer: &mut Buffer,
    context: &Context,
    cursor: Option<usize>,
    count: usize,
    draw: impl Fn(Rect, usize, &mut Buffer),
) {
    let height = usize::from(area.height);
    let skip = cursor.map_or(0, |place| (place + 1).saturating_sub(height));
    for (row, index) in rows(area).zip(skip..count) {
        draw(row, index, buffer);
        if cursor == Some(index) {
            buffer.set_style(row.intersection(buffer.area), context.theme.selected);
        }
    }
}

fn teams(screen: &Overview, area: Rect, buffer: &mut Buffer, context: &Context) {
    let focus = screen.pane == Pane::Teams;
    let inside = pane(area, buffer, context, ("Top teams (5m)", "calls"), focus);
    let bars: Vec<Bar> = screen
        .busiest()
        .into_iter()
        .map(|(id, team)| Bar {
            name: id.to_owned(),
            size: team.calls,
            amount: format::number(team.calls as i64),
        })
        .collect();
    if bars.is_empty() {
        let text = "no calls in the last five minutes";
        line(
            inside.x,
            inside.y,
            inside.right(),
            buffer,
            text,
            context.theme.dim,
        );
        return;
    }
    let skip = if focus {
        (screen.place + 1).saturating_sub(inside.height.into())
    } else {
        0
    };
    bars::draw(
        inside,
        buffer,
        context,
        bars.get(skip..).unwrap_or_default(),
    );
    if focus && let Some(row) = rows(inside).nth(screen.place.saturating_sub(skip)) {
        buffer.set_style(row.intersection(buffer.area), context.theme.selected);
    }
}

fn errors(screen: &Overview, area: Rect, buffer: &mut Buffer, context: &Context) {
    let title = format!("Errors ({})", screen.range().1);
    let inside = pane(area, buffer, context, (&title, "by cause"), false);
    let Some(past) = &screen.past else {
        return;
    };
    let mut causes: Vec<(&String, &u64)> = past.all.errors.iter().collect();
    causes.sort_by_key(|(cause, count)| {
        (cause.as_str() == "caller_gone", std::cmp::Reverse(**count))
    });
    let bars: Vec<Bar> = causes
        .into_iter()
        .map(|(cause, count)| Bar {
            name: cause.clone(),
            size: *count,
            amount: if cause == "caller_gone" {
                format!("{} (no error)", format::number(*count as i64))
            } else {
                format::number(*count as i64)
            },
        })
        .collect();
    if bars.is_empty() {
        line(
            inside.x,
            inside.y,
            inside.right(),
            buffer,
            "none",
            context.theme.good,
        );
    }
    bars::draw(inside, buffer, context, &bars);
}

fn models(screen: &Overview, area: Rect, buffer: &mut Buffer, context: &Context) {
    let title = format!("Models ({})", screen.range().1);
    let inside = pane(area, buffer, context, (&title, "answers"), false);
    let Some(past) = &screen.past else {
        return;
    };
    let mut models: Vec<(&String, &u64)> = past.all.models.iter().collect();
    models.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let bars: Vec<Bar> = models
        .into_iter()
        .map(|(alias, count)| Bar {
            name: alias.clone(),
            size: *count,
            amount: format::number(*count as i64),
        })
        .collect();
    if bars.is_empty() {
        line(
            inside.x,
            inside.y,
            inside.right(),
            buffer,
            "none",
            context.theme.dim,
        );
    }
    bars::draw(inside, buffer, context, &bars);
}

fn attention(screen: &Overview, area: Rect, buffer: &mut Buffer, context: &Context) {
    let theme = &context.theme;
    let focus = screen.pane == Pane::Attention;
    let lines = screen.lines(context.now);
    let remark = lines.len().to_string();
    let inside = pane(area, buffer, context, ("Attention", &remark), focus);
    if lines.is_empty() {
        let text = if screen.books.is_some() {
            "nothing"
        } else {
            "loading"
        };
        line(inside.x, inside.y, inside.right(), buffer, text, theme.good);
    }
    let cursor = focus.then_some(screen.place);
    listed(
        inside,
        buffer,
        context,
        cursor,
        lines.len(),
        |row, index, buffer| {
            let item = &lines[index];
            let (sign, style) = if item.urgent {
                ("!", theme.bad)
            } else {
                (".", theme.dim)
            };
            let x = line(row.x, row.y, row.right(), buffer, sign, style) + 1;
            let room = usize::from(row.right().saturating_sub(x));
            let text = format::cut(&item.text, room, context.charset.ellipsis());
            line(x, row.y, row.right(), buffer, &text, theme.text);
        },
    );
}

fn jobs(screen: &Overview, area: Rect, buffer: &mut Buffer, context: &Context) {
    let inside = pane(area, buffer, context, ("Newest jobs", "2 lists all"), false);
    let Some(present) = &screen.present else {
        return;
    };
    for (row, job) in rows(inside).zip(&present.jobs) {
        let style = match job.state {
            state if state.is_open() => context.theme.accent,
            tollgate_common::job::JobState::Failed => context.theme.bad,
            _ => Style::new(),
        };
        let fact: Fact = styled(
            format::short_id(&job.id.to_string()),
            described(job, context),
            style,
        );
        facts::draw(row, buffer, context, &[fact], 0);
    }
}

fn described(job: &tollgate_common::job::Job, context: &Context) -> String {
    let charged = job.charged.map_or_else(String::new, |charged| {
        format!("{} credits", format::credits(charged))
    });
    format!(
        "{:<22}  {:<18}  {:<12}  {:>14}  {:>6}",
        format::cut(job.team_id.as_str(), 22, context.charset.ellipsis()),
        format::cut(&job.job_type, 18, context.charset.ellipsis()),
        job.state.word(),
        charged,
        format::age(job.created_at, context.now),
    )
}
