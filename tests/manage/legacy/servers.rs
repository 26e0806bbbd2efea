//! Registries in PostgreSQL and MariaDB.

use std::io::Write;
use std::process::Stdio;

use super::super::{command, manage, prepared};
use super::databases::{
    Database, PASSWORD, Tables, mariadb, postgresql, start_mariadb, start_postgresql,
};
use super::eras::{havana_is_taken_over, queens_is_taken_over};
use super::tables::{havana, queens, queens_of_all_kinds};
use super::{SECRET, assert_untouched};
use crate::support::program::Run;
use crate::support::server::{Server, Setup};
use crate::support::skip;

const NO_REGISTRY: &str = "CREATE TABLE images (id INTEGER NOT NULL, file TEXT);";

/// Imports from a database server that has registries of every era, an empty database and one of
/// another program.
#[track_caller]
fn are_taken_over(start: impl FnOnce(&[Tables]) -> Database, scheme: &str) {
    let mut server = prepared(Setup::new());
    let databases = [
        ("glance", havana(&server.store_dir())),
        ("queens", queens(&queens_of_all_kinds())),
        ("nothing", String::new()),
        ("other", NO_REGISTRY.to_owned()),
    ];
    let database = start(&databases);
    let url = |password: &str, name: &str| {
        let password = password.replace('@', "%40");
        format!("{scheme}://glance:{password}@{}/{name}", database.address())
    };
    for (password, name, words) in [
        ("CANARY-wrong", "glance", "cannot open the old registry"),
        (PASSWORD, "missing", "missing"),
        (PASSWORD, "nothing", "it has no table images"),
        (PASSWORD, "other", "its table images has no column status"),
    ] {
        manage(&server, &["load-legacy", &url(password, name)])
            .expect(1)
            .says(words)
            .keeps(SECRET);
    }
    assert_untouched(&server);
    queens_is_taken_over(&url(PASSWORD, "queens"));
    let url = url(PASSWORD, "glance");
    havana_is_taken_over(&mut server, &url);
    server.stop();
    from_stdin(&server, &url).expect(0).says("5 there already");
}

/// Passes the URL on standard input, which keeps it out of the list of processes.
fn from_stdin(server: &Server, url: &str) -> Run {
    let mut command = command(server, &["load-legacy", "-"]);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("glance-manage");
    let mut stdin = child.stdin.take().expect("a pipe");
    writeln!(stdin, "{url}").expect("written");
    drop(stdin);
    child.wait_with_output().expect("its end").into()
}

#[test]
fn postgresql_is_taken_over() {
    let Some(initdb) = postgresql() else {
        let because = "no initdb here (postgresql of Debian)";
        return skip("postgresql_is_taken_over", because);
    };
    are_taken_over(
        |databases| start_postgresql(&initdb, databases),
        "postgresql+psycopg2",
    );
}

#[test]
fn mariadb_is_taken_over() {
    let Some(programs) = mariadb() else {
        let because = "no mariadbd here (mariadb-server-core of Debian)";
        return skip("mariadb_is_taken_over", because);
    };
    are_taken_over(
        |databases| start_mariadb(&programs, databases),
        "mysql+pymysql",
    );
}
