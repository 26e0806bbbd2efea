//! The commands of the client of 2011: `index`, `details`, `show`, `add`, `update`, `delete`,
//! `clear` and the member commands. Prompts, messages and defaults equal those of that client;
//! requests go through [`crate::client::Client`]. Unlike the current commands these name images
//! by ID or URI only.

pub(super) mod args;
pub(super) mod render;

use serde_json::json;

use crate::client::cli::error::{CliError, CliResult};
use crate::client::cli::fields::{ImageArguments, split_pair};
use crate::client::cli::printable::{printable, printable_lines};
use crate::client::cli::progress_bar::TransferBar;
use crate::client::cli::session::Session;
use crate::client::cli::upload_input;
use crate::client::{ListOptions, Pages};
use crate::wire::{ImageMeta, MemberEntry};
use args::{AddArgs, DeleteArgs, FilterArgs, ImageId, MemberAddArgs, MemberId, UpdateArgs};
use render::{block, index_heading, index_row, members, rule, shared_images};

/// Default number of images per page, as in the client of 2012.
const PAGE_SIZE: u32 = 10;
/// Filters of the API; any other name filters by a property.
const FILTERS: [&str; 12] = [
    "changes-since",
    "container_format",
    "disk_format",
    "id",
    "is_public",
    "min_disk",
    "min_ram",
    "name",
    "protected",
    "size_max",
    "size_min",
    "status",
];

/// Output style of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ListStyle {
    Index,
    Details,
}

pub(super) async fn list(session: &Session, args: &FilterArgs, style: ListStyle) -> CliResult {
    let mut pages = pages(session, args, style)?;
    let mut shown = Vec::new();
    let mut is_first = true;
    while let Some(page) = pages.next_page().await? {
        if session.options.json {
            shown.extend(page);
            continue;
        }
        if !is_first && session.is_interactive() && !session.asks("Fetch next page?", true)? {
            return Ok(());
        }
        session.print(&page_text(session, &page, style, is_first))?;
        is_first = false;
    }
    match (session.options.json, is_first) {
        (true, _) => session.print_json(&shown),
        (false, true) => session.print_line("No public images found."),
        (false, false) => Ok(()),
    }
}

fn page_text(session: &Session, page: &[ImageMeta], style: ListStyle, is_first: bool) -> String {
    let mut text = match (style, is_first) {
        (ListStyle::Index, true) => index_heading(),
        (ListStyle::Details, true) => rule(),
        _ => String::new(),
    };
    for image in page {
        match style {
            ListStyle::Index => text.push_str(&index_row(image)),
            ListStyle::Details => {
                text.push_str(&block(image, session.client.endpoint()));
                text.push_str(&rule());
            }
        }
    }
    text
}

fn pages<'a>(session: &'a Session, args: &FilterArgs, style: ListStyle) -> CliResult<Pages<'a>> {
    let order = &session.options.list;
    let mut options = ListOptions {
        marker: order.marker.clone(),
        sort_key: order.sort_key.clone(),
        sort_dir: order.sort_dir.clone(),
        ..ListOptions::default()
    };
    for filter in &args.filters {
        let (name, value) = split_pair(filter)?;
        let name = match name.to_lowercase().replace('-', "_").as_str() {
            "changes_since" => "changes-since".to_owned(),
            other => other.to_owned(),
        };
        if FILTERS.contains(&name.as_str()) {
            options = options.filter(name, value);
        } else {
            options.properties.push((name, value.to_owned()));
        }
    }
    let pages = match style {
        ListStyle::Index => session.client.pages(options),
        ListStyle::Details => session.client.pages_detailed(options),
    };
    Ok(pages.with_page_size(order.limit.unwrap_or(PAGE_SIZE)))
}

pub(super) async fn show(session: &Session, args: &ImageId) -> CliResult {
    let image = session.client.get_image_meta(&args.image).await?;
    if session.options.json {
        return session.print_json(&image);
    }
    session.print(&block(&image, session.client.endpoint()))
}

pub(super) async fn add(session: &Session, args: &AddArgs) -> CliResult {
    let mut typed = typed(session, &args.fields)?;
    add_default_formats(&mut typed);
    let has_source = typed.value("location").is_some() || typed.copy_from.is_some();
    let fields = typed.clone().into_fields()?;
    if session.options.v2011.dry_run {
        return print_dry_run(session, "Add new image with metadata:", &typed);
    }
    let data = if has_source {
        None
    } else {
        upload_input::piped()?
    };
    let length_bytes = data.as_ref().and_then(|data| data.length_bytes());
    let bar = TransferBar::new(length_bytes, session.show(false));
    let data = data.map(|data| data.with_progress(bar.progress()));
    let outcome = session.client.add_image(&fields, data).await;
    bar.end();
    let image = outcome.map_err(|error| {
        session.note("Failed to add image. Got error:");
        CliError::of_transfer(error)
    })?;
    if session.options.json {
        return session.print_json(&image);
    }
    session.print_line(&format!(
        "Added new image with ID: {}",
        printable(&image.id)
    ))
}

