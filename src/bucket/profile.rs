//! The profile of the user in the files of AWS: `~/.aws/credentials` and `~/.aws/config`.

use std::{collections::BTreeMap, ffi::OsString, io::ErrorKind, path::PathBuf};

use super::{SourceError, text};

/// The values of one profile.
pub(super) struct Profile {
    pub(super) name: String,
    values: BTreeMap<String, String>,
}

impl Profile {
    /// Reads the profile of `AWS_PROFILE`, else `default`. A value of the file of credentials comes before one of the other.
    pub(super) fn read(variables: &dyn Fn(&str) -> Option<OsString>) -> Result<Self, SourceError> {
        let asked_for = text(variables, "AWS_PROFILE");
        let name = asked_for.clone().unwrap_or_else(|| "default".to_owned());
        let path = |variable: &str, own: &str| {
            let own = || variables("HOME").map(|home| PathBuf::from(home).join(".aws").join(own));
            variables(variable).map(PathBuf::from).or_else(own)
        };
        let files = [path("AWS_CONFIG_FILE", "config"), path("AWS_SHARED_CREDENTIALS_FILE", "credentials")];
        let mut values = BTreeMap::new();
        let mut is_there = false;
        for path in files.into_iter().flatten() {
            match std::fs::read_to_string(&path) {
                Ok(content) => is_there |= add_section(&content, &name, &mut values),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => {
                    return Err(SourceError(format!("cannot read {}: {error}", path.display())));
                }
            }
        }
        if asked_for.is_some() && !is_there {
            return Err(SourceError(format!(
                "AWS_PROFILE names {}, which is in neither ~/.aws/credentials nor ~/.aws/config",
                crate::redact::clean(&name)
            )));
        }
        Ok(Self { name: crate::redact::clean(&name), values })
    }

    pub(super) fn value(&self, key: &str) -> Option<String> {
        self.values.get(key).filter(|value| !value.is_empty()).cloned()
    }
}

/// Adds the values of a section `[name]` or `[profile name]`. False: there is none. Nested values, which are indented, are no
/// settings of the profile itself.
fn add_section(content: &str, name: &str, values: &mut BTreeMap<String, String>) -> bool {
    let (mut is_inside, mut is_there) = (false, false);
    for line in content.lines() {
        let is_nested = line.starts_with([' ', '\t']);
        let line = line.trim();
        if let Some(section) = line.strip_prefix('[').and_then(|line| line.split(']').next()) {
            let section = section.trim();
            let own = section.strip_prefix("profile ").map_or(section, str::trim);
            is_inside = own == name;
            is_there |= is_inside;
        } else if is_inside
            && !is_nested
            && !line.starts_with(['#', ';'])
            && let Some((key, value)) = line.split_once('=')
        {
            values.insert(key.trim().to_ascii_lowercase(), value.trim().to_owned());
        }
    }
    is_there
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_of_a_profile_gives_its_own_values_only() {
        let content = "[default]\nregion = a\n[profile work]\n# region = b\nregion=c\ns3 =\n  endpoint_url = x\n\
                       ENDPOINT_URL = https://h\n[other]\nregion = d\n";
        let mut values = BTreeMap::new();
        assert!(add_section(content, "work", &mut values));
        let expected = [("endpoint_url", "https://h"), ("region", "c"), ("s3", "")];
        assert!(values.iter().map(|(key, value)| (key.as_str(), value.as_str())).eq(expected), "{values:?}");
        assert!(!add_section(content, "absent", &mut values));
    }
}
