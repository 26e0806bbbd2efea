//! The command line of the load generator.

use std::str::FromStr;
use std::time::Duration;

use super::target::Target;

/// The longest run.
const MAX_SECONDS: f64 = 600.0;

/// The most concurrent connections.
const MAX_CLIENTS: usize = 20_000;

/// The options of a run.
pub struct Options {
    pub command: String,
    pub target: Target,
    pub clients: usize,
    pub seconds: Duration,
    /// The most requests of the whole run.
    pub requests: u64,
    pub range: Option<String>,
    /// Rate limit of each client in bytes per second.
    pub rate: Option<u64>,
    /// Time between the starts of two requests of a client.
    pub every: Option<Duration>,
    pub size_bytes: u64,
    pub chunked: bool,
    pub headers: Vec<String>,
    pub digest: bool,
    pub asked: bool,
    pub sources: u8,
}

impl Options {
    /// Parses the arguments.
    ///
    /// # Errors
    /// A message that names the wrong argument.
    pub fn parse(arguments: &[String]) -> Result<Self, String> {
        let (command, rest) = arguments.split_first().ok_or("no command")?;
        let mut url = None;
        let mut options = Self::new(command);
        let mut words = rest.iter();
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or(format!("{word} wants a value"));
            match word.as_str() {
                "--url" => url = Some(value()?),
                "--clients" => options.clients = number(word, value()?)?,
                "--seconds" => options.seconds = seconds(word, value()?)?,
                "--requests" => options.requests = number(word, value()?)?,
                "--range" => options.range = Some(value()?.clone()),
                "--rate" => options.rate = Some(number(word, value()?)?),
                "--every-ms" => options.every = Some(millis(word, value()?)?),
                "--size" => options.size_bytes = number(word, value()?)?,
                "--header" => options.headers.push(value()?.clone()),
                "--sources" => options.sources = number(word, value()?)?,
                "--chunked" => options.chunked = true,
                "--digest" => options.digest = true,
                "--asked" => options.asked = true,
                "--bench" => {}
                _ => return Err(format!("unknown option {word}")),
            }
        }
        options.target = Target::parse(url.ok_or("--url is wanted")?)?;
        options.check()
    }

    fn new(command: &str) -> Self {
        Self {
            command: command.to_owned(),
            target: Target::default(),
            clients: 1,
            seconds: Duration::from_secs(5),
            requests: u64::MAX,
            range: None,
            rate: None,
            every: None,
            size_bytes: 0,
            chunked: false,
            headers: Vec::new(),
            digest: false,
            asked: false,
            sources: 1,
        }
    }

    fn check(self) -> Result<Self, String> {
        if !(1..=MAX_CLIENTS).contains(&self.clients) {
            return Err(format!("--clients wants 1 to {MAX_CLIENTS}"));
        }
        if self.sources == 0 || self.requests == 0 {
            return Err("--sources and --requests want at least 1".to_owned());
        }
        Ok(self)
    }

    /// Returns true if requests have a body.
    pub fn uploads(&self) -> bool {
        matches!(self.command.as_str(), "post" | "put")
    }
}

fn number<T: FromStr>(name: &str, value: &str) -> Result<T, String> {
    value
        .parse()
        .map_err(|_| format!("{name} wants a whole number, not {value}"))
}

fn seconds(name: &str, value: &str) -> Result<Duration, String> {
    match value.parse::<f64>() {
        Ok(seconds) if seconds > 0.0 && seconds <= MAX_SECONDS => {
            Ok(Duration::from_secs_f64(seconds))
        }
        _ => Err(format!("{name} wants seconds, at most {MAX_SECONDS}")),
    }
}

fn millis(name: &str, value: &str) -> Result<Duration, String> {
    number(name, value).map(Duration::from_millis)
}
