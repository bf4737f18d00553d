//! Videos of every kind, byte by byte.

/// A box of MP4.
pub(super) fn mp4_box(name: [u8; 4], inside: &[u8]) -> Vec<u8> {
    let size = u32::try_from(inside.len() + 8).unwrap();
    [&size.to_be_bytes()[..], &name, inside].concat()
}

pub(super) fn ftyp() -> Vec<u8> {
    mp4_box(*b"ftyp", b"isom\0\0\0\0isom")
}

/// A Matroska file whose segment begins with a checksum, over which the library that reads it goes again and again.
pub(super) fn leads_in_circles() -> Vec<u8> {
    let file = media!("h264.mkv");
    let segment = file.windows(4).position(|window| window == [0x18, 0x53, 0x80, 0x67]).unwrap();
    // an identifier of four bytes, and a size of eight
    let inside = segment + 12;
    [&file[..inside], &[0xbf, 0x84, 0, 0, 0, 0], &file[inside..]].concat()
}

/// An index beyond what is read.
pub(super) fn large_index() -> Vec<u8> {
    mp4_box(*b"moov", &vec![0; 17 * 1024 * 1024])
}

/// A video whose tracks have names in some writing of their own, as cameras have.
pub(super) fn with_a_foreign_name() -> Vec<u8> {
    let mut file = media!("h264.mp4");
    let at = file.windows(12).position(|window| window == b"VideoHandler").unwrap();
    file[at..at + 5].copy_from_slice(b"\xca\xd3\xc6\xb5\xff");
    file
}

/// A video whose index is behind three megabytes of pictures.
pub(super) fn with_index_at_the_end() -> Vec<u8> {
    let file = media!("h264.mp4");
    let at = |name: &[u8]| file.windows(4).position(|window| window == name).unwrap() - 4;
    [&file[..at(b"mdat")], &mp4_box(*b"free", &vec![0; 3_000_000]), &file[at(b"mdat")..]].concat()
}
