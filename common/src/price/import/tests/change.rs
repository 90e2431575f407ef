//! What imports change.

use proptest::prelude::*;

use super::*;
use crate::price::{CATALOG, TieredMembers};

#[test]
fn a_change_beyond_a_factor_of_two_needs_to_be_accepted() {
    for (one, other, expected) in [
        (100, 200, false),
        (100, 201, true),
        (200, 100, false),
        (201, 100, true),
        (0, 0, false),
        (0, 1, true),
        (1, 0, true),
        (i64::MAX, 1, true),
    ] {
        assert_eq!(is_beyond(one, other), expected, "{one} {other}");
    }
}

#[test]
fn every_member_of_every_condition_is_compared() {
    let before = imported(&list_of(MODELS_DEV));
    for (member, old, new, is_refused) in [
        ("input", "{\"input\": 1, ", "{\"input\": 2, ", false),
        ("input", "\"input\": 1.25", "\"input\": 2.51", true),
        ("output", "\"output\": 10,", "\"output\": 4.9,", true),
        (
            "cache_read",
            "\"cache_read\": 0.125",
            "\"cache_read\": 0.3",
            true,
        ),
        (
            "cache_read",
            "\"cache_read\": 0.125",
            "\"cache_read\": 0",
            true,
        ),
        (
            "output_reasoning",
            "\"reasoning\": 12",
            "\"reasoning\": 25",
            true,
        ),
        (
            "output_audio",
            "\"output_audio\": 64",
            "\"output_audio\": 129",
            true,
        ),
        ("output", "\"output\": 15}", "\"output\": 31}", true),
        (
            "input",
            "{\"input\": 3, \"output\": 20}",
            "{\"input\": 1, \"output\": 20}",
            true,
        ),
    ] {
        let list = list_of(&MODELS_DEV.replacen(old, new, 1));
        let plan = plan(&list, before.clone(), &NONE, today());
        assert_eq!(plan.changed.len(), 1, "{new}");
        let moves = &plan.changed[0].moves;
        assert!(
            moves.iter().any(|step| step.member == member),
            "{new}: {moves:?}"
        );
        let accept = |name: &str| Acceptance::Models(vec![name.to_owned()]);
        assert_eq!(
            plan.unaccepted(&NONE).len(),
            usize::from(is_refused),
            "{new}"
        );
        assert_eq!(
            plan.unaccepted(&accept("gpt-tiers")).len(),
            usize::from(is_refused)
        );
        for accepted in [accept("gpt-t"), accept("OpenAI/GPT-T"), Acceptance::All] {
            assert_eq!(plan.unaccepted(&accepted).len(), 0, "{new}");
        }
    }
}

#[test]
fn an_import_is_compared_with_the_catalogue_where_nothing_was_imported() {
    let list = |input: &str| {
        list_of(&format!(
            r#"{{"gpt-4o": {{"litellm_provider": "openai", "mode": "chat",
                "input_cost_per_token": {input}, "output_cost_per_token": 1e-05,
                "cache_read_input_token_cost": 1.25e-06,
                "search_context_cost_per_query": {{"x": 0.01}}}},
              "gpt-of-tomorrow": {{"litellm_provider": "openai", "mode": "chat",
                "input_cost_per_token": 1e-06, "output_cost_per_token": 1e-06}},
              "gpt-free": {{"litellm_provider": "openai", "mode": "chat",
                "input_cost_per_token": 0, "output_cost_per_token": 0}}}}"#
        ))
    };
    let first = plan(&list("2.6e-06"), Vec::new(), &NONE, today());
    let input = first.changed[0]
        .moves
        .iter()
        .find(|step| step.member == "input")
        .unwrap();
    assert_eq!(
        (input.before, input.after),
        (Some(2_500_000), Some(2_600_000))
    );
    assert_eq!(first.changed[0].before, Some(PriceSource::Catalogue));
    assert_eq!(first.added[0].name, "gpt-of-tomorrow");
    assert_eq!(
        first.free, 1,
        "nobody makes a model free by leaving its price out"
    );
    assert_eq!(first.store.len(), 2);
    assert!(first.unaccepted(&NONE).is_empty());
    let named = Acceptance::Models(vec!["gpt-free".to_owned()]);
    assert_eq!(
        plan(&list("2.6e-06"), Vec::new(), &named, today())
            .store
            .len(),
        3
    );
    let tenfold = plan(&list("2.5e-05"), Vec::new(), &NONE, today());
    assert_eq!(tenfold.unaccepted(&NONE)[0].full_name(), "openai/gpt-4o");
    let gone = plan(&list("0"), Vec::new(), &NONE, today());
    assert_eq!(gone.unaccepted(&NONE).len(), 1, "to nothing");
}

