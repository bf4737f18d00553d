//! The columns of one manifest, and what they feed.

use std::collections::HashSet;

use super::{
    super::{Header, ManifestError, records::EACH},
    field::{FIELDS, Field},
    filter::Filter,
    rule::{MapRule, Part, Piece},
};

/// Where a part of a field's value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::manifest) enum ValueSource {
    /// The cell of this column, from 0.
    Cell(usize),
    /// The name of this column, where its cell says yes.
    Flag(usize),
    /// This text.
    Text(String),
    /// Texts and cells in turn.
    Template(Vec<FieldSlot>),
}

/// A piece of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::manifest) enum FieldSlot {
    /// This text.
    Text(String),
    /// The cell of this column.
    Cell(usize, Encode),
}

/// How a value goes into an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::manifest) enum Encode {
    /// As it is.
    Raw,
    /// As part of a path: a slash stays one.
    Path,
    /// As the value of a parameter.
    Query,
}

/// What is told of a manifest's columns.
pub(in crate::manifest) struct ExplicitRule<'a> {
    pub(in crate::manifest) path: &'a str,
    pub(in crate::manifest) header: Header,
    pub(in crate::manifest) map: &'a [MapRule],
    pub(in crate::manifest) filters: &'a [Filter],
    /// Tags for all rows.
    pub(in crate::manifest) tags: &'a [String],
    /// Whether a name such as `media.url` is recognised by its last part.
    pub(in crate::manifest) has_paths: bool,
}

/// The columns of one manifest and what they feed.
#[derive(Debug)]
pub(in crate::manifest) struct Columns {
    names: Vec<String>,
    /// What feeds each field, by the field's place: every value of every row asks.
    feeds: Vec<Option<Vec<ValueSource>>>,
    filters: Vec<(usize, Filter)>,
}

impl Columns {
    /// Resolves what is told against the columns there are; `first` are the cells of the first record.
    pub(in crate::manifest) fn resolve(
        names: Vec<String>,
        first: &[String],
        told: &ExplicitRule<'_>,
    ) -> Result<Self, ManifestError> {
        let mut columns = Self { names, feeds: vec![None; FIELDS.len()], filters: Vec::new() };
        for rule in told.map {
            let mut sources = Vec::new();
            for part in &rule.parts {
                sources.extend(columns.sources(told.path, rule.field, part)?);
            }
            columns.feed(rule.field, sources);
        }
        for filter in told.filters {
            let column = columns.told(told.path, "--where", &filter.column)?;
            columns.filters.push((column, filter.clone()));
        }
        if told.header == Header::Present {
            columns.recognise(told.has_paths);
        }
        columns.add_tags(told.tags);
        if columns.of(Field::Url).is_none() {
            let hint = columns.url_hint(told.header, first);
            return Err(ManifestError::NoUrlColumn { path: told.path.to_owned(), hint });
        }
        Ok(columns)
    }

    fn sources(&self, path: &str, field: Field, part: &Part) -> Result<Vec<ValueSource>, ManifestError> {
        let flag = format!("--map {}=...", field.name());
        match part {
            Part::Text(text) => Ok(vec![ValueSource::Text(text.clone())]),
            Part::Template(pieces) => {
                self.template(path, field, pieces).map(|slots| vec![ValueSource::Template(slots)])
            }
            Part::Column(name) => {
                if let Some(column) = self.find(name) {
                    return Ok(vec![ValueSource::Cell(column)]);
                }
                let (name, source): (&str, fn(usize) -> ValueSource) = match name.strip_suffix('?') {
                    Some(name) => (name, ValueSource::Flag),
                    None => (name, ValueSource::Cell),
                };
                let matching = self.matching(name);
                if matching.is_empty() {
                    return self.told(path, &flag, name).map(|column| vec![source(column)]);
                }
                Ok(matching.into_iter().map(source).collect())
            }
        }
    }

    /// The columns whose names begin and end as a name with a `*` says.
    fn matching(&self, name: &str) -> Vec<usize> {
        let Some((start, end)) = name.split_once('*') else { return Vec::new() };
        let long_enough = |own: &str| own.len() >= start.len() + end.len();
        let fits = |own: &String| long_enough(own) && own.starts_with(start) && own.ends_with(end);
        (0..self.names.len()).filter(|column| fits(&self.names[*column])).collect()
    }

