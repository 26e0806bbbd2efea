//! Where the data of an upload come from: a file, or standard input.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek};
use std::os::fd::AsFd;
use std::os::unix::fs::FileTypeExt;

use super::failure::{Failure, Outcome};
use crate::client::Upload;

/// The data of `--file`: `-` is standard input.
pub(super) fn open(path: &str) -> Outcome<Upload> {
    let file = if path == "-" {
        stdin()?
    } else {
        File::open(path).map_err(|error| unreadable(path, &error))?
    };
    let metadata = file.metadata().map_err(|error| unreadable(path, &error))?;
    if metadata.is_dir() {
        return Err(Failure::Usage(format!("{path} is a folder.")));
    }
    Ok(upload_of(
        file,
        metadata.is_file().then_some(metadata.len()),
    ))
}

/// A file's data from where it stands. An empty length may be that of a file of the kernel,
/// which knows its length only when it is read.
fn upload_of(mut file: File, length_bytes: Option<u64>) -> Upload {
    let position = file.stream_position().unwrap_or(0);
    let rest = length_bytes.map(|length| length.saturating_sub(position));
    Upload::from_reader(file, rest.filter(|rest| *rest > 0))
}

/// The data that were piped into the command, if any were: a file, or a pipe with at least
/// one byte. A terminal, a device or an empty pipe is none, so that a command in a script
/// does not take the script's input for an image.
pub(super) fn piped() -> Outcome<Option<Upload>> {
    let Ok(file) = stdin() else { return Ok(None) };
    let unread = |error: io::Error| unreadable("-", &error);
    let metadata = file.metadata().map_err(unread)?;
    if metadata.is_file() {
        return Ok(Some(upload_of(file, Some(metadata.len()))));
    }
    if !metadata.file_type().is_fifo() {
        return Ok(None);
    }
    let mut reader = BufReader::new(file);
    let mut first = [0];
    if reader.read(&mut first).map_err(unread)? == 0 {
        return Ok(None);
    }
    let whole = io::Cursor::new(first).chain(reader);
    Ok(Some(Upload::from_reader(whole, None)))
}

/// Standard input without the buffer that the library keeps for lines.
fn stdin() -> Outcome<File> {
    let handle = io::stdin().as_fd().try_clone_to_owned();
    handle
        .map(File::from)
        .map_err(|error| unreadable("-", &error))
}

fn unreadable(path: &str, error: &io::Error) -> Failure {
    let name = if path == "-" { "standard input" } else { path };
    Failure::Usage(format!("Cannot read {name}: {error}."))
}
