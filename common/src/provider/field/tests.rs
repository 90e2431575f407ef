//! The tables of fields, and names that only look like those in them.

use super::*;

#[test]
fn each_name_is_in_a_table_once_and_written_as_servers_fold_it() {
    for endpoint in [Endpoint::Completions, Endpoint::Embeddings] {
        let mut seen = std::collections::HashSet::new();
        for (name, _) in endpoint.all() {
            assert_eq!(fold(name), name);
            assert!(seen.insert(name), "{name} twice");
        }
    }
}

#[test]
fn names_that_look_like_a_known_one_are_found() {
    for (name, known) in [
        ("Model", "model"),
        ("MAX_TOKENS", "max_tokens"),
        (" stream", "stream"),
        ("stream\u{200b}", "stream"),
        ("\u{feff}n", "n"),
        ("ｍｏｄｅｌ", "model"),
        ("ＭＯＤＥＬ", "model"),
        ("\u{17f}tream", "stream"),
        ("max_to\u{212a}ens", "max_tokens"),
        ("max-tokens", "max_tokens"),
        ("Service_Tier", "service_tier"),
        ("Models", "models"),
        ("model\0", "model"),
        ("top_P", "top_p"),
    ] {
        assert_eq!(
            Endpoint::Completions.look_alike(name),
            Some(known),
            "{name:?}"
        );
        assert_eq!(Endpoint::Completions.rule_of(name), None);
    }
    for name in ["model", "extra_of_a_server", "modell", "n2", ""] {
        assert_eq!(Endpoint::Completions.look_alike(name), None, "{name:?}");
    }
    assert_eq!(
        Endpoint::Embeddings.look_alike("Dimensions"),
        Some("dimensions")
    );
    assert_eq!(Endpoint::Embeddings.look_alike("Messages"), None);
}

#[test]
fn only_fields_that_the_table_does_not_have_can_be_passed() {
    let fields: PassFields = " b_1, a.c ,b_1".parse().unwrap();
    assert_eq!(fields.names(), ["a.c", "b_1"]);
    assert!(fields.contains("a.c") && !fields.contains("a"));
    assert_eq!(fields.to_string().parse(), Ok(fields));
    for none in ["", "none", " "] {
        assert!(none.parse::<PassFields>().unwrap().is_empty());
    }
    for bad in [
        "a,,b",
        "a b",
        "é",
        "\u{200b}x",
        "model",
        "Model",
        "max-tokens",
        "models",
        "api_base",
        "service_tier",
        "top_k",
        "n",
        "Top_K",
        "x,X",
        "max_new_tokens",
    ] {
        assert!(bad.parse::<PassFields>().is_err(), "{bad}");
    }
    let many: Vec<String> = (0..=PASS_FIELDS_MAX).map(|i| format!("x{i}")).collect();
    assert!(many.join(",").parse::<PassFields>().is_err());
    assert!(
        "x".repeat(PASS_FIELD_LENGTH_MAX + 1)
            .parse::<PassFields>()
            .is_err()
    );
}
