//! Finding the word that somebody meant.

/// Words longer than this, in characters, are never compared.
const MAX_CHARS: usize = 64;

/// The one of `known` that `word` most likely is a misspelling of, upper and lower case being equal.
#[must_use]
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word: Vec<char> = word.chars().take(MAX_CHARS + 1).flat_map(char::to_lowercase).collect();
    if word.is_empty() || word.len() > MAX_CHARS {
        return None;
    }
    known
        .into_iter()
        .map(|candidate| (distance(&word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= candidate.chars().count().div_ceil(3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// What to write instead of `word`: the nearest of `known`, or all of them.
#[must_use]
pub fn did_you_mean(word: &str, known: &[&str]) -> String {
    match nearest(word, known.iter().copied()) {
        Some(candidate) => format!("did you mean \"{candidate}\"?"),
        None => format!("write one of: {}", known.join(", ")),
    }
}

/// The number of single-character changes between the two (Levenshtein).
fn distance(word: &[char], candidate: &str) -> usize {
    let mut row: Vec<usize> = (0..=word.len()).collect();
    for (i, c) in candidate.chars().take(MAX_CHARS).flat_map(char::to_lowercase).enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (j, w) in word.iter().enumerate() {
            let above = row[j + 1];
            let replace = diagonal + usize::from(*w != c);
            diagonal = above;
            row[j] = left;
            left = replace.min(above + 1).min(left + 1);
        }
        row[word.len()] = left;
    }
    row[word.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_word_finds_the_one_that_was_meant() {
        let known = ["Effect", "Action", "Resource", "NotResource", "Condition"];
        for (word, meant) in [
            ("Efect", Some("Effect")),
            ("effect", Some("Effect")),
            ("Actions", Some("Action")),
            ("Resuorce", Some("Resource")),
            ("Xyzzy", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, known), meant, "{word}");
        }
        assert_eq!(did_you_mean("Efect", &known), "did you mean \"Effect\"?");
        assert!(did_you_mean("Xyzzy", &known).contains("NotResource"));
    }

    #[test]
    fn the_distance_counts_single_changes() {
        let chars = |text: &str| text.chars().collect::<Vec<_>>();
        for (a, b, want) in
            [("kitten", "sitting", 3), ("", "abc", 3), ("abc", "", 3), ("flaw", "lawn", 2), ("a", "a", 0)]
        {
            assert_eq!(distance(&chars(a), b), want, "{a} {b}");
        }
    }
}
