//! The latest answers to uploads: where most of them reject their row, the rows are unlikely to be the cause.

use std::collections::VecDeque;

/// How many of the latest answers are checked for rejected rows.
const ANSWERS: usize = 20;

/// Rejections allowed among the latest answers. More stop the run.
const REJECTED_MAX: usize = 15;

/// Whether each of the latest answers rejected its row.
#[derive(Debug, Default)]
pub(super) struct LastAnswers(VecDeque<bool>);

impl LastAnswers {
    /// Takes note of an answer.
    pub(super) fn note(&mut self, is_rejected: bool) {
        self.0.push_back(is_rejected);
        if self.0.len() > ANSWERS {
            self.0.pop_front();
        }
    }

    /// Whether too many of them rejected their row.
    pub(super) fn are_mostly_rejections(&self) -> bool {
        let rejected = self.0.iter().filter(|is_rejected| **is_rejected).count();
        self.0.len() == ANSWERS && rejected > REJECTED_MAX
    }
}
