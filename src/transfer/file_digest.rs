//! Computes the MD5 of a whole file, for the verification of stored data.
//!
//! Reads bypass the page cache where the file system supports it (O_DIRECT): they check what is
//! on the device, and evict no pages of images that are being served. On other file systems,
//! pages that a read has brought into the cache are released afterwards.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};

use super::page_cache::{Residency, advise_not_needed, residency};
use crate::md5::{DIGEST_BYTES, Md5};

/// Bytes of one read.
const PIECE_BYTES: usize = 256 * 1024;

/// Alignment of offsets, lengths and memory of direct reads: a multiple of common block sizes.
const ALIGNMENT_BYTES: usize = 4096;

/// Returns the MD5 of a file. Blocks.
///
/// `after_piece` is called with the length of each read. It may sleep to limit the rate, and may
/// return an error to cancel.
///
/// # Errors
/// Those of pread(2), and those of `after_piece`.
pub fn digest_of_file(
    file: &File,
    mut after_piece: impl FnMut(usize) -> io::Result<()>,
) -> io::Result<[u8; DIGEST_BYTES]> {
    let mut memory = vec![0; PIECE_BYTES + ALIGNMENT_BYTES];
    let begin = memory.as_ptr().align_offset(ALIGNMENT_BYTES);
    let piece = &mut memory[begin..begin + PIECE_BYTES];
    let mut direct = reopened_direct(file).ok();
    let mut md5 = Md5::new();
    let mut offset = 0;
    loop {
        let read = match &direct {
            Some(direct_file) => direct_file.read_at(piece, offset),
            None => read_through_cache(file, piece, offset),
        };
        let read = match read {
            // Some file systems accept O_DIRECT at open and refuse the read, or require a larger
            // alignment. Falls back to reads through the cache.
            Err(error) if direct.is_some() && error.kind() == io::ErrorKind::InvalidInput => {
                direct = None;
                continue;
            }
            read => read?,
        };
        if read == 0 {
            return Ok(md5.finalize());
        }
        md5.update(&piece[..read]);
        offset += read as u64;
        after_piece(read)?;
        if !read.is_multiple_of(ALIGNMENT_BYTES) {
            // The end of the file, or a short read: the next offset is not aligned.
            direct = None;
        }
    }
}

/// Opens the same file for direct reads.
fn reopened_direct(file: &File) -> io::Result<File> {
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(libc::O_DIRECT);
    options.open(path)
}

fn read_through_cache(file: &File, piece: &mut [u8], offset: u64) -> io::Result<usize> {
    let was_absent = residency(file, offset, piece.len() as u64) == Residency::Absent;
    let read = file.read_at(piece, offset)?;
    if was_absent {
        advise_not_needed(file, offset, read as u64);
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::testing::folder_on_disk;

    #[test]
    fn digest_is_right_for_any_length() {
        for folder in [folder_on_disk(), "/dev/shm".into()] {
            for len in [0, 1, 4096, 5000, PIECE_BYTES, 3 * PIECE_BYTES + 77] {
                let bytes: Vec<u8> = (0..len).map(|n| (n % 251) as u8).collect();
                let mut file = tempfile::tempfile_in(&folder).unwrap();
                file.write_all(&bytes).unwrap();
                let mut told = 0;
                let digest = digest_of_file(&file, |read| {
                    told += read;
                    Ok(())
                });
                assert_eq!(digest.unwrap(), Md5::digest(&bytes), "{len} in {folder:?}");
                assert_eq!(told, len);
            }
        }
    }

    #[test]
    fn callback_error_cancels() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&[1; 100]).unwrap();
        let ended = digest_of_file(&file, |_| Err(io::ErrorKind::Interrupted.into()));
        assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::Interrupted);
    }
}
