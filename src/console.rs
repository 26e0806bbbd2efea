//! Output of command-line programs to standard output and standard error.
//!
//! `println!` and `eprintln!` panic when the output is closed or on a full disk. The functions
//! here return the error or ignore it instead.

use std::fmt::Display;
use std::io::{self, Write};

/// Standard output cannot be written, for example because the reader of a pipe has exited.
#[derive(Debug, thiserror::Error)]
#[error("cannot write to standard output: {0}")]
pub struct OutputError(#[from] io::Error);

/// Writes a line to standard output.
///
/// # Errors
/// [`OutputError`], which the program reports and ends with.
pub fn print_line(line: impl Display) -> Result<(), OutputError> {
    write_line(&mut io::stdout(), line)
}

/// Writes a line to standard error. A failure is ignored: there is no other place to report it,
/// and the exit code tells that the program failed.
pub fn print_error(line: impl Display) {
    let _ = write_line(&mut io::stderr(), line);
}

fn write_line(output: &mut impl Write, line: impl Display) -> Result<(), OutputError> {
    // One call: a line of a program that is killed is written as a whole or not at all.
    output.write_all(format!("{line}\n").as_bytes())?;
    Ok(output.flush()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_disk_is_an_error_and_no_panic() {
        let mut full = std::fs::File::options().write(true).open("/dev/full");
        let error = write_line(full.as_mut().unwrap(), "text").unwrap_err();
        let text = error.to_string();
        assert!(
            text.starts_with("cannot write to standard output: "),
            "{text}"
        );
    }
}
