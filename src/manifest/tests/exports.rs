//! Exports of other programs, each with what must come of its rows: read right, refused, or sent with a warning.

use super::*;

/// What comes of a file: of each row its url, its tags, its time and its place, or the class of its first problem; and the classes
/// of its warnings. `refused` is the whole file.
fn read_as(text: &[u8], map: &[&str]) -> Vec<String> {
    let shelf = Shelf::new();
    let mut spec = shelf.put(text);
    spec.map = map.iter().map(|rule| rule.parse().unwrap()).collect();
    let mut manifest = match Manifest::open(&spec) {
        Ok(manifest) => manifest,
        Err(error) => {
            return vec![format!("refused: {}", error.to_string().split(": ").nth(1).unwrap_or_default())];
        }
    };
    manifest.warn_at(UnixMillis(1_700_000_000_000));
    let mut rows = Vec::new();
    while let Some(row) = manifest.next().unwrap() {
        rows.push(match row {
            Ok(row) => {
                let sent = row.submission;
                let place = sent.coordinates.map(|place| format!("{},{}", place.latitude, place.longitude));
                let warnings: Vec<&str> = row.warnings.iter().map(|warning| warning.class.as_str()).collect();
                let parts = [
                    sent.url.as_str().trim_start_matches("https://h/").to_owned(),
                    sent.tags.join("+"),
                    sent.datetime_taken.unwrap_or_default(),
                    place.unwrap_or_default(),
                    warnings.join("+"),
                ];
                parts.join("|").trim_end_matches('|').to_owned()
            }
            Err(error) => error.problems[0].class.clone(),
        });
    }
    rows
}

