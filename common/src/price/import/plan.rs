//! What an import changes: every price that holds is compared with the one that would hold.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Serialize;

use super::{ListFormat, ListRow, PriceList};
use crate::price::{
    FEE_NAMES, ListedPrice, Members, PRICE_NAMES, Price, PriceBook, PriceSource, RateCard,
    ServiceTier,
};

/// Which changes beyond a factor of 2 are accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Acceptance {
    /// Those of these models, as `gpt-4o` or `openai/gpt-4o`.
    Models(Vec<String>),
    /// All.
    All,
}

impl Acceptance {
    /// Whether the changes of a model are accepted by its name.
    fn names(&self, seller: &str, name: &str) -> bool {
        let Self::Models(models) = self else {
            return false;
        };
        let full = format!("{seller}/{name}");
        models
            .iter()
            .any(|model| model.eq_ignore_ascii_case(name) || model.eq_ignore_ascii_case(&full))
    }

    fn accepts(&self, seller: &str, name: &str) -> bool {
        *self == Self::All || self.names(seller, name)
    }
}

/// What a figure of a [`MemberMove`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MoveKind {
    /// Pico-dollars per token.
    Price,
    /// Nano-dollars per billed call.
    Fee,
    /// Tokens.
    Limit,
}

/// A figure that an import changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberMove {
    /// The day from which on it is so, in days since 1970, if that is not the day of the import.
    pub from: Option<i64>,
    /// For which service tier.
    pub service_tier: ServiceTier,
    /// For prompts of more than so many tokens.
    pub above_prompt_tokens: i64,
    /// Which figure, by its name.
    pub member: &'static str,
    /// What it is a figure of.
    pub kind: MoveKind,
    /// What calls are charged by so far; `None` if nobody lists it.
    pub before: Option<i64>,
    /// What they would be charged by; `None` if nobody would list it any more.
    pub after: Option<i64>,
}

impl MemberMove {
    /// Whether a price or fee moves beyond a factor of 2, or to or from nothing.
    pub fn is_beyond(&self) -> bool {
        let both = self.before.zip(self.after);
        self.kind != MoveKind::Limit && both.is_some_and(|(before, after)| is_beyond(before, after))
    }
}

/// Whether two amounts differ by more than a factor of 2. Nothing and something always do.
pub fn is_beyond(one: i64, other: i64) -> bool {
    let (less, more) = (i128::from(one.min(other)), i128::from(one.max(other)));
    more > less.saturating_mul(2)
}

/// What an import changes of one model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PriceChange {
    /// Whose list.
    pub seller: String,
    /// The name.
    pub name: String,
    /// Where the price comes from that holds so far; `None` if there is none.
    pub before: Option<PriceSource>,
    /// Every figure that changes.
    pub moves: Vec<MemberMove>,
}

impl PriceChange {
    /// Whether a figure moves beyond a factor of 2.
    pub fn is_beyond(&self) -> bool {
        self.moves.iter().any(MemberMove::is_beyond)
    }

    /// The name with its seller, as `openai/gpt-4o`.
    pub fn full_name(&self) -> String {
        format!("{}/{}", self.seller, self.name)
    }
}

/// How many prices an import adds, changes and confirms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct ImportCounts {
    /// Models that had no price.
    pub added: i64,
    /// Models whose price changes.
    pub changed: i64,
    /// Models whose calls cost what they cost so far.
    pub unchanged: i64,
}

/// What an import does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportPlan {
    /// Models that had no price.
    pub added: Vec<PriceChange>,
    /// Models whose price changes, those beyond a factor of 2 first.
    pub changed: Vec<PriceChange>,
    /// Models whose calls cost what they cost so far.
    pub unchanged: i64,
    /// Free models without a price so far, which are left out.
    pub free: i64,
    /// Rows that are written as new versions.
    pub store: Vec<ListRow>,
    /// Rows that say what the imported version says already, by seller and name.
    pub confirm: Vec<(String, String)>,
}

