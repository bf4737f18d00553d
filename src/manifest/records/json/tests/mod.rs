//! Records from JSON in every shape, with their lines.

mod refused;

use std::io::{BufReader, Cursor};

use super::{super::NamedKeys, *};
use crate::manifest::Header;

fn named(url: &[&str]) -> NamedKeys {
    let url: Vec<String> = url.iter().map(|name| (*name).to_owned()).collect();
    NamedKeys { all: url.clone(), url, ..NamedKeys::default() }
}

fn bytes(text: &str) -> Bytes {
    // with a buffer of 7 bytes nearly every token crosses a boundary
    BufReader::with_capacity(7, Box::new(Cursor::new(text.as_bytes().to_vec())))
}

/// A file that holds this text, read by rules that name these columns for the url.
fn plan(text: &str, url: &[&str]) -> Result<JsonPlan, PlanError> {
    let owned = text.to_owned();
    let reopen = move || Ok(bytes(&owned));
    JsonPlan::of(&text.as_bytes()[..text.len().min(64 * 1024)], Some(&reopen), &named(url), Header::Present)
}

fn records_by(text: &str, url: &[&str]) -> JsonRecords {
    JsonRecords::new(bytes(text), Arc::new(plan(text, url).unwrap()))
}

fn records(text: &str) -> JsonRecords {
    records_by(text, &[])
}

fn names(text: &str, url: &[&str]) -> Vec<String> {
    plan(text, url).unwrap().names().to_vec()
}

type Read = Result<(u64, Vec<String>), (u64, RecordError)>;

fn read_all(mut records: JsonRecords) -> Vec<Read> {
    let mut all = Vec::new();
    loop {
        match records.read().unwrap() {
            Next::End => return all,
            Next::Fault { line, error } => all.push(Err((line, error))),
            Next::Record { line } => {
                all.push(Ok((line, records.cells().into_iter().map(str::to_owned).collect())));
            }
        }
    }
}

/// Lines and cells.
fn rows_by(text: &str, url: &[&str]) -> Vec<(u64, Vec<String>)> {
    read_all(records_by(text, url)).into_iter().map(Result::unwrap).collect()
}

fn rows(text: &str) -> Vec<(u64, Vec<String>)> {
    rows_by(text, &[])
}

fn row(line: u64, cells: &[&str]) -> (u64, Vec<String>) {
    (line, cells.iter().map(|cell| (*cell).to_owned()).collect())
}

#[test]
fn objects_are_read_however_they_stand_in_the_file() {
    let expected = [("a", "1"), ("b", "2")];
    for (text, lines) in [
        ("{\"u\":\"a\",\"n\":1}\n{\"u\":\"b\",\"n\":2}\n", [1, 2]),
        ("{\"u\":\"a\",\"n\":1}\r\n\r\n{\"n\":2,\"u\":\"b\"}", [1, 3]),
        ("[\n{\"u\":\"a\",\"n\":1},\n{\"u\":\"b\",\"n\":2}\n]\n", [2, 3]),
        ("{\n \"u\": \"a\",\n \"n\": 1\n}\n{\n \"u\":\"b\", \"n\":2}", [1, 5]),
        ("[{\"u\":\"a\",\"n\":1},{\"u\":\"b\",\"n\":2}]", [1, 2]),
    ] {
        let expected: Vec<_> = expected.iter().zip(lines).map(|((u, n), line)| row(line, &[u, n])).collect();
        assert_eq!(rows(text), expected, "{text}");
    }
}

#[test]
fn a_key_that_only_the_last_record_has_is_a_column() {
    let text = "{\"u\":\"a\",\"place\":{\"lat\":30.10,\"lon\":-88},\"ok\":true,\"none\":null,\"tags\":[\"x\",\"y, z\"]}\n";
    let text = format!("{}{{\"late\":{{\"k\":[1]}},\"u\":\"b\"}}\n", text.repeat(2_000));
    assert_eq!(names(&text, &[]), ["u", "place.lat", "place.lon", "ok", "none", "tags", "late.k"]);
    let rows = rows(&text);
    assert_eq!(rows[0], row(1, &["a", "30.10", "-88", "true", "", "[\"x\",\"y, z\"]", ""]));
    assert_eq!(rows[2_000], row(2_001, &["b", "", "", "", "", "", "[1]"]));
}

