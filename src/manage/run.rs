//! Running `glance-manage`.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use tokio::task::LocalSet;

use super::args::{Args, Command, Load};
use super::check::check;
use super::dump::{Dump, read_dump};
use super::export::export;
use super::failure::Failure;
use super::import::{Loaded, Survey};
use super::import_documents::{DocumentSurvey, LoadedDocuments};
use super::legacy::{self, Places, Taken};
use super::purge::{Purge, purge};
use super::records::{Records, open};
use crate::config::{Config, ConfigError, EXIT_OK, find_config_file, search_dirs};
use crate::image::Image;
use crate::registry::Registry;
use crate::server::OpenStores;
use crate::wire::has_property_header;

/// The whole of `glance-manage`.
pub fn main() -> ExitCode {
    let args = match Args::of_process() {
        Ok(args) => args,
        Err(code) => return ExitCode::from(code),
    };
    // What the registry and the stores have to say.
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::WARN)
        .with_writer(std::io::stderr)
        .without_time()
        .with_target(false)
        .init();
    match carry_out(&args) {
        Ok(()) => ExitCode::from(EXIT_OK),
        Err(failure) => {
            eprintln!("ERROR: {failure}");
            ExitCode::from(failure.exit_code())
        }
    }
}

fn carry_out(args: &Args) -> Result<(), Failure> {
    let config = config(args)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failure::Threads)?;
    match &args.command {
        Command::Export { file, force } => {
            let records = Records::of_existing(&runtime, &config)?;
            let images = runtime.block_on(export(&records, file, *force))?;
            println!("{images} images exported to {}", file.display());
            Ok(())
        }
        Command::Import { file, load } => {
            // The file is read before anything is opened that a node may need.
            let dump = read_file(file)?;
            note_unshown_properties(&dump.images);
            let registry = open(&runtime, &config)?;
            LocalSet::new().block_on(&runtime, load_all(registry, dump, *load))
        }
        Command::LoadLegacy(options) => {
            let url = legacy::url(&options.url)?;
            let key = legacy::key(options.encryption_key_file.as_deref())?;
            let places = Places::new(&config, &options.store_folder);
            let taken = legacy::read_registry(&url, key.as_ref(), &places);
            let taken = runtime.block_on(taken)?;
            let losses = tell_losses(&taken);
            let registry = open(&runtime, &config)?;
            let dump = Dump {
                images: taken.images,
                documents: Vec::new(),
            };
            let load = load_all(registry, dump, options.load);
            LocalSet::new().block_on(&runtime, load)?;
            match losses {
                0 => Ok(()),
                _ if options.allow_losses => Ok(()),
                losses => Err(Failure::Losses(losses)),
            }
        }
        Command::Purge(options) => {
            let Records::Registry(registry) = Records::of_existing(&runtime, &config)? else {
                return Err(Failure::InUse(config.registry.registry_dir.clone()));
            };
            let what = Purge {
                older_than_s: options.older_than,
                most: options.max_images,
                dry_run: options.dry_run,
            };
            let purged = runtime.block_on(purge(&registry, what))?;
            let done = if options.dry_run { "would be " } else { "" };
            println!(
                "deleted images: {} {done}forgotten, {} left",
                purged.forgotten, purged.left
            );
            Ok(())
        }
        Command::Check(options) => {
            let records = Records::of_existing(&runtime, &config)?;
            if let (Records::Journal(folder), false) = (&records, options.repair.is_empty()) {
                return Err(Failure::InUse(folder.clone()));
            }
            let open = open_stores(&config)?;
            LocalSet::new().block_on(&runtime, check(&records, &open.stores, options))
        }
    }
}

