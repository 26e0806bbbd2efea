//! Options for the login at Keystone and for TLS, with the names of python-glanceclient and
//! python-openstackclient. Each has an environment variable of the same name.

use clap::Args;

#[derive(Args)]
#[command(next_help_heading = "Login and TLS (environment variables have the same names, OS_...)")]
pub(in crate::client::cli) struct CloudOptions {
    /// Name of a cloud in clouds.yaml, which supplies the settings not given as options
    #[arg(long, global = true, value_name = "NAME")]
    pub(super) os_cloud: Option<String>,
    /// URL of Keystone, such as https://HOST:5000/v3
    #[arg(short = 'N', long, alias = "os_auth_url", visible_alias = "auth-url")]
    #[arg(global = true, value_name = "URL")]
    pub(super) os_auth_url: Option<String>,
    /// Name of the user
    #[arg(short = 'I', long, alias = "os_username", visible_alias = "username")]
    #[arg(global = true, value_name = "NAME")]
    pub(super) os_username: Option<String>,
    /// ID of the user
    #[arg(long, alias = "os_user_id", global = true, value_name = "ID")]
    pub(super) os_user_id: Option<String>,
    /// Name of the user's domain
    #[arg(long, global = true, value_name = "NAME")]
    pub(super) os_user_domain_name: Option<String>,
    /// ID of the user's domain [default: default]
    #[arg(long, global = true, value_name = "ID")]
    pub(super) os_user_domain_id: Option<String>,
    /// Password; other users of this machine can read it, OS_PASSWORD is safer
    #[arg(short = 'K', long, alias = "os_password", visible_alias = "password")]
    #[arg(global = true, value_name = "PASSWORD")]
    pub(super) os_password: Option<String>,
    /// Name of the project
    #[arg(short = 'T', long, aliases = ["os_project_name", "os-tenant-name", "os_tenant_name", "tenant"])]
    #[arg(global = true, value_name = "NAME")]
    pub(super) os_project_name: Option<String>,
    /// ID of the project
    #[arg(long, aliases = ["os_project_id", "os-tenant-id", "os_tenant_id"])]
    #[arg(global = true, value_name = "ID")]
    pub(super) os_project_id: Option<String>,
    /// Name of the project's domain
    #[arg(long, global = true, value_name = "NAME")]
    pub(super) os_project_domain_name: Option<String>,
    /// ID of the project's domain [default: default]
    #[arg(long, global = true, value_name = "ID")]
    pub(super) os_project_domain_id: Option<String>,
    /// Token to log in with instead of a password
    #[arg(long, global = true, value_name = "TOKEN")]
    pub(super) os_token: Option<String>,
    /// ID of an application credential
    #[arg(long, global = true, value_name = "ID")]
    pub(super) os_application_credential_id: Option<String>,
    /// Name of an application credential of the user
    #[arg(long, global = true, value_name = "NAME")]
    pub(super) os_application_credential_name: Option<String>,
    /// Secret of the application credential
    #[arg(long, global = true, value_name = "SECRET")]
    pub(super) os_application_credential_secret: Option<String>,
    /// Region of the Image service
    #[arg(short = 'R', long, alias = "os_region_name", visible_alias = "region")]
    #[arg(global = true, value_name = "NAME")]
    pub(super) os_region_name: Option<String>,
    /// Interface of the Image service: public, internal or admin [default: public]
    #[arg(long, aliases = ["os-endpoint-type", "os_endpoint_type"])]
    #[arg(global = true, value_name = "NAME")]
    pub(super) os_interface: Option<String>,
    /// PEM file with the authorities to trust instead of those of the system
    #[arg(long, aliases = ["os_cacert", "ca-file"], global = true, value_name = "FILE")]
    pub(super) os_cacert: Option<String>,
    /// PEM file with a client certificate
    #[arg(long, aliases = ["os_cert", "cert-file"], global = true, value_name = "FILE")]
    pub(super) os_cert: Option<String>,
    /// PEM file with the key of the client certificate
    #[arg(long, aliases = ["os_key", "key-file"], global = true, value_name = "FILE")]
    pub(super) os_key: Option<String>,
    /// Accept any server certificate
    #[arg(short = 'k', long, global = true)]
    pub(super) insecure: bool,
}

impl CloudOptions {
    /// Returns the value of the option for a setting (the name without `os-`), if given.
    pub(super) fn value(&self, setting: &str) -> Option<&str> {
        let option = match setting {
            "auth_url" => &self.os_auth_url,
            "username" => &self.os_username,
            "user_id" => &self.os_user_id,
            "user_domain_name" => &self.os_user_domain_name,
            "user_domain_id" => &self.os_user_domain_id,
            "password" => &self.os_password,
            "project_name" => &self.os_project_name,
            "project_id" => &self.os_project_id,
            "project_domain_name" => &self.os_project_domain_name,
            "project_domain_id" => &self.os_project_domain_id,
            "token" => &self.os_token,
            "application_credential_id" => &self.os_application_credential_id,
            "application_credential_name" => &self.os_application_credential_name,
            "application_credential_secret" => &self.os_application_credential_secret,
            "region_name" => &self.os_region_name,
            "interface" => &self.os_interface,
            "cacert" => &self.os_cacert,
            "cert" => &self.os_cert,
            "key" => &self.os_key,
            _ => &None,
        };
        option.as_deref()
    }
}

/// Shows no values, since some are secret.
impl std::fmt::Debug for CloudOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CloudOptions")
    }
}
