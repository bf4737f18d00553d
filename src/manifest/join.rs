//! A second file whose columns are added to every row, found by a key that both hold.

use std::{collections::HashMap, fmt, str::FromStr};

use super::{
    ManifestError,
    dialect::Dialect,
    mapping::{MapRuleError, Selector, Transform, apply},
    table::{Ask, Table},
    values::{missing::MissingRules, trim},
};

/// A second file is kept in memory up to this many bytes of cells.
const JOIN_BYTES_MAX: usize = 256 * 1024 * 1024;

/// One `--join FILE:KEY`, `FILE:OWN=THEIRS` where the key has two names, or several keys with a comma in between.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Join {
    /// The second file.
    pub path: String,
    /// All of them must be the same.
    pub keys: Vec<JoinKey>,
}

/// A column of the manifest and one of the second file that hold the same value, perhaps after transforms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinKey {
    pub own: Selector,
    pub theirs: Selector,
}

impl FromStr for Join {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = "expected FILE:KEY, FILE:OWN=THEIRS where the key has two names, or FILE:KEY,KEY for two keys: \
                    deployments.csv:deploymentID";
        // a colon behind the first transform is one of its arguments
        let before_transforms = text.split('|').next().unwrap_or(text);
        let (path, _) = before_transforms.rsplit_once(':').ok_or(form)?;
        if path.trim().is_empty() {
            return Err(form.to_owned());
        }
        let mut rest = &text[path.len() + 1..];
        let mut keys = Vec::new();
        loop {
            let read = |text, ends: &[char]| {
                Selector::read(text, ends).map_err(|error| match error {
                    MapRuleError::Form => form.to_owned(),
                    error @ (MapRuleError::Field(_)
                    | MapRuleError::Open(_)
                    | MapRuleError::Quote(_)
                    | MapRuleError::Transform(_)) => error.to_string(),
                })
            };
            let (own, behind) = read(rest, &['=', ','])?;
            let (theirs, behind) = match behind.strip_prefix('=') {
                Some(behind) => read(behind, &[','])?,
                None => (own.clone(), behind),
            };
            keys.push(JoinKey { own, theirs });
            match behind.strip_prefix(',') {
                Some(behind) => rest = behind,
                None => return Ok(Self { path: path.to_owned(), keys }),
            }
        }
    }
}

impl fmt::Display for Join {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path)?;
        for (at, JoinKey { own, theirs }) in self.keys.iter().enumerate() {
            write!(f, "{}{own}", if at == 0 { ':' } else { ',' })?;
            if own != theirs {
                write!(f, "={theirs}")?;
            }
        }
        Ok(())
    }
}

/// The rows of a second file, by their key.
pub(super) struct Joined {
    /// The columns of the manifest that hold the key, from 0.
    pub(super) own: Vec<KeyColumn>,
    /// The added columns.
    pub(super) names: Vec<String>,
    /// Where they are already, in a file that telecine wrote from a manifest that was joined: a cell that is filled there
    /// goes before the second file's.
    pub(super) places: Option<Vec<usize>>,
    /// Of everything in it.
    pub(super) digest: blake3::Hash,
    /// What was found out about the file, for the user.
    pub(super) found: Vec<String>,
    /// Whether it counts its days from 1904 on.
    pub(super) has_1904_epoch: bool,
    /// Which texts are no key.
    missing: MissingRules,
    rows: HashMap<String, Vec<String>>,
    empty: Vec<String>,
}

/// A column of a key, from 0, and what its value goes through.
pub(super) type KeyColumn = (usize, Vec<Transform>);

/// What is between the parts of a key: no cell that people write holds it.
const BETWEEN_PARTS: char = '\u{1f}';

/// The key that a row's cells hold. `None`: a part of it is empty or missing, or is not what its transforms read.
fn key_of<T: AsRef<str>>(columns: &[KeyColumn], cells: &[T], missing: &MissingRules) -> Option<String> {
    let mut key = String::new();
    for (at, (column, transforms)) in columns.iter().enumerate() {
        let values = apply(trim(cells.get(*column)?.as_ref()), transforms).ok()?;
        let value = values.first().filter(|_| values.len() == 1)?;
        if value.is_empty() || missing.is_missing(value) {
            return None;
        }
        if at > 0 {
            key.push(BETWEEN_PARTS);
        }
        key.push_str(value);
    }
    Some(key)
}

