//! CSV injection: escapes cells that a spreadsheet would execute as formulas, and restores them when they are read
//! back.
//!
//! A cell that starts with `=`, `+`, `-`, `@`, a tab or a carriage return is a formula to a spreadsheet. A leading
//! apostrophe makes it text. Plain numbers such as `-88.2` stay as they are, so coordinates survive.

/// Columns that telecine adds to its files all start with this; files that have them are recognised as its own.
pub const OWN_PREFIX: &str = "telecine_";

/// The cell as a spreadsheet may safely open it.
#[must_use]
pub fn escape(cell: &str) -> std::borrow::Cow<'_, str> {
    let is_dangerous = starts_like_formula(cell) && cell.parse::<f64>().is_err();
    if is_dangerous || looks_defused(cell) { format!("'{cell}").into() } else { cell.into() }
}

/// The cell as it was before [`escape`].
#[must_use]
pub fn unescape(cell: &str) -> &str {
    if looks_defused(cell) { &cell[1..] } else { cell }
}

fn looks_defused(cell: &str) -> bool {
    cell.strip_prefix('\'').is_some_and(|inner| starts_like_formula(inner) || inner.starts_with('\''))
}

fn starts_like_formula(cell: &str) -> bool {
    let first = cell.trim_start_matches(' ').chars().next();
    matches!(first, Some('=' | '+' | '-' | '@' | '\t' | '\r' | '\0' | '＝' | '＋' | '－' | '＠'))
}

/// Whether the first line is a header of telecine's own.
pub(crate) fn is_own_output(head: &[u8]) -> bool {
    let line = head.split(|byte| matches!(byte, b'\n' | b'\r')).next().unwrap_or_default();
    let is_own = |name: &[u8]| name.starts_with(OWN_PREFIX.as_bytes());
    line.split(|byte| *byte == b',').filter(|name| is_own(name)).count() >= 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_formula_becomes_text_and_a_number_stays_a_number() {
        assert_eq!(escape("=HYPERLINK(1)"), "'=HYPERLINK(1)");
        assert_eq!(escape("@x"), "'@x");
        assert_eq!(escape(" =x"), "' =x");
        assert_eq!(escape("-88.2"), "-88.2");
        assert_eq!(escape("-88.2+1"), "'-88.2+1");
        assert_eq!(escape("plain"), "plain");
    }

    #[test]
    fn an_escaped_cell_reads_back_unchanged() {
        for cell in ["=x", "'=x", "''=x", "-1", "'-1", "+a", "'", "''", "it's", "'quoted'", "", "\t=x", "＝x"]
        {
            assert_eq!(unescape(&escape(cell)), cell, "{cell:?}");
        }
    }
}
