//! When two texts are the same but for case: everything in the language compares what [`fold`] returns.
//!
//! It is Unicode's simple case folding, character by character, as the `regex` crate ignores case too: `Σ`, `σ` and
//! `ς` are one, `ß` is `ẞ` but not `ss`, the Turkish `İ` and `ı` are only themselves. Nothing is normalised.

/// `text` without its case: itself if nothing changes and it is ASCII, otherwise written to `scratch`.
pub fn fold<'a>(text: &'a str, scratch: &'a mut String) -> &'a str {
    scratch.clear();
    if !text.is_ascii() {
        scratch.extend(text.chars().map(fold_char));
    } else if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        scratch.push_str(text);
        scratch.make_ascii_lowercase();
    } else {
        return text;
    }
    scratch
}

/// Whether `text` is `folded` but for case.
pub(super) fn folds_to(text: &str, folded: &str) -> bool {
    text.chars().map(fold_char).eq(folded.chars())
}

/// `character` without its case.
pub(super) fn fold_char(character: char) -> char {
    match character {
        '\0'..='\u{7F}' => character.to_ascii_lowercase(),
        // The large scripts without case, so that they need no look-up.
        '\u{2E80}'..='\u{A63F}' | '\u{AC00}'..='\u{FAFF}' => character,
        // Its capital is I, which only Turkish and Azerbaijani take for the same letter.
        'ı' => character,
        // Pairs whose capitals are several characters, so that the rule below cannot join them.
        '\u{1FD3}' => '\u{390}',
        '\u{1FE3}' => '\u{3B0}',
        '\u{FB05}' => '\u{FB06}',
        _ => {
            let upper = single(character.to_uppercase()).unwrap_or(character);
            single(upper.to_lowercase()).unwrap_or(upper)
        }
    }
}

fn single(mut mapped: impl ExactSizeIterator<Item = char>) -> Option<char> {
    if mapped.len() == 1 { mapped.next() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(fold(text, &mut String::new()), expected);
    }

    #[test]
    fn case_disappears_in_every_script_and_nothing_else_does() {
        check("timeout 42", "timeout 42");
        check("TimeOut", "timeout");
        check("登录 Failed", "登录 failed");
        check("ΟΔΟΣ Οδος", "οδοσ οδοσ");
        check("STRASSE Straße STRAẞE", "strasse straße straße");
        check("İstanbul ISTANBUL ıstanbul", "İstanbul istanbul ıstanbul");
        check("\u{212A}elvin ſpaß", "kelvin spaß");
        check("ÉCOLE e\u{301}", "école e\u{301}");
    }

    /// The promise of the module: for every character that has case, the same partners as in a regular expression.
    #[test]
    fn folding_joins_exactly_what_regular_expressions_join() {
        // A standard library newer than the crate knows case for letters that the crate does not know at all.
        let unknown = ::regex::Regex::new(r"\p{Cn}").unwrap();
        let cased: String = (char::MIN..=char::MAX)
            .filter(|c| !c.to_uppercase().eq([*c]) || !c.to_lowercase().eq([*c]) || fold_char(*c) != *c)
            .filter(|c| !unknown.is_match(c.encode_utf8(&mut [0; 4])))
            .collect();
        assert!(cased.chars().count() > 2_500);
        for character in cased.chars() {
            let pattern = format!("(?i){}", ::regex::escape(&character.to_string()));
            let partners: String = ::regex::Regex::new(&pattern)
                .unwrap()
                .find_iter(&cased)
                .map(|found| found.as_str())
                .collect();
            let folded: String = cased
                .chars()
                .filter(|c| fold_char(*c) == fold_char(character))
                .collect();
            assert_eq!(folded, partners, "{character:?} U+{:04X}", u32::from(character));
        }
    }
}
