//! Files whose shape misleads: each is read as it is meant, or refused with the way to say it.

use super::*;

fn problems(spec: &ManifestSpec) -> Vec<(u64, Option<String>)> {
    let class = |error: RowError| error.problems.into_iter().next().unwrap().class;
    let mut manifest = Manifest::open(spec).unwrap();
    let mut rows = Vec::new();
    while let Some(row) = manifest.next().unwrap() {
        rows.push(match row {
            Ok(row) => (row.line, None),
            Err(error) => (error.line, Some(class(error))),
        });
    }
    rows
}

fn mapped(spec: ManifestSpec, rules: &[&str]) -> ManifestSpec {
    ManifestSpec { map: rules.iter().map(|rule| rule.parse().unwrap()).collect(), ..spec }
}

#[test]
fn rows_inside_a_quoted_cell_are_refused_and_named() {
    let shelf = Shelf::new();
    let text = "url,title,tags\nhttps://h/a,\"open,x\nhttps://h/b,harbour,y\nhttps://h/c,\"live\",z\nhttps://h/d,night,w\n";
    let spec = shelf.put(text.as_bytes());
    assert_eq!(problems(&spec), [(2, Some("quote_swallows_rows".to_owned())), (5, None)]);
    let problem = only_problem(&spec);
    assert!(problem.message.contains("lines 3 to 4"), "{}", problem.message);
    let description = "url,about\nhttps://h/a,\"First line, with a comma\nhttps://h/more is a link\nend\"\n";
    assert_eq!(problems(&shelf.put(description.as_bytes())), [(2, None)]);
    let header = refused(&shelf.put(b"url,\"title\nhttps://h/a,x\nhttps://h/b,\"y\n"));
    assert!(header.contains("a quote that opens in title closes in another line"), "{header}");
}

#[test]
fn blanks_before_quotes_do_not_cut_cells() {
    let shelf = Shelf::new();
    let mut spec = shelf.put(b"\"url\", \"tags\"\n\"https://h/a\", \"x, y\"\n\"https://h/b\", \"z\"\n");
    spec.rules.tag_separator = TagSeparator::Only("|".to_owned());
    let rows = read(&spec);
    assert_eq!(rows[0].as_ref().unwrap().submission.tags, ["x, y"]);
    assert_eq!(rows[1].as_ref().unwrap().line, 3);
    assert!(found(&spec).contains("blanks before quotes"));
}

#[test]
fn excels_line_with_the_delimiter_is_no_header() {
    let shelf = Shelf::new();
    let spec = shelf.put(b"\xef\xbb\xbfsep=;\r\nurl;tags\r\nhttps://h/a;x, y\r\n");
    assert_eq!(problems(&spec), [(3, None)]);
    assert!(found(&spec).contains("names the delimiter ;"));
    let again = ManifestSpec { dialect: Dialect { lines_before: 1, ..Dialect::default() }, ..spec };
    assert_eq!(problems(&again), [(3, None)], "a header line that is named is the same");
}

#[test]
fn a_backslash_before_quotes_is_proposed_where_it_makes_rows_as_wide_as_the_header() {
    let shelf = Shelf::new();
    let mut spec = shelf.put(b"url,title\nhttps://h/a,\"plain\"\nhttps://h/b,\"ends with \\\", and more\"\n");
    assert!(found(&spec).contains("--escape"));
    assert!(problems(&spec)[1].1.is_some(), "it is proposed, and not assumed");
    spec.dialect.escape = Some(b'\\');
    assert_eq!(problems(&spec), [(2, None), (3, None)]);
    assert!(!found(&spec).contains("--escape"));
}

#[test]
fn a_short_row_is_refused_unless_it_is_to_be_padded() {
    let shelf = Shelf::new();
    let mut spec = shelf.put(b"url,tags,date\nhttps://h/a,x\nhttps://h/b,x,2020-01-02,\n");
    let problem = only_problem(&spec);
    assert!(
        problem.message.contains("fewer cells") && problem.fix.contains("--pad-short-rows"),
        "{problem:?}"
    );
    spec.dialect.pads_short_rows = true;
    assert_eq!(problems(&spec), [(2, None), (3, Some("column_count".to_owned()))]);
}

#[test]
fn a_long_cell_is_an_error_only_where_it_feeds_a_field() {
    let shelf = Shelf::new();
    let long = "x".repeat(70_000);
    let text = format!("url,note,tags\nhttps://h/a,{long},x\nhttps://h/b,y,{long}\n");
    assert_eq!(problems(&shelf.put(text.as_bytes())), [(2, None), (3, Some("cell_too_long".to_owned()))]);
}

#[test]
fn a_header_of_thousands_of_columns_is_read() {
    let shelf = Shelf::new();
    let names: Vec<String> = (0..5_000).map(|n| format!("c{n}")).collect();
    let text = format!("url,{}\nhttps://h/a{}\n", names.join(","), ",1".repeat(5_000));
    assert_eq!(problems(&shelf.put(text.as_bytes())), [(2, None)]);
}

#[test]
fn a_guess_at_an_encoding_is_shown() {
    let shelf = Shelf::new();
    let text = "url,tags\nhttps://h/a,\u{43c}\u{43e}\u{441}\u{43a}\u{432}\u{430} \u{438} \u{43f}\u{43e}\u{434}\u{43c}\u{43e}\u{441}\u{43a}\u{43e}\u{432}\u{44c}\u{435}\n";
    let (bytes, ..) = encoding_rs::WINDOWS_1251.encode(text);
    let spec = shelf.put(&bytes);
    assert!(found(&spec).contains("windows-1251 (a guess"), "{}", found(&spec));
    assert!(read(&spec)[0].as_ref().unwrap().submission.tags[0].starts_with('\u{43c}'));
}