fn config(args: &Args) -> Result<Config, ConfigError> {
    let home = std::env::home_dir();
    let folders = search_dirs(home.as_deref());
    let path = find_config_file("glance-manage", args.config_file.as_deref(), &folders)?;
    let (mut config, warnings) = Config::load(&path)?;
    for warning in warnings {
        eprintln!("{warning}");
    }
    // What is loaded was within its limits where it was.
    config.images.user_storage_quota = None;
    config.images.user_image_quota = None;
    // A dump is loaded whole, with all images that were deleted.
    config.registry.registry_deleted_images_per_owner = None;
    Ok(config)
}

/// Opening a folder of images makes it, and then all of them would be missing.
fn open_stores(config: &Config) -> Result<OpenStores, Failure> {
    let folder = &config.store.filesystem_store_datadir;
    if config.store.has("file") && !folder.is_dir() {
        return Err(Failure::NoImages(folder.clone()));
    }
    Ok(OpenStores::open(config)?)
}

fn read_file(path: &Path) -> Result<Dump, Failure> {
    let file = File::open(path).map_err(Into::into);
    let dump = file.and_then(|file| read_dump(BufReader::new(file)));
    dump.map_err(|cause| Failure::Dump {
        file: path.to_owned(),
        cause,
    })
}

/// How many images are not taken over, or not all of them.
fn tell_losses(taken: &Taken) -> usize {
    for loss in &taken.losses {
        let fate = if loss.is_whole {
            " is not taken over"
        } else {
            ""
        };
        println!("image {}{fate}: {}", loss.image, loss.what);
    }
    let whole = taken.losses.iter().filter(|loss| loss.is_whole).count();
    let mut images: Vec<&str> = taken.losses.iter().map(|loss| &*loss.image).collect();
    images.dedup();
    let there = taken.images.len() + whole;
    print!("{there} images in the old registry");
    match images.len() {
        0 => println!(),
        some => println!(
            ", {whole} of them cannot be taken over, {} not whole",
            some - whole
        ),
    }
    images.len()
}

/// Names the images with properties that no header can name. They are loaded with them.
fn note_unshown_properties(images: &[Image]) {
    for image in images {
        let unshown = image.properties.keys();
        let unshown = unshown.filter(|name| !has_property_header(name));
        for name in unshown {
            println!(
                "NOTE: image {}: no header can name its property {name:?}: only lists show it",
                image.id
            );
        }
    }
}

async fn load_all(registry: Arc<dyn Registry>, dump: Dump, options: Load) -> Result<(), Failure> {
    let Load { merge, dry_run } = options;
    let records = Records::Registry(Arc::clone(&registry));
    let survey = Survey::take(&records, dump.images, merge).await?;
    survey.check(merge)?;
    let has_documents = !dump.documents.is_empty();
    let documents = DocumentSurvey::take(&records, dump.documents, merge).await?;
    if dry_run {
        print!("would be loaded: ");
        tell(&survey.forecast())?;
        return match has_documents {
            true => report_documents(&documents.forecast()),
            false => Ok(()),
        };
    }
    let loaded = tell(&survey.load(&registry, merge).await?);
    if has_documents {
        report_documents(&documents.load(&*registry).await?)?;
    }
    loaded
}

fn report_documents(loaded: &LoadedDocuments) -> Result<(), Failure> {
    let LoadedDocuments {
        written,
        kept,
        refused,
    } = loaded;
    println!("documents: {written} written, {kept} kept as they were");
    for (key, reason) in refused {
        eprintln!("document {key}: {reason}");
    }
    match refused.len() {
        0 => Ok(()),
        number => Err(Failure::DocumentsNotLoaded(number)),
    }
}

fn tell(loaded: &Loaded) -> Result<(), Failure> {
    let Loaded {
        new,
        replaced,
        same,
        kept,
        refused,
    } = loaded;
    println!(
        "images: {new} new, {replaced} replaced, {same} there already, {kept} kept as they were"
    );
    for (id, reason) in refused {
        eprintln!("image {id}: {reason}");
    }
    match refused.len() {
        0 => Ok(()),
        number => Err(Failure::NotLoaded(number)),
    }
}
