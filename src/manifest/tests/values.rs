//! Values as exports hold them: transforms, missing values, several addresses, places, dates, and names of columns.

use super::*;

/// A manifest of this text with these rules.
fn mapped(folder: &Shelf, text: &str, map: &[&str]) -> ManifestSpec {
    ManifestSpec {
        map: map.iter().map(|rule| rule.parse().unwrap()).collect(),
        ..folder.put(text.as_bytes())
    }
}

fn first(spec: &ManifestSpec) -> ManifestRow {
    read(spec).remove(0).unwrap()
}

fn place(row: &ManifestRow) -> Option<(f64, f64)> {
    row.submission.coordinates.map(|place| (place.latitude, place.longitude))
}

fn notices(spec: &ManifestSpec) -> Vec<String> {
    let mut manifest = Manifest::open(spec).unwrap();
    while manifest.next().unwrap().is_some() {}
    manifest.notices()
}

#[test]
fn transforms_change_values_in_templates_and_in_columns() {
    let folder = Shelf::new();
    let text = "url,tags,camera,meta\nhttps://h/a.mp4?x=1&amp;y=2,Rock &amp; Roll;Jazz,X+100%21,\"{\"\"place\"\":{\"\"at\"\":[52.5,13.25]}}\"\n";
    let map = [
        "url={url|html}",
        "tags=tags|html|split ';'",
        "camera_model=by {camera|form}",
        "latitude=meta|json place.at.0",
        "longitude=meta|json place.at.1",
    ];
    let row = first(&mapped(&folder, text, &map));
    assert_eq!(row.submission.url.as_str(), "https://h/a.mp4?x=1&y=2");
    assert_eq!(row.submission.tags, ["Rock & Roll", "Jazz"]);
    assert_eq!(row.submission.camera_model.as_deref(), Some("by X 100!"));
    assert_eq!(place(&row), Some((52.5, 13.25)));
    let broken = mapped(&folder, "url,meta\nhttps://h/a.mp4,{x\n", &["tags=meta|json x"]);
    assert_eq!(only_problem(&broken).class, "json_cell");
}

#[test]
fn a_transform_rewrites_an_address_and_an_empty_cell_leaves_no_half_of_it() {
    let folder = Shelf::new();
    let rule = "url={location|replace 'gs://' 'https://storage.googleapis.com/'}";
    let spec = mapped(&folder, "location,k\ngs://b/x y.mp4,1\n,2\n", &[rule]);
    assert_eq!(first(&spec).submission.url.as_str(), "https://storage.googleapis.com/b/x%20y.mp4");
    assert_eq!(read(&spec)[1].as_ref().unwrap_err().problems[0].class, "url_empty");
}

#[test]
fn a_row_with_two_addresses_in_one_cell_is_invalid() {
    let folder = Shelf::new();
    let text = "link,k\nhttps://h/a.mp4|https://h/b.mp4,1\nhttps://p/get?u=https://h/a.mp4,2\n";
    let spec = folder.put(text.as_bytes());
    let problem = only_problem(&spec);
    assert_eq!(problem.class, "url_several");
    assert!(problem.fix.contains("url={link|split '|'|first}"), "{}", problem.fix);
    assert!(read(&spec)[1].is_ok(), "an address inside a query belongs to the other");
    let rule = ["url={link|split '|'|first}"];
    assert_eq!(first(&mapped(&folder, text, &rule)).submission.url.as_str(), "https://h/a.mp4");
}

#[test]
fn texts_for_missing_values_are_missing_and_counted_unless_switched_off() {
    let folder = Shelf::new();
    let mut spec =
        folder.put(b"url,lat,lon,camera,tags\nhttps://h/a,NA,NA,N/A,?\nhttps://h/b,52.5,13.5,X,None\n");
    spec.rules.missing.texts = vec!["?".to_owned()];
    let row = first(&spec);
    assert_eq!((place(&row), row.submission.camera_model, row.submission.tags.len()), (None, None, 0));
    assert!(read(&spec)[1].as_ref().unwrap().submission.tags.is_empty());
    let said = notices(&spec).join("\n");
    assert!(said.contains("tags: 2 cells") && said.contains("camera: 1 cell such as N/A"), "{said}");
    spec.rules.missing = MissingRules { has_defaults: false, texts: Vec::new() };
    let problems = read(&spec).remove(0).unwrap_err().problems;
    assert_eq!(problems[0].class, "coordinates_number", "then they are texts");
}