impl ImportPlan {
    /// The changes beyond a factor of 2 that are not accepted.
    pub fn unaccepted(&self, acceptance: &Acceptance) -> Vec<&PriceChange> {
        let changed = self.changed.iter();
        changed
            .filter(|change| change.is_beyond())
            .filter(|change| !acceptance.accepts(&change.seller, &change.name))
            .collect()
    }

    /// How many prices are added, changed and confirmed.
    pub fn counts(&self) -> ImportCounts {
        let count = |changes: &[PriceChange]| i64::try_from(changes.len()).unwrap_or(i64::MAX);
        ImportCounts {
            added: count(&self.added),
            changed: count(&self.changed),
            unchanged: self.unchanged,
        }
    }
}

/// Compares a list with the imported prices in force and the catalogue, on a day in days since
/// 1970.
pub fn plan(
    list: &PriceList,
    imported: Vec<ListedPrice>,
    acceptance: &Acceptance,
    day: i64,
) -> ImportPlan {
    let mut current: HashMap<(String, String), Vec<ListedPrice>> = HashMap::new();
    for listed in imported {
        let key = (listed.seller.clone(), listed.name.clone());
        current.entry(key).or_default().push(listed);
    }
    let before = PriceBook::new(current.values().flatten().cloned().collect(), day);
    let mut plan = ImportPlan {
        added: Vec::new(),
        changed: Vec::new(),
        unchanged: 0,
        free: 0,
        store: Vec::new(),
        confirm: Vec::new(),
    };
    let mut taken: Vec<(String, String)> = Vec::with_capacity(list.rows.len());
    for row in &list.rows {
        let old = before.exact_on(&row.seller, &row.name, day);
        let is_named = acceptance.names(&row.seller, &row.name);
        if row.is_free() && old.is_none() && !is_named && !row.name.ends_with(":free") {
            plan.free = plan.free.saturating_add(1);
            continue;
        }
        let key = (row.seller.clone(), row.name.clone());
        let row = completed(row.clone(), old.as_ref(), list.format);
        taken.push(key.clone());
        if current
            .get(&key)
            .is_some_and(|versions| is_same(&row, versions))
        {
            plan.confirm.push(key);
        } else {
            plan.store.push(row);
        }
    }
    let mut imported = current;
    for row in &plan.store {
        let key = (row.seller.clone(), row.name.clone());
        imported.insert(key, row.listed("").collect());
    }
    let after = PriceBook::new(imported.into_values().flatten().collect(), day);
    for (seller, name) in &taken {
        plan.sort(compare((&before, &after), (seller, name), day));
    }
    plan.changed.sort_by_key(|change| !change.is_beyond());
    plan
}

impl ImportPlan {
    fn sort(&mut self, change: PriceChange) {
        if change.moves.is_empty() {
            self.unchanged = self.unchanged.saturating_add(1);
        } else if change.before.is_none() {
            self.added.push(change);
        } else {
            self.changed.push(change);
        }
    }
}

/// Whether a row says what its stored versions say.
fn is_same(row: &ListRow, versions: &[ListedPrice]) -> bool {
    let stored = versions.iter().map(|listed| {
        let limits = (listed.output_tokens_max, listed.context_tokens_max);
        (listed.effective_from, (&listed.card, limits))
    });
    let stored: BTreeMap<_, _> = stored.collect();
    let limits = (row.output_tokens_max, row.context_tokens_max);
    let new = row
        .cards
        .iter()
        .map(|dated| (dated.from, (&dated.card, limits)));
    stored == new.collect()
}