/// The rows of a second file by their keys, each without the cells that are left out, and the digest of the whole file.
fn read_rows(
    path: &str,
    table: &mut Table,
    key_of_row: impl Fn(&[String]) -> Option<String>,
    without_key: impl Fn(&[String]) -> Vec<String>,
) -> Result<(HashMap<String, Vec<String>>, blake3::Hash), ManifestError> {
    let mut rows = HashMap::new();
    let mut bytes = 0;
    let mut hasher = blake3::Hasher::new();
    while let Some((line, cells)) = table.next_row()? {
        let bad = |what: String| ManifestError::BadJoin { path: path.to_owned(), line, what };
        let cells = cells.map_err(bad)?;
        for cell in &cells {
            hasher.update(&(cell.len() as u64).to_le_bytes());
            hasher.update(cell.as_bytes());
        }
        bytes += cells.iter().map(|cell| cell.len() + size_of::<String>()).sum::<usize>();
        if bytes > JOIN_BYTES_MAX {
            return Err(bad("the file is larger than the 256 MiB that --join keeps in memory".to_owned()));
        }
        let Some(key) = key_of_row(&cells) else { continue };
        let shown = crate::redact::opaque(&key.replace(BETWEEN_PARTS, ", "));
        if rows.insert(key, without_key(&cells)).is_some() {
            return Err(bad(format!("the key {shown} is there twice; which row is meant is not known")));
        }
    }
    Ok((rows, hasher.finalize()))
}

impl Joined {
    /// Reads the second file to its end. `own_names` are the columns of the manifest.
    pub(super) fn read(
        join: &Join,
        own_names: &[String],
        is_own_output: bool,
        missing: &MissingRules,
    ) -> Result<Self, ManifestError> {
        let opened = Table::open(&Ask::with_defaults(&join.path, &Dialect::default()));
        let mut table = opened.map_err(|error| {
            if let ManifestError::Unreadable { path, source } = error {
                return ManifestError::UnreadableJoin { path, source };
            }
            error
        })?;
        let find = |names: &[String], name: &str, path: &str| {
            let found = super::mapping::find_name(names, name);
            found.ok_or_else(|| ManifestError::UnknownColumn {
                path: path.to_owned(),
                flag: format!("--join {}", crate::redact::clean(&join.to_string())),
                column: crate::redact::clean(name),
                hint: super::mapping::hint_for(names, name),
            })
        };
        let column = |names: &[String], selector: &Selector, path: &str| {
            find(names, &selector.column, path).map(|column| (column, selector.transforms.clone()))
        };
        let own: Vec<KeyColumn> = join
            .keys
            .iter()
            .map(|key| column(own_names, &key.own, "the manifest"))
            .collect::<Result<_, _>>()?;
        let theirs: Vec<KeyColumn> = join
            .keys
            .iter()
            .map(|key| column(&table.names, &key.theirs, &join.path))
            .collect::<Result<_, _>>()?;
        // a column that is a key only in part is one of its own
        let is_key = |at: usize| theirs.iter().any(|(column, parts)| *column == at && parts.is_empty());
        let without_key = |cells: &[String]| -> Vec<String> {
            cells.iter().enumerate().filter(|(at, _)| !is_key(*at)).map(|(_, cell)| cell.clone()).collect()
        };
        let names = without_key(&table.names);
        let key_of_row = |cells: &[String]| key_of(&theirs, cells, missing);
        let (rows, digest) = read_rows(&join.path, &mut table, key_of_row, without_key)?;
        let places: Option<Vec<usize>> = is_own_output
            .then(|| names.iter().map(|name| own_names.iter().position(|own| own == name)).collect())
            .flatten();
        let shown = crate::redact::clean(&join.path);
        Ok(Self {
            own,
            places,
            found: table.found.iter().map(|found| format!("{shown}: {found}")).collect(),
            has_1904_epoch: table.has_1904_epoch(),
            digest,
            empty: vec![String::new(); names.len()],
            names,
            missing: missing.clone(),
            rows,
        })
    }

    /// The cells to add to a row, empty where the second file has none for its key; and whether it has.
    pub(super) fn of<T: AsRef<str>>(&self, cells: &[T]) -> (&[String], bool) {
        match key_of(&self.own, cells, &self.missing).and_then(|key| self.rows.get(&key)) {
            Some(cells) => (cells, true),
            None => (&self.empty, false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(own: &str, theirs: &str) -> JoinKey {
        JoinKey { own: Selector::plain(own), theirs: Selector::plain(theirs) }
    }

    #[test]
    fn a_join_names_its_file_and_its_keys() {
        let join: Join = "C:/d.csv:deploymentID".parse().unwrap();
        assert_eq!(
            (join.path.as_str(), &join.keys[..]),
            ("C:/d.csv", &[key("deploymentID", "deploymentID")][..])
        );
        let join: Join = "d.csv:site,day=date".parse().unwrap();
        assert_eq!(join.keys, [key("site", "site"), key("day", "date")]);
        for text in ["d.csv:a=b", "d.csv:a,b=c", "d.csv:path|split ':'|first=id,b"] {
            assert_eq!(text.parse::<Join>().unwrap().to_string(), text);
        }
        for bad in ["d.csv", "d.csv:", ":k", "d.csv:a=", "d.csv:a,", "d.csv:a|split 'x"] {
            assert!(bad.parse::<Join>().is_err(), "{bad}");
        }
    }
}
