//! A second file whose columns are added to every row, found by a key that both hold.

use std::{collections::HashMap, fmt, str::FromStr};

use super::{
    ManifestError,
    dialect::Dialect,
    table::{Ask, Table},
};

/// A second file is kept in memory up to this many bytes of cells.
const JOIN_BYTES_MAX: usize = 256 * 1024 * 1024;

/// One `--join FILE:KEY`, or `FILE:OWN=THEIRS` where the key has two names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Join {
    /// The second file.
    pub path: String,
    /// The key's column in the manifest.
    pub own: String,
    /// The key's column in the second file.
    pub theirs: String,
}

impl FromStr for Join {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form =
            "expected FILE:KEY, or FILE:OWN=THEIRS where the key has two names: deployments.csv:deploymentID";
        let (path, key) = text.rsplit_once(':').ok_or(form)?;
        let (own, theirs) = key.split_once('=').unwrap_or((key, key));
        if [path, own, theirs].iter().any(|part| part.trim().is_empty()) {
            return Err(form.to_owned());
        }
        Ok(Self { path: path.to_owned(), own: own.trim().to_owned(), theirs: theirs.trim().to_owned() })
    }
}

impl fmt::Display for Join {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.path, self.own)?;
        if self.own == self.theirs { Ok(()) } else { write!(f, "={}", self.theirs) }
    }
}

/// The rows of a second file, by their key.
pub(super) struct Joined {
    /// The column of the manifest that holds the key, from 0.
    pub(super) own: usize,
    /// The added columns.
    pub(super) names: Vec<String>,
    /// Where they stand already, in a file that telecine wrote from a manifest that was joined: a cell that is filled there
    /// goes before the second file's.
    pub(super) places: Option<Vec<usize>>,
    /// Of everything in it.
    pub(super) digest: blake3::Hash,
    rows: HashMap<String, Vec<String>>,
    empty: Vec<String>,
}

impl Joined {
    /// Reads the second file to its end. `own_names` are the columns of the manifest.
    pub(super) fn read(
        join: &Join,
        own_names: &[String],
        is_own_output: bool,
    ) -> Result<Self, ManifestError> {
        let mut table = Table::open(&Ask::with_defaults(&join.path, &Dialect::default()))?;
        let find = |names: &[String], name: &str, path: &str| {
            let found = super::mapping::find_name(names, name);
            found.ok_or_else(|| ManifestError::UnknownColumn {
                path: path.to_owned(),
                flag: format!("--join {}", crate::redact::clean(&join.to_string())),
                column: crate::redact::clean(name),
                hint: super::mapping::listing(names),
            })
        };
        let theirs = find(&table.names, &join.theirs, &join.path)?;
        let own = find(own_names, &join.own, "the manifest")?;
        let without_key = |cells: &[String]| -> Vec<String> {
            cells.iter().enumerate().filter(|(at, _)| *at != theirs).map(|(_, cell)| cell.clone()).collect()
        };
        let names = without_key(&table.names);
        let mut rows = HashMap::new();
        let mut bytes = 0;
        let mut hasher = blake3::Hasher::new();
        while let Some((line, cells)) = table.next_row()? {
            let bad = |what: String| ManifestError::BadJoin { path: join.path.clone(), line, what };
            let cells = cells.map_err(bad)?;
            for cell in &cells {
                hasher.update(&(cell.len() as u64).to_le_bytes());
                hasher.update(cell.as_bytes());
            }
            bytes += cells.iter().map(|cell| cell.len() + size_of::<String>()).sum::<usize>();
            if bytes > JOIN_BYTES_MAX {
                return Err(
                    bad("the file is larger than the 256 MiB that --join keeps in memory".to_owned()),
                );
            }
            let key = cells[theirs].trim().to_owned();
            if key.is_empty() {
                continue;
            }
            let shown = crate::redact::opaque(&key);
            if rows.insert(key, without_key(&cells)).is_some() {
                return Err(bad(format!("the key {shown} is there twice; which row is meant is not known")));
            }
        }
        let places: Option<Vec<usize>> = is_own_output
            .then(|| names.iter().map(|name| own_names.iter().position(|own| own == name)).collect())
            .flatten();
        Ok(Self {
            own,
            places,
            digest: hasher.finalize(),
            empty: vec![String::new(); names.len()],
            names,
            rows,
        })
    }

    /// The added cells of a row with this key, empty where the second file has none; and whether it has.
    pub(super) fn of(&self, key: &str) -> (&[String], bool) {
        match self.rows.get(key.trim()) {
            Some(cells) => (cells, true),
            None => (&self.empty, false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_join_names_its_file_and_its_key() {
        let join: Join = "C:/d.csv:deploymentID".parse().unwrap();
        assert_eq!(
            (join.path.as_str(), join.own.as_str(), join.theirs.as_str()),
            ("C:/d.csv", "deploymentID", "deploymentID")
        );
        assert_eq!("d.csv:a=b".parse::<Join>().unwrap().to_string(), "d.csv:a=b");
        for bad in ["d.csv", "d.csv:", ":k", "d.csv:a="] {
            assert!(bad.parse::<Join>().is_err(), "{bad}");
        }
    }
}
