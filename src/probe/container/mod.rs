//! The container of a file and the codecs of its tracks, from its bytes.

mod matroska;
mod mp4;
mod transport;

use super::partial_file::PartialFile;

pub(super) use transport::tracks as transport_tracks;

/// What the first bytes of a body are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ContainerKind {
    /// A container that can be looked into.
    Container(Container),
    /// An HLS playlist.
    Playlist,
    /// A page.
    Page,
    /// An image.
    Image,
    /// Sound alone.
    Audio,
    /// A video that no document of the service names.
    OtherVideo(&'static str),
    /// Any other file, such as an archive or a document.
    NoVideo(&'static str),
    /// Unknown.
    Unknown,
}

/// Containers with an index of tracks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Container {
    Mp4,
    Matroska,
}

impl Container {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Mp4 => "mp4",
            Self::Matroska => "matroska",
        }
    }

    /// Reads the index from the bytes in memory.
    pub(super) fn read(self, bytes: &mut PartialFile) -> ContainerIndex {
        bytes.rewind();
        match self {
            Self::Mp4 => mp4::read(bytes),
            Self::Matroska => matroska::read(bytes),
        }
    }
}

/// What the index of a file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ContainerIndex {
    Tracks(Tracks),
    /// More bytes are needed: the offset, and the smallest number.
    Wants(u64, u64),
    /// The index is missing or cut off; the cause.
    Broken(&'static str),
    /// The index cannot be read, though it may be valid; the cause.
    NotUnderstood(&'static str),
}

/// Codecs by their common names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tracks {
    pub(super) video: Vec<String>,
    pub(super) audio: Vec<String>,
}

/// Codecs named of one file: a file may contain millions.
const CODECS_MAX: usize = 8;
/// The longest codec name in a message, in characters: a file may contain any name.
const CODEC_NAME_MAX: usize = 32;

impl Tracks {
    fn note_video(&mut self, codec: &str) {
        note(&mut self.video, codec);
    }

    fn note_audio(&mut self, codec: &str) {
        note(&mut self.audio, codec);
    }
}

/// Each once.
fn note(codecs: &mut Vec<String>, codec: &str) {
    if codecs.len() < CODECS_MAX && codecs.iter().all(|own| own != codec) {
        codecs.push(codec.chars().take(CODEC_NAME_MAX).collect());
    }
}

/// What begins a file of MP4's family, behind four bytes of length.
const MP4_BOXES: &[&[u8]] =
    &[b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"styp", b"moof"];
const MATROSKA_MARK: &[u8] = &[0x1a, 0x45, 0xdf, 0xa3];
const PLAYLIST_MARK: &[u8] = b"#EXTM3U";
/// How pages begin, in lower case.
const PAGE_MARKS: &[&[u8]] =
    &[b"<!doctype html", b"<html", b"<head", b"<body", b"<script", b"<!--", b"<?xml"];

/// What a body is that begins so.
pub(super) fn kind_of(head: &[u8]) -> ContainerKind {
    if head.get(4..8).is_some_and(|name| MP4_BOXES.contains(&name)) {
        return ContainerKind::Container(Container::Mp4);
    }
    if head.starts_with(MATROSKA_MARK) {
        return ContainerKind::Container(Container::Matroska);
    }
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    if text.starts_with(PLAYLIST_MARK) {
        return ContainerKind::Playlist;
    }
    let begins_with =
        |mark: &&&[u8]| text.get(..mark.len()).is_some_and(|start| start.eq_ignore_ascii_case(mark));
    if PAGE_MARKS.iter().any(|mark| begins_with(&mark)) {
        return ContainerKind::Page;
    }
    if transport::is_transport_stream(head) {
        return ContainerKind::OtherVideo("MPEG transport stream");
    }
    let Some(known) = infer::get(head) else { return ContainerKind::Unknown };
    match known.matcher_type() {
        infer::MatcherType::Image => ContainerKind::Image,
        infer::MatcherType::Audio => ContainerKind::Audio,
        infer::MatcherType::Video => ContainerKind::OtherVideo(known.mime_type()),
        infer::MatcherType::Text if known.mime_type() == "text/html" => ContainerKind::Page,
        infer::MatcherType::Text
        | infer::MatcherType::App
        | infer::MatcherType::Archive
        | infer::MatcherType::Book
        | infer::MatcherType::Doc
        | infer::MatcherType::Font
        | infer::MatcherType::Custom => ContainerKind::NoVideo(known.mime_type()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_known_by_its_first_bytes() {
        for (head, kind) in [
            (&b"\0\0\0\x18ftypmp42"[..], ContainerKind::Container(Container::Mp4)),
            (b"\0\0\0\x08wide\0\0\0\0mdat", ContainerKind::Container(Container::Mp4)),
            (b"\x1a\x45\xdf\xa3\x01", ContainerKind::Container(Container::Matroska)),
            (b"\xef\xbb\xbf#EXTM3U\n", ContainerKind::Playlist),
            (b"\n <!DOCTYPE HTML><html>", ContainerKind::Page),
            (b"<html><body>Please log in", ContainerKind::Page),
            (b"\xff\xd8\xff\xe0\0\x10JFIF", ContainerKind::Image),
            (b"\x89PNG\r\n\x1a\n", ContainerKind::Image),
            (b"ID3\x03\0", ContainerKind::Audio),
            (b"RIFF\0\0\0\0AVI LIST", ContainerKind::OtherVideo("video/x-msvideo")),
            (b"PK\x03\x04\x14\0", ContainerKind::NoVideo("application/zip")),
            (b"%PDF-1.7", ContainerKind::NoVideo("application/pdf")),
            (b"hello", ContainerKind::Unknown),
            (b"", ContainerKind::Unknown),
        ] {
            assert_eq!(kind_of(head), kind, "{}", String::from_utf8_lossy(head));
        }
    }
}
