//! Disk and container formats: which names the operator allows, and which pairs fit together.

use super::{Change, Fields};

/// The formats of Amazon kernel, ramdisk and machine images. An image with one of them as disk or
/// container format must have the same one as the other.
const AMAZON: [&str; 3] = ["aki", "ari", "ami"];

/// The formats that the operator allows (`disk_formats`, `container_formats`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FormatRules {
    /// Names allowed as `disk_format`, compared with case.
    pub disk_formats: Vec<String>,
    /// Names allowed as `container_format`, compared with case.
    pub container_formats: Vec<String>,
}

/// The reasons why the formats of a request are refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// The operator does not allow the disk format.
    #[error("Invalid disk format '{0}' for image.")]
    Disk(String),
    /// The operator does not allow the container format.
    #[error("Invalid container format '{0}' for image.")]
    Container(String),
    /// One of aki, ari and ami with another format.
    #[error(
        "Invalid mix of disk and container formats. When setting a disk or container format \
         to one of 'aki', 'ari', or 'ami', the container and disk formats must match."
    )]
    Mix,
}

impl FormatRules {
    /// Checks the formats of a request, and completes an aki, ari or ami pair of which the request
    /// states only one half.
    pub fn complete(&self, fields: &mut Fields) -> Result<(), FormatError> {
        check(&fields.disk_format, &self.disk_formats).map_err(FormatError::Disk)?;
        check(&fields.container_format, &self.container_formats).map_err(FormatError::Container)?;
        let disk = fields.disk_format.value().cloned();
        let container = fields.container_format.value().cloned();
        match (disk, container) {
            (Some(disk), None) if is_amazon(&disk) => {
                fields.container_format = Change::Set(disk);
            }
            (None, Some(container)) if is_amazon(&container) => {
                fields.disk_format = Change::Set(container);
            }
            (Some(disk), Some(container))
                if disk != container && (is_amazon(&disk) || is_amazon(&container)) =>
            {
                return Err(FormatError::Mix);
            }
            _ => {}
        }
        Ok(())
    }
}

fn is_amazon(format: &str) -> bool {
    AMAZON.contains(&format)
}

/// Checks that a stated format is known; a cleared one counts as empty and is refused.
fn check(change: &Change<String>, known: &[String]) -> Result<(), String> {
    match change {
        Change::Keep => Ok(()),
        Change::Clear => Err(String::new()),
        Change::Set(format) if known.contains(format) => Ok(()),
        Change::Set(format) => Err(format.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> FormatRules {
        let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        FormatRules {
            disk_formats: list(&["ami", "ari", "aki", "raw"]),
            container_formats: list(&["ami", "ari", "aki", "bare"]),
        }
    }

    fn stated(disk: Option<&str>, container: Option<&str>) -> Fields {
        let change = |format: Option<&str>| match format {
            None => Change::Keep,
            Some("") => Change::Clear,
            Some(format) => Change::Set(format.to_owned()),
        };
        Fields {
            disk_format: change(disk),
            container_format: change(container),
            ..Fields::default()
        }
    }

    #[test]
    fn fills_in_the_other_half() {
        let mut fields = stated(Some("aki"), None);
        rules().complete(&mut fields).unwrap();
        assert_eq!(fields.container_format, Change::Set("aki".to_owned()));
        let mut fields = stated(None, Some("ami"));
        rules().complete(&mut fields).unwrap();
        assert_eq!(fields.disk_format, Change::Set("ami".to_owned()));
    }

    #[test]
    fn refuses_mixes_and_unknown_names() {
        let error = |disk, container| rules().complete(&mut stated(disk, container)).unwrap_err();
        assert_eq!(error(Some("aki"), Some("bare")), FormatError::Mix);
        assert_eq!(error(Some("raw"), Some("ami")), FormatError::Mix);
        assert_eq!(error(Some("RAW"), None), FormatError::Disk("RAW".into()));
        assert_eq!(error(Some(""), None), FormatError::Disk(String::new()));
        assert_eq!(
            error(None, Some("tar")),
            FormatError::Container("tar".into())
        );
    }

    #[test]
    fn leaves_other_pairs_alone() {
        let mut fields = stated(Some("raw"), Some("bare"));
        let before = fields.clone();
        rules().complete(&mut fields).unwrap();
        assert_eq!(fields, before);
    }
}
