//! What there is to say of a job and of a call, as labels and values.

use serde_json::Value;
use tollgate_common::clock::Timestamp;
use tollgate_common::job::BudgetMode;
use tollgate_common::money::{NanoUsd, PicoUsd};
use tollgate_common::price::{AppliedPrice, FEE_NAMES, ServiceTier, UnitPrices, Usage};

use super::row::{CallLine, JobRow, call_state, job_state};
use crate::dashboard::context::Context;
use crate::dashboard::format;
use crate::dashboard::widgets::facts::{Fact, fact, styled};

/// Credits of a job in words: what it holds, or what came of it.
fn credits(row: &JobRow) -> String {
    let job = &row.entry.job;
    match job.charged {
        Some(charged) => {
            let left = job.credits_remaining.map(format::credits);
            let left = left.map(|left| format!(", {left} left then"));
            format!(
                "charged {}{}",
                format::credits(charged),
                left.unwrap_or_default()
            )
        }
        None if job.state.is_open() => {
            let most = job.credits_max.map(format::credits);
            let most = most.map(|most| format!(" of at most {most}"));
            format!(
                "held {}{}",
                format::credits(job.hold),
                most.unwrap_or_default()
            )
        }
        None if job.hold.is_positive() => format!(
            "nothing charged, {} held for calls in flight",
            format::credits(job.hold)
        ),
        None => "nothing charged, hold released".to_owned(),
    }
}

fn terms(row: &JobRow) -> String {
    let terms = &row.entry.job.terms;
    match terms.mode {
        BudgetMode::JobBased => "job_based: 1 credit".to_owned(),
        BudgetMode::ConsumptionUsd => format!(
            "consumption_usd: {} credits/$, markup {}",
            terms.credits_per_dollar.as_f64(),
            terms.markup
        ),
        BudgetMode::ConsumptionTokens => format!(
            "consumption_tokens: {} tokens/credit",
            format::number(terms.tokens_per_credit)
        ),
    }
}

fn span(from: Timestamp, to: Timestamp) -> String {
    format::millis(to.since(from).as_millis() as i64)
}

/// A job.
pub(super) fn of_job(row: &JobRow, context: &Context) -> Vec<Fact> {
    let (job, totals) = (&row.entry.job, &row.entry.totals);
    let (state, style) = job_state(job.state, &context.theme);
    let end = job.completed_at.map_or_else(
        || format!("{state}, {} old", format::age(job.created_at, context.now)),
        |end| format!("{state} after {}", span(job.created_at, end)),
    );
    let live = match row.live_tokens {
        0 => String::new(),
        tokens => format!("  ~{} under way", format::number(tokens)),
    };
    let output = totals.tokens - totals.input_tokens;
    vec![
        fact("job", job.id.to_string()),
        styled("status", end, style),
        fact("team", format!("{}  (org {})", job.team_id, job.org_id)),
        fact(
            "type",
            format!(
                "{}{}",
                job.job_type,
                if job.single_call { "  (one call)" } else { "" }
            ),
        ),
        fact(
            "user",
            job.user_id.clone().unwrap_or_else(|| "-".to_owned()),
        ),
        fact("created", format::moment(job.created_at)),
        fact(
            "calls",
            format!(
                "{}: {} ok, {} failed, {} in flight",
                format::number(totals.calls),
                format::number(totals.succeeded),
                format::number(totals.failed),
                format::number(totals.in_flight())
            ),
        ),
        fact(
            "tokens",
            format!(
                "in {}  out {}{live}",
                format::number(totals.input_tokens),
                format::number(output)
            ),
        ),
        fact(
            "cost",
            format!(
                "{} asked, {} billed",
                format::dollars(totals.provider_cost),
                format::dollars(totals.cost)
            ),
        ),
        fact("credits", credits(row)),
        fact("budget", terms(row)),
    ]
}

/// What a job's owner has written about it, one line an entry.
pub(super) fn metadata(row: &JobRow) -> Vec<Fact> {
    let parsed = serde_json::from_str::<Value>(&row.entry.job.metadata);
    let Ok(Value::Object(object)) = parsed else {
        return Vec::new();
    };
    let entries = object.into_iter().map(|(name, value)| {
        let text = match value {
            Value::String(text) => text,
            other => other.to_string(),
        };
        fact(name, text)
    });
    entries.collect()
}

