//! Compaction, torn frames and failed compactions of the journal.

use std::sync::Arc;

use super::super::super::codec;
use super::super::super::conformance::image;
use super::super::super::documents::DocumentMap;
use super::super::super::index::Snapshot;
use super::super::key::Key;
use super::*;

const RESERVE_BYTES: u64 = 64 << 10;

fn stored(records: &[Arc<Record>]) -> Stored {
    Stored {
        images: Snapshot::of(records.iter().cloned()),
        documents: DocumentMap::default(),
    }
}

fn append(journal: &mut Journal, frames: &[u8], before: &Stored) {
    journal.compact_if_due(before, Purged::new).unwrap();
    journal.append(frames).unwrap();
}

fn frames(records: &[Arc<Record>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for record in records {
        let encoded = codec::encode(record).unwrap();
        push(
            &mut bytes,
            &Key::Image(record.image.id),
            record.version,
            &encoded,
        );
    }
    bytes
}

#[test]
fn compaction_keeps_the_newest_of_each_and_bounds_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let (mut journal, contents) = Journal::open(folder.path(), RESERVE_BYTES).unwrap();
    assert!(contents.newest.is_empty());
    let mut large = image("large");
    let value = "x".repeat(50_000);
    large.properties.insert("large".to_owned(), Some(value));
    let mut records = stored(&[]);
    let kept = Arc::new(Record::new(image("kept"), 1));
    append(&mut journal, &frames(&[Arc::clone(&kept)]), &records);
    records.images.put(Arc::clone(&kept));
    for version in 1..=2000 {
        let record = Arc::new(Record::new(large.clone(), version));
        let frames = frames(&[Arc::clone(&record)]);
        append(&mut journal, &frames, &records);
        records.images.put(record);
        if version % 300 == 0 {
            // Gives a compaction time to finish, however fast this loop is.
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
    let len = fs::metadata(folder.path().join(FILE)).unwrap().len();
    assert!(len < 3 * SLACK_BYTES, "{len} bytes of 100 MB");
    drop(journal);
    let (journal, contents) = Journal::open(folder.path(), RESERVE_BYTES).unwrap();
    assert_eq!(contents.newest.len(), 2);
    assert_eq!(contents.newest[&Key::Image(large.id)].version, 2000);
    let location = contents.newest[&Key::Image(kept.image.id)];
    assert_eq!(journal.read_record(location).unwrap(), *kept);
    assert!(!folder.path().join(NEXT_FILE).exists());
}

#[test]
fn torn_frame_is_cut_off_before_the_next_append() {
    let folder = tempfile::tempdir().unwrap();
    let (mut journal, _) = Journal::open(folder.path(), RESERVE_BYTES).unwrap();
    let records: Vec<_> = (1..=2)
        .map(|version| Arc::new(Record::new(image("x"), version)))
        .collect();
    journal.append(&frames(&records)).unwrap();
    let len = journal.end;
    journal.file.set_len(len - 3).unwrap();
    drop(journal);
    let (mut journal, contents) = Journal::open(folder.path(), RESERVE_BYTES).unwrap();
    assert_eq!(contents.newest.len(), 1);
    journal.append(&frames(&records[1..])).unwrap();
    drop(journal);
    let (_, contents) = Journal::open(folder.path(), RESERVE_BYTES).unwrap();
    assert_eq!((contents.newest.len(), contents.damaged_bytes), (2, 0));
}

#[test]
fn failed_compaction_is_postponed_and_leaves_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let (mut journal, _) = Journal::open(folder.path(), RESERVE_BYTES).unwrap();
    let record = Arc::new(Record::new(image("kept"), 1));
    let records = stored(&[Arc::clone(&record)]);
    journal.append(&frames(&[record])).unwrap();
    // No disk has so much space.
    journal.reserve_bytes = 1 << 60;
    journal.end = 2 * journal.compact_bytes + SLACK_BYTES + 1;
    journal.compact_if_due(&records, Purged::new).unwrap();
    while journal.compaction.is_some() {
        journal.compact_if_due(&records, Purged::new).unwrap();
    }
    assert!(!folder.path().join(NEXT_FILE).exists());
    assert!(!journal.is_compaction_due());
    journal.compact_after = Some(Instant::now());
    assert!(journal.is_compaction_due());
    let frames = frames(&[Arc::new(Record::new(image("later"), 1))]);
    journal.append(&frames).unwrap();
}