#[test]
fn an_unreadable_value_is_left_out_only_where_the_user_says_so() {
    let folder = Shelf::new();
    let mut spec = folder.put(b"url,date,lat,lon\nhttps://h/a,soon,1,2\nhttps://h/b,2020-01-02,1,\n");
    assert!(read(&spec).iter().all(Result::is_err));
    spec.rules.drop_invalid = vec![Field::Datetime];
    let rows = read(&spec);
    let row = rows[0].as_ref().unwrap();
    assert_eq!((row.submission.datetime_taken.as_deref(), place(row)), (None, Some((1.0, 2.0))));
    assert_eq!(row.warnings[0].class, "value_dropped");
    assert!(rows[1].is_err(), "no other field is left out");
}

#[test]
fn hemispheres_in_their_own_columns_give_the_signs() {
    let folder = Shelf::new();
    let spec = folder.put(b"url,GPSLatitude,GPSLatitudeRef,GPSLongitude,GPSLongitudeRef\nhttps://h/a,33.5,South,122.25,W\nhttps://h/b,33.5,N,122.25,O\n");
    assert_eq!(place(&first(&spec)), Some((-33.5, -122.25)));
    let problem = read(&spec).remove(1).unwrap_err().problems.remove(0);
    assert!(problem.message.contains("Ost") && problem.message.contains("Oeste"), "{problem:?}");
}

#[test]
fn degrees_times_ten_million_are_read_by_the_name_of_their_column() {
    let folder = Shelf::new();
    let spec = folder.put(b"url,latitudeE7,longitudeE7\nhttps://h/a,525000000,-132500000\n");
    assert_eq!(place(&first(&spec)), Some((52.5, -13.25)));
}

#[test]
fn a_time_of_day_in_its_own_column_is_part_of_the_date() {
    let folder = Shelf::new();
    let taken = |text: &str| first(&folder.put(text.as_bytes())).submission.datetime_taken;
    assert_eq!(
        taken("url,date,time\nhttps://h/a,2018-07-16,15:21\n").as_deref(),
        Some("2018-07-16 15:21:00")
    );
    let whole = "url,datetime,time\nhttps://h/a,2018-07-16 01:02:03,15:21\n";
    assert_eq!(taken(whole).as_deref(), Some("2018-07-16 01:02:03"), "a column of times needs no other");
    let off = mapped(&folder, "url,date,time\nhttps://h/a,2018-07-16,00:03:12 long\n", &["time=''"]);
    assert_eq!(first(&off).submission.datetime_taken.as_deref(), Some("2018-07-16 00:00:00"));
}

#[test]
fn offsets_that_differ_are_said_once() {
    let folder = Shelf::new();
    let text = b"url,date\nhttps://h/a,2020-05-30T04:57:37+02:00\nhttps://h/b,2020-05-30T04:57:37Z\n";
    assert!(notices(&folder.put(text))[0].contains("(+00:00 and +02:00)"));
    let same = b"url,date\nhttps://h/a,2020-05-30T04:57:37Z\nhttps://h/b,2020-05-31\n";
    assert!(notices(&folder.put(same)).is_empty(), "a day alone has no offset");
}

#[test]
fn where_two_columns_fit_a_field_both_are_named_and_the_capture_wins() {
    let folder = Shelf::new();
    let spec = folder.put(b"url,capture_time,date,decimalLatitude,decimalLongitude\nhttps://h/a,2018-07-16,2020-01-01,1.5,2.5\n");
    let row = first(&spec);
    assert_eq!(row.submission.datetime_taken.as_deref(), Some("2018-07-16 00:00:00"));
    assert_eq!(place(&row), Some((1.5, 2.5)));
    let notes = Manifest::open(&spec).unwrap().column_notes();
    assert_eq!(notes, ["datetime: capture_time is used, and date is not; --map datetime=COLUMN chooses"]);
}

