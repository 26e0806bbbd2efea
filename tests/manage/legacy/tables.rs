//! The tables of old registries, as `glance-manage db_sync` makes them, and rows as the API
//! puts them there.

use std::path::Path;

pub const ACTIVE: &str = "71c675ab-d94f-49cd-a114-e12490b328d9";
pub const QUEUED: &str = "a2c675ab-d94f-49cd-a114-e12490b328d9";
pub const DELETED: &str = "b3c675ab-d94f-49cd-a114-e12490b328d9";
pub const KILLED: &str = "c4c675ab-d94f-49cd-a114-e12490b328d9";
pub const WAITING: &str = "d5c675ab-d94f-49cd-a114-e12490b328d9";

/// A registry of 2013 (Havana), with `is_public`. Truth values are quoted, which all three
/// databases understand. `STORE` stands for a folder.
const HAVANA: &str = "
CREATE TABLE images (
    id VARCHAR(36) NOT NULL, name VARCHAR(255), size BIGINT, status VARCHAR(30) NOT NULL,
    is_public BOOLEAN NOT NULL, created_at DATETIME NOT NULL, updated_at DATETIME,
    deleted_at DATETIME, deleted BOOLEAN NOT NULL, disk_format VARCHAR(20),
    container_format VARCHAR(20), checksum VARCHAR(32), owner VARCHAR(255),
    min_disk INTEGER NOT NULL, min_ram INTEGER NOT NULL, protected BOOLEAN, PRIMARY KEY (id));
CREATE TABLE image_locations (
    id INTEGER NOT NULL, image_id VARCHAR(36) NOT NULL, value TEXT NOT NULL,
    created_at DATETIME NOT NULL, updated_at DATETIME, deleted_at DATETIME,
    deleted BOOLEAN NOT NULL, meta_data TEXT, PRIMARY KEY (id),
    FOREIGN KEY(image_id) REFERENCES images (id));
CREATE TABLE image_properties (
    id INTEGER NOT NULL, image_id VARCHAR(36) NOT NULL, name VARCHAR(255) NOT NULL,
    value TEXT, created_at DATETIME NOT NULL, updated_at DATETIME, deleted_at DATETIME,
    deleted BOOLEAN NOT NULL, PRIMARY KEY (id));
CREATE TABLE image_members (
    id INTEGER NOT NULL, image_id VARCHAR(36) NOT NULL, member VARCHAR(255) NOT NULL,
    can_share BOOLEAN NOT NULL, created_at DATETIME NOT NULL, updated_at DATETIME,
    deleted_at DATETIME, deleted BOOLEAN NOT NULL, status VARCHAR(20) NOT NULL,
    PRIMARY KEY (id));
INSERT INTO images VALUES
 ('71c675ab-d94f-49cd-a114-e12490b328d9', 'Größe', 4, 'active', '1', '2013-10-17 10:11:12.000013',
  '2013-10-17 10:11:13.500000', NULL, '0', 'raw', 'bare', '8d777f385d3dfec8815d20f7496026dc',
  'tenant', 1, 512, '1'),
 ('a2c675ab-d94f-49cd-a114-e12490b328d9', NULL, NULL, 'queued', '0', '2013-10-18 10:11:12',
  NULL, NULL, '0', NULL, NULL, NULL, NULL, 0, 0, '0'),
 ('b3c675ab-d94f-49cd-a114-e12490b328d9', 'gone', 9, 'deleted', '0', '2013-10-18 10:11:12',
  '2013-10-19 10:11:12', '2013-10-19 10:11:12', '1', 'raw', 'bare', NULL, 'tenant', 0, 0, '0'),
 ('c4c675ab-d94f-49cd-a114-e12490b328d9', 'broke', 9, 'killed', '0', '2013-10-18 10:11:12',
  '2013-10-18 10:11:13', NULL, '0', 'raw', 'bare', NULL, 'tenant', 0, 0, '0'),
 ('d5c675ab-d94f-49cd-a114-e12490b328d9', 'waits', 5, 'pending_delete', '1',
  '2013-10-18 10:11:12', '2013-10-20 10:11:12.000001', '2013-10-20 10:11:12.000001', '1', 'raw',
  'bare', NULL, 'tenant', 0, 0, '0');
