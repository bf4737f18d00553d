//! JSON as it is written: the pairs of an object and the elements of an array. Numbers keep their digits.

use std::{borrow::Cow, collections::HashSet, fmt};

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// Keys and values as they are written.
pub(super) type PairList<'a> = Vec<(Cow<'a, str>, &'a str)>;

/// A key, borrowed where it holds no escape.
#[derive(serde::Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

/// The pairs of an object in their order, the values as they are written.
struct Pairs<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Pairs<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ByPair;
        impl<'de> Visitor<'de> for ByPair {
            type Value = Pairs<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::new();
                while let Some(Key(key)) = map.next_key()? {
                    pairs.push((key, map.next_value()?));
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(ByPair)
    }
}

/// The pairs of an object. `None`: the text is no object.
pub(super) fn pairs(text: &str) -> Option<PairList<'_>> {
    let Pairs(pairs) = serde_json::from_str(text).ok()?;
    Some(pairs.into_iter().map(|(key, value)| (key, value.get())).collect())
}

/// The elements of an array. `None`: the text is no array.
pub(super) fn elements(text: &str) -> Option<Vec<&str>> {
    let values: Vec<&RawValue> = serde_json::from_str(text).ok()?;
    Some(values.into_iter().map(RawValue::get).collect())
}

/// The text that a value in quotes is, and any other value as it is written, but nothing for null. `None`: its escapes are damaged.
pub(super) fn text_of(value: &str) -> Option<String> {
    match value.as_bytes().first() {
        Some(b'"') => serde_json::from_str(value).ok(),
        Some(b'n') => Some(String::new()),
        _ => Some(value.to_owned()),
    }
}

/// Why a text is no JSON that can be read, and where in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct JsonFault {
    /// The key that is there twice in one object. `None`: the text is no JSON.
    pub(super) key_twice: Option<String>,
    /// What the parser expected, or found.
    pub(super) reason: String,
    /// From 1.
    pub(super) line: u64,
    /// In bytes, from 1.
    pub(super) column: u64,
}

impl JsonFault {
    /// What is wrong, and where.
    pub(super) fn message(&self) -> String {
        let place = format!("line {}, column {}", self.line, self.column);
        match &self.key_twice {
            Some(key) => {
                let key = crate::redact::clean(key);
                format!("the key {key} is there twice in one object, the second time at {place}")
            }
            None => format!("not valid JSON ({}) at {place}", crate::redact::clean(&self.reason)),
        }
    }
}

/// Checks a whole value, at every depth.
pub(super) fn check(text: &str) -> Result<(), JsonFault> {
    let Err(error) = serde_json::from_str::<UniqueKeys>(text) else { return Ok(()) };
    let place = format!(" at line {} column {}", error.line(), error.column());
    let whole = error.to_string();
    let reason = whole.strip_suffix(&place).unwrap_or(&whole);
    if OF_THE_PARSER.contains(&reason) {
        return Ok(());
    }
    Err(JsonFault {
        key_twice: reason.strip_prefix(TWICE).map(str::to_owned),
        reason: reason.to_owned(),
        line: error.line() as u64,
        column: error.column() as u64,
    })
}

/// Bounds of the parser that a value as it is written does not have.
const OF_THE_PARSER: &[&str] = &["number out of range", "recursion limit exceeded"];

/// What the error about a key begins with that is there twice.
const TWICE: &str = "key twice: ";

/// Any value in which no object has a key twice.
struct UniqueKeys;

impl<'de> Deserialize<'de> for UniqueKeys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self)
    }
}

impl<'de> Visitor<'de> for UniqueKeys {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(Self)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(Self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(Self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(Self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(Self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(Self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self, A::Error> {
        while seq.next_element::<Self>()?.is_some() {}
        Ok(Self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self, A::Error> {
        let mut keys = HashSet::new();
        while let Some(Key(key)) = map.next_key()? {
            if keys.contains(&key) {
                return Err(A::Error::custom(format!("{TWICE}{key}")));
            }
            keys.insert(key);
            map.next_value::<Self>()?;
        }
        Ok(Self)
    }
}
