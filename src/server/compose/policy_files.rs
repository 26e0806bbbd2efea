//! Loads the operator's policy and property protections, at the start and on SIGHUP.

use std::path::{Path, PathBuf};

use crate::config::{ConfigError, ProtectionRules, RulesConfig, text_file};
use crate::log;
use crate::policy::{
    AccessRules, Policy, PolicyError, ProtectionError, ProtectionFormat, Protections,
};
use crate::service::Catalog;

/// A policy file or a property protection file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PolicyFilesError {
    #[error(transparent)]
    Unreadable(#[from] ConfigError),
    #[error("policy_file {}: {problem}", path.display())]
    Policy {
        path: PathBuf,
        #[source]
        problem: PolicyError,
    },
    #[error("property_protection_file {}: {problem}", path.display())]
    Protection {
        path: PathBuf,
        #[source]
        problem: ProtectionError,
    },
}

/// Reads both files.
///
/// # Errors
/// The first file that is wrong.
pub(in crate::server) fn load(config: &RulesConfig) -> Result<AccessRules, PolicyFilesError> {
    let policy = match &config.policy_file {
        Some(path) => read_policy(path, &config.policy_default_rule)?,
        None => Policy::default(),
    };
    let protections = match &config.property_protection_file {
        Some(path) => Some(read_protections(path, config, &policy)?),
        None => None,
    };
    Ok(AccessRules::new(policy, protections))
}

/// Returns every error of both files.
pub(in crate::server) fn check(config: &RulesConfig) -> Vec<PolicyFilesError> {
    let policy = match &config.policy_file {
        Some(path) => read_policy(path, &config.policy_default_rule),
        None => Ok(Policy::default()),
    };
    let names_rules = config.property_protection_rule_format == ProtectionRules::Policies;
    let protections = match (&config.property_protection_file, &policy) {
        (Some(path), Ok(policy)) => read_protections(path, config, policy).err(),
        // Protections that name roles do not depend on the policy, so they can be checked even
        // if the policy is wrong.
        (Some(path), Err(_)) if !names_rules => {
            read_protections(path, config, &Policy::default()).err()
        }
        _ => None,
    };
    policy.err().into_iter().chain(protections).collect()
}

/// Reads both files again and applies them together. If one of them is wrong, the previous policy
/// and protections remain in force.
pub(in crate::server) fn reload(config: &RulesConfig, catalog: &Catalog) {
    if config.policy_file.is_none() && config.property_protection_file.is_none() {
        tracing::warn!(
            "SIGHUP ignored: there is no policy_file and no property_protection_file to read \
             again. Rotated log files are reopened without a signal, and a new configuration \
             needs a reload (SIGUSR2)"
        );
        return;
    }
    match load(config) {
        Ok(rules) => {
            catalog.authorization().set_rules(rules);
            tracing::info!(target: log::STARTUP, "SIGHUP: policy and property protection read again");
        }
        Err(error) => {
            tracing::error!("SIGHUP: keeping the previous policy: {error}");
        }
    }
}

fn read_policy(path: &Path, default_rule: &str) -> Result<Policy, PolicyFilesError> {
    let (text, _) = text_file::read(path)?;
    Policy::parse(&text, default_rule).map_err(|problem| PolicyFilesError::Policy {
        path: path.to_owned(),
        problem,
    })
}

fn read_protections(
    path: &Path,
    config: &RulesConfig,
    policy: &Policy,
) -> Result<Protections, PolicyFilesError> {
    let (text, _) = text_file::read(path)?;
    let format = match config.property_protection_rule_format {
        ProtectionRules::Roles => ProtectionFormat::Roles,
        ProtectionRules::Policies => ProtectionFormat::Policies,
    };
    Protections::parse(&text, format, policy).map_err(|problem| PolicyFilesError::Protection {
        path: path.to_owned(),
        problem,
    })
}
