//! `tollgate-admin price sync`.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde::Serialize;
use tollgate_common::command::{Command, PriceImport};
use tollgate_common::db::price::import;
use tollgate_common::price::day_text;
use tollgate_common::price::import::{
    Acceptance, ImportCounts, ImportPlan, LIST_BYTES_MAX, MemberMove, PriceChange, PriceList, read,
    sha256,
};
use tollgate_common::role::Role;

use super::{Sync, condition, factor, factor_cell, figure, format_of};
use crate::cli::error::Failure;
use crate::cli::output::{Column, Output, Row, numbers, words};
use crate::session::Session;

/// The word that accepts every change.
const ALL: &str = "all";

/// Where standard input is read from.
const STANDARD_INPUT: &str = "-";

/// How many names are spelled out.
const NAMES_SHOWN: usize = 20;

/// A figure that changes.
#[derive(Debug, Serialize)]
struct MoveView {
    model: String,
    from: Option<String>,
    condition: String,
    figure: &'static str,
    before: Option<f64>,
    after: Option<f64>,
    factor: Option<f64>,
    needs_acceptance: bool,
    #[serde(skip)]
    factor_cell: String,
}

impl MoveView {
    fn new(change: &PriceChange, step: &MemberMove, is_accepted: bool) -> Self {
        Self {
            model: change.full_name(),
            from: step.from.map(day_text),
            condition: condition(step.service_tier, step.above_prompt_tokens),
            figure: step.member,
            before: step.before.map(|amount| figure(step.kind, amount)),
            after: step.after.map(|amount| figure(step.kind, amount)),
            factor: factor(step),
            needs_acceptance: step.is_beyond() && !is_accepted,
            factor_cell: factor_cell(step),
        }
    }
}

fn amount_cell(amount: Option<f64>) -> String {
    amount.map_or_else(|| "-".to_owned(), |amount| amount.to_string())
}

impl Row for MoveView {
    const COLUMNS: &'static [Column] = &[
        words("MODEL"),
        words("FROM"),
        words("CONDITION"),
        words("FIGURE"),
        numbers("BEFORE"),
        numbers("AFTER"),
        numbers("FACTOR"),
        words(""),
    ];

    fn cells(&self) -> Vec<String> {
        let note = if self.needs_acceptance {
            "needs --accept"
        } else {
            ""
        };
        vec![
            self.model.clone(),
            self.from.clone().unwrap_or_else(|| "now".to_owned()),
            self.condition.clone(),
            self.figure.to_owned(),
            amount_cell(self.before),
            amount_cell(self.after),
            self.factor_cell.clone(),
            note.to_owned(),
        ]
    }
}

#[derive(Debug, Serialize)]
struct RefusedView {
    row: String,
    why: String,
}

#[derive(Debug, Serialize)]
struct SkippedView {
    providers: std::collections::BTreeMap<String, i64>,
    not_by_token: i64,
    free: i64,
    members: std::collections::BTreeMap<String, i64>,
}

/// What an import does, or would do.
#[derive(Debug, Serialize)]
struct SyncView {
    file: String,
    format: &'static str,
    sha256: String,
    dry_run: bool,
    imported: bool,
    counts: ImportCounts,
    /// Dollars per million tokens, dollars per thousand billed calls, or tokens.
    changes: Vec<MoveView>,
    added: Vec<MoveView>,
    needs_acceptance: Vec<String>,
    refused: Vec<RefusedView>,
    skipped: SkippedView,
}

impl SyncView {
    fn new((file, hash): (&str, &str), list: &PriceList, plan: &ImportPlan, asked: &Sync) -> Self {
        let acceptance = acceptance(asked);
        let unaccepted = plan.unaccepted(&acceptance);
        let views = |changes: &[PriceChange]| {
            let steps = changes.iter().flat_map(|change| {
                let is_accepted = !unaccepted.contains(&change);
                let moves = change.moves.iter();
                moves.map(move |step| MoveView::new(change, step, is_accepted))
            });
            steps.collect::<Vec<MoveView>>()
        };
        let refused = list.refused.iter().map(|row| RefusedView {
            row: row.name.clone(),
            why: row.why.clone(),
        });
        let skipped = &list.skipped;
        Self {
            file: file.to_owned(),
            format: list.format.as_str(),
            sha256: hash.to_owned(),
            dry_run: asked.dry_run,
            imported: false,
            counts: plan.counts(),
            changes: views(&plan.changed),
            added: views(&plan.added),
            needs_acceptance: unaccepted.iter().map(|change| change.full_name()).collect(),
            refused: refused.collect(),
            skipped: SkippedView {
                providers: skipped.providers.clone(),
                not_by_token: skipped.not_by_token,
                free: skipped.free,
                members: skipped.members.clone(),
            },
        }
    }

    /// What was read and what changes, in sentences.
    fn sentences(&self) -> Vec<String> {
        let counts = self.counts;
        let mut lines = vec![format!(
            "{} ({}): {} price(s) change, {} are added, {} stay.",
            self.file, self.format, counts.changed, counts.added, counts.unchanged
        )];
        let mut added: Vec<&str> = self.added.iter().map(|step| step.model.as_str()).collect();
        added.dedup();
        lines.extend(named("Added", &added));
        let providers = self.skipped.providers.values().sum::<i64>();
        let left_out = [
            (providers, "of providers that cannot be reached"),
            (self.skipped.not_by_token, "not priced by tokens"),
            (self.skipped.free, "free, of models without a price so far"),
        ];
        let left_out = left_out.into_iter().filter(|(count, _)| *count > 0);
        let left_out: Vec<String> = left_out
            .map(|(count, why)| format!("{count} {why}"))
            .collect();
        if !left_out.is_empty() {
            lines.push(format!("Left out: {}.", left_out.join("; ")));
        }
        let members: Vec<&str> = self.skipped.members.keys().map(String::as_str).collect();
        lines.extend(named("Figures that no call is charged by here", &members));
        let refused = self.refused.iter();
        lines.extend(refused.map(|row| format!("Refused: {}: {}", row.row, row.why)));
        lines
    }
}

