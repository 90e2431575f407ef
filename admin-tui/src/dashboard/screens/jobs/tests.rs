//! The screens of jobs over a table that a test makes up.

use std::time::Duration;

use ratatui::layout::Size;
use tollgate_common::clock::Timestamp;
use tollgate_common::command::Command;

use super::*;
use crate::dashboard::message::Message;
use crate::dashboard::testing::{NOW, context};
use crate::dashboard::theme::{Theme, ThemeName};
use crate::dashboard::widgets::list::Start;
use desk::{Desk, job, job_row};

mod desk;

const SIZES: [(u16, u16); 3] = [(80, 24), (120, 40), (200, 60)];

#[test]
fn how_lists_jobs_and_calls_look() {
    for (width, height) in SIZES {
        let mut desk = Desk::new(Size::new(width, height), 900);
        desk.press("j j space");
        let shot = |desk: &Desk, name: &str| {
            insta::assert_snapshot!(format!("{name}_{width}x{height}"), desk.look());
        };
        shot(&desk, "list");
        desk.press("ctrl-\\ enter");
        desk.press("j");
        shot(&desk, "job");
        desk.press("enter");
        shot(&desk, "call_failed");
        desk.press("esc j enter");
        shot(&desk, "call_in_flight");
    }
}

#[test]
fn how_the_questions_look() {
    let mut desk = Desk::new(Size::new(80, 24), 12);
    desk.press("j j K");
    insta::assert_snapshot!("ask_one", desk.look());
    desk.press("esc j j space space space space space K");
    insta::assert_snapshot!("ask_many", desk.look());
}

#[test]
fn how_it_looks_without_colours_and_while_searching() {
    let mut desk = Desk::new(Size::new(80, 24), 5);
    desk.model.context.theme = Theme::of(ThemeName::Mono);
    desk.steps_left = 3;
    desk.press("/");
    desk.write("type:chat team:zeta");
    desk.press("enter");
    insta::assert_snapshot!("search_mono", desk.look());
}

#[test]
fn no_size_is_too_small_or_too_large() {
    for (width, height) in [
        (1, 1),
        (20, 5),
        (60, 15),
        (61, 16),
        (79, 29),
        (100, 30),
        (160, 45),
        (300, 100),
    ] {
        let mut desk = Desk::new(Size::new(width, height), 300);
        desk.press("j");
        let _ = desk.look();
        desk.press("K");
        let _ = desk.look();
        desk.press("esc enter");
        let _ = desk.look();
        desk.press("enter");
        let _ = desk.look();
    }
}

