//! What the mock decides on a request when it arrives.

use std::time::Duration;

use serde_json::{Value, json};

use super::MockService;
use crate::{
    api::transport::{HttpMethod, Response},
    domain::UnixMillis,
    sandbox::{
        arrival::{Arrival, ClientView},
        calls,
        faults::{DeleteFault, Fault, ReadFault},
        form,
        listings::{accept, page, refuse},
        mock_state::{FaultMode, MockState, random_duration},
        policy::{Namespaces, Policy},
        reads::{list, metadata},
        video::Video,
    },
};

impl MockService {
    /// The answer to a request, and how long it takes.
    pub(super) fn decide(
        &self,
        state: &mut MockState,
        arrival: &Arrival,
        now: UnixMillis,
    ) -> (ClientView, Duration) {
        let delay = random_duration(&mut state.rng, &self.policy.answer_delay);
        match (arrival.method, arrival.endpoint.as_str()) {
            _ if arrival.key.is_empty() => (refuse("0401", "the API key is missing"), delay),
            (HttpMethod::Post, "upload") if arrival.file.is_none() => {
                (refuse("0001", "Required part 'file' is not present."), delay)
            }
            (HttpMethod::Post, "upload_url" | "upload") => self.decide_upload(state, arrival, now, delay),
            (HttpMethod::Post, "list_videos") => (self.read(state, arrival, now, list), delay / 4),
            (HttpMethod::Post, "delete_videos") => (self.decide_deletion(state, arrival, now), delay),
            (HttpMethod::Get, "get_metadata") => (self.read(state, arrival, now, metadata), delay / 4),
            _ => (refuse("0001", "No static resource api."), delay),
        }
    }

    fn decide_upload(
        &self,
        state: &mut MockState,
        arrival: &Arrival,
        now: UnixMillis,
        delay: Duration,
    ) -> (ClientView, Duration) {
        state.stats.uploads += 1;
        // the limiter comes first, so invalid requests count too
        if state.fault_mode == FaultMode::AsPolicy
            && !state.account(&self.policy, &arrival.key).admits_upload(now)
        {
            state.stats.refusals += 1;
            return (self.busy(), *self.policy.answer_delay.start() / 4);
        }
        let form = match form::read_upload(&arrival.body, arrival.file.as_ref()) {
            Ok(form) => form,
            Err(message) => return (refuse("0003", &message), delay),
        };
        if state.refuses(&form.url) {
            return (refuse("0001", "url is invalid"), delay);
        }
        if self
            .policy
            .credits
            .is_some_and(|credits| state.account(&self.policy, &arrival.key).spent >= credits)
        {
            return (refuse("0402", "You don't have enough points."), delay);
        }
        let number = state.stats.uploads;
        let scripted = self.policy.faults_at.iter().find(|(at, _)| *at == number).map(|(_, fault)| *fault);
        let random = self.policy.faults.draw(&mut state.rng);
        let fault = scripted.or(random).filter(|_| state.fault_mode == FaultMode::AsPolicy);
        state.stats.faults += u64::from(fault.is_some());
        if fault.is_some_and(|fault| !fault.takes_effect()) {
            return (self.faulty(fault, None), delay);
        }
        let lateness = match fault {
            Some(Fault::Late) => {
                random_duration(&mut state.rng, &(Duration::ZERO..=self.policy.lateness_max))
            }
            _ => Duration::ZERO,
        };
        let (first, last) = (*self.policy.accepted_at_part.start(), *self.policy.accepted_at_part.end());
        let part = if first < last { first + state.rng.f64() * (last - first) } else { first };
        let accepted_at = now.plus(delay.mul_f64(part) + lateness);
        let callback = form.callback.clone();
        let video = state.make_video(&self.policy, &arrival.key, form, now, accepted_at);
        if let Some(callback) = callback {
            calls::plan(state, &self.policy, &callback, &video, now.plus(delay).max(accepted_at));
            self.call_planned.notify_one();
        }
        let account = state.account(&self.policy, &arrival.key);
        account.spent += 1;
        account.take(&video);
        state.coming.push(video.clone());
        (self.faulty(fault, Some(&video)), delay)
    }

