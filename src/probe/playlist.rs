//! HLS playlists: the addresses of their parts, and the codecs of the first one.

use m3u8_rs::{MasterPlaylist, MediaPlaylist, Playlist, VariantStream};
use url::Url;

use super::{
    NOT_UNDERSTOOD, Prober,
    container::{Container, ContainerKind, Tracks, kind_of, transport_tracks},
    fetcher::{FetchResponse, Fetcher},
    finding::{self, ProbeFinding, codec_name, is_taken},
    inspect::{HEAD_MAX, refuse_status},
    partial_file::PartialFile,
    parts::PartsPlace,
};
use crate::{blocking, domain::ProbeVerdict, redact};

/// The largest size of a playlist, in bytes.
const PLAYLIST_MAX: usize = 4 * 1024 * 1024;
/// The largest number of lines: the parser needs many times their size. A day of video in segments of six seconds has
/// fewer.
const LINES_MAX: usize = 50_000;
/// Variants that are opened in search of one that the service takes.
const VARIANTS_MAX: usize = 3;

impl<W: Fetcher> Prober<W> {
    /// Probes a playlist and its first part.
    pub(super) async fn find_in_playlist(
        &self,
        first: FetchResponse,
        url: Url,
    ) -> Result<ProbeFinding, ProbeFinding> {
        let master = match self.whole_playlist(first, url).await? {
            Playlist::MediaPlaylist(media) => return self.find_in_part(first_part(&media)?).await,
            Playlist::MasterPlaylist(master) => master,
        };
        let variants = variants_of(&master)?;
        let mut last = ProbeFinding::unclear("hls_empty", "an empty playlist");
        for variant in &variants {
            match self.find_in_variant(variant.clone()).await {
                Ok(found) => return Ok(found),
                Err(finding) => last = finding,
            }
        }
        // the others were not opened, or the service may take another than we do
        let is_sure = variants.len() == 1 && master.variants.len() == 1;
        Err(if is_sure { last } else { ProbeFinding { verdict: ProbeVerdict::Unclear, ..last } })
    }

    async fn find_in_variant(&self, variant: Url) -> Result<ProbeFinding, ProbeFinding> {
        let (first, url) = self.get(variant, 0, HEAD_MAX).await.map_err(|error| inside("playlist", error))?;
        refuse_status(&first).map_err(|error| inside("playlist", error))?;
        match self.whole_playlist(first, url).await? {
            Playlist::MediaPlaylist(media) => self.find_in_part(first_part(&media)?).await,
            Playlist::MasterPlaylist(_) => {
                Err(ProbeFinding::unclear("hls_nested", "a playlist of playlists of playlists"))
            }
        }
    }

    /// A playlist read to its end, with nothing but absolute paths inside.
    async fn whole_playlist(&self, first: FetchResponse, url: Url) -> Result<Playlist, ProbeFinding> {
        let is_all_of_it = |got: &FetchResponse| {
            got.is_whole && got.total().is_none_or(|total| total <= got.body.len() as u64)
        };
        // never closed
        let (mut got, mut deep) = (first, None);
        if !is_all_of_it(&got) {
            deep = self.deep_looks.acquire().await.ok();
            got = self.get(url, 0, PLAYLIST_MAX).await?.0;
        }
        refuse_status(&got)?;
        if !is_all_of_it(&got) || memchr::memchr_iter(b'\n', &got.body).count() > LINES_MAX {
            let found = "a playlist that does not end within 4 MiB and 50,000 lines, or in time";
            return Err(ProbeFinding::unclear("hls_large", found));
        }
        let text = String::from_utf8_lossy(&got.body).into_owned();
        let part_count = refuse_relative(&text)?;
        let parsed = blocking::run(move || m3u8_rs::parse_playlist_res(text.as_bytes()).ok()).await;
        drop(deep);
        let understood = |playlist: &Playlist| match playlist {
            Playlist::MediaPlaylist(media) => media.segments.len() == part_count,
            Playlist::MasterPlaylist(master) => streams(master).count() == part_count,
        };
        match parsed {
            // what the parser left out silently must not count as absent
            Ok(Some(playlist)) if understood(&playlist) => Ok(playlist),
            Ok(_) => {
                Err(ProbeFinding::unclear("not_understood", "a playlist that cannot be read as a whole"))
            }
            Err(_) => Err(ProbeFinding::unclear("not_understood", NOT_UNDERSTOOD)),
        }
    }

    /// The codecs of the part of a playlist that names them.
    async fn find_in_part(&self, url: Url) -> Result<ProbeFinding, ProbeFinding> {
        let (got, url) = self.get(url, 0, HEAD_MAX).await.map_err(|error| inside("segment", error))?;
        refuse_status(&got).map_err(|error| inside("segment", error))?;
        let size = got.total();
        if let Some(Tracks { video, audio }) = transport_tracks(&got.body) {
            return good_only(finding::of_codecs("hls", &video, &audio));
        }
        match kind_of(&got.body) {
            ContainerKind::Container(Container::Mp4) => {
                let bytes = PartialFile::new(got.body, size);
                let found = self.find_in_container(Container::Mp4, bytes, &PartsPlace::Host(url)).await?;
                good_only(ProbeFinding { found: format!("hls of {}", found.found), ..found })
            }
            ContainerKind::Page => {
                Err(ProbeFinding::unfit("page", "its first segment is a page, and no video"))
            }
            ContainerKind::Container(Container::Matroska)
            | ContainerKind::Playlist
            | ContainerKind::Image
            | ContainerKind::Audio
            | ContainerKind::OtherVideo(_)
            | ContainerKind::NoVideo(_)
            | ContainerKind::Unknown => Err(ProbeFinding::unclear(
                "hls_segment",
                "a playlist whose first segment is of no known kind",
            )),
        }
    }
}

