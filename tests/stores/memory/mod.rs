//! The memory of uploads to other servers is bounded by the options, not by the data.
//!
//! A debug build hashes slowly, so images are smaller there; `GLANCE_LIMITS_IMAGE_MIB` sets
//! their size.

mod sink;

use std::time::Duration;

use self::sink::Sink;
use crate::support::http::Request;
use crate::support::md5_hex;
use crate::support::process::peak_rss_bytes;
use crate::support::server::{Server, Setup};
use crate::support::v1::{OCTETS, RAW};

const MIB: u64 = 1 << 20;
const UPLOADS: usize = 64;

/// The most memory of a server with this many uploads.
const MOST_RSS: u64 = 256 * MIB;

/// Longest silence of a server that is busy with all uploads.
const SILENCE: Duration = Duration::from_secs(600);

/// Wait of the sink before each read. It is slower than the clients, so that all buffers fill up.
const SINK_WAIT: Duration = Duration::from_millis(5);

fn image_mib() -> u64 {
    let default = if cfg!(debug_assertions) { 6 } else { 64 };
    let given = std::env::var("GLANCE_LIMITS_IMAGE_MIB").ok();
    given.map_or(default, |mib| mib.parse().expect("a number of MiB"))
}

/// Uploads zeros, and returns the status of the response.
fn upload_zeros(server: &Server, is_known: bool) -> u16 {
    let piece = vec![0; MIB as usize];
    let request = Request::post("/v1/images").headers(RAW).headers(&[OCTETS]);
    let request = match is_known {
        true => request.header("Content-Length", (image_mib() * MIB).to_string()),
        false => request.header("Transfer-Encoding", "chunked"),
    };
    let mut connection = server.connect();
    for set in [
        std::net::TcpStream::set_read_timeout,
        std::net::TcpStream::set_write_timeout,
    ] {
        set(connection.stream(), Some(SILENCE)).expect("a limit");
    }
    connection.send_head(&request).expect("sent");
    for _ in 0..image_mib() {
        if is_known {
            connection.send_bytes(&piece).expect("sent");
        } else {
            let begin = format!("{MIB:x}\r\n");
            connection.send_bytes(begin.as_bytes()).expect("sent");
            connection.send_bytes(&piece).expect("sent");
            connection.send_bytes(b"\r\n").expect("sent");
        }
    }
    if !is_known {
        connection.send_bytes(b"0\r\n\r\n").expect("sent");
    }
    connection.read_response("POST").expect("an answer").status
}

/// Uploads to a server before `sink`, every other image without its length.
fn measure(sink: &Sink, options: &[(&str, &str)]) {
    let options = options.iter();
    let setup = options.fold(Setup::new(), |setup, (name, value)| {
        setup.store_option(name, value)
    });
    let server = setup.start();
    std::thread::scope(|scope| {
        for number in 0..UPLOADS {
            let server = &server;
            scope.spawn(move || assert_eq!(upload_zeros(server, number % 2 == 0), 201));
        }
    });
    assert_eq!(sink.taken_bytes(), UPLOADS as u64 * image_mib() * MIB);
    let peak = peak_rss_bytes(server.pid()).expect("running");
    let (mib, peak_mib) = (image_mib(), peak / MIB);
    eprintln!("{UPLOADS} uploads of {mib} MiB: {peak_mib} MiB RSS at most");
    assert!(peak < MOST_RSS, "{peak_mib} MiB");
}

#[test]
fn many_uploads_to_s3() {
    let sink = Sink::start(SINK_WAIT, image_mib() * MIB, "tag");
    measure(
        &sink,
        &[
            ("stores", "s3"),
            ("default_store", "s3"),
            ("s3_store_host", &sink.url()),
            ("s3_store_access_key", "user"),
            ("s3_store_secret_key", "key"),
            ("s3_store_bucket", "images"),
            ("s3_store_large_object_size", "1"),
            ("s3_store_large_object_chunk_size", "5"),
        ],
    );
}

#[test]
fn concurrent_swift_uploads_use_bounded_memory() {
    let image_bytes = image_mib() * MIB;
    let tag = md5_hex(&vec![0; image_bytes as usize]);
    let sink = Sink::start(SINK_WAIT, image_bytes, &tag);
    measure(
        &sink,
        &[
            ("stores", "swift"),
            ("default_store", "swift"),
            ("swift_store_auth_version", "1"),
            ("swift_store_auth_address", &sink.auth_url()),
            ("swift_store_user", "account:user"),
            ("swift_store_key", "key"),
        ],
    );
}
