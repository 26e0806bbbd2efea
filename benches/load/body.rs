//! The body of uploads: one block in a memory file, which is sent repeatedly.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::RawFd;

use md5::{Digest, Md5};

use super::sys;

/// Bytes of image data in the block. They fit into the cache of a core.
const BLOCK_BYTES: usize = 256 * 1024;

const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// The body of every upload of a run.
pub struct Body {
    file: File,
    /// Size of the block with its framing.
    block_bytes: u64,
    /// Size of a whole upload with its framing, without the last chunk.
    framed_bytes: u64,
    size_bytes: u64,
    chunked: bool,
}

impl Body {
    /// Creates a body of `size_bytes`. With chunked encoding that must be a multiple of the block.
    ///
    /// # Errors
    /// When it is not, or the memory file cannot be created.
    pub fn new(size_bytes: u64, chunked: bool) -> Result<Self, String> {
        let block = block();
        let mut framed = Vec::new();
        if chunked {
            if !size_bytes.is_multiple_of(BLOCK_BYTES as u64) {
                return Err(format!("--chunked wants a multiple of {BLOCK_BYTES}"));
            }
            framed.extend_from_slice(format!("{BLOCK_BYTES:x}\r\n").as_bytes());
            framed.extend_from_slice(&block);
            framed.extend_from_slice(b"\r\n");
        } else {
            framed = block;
        }
        let blocks = size_bytes / BLOCK_BYTES as u64;
        let (block_bytes, mut framed_bytes) = (framed.len() as u64, size_bytes);
        if chunked {
            framed_bytes = blocks * block_bytes;
            framed.extend_from_slice(LAST_CHUNK);
        }
        let file = filled(&framed).map_err(|error| format!("a file in memory: {error}"))?;
        Ok(Self {
            file,
            block_bytes,
            framed_bytes,
            size_bytes,
            chunked,
        })
    }

    /// Returns the number of bytes that one upload sends.
    pub fn wire_bytes(&self) -> u64 {
        let last = if self.chunked { LAST_CHUNK.len() } else { 0 };
        self.framed_bytes + last as u64
    }

    /// Sends some bytes, starting at byte `sent` of the body.
    pub fn send(&self, socket: RawFd, sent: u64) -> io::Result<usize> {
        let (offset, left) = if sent < self.framed_bytes {
            let offset = sent % self.block_bytes;
            let left = (self.framed_bytes - sent).min(self.block_bytes - offset);
            (offset, left)
        } else {
            // The last chunk is stored after the block.
            let behind = sent - self.framed_bytes;
            (self.block_bytes + behind, self.wire_bytes() - sent)
        };
        sys::send_file(socket, &self.file, offset, left as usize)
    }

    /// Returns the MD5 of the data of one upload in hexadecimal.
    pub fn digest(&self) -> String {
        let (block, mut left) = (block(), self.size_bytes);
        let mut digest = Md5::new();
        while left > 0 {
            let count = left.min(BLOCK_BYTES as u64);
            digest.update(&block[..count as usize]);
            left -= count;
        }
        hex(&digest.finalize())
    }
}

/// Formats a digest in hexadecimal.
pub fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns incompressible bytes (xorshift64).
fn block() -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let words = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    });
    words
        .take(BLOCK_BYTES / 8)
        .flat_map(u64::to_le_bytes)
        .collect()
}

fn filled(bytes: &[u8]) -> io::Result<File> {
    let mut file = sys::memory_file()?;
    file.write_all(bytes)?;
    Ok(file)
}
