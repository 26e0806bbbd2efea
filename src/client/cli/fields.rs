//! Image fields and properties from the command line. They are validated by the rules of the
//! server before anything is sent, so that a wrong value is a usage error.

use http::header::{HeaderMap, HeaderName, HeaderValue};

use super::error::{CliError, CliResult};
use crate::image::Fields;
use crate::wire::MetaReader;

/// Fields that a user may set, by their names in the API.
const SETTABLE: [&str; 13] = [
    "checksum",
    "container_format",
    "disk_format",
    "id",
    "is_public",
    "location",
    "min_disk",
    "min_ram",
    "name",
    "owner",
    "protected",
    "size",
    "store",
];
/// Fields that only the server sets.
const NOT_SETTABLE: [&str; 6] = [
    "created_at",
    "deleted",
    "deleted_at",
    "status",
    "updated_at",
    "uri",
];

/// Fields and properties as given on the command line, not validated yet.
#[derive(Debug, Clone, Default)]
pub(super) struct ImageArguments {
    pub(super) fields: Vec<(String, String)>,
    pub(super) properties: Vec<(String, String)>,
    pub(super) copy_from: Option<String>,
    /// Given fields that only the server sets; they are not sent.
    pub(super) dropped: Vec<String>,
}

impl ImageArguments {
    /// Parses the `field=value` arguments of 2011. A name that is not a field is a property.
    ///
    /// # Errors
    /// [`CliError::Usage`] if an argument has no `=`.
    pub(super) fn from_pairs(arguments: &[String]) -> CliResult<Self> {
        let mut typed = Self::default();
        for argument in arguments {
            let (name, value) = split_pair(argument)?;
            let name = name.to_lowercase().replace('-', "_");
            if name == "copy_from" {
                typed.copy_from = Some(value.to_owned());
            } else if SETTABLE.contains(&name.as_str()) {
                typed.set(&name, value);
            } else if NOT_SETTABLE.contains(&name.as_str()) {
                typed.dropped.push(name);
            } else {
                typed.properties.push((name, value.to_owned()));
            }
        }
        Ok(typed)
    }

    pub(super) fn set(&mut self, field: &str, value: impl ToString) {
        self.fields.push((field.to_owned(), value.to_string()));
    }

    pub(super) fn value(&self, field: &str) -> Option<&str> {
        let mut fields = self.fields.iter();
        fields
            .find(|(name, _)| name == field)
            .map(|(_, value)| value.as_str())
    }

    /// Converts to the fields of a request with the parser that the server uses.
    ///
    /// # Errors
    /// [`CliError::Usage`] if the server would refuse a name or value.
    pub(super) fn into_fields(self) -> CliResult<Fields> {
        let mut headers = HeaderMap::new();
        let fields = self.fields.iter().map(|(name, value)| {
            let header = format!("x-image-meta-{name}");
            (header, value)
        });
        let properties = self.properties.iter().map(|(key, value)| {
            let header = format!("x-image-meta-property-{key}");
            (header, value)
        });
        for (name, value) in fields.chain(properties) {
            let (name, value) = as_header(&name, value)?;
            headers.insert(name, value);
        }
        if let Some(source) = &self.copy_from {
            let (name, value) = as_header("x-glance-api-copy-from", source)?;
            headers.insert(name, value);
        }
        let read = MetaReader::default().read(&headers);
        read.map_err(|error| CliError::Usage(error.message().to_owned()))
    }
}

/// Splits `name=value` at the first `=`; the value may be empty and may contain `=`.
///
/// # Errors
/// [`CliError::Usage`] if there is no name or no `=`.
pub(super) fn split_pair(argument: &str) -> CliResult<(&str, &str)> {
    match argument.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name, value)),
        _ => Err(CliError::Usage(format!(
            "Arguments should be in the form of field=value. You specified {argument}."
        ))),
    }
}

/// Parses a boolean word of Glance. Other words are refused, because a typing error such as
/// `ture` must not make an image public or private.
///
/// # Errors
/// A text for clap if the word is not a boolean.
pub(super) fn parse_bool(word: &str) -> Result<bool, String> {
    match word.to_ascii_lowercase().as_str() {
        "1" | "t" | "true" | "on" | "y" | "yes" => Ok(true),
        "0" | "f" | "false" | "off" | "n" | "no" => Ok(false),
        _ => Err("expected True or False".to_owned()),
    }
}

fn as_header(name: &str, value: &str) -> CliResult<(HeaderName, HeaderValue)> {
    let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| {
        CliError::Usage(format!(
            "Cannot send '{name}': a property name may contain letters, digits, '_', '-' and '.'."
        ))
    })?;
    let value = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| {
        CliError::Usage(format!("The value of {name} contains control characters."))
    })?;
    Ok((header, value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Change;

    fn typed(arguments: &[&str]) -> CliResult<ImageArguments> {
        let arguments: Vec<String> = arguments.iter().map(|text| (*text).to_owned()).collect();
        ImageArguments::from_pairs(&arguments)
    }

    #[test]
    fn pairs_are_parsed_to_fields_and_properties() {
        let typed = typed(&[
            "Name=a=b",
            "disk-format=raw",
            "status=active",
            "kernel_id=7",
            "is_public=True",
        ])
        .unwrap();
        assert_eq!(typed.dropped, ["status"]);
        let fields = typed.into_fields().unwrap();
        assert_eq!(fields.name, Change::Set("a=b".to_owned()));
        assert_eq!(fields.disk_format, Change::Set("raw".to_owned()));
        assert_eq!(fields.is_public, Some(true));
        assert_eq!(fields.properties["kernel_id"].as_deref(), Some("7"));
    }

    #[test]
    fn values_that_the_server_refuses_are_usage_errors() {
        assert!(typed(&["name"]).is_err());
        assert!(typed(&["=x"]).is_err());
        for bad in ["size=-1", "min_ram=x", "id=7", "a b=c", "name=a\nb"] {
            let fields = typed(&[bad]).unwrap().into_fields();
            assert!(matches!(fields, Err(CliError::Usage(_))), "{bad}");
        }
        assert!(parse_bool("ture").is_err());
    }
}