    /// What the client sees of an upload, with or without a fault.
    fn faulty(&self, fault: Option<Fault>, video: Option<&Video>) -> ClientView {
        let receipt = video.map_or(Value::Null, Video::receipt);
        match fault {
            None => accept(&receipt),
            Some(Fault::CutBefore | Fault::CutAfter | Fault::Late) => ClientView::Cut,
            Some(Fault::Hang) => ClientView::Silence,
            Some(Fault::BadGateway | Fault::BadGatewayBefore) => page(502, "<html>502 Bad Gateway</html>"),
            Some(Fault::Html) => page(200, "<html>Welcome</html>"),
            Some(Fault::HalfJson) => page(200, r#"{"code":"0000","msg":"success","data":{"videoNo":"VI"#),
            Some(Fault::Abnormal | Fault::AbnormalBefore) => refuse("0001", "network abnormal"),
            Some(Fault::Unnamed) => accept(&json!({})),
            Some(Fault::Repeated) => refuse("0409", "Service is busy, try later"),
            Some(Fault::Busy) => self.busy(),
            Some(Fault::Redirect) => {
                let location = Some("https://elsewhere.example/serve/api/v1/upload_url".to_owned());
                ClientView::Answer(Response { status: 307, location, ..Response::default() })
            }
        }
    }

    /// Numbers that are not there are no error.
    fn decide_deletion(&self, state: &mut MockState, arrival: &Arrival, now: UnixMillis) -> ClientView {
        state.stats.deletions += 1;
        if !state.account(&self.policy, &arrival.key).admits_deletion(now) {
            state.stats.deletion_refusals += 1;
            return self.busy();
        }
        let (unique_id, numbers) = match form::read_deletion(&arrival.query, &arrival.body) {
            Ok(deletion) => deletion,
            Err(message) => return refuse("0001", &message),
        };
        let is_faulty =
            state.fault_mode == FaultMode::AsPolicy && state.rng.f64() < self.policy.delete_fault_share;
        let fault = if is_faulty { state.rng.choice(&self.policy.delete_faults).copied() } else { None };
        if fault.is_none_or(DeleteFault::takes_effect) {
            let is_chosen = |video: &Video| {
                video.account == arrival.key
                    && (self.policy.namespaces == Namespaces::Ignored || video.unique_id == unique_id)
                    && numbers.contains(&video.video_no)
            };
            state.delete(is_chosen, now);
        }
        match fault {
            None | Some(DeleteFault::Ignored) => accept(&Value::Null),
            Some(DeleteFault::CutBefore | DeleteFault::CutAfter) => ClientView::Cut,
            Some(DeleteFault::BadGateway) => page(502, "<html>502 Bad Gateway</html>"),
            Some(DeleteFault::Busy) => {
                state.stats.deletion_refusals += 1;
                self.busy()
            }
        }
    }

    fn busy(&self) -> ClientView {
        let ClientView::Answer(reply) = refuse("0429", "Request has exceeded the limit.") else {
            return ClientView::Cut;
        };
        let retry_after = self.policy.retry_after.map(|duration| duration.as_secs().to_string());
        ClientView::Answer(Response { retry_after, ..reply })
    }

    fn read(
        &self,
        state: &mut MockState,
        arrival: &Arrival,
        now: UnixMillis,
        read: fn(&MockState, &Policy, &Arrival, UnixMillis, Option<ReadFault>) -> ClientView,
    ) -> ClientView {
        state.stats.reads += 1;
        if !state.account(&self.policy, &arrival.key).admits_read(now) {
            state.stats.read_refusals += 1;
            return self.busy();
        }
        let is_faulty = arrival.endpoint == "list_videos"
            && state.fault_mode == FaultMode::AsPolicy
            && state.rng.f64() < self.policy.read_fault_share;
        let fault = if is_faulty { state.rng.choice(&self.policy.read_faults).copied() } else { None };
        match fault {
            Some(ReadFault::Cut) => ClientView::Cut,
            Some(ReadFault::BadGateway) => page(502, "<html>502 Bad Gateway</html>"),
            Some(ReadFault::NullData) => accept(&Value::Null),
            Some(ReadFault::ShortPage | ReadFault::LostPage | ReadFault::WrongTotal) | None => {
                read(state, &self.policy, arrival, now, fault)
            }
        }
    }
}
