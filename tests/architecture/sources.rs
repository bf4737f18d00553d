//! The source files, and what each imports.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// Every source file below `src`, with its text up to its unit tests.
pub(super) fn sources() -> BTreeMap<PathBuf, String> {
    let mut found = files(&["src"]);
    found.retain(|path, _| !path.ends_with("tests.rs") && !path.iter().any(|part| part == "tests"));
    for text in found.values_mut() {
        let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default().len();
        text.truncate(code);
    }
    assert!(found.len() > 40, "the sources were not found");
    found
}

/// Every Rust file below these folders, with its whole text.
pub(super) fn files(folders: &[&str]) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    for folder in folders {
        collect(Path::new(folder), &mut found);
    }
    found
}

fn collect(folder: &Path, found: &mut BTreeMap<PathBuf, String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            found.insert(path, text);
        }
    }
}

/// The module a file belongs to: its folder or file directly below `src`.
pub(super) fn module(path: &Path) -> String {
    let inside = path.strip_prefix("src").unwrap();
    let first = inside.components().next().unwrap().as_os_str().to_string_lossy().into_owned();
    first.trim_end_matches(".rs").to_owned()
}

/// The path of a file's own module, such as `crate::ledger::store`.
pub(super) fn own_path(path: &Path) -> Vec<String> {
    let inside = path.strip_prefix("src").unwrap().with_extension("");
    let mut parts: Vec<String> =
        inside.components().map(|part| part.as_os_str().to_string_lossy().into_owned()).collect();
    if matches!(parts.last().map(String::as_str), Some("mod" | "lib" | "main")) {
        parts.pop();
    }
    parts
}

/// Every path that a text imports or names from the crate, from its root: `crate::a::b`, and `super::b` resolved.
pub(super) fn named_paths(path: &Path, text: &str) -> Vec<Vec<String>> {
    let own = own_path(path);
    let mut named = Vec::new();
    let code: String =
        text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    for start in ["crate::", "super::"] {
        let mut rest = code.as_str();
        while let Some(at) = rest.find(start) {
            let is_whole = !rest[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':');
            let mut inner = &rest[at..];
            let mut base = Vec::new();
            if let Some(behind) = inner.strip_prefix("crate::") {
                inner = behind;
            } else {
                base.clone_from(&own);
                while let Some(behind) = inner.strip_prefix("super::") {
                    inner = behind;
                    base.pop();
                }
            }
            if is_whole {
                expand(&base, inner, &mut named);
            }
            rest = &rest[at + start.len()..];
        }
    }
    named
}

/// The paths of `a::b`, or of the group `{a::b, c::{d, e}}`, behind a base.
fn expand(base: &[String], text: &str, named: &mut Vec<Vec<String>>) {
    if let Some(inner) = text.strip_prefix('{') {
        for part in parts_of_group(inner) {
            expand(base, part.trim(), named);
        }
        return;
    }
    let word: String = text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    if word.is_empty() {
        return;
    }
    let mut path = base.to_vec();
    path.push(word.clone());
    named.push(path.clone());
    if let Some(behind) = text[word.len()..].strip_prefix("::") {
        expand(&path, behind, named);
    }
}

/// The parts of `a::b, c::{d, e}}...`, up to the brace that closes the group.
fn parts_of_group(inner: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut depth = 1;
    for c in inner.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            break;
        }
        if c == ',' && depth == 1 {
            parts.push(String::new());
        } else if let Some(part) = parts.last_mut() {
            part.push(c);
        }
    }
    parts
}
