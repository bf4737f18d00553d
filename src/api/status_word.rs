//! Status words of videos: what the documented ones mean, what the user says of others, and which are not known.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

use crate::redact;

/// How far the service is with a video.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IndexStatus {
    /// `PARSE`: searchable.
    Indexed,
    /// `FAILED`, `FAIL`, `PARSE_ERROR` or `ERROR`.
    Failed,
    /// Everything else.
    InProgress,
}

/// Unknown words announced in one run at most: the service may put anything there.
const ANNOUNCED_MAX: usize = 20;
/// The longest word that is distinguished, in characters.
const WORD_LEN_MAX: usize = 64;

/// What a documented word means. `None`: no document names it. A video without a word is in progress.
fn documented(word: &str) -> Option<IndexStatus> {
    Some(match word {
        "PARSE" => IndexStatus::Indexed,
        "FAILED" | "FAIL" | "PARSE_ERROR" | "ERROR" => IndexStatus::Failed,
        "UNPARSE" | "" => IndexStatus::InProgress,
        _ => return None,
    })
}

/// The user's own rule for one word, such as `DONE=indexed`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusWordRule {
    /// In upper case.
    word: String,
    status: IndexStatus,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected WORD=STATE, such as DONE=indexed, where STATE is indexed, failed or accepted, and WORD none of PARSE, UNPARSE, \
     FAILED, FAIL, PARSE_ERROR and ERROR, whose meaning is known"
)]
/// A text that is not a rule for a status word.
pub struct StatusWordError;

impl std::str::FromStr for StatusWordRule {
    type Err = StatusWordError;

    fn from_str(text: &str) -> Result<Self, StatusWordError> {
        let (word, state) = text.rsplit_once('=').ok_or(StatusWordError)?;
        let status = match state.trim() {
            "indexed" => IndexStatus::Indexed,
            "failed" => IndexStatus::Failed,
            "accepted" => IndexStatus::InProgress,
            _ => return Err(StatusWordError),
        };
        let word = upper(word);
        if word.is_empty() || documented(&word).is_some() {
            Err(StatusWordError)
        } else {
            Ok(Self { word, status })
        }
    }
}

fn upper(word: &str) -> String {
    word.trim().chars().take(WORD_LEN_MAX).collect::<String>().to_uppercase()
}

/// All words: the documented ones, the user's, and those that were met and are unknown.
#[derive(Debug, Default)]
pub(super) struct StatusWords {
    rules: Vec<StatusWordRule>,
    unknown: Mutex<UnknownWords>,
}

#[derive(Debug, Default)]
struct UnknownWords {
    seen: BTreeSet<String>,
    /// Seen, and not announced yet.
    fresh: Vec<String>,
}

impl StatusWords {
    pub(super) fn with(rules: Vec<StatusWordRule>) -> Self {
        Self { rules, ..Self::default() }
    }

    /// What a word means. One that is not known means that the video is in progress, and is remembered.
    pub(super) fn status_of(&self, word: &str) -> IndexStatus {
        let word = upper(word);
        let by_user = self.rules.iter().find(|rule| rule.word == word).map(|rule| rule.status);
        documented(&word).or(by_user).unwrap_or_else(|| {
            // a panic elsewhere leaves the words whole
            let mut unknown = self.unknown.lock().unwrap_or_else(PoisonError::into_inner);
            if unknown.seen.len() < ANNOUNCED_MAX && unknown.seen.insert(word.clone()) {
                unknown.fresh.push(word);
            }
            IndexStatus::InProgress
        })
    }

    /// A sentence about each unknown word that was met since the last call.
    pub(super) fn take_notices(&self) -> Vec<String> {
        let fresh = std::mem::take(&mut self.unknown.lock().unwrap_or_else(PoisonError::into_inner).fresh);
        let notice = |word: &String| {
            let word = redact::clean(word);
            format!(
                "the service gives videos the status {word:?}, which telecine does not know; such a video counts as being \
                 indexed. If you know its meaning, say it: --status-word '{word}=indexed' (searchable), '{word}=failed' \
                 (cannot be indexed) or '{word}=accepted' (being indexed)"
            )
        };
        fresh.iter().map(notice).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_gives_an_unknown_word_a_meaning_and_never_changes_a_documented_one() {
        let rules = ["done = indexed", "TIMEOUT=failed", "QUEUED=accepted"].map(|text| text.parse().unwrap());
        let words = StatusWords::with(rules.to_vec());
        for (word, status) in [
            ("DONE", IndexStatus::Indexed),
            ("Done", IndexStatus::Indexed),
            ("TIMEOUT", IndexStatus::Failed),
            ("queued", IndexStatus::InProgress),
            ("PARSE", IndexStatus::Indexed),
            ("fail", IndexStatus::Failed),
            ("", IndexStatus::InProgress),
        ] {
            assert_eq!(words.status_of(word), status, "{word}");
        }
        assert!(words.take_notices().is_empty(), "every word is known");
        for bad in ["PARSE=failed", "failed=indexed", "=indexed", "DONE", "DONE=searchable", "DONE=pending"] {
            assert!(bad.parse::<StatusWordRule>().is_err(), "{bad}");
        }
    }

    #[test]
    fn an_unknown_word_is_in_progress_and_announced_once() {
        let words = StatusWords::default();
        for word in ["DONE", "done", "SUCCESS", "DONE"] {
            assert_eq!(words.status_of(word), IndexStatus::InProgress);
        }
        let notices = words.take_notices();
        assert_eq!(notices.len(), 2, "{notices:?}");
        assert!(notices[0].contains("--status-word 'DONE=indexed'"), "{notices:?}");
        assert_eq!(words.status_of("DONE"), IndexStatus::InProgress);
        assert!(words.take_notices().is_empty());
        for n in 0..1_000 {
            words.status_of(&format!("W{n}"));
        }
        assert_eq!(
            words.take_notices().len(),
            ANNOUNCED_MAX - 2,
            "a hostile service does not fill the output"
        );
    }
}
