//! Oddities of exports: what is read as it is meant, and what is said.

use super::*;

/// A manifest of this text that is joined with this file.
fn joined(shelf: &Shelf, text: &str, other: &str, keys: &str) -> ManifestSpec {
    let path = shelf.0.path().join("other.csv");
    std::fs::write(&path, other).unwrap();
    let join = format!("{}:{keys}", path.display()).parse().unwrap();
    ManifestSpec { joins: vec![join], ..shelf.put(text.as_bytes()) }
}

fn proposed(spec: &ManifestSpec) -> Vec<String> {
    infer(spec).unwrap().proposals.iter().map(|proposal| proposal.rule.to_string()).collect()
}

#[test]
fn a_guess_takes_the_pixels_of_an_image_for_no_place() {
    let shelf = Shelf::new();
    let rows = |cells: &[&str]| -> String {
        cells
            .iter()
            .enumerate()
            .map(|(n, cells)| format!("https://h/{n}.mp4,{cells}\n"))
            .collect::<Vec<_>>()
            .concat()
    };
    for (header, cells, is_place) in [
        ("clip,bbox_x,bbox_y,score", ["0.10,0.2,0.9", "0.12,0.21,0.8"], false),
        ("clip,x,y,width,height", ["10.5,20.5,30,40", "11.5,21.5,30,40"], false),
        ("clip,x,y", ["0.1,0.2", "0.3,0.4"], false),
        ("clip,x,y", ["10,20", "11,21"], false),
        ("clip,x,y", ["13.40,52.52", "13.41,52.53"], true),
        ("clip,coord_x,coord_y", ["13.40,52.52", "13.41,52.53"], true),
    ] {
        let spec = shelf.put(format!("{header}\n{}", rows(&cells)).as_bytes());
        let found = proposed(&spec);
        assert_eq!(found.iter().any(|rule| rule.starts_with("latitude=")), is_place, "{header}: {found:?}");
    }
}

#[test]
fn a_guess_is_not_turned_round_by_a_bad_cell() {
    let shelf = Shelf::new();
    let file = |cells: &[&str]| {
        let rows: String = cells
            .iter()
            .enumerate()
            .map(|(n, cell)| format!("https://h/{n}.mp4,\"{cell}\"\n"))
            .collect::<Vec<_>>()
            .concat();
        shelf.put(format!("url,coordinates\n{rows}").as_bytes())
    };
    let mut cells = vec!["48.1234,9.4321"; 6];
    cells[1] = "48.2,9.3";
    cells.push("95.1,8.2");
    let guess = infer(&file(&cells)).unwrap();
    assert_eq!(guess.geo_order, GeoOrder::LatLon);
    let note = guess.notes.join("\n");
    assert!(note.contains("coordinates: 1 cell is no place, such as 95.1,8.2"), "{note}");
    let guess = infer(&file(&["-122.4,37.8", "-121.9,37.3", "-122.1,36.9"])).unwrap();
    assert_eq!((guess.geo_order, guess.notes.len()), (GeoOrder::LonLat, 0));
}

#[test]
fn what_was_found_of_dates_holds_for_the_bad_rows_of_a_manifest() {
    let shelf = Shelf::new();
    let source = |name: &str, rows: &str| {
        let path = shelf.0.path().join(name);
        std::fs::write(&path, format!("url,date\n{rows}")).unwrap();
        path.display().to_string()
    };
    let day_first = source("a.csv", "https://h/1.mp4,25/12/2019\nhttps://h/2.mp4,31/02/2019\n");
    let month_first = source("b.csv", "https://h/3.mp4,12/25/2019\n");
    let dates = |rows: &[(&str, &str)]| {
        let rows: String = rows
            .iter()
            .map(|(source, date)| format!("https://h/2.mp4,{date},{source},2\n"))
            .collect::<Vec<_>>()
            .concat();
        let spec = shelf.put(format!("url,date,telecine_manifest,telecine_line\n{rows}").as_bytes());
        let date_of = |row: Result<ManifestRow, RowError>| row.ok()?.submission.datetime_taken;
        read(&spec).into_iter().map(date_of).collect::<Vec<_>>()
    };
    let date = |text: &str| Some(format!("{text} 00:00:00"));
    assert_eq!(dates(&[(&day_first, "03/02/2019")]), [date("2019-02-03")]);
    assert_eq!(dates(&[(&day_first, "02/25/2019"), (&day_first, "03/02/2019")]), [None, date("2019-02-03")]);
    assert_eq!(dates(&[(&month_first, "03/02/2019")]), [date("2019-03-02")]);
    let mixed = dates(&[(&day_first, "25/12/2019"), (&month_first, "03/02/2019")]);
    assert_eq!(mixed, [None, None], "no order is right for both");
    assert_eq!(dates(&[("gone.csv", "25/12/2019")]), [date("2019-12-25")]);
}

