//! The session of one command: the client, logged in as options and environment say, the options,
//! and the output functions that all commands use.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use serde::Serialize;

use super::args::{DEFAULT_HOST, DEFAULT_SERVER_PORT, GlobalOptions};
use super::cloud::CloudSettings;
use super::error::{CliError, CliResult};
use super::progress_bar::BarVisibility;
use crate::client::{Client, GlanceEndpoint};

/// A client and the options of the command line.
pub(super) struct Session {
    pub(super) client: Client,
    pub(super) options: GlobalOptions,
}

impl Session {
    /// Finds the server and logs in, if the options or the environment name a Keystone and no
    /// token.
    ///
    /// # Errors
    /// [`CliError::Usage`] if the settings are invalid or incomplete, [`CliError::Client`] if the
    /// login fails.
    pub(super) async fn open(
        options: GlobalOptions,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> CliResult<Self> {
        check_version(options.os_image_api_version.as_deref())?;
        let environment = |name: &str| environment(name).filter(|value| !value.is_empty());
        let token = token(&options, environment);
        let settings = CloudSettings::new(&options.cloud, token.as_deref(), &environment)?;
        let connect = settings.connect_options(Duration::from_secs(options.timeout))?;
        let endpoint = given_endpoint(&options, &settings, environment)?;
        // A token and a URL need no login; otherwise only Keystone knows where the service is.
        let cloud = match (&token, &endpoint) {
            (Some(_), Some(_)) => None,
            _ => settings.cloud()?,
        };
        let client = match cloud {
            Some(cloud) => Client::log_in(&cloud, endpoint, &connect).await?,
            None => {
                let endpoint = endpoint.unwrap_or_else(default_endpoint);
                let client = Client::with_options(endpoint, &connect)?;
                match token {
                    Some(token) => client.with_token(&token)?,
                    None => client,
                }
            }
        };
        Ok(Self { client, options })
    }

    /// Prints text to standard output.
    pub(super) fn print(&self, text: &str) -> CliResult {
        let mut stdout = io::stdout().lock();
        stdout.write_all(text.as_bytes())?;
        stdout.flush()?;
        Ok(())
    }

    /// Prints a line to standard output.
    pub(super) fn print_line(&self, line: &str) -> CliResult {
        self.print(&format!("{line}\n"))
    }

    /// Prints a value as JSON to standard output.
    pub(super) fn print_json(&self, value: &impl Serialize) -> CliResult {
        let text = serde_json::to_string_pretty(value).map_err(io::Error::from)?;
        self.print_line(&text)
    }

    /// Prints a warning to standard error.
    pub(super) fn note(&self, line: &str) {
        // A closed standard error must not fail the command.
        let _ = writeln!(io::stderr(), "{line}");
    }

    /// Returns the rule for a transfer's progress bar; `asked` is `--progress`.
    pub(super) fn show(&self, asked: bool) -> BarVisibility {
        match (self.options.v2011.silent_upload, asked) {
            (true, _) => BarVisibility::Never,
            (false, true) => BarVisibility::Always,
            (false, false) => BarVisibility::WhenSlow,
        }
    }

    /// Asks for confirmation of a deletion, unless `--force` is given.
    ///
    /// # Errors
    /// [`CliError::Refused`] if the answer is no, [`CliError::Usage`] if standard input is not a
    /// terminal.
    pub(super) fn confirm(&self, question: &str) -> CliResult {
        if self.options.v2011.force {
            return Ok(());
        }
        if !io::stdin().is_terminal() {
            return Err(CliError::Usage(format!(
                "{question} Standard input is not a terminal; use --force."
            )));
        }
        if self.asks(question, false)? {
            return Ok(());
        }
        Err(CliError::Refused("Nothing was deleted.".to_owned()))
    }

    /// Returns true if a person reads the pages of a list and can be asked before the next one.
    pub(super) fn is_interactive(&self) -> bool {
        let on_terminal = io::stdin().is_terminal() && io::stdout().is_terminal();
        on_terminal && !self.options.v2011.force && !self.options.json
    }

    /// Asks a yes-or-no question; an empty line means `default`, the end of the input means no.
    pub(super) fn asks(&self, question: &str, default: bool) -> CliResult<bool> {
        let choices = if default { "[Y/n]" } else { "[y/N]" };
        let mut stderr = io::stderr().lock();
        write!(stderr, "{question} {choices} ")?;
        stderr.flush()?;
        let mut answer = String::new();
        io::stdin().read_line(&mut answer)?;
        Ok(match answer.trim().to_ascii_lowercase().as_str() {
            "" => default && answer.ends_with('\n'),
            "y" | "yes" => true,
            _ => false,
        })
    }
}

fn check_version(version: Option<&str>) -> CliResult {
    match version {
        None | Some("1" | "1.0" | "1.1") => Ok(()),
        Some(other) => Err(CliError::Usage(format!(
            "This client supports version 1 of the Image API, not {other}; \
             use --os-image-api-version 1 or omit it."
        ))),
    }
}

/// Returns the token that options or environment give for the Image service itself.
fn token(options: &GlobalOptions, environment: impl Fn(&str) -> Option<String>) -> Option<String> {
    let given = options.token.clone().filter(|token| !token.is_empty());
    given.or_else(|| environment("OS_AUTH_TOKEN"))
}

/// Returns the server's address from the options, the cloud or the environment, or `None` if the
/// catalogue or the default decides.
fn given_endpoint(
    options: &GlobalOptions,
    settings: &CloudSettings<'_>,
    environment: impl Fn(&str) -> Option<String>,
) -> CliResult<Option<GlanceEndpoint>> {
    if let Some(url) = &options.url {
        return Ok(Some(GlanceEndpoint::parse(url)?));
    }
    if options.host.is_some() || options.port.is_some() {
        let host = options.host.as_deref().unwrap_or(DEFAULT_HOST);
        // The clients of 2011 had 0.0.0.0, the address to listen on, as their default.
        let host = if host == "0.0.0.0" {
            DEFAULT_HOST
        } else {
            host
        };
        let port = options.port.unwrap_or(DEFAULT_SERVER_PORT);
        return Ok(Some(GlanceEndpoint::new(host, port)));
    }
    let url = settings.image_url();
    let url = url.or_else(|| environment("OS_IMAGE_URL").or_else(|| environment("GLANCE_URL")));
    Ok(url.map(|url| GlanceEndpoint::parse(&url)).transpose()?)
}

fn default_endpoint() -> GlanceEndpoint {
    GlanceEndpoint::new(DEFAULT_HOST, DEFAULT_SERVER_PORT)
}
