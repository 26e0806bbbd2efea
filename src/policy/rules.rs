//! The policy: a rule for each action.

use std::collections::{BTreeSet, HashMap};

use super::action::Action;
use super::check::{Check, Question};
use super::file::{self, RuleTexts};
use crate::image::{Caller, Image};

/// The rule that makes administrators.
const ADMIN_RULE: &str = "context_is_admin";

/// Why a policy file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// It is neither JSON nor YAML, or has something else than rules.
    #[error("{0}")]
    Form(String),
    /// A rule cannot be read, or means nothing here.
    #[error("rule {name:?} {problem}")]
    Rule {
        /// Its name.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Several of them.
    #[error("{}", joined(.0))]
    Several(Vec<PolicyError>),
    /// A rule leads back to itself.
    #[error("rule {0:?} leads back to itself")]
    Circle(String),
}

/// A rule for each action; rules may use each other.
#[derive(Debug)]
pub struct Policy {
    checks: Vec<Check>,
    /// The numbers of the rules.
    numbers: HashMap<String, usize>,
    /// The rule of each action, in the order of [`Action::ALL`].
    actions: [usize; Action::ALL.len()],
    /// The rule that makes administrators, where the file has one.
    admin: Option<usize>,
}

/// Glance's own rules, for a node without a policy file.
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
    /// Reads a policy file. An action without a rule in it has the rule called
    /// `default_rule`, if the file has that, else Glance's own.
    ///
    /// # Errors
    /// [`PolicyError`], with the rule that is wrong.
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
        if let Some(number) = in_a_circle(&checks) {
            return Err(PolicyError::Circle(names[number].to_owned()));
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

    /// Whether the rule of this number holds.
    pub(super) fn holds(&self, number: usize, caller: &Caller, image: Option<&Image>) -> bool {
        let rule = self.checks.get(number);
        rule.is_some_and(|rule| {
            rule.holds(Question {
                caller,
                image,
                rules: &self.checks,
            })
        })
    }

    /// The number of the rule of this name.
    pub(super) fn number(&self, name: &str) -> Option<usize> {
        self.numbers.get(name).copied()
    }
}

/// What each rule asks, in the order of the names.
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
            format!("names the rule {name:?}; neither that nor {default_rule:?} is there")
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

/// The rule of an action that the file does not name, and that of administrators.
fn missing_rule(name: &str, default: Option<usize>) -> Check {
    let action = Action::ALL.into_iter().find(|action| action.name() == name);
    match (action, default) {
        (Some(_), Some(default)) => Check::Rule(default),
        (Some(action), None) => action.default_rule(),
        // Not the default rule, which in many files lets everybody pass.
        (None, _) => Check::is_admin(),
    }
}

/// The number of a rule; of one that is not there, a number that none has, so that it holds
/// for nobody.
fn number_of(numbers: &HashMap<String, usize>, name: &str) -> usize {
    numbers.get(name).copied().unwrap_or(usize::MAX)
}

/// The number of a rule that leads to itself, if one does.
fn in_a_circle(checks: &[Check]) -> Option<usize> {
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
