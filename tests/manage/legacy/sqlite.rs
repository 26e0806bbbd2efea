//! Registries in files of SQLite, and what every kind of database has in common.

use std::fs;
use std::path::Path;
use std::process::Command;

use aes::cipher::{BlockModeEncrypt, KeyIvInit, block_padding::NoPadding};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use serde_json::json;

use super::super::{manage, prepared};
use super::eras::{havana_is_taken_over, queens_is_taken_over};
use super::tables::{ACTIVE, BEXAR, QueensImage, havana, queens, queens_id, queens_of_all_kinds};
use super::{Dump, SECRET, assert_untouched};
use crate::support::server::{Server, Setup};

/// Makes a file by Python's own SQLite.
fn sqlite(file: &Path, sql: &str) {
    const SCRIPT: &str =
        "import sqlite3, sys; sqlite3.connect(sys.argv[1]).executescript(sys.argv[2])";
    let mut command = Command::new("python3");
    let made = command.args(["-c", SCRIPT]).arg(file).arg(sql).status();
    assert!(made.expect("python3").success());
}

/// A database in the server's folder, and its URL.
fn database(server: &Server, name: &str, sql: &str) -> String {
    let file = server.folder().join(name);
    sqlite(&file, sql);
    format!("sqlite:{}", file.display())
}

#[test]
fn a_registry_of_2013() {
    let mut server = prepared(Setup::new());
    let sql = havana(&server.store_dir());
    // As SQLAlchemy writes it, too.
    let url = database(&server, "glance.sqlite", &sql).replace("sqlite:/", "sqlite:////");
    havana_is_taken_over(&mut server, &url);
}

#[test]
fn a_registry_of_2018() {
    let server = prepared(Setup::new());
    let sql = queens(&queens_of_all_kinds());
    queens_is_taken_over(&database(&server, "queens.sqlite", &sql));
}

/// Images had numbers then.
#[test]
fn a_registry_of_2011() {
    let server = prepared(Setup::new());
    let url = database(&server, "bexar.sqlite", BEXAR);
    manage(&server, &["load-legacy", &url])
        .expect(2)
        .says("image 1: its number cannot be kept: it is image ")
        .says("2 new")
        .keeps(SECRET);
    manage(&server, &["load-legacy", &url])
        .expect(2)
        .says("0 new, 0 replaced, 2 there already");
    let images = Dump::of(&server).0;
    let named = |name: &str| images.iter().find(|image| image["name"] == name);
    let (first, second) = (named("first").unwrap(), named("second").unwrap());
    assert_eq!(
        first["properties"],
        json!({"arch": "x86_64", "type": "kernel"})
    );
    assert_eq!(first["created_at"], "2011-02-03T04:05:06.000007");
    assert_eq!(first["data"]["location"], "file:///x/1");
    assert_eq!(
        (&first["is_public"], &second["is_public"]),
        (&json!(true), &json!(false))
    );
    assert_eq!(second["status"], "active");
}

/// Glance's `enabled_backends = a:file,b:file`: each location's metadata name its store.
#[test]
fn a_registry_with_two_file_stores() {
    let mut server = prepared(Setup::new());
    let store = server.store_dir();
    fs::create_dir_all(&store).unwrap();
    fs::write(store.join(ACTIVE), "data").unwrap();
    let here = format!("file://{}/{ACTIVE}", store.display());
    let sql = havana(&store).replace(
        &format!("'{here}', '2013-10-17', NULL, NULL, '0', '{{}}'"),
        &format!(
            "'file:///second/store/{ACTIVE}', '2013-10-17', NULL, NULL, '0', '{{\"store\": \"b\"}}'"
        ),
    );
    assert!(sql.contains("second/store"));
    let url = database(&server, "two.sqlite", &sql);
    manage(&server, &["load-legacy", &url, "--dry-run"])
        .expect(2)
        .says(&format!(
            "image {ACTIVE}: its file of the store b is in /second/store, which is not"
        ))
        .says("--store-folder b=");
    let folder = format!("b={}", store.display());
    manage(&server, &["load-legacy", &url, "--store-folder", &folder]).expect(0);
    server.start();
    assert_eq!(server.download(ACTIVE).expect(200).body, b"data");
}

