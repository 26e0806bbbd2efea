//! Who is asking.

/// The role that the callers of a node without an identity service have.
const ADMIN_ROLE: &str = "admin";

/// The identity behind a request, decided before any rule is applied.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Caller {
    /// The user.
    pub user: Option<String>,
    /// The tenant (project).
    pub tenant: Option<String>,
    /// Whom the images it creates belong to, and whom memberships name: the tenant, or the
    /// user where `owner_is_tenant` is off.
    pub owner: Option<String>,
    /// Its roles, in lower case.
    pub roles: Vec<String>,
    /// The roles of the service that asks on the user's behalf, in lower case.
    pub service_roles: Vec<String>,
    /// Whether every rule about owners is lifted.
    pub is_admin: bool,
    /// Whether it may look and change nothing.
    pub read_only: bool,
}

impl Caller {
    /// What everybody is where no identity service is configured: an administrator
    /// without a tenant, whose images have no owner (Glance without an auth flavour).
    pub fn administrator() -> Self {
        Self {
            roles: vec![ADMIN_ROLE.to_owned()],
            is_admin: true,
            ..Self::default()
        }
    }

    /// Somebody who does not say who it is (`allow_anonymous_access`).
    pub fn anonymous() -> Self {
        Self {
            read_only: true,
            ..Self::default()
        }
    }

    /// Whether the image is this caller's. What belongs to nobody is nobody's.
    pub(super) fn owns(&self, owner: Option<&str>) -> bool {
        self.owner.is_some() && self.owner.as_deref() == owner
    }
}
