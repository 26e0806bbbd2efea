//! Value types of the options for identities.

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;

use super::{Int, ValueType};

/// A list of addresses and networks, which may be empty.
pub(crate) struct Networks;

impl ValueType for Networks {
    type Value = Vec<IpNet>;

    fn expected(&self) -> String {
        "IP addresses or networks such as 10.0.0.0/8, separated by commas, or nothing".into()
    }

    fn parse(&self, text: &str) -> Option<Vec<IpNet>> {
        let parts = text.split(',').map(str::trim);
        let parts = parts.filter(|part| !part.is_empty());
        parts.map(network).collect()
    }
}

fn network(text: &str) -> Option<IpNet> {
    match text.parse::<IpAddr>() {
        Ok(address) => Some(IpNet::from(address)),
        Err(_) => text.parse().ok(),
    }
}

/// The lifetime of cached entries; 0 and -1 (any negative number, as in Keystone's middleware) turn
/// caching off.
pub(crate) struct CacheSeconds {
    /// Largest number of seconds.
    pub max: u64,
}

impl ValueType for CacheSeconds {
    type Value = Duration;

    fn expected(&self) -> String {
        format!("a whole number of seconds up to {}, -1 = none", self.max)
    }

    fn parse(&self, text: &str) -> Option<Duration> {
        let (digits, is_negative) = match text.strip_prefix('-') {
            Some(digits) => (digits, true),
            None => (text, false),
        };
        let seconds: u64 = Int::new(0, self.max, "").parse(digits)?;
        Some(Duration::from_secs(if is_negative { 0 } else { seconds }))
    }
}

/// The parts of a flavor: at most one for identities, and two for the cache.
pub(crate) struct FlavorParts;

impl ValueType for FlavorParts {
    /// Names of the parts, without repetition.
    type Value = Vec<&'static str>;

    fn expected(&self) -> String {
        "nothing, none, keystone or trusted-auth; +caching or +cachemanagement may follow".into()
    }

    fn parse(&self, text: &str) -> Option<Vec<&'static str>> {
        const KNOWN: [&str; 5] = [
            "none",
            "keystone",
            "trusted-auth",
            "caching",
            "cachemanagement",
        ];
        let parts = text.split('+').map(str::trim);
        let parts: Option<Vec<_>> = parts
            .filter(|part| !part.is_empty())
            .map(|part| KNOWN.into_iter().find(|known| *known == part))
            .collect();
        let parts = parts?;
        let count = |of: &[&str]| parts.iter().filter(|part| of.contains(part)).count();
        let is_sound = count(&KNOWN[..3]) <= 1 && KNOWN[3..].iter().all(|part| count(&[part]) <= 1);
        is_sound.then_some(parts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_read_as_lists() {
        let read = |text: &str| {
            let networks = Networks.parse(text)?;
            let words: Vec<String> = networks.iter().map(ToString::to_string).collect();
            Some(words.join(" "))
        };
        let loopback = read("127.0.0.0/8, ::1");
        assert_eq!(loopback.as_deref(), Some("127.0.0.0/8 ::1/128"));
        assert_eq!(read("").as_deref(), Some(""));
        for bad in ["localhost", "10.0.0.0/33", "10.0.0.1:80", "10.0.0.0/8 ::1"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn negative_times_turn_caching_off() {
        let read = |text: &str| CacheSeconds { max: 300 }.parse(text);
        assert_eq!(read("300"), Some(Duration::from_secs(300)));
        for none in ["0", "-1", "-300"] {
            assert_eq!(read(none), Some(Duration::ZERO), "{none}");
        }
        for bad in ["", "-", "301", "1.5", "--1"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn flavor_has_at_most_one_part_for_identities() {
        let read = |text: &str| FlavorParts.parse(text).map(|parts| parts.join(" "));
        assert_eq!(read("").as_deref(), Some(""));
        assert_eq!(read("keystone").as_deref(), Some("keystone"));
        let both = read("trusted-auth+cachemanagement");
        assert_eq!(both.as_deref(), Some("trusted-auth cachemanagement"));
        for bad in [
            "keystone2",
            "keystone+trusted-auth",
            "caching+caching",
            "Keystone",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
