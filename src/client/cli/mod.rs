//! The `glance` command-line program: parses the arguments and dispatches to one function per
//! command. The current commands (`current`) and those of the client of 2011 (`v2011`) are two
//! front ends of the same library, [`crate::client`]; they share options, exit codes and output
//! helpers. `glance-cache-manage` (`cache_manage`) uses the same parts.

mod args;
mod cache_manage;
mod cloud;
mod current;
mod error;
mod fields;
mod printable;
mod progress_bar;
mod resolve;
mod runner;
mod session;
mod table;
mod upload_input;
mod v2011;

use std::process::ExitCode;

use clap::Parser;

use args::{Command, CommandLine};
use error::{CliError, CliResult};
use session::Session;

pub use cache_manage::cache_manage_main;

/// Runs `glance` with the arguments and the environment of the process.
pub fn main() -> ExitCode {
    // clap ends the process for --help and --version (code 0) and for a usage error (code 2).
    let CommandLine { command, options } = CommandLine::parse();
    runner::run(options, async |session| carry_out(session, &command).await)
}

async fn carry_out(session: &Session, command: &Command) -> CliResult {
    if session.options.v2011.dry_run && !supports_dry_run(command) {
        return Err(CliError::Usage(
            "This command does not support --dry-run; nothing was done.".to_owned(),
        ));
    }
    match command {
        Command::ImageList(args) => current::list(session, args).await,
        Command::ImageShow(args) => current::show(session, args).await,
        Command::ImageCreate(args) => current::create(session, args).await,
        Command::ImageUpdate(args) => current::update(session, args).await,
        Command::ImageDownload(args) => current::download(session, args).await,
        Command::ImageDelete(args) => current::delete(session, args).await,
        Command::MemberList(args) => current::member_list(session, args).await,
        Command::MemberCreate(args) => current::member_create(session, args).await,
        Command::MemberDelete(args) => current::member_delete(session, args).await,
        Command::Index(args) => v2011::list(session, args, v2011::ListStyle::Index).await,
        Command::Details(args) => v2011::list(session, args, v2011::ListStyle::Details).await,
        Command::Show(args) => v2011::show(session, args).await,
        Command::Add(args) => v2011::add(session, args).await,
        Command::Update(args) => v2011::update(session, args).await,
        Command::Delete(args) => v2011::delete(session, args).await,
        Command::Clear => v2011::clear(session).await,
        Command::ImageMembers(args) => v2011::image_members(session, args).await,
        Command::MemberImages(args) => v2011::member_images(session, args).await,
        Command::MemberAdd(args) => v2011::member_add(session, args).await,
        Command::MembersReplace(args) => v2011::members_replace(session, args).await,
    }
}

/// Returns true if `--dry-run` keeps the command from changing anything. The commands of 2011
/// implement it; the listed ones do not and must refuse the option instead of ignoring it.
fn supports_dry_run(command: &Command) -> bool {
    !matches!(
        command,
        Command::ImageCreate(_)
            | Command::ImageUpdate(_)
            | Command::ImageDownload(_)
            | Command::ImageDelete(_)
            | Command::MemberCreate(_)
            | Command::MemberDelete(_)
    )
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn command_line_definition_passes_claps_checks() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn global_options_are_accepted_before_and_after_the_command() {
        let words = ["glance", "-p", "1", "index", "--limit", "3", "name=x"];
        let parsed = CommandLine::try_parse_from(words).unwrap();
        assert_eq!(parsed.options.port, Some(1));
        assert_eq!(parsed.options.list.limit, Some(3));
        let words = [
            "glance",
            "--sort_key",
            "size",
            "image-list",
            "-U",
            "http://h",
        ];
        let parsed = CommandLine::try_parse_from(words).unwrap();
        assert_eq!(parsed.options.url.as_deref(), Some("http://h"));
    }
}
