//! What the rows of a file are that is one JSON object: the object itself, the elements of one of its arrays, or columns side by
//! side. Where two answers are possible none is taken: each row costs money.

use super::{
    super::NamedKeys,
    EACH,
    outline::{Collection, Document, means},
};
use crate::manifest::mapping::{Field, parts_of};

/// What the rows of a file are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RowsOf {
    /// The file's objects.
    Records,
    /// The values of the array or object at this path.
    Elements {
        path: String,
        is_keyed: bool,
        /// Whether the keys beside it belong to every row: a rule named the path, so the object is a record to the user.
        shares_members: bool,
    },
    /// The arrays in the array at this path, or those of the file.
    Arrays { path: String },
    /// The places of columns, each of which is an array, or an object with the same keys.
    Columns,
}

/// Keys that name a part or a version of one video, and not a video.
const PART_NAMES: &[&str] = &[
    "video",
    "media",
    "file",
    "source",
    "original",
    "image",
    "thumbnail",
    "thumb",
    "poster",
    "preview",
    "cover",
    "audio",
    "subtitles",
    "hd",
    "sd",
    "hls",
    "dash",
    "mp4",
    "webm",
    "high",
    "medium",
    "low",
    "standard",
    "default",
    "small",
    "large",
    "full",
    "self",
    "next",
    "prev",
    "first",
    "last",
    "page",
    "download",
];

/// Keys of what is said of all records, and is none itself.
const COLLECTION_NAMES: &[&str] = &[
    "meta",
    "_meta",
    "metadata",
    "info",
    "links",
    "_links",
    "pagination",
    "paging",
    "feed",
    "channel",
    "config",
    "settings",
    "summary",
    "request",
    "response",
];

/// Keys of arrays of records: what is beside such an array is of all of them.
const RECORD_ARRAYS: &[&str] = &[
    "items",
    "videos",
    "results",
    "result",
    "data",
    "entries",
    "records",
    "rows",
    "clips",
    "episodes",
    "hits",
    "documents",
    "docs",
    "objects",
    "resources",
    "features",
    "edges",
    "nodes",
    "elements",
    "entities",
    "list",
    "value",
    "values",
];
/// Keys of arrays of versions of one video.
const VERSION_ARRAYS: &[&str] = &[
    "files",
    "sources",
    "renditions",
    "formats",
    "variants",
    "streams",
    "encodings",
    "transcodes",
    "versions",
    "qualities",
    "downloads",
    "outputs",
    "video_files",
];
/// Keys in which versions of one video differ.
const VERSION_KEYS: &[&str] = &[
    "quality",
    "rendition",
    "resolution",
    "definition",
    "bitrate",
    "bit_rate",
    "bandwidth",
    "codec",
    "codecs",
    "container",
    "itag",
];
/// Keys of objects about the video, beside its versions.
const OF_VIDEO: &[&str] =
    &["metadata", "meta", "info", "details", "item", "video", "movie", "clip", "asset", "media", "resource"];
/// Keys that describe a video, beside those of fields.
const DESCRIBING: &[&str] = &[
    "title",
    "name",
    "description",
    "caption",
    "summary",
    "headline",
    "duration",
    "slug",
    "filename",
    "file_name",
];

