//! Options of logging.

use std::path::PathBuf;

use crate::config::declare::options;
use crate::config::value_types::{FilePath, Flag, Int, Optional, Text};

options! {
    /// Contents, format and destination of the log. Options of the command line override these.
    pub struct LogConfig, "DEFAULT", "Logging";

    /// Logs everything, for finding faults. It costs CPU and fills the log quickly.
    debug: bool = "false", Flag;
    /// Logs normal events as well. Without debug and verbose only warnings and errors are logged,
    /// together with the lines of the start and the access log.
    verbose: bool = "false", Flag;
    /// Logs a line for each request with its peer, status, bytes, duration and request id.
    access_log: bool = "true", Flag;
    /// File to log to. When it is empty, the log goes to standard output. The file is reopened
    /// when it was moved away, as logrotate does.
    log_file: Option<PathBuf> = "", Optional(FilePath), also [("DEFAULT", "logfile")];
    /// Folder of log_file. When only the folder is set, the file is named after the program.
    log_dir: Option<PathBuf> = "", Optional(FilePath), also [("DEFAULT", "logdir")];
    /// Logs to standard error instead of standard output when no log_file is set.
    use_stderr: bool = "false", Flag;
    /// Format of a log line in the style of Python's logging. Fields: asctime msecs created
    /// levelname levelno name message process thread threadName pathname filename module lineno
    /// funcName.
    log_format: String = "%(asctime)s %(levelname)8s [%(name)s] %(message)s", Text;
    /// Format of asctime in the style of strftime. Times are local times.
    log_date_format: String = "%Y-%m-%d %H:%M:%S", Text;
    /// Memory for log lines that wait to be written. When the log's disk is too slow and the
    /// memory is used up, lines are dropped and counted instead of delaying requests. The default
    /// holds about 20,000 lines of the access log.
    log_queue_size: usize = "4194304", Int::<usize>::new(65_536, 1 << 30, "bytes");
    /// File in the format of Python's logging configuration (fileConfig). It overrides all other
    /// logging options but log_queue_size.
    log_config_append: Option<PathBuf> = "", Optional(FilePath), also [("DEFAULT", "log_config")];
}
