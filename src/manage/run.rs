//! The program `glance-manage`: dispatches the commands and prints their results.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use tokio::runtime::Runtime;
use tokio::task::LocalSet;

use super::args::{self, Args, Command, Load};
use super::check::check;
use super::dump::{Dump, read_dump};
use super::error::ManageError;
use super::export::export;
use super::import::{ImportPlan, ImportReport};
use super::import_documents::{DocumentImportPlan, DocumentImportReport};
use super::legacy::{self, LegacyImages, LocationMap};
use super::purge::{Purge, purge};
use super::records::{Records, open};
use crate::config::{Config, ConfigError, EXIT_OK, find_config_file, search_dirs};
use crate::console::{print_error, print_line};
use crate::image::Image;
use crate::registry::Registry;
use crate::runtime;
use crate::server::OpenStores;
use crate::wire::has_property_header;

/// Runs `glance-manage`.
pub fn main() -> ExitCode {
    let args = match Args::of_process() {
        Ok(args) => args,
        Err(code) => return ExitCode::from(code),
    };
    // Warnings of the registry and the stores go to standard error.
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::WARN)
        .with_writer(std::io::stderr)
        .without_time()
        .with_target(false)
        .init();
    match execute(&args) {
        Ok(()) => ExitCode::from(EXIT_OK),
        Err(error) => {
            print_error(format_args!("ERROR: {error}"));
            ExitCode::from(error.exit_code())
        }
    }
}

fn execute(args: &Args) -> Result<(), ManageError> {
    let config = config(args)?;
    let runtime = runtime::current_thread()?;
    match &args.command {
        Command::Export { file, force } => {
            let records = Records::of_existing(&runtime, &config)?;
            let images = runtime.block_on(export(&records, file, *force))?;
            Ok(print_line(format_args!(
                "{images} images exported to {}",
                file.display()
            ))?)
        }
        Command::Import { file, load } => {
            // The file is read first: an embedded registry is opened only for a valid dump.
            let dump = read_file(file)?;
            note_unshown_properties(&dump.images)?;
            let registry = open(&runtime, &config)?;
            LocalSet::new().block_on(&runtime, load_all(registry, dump, *load))
        }
        Command::LoadLegacy(options) => load_legacy(&runtime, &config, options),
        Command::Purge(options) => purge_deleted(&runtime, &config, options),
        Command::Check(options) => {
            let records = Records::of_existing(&runtime, &config)?;
            if let (Records::Journal(folder), false) = (&records, options.repair.is_empty()) {
                return Err(ManageError::InUse(folder.clone()));
            }
            let open = open_stores(&config)?;
            LocalSet::new().block_on(&runtime, check(&records, &open.stores, options))
        }
    }
}

fn load_legacy(
    runtime: &Runtime,
    config: &Config,
    options: &args::LoadLegacy,
) -> Result<(), ManageError> {
    let url = legacy::url(&options.url)?;
    let key = legacy::key(options.encryption_key_file.as_deref())?;
    let location_map = LocationMap::new(config, &options.store_folder);
    let legacy = legacy::read_registry(&url, key.as_ref(), &location_map);
    let legacy = runtime.block_on(legacy)?;
    let losses = print_losses(&legacy)?;
    let registry = open(runtime, config)?;
    let dump = Dump {
        images: legacy.images,
        documents: Vec::new(),
    };
    let load = load_all(registry, dump, options.load);
    LocalSet::new().block_on(runtime, load)?;
    match losses {
        0 => Ok(()),
        _ if options.allow_losses => Ok(()),
        losses => Err(ManageError::Losses(losses)),
    }
}

fn purge_deleted(
    runtime: &Runtime,
    config: &Config,
    options: &args::Purge,
) -> Result<(), ManageError> {
    let Records::Registry(registry) = Records::of_existing(runtime, config)? else {
        return Err(ManageError::InUse(config.registry.registry_dir.clone()));
    };
    let what = Purge {
        older_than_s: options.older_than,
        max_images: options.max_images,
        dry_run: options.dry_run,
    };
    let purged = runtime.block_on(purge(&registry, what))?;
    let done = if options.dry_run { "would be " } else { "" };
    Ok(print_line(format_args!(
        "deleted images: {} {done}forgotten, {} left",
        purged.forgotten, purged.left
    ))?)
}

