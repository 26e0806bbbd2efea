//! Who asks for a token, and for what.

use serde_json::{Value, json};

use crate::config::Secret;

/// A domain, in which names of users or projects are unique.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Domain {
    Id(String),
    Name(String),
}

/// A user.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum User {
    Id(String),
    Name { name: String, domain: Domain },
}

/// A project, which older documents call a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Project {
    Id(String),
    Name { name: String, domain: Domain },
}

/// A user's password and the project that the token is for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Login {
    pub user: User,
    pub password: Secret,
    pub project: Project,
}

impl Domain {
    fn to_json(&self) -> Value {
        match self {
            Self::Id(id) => json!({ "id": id }),
            Self::Name(name) => json!({ "name": name }),
        }
    }
}

impl Login {
    /// The body of `POST /v3/auth/tokens`. Has the password in it.
    pub(super) fn to_json(&self) -> Value {
        let mut user = match &self.user {
            User::Id(id) => json!({ "id": id }),
            User::Name { name, domain } => json!({ "name": name, "domain": domain.to_json() }),
        };
        user["password"] = self.password.expose().into();
        let project = match &self.project {
            Project::Id(id) => json!({ "id": id }),
            Project::Name { name, domain } => json!({ "name": name, "domain": domain.to_json() }),
        };
        let identity = json!({ "methods": ["password"], "password": { "user": user } });
        json!({ "auth": { "identity": identity, "scope": { "project": project } } })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_in_as_the_api_wants_it() {
        let login = Login {
            user: User::Name {
                name: "glance".to_owned(),
                domain: Domain::Id("default".to_owned()),
            },
            password: Secret::new("CANARY"),
            project: Project::Name {
                name: "service".to_owned(),
                domain: Domain::Name("Default".to_owned()),
            },
        };
        let body = login.to_json();
        let user = &body["auth"]["identity"]["password"]["user"];
        assert_eq!(user["name"], "glance");
        assert_eq!(user["domain"]["id"], "default");
        assert_eq!(user["password"], "CANARY");
        let project = &body["auth"]["scope"]["project"];
        assert_eq!(project["domain"]["name"], "Default");
        assert!(!format!("{login:?}").contains("CANARY"));
    }
}