#[test]
fn a_pipe_keeps_late_keys_in_a_column_of_their_own_and_those_that_rules_name_in_theirs() {
    let head = b"{\"u\":\"a\"}\n";
    let plan = JsonPlan::of(head, None, &named(&["late"]), Header::Present).unwrap();
    assert_eq!(plan.names()[..4], ["u", "other keys", "late", "tags"]);
    let text = "{\"u\":\"a\"}\n{\"late\":\"b\",\"x\":{\"y\":1},\"tags\":\"c\"}\n";
    let read = read_all(JsonRecords::new(bytes(text), Arc::new(plan)));
    assert_eq!(read[1].as_ref().unwrap().1[..4], ["", "{\"x.y\":1}", "b", "c"]);
}

#[test]
fn there_may_be_any_number_of_keys() {
    let lines: Vec<String> =
        (0..20_000).map(|n| format!("{{\"url\":\"{n}\",\"key_{n}\":1,\"date\":1}}")).collect();
    let text = lines.join("\n");
    let plan = plan(&text, &["key_19999"]).unwrap();
    assert!(plan.names().len() < 5_000 && plan.names().contains(&"key_19999".to_owned()));
    assert!(plan.found[0].contains("--map"), "{:?}", plan.found);
}

#[test]
fn each_element_of_an_array_is_a_row_where_a_rule_says_so() {
    let text = "{\"id\":7,\"videos\":[{\"url\":\"a\"},{\"url\":\"b\",\"k\":{\"x\":1}}]}\n{\"id\":8}\n{\"id\":9,\"videos\":[\"c\"]}\n";
    assert_eq!(names(text, &[]), ["id", "videos"], "no element is a row without a rule");
    let url = ["videos[].url"];
    assert_eq!(names(text, &url), ["id", "videos", "videos[].url", "videos[].k.x", "videos[]"]);
    let expected = [
        row(1, &["7", "", "a", "", ""]),
        row(1, &["7", "", "b", "1", ""]),
        row(2, &["8", "", "", "", ""]),
        row(3, &["9", "", "", "", "c"]),
    ];
    assert_eq!(rows_by(text, &url), expected);
}

#[test]
fn arrays_within_arrays_are_rows_where_a_rule_says_so() {
    let text = "{\"v\":[{\"n\":1,\"f\":[{\"u\":\"a\"},{\"u\":\"b\"}]},{\"n\":2,\"f\":[{\"u\":\"c\"}]}]}\n{\"v\":[]}\n";
    let url = ["v[].f[].u"];
    assert_eq!(names(text, &url), ["v", "v[].f[].u"]);
    let urls: Vec<String> = rows_by(text, &url).into_iter().map(|(_, cells)| cells[1].clone()).collect();
    assert_eq!(urls, ["a", "b", "c", ""]);
}

#[test]
fn several_keys_give_rows_where_a_rule_says_so() {
    let text = "{\"hd\":\"a\",\"sd\":[\"b\",\"c\"],\"t\":\"x\"}\n{\"hd\":null,\"sd\":\"d\"}\n";
    let named = NamedKeys { each: vec!["hd[]".to_owned(), "sd[]".to_owned()], ..named(&["hd[]", "sd[]"]) };
    let reopen = || Ok(bytes(text));
    let plan = JsonPlan::of(text.as_bytes(), Some(&reopen), &named, Header::Present).unwrap();
    let column = plan.names().iter().position(|name| name == "hd[]+sd[]").unwrap();
    let read = read_all(JsonRecords::new(bytes(text), Arc::new(plan)));
    let urls: Vec<_> = read.into_iter().map(|row| row.unwrap().1[column].clone()).collect();
    assert_eq!(urls, ["a", "b", "c", "d"]);
}

#[test]
fn a_long_array_is_no_long_cell_where_its_elements_are_rows() {
    let videos: Vec<String> = (0..3_000).map(|n| format!("{{\"url\":\"https://h/{n}.mp4\"}}")).collect();
    let text = format!("{{\"id\":7,\"videos\":[{}]}}\n", videos.join(","));
    assert_eq!(rows_by(&text, &["videos[].url"]).len(), 3_000);
}

