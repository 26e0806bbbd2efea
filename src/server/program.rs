//! What every server program does before its own work.

use std::fmt::Display;
use std::io::Write;
use std::process::ExitCode;

use super::rules;
use crate::config::{
    Config, ConfigError, EXIT_CONFIG, EXIT_OK, Role, ServerArgs, Warning, find_config_file,
    search_dirs,
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
    let (config, warnings) = load(args).map_err(|error| {
        complain(&error);
        ExitCode::from(error.exit_code())
    })?;
    if args.check_config {
        warnings.iter().for_each(complain);
        return Err(match rules::load(&config.rules) {
            Ok(_) => ExitCode::from(EXIT_OK),
            Err(error) => {
                complain(format_args!("ERROR: {error}"));
                ExitCode::from(EXIT_CONFIG)
            }
        });
    }
    let log = log::init(&LogSettings::from(args, &config)).map_err(|error| {
        complain(format_args!("ERROR: {error}"));
        ExitCode::from(error.exit_code())
    })?;
    for warning in &warnings {
        tracing::warn!("{warning}");
    }
    Ok((config, log))
}

fn load(args: &ServerArgs) -> Result<(Config, Vec<Warning>), ConfigError> {
    let home = std::env::home_dir();
    let folders = search_dirs(home.as_deref());
    let path = find_config_file(args.program, args.config_file(), &folders)?;
    let role = match args.program {
        "glance-registry" => Role::Registry,
        _ => Role::Api,
    };
    Config::load_for(role, &path)
}

/// Says why a program ends as it should not.
pub(super) fn fail(message: &str, exit_code: u8) -> ExitCode {
    tracing::error!("{message}");
    complain(format_args!("ERROR: {message}"));
    ExitCode::from(exit_code)
}

/// Writes a line to standard error. That may be a file on a full disk, where `eprintln!` would
/// panic; the exit code tells the failure then.
fn complain(line: impl Display) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
