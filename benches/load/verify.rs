//! Downloads one body and hashes it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use md5::{Digest, Md5};
use serde_json::{Value, json};

use super::answer::{self, Answer};
use super::body;
use super::options::Options;
use super::target::Requests;

/// Time limit for each read.
const SILENCE: Duration = Duration::from_secs(30);

/// Fetches the URL once and prints status, bytes and MD5 of the body.
///
/// # Errors
/// When the response is incomplete.
pub fn run(options: &Options) -> Result<Value, String> {
    let told = |error: std::io::Error| format!("{}: {error}", options.target.address);
    let mut stream = TcpStream::connect(options.target.address).map_err(told)?;
    stream.set_read_timeout(Some(SILENCE)).map_err(told)?;
    let mut request = Vec::new();
    Requests::new("GET", options).write(0, &mut request);
    stream.write_all(&request).map_err(told)?;
    let (answer, digest) = read(&mut stream)?;
    Ok(json!({
        "command": "verify",
        "status": answer.status,
        "bytes": answer.body_bytes,
        "md5": digest,
    }))
}

fn read(stream: &mut TcpStream) -> Result<(Answer, String), String> {
    let mut buffer = vec![0; 1 << 20];
    let mut head = Vec::new();
    let answer = loop {
        let count = some(stream, &mut buffer)?;
        head.extend_from_slice(&buffer[..count]);
        if let Some(answer) = answer::parse(&head)? {
            break answer;
        }
    };
    let mut digest = Md5::new();
    let begun = &head[answer.head_bytes..];
    digest.update(begun);
    let mut left = answer.body_bytes - begun.len() as u64;
    while left > 0 {
        let count = some(stream, &mut buffer)? as u64;
        digest.update(&buffer[..count as usize]);
        left = left.checked_sub(count).ok_or("more bytes than announced")?;
    }
    Ok((answer, body::hex(&digest.finalize())))
}

fn some(stream: &mut TcpStream, buffer: &mut [u8]) -> Result<usize, String> {
    match stream.read(buffer) {
        Ok(0) => Err("the server ended the connection early".to_owned()),
        Ok(count) => Ok(count),
        Err(error) => Err(format!("reading the answer: {error}")),
    }
}