/// Keeps what holds so far where a list's format has no word for it: limits, and of models.dev's
/// list fees and, while input and output cost the same, rarer members and service tiers.
fn completed(mut row: ListRow, old: Option<&ListedPrice>, format: ListFormat) -> ListRow {
    let Some(old) = old else {
        return row;
    };
    row.output_tokens_max = row.output_tokens_max.or(old.output_tokens_max);
    row.context_tokens_max = row.context_tokens_max.or(old.context_tokens_max);
    if format == ListFormat::ModelsDev {
        for dated in &mut row.cards {
            complete_card(&mut dated.card, &old.card);
        }
    }
    row
}

fn complete_card(card: &mut RateCard, old: &RateCard) {
    let (base, before) = (&mut card.standard.base, &old.standard.base);
    let mut kept = Members {
        web_search: before.web_search,
        file_search: before.file_search,
        code_execution: before.code_execution,
        request: before.request,
        ..Members::default()
    };
    let is_same = (base.input, base.output) == (before.input, before.output);
    if is_same {
        kept.cache_write_1h = before.cache_write_1h;
        kept.audio_cache_read = before.audio_cache_read;
        kept.input_image = before.input_image;
        kept.output_image = before.output_image;
    }
    *base = base.or(&kept);
    if is_same {
        for (tier, tiered) in &old.services {
            let service = card.services.entry(*tier);
            service.or_insert_with(|| tiered.clone());
        }
    }
}

/// What changes of one model, today and on every later day on which either price changes.
fn compare(
    (before, after): (&PriceBook, &PriceBook),
    (seller, name): (&str, &str),
    day: i64,
) -> PriceChange {
    let later = [before, after]
        .into_iter()
        .flat_map(|book| book.changes_after(seller, name));
    let days: BTreeSet<i64> = later.chain(std::iter::once(day)).collect();
    let mut change = PriceChange {
        seller: seller.to_owned(),
        name: name.to_owned(),
        before: None,
        moves: Vec::new(),
    };
    for on in days {
        let old = before.exact_on(seller, name, on);
        let new = after.exact_on(seller, name, on);
        if change.before.is_none() {
            change.before = old.as_ref().map(|old| old.source);
        }
        let from = (on > day).then_some(on);
        for mut step in moves(old.as_ref(), new.as_ref()) {
            let is_told = change.moves.iter().any(|told| {
                let told = MemberMove {
                    from: None,
                    ..told.clone()
                };
                told == step
            });
            if !is_told {
                step.from = from;
                change.moves.push(step);
            }
        }
    }
    change
}

/// The figures in which two prices of one day differ.
fn moves(old: Option<&ListedPrice>, new: Option<&ListedPrice>) -> Vec<MemberMove> {
    let (old, new) = match (old, new) {
        (_, None) => return Vec::new(),
        (None, Some(new)) => {
            let base = new.card.standard.base;
            return named_moves((ServiceTier::Standard, 0), None, Some(base));
        }
        (Some(old), Some(new)) => (old, new),
    };
    let mut moves = differences(&old.card, &new.card);
    let limits = [
        (
            "max_output_tokens",
            old.output_tokens_max,
            new.output_tokens_max,
        ),
        (
            "max_context_tokens",
            old.context_tokens_max,
            new.context_tokens_max,
        ),
    ];
    let limits = limits
        .into_iter()
        .filter(|(_, before, after)| before != after);
    moves.extend(limits.map(|(member, before, after)| MemberMove {
        member,
        kind: MoveKind::Limit,
        before,
        after,
        ..nothing((ServiceTier::Standard, 0))
    }));
    moves
}

/// The prices and fees in which two cards differ, in every condition that either names.
pub fn differences(old: &RateCard, new: &RateCard) -> Vec<MemberMove> {
    let mut moves = Vec::new();
    let price = |card| Price::new(card, PriceSource::Imported, "", None);
    let (old_price, new_price) = (price(old), price(new));
    for (tier, above) in conditions(old, new) {
        let lists =
            |card: &RateCard| tier == ServiceTier::Standard || card.services.contains_key(&tier);
        let condition = (tier, above);
        if !lists(old) || !lists(new) {
            let listed = |card: &RateCard| lists(card).then(|| listed_in(card, condition));
            moves.extend(named_moves(condition, listed(old), listed(new)));
            continue;
        }
        let listed = listed_in(old, condition).or(&listed_in(new, condition));
        moves.extend(unit_moves(condition, (&old_price, &new_price), &listed));
    }
    moves
}

