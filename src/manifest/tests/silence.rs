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
