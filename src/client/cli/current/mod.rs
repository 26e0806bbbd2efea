//! The current commands, `image-…` and `member-…`, with the names, output and rules of
//! python-glanceclient v1. Each function implements one command over
//! [`crate::client::Client`].

pub(super) mod args;
pub(super) mod render;

use std::fs;
use std::io::{self, IsTerminal};
use std::path::Path;
use std::sync::Arc;

use serde_json::json;

use crate::client::cli::error::{CliError, CliResult};
use crate::client::cli::fields::split_pair;
use crate::client::cli::printable::{printable, printable_lines};
use crate::client::cli::progress_bar::TransferBar;
use crate::client::cli::resolve::image_id;
use crate::client::cli::session::Session;
use crate::client::cli::upload_input;
use crate::client::cli::v2011::args::MemberPair;
use crate::client::{DEFAULT_PAGE_SIZE, DownloadOptions, DownloadSummary, ListOptions, Upload};
use crate::image::Fields;
use crate::wire::ImageMeta;
use args::{
    CreateArgs, DownloadArgs, FieldArgs, ImageNames, ListArgs, MemberCreateArgs, MemberListArgs,
    UpdateImageArgs,
};
use render::{image_table, member_table, property_table, shared_table};

pub(super) async fn list(session: &Session, args: &ListArgs) -> CliResult {
    let options = list_options(session, args)?;
    let page_size = args.page_size.unwrap_or(DEFAULT_PAGE_SIZE);
    let pages = session.client.pages_detailed(options);
    let mut images = pages.with_page_size(page_size).collect().await?;
    if let Some(owner) = &args.owner {
        // The v1 API has no filter by owner.
        images.retain(|image| image.owner.as_ref() == Some(owner));
    }
    if session.options.json {
        return session.print_json(&images);
    }
    session.print(&image_table(&images, args.human_readable))
}

fn list_options(session: &Session, args: &ListArgs) -> CliResult<ListOptions> {
    let order = &session.options.list;
    let mut options = ListOptions {
        marker: order.marker.clone(),
        limit: order.limit,
        sort_key: Some(order.sort_key.clone().unwrap_or("name".to_owned())),
        sort_dir: Some(order.sort_dir.clone().unwrap_or("asc".to_owned())),
        ..ListOptions::default()
    };
    let is_public = match args.is_public {
        _ if args.all_tenants => Some("None".to_owned()),
        is_public => is_public.map(|word| word.to_string()),
    };
    let filters = [
        ("name", args.name.clone()),
        ("status", args.status.clone()),
        ("disk_format", args.disk_format.clone()),
        ("container_format", args.container_format.clone()),
        ("size_min", args.size_min.map(|bytes| bytes.to_string())),
        ("size_max", args.size_max.map(|bytes| bytes.to_string())),
        ("is_public", is_public),
    ];
    for (name, value) in filters {
        if let Some(value) = value {
            options = options.filter(name, value);
        }
    }
    for property in &args.property_filter {
        let (key, value) = split_pair(property)?;
        options.properties.push((key.to_owned(), value.to_owned()));
    }
    Ok(options)
}

pub(super) async fn show(session: &Session, args: &ImageNames) -> CliResult {
    let mut images = Vec::new();
    for image in &args.images {
        let id = image_id(&session.client, image).await?;
        images.push(session.client.get_image_meta(&id).await?);
    }
    match (session.options.json, images.as_slice()) {
        (true, [image]) => session.print_json(image),
        (true, images) => session.print_json(&images),
        (false, images) => images
            .iter()
            .try_for_each(|image| session.print(&property_table(image))),
    }
}

pub(super) async fn create(session: &Session, args: &CreateArgs) -> CliResult {
    let mut typed = args.fields.typed()?;
    args.id.iter().for_each(|id| typed.set("id", id));
    let fields = typed.into_fields()?;
    let (data, bar) = with_bar(session, &args.fields, data(&args.fields)?);
    let outcome = session.client.add_image(&fields, data).await;
    bar.iter().for_each(|bar| bar.end());
    print_sent(session, &fields, &outcome.map_err(CliError::of_transfer)?)
}

pub(super) async fn update(session: &Session, args: &UpdateImageArgs) -> CliResult {
    let fields = args.fields.typed()?.into_fields()?;
    let id = image_id(&session.client, &args.image).await?;
    let data = data(&args.fields)?;
    if data.is_some() && args.fields.file.is_none() {
        check_accepts_data(session, &id).await?;
    }
    let (data, bar) = with_bar(session, &args.fields, data);
    let update = session
        .client
        .update_image(&id, &fields, args.purge_props, data);
    let outcome = update.await;
    bar.iter().for_each(|bar| bar.end());
    print_sent(session, &fields, &outcome.map_err(CliError::of_transfer)?)
}

/// Opens the data of `--file`, or else those on standard input, unless the data are remote.
fn data(args: &FieldArgs) -> CliResult<Option<Upload>> {
    match &args.file {
        Some(path) => upload_input::open(path).map(Some),
        None if args.has_remote_source() => Ok(None),
        None => upload_input::standard_input(),
    }
}

/// Connects an upload to a progress bar and returns both.
fn with_bar(
    session: &Session,
    args: &FieldArgs,
    data: Option<Upload>,
) -> (Option<Upload>, Option<Arc<TransferBar>>) {
    let Some(upload) = data else {
        return (None, None);
    };
    let bar = TransferBar::new(upload.length_bytes(), session.show(args.progress));
    (Some(upload.with_progress(bar.progress())), Some(bar))
}

