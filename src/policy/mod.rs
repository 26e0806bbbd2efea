//! What operators allow to whom, beyond who owns an image: the rules of oslo.policy's files
//! ([`Policy`]) and the protection of single properties ([`Protections`]).
//!
//! Both are read from text once. On a request they are walked where they stand: no text is
//! taken apart, nothing is allocated, and what is allowed to everybody costs a comparison.

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

/// All that an operator's files say, read together: protections may name rules of the
/// policy.
#[derive(Debug, Default)]
pub struct Rules {
    policy: Policy,
    protections: Option<Protections>,
}

impl Rules {
    /// A policy, and the protections that were read with it.
    pub fn new(policy: Policy, protections: Option<Protections>) -> Self {
        Self {
            policy,
            protections,
        }
    }

    /// Whether the caller may do this with the image, or where none is known, at all. The
    /// image must be one that the caller may see: else the answer would tell of it.
    pub fn allows(&self, action: Action, caller: &Caller, image: Option<&Image>) -> bool {
        self.policy.allows(action, caller, image)
    }

    /// Whether the policy makes the caller an administrator (`context_is_admin`).
    pub fn makes_admin(&self, caller: &Caller) -> bool {
        self.policy.makes_admin(caller)
    }

    /// Whether properties are protected at all.
    pub fn protect_properties(&self) -> bool {
        self.protections.is_some()
    }

    /// Whether the caller may do this with the property of this name.
    pub fn permits(&self, operation: Operation, caller: &Caller, property: &str) -> bool {
        let protections = self.protections.as_ref();
        protections
            .is_none_or(|protections| protections.permit(operation, caller, property, &self.policy))
    }
}
