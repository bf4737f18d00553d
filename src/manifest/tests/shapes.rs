//! Manifests as other systems wrote them: their shapes, and the language that maps them.

use super::*;

/// A manifest of this name with these rules.
fn mapped(shelf: &Shelf, text: &str, map: &[&str]) -> ManifestSpec {
    ManifestSpec { map: map.iter().map(|rule| rule.parse().unwrap()).collect(), ..shelf.put(text.as_bytes()) }
}

fn is_at(row: &ManifestRow, latitude: f64, longitude: f64) -> bool {
    row.submission.coordinates == Some(crate::domain::Coordinates { latitude, longitude })
}

fn urls(spec: &ManifestSpec) -> Vec<String> {
    read(spec).into_iter().map(|row| row.unwrap().submission.url.as_str().to_owned()).collect()
}

#[test]
fn json_lines_feed_fields_by_their_paths() {
    let shelf = Shelf::new();
    let text = "{\"media\":{\"url\":\"https://h/a.mp4\"},\"place\":{\"lat\":30.10,\"lon\":-88},\"tags\":[\"x\",\"y, z\"]}\n\
                {\"tags\":\"q\",\"media\":{\"url\":\"https://h/b.mp4\"},\"late\":1}\n";
    let rows = read(&shelf.put(text.as_bytes()));
    let first = rows[0].as_ref().unwrap();
    assert_eq!(first.submission.url.as_str(), "https://h/a.mp4");
    assert_eq!(first.submission.tags, ["x", "y, z"]);
    assert!(is_at(first, 30.1, -88.0));
    let second = rows[1].as_ref().unwrap();
    assert_eq!((second.line, second.submission.tags[0].as_str()), (2, "q"));
    assert_eq!(second.cells[4], "1", "a key that comes late is a column");
}

#[test]
fn each_element_of_a_mapped_array_is_a_row() {
    let shelf = Shelf::new();
    let text = "[{\"id\":\"A\",\"videos\":[{\"url\":\"https://h/1.mp4\"},{\"url\":\"https://h/2.mp4\"}]},\n\
                {\"id\":\"B\",\"videos\":[]}]\n";
    let rows = read(&mapped(&shelf, text, &["url=videos[].url", "tags=id"]));
    let sent: Vec<_> = rows[..2]
        .iter()
        .map(|row| row.as_ref().unwrap())
        .map(|row| (row.line, row.submission.url.as_str(), row.submission.tags[0].as_str()))
        .collect();
    assert_eq!(sent, [(1, "https://h/1.mp4", "A"), (1, "https://h/2.mp4", "A")]);
    let empty = rows[2].as_ref().unwrap_err();
    assert_eq!(
        (empty.line, empty.problems[0].class.as_str()),
        (2, "url_empty"),
        "no record is left unaccounted"
    );
    let refused = Manifest::open(&shelf.put(text.as_bytes())).err().unwrap().to_string();
    assert!(
        refused.contains("--map 'url=videos[].url'"),
        "several paid rows of one record need a rule: {refused}"
    );
}

#[test]
fn a_list_of_addresses_needs_no_header() {
    let shelf = Shelf::new();
    let spec = shelf.put(b"# mine\nhttps://h/a.mp4\n\n  https://h/b.mp4  \r\n");
    assert_eq!(urls(&spec), ["https://h/a.mp4", "https://h/b.mp4"]);
    let commas = shelf.put(b"https://h/a,b.mp4\n");
    assert!(Manifest::open(&commas).is_err(), "a comma may be a delimiter");
    assert_eq!(urls(&ManifestSpec { format: Some(Format::List), ..commas }), ["https://h/a,b.mp4"]);
}

#[test]
fn an_address_is_built_from_columns_and_encoded_once() {
    let shelf = Shelf::new();
    let text = "identifier,filename\nday & night,disc 1/100% sure?.mp4\nx,\n";
    let rule = "url=https://archive.example/download/{identifier}/{filename}?from={identifier}";
    let rows = read(&mapped(&shelf, text, &[rule]));
    assert_eq!(
        rows[0].as_ref().unwrap().submission.url.as_str(),
        "https://archive.example/download/day%20&%20night/disc%201/100%25%20sure%3F.mp4?from=day%20%26%20night"
    );
    let half = rows[1].as_ref().unwrap_err();
    assert_eq!(half.problems[0].class, "url_empty", "no half of an address is sent");
}

