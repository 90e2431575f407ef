//! What is made of what nodes tell: sums over a range, and who tells at all.

use std::collections::BTreeMap;
use std::time::Duration;

use tollgate_common::clock::Timestamp;
use tollgate_common::id::NodeId;
use tollgate_common::live::{LiveCall, NodeFigures, ProviderAlert, RestingKey, Traffic, minute_of};

use crate::dashboard::store::overview::Present;

/// How old what a node tells may be before it counts as untold.
pub(super) const TOLD_WITHIN: Duration = Duration::from_secs(5);

/// How long a node may be without a heartbeat, of which there is one every three seconds.
const BEATS_WITHIN: Duration = Duration::from_secs(10);

/// The minutes that are kept whatever the range, to tell what is slow from what is usual.
const KEPT_LEAST: i64 = 60;

/// The minutes that teams and providers are compared over.
pub(super) const RECENT: i64 = 5;

/// Seconds of the curve of traffic.
const SECONDS: usize = 60;

/// How far back sums go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Range {
    /// 15 minutes.
    #[default]
    Quarter,
    /// An hour.
    Hour,
    /// A day.
    Day,
}

impl Range {
    /// How many minutes.
    pub(super) const fn minutes(self) -> i64 {
        match self {
            Self::Quarter => 15,
            Self::Hour => 60,
            Self::Day => 24 * 60,
        }
    }

    /// Its name.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Quarter => "15m",
            Self::Hour => "1h",
            Self::Day => "24h",
        }
    }

    /// What the curve of traffic shows: the shortest range has it by seconds.
    pub(super) const fn curve(self) -> &'static str {
        match self {
            Self::Quarter => "60s",
            Self::Hour | Self::Day => self.word(),
        }
    }

    /// The next longer one, or the shortest.
    pub(super) const fn next(self) -> Self {
        match self {
            Self::Quarter => Self::Hour,
            Self::Hour => Self::Day,
            Self::Day => Self::Quarter,
        }
    }
}

/// How much a node tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Condition {
    /// Its figures are of now.
    Telling,
    /// It lives and had nothing to tell since its last figures, which show nothing in flight.
    Idle,
    /// It lives, but its figures are missing or old.
    Mute,
    /// Its heartbeat has stopped.
    Silent,
}

impl Condition {
    /// Its name.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Telling => "live",
            Self::Idle => "idle",
            Self::Mute => "NO FIGURES",
            Self::Silent => "SILENT",
        }
    }

    /// Whether the node's part of the sums is known.
    pub(super) const fn is_known(self) -> bool {
        matches!(self, Self::Telling | Self::Idle)
    }
}

/// A node.
#[derive(Debug, Clone)]
pub(super) struct Node {
    /// Which.
    pub(super) id: NodeId,
    /// How much it tells.
    pub(super) condition: Condition,
    /// When it last gave any sign, by figures or heartbeat.
    pub(super) at: Timestamp,
    /// When its figures were made, if ever.
    told_at: Option<Timestamp>,
    /// What it told last, if ever.
    pub(super) figures: Option<NodeFigures>,
}

/// What is known of the present.
#[derive(Debug, Default)]
pub(super) struct Figures {
    /// When it was read; nothing before that.
    pub(super) at: Option<Timestamp>,
    /// All nodes.
    pub(super) nodes: Vec<Node>,
    /// Calls in flight, the oldest first.
    pub(super) calls: Vec<LiveCall>,
    /// How many calls are in flight, also those that no node tells of one by one.
    pub(super) in_flight: u64,
    /// Streams among them.
    pub(super) streams: u64,
    /// Calls that ended in each of the last seconds, the latest last.
    pub(super) per_second: Vec<u64>,
    /// Keys of providers that do not simply work.
    pub(super) resting: Vec<RestingKey>,
    /// Refusals of providers that only the operator can end.
    pub(super) alerts: Vec<ProviderAlert>,
    /// The traffic of the range.
    pub(super) sum: Traffic,
    /// The traffic of the last minutes.
    pub(super) recent: Traffic,
    /// The traffic of an hour at least.
    pub(super) usual: Traffic,
    minutes: BTreeMap<i64, Traffic>,
    /// The first minute that was ever asked for without a gap after it.
    known_from: Option<i64>,
    /// Sums of whole minutes: which range, up to which minute, what.
    settled: Option<(Range, i64, Traffic, Traffic)>,
}

impl Figures {
    /// From which minute on traffic is to be read: all of the range, or what may have changed.
    pub(super) fn since(&self, range: Range, now: Timestamp) -> i64 {
        let first = minute_of(now) - range.minutes().max(KEPT_LEAST) + 1;
        match (self.known_from, self.minutes.last_key_value(), self.at) {
            // A node tells of a minute for a moment after its end.
            (Some(known), Some(_), Some(at)) if known <= first => {
                first.max(minute_of(at).saturating_sub(1))
            }
            _ => first,
        }
    }

    /// Takes what was read.
    pub(super) fn receive(&mut self, present: Present, range: Range) {
        let now = present.at;
        let first = minute_of(now) - range.minutes().max(KEPT_LEAST) + 1;
        self.at = Some(now);
        self.minutes.retain(|minute, _| *minute >= first);
        self.minutes.extend(present.minutes);
        let reaches = self.known_from.unwrap_or(i64::MAX).min(present.since);
        self.known_from = Some(reaches.max(first));
        self.take_nodes(present.nodes, present.told, now);
        self.add_up(range, minute_of(now));
    }

