//! The first steps of every server program: configuration and log.

use std::process::ExitCode;

use crate::config::{
    Config, ConfigError, ConfigReport, EXIT_CONFIG, EXIT_FAILURE, EXIT_OK, Role, ServerArgs,
    Warning, find_config_file, search_dirs,
};
use crate::console::{print_error, print_line};
use crate::log::{self, LogGuard, LogSettings};
use crate::server::compose::policy_files;

/// Reads the configuration and starts the log. Carries out `--print-config` and `--check-config`.
///
/// # Errors
/// The exit code to end with at once, after one of these options or after an error, which has been
/// printed.
pub(super) fn begin(args: &ServerArgs) -> Result<(Config, LogGuard), ExitCode> {
    if args.print_config {
        return Err(ExitCode::from(print_sample()));
    }
    if args.check_config {
        return Err(ExitCode::from(check(args)));
    }
    let (config, warnings) = load(args).map_err(|error| ExitCode::from(report(&error)))?;
    let log = log::init(&LogSettings::from(args, &config)).map_err(|error| {
        print_error(format_args!("ERROR: {error}"));
        ExitCode::from(error.exit_code())
    })?;
    for warning in &warnings {
        tracing::warn!("{warning}");
    }
    Ok((config, log))
}

fn print_sample() -> u8 {
    // Without the final newline, which `print_line` adds.
    match print_line(Config::sample().trim_end_matches('\n')) {
        Ok(()) => EXIT_OK,
        Err(error) => {
            print_error(format_args!("ERROR: {error}"));
            EXIT_FAILURE
        }
    }
}

/// Prints every error in the configuration and in the files that it names. Returns the exit code.
fn check(args: &ServerArgs) -> u8 {
    let examined = match find(args) {
        Ok((role, path)) => Config::examine(role, &path),
        Err(error) => return report(&error),
    };
    let ConfigReport {
        config,
        warnings,
        problems,
    } = examined;
    warnings.iter().for_each(print_error);
    let mut code = problems.iter().map(report).max().unwrap_or(EXIT_OK);
    let Some(config) = config else { return code };
    for error in policy_files::check(&config.rules) {
        print_error(format_args!("ERROR: {error}"));
        code = EXIT_CONFIG;
    }
    match log::check(&LogSettings::from(args, &config)) {
        Ok(warnings) => warnings.iter().for_each(print_error),
        Err(error) => {
            print_error(format_args!("ERROR: {error}"));
            code = code.max(error.exit_code());
        }
    }
    code
}

/// Prints a configuration error and returns its exit code. Errors of a line begin with the file and
/// the line, the form that editors recognize.
fn report(error: &ConfigError) -> u8 {
    match error {
        ConfigError::NotFound { .. } => print_error(format_args!("ERROR: {error}")),
        _ => print_error(error),
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

/// Reports the error that ends the program in the log, and on standard error unless the log is
/// written there. Returns the exit code.
pub(super) fn fail(message: &str, exit_code: u8) -> ExitCode {
    tracing::error!("{message}");
    if !log::writes_to_stderr() {
        print_error(format_args!("ERROR: {message}"));
    }
    ExitCode::from(exit_code)
}