INSERT INTO image_locations VALUES
 (1, '71c675ab-d94f-49cd-a114-e12490b328d9', 'file:///old/place', '2013-10-17', NULL,
  '2013-10-18', '1', '{}'),
 (2, '71c675ab-d94f-49cd-a114-e12490b328d9',
  'file://STORE/71c675ab-d94f-49cd-a114-e12490b328d9', '2013-10-17', NULL, NULL, '0', '{}'),
 (3, 'b3c675ab-d94f-49cd-a114-e12490b328d9', 'file:///old/gone', '2013-10-17', NULL,
  '2013-10-19 10:11:12', '1', '{}'),
 (4, 'd5c675ab-d94f-49cd-a114-e12490b328d9',
  'file://STORE/d5c675ab-d94f-49cd-a114-e12490b328d9', '2013-10-17', NULL,
  '2013-10-20 10:11:12.000001', '1', '{}');
INSERT INTO image_properties VALUES
 (1, '71c675ab-d94f-49cd-a114-e12490b328d9', 'os', 'linux', '2013-10-17', NULL, NULL, '0'),
 (2, '71c675ab-d94f-49cd-a114-e12490b328d9', 'lines', 'a: b', '2013-10-17', NULL, NULL, '0'),
 (3, '71c675ab-d94f-49cd-a114-e12490b328d9', 'was', 'here', '2013-10-17', NULL, '2013-10-18',
  '1'),
 (4, '71c675ab-d94f-49cd-a114-e12490b328d9', 'empty', NULL, '2013-10-17', NULL, NULL, '0'),
 (5, 'd5c675ab-d94f-49cd-a114-e12490b328d9', 'os', 'linux', '2013-10-17', NULL,
  '2013-10-20 10:11:12.000001', '1'),
 (6, 'd5c675ab-d94f-49cd-a114-e12490b328d9', 'was', 'here', '2013-10-17', NULL, '2013-10-19',
  '1');
INSERT INTO image_members VALUES
 (1, '71c675ab-d94f-49cd-a114-e12490b328d9', 'friend', '1', '2013-10-17', NULL, NULL, '0',
  'pending'),
 (2, '71c675ab-d94f-49cd-a114-e12490b328d9', 'former', '0', '2013-10-17', NULL, '2013-10-18',
  '1', 'pending');
";

/// A registry of 2018 (Queens), with `visibility`, and with what only version 2 of the API has.
const QUEENS: &str = "
CREATE TABLE images (
    id VARCHAR(36) NOT NULL, name VARCHAR(255), size BIGINT, status VARCHAR(30) NOT NULL,
    created_at DATETIME NOT NULL, updated_at DATETIME, deleted_at DATETIME,
    deleted BOOLEAN NOT NULL, disk_format VARCHAR(20), container_format VARCHAR(20),
    checksum VARCHAR(32), owner VARCHAR(255), min_disk INTEGER NOT NULL,
    min_ram INTEGER NOT NULL, protected BOOLEAN NOT NULL DEFAULT '0', virtual_size BIGINT,
    visibility VARCHAR(9) NOT NULL DEFAULT 'shared', os_hidden BOOLEAN NOT NULL DEFAULT '0',
    os_hash_algo VARCHAR(64), os_hash_value VARCHAR(128), PRIMARY KEY (id));
CREATE TABLE image_locations (
    id INTEGER NOT NULL, image_id VARCHAR(36) NOT NULL, value TEXT NOT NULL,
    created_at DATETIME NOT NULL, updated_at DATETIME, deleted_at DATETIME,
    deleted BOOLEAN NOT NULL, meta_data TEXT, status VARCHAR(30) NOT NULL DEFAULT 'active',
    PRIMARY KEY (id));
CREATE TABLE image_properties (
    id INTEGER NOT NULL, image_id VARCHAR(36) NOT NULL, name VARCHAR(255) NOT NULL,
    value TEXT, created_at DATETIME NOT NULL, updated_at DATETIME, deleted_at DATETIME,
    deleted BOOLEAN NOT NULL, PRIMARY KEY (id));
CREATE TABLE image_members (
    id INTEGER NOT NULL, image_id VARCHAR(36) NOT NULL, member VARCHAR(255) NOT NULL,
    can_share BOOLEAN NOT NULL, created_at DATETIME NOT NULL, updated_at DATETIME,
    deleted_at DATETIME, deleted BOOLEAN NOT NULL, status VARCHAR(20) NOT NULL DEFAULT 'pending',
    PRIMARY KEY (id));
CREATE TABLE image_tags (
    id INTEGER NOT NULL, image_id VARCHAR(36) NOT NULL, value VARCHAR(255) NOT NULL,
    created_at DATETIME NOT NULL, updated_at DATETIME, deleted_at DATETIME,
    deleted BOOLEAN NOT NULL, PRIMARY KEY (id));
";

pub fn havana(store: &Path) -> String {
    HAVANA.replace("STORE", store.to_str().expect("a path"))
}