const fn nothing((service_tier, above_prompt_tokens): (ServiceTier, i64)) -> MemberMove {
    MemberMove {
        from: None,
        service_tier,
        above_prompt_tokens,
        member: "",
        kind: MoveKind::Price,
        before: None,
        after: None,
    }
}

/// Every service tier and length of the prompt that either card names.
fn conditions(one: &RateCard, other: &RateCard) -> BTreeSet<(ServiceTier, i64)> {
    let mut conditions = BTreeSet::from([(ServiceTier::Standard, 0)]);
    let standard = [one, other]
        .into_iter()
        .flat_map(|card| card.standard.above.keys());
    let standard: BTreeSet<i64> = standard.copied().collect();
    conditions.extend(standard.iter().map(|above| (ServiceTier::Standard, *above)));
    for (tier, tiered) in one.services.iter().chain(&other.services) {
        let above = tiered.above.keys().chain(&standard);
        conditions.extend(above.map(|above| (*tier, *above)));
        conditions.insert((*tier, 0));
    }
    conditions
}

/// What a card lists for a condition, or for one from which this one follows.
fn listed_in(card: &RateCard, (tier, above): (ServiceTier, i64)) -> Members {
    let of = |tiered: &crate::price::TieredMembers| {
        let own = tiered.above.get(&above).copied().unwrap_or_default();
        own.or(&tiered.base)
    };
    let service = card.services.get(&tier).map(of).unwrap_or_default();
    service.or(&of(&card.standard))
}

/// Input and output of a condition that only one of two cards has.
fn named_moves(
    condition: (ServiceTier, i64),
    old: Option<Members>,
    new: Option<Members>,
) -> Vec<MemberMove> {
    let of = |members: Option<Members>| {
        let members = members.unwrap_or_default();
        [("input", members.input), ("output", members.output)]
    };
    let pairs = of(old).into_iter().zip(of(new));
    pairs
        .map(|((member, before), (_, after))| MemberMove {
            member,
            before: before.map(|price| price.0),
            after: after.map(|price| price.0),
            ..nothing(condition)
        })
        .collect()
}

/// The members that either card lists and by which calls would be charged otherwise.
fn unit_moves(
    condition: (ServiceTier, i64),
    (old, new): (&Price, &Price),
    listed: &Members,
) -> Vec<MemberMove> {
    let (tier, above) = condition;
    let unit = |price: &Price| price.served(above.saturating_add(1), tier).unit;
    let (old, new) = (unit(old), unit(new));
    let known = |unit: &crate::price::UnitPrices, name: &str, price: i64| {
        (!unit.assumed.has_named(name)).then_some(price)
    };
    let prices = PRICE_NAMES.into_iter().zip(old.prices()).zip(new.prices());
    let prices = prices
        .zip(listed.prices())
        .filter(|(_, listed)| listed.is_some());
    let prices = prices.map(|(((member, before), after), _)| MemberMove {
        member,
        before: known(&old, member, before.0),
        after: known(&new, member, after.0),
        ..nothing(condition)
    });
    let fees = FEE_NAMES
        .into_iter()
        .zip(old.fees.all())
        .zip(new.fees.all());
    let fees = fees.map(|((member, before), after)| MemberMove {
        member,
        kind: MoveKind::Fee,
        before: before.map(|fee| fee.0),
        after: after.map(|fee| fee.0),
        ..nothing(condition)
    });
    let all = prices.chain(fees);
    all.filter(|step| step.before != step.after).collect()
}
