//! Builds the error for an option whose value conflicts with other options.

use crate::config::declare::OptionKey;
use crate::config::error::ConfigError;
use crate::config::values::Values;

/// Returns the error for a value that conflicts with other options, at its line.
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

/// Returns the line that sets an option; 0 if the option has its default.
pub(super) fn line_of(values: &Values<'_>, section: &'static str, name: &'static str) -> usize {
    let key = values.declared(section, name).unwrap_or(OptionKey {
        section,
        name,
        aliases: &[],
        default: "",
    });
    values.find(&key).map_or(0, |entry| entry.line)
}
