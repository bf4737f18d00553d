//! Sends a file or an object in the body of its request.
//!
//! - **In flat memory**: parts are read while they are sent, a few at a time.
//! - **Durable times**: no byte leaves without a lease in the ledger. A run that is killed leaves the latest time at which one can have
//!   left, and the quiet time begins there.
//! - **What is sent is what was read**: the end of the request is sent only if a file is still what it was. Without it the service has no
//!   whole request.

use std::{convert::Infallible, future::Future, time::Duration};

use super::{
    claims::Claims,
    files_in_flight::FileSlot,
    video_bytes::{BodyFault, VideoBytes},
};
use crate::{
    api::{BodyFeed, FileUpload, Transport, Verdict, streamed_body},
    domain::UnixMillis,
    events::Event,
    ledger::{BODY_LEASE, Claim, LedgerError, Store},
    pipeline::context::Context,
    quota::Permit,
};

/// A part of a file, in bytes: large enough that reading costs little, and small enough for a slow line.
const PART: u64 = 256 * 1024;

/// Why a body ends early.
enum FeedFault {
    /// For a reader.
    Cut(String),
    Ledger(LedgerError),
}

impl From<LedgerError> for FeedFault {
    fn from(error: LedgerError) -> Self {
        Self::Ledger(error)
    }
}

/// One request with a body.
pub(super) struct FileSending<'a, T> {
    context: &'a Context<T>,
    claim: &'a Claim,
    claims: &'a Claims,
    slot: FileSlot<'a>,
    bytes: VideoBytes,
    upload: FileUpload,
    acceptance_lag_max: Duration,
}

impl<'a, T: Transport> FileSending<'a, T> {
    /// Opens what a claim sends, if it is what the row says. `None`: the service fetches the video.
    pub(super) async fn open(
        context: &'a Context<T>,
        claim: &'a Claim,
        claims: &'a Claims,
        acceptance_lag_max: Duration,
    ) -> Result<Option<Self>, BodyFault> {
        let Claim { submission, marker, boundary, .. } = claim;
        if !submission.has_body() {
            return Ok(None);
        }
        // it counts from now on: opening an object may take a while
        let slot = claims.files.slot(claim.attempt().number());
        let Some(bytes) = VideoBytes::open(context, submission).await? else { return Ok(None) };
        let Some(upload) = FileUpload::new(submission, marker.as_deref(), boundary, bytes.size()) else {
            return Err(BodyFault::Row("the service takes no file of this kind".to_owned()));
        };
        Ok(Some(Self { context, claim, claims, slot, bytes, upload, acceptance_lag_max }))
    }

    /// Makes the request. A body that ends early leaves it in doubt.
    pub(super) async fn run(self, permit: Permit) -> Result<Verdict, LedgerError> {
        // before the connection is made
        let lease = self.lease().await?;
        let (feed, body) = streamed_body(self.upload.length());
        self.slot.begin(body.progress(), body.length());
        let sending = self.context.api.upload_file(permit, &self.upload, body);
        let ended = tokio::select! {
            biased;
            verdict = sending => Ok(verdict),
            ended = self.feed(&feed, lease) => match ended {
                Err(fault) => Err(fault),
                Ok(never) => match never {},
            },
        };
        let others = self.slot.end(self.context.clock.now());
        self.context.emit(&Event::SendingFiles(others));
        match ended {
            Ok(verdict) => Ok(verdict),
            Err(FeedFault::Cut(cause)) => {
                Ok(Verdict::InDoubt { retry_after: None, cause: format!("{cause}; the request was cut") })
            }
            Err(FeedFault::Ledger(error)) => Err(error),
        }
    }

    /// Feeds the body to its end, and waits for the request to end.
    async fn feed(&self, feed: &BodyFeed, mut lease: UnixMillis) -> Result<Infallible, FeedFault> {
        let part = self.claims.bandwidth.part(PART);
        self.give(feed, self.upload.head.clone(), &mut lease).await?;
        let mut at = 0;
        while at < self.upload.size {
            let length = part.min(self.upload.size - at);
            let bytes =
                self.holding(&mut lease, self.bytes.read(at, length)).await?.map_err(FeedFault::Cut)?;
            at += length;
            self.give(feed, bytes, &mut lease).await?;
        }
        self.holding(&mut lease, self.bytes.confirm()).await?.map_err(FeedFault::Cut)?;
        self.holding(&mut lease, self.bandwidth(&self.upload.tail)).await?;
        let interval = self.context.limiter.upload_interval();
        self.holding(&mut lease, self.claims.ends.take(&self.context.clock, interval)).await?;
        self.hand_over(feed, self.upload.tail.clone(), &mut lease).await?;
        self.context.limiter.upload_ended(self.claim.attempt().number());
        // what is behind the last byte may leave for one more lease
        self.lease().await?;
        std::future::pending().await
    }

    /// Hands over a part as soon as the bandwidth and the network allow.
    async fn give(&self, feed: &BodyFeed, part: Vec<u8>, lease: &mut UnixMillis) -> Result<(), FeedFault> {
        self.holding(lease, self.bandwidth(&part)).await?;
        self.hand_over(feed, part, lease).await
    }

    async fn bandwidth(&self, part: &[u8]) {
        self.claims.bandwidth.take(&self.context.clock, part.len()).await;
    }

    /// Hands over a part as soon as the network takes it.
    async fn hand_over(
        &self,
        feed: &BodyFeed,
        part: Vec<u8>,
        lease: &mut UnixMillis,
    ) -> Result<(), FeedFault> {
        match self.holding(lease, feed.slot()).await? {
            Some(slot) => {
                slot.give(part);
                if let Some(progress) = self.claims.files.due(self.context.clock.now()) {
                    self.context.emit(&Event::SendingFiles(progress));
                }
                Ok(())
            }
            // the request has ended, and its outcome is known at once
            None => std::future::pending().await,
        }
    }

    /// Waits for something, and renews the lease meanwhile: what was handed over may leave at any time.
    async fn holding<V>(
        &self,
        lease: &mut UnixMillis,
        wanted: impl Future<Output = V>,
    ) -> Result<V, FeedFault> {
        let mut wanted = std::pin::pin!(wanted);
        loop {
            let got = tokio::select! {
                biased;
                () = self.context.clock.sleep_until(lease.minus(self.lease_length() / 2)) => None,
                got = &mut wanted => Some(got),
            };
            if self.context.clock.now() >= *lease {
                return Err(FeedFault::Cut("this machine was suspended, or its disk is slow".to_owned()));
            }
            match got {
                Some(got) => return Ok(got),
                None => *lease = self.lease().await?,
            }
        }
    }

    /// As long in real time, however fast the clock of the run is.
    fn lease_length(&self) -> Duration {
        BODY_LEASE * self.context.clock.speed()
    }

    /// Bytes may leave until the time that is returned, durably.
    async fn lease(&self) -> Result<UnixMillis, LedgerError> {
        let (attempt, lag_max) = (self.claim.attempt(), self.acceptance_lag_max);
        let until = self.context.clock.now().plus(self.lease_length());
        let sent = self.slot.sent();
        let lease = move |store: &Store| store.lease_body(attempt, until, until.plus(lag_max), sent);
        self.context.ledger.write(lease).await?;
        self.context.limiter.still_open(attempt.number(), until.plus(lag_max));
        Ok(until)
    }
}
