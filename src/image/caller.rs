//! The caller of a request, as authentication found it.

/// The role of every caller on a server without an identity service.
const ADMIN_ROLE: &str = "admin";

/// The identity behind a request, decided before any rule is applied.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Caller {
    /// The user.
    pub user: Option<String>,
    /// The tenant (project).
    pub tenant: Option<String>,
    /// The owner of images it creates, and the id by which it is a member of images: the tenant,
    /// or the user if `owner_is_tenant` is off.
    pub owner: Option<String>,
    /// Its roles, in lower case.
    pub roles: Vec<String>,
    /// The roles of the service that acts for the user, in lower case.
    pub service_roles: Vec<String>,
    /// True if rules about owners do not apply.
    pub is_admin: bool,
    /// True if it may read only.
    pub read_only: bool,
}

impl Caller {
    /// Returns the caller of every request if no identity service is configured: an administrator
    /// without a tenant, whose images have no owner (Glance without an auth flavor).
    pub fn administrator() -> Self {
        Self {
            roles: vec![ADMIN_ROLE.to_owned()],
            is_admin: true,
            ..Self::default()
        }
    }

    /// Returns the caller of a request without credentials (`allow_anonymous_access`).
    pub fn anonymous() -> Self {
        Self {
            read_only: true,
            ..Self::default()
        }
    }

    /// Returns true if the caller is this owner. An image without an owner belongs to no caller.
    pub(super) fn owns(&self, owner: Option<&str>) -> bool {
        self.owner.is_some() && self.owner.as_deref() == owner
    }
}
