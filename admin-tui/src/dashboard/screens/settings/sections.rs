//! The parts of the screen of settings in words.

use std::time::Duration;

use tollgate_common::db::Engine;
use tollgate_common::live::NodeFigures;

use super::Section;
use crate::dashboard::context::Context;
use crate::dashboard::format;
use crate::dashboard::store::settings::{Installation, Node};
use crate::dashboard::widgets::facts::{Fact, fact, styled};

/// How many sections there are, and how many of them stand at the left.
pub(super) const COUNT: usize = 5;
pub(super) const LEFT: usize = 3;

/// After how much silence a node needs a look.
const SILENCE: Duration = Duration::from_secs(10);

/// How far the clocks of this machine and of the database may be apart.
const SKEW_MAX: Duration = Duration::from_secs(2);

/// All sections.
pub(super) fn of(installation: &Installation, context: &Context) -> [Section; COUNT] {
    [
        connection(installation, context),
        nodes(installation, context),
        limits(installation),
        dashboard(installation, context),
        tables(installation),
    ]
}

fn connection(installation: &Installation, context: &Context) -> Section {
    let about = &installation.about;
    let (engine, size) = match installation.engine {
        Engine::Sqlite => ("SQLite", "file size"),
        Engine::Postgres => ("PostgreSQL", "size"),
    };
    let mut facts = vec![
        fact("database", context.database.clone()),
        fact("engine", format!("{engine} {}", about.version)),
        fact(size, bytes(about.bytes)),
        fact("schema", about.schema.to_string()),
        fact(
            "revision",
            format!("{} of the policy", installation.revision),
        ),
    ];
    if let Some(clock) = about.now {
        let (apart, which) = if clock > installation.asked_at {
            (clock.since(installation.asked_at), "ahead")
        } else {
            (installation.asked_at.since(clock), "behind")
        };
        facts.push(if apart > SKEW_MAX {
            let text = format!("{} {which} of this machine's", format::span(apart));
            styled("its clock", text, context.theme.warn)
        } else {
            fact("its clock", "agrees with this machine's")
        });
    }
    Section {
        title: "Connection",
        remark: context.environment.clone(),
        facts,
    }
}

fn nodes(installation: &Installation, context: &Context) -> Section {
    let mut facts: Vec<Fact> = Vec::new();
    for node in &installation.nodes {
        let id = format::short_id(&node.id.to_string());
        facts.extend(node_facts(node, &id, installation.revision, context));
    }
    let current = installation.nodes.iter().filter(|node| {
        let told = node.told.as_ref();
        told.is_some_and(|told| told.figures.policy_revision >= installation.revision)
    });
    let remark = format!("{}/{} current", current.count(), installation.nodes.len());
    if facts.is_empty() {
        facts.push(styled("", "no proxy is running", context.theme.dim));
    }
    Section {
        title: "Nodes",
        remark,
        facts,
    }
}

fn node_facts(node: &Node, id: &str, revision: i64, context: &Context) -> Vec<Fact> {
    let theme = &context.theme;
    let quiet = |at| context.now.since(at) > SILENCE;
    let Some(told) = &node.told else {
        let text = format!(
            "seen {} ago, tells nothing",
            format::age(node.seen_at, context.now)
        );
        return vec![styled(id, text, theme.warn)];
    };
    let figures = &told.figures;
    let up = format::age(started(figures), context.now);
    let about = format!("{}  {}  up {up}", figures.version, figures.listen);
    let age = format::age(told.at, context.now);
    let (state, style) = match (quiet(told.at), revision - figures.policy_revision) {
        (true, _) => (format!("SILENT for {age}"), theme.bad),
        (false, ..=0) => (format!("told {age} ago, revision current"), theme.good),
        (false, behind) => (
            format!(
                "told {age} ago, revision {} ({behind} behind)",
                figures.policy_revision
            ),
            theme.warn,
        ),
    };
    vec![styled(id, about, theme.text), styled("", state, style)]
}

const fn started(figures: &NodeFigures) -> tollgate_common::clock::Timestamp {
    tollgate_common::clock::Timestamp::from_micros(figures.started_at)
}

