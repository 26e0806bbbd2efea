//! A scripted HTTP peer: a server that answers each request with the next step of a script.
//! It uses raw TCP, so that it can violate the protocol as well.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// A received request.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    pub method: String,
    pub path: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body as far as the step has read it, without chunk framing.
    pub body: Vec<u8>,
    /// Number of the connection, from 0.
    pub connection: usize,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers.find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
}

/// All requests in the order of their arrival.
type Log = Arc<Mutex<Vec<Seen>>>;

/// A request for a step to answer.
pub struct Exchange {
    pub seen: Seen,
    pub stream: BufReader<TcpStream>,
    log: Log,
    position: usize,
}

/// Treatment of the connection after a step.
pub enum Then {
    Keep,
    Close,
}

/// A step of the script: the response to one request.
pub type Step = Box<dyn FnOnce(&mut Exchange) -> Then + Send>;

/// The running server.
pub struct Peer {
    pub port: u16,
    seen: Log,
}

impl Peer {
    /// Starts a server that answers each request with the next of these steps, and closes
    /// connections afterwards.
    pub fn start(steps: Vec<Step>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Log::default();
        let script = Arc::new(Mutex::new(VecDeque::from(steps)));
        let log = seen.clone();
        thread::spawn(move || {
            for (connection, stream) in listener.incoming().enumerate() {
                let (script, log) = (script.clone(), log.clone());
                thread::spawn(move || serve(stream.unwrap(), connection, &script, &log));
            }
        });
        Self { port, seen }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Returns the requests so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// Returns `METHOD PATH` of the requests so far.
    pub fn lines(&self) -> Vec<String> {
        let seen = self.seen();
        seen.iter()
            .map(|seen| format!("{} {}", seen.method, seen.path))
            .collect()
    }
}

fn serve(stream: TcpStream, connection: usize, script: &Mutex<VecDeque<Step>>, log: &Log) {
    // Otherwise a body that follows its head would be unread when the connection is closed, which
    // resets it.
    stream.set_nodelay(true).unwrap();
    let mut stream = BufReader::new(stream);
    while let Some(mut seen) = read_head(&mut stream) {
        seen.connection = connection;
        let position = {
            let mut log = log.lock().unwrap();
            log.push(seen.clone());
            log.len() - 1
        };
        let Some(step) = script.lock().unwrap().pop_front() else {
            return;
        };
        let mut exchange = Exchange {
            seen,
            stream,
            log: log.clone(),
            position,
        };
        if matches!(step(&mut exchange), Then::Close) {
            return;
        }
        stream = exchange.stream;
    }
}

impl Exchange {
    /// Reads the body, after `100 Continue` if the client waits for that.
    pub fn read_body(&mut self) {
        if self.seen.header("expect").is_some() {
            self.send(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
        self.read_body_unasked();
    }

    /// Reads the body without `100 Continue`.
    pub fn read_body_unasked(&mut self) {
        if self.seen.header("transfer-encoding") == Some("chunked") {
            while self.read_chunk() {}
        } else if let Some(length) = self.seen.header("content-length") {
            let mut body = vec![0; length.parse().unwrap()];
            if self.stream.read_exact(&mut body).is_ok() {
                self.seen.body = body;
            }
        }
    }

    fn read_chunk(&mut self) -> bool {
        let mut line = String::new();
        if self.stream.read_line(&mut line).unwrap_or(0) == 0 {
            return false;
        }
        let length = usize::from_str_radix(line.trim(), 16).unwrap();
        let mut chunk = vec![0; length + 2];
        if self.stream.read_exact(&mut chunk).is_err() {
            return false;
        }
        self.seen.body.extend_from_slice(&chunk[..length]);
        length > 0
    }

    /// Sends bytes and ignores a client that has disconnected.
    pub fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.get_mut().write_all(bytes);
    }

    /// Sends a response with its length.
    pub fn answer(&mut self, status: &str, headers: &[(&str, &str)], body: &[u8]) {
        let length = body.len().to_string();
        let mut all = vec![("content-length", length.as_str())];
        all.extend_from_slice(headers);
        self.head(status, &all);
        if self.seen.method != "HEAD" {
            self.send(body);
        }
    }

    /// Sends the head of a response.
    pub fn head(&mut self, status: &str, headers: &[(&str, &str)]) {
        let mut head = format!("HTTP/1.1 {status}\r\n");
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        // Recorded before the response, so that a test which has the response finds the request.
        self.log.lock().unwrap()[self.position] = self.seen.clone();
        self.send(head.as_bytes());
    }
}

fn read_head(stream: &mut BufReader<TcpStream>) -> Option<Seen> {
    let mut first = String::new();
    if stream.read_line(&mut first).ok()? == 0 {
        return None;
    }
    let mut words = first.split_whitespace();
    let mut seen = Seen {
        method: words.next()?.to_owned(),
        path: words.next()?.to_owned(),
        ..Seen::default()
    };
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).ok()?;
        let line = line.trim_end();
        if line.is_empty() {
            return Some(seen);
        }
        let (name, value) = line.split_once(':')?;
        let value = value.trim().to_owned();
        seen.headers.push((name.to_ascii_lowercase(), value));
    }
}

/// Returns a step that reads the request and answers it.
pub fn answer(status: &'static str, headers: &[(&str, &str)], body: impl Into<Vec<u8>>) -> Step {
    let body = body.into();
    let headers: Vec<(String, String)> = headers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    Box::new(move |exchange| {
        exchange.read_body();
        let headers: Vec<(&str, &str)> = headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        exchange.answer(status, &headers, &body);
        Then::Keep
    })
}

/// Returns a step that reads the request and answers with JSON.
pub fn json(status: &'static str, body: &str) -> Step {
    answer(status, &[("content-type", "application/json")], body)
}

/// Returns a step with its own code.
pub fn step(step: impl FnOnce(&mut Exchange) -> Then + Send + 'static) -> Step {
    Box::new(step)
}
