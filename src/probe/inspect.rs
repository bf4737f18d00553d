//! The probe of one source: does it exist, is it a video, and does the service support it?

use url::Url;

use super::{
    NOT_UNDERSTOOD, Prober,
    container::{Container, ContainerIndex, ContainerKind, kind_of},
    fetcher::{FetchRequest, FetchResponse, Fetcher, Method},
    finding::{self, ProbeFinding},
    partial_file::PartialFile,
    parts::{self, PartsPlace},
};
use crate::{
    blocking,
    domain::{ProbeVerdict, SourceUrl},
    redact,
};

/// Bytes of a video that are read first: most have their index there.
pub(super) const HEAD_MAX: usize = 64 * 1024;
/// Further parts of one video that are read in search of its index.
const PARTS_MAX: usize = 12;
/// The smallest size of a part, in bytes.
const PART_MIN: u64 = 16 * 1024;
/// Only few probes may hold more bytes than this at the same time.
const DEEP_FROM: u64 = 1024 * 1024;
/// The largest size of all parts of one video, in bytes.
const HELD_MAX: usize = 18 * 1024 * 1024;

impl<W: Fetcher> Prober<W> {
    /// Probes a source.
    pub(super) async fn find(&self, address: &SourceUrl) -> ProbeFinding {
        // the verdict may be known before the end
        self.find_on_the_way(address).await.unwrap_or_else(|finding| finding)
    }

    async fn find_on_the_way(&self, address: &SourceUrl) -> Result<ProbeFinding, ProbeFinding> {
        if address.expires_at().is_some_and(|timestamp| timestamp <= self.clock.now()) {
            return Err(ProbeFinding::unfit("link_expired", "the signed link has expired"));
        }
        let url = Url::parse(address.as_str())
            .map_err(|_| ProbeFinding::unclear("address", "the address cannot be read"))?;
        let _look = self.hosts.begin_look(url.host_str().unwrap_or_default()).await;
        // some hosts reject or ignore HEAD requests but answer GET: a HEAD request only saves bytes
        let ask = FetchRequest { method: Method::Head, url: url.clone(), range: None, body_max: 0 };
        if let Ok((head, _)) = self.fetch(ask).await
            && (200..300).contains(&head.status)
        {
            self.refuse_large(head.total())?;
        }
        let (first, url) = self.get(url, 0, HEAD_MAX).await?;
        refuse_status(&first)?;
        if first.status == 206 && first.range().is_some_and(|(at, _)| at != 0) {
            return Err(ProbeFinding::unclear(
                "no_ranges",
                "the host sends another part than it was asked for",
            ));
        }
        let size = first.total();
        self.refuse_large(size)?;
        let kind = kind(&first, size)?;
        let found = match kind {
            ContainerKind::Playlist => self.find_in_playlist(first, url).await?,
            ContainerKind::Container(container) => {
                let bytes = PartialFile::new(first.body, size);
                let found = self.find_in_container(container, bytes, &PartsPlace::Host(url)).await;
                found.map_err(|finding| finding.sized(size))?.sized(size)
            }
            ContainerKind::Page
            | ContainerKind::Image
            | ContainerKind::Audio
            | ContainerKind::OtherVideo(_)
            | ContainerKind::NoVideo(_)
            | ContainerKind::Unknown => {
                return Err(refuse_kind(kind).sized(size));
            }
        };
        Ok(with_size(found))
    }

    /// Requests a part of a file, following redirects.
    pub(super) async fn get(
        &self,
        url: Url,
        at: u64,
        length: usize,
    ) -> Result<(FetchResponse, Url), ProbeFinding> {
        let range = Some((at, length as u64));
        self.fetch(FetchRequest { method: Method::Get, url, range, body_max: length }).await
    }

    fn refuse_large(&self, size: Option<u64>) -> Result<(), ProbeFinding> {
        let most = self.rules.video_max;
        match size.filter(|size| *size > most) {
            None => Ok(()),
            Some(large) => {
                let found = format!("{}; the service takes up to {}", megabytes(large), megabytes(most));
                Err(ProbeFinding::unfit("too_large", found).sized(Some(large)))
            }
        }
    }

    /// Reads the index, fetching the parts of the file that it is in.
    pub(super) async fn find_in_container(
        &self,
        container: Container,
        mut bytes: PartialFile,
        place: &PartsPlace,
    ) -> Result<ProbeFinding, ProbeFinding> {
        let mut deep = None;
        for _ in 0..PARTS_MAX {
            let read = blocking::run(move || {
                let index = container.read(&mut bytes);
                (bytes, index)
            });
            let Ok((back, index)) = read.await else {
                return Err(ProbeFinding::unclear("not_understood", NOT_UNDERSTOOD));
            };
            bytes = back;
            match index {
                ContainerIndex::Tracks(tracks) => {
                    return Ok(finding::of_codecs(container.as_str(), &tracks.video, &tracks.audio));
                }
                ContainerIndex::Broken(_) if bytes.total().is_none() => {
                    let found = "the host does not tell its size, and its index is not among the first bytes";
                    return Err(ProbeFinding::unclear("no_size", found));
                }
                ContainerIndex::Broken(why) => {
                    return Err(ProbeFinding::unfit("broken", format!("{}: {why}", container.as_str())));
                }
                ContainerIndex::NotUnderstood(why) => {
                    return Err(ProbeFinding::unclear(
                        "not_understood",
                        format!("{}: {why}", container.as_str()),
                    ));
                }
                ContainerIndex::Wants(at, length) => {
                    if deep.is_none() && length > DEEP_FROM {
                        // never closed
                        deep = self.deep_looks.acquire().await.ok();
                    }
                    self.fetch_part(&mut bytes, at, length, place).await?;
                }
            }
        }
        Err(ProbeFinding::unclear(
            "not_understood",
            format!("{}: its index is in too many places", container.as_str()),
        ))
    }

