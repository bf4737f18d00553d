//! A guess: what the first rows of an unknown file suggest it is, column by column.

use std::collections::HashSet;

use super::{
    Format, Header, ManifestError, ManifestSpec,
    mapping::{Field, MapRule, Part, plain},
    records::{EACH, NamedKeys},
    scan::lint::{is_media, is_web_address},
    table::{Ask, Table},
    values::{
        coordinates::{Axis, GeoOrder},
        datetime::{self, DateFormat, DateRules},
        tags::listed,
    },
};

/// A header stands on one of the first so many lines.
const HEADER_LINES_MAX: u64 = 50;
/// So many columns are proposed as tags at most: more would rarely fit twenty tags.
const TAG_COLUMNS_MAX: usize = 4;
/// A share of the cells that is enough, in percent.
const MOST: u32 = 80;
/// Dates under a name that says nothing may be of anything, such as of the last change: so sure they are, in percent.
const DATES_UNNAMED: u32 = 60;
/// Tags are words, not sentences: longer on average, in characters, they are something else.
const TAG_LENGTH_USUAL: usize = 40;

/// What a file seems to be.
#[derive(Clone, Debug)]
pub struct Inference {
    /// The shape its records are written in.
    pub format: Format,
    /// What stands between cells.
    pub delimiter: Option<u8>,
    /// Whether the first record names the columns.
    pub header: Header,
    /// Lines before the header, or the first row.
    pub lines_before: u64,
    /// What was found out about the bytes.
    pub found: Vec<String>,
    /// What feeds each field, the surest first.
    pub proposals: Vec<Proposal>,
    /// What stands between tags, where that has to be told.
    pub tag_separator: Option<char>,
    /// Where the longitude stands first in one cell.
    pub geo_order: GeoOrder,
    /// What else a user should know.
    pub notes: Vec<String>,
    /// Rows looked at.
    pub rows: usize,
}

/// One proposed rule.
#[derive(Clone, Debug)]
pub struct Proposal {
    /// The rule.
    pub rule: MapRule,
    /// How sure it is, in percent.
    pub confidence: u32,
    /// By what.
    pub why: String,
}

/// One column of the first rows.
struct Column<'a> {
    /// Its number, from 1.
    number: usize,
    name: &'a str,
    plain: String,
    /// The cells that are not empty.
    cells: Vec<&'a str>,
}

impl Column<'_> {
    /// How many of the cells are so, in percent of those that are not empty.
    fn share(&self, is_so: impl Fn(&str) -> bool) -> u32 {
        let count = self.cells.iter().filter(|cell| is_so(cell)).count() * 100;
        u32::try_from(count / self.cells.len().max(1)).unwrap_or(100)
    }

    /// How a rule names it: by its name, where that reads back as nothing else.
    fn part(&self, field: Field) -> Part {
        let part = Part::Column(self.name.to_owned());
        let rule = MapRule { field, parts: vec![part.clone()] };
        let is_plain = !self.name.starts_with('#') && !self.name.contains(['*', '?', '\n']);
        let reads_back = rule.to_string().parse().as_ref() == Ok(&rule);
        if is_plain && reads_back { part } else { Part::Column(format!("#{}", self.number)) }
    }

    fn is_named(&self, field: Field) -> bool {
        field.header_names().contains(&self.plain.as_str())
    }

    fn has_word(&self, words: &[&str]) -> bool {
        self.plain.split('_').any(|part| words.contains(&part))
    }

    fn distinct(&self) -> usize {
        self.cells.iter().collect::<HashSet<_>>().len()
    }

    fn length_mean(&self) -> usize {
        self.cells.iter().map(|cell| cell.chars().count()).sum::<usize>() / self.cells.len().max(1)
    }
}

