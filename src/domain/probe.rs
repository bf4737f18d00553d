//! What a look at a video's own host showed, before anything is paid for it.

use strum::{Display, EnumString, IntoStaticStr, VariantArray};

use super::UnixMillis;

/// Whether the service can be expected to accept a video.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Display, EnumString, IntoStaticStr, VariantArray,
)]
#[strum(serialize_all = "snake_case", const_into_str)]
pub enum ProbeVerdict {
    /// It is there, and of a kind the service accepts.
    Supported,
    /// It would be paid for nothing: it is not there, or not a video that the service accepts.
    Unsupported,
    /// The probe cannot tell: the host does not answer, or its bytes are not understood.
    Unclear,
}

impl ProbeVerdict {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.into_str()
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
    pub verdict: ProbeVerdict,
    /// A stable word for what was found, such as `http_404`; `video` when it is fit.
    pub class: String,
    /// The same for a reader, redacted: `mp4, h264 + aac, 12.3 MB`.
    pub found: String,
    /// The size in bytes, where the host told it.
    pub size: Option<u64>,
    /// Which hosts were allowed.
    pub reach: Reach,
    /// When it was looked at.
    pub probed_at: UnixMillis,
}

impl Probe {
    /// What to do about it.
    #[must_use]
    pub const fn fix(&self) -> &'static str {
        match self.verdict {
            ProbeVerdict::Supported => "",
            ProbeVerdict::Unsupported => {
                "correct the url or the video behind it, then look again with telecine check --probe"
            }
            ProbeVerdict::Unclear => {
                "look again later with telecine check --probe, or import without --probed-only"
            }
        }
    }
}
