//! The identity service's description of a presented token.

use std::time::{Duration, SystemTime};

use http::HeaderValue;
use jiff::Timestamp;
use serde::Deserialize;

use super::error::KeystoneError;

/// The owner and the remaining lifetime of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenInfo {
    /// The user's identifier.
    pub user: String,
    /// The project's identifier; `None` for a token without a project.
    pub project: Option<String>,
    /// The names of the user's roles in the project, as Keystone spells them.
    pub roles: Vec<String>,
    /// Remaining lifetime of the token.
    pub left: Duration,
}

#[derive(Deserialize)]
struct Body {
    token: Described,
}

#[derive(Deserialize)]
struct Described {
    expires_at: Timestamp,
    user: Named,
    #[serde(default)]
    project: Option<Named>,
    #[serde(default)]
    roles: Vec<Role>,
}

#[derive(Deserialize)]
struct Named {
    id: String,
}

#[derive(Deserialize)]
struct Role {
    name: String,
}

impl TokenInfo {
    /// Parses the response. The remaining lifetime is counted from the response's own `Date`, so
    /// that this node's clock need not agree with Keystone's.
    pub(super) fn read(date: Option<&HeaderValue>, body: &[u8]) -> Result<Self, KeystoneError> {
        let body: Body =
            serde_json::from_slice(body).map_err(|_| KeystoneError::Malformed("token"))?;
        let token = body.token;
        let date = date.and_then(|date| httpdate::parse_http_date(date.to_str().ok()?).ok());
        let expires_at = SystemTime::from(token.expires_at);
        let left = expires_at.duration_since(date.unwrap_or_else(SystemTime::now));
        Ok(Self {
            user: token.user.id,
            project: token.project.map(|project| project.id),
            roles: token.roles.into_iter().map(|role| role.name).collect(),
            left: left.unwrap_or_default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = r#"{"token": {"methods": ["password"], "audit_ids": ["x"],
        "user": {"id": "u1", "name": "alice", "domain": {"id": "default", "name": "Default"}},
        "project": {"id": "p1", "name": "tenant-a", "domain": {"id": "default", "name": "Default"}},
        "is_domain": false, "roles": [{"id": "r1", "name": "member"}, {"id": "r2", "name": "Reader"}],
        "issued_at": "2001-01-01T00:00:00.000000Z", "expires_at": "2001-01-01T01:00:00.000000Z"}}"#;

    #[test]
    fn lifetime_is_counted_by_keystones_clock() {
        let date = HeaderValue::from_static("Mon, 01 Jan 2001 00:59:30 GMT");
        let verified = TokenInfo::read(Some(&date), TOKEN.as_bytes()).unwrap();
        assert_eq!(verified.left, Duration::from_secs(30));
        assert_eq!(verified.user, "u1");
        assert_eq!(verified.project.as_deref(), Some("p1"));
        assert_eq!(verified.roles, ["member", "Reader"]);
        let by_our_clock = TokenInfo::read(None, TOKEN.as_bytes()).unwrap();
        assert_eq!(by_our_clock.left, Duration::ZERO);
    }

    #[test]
    fn tokens_without_a_project_are_valid() {
        let body = r#"{"token": {"user": {"id": "u"}, "expires_at": "2001-01-01T00:00:00Z"}}"#;
        let verified = TokenInfo::read(None, body.as_bytes()).unwrap();
        assert_eq!((verified.project, verified.roles), (None, vec![]));
    }

    #[test]
    fn malformed_responses_are_refused() {
        for body in [
            "",
            "[]",
            r#"{"token": {"expires_at": "2001-01-01T00:00:00Z"}}"#,
        ] {
            assert!(TokenInfo::read(None, body.as_bytes()).is_err(), "{body}");
        }
    }
}
