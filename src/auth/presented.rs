//! What a request says of its sender, as it came.

use crate::error::{Error, Kind, Result};

/// The headers that matter here, in the order of [`Presented`]'s fields.
const NAMES: [&str; 8] = [
    "x-auth-token",
    "x-storage-token",
    "x-service-token",
    "x-identity-status",
    "x-user-id",
    "x-tenant-id",
    "x-project-id",
    "x-roles",
];

/// The shortest and the longest of the names: others are not looked at.
const LENGTHS: std::ops::RangeInclusive<usize> = 7..=17;

/// What a request says of its sender: each header's value, where it is there.
#[derive(Debug, Default)]
pub(super) struct Presented<'a> {
    values: [Option<&'a [u8]>; NAMES.len()],
    /// Headers that came twice, a bit each.
    repeated: u8,
    /// Headers that also came with `_` for `-`, a bit each: to some proxies and servers
    /// these are the same, so who sends both may mean to get one past the other.
    underscored: u8,
}

/// One of the headers, by its place in the list of names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said {
    Token,
    StorageToken,
    ServiceToken,
    Status,
    User,
    Tenant,
    Project,
    Roles,
}

impl<'a> Presented<'a> {
    /// Reads headers, whose names are compared without case.
    pub(super) fn read(headers: impl Iterator<Item = (&'a str, &'a [u8])>) -> Self {
        let mut presented = Self::default();
        for (name, value) in headers {
            if !LENGTHS.contains(&name.len()) || !name.starts_with(['x', 'X']) {
                continue;
            }
            let Some(place) = NAMES.iter().position(|known| is_spelling_of(name, known)) else {
                continue;
            };
            let bit = 1 << place;
            if name.contains('_') {
                presented.underscored |= bit;
            } else if presented.values[place].replace(value).is_some() {
                presented.repeated |= bit;
            }
        }
        presented
    }

    /// The value of a header; `None` also for one that is empty.
    ///
    /// # Errors
    /// `Invalid` for a header that is there twice or is no text.
    pub(super) fn text(&self, said: Said) -> Result<Option<&'a str>> {
        let place = said as usize;
        if self.repeated & (1 << place) != 0 {
            return Err(refused(place, "may be there once"));
        }
        let Some(value) = self.values[place] else {
            return Ok(None);
        };
        let text = std::str::from_utf8(value).map_err(|_| refused(place, "must be text"))?;
        Ok(Some(text.trim()).filter(|text| !text.is_empty()))
    }

    /// Refuses spellings that could be taken for one of these headers.
    ///
    /// # Errors
    /// `Invalid` with the header.
    pub(super) fn refuse_underscores(&self, of: &[Said]) -> Result<()> {
        let mut places = of.iter().map(|said| *said as usize);
        match places.find(|place| self.underscored & (1 << place) != 0) {
            Some(place) => Err(refused(place, "may not be spelled with underscores")),
            None => Ok(()),
        }
    }
}

fn is_spelling_of(name: &str, known: &str) -> bool {
    let same = |(byte, known): (u8, u8)| {
        byte.eq_ignore_ascii_case(&known) || (byte == b'_' && known == b'-')
    };
    name.len() == known.len() && name.bytes().zip(known.bytes()).all(same)
}

fn refused(place: usize, why: &str) -> Error {
    let name = NAMES[place];
    Error::new(Kind::Invalid, format!("The header {name} {why}."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<'a>(headers: &[(&'a str, &'a str)]) -> Presented<'a> {
        Presented::read(
            headers
                .iter()
                .map(|(name, value)| (*name, value.as_bytes())),
        )
    }

    #[test]
    fn every_name_has_its_place() {
        let places = [
            Said::Token,
            Said::StorageToken,
            Said::ServiceToken,
            Said::Status,
            Said::User,
            Said::Tenant,
            Said::Project,
            Said::Roles,
        ];
        for (said, name) in places.into_iter().zip(NAMES) {
            assert!(LENGTHS.contains(&name.len()), "{name}");
            let upper = name.to_uppercase();
            let headers = [(upper.as_str(), " v "), ("x-other", "w"), ("host", "h")];
            let presented = read(&headers);
            assert_eq!(presented.text(said).unwrap(), Some("v"), "{name}");
            for other in places.into_iter().filter(|other| *other != said) {
                assert_eq!(presented.text(other).unwrap(), None, "{name}");
            }
        }
    }

    #[test]
    fn what_comes_twice_is_refused() {
        let presented = read(&[("x-roles", "a"), ("X-Roles", "a"), ("x-user-id", "u")]);
        assert_eq!(
            presented.text(Said::Roles).unwrap_err().kind(),
            Kind::Invalid
        );
        assert_eq!(presented.text(Said::User).unwrap(), Some("u"));
    }

    #[test]
    fn underscores_are_another_header_and_can_be_refused() {
        let presented = read(&[("x_roles", "admin"), ("X-Tenant_Id", "t")]);
        assert_eq!(presented.text(Said::Roles).unwrap(), None);
        assert!(presented.refuse_underscores(&[Said::Roles]).is_err());
        assert!(presented.refuse_underscores(&[Said::Tenant]).is_err());
        assert!(presented.refuse_underscores(&[Said::User]).is_ok());
    }

    #[test]
    fn nothing_is_made_of_what_is_no_text() {
        let headers = [("x-user-id", &b"\xff"[..]), ("x-tenant-id", b"")];
        let presented = Presented::read(headers.into_iter());
        assert!(presented.text(Said::User).is_err());
        assert_eq!(presented.text(Said::Tenant).unwrap(), None);
    }
}
