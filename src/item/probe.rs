//! What a look at a video's own host showed, before anything is paid for it.

use super::UnixMillis;

/// Whether the service can be expected to take a video.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fitness {
    /// It is there, and of a kind the service takes.
    Fit,
    /// It would be paid for nothing: it is not there, or no video that the service takes.
    Unfit,
    /// Nobody can tell: the host does not answer, or what it sends is not understood.
    Unclear,
}

impl Fitness {
    /// Every one.
    pub const ALL: &'static [Self] = &[Self::Fit, Self::Unfit, Self::Unclear];

    /// The word in the ledger and in outputs.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Fit => "fit",
            Self::Unfit => "unfit",
            Self::Unclear => "unclear",
        }
    }

    /// The one of this word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|fitness| fitness.word() == word)
    }
}

/// Which hosts a look may have gone to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Those of the public internet only.
    Public,
    /// Those of private networks and of this machine, too.
    Private,
}

/// What one look at a source came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// The verdict.
    pub fitness: Fitness,
    /// A stable word for what was found, such as `http_404`; `video` when it is fit.
    pub class: String,
    /// The same for a reader, redacted: `mp4, h264 + aac, 12.3 MB`.
    pub found: String,
    /// The size in bytes, where the host told it.
    pub size: Option<u64>,
    /// Which hosts were allowed.
    pub reach: Reach,
    /// When it was looked at.
    pub looked_at: UnixMillis,
}

impl Probe {
    /// What to do about it.
    #[must_use]
    pub const fn fix(&self) -> &'static str {
        match self.fitness {
            Fitness::Fit => "",
            Fitness::Unfit => {
                "correct the url or the video behind it, then look again with telecine check --probe"
            }
            Fitness::Unclear => {
                "look again later with telecine check --probe, or import without --probed-only"
            }
        }
    }
}