#[test]
fn a_callback_is_built_encoded_and_normalised_as_a_url_is_and_half_of_one_is_left_out() {
    let shelf = Shelf::new();
    let text = "url,id,job\nhttps://h/a,a&b #1,x/y z\nhttps://h/b,,j\n";
    let rows = read(&mapped(&shelf, text, &["callback=https://ME.example/done/{job}?id={id}"]));
    let [first, second] = [&rows[0], &rows[1]].map(|row| row.as_ref().unwrap());
    assert_eq!(first.submission.callback.as_deref(), Some("https://me.example/done/x/y%20z?id=a%26b%20%231"));
    assert_eq!(second.submission.callback, None);
    assert_eq!(second.warnings[0].class, "callback_incomplete");
    assert_eq!(second.warnings[0].column, "id");
    let cell = shelf.put("url,callback\nhttps://h/a, HTTPS://Me.Example/a é \n".as_bytes());
    let row = read(&cell).remove(0).unwrap();
    assert_eq!(row.submission.callback.as_deref(), Some("https://me.example/a%20%C3%A9"));
    let joined = read(&mapped(&shelf, text, &["callback='https://me.example/'+job"])).remove(0).unwrap();
    assert_eq!(joined.submission.callback.as_deref(), Some("https://me.example/x/y%20z"));
    // 290 characters as written, 870 percent-encoded
    let long = shelf.put(format!("url,callback\nhttps://h/a,https://me/{}\n", " é".repeat(140)).as_bytes());
    assert_eq!(only_problem(&long).class, "text_too_long");
}

#[test]
fn a_url_or_callback_in_a_private_network_is_warned_of() {
    let shelf = Shelf::new();
    let spec = shelf.put(
        b"url,callback\nhttp://192.168.0.4/a.mp4,\nhttps://h/b.mp4,http://localhost:8080/done\nhttps://h/c.mp4,https://me.example/\n",
    );
    let mut manifest = Manifest::open(&spec).unwrap();
    manifest.warn_at(order().now);
    let mut classes = || -> Vec<String> {
        let row = manifest.next().unwrap().unwrap().unwrap();
        row.warnings.into_iter().map(|warning| warning.class).collect()
    };
    assert_eq!(classes(), ["url_private"]);
    assert_eq!(classes(), ["callback_private"]);
    assert!(classes().is_empty());
}

#[test]
fn tags_come_from_columns_flags_and_for_all_rows() {
    let shelf = Shelf::new();
    let text = "url,topic,is_cat,is_dog,list\nhttps://h/a,art,yes,0,\"{'a, b', 'it''s'}\"\n";
    let mut spec = mapped(&shelf, text, &["tags=topic+is_*?+list+'fixed, one'"]);
    spec.tags = vec!["all".to_owned()];
    let row = read(&spec).remove(0).unwrap();
    assert_eq!(row.submission.tags, ["art", "is_cat", "a, b", "it's", "fixed, one", "all"]);
}

#[test]
fn a_second_file_adds_its_columns_by_a_key() {
    let shelf = Shelf::new();
    let deployments = shelf.0.path().join("deployments.csv");
    std::fs::write(&deployments, "deploymentID;latitude;longitude;url\nd1;1.5;2.5;x\nd2;3,5;4;y\n").unwrap();
    let spec = ManifestSpec {
        joins: vec![format!("{}:deployment=deploymentID", deployments.display()).parse().unwrap()],
        ..mapped(&shelf, "url,deployment\nhttps://h/a,d2\nhttps://h/b,d9\n", &[])
    };
    let mut manifest = Manifest::open(&spec).unwrap();
    assert_eq!(manifest.column_names(), ["url", "deployment", "latitude", "longitude", "url#2"]);
    let first = manifest.next().unwrap().unwrap().unwrap();
    assert!(is_at(&first, 3.5, 4.0));
    assert_eq!(first.cells[4], "y");
    let second = manifest.next().unwrap().unwrap().unwrap();
    assert_eq!((second.submission.coordinates, manifest.unmatched()), (None, 1));
    let digest = manifest.digest().unwrap();
    std::fs::write(&deployments, "deploymentID;latitude;longitude;url\nd1;1.5;2.5;x\nd1;3,5;4;y\n").unwrap();
    let twice = Manifest::open(&spec).err().unwrap().to_string();
    assert!(twice.contains("deployments.csv:3") && twice.contains("d1 is there twice"), "{twice}");
    std::fs::write(&deployments, "deploymentID;latitude;longitude;url\nd1;1.5;2.5;z\n").unwrap();
    let changed = Manifest::open(&spec).unwrap();
    assert_ne!(changed.digest().unwrap(), digest, "it is part of what is read");
    assert_ne!(changed.stamp(), manifest.stamp());
}