/// A line with the first names of many.
fn named(title: &str, names: &[&str]) -> Option<String> {
    let shown = names.get(..NAMES_SHOWN).unwrap_or(names).join(", ");
    let more = names.len().saturating_sub(NAMES_SHOWN);
    let more = (more > 0).then(|| format!(" and {more} more"));
    let line = || format!("{title}: {shown}{}.", more.unwrap_or_default());
    (!names.is_empty()).then(line)
}

fn acceptance(asked: &Sync) -> Acceptance {
    if asked.accept.iter().any(|name| name == ALL) {
        Acceptance::All
    } else {
        Acceptance::Models(asked.accept.clone())
    }
}

/// Imports a list, or shows what that would do.
pub(super) async fn run(session: &Session, output: Output, asked: Sync) -> Result<(), Failure> {
    let file = asked.file.display().to_string();
    // Before the file is touched: what is told of a file is a way to look into it.
    require_owner(session, &file).await?;
    let bytes = read_file(&asked.file, &file)?;
    let format = format_of(asked.format.as_deref())?;
    let list = read(&bytes, format, session.now().day());
    let mut list = list.map_err(|why| Failure::PriceList(file.clone(), why))?;
    let hash = sha256(&bytes);
    let accepted = acceptance(&asked);
    require_known(&list, &accepted)?;
    let mut connection = session.database.dedicated_connection().await?;
    let plan = import::plan(&mut connection, &list, &accepted, session.now()).await?;
    list.skipped.free = list.skipped.free.saturating_add(plan.free);
    let mut view = SyncView::new((&file, &hash), &list, &plan, &asked);
    let import = PriceImport {
        list,
        file_name: file,
        file_sha256: hash,
        accepted,
        counts: plan.counts(),
    };
    output.table_and_lines(&view.changes, &view.sentences())?;
    let done = if asked.dry_run {
        Ok("Nothing is changed: this only shows what would be (--dry-run).".to_owned())
    } else {
        commit(session, import, &plan).await
    };
    view.imported = !asked.dry_run && done.is_ok();
    match &done {
        Ok(sentence) => output.done(&view, sentence)?,
        Err(_) => output.document_only(&view)?,
    }
    done.map(|_| ())
}

/// Makes the change, unless the same file was imported last and nothing is left to change.
async fn commit(
    session: &Session,
    import: PriceImport,
    plan: &ImportPlan,
) -> Result<String, Failure> {
    if plan.store.is_empty() && plan.confirm.is_empty() {
        let refused = import.list.refused.len();
        return Err(Failure::refused(format!(
            "nothing is imported: no row of the list can be used ({refused} refused)"
        )));
    }
    let latest = import::latest(session.database.pool(), 1).await?;
    let is_same = latest
        .first()
        .is_some_and(|last| last.file_sha256 == import.file_sha256);
    if plan.store.is_empty() && is_same {
        return Ok("Nothing to import: this file was imported last.".to_owned());
    }
    let command = Command::ImportPrices {
        import: Box::new(import),
    };
    session.execute(&command).await?;
    Ok("Imported. Running proxies charge by it within a second.".to_owned())
}

async fn require_owner(session: &Session, file: &str) -> Result<(), Failure> {
    let rights = session.rights();
    let why = if let Some(why) = rights.read_only {
        why.to_owned()
    } else if rights.role < Role::Owner {
        format!(
            "the role {} may not change prices: that takes the role owner",
            rights.role
        )
    } else if rights.is_forced && file != STANDARD_INPUT {
        "under a forced command of SSH no file of this machine is read: standard input is the way \
         in, as in ssh HOST price sync - < prices.json"
            .to_owned()
    } else {
        return Ok(());
    };
    Err(session
        .refuse("price.sync", "prices".to_owned(), &why)
        .await)
}

/// Reads a file, or standard input, up to a byte more than a list may have.
fn read_file(path: &Path, name: &str) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let most = LIST_BYTES_MAX as u64 + 1;
    if name == STANDARD_INPUT {
        let stdin = std::io::stdin().lock();
        stdin
            .take(most)
            .read_to_end(&mut bytes)
            .map_err(Failure::Input)?;
        return Ok(bytes);
    }
    let named = |why| Failure::File(name.to_owned(), why);
    let file = File::open(path).map_err(named)?;
    file.take(most).read_to_end(&mut bytes).map_err(named)?;
    Ok(bytes)
}

/// Fails if a model is to be accepted that the list does not have.
fn require_known(list: &PriceList, acceptance: &Acceptance) -> Result<(), Failure> {
    let Acceptance::Models(models) = acceptance else {
        return Ok(());
    };
    let is_known = |model: &str| {
        list.rows.iter().any(|row| {
            let full = format!("{}/{}", row.seller, row.name);
            row.name.eq_ignore_ascii_case(model) || full.eq_ignore_ascii_case(model)
        })
    };
    match models.iter().find(|model| !is_known(model)) {
        Some(model) => Err(Failure::Usage(format!(
            "--accept {model}: the list has no usable price of this model"
        ))),
        None => Ok(()),
    }
}
