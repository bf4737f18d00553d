//! Manifests that end badly: a quote that is never closed is no row, and the last row is one.

use telecine::manifest::Manifest;

use crate::{harness::spec, state_counts::Part};

/// A text, how many good rows it has, and how many faults.
const TEXTS: &[(&str, usize, usize)] = &[
    ("url\nhttps://host/a.mp4\nhttps://host/b.mp4", 2, 0),
    ("url\nhttps://host/a.mp4\n\"https://host/b.mp4", 1, 1),
    ("url,tags\nhttps://host/a.mp4,\"a\nhttps://host/b.mp4,b\nhttps://host/c.mp4,c\n", 0, 1),
    ("url,tags\r\nhttps://host/a.mp4,a\r\nhttps://host/b.mp4,\"b\"", 2, 0),
    ("url\n\"https://host/a.mp4\"\n\"", 1, 1),
];

/// One text.
pub(crate) fn seed(seed: u64) -> Part {
    let mut part = Part::default();
    let (text, rows, faults) = TEXTS[usize::try_from(seed % TEXTS.len() as u64).unwrap_or(0)];
    part.add("texts", 1);
    match read(text) {
        Ok(found) if found == (rows, faults) => {}
        found => part.failures.push(format!("{text:?}: {found:?}, expected {rows} rows and {faults} faults")),
    }
    part
}

fn read(text: &str) -> Result<(usize, usize), String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let path = folder.path().join("m.csv");
    std::fs::write(&path, text).map_err(|error| error.to_string())?;
    let mut manifest = Manifest::open(&spec(&path)).map_err(|error| error.to_string())?;
    let (mut rows, mut faults) = (0, 0);
    while let Some(row) = manifest.next().map_err(|error| error.to_string())? {
        if row.is_ok() { rows += 1 } else { faults += 1 }
    }
    Ok((rows, faults))
}
