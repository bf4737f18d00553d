//! The stamp of a manifest: what must be the same for its rows to be the same.

use std::{fs::File, os::unix::fs::MetadataExt as _};

use super::{
    DateRules, Dialect, Filter, Format, GeoOrder, Header, LoneComma, ManifestSpec, MissingRules, OffsetRule,
    RowRules, SameBy, TagSeparator, TooLong, Via, dialect::Quote, join::Joined,
};

/// What of a file changes when it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileState {
    size: u64,
    seconds: i64,
    nanoseconds: i64,
    inode: u64,
}

impl FileState {
    /// As it is now. `None`: the file does not say.
    pub(super) fn of(file: &File) -> Option<Self> {
        let meta = file.metadata().ok()?;
        let (seconds, nanoseconds) = (meta.mtime(), meta.mtime_nsec());
        Some(Self { size: meta.size(), seconds, nanoseconds, inode: meta.ino() })
    }
}

/// The file's size, time and inode, and a digest of the rules it is read by. `None`: the file does not say. A listing is written
/// anew each time, so its content counts.
///
/// `rules` are those of the spec with what was found out of the first rows.
pub(super) fn of(file: &File, spec: &ManifestSpec, rules: &RowRules, joined: &[Joined]) -> Option<String> {
    let content = if let Some(listing) = &spec.listing {
        format!("listing:{}", listing.digest)
    } else {
        let FileState { size, seconds, nanoseconds, inode } = FileState::of(file)?;
        format!("{size}:{seconds}.{nanoseconds:09}:{inode}")
    };
    let mut fields = fields(spec, rules);
    fields.push(("joined", joined.iter().map(|joined| joined.digest.to_string()).collect()));
    let parts = fields
        .into_iter()
        .flat_map(|(name, values)| [name.to_owned(), values.len().to_string()].into_iter().chain(values));
    let reading = crate::domain::digest_of(parts);
    Some(format!("{content}:{reading}"))
}

/// Every rule by its name. A rule that is added to one of these types must be named here, or this does not compile.
fn fields(spec: &ManifestSpec, rules: &RowRules) -> Vec<(&'static str, Vec<String>)> {
    let ManifestSpec {
        path: _,
        dialect,
        format,
        header,
        joins,
        map,
        tags,
        filters,
        account,
        rules: _,
        listing: _,
    } = spec;
    let mut fields = dialect_fields(dialect);
    let format = format.map(|format| match format {
        Format::Csv => "csv",
        Format::Json => "json",
        Format::List => "list",
        Format::Xlsx => "xlsx",
    });
    let header = match header {
        Header::Present => "present",
        Header::Absent => "absent",
    };
    fields.extend([
        // another version may read the same file otherwise
        ("version", vec![env!("CARGO_PKG_VERSION").to_owned()]),
        ("format", texts(format)),
        ("header", texts([header])),
        ("join", texts(joins)),
        ("map", texts(map)),
        ("tag", tags.clone()),
        ("where", texts::<&Filter>(filters)),
        ("account", texts(account)),
    ]);
    fields.extend(rule_fields(rules));
    fields
}

fn dialect_fields(dialect: &Dialect) -> Vec<(&'static str, Vec<String>)> {
    let Dialect { encoding, delimiter, quote, escape, comment, lines_before, sheet, pads_short_rows } =
        dialect;
    let quote = match quote {
        Quote::Byte(quote) => Some(*quote),
        Quote::None => None,
    };
    vec![
        ("encoding", texts(encoding)),
        ("delimiter", texts(delimiter)),
        ("quote", texts(quote)),
        ("escape", texts(escape)),
        ("comment", texts(comment)),
        ("lines_before", texts([lines_before])),
        ("sheet", texts(sheet)),
        ("pads_short_rows", texts([pads_short_rows])),
    ]
}

fn rule_fields(rules: &RowRules) -> Vec<(&'static str, Vec<String>)> {
    let RowRules {
        namespace,
        tag_separator,
        dates: DateRules { formats, offset, zone, found, has_date_cells },
        geo_order,
        too_long,
        same_by,
        lone_comma,
        missing: MissingRules { has_defaults, texts: missing },
        drop_invalid,
        files,
        via,
        is_bucket,
    } = rules;
    let tag_separator = match tag_separator {
        TagSeparator::Default => None,
        TagSeparator::Only(text) => Some(text),
    };
    let flags = [
        ("offset", matches!(offset, OffsetRule::Utc)),
        ("geo_order", matches!(geo_order, GeoOrder::LonLat)),
        ("too_long", matches!(too_long, TooLong::Cut)),
        ("same_by", matches!(same_by, SameBy::Id)),
        ("lone_comma", matches!(lone_comma, LoneComma::Refused)),
        ("has_defaults", *has_defaults),
        ("has_date_cells", *has_date_cells),
        ("via_upload", matches!(via, Via::Upload)),
        ("is_bucket", *is_bucket),
    ];
    let mut fields = vec![
        ("namespace", texts([namespace])),
        ("tag_separator", texts(tag_separator)),
        ("date_formats", texts(formats)),
        ("zone", texts(zone.as_ref().and_then(|zone| zone.iana_name()))),
        ("date_found", texts(found)),
        ("missing", missing.clone()),
        ("files", texts(files.iter().map(|root| root.path().display()))),
        ("drop_invalid", texts(drop_invalid.iter().map(|field| field.name()))),
    ];
    fields.extend(flags.map(|(name, is_set)| (name, texts([is_set]))));
    fields
}

fn texts<T: ToString>(values: impl IntoIterator<Item = T>) -> Vec<String> {
    values.into_iter().map(|value| value.to_string()).collect()
}
