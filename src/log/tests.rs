use super::*;
use std::fs;
use std::path::Path;
use tracing::{debug, error, info, info_span, warn};

/// Returns the lines that `act` logs to `g.log` in the folder.
fn logged(folder: &Path, plan: &LoggingPlan, act: impl FnOnce()) -> String {
    let (layer, guard) = open(plan, 1 << 20).expect("a sound plan");
    tracing::subscriber::with_default(Registry::default().with(layer), act);
    drop(guard);
    fs::read_to_string(folder.join("g.log")).expect("read")
}

fn settings(verbose: bool, debug: bool) -> LogSettings {
    LogSettings {
        debug,
        verbose,
        access_log: true,
        destination: Destination::Stdout,
        format: "%(levelname)s [%(name)s] %(message)s".into(),
        date_format: "%H".into(),
        queue_size_bytes: 1 << 20,
        config_file: None,
    }
}

fn with_settings(settings: LogSettings, act: impl FnOnce()) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let destination = Destination::File(folder.path().join("g.log"));
    let plan = LoggingPlan::from_settings(&LogSettings {
        destination,
        ..settings
    });
    logged(folder.path(), &plan, act)
}

#[test]
fn event_with_unsafe_text_is_one_line() {
    let text = with_settings(settings(false, false), || {
        let name = "x\n2026-01-01 00:00:00 ERROR [glance] forged\u{202e}\x1b[2J";
        warn!(name, image = %name, size_bytes = 5_u64, protected = true, "renamed to {name}");
    });
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(!text.contains(['\x1b', '\u{202e}']), "{text}");
    assert!(
        text.starts_with("WARNING [glance.log.tests] renamed to x\\n2026"),
        "{text}"
    );
    assert!(
        text.contains(" name=\"x\\n2026-01-01 00:00:00 ERROR"),
        "{text}"
    );
    assert!(text.ends_with(" size_bytes=5 protected=true\n"), "{text}");
}

#[test]
fn levels_select_events_and_two_targets_are_always_on() {
    let act = || {
        debug!("d");
        info!("i");
        warn!("w");
        info!(target: STARTUP, "start");
        info!(target: ACCESS, "access");
        debug!(target: "hyper::proto", "d of a library");
        warn!(target: "hyper::proto", "w of a library");
    };
    let messages = |settings| -> Vec<String> {
        let text = with_settings(settings, act);
        text.lines()
            .filter_map(|line| Some(line.split_once("] ")?.1.to_owned()))
            .collect()
    };
    assert_eq!(
        messages(settings(false, false)),
        ["w", "start", "access", "w of a library"]
    );
    assert_eq!(
        messages(settings(true, false)),
        ["i", "w", "start", "access", "w of a library"]
    );
    assert_eq!(
        messages(settings(false, true)),
        ["d", "i", "w", "start", "access", "w of a library"]
    );
    let silent = LogSettings {
        access_log: false,
        ..settings(false, false)
    };
    assert_eq!(messages(silent), ["w", "start", "w of a library"]);
}

#[test]
fn fields_of_spans_follow_the_message() {
    let form = LogSettings {
        format: "%(funcName)s: %(message)s".into(),
        ..settings(false, false)
    };
    let text = with_settings(form, || {
        let request = info_span!(
            "request",
            request_id = "req-1",
            image = tracing::field::Empty
        );
        request.record("image", "a b");
        request.in_scope(|| warn!(status = 500, "failed"));
        warn!("outside");
    });
    assert_eq!(
        text,
        "request: failed status=500 request_id=req-1 image=\"a b\"\n-: outside\n"
    );
}

#[test]
fn long_message_is_cut() {
    let text = with_settings(settings(false, false), || warn!("{}", "é".repeat(100_000)));
    assert!(
        text.len() < 70_000 && text.ends_with("é... (cut)\n"),
        "{}",
        text.len()
    );
}

#[test]
fn invalid_settings_are_reported() {
    let fail = |settings: LogSettings| {
        open(&LoggingPlan::from_settings(&settings), 1 << 20)
            .map(|_| ())
            .expect_err("cannot start")
    };
    let form = fail(LogSettings {
        format: "%(user)s".into(),
        ..settings(false, false)
    });
    assert_eq!(form.exit_code(), 78);
    assert!(
        form.to_string()
            .starts_with("log_format = \"%(user)s\": %(user) is not a field"),
        "{form}"
    );
    let dates = fail(LogSettings {
        date_format: "%!".into(),
        ..settings(false, false)
    });
    assert!(
        dates.to_string().starts_with("log_date_format = \"%!\""),
        "{dates}"
    );
    let destination = Destination::File("/no/such/folder/g.log".into());
    let file = fail(LogSettings {
        destination,
        ..settings(false, false)
    });
    assert_eq!(file.exit_code(), 1);
    assert!(
        file.to_string()
            .starts_with("cannot log to /no/such/folder/g.log"),
        "{file}"
    );
}

