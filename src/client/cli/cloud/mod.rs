//! Login settings of the command line: finds each setting among the options, the cloud of
//! `clouds.yaml` and the environment, and makes the [`Cloud`] and the [`ConnectOptions`] of the
//! session from them.
//!
//! An option takes precedence over the cloud, the cloud over the environment. If a cloud is named,
//! the environment supplies only secrets, the choice of the endpoint and TLS files: the user and
//! password of another cloud, left in the environment by its `openrc`, must not be sent to it.

pub(super) mod args;
mod clouds_yaml;

use std::time::Duration;

use args::CloudOptions;
use clouds_yaml::CloudEntry;

use super::error::{CliError, CliResult};
use crate::client::{Cloud, ConnectOptions, DEFAULT_CONNECT_TIMEOUT};
use crate::config::Secret;
use crate::http_client::{ClientCertificate, Proxies, TlsOptions};
use crate::keystone::{ApplicationCredential, Domain, Interface, Login, Project, Proof, User};

/// Domain of users and projects without one, created with every Keystone.
const DEFAULT_DOMAIN_ID: &str = "default";
/// Settings that the environment may supply for a cloud of `clouds.yaml`.
const SUPPLIED_TO_CLOUDS: [&str; 7] = [
    "application_credential_secret",
    "cacert",
    "cert",
    "interface",
    "key",
    "password",
    "region_name",
];

/// The sources of settings.
pub(super) struct CloudSettings<'a> {
    options: &'a CloudOptions,
    /// Token given for the Image service; it can also log in at Keystone.
    image_token: Option<&'a str>,
    cloud: Option<CloudEntry>,
    environment: &'a dyn Fn(&str) -> Option<String>,
}

impl<'a> CloudSettings<'a> {
    /// Reads the cloud that `--os-cloud` or `OS_CLOUD` names, if any.
    ///
    /// # Errors
    /// [`CliError::Usage`] if it cannot be read.
    pub(super) fn new(
        options: &'a CloudOptions,
        image_token: Option<&'a str>,
        environment: &'a dyn Fn(&str) -> Option<String>,
    ) -> CliResult<Self> {
        let name = options.os_cloud.clone().or_else(|| environment("OS_CLOUD"));
        let cloud = name.map(|name| CloudEntry::read(&name, environment));
        Ok(Self {
            options,
            image_token,
            cloud: cloud.transpose()?,
            environment,
        })
    }

    /// Returns the URL of the Image service that the cloud's entry states.
    pub(super) fn image_url(&self) -> Option<String> {
        let cloud = self.cloud.as_ref()?;
        cloud.value("image_endpoint_override")
    }

    /// Returns the settings of connections.
    ///
    /// # Errors
    /// [`CliError::Usage`] if a proxy is invalid or a certificate has no key.
    pub(super) fn connect_options(&self, progress_timeout: Duration) -> CliResult<ConnectOptions> {
        let is_insecure = |cloud: &CloudEntry| cloud.is_insecure();
        let certificate = match (self.value("cert"), self.value("key")) {
            (None, None) => None,
            (Some(cert), Some(key)) => Some(ClientCertificate {
                cert_file: cert.into(),
                key_file: key.into(),
            }),
            _ => {
                return Err(usage(
                    "A client certificate needs both --os-cert and --os-key.",
                ));
            }
        };
        let proxies = Proxies::from_environment(self.environment);
        Ok(ConnectOptions {
            connect_timeout: DEFAULT_CONNECT_TIMEOUT.min(progress_timeout),
            progress_timeout,
            tls: TlsOptions {
                ca_file: self.value("cacert").map(Into::into),
                insecure: self.options.insecure || self.cloud.as_ref().is_some_and(is_insecure),
            },
            certificate,
            proxies: proxies.map_err(|error| CliError::Usage(format!("{error}.")))?,
        })
    }