#[test]
fn a_price_that_is_announced_is_compared_on_its_day() {
    let before = imported(&list_of(GENAI));
    let later = GENAI.replace("\"input_mtok\": 1.5,", "\"input_mtok\": 5,");
    let plan = plan(&list_of(&later), before, &NONE, today());
    let change = plan
        .changed
        .iter()
        .find(|change| change.name == "claude-test-1")
        .unwrap();
    let moves: Vec<(Option<i64>, &str)> = change
        .moves
        .iter()
        .map(|step| (step.from, step.member))
        .collect();
    assert!(
        moves.contains(&(day_of("2027-01-01"), "input")),
        "{moves:?}"
    );
    assert!(moves.iter().all(|(from, _)| from.is_some()), "{moves:?}");
    assert_eq!(
        plan.unaccepted(&NONE).len(),
        2,
        "the model and its other name"
    );
}

#[test]
fn what_a_format_has_no_word_for_stays_as_it_was() {
    let list = list_of(
        r#"{"anthropic": {"models": {"claude-opus-4-5": {"cost": {"input": 5, "output": 25,
            "cache_read": 0.5, "cache_write": 6.25}}}}}"#,
    );
    let kept = plan(&list, Vec::new(), &NONE, today());
    let base = kept.store[0].cards[0].card.standard.base;
    let shipped = CATALOG
        .exact("anthropic", "claude-opus-4-5", today())
        .unwrap();
    assert_eq!(base.web_search, shipped.card.standard.base.web_search);
    assert_eq!(base.cache_write_1h, usd("10"));
    assert_eq!(kept.store[0].output_tokens_max, shipped.output_tokens_max);
    assert_eq!((kept.changed.len(), kept.unchanged), (0, 1));
    let dearer = list_of(
        r#"{"anthropic": {"models": {"claude-opus-4-5": {"cost": {"input": 6, "output": 25,
            "cache_read": 0.5, "cache_write": 6.25}}}}}"#,
    );
    let plan = plan(&dearer, Vec::new(), &NONE, today());
    let base = plan.store[0].cards[0].card.standard.base;
    assert_eq!(
        base.cache_write_1h, None,
        "it belonged to another input price"
    );
    assert!(base.web_search.is_some());
}

#[test]
fn an_import_of_a_name_holds_for_other_names_of_the_same_model() {
    let list = list_of(
        r#"{"claude-3-5-haiku-latest": {"litellm_provider": "anthropic", "mode": "chat",
            "input_cost_per_token": 1e-06, "output_cost_per_token": 4e-06}}"#,
    );
    let book = crate::price::PriceBook::new(imported(&list), today());
    let found = book
        .exact_on("anthropic", "claude-3-5-haiku", today())
        .unwrap();
    assert_eq!(found.source, PriceSource::Imported);
    let at = (
        crate::provider::ProviderKind::Anthropic,
        "api.anthropic.com",
    );
    let names = crate::price::names_to_look_up(at, "claude-3-5-haiku-20241022");
    assert!(
        names.iter().any(|name| name == "claude-3-5-haiku-latest"),
        "{names:?}"
    );
}