/// Looks at the first rows of a file. What the spec tells is taken as told; its mapping is not looked at.
pub fn infer(spec: &ManifestSpec) -> Result<Inference, ManifestError> {
    let mut dialect = spec.dialect.clone();
    let mut header = spec.header;
    let mut table = Table::open(&ask(spec, &spec.dialect, header))?;
    if table.format == Format::Csv && dialect.delimiter.is_none() && !table.is_own_output {
        dialect.delimiter = delimiter_of(&table, &dialect);
        table = Table::open(&ask(spec, &dialect, header))?;
    }
    let has_rows_of_cells = matches!(table.format, Format::Csv | Format::Xlsx);
    if has_rows_of_cells && dialect.lines_before == 0 {
        dialect.lines_before = lines_before(&table);
        if dialect.lines_before > 0 {
            table = Table::open(&ask(spec, &dialect, header))?;
        }
    }
    if has_rows_of_cells && table.first.iter().any(|cell| is_web_address(cell.trim())) {
        header = Header::Absent;
        table = Table::open(&ask(spec, &dialect, header))?;
    }
    let mut rows = table.sample(header);
    let has_address = rows.iter().any(|(_, cells)| cells.iter().any(|cell| is_web_address(cell.trim())));
    if let Some(array) = table.inner_array().filter(|_| !has_address).map(str::to_owned) {
        let mut asked = ask(spec, &dialect, header);
        asked.named.url = vec![format!("{array}{EACH}")];
        table = Table::open(&asked)?;
        rows = table.sample(header);
    }
    let columns: Vec<Column<'_>> = table
        .names
        .iter()
        .enumerate()
        .map(|(at, name)| Column {
            number: at + 1,
            name,
            plain: plain(name.rsplit(['.', ']']).next().unwrap_or(name)),
            cells: rows
                .iter()
                .filter_map(|(_, cells)| cells.get(at).map(|cell| cell.trim()))
                .filter(|cell| !cell.is_empty())
                .collect(),
        })
        .collect();
    let mut infer = Inference {
        format: table.format,
        delimiter: table.delimiter,
        header,
        lines_before: dialect.lines_before,
        found: table.found.clone(),
        proposals: Vec::new(),
        tag_separator: None,
        geo_order: GeoOrder::LatLon,
        notes: Vec::new(),
        rows: rows.len(),
    };
    infer.find_url(&columns);
    infer.find_place(&columns);
    infer.find_date(&columns);
    infer.find_others(&columns);
    infer.find_tags(&columns, &rows);
    infer.proposals.retain(|proposal| spec.map.iter().all(|rule| rule.field != proposal.rule.field));
    if let Some(told) = spec.map.iter().find(|rule| rule.field == Field::Tags) {
        let is_told = |name: &str| told.parts.contains(&Part::Column(name.to_owned()));
        let told = |column: &&Column<'_>| is_told(column.name) || is_told(&format!("#{}", column.number));
        infer.find_separator(&columns.iter().filter(told).collect::<Vec<_>>());
    }
    Ok(infer)
}

fn ask<'a>(spec: &'a ManifestSpec, dialect: &'a super::Dialect, header: Header) -> Ask<'a> {
    let named = NamedKeys { wants_arrays: true, ..NamedKeys::default() };
    Ask { path: &spec.path, dialect, format: spec.format, header, named }
}

/// The delimiter that cuts most rows into the same number of cells, and into the more the better: the first line may be no
/// row. None leaves it to the first line.
fn delimiter_of(table: &Table, dialect: &super::Dialect) -> Option<u8> {
    let score = |delimiter: &u8| {
        let ask =
            Ask { format: Some(Format::Csv), header: Header::Absent, ..Ask::with_defaults("", dialect) };
        let widths = table.sample_cut_at(*delimiter, &ask);
        let with_defaults = *widths.get(widths.len() / 2)?;
        let share = widths.iter().filter(|width| **width == with_defaults).count() * 100 / widths.len();
        (with_defaults > 1).then_some((share >= MOST as usize, with_defaults, share))
    };
    let found = b"\t;|,".iter().filter_map(|delimiter| Some((score(delimiter)?, *delimiter)));
    found
        .max_by_key(|(score, _)| *score)
        .filter(|((is_sure, ..), _)| *is_sure)
        .map(|(_, delimiter)| delimiter)
}