    /// Returns the cloud to log in at, or `None` if no URL of Keystone is given.
    ///
    /// # Errors
    /// [`CliError::Usage`] if the settings are incomplete; the text names the missing ones.
    pub(super) fn cloud(&self) -> CliResult<Option<Cloud>> {
        let Some(auth_url) = self.value("auth_url") else {
            return Ok(None);
        };
        Ok(Some(Cloud {
            auth_url,
            login: self.login()?,
            region: self.value("region_name"),
            interface: self.interface()?,
        }))
    }

    fn login(&self) -> CliResult<Login> {
        if let Some(secret) = self.value("application_credential_secret") {
            let credential = self.application_credential()?;
            let secret = Secret::new(secret);
            // The credential is bound to its project; Keystone refuses a login that names one.
            return Ok(Login {
                proof: Proof::ApplicationCredential { credential, secret },
                project: None,
            });
        }
        let token = self.value("token");
        let proof =
            match token.or_else(|| self.image_token.map(str::to_owned)) {
                Some(token) => Proof::Token(Secret::new(token)),
                None => Proof::Password {
                    user: self.user()?,
                    password: Secret::new(self.value("password").ok_or_else(|| {
                        usage("A login at Keystone needs a password (OS_PASSWORD).")
                    })?),
                },
            };
        let project = match (self.value("project_id"), self.value("project_name")) {
            (Some(id), _) => Project::Id(id),
            (None, Some(name)) => Project::Name {
                name,
                domain: self.domain("project"),
            },
            (None, None) => {
                return Err(usage(
                    "A login at Keystone needs a project (OS_PROJECT_NAME or OS_PROJECT_ID).",
                ));
            }
        };
        Ok(Login {
            proof,
            project: Some(project),
        })
    }

    fn application_credential(&self) -> CliResult<ApplicationCredential> {
        let name = self.value("application_credential_name");
        match (self.value("application_credential_id"), name) {
            (Some(id), _) => Ok(ApplicationCredential::Id(id)),
            (None, Some(name)) => Ok(ApplicationCredential::Name {
                name,
                user: self.user()?,
            }),
            (None, None) => Err(usage(
                "An application credential needs an ID (OS_APPLICATION_CREDENTIAL_ID) or a name.",
            )),
        }
    }

    fn user(&self) -> CliResult<User> {
        match (self.value("user_id"), self.value("username")) {
            (Some(id), _) => Ok(User::Id(id)),
            (None, Some(name)) => Ok(User::Name {
                name,
                domain: self.domain("user"),
            }),
            (None, None) => Err(usage(
                "A login at Keystone needs a user (OS_USERNAME or OS_USER_ID).",
            )),
        }
    }

    /// Returns the domain of the user or the project.
    fn domain(&self, of: &str) -> Domain {
        let id = self.value(&format!("{of}_domain_id"));
        match (id, self.value(&format!("{of}_domain_name"))) {
            (Some(id), _) => Domain::Id(id),
            (None, Some(name)) => Domain::Name(name),
            (None, None) => Domain::Id(DEFAULT_DOMAIN_ID.to_owned()),
        }
    }

    fn interface(&self) -> CliResult<Interface> {
        let name = self.value("interface").unwrap_or_default();
        // Older configurations write publicURL.
        match name.strip_suffix("URL").unwrap_or(&name) {
            "" | "public" => Ok(Interface::Public),
            "internal" => Ok(Interface::Internal),
            "admin" => Ok(Interface::Admin),
            _ => Err(usage("--os-interface must be public, internal or admin.")),
        }
    }

    /// Returns a setting from the source of highest precedence that has it.
    fn value(&self, setting: &str) -> Option<String> {
        let given = self.options.value(setting).map(str::to_owned);
        let given =
            given.or_else(|| names(setting).find_map(|name| self.cloud.as_ref()?.value(name)));
        if self.cloud.is_some() && !SUPPLIED_TO_CLOUDS.contains(&setting) {
            return given;
        }
        let variable = |name: &str| (self.environment)(&format!("OS_{}", name.to_uppercase()));
        given.or_else(|| names(setting).find_map(variable))
    }
}

