//! Turns a file into a [`Config`], with all of its problems and warnings.
//!
//! Reading continues after a problem, so that an operator sees all of them at once; see
//! [`ConfigReport`].

use std::path::Path;

use crate::config::declare::OptionGroup;
use crate::config::error::{ConfigError, Warning};
use crate::config::ini::{self, DEFAULT, Ini};
use crate::config::role::Role;
use crate::config::root::{self, Config};
use crate::config::values::Values;
use crate::config::{checks, ignored, sample, text_file, unsupported};

/// The content of a file and everything that is wrong with it.
#[derive(Debug)]
pub struct ConfigReport {
    /// The configuration, with defaults in place of invalid values; `None` if the file is
    /// unreadable.
    pub config: Option<Config>,
    /// Settings that are accepted but may not have the expected effect.
    pub warnings: Vec<Warning>,
    /// Problems that prevent a start, in the order of their lines.
    pub problems: Vec<ConfigError>,
}

impl Config {
    /// Reads the file of an API server for a program that is not a server. Relative paths are
    /// resolved against the working directory.
    ///
    /// # Errors
    /// As [`Config::load_for`].
    pub fn load(path: &Path) -> Result<(Self, Vec<Warning>), ConfigError> {
        Self::examine_file(Consumer::Other, path).into_result()
    }

    /// Reads the file of a server for that server.
    ///
    /// # Errors
    /// Returns a [`ConfigError`] with all problems if the file cannot be read or is not INI, if a
    /// value is invalid, if every user can read a password in it, or if it needs a feature that
    /// this build does not have.
    pub fn load_for(role: Role, path: &Path) -> Result<(Self, Vec<Warning>), ConfigError> {
        Self::examine(role, path).into_result()
    }

    /// Reads the file of a server as far as possible and reports all of its problems.
    pub fn examine(role: Role, path: &Path) -> ConfigReport {
        Self::examine_file(Consumer::Server(role), path)
    }

    fn examine_file(consumer: Consumer, path: &Path) -> ConfigReport {
        match text_file::read(path) {
            Ok((text, is_world_readable)) => {
                let exposed = is_world_readable.then_some(path);
                read(consumer, &path.display().to_string(), &text, exposed)
            }
            Err(problem) => ConfigReport {
                config: None,
                warnings: Vec::new(),
                problems: vec![problem],
            },
        }
    }

    /// Reads text in place of the file `name`.
    ///
    /// # Errors
    /// Returns a [`ConfigError`] if the text is not INI or a value is invalid.
    pub fn from_text(name: &str, text: &str) -> Result<(Self, Vec<Warning>), ConfigError> {
        read(Consumer::Other, name, text, None).into_result()
    }

    /// Reads text in place of the file `name` of a server.
    ///
    /// # Errors
    /// As [`Config::from_text`].
    pub fn from_text_for(
        role: Role,
        name: &str,
        text: &str,
    ) -> Result<(Self, Vec<Warning>), ConfigError> {
        read(Consumer::Server(role), name, text, None).into_result()
    }

    /// Returns the sample file: every option with its help, its values and its default.
    pub fn sample() -> String {
        sample::render(&root::groups())
    }
}

impl ConfigReport {
    fn into_result(self) -> Result<(Config, Vec<Warning>), ConfigError> {
        match (ConfigError::combine(self.problems), self.config) {
            (None, Some(config)) => Ok((config, self.warnings)),
            (Some(problem), _) => Err(problem),
            // Cannot happen: a missing configuration always comes with a problem.
            (None, None) => Err(ConfigError::Several(Vec::new())),
        }
    }
}

/// The program that reads a file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Consumer {
    /// The server to which the file belongs.
    Server(Role),
    /// Another program. It reads the file of an API server and may have other build features.
    Other,
}

/// Reads the text of a file. `exposed` is its path if every user of the machine can read it.
fn read(consumer: Consumer, name: &str, text: &str, exposed: Option<&Path>) -> ConfigReport {
    let (ini, bad_lines) = ini::parse_all(text);
    let role = match consumer {
        Consumer::Server(role) => role,
        Consumer::Other => Role::Api,
    };
    let ini = normalize_names(ini, role.legacy_section());
    let groups = root::groups();
    let values = Values::new(name, &ini, &groups);
    for bad in bad_lines {
        values.report(ConfigError::Syntax {
            position: values.position(bad.line),
            problem: bad.problem,
        });
    }
    if let Some(path) = exposed.filter(|_| has_secret(&values, &groups)) {
        values.report(ConfigError::WorldReadable {
            path: path.to_owned(),
        });
    }
    // Reported even if the rest is invalid: these options affect security.
    unsupported::report_unsupported(&values);
    let config = Config::read(&values).map_err(|problem| values.report(problem));
    let config = config
        .ok()
        .map(|config| complete(config, consumer, role, &values));
    let (problems, noted) = values.findings();
    let config_warnings = config
        .as_ref()
        .map(|config| all_warnings(config, &values, &groups));
    let mut warnings = config_warnings.unwrap_or_default();
    warnings.extend(noted);
    // Warnings about other files follow those about this one.
    warnings.sort_by_key(|warning| (warning.position.file != name, warning.position.line));
    ConfigReport {
        config,
        warnings,
        problems,
    }
}

/// Applies what depends on several options, and checks the rules between options.
fn complete(mut config: Config, consumer: Consumer, role: Role, values: &Values<'_>) -> Config {
    if role == Role::Registry {
        config.apply_registry_defaults(values);
    }
    // Before the checks, which would report the missing options of an unused store.
    checks::disable_unconfigured_stores(&mut config, values);
    checks::check(&config, values);
    // Other programs may be built with other features than the server.
    if consumer != Consumer::Other {
        checks::check_build(&config, values, cfg!(feature = "etcd"));
    }
    config
}

/// Returns true if the file sets a password or key.
fn has_secret(values: &Values<'_>, groups: &[OptionGroup]) -> bool {
    let options = groups.iter().flat_map(|group| &group.options);
    let mut secrets = options.filter(|option| option.is_secret);
    secrets.any(|option| {
        let entry = values.find(&option.key);
        entry.is_some_and(|entry| !entry.value.is_empty())
    })
}

/// Gives each section and key one spelling: sections in lower case except DEFAULT, keys with
/// underscores. The section of the first Glance (`[app:glance-api]`) counts as DEFAULT and
/// overrides it, wherever it stands in the file.
fn normalize_names(mut ini: Ini, legacy_section: &str) -> Ini {
    for entry in &mut ini.entries {
        entry.section = section_name(&entry.section);
        entry.key = entry.key.replace('-', "_");
    }
    for (name, _) in &mut ini.sections {
        *name = section_name(name);
    }
    // The sort is stable, so within a section the last entry of a key still wins.
    ini.entries
        .sort_by_key(|entry| entry.section == legacy_section);
    for entry in &mut ini.entries {
        if entry.section == legacy_section {
            entry.section = DEFAULT.to_owned();
        }
    }
    ini
}

fn section_name(name: &str) -> String {
    if name.eq_ignore_ascii_case(DEFAULT) {
        return DEFAULT.to_owned();
    }
    name.to_ascii_lowercase()
}

fn all_warnings(config: &Config, values: &Values<'_>, groups: &[OptionGroup]) -> Vec<Warning> {
    let mut warnings = ignored::warn_ignored(values);
    warnings.extend(checks::warn_duplicates(values, groups));
    warnings.extend(checks::warn_risky(config, values));
    warnings
}
