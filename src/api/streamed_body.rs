//! The body of a request that is made while it is sent, of a length that is known before.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use hyper::body::{Bytes, Frame, SizeHint};
use tokio::sync::mpsc;

/// Parts that wait for the network at most. The one who feeds the body waits for it.
const PARTS_MAX: usize = 2;

/// A body of this length in bytes, and what feeds it. A body whose feed is dropped before its end fails: the request is cut.
#[must_use]
pub fn streamed_body(length: u64) -> (BodyFeed, StreamedBody) {
    let (sender, parts) = mpsc::channel(PARTS_MAX);
    (BodyFeed(sender), StreamedBody { parts, length, left: length, taken: BodyProgress::default() })
}

/// Feeds a body.
#[derive(Debug)]
pub struct BodyFeed(mpsc::Sender<Bytes>);

/// Room for one part of a body.
#[derive(Debug)]
pub struct PartSlot<'a>(mpsc::Permit<'a, Bytes>);

impl BodyFeed {
    /// Waits until the network takes another part. `None`: the request has ended. Cancelling the wait costs nothing.
    pub async fn slot(&self) -> Option<PartSlot<'_>> {
        self.0.reserve().await.ok().map(PartSlot)
    }
}

impl PartSlot<'_> {
    /// Hands over a part, which is not empty.
    pub fn give(self, part: Vec<u8>) {
        self.0.send(Bytes::from(part));
    }
}

/// How many bytes of a body were taken for sending. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct BodyProgress(Arc<AtomicU64>);

impl BodyProgress {
    /// In bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The body was not fed to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the file was not sent to its end")]
pub struct BodyCut;

/// A body that is being fed.
#[derive(Debug)]
pub struct StreamedBody {
    parts: mpsc::Receiver<Bytes>,
    length: u64,
    /// Bytes that are still to come.
    left: u64,
    taken: BodyProgress,
}

impl StreamedBody {
    /// In bytes.
    #[must_use]
    pub const fn length(&self) -> u64 {
        self.length
    }

    /// How far it is.
    #[must_use]
    pub fn progress(&self) -> BodyProgress {
        self.taken.clone()
    }

    /// The next part. `None`: the end.
    pub async fn next(&mut self) -> Option<Result<Vec<u8>, BodyCut>> {
        let part = std::future::poll_fn(|context| self.poll_part(context)).await;
        part.map(|part| part.map(|bytes| bytes.to_vec()))
    }

    fn poll_part(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyCut>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        self.parts.poll_recv(context).map(|part| {
            let part = part.filter(|part| part.len() as u64 <= self.left);
            let Some(part) = part else {
                self.left = 0;
                return Some(Err(BodyCut));
            };
            self.left -= part.len() as u64;
            self.taken.0.fetch_add(part.len() as u64, Ordering::Relaxed);
            Some(Ok(part))
        })
    }
}

impl hyper::body::Body for StreamedBody {
    type Data = Bytes;
    type Error = BodyCut;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyCut>>> {
        self.poll_part(context).map(|part| part.map(|part| part.map(Frame::data)))
    }

    /// Whether nothing is left to come. A body that was cut has failed already.
    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn fed(length: u64, parts: &[&str]) -> Result<String, BodyCut> {
        let (feed, mut body) = streamed_body(length);
        let mut read = Vec::new();
        let feeding = async {
            for part in parts {
                if let Some(slot) = feed.slot().await {
                    slot.give(part.as_bytes().to_vec());
                }
            }
            drop(feed);
        };
        let reading = async {
            while let Some(part) = body.next().await {
                read.extend(part?);
            }
            Ok(String::from_utf8(read).unwrap())
        };
        tokio::join!(feeding, reading).1
    }

    #[tokio::test]
    async fn a_body_that_is_shorter_or_longer_than_it_said_is_cut() {
        assert_eq!(fed(4, &["ab", "cd"]).await, Ok("abcd".to_owned()));
        assert_eq!(fed(5, &["ab", "cd"]).await, Err(BodyCut));
        assert_eq!(fed(3, &["ab", "cd"]).await, Err(BodyCut));
    }
}