type Bucket = (&'static str, i64, fn(&UnitPrices) -> PicoUsd);

/// Buckets that every call shows, then those that only some calls have.
fn all_buckets(usage: &Usage) -> [Bucket; 11] {
    [
        ("input", usage.input_uncached, |p| p.input),
        ("cache read", usage.input_cache_read, |p| p.cache_read),
        ("cache write", usage.input_cache_write, |p| p.cache_write),
        ("output", usage.output_text, |p| p.output),
        ("reasoning", usage.output_reasoning, |p| p.output_reasoning),
        ("1 h write", usage.input_cache_write_1h, |p| {
            p.cache_write_1h
        }),
        ("audio in", usage.input_audio, |p| p.input_audio),
        ("audio read", usage.input_audio_cache_read, |p| {
            p.audio_cache_read
        }),
        ("images in", usage.input_image, |p| p.input_image),
        ("audio out", usage.output_audio, |p| p.output_audio),
        ("images out", usage.output_image, |p| p.output_image),
    ]
}

/// How many buckets are shown even if they are empty.
const USUAL_BUCKETS: usize = 5;

/// Tokens of each bucket with the price that was used, then billed calls with their fees.
fn buckets(line: &CallLine) -> Vec<Fact> {
    let usage = &line.entry.call.usage;
    let unit = line.entry.call.price.as_ref().map(|price| price.unit);
    let buckets = all_buckets(usage).into_iter().enumerate();
    let shown = buckets.filter(|(place, (_, count, _))| *place < USUAL_BUCKETS || *count > 0);
    let mut facts: Vec<Fact> = shown
        .map(|(_, (name, count, of))| {
            let price = unit.map_or_else(
                || "no price".to_owned(),
                |unit| format!("at ${}/1M", of(&unit).per_million().trim_end_matches(".00")),
            );
            fact(name, format!("{:>11}  {price}", format::number(count)))
        })
        .collect();
    let fees = usage.fees.all().into_iter().zip(FEE_NAMES).enumerate();
    let used = fees.filter(|(_, (count, _))| *count > 0);
    facts.extend(used.map(|(place, (count, name))| {
        let fee = unit.and_then(|unit| unit.fees.all()[place]);
        let fee = fee.map_or_else(
            || "no known fee".to_owned(),
            |fee| format!("at {} each", format::dollars(fee)),
        );
        fact(name, format!("{:>11}  {fee}", format::number(count)))
    }));
    facts
}

/// Where the price comes from, and for what it is.
fn price_source(price: &AppliedPrice, usage: &Usage) -> String {
    let mut text = price.version.clone();
    if price.service_tier != ServiceTier::Standard {
        text = format!("{text}, {} service", price.service_tier);
    }
    if price.above_prompt_tokens > 0 {
        let above = format::number(price.above_prompt_tokens);
        text = format!("{text}, prompts above {above}");
    }
    let assumed = price.unit.assumed_in(usage);
    if !assumed.is_empty() {
        text = format!("{text}; assumed: {}", assumed.join(", "));
    }
    text
}

/// A call: who asked for what, and what was held.
pub(super) fn of_call(line: &CallLine, context: &Context) -> Vec<Fact> {
    let (entry, call) = (&line.entry, &line.entry.call);
    let (state, style) = call_state(call.state, &context.theme);
    let time = format::millis(line.millis(context.now));
    let asked = if call.requested_model == call.alias {
        call.alias.clone()
    } else {
        format!("{} as {}", call.requested_model, call.alias)
    };
    let way = match (call.streamed, call.cached) {
        (_, true) => "from the cache",
        (true, _) => "streamed",
        (false, _) => "in one piece",
    };
    let held = match (entry.reserved.tokens, entry.reserved.cost) {
        (0, NanoUsd::ZERO) => "nothing beside what the job holds".to_owned(),
        (tokens, cost) => format!(
            "worst case {} tokens, {}",
            format::number(tokens),
            format::dollars(cost)
        ),
    };
    vec![
        fact("call", call.id.to_string()),
        styled("status", format!("{state}  {time}  {way}"), style),
        fact("model", asked),
        fact("served by", line.served_by()),
        fact("key", entry.key_id.to_string()),
        fact(
            "purpose",
            call.purpose.clone().unwrap_or_else(|| "-".to_owned()),
        ),
        fact("began", format::moment(call.started_at)),
        fact("held", held),
        fact("node", entry.node_id.to_string()),
    ]
}

/// A call: what it used and costs.
pub(super) fn usage_of_call(line: &CallLine) -> Vec<Fact> {
    let call = &line.entry.call;
    if line.is_in_flight() {
        let tokens = line.live.as_ref().map_or(0, |live| live.output_tokens);
        return vec![fact(
            "so far",
            format!("~{} tokens, by length", format::number(tokens)),
        )];
    }
    let mut facts = buckets(line);
    let counted = match call.usage_note {
        Some(note) => note.description(),
        None if call.usage_estimated => "estimated by us: the provider told nothing",
        None => "by the provider",
    };
    facts.extend([
        fact("counted", counted),
        fact(
            "prices",
            call.price.as_ref().map_or_else(
                || "none known".to_owned(),
                |price| price_source(price, &call.usage),
            ),
        ),
        fact(
            "cost",
            format!(
                "{} asked, {} billed",
                format::dollars(call.provider_cost),
                format::dollars(call.client_cost)
            ),
        ),
        fact(
            "end",
            call.finish_reason.clone().unwrap_or_else(|| "-".to_owned()),
        ),
    ]);
    facts
}
