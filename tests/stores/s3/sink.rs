//! An S3 that takes everything and keeps nothing, as slowly as it is told: for uploads of
//! which there is more than any disk of a test takes.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

/// Bytes that are taken at a time.
const STEP_BYTES: usize = 256 * 1024;

pub struct Sink {
    address: SocketAddr,
    taken_bytes: Arc<AtomicU64>,
}

impl Sink {
    /// One that waits so long before each step of 256 KiB on a connection.
    pub fn start(wait: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("a port");
        let taken_bytes = Arc::<AtomicU64>::default();
        let counter = Arc::clone(&taken_bytes);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let counter = Arc::clone(&counter);
                thread::spawn(move || {
                    let _ = serve(stream, wait, &counter);
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

    /// Bytes of parts that were taken whole.
    pub fn taken_bytes(&self) -> u64 {
        self.taken_bytes.load(Ordering::Relaxed)
    }
}

fn serve(stream: TcpStream, wait: Duration, counter: &AtomicU64) -> std::io::Result<()> {
    let mut answers = stream.try_clone()?;
    let mut requests = BufReader::new(stream);
    let mut buffer = vec![0; STEP_BYTES];
    while let Some((method, target, len)) = read_head(&mut requests)? {
        let mut left = len;
        while left > 0 {
            let step = left.min(STEP_BYTES as u64);
            if method == "PUT" {
                thread::sleep(wait);
            }
            requests.read_exact(&mut buffer[..step as usize])?;
            left -= step;
        }
        let (status, body) = match (method.as_str(), target.split_once('?')) {
            ("POST", Some((_, "uploads"))) => ("200 OK", BEGUN),
            ("POST", _) => ("200 OK", COMPLETED),
            ("GET", _) => ("200 OK", LISTED),
            ("DELETE", _) => ("204 No Content", ""),
            _ => {
                counter.fetch_add(len, Ordering::Relaxed);
                ("200 OK", "")
            }
        };
        let len = body.len();
        let head = format!("HTTP/1.1 {status}\r\nETag: \"tag\"\r\nContent-Length: {len}\r\n\r\n");
        answers.write_all(format!("{head}{body}").as_bytes())?;
    }
    Ok(())
}

const BEGUN: &str = "<InitiateMultipartUploadResult><UploadId>an-upload</UploadId>\
    </InitiateMultipartUploadResult>";
const COMPLETED: &str = "<CompleteMultipartUploadResult><ETag>\"tag\"</ETag>\
    </CompleteMultipartUploadResult>";
const LISTED: &str = "<ListMultipartUploadsResult><IsTruncated>false</IsTruncated>\
    </ListMultipartUploadsResult>";

/// Method, target and length of the body; `None` at the end of the connection.
fn read_head(requests: &mut impl BufRead) -> std::io::Result<Option<(String, String, u64)>> {
    let mut line = String::new();
    if requests.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, target) = (
        words.next().unwrap_or_default(),
        words.next().unwrap_or_default(),
    );
    let mut len = 0;
    loop {
        line.clear();
        requests.read_line(&mut line)?;
        match line.trim_end().split_once(':') {
            None => return Ok(Some((method, target, len))),
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                len = value.trim().parse().unwrap_or(0);
            }
            Some(_) => {}
        }
    }
}