#[test]
fn every_rule_of_reading_changes_the_stamp_of_a_file() {
    use crate::manifest::{Header, LoneComma, SameBy, TagSeparator, TooLong};
    let shelf = Shelf::new();
    let base = mapped(&shelf, "url,tags,n\nhttps://h/a,x,1\n", &[]);
    let stamp_of = |change: &dyn Fn(&mut ManifestSpec)| {
        let mut spec = base.clone();
        change(&mut spec);
        Manifest::open(&spec).unwrap().stamp().unwrap()
    };
    let plain = stamp_of(&|_| {});
    assert_eq!(stamp_of(&|_| {}), plain, "the same rules have the same stamp");
    let changes: [&dyn Fn(&mut ManifestSpec); 22] = [
        &|spec| spec.dialect.encoding = Some("latin1".parse().unwrap()),
        &|spec| spec.dialect.delimiter = Some(b','),
        &|spec| spec.dialect.quote = crate::manifest::Quote::None,
        &|spec| spec.dialect.escape = Some(b'\\'),
        &|spec| spec.dialect.comment = Some(b'#'),
        &|spec| spec.dialect.pads_short_rows = true,
        &|spec| spec.format = Some(crate::manifest::Format::Csv),
        &|spec| {
            spec.header = Header::Absent;
            spec.map = vec!["url=#1".parse().unwrap()];
        },
        &|spec| spec.map = vec!["url=url".parse().unwrap()],
        &|spec| spec.tags = vec!["a".to_owned()],
        &|spec| spec.filters = vec!["n=1".parse().unwrap()],
        &|spec| spec.rules.namespace = "other".to_owned(),
        &|spec| spec.rules.tag_separator = TagSeparator::Only(",".to_owned()),
        &|spec| spec.rules.dates.formats = vec!["dmy".parse().unwrap()],
        &|spec| spec.rules.dates.offset = crate::manifest::OffsetRule::Utc,
        &|spec| spec.rules.dates.zone = Some(jiff::tz::TimeZone::UTC),
        &|spec| spec.rules.geo_order = crate::manifest::GeoOrder::LonLat,
        &|spec| spec.rules.too_long = TooLong::Cut,
        &|spec| spec.rules.same_by = SameBy::Id,
        &|spec| spec.rules.lone_comma = LoneComma::Refused,
        &|spec| spec.rules.missing.texts = vec!["-".to_owned()],
        &|spec| spec.rules.drop_invalid = vec![crate::manifest::Field::Datetime],
    ];
    let mut stamps: Vec<String> = changes.iter().map(|change| stamp_of(change)).collect();
    stamps.push(plain);
    let count = stamps.len();
    stamps.sort();
    stamps.dedup();
    assert_eq!(stamps.len(), count, "two rules have the same stamp");
}

#[test]
fn rows_that_a_filter_leaves_out_are_counted() {
    let shelf = Shelf::new();
    let spec = ManifestSpec {
        filters: vec!["format=M3U8".parse().unwrap(), "state!=Ohio".parse().unwrap()],
        ..mapped(&shelf, "url,format,state\nhttps://h/a,M3U8,Iowa\nhttps://h/b,JPG,Iowa\nx,M3U8,Ohio\n", &[])
    };
    let mut manifest = Manifest::open(&spec).unwrap();
    assert_eq!(manifest.next().unwrap().unwrap().unwrap().line, 2);
    assert!(manifest.next().unwrap().is_none());
    assert_eq!(manifest.left_out(), 2);
}

