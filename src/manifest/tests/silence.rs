//! What would be read wrongly in silence: it is read as it is meant, refused, or said.

use super::*;

#[test]
fn another_header_ends_the_reading_and_words_that_are_names_do_not() {
    let shelf = Shelf::new();
    let ends_at_2 = |second: &str| {
        let text = format!("url,lat,lon,tags\n{second}\nhttps://h/1.mp4,1,2,fog\n");
        let mut manifest = Manifest::open(&shelf.put(text.as_bytes())).unwrap();
        matches!(manifest.next(), Err(ManifestError::HeaderAgain { line: 2, .. }))
    };
    for header in [
        "URL,Lon,Lat,Tags",
        "url,lon,lat,keywords",
        "link,lon,lat,tags",
        "url,camera,place,id",
        "id, lon,lat,",
    ] {
        assert!(ends_at_2(header), "{header}");
    }
    for row in ["URL, Lat,lon,tags", "https://h/2.mp4,1,2,tags", "a.mp4,fog,,tags", "lat,1,2,fog", ",,,"] {
        assert!(!ends_at_2(row), "{row}");
    }
}

#[test]
fn another_header_ends_the_reading_of_arrays_and_of_rows_that_may_be_short() {
    let shelf = Shelf::new();
    let ends_at = |spec: &ManifestSpec| match Manifest::open(spec).unwrap().next() {
        Err(ManifestError::HeaderAgain { line, .. }) => Some(line),
        Ok(_) | Err(_) => None,
    };
    let row = "[\"https://h/1.mp4\",\"a\",\"fog\"]";
    for (text, line) in [
        (format!("[\"url\",\"title\",\"tags\"]\n[\"url\",\"tags\",\"title\"]\n{row}\n"), Some(2)),
        (format!("[\"url\",\"title\",\"tags\"]\n[\"tags\",\"url\"]\n{row}\n"), Some(2)),
        (format!("[[\"url\",\"title\",\"tags\"],\n[\"Title\",\"URL\",\"x\"],\n{row}]"), Some(2)),
        (format!("[\"url\",\"title\",\"tags\"]\n{row}\n"), None),
        (
            format!(
                "{{\"columns\":[\"url\",\"title\",\"tags\"],\"data\":[\n[\"tags\",\"title\",\"url\"],{row}]}}"
            ),
            Some(2),
        ),
    ] {
        assert_eq!(ends_at(&shelf.put(text.as_bytes())), line, "{text}");
    }
    let mut spec = shelf.put(b"url,title,tags\ntags,url\nfog,https://h/1.mp4\n");
    assert_eq!(ends_at(&spec), None, "each row behind it is an error of its own");
    spec.dialect.pads_short_rows = true;
    assert_eq!(ends_at(&spec), Some(2));
}

#[test]
fn dates_that_a_spreadsheet_may_have_swapped_are_said() {
    let shelf = Shelf::new();
    let said = |dates: &[&str]| {
        let rows: Vec<String> = dates.iter().map(|date| format!("https://h/a.mp4,{date}\n")).collect();
        let spec = shelf.put(format!("url,date\n{}", rows.concat()).as_bytes());
        let notes = Manifest::open(&spec).unwrap().column_notes();
        notes.iter().any(|note| note.contains("2019-05-06 a date, as if a spreadsheet"))
    };
    assert!(said(&["13/05/2019", "2019-05-06", "2019-06-05 10:00:00"]), "only days up to 12 became dates");
    assert!(!said(&["13/05/2019", "2019-05-06", "2019-05-14"]), "a spreadsheet would have left 14/05/2019");
    assert!(!said(&["13/05/2019", "2019-05-06", "07/05/2019"]), "a spreadsheet would have turned 07/05/2019");
    assert!(!said(&["2019-05-06", "2019-06-05"]), "all are dates");
}

