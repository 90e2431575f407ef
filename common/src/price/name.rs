//! Which list a provider's model is looked up in, and by which names.
//!
//! The same name has another price at another provider, so the host of the base URL says whose
//! list holds. An unknown host is a server of one's own or another gateway: there the price of the
//! model's maker holds, which its name tells, or the dearest that other sellers ask for it.

use crate::provider::ProviderKind;

/// Hosts by their ends, or beginnings where they end in a dot, and whose list holds there.
const HOSTS: [(&str, &str); 28] = [
    ("api.openai.com", "openai"),
    (".api.openai.com", "openai"),
    (".openai.azure.com", "azure"),
    (".cognitiveservices.azure.com", "azure"),
    (".services.ai.azure.com", "azure"),
    (".azure-api.net", "azure"),
    ("api.anthropic.com", "anthropic"),
    (".googleapis.com", "google"),
    ("api.x.ai", "xai"),
    ("api.deepseek.com", "deepseek"),
    ("api.mistral.ai", "mistral"),
    ("codestral.mistral.ai", "mistral"),
    ("api.groq.com", "groq"),
    ("api.together.xyz", "together"),
    ("api.together.ai", "together"),
    ("api.fireworks.ai", "fireworks"),
    ("api.cerebras.ai", "cerebras"),
    ("api.moonshot.", "moonshot"),
    (".aliyuncs.com", "alibaba"),
    ("openrouter.ai", "openrouter"),
    (".openrouter.ai", "openrouter"),
    ("api.perplexity.ai", "perplexity"),
    ("api.cohere.ai", "cohere"),
    ("api.cohere.com", "cohere"),
    (".amazonaws.com", "aws"),
    ("api.z.ai", "zai"),
    ("api.minimax.", "minimax"),
    ("api.voyageai.com", "voyage"),
];

/// Beginnings of model names and who makes them.
const MAKERS: [(&str, &str); 44] = [
    ("gpt-", "openai"),
    ("chatgpt-", "openai"),
    ("codex-", "openai"),
    ("computer-use", "openai"),
    ("text-embedding-3", "openai"),
    ("text-embedding-ada", "openai"),
    ("o1", "openai"),
    ("o3", "openai"),
    ("o4", "openai"),
    ("claude-", "anthropic"),
    ("gemini-", "google"),
    ("gemma-", "google"),
    ("grok-", "xai"),
    ("deepseek-", "deepseek"),
    ("mistral-", "mistral"),
    ("ministral-", "mistral"),
    ("magistral-", "mistral"),
    ("codestral-", "mistral"),
    ("devstral-", "mistral"),
    ("pixtral-", "mistral"),
    ("voxtral-", "mistral"),
    ("open-mistral", "mistral"),
    ("open-mixtral", "mistral"),
    ("mixtral-", "mistral"),
    ("kimi-", "moonshot"),
    ("moonshot-", "moonshot"),
    ("qwen", "alibaba"),
    ("qwq", "alibaba"),
    ("qvq", "alibaba"),
    ("glm-", "zai"),
    ("minimax-", "minimax"),
    ("command", "cohere"),
    ("embed-", "cohere"),
    ("c4ai-", "cohere"),
    ("sonar", "perplexity"),
    ("pplx-", "perplexity"),
    ("r1-1776", "perplexity"),
    ("llama-", "meta"),
    ("voyage-", "voyage"),
    ("anthropic.", "aws"),
    ("amazon.", "aws"),
    ("meta.", "aws"),
    ("cohere.", "aws"),
    ("demo-", "demo"),
];

/// Prefixes by which other gateways name whose model is meant.
const PREFIXES: [(&str, &str); 27] = [
    ("openai", "openai"),
    ("anthropic", "anthropic"),
    ("google", "google"),
    ("gemini", "google"),
    ("vertex_ai", "google"),
    ("models", "google"),
    ("x-ai", "xai"),
    ("xai", "xai"),
    ("deepseek", "deepseek"),
    ("mistral", "mistral"),
    ("mistralai", "mistral"),
    ("moonshot", "moonshot"),
    ("moonshotai", "moonshot"),
    ("qwen", "alibaba"),
    ("dashscope", "alibaba"),
    ("z-ai", "zai"),
    ("zai", "zai"),
    ("minimax", "minimax"),
    ("cohere", "cohere"),
    ("perplexity", "perplexity"),
    ("azure", "azure"),
    ("bedrock", "aws"),
    ("groq", "groq"),
    ("together_ai", "together"),
    ("fireworks_ai", "fireworks"),
    ("cerebras", "cerebras"),
    ("openrouter", "openrouter"),
];

/// Makers whose models Azure and Vertex sell at the makers' prices, where their own lists have no
/// others.
const RESOLD: [(&str, &[&str]); 2] = [
    (
        "azure",
        &[
            "openai",
            "anthropic",
            "deepseek",
            "xai",
            "moonshot",
            "mistral",
        ],
    ),
    ("google", &["anthropic"]),
];

/// Whose list holds at a host; nobody's at a host that is not known.
pub(super) fn seller_at(host: &str) -> Option<&'static str> {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let found = HOSTS.iter().find(|(pattern, _)| {
        if pattern.starts_with('.') {
            host.ends_with(pattern)
        } else if pattern.ends_with('.') {
            host.starts_with(pattern)
        } else {
            host == *pattern
        }
    });
    found.map(|(_, seller)| *seller)
}

fn maker_of(name: &str) -> Option<&'static str> {
    let found = MAKERS.iter().find(|(start, _)| name.starts_with(start));
    found.map(|(_, maker)| *maker)
}

