//! Odd and bad manifests in many shapes: each is read as its verdict says, whatever is wrong with it.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "this is a test")]

use std::{collections::BTreeMap, path::Path};

use telecine::manifest::{Manifest, ManifestSpec};

/// What is expected of a file.
#[derive(serde::Deserialize)]
struct Verdict {
    #[serde(default)]
    good: usize,
    /// Line and class of each fault.
    #[serde(default)]
    faults: Vec<(u64, String)>,
    /// The file cannot be read at all, with these words.
    error: Option<String>,
}

/// Good rows, and line and class of each fault, or why it cannot be read.
type Read = Result<(usize, Vec<(u64, String)>), String>;

fn read(path: &Path) -> Read {
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
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/corpus");
    let text = std::fs::read_to_string(folder.join("verdicts.json")).unwrap();
    let verdicts: BTreeMap<String, Verdict> = serde_json::from_str(&text).unwrap();
    assert!(verdicts.len() >= 400, "only {} files", verdicts.len());
    let mut wrong = Vec::new();
    for (name, verdict) in &verdicts {
        let read = read(&folder.join(name));
        let is_right = match (&verdict.error, &read) {
            (Some(words), Err(error)) => error.contains(words.as_str()),
            (None, Ok((good, faults))) => (*good, faults) == (verdict.good, &verdict.faults),
            (Some(_), Ok(_)) | (None, Err(_)) => false,
        };
        if !is_right {
            wrong.push(format!("{name}: {read:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), verdicts.len(), wrong.join("\n"));
}