#[test]
fn a_row_that_another_column_calls_no_video_is_said_with_the_filter_that_leaves_it_out() {
    let shelf = Shelf::new();
    for (header, video, other, flag) in [
        ("url,mime_type", "https://h/1,video/mp4", "https://h/2,image/jpeg", "mime_type!=image/jpeg"),
        ("url,mime_type", "https://h/1.mp4,video/mp4", "https://h/2.mp4,image/jpeg", "mime_type!=image/jpeg"),
        ("url,fileMediatype", "https://h/1,video/mp4", "https://h/2,audio/mpeg", "fileMediatype!=audio/mpeg"),
        ("url,type", "https://h/1,MovingImage", "https://h/2,StillImage", "type!=StillImage"),
        ("url,media_type", "https://h/1,VIDEO", "https://h/2,IMAGE", "media_type!=IMAGE"),
        ("url,resource_type", "https://h/1,video", "https://h/2,image", "resource_type!=image"),
        ("url,IsDir", "https://h/1,false", "https://h/2,true", "IsDir!=true"),
        ("url,MimeType", "https://h/1,video/mp4", "https://h/2,inode/directory", "MimeType!=inode/directory"),
        ("url,filename", "https://h/1,a.mp4", "https://h/2,a.JPG", "filename!~.JPG"),
        ("url,it's type,media_type", "https://h/1,x,video", "https://h/2,x,image", "media_type!=image"),
    ] {
        let mut spec = shelf.put(format!("{header}\n{video}\n{other}\n").as_bytes());
        let said = warnings(&spec);
        let expected = ("row_no_video".to_owned(), format!("leave such rows out: --where '{flag}'"));
        assert_eq!(said, [vec![], vec![expected]], "{header}");
        spec.filters = vec![flag.parse().unwrap()];
        assert_eq!(warnings(&spec).len(), 1, "the filter leaves out that row alone: {flag}");
    }
    for text in [
        "url,type\nhttps://h/1,dune walk\nhttps://h/2,image\nhttps://h/3,fog\n",
        "url,mime_type\nhttps://h/1,application/octet-stream\nhttps://h/2,binary/octet-stream\n",
        "url,thumbnail_type\nhttps://h/1,image/jpeg\nhttps://h/2,image/png\n",
        "url,mime_type\nhttps://h/1.mp4,image/jpeg\nhttps://h/2.mp4,image/jpeg\n",
        "url,filename\nhttps://h/1.mp4,1.jpg\nhttps://h/2.mp4,2.jpg\n",
        "url,name\nhttps://h/1,Berlin v1.0\nhttps://h/2,a.jpg\n",
    ] {
        assert!(classes(&shelf.put(text.as_bytes())).iter().all(String::is_empty), "{text}");
    }
}

#[test]
fn an_address_that_is_no_video_is_left_out_by_the_filter_that_is_said() {
    let shelf = Shelf::new();
    for (address, flag) in [
        ("https://h/2.jpg", "clip link!~.jpg"),
        ("https://h/GL01.LRV?x=1", "clip link!~.LRV"),
        ("https://h/2019/._1.mp4", "clip link!~/._"),
        ("https://creativecommons.org/licenses/by/3.0/", "clip link!~creativecommons.org"),
    ] {
        let mut spec =
            mapped(&shelf, &format!("clip link\nhttps://h/1.mp4\n{address}\n"), &["url=clip link"]);
        let said = warnings(&spec);
        assert_eq!(said[1][0].1, format!("leave such rows out: --where '{flag}'"), "{address}");
        spec.filters = vec![flag.parse().unwrap()];
        assert_eq!(warnings(&spec).len(), 1, "{flag}");
    }
}

