//! MPEG transport streams, as the segments of playlists are: which codecs they say they hold.

use mpeg2ts::{
    es::StreamType,
    ts::{ReadTsPacket as _, TsPacketReader, TsPayload},
};

use super::Tracks;

/// The size of a packet, in bytes.
const PACKET: usize = 188;
/// The first byte of each packet.
const MARK: u8 = 0x47;
/// Packets read in search of the table of streams: it is repeated ten times a second.
const PACKETS_MAX: usize = 2_000;

/// Whether these are packets of a transport stream.
pub(super) fn is_transport_stream(head: &[u8]) -> bool {
    head.len() > PACKET && head.iter().step_by(PACKET).take(5).all(|byte| *byte == MARK)
}

/// The streams of a segment. `None`: the bytes do not contain its table.
pub(in super::super) fn tracks(segment: &[u8]) -> Option<Tracks> {
    // packets of streams that no table has named yet cannot be read
    let first_table = segment
        .chunks_exact(PACKET)
        .position(|packet| packet[0] == MARK && u16::from_be_bytes([packet[1] & 0x1f, packet[2]]) == 0)?;
    let mut reader = TsPacketReader::new(&segment[first_table * PACKET..]);
    for _ in 0..PACKETS_MAX {
        let packet = reader.read_ts_packet().ok().flatten()?;
        let Some(TsPayload::Pmt(table)) = packet.payload else { continue };
        let mut tracks = Tracks::default();
        for stream in table.es_info {
            note(stream.stream_type, &mut tracks);
        }
        return Some(tracks);
    }
    None
}

/// Video and audio streams, by their common names.
const VIDEO: &[(StreamType, &str)] = &[
    (StreamType::H264, "h264"),
    (StreamType::H264WithAes128Cbc, "h264"),
    (StreamType::H265, "h265"),
    (StreamType::Mpeg1Video, "mpeg1"),
    (StreamType::Mpeg2Video, "mpeg2"),
    (StreamType::Mpeg4H263BasedVideo, "mpeg4"),
    (StreamType::MicrosoftWindowsMediaVideo9, "vc1"),
];
const AUDIO: &[(StreamType, &str)] = &[
    (StreamType::AdtsAac, "aac"),
    (StreamType::AdtsAacWithAes128Cbc, "aac"),
    (StreamType::Mpeg4LoasMultiFormatFramedAudio, "aac"),
    (StreamType::Mpeg1Audio, "mp3"),
    (StreamType::Mpeg2HalvedSampleRateAudio, "mp3"),
    (StreamType::DolbyDigitalUpToSixChannelAudio, "ac3"),
];

fn note(stream: StreamType, tracks: &mut Tracks) {
    let name_in = |names: &'static [(StreamType, &str)]| names.iter().find(|(own, _)| *own == stream);
    if let Some((_, name)) = name_in(VIDEO) {
        tracks.note_video(name);
    }
    if let Some((_, name)) = name_in(AUDIO) {
        tracks.note_audio(name);
    }
}
