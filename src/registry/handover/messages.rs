//! Messages between the two processes of a node during a reload, in the form
//! `length (4, little endian) | JSON`.
//!
//! Both processes may be of different releases, so fields are only added with defaults.

use std::io::{self, Read, Write};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Maximum length of a message: a page of as many images as `api_limit_max` allows, each with a
/// record of the maximum size.
const MAX_MESSAGE_BYTES: usize = 256 << 20;

/// The reason why a message was not exchanged.
#[derive(Debug, thiserror::Error)]
pub enum MessageError {
    #[error("the other process has ended or does not answer: {0}")]
    Gone(#[from] io::Error),
    #[error("the message of the other process is malformed: {0}")]
    Malformed(#[from] serde_json::Error),
    #[error("a message of {0} bytes is too large")]
    TooLarge(usize),
}

/// Sends a message.
///
/// # Errors
/// [`MessageError`]. The stream must not be used any more then.
pub fn write_message(
    stream: &mut impl Write,
    message: &impl Serialize,
) -> Result<(), MessageError> {
    let mut bytes = vec![0; 4];
    serde_json::to_writer(&mut bytes, message)?;
    let len = bytes.len() - 4;
    let stated = u32::try_from(len).map_err(|_| MessageError::TooLarge(len))?;
    bytes[..4].copy_from_slice(&stated.to_le_bytes());
    Ok(stream.write_all(&bytes)?)
}

/// Receives a message.
///
/// # Errors
/// [`MessageError`]. The stream must not be used any more then.
pub fn read_message<T: DeserializeOwned>(stream: &mut impl Read) -> Result<T, MessageError> {
    let mut stated = [0; 4];
    stream.read_exact(&mut stated)?;
    let len = u32::from_le_bytes(stated) as usize;
    if len > MAX_MESSAGE_BYTES {
        return Err(MessageError::TooLarge(len));
    }
    let mut bytes = vec![0; len];
    stream.read_exact(&mut bytes)?;
    Ok(serde_json::from_slice(&bytes)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_read_back() {
        let mut stream = Vec::new();
        write_message(&mut stream, &"one").unwrap();
        write_message(&mut stream, &2).unwrap();
        let mut stream = &stream[..];
        assert_eq!(read_message::<String>(&mut stream).unwrap(), "one");
        assert_eq!(read_message::<u8>(&mut stream).unwrap(), 2);
        let end = read_message::<u8>(&mut stream);
        assert!(matches!(end, Err(MessageError::Gone(_))));
    }

    #[test]
    fn too_large_message_is_refused_before_it_is_read() {
        let mut stream = &[0xff; 8][..];
        let refused = read_message::<u8>(&mut stream);
        assert!(matches!(refused, Err(MessageError::TooLarge(_))));
    }
}