/// A file, its `--map`, and how its rows are read.
type Export = (&'static [u8], &'static [&'static str], &'static [&'static str]);

const EXPORTS: [Export; 31] = [
        // pandas: index column, list literals, nan
        (b",url,tags\n0,https://h/a,\"['fog', 'sea']\"\n1,https://h/b,nan\n", &[], &["a|fog+sea", "b"]),
        // R write.csv without row.names = FALSE in write.table's form: a cell more than the header
        (b"\"url\",\"tags\"\n\"1\",\"https://h/a\",\"fog\"\n", &[], &["column_count"]),
        // Stata and SAS: a dot is a missing value
        (b"url,lat,lon,tags\nhttps://h/a,.,.,.\n", &[], &["a"]),
        // a footer with totals
        (b"url,size\nhttps://h/a,12\n,12\nTotal,12\n", &[], &["a", "url_empty", "url_not_absolute"]),
        // European Excel: semicolons and decimal commas
        (b"url;lat;lon;tags\r\nhttps://h/a;52,5;13,4;\"fog, sea\"\r\n", &[], &["a|fog+sea||52.5,13.4"]),
        (b"url;tags\nhttps://h/a;N\xe4chte \x96 fog\n", &[], &["a|Nächte – fog"]),
        (b"url,tags\nhttps://h/a,fo\0g\nhttps://h/b,x\n", &[], &["nul_byte", "b|x"]),
        (b"url,tags,\nhttps://h/a,fog,\n", &[], &["a|fog"]),
        (b"url,tags\nhttps://h/a,fog,\n", &[], &["column_count"]),
        (b"\"Video\nURL\",\"Date\ntaken\"\nhttps://h/a,2019-05-06\n", &[], &["a||2019-05-06 00:00:00"]),
        // a formula of Google Sheets and Excel that was exported as it is
        (b"title,url\nA,\"=HYPERLINK(\"\"https://h/a\"\",\"\"Watch\"\")\"\nB,=A2\n", &[], &["a", "url_not_absolute"]),
        // Airtable: the name of an attachment before its address
        (b"Name,URL\nDune,a.mp4 (https://h/a.mp4)\n", &[], &["url_not_absolute"]),
        // PostgreSQL COPY text: escapes, and the mark of the end
        (b"url\ttags\nhttps://h/a\tfog\\nsea\n", &[], &["a|fog\\nsea|||text_backslash_escaped"]),
        // S3 inventories hold keys that are encoded already
        (
            b"bucket,key\nb,a%20b.mp4\n",
            &["url=https://h/{key}"],
            &["a%2520b.mp4||||url_encoded_twice"],
        ),
        (b"bucket,key\nb,a%20b.mp4\n", &["url=https://h/{key|raw}"], &["a%20b.mp4"]),
        (b"id,url,tag_list\n1,https://www.inaturalist.org/observations/1,fog\n", &[], &[
            "https://www.inaturalist.org/observations/1|fog|||url_page",
        ]),
        // MongoDB extended JSON
        (
            b"{\"_id\":{\"$oid\":\"5c\"},\"url\":\"https://h/a\",\"date\":{\"$date\":\"2019-05-06T07:08:09Z\"}}\n\
              {\"url\":\"https://h/b\",\"date\":{\"$date\":{\"$numberLong\":\"1531754460000\"}}}\n",
            &[],
            &["a||2019-05-06 07:08:09", "b||2018-07-16 15:21:00"],
        ),
        // Brightcove: a poster is no video, and several files are not chosen from
        (
            b"[{\"id\":\"1\",\"images\":{\"poster\":{\"src\":\"https://h/p.jpg\"}},\"sources\":[{\"src\":\"https://h/a.mp4\"}]}]",
            &[],
            &["refused: no column is recognised as the url; name it"],
        ),
        // Google Sheets API, Wayback CDX, pandas orient=split
        (
            b"{\"range\":\"S!A1:B3\",\"values\":[[\"url\",\"tags\"],[\"https://h/a\",\"fog\"],[\"https://h/b\"]]}",
            &[],
            &["a|fog", "b"],
        ),
        (b"[[\"url\",\"tags\"],\n[\"https://h/a\",\"fog\"]]", &[], &["a|fog"]),
        (
            b"{\"columns\":[\"url\",\"tags\"],\"index\":[0,1],\"data\":[[\"https://h/a\",null],[\"https://h/b\",NaN]]}",
            &[],
            &["a", "b"],
        ),
        (
            b"{\"schema\":{\"fields\":[{\"name\":\"url\"}]},\"data\":[{\"index\":0,\"url\":\"https://h/a\"},{\"url\":\"https://h/b\"}]}",
            &[],
            &["a", "b"],
        ),
        // versions of one video are no rows of their own
        (
            b"{\"id\":1,\"videos\":{\"hd\":{\"url\":\"https://h/hd\"},\"sd\":{\"url\":\"https://h/sd\"}}}",
            &[],
            &["refused: the file is one JSON object, and the values of videos could be rows; say which"],
        ),
        (
            b"{\"id\":1,\"videos\":{\"hd\":{\"url\":\"https://h/hd\"},\"sd\":{\"url\":\"https://h/sd\"}}}",
            &["url=videos.hd.url"],
            &["hd"],
        ),
        (b"url,tags\nhttps://h/a,\"[{\"\"name\"\":\"\"fog\"\"},{\"\"name\"\":\"\"sea\"\"}]\"\n", &[], &["a|fog+sea"]),
        // a text that a spreadsheet must not read as a number
        (b"url,lat,lon,tags\n=\"https://h/a\",=\"52.5\",=\"13.4\",=\"0012\"\n", &[], &["a|0012||52.5,13.4"]),
        (b"url\nhttps://h/a#1.mp4\n", &[], &["a#1.mp4||||url_hash_sign"]),
        (b"[{'url': 'https://h/a'}]", &[], &["refused: not valid JSON (key must be a string) at line 1, column 3; correct it there, or write the file with a JSON library (Python"]),
        (b"[]", &[], &["refused: the manifest is empty; it needs at least a header line and one row"]),
        // Elasticsearch bulk: every second line is an action
        (b"{\"index\":{\"_id\":\"1\"}}\n{\"url\":\"https://h/a\"}\n", &[], &["url_empty", "a"]),
        // Google Takeout: the place of the phone is not known
        (
            b"{\"url\":\"https://h/a\",\"photoTakenTime\":{\"timestamp\":\"1531754460\"},\"geoData\":{\"latitude\":0.0,\"longitude\":0.0}}",
            &[],
            &["a||2018-07-16 15:21:00|0,0|coordinates_null_island"],
        ),
    ];

#[test]
fn exports_of_other_programs_are_read_right_or_not_in_silence() {
    // Excel "Unicode text"
    let utf16 = "url\ttags\r\nhttps://h/a\tNächte\r\n".encode_utf16().flat_map(u16::to_le_bytes);
    let utf16: Vec<u8> = [0xff, 0xfe].into_iter().chain(utf16).collect();
    assert_eq!(read_as(&utf16, &[]), ["a|Nächte"]);
    for (text, map, expected) in EXPORTS {
        assert_eq!(read_as(text, map), expected, "{}", String::from_utf8_lossy(text));
    }
}

#[test]
fn points_pairs_and_rules_lead_to_the_place_that_is_meant() {
    let late =
        |first: &str, count: usize, last: &str| -> Vec<u8> { (first.repeat(count) + last).into_bytes() };
    let point = "{\"url\":\"https://h/z\",\"loc\":{\"type\":\"Point\",\"coordinates\":[13.5,52.6]}}\n";
    let late_point = late("{\"url\":\"https://h/y\"}\n", 1_100, point);
    assert_eq!(
        read_as(&late_point, &[]).last().map(String::as_str),
        Some("z|||52.6,13.5"),
        "behind the sample"
    );
    let cases: [(&[u8], &[&str], &[&str]); 16] = [
        (
            b"{\"url\":\"https://h/a\",\"loc\":{\"type\":\"point\",\"coordinates\":[13.4,52.5]}}\n\
              {\"url\":\"https://h/b\",\"loc\":{\"type\":\"Point\",\"coordinates\":[13.4,52.5]}}\n\
              {\"url\":\"https://h/c\",\"loc\":{\"coordinates\":[13.4,52.5]}}\n",
            &[],
            &["a|||52.5,13.4", "b|||52.5,13.4", "c|||52.5,13.4"],
        ),
        (
            b"{\"url\":\"https://h/a\",\"loc\":{\"type\":\"MultiPoint\",\"coordinates\":[[13.4,52.5]]}}\n",
            &[],
            &["a|||52.5,13.4"],
        ),
        (
            b"url,m\nhttps://h/a,\"{\"\"type\"\":\"\"MultiPoint\"\",\"\"coordinates\"\":[[13.4,52.5]]}\"\n",
            &["geo=m|json coordinates"],
            &["a|||52.5,13.4"],
        ),
        // a hemisphere belongs to its own pair
        (
            b"url,camera_lat,camera_lon,site_lat,site_lon,site_lat_ref,site_lon_ref\nhttps://h/a,52.5,13.4,1.5,2.5,S,W\n",
            &[],
            &["a|||52.5,13.4"],
        ),
        // telecine's own file of bad rows
        (
            b"telecine_line,telecine_manifest,url,loc.type,loc.coordinates\n1,m.json,https://h/a,Point,\"[13.4,52.5]\"\n",
            &[],
            &["a|||52.5,13.4"],
        ),
        // a geometry in a cell
        (
            b"url,geom\nhttps://h/a,\"{\"\"type\"\":\"\"Point\"\",\"\"coordinates\"\":[13.4,52.5]}\"\n",
            &["geo=geom|json coordinates"],
            &["a|||52.5,13.4"],
        ),
        // columns of one pair belong together
        (b"url,lat,gps_lat,gps_lon\nhttps://h/a,53.5,51.5,12.4\n", &[], &["a|||51.5,12.4"]),
        (b"url,site_lat,camera_lon,camera_lat,site_lon\nhttps://h/a,53.5,14.4,51.5,12.4\n", &[], &["a|||53.5,12.4"]),
        (b"url,lat,gps_lon\nhttps://h/a,53.5,12.4\n", &[], &["a|||53.5,12.4"]),
        // a rule goes before recognition
        (b"url,geo,lat,lon\nhttps://h/a,\"1.5,2.5\",52.5,13.4\n", &["geo=geo"], &["a|||1.5,2.5"]),
        (
            b"url,y,x,GPSLatitudeRef,GPSLongitudeRef\nhttps://h/a,52.5,13.4,S,W\n",
            &["latitude=y", "longitude=x"],
            &["a|||52.5,13.4"],
        ),
        (
            b"url,GPSLatitude,GPSLongitude,GPSLatitudeRef,GPSLongitudeRef\nhttps://h/a,52.5,13.4,S,W\n",
            &["latitude=GPSLatitude"],
            &["a|||-52.5,-13.4"],
        ),
        // a cell that a transform cannot read refuses its row, whatever it feeds
        (b"url,meta\nhttps://h/a,no json\n", &["unique_id=meta|json d"], &["json_cell"]),
        (b"url,meta\nhttps://h/a,no json\n", &["latitude=meta|json lat", "longitude=meta|json lon"], &["json_cell"]),
        (b"url,meta\nhttps://h/a,no json\n", &["hash=meta|json lat"], &["json_cell"]),
        (b"url,tags\nhttps://h/a,M%FCnchen\n", &["tags=tags|form"], &["form_not_utf8"]),
    ];
    for (text, map, expected) in cases {
        assert_eq!(read_as(text, map), expected, "{}", String::from_utf8_lossy(text));
    }
}

#[test]
fn a_file_that_ends_too_early_or_is_no_list_is_not_read_in_silence() {
    let cases: [(&[u8], &[&str]); 5] = [
        (b"[{\"url\":\"https://h/a\"},\n{\"url\":\"https://h/b\"}", &["a", "b", "unterminated_json"]),
        (b"[{\"url\":\"https://h/a\"},\n{\"url\":\"https://h/b\"},\n", &["a", "b", "unterminated_json"]),
        (b"[{\"url\":\"https://h/a\"},\n{\"url\":\"https://h/b\"}]\n", &["a", "b"]),
        (
            b"https://h/1.mp4, Dune walk, part 1\nhttps://h/2.mp4, Harbour\n",
            &["refused: no column is recognised as the url; name it"],
        ),
        (
            b"url,tags\nhttps://h/a,\"a:1:{i:0;s:3:\"\"fog\"\";}\"\n",
            &["a|a:1:{i:0+s:3:\"fog\"+}|||tag_fragment"],
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(read_as(text, &[]), expected, "{}", String::from_utf8_lossy(text));
    }
    // a section that says how the manifest is written holds for what telecine wrote of it, too
    let shelf = Shelf::new();
    let own = "telecine_line,telecine_manifest,url,tags\n1,m.csv,https://h/a,Straße\n";
    let mut spec = shelf.put(own.as_bytes());
    spec.dialect.encoding = Some("windows-1252".parse().unwrap());
    assert_eq!(read(&spec)[0].as_ref().unwrap().submission.tags, ["Straße"]);
}