    fn template(&self, path: &str, field: Field, pieces: &[Piece]) -> Result<Vec<FieldSlot>, ManifestError> {
        // what the address is up to a piece, with a letter for every value
        let mut before = String::new();
        pieces
            .iter()
            .map(|piece| match piece {
                Piece::Text(text) => {
                    before.push_str(text);
                    Ok(FieldSlot::Text(text.clone()))
                }
                Piece::Column { name, is_raw } => {
                    let column = self.told(path, &format!("--map {}=...", field.name()), name)?;
                    let is_address = field == Field::Url && !is_raw;
                    let encode = if is_address { Encode::behind(&before) } else { Encode::Raw };
                    before.push('x');
                    Ok(FieldSlot::Cell(column, encode))
                }
            })
            .collect()
    }

    fn find(&self, name: &str) -> Option<usize> {
        find_name(&self.names, name)
    }

    fn told(&self, path: &str, flag: &str, name: &str) -> Result<usize, ManifestError> {
        self.find(name).ok_or_else(|| ManifestError::UnknownColumn {
            path: path.to_owned(),
            flag: flag.to_owned(),
            column: crate::redact::clean(name),
            hint: listing(&self.names),
        })
    }

    fn recognise(&mut self, has_paths: bool) {
        let whole: Vec<String> = self.names.iter().map(|name| plain(name)).collect();
        let last: Vec<String> = if has_paths {
            self.names.iter().map(|name| plain(last_part(name))).collect()
        } else {
            Vec::new()
        };
        for (field, _, aliases) in FIELDS {
            let find = |names: &[String]| {
                aliases.iter().find_map(|alias| names.iter().position(|name| name == alias))
            };
            if self.of(*field).is_none()
                && let Some(column) = find(&whole).or_else(|| find(&last))
            {
                self.feed(*field, vec![ValueSource::Cell(column)]);
            }
        }
        // one source for the place: two columns beat one, unless the one was told
        let has_pair = self.of(Field::Latitude).is_some() && self.of(Field::Longitude).is_some();
        if has_pair {
            self.feeds[Field::Geo as usize] = None;
        }
    }

    fn add_tags(&mut self, tags: &[String]) {
        if tags.is_empty() {
            return;
        }
        let texts = tags.iter().cloned().map(ValueSource::Text);
        self.feeds[Field::Tags as usize].get_or_insert_default().extend(texts);
    }

    /// The first that is told of a field counts.
    fn feed(&mut self, field: Field, sources: Vec<ValueSource>) {
        self.feeds[field as usize].get_or_insert(sources);
    }

    fn url_hint(&self, header: Header, first: &[String]) -> String {
        let url_at = first.iter().position(|cell| cell.trim_start().starts_with("http"));
        match (header, url_at) {
            (Header::Present, Some(at)) => {
                format!(
                    "the first line holds a url already: if it is no header, say --no-header --map url=#{}, or --format list for \
                     one url a line",
                    at + 1
                )
            }
            (Header::Absent, Some(at)) => format!("--map url=#{}", at + 1),
            (_, None) => format!("{}; telecine guess proposes a mapping", listing(&self.names)),
        }
    }

    /// The names, one per column, each once.
    pub(in crate::manifest) fn names(&self) -> &[String] {
        &self.names
    }

    /// What feeds `field`, in the order it is joined.
    pub(in crate::manifest) fn of(&self, field: Field) -> Option<&[ValueSource]> {
        self.feeds.get(field as usize)?.as_deref()
    }

    /// The first column that feeds `field`.
    pub(in crate::manifest) fn first_of(&self, field: Field) -> Option<usize> {
        self.of(field)?.iter().flat_map(ValueSource::columns).next()
    }

    /// For every field the first column that feeds it.
    pub(in crate::manifest) fn firsts(&self) -> FirstColumns {
        let first = |field| self.first_of(field).map(|column| (field, column, self.names[column].clone()));
        FirstColumns(Field::all().filter_map(first).collect())
    }

    /// Whether a row stays by every filter.
    pub(in crate::manifest) fn keep(&self, cells: &[&str]) -> bool {
        self.filters
            .iter()
            .all(|(column, filter)| filter.holds(cells.get(*column).copied().unwrap_or_default()))
    }

    /// `url=link, tags=topic+place`.
    pub(in crate::manifest) fn describe(&self) -> String {
        let fed = Field::all().filter_map(|field| Some((field, self.of(field)?)));
        let parts = fed.map(|(field, sources)| {
            let sources: Vec<String> = sources.iter().map(|source| self.show(source)).collect();
            format!("{}={}", field.name(), sources.join("+"))
        });
        parts.collect::<Vec<_>>().join(", ")
    }

