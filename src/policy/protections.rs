//! Who may create, read, update and delete single properties.
//!
//! A file in INI: each section is named after a regular expression, which is searched for in
//! a property's name. The first that is found decides; a property that none finds is for
//! nobody. A section has a line for each operation: roles with commas between or, in the
//! other format, the name of one rule of the policy; `@` is everybody, `!` nobody.

use regex::Regex;

use super::rules::Policy;
use crate::config::ini::{self, Ini};
use crate::image::Caller;

/// What can be done to a property.
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

/// What the lines of a protection file name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProtectionFormat {
    /// Roles of callers.
    Roles,
    /// Rules of the policy.
    Policies,
}

/// Why a protection file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct ProtectionError {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong there.
    pub problem: String,
}

/// The sections of a protection file in their order.
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

/// Who may.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Permission {
    Everybody,
    Nobody,
    /// Who has one of these, which are in lower case.
    Roles(Vec<String>),
    /// For whom the policy's rule of this number holds.
    Rule(usize),
}

impl Protections {
    /// Reads a protection file. The policy is the one whose rules it names.
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
        // A file without sections protects nothing.
        if self.sections.is_empty() {
            return true;
        }
        let mut sections = self.sections.iter();
        let Some(section) = sections.find(|section| section.names.is_match(property)) else {
            return false;
        };
        match &section.permissions[operation as usize] {
            Permission::Everybody => true,
            Permission::Nobody => false,
            Permission::Roles(roles) => caller.roles.iter().any(|role| roles.contains(role)),
            Permission::Rule(number) => policy.holds(*number, caller, None),
        }
    }
}

/// A word that is misspelt would leave something open, or closed, that was not meant to be.
fn check_keys(ini: &Ini) -> Result<(), ProtectionError> {
    let known = Operation::ALL.map(Operation::name);
    let mut entries = ini.entries.iter();
    match entries.find(|entry| !known.contains(&entry.key.as_str())) {
        None => Ok(()),
        Some(entry) => Err(ProtectionError {
            line: entry.line,
            problem: format!("{} is none of {}", entry.key, known.join(", ")),
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
            return Err(wrong(format!("[{name}] is there twice")));
        }
        let names = Regex::new(name);
        let names = names.map_err(|error| {
            wrong(format!(
                "[{name}] is no regular expression that is known here: {error}"
            ))
        })?;
        let mut permissions = [const { Permission::Nobody }; 4];
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
        let (everybody, nobody) = (words.contains(&"@"), words.contains(&"!"));
        match (everybody, nobody) {
            (true, true) => return Err("has both @ and !".to_owned()),
            (false, true) => return Ok(Permission::Nobody),
            (true, false) => return Ok(Permission::Everybody),
            (false, false) if text.is_empty() => return Ok(Permission::Nobody),
            (false, false) => {}
        }
        if self.format == ProtectionFormat::Roles {
            let roles = words.iter().filter(|word| !word.is_empty());
            return Ok(Permission::Roles(
                roles.map(|role| role.to_lowercase()).collect(),
            ));
        }
        if words.len() > 1 {
            return Err("names several rules; join them in the policy file".to_owned());
        }
        let number = self.policy.number(text);
        number.map(Permission::Rule).ok_or_else(|| {
            format!("names the rule {text:?}, which is not in the policy file (policy_file)")
        })
    }
}

#[cfg(test)]
mod tests;
