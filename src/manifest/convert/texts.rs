//! Plain texts, the callback and the switch.

use std::borrow::Cow;

use super::{CALLBACK_MAX, NO, Reading, YES};
use crate::{
    domain::SourceUrl,
    manifest::{
        mapping::Field,
        values::{TooLong, cut},
    },
    redact,
};

impl<'a> Reading<'a> {
    pub(super) fn text(&mut self, field: Field, length_max: usize) -> Option<Cow<'a, str>> {
        let mut value = self.value(field)?;
        // in bytes first: few texts are long enough to be counted in characters
        let length = if value.len() > length_max { value.chars().count() } else { 0 };
        if length <= length_max {
            return Some(value);
        }
        if self.rules.too_long == TooLong::Cut {
            self.warn_of_cut(field, &value, format!("{length} characters were cut to {length_max}"));
            cut(value.to_mut(), length_max);
            return Some(value);
        }
        let message = format!("{length} characters, at most {length_max} are taken");
        let fix = "shorten it, or say --too-long cut";
        self.problem(field, redact::opaque(&value), ("text_too_long", message, fix));
        None
    }

    pub(super) fn callback(&mut self) -> Option<Cow<'a, str>> {
        let value = self.value(Field::Callback)?;
        // an address that is cut is another one
        if value.len() > CALLBACK_MAX && value.chars().count() > CALLBACK_MAX {
            let message = format!("an address of at most {CALLBACK_MAX} characters is taken");
            self.problem(Field::Callback, redact::url(&value), ("text_too_long", message, "shorten it"));
            return None;
        }
        match SourceUrl::parse(&value) {
            Ok(_) => Some(value),
            Err(error) => {
                let words = ("callback_url", error.to_string(), "write an http(s) address");
                self.problem(Field::Callback, redact::url(&value), words);
                None
            }
        }
    }

    pub(super) fn retain_original_video(&mut self) -> Option<bool> {
        let value = self.value(Field::RetainOriginalVideo)?;
        match value.to_ascii_lowercase().as_str() {
            as_str if YES.contains(&as_str) => Some(true),
            as_str if NO.contains(&as_str) => Some(false),
            _ => {
                let message = "neither true nor false".to_owned();
                let words = ("boolean", message, "write true or false");
                self.problem(Field::RetainOriginalVideo, redact::opaque(&value), words);
                None
            }
        }
    }
}