#[test]
fn a_joined_file_does_not_overrule_the_manifest_nor_name_its_rows() {
    let shelf = Shelf::new();
    let other = "site,event_date,tags,camera,id,hash,unique_id,callback\n\
                 A,2001-01-01,joined,B,S1,ffff,elsewhere,https://me/cb\n";
    let spec = joined(&shelf, "url,site,date\nhttps://h/1.mp4,A,2019-05-06\n", other, "site");
    let row = read(&spec).remove(0).unwrap();
    assert_eq!(row.submission.datetime_taken.as_deref(), Some("2019-05-06 00:00:00"));
    assert_eq!(
        (&row.submission.tags[..], row.submission.camera_model.as_deref()),
        (&["joined".to_owned()][..], Some("B"))
    );
    assert_eq!((row.external_id, row.content_hash, row.submission.callback), (None, None, None));
    assert_eq!(row.submission.namespace, "default");
    let spec = ManifestSpec { map: vec!["datetime=event_date".parse().unwrap()], ..spec };
    assert_eq!(
        read(&spec).remove(0).unwrap().submission.datetime_taken.as_deref(),
        Some("2001-01-01 00:00:00")
    );
    let spec = joined(&shelf, "url,site,upload_date\nhttps://h/1.mp4,A,2019-05-06\n", other, "site");
    assert_eq!(
        read(&spec).remove(0).unwrap().submission.datetime_taken.as_deref(),
        Some("2001-01-01 00:00:00")
    );
}

#[test]
fn a_missing_value_is_no_key_of_a_join() {
    let shelf = Shelf::new();
    let other = "site,tags\nA,fog\nNA,sea\n-,sun\nNone,sky\n,x\n,y\n";
    let text = "url,site\nhttps://h/1.mp4,A\nhttps://h/2.mp4,NA\nhttps://h/3.mp4,-\nhttps://h/4.mp4,None\nhttps://h/5.mp4,\n";
    let mut spec = joined(&shelf, text, other, "site");
    let tags = |spec: &ManifestSpec| -> Vec<String> {
        read(spec).into_iter().map(|row| row.unwrap().submission.tags.join(",")).collect()
    };
    assert_eq!(tags(&spec), ["fog", "", "", "", ""]);
    spec.rules.missing.has_defaults = false;
    assert_eq!(tags(&spec), ["fog", "sea", "sun", "sky", ""]);
}

#[test]
fn a_path_in_a_template_is_joined_with_one_slash_and_without_backslashes() {
    let shelf = Shelf::new();
    let text = "path\nStation1\\Deploy1\\a b.mp4\n/2019/a.mp4\n2019/a.mp4\n";
    let addresses = |rule: &str| urls(&mapped(&shelf, text, &[rule]));
    assert_eq!(
        addresses("url=https://host/x/{path}"),
        [
            "https://host/x/Station1/Deploy1/a%20b.mp4",
            "https://host/x/2019/a.mp4",
            "https://host/x/2019/a.mp4"
        ]
    );
    assert_eq!(
        addresses("url=s3://bucket/{path}")[1..],
        ["s3://bucket/2019/a.mp4", "s3://bucket/2019/a.mp4"]
    );
    assert_eq!(addresses("url=https://host/v?p={path}")[1], "https://host/v?p=%2F2019%2Fa.mp4");
}

#[test]
fn what_a_listing_of_a_bucket_says_of_folders_is_refused_and_encoded_keys_are_said() {
    let shelf = Shelf::new();
    let rows = read(
        &shelf.put(b"url\ngs://bucket/2019/:\ngs://bucket/2019/\ngs://bucket/2019/a.mp4\nhttps://h/2019/\n"),
    );
    let class =
        |row: &Result<ManifestRow, RowError>| row.as_ref().err().map(|error| error.problems[0].class.clone());
    let folder = || Some("url_folder".to_owned());
    assert_eq!(rows.iter().map(class).collect::<Vec<_>>(), [folder(), folder(), None, None]);
    let text = "bucket,key\nbkt,a%20b.mp4\nbkt,a%28b.mp4\nbkt,100%.mp4\nbkt,a b.mp4\n";
    let spec = mapped(&shelf, text, &["url=s3://{bucket}/{key}"]);
    assert_eq!(classes(&spec), ["url_key_encoded", "url_key_encoded", "", ""]);
    let decoded = mapped(&shelf, text, &["url=s3://{bucket}/{key|form}"]);
    assert_eq!(classes(&decoded)[..2], ["", ""]);
}

