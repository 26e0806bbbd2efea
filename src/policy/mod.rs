//! Operator policy: which callers may do what, in addition to the ownership of images.
//!
//! [`Policy`] implements the rules of oslo.policy's files, and [`Protections`] those for single
//! properties. Both are parsed once, when a file is loaded. A request evaluates the parsed rules
//! without allocation, and a rule that allows every caller costs one comparison.

mod action;
mod check;
mod file;
mod grammar;
mod protections;
mod rules;

pub use action::Action;
pub use protections::{Operation, ProtectionError, ProtectionFormat, Protections};
pub use rules::{Policy, PolicyError};

use crate::image::{Caller, Image};

/// A policy and the property protections that were loaded with it, which may refer to its rules.
#[derive(Debug, Default)]
pub struct AccessRules {
    policy: Policy,
    protections: Option<Protections>,
}

impl AccessRules {
    /// Combines a policy with the protections that were parsed with it.
    pub fn new(policy: Policy, protections: Option<Protections>) -> Self {
        Self {
            policy,
            protections,
        }
    }

    /// Returns true if the caller may do this with the image, or, without an image, at all. The
    /// caller must be allowed to see the image; otherwise the result would reveal its existence.
    pub fn allows(&self, action: Action, caller: &Caller, image: Option<&Image>) -> bool {
        self.policy.allows(action, caller, image)
    }

    /// Returns true if the policy makes the caller an administrator (`context_is_admin`).
    pub fn makes_admin(&self, caller: &Caller) -> bool {
        self.policy.makes_admin(caller)
    }

    /// Returns true if any property is protected.
    pub fn protect_properties(&self) -> bool {
        self.protections.is_some()
    }

    /// Returns true if the caller may do this with the property of this name.
    pub fn permits(&self, operation: Operation, caller: &Caller, property: &str) -> bool {
        let protections = self.protections.as_ref();
        protections
            .is_none_or(|protections| protections.permit(operation, caller, property, &self.policy))
    }
}
