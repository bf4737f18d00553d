//! Where a ledger is: a file on this machine, or a schema of a PostgreSQL database.

use std::{
    ffi::OsStr,
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

use super::DatabaseAddress;

/// Where a ledger is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LedgerPlace {
    File(PathBuf),
    Database(DatabaseAddress),
}

impl LedgerPlace {
    /// Reads the value of `--ledger`. An error says what is wrong with an address; everything else is a path.
    pub fn parse(text: &OsStr) -> Result<Self, String> {
        match text.to_str().filter(|text| DatabaseAddress::is_address(text)) {
            Some(address) => address.parse().map(Self::Database),
            None => Ok(Self::File(PathBuf::from(text))),
        }
    }

    /// The file. `None`: it is in a database.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Database(_) => None,
        }
    }

    /// Whether it may be there. Of a database it is not known before it is asked.
    #[must_use]
    pub fn may_exist(&self) -> bool {
        self.file().is_none_or(Path::exists)
    }

    /// The folder for what a run leaves beside its ledger, such as reports.
    #[must_use]
    pub fn folder(&self) -> &Path {
        let folder = self.file().map_or(Some(Path::new("state")), Path::parent);
        folder.filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."))
    }

    /// A file beside the ledger: the name of a ledger in a file, or of a schema, with a suffix.
    #[must_use]
    pub fn beside(&self, suffix: &str) -> PathBuf {
        let mut name = match self {
            Self::File(path) => path.as_os_str().to_owned(),
            Self::Database(address) => self.folder().join(address.schema()).into_os_string(),
        };
        name.push(suffix);
        PathBuf::from(name)
    }

    /// The same place, by a path that does not depend on the current folder.
    #[must_use]
    pub fn absolute(&self) -> Self {
        match self {
            Self::File(path) => Self::File(std::fs::canonicalize(path).unwrap_or_else(|_| path.clone())),
            Self::Database(_) => self.clone(),
        }
    }
}

impl From<PathBuf> for LedgerPlace {
    fn from(path: PathBuf) -> Self {
        Self::File(path)
    }
}

impl From<&PathBuf> for LedgerPlace {
    fn from(path: &PathBuf) -> Self {
        Self::File(path.clone())
    }
}

impl From<&Self> for LedgerPlace {
    fn from(place: &Self) -> Self {
        place.clone()
    }
}

impl From<&Path> for LedgerPlace {
    fn from(path: &Path) -> Self {
        Self::File(path.to_path_buf())
    }
}

impl FromStr for LedgerPlace {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::parse(OsStr::new(text))
    }
}

impl fmt::Display for LedgerPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Database(address) => address.fmt(f),
        }
    }
}

impl serde::Serialize for LedgerPlace {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl schemars::JsonSchema for LedgerPlace {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        String::schema_name()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        String::json_schema(generator)
    }

    fn inline_schema() -> bool {
        true
    }
}
