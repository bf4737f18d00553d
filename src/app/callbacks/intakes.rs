//! The runs that take in calls of one receiver, found by the tokens of the calls.

use std::sync::{Arc, Mutex, PoisonError};

use crate::pipeline::CallIntake;

/// The runs that take in calls of one receiver.
#[derive(Clone, Default)]
pub(super) struct Intakes(Arc<Mutex<Vec<Arc<CallIntake>>>>);

impl Intakes {
    pub(super) fn add(&self, intake: &Arc<CallIntake>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(intake));
    }

    pub(super) fn remove(&self, intake: &Arc<CallIntake>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|own| !Arc::ptr_eq(own, intake));
    }

    /// The run that a request is for, by the last part of its address. One run alone takes every request, and counts those that are no
    /// calls.
    pub(super) fn of(&self, part: &str) -> Option<Arc<CallIntake>> {
        let intakes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &intakes[..] {
            [only] => Some(Arc::clone(only)),
            several => several.iter().find(|intake| intake.knows(part)).cloned(),
        }
    }
}
