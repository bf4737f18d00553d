//! JSON that is refused, and what its errors say.

use super::*;

#[test]
fn where_one_object_may_be_one_row_or_several_a_rule_must_say_so() {
    let videos = "\"videos\":[{\"url\":\"https://h/a\"},{\"url\":\"https://h/b\"}]";
    for (text, way) in [
        (format!("{{\"url\":\"https://h/c\",{videos}}}"), "videos[].url"),
        (format!("{{{videos},\"others\":[{{\"url\":\"https://h/a\"}}]}}"), "others[].url"),
        ("{\"video\":{\"url\":\"https://h/a\"},\"thumb\":{\"url\":\"https://h/b\"}}".to_owned(), "video.url"),
        // two records with few keys in common, and records in an object, beside an address
        (
            "{\"all\":{\"-Ma\":{\"url\":\"https://h/a\",\"t\":1},\"-Mb\":{\"url\":\"https://h/b\",\"t\":1,\"lat\":1,\"lon\":2}}}"
                .to_owned(),
            "all[].url",
        ),
        ("{\"a\":{\"url\":\"https://h/a\",\"t\":1},\"b\":{\"url\":\"https://h/b\"}}".to_owned(), "a.url"),
        (
            "{\"url\":\"https://h/c\",\"all\":{\"a\":{\"url\":\"https://h/a\"},\"b\":{\"url\":\"https://h/b\"},\"c\":{\"url\":\"https://h/c\"}}}"
                .to_owned(),
            "all[].url",
        ),
        // groups of records, of which one alone looks like several
        (
            "{\"2019\":{\"x\":{\"url\":\"https://h/a.mp4\"},\"y\":{\"url\":\"https://h/b.mp4\"}},\"2020\":{\"z\":{\"url\":\"https://h/c.mp4\"}}}"
                .to_owned(),
            "2019[].url",
        ),
        (
            "{\"items\":{\"x\":{\"url\":\"https://h/a.mp4\"},\"y\":{\"url\":\"https://h/b.mp4\"}},\"new\":[{\"url\":\"https://h/c.mp4\"}]}"
                .to_owned(),
            "new[].url",
        ),
        // the address of the page itself, and videos below its elements
        (
            "{\"url\":\"https://h/v?page=1\",\"all\":[{\"t\":1,\"files\":[{\"url\":\"https:\\/\\/h\\/a.mp4\"}]}]}".to_owned(),
            "all[]",
        ),
    ] {
        let Err(PlanError::Unclear(why)) = plan(&text, &[]) else { panic!("{text}") };
        assert!(why.contains("--map") && why.contains(way), "{why}");
    }
    let text = format!("{{\"url\":\"https://h/c\",{videos},\"t\":\"x\"}}");
    assert_eq!(rows_by(&text, &["url"]).len(), 1);
    let elements = rows_by(&text, &["videos[].url"]);
    assert_eq!(
        elements[1],
        row(2, &["https://h/c", "x", "https://h/b"]),
        "named by a rule, they share what is beside them"
    );
    let record = "{\"url\":\"https://h/c\",\"tags\":[{\"name\":\"a\"},{\"name\":\"b\"}]}";
    assert_eq!(rows(record), [row(1, &["https://h/c", "[\"a\",\"b\"]"])]);
    for record in [
        "{\"url\":\"https://h/c.mp4\",\"by\":[{\"pic\":{\"url\":\"https://h/a.jpg\"}},{\"pic\":{\"url\":\"https://h/b.jpg\"}}]}",
        "{\"url\":\"https://h/c.mp4\",\"all\":{\"hd\":{\"url\":\"https://h/a.mp4\"},\"sd\":{\"url\":\"https://h/b.mp4\"}}}",
        "{\"url\":\"https://h/c.mp4\",\"files\":[{\"hd\":{\"url\":\"https://h/a.mp4\"}}]}",
    ] {
        assert_eq!(rows(record).len(), 1, "pictures and versions are no rows: {record}");
    }
}

/// The lines and the messages of the records that cannot be read.
fn messages(text: &str) -> Vec<(u64, String)> {
    let faults = read_all(records(text)).into_iter().filter_map(Result::err);
    faults.map(|(line, error)| (line, error.message().into_owned())).collect()
}

#[test]
fn a_record_that_cannot_be_read_says_why_and_where() {
    let twice = |place: &str| format!("the key u is there twice in one object, the second time at {place}");
    for (text, line, message) in [
        ("{\"u\":\"a\"}\n{\"u\":\"a\",\"u\":\"b\"}\n", 2, twice("line 2, column 12")),
        ("[{\"u\":\"a\"},\n  {\"u\":\"a\",\n\"u\":1}]", 2, twice("line 3, column 3")),
        ("[{\"u\":\"a\"}, {\"u\":1,\"u\":2}]", 2, twice("line 1, column 22")),
        ("{\"u\":\"a\"}\n{\"v\":[{\"u\":1,\"u\":2}]}\n", 2, twice("line 2, column 16")),
        (
            "{\"u\":\"a\"}\n{'u':1}\n",
            2,
            "not valid JSON (key must be a string) at line 2, column 2".to_owned(),
        ),
        (
            "{\"u\":\"a\"}\n{\"u\":\"\\ud83d\"}\n",
            2,
            "not valid JSON (unexpected end of hex escape) at line 2, column 13".to_owned(),
        ),
        (
            "{\"a.b\":1,\"a\":{\"b\":2}}\n{\"u\":\"a\"}",
            1,
            "two values of the record are called a.b, as a key and as a path".to_owned(),
        ),
    ] {
        assert_eq!(messages(text), [(line, message)], "{text}");
    }
    assert!(messages("{\"u\":1e999}\n{\"u\":2}\n").is_empty(), "a number is a text, however large");
}

