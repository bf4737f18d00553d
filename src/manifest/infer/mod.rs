//! A guess: what the first rows of an unknown file suggest it is, column by column.

mod address;
mod columns;
mod dialect;
mod fields;
mod tags;

use super::{
    Format, Header, ManifestError, ManifestSpec,
    addresses::is_web_address,
    dialect::{Dialect, Quote},
    join::Joined,
    mapping::{Field, MapRule, Part, unique_names},
    records::{EACH, NamedKeys},
    row_reader::widen,
    table::{Ask, Table},
    values::{coordinates::GeoOrder, tags::TagSeparator, trim},
};
use columns::Column;

/// A share of the cells that is enough, in percent.
const MOST: u32 = 80;
/// Dates under a name that says nothing may be of anything, such as of the last change: the confidence, in percent.
const DATES_UNNAMED: u32 = 60;
/// Dates of an upload or a change are not those of the capture: the confidence, in percent.
const DATES_LATER: u32 = 40;

/// What a file seems to be.
#[derive(Clone, Debug)]
pub struct Inference {
    /// The shape its records are written in.
    pub format: Format,
    /// The delimiter of cells.
    pub delimiter: Option<u8>,
    pub quote: Quote,
    /// What precedes a quote that is part of a cell.
    pub escape: Option<u8>,
    /// Whether the first record names the columns.
    pub header: Header,
    /// Lines before the header, or the first row.
    pub lines_before: u64,
    /// What was found out about the bytes.
    pub found: Vec<String>,
    /// What feeds each field, the surest first.
    pub proposals: Vec<Proposal>,
    /// The separator of tags, where the default does not fit.
    pub tag_separator: Option<char>,
    /// Where the longitude comes first in one cell.
    pub geo_order: GeoOrder,
    /// What else a user should know.
    pub notes: Vec<String>,
    /// Rows that were read.
    pub rows: usize,
}

/// One proposed rule.
#[derive(Clone, Debug)]
pub struct Proposal {
    pub rule: MapRule,
    /// In percent.
    pub confidence: u32,
    /// The evidence.
    pub why: String,
}

/// Reads the first rows of a file. What the spec says holds; its mapping does not decide what is proposed.
pub fn infer(spec: &ManifestSpec) -> Result<Inference, ManifestError> {
    let (mut table, dialect, header) = open(spec)?;
    let mut rows = table.sample(header);
    let has_address = rows.iter().any(|(_, cells)| cells.iter().any(|cell| is_web_address(cell.trim())));
    if let Some(array) = table.inner_array().filter(|_| !has_address).map(str::to_owned) {
        let mut asked = ask(spec, &dialect, header);
        asked.named.url = vec![format!("{array}{EACH}")];
        table = Table::open(&asked)?;
        rows = table.sample(header);
    }
    let joined = spec
        .joins
        .iter()
        .map(|join| Joined::read(join, &table.names, table.is_own_output, &spec.rules.missing))
        .collect::<Result<Vec<_>, _>>()?;
    let width = table.names.len();
    let added = joined.iter().filter(|joined| joined.places.is_none()).flat_map(|joined| &joined.names);
    let names = unique_names(&table.names.iter().chain(added).cloned().collect::<Vec<_>>());
    let cells: Vec<Vec<&str>> = rows
        .iter()
        .filter(|(_, cells)| cells.len() == width || (spec.listing.is_some() && cells.len() < width))
        .map(|(_, cells)| {
            let missing = std::iter::repeat_n("", width - cells.len());
            widen(&joined, cells.iter().map(String::as_str).chain(missing).collect()).0
        })
        .collect();
    let is_filled = |cell: &&str| !cell.is_empty() && !spec.rules.missing.is_missing(cell);
    let columns: Vec<Column<'_>> = names
        .iter()
        .enumerate()
        // what a listing says of its objects is not what happened in the videos
        .filter(|(at, name)| spec.listing.is_none() || *at >= width || is_of_address(name))
        .map(|(at, name)| {
            let cells = cells.iter().filter_map(|cells| cells.get(at).map(|cell| trim(cell)));
            Column::new(at, name, at < width, cells.filter(is_filled).collect())
        })
        .collect();
    let mut inference = Inference {
        format: table.format,
        delimiter: table.delimiter,
        quote: dialect.quote,
        escape: dialect.escape,
        header,
        lines_before: dialect.lines_before,
        found: table.found.clone(),
        proposals: Vec::new(),
        tag_separator: None,
        geo_order: GeoOrder::LatLon,
        notes: Vec::new(),
        rows: rows.len(),
    };
    inference.find_url(&columns);
    inference.find_place(&columns);
    inference.find_date(&columns);
    inference.find_others(&columns);
    inference.find_tags(&columns, rows.len());
    inference.proposals.retain(|proposal| spec.map.iter().all(|rule| rule.field != proposal.rule.field));
    if let Some(explicit) = spec.map.iter().find(|rule| rule.field == Field::Tags) {
        let names = |name: &str| {
            explicit.parts.iter().any(|part| matches!(part, Part::Column(own) if own.column == name))
        };
        let is_explicit = |column: &&Column<'_>| names(column.name) || names(&format!("#{}", column.number));
        inference.find_separator(&columns.iter().filter(is_explicit).collect::<Vec<_>>());
    }
    Ok(inference)
}