/// A model as a provider is asked for it, in the lists where it may be: seller and name, the
/// likeliest first.
pub(super) fn places(
    kind: ProviderKind,
    host: &str,
    upstream_model: &str,
) -> Vec<(&'static str, String)> {
    let name = upstream_model.trim().to_ascii_lowercase();
    let name = name.trim_start_matches("models/");
    // Paths of Vertex and Fireworks: publishers/google/models/…, accounts/fireworks/models/….
    let last = name.rsplit("/models/").next().unwrap_or(name);
    let mut places = Vec::new();
    match seller_at(host) {
        Some(seller) => {
            places.extend([name, last].map(|name| (seller, name.to_owned())));
            let resold = RESOLD.iter().find(|(reseller, _)| *reseller == seller);
            let maker = maker_of(last)
                .filter(|maker| resold.is_some_and(|(_, makers)| makers.contains(maker)));
            places.extend(maker.map(|maker| (maker, last.to_owned())));
        }
        None => add_unknown_host(&mut places, kind, last),
    }
    places.dedup();
    places
}

/// Sellers of models that others make, at prices of their own.
const RESELLERS: [&str; 7] = [
    "aws",
    "azure",
    "cerebras",
    "fireworks",
    "groq",
    "openrouter",
    "together",
];

/// The name under which other sellers may list a model, if nothing says who serves it: the host is
/// not known, its dialect is everybody's, and no prefix of the name is a reseller's.
pub(super) fn name_elsewhere(
    kind: ProviderKind,
    host: &str,
    upstream_model: &str,
) -> Option<String> {
    if kind != ProviderKind::OpenAi || seller_at(host).is_some() {
        return None;
    }
    let name = upstream_model.trim().to_ascii_lowercase();
    let prefix = name.split_once('/').map(|(prefix, _)| prefix);
    let named = PREFIXES.iter().find(|(known, _)| Some(*known) == prefix);
    let is_resold = named.is_some_and(|(_, seller)| RESELLERS.contains(seller));
    (!is_resold).then(|| last_segment(&name).to_owned())
}

/// A name without the path before it.
pub(super) fn last_segment(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

/// What a server of one's own or another gateway means by a name.
fn add_unknown_host(places: &mut Vec<(&'static str, String)>, kind: ProviderKind, name: &str) {
    let own = match kind {
        ProviderKind::OpenAi => None,
        ProviderKind::Anthropic => Some("anthropic"),
        ProviderKind::Gemini => Some("google"),
    };
    places.extend(own.map(|own| (own, name.to_owned())));
    if let Some((prefix, rest)) = name.split_once('/') {
        let found = PREFIXES.iter().find(|(known, _)| *known == prefix);
        if let Some((_, seller)) = found {
            places.push((seller, rest.to_owned()));
            return;
        }
    }
    let base = last_segment(name);
    places.extend(maker_of(base).map(|maker| (maker, base.to_owned())));
}

/// How a provider writes dates in names, beside `-YYYYMMDD` and `-YYYY-MM-DD`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum DateStyle {
    /// In no other way.
    #[default]
    Full,
    /// As month and day too.
    MonthDay,
    /// As year and month too.
    YearMonth,
}

/// The name without the date or `-latest` that it ends with, for every way to read its end.
pub(super) fn undated(name: &str, style: DateStyle) -> impl Iterator<Item = &str> {
    let short = move |digits: &str| match style {
        DateStyle::Full => false,
        DateStyle::MonthDay => is_month_day(digits),
        DateStyle::YearMonth => is_year_month(digits),
    };
    let latest = name.strip_suffix("-latest");
    let short = cut(name, 4, &['-']).filter(|(_, digits)| short(digits));
    let whole = cut(name, 8, &['-', '@']).filter(|(_, digits)| is_whole_date(digits));
    let dashed = cut(name, 10, &['-']).filter(|(_, date)| is_dashed_date(date));
    let dates = [short, whole, dashed].into_iter().flatten();
    latest.into_iter().chain(dates.map(|(base, _)| base))
}

/// Cuts off the last characters with a sign before them.
fn cut<'n>(name: &'n str, length: usize, signs: &[char]) -> Option<(&'n str, &'n str)> {
    let at = name.len().checked_sub(length)?;
    let (base, end) = name.split_at_checked(at)?;
    base.strip_suffix(signs)
        .filter(|base| !base.is_empty())
        .map(|base| (base, end))
}

/// Whether this is `YYYYMMDD`.
fn is_whole_date(text: &str) -> bool {
    let parts = text.split_at_checked(4);
    parts.is_some_and(|(year, rest)| within(year, 2015, 2099) && is_month_day(rest))
}

/// Whether this is `YYYY-MM-DD`.
fn is_dashed_date(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let [year, month, day] = parts.as_slice() else {
        return false;
    };
    let widths = [year.len(), month.len(), day.len()];
    widths == [4, 2, 2] && is_whole_date(&parts.concat())
}

fn is_month_day(text: &str) -> bool {
    let parts = text.split_at_checked(2);
    parts.is_some_and(|(month, day)| within(month, 1, 12) && within(day, 1, 31))
}

fn is_year_month(text: &str) -> bool {
    let parts = text.split_at_checked(2);
    parts.is_some_and(|(year, month)| within(year, 20, 99) && within(month, 1, 12))
}

fn within(digits: &str, low: u32, high: u32) -> bool {
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number
        && digits
            .parse()
            .is_ok_and(|number: u32| (low..=high).contains(&number))
}
