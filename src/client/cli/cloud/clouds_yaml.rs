//! Reads one cloud from `clouds.yaml`, with the secrets that `secure.yaml` may add. The search path
//! and the format are those of openstacksdk. Errors name the file and the line but never its text,
//! because that may be a password.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::client::cli::error::{CliError, CliResult};

/// The settings of one cloud: those below `auth`, and those of the cloud itself.
#[derive(Default)]
pub(super) struct CloudEntry(Value);

impl CloudEntry {
    /// Reads the entry `name`.
    ///
    /// # Errors
    /// [`CliError::Usage`] if there is no such file or entry, or if a file is not valid YAML.
    pub(super) fn read(name: &str, variable: impl Fn(&str) -> Option<String>) -> CliResult<Self> {
        let folders = search_path(&variable);
        let given = variable("OS_CLIENT_CONFIG_FILE").map(PathBuf::from);
        let file = given.or_else(|| first_file(&folders, "clouds"));
        let file = file.ok_or_else(|| {
            let folders: Vec<_> = folders.iter().map(|f| f.display().to_string()).collect();
            usage(format!("No clouds.yaml in {}.", folders.join(", ")))
        })?;
        let mut entry = entry_of(&read_yaml(&file)?, name);
        if entry.is_null() {
            let file = file.display();
            return Err(usage(format!("There is no cloud '{name}' in {file}.")));
        }
        let secure = variable("OS_CLIENT_SECURE_FILE").map(PathBuf::from);
        if let Some(secure) = secure.or_else(|| first_file(&folders, "secure")) {
            merge(&mut entry, entry_of(&read_yaml(&secure)?, name));
        }
        Ok(Self(entry))
    }

    /// Returns a setting as text; that below `auth` takes precedence.
    pub(super) fn value(&self, setting: &str) -> Option<String> {
        let values = [&self.0["auth"][setting], &self.0[setting]];
        values.into_iter().find_map(text_of)
    }

    /// Returns true if the entry has `verify: false`.
    pub(super) fn is_insecure(&self) -> bool {
        self.value("verify").is_some_and(|verify| verify == "false")
    }
}

/// Returns the folders that openstacksdk searches, in its order.
fn search_path(variable: &impl Fn(&str) -> Option<String>) -> Vec<PathBuf> {
    let home = variable("HOME").map(|home| Path::new(&home).join(".config"));
    let config = variable("XDG_CONFIG_HOME").map(PathBuf::from).or(home);
    let user = config.map(|config| config.join("openstack"));
    let all = [
        Some(PathBuf::from(".")),
        user,
        Some("/etc/openstack".into()),
    ];
    all.into_iter().flatten().collect()
}

fn first_file(folders: &[PathBuf], name: &str) -> Option<PathBuf> {
    let files = folders.iter().flat_map(|folder| {
        let extensions = ["yaml", "yml", "json"].iter();
        extensions.map(move |extension| folder.join(format!("{name}.{extension}")))
    });
    files.into_iter().find(|file| file.is_file())
}

fn read_yaml(file: &Path) -> CliResult<Value> {
    let shown = file.display();
    let text = fs::read_to_string(file)
        .map_err(|error| usage(format!("Cannot read {shown}: {error}.")))?;
    // YAML is a superset of JSON, so one parser reads both.
    serde_saphyr::from_str(&text).map_err(|error| {
        // The error's own text quotes the file.
        let line = error
            .location()
            .map(|place| format!(", line {}", place.line()));
        usage(format!(
            "{shown} is not valid YAML{}.",
            line.unwrap_or_default()
        ))
    })
}

fn entry_of(file: &Value, name: &str) -> Value {
    file["clouds"][name].clone()
}

/// Adds the settings of `other` to an entry; `other` takes precedence.
fn merge(entry: &mut Value, other: Value) {
    match (entry, other) {
        (Value::Object(entry), Value::Object(other)) => {
            for (key, value) in other {
                merge(entry.entry(key).or_insert(Value::Null), value);
            }
        }
        (_, Value::Null) => {}
        (entry, other) => *entry = other,
    }
}

/// Returns a scalar as text: YAML reads an unquoted `12345` as a number.
fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn usage(text: String) -> CliError {
    CliError::Usage(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(files: &[(&str, &str)], name: &str) -> CliResult<CloudEntry> {
        let folder = tempfile::tempdir().unwrap();
        let openstack = folder.path().join("openstack");
        fs::create_dir(&openstack).unwrap();
        for (file, text) in files {
            fs::write(openstack.join(file), text).unwrap();
        }
        let config = folder.path().display().to_string();
        CloudEntry::read(name, |variable| {
            (variable == "XDG_CONFIG_HOME").then(|| config.clone())
        })
    }

    const CLOUDS: &str = "clouds:
  test:
    auth:
      auth_url: https://k:5000/v3
      username: alice
    region_name: north
    verify: false
";

    #[test]
    fn secrets_of_secure_yaml_complete_the_entry() {
        let secure = "clouds:\n  test:\n    auth: {password: 12345}\n";
        let files = [("clouds.yaml", CLOUDS), ("secure.yaml", secure)];
        let entry = read(&files, "test").unwrap();
        assert_eq!(entry.value("username").as_deref(), Some("alice"));
        assert_eq!(entry.value("password").as_deref(), Some("12345"));
        assert_eq!(entry.value("region_name").as_deref(), Some("north"));
        assert!(entry.is_insecure());
        assert_eq!(entry.value("token"), None);
    }

    #[test]
    fn errors_quote_nothing_of_the_file() {
        let wrong = "clouds:\n  test:\n    auth: {password: \"CANARY\n";
        for (files, name) in [
            (vec![("clouds.yaml", wrong)], "test"),
            (vec![("clouds.yaml", CLOUDS)], "other"),
            (vec![], "test"),
        ] {
            let error = read(&files, name).err().expect("an error").to_string();
            assert!(!error.contains("CANARY"), "{error}");
            assert!(error.contains(".yaml"), "{error}");
        }
    }
}
