//! What the command line says about an image, checked before anything is sent.

use http::header::{HeaderMap, HeaderName, HeaderValue};

use super::error::{CliError, CliResult};
use crate::image::Fields;
use crate::wire::MetaReader;

/// Fields a user may set, by their names in the API.
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
/// Fields that only a server sets.
const NOT_SETTABLE: [&str; 6] = [
    "created_at",
    "deleted",
    "deleted_at",
    "status",
    "updated_at",
    "uri",
];

/// Fields and properties as they were typed.
#[derive(Debug, Clone, Default)]
pub(super) struct ImageArguments {
    pub(super) fields: Vec<(String, String)>,
    pub(super) properties: Vec<(String, String)>,
    pub(super) copy_from: Option<String>,
    /// Fields that were named but are the server's.
    pub(super) dropped: Vec<String>,
}

impl ImageArguments {
    /// Sorts `field=value` arguments of 2011: fields, and properties for what is no field.
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

    /// The fields of a request, by the very rules a server reads them with.
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

/// `name=value`; the value may be empty and have further signs in it.
pub(super) fn split_pair(argument: &str) -> CliResult<(&str, &str)> {
    match argument.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name, value)),
        _ => Err(CliError::Usage(format!(
            "Arguments should be in the form of field=value. You specified {argument}."
        ))),
    }
}

/// The boolean words of Glance, and nothing else: a typing error must publish nothing.
pub(super) fn parse_bool(word: &str) -> Result<bool, String> {
    match word.to_ascii_lowercase().as_str() {
        "1" | "t" | "true" | "on" | "y" | "yes" => Ok(true),
        "0" | "f" | "false" | "off" | "n" | "no" => Ok(false),
        _ => Err("wanted True or False".to_owned()),
    }
}

fn as_header(name: &str, value: &str) -> CliResult<(HeaderName, HeaderValue)> {
    let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| {
        CliError::Usage(format!(
            "'{name}' cannot be sent: a property's name may have letters, digits, '_', '-' and '.'."
        ))
    })?;
    let value = HeaderValue::from_bytes(value.as_bytes())
        .map_err(|_| CliError::Usage(format!("The value of {name} has control characters.")))?;
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
    fn pairs_become_fields_and_properties() {
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
    fn what_a_server_would_refuse_is_refused_here() {
        assert!(typed(&["name"]).is_err());
        assert!(typed(&["=x"]).is_err());
        for bad in ["size=-1", "min_ram=x", "id=7", "a b=c", "name=a\nb"] {
            let fields = typed(&[bad]).unwrap().into_fields();
            assert!(matches!(fields, Err(CliError::Usage(_))), "{bad}");
        }
        assert!(parse_bool("ture").is_err());
    }
}
