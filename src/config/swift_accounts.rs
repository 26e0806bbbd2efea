//! Reads the accounts of Swift from the options or from `swift_store_config_file`.

use std::path::Path;

use crate::config::declare::OptionKey;
use crate::config::error::{ConfigError, FilePosition, Warning};
use crate::config::ini::{self, Ini};
use crate::config::options::{SwiftAuth, SwiftAuthVersion, SwiftConfig};
use crate::config::secret::Secret;
use crate::config::text_file;
use crate::config::value_types::{AuthAddress, ValueType, Word};
use crate::config::values::Values;

const SECTION: &str = "glance_store";

/// Expected form of a Keystone user.
const PROJECT_AND_USER: &str = "project:user";

/// An account with which the Swift store can authenticate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SwiftAccount {
    /// Name of the account in locations: `swift+config://reference/container/object`.
    pub reference: String,
    /// URL of Keystone, or of Swift's v1.0 authentication.
    pub auth_address: String,
    /// Kind of authentication; never [`SwiftAuth::V2`].
    pub auth: SwiftAuth,
    /// `project:user` for Keystone, `account:user` for v1.0.
    pub user: String,
    /// Password or key.
    pub key: Secret,
    /// Domain of the user in Keystone.
    pub user_domain: DomainOption,
    /// Domain of the project in Keystone.
    pub project_domain: DomainOption,
}

/// A domain of Keystone, by id or by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DomainOption {
    /// Id of the domain.
    Id(String),
    /// Name of the domain.
    Name(String),
}

impl DomainOption {
    /// Returns the domain. The id takes precedence; without both it is Keystone's initial domain.
    fn new(id: Option<&str>, name: Option<&str>) -> Self {
        match (id, name) {
            (Some(id), _) => Self::Id(id.to_owned()),
            (None, Some(name)) => Self::Name(name.to_owned()),
            (None, None) => Self::Id("default".to_owned()),
        }
    }
}

/// Returns the accounts of the file, else the account of the options, else none. `takes_images` is
/// true if new images are stored in Swift.
///
/// Reports an unreadable file, a file that every user can read, and an invalid account. An invalid
/// account of the file that receives no new images causes a warning and is omitted.
pub(crate) fn swift_accounts(
    swift: &SwiftConfig,
    takes_images: bool,
    values: &Values<'_>,
) -> Vec<SwiftAccount> {
    let accounts = match &swift.swift_store_config_file {
        Some(path) => read_file(path, swift, takes_images, values),
        None => of_options(swift, values),
    };
    accounts.unwrap_or_else(|problem| {
        values.report_account(problem);
        Vec::new()
    })
}

fn of_options(config: &SwiftConfig, values: &Values<'_>) -> Result<Vec<SwiftAccount>, ConfigError> {
    let (Some(address), Some(user), false) = (
        &config.swift_store_auth_address,
        &config.swift_store_user,
        config.swift_store_key.is_empty(),
    ) else {
        return Ok(Vec::new());
    };
    let account = SwiftAccount {
        reference: config.default_swift_reference.clone(),
        auth_address: address.clone(),
        auth: config.swift_store_auth_version,
        user: user.clone(),
        key: config.swift_store_key.clone(),
        user_domain: DomainOption::new(
            config.swift_store_user_domain_id.as_deref(),
            config.swift_store_user_domain_name.as_deref(),
        ),
        project_domain: DomainOption::new(
            config.swift_store_project_domain_id.as_deref(),
            config.swift_store_project_domain_name.as_deref(),
        ),
    };
    let conflict = |(name, given, expected): Conflict| bad_option(values, name, given, expected);
    account.check(OPTION_NAMES).map_err(conflict)?;
    Ok(vec![account])
}

/// An option, its value, and the description of valid values.
type Conflict = (&'static str, String, &'static str);

/// Names of the options for user and version.
type Names = (&'static str, &'static str);

const OPTION_NAMES: Names = ("swift_store_user", "swift_store_auth_version");
const FILE_NAMES: Names = ("user", "auth_version");

impl SwiftAccount {
    fn check(&self, (user, version): Names) -> Result<(), Conflict> {
        match self.auth {
            SwiftAuth::V2 => Err((
                version,
                "2".to_owned(),
                "3, with the address of Keystone's v3 API: Keystone removed v2.0 in 2018",
            )),
            SwiftAuth::V3 if !self.user.contains(':') => {
                Err((user, self.user.clone(), PROJECT_AND_USER))
            }
            _ => Ok(()),
        }
    }
}

