//! Holds idle connections open.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::{Value, json};

use super::answer;
use super::engine::connect;
use super::options::Options;
use super::target::Requests;

/// Opens the connections, prints a line, and holds them until standard input ends.
///
/// # Errors
/// When a connection cannot be opened or its request has no response.
pub fn run(options: &Options) -> Result<Value, String> {
    let mut held = Vec::with_capacity(options.clients);
    let mut request = Vec::new();
    Requests::new("GET", options).write(0, &mut request);
    for number in 0..options.clients {
        let told = |error| format!("connection {number}: {error}");
        let mut stream = connect(options, number).map_err(told)?;
        if options.asked {
            ask(&mut stream, &request)
                .map_err(|reason| format!("connection {number}: {reason}"))?;
        }
        held.push(stream);
    }
    println!("{}", json!({"command": "idle", "open": held.len()}));
    let mut sink = Vec::new();
    let ended = std::io::stdin().read_to_end(&mut sink);
    ended.map_err(|error| format!("standard input: {error}"))?;
    Ok(json!({"command": "idle", "closed": held.len()}))
}

/// Sends a request and reads the whole response.
fn ask(stream: &mut TcpStream, request: &[u8]) -> Result<(), String> {
    let told = |error: std::io::Error| error.to_string();
    stream.write_all(request).map_err(told)?;
    let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        match stream.read(&mut buffer).map_err(told)? {
            0 => return Err("the server ended the connection".to_owned()),
            count => bytes.extend_from_slice(&buffer[..count]),
        }
        if let Some(answer) = answer::parse(&bytes)?
            && bytes.len() as u64 >= answer.head_bytes as u64 + answer.body_bytes
        {
            return Ok(());
        }
    }
}