#[test]
fn dates_are_read_by_what_the_first_rows_show_and_not_by_guessing() {
    let shelf = Shelf::new();
    let timestamps = |spec: &ManifestSpec| -> Vec<Option<String>> {
        read(spec).into_iter().map(|row| row.ok().and_then(|row| row.submission.datetime_taken)).collect()
    };
    let spec = shelf.put(b"url,date\nhttps://h/a,01/02/2019\nhttps://h/b,16/07/2018\n");
    assert_eq!(timestamps(&spec)[0].as_deref(), Some("2019-02-01 00:00:00"));
    let found = Manifest::open(&spec).unwrap().found().join(" ");
    assert!(found.contains("day/month/year (line 3: 16/07/2018)"), "{found}");
    let unclear = shelf.put(b"url,date\nhttps://h/a,01/02/2019\n");
    assert_eq!(timestamps(&unclear), [None]);
    let month_first = DateRules { formats: vec![DateFormat::MonthFirst], ..DateRules::default() };
    let explicit = ManifestSpec { rules: RowRules { dates: month_first, ..RowRules::default() }, ..unclear };
    assert_eq!(timestamps(&explicit)[0].as_deref(), Some("2019-01-02 00:00:00"));
}

#[test]
fn what_is_too_long_is_cut_only_with_the_flag_and_with_a_warning() {
    let shelf = Shelf::new();
    let tags: Vec<String> = (0..25).map(|n| format!("t{n}")).collect();
    let text = format!("url,tags,camera\nhttps://h/a,{},{}\n", tags.join(";"), "x".repeat(201));
    let mut spec = shelf.put(text.as_bytes());
    assert_eq!(read(&spec).remove(0).unwrap_err().problems.len(), 2);
    spec.rules.too_long = TooLong::Cut;
    let row = read(&spec).remove(0).unwrap();
    assert_eq!((row.submission.tags.len(), row.submission.camera_model.unwrap().len()), (20, 200));
    let classes: Vec<&str> = row.warnings.iter().map(|warning| warning.class.as_str()).collect();
    assert_eq!(classes, ["text_cut", "text_cut"]);
}

#[test]
fn the_users_own_id_may_decide_which_rows_are_one_item() {
    let shelf = Shelf::new();
    let mut spec = shelf.put(b"url,id\nhttps://h/a,7\nhttps://h/moved,7\nhttps://h/a,8\nhttps://h/c,\n");
    spec.rules.same_by = SameBy::Id;
    let rows = read(&spec);
    let key = |at: usize| rows[at].as_ref().unwrap().submission.key();
    assert_eq!(key(0), key(1));
    assert_ne!(key(0), key(2));
    assert_eq!(rows[3].as_ref().unwrap_err().problems[0].class, "id_missing");
    spec.rules.same_by = SameBy::Url;
    assert_eq!(
        read(&spec)[0].as_ref().unwrap().submission.key(),
        read(&spec)[2].as_ref().unwrap().submission.key()
    );
}

#[test]
fn a_manifest_is_a_file_and_no_address() {
    let refused = Manifest::open(&ManifestSpec::with_defaults("https://h/list.csv?token=secret"))
        .err()
        .unwrap()
        .to_string();
    assert!(refused.contains("curl") && !refused.contains("secret"), "{refused}");
}

#[test]
fn no_half_of_an_address_is_sent_however_it_is_put_together() {
    let shelf = Shelf::new();
    let rows = read(&mapped(&shelf, "file,k\na.mp4,1\n,2\nb.mp4,\n", &["url='https://h/'+file+'?v='+k"]));
    assert_eq!(rows[0].as_ref().unwrap().submission.url.as_str(), "https://h/a.mp4?v=1");
    let gap = |at: usize| {
        let problem = &rows[at].as_ref().unwrap_err().problems[0];
        (problem.class.clone(), problem.column.clone())
    };
    assert_eq!(gap(1), ("url_empty".to_owned(), "file".to_owned()));
    assert_eq!(gap(2), ("url_empty".to_owned(), "k".to_owned()), "the empty column is named");
}

#[test]
fn a_row_of_another_width_is_refused_before_it_is_filtered() {
    let shelf = Shelf::new();
    let text = "url,a,k\nhttps://h/1,x,1\nhttps://h/2,x\nhttps://h/3,x,y,1\n";
    let spec = ManifestSpec { filters: vec!["k=1".parse().unwrap()], ..mapped(&shelf, text, &[]) };
    let rows = read(&spec);
    assert_eq!(rows.iter().filter(|row| row.is_err()).count(), 2, "{rows:?}");
}

