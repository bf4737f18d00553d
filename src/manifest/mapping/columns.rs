//! The columns of one manifest, and what they feed.

mod recognition;

use strum::EnumCount as _;

use super::{
    super::{Header, ManifestError},
    field::Field,
    filter::Filter,
    names::{find_name, hint_for, listing},
    rule::{MapRule, Part, Piece, Selector},
    transform::Transform,
};
use crate::domain::is_object_address;

/// Where a part of a field's value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::manifest) enum ValueSource {
    /// The cell of this column, from 0.
    Cell(usize),
    /// The same after these transforms.
    Transformed(usize, Vec<Transform>),
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
    /// The cell of this column, after these transforms.
    Cell(usize, Encode, Vec<Transform>),
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

/// What the user says of a manifest's columns.
pub(in crate::manifest) struct ExplicitRule<'a> {
    pub(in crate::manifest) path: &'a str,
    pub(in crate::manifest) header: Header,
    pub(in crate::manifest) map: &'a [MapRule],
    pub(in crate::manifest) filters: &'a [Filter],
    /// Tags for all rows.
    pub(in crate::manifest) tags: &'a [String],
    /// Whether a name such as `media.url` is recognised by its last part.
    pub(in crate::manifest) has_paths: bool,
    /// Where the columns of each file end, the manifest's first. No url is recognised in a second file.
    pub(in crate::manifest) file_ends: Vec<usize>,
}

/// The columns of one manifest and what they feed.
#[derive(Debug)]
pub(in crate::manifest) struct Columns {
    names: Vec<String>,
    /// What feeds each field, by the field's number: every value of every row asks.
    feeds: Vec<Option<Vec<ValueSource>>>,
    filters: Vec<(usize, Filter)>,
    /// Fields for which several columns were recognised: the one taken, and the others.
    rivals: Vec<(Field, usize, Vec<usize>)>,
    /// Fields whose column holds degrees times ten million.
    is_e7: [bool; Field::COUNT],
    may_be_unreadable: bool,
    /// The column that says of what kind the `GeoJSON` geometry is whose coordinates feed the place.
    geometry_type: Option<usize>,
    /// Where the columns of each file end.
    file_ends: Vec<usize>,
}

impl Columns {
    /// Resolves the rules against the columns there are; `first` are the cells of the first record.
    pub(in crate::manifest) fn resolve(
        names: Vec<String>,
        first: &[String],
        explicit: &ExplicitRule<'_>,
    ) -> Result<Self, ManifestError> {
        let mut columns = Self {
            names,
            feeds: vec![None; Field::COUNT],
            filters: Vec::new(),
            rivals: Vec::new(),
            is_e7: [false; Field::COUNT],
            may_be_unreadable: false,
            geometry_type: None,
            file_ends: explicit.file_ends.clone(),
        };
        for rule in explicit.map {
            let mut sources = Vec::new();
            for part in &rule.parts {
                sources.extend(columns.sources(explicit.path, rule.field, part)?);
            }
            columns.feed(rule.field, sources);
        }
        for filter in explicit.filters {
            let column = columns.expect(explicit.path, "--where", &filter.column)?;
            columns.filters.push((column, filter.clone()));
        }
        if explicit.header == Header::Present {
            columns.recognise(explicit);
        }
        columns.follow_links();
        columns.add_tags(explicit.tags);
        columns.find_scales();
        columns.geometry_type = columns.find_geometry_type(explicit.has_paths);
        let mut transforms = columns.feeds.iter().flatten().flatten().flat_map(ValueSource::transformed);
        let may_fail = |transform: &Transform| matches!(transform, Transform::Json(_) | Transform::Form);
        columns.may_be_unreadable = transforms.any(|(_, transforms)| transforms.iter().any(may_fail));
        if columns.of(Field::Url).is_none() {
            let hint = columns.url_hint(explicit.header, first);
            return Err(ManifestError::NoUrlColumn { path: explicit.path.to_owned(), hint });
        }
        Ok(columns)
    }

