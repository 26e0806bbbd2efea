//! Address policy: the IP addresses that a client may connect to. It protects against
//! server-side request forgery (SSRF) through URIs that API users supply.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// The addresses that a client may connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AddressPolicy {
    /// All addresses, for servers that the operator configured.
    Any,
    /// Filtered addresses, for URIs that a user supplied.
    Filtered(AddressFilter),
}

/// Filter for addresses from users: excludes this machine, private networks and the local link,
/// where services often trust all peers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AddressFilter {
    /// Allows this machine and private networks. Link-local addresses, where clouds provide
    /// their metadata service, stay excluded.
    pub private: bool,
    /// The addresses that this process listens on. They are always excluded.
    pub own: Vec<SocketAddr>,
}

impl AddressPolicy {
    /// Returns true if the client may connect to the address.
    pub(super) fn allows(&self, address: SocketAddr) -> bool {
        match self {
            Self::Any => true,
            Self::Filtered(filter) => filter.allows(address),
        }
    }
}

impl AddressFilter {
    /// Returns true if the filter allows the host, listening addresses aside.
    pub fn allows_host(&self, address: IpAddr) -> bool {
        let ip = embedded(address);
        if self.private {
            !is_always_excluded(ip)
        } else {
            is_public(ip)
        }
    }

    fn allows(&self, address: SocketAddr) -> bool {
        let ip = embedded(address.ip());
        self.allows_host(ip) && !self.is_own(SocketAddr::new(ip, address.port()))
    }

    fn is_own(&self, address: SocketAddr) -> bool {
        self.own.iter().any(|own| {
            let is_same = own.ip().to_canonical() == address.ip();
            let is_ours = own.ip().is_unspecified() && is_of_this_machine(address.ip());
            own.port() == address.port() && (is_same || is_ours)
        })
    }
}

/// Returns true if the address belongs to this machine: the kernel then chooses the same address
/// as the source of a connection to it. Connecting a UDP socket sends no packet.
fn is_of_this_machine(ip: IpAddr) -> bool {
    let any: IpAddr = match ip {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let source = UdpSocket::bind((any, 0)).and_then(|socket| {
        socket.connect((ip, 9))?;
        socket.local_addr()
    });
    // An address without a route is not one of this machine's.
    ip.is_loopback() || source.is_ok_and(|source| source.ip() == ip)
}

/// Returns the IPv4 address that an IPv6 address embeds, or the address itself.
fn embedded(ip: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = ip else { return ip };
    let s = v6.segments();
    let embedded = match s {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => return ip,
        // Mapped, compatible, and NAT64 (RFC 6052).
        [0, 0, 0, 0, 0, 0xffff | 0, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            (high, low)
        }
        // 6to4 (RFC 3056).
        [0x2002, high, low, ..] => (high, low),
        _ => return ip,
    };
    let bits = u32::from(embedded.0) << 16 | u32::from(embedded.1);
    Ipv4Addr::from_bits(bits).into()
}

/// Returns true for addresses that are always excluded: unspecified, multicast, reserved and
/// link-local.
fn is_always_excluded(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => v4.octets()[0] == 0 || v4.octets()[0] >= 224 || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unspecified() || v6.is_multicast() || v6.is_unicast_link_local(),
    }
}

