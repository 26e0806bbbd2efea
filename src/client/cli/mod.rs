//! The `glance` command line: one implementation under the commands of today and of 2011.

mod args;
mod bar;
mod cache_manage;
mod era;
mod era_args;
mod era_render;
mod failure;
mod fields;
mod program;
mod render;
mod resolve;
mod session;
mod source;
mod table;
mod text;
mod today;
mod today_args;

use std::process::ExitCode;

use clap::Parser;

use args::{Command, CommandLine};
use failure::{Failure, Outcome};
use session::Session;

pub use cache_manage::cache_manage_main;

/// Runs the program on the arguments and the environment of the process.
pub fn main() -> ExitCode {
    // Ends the process itself for --help, --version (0) and a wrong command line (2).
    let CommandLine { command, options } = CommandLine::parse();
    program::run(options, async |session| carry_out(session, &command).await)
}

async fn carry_out(session: &Session, command: &Command) -> Outcome {
    if session.options.era.dry_run && !knows_dry_runs(command) {
        return Err(Failure::Usage(
            "This command knows no --dry-run; nothing was done.".to_owned(),
        ));
    }
    match command {
        Command::ImageList(args) => today::list(session, args).await,
        Command::ImageShow(args) => today::show(session, args).await,
        Command::ImageCreate(args) => today::create(session, args).await,
        Command::ImageUpdate(args) => today::update(session, args).await,
        Command::ImageDownload(args) => today::download(session, args).await,
        Command::ImageDelete(args) => today::delete(session, args).await,
        Command::MemberList(args) => today::member_list(session, args).await,
        Command::MemberCreate(args) => today::member_create(session, args).await,
        Command::MemberDelete(args) => today::member_delete(session, args).await,
        Command::Index(args) => era::list(session, args, era::Style::Index).await,
        Command::Details(args) => era::list(session, args, era::Style::Details).await,
        Command::Show(args) => era::show(session, args).await,
        Command::Add(args) => era::add(session, args).await,
        Command::Update(args) => era::update(session, args).await,
        Command::Delete(args) => era::delete(session, args).await,
        Command::Clear => era::clear(session).await,
        Command::ImageMembers(args) => era::image_members(session, args).await,
        Command::MemberImages(args) => era::member_images(session, args).await,
        Command::MemberAdd(args) => era::member_add(session, args).await,
        Command::MembersReplace(args) => era::members_replace(session, args).await,
    }
}

/// Whether the command changes nothing on a dry run.
fn knows_dry_runs(command: &Command) -> bool {
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
    fn the_command_line_is_sound() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn options_stand_before_and_after_commands() {
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
