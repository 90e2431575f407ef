//! The most tokens that a text can have, whatever tokenizer counts it.
//!
//! A token has at least one byte, so no text has more tokens than bytes. Two properties of
//! tokenizers by byte pairs make ordinary text much lighter; the tests check both against real
//! vocabularies:
//! - The commonest English words are one token each, together with the space before them.
//! - Two neighbouring letters that are a token together are never left as two tokens. The most
//!   tokens that such a word is cut into follow from which pairs are tokens.
//!
//! Digits, capitals, punctuation and all that is not ASCII count a token for each byte. English
//! prose comes to about 1.7 times its tokens, instead of 4 times by its bytes.

use std::collections::HashSet;
use std::sync::LazyLock;

/// Words that are one token with a space before them, in all vocabularies that the tests know.
static COMMON_WORDS: LazyLock<HashSet<&str>> = LazyLock::new(|| {
    include_str!("common_words.txt")
        .split_whitespace()
        .collect()
});

/// The longest of those words, in bytes.
const COMMON_WORD_LENGTH_MAX: usize = 15;

/// For each lower-case letter, which ones it makes a token with that follow it: `a` is bit 0.
const PAIRS: [u32; 26] = [
    0x3ff_ffff, 0x11e_fbff, 0x33e_fdbf, 0x19f_ffbf, 0x3ff_bdff, 0x1de_f97f, 0x31e_f9df, 0x35e_f999,
    0x3ff_ffff, 0x014_cb15, 0x15e_7fd3, 0x13e_e93f, 0x19e_fd5f, 0x37e_f95f, 0x3fe_ffff, 0x19e_f9df,
    0x01d_0901, 0x1de_79ff, 0x17f_fdff, 0x3fe_fdfd, 0x3be_ffff, 0x13e_d95d, 0x1de_fd9b, 0x18c_813f,
    0x39e_fd59, 0x390_6993,
];

/// The most tokens of a text. JSON counts as the text that it is: its escapes are longer than what
/// they stand for.
pub(crate) fn tokens_max(text: &str) -> i64 {
    let bytes = text.as_bytes();
    let (mut tokens, mut at) = (0_usize, 0_usize);
    while let Some(byte) = bytes.get(at) {
        let rest = bytes.get(at..).unwrap_or_default();
        let (length, most) = match byte {
            b' ' => after_space(rest),
            b'a'..=b'z' => word(rest, 0),
            _ => (1, 1),
        };
        tokens += most;
        at += length;
    }
    i64::try_from(tokens).unwrap_or(i64::MAX)
}

/// How long a run of spaces with the word after it is, and its most tokens.
fn after_space(rest: &[u8]) -> (usize, usize) {
    let spaces = rest.iter().take_while(|byte| **byte == b' ').count();
    if spaces > 1 {
        // The last one belongs to what follows. Vocabularies have tokens for runs of spaces.
        return (spaces - 1, spaces / 2);
    }
    let letters = rest.iter().skip(1).take(COMMON_WORD_LENGTH_MAX + 1);
    let length = letters.take_while(|byte| byte.is_ascii_lowercase()).count();
    if length == 0 {
        return (1, 1);
    }
    let found = rest
        .get(1..=length)
        .and_then(|word| str::from_utf8(word).ok());
    let is_common = found.is_some_and(|word| COMMON_WORDS.contains(word));
    if is_common && ends_word(rest.get(length + 1..).unwrap_or_default()) {
        return (length + 1, 1);
    }
    word(rest, 1)
}

/// Whether a word ends here for every tokenizer: marks and apostrophes may belong to it.
fn ends_word(rest: &[u8]) -> bool {
    match rest {
        [] => true,
        [b'\\', escaped, ..] => b"nrt\"\\/".contains(escaped),
        [byte, ..] => byte.is_ascii_whitespace() || b".,;:!?()[]{}\"".contains(byte),
    }
}

/// How long a word of lower-case letters is, with `before` bytes of a space before it, and its most
/// tokens: no two single letters stay side by side that make a token together.
fn word(rest: &[u8], before: usize) -> (usize, usize) {
    let letters = rest.iter().skip(before);
    let length = letters.take_while(|byte| byte.is_ascii_lowercase()).count() + before;
    // The most tokens of what was read that end with a single byte, or with a longer token.
    let (mut single, mut longer) = (1, 0);
    // The same one byte before.
    let (mut single_before, mut longer_before) = (0, 0);
    for pair in rest.get(..length).unwrap_or_default().windows(2) {
        let after_single = if is_token(pair) { 0 } else { single };
        let next = (
            longer.max(after_single) + 1,
            usize::max(single_before, longer_before) + 1,
        );
        (single_before, longer_before) = (single, longer);
        (single, longer) = next;
    }
    (length, usize::max(single, longer))
}

/// Whether two bytes of a word make a token: every letter does with a space before it.
fn is_token(pair: &[u8]) -> bool {
    let [first, second] = pair else { return false };
    let index = |letter: &u8| usize::from(letter.saturating_sub(b'a'));
    *first == b' '
        || PAIRS
            .get(index(first))
            .is_some_and(|pairs| pairs >> index(second) & 1 == 1)
}

#[cfg(test)]
mod tests;
