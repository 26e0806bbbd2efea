//! A server that accepts uploads at a given rate and discards them, for tests with more data than
//! fits on a disk. It implements enough of S3 and Swift.

use std::collections::HashSet;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// Bytes per read.
const STEP_BYTES: usize = 256 * 1024;

pub struct Sink {
    address: SocketAddr,
    taken_bytes: Arc<AtomicU64>,
}

/// State shared by all connections.
#[derive(Clone)]
struct Rules {
    address: SocketAddr,
    wait: Duration,
    object_bytes: u64,
    tag: Arc<str>,
    taken_bytes: Arc<AtomicU64>,
    /// Targets of PUT requests.
    objects: Arc<Mutex<HashSet<String>>>,
}

/// The head of a request.
struct Head {
    method: String,
    target: String,
    /// `None` for a chunked body.
    body_bytes: Option<u64>,
    waits_to_be_asked: bool,
}

impl Sink {
    /// Starts a server that waits before each 256 KiB of a connection, and reports a fixed length
    /// and ETag for every object.
    pub fn start(wait: Duration, object_bytes: u64, tag: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("a port");
        let taken_bytes = Arc::<AtomicU64>::default();
        let rules = Rules {
            address,
            wait,
            object_bytes,
            tag: tag.into(),
            taken_bytes: Arc::clone(&taken_bytes),
            objects: Arc::default(),
        };
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let rules = rules.clone();
                thread::spawn(move || {
                    // A client may disconnect at any time.
                    let _ = rules.serve(&stream);
                });
            }
        });
        Self {
            address,
            taken_bytes,
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns the URL of Swift's v1.0 login.
    pub fn auth_url(&self) -> String {
        self.url() + "/auth/v1.0"
    }

    /// Returns the bytes of completely received objects and parts.
    pub fn taken_bytes(&self) -> u64 {
        self.taken_bytes.load(Ordering::Relaxed)
    }
}

impl Rules {
    fn serve(&self, stream: &TcpStream) -> io::Result<()> {
        let mut answers = stream;
        let mut requests = BufReader::new(stream);
        while let Some(head) = Head::read(&mut requests)? {
            if head.waits_to_be_asked {
                answers.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
            }
            let taken = match head.body_bytes {
                Some(bytes) => self.take(&mut requests, bytes)?,
                None => self.take_chunks(&mut requests)?,
            };
            if head.method == "PUT" {
                self.taken_bytes.fetch_add(taken, Ordering::Relaxed);
                let object = object_of(&head.target).to_owned();
                self.objects.lock().expect("no panic").insert(object);
            }
            answers.write_all(self.answer(&head).as_bytes())?;
        }
        Ok(())
    }

    fn take(&self, requests: &mut impl Read, bytes: u64) -> io::Result<u64> {
        let mut buffer = vec![0; bytes.min(STEP_BYTES as u64) as usize];
        let mut left = bytes;
        while left > 0 {
            let step = left.min(STEP_BYTES as u64);
            thread::sleep(self.wait);
            requests.read_exact(&mut buffer[..step as usize])?;
            left -= step;
        }
        Ok(bytes)
    }

    fn take_chunks(&self, requests: &mut impl BufRead) -> io::Result<u64> {
        let mut taken = 0;
        loop {
            let bytes = u64::from_str_radix(line(requests)?.trim_end(), 16);
            let bytes = bytes.map_err(io::Error::other)?;
            taken += self.take(requests, bytes)?;
            line(requests)?;
            if bytes == 0 {
                return Ok(taken);
            }
        }
    }

    fn has(&self, target: &str) -> bool {
        let objects = self.objects.lock().expect("no panic");
        objects.contains(object_of(target))
    }

    fn answer(&self, head: &Head) -> String {
        let login = format!(
            "X-Storage-Url: http://{}/v1/account\r\nX-Auth-Token: token\r\n",
            self.address
        );
        let (target, tag) = (head.target.as_str(), &self.tag);
        let (status, more, body) = match head.method.as_str() {
            "GET" if target.starts_with("/auth/") => ("200 OK", login, ""),
            "GET" if target.contains("uploads") => ("200 OK", String::new(), LISTED),
            "GET" => ("404 Not Found", String::new(), ""),
            "HEAD" if self.has(target) => ("200 OK", String::new(), ""),
            "HEAD" => ("404 Not Found", String::new(), ""),
            "POST" if target.contains("uploadId") => ("200 OK", String::new(), COMPLETED),
            "POST" => ("200 OK", String::new(), BEGUN),
            "DELETE" => ("204 No Content", String::new(), ""),
            _ if target.starts_with("/v1/") => ("201 Created", format!("ETag: {tag}\r\n"), ""),
            _ => ("200 OK", format!("ETag: \"{tag}\"\r\n"), ""),
        };
        let length = match head.method.as_str() {
            "HEAD" if self.has(target) => self.object_bytes,
            _ => body.len() as u64,
        };
        format!("HTTP/1.1 {status}\r\n{more}Content-Length: {length}\r\n\r\n{body}")
    }
}

/// Returns the target without its query.
fn object_of(target: &str) -> &str {
    target.split_once('?').map_or(target, |(object, _)| object)
}

const BEGUN: &str = "<InitiateMultipartUploadResult><UploadId>an-upload</UploadId>\
    </InitiateMultipartUploadResult>";
const COMPLETED: &str = "<CompleteMultipartUploadResult><ETag>\"tag\"</ETag>\
    </CompleteMultipartUploadResult>";
const LISTED: &str = "<ListMultipartUploadsResult><IsTruncated>false</IsTruncated>\
    </ListMultipartUploadsResult>";

impl Head {
    /// Reads a request; `None` at the end of the connection.
    fn read(requests: &mut impl BufRead) -> io::Result<Option<Self>> {
        let first = line(requests)?;
        let mut words = first.split_whitespace().map(str::to_owned);
        let (Some(method), Some(target)) = (words.next(), words.next()) else {
            return Ok(None);
        };
        let mut head = Self {
            method,
            target,
            body_bytes: Some(0),
            waits_to_be_asked: false,
        };
        loop {
            let line = line(requests)?.to_ascii_lowercase();
            match line.trim_end().split_once(':') {
                None => return Ok(Some(head)),
                Some(("content-length", value)) => {
                    let bytes = value.trim().parse().map_err(io::Error::other)?;
                    head.body_bytes = Some(bytes);
                }
                Some(("transfer-encoding", _)) => head.body_bytes = None,
                Some(("expect", _)) => head.waits_to_be_asked = true,
                Some(_) => {}
            }
        }
    }
}

fn line(requests: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    requests.read_line(&mut line)?;
    Ok(line)
}