fn bad_option(
    values: &Values<'_>,
    name: &'static str,
    given: String,
    expected: &'static str,
) -> ConfigError {
    let key = values.declared(SECTION, name).unwrap_or(OptionKey {
        section: SECTION,
        name,
        aliases: &[],
        default: "",
    });
    ConfigError::BadValue {
        position: values.position(values.find(&key).map_or(0, |entry| entry.line)),
        option: format!("[{SECTION}] {name}"),
        given,
        expected: expected.to_owned(),
    }
}

fn read_file(
    path: &Path,
    swift: &SwiftConfig,
    takes_images: bool,
    values: &Values<'_>,
) -> Result<Vec<SwiftAccount>, ConfigError> {
    let (text, is_world_readable) = text_file::read(path)?;
    if is_world_readable {
        return Err(ConfigError::WorldReadable {
            path: path.to_owned(),
        });
    }
    let file = path.display().to_string();
    let ini = ini::parse(&text).map_err(|bad| ConfigError::Syntax {
        position: FilePosition {
            file: file.clone(),
            line: bad.line,
        },
        problem: bad.problem,
    })?;
    let mut accounts = Vec::new();
    for (reference, line) in &ini.sections {
        let section = Section {
            file: &file,
            ini: &ini,
            reference,
            line: *line,
        };
        match section.account(swift.swift_store_auth_version) {
            Ok(account) => accounts.push(account),
            // Without the account for new images no upload could work, so this prevents a start.
            Err(problem) if takes_images && *reference == swift.default_swift_reference => {
                values.report_account(problem);
            }
            Err(problem) => values.warn_at(section.unused(&problem)),
        }
    }
    Ok(accounts)
}

/// The section of one account in the file.
struct Section<'a> {
    file: &'a str,
    ini: &'a Ini,
    reference: &'a str,
    line: usize,
}

impl Section<'_> {
    /// Returns the warning that the account is not used because of a problem.
    fn unused(&self, problem: &ConfigError) -> Warning {
        let header = || FilePosition {
            file: self.file.to_owned(),
            line: self.line,
        };
        let (reference, text) = (self.reference, problem.problem());
        Warning {
            position: problem.position().cloned().unwrap_or_else(header),
            message: format!("the account {reference} is not used: {text}"),
        }
    }

    fn account(&self, default_auth: SwiftAuth) -> Result<SwiftAccount, ConfigError> {
        let wrong = |key, given: String, expected: &str| self.bad(key, given, expected.to_owned());
        if Word.parse(self.reference).is_none() {
            return Err(wrong("", self.reference.to_owned(), &Word.expected()));
        }
        let address = self.required("auth_address", &AuthAddress.expected())?;
        let auth_address = AuthAddress
            .parse(address)
            .ok_or_else(|| wrong("auth_address", address.to_owned(), &AuthAddress.expected()))?;
        let auth = match self.value("auth_version") {
            None => default_auth,
            Some(version) => SwiftAuthVersion.parse(version).ok_or_else(|| {
                wrong(
                    "auth_version",
                    version.to_owned(),
                    &SwiftAuthVersion.expected(),
                )
            })?,
        };
        let account = SwiftAccount {
            reference: self.reference.to_owned(),
            auth_address,
            auth,
            user: self.required("user", PROJECT_AND_USER)?.to_owned(),
            key: Secret::new(self.required("key", "a password or key")?),
            user_domain: self.domain("user_domain_id", "user_domain_name"),
            project_domain: self.domain("project_domain_id", "project_domain_name"),
        };
        let conflict = |(key, given, expected): Conflict| wrong(key, given, expected);
        account.check(FILE_NAMES).map_err(conflict)?;
        Ok(account)
    }

    fn value(&self, key: &str) -> Option<&str> {
        let entry = self.ini.last(self.reference, key);
        entry
            .map(|entry| entry.value.as_str())
            .filter(|value| !value.is_empty())
    }

    fn required(&self, key: &'static str, expected: &str) -> Result<&str, ConfigError> {
        let value = self.value(key);
        value.ok_or_else(|| self.bad(key, String::new(), expected.to_owned()))
    }

    fn domain(&self, id: &str, name: &str) -> DomainOption {
        DomainOption::new(self.value(id), self.value(name))
    }

    fn bad(&self, key: &str, given: String, expected: String) -> ConfigError {
        let entry = self.ini.last(self.reference, key);
        ConfigError::BadValue {
            position: FilePosition {
                file: self.file.to_owned(),
                line: entry.map_or(self.line, |entry| entry.line),
            },
            option: format!("[{}] {key}", self.reference),
            given,
            expected,
        }
    }
}

#[cfg(test)]
mod tests;
