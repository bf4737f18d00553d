//! The finding of a probe.

use crate::domain::ProbeVerdict;

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ProbeFinding {
    pub(super) verdict: ProbeVerdict,
    /// The stable name of the class.
    pub(super) class: String,
    /// The message for a person. Texts of a host appear redacted only.
    pub(super) found: String,
    /// Bytes. `None`: the host did not say.
    pub(super) size: Option<u64>,
}

impl ProbeFinding {
    pub(super) fn fit(found: String) -> Self {
        Self { verdict: ProbeVerdict::Supported, class: "video".to_owned(), found, size: None }
    }

    pub(super) fn unfit(class: &str, found: impl Into<String>) -> Self {
        Self { verdict: ProbeVerdict::Unsupported, class: class.to_owned(), found: found.into(), size: None }
    }

    pub(super) fn unclear(class: &str, found: impl Into<String>) -> Self {
        Self { verdict: ProbeVerdict::Unclear, class: class.to_owned(), found: found.into(), size: None }
    }

    pub(super) fn sized(self, size: Option<u64>) -> Self {
        Self { size, ..self }
    }
}

/// The verdict on codecs, by their common names such as `h264`, or as written in the file.
pub(super) fn of_codecs(container: &str, video: &[String], audio: &[String]) -> ProbeFinding {
    let names = |codecs: &[String]| {
        let shown: Vec<String> = codecs.iter().map(|codec| crate::redact::clean(codec)).collect();
        shown.join(" + ")
    };
    if video.is_empty() {
        let sound = if audio.is_empty() { String::new() } else { format!(", only {}", names(audio)) };
        return ProbeFinding::unfit("no_video_track", format!("{container} without a video track{sound}"));
    }
    if !video.iter().any(|codec| is_taken(codec)) {
        let found = format!("{container} with {}; the service takes {}", names(video), TAKEN.join(", "));
        return ProbeFinding::unfit("codec", found);
    }
    let all: Vec<String> = video.iter().chain(audio).cloned().collect();
    ProbeFinding::fit(format!("{container}, {}", names(&all)))
}

/// The codecs the service takes (its upload documentation; hevc is another name of h265).
const TAKEN: &[&str] = &["h264", "h265", "vp9"];

pub(super) fn is_taken(codec: &str) -> bool {
    TAKEN.contains(&codec)
}

/// The common name of a codec that MP4 files and playlists write as four letters, with or without a profile behind a dot;
/// as it is written otherwise.
pub(super) fn codec_name(written: &str) -> String {
    let four = written.split('.').next().unwrap_or_default();
    let name = match four {
        "avc1" | "avc2" | "avc3" | "avc4" | "dva1" | "dvav" => "h264",
        "hvc1" | "hev1" | "dvh1" | "dvhe" => "h265",
        "vp09" => "vp9",
        "vp08" => "vp8",
        "av01" => "av1",
        "mp4a" => "aac",
        "mp4v" => "mpeg4",
        other => other.trim(),
    };
    name.to_owned()
}
