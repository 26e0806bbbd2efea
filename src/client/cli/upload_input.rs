//! Where the data of an upload come from: a file, or standard input.

use std::fs::{File, Metadata};
use std::io::{self, BufReader, IsTerminal, Read, Seek};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};

use super::error::{CliError, CliResult};
use crate::client::Upload;

/// The data of `--file`: `-` is standard input.
pub(super) fn open(path: &str) -> CliResult<Upload> {
    let file = if path == "-" {
        stdin()?
    } else {
        File::open(path).map_err(|error| unreadable(path, &error))?
    };
    let metadata = file.metadata().map_err(|error| unreadable(path, &error))?;
    if metadata.is_dir() {
        return Err(CliError::Usage(format!("{path} is a folder.")));
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

/// The data on standard input by the rule of python-glanceclient v1
/// (`common/utils.get_data_file`): a terminal and a closed input are no data; a file, a pipe, a
/// socket and a device are, also when they are empty.
pub(super) fn standard_input() -> CliResult<Option<Upload>> {
    let Ok(file) = stdin() else { return Ok(None) };
    let metadata = file.metadata().map_err(|error| unreadable("-", &error))?;
    if file.is_terminal() || was_closed(&file, &metadata) {
        return Ok(None);
    }
    let length = metadata.is_file().then_some(metadata.len());
    Ok(Some(upload_of(file, length)))
}

/// The data on standard input by the rule of the commands of 2011: as [`standard_input`], but a
/// character device, and a pipe or socket without any byte, are no data.
pub(super) fn piped() -> CliResult<Option<Upload>> {
    let Ok(file) = stdin() else { return Ok(None) };
    let unread = |error: io::Error| unreadable("-", &error);
    let metadata = file.metadata().map_err(unread)?;
    if metadata.is_file() {
        return Ok(Some(upload_of(file, Some(metadata.len()))));
    }
    if metadata.file_type().is_char_device() {
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

/// Whether the process was started with standard input closed (`<&-`). Rust's runtime then opens
/// `/dev/null` for reading and writing in its place; a shell's `< /dev/null` is read-only.
fn was_closed(file: &File, metadata: &Metadata) -> bool {
    let null_device = std::fs::metadata("/dev/null").map(|null| null.rdev());
    let is_null = metadata.file_type().is_char_device()
        && null_device.is_ok_and(|device| device == metadata.rdev());
    is_null && is_writable(file)
}

/// Whether a descriptor was opened for reading and writing.
fn is_writable(file: &File) -> bool {
    let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", file.as_raw_fd()));
    // proc(5): `flags:` has the open flags in octal; the lowest digit is the access mode.
    info.is_ok_and(|info| {
        let mut lines = info.lines();
        let flags = lines.find_map(|line| line.strip_prefix("flags:"));
        flags.is_some_and(|flags| flags.trim().ends_with('2'))
    })
}

/// Standard input without the buffer that the library keeps for lines.
fn stdin() -> CliResult<File> {
    let handle = io::stdin().as_fd().try_clone_to_owned();
    handle
        .map(File::from)
        .map_err(|error| unreadable("-", &error))
}

fn unreadable(path: &str, error: &io::Error) -> CliError {
    let name = if path == "-" { "standard input" } else { path };
    CliError::Usage(format!("Cannot read {name}: {error}."))
}