#[test]
fn a_column_collects_a_value_of_each_element() {
    let text = "{\"u\":\"a\",\"s\":[{\"@value\":\"fog\"},{\"x\":{\"y\":1}},{\"@value\":\"night\"}]}\n";
    let all = vec!["s[].@value".to_owned(), "s[].x.y".to_owned()];
    let reopen = || Ok(bytes(text));
    let plan = JsonPlan::of(
        text.as_bytes(),
        Some(&reopen),
        &NamedKeys { all, ..NamedKeys::default() },
        Header::Present,
    )
    .unwrap();
    let read = read_all(JsonRecords::new(bytes(text), Arc::new(plan)));
    assert_eq!(read[0].as_ref().unwrap().1[2..], ["[\"fog\",\"night\"]", "[1]"]);
}

#[test]
fn the_records_within_a_files_only_object_are_its_rows() {
    let item = |n| format!("{{\"url\":\"https://h/{n}.mp4\",\"note\":\"{}\"}}", "x".repeat(300));
    let items: Vec<String> = (0..500).map(item).collect();
    let items = items.join(",\n");
    for (text, line) in [
        (format!("{{\"next\":\"https://h/page/2\",\"items\":[\n{items}\n],\"count\":500}}"), 2),
        (format!("{{\"data\":{{\"total\":1,\"items\":[\n\n{items}]}}}}\n"), 3),
        (
            format!(
                "{{\"links\":{{\"self\":{{\"href\":\"https://h/1\"}},\"next\":{{\"href\":\"https://h/2\"}}}},\"data\":[{items}]}}"
            ),
            1,
        ),
    ] {
        let read = rows(&text);
        assert_eq!((read.len(), read[0].0, read[499].0), (500, line, line + 499));
        let names = names(&text, &[]);
        assert!(names.len() == 2 && names[0].ends_with("[].url"), "{names:?}");
    }
}

#[test]
fn the_values_of_an_object_of_records_are_rows_with_their_key() {
    for (text, prefix) in [
        ("{\"id1\":{\"url\":\"https://h/a\"},\"id2\":{\"url\":\"https://h/b\"}}", ""),
        (
            "{\"n\":2,\"clips\":{\"id1\":{\"url\":\"https://h/a\"},\"id2\":{\"url\":\"https://h/b\"}}}",
            "clips[].",
        ),
    ] {
        assert_eq!(names(text, &[]), [format!("{prefix}url"), format!("{prefix}key")]);
        assert_eq!(rows(text), [row(1, &["https://h/a", "id1"]), row(2, &["https://h/b", "id2"])]);
    }
}

#[test]
fn columns_side_by_side_are_rows() {
    for text in [
        "{\"url\":[\"https://h/a\",\"https://h/b\"],\"tags\":[\"x\",\"y\"]}",
        "{\"url\":{\"0\":\"https://h/a\",\"1\":\"https://h/b\"},\"tags\":{\"0\":\"x\",\"1\":\"y\"}}",
    ] {
        assert_eq!(rows(text), [row(1, &["https://h/a", "x"]), row(2, &["https://h/b", "y"])], "{text}");
    }
}

#[test]
fn a_list_of_addresses_may_be_an_array() {
    assert_eq!(
        rows("[\"https://h/a\", \"https://h/b\"]"),
        [row(1, &["https://h/a"]), row(2, &["https://h/b"])]
    );
    assert_eq!(names("[\"x\"]", &[]), ["value"]);
}

#[test]
fn json_is_known_by_its_first_bytes() {
    for (head, expected) in [
        ("{\"a\":1}", true),
        (" \n[ {\"a\":1}]", true),
        ("[\"https://h/a\"]", true),
        ("{'a', 'b'},x", false),
        ("[x],y", false),
        ("url,tags", false),
        ("", false),
    ] {
        assert_eq!(is_json(head.as_bytes()), expected, "{head}");
    }
}

