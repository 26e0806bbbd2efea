//! The headers of a request that state or prove an identity.

use crate::error::{Error, Kind, Result};

/// The names of the headers, in the order of [`IdentityHeader`].
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

/// The lengths of the shortest and the longest name. Other headers are skipped without a
/// comparison, since this runs for every header of every request.
const LENGTHS: std::ops::RangeInclusive<usize> = 7..=17;

/// The values of the identity headers of a request.
#[derive(Debug, Default)]
pub(super) struct IdentityHeaders<'a> {
    values: [Option<&'a [u8]>; NAMES.len()],
    /// A bit for each header that occurs more than once.
    repeated: u8,
    /// A bit for each header that occurs with `_` in place of `-`. Some proxies and servers treat
    /// both spellings as one, so such a header may be an attempt to bypass a proxy that removes
    /// identity headers.
    underscored: u8,
}

/// One of the headers. The discriminant is its index in [`NAMES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IdentityHeader {
    Token,
    StorageToken,
    ServiceToken,
    Status,
    User,
    Tenant,
    Project,
    Roles,
}

impl<'a> IdentityHeaders<'a> {
    /// Collects the identity headers. Names are compared without case.
    pub(super) fn read(headers: impl Iterator<Item = (&'a str, &'a [u8])>) -> Self {
        let mut collected = Self::default();
        for (name, value) in headers {
            if !LENGTHS.contains(&name.len()) || !name.starts_with(['x', 'X']) {
                continue;
            }
            let Some(index) = NAMES.iter().position(|known| is_spelling_of(name, known)) else {
                continue;
            };
            let bit = 1 << index;
            if name.contains('_') {
                collected.underscored |= bit;
            } else if collected.values[index].replace(value).is_some() {
                collected.repeated |= bit;
            }
        }
        collected
    }

    /// Returns the value of a header, or `None` if it is missing or empty.
    ///
    /// # Errors
    /// `Invalid` for a header that occurs more than once or is not UTF-8.
    pub(super) fn text(&self, header: IdentityHeader) -> Result<Option<&'a str>> {
        let index = header as usize;
        if self.repeated & (1 << index) != 0 {
            return Err(refused(index, "may be there once"));
        }
        let Some(value) = self.values[index] else {
            return Ok(None);
        };
        let text = std::str::from_utf8(value).map_err(|_| refused(index, "must be text"))?;
        Ok(Some(text.trim()).filter(|text| !text.is_empty()))
    }

    /// Refuses the request if one of these headers occurs with underscores.
    ///
    /// # Errors
    /// `Invalid`, with the name of the header.
    pub(super) fn refuse_underscores(&self, headers: &[IdentityHeader]) -> Result<()> {
        let mut indices = headers.iter().map(|header| *header as usize);
        match indices.find(|index| self.underscored & (1 << index) != 0) {
            Some(index) => Err(refused(index, "may not be spelled with underscores")),
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

fn refused(index: usize, why: &str) -> Error {
    let name = NAMES[index];
    Error::new(Kind::Invalid, format!("The header {name} {why}."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<'a>(headers: &[(&'a str, &'a str)]) -> IdentityHeaders<'a> {
        IdentityHeaders::read(
            headers
                .iter()
                .map(|(name, value)| (*name, value.as_bytes())),
        )
    }

    #[test]
    fn every_header_is_found_by_its_name() {
        let all = [
            IdentityHeader::Token,
            IdentityHeader::StorageToken,
            IdentityHeader::ServiceToken,
            IdentityHeader::Status,
            IdentityHeader::User,
            IdentityHeader::Tenant,
            IdentityHeader::Project,
            IdentityHeader::Roles,
        ];
        for (header, name) in all.into_iter().zip(NAMES) {
            assert!(LENGTHS.contains(&name.len()), "{name}");
            let upper = name.to_uppercase();
            let headers = [(upper.as_str(), " v "), ("x-other", "w"), ("host", "h")];
            let found = read(&headers);
            assert_eq!(found.text(header).unwrap(), Some("v"), "{name}");
            for other in all.into_iter().filter(|other| *other != header) {
                assert_eq!(found.text(other).unwrap(), None, "{name}");
            }
        }
    }

    #[test]
    fn repeated_header_is_refused() {
        let headers = read(&[("x-roles", "a"), ("X-Roles", "a"), ("x-user-id", "u")]);
        assert_eq!(
            headers.text(IdentityHeader::Roles).unwrap_err().kind(),
            Kind::Invalid
        );
        assert_eq!(headers.text(IdentityHeader::User).unwrap(), Some("u"));
    }

    #[test]
    fn header_with_underscores_is_ignored_and_can_be_refused() {
        let headers = read(&[("x_roles", "admin"), ("X-Tenant_Id", "t")]);
        assert_eq!(headers.text(IdentityHeader::Roles).unwrap(), None);
        assert!(
            headers
                .refuse_underscores(&[IdentityHeader::Roles])
                .is_err()
        );
        assert!(
            headers
                .refuse_underscores(&[IdentityHeader::Tenant])
                .is_err()
        );
        assert!(headers.refuse_underscores(&[IdentityHeader::User]).is_ok());
    }

    #[test]
    fn invalid_utf8_is_refused_and_empty_value_ignored() {
        let headers = [("x-user-id", &b"\xff"[..]), ("x-tenant-id", b"")];
        let headers = IdentityHeaders::read(headers.into_iter());
        assert!(headers.text(IdentityHeader::User).is_err());
        assert_eq!(headers.text(IdentityHeader::Tenant).unwrap(), None);
    }
}