#[test]
fn an_address_of_an_api_is_said_where_another_column_names_the_files() {
    let folder = Shelf::new();
    let notes = |text: &str| Manifest::open(&folder.put(text.as_bytes())).unwrap().column_notes();
    let page = |rest: &str| format!("{{\"results\":[{{\"id\":1,\"url\":\"https://h/v/1/\",{rest}}}]}}");
    let expected = |column: &str| {
        vec![format!(
            "url: results[].url is used, and its addresses name no video file; those in results[].{column} do; --map url=COLUMN chooses"
        )]
    };
    assert_eq!(notes(&page("\"file\":\"https://h/1.mp4\"")), expected("file"));
    let attached = "\"attachments\":[{\"url\":\"https://h/1.mp4\",\"mime_type\":\"video/mp4\"}]";
    assert_eq!(notes(&page(attached)), expected("attachments"));
    assert!(notes("url,thumb,preview\nhttps://h/1.mp4,https://h/1.jpg,https://h/1.webm\n").is_empty());
    assert!(notes("url,note\nhttps://h/1,see https://h/1.html\n").is_empty());
}

#[test]
fn columns_that_feed_nothing_are_listed_first_those_that_resemble_a_field() {
    let folder = Shelf::new();
    let spec = folder.put(b"url,note,Shot on,Where\nhttps://h/a,x,03/04/2019,\"52.5,13.4\"\n");
    let manifest = Manifest::open(&spec).unwrap();
    let unused: Vec<(&str, Option<&str>)> =
        manifest.unused().iter().map(|column| (column.name.as_str(), column.resembles)).collect();
    assert_eq!(unused, [("Shot on", Some("datetime")), ("Where", Some("geo")), ("note", None)]);
}

#[test]
fn the_url_is_never_recognised_in_a_joined_file() {
    let folder = Shelf::new();
    let people = folder.0.path().join("people.csv");
    std::fs::write(&people, "id,url\np1,https://people/p1\n").unwrap();
    let spec = folder.put(b"person,clip\np1,https://h/a.mp4\n");
    let spec =
        ManifestSpec { joins: vec![format!("{}:person=id", people.display()).parse().unwrap()], ..spec };
    assert!(matches!(Manifest::open(&spec), Err(ManifestError::NoUrlColumn { .. })));
}

#[test]
fn a_place_and_a_time_come_from_one_file() {
    let folder = Shelf::new();
    let sites = folder.0.path().join("sites.csv");
    let read_with = |own: &str, cells: &str, sites_text: &str| {
        std::fs::write(&sites, sites_text).unwrap();
        let spec = folder.put(format!("url,site,{own}\nhttps://h/a,s1,{cells}\n").as_bytes());
        let joins = vec![format!("{}:site", sites.display()).parse().unwrap()];
        first(&ManifestSpec { joins, ..spec })
    };
    let second = "site,latitude,longitude,time\ns1,10.5,20.5,07:30\n";
    // half a pair beside a whole one
    assert!(is_at(&read_with("latitude", "1.5", second), 10.5, 20.5));
    // a whole pair of the manifest is nearer to the video than that of its site
    assert!(is_at(&read_with("lat,lng", "1.5,2.5", second), 1.5, 2.5));
    assert!(is_at(&read_with("gps", "\"1.5,2.5\"", second), 1.5, 2.5));
    // the hemisphere of another file
    let east = "site,lat_ref,latitude\ns1,S,3.5\n";
    assert!(is_at(&read_with("lat,lng", "1.5,2.5", east), 1.5, 2.5));
    // the time of day of another file
    assert_eq!(
        read_with("date", "2020-01-02", second).submission.datetime_taken.as_deref(),
        Some("2020-01-02 00:00:00")
    );
}

#[test]
fn a_second_file_is_joined_by_two_keys_or_by_a_part_of_a_cell() {
    let folder = Shelf::new();
    let sites = folder.0.path().join("sites.csv");
    std::fs::write(&sites, "site,day,camera\ns1,1,X\ns1,2,Y\n").unwrap();
    let camera = |text: &str, keys: &str| {
        let spec = folder.put(text.as_bytes());
        let spec =
            ManifestSpec { joins: vec![format!("{}:{keys}", sites.display()).parse().unwrap()], ..spec };
        first(&spec).submission.camera_model
    };
    assert_eq!(
        camera("url,site,date\nhttps://h/a,s1,2020-01-02\n", "site,date|replace '2020-01-0' ''=day")
            .as_deref(),
        Some("Y")
    );
    std::fs::write(&sites, "site,camera\ns1,X\n").unwrap();
    assert_eq!(
        camera("url,path\nhttps://h/a,s1/2/a.mp4\n", "path|split '/'|first=site").as_deref(),
        Some("X")
    );
}

