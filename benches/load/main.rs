//! The load generator of `benches/run`.
//!
//! It has one thread with epoll. Received bodies are discarded inside the kernel and sent bodies come
//! from the page cache, so that the client does not limit the measurement. It connects to this
//! machine only, and every run is bounded in time and in requests. Each command prints one line of
//! JSON.

mod answer;
mod body;
mod connection;
mod engine;
mod idle;
mod options;
mod store;
mod sys;
mod tally;
mod target;
mod verify;

use std::time::Duration;

use self::options::Options;

const HELP: &str = "\
load COMMAND --url http://127.0.0.1:PORT/PATH [options]

commands
  get, head   ask over and over on kept-alive connections; bodies are discarded
  post, put   upload bodies of --size bytes
  verify      one GET; prints the MD5 of what came
  idle        open --clients connections and hold them until standard input ends
  store       listen at --url as a store that keeps nothing, whose objects have --size bytes,
              until standard input ends

options
  --clients N      connections at a time (1)
  --seconds S      end after so long (5, at most 600)
  --requests N     end after so many requests (as many as fit)
  --range FIRST-LAST
  --rate BYTES     most bytes a second each client takes (get)
  --every-ms MS    one request each MS milliseconds for each client (as fast as it goes)
  --size BYTES     size of an upload (0)
  --chunked        upload without Content-Length
  --header LINE    a header more; may be repeated
  --digest         print the MD5 of the uploaded body
  --asked          ask once on each connection before it idles (idle)
  --sources N      spread connections over so many addresses 127.0.0.x (1)
In the URL and in headers {n} is the number of the request and {m} its last two digits.";

/// Time beyond `--seconds` after which a run is aborted.
const GRACE: Duration = Duration::from_secs(60);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // `cargo bench` and `cargo test` start every benchmark without arguments.
    if arguments.is_empty() || arguments.iter().all(|word| word == "--bench") {
        println!("{HELP}");
        return;
    }
    match run(&arguments) {
        Ok(line) => println!("{line}"),
        Err(reason) => {
            eprintln!("load: {reason}");
            std::process::exit(1);
        }
    }
}

fn run(arguments: &[String]) -> Result<serde_json::Value, String> {
    let options = Options::parse(arguments)?;
    give_up_after(options.seconds + GRACE);
    sys::raise_file_limit();
    match options.command.as_str() {
        "get" | "head" | "post" | "put" => engine::run(&options),
        "verify" => verify::run(&options),
        "idle" => idle::run(&options),
        "store" => store::run(&options),
        other => Err(format!("unknown command {other}\n{HELP}")),
    }
}

fn give_up_after(time: Duration) {
    std::thread::spawn(move || {
        std::thread::sleep(time);
        eprintln!("load: gave up after {} s", time.as_secs());
        std::process::exit(3);
    });
}
