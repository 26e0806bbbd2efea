//! Files that are whole or not, there or not, and loads that are cut off.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::{command, manage, populate, prepared};
use crate::support::server::{Server, Setup};
use crate::support::within;

/// Images of a load that is cut off: some twenty commits.
const MANY: usize = 5_000;

#[test]
fn a_dump_is_its_owners_alone_and_replaces_nothing_unasked() {
    let server = Setup::new().start();
    populate(&server);
    manage(&server, &["export", "a.dump"]).expect(0);
    let file = server.folder().join("a.dump");
    let mode = fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    fs::write(&file, "precious").unwrap();
    manage(&server, &["export", "a.dump"])
        .expect(1)
        .says("--force");
    assert_eq!(fs::read(&file).unwrap(), b"precious");
    manage(&server, &["export", "--force", "a.dump"]).expect(0);
    assert_ne!(fs::read(&file).unwrap(), b"precious");
    manage(&server, &["export", "no/such/folder/a.dump"])
        .expect(1)
        .says("no/such/folder");
    let is_left = |name: &str| name.ends_with(".part");
    assert!(!names_in(server.folder()).iter().any(|name| is_left(name)));
}

#[test]
fn incomplete_dump_changes_nothing() {
    let server = Setup::new().start();
    populate(&server);
    manage(&server, &["export", "whole.dump"]).expect(0);
    let whole = fs::read_to_string(server.folder().join("whole.dump")).unwrap();
    let other = prepared(Setup::new());
    let without_end = whole.trim_end().rsplit_once('\n').unwrap().0;
    for (text, reason) in [
        (&whole[..whole.len() - 1], "truncated after 5 images"),
        (without_end, "truncated after 4 images"),
        (&whole.replace("Größe", "Grösse"), "checksum"),
        ("{}\n", "not a dump"),
        ("", "not a dump"),
    ] {
        fs::write(other.folder().join("bad.dump"), text).unwrap();
        manage(&other, &["import", "bad.dump"])
            .expect(1)
            .says("bad.dump")
            .says(reason);
    }
    // The registry was not opened by the failed imports, and reading does not create it.
    manage(&other, &["export", "empty.dump"])
        .expect(1)
        .says("no registry found in");
    assert!(!other.data_dir().join("registry").exists());
}

#[test]
fn refused_image_is_named_and_others_are_imported() {
    let server = prepared(Setup::new());
    let mut images = many(&server, 3);
    let large = "x".repeat(60_000);
    images[1]["properties"]["large"] = Value::from(large.as_str());
    images[1]["name"] = Value::from("ü".repeat(3_000));
    write_dump(&server.folder().join("odd.dump"), &images);
    let refused = manage(&server, &["import", "odd.dump"]).expect(1);
    let said = refused.says(images[1]["id"].as_str().unwrap());
    said.says("2 new").says("1 images were not imported");
}

#[test]
fn checksum_with_control_characters_is_refused_with_its_line() {
    let server = prepared(Setup::new());
    let mut images = many(&server, 2);
    images[1]["checksum"] = Value::from("x");
    let mut texts: Vec<String> = images.iter().map(in_order).collect();
    let sound = "\"checksum\":\"x\"";
    assert!(texts[1].contains(sound), "{}", texts[1]);
    texts[1] = texts[1].replace(sound, "\"checksum\":\"x\\r\\nX-Injected: yes\"");
    write_dump_of_texts(&server.folder().join("bad.dump"), &texts);
    manage(&server, &["import", "bad.dump"])
        .expect(1)
        .says("line 3")
        .says("control characters");
}

#[test]
fn killed_import_can_be_run_again() {
    let mut server = prepared(Setup::new());
    write_dump(&server.folder().join("many.dump"), &many(&server, MANY));
    let journal = server.data_dir().join("registry/journal");
    let mut was_cut = 0;
    for commits in 1..=3 {
        let mut load = command(&server, &["import", "many.dump"]).spawn().unwrap();
        let wanted = size_of(&journal) + commits * 50_000;
        within(Duration::from_secs(60), "something is written", || {
            size_of(&journal) > wanted || load.try_wait().unwrap().is_some()
        });
        let _ = load.kill();
        was_cut += usize::from(!load.wait().unwrap().success());
    }
    assert!(was_cut > 0, "every import had ended before it was killed");
    manage(&server, &["import", "many.dump"])
        .expect(0)
        .says(" there already");
    manage(&server, &["import", "many.dump"])
        .expect(0)
        .says(&format!("{MANY} there already"));
    server.start();
    let first = format!("{:032x}", 1);
    assert_eq!(server.detail_of(&first)["name"], "image 1");
    manage(&server, &["export", "again.dump"]).expect(0);
    let dump = |name: &str| fs::read(server.folder().join(name)).unwrap();
    assert_eq!(dump("again.dump"), dump("many.dump"));
}

/// Creates images in the form of a dump, after the example of one in a real dump.
fn many(server: &Server, count: usize) -> Vec<Value> {
    let mut template = Setup::new().start();
    template.create(&[]);
    template.stop();
    manage(&template, &["export", "template.dump"]).expect(0);
    let file = template.folder().join("template.dump");
    let text = fs::read_to_string(&file).unwrap();
    fs::rename(&file, server.folder().join("template.dump")).unwrap();
    let line = text.lines().nth(1).expect("an image");
    let image: Value = serde_json::from_str(line).unwrap();
    let numbered = |number| {
        let mut image = image["image"].clone();
        image["id"] = Value::from(format!("{number:032x}"));
        image["name"] = Value::from(format!("image {number}"));
        image
    };
    (1..=count).map(numbered).collect()
}

fn write_dump(path: &Path, images: &[Value]) {
    let images: Vec<String> = images.iter().map(in_order).collect();
    write_dump_of_texts(path, &images);
}

fn write_dump_of_texts(path: &Path, images: &[String]) {
    let template = fs::read_to_string(path.with_file_name("template.dump")).unwrap();
    let header = template.lines().next().expect("a header");
    let mut text = format!("{header}\n");
    for image in images {
        text.push_str(&format!("{{\"image\":{image}}}\n"));
    }
    let (count, crc) = (images.len(), crc32c::crc32c(text.as_bytes()));
    text.push_str(&format!(
        "{{\"end\":{{\"images\":{count},\"crc32c\":\"{crc:08x}\"}}}}\n"
    ));
    fs::write(path, text).unwrap();
}

/// Returns the image with the fields in the order of the program.
fn in_order(image: &Value) -> String {
    serde_json::from_value::<glance::image::Image>(image.clone())
        .map(|image| serde_json::to_string(&image).unwrap())
        .unwrap()
}

fn size_of(file: &Path) -> u64 {
    fs::metadata(file).map_or(0, |metadata| metadata.len())
}

fn names_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap().flatten();
    let name = |entry: fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
    entries.map(name).collect()
}

#[cfg(not(feature = "legacy-sql"))]
#[test]
fn load_legacy_without_sql_drivers_names_the_feature() {
    let server = prepared(Setup::new());
    manage(&server, &["load-legacy", "sqlite:/x"])
        .expect(1)
        .says("--features legacy-sql");
}
