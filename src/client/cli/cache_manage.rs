//! The `glance-cache-manage` program: lists and changes the image cache of one server and its
//! prefetch queue, over the cache-management extension of the API. Output and prompts equal those
//! of Glance's program of the same name.

use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use jiff::Timestamp;

use super::args::GlobalOptions;
use super::error::{CliError, CliResult};
use super::runner;
use super::session::Session;
use super::table::{Align, Column, plain_heading, plain_row};
use crate::client::ClientError;
use crate::wire::CachedImage;

/// Columns of `list-cached`, equal to those of Glance's program.
const CACHED: [Column; 5] = [
    column("ID", 36, Align::Left),
    column("Last Accessed (UTC)", 19, Align::Left),
    column("Last Modified (UTC)", 19, Align::Left),
    column("Size", 14, Align::Right),
    column("Hits", 10, Align::Right),
];

const fn column(heading: &'static str, width: usize, align: Align) -> Column {
    Column {
        heading,
        width,
        align,
    }
}

/// Shows and changes the image cache of a server and the queue of images to cache.
#[derive(Debug, Parser)]
#[command(name = "glance-cache-manage", version, max_term_width = 100)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    options: GlobalOptions,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the cached images
    ListCached,
    /// List the images queued for caching, in order
    ListQueued,
    /// Queue an image for caching
    QueueImage(Image),
    /// Remove an image from the cache
    DeleteCachedImage(Image),
    /// Remove all images from the cache
    DeleteAllCachedImages,
    /// Remove an image from the queue
    DeleteQueuedImage(Image),
    /// Remove all images from the queue
    DeleteAllQueuedImages,
}

#[derive(Debug, Args)]
struct Image {
    /// ID or URI of the image
    #[arg(value_name = "ID")]
    image: String,
}

/// Runs `glance-cache-manage` with the arguments and the environment of the process.
pub fn cache_manage_main() -> ExitCode {
    let CommandLine { command, options } = CommandLine::parse();
    runner::run(options, async |session| {
        if session.options.v2011.dry_run {
            let words = "This program does not support --dry-run; nothing was done.";
            return Err(CliError::Usage(words.to_owned()));
        }
        let carried_out = carry_out(session, &command).await;
        carried_out.map_err(explain_unmanaged_cache)
    })
}

/// Explains a 404: a server whose pipeline lacks cache management has none of these paths.
fn explain_unmanaged_cache(failure: CliError) -> CliError {
    match failure {
        CliError::Client(ClientError::NotFound { .. }) => CliError::Refused(
            "Cache management is disabled on this server: its [paste_deploy] flavor does not \
             include cachemanagement."
                .to_owned(),
        ),
        other => other,
    }
}

async fn carry_out(session: &Session, command: &Command) -> CliResult {
    let client = &session.client;
    match command {
        Command::ListCached => list_cached(session, &client.get_cached_images().await?),
        Command::ListQueued => list_queued(session, &client.get_queued_images().await?),
        Command::QueueImage(Image { image }) => {
            client.queue_image_for_caching(image).await?;
            session.print_line(&format!("Queued image {image} for caching"))
        }
        Command::DeleteCachedImage(Image { image }) => {
            session.confirm(&format!("Delete cached image {image}?"))?;
            client.delete_cached_image(image).await?;
            session.print_line(&format!("Deleted cached image {image}"))
        }
        Command::DeleteAllCachedImages => {
            session.confirm("Delete all cached images?")?;
            let count = client.delete_all_cached_images().await?;
            session.print_line(&format!("Deleted {count} cached images"))
        }
        Command::DeleteQueuedImage(Image { image }) => {
            session.confirm(&format!("Delete queued image {image}?"))?;
            client.delete_queued_image(image).await?;
            session.print_line(&format!("Deleted queued image {image}"))
        }
        Command::DeleteAllQueuedImages => {
            session.confirm("Delete all queued images?")?;
            let count = client.delete_all_queued_images().await?;
            session.print_line(&format!("Deleted {count} queued images"))
        }
    }
}

fn list_cached(session: &Session, images: &[CachedImage]) -> CliResult {
    if session.options.json {
        return session.print_json(&images);
    }
    if images.is_empty() {
        return session.print_line("No cached images.");
    }
    let mut text = format!("Found {} cached images...\n", images.len());
    text.push_str(&plain_heading(&CACHED));
    for image in images {
        let cells = [
            image.image_id.clone(),
            time(image.last_accessed),
            time(image.last_modified),
            image.size.to_string(),
            image.hits.to_string(),
        ];
        text.push_str(&plain_row(&CACHED, &cells));
    }
    session.print(&text)
}

fn list_queued(session: &Session, images: &[String]) -> CliResult {
    if session.options.json {
        return session.print_json(&images);
    }
    if images.is_empty() {
        return session.print_line("No queued images.");
    }
    let columns = &CACHED[..1];
    let mut text = format!("Found {} queued images...\n", images.len());
    text.push_str(&plain_heading(columns));
    for image in images {
        text.push_str(&plain_row(columns, std::slice::from_ref(image)));
    }
    session.print(&text)
}

/// Formats seconds since the Unix epoch as Glance does: `2011-08-17T12:00:00`, in UTC.
fn time(since_epoch_s: f64) -> String {
    let time = Timestamp::from_second(since_epoch_s as i64).unwrap_or_default();
    time.strftime("%Y-%m-%dT%H:%M:%S").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_printed_in_utc() {
        assert_eq!(time(1_313_582_400.9), "2011-08-17T12:00:00");
        assert_eq!(time(f64::NAN), "1970-01-01T00:00:00");
    }

    #[test]
    fn accepts_the_commands_of_glances_program() {
        for command in [
            &["list-cached"][..],
            &["-H", "h", "-p", "1", "list-queued"],
            &["queue-image", "7"],
            &["-f", "delete-cached-image", "7"],
            &["delete-all-cached-images", "--force"],
            &["delete-queued-image", "7"],
            &["delete-all-queued-images"],
        ] {
            let words = std::iter::once("glance-cache-manage").chain(command.iter().copied());
            assert!(CommandLine::try_parse_from(words).is_ok(), "{command:?}");
        }
    }
}