/// Lines before the first record that is as wide as most, and not nearly empty.
fn lines_before(table: &Table) -> u64 {
    let rows = table.sample(Header::Absent);
    let filled = |cells: &[String]| cells.iter().filter(|cell| !cell.trim().is_empty()).count();
    let middle = |mut counts: Vec<usize>| {
        counts.sort_unstable();
        counts.get(counts.len() / 2).copied().unwrap_or(0)
    };
    let usual_width = middle(rows.iter().map(|(_, cells)| cells.len()).collect());
    let usually_filled = middle(rows.iter().map(|(_, cells)| filled(cells)).collect());
    let is_usual = |cells: &[String]| cells.len() == usual_width && filled(cells) * 2 >= usually_filled;
    let first = rows.iter().find(|(_, cells)| is_usual(cells));
    first.map_or(0, |(line, _)| line - 1).min(HEADER_LINES_MAX)
}

impl Inference {
    fn propose(&mut self, field: Field, columns: &[&Column<'_>], confidence: u32, why: impl Into<String>) {
        let parts = columns.iter().map(|column| column.part(field)).collect();
        let rule = MapRule { field, parts };
        self.proposals.push(Proposal { rule, confidence: confidence.min(99), why: why.into() });
    }

    fn is_used(&self, column: &Column<'_>) -> bool {
        self.proposals.iter().any(|proposal| proposal.rule.parts.contains(&column.part(proposal.rule.field)))
    }

    fn find_url(&mut self, columns: &[Column<'_>]) {
        let score = |column: &Column<'_>| {
            let (web, media) =
                (column.share(is_web_address), column.share(|cell| is_web_address(cell) && is_media(cell)));
            // of two columns of addresses that of files is meant, and of two of files the fuller one
            (media + u32::from(column.is_named(Field::Url)) * 20, web, column.cells.len())
        };
        let best = columns
            .iter()
            .filter(|column| column.share(is_web_address) >= MOST)
            .max_by_key(|column| score(column));
        if let Some(column) = best {
            let (web, media) = (column.share(is_web_address), column.share(is_media));
            let why = format!("{web} % are web addresses, {media} % name a media file");
            self.propose(Field::Url, &[column], web * (70 + media.min(30)) / 100, why);
            return;
        }
        if let Some(column) = columns.iter().find(|column| column.share(is_media) >= MOST) {
            self.notes.push(format!(
                "{} holds file names: build the address with --map 'url=https://HOST/FOLDER/{{{}}}'",
                column.name, column.name
            ));
        }
    }

    fn find_place(&mut self, columns: &[Column<'_>]) {
        let of = |field: Field, axis: Axis, words: &[&str]| {
            let reads = |column: &&Column<'_>| {
                !column.cells.is_empty() && column.share(|cell| axis.read(cell).is_ok()) >= MOST
            };
            let named = columns.iter().filter(reads).find(|column| column.is_named(field));
            named.or_else(|| columns.iter().filter(reads).find(|column| column.has_word(words)))
        };
        let latitude = of(Field::Latitude, Axis::Latitude, &["lat", "latitude", "y"]);
        let longitude = of(Field::Longitude, Axis::Longitude, &["lon", "lng", "long", "longitude", "x"]);
        if let (Some(latitude), Some(longitude)) = (latitude, longitude) {
            self.propose(Field::Latitude, &[latitude], 95, "its name, and all values are degrees");
            self.propose(Field::Longitude, &[longitude], 95, "its name, and all values are degrees");
            return;
        }
        let share = |column: &Column<'_>, order: GeoOrder| column.share(|cell| order.read(cell).is_ok());
        let orders = [GeoOrder::LatLon, GeoOrder::LonLat];
        let best = columns
            .iter()
            .filter(|column| !self.is_used(column))
            .flat_map(|column| orders.map(|order| (column, order)))
            .filter(|(column, order)| {
                let is_named = column.is_named(Field::Geo)
                    || column.has_word(&[
                        "geo",
                        "coordinates",
                        "coord",
                        "location",
                        "position",
                        "point",
                        "gps",
                    ]);
                share(column, *order) >= if is_named { MOST } else { 99 } && column.distinct() > 1
            })
            .max_by_key(|(column, order)| (share(column, *order), *order == GeoOrder::LatLon));
        if let Some((column, order)) = best {
            self.geo_order = order;
            self.propose(Field::Geo, &[column], share(column, order), "pairs of degrees");
        }
    }

    fn find_date(&mut self, columns: &[Column<'_>]) {
        let rules = |found| DateRules { found, ..DateRules::default() };
        let share = |column: &Column<'_>| {
            let found = datetime::order_of(column.cells.iter().copied()).map(|(order, _)| order);
            column.share(|cell| rules(found.clone()).read(cell).is_ok())
        };
        let is_date = |column: &Column<'_>| {
            column.is_named(Field::Datetime)
                || column.has_word(&[
                    "date", "time", "datetime", "taken", "recorded", "captured", "created", "filmed", "shot",
                    "when", "day", "datum", "fecha", "zeit", "jour",
                ])
        };
        let dates: Vec<&Column<'_>> =
            columns.iter().filter(|column| !self.is_used(column) && share(column) >= MOST).collect();
        let named = dates.iter().filter(|column| is_date(column));
        let best =
            named.max_by_key(|column| (column.is_named(Field::Datetime), share(column), column.cells.len()));
        // by its values alone only what is hardly anything else, and only one such column
        let is_plain = |cell: &str| cell.parse::<f64>().is_ok();
        let mut others = dates.iter().filter(|column| column.share(is_plain) == 0);
        let (only, is_only) = (others.next(), others.next().is_none());
        let only = only.filter(|column| is_only && (column.distinct() > 1 || column.cells.len() == 1));
        if let Some(column) = best.or(only) {
            let confidence = if best.is_some() { share(column) } else { share(column).min(DATES_UNNAMED) };
            self.propose(Field::Datetime, &[column], confidence, format!("{} % are dates", share(column)));
            return;
        }
        let unclear = |cell: &str| rules(Some(DateFormat::DayFirst)).read(cell).is_ok();
        if let Some(column) = columns.iter().find(|column| is_date(column) && column.share(unclear) >= MOST) {
            self.propose(Field::Datetime, &[column], 50, "dates of three numbers");
            self.notes.push(format!(
                "{}: day and month could be either way round, as in {}; say --date-format dmy or mdy",
                column.name,
                crate::redact::opaque(column.cells.first().copied().unwrap_or_default())
            ));
        }
    }

