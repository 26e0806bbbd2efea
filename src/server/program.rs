//! What every server program does before its own work.

use std::fmt::Display;
use std::io::Write;
use std::process::ExitCode;

use super::rules;
use crate::config::{
    Config, ConfigError, ConfigReport, EXIT_CONFIG, EXIT_OK, Role, ServerArgs, Warning,
    find_config_file, search_dirs,
};
use crate::log::{self, LogGuard, LogSettings};

/// Reads the configuration and starts the log.
///
/// # Errors
/// The exit code to end with at once: of what was only asked for, and of what is wrong, which
/// has been said.
pub(super) fn begin(args: &ServerArgs) -> Result<(Config, LogGuard), ExitCode> {
    if args.print_config {
        print!("{}", Config::sample());
        return Err(ExitCode::from(EXIT_OK));
    }
    if args.check_config {
        return Err(ExitCode::from(check(args)));
    }
    let (config, warnings) = load(args).map_err(|error| ExitCode::from(tell(&error)))?;
    let log = log::init(&LogSettings::from(args, &config)).map_err(|error| {
        complain(format_args!("ERROR: {error}"));
        ExitCode::from(error.exit_code())
    })?;
    for warning in &warnings {
        tracing::warn!("{warning}");
    }
    Ok((config, log))
}

/// Says everything that is wrong with the configuration and with the files that it names. The
/// exit code.
fn check(args: &ServerArgs) -> u8 {
    let examined = match find(args) {
        Ok((role, path)) => Config::examine(role, &path),
        Err(error) => return tell(&error),
    };
    let ConfigReport {
        config,
        warnings,
        problems,
    } = examined;
    warnings.iter().for_each(complain);
    let mut code = problems.iter().map(tell).max().unwrap_or(EXIT_OK);
    let Some(config) = config else { return code };
    for error in rules::check(&config.rules) {
        complain(format_args!("ERROR: {error}"));
        code = EXIT_CONFIG;
    }
    match log::check(&LogSettings::from(args, &config)) {
        Ok(warnings) => warnings.iter().for_each(complain),
        Err(error) => {
            complain(format_args!("ERROR: {error}"));
            code = code.max(error.exit_code());
        }
    }
    code
}

/// Says what is wrong. The exit code. A line of a file comes first, where editors look for it.
fn tell(error: &ConfigError) -> u8 {
    match error {
        ConfigError::NotFound { .. } => complain(format_args!("ERROR: {error}")),
        _ => complain(error),
    }
    error.exit_code()
}

fn find(args: &ServerArgs) -> Result<(Role, std::path::PathBuf), ConfigError> {
    let home = std::env::home_dir();
    let folders = search_dirs(home.as_deref());
    let path = find_config_file(args.program, args.config_file(), &folders)?;
    let role = match args.program {
        "glance-registry" => Role::Registry,
        _ => Role::Api,
    };
    Ok((role, path))
}

fn load(args: &ServerArgs) -> Result<(Config, Vec<Warning>), ConfigError> {
    let (role, path) = find(args)?;
    Config::load_for(role, &path)
}

/// Says why a program ends as it should not: in the log, and on standard error unless the log is
/// seen there.
pub(super) fn fail(message: &str, exit_code: u8) -> ExitCode {
    tracing::error!("{message}");
    if !log::writes_to_stderr() {
        complain(format_args!("ERROR: {message}"));
    }
    ExitCode::from(exit_code)
}

/// Writes a line to standard error. That may be a file on a full disk, where `eprintln!` would
/// panic; the exit code tells the failure then.
fn complain(line: impl Display) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