    fn show(&self, source: &ValueSource) -> String {
        let name = |column: usize| crate::redact::clean(&self.names[column]);
        match source {
            ValueSource::Cell(column) => name(*column),
            ValueSource::Flag(column) => format!("{}?", name(*column)),
            ValueSource::Text(text) => format!("'{}'", crate::redact::opaque(text)),
            ValueSource::Template(slots) => {
                let whole = slots.iter().fold(String::new(), |shown, slot| match slot {
                    FieldSlot::Text(text) => shown + text,
                    FieldSlot::Cell(column, _) => format!("{shown}{{{}}}", name(*column)),
                });
                crate::redact::opaque(&whole)
            }
        }
    }

    /// The columns that feed a field or a filter.
    pub(in crate::manifest) fn used(&self) -> impl Iterator<Item = usize> {
        let fed = self.feeds.iter().flatten().flatten().flat_map(ValueSource::columns);
        fed.chain(self.filters.iter().map(|(column, _)| *column))
    }

    /// Columns that feed nothing.
    pub(in crate::manifest) fn unused(&self) -> Vec<&str> {
        (0..self.names.len())
            .filter(|column| self.used().all(|used| used != *column))
            .map(|column| self.names[column].as_str())
            .collect()
    }
}

/// For every field that is fed its first column, from 0, with its name.
#[derive(Default)]
pub(in crate::manifest) struct FirstColumns(Vec<(Field, usize, String)>);

impl FirstColumns {
    pub(in crate::manifest) fn of(&self, field: Field) -> Option<(usize, &str)> {
        let own = self.0.iter().find(|(own, ..)| *own == field)?;
        Some((own.1, &own.2))
    }
}

impl ValueSource {
    /// The columns it reads.
    pub(in crate::manifest) fn columns(&self) -> Vec<usize> {
        match self {
            Self::Cell(column) | Self::Flag(column) => vec![*column],
            Self::Text(_) => Vec::new(),
            Self::Template(slots) => slots
                .iter()
                .filter_map(|slot| match slot {
                    FieldSlot::Text(_) => None,
                    FieldSlot::Cell(column, _) => Some(*column),
                })
                .collect(),
        }
    }
}

impl Encode {
    /// How a value goes in behind this part of an address.
    fn behind(address: &str) -> Self {
        let inside = address.split_once("://").map_or(address, |(_, inside)| inside);
        match (inside.contains('?'), inside.contains('/')) {
            (true, _) => Self::Query,
            (false, true) => Self::Path,
            (false, false) => Self::Raw,
        }
    }
}

/// The names, for whoever looked for another.
pub(in crate::manifest) fn listing(names: &[String]) -> String {
    let shown: Vec<String> = names.iter().take(60).map(|name| crate::redact::opaque(name)).collect();
    format!("the columns are {}", shown.join(", "))
}

/// The column of this name, or of this `#number`; else one whose name is the same but for case and signs.
pub(in crate::manifest) fn find_name(names: &[String], name: &str) -> Option<usize> {
    match name.strip_prefix('#').and_then(|number| number.parse::<usize>().ok()) {
        Some(number) => (1..=names.len()).contains(&number).then(|| number - 1),
        None => names
            .iter()
            .position(|own| own == name)
            .or_else(|| names.iter().position(|own| plain(own) == plain(name)))
            .or_else(|| in_elements(names, name)),
    }
}

/// The only column of the elements of an array whose path within the element is this name.
fn in_elements(names: &[String], name: &str) -> Option<usize> {
    let is_so =
        |own: &String| own.split_once(EACH).is_some_and(|(_, inner)| inner.strip_prefix('.') == Some(name));
    let mut found = names.iter().enumerate().filter(|(_, own)| is_so(own));
    let (column, _) = found.next()?;
    found.next().is_none().then_some(column)
}

/// `url` of `media[].url`.
fn last_part(name: &str) -> &str {
    name.rsplit(['.', ']']).next().unwrap_or(name)
}

/// Header names, each once: a second `date` becomes `date#2`, an empty one its number.
pub(in crate::manifest) fn unique_names(first: &[String]) -> Vec<String> {
    let mut names: Vec<String> = Vec::with_capacity(first.len());
    let mut known = HashSet::with_capacity(first.len());
    for (at, cell) in first.iter().enumerate() {
        let name = cell.trim();
        let base = if name.is_empty() { format!("#{}", at + 1) } else { name.to_owned() };
        let mut unique = base.clone();
        let mut copy = 2;
        while !known.insert(unique.clone()) {
            unique = format!("{base}#{copy}");
            copy += 1;
        }
        names.push(unique);
    }
    names
}

