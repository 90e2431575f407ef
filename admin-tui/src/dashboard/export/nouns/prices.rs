//! Exports of imported prices: a line for each version and condition, with the figures that the
//! list names.

use tollgate_common::db::page::Place;
use tollgate_common::db::price::list::{self, PRICES, PriceVersion};
use tollgate_common::filter::{Filter, Vocabulary};
use tollgate_common::money::PicoUsd;
use tollgate_common::price::{Members, ServiceTier, TieredMembers, day_text};

use super::super::{Exported, Field, Reader, marked, request, start};
use crate::dashboard::problem::Problem;

/// A version of a price in one condition.
#[derive(Debug)]
pub(super) struct PriceLine {
    version: PriceVersion,
    service_tier: ServiceTier,
    above_prompt_tokens: i64,
    members: Members,
}

/// The lines of a version.
fn lines(version: &PriceVersion) -> Vec<PriceLine> {
    let card = &version.listed.card;
    let line = |service_tier, above_prompt_tokens, members: &Members| PriceLine {
        version: version.clone(),
        service_tier,
        above_prompt_tokens,
        members: *members,
    };
    let of_tier = |tier: ServiceTier, tiered: &TieredMembers| {
        let above = tiered.above.iter();
        let above = above.map(|(threshold, members)| line(tier, *threshold, members));
        let base = std::iter::once(line(tier, 0, &tiered.base));
        base.chain(above).collect::<Vec<PriceLine>>()
    };
    let services = card.services.iter();
    let services = services.flat_map(|(tier, tiered)| of_tier(*tier, tiered));
    let mut lines = of_tier(ServiceTier::Standard, &card.standard);
    lines.extend(services);
    lines
}

impl Exported for PriceLine {
    type Mark = Place;

    const VOCABULARY: &'static Vocabulary = &PRICES;

    const HEADINGS: &'static [&'static str] = &[
        "seller",
        "model",
        "import",
        "version",
        "status",
        "imported_at",
        "confirmed_at",
        "effective_from_day",
        "max_output_tokens",
        "max_context_tokens",
        "service_tier",
        "above_prompt_tokens",
        "input",
        "output",
        "cache_read",
        "cache_write",
        "cache_write_1h",
        "input_audio",
        "audio_cache_read",
        "input_image",
        "output_reasoning",
        "output_audio",
        "output_image",
        "web_search_per_thousand",
        "file_search_per_thousand",
        "code_execution_per_thousand",
        "request_per_thousand",
    ];

    fn csv_row(&self) -> Vec<Field> {
        let (version, listed) = (&self.version, &self.version.listed);
        let status = if version.is_current {
            "current"
        } else {
            "replaced"
        };
        let mut fields = vec![
            Field::text(&listed.seller),
            Field::text(&listed.name),
            Field::Number(version.import),
            Field::text(&listed.version),
            Field::text(status),
            Field::text(version.imported_at),
            Field::text(version.confirmed_at),
            Field::optional(listed.effective_from.map(day_text)),
            Field::number(listed.output_tokens_max),
            Field::number(listed.context_tokens_max),
            Field::text(self.service_tier),
            Field::Number(self.above_prompt_tokens),
        ];
        let dollars = |millionths: Option<i64>| {
            Field::optional(millionths.map(|count| PicoUsd(count).per_million()))
        };
        let prices = self
            .members
            .prices()
            .map(|price| price.map(|price| price.0));
        let fees = self.members.fees().map(|fee| fee.map(|fee| fee.0));
        fields.extend(prices.into_iter().chain(fees).map(dollars));
        fields
    }

    async fn next(
        reader: &mut Reader<'_>,
        filter: &Filter,
        after: Option<Place>,
        limit: i64,
    ) -> Result<(Vec<Self>, Option<Place>), Problem> {
        let start = start(after);
        let request = request(filter, &start, limit);
        let part = list::page(&mut reader.connection, &request).await?;
        let (versions, mark) = marked(part);
        Ok((versions.iter().flat_map(lines).collect(), mark))
    }
}