#[test]
fn a_list_that_was_imported_changes_nothing_when_it_is_imported_again() {
    for text in [GENAI, MODELS_DEV, LITELLM] {
        let list = list_of(text);
        let first = plan(&list, Vec::new(), &Acceptance::All, today());
        let stored: Vec<ListedPrice> = first.store.iter().flat_map(|row| row.listed("1")).collect();
        let again = plan(&list, stored, &NONE, today());
        assert_eq!(
            (again.changed.len(), again.added.len()),
            (0, 0),
            "{:?}",
            again.changed
        );
        assert_eq!(again.store, Vec::new());
        assert_eq!(again.confirm.len(), first.store.len());
    }
}

fn member() -> impl Strategy<Value = Option<PicoUsd>> {
    prop::option::of((0..=1_000_000_000_000_i64).prop_map(PicoUsd))
}

prop_compose! {
    fn members()(
        input in 1..=1_000_000_000_000_i64,
        prices in prop::array::uniform10(member()),
        fees in prop::array::uniform4(prop::option::of(0..=1_000_000_000_000_i64)),
    ) -> Members {
        let mut members = Members::default();
        let prices = std::iter::once(Some(PicoUsd(input))).chain(prices);
        for (name, price) in crate::price::PRICE_NAMES.into_iter().zip(prices) {
            *members.price_mut(name).unwrap() = price;
        }
        for (name, fee) in crate::price::FEE_NAMES.into_iter().zip(fees) {
            *members.fee_mut(name).unwrap() = fee.map(NanoUsd);
        }
        members.output = members.output.or(Some(PicoUsd(input)));
        members
    }
}

prop_compose! {
    fn cards()(
        base in members(),
        above in prop::collection::btree_map(1..=2_000_000_i64, members(), 0..3),
        services in prop::collection::btree_map(1..ServiceTier::ALL.len(), members(), 0..3),
    ) -> RateCard {
        let services = services.into_iter().map(|(at, base)| {
            let tiered = TieredMembers { base, above: above.clone() };
            (ServiceTier::ALL[at], tiered)
        });
        RateCard {
            services: services.collect(),
            standard: TieredMembers { base, above: above.clone() },
        }
    }
}

prop_compose! {
    fn rows()(
        named in prop::collection::btree_map("[a-z][a-z0-9.-]{0,20}[a-z0-9]", (
            prop::collection::btree_map(prop::option::of(1..=40_000_i64), cards(), 1..3),
            prop::option::of(1..=10_000_000_i64),
        ), 1..4),
    ) -> Vec<ListRow> {
        let rows = named.into_iter().map(|(name, (cards, limit))| ListRow {
            seller: "openai".to_owned(),
            name,
            cards: cards.into_iter().map(|(from, card)| DatedCard { from, card }).collect(),
            output_tokens_max: limit,
            context_tokens_max: limit.map(|limit| limit + 1),
        });
        rows.collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// What is exported is imported without a difference, down to the last digit.
    #[test]
    fn an_import_of_an_export_is_the_identity(rows in rows()) {
        let listed: Vec<ListedPrice> = rows.iter().flat_map(|row| row.listed("v")).collect();
        let entries: Vec<PriceEntry> = listed.iter().map(PriceEntry::new).collect();
        let text = serde_json::to_string_pretty(&entries).unwrap();
        let list = read(text.as_bytes(), None, 0).unwrap();
        prop_assert_eq!(list.format, ListFormat::Tollgate);
        prop_assert_eq!(&list.rows, &rows);
        let plan = plan(&list, listed, &NONE, 20_000);
        prop_assert_eq!(plan.counts().changed + plan.counts().added, 0);
        prop_assert_eq!(plan.store, Vec::new());
    }

    /// Whatever bytes a file has: an error or a list, never a panic.
    #[test]
    fn no_file_breaks_the_reader(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for format in ListFormat::ALL {
            let _ = read(&bytes, Some(format), 0);
        }
    }
}
