//! MP4 and `QuickTime`: the index is the box `moov`, at the beginning, or behind all else.

use std::io::{Read as _, Seek as _, SeekFrom};

use mp4_atom::{Decode as _, FourCC, Header, ReadFrom as _};

use super::{
    super::{finding::codec_name, partial_file::PartialFile},
    ContainerIndex, Tracks,
};

/// An index is read up to this size, in bytes: an hour of video has one of about a megabyte.
const INDEX_MAX: u64 = 16 * 1024 * 1024;
/// Boxes passed over on the way to the index.
const BOXES_MAX: usize = 256;
/// The most a header of a box takes, in bytes.
const HEADER_MAX: u64 = 16;

const MOOV: FourCC = FourCC::new(b"moov");

pub(super) fn read(bytes: &mut PartialFile) -> ContainerIndex {
    let mut at = 0;
    for _ in 0..BOXES_MAX {
        if bytes.total().is_some_and(|total| at >= total) {
            return ContainerIndex::Broken("it has no index (moov): it was cut off, or never finished");
        }
        // a seek of this file goes anywhere
        let _ = bytes.seek(SeekFrom::Start(at));
        let Ok(header) = Header::read_from(bytes) else {
            return incomplete(bytes, HEADER_MAX, "a box in it is cut off or no box");
        };
        let inside = bytes.stream_position().unwrap_or(at);
        let size = header.size.map(|size| size as u64);
        // a box without a size goes to the end
        let size = size.or_else(|| bytes.total().map(|total| total.saturating_sub(inside)));
        let Some(size) = size else { return ContainerIndex::Broken("a box in it has no size") };
        if header.kind == MOOV {
            return index(bytes, inside, size);
        }
        match inside.checked_add(size) {
            Some(next) => at = next,
            None => return ContainerIndex::Broken("a box in it is larger than any file"),
        }
    }
    ContainerIndex::NotUnderstood("no index (moov) among its first boxes")
}

/// The result of a read that failed: more bytes are needed, or the file is broken.
fn incomplete(bytes: &mut PartialFile, count: u64, why: &'static str) -> ContainerIndex {
    bytes.take_wanted().map_or(ContainerIndex::Broken(why), |wanted| ContainerIndex::Wants(wanted, count))
}

fn index(bytes: &mut PartialFile, at: u64, size: u64) -> ContainerIndex {
    if size > INDEX_MAX {
        return ContainerIndex::NotUnderstood("its index (moov) is larger than 16 MiB");
    }
    if bytes.total().is_some_and(|total| at.saturating_add(size) > total) {
        return ContainerIndex::Broken("its index (moov) is cut off");
    }
    // no memory is allocated for bytes that are not here
    let mut moov = Vec::new();
    if bytes.by_ref().take(size).read_to_end(&mut moov).is_err() {
        return incomplete(bytes, size - moov.len() as u64, "its index (moov) is cut off");
    }
    let mut tracks = Tracks::default();
    let own = boxes(&moov).filter(|(kind, _)| *kind == FourCC::new(b"trak"));
    let read: Vec<Option<()>> = own.map(|(_, track)| note_track(track, &mut tracks)).collect();
    if read.is_empty() || read.iter().any(Option::is_none) {
        return ContainerIndex::NotUnderstood("a track in its index cannot be read");
    }
    ContainerIndex::Tracks(tracks)
}

/// The codecs of a video or audio track. `None`: the track cannot be read.
fn note_track(track: &[u8], tracks: &mut Tracks) -> Option<()> {
    let media = inner(track, *b"mdia")?;
    // behind a version and four bytes that mean nothing; its name, further on, may be in any writing
    let handler = inner(media, *b"hdlr")?.get(8..12)?;
    let table = inner(media, *b"minf").and_then(|body| inner(body, *b"stbl"))?;
    // a version and a count precede the first entry
    let entries = boxes(inner(table, *b"stsd")?.get(8..)?);
    for (kind, _) in entries {
        match handler {
            b"vide" => tracks.note_video(&codec_name(&kind.to_string())),
            b"soun" => tracks.note_audio(&codec_name(&kind.to_string())),
            _ => {}
        }
    }
    Some(())
}

/// The first box of this kind inside a box.
fn inner(body: &[u8], name: [u8; 4]) -> Option<&[u8]> {
    boxes(body).find(|(kind, _)| *kind == FourCC::new(&name)).map(|(_, body)| body)
}

/// The boxes inside a box, as far as they are whole.
fn boxes(body: &[u8]) -> impl Iterator<Item = (FourCC, &[u8])> {
    let mut rest = body;
    std::iter::from_fn(move || {
        let header = Header::decode(&mut rest).ok()?;
        let size = header.size.unwrap_or(rest.len());
        let (inside, behind) = rest.split_at_checked(size)?;
        rest = behind;
        Some((header.kind, inside))
    })
}
