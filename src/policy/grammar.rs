//! The parser of the rule language of oslo.policy.
//!
//! ```text
//! rule  := ""  |  any
//! any   := all ("or" all)*
//! all   := one ("and" one)*
//! one   := "not" one  |  "(" any ")"  |  check
//! check := "@"  |  "!"  |  kind ":" match
//! ```
//!
//! Tokens are separated by white space, which is optional beside parentheses. `rule:NAME` refers to
//! another rule, `role:NAME` to a role of the caller. Any other kind is an attribute of the caller
//! or a literal, and is compared with the match: a literal, or `%(key)s` for an attribute of the
//! image. oslo.policy treats rules that it cannot parse as "never"; here they are errors.

use super::check::{Attribute, Check, Key, Left, Right};

/// The deepest nesting of parentheses and negations. It bounds the recursion of the parser.
const MAX_DEPTH: usize = 100;

/// An error in a rule, as a phrase that follows the name of the rule.
pub(super) type Problem = String;

/// Returns the number of a rule by name.
pub(super) type Finder<'a> = dyn Fn(&str) -> Result<usize, Problem> + 'a;

/// Parses a rule.
///
/// # Errors
/// The syntax error or the unsupported part.
pub(super) fn parse(text: &str, find: &Finder<'_>) -> Result<Check, Problem> {
    let tokens = tokens(text);
    if tokens.is_empty() {
        return Ok(Check::Always);
    }
    let mut parser = Parser {
        rest: &tokens,
        depth: 0,
        find,
    };
    let check = parser.any()?;
    match parser.rest.first() {
        None => Ok(check),
        Some(token) => Err(format!("has {token} where \"and\" or \"or\" is expected")),
    }
}

/// Parses a single check, of which the list form of early releases consists.
///
/// # Errors
/// As [`parse`].
pub(super) fn parse_check(text: &str, find: &Finder<'_>) -> Result<Check, Problem> {
    match text {
        "@" => return Ok(Check::Always),
        "!" => return Ok(Check::Never),
        _ => {}
    }
    let Some((kind, wanted)) = text.split_once(':') else {
        return Err(format!(
            "has {text:?}, which is not a check; write kind:match, @ for always or ! for never"
        ));
    };
    match kind {
        "rule" => find(wanted).map(Check::Rule),
        "role" if wanted.contains("%(") => Err(format!(
            "has {text:?}, but the name of a role cannot be an attribute of the image"
        )),
        "role" => Ok(Check::Role(wanted.to_lowercase().into())),
        "http" | "https" => Err(format!(
            "has {text:?}, but checks by other servers are not supported; use roles and attributes"
        )),
        _ => Ok(Check::Same(left(kind, text)?, right(wanted, text)?)),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token<'a> {
    Open,
    Close,
    And,
    Or,
    Not,
    Check(&'a str),
}

impl std::fmt::Display for Token<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let word = match self {
            Token::Open => "(",
            Token::Close => ")",
            Token::And => "and",
            Token::Or => "or",
            Token::Not => "not",
            Token::Check(text) => text,
        };
        write!(f, "{word:?}")
    }
}

fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    for word in text.split_whitespace() {
        let opened = word.trim_start_matches('(');
        tokens.extend((opened.len()..word.len()).map(|_| Token::Open));
        // The closing parenthesis of %(key)s is not at the end of a token, since an s follows.
        let bare = opened.trim_end_matches(')');
        if !bare.is_empty() {
            tokens.push(match bare.to_ascii_lowercase().as_str() {
                "and" => Token::And,
                "or" => Token::Or,
                "not" => Token::Not,
                _ => Token::Check(bare),
            });
        }
        tokens.extend((bare.len()..opened.len()).map(|_| Token::Close));
    }
    tokens
}

struct Parser<'a> {
    rest: &'a [Token<'a>],
    depth: usize,
    find: &'a Finder<'a>,
}

