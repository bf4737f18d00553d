//! HLS playlists: where their parts lie, and what is in the first of them.

use m3u8_rs::{MasterPlaylist, MediaPlaylist, Playlist};
use url::Url;

use super::{
    NOT_UNDERSTOOD, Prober,
    container::{Container, Kind, Tracks, kind_of, transport_tracks},
    finding::{self, Finding, codec_name, is_taken},
    look::{HEAD_MAX, refuse_status},
    sparse::Sparse,
    web::{Got, Web},
};
use crate::{blocking, redact};

/// A playlist is read up to this size, in bytes: a day of video in segments of six seconds takes about a megabyte.
const PLAYLIST_MAX: usize = 4 * 1024 * 1024;

impl<W: Web> Prober<W> {
    /// What a look at a playlist, and at the first of its parts, shows.
    pub(super) async fn find_in_playlist(&self, first: Got, url: Url) -> Result<Finding, Finding> {
        let (playlist, _) = self.whole_playlist(first, url).await?;
        let media = match playlist {
            Playlist::MediaPlaylist(media) => media,
            Playlist::MasterPlaylist(master) => {
                let variant = variant_of(&master)?;
                let (first, url) =
                    self.get(variant, 0, HEAD_MAX).await.map_err(|fault| inside("playlist", fault))?;
                refuse_status(&first).map_err(|fault| inside("playlist", fault))?;
                match self.whole_playlist(first, url).await? {
                    (Playlist::MediaPlaylist(media), _) => media,
                    (Playlist::MasterPlaylist(_), _) => {
                        return Err(Finding::unclear("hls_nested", "a playlist of playlists of playlists"));
                    }
                }
            }
        };
        let part = first_part(&media)?;
        self.find_in_part(part).await
    }

    /// A playlist read to its end.
    async fn whole_playlist(&self, first: Got, url: Url) -> Result<(Playlist, Url), Finding> {
        let is_all_of_it =
            |got: &Got| got.is_whole && got.total().is_none_or(|total| total <= got.body.len() as u64);
        let (got, url) =
            if is_all_of_it(&first) { (first, url) } else { self.get(url, 0, PLAYLIST_MAX).await? };
        refuse_status(&got)?;
        if !is_all_of_it(&got) {
            return Err(Finding::unclear(
                "hls_large",
                "a playlist that does not end within 4 MiB, or in time",
            ));
        }
        let body = got.body;
        match blocking::run(move || m3u8_rs::parse_playlist_res(&body).ok()).await {
            Ok(Some(playlist)) => Ok((playlist, url)),
            Ok(None) => Err(Finding::unclear("not_understood", "a playlist that cannot be read")),
            Err(_) => Err(Finding::unclear("not_understood", NOT_UNDERSTOOD)),
        }
    }

    /// What is in the part of a playlist that says which codecs there are.
    async fn find_in_part(&self, url: Url) -> Result<Finding, Finding> {
        let (got, url) = self.get(url, 0, HEAD_MAX).await.map_err(|fault| inside("segment", fault))?;
        refuse_status(&got).map_err(|fault| inside("segment", fault))?;
        let size = got.total();
        if let Some(Tracks { video, audio }) = transport_tracks(&got.body) {
            return Ok(finding::of_codecs("hls", &video, &audio));
        }
        match kind_of(&got.body) {
            Kind::Container(Container::Mp4) => {
                let found = self.find_in_container(Container::Mp4, Sparse::new(got.body, size), &url).await;
                found.map(|found| Finding { found: format!("hls of {}", found.found), ..found })
            }
            Kind::Page => Err(Finding::unfit("page", "its first segment is a page, and no video")),
            Kind::Container(Container::Matroska)
            | Kind::Playlist
            | Kind::Image
            | Kind::Audio
            | Kind::OtherVideo(_)
            | Kind::NoVideo(_)
            | Kind::Unknown => {
                Err(Finding::unclear("hls_segment", "a playlist whose first segment is of no known kind"))
            }
        }
    }
}

/// The same finding, said of a part of the playlist.
fn inside(part: &str, finding: Finding) -> Finding {
    Finding { found: format!("its first {part}: {}", finding.found), ..finding }
}

/// The address of the playlist to look into: the first with a codec that is taken, or that names none.
fn variant_of(master: &MasterPlaylist) -> Result<Url, Finding> {
    let others = master.alternatives.iter().filter_map(|other| other.uri.as_deref());
    let own = master.variants.iter().map(|variant| variant.uri.as_str());
    for uri in own.chain(others) {
        absolute(uri)?;
    }
    let streams = || master.variants.iter().filter(|variant| !variant.is_i_frame);
    let video_of = |codecs: &str| -> Vec<String> {
        let names = codecs.split(',').map(|codec| codec_name(codec.trim()));
        names.filter(|name| !matches!(name.as_str(), "aac" | "ac-3" | "ec-3" | "opus" | "")).collect()
    };
    let is_hopeful = |codecs: &Option<String>| {
        codecs.as_deref().map(video_of).is_none_or(|video| video.iter().any(|codec| is_taken(codec)))
    };
    if let Some(variant) = streams().find(|variant| is_hopeful(&variant.codecs)) {
        return absolute(&variant.uri);
    }
    let video: Vec<String> =
        streams().filter_map(|variant| variant.codecs.as_deref()).flat_map(video_of).collect();
    Err(match streams().next() {
        None => Finding::unfit("hls_empty", "a playlist of nothing"),
        Some(_) => finding::of_codecs("hls", &video, &[]),
    })
}

/// The address of what says which codecs there are: what stands before the segments, or the first of them.
fn first_part(media: &MediaPlaylist) -> Result<Url, Finding> {
    for segment in &media.segments {
        absolute(&segment.uri)?;
        if let Some(map) = &segment.map {
            absolute(&map.uri)?;
        }
        if let Some(uri) = segment.key.as_ref().and_then(|key| key.uri.as_deref()) {
            absolute(uri)?;
        }
    }
    let Some(first) = media.segments.first() else {
        return Err(Finding::unfit("hls_empty", "a playlist of nothing"));
    };
    if !media.end_list {
        let found = "a live stream, without an end: no document says what the service makes of one";
        return Err(Finding::unclear("hls_live", found));
    }
    absolute(first.map.as_ref().map_or(first.uri.as_str(), |map| map.uri.as_str()))
}

/// The service takes playlists only with absolute paths inside (its upload documentation).
fn absolute(uri: &str) -> Result<Url, Finding> {
    let shown = redact::opaque(uri);
    match Url::parse(uri.trim()) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => Ok(url),
        Ok(_) => Err(Finding::unfit("scheme", format!("a playlist that leads to {shown}"))),
        Err(_) if uri.trim().starts_with("//") => {
            let found = format!(
                "a playlist with the path {shown}, without a scheme; the service takes absolute ones only"
            );
            Err(Finding::unfit("hls_relative", found))
        }
        Err(_) if uri.trim().starts_with('/') => {
            let found = format!(
                "a playlist with the path {shown}, without a host: nobody knows whether that is absolute enough"
            );
            Err(Finding::unclear("hls_path", found))
        }
        Err(_) => {
            let found =
                format!("a playlist with the relative path {shown}; the service takes absolute ones only");
            Err(Finding::unfit("hls_relative", found))
        }
    }
}
