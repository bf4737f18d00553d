//! What an address leads to, as far as it says so itself.

use crate::domain::{is_object_address, is_public};

/// What an address leads to; the last is the likeliest video.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::manifest) enum Kind {
    /// Sound, text, a licence, or a packed file.
    Other,
    Image,
    /// A page, perhaps with a player.
    Page,
    /// Nothing says it.
    Unknown,
    Media,
}

/// Endings of files that are videos, or name the parts of one.
const MEDIA: &[&str] = &[
    "mp4", "m4v", "mov", "mkv", "webm", "avi", "wmv", "mpg", "mpeg", "ts", "m2ts", "mts", "flv", "ogv",
    "3gp", "mxf", "m3u8",
];
const IMAGES: &[&str] = &[
    "jpg", "jpeg", "png", "gif", "webp", "bmp", "tif", "tiff", "svg", "heic", "heif", "ico", "avif", "dng",
    "cr2", "cr3", "nef", "arw", "thm",
];
const PAGES: &[&str] = &["html", "htm", "php", "asp", "aspx", "jsp", "xhtml"];
const OTHERS: &[&str] = &[
    "mp3",
    "wav",
    "flac",
    "ogg",
    "m4a",
    "pdf",
    "zip",
    "gz",
    "tar",
    "7z",
    "txt",
    "csv",
    "json",
    "xml",
    "srt",
    "vtt",
    "xmp",
    "aae",
    "lrv",
    "doc",
    "docx",
    "xls",
    "xlsx",
    "pptx",
    "part",
    "crdownload",
    "ds_store",
];
/// Hosts whose addresses are pages with a player, not files.
const PAGE_HOSTS: &[&str] = &[
    "youtube.com",
    "youtube-nocookie.com",
    "youtu.be",
    "vimeo.com",
    "dailymotion.com",
    "dai.ly",
    "facebook.com",
    "fb.watch",
    "instagram.com",
    "tiktok.com",
    "twitter.com",
    "x.com",
    "twitch.tv",
    "bilibili.com",
    "rumble.com",
    "odysee.com",
    "vk.com",
    "ted.com",
    "loom.com",
    "wistia.com",
    "vidyard.com",
    "streamable.com",
    "docs.google.com",
    "photos.google.com",
    "photos.app.goo.gl",
    "1drv.ms",
    "icloud.com",
    "mega.nz",
    "wetransfer.com",
    "we.tl",
    "mediafire.com",
    "gofile.io",
    "box.com",
    "frame.io",
    "storage.cloud.google.com",
    "console.cloud.google.com",
    "disk.yandex.ru",
    "disk.yandex.com",
    "yadi.sk",
];
/// Hosts whose pages may end as files do.
const SHARING_HOSTS: &[&str] = &[
    "archive.org",
    "dropbox.com",
    "drive.google.com",
    "onedrive.live.com",
    "sharepoint.com",
    "box.com",
    "cloud.google.com",
    "github.com",
    "huggingface.co",
    "disk.yandex.ru",
    "disk.yandex.com",
];
/// Hosts of licences.
const LICENCE_HOSTS: &[&str] = &["creativecommons.org", "rightsstatements.org"];

/// Whether a text is an address of the web, or of an object in a bucket.
pub(in crate::manifest) fn is_web_address<T: AsRef<[u8]> + ?Sized>(text: &T) -> bool {
    let text = text.as_ref();
    let starts = |scheme: &[u8]| text.get(..scheme.len()).is_some_and(|own| own.eq_ignore_ascii_case(scheme));
    [&b"http://"[..], b"https://", b"s3://", b"gs://", b"az://"].iter().any(|scheme| starts(scheme))
}

/// Whether a text ends as the name of a video does.
pub(in crate::manifest) fn is_media(text: &str) -> bool {
    let path = &text[..text.find(['?', '#']).unwrap_or(text.len())];
    let (_, ending) = path.rsplit_once('.').unwrap_or_default();
    is_one_of(ending, MEDIA)
}