impl<'a> Parser<'a> {
    fn next(&mut self) -> Option<Token<'a>> {
        let (token, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*token)
    }

    fn takes(&mut self, token: Token<'_>) -> bool {
        let is_next = self.rest.first() == Some(&token);
        if is_next {
            self.next();
        }
        is_next
    }

    fn any(&mut self) -> Result<Check, Problem> {
        let mut checks = vec![self.all()?];
        while self.takes(Token::Or) {
            checks.push(self.all()?);
        }
        Ok(one_or(checks, Check::Any))
    }

    fn all(&mut self) -> Result<Check, Problem> {
        let mut checks = vec![self.one()?];
        while self.takes(Token::And) {
            checks.push(self.one()?);
        }
        Ok(one_or(checks, Check::All))
    }

    fn one(&mut self) -> Result<Check, Problem> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(format!("is nested more than {MAX_DEPTH} deep"));
        }
        let check = match self.next() {
            Some(Token::Check(text)) => parse_check(text, self.find)?,
            Some(Token::Not) => Check::Not(Box::new(self.one()?)),
            Some(Token::Open) => {
                let check = self.any()?;
                if !self.takes(Token::Close) {
                    return Err("has an unclosed parenthesis".to_owned());
                }
                check
            }
            Some(token) => return Err(format!("has {token} where a check is expected")),
            None => return Err("ends where a check is expected".to_owned()),
        };
        self.depth -= 1;
        Ok(check)
    }
}

/// Returns a single check as it is, and joins several.
pub(super) fn one_or(mut checks: Vec<Check>, join: fn(Vec<Check>) -> Check) -> Check {
    match checks.len() {
        1 => checks.remove(0),
        _ => join(checks),
    }
}

fn left(kind: &str, check: &str) -> Result<Left, Problem> {
    let unquoted = |quote: char| kind.strip_prefix(quote)?.strip_suffix(quote);
    if let Some(text) = unquoted('\'').or_else(|| unquoted('"')) {
        return Ok(Left::Literal(text.into()));
    }
    let is_number = !kind.is_empty() && kind.bytes().all(|byte| byte.is_ascii_digit());
    match kind {
        "None" => Ok(Left::Nothing),
        "True" | "False" => Ok(Left::Literal(kind.into())),
        _ if is_number => Ok(Left::Literal(kind.into())),
        "user_id" | "user" => Ok(Left::Caller(Attribute::User)),
        "tenant" | "tenant_id" | "project" | "project_id" => Ok(Left::Caller(Attribute::Tenant)),
        "roles" => Ok(Left::Caller(Attribute::Roles)),
        "service_roles" => Ok(Left::Caller(Attribute::ServiceRoles)),
        "is_admin" => Ok(Left::Caller(Attribute::IsAdmin)),
        "read_only" => Ok(Left::Caller(Attribute::ReadOnly)),
        _ => Err(format!(
            "has {check:?}, but callers only have the attributes user_id, tenant, roles, service_roles, \
             is_admin and read_only; put a literal in quotes"
        )),
    }
}

fn right(wanted: &str, check: &str) -> Result<Right, Problem> {
    if wanted == "None" {
        return Ok(Right::Nothing);
    }
    if !wanted.contains("%(") {
        return Ok(Right::Literal(wanted.into()));
    }
    let inner = wanted
        .strip_prefix("%(")
        .and_then(|rest| rest.strip_suffix(")s"));
    match inner.filter(|inner| !inner.is_empty() && !inner.contains(['%', '(', ')'])) {
        Some(name) => key(name).map(Right::Image),
        None => Err(format!(
            "has {check:?}, but %(key)s must be the whole match"
        )),
    }
}

/// Fields of Glance's images that rules cannot use here. They are not treated as properties either,
/// because a rule with one would then silently never hold.
const NO_FIELDS: [&str; 11] = [
    "created_at",
    "deleted",
    "deleted_at",
    "extra_properties",
    "location",
    "locations",
    "os_hash_algo",
    "os_hash_value",
    "os_hidden",
    "tags",
    "updated_at",
];

/// Returns the attribute for `%(name)s`. `target.image.NAME` is the same as `NAME`.
fn key(name: &str) -> Result<Key, Problem> {
    let field = name.strip_prefix("target.image.").unwrap_or(name);
    if NO_FIELDS.contains(&field) || field.starts_with("target.") {
        return Err(format!(
            "has %({name})s, which is not supported; rules can use owner, id, name, status, \
             visibility, is_public, member_id, protected, formats, sizes, checksum and \
             properties"
        ));
    }
    Ok(match field {
        "owner" | "tenant" | "tenant_id" | "project" | "project_id" => Key::Owner,
        "id" | "image_id" => Key::Id,
        "name" => Key::Name,
        "status" => Key::Status,
        "disk_format" => Key::DiskFormat,
        "container_format" => Key::ContainerFormat,
        "checksum" => Key::Checksum,
        "size" => Key::Size,
        "virtual_size" => Key::VirtualSize,
        "min_disk" => Key::MinDisk,
        "min_ram" => Key::MinRam,
        "is_public" => Key::IsPublic,
        "visibility" => Key::Visibility,
        "member" | "member_id" => Key::Member,
        "protected" => Key::Protected,
        property => Key::Property(property.into()),
    })
}