#[test]
fn a_guess_takes_the_videos_before_pages_images_and_licences() {
    let folder = Shelf::new();
    let url_of = |header: &str, row: &dyn Fn(usize) -> String| {
        let rows: String = (0..12).map(|at| row(at) + "\n").collect();
        let inference = infer(&folder.put(format!("{header}\n{rows}").as_bytes())).unwrap();
        let url = inference.proposals.iter().find(|proposal| proposal.rule.field == Field::Url);
        (url.map(|proposal| proposal.rule.to_string()), inference.notes.join("\n"))
    };
    let (url, notes) =
        url_of("image,file,page", &|at| format!("https://h/{at}.jpg,https://h/{at}.mp4,https://h/{at}.html"));
    assert_eq!(url.as_deref(), Some("url=file"));
    assert!(notes.contains("image (images by their names)") && notes.contains("page ("), "{notes}");
    let (url, _) =
        url_of("license,page", &|at| format!("http://creativecommons.org/licenses/by/3.0/,https://h/p/{at}"));
    assert_eq!(url.as_deref(), Some("url=page"));
    let (url, notes) = url_of("license,n", &|at| format!("http://creativecommons.org/licenses/by/3.0/,{at}"));
    assert_eq!(url, None);
    assert!(notes.contains("few different ones"), "{notes}");
}

#[test]
fn a_guess_takes_neither_the_codes_of_sites_for_places_nor_a_birth_date_for_the_capture() {
    let folder = Shelf::new();
    let rules = |header: &str, row: &dyn Fn(usize) -> String| {
        let rows: String = (0..12).map(|at| row(at) + "\n").collect();
        let inference = infer(&folder.put(format!("{header}\n{rows}").as_bytes())).unwrap();
        let rules: Vec<String> =
            inference.proposals.iter().map(|proposal| proposal.rule.to_string()).collect();
        rules.join(", ")
    };
    let codes = |at: usize| format!("https://h/{at}.mp4,S{at},E{at},00:01:{at:02}");
    assert_eq!(rules("clip,site,station,length", &codes), "url=clip");
    let degrees = |at: usize| format!("https://h/{at}.mp4,S{at} 30.5,E{at} 12.1");
    assert_eq!(rules("clip,a,b", &degrees), "url=clip, latitude=a, longitude=b");
    let dates = |at: usize| {
        format!("https://h/{at}.mp4,1980-01-{:02},2020-01-{:02},2019-01-{:02}", at + 1, at + 1, at + 1)
    };
    assert_eq!(rules("clip,birth date,imported,shot", &dates), "url=clip, datetime=shot");
}

#[test]
fn a_guess_takes_words_that_come_again_for_tags_and_titles_for_none() {
    let folder = Shelf::new();
    let row = |at: usize| format!("https://h/{at}.mp4,Title {at},{},{}", ["fog", "rain"][at % 2], at % 2);
    let rows = (0..12).map(row).collect::<Vec<_>>().join("\n");
    let inference = infer(&folder.put(format!("url,title,weather,n\n{rows}").as_bytes())).unwrap();
    let tags = inference.proposals.iter().find(|proposal| proposal.rule.field == Field::Tags);
    assert_eq!(tags.map(|proposal| proposal.rule.to_string()).as_deref(), Some("tags=weather"));
}

#[test]
fn a_guess_finds_the_escape_that_gives_rows_the_same_width() {
    let folder = Shelf::new();
    let text =
        "url,title,tags\nhttps://h/a.mp4,\"plain\",a\nhttps://h/b.mp4,\"ends with \\\", and more\",b\n";
    assert_eq!(infer(&folder.put(text.as_bytes())).unwrap().escape, Some(b'\\'));
    assert_eq!(infer(&folder.put(b"url,title\nhttps://h/a.mp4,\"plain\"\n")).unwrap().escape, None);
}