#[test]
fn tags_may_be_objects_or_lists_with_gaps() {
    let shelf = Shelf::new();
    let text = "{\"url\":\"https://h/a\",\"tags\":[{\"name\":\"fog\"},{\"name\":\"night\"}]}\n\
                {\"url\":\"https://h/b\",\"tags\":{\"0\":\"rain\",\"2\":\"ice\"}}\n\
                {\"url\":\"https://h/c\",\"tags\":\"snow\",\"subjects\":[{\"@value\":\"hail\"}]}\n";
    let tags = |spec: &ManifestSpec| -> Vec<String> {
        read(spec).into_iter().map(|row| row.unwrap().submission.tags.join("+")).collect()
    };
    let spec = shelf.put(text.as_bytes());
    assert_eq!(tags(&spec), ["fog+night", "rain+ice", "snow"]);
    assert_eq!(tags(&mapped(spec, &["tags=subjects[].@value"])), ["", "", "hail"]);
}

#[test]
fn addresses_in_one_record_are_rows_only_where_a_rule_says_so() {
    let shelf = Shelf::new();
    let text = "{\"urls\":[\"https://h/a\",\"https://h/b\"],\"hd\":\"https://h/c\",\"sd\":\"https://h/d\",\"tags\":[\"x\"]}\n";
    let spec = shelf.put(text.as_bytes());
    assert!(Manifest::open(&spec).is_err());
    for (rule, expected) in
        [("url=urls[]", ["https://h/a", "https://h/b"]), ("url=hd[]+sd[]", ["https://h/c", "https://h/d"])]
    {
        let spec = mapped(spec.clone(), &[rule]);
        assert_eq!(urls(&spec), expected);
        assert!(read(&spec).iter().all(|row| row.as_ref().unwrap().submission.tags == ["x"]));
    }
}

#[test]
fn a_record_whose_values_are_records_is_not_one_row() {
    let shelf = Shelf::new();
    let text = "{\"a\":{\"url\":\"https://h/a\",\"tags\":\"x\"},\"b\":{\"url\":\"https://h/b\",\"tags\":\"y\"}}\n\
                {\"a\":{\"url\":\"https://h/c\",\"tags\":\"x\"},\"b\":{\"url\":\"https://h/d\",\"tags\":\"y\"}}\n";
    let spec = shelf.put(text.as_bytes());
    let why = refused(&spec);
    assert!(why.contains("a.url and b.url") && why.contains("--map url=a.url"), "{why}");
    assert_eq!(urls(&mapped(spec, &["url=b.url"])), ["https://h/b", "https://h/d"]);
    let other = "{\"media\":{\"url\":\"https://h/a\",\"size\":1},\"user\":{\"url\":\"https://h/u\",\"name\":\"x\",\"id\":1}}\n";
    assert_eq!(urls(&shelf.put(other.as_bytes())), ["https://h/a"]);
}

#[test]
fn what_stands_beside_the_records_of_a_file_feeds_no_row_unless_a_rule_names_it() {
    let shelf = Shelf::new();
    let text = "{\"date\":\"2024-01-02\",\"camera\":\"X\",\"items\":[{\"url\":\"https://h/a\"},{\"url\":\"https://h/b\"}]}";
    let spec = shelf.put(text.as_bytes());
    let of = |spec: &ManifestSpec| {
        let sent = read(spec).remove(1).unwrap().submission;
        (sent.datetime_taken, sent.camera_model)
    };
    assert_eq!(of(&spec), (None, None));
    assert_eq!(of(&mapped(spec, &["camera_model=camera"])), (None, Some("X".to_owned())));
}

#[test]
fn a_column_is_found_by_its_name_within_the_records_of_a_file() {
    let shelf = Shelf::new();
    let text =
        "{\"items\":[{\"link2\":\"https://h/a\",\"about\":{\"topic\":\"fog\"}},{\"link2\":\"https://h/b\"}]}";
    let spec = mapped(shelf.put(text.as_bytes()), &["url=link2", "tags=about.topic"]);
    assert_eq!(urls(&spec), ["https://h/a", "https://h/b"]);
}

#[test]
fn a_header_below_titles_and_merged_cells_is_found() {
    let shelf = Shelf::new();
    for (text, lines_before) in [
        ("File,,Place,\nurl,tags,lat,lon\nhttps://h/a.mp4,fog,52.5,13.4\nhttps://h/b.mp4,sea,52.6,13.5\n", 1),
        (
            "Clips of May,,,\n,,,\nVideo,Video,Place,Place\nurl,tags,lat,lon\nhttps://h/a.mp4,fog,1,2\nhttps://h/b.mp4,sea,3,4\n",
            3,
        ),
        ("url,tags,lat,lon\n,,deg,deg\nhttps://h/a.mp4,fog,52.5,13.4\nhttps://h/b.mp4,sea,52.6,13.5\n", 0),
        ("clip,who,y,x\nurl,tags,lat,lon\nhttps://h/a.mp4,fog,52.5,13.4\n", 1),
        ("clip,who\na,b\nhttps://h/a.mp4,fog\nhttps://h/b.mp4,sea\n", 0),
        ("https://h/a.mp4,fog\nurl,tags\nhttps://h/b.mp4,sea\n", 0),
    ] {
        assert_eq!(infer(&shelf.put(text.as_bytes())).unwrap().lines_before, lines_before, "{text}");
    }
}
