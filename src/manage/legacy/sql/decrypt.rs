//! Decrypts locations that Glance has encrypted (`metadata_encryption_key`).
//!
//! The format is URL-safe base64 of a 16-byte initialization vector and AES blocks in CBC mode
//! (NIST SP 800-38A). The plaintext is the location, a zero byte, and random bytes that fill the
//! last block.

use aes::cipher::block_padding::NoPadding;
use aes::cipher::{BlockModeDecrypt, KeyIvInit};
use aes::{Aes128, Aes192, Aes256};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use cbc::Decryptor;

use super::error::SqlError;
use crate::config::Secret;

const BLOCK_BYTES: usize = 16;

/// A key of a valid length.
pub(super) struct Key(Secret);

impl Key {
    /// Checks the length of the key.
    ///
    /// # Errors
    /// `KeyLength`.
    pub(super) fn new(key: &Secret) -> Result<Self, SqlError> {
        match key.expose().len() {
            16 | 24 | 32 => Ok(Self(key.clone())),
            other => Err(SqlError::KeyLength(other)),
        }
    }

    /// Decrypts a location. Returns `None` if it was not encrypted with this key, which is usually
    /// detected by the missing zero byte or invalid UTF-8; the caller also parses the result.
    pub(super) fn decrypt(&self, text: &str) -> Option<String> {
        let mut bytes = URL_SAFE.decode(text).ok()?;
        let (first, chain) = bytes.split_at_mut_checked(BLOCK_BYTES)?;
        let key = self.0.expose().as_bytes();
        let plain = match key.len() {
            16 => decrypt::<Decryptor<Aes128>>(key, first, chain),
            24 => decrypt::<Decryptor<Aes192>>(key, first, chain),
            _ => decrypt::<Decryptor<Aes256>>(key, first, chain),
        }?;
        let end = plain.iter().rposition(|byte| *byte == 0)?;
        String::from_utf8(plain[..end].to_vec()).ok()
    }
}

fn decrypt<'a, D: KeyIvInit + BlockModeDecrypt>(
    key: &[u8],
    first: &[u8],
    chain: &'a mut [u8],
) -> Option<&'a [u8]> {
    let decryptor = D::new_from_slices(key, first).ok()?;
    decryptor.decrypt_padded::<NoPadding>(chain).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made as Glance does (`glance.common.crypt.urlsafe_encrypt`) with python's cryptography,
    /// with a key of each length.
    const ENCRYPTED: [(&str, &str); 3] = [
        (
            "0123456789abcdef",
            "OuONblUiS93AZMlY0wi07j9OQ-cgdbw-TR1Gb9dZqpD5vQpoSv7nR1pbqy0Fy9ZXAd1YkMmFfOV7zg-6kDI5Sg==",
        ),
        (
            "0123456789abcdefghijklmn",
            "d7FKcQLuK2CWKpyE7Q2EQmg61DNqlzj4BLNmsrZXY18I9ex_gRo9RLEJjnd1yE9m7aVrM_P4gpPMv1_vc3jkYg==",
        ),
        (
            "0123456789abcdefghijklmnopqrstuv",
            "FB1a0lhzLCKgrttap_9sEaZPcDtnT_8TpYnnoUAMyUh4Ypn_iyzt5QpyqNvtZu5K9UX6vQDKqGvb9sVIKcsj7A==",
        ),
    ];

    #[test]
    fn text_encrypted_by_glance_is_decrypted() {
        for (key, text) in ENCRYPTED {
            let plain = Key::new(&Secret::new(key)).unwrap().decrypt(text);
            assert_eq!(plain.as_deref(), Some("file:///var/lib/glance/images/é"));
            let other = Key::new(&Secret::new("x".repeat(key.len()))).unwrap();
            let wrong = other.decrypt(text);
            assert_ne!(wrong.as_deref(), Some("file:///var/lib/glance/images/é"));
        }
    }

    #[test]
    fn unencrypted_text_is_none() {
        let key = Key::new(&Secret::new("0123456789abcdef")).unwrap();
        for text in ["", "file:///x", "AAAA", "AAAAAAAAAAAAAAAAAAAAAA==", "é"] {
            assert_eq!(key.decrypt(text), None, "{text}");
        }
        assert!(Key::new(&Secret::new("short")).is_err());
    }
}
