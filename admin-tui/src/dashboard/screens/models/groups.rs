//! Groups of models: what teams are granted, and in which order a call to a group tries them.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use tollgate_common::db::model::group::GROUPS;
use tollgate_common::db::page::SEARCH;
use tollgate_common::filter::{self, Filter};
use tollgate_common::id::{GroupName, TeamId};

use super::detail::padded;
use crate::dashboard::context::{Class, Context};
use crate::dashboard::format;
use crate::dashboard::keys::{Action, Binding, bind};
use crate::dashboard::screens::Screen;
use crate::dashboard::step::{Slot, Step, Tone};
use crate::dashboard::store::models::{Answer as Read, Desk, GroupRow, Query as Ask};
use crate::dashboard::store::part;
use crate::dashboard::store::{Answer, Query};
use crate::dashboard::tab::Tab;
use crate::dashboard::widgets::facts::{self, Fact, fact, styled};
use crate::dashboard::widgets::list::{List, Row as _};
use crate::dashboard::widgets::pane::pane;
use crate::dashboard::windows::Window;
use crate::dashboard::windows::text::Text;

mod forms;
mod row;

/// What keys do here.
pub(crate) const BINDINGS: &[Binding] = &[
    bind(Action::Open, &["enter"], "details"),
    bind(Action::NextPane, &["tab"], "models"),
    bind(Action::Filter, &["/"], "filter"),
    bind(Action::New, &["n"], "new"),
    bind(Action::AddMember, &["a"], "add model"),
    bind(Action::RemoveMember, &["D"], "take model out"),
    bind(Action::ShowModels, &["o"], "its models"),
    bind(Action::ShowTeams, &["i"], "its teams"),
    bind(Action::ReverseSort, &["S"], "reverse"),
    bind(Action::SearchOn, &["."], "search on"),
];

const LIST: Slot = 0;
const GRANTED: Slot = 1;
/// What forms need comes to these slots, one for each form.
const NEW: Slot = 10;
const ADD: Slot = 11;

/// The screen of groups.
#[derive(Debug)]
pub(super) struct Groups {
    list: List<GroupRow>,
    filter: String,
    reversed: bool,
    search: i64,
    /// The teams that are granted the group of this name, the first of them.
    granted: Option<(GroupName, Vec<TeamId>)>,
}

impl Default for Groups {
    fn default() -> Self {
        Self {
            list: List::default(),
            filter: String::new(),
            reversed: false,
            search: SEARCH,
            granted: None,
        }
    }
}

impl Groups {
    fn read(&self) -> Step {
        let mut ask = part::Ask::new(self.filter.clone(), self.list.start());
        ask.search = self.search;
        Step::Load(LIST, Query::Models(Ask::Groups(ask, self.reversed)))
    }

    fn begin_anew(&mut self) -> Vec<Step> {
        self.list.restart();
        vec![self.read()]
    }

    /// Asks for the teams of the group under the cursor.
    fn read_granted(&self) -> Option<Step> {
        let name = self.list.current()?.listed.name.clone();
        Some(Step::Load(GRANTED, Query::Models(Ask::Granted(name))))
    }

    fn open(&self, slot: Slot, desk: &Desk) -> Vec<Step> {
        let form = match slot {
            NEW => Some(forms::new(desk)),
            ADD => self.list.current().map(|row| forms::add(row, desk)),
            _ => None,
        };
        let window = form.map(|form| Box::new(form) as Box<dyn Window>);
        window.map(Step::Open).into_iter().collect()
    }

    /// What there is to know of the group under the cursor.
    fn lines(&self, context: &Context) -> Vec<Fact> {
        let Some(row) = self.list.current() else {
            return vec![styled("", "nothing is selected", context.theme.dim)];
        };
        let group = &row.listed;
        let mut facts = vec![
            fact("group", group.name.to_string()),
            fact("made", format::moment(group.created_at)),
            fact("models", "a call to the group tries them in this order"),
        ];
        for (place, (alias, calls)) in group.models.iter().zip(&row.calls).enumerate() {
            let calls = format::count(*calls);
            let text = format!("{alias}  ({calls} calls in 15 min)");
            facts.push(fact(format!("{:>6}", place + 1), text));
        }
        if group.models.is_empty() {
            facts.push(styled("", "none: a adds one", context.theme.warn));
        }
        let teams = format::number(group.teams);
        facts.push(fact(
            "teams",
            format!("{teams} are granted it; grants are teams' settings"),
        ));
        if let Some((name, teams)) = &self.granted
            && *name == group.name
        {
            facts.extend(teams.iter().map(|team| fact("", team.to_string())));
            let more = group.teams - i64::try_from(teams.len()).unwrap_or(i64::MAX);
            if more > 0 {
                facts.push(fact("", format!("and {} more", format::number(more))));
            }
        }
        facts
    }

    fn details(&self, context: &Context) -> Vec<Step> {
        let lines = self.lines(context).into_iter();
        let lines = lines.map(|fact| format!("{:<8} {}", fact.label, fact.value));
        let window = Text::new("Group", lines.collect());
        vec![Step::Open(Box::new(window))]
    }
}

impl Screen for Groups {
    fn tab(&self) -> Tab {
        Tab::Models
    }