#[test]
fn a_file_without_a_record_that_can_be_read_says_why() {
    let refused = |text: &str| match plan(text, &[]) {
        Err(PlanError::NoRecord(line, error)) => (line, error.message().into_owned()),
        other => panic!("{text}: {other:?}"),
    };
    let twice = "the key u is there twice in one object, the second time at line 1, column 12";
    assert_eq!(refused("{\"u\":\"a\",\"u\":\"b\"}"), (1, twice.to_owned()));
    let outer = "the key rows is there twice in one object, the second time at line 2, column 6";
    assert_eq!(
        refused("{\"rows\":[{\"url\":\"https://h/a\"}],\n\"rows\":[{\"url\":\"https://h/b\"}]}"),
        (2, outer.to_owned())
    );
    assert_eq!(
        refused("[{'u': 1}]"),
        (1, "not valid JSON (key must be a string) at line 1, column 3".to_owned())
    );
}

#[test]
fn a_broken_record_costs_itself_and_a_giant_one_bounded_memory() {
    let giant = format!("{{\"u\":\"{}\"}}", "x".repeat(RECORD_MAX));
    let text = format!(
        "{{\"u\":\"a\"}}\n{{\"u\":\n[1]\n7\n{giant}\n{{\"u\":\"\\u0000\"}}\n{{\"u\":NaN}}\n{{\"u\":\"b\"}}"
    );
    let read = read_all(records(&text));
    let faults: Vec<_> = read
        .iter()
        .filter_map(|row| row.as_ref().err())
        .map(|(line, error)| (*line, error.class()))
        .collect();
    assert_eq!(
        faults,
        [(2, "json_syntax"), (3, "json_object"), (4, "json_object"), (5, "record_too_long"), (6, "nul_byte"),]
    );
    assert_eq!(read.last().unwrap().as_ref().unwrap().1[0], "b");
    let cut = read_all(records("[\n{\"u\":\"a\"},\n{\"u\":\"b\n"));
    assert_eq!(cut[1], Err((3, RecordError::UnterminatedValue)));
    for end in ["", "]", ","] {
        let text = format!("{{\"items\":[\n{{\"url\":\"https://h/a\"}}{end}");
        let cut = read_all(records(&text));
        assert!(cut[0].is_ok() && matches!(cut[1], Err((_, RecordError::UnterminatedValue))), "{cut:?}");
        assert_eq!(cut.len(), 2, "{text}");
    }
}

/// Why it is unclear what the rows of this text are. `None`: it is not.
fn unclear(text: &str) -> Option<String> {
    match plan(text, &[]) {
        Err(PlanError::Unclear(what)) => Some(what),
        Ok(_) | Err(PlanError::Io(_) | PlanError::NoRecord(..)) => None,
    }
}

#[test]
fn versions_of_one_video_are_not_rows_without_a_word() {
    let two = |keys: &str| {
        format!("[{{\"url\":\"https://h/hd.mp4\"{keys}}},{{\"url\":\"https://h/sd.mp4\"{keys}}}]")
    };
    let quality = two(",\"quality\":1");
    for text in [
        format!("{{\"name\":\"x\",\"files\":{}}}", two("")),
        format!("{{\"files\":{},\"title\":\"x\"}}", two(",\"name\":\"hd\"")),
        format!("{{\"id\":1,\"files\":{quality}}}"),
        format!("{{\"title\":\"x\",\"videos\":{quality}}}"),
        format!("{{\"data\":{{\"title\":\"x\",\"media\":{}}}}}", two("")),
        format!("{{\"data\":{{\"title\":\"x\",\"all\":{{\"media\":{}}}}}}}", two("")),
        format!("{{\"metadata\":{{\"title\":\"x\"}},\"files\":{}}}", two(",\"name\":\"x\"")),
        format!(
            "{{\"title\":\"x\",\"renditions\":{{\"720p\":{0},\"1080p\":{0}}}}}",
            "{\"url\":\"https://h/a.mp4\"}"
        ),
    ] {
        let what = unclear(&text).unwrap_or_else(|| panic!("rows without a word: {text}"));
        assert!(what.contains("versions of one video"), "{what}");
    }
    for text in [
        format!("{{\"title\":\"x\",\"videos\":{}}}", two("")),
        format!("{{\"kind\":\"list\",\"files\":{}}}", two(",\"name\":\"x\"")),
        format!("{{\"name\":\"x\",\"assets\":{}}}", two(",\"title\":\"x\"")),
        format!("{{\"owner\":{{\"name\":\"x\"}},\"files\":{}}}", two(",\"name\":\"x\"")),
        "{\"name\":\"x\",\"files\":[{\"url\":\"https://h/hd.mp4\"}]}".to_owned(),
    ] {
        assert_eq!(unclear(&text), None, "{text}");
    }
}

#[test]
fn both_ways_of_an_error_about_versions_can_be_gone() {
    let text = "{\"name\":\"x\",\"files\":[{\"url\":\"https://h/hd\"},{\"url\":\"https://h/sd\"}]}";
    assert_eq!(read_all(records_by(text, &["files[].url"])).len(), 2);
    assert_eq!(read_all(records_by(text, &["files"])).len(), 1);
}