/// What follows the scheme of an address. Every row asks, so that there is no general search.
fn inside_of(address: &str) -> Option<&str> {
    let scheme = memchr::memchr(b':', address.as_bytes())?;
    address[scheme..].strip_prefix("://")
}

fn is_one_of(ending: &str, of: &[&str]) -> bool {
    of.iter().any(|own| own.eq_ignore_ascii_case(ending))
}

/// Endings of names that only a machine itself or its own network knows.
const PRIVATE_NAMES: &[&str] = &["localhost", "local", "internal", "lan", "home.arpa"];

/// Whether the host of a normalised address is this machine or in a private network, as far as the address itself says so.
pub(in crate::manifest) fn is_private(address: &str) -> bool {
    let Some(inside) = inside_of(address).filter(|_| !is_object_address(address)) else { return false };
    let end = memchr::memchr3(b'/', b'?', b'#', inside.as_bytes()).unwrap_or(inside.len());
    let authority = &inside[..end];
    if let Some(literal) = authority.strip_prefix('[') {
        let literal = literal.split(']').next().unwrap_or_default();
        return literal.parse().is_ok_and(|address| !is_public(address));
    }
    let port = memchr::memchr(b':', authority.as_bytes()).unwrap_or(authority.len());
    let host = authority[..port].trim_end_matches('.');
    // only the last part of an address in digits begins with one
    let last = memchr::memrchr(b'.', host.as_bytes()).map_or(0, |dot| dot + 1);
    if host.as_bytes().get(last).is_some_and(u8::is_ascii_digit) {
        return host.parse().is_ok_and(|address| !is_public(address));
    }
    is_below(host, PRIVATE_NAMES)
}

/// What an address leads to, by its host, its path, and the ending of its name.
pub(in crate::manifest) fn kind_of(text: &str) -> Kind {
    let Some(inside) = inside_of(text) else { return Kind::Unknown };
    // nearly all are so, and need not be taken apart
    if text.as_bytes().ends_with(b".mp4") && memchr::memchr2(b'?', b'#', text.as_bytes()).is_none() {
        let (host, path) = inside.split_once('/').unwrap_or((inside, ""));
        if !is_below(host, SHARING_HOSTS) && !path.starts_with(['w', 'v']) && !is_of_a_mac(path) {
            return Kind::Media;
        }
    }
    let (address, query) = inside.split_once('?').unwrap_or((inside, ""));
    let address = address.split('#').next().unwrap_or_default();
    let (host, path) = address.split_once('/').unwrap_or((address, ""));
    let host = host.split(':').next().unwrap_or(host).to_ascii_lowercase();
    if !is_object_address(text) && is_page(&host, path, query) {
        return Kind::Page;
    }
    if !is_object_address(text) && is_below(&host, LICENCE_HOSTS) {
        return Kind::Other;
    }
    if is_of_a_mac(path) {
        return Kind::Other;
    }
    let name = path.rsplit('/').next().unwrap_or_default();
    let Some((stem, ending)) = name.rsplit_once('.') else { return Kind::Unknown };
    match ending {
        // a script that sends the file itself
        _ if stem.eq_ignore_ascii_case("download") && is_one_of(ending, PAGES) => Kind::Unknown,
        _ if is_one_of(ending, MEDIA) => Kind::Media,
        _ if is_one_of(ending, IMAGES) => Kind::Image,
        _ if is_one_of(ending, PAGES) => Kind::Page,
        _ if is_one_of(ending, OTHERS) => Kind::Other,
        _ => Kind::Unknown,
    }
}

/// What the address of a file that is no video has in its path and others have not: its ending, or its host.
pub(in crate::manifest) fn mark_of(text: &str) -> Option<&str> {
    let inside = inside_of(text)?;
    let address = &inside[..inside.find(['?', '#']).unwrap_or(inside.len())];
    let (host, path) = address.split_once('/').unwrap_or((address, ""));
    let name = path.rsplit('/').next().unwrap_or_default();
    if name.starts_with("._") {
        return Some("/._");
    }
    let ending = name.rfind('.').map(|at| &name[at..]);
    Some(ending.filter(|ending| !is_below(host, LICENCE_HOSTS) && ending.is_ascii()).unwrap_or(host))
}