const PYTHON_FILE: &str = "\
[loggers]
keys = root, store
[handlers]
keys = file,errors
[formatters]
keys = short
[logger_root]
level = INFO
handlers = file
[logger_store]
level = DEBUG
handlers = errors
qualname = glance.store
propagate = 0
[handler_file]
class = handlers.RotatingFileHandler
args = ('FOLDER/g.log', 'a', 1048576, 5)
formatter = short
[handler_errors]
class = logging.FileHandler
level = ERROR
args = ('FOLDER/errors.log',)
[formatter_short]
format = %(name)s: %(message)s
datefmt = %H:%M
";

#[test]
fn file_of_python_logging_is_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = PYTHON_FILE.replace("FOLDER", &folder.path().display().to_string());
    let plan = python::file_config::from_text("l.conf", &text).expect("sound");
    let warnings: Vec<_> = plan.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(warnings.len(), 1);
    assert!(
        warnings[0].starts_with("l.conf:16: RotatingFileHandler does not rotate"),
        "{warnings:?}"
    );
    let lines = logged(folder.path(), &plan, || {
        debug!(target: "glance::api", "too quiet");
        info!(target: "glance::api", "logged");
        debug!(target: "glance::store::file", "below the handler's level");
        error!(target: "glance::store::file", "broken");
    });
    assert_eq!(lines, "glance.api: logged\n");
    let errors = fs::read_to_string(folder.path().join("errors.log")).expect("read");
    assert_eq!(errors, "broken\n");
}

/// Shortened from `logging.cnf.sample` of Glance (2011 to 2026). No logger uses most of its
/// handlers.
#[test]
fn sample_logging_configurations_of_glance_are_read() {
    const OLD: &str = "\
[loggers]
keys=root,api
[formatters]
keys=normal,normal_with_name,debug
[handlers]
keys=production,file,devel
[logger_root]
level=NOTSET
handlers=devel
[logger_api]
level=DEBUG
handlers=devel
qualname=glance-api
[handler_production]
class=handlers.SysLogHandler
level=ERROR
formatter=normal_with_name
args=(('localhost', handlers.SYSLOG_UDP_PORT), handlers.SysLogHandler.LOG_USER)
[handler_file]
class=FileHandler
level=DEBUG
formatter=normal_with_name
args=('glance.log', 'w')
[handler_devel]
class=StreamHandler
level=NOTSET
formatter=debug
args=(sys.stdout,)
[formatter_normal]
format=%(asctime)s %(levelname)s %(message)s
[formatter_normal_with_name]
format=(%(name)s): %(asctime)s %(levelname)s %(message)s
[formatter_debug]
format=(%(name)s): %(asctime)s %(levelname)s %(module)s %(funcName)s %(message)s
";
    const NEW: &str = "\
[loggers]
keys = root, glance
[handlers]
keys = stderr, file, syslog, null
[formatters]
keys = context, default
[logger_root]
level = WARNING
handlers = null
[logger_glance]
level = INFO
handlers = file
qualname = glance
[handler_stderr]
class = StreamHandler
args = (sys.stderr,)
formatter = context
[handler_file]
class = handlers.WatchedFileHandler
args = ('FOLDER/g.log',)
formatter = context
[handler_syslog]
class = handlers.SysLogHandler
args = ('/dev/log', handlers.SysLogHandler.LOG_USER)
formatter = context
[handler_null]
class = logging.NullHandler
formatter = default
args = ()
[formatter_context]
class = oslo_log.formatters.ContextFormatter
[formatter_default]
format = %(message)s
";
    let plan = python::file_config::from_text("l.conf", OLD).expect("sound");
    let warnings: Vec<_> = plan.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        (plan.handlers.len(), warnings.len()),
        (1, 2),
        "{warnings:?}"
    );
    assert!(warnings[0].starts_with("l.conf:18: the unused handler production is ignored"));

    let folder = tempfile::tempdir().expect("a folder");
    let text = NEW.replace("FOLDER", &folder.path().display().to_string());
    let plan = python::file_config::from_text("l.conf", &text).expect("sound");
    assert_eq!(plan.handlers.len(), 1);
    let lines = logged(folder.path(), &plan, || {
        info!(target: "glance::api", "logged");
        error!(target: "hyper", "to the null handler");
    });
    assert_eq!(lines.lines().count(), 1, "{lines}");
    let process = std::process::id();
    assert!(
        lines.ends_with(&format!(" {process} INFO glance.api [-] logged\n")),
        "{lines}"
    );
    // A handler that is used must be supported.
    let used = NEW.replace("handlers = null", "handlers = syslog");
    let error = python::file_config::from_text("l.conf", &used).expect_err("syslog is used");
    assert!(
        error.to_string().starts_with("l.conf:23: [handler_syslog]"),
        "{error}"
    );
}

