//! Which column holds the addresses of the videos.

use super::{
    super::{
        addresses::{Kind, is_media, is_web_address, kind_of},
        mapping::Field,
    },
    Inference, MOST,
    columns::Column,
};

/// Parts of names of columns whose addresses lead to videos.
const VIDEO_WORDS: &[&str] = &[
    "video", "play", "playurl", "stream", "media", "download", "file", "mp4", "clip", "movie", "source",
    "src", "content", "asset",
];
/// Parts of names of columns whose addresses lead elsewhere.
const OTHER_WORDS: &[&str] = &[
    "image",
    "imageurl",
    "thumbnail",
    "thumb",
    "poster",
    "icon",
    "avatar",
    "license",
    "licence",
    "licenseurl",
    "rights",
    "page",
    "homepage",
    "profile",
    "author",
    "callback",
];

/// How likely a column of addresses is the one of the videos; the greatest is.
type Score = (bool, Kind, i32, u32, usize);

impl Inference {
    pub(super) fn find_url(&mut self, columns: &[Column<'_>]) {
        // of few rows one that is bad is a large share
        let share_min = |column: &Column<'_>| if column.is_named(Field::Url) { MOST / 2 } else { MOST };
        let addresses =
            |column: &&Column<'_>| column.is_own && column.share(is_web_address) >= share_min(column);
        let mut found: Vec<(Score, &Column<'_>)> =
            columns.iter().filter(addresses).map(|column| (score(column), column)).collect();
        found.sort_by_key(|(score, column)| (std::cmp::Reverse(*score), column.number));
        if let Some((score, column)) = found.first() {
            self.propose_url(*score, column);
        }
        let others: Vec<String> = found
            .iter()
            .skip(1)
            .map(|(score, column)| format!("{} ({})", crate::redact::clean(column.name), describe(*score)))
            .collect();
        if !others.is_empty() {
            self.notes.push(format!("other columns hold addresses, too: {}", others.join(", ")));
        }
        let has_media = found.first().is_some_and(|((_, kind, ..), _)| *kind == Kind::Media);
        if has_media {
            return;
        }
        let is_name = |cell: &str| is_media(cell) && !cell.contains("://");
        if let Some(column) = columns.iter().find(|column| column.share(is_name) >= MOST) {
            self.notes.push(format!(
                "{} holds file names: build the address with --map 'url=https://HOST/FOLDER/{{{}}}'",
                column.name, column.name
            ));
        }
    }

    fn propose_url(&mut self, score: Score, column: &Column<'_>) {
        let (is_distinct, kind, ..) = score;
        let (web, media) = (column.share(is_web_address), column.share(is_media));
        if !is_distinct {
            self.notes.push(format!(
                "{} holds addresses, but few different ones: they are not those of the videos",
                crate::redact::clean(column.name)
            ));
            return;
        }
        let certainty = match kind {
            Kind::Media => 70 + media.min(30),
            Kind::Unknown => 60,
            Kind::Page => 40,
            Kind::Image | Kind::Other => 20,
        };
        let why = format!("{web} % are web addresses, {}", describe(score));
        self.propose(Field::Url, &[column], web * certainty / 100, why);
    }
}

fn describe((is_distinct, kind, ..): Score) -> &'static str {
    match (is_distinct, kind) {
        (false, _) => "few different ones",
        (_, Kind::Media) => "most name a media file",
        (_, Kind::Unknown) => "without an ending that says what they lead to",
        (_, Kind::Page) => "pages by their names",
        (_, Kind::Image) => "images by their names",
        (_, Kind::Other) => "no videos by their names",
    }
}

fn score(column: &Column<'_>) -> Score {
    // a licence or a home page is in every row
    let is_distinct = column.cells.len() < 3 || column.distinct() * 2 > column.cells.len();
    let kinds = [Kind::Media, Kind::Unknown, Kind::Page, Kind::Image, Kind::Other];
    let most = kinds.into_iter().max_by_key(|kind| column.share(|cell| kind_of(cell) == *kind));
    let kind = most.unwrap_or(Kind::Unknown);
    let named = i32::from(column.is_named(Field::Url)) + 2 * i32::from(column.has_word(VIDEO_WORDS))
        - 3 * i32::from(column.has_word(OTHER_WORDS));
    (is_distinct, kind, named, column.share(is_web_address), column.cells.len())
}
