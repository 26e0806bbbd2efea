//! The configuration: oslo-style INI in, plain data out.
//!
//! Each option is declared once, in [`options`](self), by a doc comment, a default and a kind; from that come its
//! field, its reader, its error and its lines in the sample. A key that nobody reads is a warning with its line. A
//! bad value, and an option of Glance that must not be passed over in silence, stop the start.
//!
//! # Layout
//! * `ini` the file format; `kinds` the kinds of value; `declare` the declaration of an option
//! * `options` the options themselves; `values` their values in one file, with `$name` in them
//! * `refused` and `idle` options of Glance that stop the start or do nothing; `checks` rules between options
//! * `find` where the file is; `sample` the sample file; `args` the command line of a server

mod args;
mod checks;
mod declare;
mod error;
mod find;
mod idle;
pub(crate) mod ini;
mod kinds;
mod options;
mod refused;
mod sample;
#[cfg(test)]
mod tests;
mod values;

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use declare::Group;
use ini::{DEFAULT, Ini};
use values::Values;

pub use args::ServerArgs;
pub use error::{ConfigError, EXIT_CONFIG, EXIT_FAILURE, EXIT_OK, EXIT_USAGE, Place, Warning};
pub use find::{find_config_file, search_dirs};
pub use options::{
    DataConfig, HealthcheckConfig, HttpConfig, ImagesConfig, IoBackend, ListenConfig, LogConfig,
    RegistryConfig, StoreConfig, StoreIo,
};

/// The largest configuration file that is read.
const MAX_FILE_BYTES: u64 = 4 << 20;
/// The section in which the first Glance kept the options of this program.
const SEED_SECTION: &str = "app:glance-api";
/// The stores this release has, in both spellings of Glance.
const STORES: &[&str] = &["file", "filesystem"];

/// Everything an operator can set.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the servers listen and how they begin and end.
    pub listen: ListenConfig,
    /// Limits of one connection.
    pub http: HttpConfig,
    /// The data folder and the engine that moves bytes.
    pub data: DataConfig,
    /// Limits and formats of images and lists.
    pub images: ImagesConfig,
    /// The embedded registry.
    pub registry: RegistryConfig,
    /// What is logged, and where to.
    pub log: LogConfig,
    /// The store of image data.
    pub store: StoreConfig,
    /// What `/healthcheck` looks at.
    pub healthcheck: HealthcheckConfig,
}

impl Config {
    /// Reads a file. Relative paths in it start at the current folder.
    ///
    /// # Errors
    /// [`ConfigError`] when the file cannot be read, is no INI, or has a value that does not fit.
    pub fn load(path: &Path) -> Result<(Self, Vec<Warning>), ConfigError> {
        let text = read_text(path).map_err(|source| ConfigError::Unreadable {
            path: path.to_owned(),
            source,
        })?;
        Self::from_text(&path.display().to_string(), &text)
    }

    /// Reads text as if it were the file `name`.
    ///
    /// # Errors
    /// [`ConfigError`] when the text is no INI or has a value that does not fit.
    pub fn from_text(name: &str, text: &str) -> Result<(Self, Vec<Warning>), ConfigError> {
        let ini = ini::parse(text).map_err(|bad| ConfigError::Syntax {
            place: Place {
                file: name.to_owned(),
                line: bad.line,
            },
            problem: bad.problem,
        })?;
        let ini = in_house_spelling(ini);
        let groups = options::groups();
        let values = Values::new(name, &ini, &groups);
        refused::refuse_dangerous(&values)?;
        let config = Self::read(&values)?;
        checks::check(&config, &values)?;
        let warnings = all_warnings(&config, &values, &groups);
        Ok((config, warnings))
    }

    /// The sample file: every option with its help, what it wants and its default.
    pub fn sample() -> String {
        sample::render(&options::groups())
    }

    fn read(values: &Values<'_>) -> Result<Self, ConfigError> {
        Ok(Self {
            listen: ListenConfig::read(values)?,
            http: HttpConfig::read(values)?,
            data: DataConfig::read(values)?,
            images: ImagesConfig::read(values)?,
            registry: RegistryConfig::read(values)?,
            log: LogConfig::read(values)?,
            store: StoreConfig::read(values)?,
            healthcheck: HealthcheckConfig::read(values)?,
        })
    }
}

fn read_text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?
        .take(MAX_FILE_BYTES + 1)
        .read_to_string(&mut text)?;
    if text.len() as u64 > MAX_FILE_BYTES {
        let problem = format!("it has more than {MAX_FILE_BYTES} bytes; is it a configuration?");
        return Err(io::Error::other(problem));
    }
    Ok(text)
}

/// One spelling for each section and key: sections in lower case but DEFAULT, keys with underscores. The section of
/// the seeds counts as DEFAULT and wins over it wherever it stands.
fn in_house_spelling(mut ini: Ini) -> Ini {
    for entry in &mut ini.entries {
        entry.section = section_name(&entry.section);
        entry.key = entry.key.replace('-', "_");
    }
    for (name, _) in &mut ini.sections {
        *name = section_name(name);
    }
    // Stable, so that within a section the last one still wins.
    ini.entries
        .sort_by_key(|entry| entry.section == SEED_SECTION);
    for entry in &mut ini.entries {
        if entry.section == SEED_SECTION {
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