fn config(args: &Args) -> Result<Config, ConfigError> {
    let home = std::env::home_dir();
    let folders = search_dirs(home.as_deref());
    let path = find_config_file("glance-manage", args.config_file.as_deref(), &folders)?;
    let (mut config, warnings) = Config::load(&path)?;
    for warning in warnings {
        print_error(warning);
    }
    // Quotas do not apply to imports: the images were within the limits of their own server.
    config.images.user_storage_quota = None;
    config.images.user_image_quota = None;
    // An import includes every deleted image.
    config.registry.registry_deleted_images_per_owner = None;
    Ok(config)
}

/// Opens the stores. The image folder must exist: opening the file store would create it, and a
/// check would then report every image as missing.
fn open_stores(config: &Config) -> Result<OpenStores, ManageError> {
    let folder = &config.store.filesystem_store_datadir;
    if config.store.has("file") && !folder.is_dir() {
        return Err(ManageError::NoImages(folder.clone()));
    }
    Ok(OpenStores::open(config)?)
}

fn read_file(path: &Path) -> Result<Dump, ManageError> {
    let file = File::open(path).map_err(Into::into);
    let dump = file.and_then(|file| read_dump(BufReader::new(file)));
    dump.map_err(|cause| ManageError::Dump {
        file: path.to_owned(),
        cause,
    })
}

/// Prints what cannot be imported. Returns the number of images concerned.
fn print_losses(legacy: &LegacyImages) -> Result<usize, ManageError> {
    for loss in &legacy.losses {
        let extent = if loss.is_whole {
            " is not taken over"
        } else {
            ""
        };
        print_line(format_args!("image {}{extent}: {}", loss.image, loss.what))?;
    }
    let whole = legacy.losses.iter().filter(|loss| loss.is_whole).count();
    let mut images: Vec<&str> = legacy.losses.iter().map(|loss| &*loss.image).collect();
    images.dedup();
    let all = legacy.images.len() + whole;
    let found = format!("{all} images in the old registry");
    match images.len() {
        0 => print_line(found)?,
        some => print_line(format_args!(
            "{found}, {whole} of them cannot be taken over, {} not whole",
            some - whole
        ))?,
    }
    Ok(images.len())
}

/// Prints the images that have properties which no header can name. They are imported with them.
fn note_unshown_properties(images: &[Image]) -> Result<(), ManageError> {
    for image in images {
        let unshown = image.properties.keys();
        let unshown = unshown.filter(|name| !has_property_header(name));
        for name in unshown {
            print_line(format_args!(
                "NOTE: image {}: no header can name its property {name:?}: only lists show it",
                image.id
            ))?;
        }
    }
    Ok(())
}

async fn load_all(
    registry: Arc<dyn Registry>,
    dump: Dump,
    options: Load,
) -> Result<(), ManageError> {
    let Load { merge, dry_run } = options;
    let records = Records::Registry(Arc::clone(&registry));
    let plan = ImportPlan::new(&records, dump.images, merge).await?;
    plan.check(merge)?;
    let has_documents = !dump.documents.is_empty();
    let documents = DocumentImportPlan::new(&records, dump.documents, merge).await?;
    if dry_run {
        print_report("would be loaded: ", &plan.forecast())?;
        return match has_documents {
            true => print_documents(&documents.forecast()),
            false => Ok(()),
        };
    }
    // Refused images do not prevent the import of documents, and are reported at the end.
    let loaded = print_report("", &plan.load(&registry, merge).await?);
    if has_documents {
        print_documents(&documents.load(&*registry).await?)?;
    }
    loaded
}

fn print_documents(report: &DocumentImportReport) -> Result<(), ManageError> {
    let DocumentImportReport {
        written,
        kept,
        refused,
    } = report;
    print_line(format_args!(
        "documents: {written} written, {kept} kept as they were"
    ))?;
    for (key, reason) in refused {
        print_error(format_args!("document {key}: {reason}"));
    }
    match refused.len() {
        0 => Ok(()),
        number => Err(ManageError::DocumentsNotLoaded(number)),
    }
}

fn print_report(prefix: &str, report: &ImportReport) -> Result<(), ManageError> {
    let ImportReport {
        new,
        replaced,
        same,
        kept,
        refused,
    } = report;
    print_line(format_args!(
        "{prefix}images: {new} new, {replaced} replaced, {same} there already, {kept} kept as \
         they were"
    ))?;
    for (id, reason) in refused {
        print_error(format_args!("image {id}: {reason}"));
    }
    match refused.len() {
        0 => Ok(()),
        number => Err(ManageError::NotLoaded(number)),
    }
}
