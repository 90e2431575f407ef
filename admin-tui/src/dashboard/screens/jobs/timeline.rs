//! What happened to a call, step by step, and the same as a bar.

use tollgate_common::clock::Timestamp;
use tollgate_common::job::CallState;

use crate::dashboard::charset::Charset;
use crate::dashboard::format;
use crate::dashboard::store::jobs::CallDetail;

/// How an event turned out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// It goes on.
    Plain,
    /// It went well.
    Good,
    /// It went wrong.
    Bad,
}

/// Something that happened to a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Event {
    /// So many milliseconds after the call began.
    pub(super) at_ms: i64,
    /// What.
    pub(super) text: String,
    /// How it turned out.
    pub(super) turn: Turn,
}

fn event(at_ms: i64, turn: Turn, text: impl Into<String>) -> Event {
    Event {
        at_ms,
        text: text.into(),
        turn,
    }
}

/// Everything that is known, in its order.
pub(super) fn events(detail: &CallDetail, now: Timestamp) -> Vec<Event> {
    let (line, call) = (&detail.line, &detail.line.entry.call);
    let mut events = vec![event(
        0,
        Turn::Plain,
        "admitted by the limits of key and team",
    )];
    events.push(reserved(detail));
    let mut at = 0;
    for attempt in &detail.attempts {
        let credential = format::short_id(&attempt.credential_id);
        let asked = format!(
            "try {}: {}/{} with key ..{credential}",
            attempt.number, attempt.provider, attempt.upstream_model
        );
        events.push(event(at, Turn::Plain, asked));
        at += attempt.latency_ms;
        let failed = format!("{}: {}", attempt.error_kind, attempt.error);
        events.push(event(at, Turn::Bad, failed));
    }
    if call.cached {
        events.push(event(
            at,
            Turn::Good,
            "answered from the cache: no provider was asked",
        ));
    } else if was_served(detail) {
        let asked = format!("asked {}", line.served_by());
        events.push(event(at, Turn::Plain, asked));
    }
    if let Some(first) = call.first_token_ms {
        events.push(event(first, Turn::Plain, "first piece of the answer"));
    }
    events.push(end(detail, now));
    events
}

/// Whether a provider was at work at last, so that there is more to say than of failed tries.
fn was_served(detail: &CallDetail) -> bool {
    let call = &detail.line.entry.call;
    let has_begun = call.first_token_ms.is_some() || detail.attempts.is_empty();
    call.state != CallState::Failed || has_begun
}

fn reserved(detail: &CallDetail) -> Event {
    let reserved = detail.line.entry.reserved;
    let text = if reserved.tokens == 0 && reserved.cost.0 == 0 {
        "committed; the job's hold covers it".to_owned()
    } else {
        format!(
            "committed; worst case of {} tokens or {} reserved in the job's hold",
            format::number(reserved.tokens),
            format::dollars(reserved.cost)
        )
    };
    event(0, Turn::Plain, text)
}

fn end(detail: &CallDetail, now: Timestamp) -> Event {
    let (line, call) = (&detail.line, &detail.line.entry.call);
    let at = line.millis(now);
    let tokens = format::number(line.tokens());
    match call.state {
        CallState::InFlight => {
            let provider = line.live.as_ref().and_then(|live| live.provider.clone());
            let text = match (&line.live, provider) {
                (None, _) => "in flight; its node has not told of it yet".to_owned(),
                (Some(_), None) => "in flight, between two providers".to_owned(),
                (Some(told), Some(provider)) if told.output_tokens > 0 => {
                    format!("{provider} answers: ~{tokens} tokens so far")
                }
                (Some(_), Some(provider)) => format!("waiting for {provider}"),
            };
            event(at, Turn::Plain, text)
        }
        CallState::Succeeded => {
            let reason = call.finish_reason.as_deref().unwrap_or("no reason given");
            event(
                at,
                Turn::Good,
                format!("answered: {reason}, {tokens} tokens"),
            )
        }
        CallState::Failed | CallState::Interrupted => {
            let kind = call
                .error_kind
                .as_deref()
                .unwrap_or_else(|| call.state.word());
            let error = call
                .error
                .as_deref()
                .unwrap_or("nobody knows what the provider did");
            let end = if call.state == CallState::Failed {
                "failed"
            } else {
                "lost"
            };
            event(at, Turn::Bad, format!("{end}, {kind}: {error}"))
        }
    }
}

/// The whole time of a call as one line: `x` for failed tries, `.` for waiting, a bar for the
/// answer; each try begins with a `|`.
pub(super) fn bar(detail: &CallDetail, now: Timestamp, width: usize, charset: Charset) -> String {
    let call = &detail.line.entry.call;
    let total = detail.line.millis(now).max(1);
    let answer = match charset {
        Charset::Ascii => "=",
        Charset::Block | Charset::Braille => charset.bar(),
    };
    let mut ends: Vec<(i64, &str)> = Vec::new();
    let mut at = 0;
    for attempt in &detail.attempts {
        at += attempt.latency_ms;
        ends.push((at, "x"));
    }
    if was_served(detail) {
        ends.push((call.first_token_ms.unwrap_or(total), "."));
        ends.push((total, answer));
    }
    let mut text = String::new();
    let mut drawn = 0;
    for (end, sign) in ends {
        let until = (end.clamp(0, total) as u128 * width as u128).div_ceil(total as u128) as usize;
        let is_try = sign != answer;
        for place in drawn..until {
            text.push_str(if is_try && place == drawn { "|" } else { sign });
        }
        drawn = drawn.max(until);
    }
    text
}