#[test]
fn what_stands_beside_the_rows_and_that_more_follow_is_said() {
    let shelf = Shelf::new();
    let beside = |outer: &str| {
        format!(r#"{{{outer},"videos":[{{"url":"https://h/1.mp4"}},{{"url":"https://h/2.mp4"}}]}}"#)
    };
    let text = beside(r#""title":"Trip","tags":["fog"],"date":null,"place":{"lat":1}"#);
    assert!(
        found(&shelf.put(text.as_bytes())).contains("in none of them: tags, place.lat (--map FIELD=tags"),
        "{text}"
    );
    let spec = mapped(&shelf, &text, &["tags=tags"]);
    assert!(
        found(&spec).contains("in none of them: place.lat (")
            && read(&spec)[0].as_ref().unwrap().submission.tags == ["fog"]
    );
    let spec = mapped(&shelf, &text, &["url=videos[].url"]);
    assert!(!found(&spec).contains("in none of them"), "every row has them");
    for (outer, has_more) in [
        (r#""next":"https://api/?page=2""#, true),
        (r#""paging":{"nextPageToken":"x"}"#, true),
        (r#""_links":{"next":{"href":"/2"}}"#, true),
        (r#""meta":{"hasMore":true}"#, true),
        (r#""next":null,"has_more":false,"total":900"#, true),
        (r#""next":null,"has_more":false,"total":2"#, false),
        (r#""offset":"itrX/recX""#, true),
        (r#""offset":0,"limit":100"#, false),
        (r#""numFound":120,"start":0"#, true),
        (r#""count":120"#, true),
        (r#""page":1,"pages":12"#, true),
        (r#""page":12,"pages":12"#, false),
        (r#""meta":{"pagination":{"total":120,"per_page":2}}"#, true),
        (r#""hits":{"total":{"value":120,"relation":"eq"}}"#, true),
        (r#""continue":{"gcmcontinue":"x|y","continue":"gcmcontinue||"}"#, true),
        (r#""stats":{"views":{"total":900}}"#, false),
        (r#""next":"""#, false),
    ] {
        let said = found(&shelf.put(beside(outer).as_bytes())).contains("one page of several");
        assert_eq!(said, has_more, "{outer}");
    }
}

#[test]
fn texts_that_were_damaged_before_the_export_are_said() {
    let shelf = Shelf::new();
    let said = |row: &str| classes(&shelf.put(format!("url,tags,camera\n{row}\n").as_bytes())).remove(0);
    assert_eq!(said("https://h/1.mp4,cafÃ©,GoPro"), "text_damaged");
    assert_eq!(said("https://h/1.mp4,fog,Canon\u{7}"), "text_control_character");
    assert_eq!(said("https://h/1.mp4,fog<br>rain,"), "text_markup");
    assert_eq!(said("https://h/cafÃ©.mp4,fog,"), "url_damaged");
    assert_eq!(said("https://h/a\u{a0}b.mp4,fog,"), "url_invisible");
    assert_eq!(said("https://h/a\u{202e}4pm.mp4,fog,"), "url_invisible");
    assert_eq!(said("https://h/1.mp4,fo\u{200b}g,"), "text_control_character");
    assert_eq!(said("https://h/1.mp4?a=1&#38;b=2,fog,"), "url_html_escaped");
    assert_eq!(said("https://h/1.mp4,caf&eacute;,"), "text_html_escaped");
    assert_eq!(said("https://h/1.mp4,fog&#8217;s,"), "text_html_escaped");
    assert_eq!(said("https://h/1.mp4,R&B;soul,"), "", "a tag before a semicolon");
    assert_eq!(said("https://h/café.mp4,café,GoPro"), "");
}

#[test]
fn an_address_that_loses_its_host_or_its_name_is_refused_or_said() {
    let shelf = Shelf::new();
    let said = |url: &str| classes(&shelf.put(format!("url,tags\n{url},fog\n").as_bytes())).remove(0);
    let spec = shelf.put(b"url,tags\nhttps:///videos/1.mp4,fog\n");
    assert_eq!(only_problem(&spec).class, "url_no_host", "videos is a folder");
    assert_eq!(said("https://h/why?.mp4"), "url_question_mark");
    assert_eq!(said("https://h/????.mp4"), "url_question_mark");
    assert_eq!(said("https://h/download.php?1.mp4"), "");
    assert_eq!(said("https://h/get?name=1.mp4"), "");
    assert_eq!(said("https://h/1.mp4."), "url_tail");
}

#[test]
fn a_filter_that_is_proposed_names_the_column_that_it_finds_the_rows_by() {
    let shelf = Shelf::new();
    let spec = mapped(&shelf, "host,file\nh,a.jpg\n", &["url=https://{host}/{file}"]);
    assert_eq!(warnings(&spec)[0][0].1, "leave such rows out: --where 'file!~.jpg'");
}

#[test]
fn the_order_of_two_coordinates_is_that_of_their_name_or_is_said() {
    let shelf = Shelf::new();
    for (name, has_longitude_first) in
        [("lon_lat", true), ("Longitude/Latitude", true), ("LngLat", true), ("lat_lon", false)]
    {
        let spec =
            mapped(&shelf, &format!("url,{name}\nhttps://h/1.mp4,13.4 52.5\n"), &[&format!("geo={name}")]);
        let row = read(&spec).remove(0).unwrap();
        let (latitude, longitude) = if has_longitude_first { (52.5, 13.4) } else { (13.4, 52.5) };
        assert!(is_at(&row, latitude, longitude), "{name}");
        assert_eq!(found(&spec).contains("the longitude comes first, as its name says"), has_longitude_first);
    }
    let mut spec = shelf.put(br#"{"url":"https://h/1.mp4","coordinates":[13.4,52.5]}"#);
    let is_said = |spec: &ManifestSpec| {
        Manifest::open(spec).unwrap().column_notes().concat().contains("--geo-order lon-lat")
    };
    assert!(is_said(&spec), "nothing says the order of a list");
    spec.rules.geo_order = crate::manifest::GeoOrder::LonLat;
    assert!(!is_said(&spec) && is_at(&read(&spec).remove(0).unwrap(), 52.5, 13.4));
    let spec = mapped(&shelf, "url\tlon_lat\nhttps://h/1.mp4\tgeo:52.5,13.4;u=35\n", &["geo=lon_lat"]);
    assert!(is_at(&read(&spec).remove(0).unwrap(), 52.5, 13.4), "its rules have the latitude first");
}

#[test]
fn tags_with_two_separators_in_a_cell_are_counted() {
    let shelf = Shelf::new();
    let said = |spec: &ManifestSpec| {
        let mut manifest = Manifest::open(spec).unwrap();
        while manifest.next().unwrap().is_some() {}
        manifest.notices().concat()
    };
    let mut spec =
        shelf.put(b"url\ttags\nhttps://h/1.mp4\tParis, France; Oslo, Norway\nhttps://h/2.mp4\tfog;rain\n");
    assert!(
        said(&spec).contains("tags: 1 cell such as Paris, France; Oslo, Norway is split"),
        "{}",
        said(&spec)
    );
    spec.rules.tag_separator = TagSeparator::Only(";".to_owned());
    assert!(
        said(&spec).is_empty()
            && read(&spec)[0].as_ref().unwrap().submission.tags == ["Paris, France", "Oslo, Norway"]
    );
}

#[test]
fn a_guess_at_an_encoding_shows_what_it_makes_of_the_text() {
    let shelf = Shelf::new();
    let spec = shelf.put(b"url,tags\nhttps://h/1.mp4,caf\x8e;M\x9awe\n");
    let found = found(&spec);
    assert!(found.contains("--encoding names another; it gives caf\u{17d}, M\u{161}we)"), "{found}");
    let spec = ManifestSpec {
        dialect: Dialect { encoding: Some("macintosh".parse().unwrap()), ..spec.dialect },
        ..spec
    };
    assert_eq!(read(&spec)[0].as_ref().unwrap().submission.tags, ["caf\u{e9}", "M\u{f6}we"]);
}

#[test]
fn an_address_within_a_text_is_refused_with_the_rule_that_takes_it_out() {
    let shelf = Shelf::new();
    for cell in
        ["[Watch](https://h/1.mp4)", "1.mp4 (https://h/1.mp4)", "<https://h/1.mp4>", "URL: https://h/1.mp4"]
    {
        let text = format!("url,tags\n{cell},fog\n");
        let fix = only_problem(&shelf.put(text.as_bytes())).fix;
        assert_eq!(fix, "take the address out of the text: --map \"url={url|address}\"", "{cell}");
        let row = read(&mapped(&shelf, &text, &["url={url|address}"])).remove(0).unwrap();
        assert_eq!(row.submission.url.as_str(), "https://h/1.mp4");
    }
    let spec = mapped(&shelf, "url\n(https://h/1.mp4) (https://h/2.mp4)\n", &["url={url|address}"]);
    assert_eq!(only_problem(&spec).class, "url_several");
}

#[test]
fn a_column_of_times_beside_dates_alone_is_named_where_it_is_not_read() {
    let shelf = Shelf::new();
    let said =
        |spec: &ManifestSpec| Manifest::open(spec).unwrap().column_notes().concat().contains("--map \"time=");
    for (header, row, is_said) in [
        ("Date,Start time", "2019-05-06,07:08", true),
        ("recording_date,recording_time", "2019-05-06,07:08:09", true),
        ("Date,Time", "2019-05-06,07:08", false),
        ("Date,Start time", "2019-05-06 10:00,07:08", false),
        ("Date,Length", "2019-05-06,00:01:08", false),
        ("Date,timezone", "2019-05-06,Europe/Berlin", false),
    ] {
        let spec = shelf.put(format!("url,{header}\nhttps://h/1.mp4,{row}\n").as_bytes());
        assert_eq!(said(&spec), is_said, "{header} {row}");
    }
    let spec =
        mapped(&shelf, "url,Date,Start time\nhttps://h/1.mp4,2019-05-06,07:08\n", &["time=Start time"]);
    assert_eq!(
        read(&spec)[0].as_ref().unwrap().submission.datetime_taken.as_deref(),
        Some("2019-05-06 07:08:00")
    );
}

#[test]
fn single_quotes_around_cells_are_said() {
    let shelf = Shelf::new();
    let is_said = |text: &str| found(&shelf.put(text.as_bytes())).contains("say --quote \"'\"");
    assert!(is_said("'url','tags'\n'https://h/a.mp4','fog, sea'\n'https://h/b.mp4','it''s'\n"));
    assert!(is_said("url,tags\nhttps://h/a.mp4,'fog'\nhttps://h/b.mp4,'sea'\n"));
    assert!(!is_said("url,tags\nhttps://h/a.mp4,'0012\nhttps://h/b.mp4,'0013\n"), "a text of a spreadsheet");
    assert!(!is_said("url,tags\nhttps://h/a.mp4,'fog' and sea\nhttps://h/b.mp4,x\nhttps://h/c.mp4,'y'\n"));
}

#[test]
fn a_column_whose_name_comes_again_is_said_not_to_be_read() {
    let shelf = Shelf::new();
    let text =
        "url,Labels,date,Labels,date,url\nhttps://h/a.mp4,fog,2019-05-06,sea,2020-01-01,https://h/b.mp4\n";
    let notes = Manifest::open(&shelf.put(text.as_bytes())).unwrap().column_notes().concat();
    for note in [
        "url is used, and url#2 is not",
        "Labels is used, and Labels#2 is not",
        "date is used, and date#2 is not",
    ] {
        assert!(notes.contains(note), "{note}: {notes}");
    }
}

#[test]
fn a_row_that_would_be_read_as_the_header_is_refused() {
    let shelf = Shelf::new();
    let (a, b) = ("https://h/a.mp4", "https://h/b.mp4");
    let is_refused = |text: &str, map: &[&str], lines_before: u64| {
        let mut spec = mapped(&shelf, text, map);
        spec.dialect.lines_before = lines_before;
        let error = Manifest::open(&spec).err();
        matches!(error, Some(ManifestError::ValuesAsHeader { line, .. }) if line == lines_before + 1)
    };
    let bare = format!("{a},fog,2018-07-16\n{b},sea,2018-07-17\n");
    assert!(is_refused(&bare, &["url=#1"], 0));
    assert!(is_refused(&format!("url,tags\n{bare}"), &["url=#1"], 1), "the line before is the header");
    assert!(is_refused(&format!("{a},fog\n"), &["url=#1"], 0), "the only row");
    for (cells, map) in [
        ("a.mp4,fog\nb.mp4,sea\n", &["url=https://h/{#1}"][..]),
        ("fog,4711\nsea,4712\n", &["url=https://h/{#2}.mp4"]),
        ("x7Q,2018-07-16 10:00\ny8R,2018-07-17 11:00\n", &["url=https://h/{#1}.mp4", "datetime=#2"]),
        ("x7Q,52.5,13.4\ny8R,52.6,13.5\n", &["url=https://h/{#1}.mp4", "lat=#2", "lon=#3"]),
    ] {
        assert!(is_refused(cells, map, 0), "{cells}");
    }
    for (text, map) in [
        (format!("0,1,2\n{bare}"), &["url=#1"][..]),
        (format!("files.mp4,tags\n{a},fog\n"), &["url=files.mp4"]),
        (
            format!("http://rs.tdwg.org/ac/terms/accessURI,x\n{a},fog\n"),
            &["url=http://rs.tdwg.org/ac/terms/accessURI"],
        ),
        ("2018,x\na.mp4,fog\n".to_owned(), &["url=https://h/{#1}"]),
    ] {
        assert!(!is_refused(&text, map, 0), "{text}");
    }
}

#[test]
fn a_template_around_a_whole_address_and_a_tail_are_said_with_a_rule_that_helps() {
    let shelf = Shelf::new();
    let spec = mapped(&shelf, "file,x\nhttps://h/a.mp4,1\n", &["url=https://h/{file}"]);
    assert_eq!(classes(&spec), ["url_address_inside"]);
    for (cell, rule) in [
        ("https://h/a.mp4;fog", "{url|split ';'|first}"),
        ("https://h/a.mp4.", "{url|replace '.mp4.' '.mp4'}"),
        ("\"https://h/a.mp4,\"", "{url|replace '.mp4,' '.mp4'}"),
        ("https://h/a.mp4 fog", "{url|split ' '|first}"),
    ] {
        let text = format!("url,x\n{cell},1\n");
        let warning = warnings(&shelf.put(text.as_bytes())).remove(0).remove(0);
        assert!(warning.0 == "url_tail" && warning.1.contains(rule), "{cell}: {warning:?}");
        let row = read(&mapped(&shelf, &text, &[&format!("url={rule}")])).remove(0).unwrap();
        assert_eq!(row.submission.url.as_str(), "https://h/a.mp4", "{cell}");
    }
}

#[test]
fn a_missing_value_is_counted_once_a_row() {
    let shelf = Shelf::new();
    let spec = shelf.put(b"url,date,time,lat,lon\nhttps://h/a.mp4,2019-05-06,NULL,NULL,NULL\n");
    let mut manifest = Manifest::open(&spec).unwrap();
    while manifest.next().unwrap().is_some() {}
    let notices = manifest.notices();
    assert!(
        notices.len() == 3 && notices.iter().all(|notice| notice.contains(": 1 cell such as NULL")),
        "{notices:?}"
    );
}

#[test]
fn a_number_with_a_blank_behind_its_comma_is_no_degrees_and_minutes() {
    let shelf = Shelf::new();
    for cell in ["52, 5", "52. 5", "52, 5 N"] {
        let spec = shelf.put(format!("url,lat,lon\nhttps://h/a.mp4,\"{cell}\",13.4\n").as_bytes());
        assert_eq!(only_problem(&spec).class, "coordinates_number", "{cell}");
    }
    let spec = shelf.put(b"url,lat,lon\nhttps://h/a.mp4,52 30,13 24\n");
    assert!(is_at(&read(&spec).remove(0).unwrap(), 52.5, 13.4), "degrees and minutes");
}

#[test]
fn ids_that_end_in_a_point_and_zero_are_said() {
    let shelf = Shelf::new();
    let text = "id,x\n12345.0,1\n,2\n12346.0,3\n";
    let notes = |text: &str, map: &[&str]| {
        Manifest::open(&mapped(&shelf, text, map)).unwrap().column_notes().concat()
    };
    let said = notes(text, &["url=https://h/{id}.mp4"]);
    assert!(
        said.contains("url: every value of id ends in .0") && said.contains("{id|replace '.0' ''}"),
        "{said}"
    );
    assert!(!notes(text, &["url=https://h/{id|replace '.0' ''}.mp4", "id=x"]).contains(".0"));
    assert!(!notes("v,x\n1.0,1\n1.5,2\n", &["url=https://h/{v}.mp4"]).contains(".0"), "versions");
}

#[test]
fn a_hemisphere_belongs_to_degrees_whose_name_leaves_out_where_they_were_found() {
    let shelf = Shelf::new();
    for header in [
        "url,latitude,longitude,GPSLatitudeRef,GPSLongitudeRef",
        "url,GPSLatitude,GPSLongitude,exif.GPSLatitudeRef,exif.GPSLongitudeRef",
        "url,Composite:GPSLatitude,Composite:GPSLongitude,EXIF:GPSLatitudeRef,EXIF:GPSLongitudeRef",
    ] {
        let spec = shelf.put(format!("{header}\nhttps://h/a.mp4,37.77,122.4194,S,W\n").as_bytes());
        assert!(is_at(&read(&spec).remove(0).unwrap(), -37.77, -122.4194), "{header}");
    }
    // only one of them has a hemisphere
    let spec = shelf.put(b"url,latitude,longitude,GPSLongitudeRef\nhttps://h/a.mp4,37.77,122.4194,W\n");
    assert!(is_at(&read(&spec).remove(0).unwrap(), 37.77, -122.4194));
    // another place
    let spec =
        shelf.put(b"url,latitude,longitude,home_lat_ref,home_lon_ref\nhttps://h/a.mp4,37.77,12.5,S,W\n");
    assert!(is_at(&read(&spec).remove(0).unwrap(), 37.77, 12.5));
}

#[test]
fn a_column_of_times_is_said_where_each_date_is_midnight() {
    let shelf = Shelf::new();
    let notes = |text: &str| Manifest::open(&shelf.put(text.as_bytes())).unwrap().column_notes().concat();
    for day in ["2018-07-16", "2018-07-16 00:00:00", "2018-07-16T00:00"] {
        let said = notes(&format!("url,taken_at,time\nhttps://h/a.mp4,{day},15:21\n"));
        assert!(said.contains("--map \"time=time\" reads it"), "{day}: {said}");
    }
    let own = notes("url,taken_at,time\nhttps://h/a.mp4,2018-07-16 08:00,15:21\n");
    assert!(!own.contains("--map \"time=time\""), "the dates have times of their own: {own}");
}
