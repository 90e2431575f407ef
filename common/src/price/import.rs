//! Price lists that administrators import: read from the formats in which others publish them,
//! checked row by row, and compared with the prices that hold.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

use super::catalog::ListedPrice;
use super::{Members, PriceSource, RateCard};
use crate::money::PicoUsd;
use json::{Node, Object};

mod clause;
mod figure;
mod genai;
mod json;
mod litellm;
mod models_dev;
mod own;
mod plan;
mod seller;
#[cfg(test)]
mod tests;

pub use own::PriceEntry;
pub use plan::{
    Acceptance, ImportCounts, ImportPlan, MemberMove, MoveKind, PriceChange, differences,
    is_beyond, plan,
};

/// The largest file that is read, in bytes: several times the largest list that is published.
pub const LIST_BYTES_MAX: usize = 32 * 1024 * 1024;

/// The longest name of a model that is taken, in bytes.
const NAME_BYTES_MAX: usize = 200;

/// Who publishes lists, and in which form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListFormat {
    /// genai-prices of Pydantic.
    GenaiPrices,
    /// The API of models.dev.
    ModelsDev,
    /// `LiteLLM`'s `model_prices_and_context_window.json`.
    LiteLlm,
    /// What `tollgate-admin price list --imported --json` prints.
    Tollgate,
}

impl ListFormat {
    /// Every format.
    pub const ALL: [Self; 4] = [
        Self::GenaiPrices,
        Self::ModelsDev,
        Self::LiteLlm,
        Self::Tollgate,
    ];

    /// The stored and shown name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::GenaiPrices => "genai-prices",
            Self::ModelsDev => "models.dev",
            Self::LiteLlm => "litellm",
            Self::Tollgate => "tollgate",
        }
    }
}

impl fmt::Display for ListFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ListFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|format| format.as_str() == text);
        found.ok_or_else(|| {
            format!("'{text}' is not a format: write genai-prices, models.dev, litellm or tollgate")
        })
    }
}

/// Why a file is not a list. Nothing of it is taken.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// It is larger than [`LIST_BYTES_MAX`].
    #[error("is larger than {} MiB", LIST_BYTES_MAX / (1024 * 1024))]
    TooLarge,
    /// It is not text.
    #[error("is not text in UTF-8")]
    Encoding,
    /// It is not JSON.
    #[error("is not JSON: {0}")]
    Json(serde_json::Error),
    /// Nothing tells which list it is.
    #[error(
        "is none of the lists that are known here (genai-prices, models.dev, litellm, tollgate): \
         name its format with --format if it is one of them"
    )]
    Unknown,
    /// It is not what its format says.
    #[error("is not a list in the format {format}: {place}: {problem}")]
    Shape {
        /// The format.
        format: ListFormat,
        /// Where, as `providers[3].models`.
        place: String,
        /// What is wrong, and what would do.
        problem: String,
    },
    /// It is a list in which nothing can be used.
    #[error(
        "has no price, as a list in the format {0}, of a provider that can be reached: is it the \
         right file?"
    )]
    Empty(ListFormat),
}

/// What a list says of one model, from a day on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatedCard {
    /// The day on which it begins, in days since 1970, if the list says so.
    pub from: Option<i64>,
    /// All prices.
    pub card: RateCard,
}

/// What a list says of one model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListRow {
    /// Whose list: a seller of the catalogue.
    pub seller: String,
    /// The name, in small letters.
    pub name: String,
    /// Prices by growing days: what holds when the list is read, and what is announced.
    pub cards: Vec<DatedCard>,
    /// How many tokens an answer may have at most, if the list says so.
    pub output_tokens_max: Option<i64>,
    /// How many tokens prompt and answer may have together, if the list says so.
    pub context_tokens_max: Option<i64>,
}

