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

#[test]
fn exports_of_other_programs_are_read_right_or_not_in_silence() {
    let utf16 = "url\ttags\r\nhttps://h/a\tNächte\r\n".encode_utf16().flat_map(u16::to_le_bytes);
    let utf16: Vec<u8> = [0xff, 0xfe].into_iter().chain(utf16).collect();
    let exports: [(&[u8], &[&str], &[&str]); 32] = [
        // pandas: index column, list literals, nan
        (b",url,tags\n0,https://h/a,\"['fog', 'sea']\"\n1,https://h/b,nan\n", &[], &["a|fog+sea", "b"]),
        // R write.csv without row.names = FALSE in write.table's form: a cell more than the header
        (b"\"url\",\"tags\"\n\"1\",\"https://h/a\",\"fog\"\n", &[], &["column_count"]),
        // Stata and SAS: a dot is a missing value
        (b"url,lat,lon,tags\nhttps://h/a,.,.,.\n", &[], &["a"]),
        // a footer with totals
        (b"url,size\nhttps://h/a,12\n,12\nTotal,12\n", &[], &["a", "url_empty", "url_not_absolute"]),
        // Excel "Unicode text"
        (&utf16, &[], &["a|Nächte"]),
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
        (b"[{'url': 'https://h/a'}]", &[], &["refused: no record of it can be read; write JSON with double quotes, one object a row (Python"]),
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
    for (text, map, expected) in exports {
        assert_eq!(read_as(text, map), expected, "{}", String::from_utf8_lossy(text));
    }
}
