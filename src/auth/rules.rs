//! What makes a caller of an identity.

use crate::image::Caller;

/// What an operator says about identities.
#[derive(Debug, Clone)]
pub struct CallerRules {
    /// Who has this role is an administrator; in lower case.
    pub admin_role: String,
    /// Whether images belong to tenants; else to users.
    pub owner_is_tenant: bool,
}

impl CallerRules {
    /// The caller that an identity makes. Roles are compared without case.
    pub(super) fn caller<'a>(
        &self,
        user: Option<String>,
        tenant: Option<String>,
        roles: impl Iterator<Item = &'a str>,
    ) -> Caller {
        let roles: Vec<String> = roles
            .map(|role| role.trim().to_lowercase())
            .filter(|role| !role.is_empty())
            .collect();
        let owner = if self.owner_is_tenant { &tenant } else { &user };
        Caller {
            owner: owner.clone(),
            is_admin: roles.contains(&self.admin_role),
            user,
            tenant,
            roles,
            service_roles: Vec::new(),
            read_only: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(rules: &CallerRules, roles: &str) -> Caller {
        let (user, tenant) = (Some("u".to_owned()), Some("t".to_owned()));
        rules.caller(user, tenant, roles.split(','))
    }

    #[test]
    fn the_role_and_the_owner_are_options() {
        let rules = CallerRules {
            admin_role: "boss".to_owned(),
            owner_is_tenant: true,
        };
        let plain = caller(&rules, "admin, member,,");
        assert_eq!(plain.roles, ["admin", "member"]);
        assert!(!plain.is_admin);
        assert_eq!(plain.owner.as_deref(), Some("t"));
        assert!(caller(&rules, "member, BOSS").is_admin);
        let by_user = CallerRules {
            owner_is_tenant: false,
            ..rules
        };
        assert_eq!(caller(&by_user, "").owner.as_deref(), Some("u"));
    }
}