/// A registry of early 2011 (Bexar): images have numbers, properties keys, and the location stands
/// in `images`.
pub const BEXAR: &str = "
CREATE TABLE images (
    id INTEGER NOT NULL, name VARCHAR(255), type VARCHAR(30), size INTEGER,
    status VARCHAR(30) NOT NULL, is_public BOOLEAN NOT NULL, location TEXT,
    created_at DATETIME NOT NULL, updated_at DATETIME, deleted_at DATETIME,
    deleted BOOLEAN NOT NULL, PRIMARY KEY (id));
CREATE TABLE image_properties (
    id INTEGER NOT NULL, image_id INTEGER NOT NULL, key VARCHAR(255) NOT NULL, value TEXT,
    created_at DATETIME NOT NULL, updated_at DATETIME, deleted_at DATETIME,
    deleted BOOLEAN NOT NULL, PRIMARY KEY (id), UNIQUE (image_id, key));
INSERT INTO images VALUES
 (1, 'first', 'kernel', 7, 'active', 1, 'file:///x/1', '2011-02-03 04:05:06.000007', NULL, NULL,
  0),
 (2, 'second', NULL, 8, 'available', 0, 'swift://a:CANARY@h/2', '2011-02-03', NULL, NULL, 0);
INSERT INTO image_properties VALUES
 (1, 1, 'arch', 'x86_64', '2011-02-03', NULL, NULL, 0);
";

/// Images of 2018, numbered from 0.
pub fn queens(images: &[QueensImage]) -> String {
    let mut sql = QUEENS.to_owned();
    for (number, image) in images.iter().enumerate() {
        let QueensImage {
            status,
            visibility,
            locations,
            is_odd,
        } = image;
        let (id, odd) = (queens_id(number), u8::from(*is_odd));
        let is_gone = matches!(*status, "pending_delete" | "deleted");
        let (gone, when) = match is_gone {
            true => ('1', "'2018-05-06 07:08:09.000001'"),
            false => ('0', "NULL"),
        };
        sql.push_str(&format!(
            "INSERT INTO images (id, name, size, status, created_at, updated_at, deleted_at, \
             deleted, min_disk, min_ram, virtual_size, visibility, os_hidden) VALUES ('{id}', \
             'image {number}', 4, '{status}', '2018-05-06 07:08:09.000001', NULL, {when}, \
             '{gone}', 0, 0, 8, '{visibility}', '{odd}');\n"
        ));
        sql.push_str(&format!(
            "INSERT INTO image_properties VALUES ({number}, '{id}', 'key', 'value', \
             '2018-05-06', NULL, {when}, '{gone}');\n"
        ));
        if *is_odd {
            sql.push_str(&format!(
                "INSERT INTO image_tags VALUES ({number}, '{id}', 'tag', '2018-05-06', NULL, \
                 NULL, '0');\n\
                 INSERT INTO image_members VALUES ({number}, '{id}', 'friend', '1', \
                 '2018-05-06', NULL, NULL, '0', 'accepted');\n"
            ));
        }
        for (place, location) in locations.iter().enumerate() {
            let row = number * 10 + place;
            let state = if is_gone { *status } else { "active" };
            sql.push_str(&format!(
                "INSERT INTO image_locations VALUES ({row}, '{id}', '{location}', \
                 '2018-05-06', NULL, {when}, '{gone}', '{{}}', '{state}');\n"
            ));
        }
    }
    sql
}

pub fn queens_id(number: usize) -> String {
    format!("00000000-0000-4000-8000-{number:012}")
}

/// An image of 2018.
pub struct QueensImage {
    pub status: &'static str,
    pub visibility: &'static str,
    pub locations: Vec<String>,
    /// Hidden, with a tag and a member.
    pub is_odd: bool,
}

/// Images of 2018 of every kind; the last of them cannot be taken over.
pub fn queens_of_all_kinds() -> [QueensImage; 8] {
    let image = |status, visibility, locations: &[&str], is_odd| QueensImage {
        status,
        visibility,
        locations: locations.iter().map(|uri| (*uri).to_owned()).collect(),
        is_odd,
    };
    let several = ["rbd://CANARY/1", "file:///x/1", "s3://CANARY/1"];
    [
        image("active", "public", &["file:///x/0"], false),
        image("active", "shared", &several, false),
        image("active", "community", &["file:///x/2"], false),
        image("active", "private", &["file:///x/3"], true),
        image("importing", "shared", &[], false),
        image("pending_delete", "shared", &["file:///x/5"], false),
        image("deactivated", "public", &["rbd://CANARY/6"], false),
        image("teapot", "public", &["file:///x/7"], false),
    ]
}