#[test]
fn an_array_is_a_row_of_columns_that_the_file_names() {
    let a = r#"["https://h/a", "fog", 1]"#;
    let rest = r#"["https://h/b"]"#;
    let expected =
        |first: u64| vec![row(first, &["https://h/a", "fog", "1"]), row(first + 1, &["https://h/b", "", ""])];
    for (text, first) in [
        (format!(r#"[["url", "tags", "n"], {a}, {rest}]"#), 2),
        (format!("[\"url\", \"tags\", \"n\"]\n{a}\n{rest}\n"), 2),
        (format!(r#"{{"columns":["url","tags","n"],"index":[0,1],"data":[{a},{rest}]}}"#), 1),
        (format!(r#"{{"range":"A1","values":[["url","tags","n"],{a},{rest}]}}"#), 2),
        (
            format!(
                r#"{{"fields":[{{"id":1,"name":"url"}},{{"name":"tags"}},{{"name":"n"}}],"rows":[{a},{rest}]}}"#
            ),
            1,
        ),
    ] {
        assert_eq!(names(&text, &[]), ["url", "tags", "n"], "{text}");
        assert_eq!(rows(&text), expected(first), "{text}");
    }
    let long = read_all(records(r#"[["url"],["https://h/a"],["https://h/b","x"],7,["https://h/c"]]"#));
    let faults = [Err((3, RecordError::LongArray)), Err((4, RecordError::NotAnArray))];
    assert_eq!(long[1..3], faults);
    assert_eq!((long.len(), &long[3]), (4, &Ok(row(5, &["https://h/c"]))));
}

#[test]
fn arrays_whose_columns_have_no_names_are_rows_by_number_only() {
    let text = r#"[["fog", "https://h/a"], ["sea", "https://h/b"]]"#;
    let unclear = match plan(text, &[]) {
        Err(PlanError::Unclear(what)) => what,
        other => panic!("{other:?}"),
    };
    assert!(unclear.ends_with("--no-header --map url=#2"), "{unclear}");
    let reopen = || Ok(bytes(text));
    let plan = JsonPlan::of(text.as_bytes(), Some(&reopen), &named(&["#2"]), Header::Absent).unwrap();
    let read = read_all(JsonRecords::new(bytes(text), Arc::new(plan)));
    assert_eq!(read, [Ok(row(1, &["fog", "https://h/a"])), Ok(row(2, &["sea", "https://h/b"]))]);
}

#[test]
fn keys_beside_long_arrays_are_kept() {
    let element = format!("{{\"url\":\"https://h/{}\"}}", "x".repeat(1000));
    let long = format!("[{}]", vec![element; 300].join(","));
    let text = format!(
        "{{\"page\":{{\"tags\":[\"fog\"],\"items\":{long},\"place\":{{\"lat\":1}},\"next_token\":\"t\"}}}}"
    );
    let mut named = named(&[]);
    named.all = vec!["page.tags".to_owned(), "page.place.lat".to_owned()];
    let owned = text.clone();
    let reopen = move || Ok(bytes(&owned));
    let plan = JsonPlan::of(&text.as_bytes()[..64 * 1024], Some(&reopen), &named, Header::Present).unwrap();
    assert!(plan.found.iter().any(|found| found.contains("page.next_token says that more rows follow")));
    assert_eq!(plan.names(), ["page.tags", "page.place.lat", "page.items[].url"]);
    let rows = read_all(JsonRecords::new(bytes(&text), Arc::new(plan)));
    assert_eq!(rows.len(), 300);
    assert!(rows.iter().all(|row| row.as_ref().unwrap().1[..2] == ["[\"fog\"]", "1"]));
}

#[test]
fn what_is_kept_of_a_long_member_is_short() {
    let pairs: Vec<String> = (0..20_000).map(|n| format!("\"k{n}\":{{\"a\":[{n}],\"b\":\"{n}\"}}")).collect();
    let text = format!(
        "{{\"a\":{{\"b\":{{{}}},\"c\":7}},\"d\":\"{}\",\"e\":1}}",
        pairs.join(","),
        "x".repeat(300_000)
    );
    let mut outline = outline::Outline::default();
    assert!(text.as_bytes().chunks(1000).all(|piece| outline.push(piece)));
    let members = outline.finish().unwrap().members;
    let expected = [("a", "{\"b\":null,\"c\":7}"), ("d", "null"), ("e", "1")];
    assert_eq!(members, expected.map(|(key, value)| (key.to_owned(), value.to_owned())));
}