    fn sources(&self, path: &str, field: Field, part: &Part) -> Result<Vec<ValueSource>, ManifestError> {
        let flag = format!("--map {}=...", field.name());
        let selector = match part {
            Part::Text(text) => return Ok(vec![ValueSource::Text(text.clone())]),
            Part::Template(pieces) => {
                let slots = self.template(path, field, pieces)?;
                return Ok(vec![match &slots[..] {
                    [FieldSlot::Cell(column, Encode::Raw, transforms)] => {
                        ValueSource::Transformed(*column, transforms.clone())
                    }
                    _ => ValueSource::Template(slots),
                }]);
            }
            Part::Column(selector) => selector,
        };
        let Selector { column: name, transforms } = selector;
        let cell = |column: usize| match &transforms[..] {
            [] => ValueSource::Cell(column),
            transforms => ValueSource::Transformed(column, transforms.to_vec()),
        };
        if let Some(column) = find_name(&self.names, name) {
            return Ok(vec![cell(column)]);
        }
        let flagged = name.strip_suffix('?').filter(|_| transforms.is_empty());
        let name = flagged.unwrap_or(name);
        let source = |column: usize| if flagged.is_some() { ValueSource::Flag(column) } else { cell(column) };
        let matching = self.matching(name);
        if matching.is_empty() {
            return self.expect(path, &flag, name).map(|column| vec![source(column)]);
        }
        Ok(matching.into_iter().map(source).collect())
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
                Piece::Column(Selector { column, transforms }) => {
                    let column = self.expect(path, &format!("--map {}=...", field.name()), column)?;
                    let is_encoded = field.is_address() && !transforms.contains(&Transform::Raw);
                    let encode = if is_encoded { Encode::behind(&before) } else { Encode::Raw };
                    before.push('x');
                    Ok(FieldSlot::Cell(column, encode, transforms.clone()))
                }
            })
            .collect()
    }

    fn expect(&self, path: &str, flag: &str, name: &str) -> Result<usize, ManifestError> {
        find_name(&self.names, name).ok_or_else(|| ManifestError::UnknownColumn {
            path: path.to_owned(),
            flag: flag.to_owned(),
            column: crate::redact::clean(name),
            hint: hint_for(&self.names, name),
        })
    }

    /// Where a worksheet has links behind the cells of the url's column, they are the url.
    fn follow_links(&mut self) {
        let Some([ValueSource::Cell(column)]) = self.of(Field::Url) else { return };
        let link = format!("{} (link)", self.names[*column]);
        if let Some(link) = self.names.iter().position(|name| *name == link) {
            self.feeds[Field::Url as usize] = Some(vec![ValueSource::Cell(link)]);
        }
    }

    fn add_tags(&mut self, tags: &[String]) {
        if tags.is_empty() {
            return;
        }
        let texts = tags.iter().cloned().map(ValueSource::Text);
        self.feeds[Field::Tags as usize].get_or_insert_default().extend(texts);
    }

    /// The first rule of a field counts.
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

    /// The file that a column is of: 0 is the manifest, then the second files follow.
    pub(in crate::manifest) fn file_of(&self, column: usize) -> usize {
        self.file_ends.partition_point(|end| *end <= column)
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
            ValueSource::Transformed(column, transforms) => name(*column) + &shown(transforms),
            ValueSource::Flag(column) => format!("{}?", name(*column)),
            ValueSource::Text(text) => format!("'{}'", crate::redact::opaque(text)),
            ValueSource::Template(slots) => {
                let whole = slots.iter().fold(String::new(), |text, slot| match slot {
                    FieldSlot::Text(own) => text + own,
                    FieldSlot::Cell(column, _, transforms) => {
                        format!("{text}{{{}{}}}", name(*column), shown(transforms))
                    }
                });
                crate::redact::opaque(&whole)
            }
        }
    }

    /// Which columns were recognised for the same field, for a reader.
    pub(in crate::manifest) fn rival_notes(&self) -> Vec<String> {
        let name = |column: &usize| crate::redact::clean(&self.names[*column]);
        let note = |(field, taken, others): &(Field, usize, Vec<usize>)| {
            let others: Vec<String> = others.iter().take(3).map(name).collect();
            let verb = if others.len() == 1 { "is" } else { "are" };
            let field = field.name();
            format!(
                "{field}: {} is used, and {} {verb} not; --map {field}=COLUMN chooses",
                name(taken),
                others.join(", ")
            )
        };
        self.rivals.iter().map(note).collect()
    }

    /// Whether the field's column holds degrees times ten million.
    pub(in crate::manifest) const fn is_e7(&self, field: Field) -> bool {
        self.is_e7[field as usize]
    }

    /// The column that says of what kind a `GeoJSON` geometry is. `None`: the place is not one.
    pub(in crate::manifest) const fn geometry_type(&self) -> Option<usize> {
        self.geometry_type
    }

    /// Whether a transform may find a cell that it cannot read.
    pub(in crate::manifest) const fn may_be_unreadable(&self) -> bool {
        self.may_be_unreadable
    }

    /// The columns that feed a field or a filter.
    pub(in crate::manifest) fn used(&self) -> impl Iterator<Item = usize> {
        let fed = self.feeds.iter().flatten().flatten().flat_map(ValueSource::columns);
        fed.chain(self.filters.iter().map(|(column, _)| *column))
    }

    /// Columns that feed nothing, with their numbers from 0.
    pub(in crate::manifest) fn unused(&self) -> impl Iterator<Item = (usize, &str)> {
        let mut is_used = vec![false; self.names.len()];
        self.used().for_each(|column| is_used[column] = true);
        let unused = self.names.iter().enumerate().filter(move |(column, _)| !is_used[*column]);
        unused.map(|(column, name)| (column, name.as_str()))
    }
}

/// For every field that is fed its first column, from 0, with its name.
#[derive(Debug, Default)]
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
            Self::Cell(column) | Self::Transformed(column, _) | Self::Flag(column) => vec![*column],
            Self::Text(_) => Vec::new(),
            Self::Template(slots) => slots
                .iter()
                .filter_map(|slot| match slot {
                    FieldSlot::Text(_) => None,
                    FieldSlot::Cell(column, ..) => Some(*column),
                })
                .collect(),
        }
    }
}

impl ValueSource {
    /// The columns it reads by transforms, with those.
    pub(in crate::manifest) fn transformed(&self) -> Vec<(usize, &[Transform])> {
        match self {
            Self::Cell(_) | Self::Flag(_) | Self::Text(_) => Vec::new(),
            Self::Transformed(column, transforms) => vec![(*column, transforms)],
            Self::Template(slots) => slots
                .iter()
                .filter_map(|slot| match slot {
                    FieldSlot::Text(_) => None,
                    FieldSlot::Cell(column, _, transforms) => Some((*column, &transforms[..])),
                })
                .collect(),
        }
    }
}

impl Encode {
    /// How a value goes in behind this part of an address.
    fn behind(address: &str) -> Self {
        // a key is in the address of its object as it is
        if is_object_address(address) {
            return Self::Raw;
        }
        let inside = address.split_once("://").map_or(address, |(_, inside)| inside);
        match (inside.contains('?'), inside.contains('/')) {
            (true, _) => Self::Query,
            (false, true) => Self::Path,
            (false, false) => Self::Raw,
        }
    }
}

fn shown(transforms: &[Transform]) -> String {
    transforms.iter().map(ToString::to_string).collect()
}

#[cfg(test)]
mod tests;