    fn take_nodes(
        &mut self,
        nodes: Vec<(NodeId, Timestamp)>,
        told: Vec<tollgate_common::db::live::Told>,
        now: Timestamp,
    ) {
        let mut told: BTreeMap<String, _> = told
            .into_iter()
            .map(|told| (told.node_id.to_string(), (told.at, told.figures)))
            .collect();
        self.nodes = nodes
            .into_iter()
            .map(|(id, seen_at)| node(id, seen_at, told.remove(&id.to_string()), now))
            .collect();
        let known = self.nodes.iter().filter(|node| node.condition.is_known());
        let known: Vec<&Node> = known.collect();
        let each = || known.iter().filter_map(|node| node.figures.as_ref());
        self.in_flight = each().map(|figures| figures.calls_in_flight).sum();
        self.streams = each().map(|figures| figures.streams).sum();
        self.calls = each().flat_map(|figures| figures.calls.clone()).collect();
        self.calls.sort_by_key(|call| call.began_at);
        self.resting = each().flat_map(|figures| figures.resting.clone()).collect();
        self.alerts = each().flat_map(|figures| figures.alerts.clone()).collect();
        self.per_second = vec![0; SECONDS];
        let told = known
            .iter()
            .filter_map(|node| node.figures.as_ref().zip(node.told_at));
        for (figures, at) in told {
            // What a node told some seconds ago lies as far back by now.
            let back = now.since(at).as_secs() as usize;
            let ended = figures.ended_per_second.iter().rev().enumerate();
            for (index, count) in ended {
                let place = SECONDS.checked_sub(1 + back + index);
                if let Some(second) = place.and_then(|place| self.per_second.get_mut(place)) {
                    *second += count;
                }
            }
        }
    }

    /// Minutes that are over are added up once; the last two still grow.
    fn add_up(&mut self, range: Range, minute: i64) {
        let growing = minute - 1;
        if !matches!(&self.settled, Some((of, until, ..)) if (*of, *until) == (range, growing)) {
            let mut sum = Traffic::default();
            let mut usual = Traffic::default();
            let from = minute - range.minutes() + 1;
            for (at, traffic) in self.minutes.range(..growing) {
                if *at >= from {
                    sum.add(traffic);
                }
                if *at > minute - KEPT_LEAST {
                    usual.add(traffic);
                }
            }
            self.settled = Some((range, growing, sum, usual));
        }
        if let Some((_, _, sum, usual)) = &self.settled {
            self.sum = sum.clone();
            self.usual = usual.clone();
        }
        for traffic in self.minutes.range(growing..).map(|(_, traffic)| traffic) {
            self.sum.add(traffic);
            self.usual.add(traffic);
        }
        self.recent = Traffic::default();
        for (_, traffic) in self.minutes.range(minute - RECENT + 1..) {
            self.recent.add(traffic);
        }
    }

    /// Forgets sums, because another range is shown.
    pub(super) fn widen(&mut self, range: Range) {
        if let Some(at) = self.at {
            self.add_up(range, minute_of(at));
        }
    }

    /// Calls that ended in each minute of the range, the latest last.
    pub(super) fn per_minute(&self, range: Range) -> Vec<u64> {
        let Some(at) = self.at else {
            return Vec::new();
        };
        let last = minute_of(at);
        (last - range.minutes() + 1..=last)
            .map(|minute| self.minutes.get(&minute).map_or(0, |traffic| traffic.calls))
            .collect()
    }

    /// How many nodes the sums are of, and how many there are.
    pub(super) fn told(&self) -> (usize, usize) {
        let known = self.nodes.iter().filter(|node| node.condition.is_known());
        (known.count(), self.nodes.len())
    }

    /// When any node last gave a sign from which its figures are known.
    pub(super) fn last_told(&self) -> Option<Timestamp> {
        let known = self.nodes.iter().filter(|node| node.condition.is_known());
        known.map(|node| node.at).max()
    }

    /// Calls that ended per second, over the last ten whole seconds, in tenths.
    pub(super) fn rate_tenths(&self) -> u64 {
        // The present second is not over.
        let seconds = self.per_second.iter().rev().skip(1).take(10);
        seconds.sum()
    }
}

fn node(
    id: NodeId,
    seen_at: Timestamp,
    told: Option<(Timestamp, NodeFigures)>,
    now: Timestamp,
) -> Node {
    let told_at = told.as_ref().map(|(at, _)| *at);
    let is_fresh = told_at.is_some_and(|at| now.since(at) <= TOLD_WITHIN);
    let beats = now.since(seen_at) <= BEATS_WITHIN;
    let was_busy = told
        .as_ref()
        .is_none_or(|(_, told)| told.calls_in_flight > 0);
    let condition = match (is_fresh, beats, was_busy) {
        (true, ..) => Condition::Telling,
        (false, true, false) => Condition::Idle,
        (false, true, true) => Condition::Mute,
        (false, false, _) => Condition::Silent,
    };
    Node {
        id,
        condition,
        at: told_at.map_or(seen_at, |at| at.max(seen_at)),
        told_at,
        figures: told.map(|(_, figures)| figures),
    }
}
