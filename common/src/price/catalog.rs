//! The catalogue that this build ships, and the prices that administrators have imported.
//!
//! A row is read when a model is looked up, which happens when a snapshot of the policy is built.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::name::{DateStyle, last_segment, name_elsewhere, places, undated};
use super::{Members, Price, PriceSource, RateCard, ServiceTier};
use crate::clock::Timestamp;
use crate::money::{NanoUsd, PicoUsd};
use crate::provider::ProviderKind;

/// Price and limits of a provider's model, by a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedPrice {
    /// Whose list: a seller of the catalogue, as `openai` or `azure`.
    pub seller: String,
    /// The name under which it is listed.
    pub name: String,
    /// All prices.
    pub card: RateCard,
    /// Where they come from.
    pub source: PriceSource,
    /// The list's version.
    pub version: String,
    /// The day on which the price began, in days since 1970, if the list says so.
    pub effective_from: Option<i64>,
    /// How many tokens an answer may have at most.
    pub output_tokens_max: Option<i64>,
    /// How many tokens prompt and answer may have together.
    pub context_tokens_max: Option<i64>,
}

impl ListedPrice {
    /// The price, every gap filled.
    pub fn price(&self) -> Price {
        let version = self.version.clone();
        Price::new(&self.card, self.source, version, self.effective_from)
    }
}

/// The catalogue: its lines by seller and name.
#[derive(Debug)]
pub struct Catalog {
    version: &'static str,
    rows: HashMap<(&'static str, &'static str), Vec<&'static str>>,
    styles: HashMap<&'static str, DateStyle>,
    /// Sellers and names by the last segment of the name.
    listings: HashMap<&'static str, Vec<Listing>>,
}

/// A seller and a name on its list.
type Listing = (&'static str, &'static str);

/// The prices shipped with this build; their version is the day on which they were collected.
pub static CATALOG: LazyLock<Catalog> =
    LazyLock::new(|| Catalog::parse(include_str!("catalogue.txt")));

impl Catalog {
    /// Sorts the lines of a catalogue by seller and name.
    fn parse(text: &'static str) -> Self {
        let mut catalog = Self {
            version: "unknown",
            rows: HashMap::new(),
            styles: HashMap::new(),
            listings: HashMap::new(),
        };
        let mut seller = "";
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            match line.split_once(' ') {
                Some(("version", version)) => catalog.version = version,
                Some(("provider", rest)) => {
                    let (name, style) = rest.split_once(" dates=").unwrap_or((rest, ""));
                    seller = name;
                    catalog.styles.insert(seller, style_of(style));
                }
                Some((name, _)) if !seller.is_empty() => {
                    let lines = catalog.rows.entry((seller, name)).or_default();
                    lines.push(line);
                    if lines.len() == 1 {
                        let listings = catalog.listings.entry(last_segment(name));
                        listings.or_default().push((seller, name));
                    }
                }
                _ => {}
            }
        }
        catalog
    }

    /// The day on which the catalogue was collected.
    pub const fn version(&self) -> &str {
        self.version
    }

    /// Every seller and name, sorted.
    pub fn names(&self) -> Vec<(&'static str, &'static str)> {
        let mut names: Vec<_> = self.rows.keys().copied().collect();
        names.sort_unstable();
        names
    }

    /// The name under which the catalogue lists a name that it does not list by itself.
    fn target(&self, seller: &str, name: &str) -> Option<&'static str> {
        let [line] = self.rows.get(&(seller, name))?.as_slice() else {
            return None;
        };
        let target = line.strip_prefix(name)?.strip_prefix(" = ")?;
        (target != name).then_some(target)
    }

    /// Days after `day` on which the price of exactly this name changes, in days since 1970.
    fn changes_after(&self, seller: &str, name: &str, day: i64) -> Vec<i64> {
        let lines = self.rows.get(&(seller, name));
        let rows = lines.into_iter().flatten();
        let rows = rows.filter_map(|line| self.parse_row(seller, line));
        let days = rows.filter_map(|row| row.effective_from);
        days.filter(|from| *from > day).collect()
    }

    /// All sellers that list a name, whatever path is before it.
    fn listings(&self, name: &str) -> &[Listing] {
        let found = self.listings.get(last_segment(name));
        found.map(Vec::as_slice).unwrap_or_default()
    }

    /// The row of exactly this name, as it holds on a day (in days since 1970).
    pub fn exact(&self, seller: &str, name: &str, day: i64) -> Option<ListedPrice> {
        if let Some(target) = self.target(seller, name) {
            return self.exact(seller, target, day);
        }
        let lines = self.rows.get(&(seller, name))?;
        let rows = lines.iter().filter_map(|line| self.parse_row(seller, line));
        let begun = rows.filter(|row| row.effective_from.is_none_or(|from| from <= day));
        begun.max_by_key(|row| row.effective_from.unwrap_or(i64::MIN))
    }

    pub(super) fn style(&self, seller: &str) -> DateStyle {
        self.styles.get(seller).copied().unwrap_or_default()
    }

    /// Reads `name in=… out=… ; >200000 in=… ; priority in=… # note`.
    fn parse_row(&self, seller: &str, line: &'static str) -> Option<ListedPrice> {
        let (line, _) = line.split_once(" # ").unwrap_or((line, ""));
        let mut segments = line.split(" ; ");
        let (name, rest) = segments.next()?.split_once(' ')?;
        let mut listed = ListedPrice {
            seller: seller.to_owned(),
            name: name.to_owned(),
            card: RateCard::from(Members::default()),
            source: PriceSource::Catalogue,
            version: self.version.to_owned(),
            effective_from: None,
            output_tokens_max: None,
            context_tokens_max: None,
        };
        for word in rest.split(' ') {
            let (key, value) = word.split_once('=')?;
            match key {
                "ctx" => listed.context_tokens_max = Some(value.parse().ok()?),
                "max" => listed.output_tokens_max = Some(value.parse().ok()?),
                "from" => listed.effective_from = Some(day_of(value)?),
                _ => set_member(&mut listed.card.standard.base, key, value)?,
            }
        }
        for segment in segments {
            parse_condition(&mut listed.card, segment)?;
        }
        let base = listed.card.standard.base;
        (base.input.is_some() && base.output.is_some()).then_some(listed)
    }

    /// What this build lists of a provider's model. There is no default price.
    pub fn find(
        &self,
        (kind, host): (ProviderKind, &str),
        upstream_model: &str,
        day: i64,
    ) -> Option<ListedPrice> {
        PriceBook::new(Vec::new(), day).find((kind, host), upstream_model)
    }
}