/// Only a supported variant ends the search.
fn good_only(finding: ProbeFinding) -> Result<ProbeFinding, ProbeFinding> {
    if finding.verdict == ProbeVerdict::Supported { Ok(finding) } else { Err(finding) }
}

/// The same finding, about a part of the playlist.
fn inside(part: &str, finding: ProbeFinding) -> ProbeFinding {
    ProbeFinding { found: format!("its first {part}: {}", finding.found), ..finding }
}

/// Variants that are played by themselves.
fn streams(master: &MasterPlaylist) -> impl Iterator<Item = &VariantStream> {
    master.variants.iter().filter(|variant| !variant.is_i_frame)
}

/// The addresses of the playlists to open: first those with a supported codec, then those with a size, then
/// the others.
fn variants_of(master: &MasterPlaylist) -> Result<Vec<Url>, ProbeFinding> {
    let video_of = |codecs: &str| -> Vec<String> {
        let names = codecs.split(',').map(|codec| codec_name(&codec.trim().to_ascii_lowercase()));
        names.filter(|name| !AUDIO.contains(&name.as_str())).collect()
    };
    let rank = |variant: &VariantStream| match variant.codecs.as_deref().map(video_of) {
        Some(video) if video.iter().any(|codec| is_taken(codec)) => Some(0),
        // sound alone, or a video that is not taken
        Some(_) => None,
        None if variant.resolution.is_some() => Some(1),
        None => Some(2),
    };
    let mut ranked: Vec<(u8, &VariantStream)> =
        streams(master).filter_map(|variant| Some((rank(variant)?, variant))).collect();
    ranked.sort_by_key(|(rank, _)| *rank);
    if ranked.is_empty() {
        let video: Vec<String> =
            streams(master).filter_map(|variant| variant.codecs.as_deref()).flat_map(video_of).collect();
        return Err(match streams(master).next() {
            None => ProbeFinding::unfit("hls_empty", "an empty playlist"),
            Some(_) => finding::of_codecs("hls", &video, &[]),
        });
    }
    ranked.into_iter().take(VARIANTS_MAX).map(|(_, variant)| absolute(&variant.uri)).collect()
}

/// Codecs of sound, as playlists name them, in lower case.
const AUDIO: &[&str] = &["aac", "ac-3", "ec-3", "opus", "flac", "mp3", "alac", ""];

/// The address of what says which codecs there are: what precedes the segments, or the first of them.
fn first_part(media: &MediaPlaylist) -> Result<Url, ProbeFinding> {
    let Some(first) = media.segments.first() else {
        return Err(ProbeFinding::unfit("hls_empty", "an empty playlist"));
    };
    if !media.end_list {
        let found = "a live stream without an end: no document says whether the service supports it";
        return Err(ProbeFinding::unclear("hls_live", found));
    }
    absolute(first.map.as_ref().map_or(first.uri.as_str(), |map| map.uri.as_str()))
}

/// The number of parts or variants, or the finding on a path that is not absolute. The
/// service supports only playlists with absolute paths (its upload documentation).
fn refuse_relative(text: &str) -> Result<usize, ProbeFinding> {
    let mut part_count = 0;
    for line in text.lines().map(str::trim) {
        if line.starts_with("#EXT") {
            for (_, behind) in line.match_indices("URI=\"").map(|(at, mark)| line.split_at(at + mark.len())) {
                let uri = behind.split('"').next().unwrap_or_default();
                // a key may be in the playlist itself
                if !uri.is_empty() && !uri.starts_with("data:") {
                    absolute(uri)?;
                }
            }
        } else if !line.is_empty() && !line.starts_with(['#', '\u{feff}']) {
            part_count += 1;
            absolute(line)?;
        }
    }
    Ok(part_count)
}

fn absolute(uri: &str) -> Result<Url, ProbeFinding> {
    let shown = redact::opaque(uri);
    match Url::parse(uri.trim()) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => Ok(url),
        // the rest may be a secret
        Ok(url) => {
            let found = format!("a playlist that leads to {}:", redact::clean(url.scheme()));
            Err(ProbeFinding::unfit("scheme", found))
        }
        Err(_) if uri.trim().starts_with("//") => {
            let found = format!(
                "a playlist with the path {shown}, without a scheme; the service takes absolute ones only"
            );
            Err(ProbeFinding::unfit("hls_relative", found))
        }
        Err(_) if uri.trim().starts_with('/') => {
            let found = format!(
                "a playlist with the path {shown}, without a host: no document says whether the service supports it"
            );
            Err(ProbeFinding::unclear("hls_path", found))
        }
        Err(_) => {
            let found =
                format!("a playlist with the relative path {shown}; the service takes absolute ones only");
            Err(ProbeFinding::unfit("hls_relative", found))
        }
    }
}