/// Returns the names of a setting: its own, and an older one that configurations still use.
fn names(setting: &str) -> impl Iterator<Item = &str> {
    let older = match setting {
        "project_id" => Some("tenant_id"),
        "project_name" => Some("tenant_name"),
        "interface" => Some("endpoint_type"),
        _ => None,
    };
    std::iter::once(setting).chain(older)
}

fn usage(text: &str) -> CliError {
    CliError::Usage(text.to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: CloudOptions,
    }

    fn cloud(arguments: &[&str], variables: &[(&str, &str)]) -> CliResult<Option<Cloud>> {
        let words = std::iter::once("x").chain(arguments.iter().copied());
        let options = Line::parse_from(words).options;
        let environment = |name: &str| {
            let mut variables = variables.iter();
            let found = variables.find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        CloudSettings::new(&options, None, &environment)?.cloud()
    }

    const OPENRC: [(&str, &str); 5] = [
        ("OS_AUTH_URL", "http://k:5000/v3"),
        ("OS_USERNAME", "alice"),
        ("OS_PASSWORD", "CANARY"),
        ("OS_TENANT_NAME", "tenant-a"),
        ("OS_USER_DOMAIN_NAME", "Users"),
    ];

    #[test]
    fn option_takes_precedence_over_the_environment() {
        assert!(cloud(&[], &[]).unwrap().is_none());
        let arguments = ["--os-username", "bob", "--os-interface", "internal"];
        let cloud = cloud(&arguments, &OPENRC).unwrap().unwrap();
        let user = User::Name {
            name: "bob".to_owned(),
            domain: Domain::Name("Users".to_owned()),
        };
        let project = Project::Name {
            name: "tenant-a".to_owned(),
            domain: Domain::Id("default".to_owned()),
        };
        let wanted = Login::by_password(user, Secret::new("CANARY"), project);
        assert_eq!(cloud.login, wanted);
        assert_eq!(cloud.interface, Interface::Internal);
        assert!(!format!("{cloud:?}").contains("CANARY"));
    }

    #[test]
    fn application_credential_needs_no_project() {
        let variables = [
            ("OS_AUTH_URL", "http://k:5000/v3"),
            ("OS_APPLICATION_CREDENTIAL_ID", "c1"),
            ("OS_APPLICATION_CREDENTIAL_SECRET", "CANARY"),
        ];
        let login = cloud(&[], &variables).unwrap().unwrap().login;
        assert_eq!(login.project, None);
        assert!(matches!(login.proof, Proof::ApplicationCredential { .. }));
    }

    #[test]
    fn missing_setting_is_named() {
        for (left_out, named) in [("OS_USERNAME", "user"), ("OS_PASSWORD", "OS_PASSWORD")] {
            let variables: Vec<_> = OPENRC.into_iter().filter(|(n, _)| *n != left_out).collect();
            let error = cloud(&[], &variables).unwrap_err().to_string();
            assert!(error.contains(named), "{error}");
        }
    }

    #[test]
    fn environment_of_another_cloud_is_not_mixed_in() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("clouds.yaml");
        let text = "clouds: {b: {auth: {auth_url: 'http://b', project_id: p, username: bob}}}";
        std::fs::write(&file, text).unwrap();
        let file = file.display().to_string();
        let mut variables = OPENRC.to_vec();
        variables.push(("OS_CLIENT_CONFIG_FILE", &file));
        variables.push(("OS_USER_ID", "u1"));
        let cloud = cloud(&["--os-cloud", "b"], &variables).unwrap().unwrap();
        assert_eq!(cloud.auth_url, "http://b");
        let user = User::Name {
            name: "bob".to_owned(),
            domain: Domain::Id("default".to_owned()),
        };
        let password = Secret::new("CANARY");
        assert_eq!(cloud.login.proof, Proof::Password { user, password });
    }
}