    async fn fetch_part(
        &self,
        bytes: &mut PartialFile,
        at: u64,
        length: u64,
        place: &PartsPlace,
    ) -> Result<(), ProbeFinding> {
        let length = usize::try_from(length.max(PART_MIN)).unwrap_or(usize::MAX);
        if bytes.held().saturating_add(length) > HELD_MAX {
            return Err(ProbeFinding::unclear("not_understood", "its index is too large"));
        }
        let url = match place {
            PartsPlace::Host(url) => url.clone(),
            PartsPlace::File(file) => {
                bytes.add(at, parts::read(file, at, length).await?);
                return Ok(());
            }
        };
        let (part, _) = self.get(url, at, length).await?;
        let is_it = part.status == 206 && part.range().is_some_and(|(first, _)| first == at);
        if !is_it {
            let found =
                "its index is behind the first bytes, and the host sends nothing from the middle of a file";
            return Err(ProbeFinding::unclear("no_ranges", found));
        }
        if part.body.is_empty() {
            return Err(ProbeFinding::unclear("no_answer", "the host sent no bytes"));
        }
        bytes.add(at, part.body);
        Ok(())
    }
}

/// What the first bytes are, where there are any that can be read.
fn kind(first: &FetchResponse, size: Option<u64>) -> Result<ContainerKind, ProbeFinding> {
    if first.body.is_empty() {
        return Err(if size == Some(0) {
            ProbeFinding::unfit("empty", "an empty file").sized(size)
        } else {
            ProbeFinding::unclear("no_answer", "the host sent no bytes")
        });
    }
    let packed = first.content_encoding.as_deref().filter(|way| !way.eq_ignore_ascii_case("identity"));
    if let Some(way) = packed {
        let found =
            format!("the host sends it compressed ({}), though it was asked not to", redact::clean(way));
        return Err(ProbeFinding::unclear("compressed", found));
    }
    let kind = kind_of(&first.body);
    let content_type = first.content_type.as_deref().unwrap_or_default().trim_start().to_ascii_lowercase();
    let says_page = content_type.starts_with("text/html");
    Ok(if kind == ContainerKind::Unknown && says_page { ContainerKind::Page } else { kind })
}

/// The finding for an HTTP status.
pub(super) fn refuse_status(got: &FetchResponse) -> Result<(), ProbeFinding> {
    let class = format!("http_{}", got.status);
    Err(match got.status {
        200..=299 => return Ok(()),
        416 if got.total() == Some(0) => ProbeFinding::unfit("empty", "an empty file").sized(Some(0)),
        416 => ProbeFinding::unclear(&class, "the host answers 416: it does not give the first bytes"),
        401 | 403 | 407 => ProbeFinding::unfit(
            &class,
            format!("the host answers {}: it wants a login or a signature", got.status),
        ),
        404 | 410 => {
            ProbeFinding::unfit(&class, format!("the host answers {}: it does not exist", got.status))
        }
        400..=499 => ProbeFinding::unfit(&class, format!("the host answers {}", got.status)),
        _ => ProbeFinding::unclear(&class, format!("the host answers {}", got.status)),
    })
}

pub(super) fn refuse_kind(kind: ContainerKind) -> ProbeFinding {
    match kind {
        ContainerKind::Page => ProbeFinding::unfit("page", "a page, perhaps one to log in, and no video"),
        ContainerKind::Image => ProbeFinding::unfit("image", "an image"),
        ContainerKind::Audio => ProbeFinding::unfit("audio", "audio only"),
        ContainerKind::NoVideo(what) => ProbeFinding::unfit("no_video", format!("{what}, and no video")),
        ContainerKind::OtherVideo(what) => {
            let found = format!("{what}: the service's documents name mp4 and m3u8 only");
            ProbeFinding::unclear("other_container", found)
        }
        ContainerKind::Unknown | ContainerKind::Playlist | ContainerKind::Container(_) => {
            ProbeFinding::unclear("unknown_kind", "its first bytes are of no kind of file that is known")
        }
    }
}

/// Appends the size to the finding of a supported source.
fn with_size(finding: ProbeFinding) -> ProbeFinding {
    match finding.size.filter(|_| finding.verdict == ProbeVerdict::Supported) {
        Some(size) => ProbeFinding { found: format!("{}, {}", finding.found, megabytes(size)), ..finding },
        None => finding,
    }
}

/// `12.3 MB`, as the service counts.
#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
pub(super) fn megabytes(bytes: u64) -> String {
    match bytes {
        0..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.2} GB", bytes as f64 / 1e9),
    }
}