#[test]
fn unsupported_features_of_python_logging_are_errors() {
    for (from, to, expected) in [
        (
            "handlers.RotatingFileHandler",
            "handlers.SysLogHandler",
            "l.conf:16: [handler_file] class",
        ),
        (
            "level = INFO",
            "level = LOUD",
            "l.conf:8: [logger_root] level = \"LOUD\": expected DEBUG",
        ),
        (
            "handlers = errors",
            "handlers = none",
            "l.conf:12: [logger_store] handlers",
        ),
        (
            "('FOLDER/errors.log',)",
            "(open('x'),)",
            "l.conf:22: [handler_errors] args",
        ),
        (
            "('FOLDER/errors.log',)",
            "('x', 'w')",
            "l.conf:22: [handler_errors] args",
        ),
        (
            "qualname = glance.store\n",
            "",
            "l.conf:10: [logger_store]: qualname is missing",
        ),
        (
            "keys = root, store",
            "keys = store",
            "l.conf:1: [loggers]: keys must name root",
        ),
        (
            "%(name)s:",
            "%(user)s:",
            "l.conf:24: [formatter_short] format",
        ),
        (
            "datefmt = %H:%M",
            "datefmt = %!",
            "l.conf:25: [formatter_short] datefmt",
        ),
        (
            "datefmt = %H:%M",
            "style = {",
            "l.conf:25: [formatter_short] style",
        ),
        (
            "propagate = 0",
            "filters = x",
            "l.conf:14: [logger_store] filters",
        ),
        (
            "[handlers]\nkeys = file,errors\n",
            "",
            "l.conf: [handlers]: keys are missing",
        ),
        ("[loggers]\n", "nonsense\n", "l.conf:1: this line"),
    ] {
        let text = PYTHON_FILE.replacen(from, to, 1);
        assert_ne!(text, PYTHON_FILE, "{from} is not in the file");
        let error = python::file_config::from_text("l.conf", &text).expect_err(to);
        assert!(error.to_string().starts_with(expected), "{to}: {error}");
    }
}

#[test]
fn logging_can_be_started_only_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("g.log");
    let destination = Destination::File(path.clone());
    let settings = LogSettings {
        destination,
        ..settings(false, false)
    };
    let guard = init(&settings).expect("the first start");
    assert!(matches!(init(&settings), Err(LogError::AlreadyStarted)));
    std::thread::spawn(|| warn!("from another thread"))
        .join()
        .expect("no panic");
    drop(guard);
    let text = fs::read_to_string(path).expect("read");
    assert!(
        text.contains("WARNING [glance.log.tests] from another thread\n"),
        "{text}"
    );
}

proptest::proptest! {
    #[test]
    fn no_text_adds_a_line(text in "\\PC{0,20}[\\p{Cc}\\p{Cf}\\p{Zl}\\p{Zp}]{1,4}.{0,20}") {
        use proptest::{prop_assert, prop_assert_eq};
        let line = with_settings(settings(false, false), || warn!(name = %text, "{text}"));
        prop_assert_eq!(line.matches('\n').count(), 1);
        let hidden = |c: char| c.is_control() && c != '\n';
        prop_assert!(!line.contains(hidden), "{:?}", line);
    }

    #[test]
    fn no_format_makes_the_parser_panic(format in "(%|%\\((message|msecs|x)\\)|[-+ 0-9.sdf\\PC]){0,12}") {
        let _ = routes::LineFormat::parse(&format, Some(&format));
    }
}