#[test]
fn a_geojson_point_has_the_longitude_first() {
    let shelf = Shelf::new();
    let text = "{\"url\":\"https://h/a\",\"place\":{\"type\":\"Point\",\"coordinates\":[13.5,52.25]}}\n";
    assert!(is_at(read(&shelf.put(text.as_bytes()))[0].as_ref().unwrap(), 52.25, 13.5));
    let features = format!(
        "{{\"about\":\"{}\",\"features\":[{{\"id\":1,\"id\":2}},{{\"geometry\":{{\"type\":\"Point\",\"coordinates\":[13.5,52.25]}},\"properties\":{{\"url\":\"https://h/a\"}}}}]}}",
        "x".repeat(100_000)
    );
    let row = read(&shelf.put(features.as_bytes())).remove(1).unwrap();
    assert!(is_at(&row, 52.25, 13.5), "however far behind the first bytes it is");
    let plain = text.replace("\"type\":\"Point\",", "");
    assert!(is_at(read(&shelf.put(plain.as_bytes()))[0].as_ref().unwrap(), 13.5, 52.25));
}

#[test]
fn what_a_mapping_signs_with_does_not_show() {
    let shelf = Shelf::new();
    let spec = mapped(&shelf, "file\na.mp4\n", &["url=https://h/{file}?sig=canary"]);
    let shown = Manifest::open(&spec).unwrap().mapping();
    assert!(shown.contains("https://h/{file}") && !shown.contains("canary"), "{shown}");
    let headless = mapped(&shelf, "https://h/a?sig=canary,x\n", &["url=link"]);
    let error = Manifest::open(&headless).err().unwrap().to_string();
    assert!(!error.contains("canary"), "{error}");
}

#[test]
fn a_guess_names_columns_so_that_they_read_back() {
    let shelf = Shelf::new();
    for name in ["a+b", "a{b", "'lead", "'url'", "{{x}}", "#1", "clip*", "is?"] {
        let spec = shelf.put(format!("other,\"{name}\"\n1,https://h/1.mp4\n2,https://h/2.mp4\n").as_bytes());
        let rule = infer(&spec).unwrap().proposals[0].rule.to_string();
        let again = ManifestSpec { map: vec![rule.parse().unwrap()], ..spec };
        assert_eq!(urls(&again)[0], "https://h/1.mp4", "{name}: {rule}");
    }
}

#[test]
fn a_guess_takes_dates_by_their_values_where_only_one_column_has_them() {
    let shelf = Shelf::new();
    let dates_of = |text: &str| {
        let infer = infer(&shelf.put(text.as_bytes())).unwrap();
        let found = infer.proposals.into_iter().find(|proposal| proposal.rule.field == Field::Datetime);
        found.map(|proposal| (proposal.rule.to_string(), proposal.confidence))
    };
    let rows = "https://h/1.mp4,2019-05-06,2020-01-01\nhttps://h/2.mp4,2019-06-07,2020-01-02\n";
    let of = |names: &str| dates_of(&format!("{names}\n{rows}"));
    assert_eq!(of("url,recorded,changed"), Some(("datetime=recorded".to_owned(), 99)), "by its name");
    assert_eq!(of("url,first,second"), None, "either could be meant");
    let one = "url,first\nhttps://h/1.mp4,16/07/2018\nhttps://h/2.mp4,17/08/2018\n";
    assert_eq!(dates_of(one), Some(("datetime=first".to_owned(), 60)));
    let years = "url,first\nhttps://h/1.mp4,1531754460\nhttps://h/2.mp4,1531754461\n";
    assert_eq!(dates_of(years), None, "numbers may be anything");
}

#[test]
fn a_date_of_an_upload_is_proposed_with_doubt() {
    let shelf = Shelf::new();
    let proposed = |name: &str| {
        let text = format!("url,{name}\nhttps://h/a.mp4,2019-05-06\nhttps://h/b.mp4,2019-05-07\n");
        let found = infer(&shelf.put(text.as_bytes())).unwrap().proposals;
        let date = found.into_iter().find(|proposal| proposal.rule.field == Field::Datetime).unwrap();
        (date.confidence, date.why)
    };
    let (confidence, why) = proposed("createdAt");
    assert!(confidence < 50 && why.contains("of an upload or a change"), "{confidence} {why}");
    assert_eq!(proposed("recorded_at").0, 99);
}
