//! Running `glance-manage`.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use tokio::runtime::Runtime;

use super::args::{Args, Command, Load};
use super::dump::read_dump;
use super::export::{export, export_journal};
use super::failure::Failure;
use super::import::{Loaded, Survey};
use crate::config::{Config, ConfigError, EXIT_OK, RegistryBackend, find_config_file, search_dirs};
use crate::image::Image;
use crate::registry::{Journalled, OpenError, Registry};
use crate::server::{StartError, open_registry};

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
            let images = match existing_registry(&runtime, &config)? {
                Source::Registry(registry) => runtime.block_on(export(&*registry, file, *force))?,
                Source::Journal(journal) => export_journal(&journal, file, *force)?,
            };
            println!("{images} images exported to {}", file.display());
            Ok(())
        }
        Command::Import { file, load } => {
            // The file is read before anything is opened that a node may need.
            let images = read_file(file)?;
            let registry = open(&runtime, &config)?;
            runtime.block_on(load_all(&registry, images, *load))
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
    Ok(config)
}

/// Where the records of a node are read.
enum Source {
    Registry(Arc<dyn Registry>),
    /// A node has the registry open.
    Journal(Journalled),
}

/// The registry, or the journal of an embedded one that a node has open. One that is not there
/// is not made.
fn existing_registry(runtime: &Runtime, config: &Config) -> Result<Source, Failure> {
    let folder = &config.registry.registry_dir;
    let is_embedded = config.registry.backend() == RegistryBackend::Embedded;
    if is_embedded && !folder.is_dir() {
        return Err(Failure::NoRegistry(folder.clone()));
    }
    match open(runtime, config) {
        Err(Failure::Start(StartError::Registry(OpenError::InUse { .. }))) => {
            let journal = Journalled::read(folder).map_err(Failure::Journal)?;
            Ok(Source::Journal(journal))
        }
        registry => registry.map(Source::Registry),
    }
}

fn open(runtime: &Runtime, config: &Config) -> Result<Arc<dyn Registry>, Failure> {
    let _context = runtime.enter();
    Ok(open_registry(config)?)
}

fn read_file(path: &Path) -> Result<Vec<Image>, Failure> {
    let file = File::open(path).map_err(Into::into);
    let images = file.and_then(|file| read_dump(BufReader::new(file)));
    images.map_err(|cause| Failure::Dump {
        file: path.to_owned(),
        cause,
    })
}

async fn load_all(
    registry: &Arc<dyn Registry>,
    images: Vec<Image>,
    options: Load,
) -> Result<(), Failure> {
    let Load { merge, dry_run } = options;
    let survey = Survey::take(&**registry, images, merge).await?;
    survey.check(merge)?;
    if dry_run {
        print!("would be loaded: ");
        return tell(&survey.forecast());
    }
    tell(&survey.load(registry, merge).await?)
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