/// What the rows of this file are, or why that is unclear.
pub(super) fn rows_of(document: &Document, named: &NamedKeys) -> Result<RowsOf, String> {
    let root = &document.root;
    if let Some(rows) = by_rule(document, named) {
        return Ok(rows);
    }
    if is_by_column(root, named) {
        return Ok(RowsOf::Columns);
    }
    let is_named = |container: &Collection| {
        named.url.iter().any(|name| container.keys.iter().any(|key| *key == first_part(name)))
    };
    if is_named(root) {
        return Ok(RowsOf::Records);
    }
    if let Some(rows) = arrays(document) {
        return Ok(rows);
    }
    let holds_rows = |container: &&Collection| {
        let by_rule =
            || named.url.iter().any(|name| container.common_keys.iter().any(|key| *key == first_part(name)));
        !is_tags(container) && (container.objects_with_web > 0 || by_rule())
    };
    let keyed = |container: &&Collection| is_keyed(container) && holds_rows(container);
    if keyed(&root) {
        if has_parts(root) || describes_itself(root) || root.objects < root.children {
            return Err(unclear_members(root));
        }
        return Ok(elements(root));
    }
    let arrays: Vec<&Collection> =
        document.containers.iter().filter(|inner| inner.is_array).filter(holds_rows).collect();
    let loose: Vec<&Collection> = document.containers.iter().filter(|inner| is_loose(inner)).collect();
    if root.has_url || root.objects_with_url > 0 {
        // beside the address of a page, one part with a video is a rival of the object
        let videos_min = if root.own_videos > 0 { 2 } else { 1 };
        let is_rival = |array: &&Collection| {
            array.objects_with_url > 1 || array.objects_with_video >= videos_min && !has_parts(array)
        };
        let keyed = document.containers.iter().filter(|inner| keyed(inner) && !has_parts(inner));
        let rivals: Vec<&Collection> =
            arrays.into_iter().filter(is_rival).chain(keyed).chain(loose).collect();
        return match &rivals[..] {
            [] if is_loose(root) => Err(unclear_members(root)),
            [] => Ok(RowsOf::Records),
            _ => Err(unclear_between(&rivals, true)),
        };
    }
    if let [first, ..] = loose[..] {
        return Err(unclear_parts(first));
    }
    let found = if arrays.is_empty() { document.containers.iter().filter(keyed).collect() } else { arrays };
    let with_url: Vec<&Collection> =
        found.iter().copied().filter(|container| container.objects_with_url > 0).collect();
    match (&found[..], &with_url[..]) {
        ([], _) => Ok(RowsOf::Records),
        ([only], _) | (_, [only]) if !only.is_array && (has_parts(only) || describes_itself(only)) => {
            Err(unclear_parts(only))
        }
        ([only], _) | (_, [only]) if may_be_versions(document, only) => Err(unclear_versions(only)),
        // a video outside the part that would be taken is not left out in silence
        ([only], _) | (_, [only]) if root.videos > only.videos => Err(unclear_between(&[only], false)),
        ([only], _) | (_, [only]) => Ok(elements(only)),
        _ => Err(unclear_between(&found, false)),
    }
}

/// Whether its objects may be versions of the one video that is described around them: each would be paid.
fn may_be_versions(document: &Document, container: &Collection) -> bool {
    let is_one_of = |names: &[&str], key: &str| names.contains(&parts_of(key).as_str());
    let describes = |key: &String| is_one_of(DESCRIBING, key) || means(Field::Tags, key);
    let (outer, own) = container.path.rsplit_once('.').unwrap_or(("", &container.path));
    // an object around it, or one beside it that is about the same video
    let is_around = |path: &str| {
        container.path.strip_prefix(path).is_some_and(|rest| path.is_empty() || rest.starts_with('.'))
    };
    let is_beside = |path: &str| {
        let (beside, name) = path.rsplit_once('.').unwrap_or(("", path));
        beside == outer && is_one_of(OF_VIDEO, name)
    };
    let is_described = document
        .keys
        .iter()
        .any(|(path, keys)| (is_around(path) || is_beside(path)) && keys.iter().any(describes));
    let describe_themselves = container.common_keys.iter().any(describes);
    let differ = container.common_keys.iter().any(|key| is_one_of(VERSION_KEYS, key));
    let is_of_record = is_described
        && (!describe_themselves || is_one_of(VERSION_ARRAYS, own))
        && (differ || !is_one_of(RECORD_ARRAYS, own));
    container.objects_with_web > 1 && (is_of_record || differ && !describe_themselves)
}

fn elements(container: &Collection) -> RowsOf {
    RowsOf::Elements { path: container.path.clone(), is_keyed: !container.is_array, shares_members: false }
}

/// The rows that a rule for the url names by `[]`.
fn by_rule(document: &Document, named: &NamedKeys) -> Option<RowsOf> {
    let path = named.url.iter().find_map(|name| name.split_once(EACH))?.0;
    if !named.each.is_empty() {
        return Some(RowsOf::Records);
    }
    let container = document.containers.iter().find(|container| container.path == path);
    Some(container.map_or(RowsOf::Records, |container| RowsOf::Elements {
        path: path.to_owned(),
        is_keyed: !container.is_array,
        shares_members: true,
    }))
}

/// Whether all members are arrays of the same length, or objects with as many keys, and one of them is the url's column.
fn is_by_column(root: &Collection, named: &NamedKeys) -> bool {
    let is_url = |key: &String| means(Field::Url, key) || named.url.contains(key);
    let has_rows = root.common_size.is_some_and(|size| size > 0);
    let arrays = root.children - root.objects;
    // one array alone may be the addresses of one record; both arrays and objects are no columns
    let is_alike = if arrays == 0 { true } else { root.objects == 0 && arrays > 1 };
    root.scalars == 0
        && has_rows
        && is_alike
        && !root.has_inner_objects
        && (root.web_columns > 0 || named.url.iter().any(|name| root.keys.contains(name)))
        && root.keys.iter().any(is_url)
}

