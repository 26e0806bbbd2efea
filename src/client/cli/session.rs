//! What every command works with: a client, and how to print.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use serde::Serialize;

use super::args::{DEFAULT_HOST, DEFAULT_SERVER_PORT, GlobalOptions};
use super::error::{CliError, CliResult};
use super::progress_bar::BarVisibility;
use crate::client::{Client, DEFAULT_CONNECT_LIMIT, GlanceEndpoint};

/// Longest wait for a connection; a shorter `--timeout` shortens it.
const CONNECT_LIMIT: Duration = DEFAULT_CONNECT_LIMIT;

/// A client and the options of the command line.
pub(super) struct Session {
    pub(super) client: Client,
    pub(super) options: GlobalOptions,
}

impl Session {
    /// Takes what the options leave open from the environment.
    pub(super) fn new(
        options: GlobalOptions,
        environment: impl Fn(&str) -> Option<String>,
    ) -> CliResult<Self> {
        check_version(options.os_image_api_version.as_deref())?;
        let environment = |name: &str| environment(name).filter(|value| !value.is_empty());
        let mut client = Client::new(endpoint(&options, environment)?)?;
        let token = options.token.clone().filter(|token| !token.is_empty());
        if let Some(token) = token.or_else(|| environment("OS_AUTH_TOKEN")) {
            client = client.with_token(&token)?;
        }
        let progress = Duration::from_secs(options.timeout);
        Ok(Self {
            client: client.with_limits(CONNECT_LIMIT.min(progress), progress),
            options,
        })
    }

    /// Prints text.
    pub(super) fn print(&self, text: &str) -> CliResult {
        let mut stdout = io::stdout().lock();
        stdout.write_all(text.as_bytes())?;
        stdout.flush()?;
        Ok(())
    }

    /// Prints a line.
    pub(super) fn print_line(&self, line: &str) -> CliResult {
        self.print(&format!("{line}\n"))
    }

    /// Prints a value as JSON.
    pub(super) fn print_json(&self, value: &impl Serialize) -> CliResult {
        let text = serde_json::to_string_pretty(value).map_err(io::Error::from)?;
        self.print_line(&text)
    }

    /// Says something beside the output.
    pub(super) fn note(&self, line: &str) {
        // A closed standard error is nobody's loss.
        let _ = writeln!(io::stderr(), "{line}");
    }

    /// When a transfer shows its bar.
    pub(super) fn show(&self, asked: bool) -> BarVisibility {
        match (self.options.v2011.silent_upload, asked) {
            (true, _) => BarVisibility::Never,
            (false, true) => BarVisibility::Always,
            (false, false) => BarVisibility::WhenSlow,
        }
    }

    /// Asks before something is lost.
    ///
    /// # Errors
    /// When the answer is no, or when nobody is there to be asked.
    pub(super) fn confirm(&self, question: &str) -> CliResult {
        if self.options.v2011.force {
            return Ok(());
        }
        if !io::stdin().is_terminal() {
            return Err(CliError::Usage(format!(
                "{question} There is no terminal to ask on; say --force."
            )));
        }
        if self.asks(question, false)? {
            return Ok(());
        }
        Err(CliError::Refused("Nothing was deleted.".to_owned()))
    }

    /// Whether there is somebody who reads pages, and may want no more of them.
    pub(super) fn pages_are_read(&self) -> bool {
        let on_terminal = io::stdin().is_terminal() && io::stdout().is_terminal();
        on_terminal && !self.options.v2011.force && !self.options.json
    }

    /// Asks a question; an empty answer is the default.
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
            "This client speaks version 1 of the Image API, not {other}; \
             say --os-image-api-version 1 or leave it out."
        ))),
    }
}

/// Where the server is: the options, then the environment, then this machine.
fn endpoint(
    options: &GlobalOptions,
    environment: impl Fn(&str) -> Option<String>,
) -> CliResult<GlanceEndpoint> {
    if let Some(url) = &options.url {
        return Ok(GlanceEndpoint::parse(url)?);
    }
    if options.host.is_none() && options.port.is_none() {
        let url = environment("OS_IMAGE_URL").or_else(|| environment("GLANCE_URL"));
        if let Some(url) = url {
            return Ok(GlanceEndpoint::parse(&url)?);
        }
    }
    let host = options.host.as_deref().unwrap_or(DEFAULT_HOST);
    // The clients of 2011 had the address to listen on as their default.
    let host = if host == "0.0.0.0" {
        DEFAULT_HOST
    } else {
        host
    };
    Ok(GlanceEndpoint::new(
        host,
        options.port.unwrap_or(DEFAULT_SERVER_PORT),
    ))
}
