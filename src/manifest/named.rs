//! The columns that rules name, before the columns of the file are known.

use super::{
    ManifestError,
    join::Join,
    mapping::{Field, Filter, MapRule, Part, Piece, Selector},
    records::{EACH, NamedKeys},
};

/// The columns that these rules, filters and joins name.
pub(super) fn keys(map: &[MapRule], filters: &[Filter], joins: &[Join]) -> NamedKeys {
    let mut keys = NamedKeys::default();
    for rule in map {
        let columns = columns_of(rule);
        if rule.field == Field::Url && keys.url.is_empty() {
            keys.each = each_of(rule);
            keys.url.clone_from(&columns);
        }
        if rule.field == Field::Tags && keys.tags.is_empty() {
            keys.tags.clone_from(&columns);
        }
        keys.all.extend(columns);
    }
    keys.all.extend(filters.iter().map(|filter| filter.column.clone()));
    keys.all.extend(joins.iter().flat_map(|join| &join.keys).map(|key| key.own.column.clone()));
    keys
}

/// The rules, with one column for several addresses of which each is a row.
pub(super) fn rules(map: &[MapRule], named: &NamedKeys) -> Vec<MapRule> {
    let mut rules = map.to_vec();
    let first = rules.iter_mut().find(|rule| rule.field == Field::Url);
    if let Some(rule) = first.filter(|_| !named.each.is_empty()) {
        rule.parts = vec![Part::Column(Selector::plain(&named.each.join("+")))];
    }
    rules
}

/// Checks that a rule for the url leads into one array only.
pub(super) fn check_arrays(path: &str, named: &NamedKeys) -> Result<(), ManifestError> {
    let array = |name: &String| name.rsplit_once(EACH).map(|(array, _)| crate::redact::clean(array));
    let mut arrays: Vec<String> = named.url.iter().filter_map(array).collect();
    arrays.dedup();
    match &arrays[..] {
        [one, other, ..] if named.each.is_empty() => {
            Err(ManifestError::TwoArrays { path: path.to_owned(), one: one.clone(), other: other.clone() })
        }
        _ => Ok(()),
    }
}

/// Checks that no object is beside the one that holds the url and is like it: then the record is several records, or several
/// versions of one video.
pub(super) fn check_rivals(path: &str, url: &str, names: &[String]) -> Result<(), ManifestError> {
    let Some((own, key)) = url.rsplit_once('.') else { return Ok(()) };
    let outer = own.rsplit_once('.').map_or("", |(outer, _)| outer);
    let keys_of = |object: &str| -> Vec<&str> {
        names.iter().filter_map(|name| name.strip_prefix(object)?.strip_prefix('.')).collect()
    };
    let own_keys = keys_of(own);
    let is_alike = |object: &str| {
        let keys = keys_of(object);
        let common = keys.iter().filter(|key| own_keys.contains(key)).count();
        common * 2 > keys.len().max(own_keys.len())
    };
    let rival = names.iter().filter_map(|name| name.rsplit_once('.')).find(|(object, own_key)| {
        let is_beside = object.rsplit_once('.').map_or("", |(outer, _)| outer) == outer;
        *own_key == key && *object != own && is_beside && is_alike(object)
    });
    let Some((rival, _)) = rival else { return Ok(()) };
    let (url, rival) = (crate::redact::clean(url), crate::redact::clean(&format!("{rival}.{key}")));
    let what = format!(
        "{url} and {rival} may both be the url of a record; if one of them is, say --map url={url}; if each is a video, write one \
         object for each video"
    );
    Err(ManifestError::RowsUnclear { path: path.to_owned(), what })
}

fn columns_of(rule: &MapRule) -> Vec<String> {
    let name_of = |name: &String| name.strip_suffix('?').unwrap_or(name).to_owned();
    rule.parts
        .iter()
        .flat_map(|part| match part {
            Part::Column(selector) => vec![name_of(&selector.column)],
            Part::Text(_) => Vec::new(),
            Part::Template(pieces) => pieces
                .iter()
                .filter_map(|piece| match piece {
                    Piece::Column(selector) => Some(selector.column.clone()),
                    Piece::Text(_) => None,
                })
                .collect(),
        })
        .collect()
}

/// The parts of a rule such as `url=url_hd[]+url_sd[]`.
fn each_of(rule: &MapRule) -> Vec<String> {
    let each = |part: &Part| match part {
        Part::Column(selector) => Some(selector.column.clone())
            .filter(|name| selector.transforms.is_empty() && name.ends_with(EACH)),
        Part::Text(_) | Part::Template(_) => None,
    };
    let names: Option<Vec<String>> = rule.parts.iter().map(each).collect();
    names.filter(|names| names.len() > 1).unwrap_or_default()
}