#[test]
fn a_header_that_comes_again_in_another_order_ends_the_reading() {
    let shelf = Shelf::new();
    let text = "url,title,tags\nhttps://h/1.mp4,a,fog\nurl,title,tags\n\u{feff}url,tags,title\nhttps://h/2.mp4,sea,b\n";
    let mut manifest = Manifest::open(&shelf.put(text.as_bytes())).unwrap();
    assert!(manifest.next().unwrap().unwrap().is_ok());
    assert!(manifest.next().unwrap().unwrap().is_err(), "the same header again is a row that cannot be sent");
    let error = manifest.next().unwrap_err().to_string();
    assert!(error.contains("m.csv:4: another header is here"), "{error}");
    let mut scanned = 0;
    let error =
        scan(&mut [Manifest::open(&shelf.put(text.as_bytes())).unwrap()], order(), |_, _| scanned += 1);
    assert!(matches!(error, Err(ManifestError::HeaderAgain { line: 4, .. })) && scanned == 2);
}

#[test]
fn a_duration_is_no_date_whatever_its_order() {
    let shelf = Shelf::new();
    let mut spec = shelf.put(b"url,date\nhttps://h/1.mp4,01:02:23\n");
    assert_eq!(only_problem(&spec).class, "datetime_time_alone");
    spec.rules.dates.formats = vec![DateFormat::DayFirst];
    assert_eq!(only_problem(&spec).class, "datetime_time_alone");
    spec = shelf.put(b"url,date\nhttps://h/1.mp4,01-02-23\n");
    assert_eq!(only_problem(&spec).class, "datetime_two_digit_year");
}

#[test]
fn a_time_of_day_that_is_read_is_not_called_unused() {
    let shelf = Shelf::new();
    let spec = shelf.put(b"url,eventDate,eventTime\nhttps://h/1.mp4,2019-05-06,07:08:09\n");
    let taken = read(&spec).remove(0).unwrap().submission.datetime_taken;
    assert_eq!(taken.as_deref(), Some("2019-05-06 07:08:09"));
    assert_eq!(Manifest::open(&spec).unwrap().column_notes(), Vec::<String>::new());
}

#[test]
fn an_id_that_a_program_has_shortened_is_said_and_a_digest_is_not() {
    let shelf = Shelf::new();
    let spec = shelf.put(
        b"id,url\n1.23456789012346e+17,https://h/1.mp4\n1.23457E+17,https://h/2.mp4\n12e17,https://h/3.mp4\n",
    );
    assert_eq!(classes(&spec), ["id_scientific", "id_scientific", ""]);
}

#[test]
fn a_quote_behind_a_backslash_is_noticed_without_a_delimiter_in_its_cell() {
    let shelf = Shelf::new();
    let said = |text: &str| found(&shelf.put(text.as_bytes())).contains("--escape '\\'");
    assert!(said("url,title\nhttps://h/1.mp4,\"the \\\"big\\\" fog\"\n"));
    assert!(!said("url,title\nhttps://h/1.mp4,\"C:\\\"\nhttps://h/2.mp4,\"D:\\\"\n"));
    assert!(!said("url,title\nhttps://h/1.mp4,5\\\" disk\n"));
    assert!(!said("url,title\nhttps://h/1.mp4,\"a \\\"\"b\"\" c\"\n"));
}

#[test]
fn the_advice_for_an_address_fits_how_it_is_written() {
    let shelf = Shelf::new();
    let list = only_problem(&mapped(&shelf, "links\n\"[\"\"https://h/1.mp4\"\"]\"\n", &["url=links"]));
    assert_eq!((list.class.as_str(), list.fix.contains("{links|json 0}")), ("url_not_absolute", true));
    let spec = shelf.put(b"url\nhttps:\\\\h\\7.mp4\nhttps:\\/\\/h\\/a.mp4\nhttps://h/x\\a.mp4\n");
    let fixes: Vec<String> = warnings(&spec).into_iter().map(|mut row| row.remove(0).1).collect();
    let ends = ["'\\' '/'}\"", "'\\' ''}\"", "'\\' '/'}\""];
    assert!(fixes.iter().zip(ends).all(|(fix, end)| fix.ends_with(end)), "{fixes:?}");
}

