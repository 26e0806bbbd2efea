//! Rules of the operator about URIs that clients name as source of an image's data.

use super::HttpUri;

/// The lists of `[import_filtering_opts]`, with the meaning that Glance gives them. The HTTP client
/// filters the resolved addresses itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SourceRules {
    /// Schemes, in lower case.
    pub schemes: AllowDenyList<String>,
    /// Names and addresses of hosts, compared as a whole.
    pub hosts: AllowDenyList<String>,
    /// Ports; a URI without a port has the default one of its scheme.
    pub ports: AllowDenyList<u16>,
}

/// An allow list, or else a deny list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AllowDenyList<T> {
    /// Only these are allowed, if the list is not empty.
    pub allowed: Vec<T>,
    /// All but these are allowed. Ignored if `allowed` is not empty.
    pub disallowed: Vec<T>,
}

/// The first rule that refuses a URI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SourceRefusal {
    #[error("its scheme is not allowed")]
    Scheme,
    #[error("its host is not allowed")]
    Host,
    #[error("its port is not allowed")]
    Port,
}

impl SourceRules {
    /// Checks a URI.
    ///
    /// # Errors
    /// [`SourceRefusal`] with the first rule that refuses it.
    pub fn check(&self, uri: &HttpUri) -> Result<(), SourceRefusal> {
        if !self.schemes.permits(|scheme| scheme == uri.scheme()) {
            return Err(SourceRefusal::Scheme);
        }
        if !self.hosts.permits(|host| uri.has_host(host)) {
            return Err(SourceRefusal::Host);
        }
        if !self.ports.permits(|port| *port == uri.port()) {
            return Err(SourceRefusal::Port);
        }
        Ok(())
    }
}

impl<T> AllowDenyList<T> {
    fn permits(&self, is_it: impl Fn(&T) -> bool) -> bool {
        if self.allowed.is_empty() {
            !self.disallowed.iter().any(is_it)
        } else {
            self.allowed.iter().any(is_it)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(rules: &SourceRules, text: &str) -> Result<(), SourceRefusal> {
        rules.check(&HttpUri::parse(text).unwrap())
    }

    fn listed<T: Clone>(allowed: &[T], disallowed: &[T]) -> AllowDenyList<T> {
        AllowDenyList {
            allowed: allowed.to_vec(),
            disallowed: disallowed.to_vec(),
        }
    }

    #[test]
    fn allow_list_excludes_the_rest() {
        let rules = SourceRules {
            schemes: listed(&["https".to_owned()], &[]),
            hosts: listed(&["Example.org".to_owned(), "10.0.0.1".to_owned()], &[]),
            ports: listed(&[443, 8080], &[]),
        };
        for (uri, result) in [
            ("https://example.ORG/x", Ok(())),
            ("https://10.0.0.1:8080/x", Ok(())),
            ("http://example.org/x", Err(SourceRefusal::Scheme)),
            ("https://sub.example.org/x", Err(SourceRefusal::Host)),
            ("https://example.org:80/x", Err(SourceRefusal::Port)),
            ("https://u:example.org@evil/x", Err(SourceRefusal::Host)),
        ] {
            assert_eq!(check(&rules, uri), result, "{uri}");
        }
    }

    #[test]
    fn deny_list_applies_without_an_allow_list() {
        let rules = SourceRules {
            schemes: AllowDenyList::default(),
            hosts: listed(&[], &["::1".to_owned(), "evil.org".to_owned()]),
            ports: listed(&[80], &[80]),
        };
        assert_eq!(check(&rules, "http://good.org/"), Ok(()));
        assert_eq!(check(&rules, "http://EVIL.org/"), Err(SourceRefusal::Host));
        assert_eq!(check(&rules, "http://[0::1]/"), Err(SourceRefusal::Host));
        assert_eq!(check(&rules, "https://good.org/"), Err(SourceRefusal::Port));
    }
}
