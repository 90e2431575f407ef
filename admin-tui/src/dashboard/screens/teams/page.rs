//! Everything about one team on a page of its own.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use tollgate_common::db::team::list::ListedTeam;

use super::{DETAIL, acts, detail, load};
use crate::dashboard::context::Context;
use crate::dashboard::keys::{Action, Binding, bind};
use crate::dashboard::screens::Screen;
use crate::dashboard::screens::sections::Scroll;
use crate::dashboard::step::{Slot, Step};
use crate::dashboard::store::Answer;
use crate::dashboard::store::teams::{Answer as Found, Detail, Names, Query as Asked};
use crate::dashboard::tab::Tab;

const BINDINGS: &[Binding] = &[
    bind(Action::Edit, &["e"], "edit"),
    bind(Action::Standing, &["p"], "suspend, resume"),
    bind(Action::AddCredits, &["c"], "add credits"),
    bind(Action::NewKey, &["N"], "new key"),
    bind(Action::Limits, &["l"], "limits"),
    bind(Action::Groups, &["a"], "groups"),
    bind(Action::Pause, &["P"], "pause"),
    bind(Action::ShowKeys, &["K"], "its keys"),
    bind(Action::ShowJobs, &["J"], "its jobs"),
    bind(Action::ShowCredits, &["C"], "its credits"),
    bind(Action::ShowAudit, &["A"], "its changes"),
];

/// A team.
#[derive(Debug)]
pub(super) struct TeamPage {
    listed: ListedTeam,
    detail: Option<Box<Detail>>,
    names: Names,
    is_gone: bool,
    scroll: Scroll,
}

impl TeamPage {
    /// The page of a team, with what is known of it.
    pub(super) fn new(listed: &ListedTeam, detail: Option<&Detail>, names: &Names) -> Self {
        Self {
            listed: listed.clone(),
            detail: detail.cloned().map(Box::new),
            names: names.clone(),
            is_gone: false,
            scroll: Scroll::default(),
        }
    }
}

impl Screen for TeamPage {
    fn tab(&self) -> Tab {
        Tab::Teams
    }

    fn crumb(&self) -> Option<String> {
        Some(self.listed.team.id.to_string())
    }

    fn bindings(&self) -> &'static [Binding] {
        BINDINGS
    }

    fn refusal(&self, action: Action, _context: &Context) -> Option<String> {
        if self.is_gone && action.is_change() {
            return Some("this team is gone".to_owned());
        }
        acts::refusal(action, 1, Some(&self.names))
    }

    fn refresh(&mut self, _context: &Context) -> Vec<Step> {
        let id = self.listed.team.id.clone();
        vec![load(DETAIL, Asked::Detail(id))]
    }

    fn receive(&mut self, _slot: Slot, answer: Answer, _context: &Context) -> Vec<Step> {
        match answer {
            Answer::Teams(Found::Detail(detail)) => {
                self.is_gone = detail.is_none();
                if let Some(detail) = detail {
                    self.listed = detail.listed.clone();
                    self.detail = Some(detail);
                }
                Vec::new()
            }
            Answer::Credits(found) => acts::receive(found),
            _ => Vec::new(),
        }
    }

    fn act(&mut self, action: Action, context: &Context) -> Vec<Step> {
        if self.scroll.act(action) {
            return Vec::new();
        }
        match action {
            Action::CopyId => vec![Step::Copy(self.listed.team.id.to_string())],
            _ => acts::act(action, &[&self.listed], &self.names, context),
        }
    }

    fn status(&self, _context: &Context) -> String {
        if self.is_gone {
            return "this team is gone".to_owned();
        }
        self.listed.team.name.clone()
    }

    fn draw(&self, area: Rect, buffer: &mut Buffer, context: &Context) {
        let sections = detail::sections(&self.listed, self.detail.as_deref(), context);
        let title = self.listed.team.id.as_str();
        self.scroll.draw(area, buffer, context, (title, sections));
    }
}