fn style_of(word: &str) -> DateStyle {
    match word {
        "MMDD" => DateStyle::MonthDay,
        "YYMM" => DateStyle::YearMonth,
        _ => DateStyle::Full,
    }
}

/// Reads a day as days since 1970.
pub fn day_of(text: &str) -> Option<i64> {
    let moment = Timestamp::parse_rfc3339(&format!("{text}T00:00:00Z"));
    moment.map(Timestamp::day)
}

/// A day as `2026-12-31`, from days since 1970.
pub fn day_text(day: i64) -> String {
    const MICROS_PER_DAY: i64 = 86_400_000_000;
    let text = Timestamp::from_micros(day.saturating_mul(MICROS_PER_DAY)).to_string();
    text.get(..10).unwrap_or(&text).to_owned()
}

/// Reads one condition: a service, a number of prompt tokens, or both, then members.
fn parse_condition(card: &mut RateCard, segment: &str) -> Option<()> {
    let (head, rest) = segment.split_once(' ')?;
    let (service, above) = head.split_once('>').unwrap_or((head, "0"));
    let (above, mut members) = (above.parse::<i64>().ok()?, Members::default());
    for word in rest.split(' ') {
        let (key, value) = word.split_once('=')?;
        set_member(&mut members, key, value)?;
    }
    let tiered = if service.is_empty() {
        &mut card.standard
    } else {
        let tier: ServiceTier = service.parse().ok()?;
        card.services.entry(tier).or_default()
    };
    if above > 0 {
        tiered.above.insert(above, members);
    } else {
        tiered.base = members;
    }
    Some(())
}

/// Sets a member by its name in the catalogue, from dollars per million tokens or per thousand
/// billed calls.
fn set_member(members: &mut Members, key: &str, value: &str) -> Option<()> {
    let fee = match key {
        "web" => Some(&mut members.web_search),
        "file" => Some(&mut members.file_search),
        "code" => Some(&mut members.code_execution),
        "request" => Some(&mut members.request),
        _ => None,
    };
    if let Some(fee) = fee {
        let per_thousand = NanoUsd::parse_dollars(value)?;
        *fee = Some(NanoUsd(per_thousand.0.checked_div(1_000)?));
        return Some(());
    }
    let member = match key {
        "in" => &mut members.input,
        "out" => &mut members.output,
        "read" => &mut members.cache_read,
        "write" => &mut members.cache_write,
        "write1h" => &mut members.cache_write_1h,
        "audio" => &mut members.input_audio,
        "audioread" => &mut members.audio_cache_read,
        "image" => &mut members.input_image,
        "reasoning" => &mut members.output_reasoning,
        "outaudio" => &mut members.output_audio,
        "outimage" => &mut members.output_image,
        _ => return None,
    };
    *member = Some(PicoUsd::parse_per_million(value).ok()?);
    Some(())
}

/// The lists as they hold on a day: what administrators have imported, before the catalogue.
#[derive(Debug)]
pub struct PriceBook {
    /// The versions of each price, by the days on which they begin.
    imported: HashMap<(String, String), Vec<ListedPrice>>,
    day: i64,
}

impl PriceBook {
    /// A book of imported prices and the catalogue, on a day in days since 1970.
    pub fn new(imported: Vec<ListedPrice>, day: i64) -> Self {
        let mut keyed: HashMap<(String, String), Vec<ListedPrice>> = HashMap::new();
        for listed in imported {
            let key = (listed.seller.clone(), listed.name.clone());
            keyed.entry(key).or_default().push(listed);
        }
        Self {
            imported: keyed,
            day,
        }
    }