fn limits(installation: &Installation) -> Section {
    let config = &installation.config;
    let size = |count: usize| bytes(i64::try_from(count).unwrap_or(i64::MAX));
    let facts = vec![
        fact(
            "open jobs expire",
            format!("after {}", format::span(config.job_expiry)),
        ),
        fact(
            "call body",
            format!("at most {}", size(config.call_body_bytes_max)),
        ),
        fact(
            "answer",
            format!("at most {}", size(config.response_bytes_max)),
        ),
        fact(
            "metadata of a job",
            format!("at most {}", size(config.metadata_bytes_max)),
        ),
        fact("tries of a call", config.tries_max.to_string()),
        fact(
            "a call may take",
            format::span(config.upstream_total_timeout),
        ),
        fact(
            "a stream may take",
            format::span(config.stream_total_timeout),
        ),
        fact("a left stream goes on", format::span(config.stream_drain)),
        fact(
            "a provider's key rests",
            format!(
                "after {} failures, {} at first",
                config.breaker_failures,
                format::span(config.breaker_pause)
            ),
        ),
        fact("cache", size(config.cache_bytes_max)),
        fact("audit log, ledger", "kept for good"),
        fact(
            "ended jobs",
            if config.job_retention.is_zero() {
                "kept for good".to_owned()
            } else {
                format!("kept for {}", format::span(config.job_retention))
            },
        ),
    ];
    Section {
        title: "Limits and retention",
        remark: "of this machine's configuration".to_owned(),
        facts,
    }
}

fn dashboard(installation: &Installation, context: &Context) -> Section {
    let file = installation.settings_file.display();
    let file = if installation.has_settings_file {
        file.to_string()
    } else {
        format!("{file} (not there)")
    };
    let mut facts = vec![
        fact(
            "you are",
            format!("{} ({})", context.actor, installation.role),
        ),
        fact("theme", context.theme.name.word()),
        fact("charset", context.charset.word()),
        fact("settings", file),
        fact("files", installation.files.display().to_string()),
    ];
    if let Some(why) = context.read_only {
        facts.push(styled("changes", why, context.theme.warn));
    }
    let changed = context.keymap.changed();
    if changed.is_empty() {
        facts.push(fact("keys", "as shipped"));
    }
    let mut label = "keys";
    for (action, keys) in changed {
        facts.push(fact(label, format!("{action}: {keys}")));
        label = "";
    }
    Section {
        title: "Dashboard",
        remark: env!("CARGO_PKG_VERSION").to_owned(),
        facts,
    }
}

fn tables(installation: &Installation) -> Section {
    let tables = installation.about.tables.iter();
    let facts = tables.map(|table| {
        let rows = table.rows.map(format::number);
        let rows = rows.unwrap_or_else(|| "not counted yet".to_owned());
        let size = table.bytes.map(bytes).unwrap_or_default();
        fact(
            table.name.clone(),
            format!("{rows:>15}  {size:>9}").trim_end(),
        )
    });
    let remark = match installation.engine {
        Engine::Sqlite => "rows added, about",
        Engine::Postgres => "rows about, with indexes",
    };
    Section {
        title: "Tables",
        facts: facts.collect(),
        remark: remark.to_owned(),
    }
}

/// A size for people: 222 MB.
fn bytes(count: i64) -> String {
    let units = ["kB", "MB", "GB", "TB"];
    if count < 1_000 {
        return format!("{count} B");
    }
    let mut value = count as f64 / 1_000.0;
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < units.len() {
        value /= 1_000.0;
        unit += 1;
    }
    let decimals = usize::from(value < 10.0);
    format!("{value:.decimals$} {}", units[unit])
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn sizes_have_two_or_three_digits() {
        assert_eq!(bytes(0), "0 B");
        assert_eq!(bytes(4_096), "4.1 kB");
        assert_eq!(bytes(222_000_000), "222 MB");
        assert_eq!(bytes(999_700), "1.0 MB");
        assert_eq!(bytes(i64::MAX), "9223372 TB");
    }
}
