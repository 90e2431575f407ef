//! Everything about an organization, as sections of facts.

use tollgate_common::db::org::list::ListedOrg;
use tollgate_common::db::team::list::ListedTeam;

use crate::dashboard::context::Context;
use crate::dashboard::format;
use crate::dashboard::screens::sections::{Section, records, section};
use crate::dashboard::screens::teams::standing_cell;
use crate::dashboard::store::orgs::Detail;
use crate::dashboard::widgets::facts::{Fact, fact, styled};

/// What is known of an organization; what only its detail says stands there once that has arrived.
pub(super) fn sections(
    listed: &ListedOrg,
    detail: Option<&Detail>,
    context: &Context,
) -> Vec<Section> {
    let mut sections = vec![
        section("Standing", standing(listed, context)),
        section("Its teams together", credits(listed)),
    ];
    if let Some(detail) = detail {
        let teams = detail.teams.iter().map(|team| of_team(team, context));
        sections.push(section("Teams that have used most", teams.collect()));
        let facts = records(&detail.records, context.now);
        sections.push(section("Latest changes", facts));
    }
    sections
}

fn standing(listed: &ListedOrg, context: &Context) -> Vec<Fact> {
    let standing = listed.org.standing.at(context.now);
    let shown = standing_cell(standing, context);
    let mut facts = vec![
        styled("status", shown.text, shown.style),
        fact("name", listed.org.name.as_str()),
    ];
    if let Some(until) = standing.paused_until() {
        facts.push(fact("until", format::moment(until)));
    }
    facts.push(fact("created", format::moment(listed.org.created_at)));
    facts.push(fact("changed", format::moment(listed.updated_at)));
    facts
}

fn credits(listed: &ListedOrg) -> Vec<Fact> {
    let teams = format!(
        "{}, {} of them stopped",
        format::number(listed.teams),
        format::number(listed.stopped_teams)
    );
    vec![
        fact("teams", teams),
        fact("keys", format::number(listed.keys)),
        fact("balance", format::credits(listed.balance)),
        fact("held", format::credits(listed.held)),
        fact("used", format::credits(listed.used)),
        fact("used today", format::credits(listed.today)),
    ]
}

fn of_team(listed: &ListedTeam, context: &Context) -> Fact {
    let standing = standing_cell(listed.team.standing.at(context.now), context);
    let value = format!(
        "{} used, {} left, {}",
        format::credits(listed.account.used),
        format::credits(listed.account.balance),
        standing.text
    );
    fact(listed.team.id.as_str(), value)
}
