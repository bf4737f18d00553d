//! What happened to a text on its way into the manifest, as far as the text shows it.

/// A class, what is odd, and what to do.
pub(super) type Advised = (&'static str, &'static str, &'static str);

pub(super) const LOST: Advised = (
    "text_damaged",
    "a character was lost before or while the file was written: \u{fffd} is sent in its place",
    "correct the text, or export it again as UTF-8",
);
const ONLY_MARKS: Advised = (
    "text_damaged",
    "only question marks are left of the text: its characters were lost before the file was written",
    "correct the text, or export it again as UTF-8",
);
pub(super) const READ_OTHERWISE: Advised = (
    "text_damaged",
    "the text was UTF-8, and was read as another encoding before the file was written (\u{c3}\u{a9} for \u{e9})",
    "correct the text, or export it again as UTF-8",
);
const CONTROL: Advised = (
    "text_control_character",
    "a character that no one sees is in the text: a search for it finds nothing",
    "remove it; many of them come of a wrong encoding: --encoding macintosh or ibm866, for example",
);
const MARKUP: Advised = (
    "text_markup",
    "a tag of HTML is in the text, and is sent as it is",
    "export plain text, or replace it: --map \"FIELD={COLUMN|replace '<br>' ';'}\"",
);

/// What is wrong with a text; the first that is found.
pub(super) fn of(text: &str) -> Option<Advised> {
    // nearly all texts have none of what is looked for
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~') && !matches!(byte, b'<' | b'?')) {
        return None;
    }
    let marks = text.matches('?').count();
    let is_control = |c: char| c.is_control() && !c.is_whitespace() || is_unseen(c);
    if text.contains('\u{fffd}') {
        Some(LOST)
    } else if marks > 2 && text.chars().all(|c| c == '?' || c.is_whitespace() || c.is_ascii_punctuation()) {
        Some(ONLY_MARKS)
    } else if was_read_otherwise(text) {
        Some(READ_OTHERWISE)
    } else if text.contains(is_control) {
        Some(CONTROL)
    } else {
        ["</", "<br", "<BR", "<p>"].iter().any(|tag| text.contains(tag)).then_some(MARKUP)
    }
}

/// Whether a character is invisible, and belongs to the writing of no language.
pub(super) const fn is_unseen(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}' | '\u{202a}'..='\u{202e}' | '\u{2060}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// Whether a text shows UTF-8 that was read as Windows-1252 or Latin-1: a letter that begins a character in UTF-8 stands before as
/// many signs that go on with it. Of the letters only those are taken behind which no language has such signs.
pub(super) fn was_read_otherwise(text: &str) -> bool {
    let chars: Vec<char> = text.chars().collect();
    (0..chars.len()).any(|at| {
        let count = match chars[at] {
            '\u{c2}' | '\u{c3}' | '\u{d0}' | '\u{d1}' => 1,
            '\u{e2}' | '\u{e3}' | '\u{e6}' | '\u{e7}' => 2,
            '\u{f0}' => 3,
            _ => return false,
        };
        let behind = chars.get(at + 1..=at + count).unwrap_or_default();
        // behind a letter quotes close
        let closes = chars[at] != '\u{e2}'
            && matches!(behind, ['\u{2019}' | '\u{201d}'] | [_, '\u{2019}' | '\u{201d}' | '\u{bb}']);
        behind.len() == count && behind.iter().all(|c| goes_on(*c)) && !closes
    })
}

/// Whether Windows-1252 or Latin-1 have this sign where UTF-8 has a byte that goes on with a character.
fn goes_on(c: char) -> bool {
    matches!(c, '\u{80}'..='\u{bf}')
        || "\u{20ac}\u{201a}\u{192}\u{201e}\u{2026}\u{2020}\u{2021}\u{2c6}\u{2030}\u{160}\u{2039}\u{152}\u{17d}\u{2018}\u{2019}\u{201c}\u{201d}\u{2022}\u{2013}\u{2014}\u{2dc}\u{2122}\u{161}\u{203a}\u{153}\u{17e}\u{178}".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_was_damaged_on_its_way_is_known_and_no_language_is_taken_for_one() {
        for (text, expected) in [
            ("cafÃ©", Some(READ_OTHERWISE)),
            ("MÃ¶we", Some(READ_OTHERWISE)),
            ("itâ€™s", Some(READ_OTHERWISE)),
            ("ÐœÐ¾ÑÐºÐ²Ð°", Some(READ_OTHERWISE)),
            ("ð\u{9f}\u{98}\u{80}", Some(READ_OTHERWISE)),
            ("æ—¥æœ¬", Some(READ_OTHERWISE)),
            ("caf\u{fffd}", Some(LOST)),
            ("???? ???", Some(ONLY_MARKS)),
            ("fog\u{7}", Some(CONTROL)),
            ("Ma\u{8a}", Some(CONTROL)),
            ("fo\u{200b}g", Some(CONTROL)),
            ("a\u{202e}b", Some(CONTROL)),
            ("نمی\u{200c}خواهم, 👨\u{200d}👩", None),
            ("fog<br/>rain", Some(MARKUP)),
            ("<p>fog</p>", Some(MARKUP)),
            ("São Paulo, ÂNGELA, «Café…», «amanhã…»", None),
            ("„MENÜ“ CAFÉ–BAR", None),
            ("日本, Москва, Ελλάδα, 😀", None),
            ("why??", None),
            ("a < b", None),
        ] {
            assert_eq!(of(text).map(|(_, what, _)| what), expected.map(|(_, what, _)| what), "{text}");
        }
    }
}