/// A copy by hand may have no key.
#[test]
fn an_image_that_is_there_twice() {
    let server = prepared(Setup::new());
    let id = queens_id(1);
    let row = format!("INSERT INTO images VALUES ('{id}', 'queued', '2013-01-01', 0);");
    let sql = format!(
        "CREATE TABLE images (id VARCHAR(36), status VARCHAR(30), created_at DATETIME, \
         deleted BOOLEAN); {row} {row}"
    );
    let url = database(&server, "twice.sqlite", &sql);
    manage(&server, &["load-legacy", &url])
        .expect(2)
        .says(&format!("image {id}: a second row of it is not taken over"))
        .says("1 images in the old registry")
        .says("1 new");
}

#[test]
fn locations_that_are_encrypted() {
    const KEY: &str = "0123456789abcdefghijklmnopqrstuv";
    const LOCATION: &str = "swift://user:CANARY@host/container/object";
    let server = prepared(Setup::new());
    let images = [QueensImage {
        status: "active",
        visibility: "public",
        locations: vec![encrypted(KEY, LOCATION), encrypted(KEY, "rbd://CANARY")],
        is_odd: false,
    }];
    let url = database(&server, "encrypted.sqlite", &queens(&images));
    manage(&server, &["load-legacy", &url])
        .expect(2)
        .says("--encryption-key-file")
        .says("0 new");
    let key_file = server.folder().join("key");
    let with_key = |key: &str| {
        fs::write(&key_file, format!("{key}\n")).unwrap();
        let key_file = key_file.to_str().unwrap();
        let words = ["load-legacy", &url, "--encryption-key-file", key_file];
        manage(&server, &words).keeps(SECRET)
    };
    with_key("too short").expect(1).says("16, 24 or 32 bytes");
    with_key(&"x".repeat(32)).expect(2).says("the right key");
    with_key(KEY)
        .expect(2)
        .says("one is kept (swift), and not: rbd")
        .says("1 new");
    assert_eq!(
        Dump::of(&server).image(&queens_id(0))["data"]["location"],
        LOCATION
    );
}

/// As Glance encrypts: a zero byte ends the text.
fn encrypted(key: &str, text: &str) -> String {
    let first = [7_u8; 16];
    let mut bytes = text.as_bytes().to_vec();
    bytes.push(0);
    bytes.resize(bytes.len().next_multiple_of(16), 0xaa);
    let len = bytes.len();
    let encryptor = cbc::Encryptor::<aes::Aes256>::new_from_slices(key.as_bytes(), &first);
    let chain = encryptor
        .expect("sound lengths")
        .encrypt_padded::<NoPadding>(&mut bytes, len)
        .expect("whole blocks");
    URL_SAFE.encode([&first[..], chain].concat())
}

#[test]
fn what_is_no_registry_is_refused() {
    let server = prepared(Setup::new());
    let load = |url: &str| {
        manage(&server, &["load-legacy", url])
            .expect(1)
            .keeps(SECRET)
    };
    let other = database(&server, "other.sqlite", "CREATE TABLE other (id INTEGER)");
    load(&other).says("no table images");
    load(&database(&server, "empty.sqlite", "")).says("no table images");
    let foreign = "CREATE TABLE images (id INTEGER, file TEXT)";
    load(&database(&server, "foreign.sqlite", foreign)).says("no column status");
    let text = server.folder().join("text.sqlite");
    fs::write(&text, "no database at all\n".repeat(100)).unwrap();
    load(&format!("sqlite:{}", text.display())).says("not a database");
    load("sqlite:/no/such/file").says("there is no file /no/such/file");
    load("oracle://user:CANARY@host/glance").says("sqlite:, mysql:// or postgresql://");
    load("CANARY").says("sqlite:, mysql:// or postgresql://");
    for scheme in ["postgresql", "mysql+pymysql"] {
        load(&format!("{scheme}://user:CANARY@127.0.0.1:1/glance"))
            .says("cannot open the old registry");
        // A slash that should have been %2F.
        load(&format!("{scheme}://user:CANARY/@127.0.0.1:1/glance"))
            .says("cannot open the old registry");
    }
    assert_untouched(&server);
}
