//! Everything about one organization on a page of its own.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use tollgate_common::db::org::list::ListedOrg;

use super::{DETAIL, acts, detail, load};
use crate::dashboard::context::Context;
use crate::dashboard::keys::{Action, Binding, bind};
use crate::dashboard::screens::Screen;
use crate::dashboard::screens::sections::Scroll;
use crate::dashboard::step::{Slot, Step};
use crate::dashboard::store::Answer;
use crate::dashboard::store::orgs::{Answer as Found, Detail, Query as Asked};
use crate::dashboard::tab::Tab;

const BINDINGS: &[Binding] = &[
    bind(Action::ShowTeams, &["T", "enter"], "its teams"),
    bind(Action::Edit, &["e"], "rename"),
    bind(Action::Standing, &["p"], "suspend, resume"),
    bind(Action::Pause, &["P"], "pause"),
    bind(Action::ShowJobs, &["J"], "its jobs"),
    bind(Action::ShowAudit, &["A"], "its changes"),
];

/// An organization.
#[derive(Debug)]
pub(super) struct OrgPage {
    listed: ListedOrg,
    detail: Option<Box<Detail>>,
    is_gone: bool,
    scroll: Scroll,
}

impl OrgPage {
    /// The page of an organization, with what is known of it.
    pub(super) fn new(listed: &ListedOrg, detail: Option<&Detail>) -> Self {
        Self {
            listed: listed.clone(),
            detail: detail.cloned().map(Box::new),
            is_gone: false,
            scroll: Scroll::default(),
        }
    }
}

impl Screen for OrgPage {
    fn tab(&self) -> Tab {
        Tab::Orgs
    }

    fn crumb(&self) -> Option<String> {
        Some(self.listed.org.id.to_string())
    }

    fn bindings(&self) -> &'static [Binding] {
        BINDINGS
    }

    fn refusal(&self, action: Action, _context: &Context) -> Option<String> {
        acts::refusal(action, !self.is_gone)
    }

    fn refresh(&mut self, _context: &Context) -> Vec<Step> {
        let id = self.listed.org.id.clone();
        vec![load(DETAIL, Asked::Detail(id))]
    }

    fn receive(&mut self, _slot: Slot, answer: Answer, _context: &Context) -> Vec<Step> {
        if let Answer::Orgs(Found::Detail(detail)) = answer {
            self.is_gone = detail.is_none();
            if let Some(detail) = detail {
                self.listed = detail.listed.clone();
                self.detail = Some(detail);
            }
        }
        Vec::new()
    }

    fn act(&mut self, action: Action, context: &Context) -> Vec<Step> {
        if self.scroll.act(action) {
            return Vec::new();
        }
        match action {
            Action::CopyId => vec![Step::Copy(self.listed.org.id.to_string())],
            _ => acts::act(action, Some(&self.listed), context),
        }
    }

    fn status(&self, _context: &Context) -> String {
        if self.is_gone {
            return "this organization is gone".to_owned();
        }
        self.listed.org.name.clone()
    }

    fn draw(&self, area: Rect, buffer: &mut Buffer, context: &Context) {
        let sections = detail::sections(&self.listed, self.detail.as_deref(), context);
        let title = self.listed.org.id.as_str();
        self.scroll.draw(area, buffer, context, (title, sections));
    }
}
