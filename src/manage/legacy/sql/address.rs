//! Converts a database URL of SQLAlchemy to one that the drivers here accept.

use std::path::{Path, PathBuf};

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::error::SqlError;
use crate::config::Secret;

/// Characters with a meaning in a SQLite URL, which are escaped in its path.
const PATH: &AsciiSet = &CONTROLS.add(b'%').add(b'?').add(b'#').add(b' ');

/// The PostgreSQL options that are passed on. The driver prints the values of options that it does
/// not know, and those may be secrets.
const POSTGRES_OPTIONS: &[&str] = &[
    "application_name",
    "dbname",
    "host",
    "hostaddr",
    "options",
    "password",
    "port",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
    "user",
];

/// The kind of database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Sqlite,
    MySql,
    Postgres,
}

impl Kind {
    /// Returns the kind by the scheme of a URL, with or without a Python driver (`mysql+pymysql`).
    fn of(scheme: &str) -> Option<Self> {
        match scheme.split('+').next()? {
            "sqlite" => Some(Self::Sqlite),
            "mysql" | "mariadb" => Some(Self::MySql),
            "postgres" | "postgresql" => Some(Self::Postgres),
            _ => None,
        }
    }
}

/// A database and its URL in the form of the driver.
#[derive(Debug)]
pub(super) struct Address {
    pub(super) kind: Kind,
    pub(super) url: Secret,
}

impl Address {
    /// Parses a URL of SQLAlchemy.
    ///
    /// # Errors
    /// `Scheme` for an unknown kind, and `NoFile` for SQLite.
    pub(super) fn parse(url: &Secret) -> Result<Self, SqlError> {
        let (scheme, rest) = url.expose().split_once(':').ok_or(SqlError::Scheme)?;
        let kind = Kind::of(scheme).ok_or(SqlError::Scheme)?;
        let url = match kind {
            Kind::Sqlite => sqlite_url(&sqlite_file(rest)?),
            Kind::MySql => format!("mysql:{}", with_options(rest, mysql_options)),
            Kind::Postgres => format!("postgres:{}", with_options(rest, postgres_options)),
        };
        Ok(Self {
            kind,
            url: Secret::new(url),
        })
    }
}

/// Returns the file of `sqlite:PATH` and of SQLAlchemy's `sqlite:////absolute` and
/// `sqlite:///relative`. If both readings are possible, returns the file that exists.
fn sqlite_file(rest: &str) -> Result<PathBuf, SqlError> {
    let path = rest.split_once('?').map_or(rest, |(path, _)| path);
    let relative = path.strip_prefix("///").unwrap_or(path);
    let absolute = path.strip_prefix("//").unwrap_or(path);
    let candidates = [relative, absolute].map(Path::new);
    let found = candidates.into_iter().find(|path| path.is_file());
    let no_file = || SqlError::NoFile(relative.into());
    found.map(Path::to_owned).ok_or_else(no_file)
}

/// Returns a URL that opens the file read-only.
fn sqlite_url(file: &Path) -> String {
    let path = file.to_string_lossy();
    format!("sqlite://{}?mode=ro", utf8_percent_encode(&path, PATH))
}

fn with_options(rest: &str, known: fn(&[(&str, &str)]) -> Vec<String>) -> String {
    let Some((address, options)) = rest.split_once('?') else {
        return rest.to_owned();
    };
    let options: Vec<(&str, &str)> = options
        .split('&')
        .filter_map(|option| option.split_once('='))
        .collect();
    format!("{address}?{}", known(&options).join("&"))
}

/// Translates options, and drops those that only Python's drivers know, such as `charset=utf8`.
/// Python's drivers verify the certificate of the server if an authority is given, so this does too.
fn mysql_options(given: &[(&str, &str)]) -> Vec<String> {
    let known = given.iter().filter_map(|(name, value)| {
        let name = match *name {
            "unix_socket" | "socket" => "socket",
            "ssl_ca" | "ssl-ca" => "ssl-ca",
            "ssl_cert" | "ssl-cert" => "ssl-cert",
            "ssl_key" | "ssl-key" => "ssl-key",
            "ssl_mode" | "ssl-mode" => "ssl-mode",
            _ => return None,
        };
        Some((name, *value))
    });
    let mut known: Vec<(&str, &str)> = known.collect();
    let has = |name| known.iter().any(|(known, _)| *known == name);
    if has("ssl-ca") && !has("ssl-mode") {
        known.push(("ssl-mode", "VERIFY_CA"));
    }
    let pairs = known.iter().map(|(name, value)| format!("{name}={value}"));
    pairs.collect()
}

fn postgres_options(given: &[(&str, &str)]) -> Vec<String> {
    let known = given
        .iter()
        .filter(|(name, _)| POSTGRES_OPTIONS.contains(name));
    known
        .map(|(name, value)| format!("{name}={value}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scheme_determines_kind() {
        for (scheme, kind) in [
            ("sqlite", Some(Kind::Sqlite)),
            ("mysql+pymysql", Some(Kind::MySql)),
            ("mariadb", Some(Kind::MySql)),
            ("postgresql+psycopg2", Some(Kind::Postgres)),
            ("postgres", Some(Kind::Postgres)),
            ("oracle", None),
        ] {
            assert_eq!(Kind::of(scheme), kind, "{scheme}");
        }
        assert!(Address::parse(&Secret::new("no URL")).is_err());
    }

    #[test]
    fn sqlite_urls_are_resolved_to_files() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a b?.sqlite");
        let parse = |url: &str| Address::parse(&Secret::new(url));
        let plain = file.to_string_lossy().replace('?', "");
        std::fs::write(&plain, "").unwrap();
        let expected = format!("sqlite://{}?mode=ro", plain.replace(' ', "%20"));
        for url in [
            format!("sqlite:{plain}"),
            format!("sqlite://{plain}"),
            format!("sqlite:///{plain}"),
            format!("sqlite+pysqlite:///{plain}?timeout=5"),
        ] {
            assert_eq!(parse(&url).unwrap().url.expose(), expected, "{url}");
        }
        // Relative to the working directory, which differs between users of tests/run.
        let here = std::env::current_dir().unwrap();
        let relative = tempfile::NamedTempFile::new_in(&here).unwrap();
        let name = relative.path().file_name().unwrap().to_str().unwrap();
        let found = parse(&format!("sqlite:///{name}")).unwrap();
        assert_eq!(found.url.expose(), format!("sqlite://{name}?mode=ro"));
        let error = parse("sqlite:////no/such.sqlite").unwrap_err();
        assert_eq!(error.to_string(), "there is no file /no/such.sqlite");
    }

    #[test]
    fn unknown_options_are_dropped() {
        for (url, expected) in [
            ("mysql+pymysql://u:p@h/glance", "mysql://u:p@h/glance"),
            ("mysql://u:p@h/glance?charset=utf8", "mysql://u:p@h/glance?"),
            (
                "mysql://u@/g?unix_socket=/s&ssl-mode=required",
                "mysql://u@/g?socket=/s&ssl-mode=required",
            ),
            (
                "mysql://u@h/g?ssl_ca=/ca.pem",
                "mysql://u@h/g?ssl-ca=/ca.pem&ssl-mode=VERIFY_CA",
            ),
            (
                "postgresql://u@h/g?sslpassword=CANARY&sslmode=require&client_encoding=utf8",
                "postgres://u@h/g?sslmode=require",
            ),
        ] {
            let address = Address::parse(&Secret::new(url)).unwrap();
            assert_eq!(address.url.expose(), expected);
        }
    }
}
