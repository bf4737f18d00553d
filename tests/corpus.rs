//! Odd and bad manifests in many shapes: each is read as its verdict says, whatever is wrong with it.

use std::{fmt::Write as _, path::Path};

use telecine::manifest::{Manifest, ManifestSpec};

use crate::data::corpus::{Verdict, corpus};

fn read(path: &Path) -> Verdict {
    let words = |error: telecine::manifest::ManifestError| error.to_string();
    let mut manifest = Manifest::open(&ManifestSpec::with_defaults(path.to_str().unwrap())).map_err(words)?;
    let (mut good, mut faults) = (0, Vec::new());
    while let Some(row) = manifest.next().map_err(words)? {
        match row {
            Ok(_) => good += 1,
            Err(error) => {
                let problem = error.problems.into_iter().next().unwrap();
                assert!(!problem.message.is_empty() && !problem.fix.is_empty(), "{problem:?}");
                assert!(!problem.value.contains("password"), "{problem:?}");
                faults.push((error.line, problem.class));
            }
        }
    }
    Ok((good, faults))
}

#[test]
fn every_file_of_the_corpus_is_read_as_its_expected_result_says() {
    let files = corpus();
    assert!(files.len() >= 600, "only {} files", files.len());
    let folder = tempfile::tempdir().unwrap();
    let mut wrong = String::new();
    for (name, (bytes, verdict)) in &files {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let read = read(&path);
        let is_right = match (verdict, &read) {
            (Err(words), Err(error)) => error.contains(words.as_str()),
            (Ok(expected), Ok(read)) => expected == read,
            (Err(_), Ok(_)) | (Ok(_), Err(_)) => false,
        };
        if !is_right {
            let _ = writeln!(wrong, "{name}: {read:?}");
        }
        std::fs::remove_file(path).unwrap();
    }
    assert!(wrong.is_empty(), "of {} files:\n{wrong}", files.len());
}