/// Adds the default formats of the client of 2011 (raw, ovf). The Amazon formats `aki`, `ari` and
/// `ami` require equal disk and container formats, so no default is added beside them.
fn add_default_formats(typed: &mut ImageArguments) {
    let is_amazon =
        |format: Option<&str>| format.is_some_and(|f| ["aki", "ari", "ami"].contains(&f));
    if is_amazon(typed.value("disk_format")) || is_amazon(typed.value("container_format")) {
        return;
    }
    for (field, format) in [("disk_format", "raw"), ("container_format", "ovf")] {
        if typed.value(field).is_none() {
            typed.set(field, format);
        }
    }
}

pub(super) async fn update(session: &Session, args: &UpdateArgs) -> CliResult {
    let typed = typed(session, &args.fields)?;
    let fields = typed.clone().into_fields()?;
    if session.options.v2011.dry_run {
        let what = format!("Update existing image {} with metadata:", args.image);
        return print_dry_run(session, &what, &typed);
    }
    let update = session
        .client
        .update_image(&args.image, &fields, true, None);
    let image = update.await?;
    if session.options.json {
        return session.print_json(&image);
    }
    session.print_line(&format!("Updated image {}", printable(&args.image)))
}

pub(super) async fn delete(session: &Session, args: &DeleteArgs) -> CliResult {
    if session.options.v2011.dry_run {
        let what = format!("Delete image {}", args.image);
        return print_dry_run(session, &what, &ImageArguments::default());
    }
    session.confirm(&format!("Delete image {}?", printable(&args.image)))?;
    session.client.delete_image(&args.image).await?;
    if session.options.json {
        return session.print_json(&json!({"deleted": [args.image], "failed": []}));
    }
    session.print_line(&format!("Deleted image {}", printable(&args.image)))
}

pub(super) async fn clear(session: &Session) -> CliResult {
    let is_dry = session.options.v2011.dry_run;
    if !is_dry {
        session.confirm("Delete all images?")?;
    }
    let images = session
        .client
        .pages(ListOptions::default())
        .collect()
        .await?;
    let mut deleted = Vec::new();
    let mut failed = Vec::new();
    for image in &images {
        if is_dry {
            let what = format!("Delete image {}", image.id);
            print_dry_run(session, &what, &ImageArguments::default())?;
            continue;
        }
        match session.client.delete_image(&image.id).await {
            Ok(()) => deleted.push(image.id.as_str()),
            Err(error) => {
                let words = printable_lines(&error.to_string());
                session.note(&format!("Cannot delete {}: {words}", printable(&image.id)));
                failed.push(json!({"image": image.id, "error": error.to_string()}));
            }
        }
    }
    if session.options.json {
        session.print_json(&json!({"deleted": deleted, "failed": failed}))?;
    } else {
        for id in &deleted {
            session.print_line(&format!("Deleted image {}", printable(id)))?;
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    Err(CliError::Refused(format!(
        "{} of {} images could not be deleted.",
        failed.len(),
        images.len()
    )))
}

pub(super) async fn image_members(session: &Session, args: &ImageId) -> CliResult {
    let list = session.client.get_image_members(&args.image).await?;
    if session.options.json {
        return session.print_json(&list);
    }
    session.print(&members(&list))
}

pub(super) async fn member_images(session: &Session, args: &MemberId) -> CliResult {
    let list = session.client.get_member_images(&args.member).await?;
    if session.options.json {
        return session.print_json(&list);
    }
    session.print(&shared_images(&list))
}

pub(super) async fn member_add(session: &Session, args: &MemberAddArgs) -> CliResult {
    if session.options.v2011.dry_run {
        let what = format!("Add member {} to image {}", args.member, args.image);
        return print_dry_run(session, &what, &ImageArguments::default());
    }
    let can_share = Some(session.options.v2011.can_share);
    let add = session
        .client
        .add_member(&args.image, &args.member, can_share);
    add.await?;
    report_member(session, "added", &args.image, &args.member)
}

pub(super) async fn members_replace(session: &Session, args: &MemberAddArgs) -> CliResult {
    if session.options.v2011.dry_run {
        let what = format!(
            "Replace members of image {} with {}",
            args.image, args.member
        );
        return print_dry_run(session, &what, &ImageArguments::default());
    }
    let only = MemberEntry {
        id: args.member.clone(),
        can_share: session.options.v2011.can_share,
    };
    session.client.replace_members(&args.image, &[only]).await?;
    report_member(session, "replaced", &args.image, &args.member)
}

fn report_member(session: &Session, what: &str, image: &str, member: &str) -> CliResult {
    if session.options.json {
        return session.print_json(&json!({"image": image, "member": member, "done": what}));
    }
    Ok(())
}

/// Parses the arguments and warns of fields that only the server sets.
fn typed(session: &Session, arguments: &[String]) -> CliResult<ImageArguments> {
    let typed = ImageArguments::from_pairs(arguments)?;
    for field in &typed.dropped {
        session.note(&format!("Found non-settable field {field}. Removing."));
    }
    Ok(typed)
}

/// Prints what a command would do without `--dry-run`.
fn print_dry_run(session: &Session, what: &str, typed: &ImageArguments) -> CliResult {
    session.print_line("Dry run. We would have done the following:")?;
    session.print_line(&printable(what))?;
    for (name, value) in typed.fields.iter().chain(&typed.properties) {
        session.print_line(&format!("  {} => {}", printable(name), printable(value)))?;
    }
    Ok(())
}
