//! The result of a probe: what the host of a source showed before the upload is paid.

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
    /// The stable name in the ledger, in text and in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.into_str()
    }
}

/// Which hosts a probe may contact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Those of the public internet only.
    Public,
    /// Those of private networks and of this machine, too.
    Private,
}

/// The result of one probe of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    pub verdict: ProbeVerdict,
    /// A stable name of the finding, such as `http_404`; `video` when it is supported.
    pub class: String,
    /// The same for a reader, redacted: `mp4, h264 + aac, 12.3 MB`.
    pub found: String,
    /// `None`: the host did not say.
    pub size: Option<u64>,
    /// Which hosts were allowed.
    pub reach: Reach,
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
