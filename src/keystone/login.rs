//! The credentials and the project of a request for a token.

use serde_json::{Value, json};

use crate::config::Secret;

/// A domain, in which names of users and projects are unique.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Domain {
    /// By identifier.
    Id(String),
    /// By name.
    Name(String),
}

/// A user.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum User {
    /// By identifier.
    Id(String),
    /// By name within a domain.
    Name { name: String, domain: Domain },
}

/// A project, which older documents call a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Project {
    /// By identifier.
    Id(String),
    /// By name within a domain.
    Name { name: String, domain: Domain },
}

/// The means by which a login proves an identity.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Proof {
    /// A user's password.
    Password { user: User, password: Secret },
    /// A token issued before, such as an unscoped one of a federated login.
    Token(Secret),
    /// An application credential, which is bound to a project.
    ApplicationCredential {
        credential: ApplicationCredential,
        secret: Secret,
    },
}

/// Identifies an application credential.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ApplicationCredential {
    Id(String),
    /// The name is unique among the credentials of the user.
    Name {
        name: String,
        user: User,
    },
}

/// A request for a token.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Login {
    /// The credentials.
    pub proof: Proof,
    /// The project that the token is for; application credentials determine it themselves.
    pub project: Option<Project>,
}

impl Domain {
    fn to_json(&self) -> Value {
        match self {
            Self::Id(id) => json!({ "id": id }),
            Self::Name(name) => json!({ "name": name }),
        }
    }
}

impl User {
    fn to_json(&self) -> Value {
        match self {
            Self::Id(id) => json!({ "id": id }),
            Self::Name { name, domain } => json!({ "name": name, "domain": domain.to_json() }),
        }
    }
}

impl Project {
    fn to_json(&self) -> Value {
        match self {
            Self::Id(id) => json!({ "id": id }),
            Self::Name { name, domain } => json!({ "name": name, "domain": domain.to_json() }),
        }
    }
}

impl Proof {
    /// Returns the `identity` object of a login. It contains the secret.
    fn to_json(&self) -> Value {
        match self {
            Self::Password { user, password } => {
                let mut user = user.to_json();
                user["password"] = password.expose().into();
                json!({ "methods": ["password"], "password": { "user": user } })
            }
            Self::Token(token) => {
                json!({ "methods": ["token"], "token": { "id": token.expose() } })
            }
            Self::ApplicationCredential { credential, secret } => {
                let mut credential = match credential {
                    ApplicationCredential::Id(id) => json!({ "id": id }),
                    ApplicationCredential::Name { name, user } => {
                        json!({ "name": name, "user": user.to_json() })
                    }
                };
                credential["secret"] = secret.expose().into();
                let method = "application_credential";
                json!({ "methods": [method], method: credential })
            }
        }
    }
}

impl Login {
    /// A login by password for a token of a project.
    pub fn by_password(user: User, password: Secret, project: Project) -> Self {
        Self {
            proof: Proof::Password { user, password },
            project: Some(project),
        }
    }

    /// Returns the body of `POST /v3/auth/tokens`. It contains the secret.
    pub(super) fn to_json(&self) -> Value {
        let mut auth = json!({ "identity": self.proof.to_json() });
        if let Some(project) = &self.project {
            auth["scope"] = json!({ "project": project.to_json() });
        }
        json!({ "auth": auth })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn login_has_the_body_of_the_identity_api() {
        let user = User::Name {
            name: "glance".to_owned(),
            domain: Domain::Id("default".to_owned()),
        };
        let project = Project::Name {
            name: "service".to_owned(),
            domain: Domain::Name("Default".to_owned()),
        };
        let login = Login::by_password(user, Secret::new("CANARY"), project);
        let body = login.to_json();
        let user = &body["auth"]["identity"]["password"]["user"];
        assert_eq!(user["name"], "glance");
        assert_eq!(user["domain"]["id"], "default");
        assert_eq!(user["password"], "CANARY");
        let project = &body["auth"]["scope"]["project"];
        assert_eq!(project["domain"]["name"], "Default");
        assert!(!format!("{login:?}").contains("CANARY"));
    }

    #[test]
    fn application_credential_and_token_state_no_password() {
        let secret = Secret::new("CANARY");
        let credential = ApplicationCredential::Id("c1".to_owned());
        let login = Login {
            proof: Proof::ApplicationCredential {
                credential,
                secret: secret.clone(),
            },
            project: None,
        };
        let body = login.to_json();
        let identity = &body["auth"]["identity"];
        assert_eq!(identity["methods"][0], "application_credential");
        assert_eq!(identity["application_credential"]["secret"], "CANARY");
        // Keystone refuses a login by application credential that names a scope.
        assert_eq!(body["auth"].get("scope"), None);
        let login = Login {
            proof: Proof::Token(secret),
            project: Some(Project::Id("p1".to_owned())),
        };
        assert_eq!(login.to_json()["auth"]["identity"]["token"]["id"], "CANARY");
        assert!(!format!("{login:?}").contains("CANARY"));
    }
}
