//! The error of an option whose value does not fit the other options.

use crate::config::declare::OptionKey;
use crate::config::error::ConfigError;
use crate::config::values::Values;

/// The error of a value that does not fit other options, at its line.
pub(crate) fn conflict(
    values: &Values<'_>,
    (section, name): (&'static str, &'static str),
    given: impl ToString,
    expected: &str,
) -> ConfigError {
    ConfigError::BadValue {
        position: values.position(line_of(values, section, name)),
        option: format!("[{section}] {name}"),
        given: given.to_string(),
        expected: expected.to_owned(),
    }
}

/// The line an option is set in; 0 when it has its default.
pub(super) fn line_of(values: &Values<'_>, section: &'static str, name: &'static str) -> usize {
    let key = values.declared(section, name).unwrap_or(OptionKey {
        section,
        name,
        aliases: &[],
        default: "",
    });
    values.find(&key).map_or(0, |entry| entry.line)
}