/// Returns true for addresses of the public Internet (IANA's special-purpose registries).
fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let is_shared = a == 100 && (64..128).contains(&b);
    let is_protocol = a == 192 && b == 0 && c == 0;
    let is_relay = a == 192 && b == 88 && c == 99;
    let is_benchmark = a == 198 && (18..20).contains(&b);
    !(is_always_excluded(address.into())
        || is_shared
        || is_protocol
        || is_relay
        || is_benchmark
        || address.is_loopback()
        || address.is_private()
        || address.is_documentation())
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let s = address.segments();
    // Global unicast is 2000::/3, without protocol assignments such as Teredo (2001::/23) and
    // documentation (2001:db8::/32, 3fff::/20).
    let is_global = s[0] & 0xe000 == 0x2000;
    let is_protocol = s[0] == 0x2001 && s[1] < 0x200;
    let is_documentation = (s[0] == 0x2001 && s[1] == 0xdb8) || (s[0] == 0x3fff && s[1] < 0x1000);
    is_global && !is_protocol && !is_documentation
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRIVATE: &[&str] = &[
        "127.0.0.1",
        "127.8.9.1",
        "10.0.0.1",
        "172.16.3.4",
        "192.168.0.1",
        "100.64.0.1",
        "192.0.0.8",
        "198.18.0.1",
        "::1",
        "::ffff:127.0.0.1",
        "::7f00:1",
        "64:ff9b::a00:1",
        "64:ff9b:1::1",
        "2002:7f00:1::",
        "fc00::1",
        "2001:db8::1",
        "2001::1",
        "::ffff:0:7f00:1",
        "fec0::1",
    ];

    const NEVER: &[&str] = &[
        "0.0.0.0",
        "0.1.2.3",
        "169.254.169.254",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::ffff:0.0.0.0",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "2002:a9fe:a9fe::1",
        "fe80::1",
        "ff02::1",
    ];

    const PUBLIC: &[&str] = &[
        "8.8.8.8",
        "172.32.0.1",
        "100.128.0.1",
        "2606:4700::1111",
        "::ffff:8.8.8.8",
        "64:ff9b::808:808",
    ];

    fn named(private: bool, own: &[&str]) -> AddressPolicy {
        let own = own.iter().map(|own| own.parse().unwrap()).collect();
        AddressPolicy::Filtered(AddressFilter { private, own })
    }

    fn allows(policy: &AddressPolicy, ip: &str, port: u16) -> bool {
        policy.allows(SocketAddr::new(ip.parse().unwrap(), port))
    }

    #[test]
    fn private_addresses_are_excluded() {
        let policy = named(false, &[]);
        for ip in PRIVATE.iter().chain(NEVER) {
            assert!(!allows(&policy, ip, 80), "{ip}");
        }
        for ip in PUBLIC {
            assert!(allows(&policy, ip, 80), "{ip}");
        }
    }

    #[test]
    fn option_private_allows_private_networks_but_not_link_local() {
        let policy = named(true, &[]);
        for ip in PRIVATE.iter().chain(PUBLIC) {
            assert!(allows(&policy, ip, 80), "{ip}");
        }
        for ip in NEVER {
            assert!(!allows(&policy, ip, 80), "{ip}");
        }
        assert!(allows(&AddressPolicy::Any, "169.254.169.254", 80));
    }

    #[test]
    fn own_listening_addresses_are_excluded() {
        let own = named(true, &["127.0.0.1:9292"]);
        assert!(!allows(&own, "127.0.0.1", 9292));
        assert!(!allows(&own, "::ffff:127.0.0.1", 9292));
        assert!(!allows(&own, "::7f00:1", 9292));
        assert!(allows(&own, "127.0.0.1", 9293));
        assert!(allows(&own, "127.0.0.2", 9292));
        for any in ["0.0.0.0:9292", "[::]:9292"] {
            let own = named(true, &[any]);
            for ip in ["127.0.0.1", "127.0.0.2", "::1"] {
                assert!(!allows(&own, ip, 9292), "{any} {ip}");
            }
            assert!(allows(&own, "8.8.8.8", 9292));
            assert!(allows(&own, "127.0.0.1", 80));
        }
        assert!(!allows(&named(false, &["8.8.8.8:80"]), "8.8.8.8", 80));
    }

    #[test]
    fn addresses_of_this_machine_are_recognised() {
        for ip in ["127.0.0.1", "127.9.9.9", "::1"] {
            assert!(is_of_this_machine(ip.parse().unwrap()), "{ip}");
        }
        assert!(!is_of_this_machine("8.8.8.8".parse().unwrap()));
    }
}