/// Whether the name of a file is `._a.mp4`, as which a Mac keeps what belongs to `a.mp4`.
fn is_of_a_mac(path: &str) -> bool {
    let start = memchr::memrchr(b'/', path.as_bytes()).map_or(0, |slash| slash + 1);
    path[start..].starts_with("._")
}

/// Whether a host is one of these, or below one.
fn is_below(host: &str, of: &[&str]) -> bool {
    of.iter().any(|own| host.strip_suffix(own).is_some_and(|rest| rest.is_empty() || rest.ends_with('.')))
}

/// Whether an address is a page of an archive, a video portal or a shared folder, and no file.
fn is_page(host: &str, path: &str, query: &str) -> bool {
    let has = |pairs: &[&str]| query.split(['&', '#']).any(|pair| pairs.contains(&pair));
    let starts = |with: &[&str]| with.iter().any(|start| path.starts_with(start));
    if is_below(host, &["dropbox.com"]) {
        return !has(&["dl=1", "raw=1"]) && starts(&["s/", "scl/", "sh/"]);
    }
    if is_below(host, &["drive.google.com"]) {
        return !starts(&["uc"]) && !has(&["export=download"]);
    }
    if is_below(host, &["onedrive.live.com", "sharepoint.com"]) {
        return !has(&["download=1"])
            && !starts(&["download"])
            && !path.to_ascii_lowercase().ends_with("/download.aspx");
    }
    if is_below(host, &["archive.org"]) {
        return starts(&["details/", "embed/", "stream/"]);
    }
    if is_below(host, &["inaturalist.org", "gbif.org"]) {
        return starts(&["observations/", "occurrence/"]);
    }
    if is_below(host, &["github.com", "huggingface.co"]) {
        return path.contains("/blob/") && !has(&["raw=1", "raw=true"]);
    }
    if is_below(host, &["flickr.com"]) {
        return starts(&["photos/"]);
    }
    is_below(host, PAGE_HOSTS) || is_wiki_page(path) || is_peertube(path)
}

/// `wiki/File:A.webm` of Commons and other wikis.
fn is_wiki_page(path: &str) -> bool {
    let path = path.to_ascii_lowercase();
    ["wiki/file:", "wiki/file%3a", "wiki/datei:", "wiki/fichier:"].iter().any(|start| path.starts_with(start))
}

/// Letters of a video's short name at `PeerTube`.
const PEERTUBE_LETTERS: std::ops::RangeInclusive<usize> = 20..=22;