    /// The imported versions of exactly this name.
    fn imported(&self, seller: &str, name: &str) -> &[ListedPrice] {
        let key = (seller.to_owned(), name.to_owned());
        self.imported.get(&key).map_or(&[], Vec::as_slice)
    }

    /// What is listed under exactly this name on a day. Where the catalogue calls a name another
    /// one of the same model, an import of the other one holds for both.
    pub fn exact_on(&self, seller: &str, name: &str, day: i64) -> Option<ListedPrice> {
        let versions = self.imported(seller, name).iter();
        let begun = versions.filter(|row| row.effective_from.is_none_or(|from| from <= day));
        let latest = begun.max_by_key(|row| row.effective_from.unwrap_or(i64::MIN));
        if let Some(listed) = latest {
            return Some(listed.clone());
        }
        match CATALOG.target(seller, name) {
            Some(target) => self.exact_on(seller, target, day),
            None => CATALOG.exact(seller, name, day),
        }
    }

    /// Days after that of the book on which the price of exactly this name changes.
    pub fn changes_after(&self, seller: &str, name: &str) -> Vec<i64> {
        let versions = self.imported(seller, name).iter();
        let days = versions.filter_map(|row| row.effective_from);
        let mut days: Vec<i64> = days.filter(|from| *from > self.day).collect();
        let target = CATALOG.target(seller, name).unwrap_or(name);
        days.extend(CATALOG.changes_after(seller, target, self.day));
        days
    }

    /// What is listed of a provider's model: its exact name, or the longest listed one without a
    /// date or `latest` at its end. Where nothing says who serves it, the dearest seller's price
    /// holds, unless an administrator has imported one. There is no default price.
    pub fn find(
        &self,
        (kind, host): (ProviderKind, &str),
        upstream_model: &str,
    ) -> Option<ListedPrice> {
        let places = places(kind, host, upstream_model);
        let mut found = places
            .iter()
            .find_map(|(seller, name)| self.listed_by(seller, name))?;
        if found.source == PriceSource::Catalogue
            && let Some(name) = name_elsewhere(kind, host, upstream_model)
        {
            for (seller, name) in elsewhere(&name, CATALOG.style(&found.seller)) {
                let other = self.exact_on(seller, name, self.day);
                let other = other.filter(|other| other.seller != found.seller);
                if let Some(other) = other.filter(|other| cost_of(other) > cost_of(&found)) {
                    found = other;
                }
            }
        }
        Some(found)
    }

    /// What a seller lists of a name, or of it without its date.
    fn listed_by(&self, seller: &str, name: &str) -> Option<ListedPrice> {
        let mut bases = undated(name, CATALOG.style(seller));
        self.exact_on(seller, name, self.day).or_else(|| {
            bases.find_map(|base| {
                let listed = self.exact_on(seller, base, self.day)?;
                (!self.is_listed_apart(name, base)).then_some(listed)
            })
        })
    }

    /// Whether some seller asks another price for a dated release than for the name without its
    /// date: then the latter says nothing about the release.
    fn is_listed_apart(&self, name: &str, base: &str) -> bool {
        if name.ends_with("-latest") {
            return false;
        }
        let mut listings = CATALOG.listings(name).iter();
        listings.any(|(seller, dated)| {
            let path = dated.strip_suffix(last_segment(name)).unwrap_or_default();
            let usual = self.exact_on(seller, &format!("{path}{}", last_segment(base)), self.day);
            let own = self.exact_on(seller, dated, self.day);
            own.zip(usual)
                .is_some_and(|(own, usual)| tokens_of(&own) != tokens_of(&usual))
        })
    }
}

/// Where a name is listed, or else the name without its date.
fn elsewhere(name: &str, style: DateStyle) -> &'static [Listing] {
    let names = std::iter::once(name).chain(undated(name, style));
    let mut found = names.map(|name| CATALOG.listings(name));
    found
        .find(|listings| !listings.is_empty())
        .unwrap_or_default()
}

/// Prices of a token of the prompt and of the answer.
fn tokens_of(listed: &ListedPrice) -> (PicoUsd, PicoUsd) {
    let unit = listed.card.standard();
    (unit.input, unit.output)
}

/// What a token of each costs together, by which sellers are compared.
fn cost_of(listed: &ListedPrice) -> PicoUsd {
    let (input, output) = tokens_of(listed);
    PicoUsd(input.0.saturating_add(output.0))
}

/// Names under which imported lists may have a provider's model.
pub fn names_to_look_up((kind, host): (ProviderKind, &str), upstream_model: &str) -> Vec<String> {
    let places = places(kind, host, upstream_model);
    let names = places.iter().flat_map(|(seller, name)| {
        let dated = undated(name, CATALOG.style(seller));
        let names = std::iter::once(name.as_str()).chain(dated);
        names.flat_map(|name| {
            let elsewhere = CATALOG.listings(name).iter().map(|(_, listed)| *listed);
            let own = std::iter::once(name).chain(CATALOG.target(seller, name));
            own.chain(elsewhere)
        })
    });
    let mut names: Vec<String> = names.map(str::to_owned).collect();
    names.sort_unstable();
    names.dedup();
    names
}