    fn find_others(&mut self, columns: &[Column<'_>]) {
        for field in [Field::CameraModel, Field::UniqueId, Field::Id, Field::Hash] {
            let fits = |column: &&Column<'_>| {
                column.is_named(field) && !column.cells.is_empty() && !self.is_used(column)
            };
            let Some(column) = columns.iter().find(fits) else { continue };
            let is_unique = column.distinct() == column.cells.len();
            if field != Field::Id || is_unique {
                self.propose(field, &[column], 90, "its name");
            }
        }
    }

    fn find_tags(&mut self, columns: &[Column<'_>], rows: &[(u64, Vec<String>)]) {
        const WORDS: &[&str] = &[
            "tag",
            "tags",
            "topic",
            "topics",
            "subject",
            "subjects",
            "keyword",
            "keywords",
            "category",
            "categories",
            "genre",
            "label",
            "labels",
            "species",
            "state",
            "county",
            "city",
            "country",
            "place",
            "direction",
            "format",
            "type",
            "class",
            "discipline",
            "disciplines",
            "geographic",
            "language",
            "gloss",
            "english",
            "maori",
        ];
        let is_list = |cell: &str| {
            let is_word = |element: &String| !element.starts_with(['{', '[']);
            listed(cell).is_some_and(|elements| !elements.is_empty() && elements.iter().all(is_word))
        };
        let score = |column: &Column<'_>| {
            let has_parts = column.share(|cell| cell.contains(['|', ';']) || is_list(cell));
            let is_named = column.is_named(Field::Tags);
            let (has_word, is_category) =
                (column.has_word(WORDS), column.distinct() * 4 < column.cells.len());
            u32::from(is_named) * 200
                + u32::from(has_word) * 50
                + has_parts.min(40)
                + u32::from(is_category) * 20
        };
        let is_text = |column: &Column<'_>| {
            if column.is_named(Field::Tags) {
                return !column.cells.is_empty();
            }
            let is_other = |cell: &str| {
                let is_structure = cell.starts_with(['{', '[']) && !is_list(cell);
                cell.parse::<f64>().is_ok() || is_structure || is_web_address(cell) || is_media(cell)
            };
            !column.cells.is_empty()
                && column.distinct() > 1
                && column.share(is_other) < 20
                && (column.length_mean() <= TAG_LENGTH_USUAL || column.share(is_list) >= MOST)
                && column.cells.len() * 10 >= rows.len()
        };
        let mut found: Vec<(u32, usize, &Column<'_>)> = columns
            .iter()
            .enumerate()
            .filter(|(_, column)| !self.is_used(column) && is_text(column))
            .map(|(at, column)| (score(column), at, column))
            .filter(|(score, ..)| *score >= 40)
            .collect();
        found.sort_by_key(|(score, at, _)| (std::cmp::Reverse(*score), *at));
        if found.first().is_some_and(|(score, ..)| *score >= 200) {
            found.truncate(1);
        }
        found.truncate(TAG_COLUMNS_MAX);
        found.sort_by_key(|(_, at, _)| *at);
        if found.is_empty() {
            return;
        }
        let columns: Vec<&Column<'_>> = found.iter().map(|(.., column)| *column).collect();
        let confidence = found.iter().map(|(score, ..)| *score).min().unwrap_or(0).min(90);
        self.propose(Field::Tags, &columns, confidence, "words or lists of them");
        self.find_separator(&columns);
    }