/// `videos/watch/…`, `videos/embed/…` or `w/…`.
fn is_peertube(path: &str) -> bool {
    let is_short = |name: &str| {
        PEERTUBE_LETTERS.contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    path.starts_with("videos/watch/")
        || path.starts_with("videos/embed/")
        || path.strip_prefix("w/").is_some_and(is_short)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_this_machine_or_a_private_network_is_known_by_itself() {
        for url in [
            "http://localhost/a",
            "http://localhost:8080?x",
            "https://app.localhost./a",
            "https://nas.local/a.mp4",
            "https://db.corp.internal/a.mp4",
            "http://127.0.0.1/a",
            "http://10.0.0.5:81/a",
            "http://192.168.1.4",
            "https://169.254.169.254/latest",
            "http://[::1]:9/a",
            "http://[fd00::1]/a",
        ] {
            assert!(is_private(url), "{url}");
        }
        for url in [
            "https://host.example/a",
            "https://h/a.mp4",
            "https://notlocalhost/a",
            "https://local.example/a",
            "https://1.1.1.1/a",
            "https://[2606:4700::1111]/a",
            "https://host.example/?u=http://localhost/a",
            "https://10.0.0.1.example/a",
        ] {
            assert!(!is_private(url), "{url}");
        }
    }

    #[test]
    fn an_address_says_by_its_host_and_its_ending_what_it_leads_to() {
        for (url, kind) in [
            ("https://h/a.mp4", Kind::Media),
            ("https://h/a.JPG?x=1", Kind::Image),
            ("https://h/watch.php?v=1", Kind::Page),
            ("https://www.youtube.com/watch?v=1", Kind::Page),
            ("https://youtu.be:443/1", Kind::Page),
            ("https://youtube.com/watch?v=a.mp4", Kind::Page),
            ("https://notyoutube.com/1", Kind::Unknown),
            ("https://h/talk.mp3", Kind::Other),
            ("https://h/GL010001.LRV", Kind::Other),
            ("https://h/a.THM", Kind::Image),
            ("https://h/2019/._a.mp4", Kind::Other),
            ("https://h/a.mp4.part", Kind::Other),
            ("https://h/.DS_Store", Kind::Other),
            ("https://h/a.AAE", Kind::Other),
            ("https://storage.cloud.google.com/b/a.mp4", Kind::Page),
            ("https://storage.googleapis.com/b/a.mp4", Kind::Media),
            ("https://github.com/o/r/blob/main/a.mp4", Kind::Page),
            ("https://github.com/o/r/blob/main/a.mp4?raw=true", Kind::Media),
            ("https://github.com/o/r/raw/main/a.mp4", Kind::Media),
            ("https://huggingface.co/datasets/o/d/blob/main/a.mp4", Kind::Page),
            ("https://huggingface.co/datasets/o/d/resolve/main/a.mp4", Kind::Media),
            ("https://disk.yandex.ru/i/abc", Kind::Page),
            ("http://creativecommons.org/licenses/by/3.0/", Kind::Other),
            ("https://h/stream/playlist.m3u8", Kind::Media),
            ("https://h/1.2.3/video", Kind::Unknown),
            ("https://h", Kind::Unknown),
            ("https://archive.org/embed/abc", Kind::Page),
            ("https://archive.org/details/abc/a.mp4", Kind::Page),
            ("https://archive.org/download/abc/a.mp4", Kind::Media),
            ("https://commons.wikimedia.org/wiki/File:A.webm", Kind::Page),
            ("https://commons.wikimedia.org/wiki/Special:FilePath/A.webm", Kind::Media),
            ("https://upload.wikimedia.org/wikipedia/commons/a/ab/A.webm", Kind::Media),
            ("https://www.dropbox.com/s/x/a.mp4?dl=0", Kind::Page),
            ("https://www.dropbox.com/s/x/a.mp4", Kind::Page),
            ("https://www.dropbox.com/s/x/a.mp4?dl=1", Kind::Media),
            ("https://dl.dropboxusercontent.com/s/x/a.mp4", Kind::Media),
            ("https://tube.example/videos/watch/9c9de5e8", Kind::Page),
            ("https://tube.example/w/4RQnfKBbtsDdEVvRCKkPaM", Kind::Page),
            ("https://h/w/talk", Kind::Unknown),
            ("https://drive.google.com/file/d/1/view", Kind::Page),
            ("https://drive.google.com/uc?export=download&id=1", Kind::Unknown),
            ("https://onedrive.live.com/embed?id=1", Kind::Page),
            ("https://1drv.ms/v/s!A", Kind::Page),
            ("https://me.sharepoint.com/:v:/g/a.mp4", Kind::Page),
            ("https://me.sharepoint.com/_layouts/15/download.aspx?UniqueId=1", Kind::Unknown),
            ("https://h/download.php?id=1", Kind::Unknown),
            ("https://www.loom.com/share/1", Kind::Page),
            ("https://www.inaturalist.org/observations/1", Kind::Page),
            ("https://static.inaturalist.org/sounds/1.mp4", Kind::Media),
        ] {
            assert_eq!(kind_of(url), kind, "{url}");
        }
    }
}