/// Whether a column of a listing is the address, or a folder in it.
fn is_of_address(name: &str) -> bool {
    name == "url" || name.starts_with("path[")
}

/// Opens a file by the dialect and the header that its first rows suggest.
fn open(spec: &ManifestSpec) -> Result<(Table, Dialect, Header), ManifestError> {
    let mut dialect = spec.dialect.clone();
    let mut header = spec.header;
    let mut table = Table::open(&ask(spec, &spec.dialect, header))?;
    if !matches!(table.format, Format::Csv | Format::Xlsx) || spec.listing.is_some() {
        return Ok((table, dialect, header));
    }
    let is_csv = table.format == Format::Csv;
    if is_csv && dialect.delimiter.is_none() && !table.is_own_output {
        dialect.delimiter = dialect::delimiter_of(&table, &dialect);
        table = Table::open(&ask(spec, &dialect, header))?;
    }
    if let Some(better) =
        dialect::quoting_of(&table, spec, &dialect).filter(|_| is_csv && !table.is_own_output)
    {
        dialect = better;
        table = Table::open(&ask(spec, &dialect, header))?;
    }
    if dialect.lines_before == 0 {
        dialect.lines_before = dialect::lines_before(&table);
        if dialect.lines_before > 0 {
            table = Table::open(&ask(spec, &dialect, header))?;
        }
    }
    if table.first.iter().any(|cell| is_web_address(cell.trim())) {
        header = Header::Absent;
        table = Table::open(&ask(spec, &dialect, header))?;
    }
    Ok((table, dialect, header))
}

fn ask<'a>(spec: &'a ManifestSpec, dialect: &'a Dialect, header: Header) -> Ask<'a> {
    let named = NamedKeys { wants_arrays: true, ..NamedKeys::default() };
    Ask { path: &spec.path, dialect, format: spec.format, header, named, listing: spec.listing.as_ref() }
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

    /// Whether a rule, proposed or explicit, feeds the url.
    #[must_use]
    pub fn has_url(&self, spec: &ManifestSpec) -> bool {
        let mut rules = self.proposals.iter().map(|proposal| &proposal.rule).chain(&spec.map);
        rules.any(|rule| rule.field == Field::Url)
    }

    /// The same file read as guessed: what the spec says goes first.
    #[must_use]
    pub fn apply(&self, spec: &ManifestSpec) -> ManifestSpec {
        let is_explicit = |field: Field| spec.map.iter().any(|rule| rule.field == field);
        let proposed =
            self.proposals.iter().map(|proposal| &proposal.rule).filter(|rule| !is_explicit(rule.field));
        let map = spec.map.iter().chain(proposed).cloned().collect();
        let mut applied = ManifestSpec { map, header: self.header, ..spec.clone() };
        applied.dialect.lines_before = self.lines_before;
        applied.dialect.delimiter = self.delimiter.filter(|_| self.format == Format::Csv);
        applied.dialect.quote = self.quote;
        applied.dialect.escape = self.escape;
        if let (Some(separator), TagSeparator::Default) = (self.tag_separator, &spec.rules.tag_separator) {
            applied.rules.tag_separator = TagSeparator::Only(separator.to_string());
        }
        if spec.rules.geo_order == GeoOrder::LatLon {
            applied.rules.geo_order = self.geo_order;
        }
        applied
    }
}
