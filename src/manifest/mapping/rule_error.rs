//! What the parsers of the mapping language share: the error and texts in quotes.

use super::field::field_hint;

/// Why a text is no [`MapRule`](super::MapRule).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MapRuleError {
    /// No `=`, or nothing where something must be.
    #[error(
        "expected FIELD=COLUMN[+COLUMN...], such as tags=topic+place, url=#5 or 'url=https://host/{{id}}.mp4'"
    )]
    Form,
    /// Not one of the fields.
    #[error("there is no field {0:?}; {hint}", hint = field_hint(.0))]
    Field(String),
    /// A quote or a brace without its partner.
    #[error("{0} is never closed; write '' for a quote inside quotes, and {{{{ or }}}} for a brace")]
    Open(char),
    /// A quote as text programs make it of a straight one.
    #[error("{0} is no quote of the mapping language; write a straight one: |split ';'")]
    Quote(char),
    /// Not one of the transforms, or without its arguments.
    #[error(
        "{0:?} is no transform; the transforms are |html, |form, |trim, |replace 'a' 'b', |split ';', |first, |address, \
         |json path and, in an address, |raw"
    )]
    Transform(String),
}

/// Reads a text in quotes, and gives the text behind it.
pub(super) fn read_quoted(text: &str) -> Result<(String, &str), MapRuleError> {
    let mut rest = text.strip_prefix('\'').ok_or(MapRuleError::Open('\''))?;
    let mut read = String::new();
    loop {
        let (part, behind) = rest.split_once('\'').ok_or(MapRuleError::Open('\''))?;
        read.push_str(part);
        match behind.strip_prefix('\'') {
            Some(behind) => {
                read.push('\'');
                rest = behind;
            }
            None => return Ok((read, behind)),
        }
    }
}
