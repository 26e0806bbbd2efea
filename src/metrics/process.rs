//! The `process_*` metrics, read from /proc.

use std::fs;

use rustix::param::{clock_ticks_per_second, page_size};

/// Resource usage of this process.
pub(super) struct Usage {
    pub(super) resident_bytes: u64,
    pub(super) cpu_seconds: f64,
    pub(super) open_fds: usize,
    pub(super) max_fds: u64,
    pub(super) start_time_seconds: f64,
}

impl Usage {
    /// Appends the metrics with the names, types and help texts of Prometheus' client libraries.
    ///
    /// They bypass the recorder, whose counters are integers, while CPU seconds are not.
    pub(super) fn render(&self, text: &mut String) {
        let metrics = [
            (
                "process_cpu_seconds_total",
                "counter",
                "Total user and system CPU time spent in seconds.",
                self.cpu_seconds,
            ),
            (
                "process_open_fds",
                "gauge",
                "Number of open file descriptors.",
                self.open_fds as f64,
            ),
            (
                "process_max_fds",
                "gauge",
                "Maximum number of open file descriptors.",
                self.max_fds as f64,
            ),
            (
                "process_resident_memory_bytes",
                "gauge",
                "Resident memory size in bytes.",
                self.resident_bytes as f64,
            ),
            (
                "process_start_time_seconds",
                "gauge",
                "Start time of the process since the epoch in seconds.",
                self.start_time_seconds,
            ),
        ];
        for (name, shape, help, value) in metrics {
            text.push_str(&format!(
                "# HELP {name} {help}\n# TYPE {name} {shape}\n{name} {value}\n\n"
            ));
        }
    }
}

/// Reads the usage of this process, or `None` if /proc is not available.
pub(super) fn read() -> Option<Usage> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The program's name, in parentheses, may contain blanks, so fields are counted after it.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |place: usize| fields.get(place)?.parse::<u64>().ok();
    let ticks_per_second = clock_ticks_per_second() as f64;
    let page_bytes = page_size() as u64;
    // Fields 14, 15, 22 and 24 of proc(5), counted from the third.
    let (user, system, started, resident) = (number(11)?, number(12)?, number(19)?, number(21)?);
    Some(Usage {
        resident_bytes: resident * page_bytes,
        cpu_seconds: (user + system) as f64 / ticks_per_second,
        open_fds: fs::read_dir("/proc/self/fd").ok()?.count(),
        max_fds: max_fds()?,
        start_time_seconds: boot_time_seconds()? + started as f64 / ticks_per_second,
    })
}

fn max_fds() -> Option<u64> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"))?;
    line.split_whitespace().nth(3)?.parse().ok()
}

fn boot_time_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    let line = stat.lines().find_map(|line| line.strip_prefix("btime "))?;
    line.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    #[test]
    fn usage_of_this_process_is_rendered() {
        let usage = super::read().unwrap();
        assert!(usage.resident_bytes > 1 << 20);
        assert!(usage.open_fds > 2);
        assert!(usage.start_time_seconds > 1.6e9);
        let mut text = String::new();
        usage.render(&mut text);
        assert!(text.contains("# TYPE process_cpu_seconds_total counter\n"));
        assert_eq!(text.matches("# HELP process_").count(), 5);
    }
}