impl ListRow {
    /// The row as a price book takes it.
    pub fn listed<'r>(&'r self, version: &'r str) -> impl Iterator<Item = ListedPrice> + 'r {
        self.cards.iter().map(move |dated| ListedPrice {
            seller: self.seller.clone(),
            name: self.name.clone(),
            card: dated.card.clone(),
            source: PriceSource::Imported,
            version: version.to_owned(),
            effective_from: dated.from,
            output_tokens_max: self.output_tokens_max,
            context_tokens_max: self.context_tokens_max,
        })
    }

    /// Whether the tokens of every version cost nothing.
    fn is_free(&self) -> bool {
        let is_free = |dated: &DatedCard| {
            let base = dated.card.standard.base;
            base.input.unwrap_or_default().0 == 0 && base.output.unwrap_or_default().0 == 0
        };
        self.cards.iter().all(is_free)
    }
}

/// A row that is not taken because something in it cannot be right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedRow {
    /// The row as the list names it, as `openai/gpt-4o`.
    pub name: String,
    /// Which member, and what is wrong with it.
    pub why: String,
}

/// What of a list is not taken though nothing is wrong with it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Skipped {
    /// Rows of providers that cannot be reached, by the list's name of the provider.
    pub providers: BTreeMap<String, i64>,
    /// Rows that are not priced by tokens, or not at all.
    pub not_by_token: i64,
    /// Rows that cost nothing, of models without a price so far.
    pub free: i64,
    /// Members that no call is charged by here, with how many rows have them.
    pub members: BTreeMap<String, i64>,
}

impl Skipped {
    /// How many rows were left out.
    pub fn rows(&self) -> i64 {
        let providers = self.providers.values().copied();
        let all = providers.chain([self.not_by_token, self.free]);
        all.fold(0, i64::saturating_add)
    }
}

/// A list that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PriceList {
    /// Its format.
    pub format: ListFormat,
    /// Its rows by seller and name.
    pub rows: Vec<ListRow>,
    /// Rows that are not taken because something in them cannot be right.
    pub refused: Vec<RefusedRow>,
    /// What else is not taken.
    pub skipped: Skipped,
}

