//! The client library and the `glance` program, against a scripted HTTP server (most files), a
//! real `glance-api` behind TLS and proxies (`tls`), and a real Keystone (`login`).

#[path = "../support/peer.rs"]
mod peer;
#[path = "../support/mod.rs"]
mod support;

mod commands;
mod downloads;
mod listing;
mod login;
mod program;
mod tls;
mod tls_front;
mod uploads;
mod v2011;

use std::future::Future;

/// ID of an image.
pub const ID: &str = "71c675ab-d94f-49cd-a114-e12490b328d9";

/// Runs a future on a runtime like that of the program.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

/// Returns the MD5 in hexadecimal.
pub fn md5(bytes: &[u8]) -> String {
    use md5::{Digest, Md5};
    let digest: [u8; 16] = Md5::digest(bytes).into();
    glance::image::Checksum::of(&digest).to_string()
}