#[test]
fn namespaces_ids_and_halves_of_the_day_are_said_by_what_the_first_rows_show() {
    let shelf = Shelf::new();
    let rows = |cells: &dyn Fn(usize) -> String| -> String {
        (0..12).map(|n| format!("https://h/{n}.mp4,{}\n", cells(n))).collect::<Vec<_>>().concat()
    };
    let notes = |header: &str, cells: &dyn Fn(usize) -> String| {
        let spec = shelf.put(format!("{header}\n{}", rows(cells)).as_bytes());
        (Manifest::open(&spec).unwrap().column_notes().join("\n"), proposed(&spec))
    };
    let (said, guessed) = notes("url,unique_id", &|n| format!("clip-{n}"));
    assert!(said.contains("nearly each row has a namespace of its own in unique_id"), "{said}");
    assert!(!guessed.iter().any(|rule| rule.starts_with("unique_id=")), "{guessed:?}");
    let (said, guessed) = notes("url,unique_id", &|n| format!("reel-{}", n % 3));
    assert!(said.is_empty() && guessed.contains(&"unique_id=unique_id".to_owned()), "{said} {guessed:?}");
    let (said, _) = notes("url,id", &|n| format!("camera-{}", n / 4));
    assert!(said.contains("camera-0 of id is under several urls, first on lines 2 and 3"), "{said}");
    assert_eq!(notes("url,id", &|n| n.to_string()).0, "");
    let (said, _) = notes("url,date,time,half", &|n| format!("2019-05-0{},{}:30,PM", n % 9 + 1, n % 11 + 1));
    assert!(
        said.contains("half says AM or PM and is not read; --map \"datetime={date} {time} {half}\""),
        "{said}"
    );
    let text = "url,date,time,half\nhttps://h/1.mp4,2019-05-06,3:30,PM\n";
    let row = read(&mapped(&shelf, text, &["datetime={date} {time} {half}"])).remove(0).unwrap();
    assert_eq!(row.submission.datetime_taken.as_deref(), Some("2019-05-06 15:30:00"));
}

#[test]
fn the_same_address_under_another_id_is_said_where_ids_say_which_video_it_is() {
    let shelf = Shelf::new();
    let mut spec = shelf.put(
        b"id,url\n1,https://h/1.mp4\n2,https://h/1.mp4?Signature=x&Expires=1800000000\n3,https://h/3.mp4\n",
    );
    spec.rules.same_by = SameBy::Id;
    let counted = scan(&mut [Manifest::open(&spec).unwrap()], order(), |_, _| {}).unwrap();
    let said = &counted.warnings["same_url"];
    assert_eq!((said.rows, said.examples[0].line), (1, 3));
    assert_eq!(said.examples[0].problem.message, "the same url as line 2, under another id");
}

#[test]
fn a_prompt_of_another_program_is_not_sent() {
    let shelf = Shelf::new();
    let spec = shelf.put(b"url,prompt\nhttps://h/1.mp4,a dune in fog\n");
    assert_eq!(read(&spec).remove(0).unwrap().submission.video_transcription_prompt, None);
}

#[test]
fn the_mark_of_the_end_of_a_file_is_no_row_and_a_zero_no_digest() {
    let shelf = Shelf::new();
    let rows = read(
        &shelf.put(b"url,md5\r\nhttps://h/1.mp4,0\r\nhttps://h/2.mp4,00000000\r\nhttps://h/3.mp4,0a\r\n\x1a"),
    );
    let digests: Vec<Option<String>> = rows.into_iter().map(|row| row.unwrap().content_hash).collect();
    assert_eq!(digests, [None, None, Some("0a".to_owned())]);
}

#[test]
fn dates_and_times_of_more_programs_are_read() {
    let shelf = Shelf::new();
    for (cells, taken) in [
        ("2018-07-16,2018-07-16T15:21Z", Some("2018-07-16 15:21:00")),
        ("2018-07-16,930", Some("2018-07-16 09:30:00")),
        ("2018-07-16,0930", Some("2018-07-16 09:30:00")),
        ("UTC 2018-07-16 13:21:00,", Some("2018-07-16 13:21:00")),
        ("/Date(1531747260000)/,", Some("2018-07-16 13:21:00")),
        ("0001-01-01T00:00:00Z,", None),
    ] {
        let spec = shelf.put(format!("url,date,time\nhttps://h/1.mp4,{cells}\n").as_bytes());
        assert_eq!(read(&spec).remove(0).unwrap().submission.datetime_taken.as_deref(), taken, "{cells}");
    }
    let other_day = shelf.put(b"url,date,time\nhttps://h/1.mp4,2018-07-16,2018-07-17T15:21Z\n");
    assert_eq!(only_problem(&other_day).class, "datetime_unknown");
}

