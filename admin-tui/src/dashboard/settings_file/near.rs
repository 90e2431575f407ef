//! Which known words somebody may have meant.

/// How many words are proposed.
const PROPOSED_MAX: usize = 3;

/// The known words that are most like this one, the likest first.
pub(crate) fn near<'a>(word: &str, known: &[&'a str]) -> Vec<&'a str> {
    let mut known = known.to_vec();
    known.sort_unstable();
    known.dedup();
    known.sort_by_key(|candidate| distance(candidate, word));
    known.truncate(PROPOSED_MAX);
    known
}

/// How many letters have to be put in, taken out, replaced or swapped with their neighbour.
fn distance(one: &str, other: &str) -> usize {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in other.iter().enumerate() {
            let replaced = above[j] + usize::from(a != b);
            let mut least = replaced.min(above[j + 1] + 1).min(row[j] + 1);
            let is_swapped = i > 0 && j > 0 && one[i - 1] == *b && other[j - 1] == *a;
            if is_swapped {
                least = least.min(before[j - 1] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut above, row);
    }
    above.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misspelt_words_are_recognized() {
        let known = ["refresh", "refund", "rotate", "theme"];
        assert_eq!(near("refesh", &known)[0], "refresh");
        assert_eq!(near("thmee", &known)[0], "theme");
        assert_eq!(near("", &known).len(), 3);
        assert_eq!(distance("ab", "ba"), 1);
        assert_eq!(distance("", "abc"), 3);
    }
}
