//! A FUSE pass-through, which has no `RENAME_NOREPLACE`, as NFS, CephFS and 9p.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::support::http::Request;
use crate::support::origin::Origin;
use crate::support::origin::content::Content;
use crate::support::server::Setup;
use crate::support::setup::temp_folder;
use crate::support::v1::{RAW, id_of, image_path, post, post_data};
use crate::support::{eventually, pattern, skip};

/// A folder that is mounted through bindfs.
struct Fuse(TempDir);

impl Fuse {
    /// Mounts the folder, or returns `None` if this machine has no bindfs or may not mount.
    fn mount(test: &str) -> Option<Self> {
        let fuse = Self(temp_folder());
        for folder in [fuse.behind(), fuse.path()] {
            std::fs::create_dir(folder).expect("a folder");
        }
        let mut bindfs = Command::new("bindfs");
        bindfs
            .arg("--no-allow-other")
            .args([fuse.behind(), fuse.path()]);
        match bindfs.output() {
            Ok(output) if output.status.success() => Some(fuse),
            Ok(output) => {
                skip(test, &String::from_utf8_lossy(&output.stderr));
                None
            }
            Err(error) => {
                skip(test, &format!("bindfs: {error}"));
                None
            }
        }
    }

    fn behind(&self) -> PathBuf {
        self.0.path().join("behind")
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("mounted")
    }
}

impl Drop for Fuse {
    fn drop(&mut self) {
        // Lazily, because the server may still have files open.
        let unmount = |program: &str| {
            let status = Command::new(program).arg("-uz").arg(self.path()).status();
            status.is_ok_and(|status| status.success())
        };
        let _ = unmount("fusermount3") || unmount("fusermount");
    }
}

fn names_in(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let names = entries.map(|entry| entry.expect("an entry").file_name());
    names
        .map(|name| name.to_string_lossy().into_owned())
        .collect()
}

#[test]
fn file_system_without_exclusive_renames_is_supported() {
    let Some(fuse) = Fuse::mount("file_system_without_exclusive_renames_is_supported") else {
        return;
    };
    let (images, cache) = (fuse.path().join("images"), fuse.path().join("cache"));
    let mut server = Setup::new()
        .store_dir(&images)
        .option_in("paste_deploy", "flavor", "caching")
        .option_in("import_filtering_opts", "allow_private_addresses", true)
        .option_in("import_filtering_opts", "allowed_ports", "")
        .option("image_cache_dir", cache.display())
        .option("image_cache_min_free", 0)
        .start();
    server.expect_log("names_by=link");
    for len in [5, 3_000_001] {
        let data = pattern(len, 1);
        let id = id_of(&server.request(&post_data(&[], &data)).expect(201));
        assert_eq!(names_in(&images.join(".staging")), [""; 0]);
        assert!(server.download(&id).expect(200).body == data);
        // An existing file is not replaced.
        server.restart();
        assert!(server.download(&id).expect(200).body == data);
        server.remove(&id).expect(200);
        server.await_nothing_stored(&id);
    }
    let origin = Origin::honest(Content::new(7, 2_000_000));
    let url = origin.url("/i");
    let located = post(RAW).headers(&[("x-image-meta-location", &url)]);
    let id = id_of(&server.request(&located).expect(201));
    assert!(server.download(&id).expect(200).body == origin.content.all());
    eventually("it is kept", || {
        let names = names_in(&cache);
        names.iter().any(|name| name.starts_with(&id)).then_some(())
    });
    let got = server.request(&Request::get(&image_path(&id))).expect(200);
    assert!(got.body == origin.content.all());
    assert_eq!(origin.count("GET"), 1);
    server.stop();
}
