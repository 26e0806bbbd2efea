//! The policy: a rule for each action, parsed from a policy file.

use std::collections::{BTreeSet, HashMap};

use super::action::Action;
use super::check::{Check, EvalContext};
use super::file::{self, RuleTexts};
use crate::image::{Caller, Image};

/// The name of the rule that makes a caller an administrator.
const ADMIN_RULE: &str = "context_is_admin";

/// A policy file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// The file is neither JSON nor YAML, or contains something else than rules.
    #[error("{0}")]
    Form(String),
    /// A rule has a syntax error or an unsupported part.
    #[error("rule {name:?} {problem}")]
    Rule {
        /// The name of the rule.
        name: String,
        /// The error.
        problem: String,
    },
    /// Several rules are wrong.
    #[error("{}", joined(.0))]
    Several(Vec<PolicyError>),
    /// A rule refers to itself, directly or through others.
    #[error("rule {0:?} refers to itself")]
    Cycle(String),
}

/// A rule for each action. Rules may refer to each other.
#[derive(Debug)]
pub struct Policy {
    checks: Vec<Check>,
    /// The numbers of the rules by name.
    numbers: HashMap<String, usize>,
    /// The rule of each action, in the order of [`Action::ALL`].
    actions: [usize; Action::ALL.len()],
    /// The rule that makes administrators, if the file has one.
    admin: Option<usize>,
}

/// Glance's default rules, for a server without a policy file.
impl Default for Policy {
    fn default() -> Self {
        Self {
            checks: Action::ALL.map(Action::default_rule).into(),
            numbers: HashMap::new(),
            actions: std::array::from_fn(|number| number),
            admin: None,
        }
    }
}

impl Policy {
    /// Parses a policy file. An action without a rule in the file has the rule `default_rule` of the
    /// file, if that exists, else Glance's default.
    ///
    /// # Errors
    /// [`PolicyError`], with the rules that are wrong.
    pub fn parse(text: &str, default_rule: &str) -> Result<Self, PolicyError> {
        let texts = file::read(text).map_err(PolicyError::Form)?;
        let known = Action::ALL.map(Action::name).into_iter();
        let mut names: BTreeSet<&str> = known.chain([ADMIN_RULE]).collect();
        names.extend(texts.keys().map(String::as_str));
        let names: Vec<&str> = names.into_iter().collect();
        let numbers: HashMap<String, usize> = names
            .iter()
            .enumerate()
            .map(|(number, name)| ((*name).to_owned(), number))
            .collect();
        let checks = read_rules(&texts, &names, &numbers, default_rule)?;
        if let Some(number) = first_cyclic_rule(&checks) {
            return Err(PolicyError::Cycle(names[number].to_owned()));
        }
        let actions = Action::ALL.map(|action| number_of(&numbers, action.name()));
        Ok(Self {
            admin: texts
                .contains_key(ADMIN_RULE)
                .then(|| number_of(&numbers, ADMIN_RULE)),
            checks,
            actions,
            numbers,
        })
    }

    pub(super) fn allows(&self, action: Action, caller: &Caller, image: Option<&Image>) -> bool {
        self.holds(self.actions[action as usize], caller, image)
    }

    pub(super) fn makes_admin(&self, caller: &Caller) -> bool {
        let admin = self.admin;
        admin.is_some_and(|number| self.holds(number, caller, None))
    }

    /// Returns true if the rule with this number holds.
    pub(super) fn holds(&self, number: usize, caller: &Caller, image: Option<&Image>) -> bool {
        let rule = self.checks.get(number);
        rule.is_some_and(|rule| {
            rule.holds(EvalContext {
                caller,
                image,
                rules: &self.checks,
            })
        })
    }

    /// Returns the number of the rule with this name.
    pub(super) fn number(&self, name: &str) -> Option<usize> {
        self.numbers.get(name).copied()
    }
}

/// Parses every rule, in the order of the names. Reports every rule that is wrong.
fn read_rules(
    texts: &RuleTexts,
    names: &[&str],
    numbers: &HashMap<String, usize>,
    default_rule: &str,
) -> Result<Vec<Check>, PolicyError> {
    let default = texts.get(default_rule).and(numbers.get(default_rule));
    let find = |name: &str| {
        let number = numbers.get(name).or(default).copied();
        number.ok_or_else(|| {
            format!("refers to the rule {name:?}, but neither that nor {default_rule:?} exists")
        })
    };
    let read = |name: &&str| {
        let check = match texts.get(*name) {
            Some(text) => text.parse(&find),
            None => Ok(missing_rule(name, default.copied())),
        };
        check.map_err(|problem| PolicyError::Rule {
            name: (*name).to_owned(),
            problem,
        })
    };
    let (mut checks, mut problems) = (Vec::new(), Vec::new());
    for rule in names.iter().map(read) {
        match rule {
            Ok(check) => checks.push(check),
            Err(problem) => problems.push(problem),
        }
    }
    match problems.len() {
        0 => Ok(checks),
        1 => Err(problems.remove(0)),
        _ => Err(PolicyError::Several(problems)),
    }
}

fn joined(problems: &[PolicyError]) -> String {
    let words: Vec<String> = problems.iter().map(ToString::to_string).collect();
    words.join("; ")
}

/// Returns the rule of an action without one in the file, or the default rule for administrators.
fn missing_rule(name: &str, default: Option<usize>) -> Check {
    let action = Action::ALL.into_iter().find(|action| action.name() == name);
    match (action, default) {
        (Some(_), Some(default)) => Check::Rule(default),
        (Some(action), None) => action.default_rule(),
        // Not the default rule, which in many files allows every caller.
        (None, _) => Check::is_admin(),
    }
}

/// Returns the number of a rule. For a missing rule it is one that no rule has, so that it never
/// holds.
fn number_of(numbers: &HashMap<String, usize>, name: &str) -> usize {
    numbers.get(name).copied().unwrap_or(usize::MAX)
}

/// Returns the number of a rule that refers to itself, directly or through others.
fn first_cyclic_rule(checks: &[Check]) -> Option<usize> {
    let named: Vec<Vec<usize>> = checks.iter().map(Check::named_rules).collect();
    (0..checks.len()).find(|start| {
        let mut reached = vec![false; checks.len()];
        let mut ahead = named[*start].clone();
        while let Some(number) = ahead.pop() {
            if number == *start {
                return true;
            }
            if !std::mem::replace(&mut reached[number], true) {
                ahead.extend(&named[number]);
            }
        }
        false
    })
}

#[cfg(test)]
mod tests;
