//! The parsed form of rules, and their evaluation.

use crate::image::{Caller, Image, Visibility};

/// A check, of which rules consist. References to other rules are by number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Check {
    /// Holds for every caller: the empty rule, and `@`.
    Always,
    /// Holds for no caller: `!`.
    Never,
    Not(Box<Check>),
    All(Vec<Check>),
    Any(Vec<Check>),
    /// Another rule.
    Rule(usize),
    /// The caller has a role. In lower case.
    Role(Box<str>),
    Same(Left, Right),
}

/// The left side of a comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Left {
    Caller(Attribute),
    Literal(Box<str>),
    /// Python's `None`.
    Nothing,
}

/// The right side of a comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Right {
    /// `%(key)s`
    Image(Key),
    Literal(Box<str>),
    /// Python's `None`.
    Nothing,
}

/// An attribute of a caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Attribute {
    User,
    Tenant,
    Roles,
    ServiceRoles,
    IsAdmin,
    ReadOnly,
}

/// An attribute of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Key {
    Owner,
    Id,
    Name,
    Status,
    DiskFormat,
    ContainerFormat,
    Checksum,
    Size,
    MinDisk,
    MinRam,
    IsPublic,
    Protected,
    VirtualSize,
    /// `public`, `shared` or `private`, as Glance's own move from `is_public` to `visibility`
    /// (Ocata) decides.
    Visibility,
    /// The caller, where the image is shared with it.
    Member,
    /// A property; every other name denotes one.
    Property(Box<str>),
}

/// The input of an evaluation.
#[derive(Clone, Copy)]
pub(super) struct EvalContext<'a> {
    pub(super) caller: &'a Caller,
    pub(super) image: Option<&'a Image>,
    /// The rules by number. They contain no cycle, so the evaluation ends.
    pub(super) rules: &'a [Check],
}

impl Check {
    /// `is_admin:True`
    pub(super) fn is_admin() -> Self {
        Check::Same(
            Left::Caller(Attribute::IsAdmin),
            Right::Literal("True".into()),
        )
    }

    /// Returns true if the check holds. A rule that does not exist never holds.
    pub(super) fn holds(&self, context: EvalContext<'_>) -> bool {
        match self {
            Check::Always => true,
            Check::Never => false,
            Check::Not(check) => !check.holds(context),
            Check::All(checks) => checks.iter().all(|check| check.holds(context)),
            Check::Any(checks) => checks.iter().any(|check| check.holds(context)),
            Check::Rule(number) => {
                let rule = context.rules.get(*number);
                rule.is_some_and(|rule| rule.holds(context))
            }
            Check::Role(role) => has(&context.caller.roles, role),
            Check::Same(left, right) => right.with_text(context, |wanted| {
                let is_nothing = *right == Right::Nothing;
                wanted.is_some_and(|wanted| left.is(wanted, is_nothing, context.caller))
            }),
        }
    }

    /// Returns the numbers of the rules that it refers to.
    pub(super) fn named_rules(&self) -> Vec<usize> {
        match self {
            Check::Rule(number) => vec![*number],
            Check::Not(check) => check.named_rules(),
            Check::All(checks) | Check::Any(checks) => {
                checks.iter().flat_map(Check::named_rules).collect()
            }
            Check::Always | Check::Never | Check::Role(_) | Check::Same(..) => Vec::new(),
        }
    }
}

impl Left {
    /// Returns true if this side equals `wanted`. A missing attribute equals Python's `None` only:
    /// otherwise a caller without a tenant would own every image without an owner.
    fn is(&self, wanted: Option<&str>, wants_nothing: bool, caller: &Caller) -> bool {
        let word = |flag: bool| Some(if flag { "True" } else { "False" });
        let own = match self {
            Left::Literal(text) => Some(&**text),
            Left::Nothing => return wanted.is_none(),
            Left::Caller(Attribute::User) => caller.user.as_deref(),
            Left::Caller(Attribute::Tenant) => caller.tenant.as_deref(),
            Left::Caller(Attribute::IsAdmin) => word(caller.is_admin),
            Left::Caller(Attribute::ReadOnly) => word(caller.read_only),
            Left::Caller(Attribute::Roles) => {
                return wanted.is_some_and(|wanted| has(&caller.roles, wanted));
            }
            Left::Caller(Attribute::ServiceRoles) => {
                return wanted.is_some_and(|wanted| has(&caller.service_roles, wanted));
            }
        };
        match (own, wanted) {
            (Some(own), Some(wanted)) => own == wanted,
            (None, None) => wants_nothing,
            _ => false,
        }
    }
}

impl Right {
    /// Calls `pass` with the value. `Some(None)` is Python's `None`. `None` is a missing key, for which
    /// the check of oslo.policy fails whatever its left side is.
    fn with_text<T>(
        &self,
        context: EvalContext<'_>,
        pass: impl FnOnce(Option<Option<&str>>) -> T,
    ) -> T {
        let key = match self {
            Right::Literal(text) => return pass(Some(Some(text))),
            Right::Nothing => return pass(Some(None)),
            Right::Image(key) => key,
        };
        let Some(image) = context.image else {
            return pass(None);
        };
        let word = |flag: bool| Some(if flag { "True" } else { "False" });
        let mut digits = itoa::Buffer::new();
        pass(match key {
            Key::Owner => Some(image.owner.as_deref()),
            Key::Id => Some(Some(image.id.as_str())),
            Key::Name => Some(image.name.as_deref()),
            Key::Status => Some(Some(image.status.as_str())),
            Key::DiskFormat => Some(image.disk_format.as_deref()),
            Key::ContainerFormat => Some(image.container_format.as_deref()),
            Key::Checksum => Some(image.checksum.as_ref().map(|sum| sum.as_str())),
            Key::IsPublic => Some(word(image.visibility.is_public())),
            Key::Protected => Some(word(image.protected)),
            Key::Size => Some(Some(digits.format(image.size_bytes))),
            Key::MinDisk => Some(Some(digits.format(image.min_disk_gb))),
            Key::MinRam => Some(Some(digits.format(image.min_ram_mb))),
            Key::VirtualSize => {
                let bytes = image.virtual_size_bytes;
                Some(bytes.map(|bytes| digits.format(bytes)))
            }
            Key::Visibility => Some(Some(visibility(image))),
            Key::Member => {
                let caller = context.caller.owner.as_deref();
                let mut members = image.members.iter();
                let is_member = members.any(|member| Some(member.id.as_str()) == caller);
                caller.filter(|_| is_member).map(Some)
            }
            Key::Property(name) => {
                let value = image.properties.get(&**name);
                value.map(|value| value.as_deref())
            }
        })
    }
}

fn visibility(image: &Image) -> &'static str {
    match image.visibility {
        // Glance's own move from `is_public` to `visibility` called these private.
        Visibility::Shared if image.members.is_empty() => Visibility::Private.as_str(),
        visibility => visibility.as_str(),
    }
}

/// Returns true if a role is in the list. Roles are compared without case.
fn has(roles: &[String], wanted: &str) -> bool {
    roles.iter().any(|role| role.eq_ignore_ascii_case(wanted))
}
