//! The usage of cached images, and its record that survives a restart.
//!
//! The record is one file with a line per image: the file's name, the number of reads, and the time
//! of the last read. It is saved at an interval and at shutdown, never during a read.

use std::collections::HashMap;
use std::fmt::Write;

use super::entry_name::EntryName;
use crate::image::ImageId;

/// The usage of one image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Usage {
    /// Number of reads since the image was cached.
    pub(super) hits: u64,
    /// Time of the last read, in microseconds since the epoch.
    pub(super) last_us: i64,
}

impl Usage {
    /// The usage of an image that was cached at `last_us` and not read yet.
    pub(super) fn new(last_us: i64) -> Self {
        Self { hits: 0, last_us }
    }
}

/// The usage record of an earlier process.
#[derive(Debug, Default)]
pub(super) struct SavedUsage(HashMap<ImageId, (EntryName, Usage)>);

impl SavedUsage {
    /// Parses the text of [`format_record`]. Malformed lines are ignored.
    pub(super) fn parse(text: &str) -> Self {
        let entry = |line: &str| {
            let mut words = line.split(' ');
            let name = EntryName::parse(words.next()?)?;
            let usage = Usage {
                hits: words.next()?.parse().ok()?,
                last_us: words.next()?.parse().ok()?,
            };
            words
                .next()
                .is_none()
                .then_some((name.image, (name, usage)))
        };
        Self(text.lines().filter_map(entry).collect())
    }

    /// Returns the usage of a cached file. A file that was downloaded again starts without reads.
    pub(super) fn of(&self, name: &EntryName) -> Usage {
        match self.0.get(&name.image) {
            // The whole name is compared, including the time: a file downloaded later is another
            // one.
            Some((same, usage)) if same == name => *usage,
            _ => {
                let written_us = i64::try_from(name.written_ns / 1_000);
                Usage::new(written_us.unwrap_or_default())
            }
        }
    }
}

/// Formats the usage record.
pub(super) fn format_record(usages: &[(EntryName, Usage)]) -> String {
    let mut text = String::new();
    for (name, Usage { hits, last_us }) in usages {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{name} {hits} {last_us}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(seed: u8) -> EntryName {
        EntryName {
            image: ImageId::random(),
            size_bytes: 7,
            written_ns: 1_700_000_000_123_456_789,
            digest: [seed; 16],
        }
    }

    #[test]
    fn records_survive_formatting_and_parsing() {
        let [first, second] = [1, 2].map(entry);
        let usage = Usage {
            hits: 5,
            last_us: 1_800_000_000_000_000,
        };
        let text = format_record(&[(first.clone(), usage), (second.clone(), Usage::new(3))]);
        let saved = SavedUsage::parse(&text);
        assert_eq!(saved.of(&first), usage);
        assert_eq!(saved.of(&second), Usage::new(3));
    }

    #[test]
    fn unknown_and_malformed_entries_count_as_unused() {
        let kept = entry(1);
        let unused = Usage::new(1_700_000_000_123_456);
        let another = EntryName {
            written_ns: 5,
            ..kept.clone()
        };
        for text in [
            "",
            "nonsense\n\n1 2 3",
            &format!("{kept} 5"),
            &format!("{kept} 5 6 7"),
            &format!("{kept} -5 6"),
            &format!("{another} 5 6"),
        ] {
            assert_eq!(SavedUsage::parse(text).of(&kept), unused, "{text}");
        }
    }
}
