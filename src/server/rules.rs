//! The operator's rules, read from their files.

use std::path::{Path, PathBuf};

use crate::config::{ConfigError, ProtectionRules, RulesConfig, text_file};
use crate::log;
use crate::policy::{Policy, PolicyError, ProtectionError, ProtectionFormat, Protections, Rules};
use crate::service::Service;

/// Why rules cannot be put in force.
#[derive(Debug, thiserror::Error)]
pub enum RulesError {
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

/// Reads all of them anew.
pub(super) fn load(config: &RulesConfig) -> Result<Rules, RulesError> {
    let policy = match &config.policy_file {
        Some(path) => read_policy(path, &config.policy_default_rule)?,
        None => Policy::default(),
    };
    let protections = match &config.property_protection_file {
        Some(path) => Some(read_protections(path, config, &policy)?),
        None => None,
    };
    Ok(Rules::new(policy, protections))
}

/// Everything that is wrong with them.
pub(super) fn check(config: &RulesConfig) -> Vec<RulesError> {
    let policy = match &config.policy_file {
        Some(path) => read_policy(path, &config.policy_default_rule),
        None => Ok(Policy::default()),
    };
    let names_rules = config.property_protection_rule_format == ProtectionRules::Policies;
    let protections = match (&config.property_protection_file, &policy) {
        (Some(path), Ok(policy)) => read_protections(path, config, policy).err(),
        // Roles can be judged without a policy, and rules of one cannot.
        (Some(path), Err(_)) if !names_rules => {
            read_protections(path, config, &Policy::default()).err()
        }
        _ => None,
    };
    policy.err().into_iter().chain(protections).collect()
}

/// Puts what the files say now in the place of what they said before: all of it, or, when
/// anything is wrong, nothing.
pub(super) fn reload(config: &RulesConfig, service: &Service) {
    if config.policy_file.is_none() && config.property_protection_file.is_none() {
        tracing::warn!(
            "SIGHUP changes nothing: there is no policy_file and no property_protection_file to \
             read again, log files that were moved are opened anew by themselves, and a new \
             configuration needs a reload (SIGUSR2)"
        );
        return;
    }
    match load(config) {
        Ok(rules) => {
            service.set_rules(rules);
            tracing::info!(target: log::STARTUP, "SIGHUP: policy and property protection read again");
        }
        Err(error) => {
            tracing::error!("SIGHUP: the rules before stay in force: {error}");
        }
    }
}

fn read_policy(path: &Path, default_rule: &str) -> Result<Policy, RulesError> {
    let (text, _) = text_file::read(path)?;
    Policy::parse(&text, default_rule).map_err(|problem| RulesError::Policy {
        path: path.to_owned(),
        problem,
    })
}

fn read_protections(
    path: &Path,
    config: &RulesConfig,
    policy: &Policy,
) -> Result<Protections, RulesError> {
    let (text, _) = text_file::read(path)?;
    let format = match config.property_protection_rule_format {
        ProtectionRules::Roles => ProtectionFormat::Roles,
        ProtectionRules::Policies => ProtectionFormat::Policies,
    };
    Protections::parse(&text, format, policy).map_err(|problem| RulesError::Protection {
        path: path.to_owned(),
        problem,
    })
}
