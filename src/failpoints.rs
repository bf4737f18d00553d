//! Bugs planted on purpose, to prove that the proofs would see them.
//!
//! Without the feature `planted-bugs` nothing can be planted and every question below is answered by a constant; a
//! released program is built so. With it, one bug at a time can be planted by the reliability suite, which must then go
//! red.

/// A mistake that importers really make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failpoint {
    /// Commits are not synced to the disk.
    SynchronousNormal = 1,
    /// A claim is handed out before it is committed.
    SendBeforeCommit,
    /// A request without an answer is sent again.
    ResendOnTimeout,
    /// Redirects are followed.
    RedirectsFollowed,
    /// The client repeats a request that brought no answer.
    ClientRetries,
    /// Any video that could be it is taken for it.
    BindAnyCandidate,
    /// A listing with a short page counts as complete.
    AbsentFromIncomplete,
    /// A request that is on the wire when the run ends counts as not sent.
    DroppedSendPending,
    /// Rolling windows count from the sending.
    WindowWithoutDelta,
    /// Rolling windows forget what former runs sent.
    LimiterInMemory,
    /// What a crash left on the wire is sent again.
    LeaseExpiryPending,
    /// A row whose quote is never closed is taken.
    UnterminatedQuote,
}

impl Failpoint {
    /// Every bug.
    pub const ALL: &'static [Self] = &[
        Self::SynchronousNormal,
        Self::SendBeforeCommit,
        Self::ResendOnTimeout,
        Self::RedirectsFollowed,
        Self::ClientRetries,
        Self::BindAnyCandidate,
        Self::AbsentFromIncomplete,
        Self::DroppedSendPending,
        Self::WindowWithoutDelta,
        Self::LimiterInMemory,
        Self::LeaseExpiryPending,
        Self::UnterminatedQuote,
    ];
}

#[cfg(feature = "planted-bugs")]
static PLANTED: std::sync::atomic::AtomicU8 = std::sync::atomic::AtomicU8::new(0);

/// Plants a bug in this process, or removes the one that is planted.
#[cfg(feature = "planted-bugs")]
pub fn plant(bug: Option<Failpoint>) {
    PLANTED.store(bug.map_or(0, |bug| bug as u8), std::sync::atomic::Ordering::SeqCst);
}

/// Whether a bug is planted.
#[cfg(feature = "planted-bugs")]
pub fn is_active(bug: Failpoint) -> bool {
    PLANTED.load(std::sync::atomic::Ordering::SeqCst) == bug as u8
}

/// Whether a bug is planted: never in this build.
#[cfg(not(feature = "planted-bugs"))]
pub(crate) const fn is_active(_: Failpoint) -> bool {
    false
}
