//! A server that acts as an S3 or Swift store. It discards uploads inside the kernel and sends
//! downloads from memory. It is cheaper than a store that keeps data, so a measurement with it
//! measures its client.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::Arc;

use serde_json::{Value, json};

use super::body::Body;
use super::options::Options;
use super::sys;

/// The longest head that is accepted.
const HEAD_BYTES: usize = 16 * 1024;

/// The most bytes that one call discards.
const DISCARD_BYTES: u64 = 4 << 20;

const BEGUN: &str = "<InitiateMultipartUploadResult><UploadId>an-upload</UploadId>\
    </InitiateMultipartUploadResult>";
const COMPLETED: &str = "<CompleteMultipartUploadResult><ETag>\"tag\"</ETag>\
    </CompleteMultipartUploadResult>";
const LISTED: &str = "<ListMultipartUploadsResult><IsTruncated>false</IsTruncated>\
    </ListMultipartUploadsResult>";

/// The properties of every object.
struct Objects {
    address: SocketAddr,
    body: Body,
    size_bytes: u64,
    md5: String,
}

/// Serves until standard input ends. Every object has `--size` bytes, the same that the load
/// generator uploads at that size.
///
/// # Errors
/// When the address is in use.
pub fn run(options: &Options) -> Result<Value, String> {
    let address = options.target.address;
    let told = |error: io::Error| format!("{address}: {error}");
    let listener = TcpListener::bind(address).map_err(told)?;
    let body = Body::new(options.size_bytes, false)?;
    let objects = Arc::new(Objects {
        address,
        md5: body.digest(),
        body,
        size_bytes: options.size_bytes,
    });
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let objects = Arc::clone(&objects);
            std::thread::spawn(move || {
                // A client may disconnect at any time.
                let _ = serve(stream, &objects);
            });
        }
    });
    let ended = io::stdin().read_to_end(&mut Vec::new());
    ended.map_err(|error| format!("standard input: {error}"))?;
    Ok(json!({"command": "store"}))
}

fn serve(mut stream: TcpStream, objects: &Objects) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = Vec::with_capacity(HEAD_BYTES);
    while let Some(head) = Head::read(&mut stream, &mut buffer)? {
        if head.waits_to_be_asked {
            stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        let in_buffer = head.body_bytes.min(buffer.len() as u64);
        buffer.drain(..in_buffer as usize);
        discard(&stream, head.body_bytes - in_buffer)?;
        answer(&mut stream, &head, objects)?;
    }
    Ok(())
}

fn discard(stream: &TcpStream, mut left: u64) -> io::Result<()> {
    while left > 0 {
        match sys::discard(stream.as_raw_fd(), left.min(DISCARD_BYTES) as usize)? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            count => left -= count as u64,
        }
    }
    Ok(())
}

fn answer(stream: &mut TcpStream, head: &Head, objects: &Objects) -> io::Result<()> {
    let of_swift = head.target.starts_with("/v1/");
    let is_object = head.target.split('?').next().unwrap_or_default();
    let is_object = is_object.trim_start_matches('/').matches('/').count() >= 1;
    let (status, more, body) = match head.method.as_str() {
        "GET" if head.target.starts_with("/auth/") => {
            let storage = format!("http://{}/v1/AUTH_bench", objects.address);
            (
                "200 OK",
                format!("X-Storage-Url: {storage}\r\nX-Auth-Token: bench\r\n"),
                "",
            )
        }
        "GET" if head.target.contains("uploads") => ("200 OK", String::new(), LISTED),
        "GET" if is_object => return send_object(stream, objects),
        "GET" => ("404 Not Found", String::new(), ""),
        "POST" if head.target.contains("uploadId") => ("200 OK", String::new(), COMPLETED),
        "POST" => ("200 OK", String::new(), BEGUN),
        "DELETE" => ("204 No Content", String::new(), ""),
        _ if of_swift => ("201 Created", format!("ETag: {}\r\n", objects.md5), ""),
        _ => ("200 OK", "ETag: \"tag\"\r\n".to_owned(), ""),
    };
    let length = body.len();
    let text = format!("HTTP/1.1 {status}\r\n{more}Content-Length: {length}\r\n\r\n{body}");
    stream.write_all(text.as_bytes())
}

fn send_object(stream: &mut TcpStream, objects: &Objects) -> io::Result<()> {
    let (length, md5) = (objects.size_bytes, &objects.md5);
    let head = format!("HTTP/1.1 200 OK\r\nETag: \"{md5}\"\r\nContent-Length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes())?;
    let mut sent = 0;
    while sent < objects.body.wire_bytes() {
        sent += objects.body.send(stream.as_raw_fd(), sent)? as u64;
    }
    Ok(())
}

/// The parts of a request that the server uses.
struct Head {
    method: String,
    target: String,
    body_bytes: u64,
    waits_to_be_asked: bool,
}

impl Head {
    /// Reads the next head. Bytes after it stay in `buffer`. Returns `None` at the end of the stream.
    fn read(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> io::Result<Option<Self>> {
        loop {
            if let Some(end) = memchr::memmem::find(buffer, b"\r\n\r\n") {
                let head = Self::parse(&String::from_utf8_lossy(&buffer[..end]));
                buffer.drain(..end + 4);
                return head.map(Some);
            }
            let begun = buffer.len();
            if begun >= HEAD_BYTES {
                return Err(ErrorKind::InvalidData.into());
            }
            buffer.resize(HEAD_BYTES, 0);
            let read = stream.read(&mut buffer[begun..]);
            buffer.truncate(begun + *read.as_ref().unwrap_or(&0));
            if read? == 0 {
                return Ok(None);
            }
        }
    }

    fn parse(head: &str) -> io::Result<Self> {
        let mut lines = head.split("\r\n");
        let mut words = lines
            .next()
            .unwrap_or_default()
            .split(' ')
            .map(str::to_owned);
        let mut parsed = Self {
            method: words.next().unwrap_or_default(),
            target: words.next().unwrap_or_default(),
            body_bytes: 0,
            waits_to_be_asked: false,
        };
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            if name.eq_ignore_ascii_case("content-length") {
                let length = value.trim().parse();
                parsed.body_bytes = length.map_err(|_| ErrorKind::InvalidData)?;
            } else if name.eq_ignore_ascii_case("expect") {
                parsed.waits_to_be_asked = true;
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                // Measured uploads do not use chunked encoding here.
                return Err(ErrorKind::Unsupported.into());
            }
        }
        Ok(parsed)
    }
}
