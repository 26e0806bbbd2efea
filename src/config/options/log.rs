//! Logging.

use std::path::PathBuf;

use crate::config::declare::options;
use crate::config::value_types::{FilePath, Flag, Int, Optional, Text};

options! {
    /// What is logged, in which form, and where to. The command line has the same options and wins.
    pub struct LogConfig, "DEFAULT", "Logging";

    /// Log everything, for finding faults.
    debug: bool = "false", Flag;
    /// Log what happens, not only what goes wrong. Without debug and verbose only warnings and errors are
    /// logged, and the lines of start and access, which access_log governs.
    verbose: bool = "false", Flag;
    /// Log a line for each request, with its bytes, its duration and its id.
    access_log: bool = "true", Flag;
    /// File to log to. Nothing = standard output. It is opened again when it was moved away.
    log_file: Option<PathBuf> = "", Optional(FilePath), also [("DEFAULT", "logfile")];
    /// Folder that log_file is in.
    log_dir: Option<PathBuf> = "", Optional(FilePath), also [("DEFAULT", "logdir")];
    /// Log to standard error instead of standard output when there is no log_file.
    use_stderr: bool = "false", Flag;
    /// Form of a line, as Python's logging writes it: asctime msecs created levelname name message process
    /// thread threadName pathname filename module lineno funcName.
    log_format: String = "%(asctime)s %(levelname)8s [%(name)s] %(message)s", Text;
    /// Form of the time (asctime), as strftime writes it, in local time.
    log_date_format: String = "%Y-%m-%d %H:%M:%S", Text;
    /// Memory for lines that wait to be written. When the log cannot keep up and it is full, lines are dropped and
    /// counted rather than requests held up.
    log_queue_size: usize = "4194304", Int::<usize>::new(65_536, 1 << 30, "bytes");
    /// File in the form of Python's logging configuration; it wins over all other options of this group.
    log_config_append: Option<PathBuf> = "", Optional(FilePath), also [("DEFAULT", "log_config")];
}
