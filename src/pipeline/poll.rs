//! Accepted items until they are searchable, or have failed.
//!
//! One listing looks at up to 100 items. What a listing does not show after several looks is asked for singly. An
//! answer that shows nothing proves nothing: the item is looked at again later, ever more rarely.

use std::collections::HashMap;

use crate::{
    item::VideoNo,
    ledger::{LedgerError, Seen, Sight, Watch},
    monitor::Notice,
    quota::Purpose,
    service::{IndexStatus, ListedVideo, Transport, VIDEO_NOS_MAX},
};

use super::doors::{Doors, Refusal};

/// Looks in a row without sight after which an item is asked for singly.
const MISSED_MAX: u32 = 4;

/// Polls until told to leave, or until the service says that no read can succeed.
pub(super) async fn poll<T: Transport>(doors: Doors<T>) -> Result<Option<Refusal>, LedgerError> {
    let leave = doors.signals.leave.clone();
    tokio::select! {
        biased;
        () = leave.cancelled() => Ok(None),
        ended = poll_forever(&doors) => ended.map(Some),
    }
}

async fn poll_forever<T: Transport>(doors: &Doors<T>) -> Result<Refusal, LedgerError> {
    loop {
        let changed = doors.signals.next_change();
        match doors.ledger.next_look_at().await? {
            Some(moment) if moment <= doors.clock.now() => {
                if let Some(refusal) = look(doors).await? {
                    return Ok(refusal);
                }
            }
            // what is accepted meanwhile may be due sooner
            Some(moment) => tokio::select! {
                biased;
                () = doors.clock.sleep_until(moment) => {}
                () = changed => {}
            },
            None => changed.await,
        }
    }
}

/// Looks at the items that are due, as many as fit one request.
async fn look<T: Transport>(doors: &Doors<T>) -> Result<Option<Refusal>, LedgerError> {
    let permit = doors.porter.permit(Purpose::Watch).await;
    let due = doors.ledger.watches(doors.clock.now(), VIDEO_NOS_MAX).await?;
    // one request looks into one namespace, that of the longest due; the others' turn comes next
    let Some(namespace) = due.first().map(|watch| watch.namespace.as_str()) else {
        doors.porter.give_back(permit);
        return Ok(None);
    };
    doors.spend(&permit).await?;
    let watches: Vec<&Watch> = due.iter().filter(|watch| watch.namespace == namespace).collect();
    let video_nos: Vec<&VideoNo> = watches.iter().map(|watch| &watch.video_no).collect();
    let slot = permit.slot();
    let page = match doors.service.list_videos(permit, namespace, &video_nos).await {
        Ok(page) => page,
        Err(fault) => {
            let refusal = doors.learn_read_fault(slot, &fault);
            let put_off =
                watches.iter().map(|watch| Sight { item: watch.item, seen: Seen::NotLooked }).collect();
            doors.ledger.observe(put_off, doors.clock.now()).await?;
            return Ok(refusal);
        }
    };
    doors.learn_read(slot);
    let shown: HashMap<&VideoNo, &ListedVideo> =
        page.videos.iter().map(|video| (&video.video_no, video)).collect();
    let mut sights = Vec::with_capacity(watches.len());
    let mut missing = Vec::new();
    for watch in watches {
        match shown.get(&watch.video_no) {
            Some(video) => sights.push(sight(watch, video)),
            None if watch.missed >= MISSED_MAX => missing.push(watch),
            None => sights.push(Sight { item: watch.item, seen: Seen::NotShown }),
        }
    }
    record(doors, &due, sights).await?;
    for watch in missing {
        look_singly(doors, watch).await?;
    }
    Ok(None)
}

async fn look_singly<T: Transport>(doors: &Doors<T>, watch: &Watch) -> Result<(), LedgerError> {
    let permit = doors.read_permit(Purpose::WatchSingly).await?;
    let slot = permit.slot();
    let seen = match doors.service.metadata(permit, &watch.namespace, &watch.video_no).await {
        Ok(video) => {
            doors.learn_read(slot);
            video.filter(|video| video.video_no == watch.video_no)
        }
        Err(fault) => {
            doors.learn_read_fault(slot, &fault);
            None
        }
    };
    let sight = match &seen {
        Some(video) => sight(watch, video),
        None => Sight { item: watch.item, seen: Seen::NotShown },
    };
    record(doors, std::slice::from_ref(watch), vec![sight]).await
}

fn sight(watch: &Watch, video: &ListedVideo) -> Sight {
    let seen = match video.status {
        IndexStatus::Indexed => Seen::Indexed,
        IndexStatus::Failed => {
            let cause = video.cause.as_deref().unwrap_or("the service gave no cause");
            Seen::Failed(crate::redact::clean(cause))
        }
        IndexStatus::InProgress => Seen::InProgress,
    };
    Sight { item: watch.item, seen }
}

async fn record<T>(doors: &Doors<T>, watches: &[Watch], sights: Vec<Sight>) -> Result<(), LedgerError> {
    let mut notices = Vec::new();
    for sight in &sights {
        let Some(watch) = watches.iter().find(|watch| watch.item == sight.item) else { continue };
        match &sight.seen {
            Seen::Indexed => {
                doors.porter.indexed(watch.attempt.number());
                notices.push(Notice::Indexed { video_no: watch.video_no.clone() });
            }
            Seen::Failed(cause) => {
                doors.porter.indexed(watch.attempt.number());
                notices
                    .push(Notice::IndexingFailed { video_no: watch.video_no.clone(), cause: cause.clone() });
            }
            Seen::InProgress | Seen::NotShown | Seen::NotLooked => {}
        }
    }
    doors.ledger.observe(sights, doors.clock.now()).await?;
    for notice in &notices {
        doors.say(notice);
    }
    if !notices.is_empty() {
        doors.signals.ledger_changed();
    }
    Ok(())
}
