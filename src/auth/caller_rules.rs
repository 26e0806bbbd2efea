//! The rules that turn an identity into a [`Caller`].

use crate::image::Caller;

/// The operator's rules for identities.
#[derive(Debug, Clone)]
pub struct CallerRules {
    /// Callers with this role are administrators. In lower case.
    pub admin_role: String,
    /// True if the owner of an image is its creator's tenant, false if it is the user.
    pub owner_is_tenant: bool,
}

impl CallerRules {
    /// Returns the caller of an identity. Roles are compared without case.
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
    fn admin_role_and_kind_of_owner_are_configurable() {
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
