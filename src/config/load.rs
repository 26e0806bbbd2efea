//! From a file to a [`Config`].

use std::path::Path;

use crate::config::declare::Group;
use crate::config::error::{ConfigError, Place, Warning};
use crate::config::ini::{self, DEFAULT, Ini};
use crate::config::options::{self, Config};
use crate::config::role::Role;
use crate::config::values::Values;
use crate::config::{checks, idle, refused, sample, text_file};

impl Config {
    /// Reads the file of an API server. Relative paths in it start at the current folder.
    ///
    /// # Errors
    /// As [`Config::load_for`].
    pub fn load(path: &Path) -> Result<(Self, Vec<Warning>), ConfigError> {
        Self::load_for(Role::Api, path)
    }

    /// Reads the file of a server.
    ///
    /// # Errors
    /// [`ConfigError`] when the file cannot be read, is no INI, has a value that does not fit, or has a
    /// password and may be read by everybody.
    pub fn load_for(role: Role, path: &Path) -> Result<(Self, Vec<Warning>), ConfigError> {
        let (text, everybody_reads) = text_file::read(path)?;
        let loaded = read(role, &path.display().to_string(), &text)?;
        if everybody_reads && loaded.has_secret {
            return Err(ConfigError::Exposed {
                path: path.to_owned(),
            });
        }
        Ok((loaded.config, loaded.warnings))
    }

    /// Reads text as if it were the file `name`.
    ///
    /// # Errors
    /// [`ConfigError`] when the text is no INI or has a value that does not fit.
    pub fn from_text(name: &str, text: &str) -> Result<(Self, Vec<Warning>), ConfigError> {
        Self::from_text_for(Role::Api, name, text)
    }

    /// Reads text as if it were the file `name` of a server.
    ///
    /// # Errors
    /// As [`Config::from_text`].
    pub fn from_text_for(
        role: Role,
        name: &str,
        text: &str,
    ) -> Result<(Self, Vec<Warning>), ConfigError> {
        let loaded = read(role, name, text)?;
        Ok((loaded.config, loaded.warnings))
    }

    /// The sample file: every option with its help, what it wants and its default.
    pub fn sample() -> String {
        sample::render(&options::groups())
    }
}

/// What a text says.
struct Loaded {
    config: Config,
    warnings: Vec<Warning>,
    /// Whether an option that nobody may see has a value.
    has_secret: bool,
}

fn read(role: Role, name: &str, text: &str) -> Result<Loaded, ConfigError> {
    let ini = ini::parse(text).map_err(|bad| ConfigError::Syntax {
        place: Place {
            file: name.to_owned(),
            line: bad.line,
        },
        problem: bad.problem,
    })?;
    let ini = in_house_spelling(ini, role.seed_section());
    let groups = options::groups();
    let values = Values::new(name, &ini, &groups);
    refused::refuse_dangerous(&values)?;
    let mut config = Config::read(&values)?;
    if role == Role::Registry {
        config.be_a_registry(&values)?;
    }
    checks::check(&config, &values)?;
    Ok(Loaded {
        warnings: all_warnings(&config, &values, &groups),
        has_secret: has_secret(&values, &groups),
        config,
    })
}

fn has_secret(values: &Values<'_>, groups: &[Group]) -> bool {
    let options = groups.iter().flat_map(|group| &group.options);
    let mut secrets = options.filter(|option| option.is_secret);
    secrets.any(|option| {
        let entry = values.find(&option.key);
        entry.is_some_and(|entry| !entry.value.is_empty())
    })
}

/// One spelling for each section and key: sections in lower case but DEFAULT, keys with underscores. The section of
/// the seeds counts as DEFAULT and wins over it wherever it stands.
fn in_house_spelling(mut ini: Ini, seed_section: &str) -> Ini {
    for entry in &mut ini.entries {
        entry.section = section_name(&entry.section);
        entry.key = entry.key.replace('-', "_");
    }
    for (name, _) in &mut ini.sections {
        *name = section_name(name);
    }
    // Stable, so that within a section the last one still wins.
    ini.entries
        .sort_by_key(|entry| entry.section == seed_section);
    for entry in &mut ini.entries {
        if entry.section == seed_section {
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

fn all_warnings(config: &Config, values: &Values<'_>, groups: &[Group]) -> Vec<Warning> {
    let mut warnings = idle::warn_unread(values);
    warnings.extend(checks::warn_twice(values, groups));
    warnings.extend(checks::warn_surprising(config, values));
    warnings.sort_by_key(|warning| warning.place.line);
    warnings
}
