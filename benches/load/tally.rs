//! The counters of a run.

use std::time::Duration;

use serde_json::{Value, json};

use super::answer::Answer;

/// The most latencies that are stored. Later ones are dropped.
const MAX_LATENCIES: usize = 16_000_000;

const GIB: f64 = (1_u64 << 30) as f64;

/// Counters of all connections of a run.
#[derive(Default)]
pub struct Tally {
    pub requests: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
    failed: u64,
    first_failure: Option<String>,
    last: Option<Answer>,
    latencies_us: Vec<u32>,
}

impl Tally {
    /// Counts a complete response. `bytes` is the beginning of the response.
    pub fn answered(&mut self, answer: Answer, bytes: &[u8], latency: Duration) {
        self.requests += 1;
        if !(200..300).contains(&answer.status) {
            self.fail(String::from_utf8_lossy(bytes).into_owned());
        }
        if self.latencies_us.len() < MAX_LATENCIES {
            let micros = latency.as_micros().min(u128::from(u32::MAX));
            self.latencies_us.push(micros as u32);
        }
        self.last = Some(answer);
    }

    /// Counts a failed request.
    pub fn fail(&mut self, reason: String) {
        self.failed += 1;
        self.first_failure.get_or_insert(reason);
    }

    pub fn failed(&self) -> u64 {
        self.failed
    }

    /// Returns the output line of a run that took `time`.
    pub fn report(mut self, command: &str, time: Duration) -> Value {
        self.latencies_us.sort_unstable();
        let seconds = time.as_secs_f64();
        json!({
            "command": command,
            "seconds": seconds,
            "requests": self.requests,
            "failed": self.failed,
            "first_failure": self.first_failure,
            "bytes_in": self.bytes_in,
            "bytes_out": self.bytes_out,
            "requests_per_s": self.requests as f64 / seconds,
            "gib_per_s": (self.bytes_in + self.bytes_out) as f64 / GIB / seconds,
            "head_bytes": self.last.as_ref().map(|answer| answer.head_bytes),
            "body_bytes": self.last.as_ref().map(|answer| answer.body_bytes),
            "location": self.last.as_ref().and_then(|answer| answer.location.clone()),
            "latency_us": {
                "p50": self.percentile(50.0),
                "p90": self.percentile(90.0),
                "p99": self.percentile(99.0),
                "p99.9": self.percentile(99.9),
                "max": self.percentile(100.0),
            },
        })
    }

    /// Returns a percentile of the latencies.
    fn percentile(&self, percent: f64) -> Option<u32> {
        let rank = (self.latencies_us.len() as f64 * percent / 100.0).ceil() as usize;
        self.latencies_us.get(rank.saturating_sub(1)).copied()
    }
}