/// The one array of arrays that hold addresses, where no object has one under a key that means the url.
fn arrays(document: &Document) -> Option<RowsOf> {
    let is_array_of_arrays = |container: &&Collection| {
        container.is_array && container.objects + container.scalars == 0 && container.arrays_with_web > 0
    };
    let has_url = |container: &Collection| container.has_url || container.objects_with_url > 0;
    if has_url(&document.root) || document.containers.iter().any(has_url) {
        return None;
    }
    let mut found = document.containers.iter().filter(is_array_of_arrays);
    found.next().filter(|_| found.next().is_none()).map(|only| RowsOf::Arrays { path: only.path.clone() })
}

/// Whether its values are alike: objects that share a key, or most keys where there are only two of them.
fn is_keyed(container: &Collection) -> bool {
    let is_alike = container.objects > 2 || container.common_keys.len() * 2 > container.keys_max;
    is_alike
        && !container.is_array
        && container.objects > 1
        && container.objects_with_web == container.objects
        && !container.common_keys.is_empty()
}

/// Whether it holds two objects that may be records, although they have few keys in common.
fn is_loose(container: &Collection) -> bool {
    !container.is_array
        && container.objects_with_url > 1
        && !is_keyed(container)
        && !has_parts(container)
        && !is_tags(container)
}

/// Whether one of its keys names a part or a version of one video.
fn has_parts(container: &Collection) -> bool {
    has_key_of(container, PART_NAMES)
}

/// Whether one of its keys names what is said of all records.
fn describes_itself(container: &Collection) -> bool {
    has_key_of(container, COLLECTION_NAMES)
}

fn has_key_of(container: &Collection, names: &[&str]) -> bool {
    container.keys.iter().any(|key| names.contains(&key.to_ascii_lowercase().as_str()))
}

fn is_tags(container: &Collection) -> bool {
    means(Field::Tags, container.path.rsplit('.').next().unwrap_or_default())
}

/// `media` of `media.url`, which is how a path begins.
fn first_part(name: &str) -> &str {
    name.split(['.', '[', '?']).next().unwrap_or(name)
}

fn unclear_between(containers: &[&Collection], or_object: bool) -> String {
    let mut ways: Vec<String> = containers
        .iter()
        .map(|container| {
            let key = container.common_keys.iter().find(|key| means(Field::Url, key));
            let path = crate::redact::clean(&container.path);
            let key = key.map_or("KEY".to_owned(), |key| crate::redact::clean(key));
            format!("--map 'url={path}{EACH}.{key}' takes each element of {path} as a row")
        })
        .collect();
    ways.truncate(4);
    if or_object {
        ways.push("--map url=KEY, with a key of the object itself, takes the object as one row".to_owned());
    }
    unclear("more than one part of it", &ways)
}

fn unclear_versions(container: &Collection) -> String {
    let path = crate::redact::clean(&container.path);
    let url = container.common_keys.iter().find(|key| means(Field::Url, key));
    let url = url.map_or("KEY".to_owned(), |key| crate::redact::clean(key));
    let one = match container.keys.first().filter(|_| !container.is_array) {
        Some(key) => format!("--map url={path}.{}.{url}", crate::redact::clean(key)),
        None => format!("--map \"url={path}|json '0.{url}'\""),
    };
    let (what, each) = if container.is_array { ("elements", "element") } else { ("values", "value") };
    let ways = [
        format!("{one} takes the object as one row, with the first of them"),
        format!("--map 'url={path}{EACH}.{url}' takes each {each} of {path} as a row, and each is paid"),
    ];
    unclear(&format!("the {what} of {path}, which may be versions of one video,"), &ways)
}

fn unclear_parts(container: &Collection) -> String {
    let path = crate::redact::clean(&container.path);
    let key = crate::redact::clean(container.keys.first().map_or("KEY", String::as_str));
    let url = container.common_keys.iter().find(|key| means(Field::Url, key));
    let url = url.map_or("KEY".to_owned(), |key| crate::redact::clean(key));
    let ways = [
        format!("--map url={path}.{key}.{url} takes the object as one row"),
        format!("--map 'url={path}{EACH}.{url}' takes each value of {path} as a row"),
    ];
    unclear(&format!("the values of {path}"), &ways)
}

fn unclear_members(root: &Collection) -> String {
    let key = crate::redact::clean(root.keys.first().map_or("KEY", String::as_str));
    let url = root.common_keys.iter().find(|key| means(Field::Url, key));
    let url = url.map_or("KEY".to_owned(), |key| crate::redact::clean(key));
    let ways = [
        format!("--map url={key}.{url} takes the object as one row"),
        "jq '[.[]]' FILE makes an array of its members, each of which is a row".to_owned(),
    ];
    unclear("its members", &ways)
}

fn unclear(what: &str, ways: &[String]) -> String {
    let ways = ways.join("; ");
    format!("the file is one JSON object, and {what} could be rows; say which: {ways}")
}