    fn crumb(&self) -> Option<String> {
        Some("groups".to_owned())
    }

    fn filter(&self) -> Option<&str> {
        Some(&self.filter)
    }

    fn bindings(&self) -> &'static [Binding] {
        BINDINGS
    }

    fn refusal(&self, action: Action, _context: &Context) -> Option<String> {
        if action == Action::SearchOn && self.list.note().is_empty() {
            return Some("everything was searched".to_owned());
        }
        let needs_group = matches!(
            action,
            Action::Open
                | Action::AddMember
                | Action::RemoveMember
                | Action::ShowModels
                | Action::ShowTeams
        );
        match self.list.current() {
            None if needs_group => Some("no group is selected".to_owned()),
            Some(row) if action == Action::RemoveMember && row.listed.models.is_empty() => {
                Some("it holds no model".to_owned())
            }
            _ => None,
        }
    }

    fn refresh(&mut self, _context: &Context) -> Vec<Step> {
        let mut steps = vec![self.read()];
        steps.extend(self.read_granted());
        steps
    }

    fn receive(&mut self, slot: Slot, answer: Answer, _context: &Context) -> Vec<Step> {
        match answer {
            Answer::Models(Read::Groups(page)) => {
                let before = self.list.current().map(GroupRow::id);
                self.list.receive(page);
                if self.list.current().map(GroupRow::id) != before {
                    return self.read_granted().into_iter().collect();
                }
            }
            Answer::Models(Read::Granted(name, teams)) => self.granted = Some((name, teams)),
            Answer::Models(Read::Desk(desk)) => return self.open(slot, &desk),
            _ => {}
        }
        Vec::new()
    }

    fn act(&mut self, action: Action, context: &Context) -> Vec<Step> {
        if let Some(needs_page) = self.list.act(action) {
            let page = needs_page.then(|| self.read());
            return page.into_iter().chain(self.read_granted()).collect();
        }
        let current = self.list.current();
        match (action, current) {
            (Action::NextPane, _) => vec![Step::Pop],
            (Action::New, _) => vec![Step::Load(NEW, Query::Models(Ask::Desk(None)))],
            (Action::AddMember, Some(_)) => {
                vec![Step::Load(ADD, Query::Models(Ask::Desk(None)))]
            }
            (Action::RemoveMember, Some(row)) => {
                vec![Step::Open(Box::new(forms::remove(row, context)))]
            }
            (Action::ShowModels, Some(row)) => {
                let filter = format!("group:{}", row.id());
                vec![Step::Go(Tab::Models), Step::Filter(filter, true)]
            }
            (Action::ShowTeams, Some(row)) => {
                let filter = format!("group:{}", row.id());
                vec![Step::Go(Tab::Teams), Step::Filter(filter, true)]
            }
            (Action::Open, Some(_)) => self.details(context),
            (Action::CopyId, Some(row)) => vec![Step::Copy(row.id())],
            (Action::CopyRow, Some(row)) => vec![Step::Copy(row.json().to_string())],
            (Action::ReverseSort, _) => {
                self.reversed = !self.reversed;
                self.begin_anew()
            }
            (Action::SearchOn, _) => {
                self.search = self.search.saturating_mul(4);
                let say = Step::Say(Tone::Good, "searching on".to_owned());
                vec![self.read(), say]
            }
            _ => Vec::new(),
        }
    }

    fn set_filter(&mut self, text: &str, context: &Context) -> Result<Vec<Step>, String> {
        Filter::parse(&GROUPS, text, context.now).map_err(|error| error.to_string())?;
        if text.trim() == self.filter {
            return Ok(Vec::new());
        }
        text.trim().clone_into(&mut self.filter);
        self.search = SEARCH;
        Ok(self.begin_anew())
    }

    fn complete_filter(&self, text: &str) -> Vec<String> {
        let names = |word: &str| {
            let rows = self.list.rows().iter();
            match word {
                "group" => rows.map(GroupRow::id).collect(),
                "model" => {
                    let aliases = rows.flat_map(|row| &row.listed.models);
                    let mut aliases: Vec<String> = aliases.map(ToString::to_string).collect();
                    aliases.sort_unstable();
                    aliases.dedup();
                    aliases
                }
                _ => Vec::new(),
            }
        };
        filter::complete(&GROUPS, text, &names)
    }

    fn status(&self, _context: &Context) -> String {
        self.list.status()
    }

    fn draw(&self, area: Rect, buffer: &mut Buffer, context: &Context) {
        let empty = if self.filter.is_empty() {
            "no groups yet: n makes one"
        } else {
            "no group fits the filter: esc clears it"
        };
        if context.class() <= Class::Compact {
            self.list.draw(area, buffer, context, empty);
            return;
        }
        let beside = (area.width * 2 / 5).clamp(44, 68);
        let left = Rect {
            width: area.width.saturating_sub(beside),
            ..area
        };
        let right = Rect {
            x: left.right(),
            width: beside,
            ..area
        };
        let position = self.list.position();
        let inside = pane(left, buffer, context, ("Groups of models", &position), true);
        self.list.draw(inside, buffer, context, empty);
        let inside = pane(right, buffer, context, ("Group", ""), false);
        facts::draw(padded(inside), buffer, context, &self.lines(context), 0);
    }
}
