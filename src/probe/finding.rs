//! The finding of a probe.

use std::collections::HashSet;

use crate::{domain::ProbeVerdict, redact};

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
    if video.is_empty() {
        let sound = if audio.is_empty() { String::new() } else { format!(", only {}", names(audio)) };
        return ProbeFinding::unfit("no_video_track", format!("{container} without a video track{sound}"));
    }
    if !video.iter().any(|codec| is_taken(codec)) {
        let found = format!("{container} with {}; the service takes {}", names(video), TAKEN.join(", "));
        return ProbeFinding::unfit("codec", found);
    }
    ProbeFinding::fit(format!("{container}, {}", names(video.iter().chain(audio))))
}

/// The codecs for a person: each once, those that the service takes first, and the number of those beyond
/// [`NAMES_MAX`]. A playlist has one for each of its variants.
fn names<'a>(codecs: impl IntoIterator<Item = &'a String>) -> String {
    let mut seen = HashSet::new();
    let mut different: Vec<&String> = codecs.into_iter().filter(|codec| seen.insert(*codec)).collect();
    different.sort_by_key(|codec| !is_taken(codec));
    let shown: Vec<String> = different.iter().take(NAMES_MAX).map(|codec| redact::clean(codec)).collect();
    let more = different.len().saturating_sub(NAMES_MAX);
    if more == 0 { shown.join(" + ") } else { format!("{} + {more} more", shown.join(" + ")) }
}

/// The largest number of codecs that one finding names.
const NAMES_MAX: usize = 4;

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

#[cfg(test)]
mod tests {
    use super::*;

    fn codecs(names: impl IntoIterator<Item = String>) -> Vec<String> {
        names.into_iter().collect()
    }

    #[test]
    fn a_finding_stays_short_however_many_codecs_a_file_names() {
        let many = codecs((0..40).map(|at| format!("{at}{}", "x".repeat(300))));
        let none_taken = of_codecs("hls", &many, &many);
        assert!(none_taken.found.chars().count() < 800, "{}", none_taken.found);
        assert!(none_taken.found.contains(" + 36 more;"), "{}", none_taken.found);
        let with_one = codecs(many.iter().cloned().chain(["h264".to_owned()]));
        let taken = of_codecs("hls", &with_one, &many);
        assert!(taken.found.starts_with("hls, h264 + 0x"), "{}", taken.found);
        assert!(taken.found.chars().count() < 800, "{}", taken.found);
    }

    #[test]
    fn a_codec_of_several_variants_is_named_once() {
        let twice = codecs(["av1".to_owned(), "av1".to_owned()]);
        assert_eq!(of_codecs("hls", &twice, &[]).found, "hls with av1; the service takes h264, h265, vp9");
    }
}
