//! Matroska and `WebM`: the index of tracks is near the beginning.

use matroska_demuxer::{DemuxError, MatroskaFile, TrackType};

use super::{super::partial_file::PartialFile, ContainerIndex, Tracks};

/// The size of one request for more bytes.
const CHUNK: u64 = 64 * 1024;

/// Names behind which any codec may stand.
const VEILED: &[&str] = &["V_MS/VFW/FOURCC", "V_QUICKTIME"];
/// Codecs by their names in the file.
const NAMES: &[(&str, &str)] = &[
    ("V_MPEG4/ISO/AVC", "h264"),
    ("V_MPEGH/ISO/HEVC", "h265"),
    ("V_VP9", "vp9"),
    ("V_VP8", "vp8"),
    ("V_AV1", "av1"),
    ("A_AAC", "aac"),
    ("A_OPUS", "opus"),
    ("A_VORBIS", "vorbis"),
];

pub(super) fn read(bytes: &mut PartialFile) -> ContainerIndex {
    let opened = MatroskaFile::open(&mut *bytes).map(|file| tracks_of(&file));
    if bytes.is_worn_out() {
        return ContainerIndex::NotUnderstood("its index refers to itself");
    }
    match (opened, bytes.take_wanted()) {
        (Ok(tracks), _) if tracks.video.iter().any(|codec| VEILED.contains(&codec.as_str())) => {
            ContainerIndex::NotUnderstood("a track whose codec only another system names")
        }
        (Ok(tracks), _) => ContainerIndex::Tracks(tracks),
        (Err(_), Some(wanted)) => ContainerIndex::Wants(wanted, CHUNK),
        (Err(DemuxError::IoError(_) | DemuxError::ElementSizeExceedsStream { .. }), None) => {
            ContainerIndex::Broken("it is cut off before its tracks")
        }
        (Err(_), None) => ContainerIndex::NotUnderstood("its tracks, or what is beside them, cannot be read"),
    }
}

fn tracks_of(file: &MatroskaFile<&mut PartialFile>) -> Tracks {
    let mut tracks = Tracks::default();
    for track in file.tracks() {
        let id = track.codec_id();
        let name = NAMES.iter().find(|(written, _)| id.starts_with(written)).map_or(id, |(_, name)| name);
        match track.track_type() {
            TrackType::Video => tracks.note_video(name),
            TrackType::Audio => tracks.note_audio(name),
            TrackType::Unknown
            | TrackType::Complex
            | TrackType::Logo
            | TrackType::Subtitle
            | TrackType::Buttons
            | TrackType::Control
            | TrackType::Metadata => {}
        }
    }
    tracks
}
