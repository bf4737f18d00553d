//! What rules and header names make of the columns of a manifest.

use super::{super::names::unique_names, *};

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
    let explicit = ExplicitRule {
        path: "m.csv",
        header: Header::Present,
        map: &map,
        filters: &[],
        tags,
        has_paths,
        file_ends: vec![first.len()],
    };
    Columns::resolve(unique_names(&first), &first, &explicit)
}

#[test]
fn known_header_names_are_recognised_whatever_their_case() {
    let columns = resolve(&["ID", "Video URL", "Lat", "LNG", "Datetime-Taken", "notes"], &[]).unwrap();
    assert_eq!(
        columns.describe(),
        "url=Video URL, latitude=Lat, longitude=LNG, datetime=Datetime-Taken, id=ID"
    );
    assert_eq!(columns.unused().collect::<Vec<_>>(), [(5, "notes")]);
}

#[test]
fn an_explicit_rule_wins_over_what_is_recognised() {
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
    let sources = [ValueSource::Cell(1), ValueSource::Cell(2), ValueSource::Flag(3), ValueSource::Cell(4)];
    assert_eq!(columns.of(Field::Tags), Some(&sources[..]));
    assert_eq!(columns.describe(), "url=url, tags=tag_1+tag_2+is_cat?+odd?");
}

#[test]
fn a_value_is_encoded_as_its_place_in_an_address_requires() {
    let rule = "url={base}/{name}/{raw|raw}?f={name}";
    let columns = resolve(&["base", "name", "raw"], &[rule]).unwrap();
    let text = |text: &str| FieldSlot::Text(text.to_owned());
    let slots = vec![
        FieldSlot::Cell(0, Encode::Raw, vec![]),
        text("/"),
        FieldSlot::Cell(1, Encode::Path, vec![]),
        text("/"),
        FieldSlot::Cell(2, Encode::Raw, vec![Transform::Raw]),
        text("?f="),
        FieldSlot::Cell(1, Encode::Query, vec![]),
    ];
    assert_eq!(columns.of(Field::Url), Some(&[ValueSource::Template(slots)][..]));
}

#[test]
fn a_key_stands_in_the_address_of_its_object_as_it_is() {
    let columns = resolve(&["key"], &["url=s3://bucket/{key}"]).unwrap();
    let slots = vec![FieldSlot::Text("s3://bucket/".to_owned()), FieldSlot::Cell(0, Encode::Raw, vec![])];
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
