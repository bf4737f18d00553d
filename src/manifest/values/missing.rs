//! Texts that programs write where a value is missing.

/// They are compared with their case.
const MISSING: &[&str] = &[
    "NA",
    "N/A",
    "n/a",
    "n.a.",
    "#N/A",
    "#NA",
    "<NA>",
    "NULL",
    "Null",
    "null",
    "(null)",
    "<null>",
    "None",
    "NaN",
    "nan",
    "NAN",
    "-nan",
    "NaT",
    "\\N",
    "undefined",
    "#REF!",
    "#VALUE!",
    "#NAME?",
    "#DIV/0!",
    "-",
    "--",
    ".",
    "0000-00-00",
    "0000-00-00 00:00:00",
    "0000-00-00T00:00:00",
    "0000-00-00T00:00:00Z",
    "0001-01-01",
    "0001-01-01 00:00:00",
    "0001-01-01T00:00:00",
    "0001-01-01T00:00:00Z",
    "0000:00:00",
    "0000:00:00 00:00:00",
    ":  :     :  :",
];

/// Whether one of them begins with this byte: most cells do not, and every cell asks.
const FIRST_BYTES: [bool; 256] = {
    let mut table = [false; 256];
    let mut at = 0;
    while at < MISSING.len() {
        table[MISSING[at].as_bytes()[0] as usize] = true;
        at += 1;
    }
    table
};
/// No missing text is longer, in bytes.
const LENGTH_MAX: usize = 20;

/// Which texts count as missing values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingRules {
    /// Whether those that programs write count.
    pub has_defaults: bool,
    /// Others that count.
    pub texts: Vec<String>,
}

impl Default for MissingRules {
    fn default() -> Self {
        Self { has_defaults: true, texts: Vec::new() }
    }
}

impl MissingRules {
    /// Whether a trimmed text represents a missing value. An empty one is missing in any case, and not asked for.
    pub(in crate::manifest) fn is_missing(&self, text: &str) -> bool {
        let begins_so = || text.bytes().next().is_some_and(|byte| FIRST_BYTES[usize::from(byte)]);
        let is_default =
            self.has_defaults && text.len() <= LENGTH_MAX && begins_so() && MISSING.contains(&text);
        is_default || self.texts.iter().any(|own| own == text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_missing_as_a_program_writes_it_or_as_the_user_says() {
        let rules = MissingRules { texts: vec!["?".to_owned()], ..MissingRules::default() };
        for text in ["NA", "\\N", "NaT", "0000:00:00 00:00:00", "0001-01-01T00:00:00Z", "?", "-"] {
            assert!(rules.is_missing(text), "{text}");
        }
        for text in ["Na", "NANA", "none", "nil", "0", "false", "unknown", ""] {
            assert!(!rules.is_missing(text), "{text}");
        }
        let none = MissingRules { has_defaults: false, texts: vec!["?".to_owned()] };
        assert!(none.is_missing("?") && !none.is_missing("NA"));
        assert!(MISSING.iter().all(|text| text.len() <= LENGTH_MAX));
    }
}