/// The SHA-256 of a file, in hexadecimal digits.
pub fn sha256(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads a list as it holds on a day, in days since 1970; without a format, the content tells it.
pub fn read(bytes: &[u8], format: Option<ListFormat>, day: i64) -> Result<PriceList, ListError> {
    if bytes.len() > LIST_BYTES_MAX {
        return Err(ListError::TooLarge);
    }
    let text = std::str::from_utf8(bytes).map_err(|_| ListError::Encoding)?;
    let text = json::quote_not_numbers(text.trim_start_matches('\u{feff}'));
    let root = Node::parse(&text)?;
    let format = format.or_else(|| detect(root)).ok_or(ListError::Unknown)?;
    let mut reading = Reading::new(format, day);
    match format {
        ListFormat::GenaiPrices => genai::read(root, &mut reading)?,
        ListFormat::ModelsDev => models_dev::read(root, &mut reading)?,
        ListFormat::LiteLlm => litellm::read(root, &mut reading)?,
        ListFormat::Tollgate => own::read(root, &mut reading)?,
    }
    if reading.rows.is_empty() && reading.refused.is_empty() {
        return Err(ListError::Empty(format));
    }
    Ok(reading.finish())
}

/// Tells a format by its members.
fn detect(root: Node<'_>) -> Option<ListFormat> {
    if let Some(items) = root.list() {
        let first = items.first()?.object()?;
        if first.get("seller").is_some() && first.get("model").is_some() {
            return Some(ListFormat::Tollgate);
        }
        return first.get("models").map(|_| ListFormat::GenaiPrices);
    }
    let object = root.object()?;
    if object.get("providers").and_then(Node::list).is_some() {
        return Some(ListFormat::GenaiPrices);
    }
    object.iter().find_map(|(_, node)| {
        let row = node.object()?;
        if row.get("litellm_provider").is_some() {
            return Some(ListFormat::LiteLlm);
        }
        let models = row.get("models").and_then(Node::object);
        models.map(|_| ListFormat::ModelsDev)
    })
}

/// A list that is being read.
struct Reading {
    format: ListFormat,
    /// The day on which it is read, in days since 1970.
    day: i64,
    rows: BTreeMap<(String, String), ListRow>,
    refused: Vec<RefusedRow>,
    skipped: Skipped,
}

impl Reading {
    const fn new(format: ListFormat, day: i64) -> Self {
        Self {
            format,
            day,
            rows: BTreeMap::new(),
            refused: Vec::new(),
            skipped: Skipped {
                providers: BTreeMap::new(),
                not_by_token: 0,
                free: 0,
                members: BTreeMap::new(),
            },
        }
    }

    fn shape(&self, place: impl Into<String>, problem: impl Into<String>) -> ListError {
        ListError::Shape {
            format: self.format,
            place: place.into(),
            problem: problem.into(),
        }
    }

    /// The members of a value that must be an object in which no name stands twice.
    fn object<'a>(&self, node: Node<'a>, place: &str) -> Result<Object<'a>, ListError> {
        let object = node.object();
        let object = object.ok_or_else(|| self.shape(place, "must be an object"))?;
        match object.repeated() {
            Some(name) => Err(self.shape(place, format!("'{name}' is there twice"))),
            None => Ok(object),
        }
    }

    fn skip_provider(&mut self, provider: &str, rows: usize) {
        let count = self.skipped.providers.entry(provider.to_owned());
        let count = count.or_default();
        *count = count.saturating_add(i64::try_from(rows).unwrap_or(i64::MAX));
    }

    fn skip_member(&mut self, name: &str) {
        let count = self.skipped.members.entry(name.to_owned()).or_default();
        *count = count.saturating_add(1);
    }

    fn refuse(&mut self, name: impl Into<String>, why: impl Into<String>) {
        self.refused.push(RefusedRow {
            name: name.into(),
            why: why.into(),
        });
    }

    /// Takes a row, if it is priced by tokens. Of two rows of the same name the dearer one stays:
    /// what a provider asks may be either.
    fn take(&mut self, mut row: ListRow) {
        row.name = row.name.to_ascii_lowercase();
        if !is_name(&row.name) {
            let shown: String = row.name.chars().take(NAME_BYTES_MAX).collect();
            let why = "the name of a model has 1 to 200 letters, digits or -._:/@+~";
            return self.refuse(format!("{}/{shown}", row.seller), why);
        }
        let name = row.name.clone();
        row.cards
            .retain_mut(|dated| complete(&mut dated.card, &name));
        if row.cards.is_empty() {
            self.skipped.not_by_token = self.skipped.not_by_token.saturating_add(1);
            return;
        }
        let key = (row.seller.clone(), row.name.clone());
        let dearer = self
            .rows
            .get(&key)
            .is_none_or(|other| weight(&row) > weight(other));
        if dearer {
            self.rows.insert(key, row);
        }
    }

    fn finish(self) -> PriceList {
        PriceList {
            format: self.format,
            rows: self.rows.into_values().collect(),
            refused: self.refused,
            skipped: self.skipped,
        }
    }
}

/// What tells which of two rows of one name is dearer.
fn weight(row: &ListRow) -> (PicoUsd, PicoUsd) {
    let unit = row.cards.first().map(|dated| dated.card.standard());
    let both = unit.map(|unit| (unit.output, unit.input));
    both.unwrap_or_default()
}

fn is_name(name: &str) -> bool {
    let is_known = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:/@+~".contains(&byte);
    (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(is_known)
}

/// Whether a card says what tokens cost, after it was given what it leaves open: what only makes
/// sounds or images has their price as its output's, and embeddings have no output.
fn complete(card: &mut RateCard, name: &str) -> bool {
    let base: &mut Members = &mut card.standard.base;
    if base.input.is_none() {
        return false;
    }
    let made = base.output_audio.into_iter().chain(base.output_image).max();
    let is_embedding = ["embed", "voyage", "moderation"]
        .iter()
        .any(|part| name.contains(part));
    base.output = base
        .output
        .or(made)
        .or_else(|| is_embedding.then_some(PicoUsd::ZERO));
    base.output.is_some()
}
