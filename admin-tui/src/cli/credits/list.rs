//! What all teams have, and what their open jobs hold.

use serde::Serialize;
use tollgate_common::clock::Timestamp;
use tollgate_common::db::ledger::accounts::{self, ACCOUNTS, AccountOrder, ListedAccount};
use tollgate_common::db::ledger::holds::{self, HOLDS, Hold};
use tollgate_common::id::{JobId, OrgId, TeamId};
use tollgate_common::money::Credits;

use super::super::error::Failure;
use super::super::every;
use super::super::output::{Column, Output, Row, numbers, or_dash, time, words};
use super::super::team;
use super::view::BalanceView;
use crate::session::Session;

/// What a team has, with what it spends.
#[derive(Debug, Serialize)]
struct AccountView {
    org: OrgId,
    #[serde(flatten)]
    balance: BalanceView,
    credits_per_day: Credits,
    days_left: Option<i64>,
    #[serde(skip)]
    cells: [String; 6],
}

impl AccountView {
    fn new(listed: ListedAccount, now: Timestamp) -> Self {
        let account = &listed.account;
        let cells = [
            account.balance,
            account.held,
            account.available(),
            account.used,
            account.allocated,
            account.overdraft,
        ];
        Self {
            cells: cells.map(|credits| credits.to_string()),
            credits_per_day: listed.burn(now),
            days_left: listed.days_left(now),
            org: listed.org_id,
            balance: BalanceView::new(listed.account, now),
        }
    }
}

impl Row for AccountView {
    const COLUMNS: &'static [Column] = &[
        words("TEAM"),
        words("ORG"),
        numbers("BALANCE"),
        numbers("HELD"),
        numbers("AVAILABLE"),
        numbers("USED"),
        numbers("ALLOCATED"),
        numbers("OVERDRAFT"),
        numbers("PER DAY"),
        numbers("DAYS LEFT"),
    ];

    fn cells(&self) -> Vec<String> {
        let mut cells = vec![self.balance.team().to_string(), self.org.to_string()];
        cells.extend(self.cells.iter().cloned());
        cells.push(self.credits_per_day.to_string());
        cells.push(or_dash(self.days_left));
        cells
    }
}

/// Lists what all teams have that the filter lets through.
pub(super) async fn accounts(
    session: &Session,
    output: Output,
    filter: &str,
) -> Result<(), Failure> {
    let now = session.now();
    let filter = every::filter(&ACCOUNTS, filter, now)?;
    let mut connection = session.database.dedicated_connection().await?;
    let order = (AccountOrder::Team, false);
    let rows = every::row(&filter, async |request| {
        accounts::page(&mut connection, order, request, now).await
    });
    let rows = rows.await?.into_iter();
    let views: Vec<AccountView> = rows.map(|row| AccountView::new(row, now)).collect();
    output.list(&views, "No accounts.")
}

/// An open job with its hold.
#[derive(Debug, Serialize)]
struct HoldView {
    job_id: JobId,
    status: &'static str,
    job_type: String,
    held: Credits,
    calls_in_flight: i64,
    created_at: Timestamp,
    active_at: Timestamp,
}

impl From<Hold> for HoldView {
    fn from(hold: Hold) -> Self {
        Self {
            job_id: hold.job_id,
            status: hold.state.word(),
            job_type: hold.job_type,
            held: hold.credits,
            calls_in_flight: hold.in_flight,
            created_at: hold.created_at,
            active_at: hold.active_at,
        }
    }
}

impl Row for HoldView {
    const COLUMNS: &'static [Column] = &[
        words("JOB"),
        words("STATUS"),
        words("TYPE"),
        numbers("HELD"),
        numbers("IN FLIGHT"),
        words("CREATED"),
        words("ACTIVE"),
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            self.job_id.to_string(),
            self.status.to_owned(),
            self.job_type.clone(),
            self.held.to_string(),
            self.calls_in_flight.to_string(),
            time(self.created_at),
            time(self.active_at),
        ]
    }
}

/// Lists the open holds of a team that the filter lets through.
pub(super) async fn holds(
    session: &Session,
    output: Output,
    team: &TeamId,
    filter: &str,
) -> Result<(), Failure> {
    team::account(session, team).await?;
    let text = format!("team:{team} {filter}");
    let filter = every::filter(&HOLDS, &text, session.now())?;
    let mut connection = session.database.dedicated_connection().await?;
    let rows = every::row(&filter, async |request| {
        holds::page(&mut connection, request).await
    });
    let views: Vec<HoldView> = rows.await?.into_iter().map(HoldView::from).collect();
    output.list(&views, "Nothing is held.")
}