#[test]
fn a_column_of_texts_is_no_place_whatever_its_name() {
    let shelf = Shelf::new();
    let read_all = |header: &str, cell: &str| {
        let rows: String = (0..6).map(|n| format!("https://h/{n}.mp4,{cell}\n")).collect::<Vec<_>>().concat();
        let spec = shelf.put(format!("{header}\n{rows}").as_bytes());
        let notes = Manifest::open(&spec).unwrap().column_notes().join("\n");
        (read(&spec).iter().filter(|row| row.is_ok()).count(), notes)
    };
    let (good, note) = read_all("url,long", "a long text about a dune");
    assert_eq!(good, 6);
    assert!(note.contains("longitude: long holds texts and no degrees, and is not used"), "{note}");
    assert_eq!(read_all("url,geo", "DE").0, 6);
    assert_eq!(read_all("url,lat,long", "x,y").0, 6);
    assert_eq!(read_all("url,geo", "52.5 N").0, 0, "what may be degrees is refused");
    assert_eq!(read_all("url,lat,long", "5820000,390000").0, 0, "metres are refused");
}

#[test]
fn one_tag_that_is_an_object_among_lists_is_a_tag() {
    let shelf = Shelf::new();
    let text = "{\"url\":\"https://h/1.mp4\",\"tags\":[{\"name\":\"a\"},{\"name\":\"b\"}]}\n\
                {\"url\":\"https://h/2.mp4\",\"tags\":{\"name\":\"c\"}}\n";
    let rows = read(&shelf.put(text.as_bytes())).into_iter();
    let tags: Vec<Vec<String>> = rows.map(|row| row.unwrap().submission.tags).collect();
    assert_eq!(tags, [vec!["a", "b"], vec!["c"]]);
}

#[test]
fn a_check_finds_shared_ids_and_halves_of_the_day_also_far_behind_the_first_rows() {
    let shelf = Shelf::new();
    let noted = |id: &dyn Fn(usize) -> usize, half: &dyn Fn(usize) -> &'static str| {
        let rows: Vec<String> = (0..9_000)
            .map(|n| {
                format!("https://h/{n}.mp4,{},2019-05-06,{}\n", id(n), if n > 8_000 { half(n) } else { "" })
            })
            .collect();
        let spec = shelf.put(format!("url,id,date,half\n{}", rows.concat()).as_bytes());
        let mut manifests = [Manifest::open(&spec).unwrap()];
        assert!(manifests[0].column_notes().is_empty(), "{:?}", manifests[0].column_notes());
        scan(&mut manifests, order(), |_, _| {}).unwrap().notices.join("\n")
    };
    assert_eq!(noted(&|n| n, &|_| ""), "");
    let said = noted(&|n| if n > 8_500 { 8_499 } else { n }, &|n| if n % 2 == 0 { "AM" } else { " p.m. " });
    assert!(
        said.contains("id: 499 rows have an id of id that an earlier row has under another url, first on lines 8501 and 8503"),
        "{said}"
    );
    assert!(
        said.contains("half says AM or PM and is not read; --map \"datetime={date} {half}\" reads it"),
        "{said}"
    );
    assert_eq!(noted(&|n| n, &|n| if n == 8_999 { "noon" } else { "AM" }), "");
}

#[test]
fn several_addresses_in_a_text_are_refused_with_a_rule_that_takes_the_first() {
    let shelf = Shelf::new();
    let text = "Attachments\n\"a b.mp4 (https://h/a.mp4),c.mp4 (https://h/c.mp4)\"\n";
    let fix = only_problem(&mapped(&shelf, text, &["url=Attachments|address"])).fix;
    let rule = fix.split("--map \"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    let rows = read(&mapped(&shelf, text, &[rule]));
    assert_eq!(rows[0].as_ref().unwrap().submission.url.as_str(), "https://h/a.mp4", "{fix}");
}

#[test]
fn a_number_that_a_spreadsheet_shortened_is_said_wherever_it_names_something() {
    let shelf = Shelf::new();
    let text = "asset,site,note,lat,lon\n1.23457E+11,1.5E+10,9.9E+20,5.25E+01,13\n";
    let map = ["url=https://h/{asset}.mp4", "tags=site"];
    assert_eq!(classes(&mapped(&shelf, text, &map)), ["number_scientific,number_scientific"]);
    let list = "url,tags\nhttps://h/a.mp4,\"[1E+10,2]\"\nhttps://h/b.mp4,E+F\n";
    assert_eq!(classes(&shelf.put(list.as_bytes())), ["", ""], "a list is as a program wrote it");
}
