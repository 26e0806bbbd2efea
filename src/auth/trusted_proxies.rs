//! Identities that an authenticating proxy states in headers (`trusted-auth`).

use std::net::IpAddr;

use ipnet::IpNet;

use super::caller_rules::CallerRules;
use super::identity_headers::{IdentityHeader, IdentityHeaders};
use crate::error::{Error, Kind, Result};
use crate::image::Caller;

/// The headers that a proxy sets.
const IDENTITY: [IdentityHeader; 5] = [
    IdentityHeader::Status,
    IdentityHeader::User,
    IdentityHeader::Tenant,
    IdentityHeader::Project,
    IdentityHeader::Roles,
];

/// Accepts identity headers from the configured proxies and ignores those of other peers.
pub(super) struct TrustedProxies {
    proxies: Vec<IpNet>,
    rules: CallerRules,
}

impl TrustedProxies {
    pub(super) fn new(proxies: Vec<IpNet>, rules: CallerRules) -> Self {
        Self { proxies, rules }
    }

    /// Returns the caller that a proxy states, or `None` if it states none or the peer is not a
    /// configured proxy.
    ///
    /// # Errors
    /// `Invalid` when the headers of a configured proxy are ambiguous.
    pub(super) fn caller(
        &self,
        peer: IpAddr,
        headers: &IdentityHeaders<'_>,
    ) -> Result<Option<Caller>> {
        if !self.trusts(peer) {
            return Ok(None);
        }
        // Everything is validated before the status is examined, so that an ambiguous request is
        // refused in any case.
        headers.refuse_underscores(&IDENTITY)?;
        let user = headers.text(IdentityHeader::User)?;
        let roles = headers.text(IdentityHeader::Roles)?.unwrap_or_default();
        let tenant = one_of(
            headers.text(IdentityHeader::Tenant)?,
            headers.text(IdentityHeader::Project)?,
        )?;
        if headers.text(IdentityHeader::Status)? != Some("Confirmed") {
            return Ok(None);
        }
        let (user, tenant) = (user.map(str::to_owned), tenant.map(str::to_owned));
        Ok(Some(self.rules.caller(user, tenant, roles.split(','))))
    }

    fn trusts(&self, peer: IpAddr) -> bool {
        // On an IPv6 socket, IPv4 peers have mapped addresses (::ffff:a.b.c.d).
        let peer = peer.to_canonical();
        self.proxies.iter().any(|proxies| proxies.contains(&peer))
    }
}

/// Returns the tenant from its two headers, of which the second is the newer name.
fn one_of<'a>(tenant: Option<&'a str>, project: Option<&'a str>) -> Result<Option<&'a str>> {
    match (tenant, project) {
        (Some(tenant), Some(project)) if tenant != project => Err(Error::new(
            Kind::Invalid,
            "The headers x-tenant-id and x-project-id name two tenants.",
        )),
        (tenant, project) => Ok(tenant.or(project)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies() -> TrustedProxies {
        let rules = CallerRules {
            admin_role: "admin".to_owned(),
            owner_is_tenant: true,
        };
        let networks = ["127.0.0.0/8", "2001:db8::/32"];
        let networks = networks.map(|network| network.parse().unwrap());
        TrustedProxies::new(networks.to_vec(), rules)
    }

    fn ask(peer: &str, headers: &[(&str, &str)]) -> Result<Option<Caller>> {
        let headers = headers
            .iter()
            .map(|(name, value)| (*name, value.as_bytes()));
        proxies().caller(peer.parse().unwrap(), &IdentityHeaders::read(headers))
    }

    const ALICE: [(&str, &str); 4] = [
        ("X-Identity-Status", "Confirmed"),
        ("X-User-Id", "alice"),
        ("X-Tenant-Id", "a"),
        ("X-Roles", "Member, Admin"),
    ];

    #[test]
    fn headers_of_proxies_only_are_accepted() {
        for peer in ["127.0.0.1", "127.1.2.3", "::ffff:127.0.0.1", "2001:db8::7"] {
            let caller = ask(peer, &ALICE).unwrap().expect(peer);
            assert_eq!(caller.user.as_deref(), Some("alice"));
            assert_eq!(caller.tenant.as_deref(), Some("a"));
            assert_eq!(caller.roles, ["member", "admin"]);
            assert!(caller.is_admin && !caller.read_only);
        }
        for peer in ["10.0.0.1", "::1", "::ffff:10.0.0.1"] {
            assert_eq!(ask(peer, &ALICE).unwrap(), None, "{peer}");
        }
    }

    #[test]
    fn unconfirmed_identity_is_ignored() {
        for status in ["Invalid", "confirmed", ""] {
            let mut headers = ALICE;
            headers[0].1 = status;
            assert_eq!(ask("127.0.0.1", &headers).unwrap(), None, "{status}");
        }
        assert_eq!(ask("127.0.0.1", &ALICE[1..]).unwrap(), None);
    }

    #[test]
    fn ambiguous_headers_are_refused() {
        for odd in [
            ("x-roles", "admin"),
            ("X_Roles", "admin"),
            ("x_identity_status", "Confirmed"),
            ("x-project-id", "b"),
        ] {
            let headers = [&ALICE[..], &[odd]].concat();
            let error = ask("127.0.0.1", &headers).expect_err(odd.0);
            assert_eq!(error.kind(), Kind::Invalid);
            assert_eq!(ask("10.0.0.1", &headers).unwrap(), None, "stripped");
        }
        let same = [&ALICE[..], &[("x-project-id", "a")]].concat();
        assert!(ask("127.0.0.1", &same).unwrap().is_some());
    }
}
