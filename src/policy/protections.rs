//! Property protections: which callers may create, read, update and delete single properties.
//!
//! The file is an INI file. The name of each section is a regular expression. The first section
//! whose expression is found in the name of a property decides about it, and a property without a
//! section is inaccessible. A section has a line for each operation, with a list of roles or, in
//! the other format, the name of a rule of the policy. `@` means every caller, `!` none.

use regex::Regex;

use super::rules::Policy;
use crate::config::ini::{self, Ini};
use crate::image::Caller;

/// An operation on a property.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    Create,
    Read,
    Update,
    Delete,
}

impl Operation {
    const ALL: [Operation; 4] = [
        Operation::Create,
        Operation::Read,
        Operation::Update,
        Operation::Delete,
    ];

    fn name(self) -> &'static str {
        match self {
            Operation::Create => "create",
            Operation::Read => "read",
            Operation::Update => "update",
            Operation::Delete => "delete",
        }
    }
}

/// The meaning of the lines of a protection file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProtectionFormat {
    /// Roles of callers.
    Roles,
    /// Rules of the policy.
    Policies,
}

/// A protection file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct ProtectionError {
    /// The line, counted from 1.
    pub line: usize,
    /// The error.
    pub problem: String,
}

/// The sections of a protection file, in order.
#[derive(Debug)]
pub struct Protections {
    sections: Vec<Section>,
}

#[derive(Debug)]
struct Section {
    names: Regex,
    /// In the order of [`Operation::ALL`].
    permissions: [Permission; 4],
}

/// The callers that may carry out an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Permission {
    All,
    None,
    /// Callers with one of these roles, in lower case.
    Roles(Vec<String>),
    /// Callers for whom the rule of the policy with this number holds.
    Rule(usize),
}

impl Protections {
    /// Parses a protection file, whose rules are those of `policy`.
    ///
    /// # Errors
    /// [`ProtectionError`], with the line.
    pub fn parse(
        text: &str,
        format: ProtectionFormat,
        policy: &Policy,
    ) -> Result<Self, ProtectionError> {
        let ini = ini::parse(text).map_err(|bad| ProtectionError {
            line: bad.line,
            problem: bad.problem.to_owned(),
        })?;
        check_keys(&ini)?;
        let reader = Reader {
            ini: &ini,
            format,
            policy,
        };
        let headers = ini.sections.iter();
        let sections = headers.map(|(name, line)| reader.section(name, *line));
        Ok(Self {
            sections: sections.collect::<Result<_, _>>()?,
        })
    }

    pub(super) fn permit(
        &self,
        operation: Operation,
        caller: &Caller,
        property: &str,
        policy: &Policy,
    ) -> bool {
        // As in Glance, a file without sections protects nothing.
        if self.sections.is_empty() {
            return true;
        }
        let mut sections = self.sections.iter();
        let Some(section) = sections.find(|section| section.names.is_match(property)) else {
            return false;
        };
        match &section.permissions[operation as usize] {
            Permission::All => true,
            Permission::None => false,
            Permission::Roles(roles) => caller.roles.iter().any(|role| roles.contains(role)),
            Permission::Rule(number) => policy.holds(*number, caller, None),
        }
    }
}

/// Refuses unknown keys: a misspelt operation would otherwise leave properties open or closed by
/// mistake.
fn check_keys(ini: &Ini) -> Result<(), ProtectionError> {
    let known = Operation::ALL.map(Operation::name);
    let mut entries = ini.entries.iter();
    match entries.find(|entry| !known.contains(&entry.key.as_str())) {
        None => Ok(()),
        Some(entry) => Err(ProtectionError {
            line: entry.line,
            problem: format!(
                "unknown key {}, expected one of {}",
                entry.key,
                known.join(", ")
            ),
        }),
    }
}

struct Reader<'a> {
    ini: &'a Ini,
    format: ProtectionFormat,
    policy: &'a Policy,
}

impl Reader<'_> {
    fn section(&self, name: &str, line: usize) -> Result<Section, ProtectionError> {
        let wrong = |problem: String| ProtectionError { line, problem };
        let headers = self.ini.sections.iter();
        if headers.filter(|(other, _)| other == name).count() > 1 {
            return Err(wrong(format!("duplicate section [{name}]")));
        }
        let names = Regex::new(name);
        let names = names.map_err(|error| {
            wrong(format!(
                "[{name}] is not a supported regular expression: {error}"
            ))
        })?;
        let mut permissions = [const { Permission::None }; 4];
        for (operation, permission) in Operation::ALL.into_iter().zip(&mut permissions) {
            let operation = operation.name();
            let Some(entry) = self.ini.last(name, operation) else {
                return Err(wrong(format!("[{name}] has no line for {operation}")));
            };
            *permission = self.permission(&entry.value).map_err(|problem| {
                let line = entry.line;
                let problem = format!("[{name}] {operation} {problem}");
                ProtectionError { line, problem }
            })?;
        }
        Ok(Section { names, permissions })
    }

    fn permission(&self, text: &str) -> Result<Permission, String> {
        let words: Vec<&str> = text.split(',').map(str::trim).collect();
        let (all, none) = (words.contains(&"@"), words.contains(&"!"));
        match (all, none) {
            (true, true) => return Err("has both @ and !".to_owned()),
            (false, true) => return Ok(Permission::None),
            (true, false) => return Ok(Permission::All),
            (false, false) if text.is_empty() => return Ok(Permission::None),
            (false, false) => {}
        }
        if self.format == ProtectionFormat::Roles {
            let roles = words.iter().filter(|word| !word.is_empty());
            return Ok(Permission::Roles(
                roles.map(|role| role.to_lowercase()).collect(),
            ));
        }
        if words.len() > 1 {
            return Err("names several rules; combine them in the policy file".to_owned());
        }
        let number = self.policy.number(text);
        number.map(Permission::Rule).ok_or_else(|| {
            format!("names the rule {text:?}, which is not in the policy file (policy_file)")
        })
    }
}

#[cfg(test)]
mod tests;
