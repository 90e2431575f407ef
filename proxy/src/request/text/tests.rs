//! The bound against real tokenizers.

use std::sync::LazyLock;

use proptest::prelude::*;
use tiktoken_rs::CoreBPE;

use super::*;

static TOKENIZERS: LazyLock<[CoreBPE; 4]> = LazyLock::new(|| {
    [
        tiktoken_rs::o200k_base().unwrap(),
        tiktoken_rs::cl100k_base().unwrap(),
        tiktoken_rs::p50k_base().unwrap(),
        tiktoken_rs::r50k_base().unwrap(),
    ]
});

/// Those of models that are sold today.
fn current() -> &'static [CoreBPE] {
    &TOKENIZERS[..2]
}

fn tokens(tokenizer: &CoreBPE, text: &str) -> i64 {
    i64::try_from(tokenizer.encode_ordinary(text).len()).unwrap()
}

/// Checks a text as it is and as JSON of every form.
fn check(text: &str) {
    let plain = serde_json::to_string(text).unwrap();
    let escaped: String = text
        .encode_utf16()
        .map(|unit| format!("\\u{unit:04x}"))
        .collect();
    for tokenizer in current() {
        let counted = tokens(tokenizer, text);
        for form in [text, plain.as_str(), escaped.as_str()] {
            let most = tokens_max(form);
            assert!(counted <= most, "{counted} > {most} for {form:?}");
        }
    }
}

#[test]
fn what_is_taken_for_a_token_is_one_in_every_vocabulary() {
    let is_one = |text: &str| TOKENIZERS.iter().all(|t| tokens(t, text) == 1);
    assert!(COMMON_WORDS.len() > 2_000);
    for word in COMMON_WORDS.iter() {
        assert!(
            word.len() <= COMMON_WORD_LENGTH_MAX && is_one(&format!(" {word}")),
            "{word}"
        );
    }
    for first in b'a'..=b'z' {
        assert!(is_one(&format!(" {}", char::from(first))));
        for second in b'a'..=b'z' {
            let pair = [first, second];
            let text = String::from_utf8(pair.to_vec()).unwrap();
            assert_eq!(is_token(&pair), is_one(&text), "{text}");
        }
    }
    for spaces in 2..200 {
        let text = format!("{}x", " ".repeat(spaces));
        for tokenizer in current() {
            assert!(tokens(tokenizer, &text) <= i64::try_from(spaces / 2).unwrap() + 1);
        }
    }
}

#[test]
fn hostile_texts_have_no_more_tokens_than_the_bound() {
    let repeated = [
        "漢字仮名交じり文",
        "ภาษาไทย",
        "አማርኛ ጽሑፍ",
        "ﷺ",
        "👨‍👩‍👧‍👦",
        "🏳️‍🌈🇺🇳",
        "e\u{301}\u{327}\u{300}",
        "Z̷̧̢̛a̶l̴g̵o̸",
        "ЖЩЪЫЭ",
        "العربية",
        "עברית",
        "한국어",
        "ಕನ್ನಡ",
        "ꙮ𒀀𓀀",
        "\u{200b}\u{feff}",
        "\t",
        "\n",
        "\r\n",
        " \n",
        "  ",
        "\t \n",
        "0123456789",
        "1.5e-7,",
        "-----",
        "=+=+",
        "{\"a\":",
        "[[[[",
        "}{",
        "<|endoftext|>",
        "SELECT*FROM",
        "aB",
        "xQzJ",
        "qxz",
        "vqjk",
        "'s't're",
        "don't",
        "the's",
        " the\u{301}",
        "camelCaseIdentifier",
        "SCREAMING_SNAKE",
        "fn main(){}\n    ",
        "\\",
        "\"",
        "\0",
        "\u{1f}",
        "ſ",
        "ａｂｃ",
        "½⅓",
        "x\u{ad}y",
    ];
    for text in repeated {
        for count in [1, 2, 3, 7, 50] {
            check(&text.repeat(count));
        }
    }
}

#[test]
fn random_texts_have_no_more_tokens_than_the_bound() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut byte = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        u8::try_from(state >> 56).unwrap()
    };
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let base64: String = (0..20_000)
        .map(|_| char::from(alphabet[usize::from(byte() % 64)]))
        .collect();
    check(&base64);
    let letters: String = (0..20_000)
        .map(|_| char::from(b'a' + byte() % 26))
        .collect();
    check(&letters);
    check(include_str!("../text.rs"));
    check(include_str!("../common_words.txt"));
}

#[test]
fn english_prose_counts_less_than_twice_its_tokens() {
    let prose = "The gateway holds what a call may cost before anything reaches the provider. \
        When the answer has come, it settles what the call really used and gives the rest back. \
        A team that has little left can still ask short questions, because the limit of the \
        answer is lowered to what it can pay for, and the provider is told about that limit.";
    for tokenizer in current() {
        let (counted, most) = (tokens(tokenizer, prose), tokens_max(prose));
        assert!(counted <= most && most < counted * 2, "{counted} {most}");
    }
    assert!(tokens_max(prose) < i64::try_from(prose.len()).unwrap() / 2);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_text_has_more_tokens_than_the_bound(text in any::<String>()) {
        check(&text);
    }

    #[test]
    fn no_ascii_has_more_tokens_than_the_bound(text in "[ -~\n\t]{0,400}") {
        check(&text);
    }

    #[test]
    fn no_words_have_more_tokens_than_the_bound(
        words in prop::collection::vec(
            ("[ .'(\n]{0,2}", "[a-z]{1,12}", "['’\u{301}A-Z0-9]?"),
            0..60,
        )
    ) {
        let text: String = words.iter().map(|(a, b, c)| format!("{a}{b}{c}")).collect();
        check(&text);
    }

    #[test]
    fn no_common_words_have_more_tokens_than_the_bound(
        words in prop::collection::vec((0..2_000_usize, "[ .,'\\\\\u{301}\n-]{0,3}"), 0..60)
    ) {
        let known: Vec<&str> = include_str!("../common_words.txt").split_whitespace().collect();
        let text: String = words.iter().map(|(at, end)| format!(" {}{end}", known[*at])).collect();
        check(&text);
    }
}