/// A name as it is compared: lower case, everything but letters and digits as `_`.
pub(in crate::manifest) fn plain(name: &str) -> String {
    name.trim().chars().map(|c| if c.is_alphanumeric() { c.to_ascii_lowercase() } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(header: &[&str], map: &[&str]) -> Result<Columns, ManifestError> {
        resolve_with(header, map, &[], false)
    }

    fn resolve_with(
        header: &[&str],
        map: &[&str],
        tags: &[String],
        has_paths: bool,
    ) -> Result<Columns, ManifestError> {
        let first: Vec<String> = header.iter().map(|name| (*name).to_owned()).collect();
        let map: Vec<MapRule> = map.iter().map(|rule| rule.parse().unwrap()).collect();
        let told =
            ExplicitRule { path: "m.csv", header: Header::Present, map: &map, filters: &[], tags, has_paths };
        Columns::resolve(unique_names(&first), &first, &told)
    }

    #[test]
    fn usual_header_names_are_recognised_whatever_their_case() {
        let columns = resolve(&["ID", "Video URL", "Lat", "LNG", "Datetime-Taken", "notes"], &[]).unwrap();
        assert_eq!(
            columns.describe(),
            "url=Video URL, latitude=Lat, longitude=LNG, datetime=Datetime-Taken, id=ID"
        );
        assert_eq!(columns.unused(), ["notes"]);
    }

    #[test]
    fn what_is_told_wins_over_what_is_recognised() {
        let columns = resolve(&["url", "real", "a", "b"], &["url=real", "tags=a+#4"]).unwrap();
        assert_eq!(columns.describe(), "url=real, tags=a+b");
    }

    #[test]
    fn a_second_column_of_the_same_name_can_be_told_apart() {
        let columns = resolve(&["url", "date", "date"], &["datetime=date#2"]).unwrap();
        assert_eq!(columns.of(Field::Datetime), Some(&[ValueSource::Cell(2)][..]));
    }

    #[test]
    fn one_rule_may_name_many_columns() {
        let columns =
            resolve(&["url", "tag_1", "tag_2", "is_cat", "odd?"], &["tags=tag_*+is_cat?+odd?"]).unwrap();
        let sources =
            [ValueSource::Cell(1), ValueSource::Cell(2), ValueSource::Flag(3), ValueSource::Cell(4)];
        assert_eq!(columns.of(Field::Tags), Some(&sources[..]));
        assert_eq!(columns.describe(), "url=url, tags=tag_1+tag_2+is_cat?+odd?");
    }

    #[test]
    fn a_value_is_encoded_as_its_place_in_an_address_asks_for() {
        let rule = "url={base}/{name}/{raw|raw}?f={name}";
        let columns = resolve(&["base", "name", "raw"], &[rule]).unwrap();
        let text = |text: &str| FieldSlot::Text(text.to_owned());
        let slots = vec![
            FieldSlot::Cell(0, Encode::Raw),
            text("/"),
            FieldSlot::Cell(1, Encode::Path),
            text("/"),
            FieldSlot::Cell(2, Encode::Raw),
            text("?f="),
            FieldSlot::Cell(1, Encode::Query),
        ];
        assert_eq!(columns.of(Field::Url), Some(&[ValueSource::Template(slots)][..]));
    }

    #[test]
    fn tags_for_all_rows_come_last() {
        let tags = ["archive, 2019".to_owned()];
        let columns = resolve_with(&["url", "tags"], &[], &tags, false).unwrap();
        assert_eq!(columns.describe(), "url=url, tags=tags+'archive, 2019'");
        assert_eq!(
            resolve_with(&["url"], &[], &tags, false).unwrap().describe(),
            "url=url, tags='archive, 2019'"
        );
    }

    #[test]
    fn a_path_is_recognised_by_its_last_part() {
        let header = ["id", "place.lat", "place.lng", "videos", "videos[].url"];
        let columns = resolve_with(&header, &[], &[], true).unwrap();
        assert_eq!(columns.describe(), "url=videos[].url, latitude=place.lat, longitude=place.lng, id=id");
    }

    #[test]
    fn a_missing_column_is_an_error_that_names_the_columns() {
        let missing = resolve(&["link2", "b"], &[]).unwrap_err().to_string();
        assert!(missing.contains("--map url=COLUMN") && missing.contains("link2, b"), "{missing}");
        for rule in ["tags=c", "tags=c?", "tags=c*", "tags=x {c}", "tags=#9"] {
            let unknown = resolve(&["url", "b"], &[rule]).unwrap_err().to_string();
            assert!(unknown.contains("no column") && unknown.contains("url, b"), "{unknown}");
        }
        let headless = resolve(&["x", "https://host/a.mp4"], &[]).unwrap_err().to_string();
        assert!(headless.contains("--no-header --map url=#2"), "{headless}");
    }
}
