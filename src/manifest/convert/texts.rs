//! Plain texts, the callback and the switch.

use std::borrow::Cow;

use super::{CALLBACK_MAX, Explanation, NO, Reading, YES, address::normalised, problem_at};
use crate::{
    manifest::{
        mapping::{Field, ValueSource},
        values::{TooLong, cut, one_line},
    },
    redact,
};

impl<'a> Reading<'a> {
    pub(super) fn text(&mut self, field: Field, length_max: usize) -> Option<Cow<'a, str>> {
        let mut value = self.value(field)?;
        // a prompt may have lines
        if field == Field::CameraModel {
            value = one_line(value);
        }
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
        self.problem(field, redact::opaque(&value), Explanation::new("text_too_long", message, fix));
        None
    }

    pub(super) fn callback(&mut self) -> Option<Cow<'a, str>> {
        let Some(value) = self.value(Field::Callback) else {
            self.warn_of_callback_gap();
            return None;
        };
        match normalised(&value) {
            Ok(address) if address.len() <= CALLBACK_MAX => {
                self.warn_of_oddities(Field::Callback, &value, &address);
                Some(address)
            }
            // an address that is cut is another one
            Ok(_) => {
                let message =
                    format!("an address of at most {CALLBACK_MAX} characters is taken, percent-encoded");
                self.problem(
                    Field::Callback,
                    redact::url(&value),
                    Explanation::new("text_too_long", message, "shorten it"),
                );
                None
            }
            Err(error) => {
                let words = Explanation::new("callback_url", error.to_string(), "write an http(s) address");
                self.problem(Field::Callback, redact::url(&value), words);
                None
            }
        }
    }

    /// A callback of which a part is missing is left out: half of an address is another one.
    fn warn_of_callback_gap(&mut self) {
        let is_joined =
            |sources: &[ValueSource]| sources.len() > 1 || matches!(sources, [ValueSource::Template(_)]);
        if !self.columns.of(Field::Callback).is_some_and(is_joined) {
            return;
        }
        let message = "a part of the callback is missing; the row is sent without a callback".to_owned();
        let words = Explanation::new(
            "callback_incomplete",
            message,
            "fill the cell, or map the callback of other columns",
        );
        let column = self.gap(Field::Callback).or_else(|| self.first(Field::Callback));
        self.warnings.push(problem_at(column, String::new(), words));
    }

    pub(super) fn retain_original_video(&mut self) -> Option<bool> {
        let value = self.value(Field::RetainOriginalVideo)?;
        match value.to_ascii_lowercase().as_str() {
            as_str if YES.contains(&as_str) => Some(true),
            as_str if NO.contains(&as_str) => Some(false),
            _ => {
                let message = "neither true nor false".to_owned();
                let words = Explanation::new("boolean", message, "write true or false");
                self.problem(Field::RetainOriginalVideo, redact::opaque(&value), words);
                None
            }
        }
    }
}
