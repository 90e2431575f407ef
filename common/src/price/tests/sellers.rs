//! Models that several providers list at different prices.

use super::*;

#[test]
fn a_dated_release_with_a_price_of_its_own_does_not_get_that_of_the_name_without_date() {
    let azure = host_of("azure");
    assert_eq!(listed(azure, "gpt-4o"), Some(pair("2.50", "10.00")));
    assert_eq!(
        listed(azure, "gpt-4o-2024-05-13"),
        Some(pair("5.00", "15.00"))
    );
    assert_eq!(
        listed(azure, "gpt-4o-2024-08-06"),
        Some(pair("2.50", "10.00"))
    );
    // No host of any seller lends its price to a release that another seller lists apart.
    for (seller, name) in CATALOG.names() {
        let at = host_of(seller);
        let bases: Vec<&str> = name::undated(name, CATALOG.style(seller)).collect();
        let own = CATALOG.exact(seller, name, catalogue_day());
        for base in bases {
            let usual = CATALOG.exact(seller, base, catalogue_day());
            let (Some(own), Some(usual)) = (own.as_ref(), usual) else {
                continue;
            };
            let tokens =
                |row: &ListedPrice| (row.card.standard().input, row.card.standard().output);
            if tokens(own) == tokens(&usual) || name.ends_with("-latest") || at.1.is_empty() {
                continue;
            }
            for other in [
                "azure",
                "openai",
                "google",
                "groq",
                "openrouter",
                "together",
            ] {
                let found = CATALOG.find(host_of(other), name, catalogue_day());
                let is_lent = found.is_some_and(|found| found.name == base);
                assert!(!is_lent, "{other} lends {base} to {name} of {seller}");
            }
        }
    }
}

#[test]
fn at_an_unknown_host_the_dearest_seller_of_a_model_is_assumed() {
    let unknown = (ProviderKind::OpenAi, "llm.internal");
    for model in ["deepseek-r1", "deepseek/deepseek-r1", "deepseek-r1-0528"] {
        assert_eq!(
            listed(unknown, model),
            Some(pair("3.00", "8.00")),
            "{model}"
        );
    }
    assert_eq!(
        listed(unknown, "openai/gpt-oss-120b"),
        listed(host_of("cerebras"), "gpt-oss-120b")
    );
    // Who serves it is said by the host or by the prefix.
    let deepseek = host_of("deepseek");
    assert_eq!(listed(deepseek, "deepseek-r1"), Some(pair("0.28", "0.42")));
    assert_eq!(
        listed(unknown, "groq/openai/gpt-oss-120b"),
        listed(host_of("groq"), "openai/gpt-oss-120b")
    );
    // Whoever sells a model under its own name asks no more than what is assumed.
    for (seller, name) in CATALOG.names() {
        let maker = CATALOG.find(unknown, name, catalogue_day());
        let own = CATALOG.exact(seller, name, catalogue_day());
        let (Some(assumed), Some(own)) = (maker, own) else {
            continue;
        };
        if name.contains('/') || seller == assumed.seller {
            continue;
        }
        let sum = |row: &ListedPrice| row.card.standard().input.0 + row.card.standard().output.0;
        assert!(sum(&own) <= sum(&assumed), "{seller} {name}");
    }
}

#[test]
fn an_imported_price_of_the_maker_holds_at_an_unknown_host() {
    let card = RateCard::flat(usd("1"), usd("2"));
    let day = catalogue_day();
    let mut imported = CATALOG.exact("deepseek", "deepseek-r1", day).unwrap();
    imported.name = "deepseek-r1".to_owned();
    imported.card = card;
    imported.source = PriceSource::Imported;
    let unknown = (ProviderKind::OpenAi, "llm.internal");
    let names = names_to_look_up(unknown, "deepseek-r1");
    assert!(names.contains(&"deepseek-r1".to_owned()));
    assert!(names.contains(&"accounts/fireworks/models/deepseek-r1".to_owned()));
    let book = PriceBook::new(vec![imported], day);
    let found = book.find(unknown, "deepseek-r1").unwrap();
    assert_eq!(found.card.standard().output, usd("2"));
}
