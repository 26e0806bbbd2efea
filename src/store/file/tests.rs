use std::path::Path;

use uuid::Uuid;

use super::{FileIo, FileStore, FileStoreOptions};
use crate::error::Kind;
use crate::image::{ImageId, Location, Timestamp, Upload};
use crate::store::{ObjectRange, Store, conformance};
use crate::transfer::BlockingThreads;
use crate::transfer::disk::{Disk, IoBackend, probe_uring};

fn options(folder: &Path, io: FileIo) -> FileStoreOptions {
    FileStoreOptions {
        folder: folder.to_owned(),
        file_mode: Some(0o640),
        io,
        window_bytes: 1 << 20,
    }
}

/// The names in a folder, without the staging folder.
fn names_in(folder: &Path) -> Vec<String> {
    let names = std::fs::read_dir(folder).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    names.filter(|name| name != ".staging").collect()
}

/// Runs on a worker like those of the `threads` engine.
fn on_worker(future: impl Future<Output = ()>) {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, future);
}

fn conforms(backend: IoBackend, io: FileIo) {
    let threads = BlockingThreads::start(2).unwrap();
    let folder = tempfile::tempdir_in(crate::testing::folder_on_disk()).unwrap();
    let disk = Disk::new(backend, threads.handle());
    let store = FileStore::open(options(folder.path(), io), disk).unwrap();
    match backend {
        IoBackend::Uring => tokio_uring::builder().start(conformance::all(&store)),
        IoBackend::Threads => on_worker(conformance::all(&store)),
    }
    // Dropping the threads waits for their work, which may still remove files.
    drop((store, threads));
    assert_eq!(names_in(folder.path()), [""; 0]);
    assert_eq!(names_in(&folder.path().join(".staging")), [""; 0]);
}

#[test]
fn threads_conform_buffered() {
    conforms(IoBackend::Threads, FileIo::Buffered);
}

#[test]
fn threads_conform_direct() {
    conforms(IoBackend::Threads, FileIo::Auto);
}

#[test]
fn uring_conforms_buffered() {
    if probe_uring().is_ok() {
        conforms(IoBackend::Uring, FileIo::Buffered);
    }
}

#[test]
fn uring_conforms_direct() {
    if probe_uring().is_ok() {
        conforms(IoBackend::Uring, FileIo::Auto);
    }
}

#[test]
fn locations_cannot_leave_the_folder() {
    let threads = BlockingThreads::start(1).unwrap();
    let outside = tempfile::tempdir().unwrap();
    let victim = outside.path().join("victim");
    std::fs::write(&victim, "secret").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::new(IoBackend::Threads, threads.handle());
    let store = FileStore::open(options(folder.path(), FileIo::Auto), disk).unwrap();
    let planted = ImageId::random();
    let link = folder.path().join(planted.as_str());
    std::os::unix::fs::symlink(&victim, &link).unwrap();
    for uri in [
        format!("file://{}", link.display()),
        format!("file://{}", victim.display()),
        format!("file://{}/../victim", folder.path().display()),
        format!("file://{}/.staging", folder.path().display()),
        "file:///".to_owned(),
    ] {
        let location = Location::parse(&uri).unwrap();
        let wanted = ObjectRange {
            offset: 0,
            len: 6,
            object_bytes: 6,
        };
        on_worker(async {
            assert!(store.open(&location, wanted).await.is_err(), "{uri}");
            // Removing the link itself is fine; what it points to stays.
            let _ = store.delete(&location).await;
        });
    }
    assert_eq!(std::fs::read_to_string(&victim).unwrap(), "secret");
}

#[test]
fn upload_that_cannot_fit_is_refused_at_its_start() {
    let threads = BlockingThreads::start(1).unwrap();
    let folder = tempfile::tempdir_in(crate::testing::folder_on_disk()).unwrap();
    let disk = Disk::new(IoBackend::Threads, threads.handle());
    let store = FileStore::open(options(folder.path(), FileIo::Auto), disk).unwrap();
    let upload = Upload {
        id: Uuid::new_v4(),
        store: "file".to_owned(),
        started_at: Timestamp::from_micros(0),
        reserved_bytes: 0,
        node: None,
        process: None,
        on_failure: Default::default(),
    };
    let image = ImageId::random();
    on_worker(async {
        let refused = store.create(&image, &upload, Some(1 << 50)).await;
        let kind = refused.err().map(|error| error.kind());
        assert_eq!(kind, Some(Kind::TooLarge));
    });
    assert_eq!(names_in(&folder.path().join(".staging")), [""; 0]);
}
