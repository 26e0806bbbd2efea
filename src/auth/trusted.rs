//! Identities that a proxy in front has found out (`trusted-auth`).

use std::net::IpAddr;

use ipnet::IpNet;

use super::presented::{Presented, Said};
use super::rules::CallerRules;
use crate::error::{Error, Kind, Result};
use crate::image::Caller;

/// The headers that say who somebody is.
const IDENTITY: [Said; 5] = [
    Said::Status,
    Said::User,
    Said::Tenant,
    Said::Project,
    Said::Roles,
];

/// Takes the word of the proxies that were named, and of nobody else.
pub(super) struct TrustedProxies {
    proxies: Vec<IpNet>,
    rules: CallerRules,
}

impl TrustedProxies {
    pub(super) fn new(proxies: Vec<IpNet>, rules: CallerRules) -> Self {
        Self { proxies, rules }
    }

    /// Who a proxy says is asking; `None` when it does not say, or is none of ours.
    ///
    /// # Errors
    /// `Invalid` when one of our proxies says it in a way that can be read in two.
    pub(super) fn caller(&self, peer: IpAddr, presented: &Presented<'_>) -> Result<Option<Caller>> {
        if !self.trusts(peer) {
            return Ok(None);
        }
        presented.refuse_underscores(&IDENTITY)?;
        let user = presented.text(Said::User)?;
        let roles = presented.text(Said::Roles)?.unwrap_or_default();
        let tenant = one_of(
            presented.text(Said::Tenant)?,
            presented.text(Said::Project)?,
        )?;
        if presented.text(Said::Status)? != Some("Confirmed") {
            return Ok(None);
        }
        let (user, tenant) = (user.map(str::to_owned), tenant.map(str::to_owned));
        Ok(Some(self.rules.caller(user, tenant, roles.split(','))))
    }

    fn trusts(&self, peer: IpAddr) -> bool {
        // An IPv4 peer of an IPv6 socket is still that peer.
        let peer = peer.to_canonical();
        self.proxies.iter().any(|proxies| proxies.contains(&peer))
    }
}

/// The tenant by either of its names.
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
        proxies().caller(peer.parse().unwrap(), &Presented::read(headers))
    }

    const ALICE: [(&str, &str); 4] = [
        ("X-Identity-Status", "Confirmed"),
        ("X-User-Id", "alice"),
        ("X-Tenant-Id", "a"),
        ("X-Roles", "Member, Admin"),
    ];

    #[test]
    fn proxies_are_believed_and_others_are_not() {
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
    fn who_is_not_confirmed_is_nobody() {
        for status in ["Invalid", "confirmed", ""] {
            let mut headers = ALICE;
            headers[0].1 = status;
            assert_eq!(ask("127.0.0.1", &headers).unwrap(), None, "{status}");
        }
        assert_eq!(ask("127.0.0.1", &ALICE[1..]).unwrap(), None);
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_refused() {
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
