//! The calls that the mock makes to callback URLs: when, how often, and what they say.

use std::time::Duration;

use serde_json::json;

use super::{
    arrival::ServiceCall,
    faults::CallFault,
    mock_state::{FaultMode, MockState, random_duration},
    policy::Policy,
    video::Video,
};
use crate::domain::UnixMillis;

/// Plans the calls for an upload that is answered at a time: one when the video was accepted, one when its indexing ends.
pub(super) fn plan(
    state: &mut MockState,
    policy: &Policy,
    callback: &str,
    video: &Video,
    answered_at: UnixMillis,
) {
    let is_faulty = state.fault_mode == FaultMode::AsPolicy && state.call_rng.f64() < policy.call_fault_share;
    let fault = if is_faulty { state.call_rng.choice(&policy.call_faults).copied() } else { None };
    if fault == Some(CallFault::Never) {
        return;
    }
    let accepted_at = if fault == Some(CallFault::Early) { video.created_at } else { answered_at };
    let lateness = match fault {
        Some(CallFault::Late) => policy.lateness_max,
        _ => Duration::ZERO,
    };
    let named = match fault {
        Some(CallFault::OtherNumber) => other_video(state, video),
        _ => video.video_no.clone(),
    };
    let url = if fault == Some(CallFault::Forged) { forged(callback) } else { callback.to_owned() };
    let last = if video.fails { "FAIL" } else { "PARSE" };
    for (at, status) in [(accepted_at, "UNPARSE"), (video.indexed_at.max(accepted_at), last)] {
        let is_early = fault == Some(CallFault::Early) && status == "UNPARSE";
        for _ in 0..if fault == Some(CallFault::Twice) { 2 } else { 1 } {
            let delay = random_duration(&mut state.call_rng, &policy.call_delay);
            let late = random_duration(&mut state.call_rng, &(Duration::ZERO..=lateness));
            let at = if is_early { at } else { at.plus(delay + late) };
            let body = match state.call_rng.u8(0..3) {
                0 => json!({ "videoNo": named, "status": status }),
                1 => json!({ "videoNo": named, "clientId": "", "status": status }),
                _ => json!({ "video_no": named, "status": status }),
            };
            state.call_number += 1;
            let call = ServiceCall { url: url.clone(), body: body.to_string() };
            state.calls.insert((at, state.call_number), call);
        }
    }
}

/// The number of the latest other video; its own, if there is no other.
fn other_video(state: &MockState, video: &Video) -> String {
    let others = state.videos.iter().chain(&state.coming);
    let other = others.rev().find(|other| other.video_no != video.video_no);
    other.unwrap_or(video).video_no.clone()
}

/// The same URL with another last digit: a token that its receiver did not make.
fn forged(callback: &str) -> String {
    let mut url = callback.to_owned();
    let last = url.pop();
    url.push(if last == Some('0') { '1' } else { '0' });
    url
}