/// Refuses data on standard input for an image that is not `queued`, as python-glanceclient v1
/// does, before any of it is read.
async fn check_accepts_data(session: &Session, id: &str) -> CliResult {
    let image = session.client.get_image_meta(id).await?;
    match image.status.as_deref() {
        Some("queued") | None => Ok(()),
        Some(status) => Err(CliError::Refused(format!(
            "Unable to upload image data to an image which is {}. Standard input is image data \
             unless it is a terminal; close it with <&- to send none.",
            printable(status)
        ))),
    }
}

/// Prints the image and warns of properties that were sent but are missing from the response:
/// some proxies drop headers with unusual names without an error.
fn print_sent(session: &Session, sent: &Fields, image: &ImageMeta) -> CliResult {
    for (name, value) in &sent.properties {
        if value.is_some() && !image.properties.contains_key(name) {
            session.note(&format!(
                "The response lacks the property {}. A proxy may have dropped its header \
                 (nginx: ignore_invalid_headers), or the server does not show it.",
                printable(name)
            ));
        }
    }
    print_image(session, image)
}

fn print_image(session: &Session, image: &ImageMeta) -> CliResult {
    if session.options.json {
        return session.print_json(image);
    }
    session.print(&property_table(image))
}

pub(super) async fn download(session: &Session, args: &DownloadArgs) -> CliResult {
    let file = args.file.as_deref().filter(|file| *file != "-");
    if file.is_none() && io::stdout().is_terminal() {
        return Err(CliError::Usage(
            "Refusing to write image data to a terminal; use --file PATH or redirect the output."
                .to_owned(),
        ));
    }
    let id = image_id(&session.client, &args.image).await?;
    let bar = TransferBar::new(None, session.show(args.progress));
    let options = DownloadOptions {
        progress: bar.progress(),
        ..DownloadOptions::default()
    };
    let client = &session.client;
    let outcome = match file.map(Path::new) {
        // A device or a pipe can be written but not replaced by a rename.
        Some(path) if fs::metadata(path).is_ok_and(|m| !m.is_file() && !m.is_dir()) => {
            let device = fs::OpenOptions::new().write(true).open(path)?;
            let name = path.display().to_string();
            client
                .download_to_writer(&id, device, &name, &options)
                .await
        }
        Some(path) => client.download_to_file(&id, path, &options).await,
        None => {
            let name = "standard output";
            client
                .download_to_writer(&id, io::stdout(), name, &options)
                .await
        }
    };
    bar.end();
    let downloaded = outcome.map_err(CliError::of_transfer)?;
    report_download(session, file, &downloaded)
}

fn report_download(
    session: &Session,
    file: Option<&str>,
    downloaded: &DownloadSummary,
) -> CliResult {
    if !downloaded.is_verified {
        session.note("The server has no checksum of this image; the data are not verified.");
    }
    match file {
        Some(file) if session.options.json => session.print_json(&json!({
            "id": downloaded.meta.id,
            "file": file,
            "size": downloaded.size_bytes,
            "resumed_from": downloaded.resumed_from_bytes,
            "checksum": downloaded.md5,
            "verified": downloaded.is_verified,
        })),
        // Standard output carries the data, so no report may be mixed in.
        _ => Ok(()),
    }
}

pub(super) async fn delete(session: &Session, args: &ImageNames) -> CliResult {
    let mut deleted = Vec::new();
    let mut failed = Vec::new();
    let mut first_code = None;
    for image in &args.images {
        match delete_one(session, image).await {
            Ok(id) => deleted.push(id),
            Err(failure) => {
                session.note(&format!(
                    "Cannot delete {}: {}",
                    printable(image),
                    printable_lines(&failure.to_string())
                ));
                failed.push(json!({"image": image, "error": failure.to_string()}));
                first_code.get_or_insert(failure.code());
            }
        }
    }
    if session.options.json {
        session.print_json(&json!({"deleted": deleted, "failed": failed}))?;
    }
    match first_code {
        None => Ok(()),
        Some(code) => Err(CliError::Reported(code)),
    }
}

async fn delete_one(session: &Session, image: &str) -> CliResult<String> {
    let id = image_id(&session.client, image).await?;
    session.client.delete_image(&id).await?;
    Ok(id)
}

pub(super) async fn member_list(session: &Session, args: &MemberListArgs) -> CliResult {
    let client = &session.client;
    if let Some(tenant) = &args.tenant_id {
        let images = client.get_member_images(tenant).await?;
        return match session.options.json {
            true => session.print_json(&images),
            false => session.print(&shared_table(tenant, &images)),
        };
    }
    let image = args.image_id.as_deref().unwrap_or_default();
    let id = image_id(client, image).await?;
    print_members(session, &id).await
}

pub(super) async fn member_create(session: &Session, args: &MemberCreateArgs) -> CliResult {
    let id = image_id(&session.client, &args.image).await?;
    let can_share = session.options.v2011.can_share.then_some(true);
    session
        .client
        .add_member(&id, &args.tenant, can_share)
        .await?;
    print_members(session, &id).await
}

pub(super) async fn member_delete(session: &Session, args: &MemberPair) -> CliResult {
    let id = image_id(&session.client, &args.image).await?;
    session.client.delete_member(&id, &args.member).await?;
    if session.options.json {
        return session.print_json(&json!({"id": id, "removed_member": args.member}));
    }
    Ok(())
}

async fn print_members(session: &Session, id: &str) -> CliResult {
    let members = session.client.get_image_members(id).await?;
    if session.options.json {
        return session.print_json(&members);
    }
    session.print(&member_table(id, &members))
}
