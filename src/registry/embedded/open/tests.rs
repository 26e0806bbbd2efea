//! Opening folders whose files were damaged while the registry was closed.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::super::super::conformance::image;
use super::super::super::{EmbeddedRegistry, Registry};
use super::super::sled_mirror::LOG_FILE;
use super::*;
use crate::image::OwnerLimits;

fn options(folder: &Path) -> EmbeddedOptions {
    EmbeddedOptions {
        folder: folder.to_owned(),
        cache_bytes: 8 << 20,
        flush_limit: Duration::from_secs(15),
        reserve_bytes: 64 << 10,
        max_deleted_images: None,
        owner_limits: OwnerLimits::default(),
    }
}

/// Fills a registry. Some of the records are written twice.
async fn filled(folder: &Path, images: usize) -> BTreeMap<ImageId, Arc<Record>> {
    let registry = EmbeddedRegistry::open(&options(folder)).unwrap();
    let mut acknowledged = BTreeMap::new();
    for number in 0..images {
        let image = image(&format!("image {number}"));
        let mut record = registry.insert(image).await.unwrap();
        if number % 7 == 0 {
            let mut image = record.image.clone();
            image.size_bytes = 7;
            record = registry.replace(image, record.version).await.unwrap();
        }
        acknowledged.insert(record.image.id, record);
    }
    acknowledged
}

/// Opens the registry and checks that every acknowledged record is there.
async fn check(folder: &Path, acknowledged: &BTreeMap<ImageId, Arc<Record>>, what: &str) {
    let registry = EmbeddedRegistry::open(&options(folder));
    let registry = registry.unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!(
        registry.image_count_when_opened(),
        acknowledged.len(),
        "{what}"
    );
    for (id, record) in acknowledged {
        let found = registry.get(id).await.unwrap();
        assert_eq!(found.as_ref(), Some(record), "{what}");
    }
    // It accepts new records.
    registry.insert(image("new")).await.unwrap();
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        let target = to.join(entry.file_name());
        if entry.metadata().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn set_aside(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().flatten();
    let paths = entries.map(|entry| entry.path());
    let aside = |path: &PathBuf| path.to_string_lossy().contains("/damaged-");
    paths.filter(aside).collect()
}

#[tokio::test]
async fn damage_of_sled_loses_no_acknowledged_record() {
    let whole = tempfile::tempdir().unwrap();
    let acknowledged = filled(whole.path(), 600).await;
    let db = |folder: &Path| folder.join(LOG_FILE);
    let len = fs::metadata(db(whole.path())).unwrap().len() as usize;
    let flips = (0..8).map(|part| (format!("flips in part {part}"), part));
    for (what, part) in flips {
        let folder = tempfile::tempdir().unwrap();
        copy_folder(whole.path(), folder.path());
        let mut bytes = fs::read(db(folder.path())).unwrap();
        let from = part * len / 8;
        for position in (from..from + len / 8).step_by(997) {
            bytes[position] ^= 0x55;
        }
        fs::write(db(folder.path()), bytes).unwrap();
        check(folder.path(), &acknowledged, &what).await;
    }
    for cut in [0, 1, 4096, len / 3, len / 2, len - 1] {
        let folder = tempfile::tempdir().unwrap();
        copy_folder(whole.path(), folder.path());
        let file = File::options().write(true).open(db(folder.path()));
        file.unwrap().set_len(cut as u64).unwrap();
        check(folder.path(), &acknowledged, &format!("cut at {cut}")).await;
    }
    for name in ["db", "conf"] {
        let folder = tempfile::tempdir().unwrap();
        copy_folder(whole.path(), folder.path());
        fs::remove_file(folder.path().join(name)).unwrap();
        check(folder.path(), &acknowledged, &format!("without {name}")).await;
    }
}

#[tokio::test]
async fn damaged_files_of_sled_are_set_aside() {
    let folder = tempfile::tempdir().unwrap();
    // More than sled can lag when a process ends: sled opens a file that it cannot read as if it
    // were new.
    let acknowledged = filled(folder.path(), MAX_LAG + 10).await;
    let db = folder.path().join(LOG_FILE);
    let garbage = vec![0xa5; fs::metadata(&db).unwrap().len() as usize];
    fs::write(&db, &garbage).unwrap();
    check(folder.path(), &acknowledged, "garbage").await;
    let aside = set_aside(folder.path());
    assert_eq!(aside.len(), 1);
    assert!(aside[0].join(LOG_FILE).exists());
}

#[tokio::test]
async fn damaged_journal_is_rewritten_from_sled() {
    let folder = tempfile::tempdir().unwrap();
    let acknowledged = filled(folder.path(), 10).await;
    let journal = folder.path().join("journal");
    let mut bytes = fs::read(&journal).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&journal, &bytes).unwrap();
    check(folder.path(), &acknowledged, "a damaged journal").await;
    let names = fs::read_dir(folder.path()).unwrap().flatten();
    let mut names = names.map(|entry| entry.file_name().to_string_lossy().into_owned());
    assert!(names.any(|name| name.starts_with("journal.damaged-")));

    // A folder of a release that had no journal.
    fs::remove_file(&journal).unwrap();
    drop(EmbeddedRegistry::open(&options(folder.path())).unwrap());
    fs::remove_file(folder.path().join("db")).unwrap();
    let registry = EmbeddedRegistry::open(&options(folder.path())).unwrap();
    assert_eq!(registry.image_count_when_opened(), acknowledged.len() + 1);
}

#[tokio::test]
async fn rewritten_journal_keeps_tombstones_that_sled_lacks() {
    let folder = tempfile::tempdir().unwrap();
    let registry = EmbeddedRegistry::open(&options(folder.path())).unwrap();
    let first = registry.insert(image("purged")).await.unwrap();
    let mut deleted = first.image.clone();
    deleted.status = crate::image::Status::Deleted;
    let deleted = registry.replace(deleted, first.version).await.unwrap();
    drop(registry);
    // This copy of sled still has the image.
    let older = tempfile::tempdir().unwrap();
    fs::copy(folder.path().join(LOG_FILE), older.path().join(LOG_FILE)).unwrap();
    let registry = EmbeddedRegistry::open(&options(folder.path())).unwrap();
    let purge = registry.purge(&deleted.image.id, deleted.version);
    purge.await.unwrap();
    drop(registry);
    fs::copy(older.path().join(LOG_FILE), folder.path().join(LOG_FILE)).unwrap();
    // Damages the first frame, so that the journal is rewritten.
    let journal = folder.path().join("journal");
    let mut bytes = fs::read(&journal).unwrap();
    bytes[20] ^= 1;
    fs::write(&journal, &bytes).unwrap();
    let opened = open(&options(folder.path())).unwrap();
    assert!(opened.stored.images.get(&deleted.image.id).is_none());
    // The process ends before the sled writer has run.
    drop(opened);
    let registry = EmbeddedRegistry::open(&options(folder.path())).unwrap();
    assert_eq!(registry.get(&deleted.image.id).await.unwrap(), None);
}
