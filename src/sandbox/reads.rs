//! What listings and single reads show.

use std::{cmp::Reverse, collections::HashMap};

use serde_json::{Value, json};

use super::{
    arrival::{Arrival, ClientView},
    faults::ReadFault,
    form::{self, ListQuery},
    listings::{accept, refuse},
    mock_state::MockState,
    policy::{ListOrder, Namespaces, Policy},
    video::Video,
};
use crate::domain::UnixMillis;

pub(super) fn list(
    state: &MockState,
    policy: &Policy,
    arrival: &Arrival,
    now: UnixMillis,
    fault: Option<ReadFault>,
) -> ClientView {
    let query = match form::read_list(&arrival.body) {
        Ok(query) => query,
        Err(message) => return refuse("0001", &message),
    };
    let ListQuery { unique_id, page, size, video_nos, tag } = query;
    let wanted = |video: &&Video| {
        !video.unlisted
            && is_in(policy, video, &unique_id)
            && tag.as_ref().is_none_or(|tag| video.is_parsed(now) && video.tags.contains(tag))
    };
    let mut shown: Vec<&Video> = match &video_nos {
        Some(numbers) => {
            let made_until = now.plus_ms(-i64::try_from(policy.visibility_lag.as_millis()).unwrap_or(0));
            let found =
                numbers.iter().filter_map(|number| state.by_number.get(number).map(|at| &state.videos[*at]));
            found
                .filter(|video| video.account == arrival.key && video.created_at <= made_until)
                .filter(wanted)
                .collect()
        }
        None => state.visible(policy, &arrival.key, now).filter(wanted).collect(),
    };
    match policy.order {
        ListOrder::NewestFirst => {
            shown.sort_by_key(|video| Reverse((video.created_at, &video.video_no)));
        }
        ListOrder::OldestFirst => shown.sort_by_key(|video| (video.created_at, &video.video_no)),
    }
    if let Some(listed_max) = policy.listed_max.filter(|_| video_nos.is_none()) {
        let hidden = shown.len().saturating_sub(listed_max);
        match policy.order {
            ListOrder::NewestFirst => shown.truncate(listed_max),
            ListOrder::OldestFirst => drop(shown.drain(..hidden)),
        }
    }
    let mut total = shown.len();
    let mut videos: Vec<Value> = shown
        .into_iter()
        .skip((page - 1).saturating_mul(size))
        .take(size)
        .map(|video| video.show(now, policy))
        .collect();
    // pages come out wrong, not what was asked for by number
    match fault.filter(|_| video_nos.is_none()) {
        Some(ReadFault::ShortPage) => drop(videos.pop()),
        Some(ReadFault::LostPage) => videos.clear(),
        Some(ReadFault::WrongTotal) => total = total.saturating_sub(1),
        Some(ReadFault::Cut | ReadFault::BadGateway | ReadFault::NullData) | None => {}
    }
    accept(&json!({ "current_page": page, "page_size": size, "total_count": total, "videos": videos }))
}

fn is_in(policy: &Policy, video: &Video, unique_id: &str) -> bool {
    policy.namespaces == Namespaces::Ignored || video.unique_id == unique_id
}

pub(super) fn metadata(
    state: &MockState,
    policy: &Policy,
    arrival: &Arrival,
    now: UnixMillis,
    _: Option<ReadFault>,
) -> ClientView {
    let query: HashMap<String, String> =
        url::form_urlencoded::parse(arrival.query.as_bytes()).into_owned().collect();
    let number = query.get("video_no").map(String::as_str).unwrap_or_default();
    let unique_id = query.get("unique_id").map_or("default", String::as_str);
    let found = state
        .visible(policy, &arrival.key, now)
        .find(|video| video.video_no == number && is_in(policy, video, unique_id));
    accept(&found.map_or(Value::Null, |video| video.show(now, policy)))
}
