//! The manifest of the benchmarks: made-up rows with an id, a URL, five tags, a place, a time and a camera.

use std::{
    fs::File,
    io::{BufWriter, Write as _},
    path::Path,
};

use super::words;

/// Writes a manifest of so many rows.
pub(super) fn write(path: &Path, rows: u64) -> Result<(), String> {
    let mut file = BufWriter::new(File::create(path).map_err(words)?);
    writeln!(file, "id,url,tags,latitude,longitude,datetime,camera_model").map_err(words)?;
    for n in 0..rows {
        writeln!(
            file,
            "A{n:08},https://archive.example.org/masters/{:03}/clip-{n:08}.mp4?part={},\
             \"harbour; fog; take {}; reel {}; camera {}\",{}.{:05},{}.{:05},\
             {}-{:02}-{:02} {:02}:{:02}:{:02},Sony FX{}",
            n % 977,
            n % 7,
            n % 50,
            n % 900,
            n % 12,
            n % 60,
            n % 99_999,
            n % 170,
            n % 99_991,
            1990 + n % 34,
            1 + n % 12,
            1 + n % 28,
            n % 24,
            n % 60,
            n % 59,
            n % 9
        )
        .map_err(words)?;
    }
    file.flush().map_err(words)
}
