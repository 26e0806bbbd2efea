//! Who is asking.

/// The identity behind a request, decided before any rule is applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The tenant (project); images it creates are owned by it.
    pub tenant: Option<String>,
    /// Whether every rule about owners is lifted.
    pub is_admin: bool,
}

impl Caller {
    /// What everybody is where no identity service is configured: an administrator
    /// without a tenant, whose images have no owner (Glance without an auth flavour).
    pub fn administrator() -> Self {
        Self {
            tenant: None,
            is_admin: true,
        }
    }
}