#[test]
fn the_tail_follows_at_the_top_and_holds_still_below() {
    let mut desk = Desk::new(Size::new(80, 24), 50);
    assert!(desk.last_line_but_one().ends_with("following"));
    desk.count += 1;
    desk.refresh();
    assert!(desk.last_line_but_one().starts_with("row 1 of"));
    desk.press("j j");
    let before = desk.look();
    desk.count += 12;
    desk.refresh();
    let status = desk.last_line_but_one();
    assert!(status.contains("^ 12 new above (g to follow)"), "{status}");
    // The ages are the same in this table, so nothing but the status may have moved.
    let rows = |look: &str| {
        look.lines()
            .skip(3)
            .take(5)
            .map(|l| l[..20].to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(rows(&before), rows(&desk.look()));
    desk.press("g");
    assert!(desk.last_line_but_one().ends_with("following"));
}

#[test]
fn a_search_goes_on_until_it_has_found_something() {
    let mut desk = Desk::new(Size::new(80, 24), 3);
    desk.steps_left = 4;
    desk.press("/");
    desk.write("type:chat");
    desk.press("enter");
    assert!(desk.last_line_but_one().contains("o goes on"));
    // Each second step finds nothing, and one key goes over it.
    desk.press(".");
    let steps = |desk: &Desk| {
        let asked = desk.asked.iter();
        asked
            .filter(|query| matches!(query, Query::More(..)))
            .count()
    };
    assert_eq!(steps(&desk), 1);
    assert!(desk.last_line_but_one().contains("of 4 found"));
    desk.press(".");
    assert_eq!(steps(&desk), 3);
    desk.press(".");
    assert_eq!(steps(&desk), 4);
    assert!(!desk.last_line_but_one().contains("goes on"));
    let again = desk.asked.len();
    desk.refresh();
    let asked = &desk.asked[again..];
    assert!(
        asked
            .iter()
            .any(|query| matches!(query, Query::Again(ids) if ids.len() == 5))
    );
}

#[test]
fn what_another_search_has_found_is_dropped() {
    let mut jobs = Jobs::default();
    let looks = context();
    jobs.reach = Some(NOW);
    let _ = jobs.search_on();
    let _ = jobs.set_filter("type:other", &looks).unwrap();
    let late = JobsAnswer::More(vec![job_row(0, 1)], None);
    assert!(jobs.receive(MORE, Answer::Jobs(late), &looks).is_empty());
    assert!(jobs.list.rows().is_empty());
}

#[test]
fn cancelling_asks_and_names_the_job_by_its_id() {
    let mut desk = Desk::new(Size::new(80, 24), 12);
    // Number 11 is cancelled, 10 completed, 9 pending.
    desk.press("K");
    assert!(
        desk.last_line_but_one()
            .contains("the job has ended: cancelled")
    );
    desk.press("j j K enter y");
    let change = desk.changes.pop().expect("a change");
    assert_eq!(change.reason, None);
    let Operation::Command(command) = change.operation else {
        panic!("{change:?}");
    };
    let wanted = job(9, 12).id;
    assert!(matches!(*command, Command::CancelJob { id, .. } if id == wanted));
    desk.press("esc F");
    desk.write("stuck");
    desk.press("tab y");
    let change = desk.changes.pop().expect("a change");
    assert_eq!(change.reason.as_deref(), Some("stuck"));
    assert!(matches!(change.operation, Operation::Command(command)
        if matches!(*command, Command::FailJob { id, .. } if id == wanted)));
}

#[test]
fn several_jobs_are_cancelled_by_typing_their_number() {
    let mut desk = Desk::new(Size::new(80, 24), 12);
    desk.press("space space space space space space K");
    // Numbers 11 to 6; those that have ended are left out.
    desk.write("2");
    desk.press("tab");
    desk.write("runaway");
    desk.press("tab y");
    assert!(desk.changes.is_empty(), "the first second is for reading");
    let later = NOW.plus(Duration::from_secs(2));
    let effects = desk.model.update(later, Message::Key("y".parse().unwrap()));
    desk.settle(effects);
    let change = desk.changes.pop().expect("a change");
    let Operation::Commands(commands) = change.operation else {
        panic!("{change:?}");
    };
    let ids: Vec<JobId> = commands
        .iter()
        .filter_map(|command| match command {
            Command::CancelJob { id, .. } => Some(*id),
            _ => None,
        })
        .collect();
    assert_eq!(ids, [job(6, 12).id, job(9, 12).id]);
}

#[test]
fn filters_are_read_and_times_gone_to() {
    let mut jobs = Jobs::default();
    let looks = context();
    let error = jobs.set_filter("colour:red", &looks).unwrap_err();
    assert!(error.contains("use team, org, status"), "{error}");
    assert!(
        jobs.set_filter("at:soon", &looks)
            .unwrap_err()
            .contains("at: write a time")
    );
    jobs.set_filter("team:zeta at:2026-07-01T10:00 status:failed", &looks)
        .unwrap();
    assert_eq!(jobs.filter(), Some("team:zeta status:failed"));
    let ten = Timestamp::parse_rfc3339("2026-07-01T10:00:00.000001Z").unwrap();
    let place = Place {
        created_at: ten,
        id: None,
    };
    assert_eq!(jobs.list.start(), Start::At(place));
    let id = job(1, 2).id;
    jobs.set_filter(&id.to_string(), &looks).unwrap();
    assert_eq!(jobs.filter(), Some(format!("id:{id}").as_str()));
    assert_eq!(jobs.complete_filter("status:op"), ["status:open"]);
    assert_eq!(jobs.complete_filter("team:a a"), ["team:a at:"]);
    assert!(
        jobs.set_filter(&format!("id:{id}"), &looks)
            .unwrap()
            .is_empty()
    );
}

#[test]
fn copies_and_exports_leave_by_their_own_ways() {
    let mut desk = Desk::new(Size::new(80, 24), 12);
    desk.press("y Y E");
    assert_eq!(desk.copied, 2);
    let change = desk.changes.pop().expect("an export");
    let Operation::Export(export) = change.operation else {
        panic!("{change:?}");
    };
    assert_eq!(export.noun, "jobs");
    assert_eq!(export.file_name, "jobs-2026-07-01-12-41-11.csv");
}