    /// A `|` between texts that hold commas themselves stands alone between tags.
    fn find_separator(&mut self, columns: &[&Column<'_>]) {
        let mut cells = columns.iter().flat_map(|column| &column.cells);
        let is_bar = cells.any(|cell| cell.contains('|') && cell.contains([',', ';']));
        self.tag_separator = is_bar.then_some('|');
    }
}

impl Inference {
    /// The same file read as guessed: what the spec tells goes first.
    #[must_use]
    pub fn apply(&self, spec: &ManifestSpec) -> ManifestSpec {
        let told = |field: Field| spec.map.iter().any(|rule| rule.field == field);
        let proposed = self.proposals.iter().map(|proposal| &proposal.rule).filter(|rule| !told(rule.field));
        let map = spec.map.iter().chain(proposed).cloned().collect();
        let mut applied = ManifestSpec { map, header: self.header, ..spec.clone() };
        applied.dialect.lines_before = self.lines_before;
        applied.dialect.delimiter = self.delimiter.filter(|_| self.format == Format::Csv);
        if let (Some(separator), super::TagSeparator::Default) =
            (self.tag_separator, &spec.rules.tag_separator)
        {
            applied.rules.tag_separator = super::TagSeparator::Told(separator.to_string());
        }
        if spec.rules.geo_order == GeoOrder::LatLon {
            applied.rules.geo_order = self.geo_order;
        }
        applied
    }
}
