//! Columns that say of what kind the file of a row is: a media type, a word such as `StillImage`, the name of the file, or whether
//! it is a folder.

use super::{
    addresses::{Kind, is_web_address, kind_of},
    convert::{Explanation, problem_at},
    mapping::{Columns, Field, Filter, last_part, parts_of},
    values::trim,
};
use crate::{domain::Problem, redact};

/// A share of the cells that is enough, in percent.
const MOST: usize = 80;
/// Kinds of media types of which none is a video. Whatever is not known is no reason for a warning.
const OTHER_MEDIA: &[&str] = &["image/", "audio/", "text/", "font/", "inode/"];
/// Media types that are no videos, of kinds that may be.
const OTHER_TYPES: &[&str] = &[
    "application/pdf",
    "application/zip",
    "application/json",
    "application/gzip",
    "application/x-directory",
];
/// Words for videos, in lower case, without the signs between their parts.
const VIDEO_WORDS: &[&str] = &["video", "movingimage", "movie", "film", "clip", "file"];
/// Words for what is none.
const OTHER_WORDS: &[&str] = &[
    "image",
    "stillimage",
    "photo",
    "picture",
    "photograph",
    "sound",
    "audio",
    "text",
    "document",
    "dataset",
    "directory",
    "folder",
    "dir",
];
/// Names of columns of such words.
const KIND_NAMES: &[&str] = &[
    "type",
    "media_type",
    "mediatype",
    "file_mediatype",
    "file_type",
    "filetype",
    "resource_type",
    "asset_type",
    "content_type",
    "mime_type",
    "mimetype",
    "kind",
    "media_kind",
    "dc_type",
    "dcterms_type",
];
/// Names of columns that say whether a row is a folder.
const FOLDER_NAMES: &[&str] = &["is_dir", "isdir", "is_directory", "is_folder", "isfolder"];
/// Names of columns of names of files.
const FILE_NAMES: &[&str] =
    &["filename", "file_name", "original_filename", "original_file_name", "original_name", "name"];
/// Parts of names of columns that are of something else than the video.
const OF_OTHERS: &[&str] =
    &["thumbnail", "thumb", "poster", "preview", "cover", "icon", "avatar", "license", "licence"];

/// What the cells of a column say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Says {
    /// `image/jpeg`, or a word.
    Kind,
    /// Yes or no.
    IsFolder,
    /// The name of the file.
    Name,
}

/// One such column.
#[derive(Clone, Debug)]
struct KindColumn {
    at: usize,
    name: String,
    says: Says,
    /// Whether other rows are videos by it: then it is of the rows themselves, whatever their addresses end in.
    tells_apart: bool,
}

/// All of them. Most manifests have none.
#[derive(Clone, Debug, Default)]
pub(super) struct KindColumns(Vec<KindColumn>);

impl KindColumns {
    /// Finds them by their names and by the first rows.
    pub(super) fn find(columns: &Columns, sample: &[(u64, Vec<String>)]) -> Self {
        let url = columns.first_of(Field::Url);
        let found = columns.names().iter().enumerate().filter_map(|(at, name)| {
            let parts = parts_of(last_part(name));
            let is_of_others = parts_of(name).split('_').any(|part| OF_OTHERS.contains(&part));
            if Some(at) == url || is_of_others {
                return None;
            }
            let cells = || sample.iter().filter_map(|(_, cells)| cells.get(at)).map(|cell| trim(cell));
            let filled: Vec<&str> = cells().filter(|cell| !cell.is_empty()).collect();
            let says = says(&parts, &filled)?;
            let tells_apart = says != Says::Name && filled.iter().any(|cell| is_video(says, cell));
            Some(KindColumn { at, name: name.clone(), says, tells_apart })
        });
        Self(found.collect())
    }

    /// That a column says of a row that it is no video.
    pub(super) fn warning(&self, cells: &[&str], address: &str) -> Option<Problem> {
        self.0.iter().find_map(|column| {
            let value = trim(cells.get(column.at)?);
            if !is_other(column.says, value) {
                return None;
            }
            // what the address itself says is said of it already
            let is_open = match kind_of(address) {
                Kind::Unknown => true,
                Kind::Media => column.tells_apart,
                Kind::Page | Kind::Image | Kind::Other => false,
            };
            is_open.then(|| column.problem(value))
        })
    }
}

impl KindColumn {
    fn problem(&self, value: &str) -> Problem {
        let ending = value.rfind('.').map_or(value, |at| &value[at..]);
        let (sought, is_part) = if self.says == Says::Name { (ending, true) } else { (value, false) };
        let fix =
            format!("leave such rows out: {}", Filter::leaving_out(self.at, &self.name, sought, is_part));
        let message = "another column says that the row is no video".to_owned();
        let words = Explanation::new("row_no_video", message, &fix);
        problem_at(Some((self.at, &self.name)), redact::opaque(value), words)
    }
}

/// What a column with these cells says of what kind the files are, if it does.
fn says(parts: &str, cells: &[&str]) -> Option<Says> {
    let most = |is_so: &dyn Fn(&str) -> bool| {
        !cells.is_empty() && cells.iter().filter(|cell| is_so(cell)).count() * 100 >= cells.len() * MOST
    };
    if FOLDER_NAMES.contains(&parts) {
        return Some(Says::IsFolder);
    }
    let is_media_type = |cell: &str| {
        let is_known = ["video/", "application/"].iter().chain(OTHER_MEDIA).any(|kind| starts(cell, kind));
        is_known && !cell.contains(char::is_whitespace)
    };
    let is_word = |cell: &str| is_among(cell, VIDEO_WORDS) || is_among(cell, OTHER_WORDS);
    if most(&is_media_type) || (KIND_NAMES.contains(&parts) && most(&is_word)) {
        return Some(Says::Kind);
    }
    let is_name = |cell: &str| !is_web_address(cell) && kind_of_name(cell) != Kind::Unknown;
    (FILE_NAMES.contains(&parts) && most(&is_name)).then_some(Says::Name)
}

fn starts(cell: &str, with: &str) -> bool {
    cell.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with))
}

fn is_among(cell: &str, words: &[&str]) -> bool {
    let letters = || cell.chars().filter(|c| c.is_alphanumeric()).map(|c| c.to_ascii_lowercase());
    cell.len() <= LENGTH_MAX && words.iter().any(|word| letters().eq(word.chars()))
}

/// No word for a kind is longer, in bytes.
const LENGTH_MAX: usize = 20;

/// What the name of a file says of it.
fn kind_of_name(name: &str) -> Kind {
    kind_of(&format!("file://host/{name}"))
}

fn is_video(says: Says, cell: &str) -> bool {
    match says {
        Says::Kind => starts(cell, "video/") || is_among(cell, VIDEO_WORDS),
        Says::IsFolder => is_among(cell, &["false", "no", "0", "f", "n"]),
        Says::Name => kind_of_name(cell) == Kind::Media,
    }
}

fn is_other(says: Says, cell: &str) -> bool {
    match says {
        Says::Kind => {
            OTHER_MEDIA.iter().any(|kind| starts(cell, kind))
                || OTHER_TYPES.iter().any(|own| own.eq_ignore_ascii_case(cell))
                || is_among(cell, OTHER_WORDS)
        }
        Says::IsFolder => is_among(cell, &["true", "yes", "1", "t", "y"]),
        Says::Name => matches!(kind_of_name(cell), Kind::Image | Kind::Other),
    }
}
