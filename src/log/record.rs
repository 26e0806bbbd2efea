//! Collects the message and the fields of an event into one line without control characters.

use std::cell::Cell;
use std::fmt::{self, Debug, Write};

use jiff::Zoned;
use tracing::Level;
use tracing::field::{Field, Visit};

use super::escape::{EscapingWriter, push_value};

/// Longest message with its fields. A longer one is cut and marked.
const MAX_MESSAGE_BYTES: usize = 64 * 1024;
const CUT: &str = "... (cut)";

/// The data of a log line, from which a format selects.
pub(super) struct Record<'a> {
    pub time: Zoned,
    pub level: Level,
    /// Module path, or the target that the event names.
    pub target: &'a str,
    pub file: &'a str,
    pub line: u32,
    /// Name of the innermost span, because events in Rust do not know their function.
    pub function: &'a str,
    /// Message and fields without control characters.
    pub message: &'a str,
}

/// Visitor that collects the fields of an event or a span.
#[derive(Default)]
pub(super) struct Fields {
    /// Message of the event.
    pub message: String,
    /// ` key=value` for each of the other fields.
    pub pairs: String,
}

impl Fields {
    /// Returns the message, its own pairs, and the pairs of the enclosing spans.
    pub fn into_line(self, of_spans: &str) -> String {
        let mut line = self.message;
        line.push_str(&self.pairs);
        line.push_str(of_spans);
        if line.len() > MAX_MESSAGE_BYTES {
            line.truncate(line.floor_char_boundary(MAX_MESSAGE_BYTES));
            line.push_str(CUT);
        }
        line
    }

    fn push_key(&mut self, field: &Field) {
        self.pairs.push(' ');
        self.pairs.push_str(field.name());
        self.pairs.push('=');
    }

    fn push_plain(&mut self, field: &Field, value: impl fmt::Display) {
        self.push_key(field);
        // Writing to a String cannot fail.
        let _ = write!(self.pairs, "{value}");
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        // If the Debug of a value fails, the text that it wrote so far is kept, here and below.
        if field.name() == "message" {
            let _ = write!(EscapingWriter(&mut self.message), "{value:?}");
            return;
        }
        let mut text = String::new();
        let _ = write!(text, "{value:?}");
        self.record_str(field, &text);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            let _ = EscapingWriter(&mut self.message).write_str(value);
            return;
        }
        self.push_key(field);
        push_value(&mut self.pairs, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.push_plain(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.push_plain(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.push_plain(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.push_plain(field, value);
    }
}

/// Returns the kernel's id of this thread, as `ps -L` shows it; 0 if `/proc` is not available.
pub(super) fn thread_id() -> u64 {
    thread_local! {
        static ID: Cell<Option<u64>> = const { Cell::new(None) };
    }
    ID.with(|id| {
        let known = id.get().unwrap_or_else(read_thread_id);
        id.set(Some(known));
        known
    })
}

/// Reads `/proc/thread-self`, a link to `<process>/task/<thread>`. This needs no unsafe code.
fn read_thread_id() -> u64 {
    let link = std::fs::read_link("/proc/thread-self").ok();
    link.and_then(|path| path.file_name()?.to_str()?.parse().ok())
        .unwrap_or(0)
}
