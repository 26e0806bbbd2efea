//! How kept images were used, and remembering it over a start.
//!
//! One file for all, a line an image: its name as its file has it, its hits, and when it was
//! read last. It is written now and then and at an end, never for a read.

use std::collections::HashMap;
use std::fmt::Write;

use super::entry_name::EntryName;
use crate::image::ImageId;

/// How an image was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Usage {
    /// How often it was read since it is kept.
    pub(super) hits: u64,
    /// When it was read last, in microseconds since the epoch.
    pub(super) last_us: i64,
}

impl Usage {
    /// Of an image that is kept since then and that nobody has read.
    pub(super) fn new(last_us: i64) -> Self {
        Self { hits: 0, last_us }
    }
}

/// What a start knows of the use of images.
#[derive(Debug, Default)]
pub(super) struct SavedUsage(HashMap<ImageId, (EntryName, Usage)>);

impl SavedUsage {
    /// Reads what [`written`] has made. A line that says nothing is as good as none.
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

    /// How a kept image was used. One that was fetched anew is another.
    pub(super) fn of(&self, name: &EntryName) -> Usage {
        match self.0.get(&name.image) {
            Some((same, usage)) if same == name => *usage,
            _ => {
                let written_us = i64::try_from(name.written_ns / 1_000);
                Usage::new(written_us.unwrap_or_default())
            }
        }
    }
}

/// What is written down.
pub(super) fn written(usages: &[(EntryName, Usage)]) -> String {
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
    fn what_is_written_is_remembered() {
        let [first, second] = [1, 2].map(entry);
        let usage = Usage {
            hits: 5,
            last_us: 1_800_000_000_000_000,
        };
        let text = written(&[(first.clone(), usage), (second.clone(), Usage::new(3))]);
        let remembered = SavedUsage::parse(&text);
        assert_eq!(remembered.of(&first), usage);
        assert_eq!(remembered.of(&second), Usage::new(3));
    }

    #[test]
    fn what_is_not_known_was_not_used() {
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
