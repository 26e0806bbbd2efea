//! Opens the data of an upload: the file of `--file`, or standard input. Decides whether standard
//! input carries data, by the rule of the client that the command imitates.

use std::fs::{File, Metadata};
use std::io::{self, BufReader, IsTerminal, Read, Seek};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};

use super::error::{CliError, CliResult};
use crate::client::Upload;

/// Opens the file of `--file`; `-` is standard input.
///
/// # Errors
/// [`CliError::Usage`] if it cannot be read or is a directory.
pub(super) fn open(path: &str) -> CliResult<Upload> {
    let file = if path == "-" {
        stdin()?
    } else {
        File::open(path).map_err(|error| unreadable(path, &error))?
    };
    let metadata = file.metadata().map_err(|error| unreadable(path, &error))?;
    if metadata.is_dir() {
        return Err(CliError::Usage(format!(
            "Cannot read {path}: it is a directory."
        )));
    }
    Ok(upload_of(
        file,
        metadata.is_file().then_some(metadata.len()),
    ))
}

/// Makes an upload of a file from its current position on. Files of the kernel (`/proc`) state a
/// length of 0 and still have data, so a length of 0 counts as unknown.
fn upload_of(mut file: File, length_bytes: Option<u64>) -> Upload {
    let position = file.stream_position().unwrap_or(0);
    let rest = length_bytes.map(|length| length.saturating_sub(position));
    Upload::from_reader(file, rest.filter(|rest| *rest > 0))
}

/// Returns the data on standard input by the rule of python-glanceclient v1
/// (`common/utils.get_data_file`): a terminal or a closed descriptor is no data; a file, pipe,
/// socket or device is data, even if it is empty.
///
/// # Errors
/// [`CliError::Usage`] if standard input cannot be read.
pub(super) fn standard_input() -> CliResult<Option<Upload>> {
    let Ok(file) = stdin() else { return Ok(None) };
    let metadata = file.metadata().map_err(|error| unreadable("-", &error))?;
    if file.is_terminal() || was_closed(&file, &metadata) {
        return Ok(None);
    }
    let length = metadata.is_file().then_some(metadata.len());
    Ok(Some(upload_of(file, length)))
}

/// Returns the data on standard input by the rule of the commands of 2011: as
/// [`standard_input`], but a character device, and a pipe or socket without any byte, are no data.
///
/// # Errors
/// [`CliError::Usage`] if standard input cannot be read.
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
    // Only reading shows whether a pipe has data; the first byte is put back in front below.
    let mut reader = BufReader::new(file);
    let mut first = [0];
    if reader.read(&mut first).map_err(unread)? == 0 {
        return Ok(None);
    }
    let whole = io::Cursor::new(first).chain(reader);
    Ok(Some(Upload::from_reader(whole, None)))
}

/// Returns true if the process was started with standard input closed (`<&-`). Rust's runtime
/// then opens `/dev/null` for reading and writing in its place, whereas `< /dev/null` of a shell
/// opens it read-only.
fn was_closed(file: &File, metadata: &Metadata) -> bool {
    let null_device = std::fs::metadata("/dev/null").map(|null| null.rdev());
    let is_null = metadata.file_type().is_char_device()
        && null_device.is_ok_and(|device| device == metadata.rdev());
    is_null && is_writable(file)
}

/// Returns true if the descriptor was opened for reading and writing.
fn is_writable(file: &File) -> bool {
    let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", file.as_raw_fd()));
    // proc(5): `flags:` has the open flags in octal. The lowest digit is the access mode; O_RDWR
    // is 2.
    info.is_ok_and(|info| {
        let mut lines = info.lines();
        let flags = lines.find_map(|line| line.strip_prefix("flags:"));
        flags.is_some_and(|flags| flags.trim().ends_with('2'))
    })
}

/// Returns standard input as a file, without the line buffer of `std::io::Stdin`.
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
