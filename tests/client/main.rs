//! The client against a scripted peer: the library, downloads, and the program itself.

#[path = "../support/peer.rs"]
mod peer;

mod commands;
mod downloads;
mod listing;
mod program;
mod uploads;
mod v2011;

use std::future::Future;

/// An image's id.
pub const ID: &str = "71c675ab-d94f-49cd-a114-e12490b328d9";

/// Runs a future on a runtime like the program's.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

/// MD5 in hexadecimal.
pub fn md5(bytes: &[u8]) -> String {
    use md5::{Digest, Md5};
    let digest: [u8; 16] = Md5::digest(bytes).into();
    glance::image::Checksum::of(&digest).to_string()
}
