//! A registry server with Glance's registry API only: a real `glance-registry` behind a proxy that
//! removes the extensions of this project (whole records, record versions, statistics).

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use super::http::{Connection, Request};
use super::server::{Server, Setup};

/// Headers that only our registry servers send.
const PATHS_OF_OURS: [&str; 3] = ["/usage", "/census", "/healthcheck"];
const HEADERS_OF_OURS: [&str; 2] = ["x-glance-registry-version", "etag"];

/// The server and its proxy.
pub struct OtherRegistry {
    server: Server,
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    server: SocketAddr,
    bodies: Mutex<Vec<String>>,
    /// Texts in responses, and their replacements.
    pretences: Mutex<Vec<(String, String)>>,
    is_over: AtomicBool,
}

impl OtherRegistry {
    pub fn start() -> Self {
        let server = Setup::registry().start();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared {
            server: server.address(),
            bodies: Mutex::default(),
            pretences: Mutex::default(),
            is_over: AtomicBool::new(false),
        });
        let translator = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming() {
                if translator.is_over.load(Ordering::Relaxed) {
                    return;
                }
                let translator = Arc::clone(&translator);
                // The connection ends when either side closes it.
                thread::spawn(move || stream.and_then(|stream| translator.serve(stream)));
            }
        });
        Self {
            server,
            address,
            shared,
        }
    }

    /// Returns the address of the proxy.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns its records, as the server behind the proxy shows them.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// Replaces a text in all later responses, to simulate records that `glance-registry` would
    /// reject.
    pub fn pretend(&self, words: &str, others: &str) {
        let pretence = (words.to_owned(), others.to_owned());
        self.shared
            .pretences
            .lock()
            .expect("no panic")
            .push(pretence);
    }

    /// Returns the bodies of all PUTs of images.
    pub fn puts(&self) -> Vec<String> {
        self.shared.bodies.lock().expect("no panic").clone()
    }
}

impl Drop for OtherRegistry {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        // Wakes the listener, so that it sees the flag.
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn serve(&self, stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut reader = BufReader::new(stream.try_clone()?);
        let mut writer = stream;
        while let Some(heard) = read_request(&mut reader)? {
            let path = heard.target.split('?').next().unwrap_or_default();
            if PATHS_OF_OURS.contains(&path) {
                writer.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")?;
                if heard.closes {
                    return Ok(());
                }
                continue;
            }
            if heard.method == "PUT" && !path.contains("/members") {
                let body = String::from_utf8_lossy(&heard.body).into_owned();
                self.bodies.lock().expect("no panic").push(body);
            }
            let answer = Connection::open(self.server)?.exchange(&heard.translated)?;
            let mut head = format!("HTTP/1.1 {} Answer\r\n", answer.status).into_bytes();
            for (name, value) in &answer.headers {
                let lower = name.to_ascii_lowercase();
                let is_hop = ["content-length", "transfer-encoding", "connection"];
                let is_hop = is_hop.contains(&lower.as_str());
                if !is_hop && !HEADERS_OF_OURS.contains(&lower.as_str()) {
                    head.extend_from_slice(format!("{name}: ").as_bytes());
                    head.extend_from_slice(value);
                    head.extend_from_slice(b"\r\n");
                }
            }
            let body = self.pretended(answer.body);
            let len = body.len();
            head.extend_from_slice(format!("Content-Length: {len}\r\n\r\n").as_bytes());
            head.extend_from_slice(&body);
            writer.write_all(&head)?;
            if heard.closes {
                return Ok(());
            }
        }
        Ok(())
    }
}

impl Shared {
    fn pretended(&self, body: Vec<u8>) -> Vec<u8> {
        let pretences = self.pretences.lock().expect("no panic");
        if pretences.is_empty() {
            return body;
        }
        let mut text = String::from_utf8(body).expect("text");
        for (words, others) in &*pretences {
            text = text.replace(words, others);
        }
        text.into_bytes()
    }
}

/// A request.
struct Heard {
    method: String,
    target: String,
    body: Vec<u8>,
    /// True if the connection ends with the response.
    closes: bool,
    /// The request as the server behind the proxy receives it.
    translated: Request,
}

/// Returns the next request; `None` after the last one.
fn read_request(reader: &mut impl BufRead) -> io::Result<Option<Heard>> {
    let Some(first) = read_line(reader)? else {
        return Ok(None);
    };
    let mut words = first.split(' ');
    let mut word = || words.next().unwrap_or_default().to_owned();
    let (method, target) = (word(), word());
    let mut translated = Request::new(&method, &target);
    let (mut len, mut closes) = (None, false);
    while let Some(line) = read_line(reader)?.filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(": ").unwrap_or((&line, ""));
        match name.to_ascii_lowercase().as_str() {
            "content-length" => len = value.parse().ok(),
            "connection" => closes = value.eq_ignore_ascii_case("close"),
            "host" | "if-none-match" => {}
            lower if HEADERS_OF_OURS.contains(&lower) => {}
            "accept" | "content-type" => {
                translated = translated.header(name, "application/json");
            }
            _ => translated = translated.header(name, value),
        }
    }
    let mut body = Vec::new();
    if let Some(len) = len {
        body.resize(len, 0);
        reader.read_exact(&mut body)?;
        translated = translated.body(body.clone());
    }
    Ok(Some(Heard {
        method,
        target,
        body,
        closes,
        translated,
    }))
}

fn read_line(reader: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = String::new();
    let read = reader.read_line(&mut line)?;
    Ok((read > 0).then(|| line.trim_end().to_owned()))
}
