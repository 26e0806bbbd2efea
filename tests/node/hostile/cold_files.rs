//! Files on a slow file system that does not report what is in memory. FUSE, like overlayfs and
//! network file systems, refuses reads that do not wait (RWF_NOWAIT).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::bytes::Chance;
use crate::support::guarded::Guarded;
use crate::support::http::Request;
use crate::support::process::is_root;
use crate::support::server::Setup;
use crate::support::setup::temp_folder;
use crate::support::skip;
use crate::support::v1::image_path;

/// Bytes per second that the slow file system reads.
const RATE_BYTES: u64 = 1 << 20;
const SMALL_BYTES: usize = 100_000;
const LARGE_BYTES: usize = 8 << 20;

/// A worker that reads a window of the large file itself is blocked for 4 s.
const AT_ONCE: Duration = Duration::from_secs(2);

/// A folder mounted with bindfs, which passes every call on to the real files.
struct PassThrough {
    folder: PathBuf,
    daemon: Guarded,
}

impl PassThrough {
    /// Mounts bindfs over a folder, whose files are moved aside. Returns the reason if this
    /// machine does not support it.
    fn over(folder: &Path) -> Result<Self, String> {
        let aside = folder.with_extension("aside");
        fs::rename(folder, &aside).expect("the folder is moved aside");
        fs::create_dir(folder).expect("a folder");
        let daemon = Command::new("bindfs")
            .args(["-f", "--multithreaded"])
            .arg(format!("--read-rate={RATE_BYTES}"))
            .args([&aside, folder])
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("bindfs cannot be started: {error}"))?;
        let mut shown = Self {
            folder: folder.to_owned(),
            daemon: Guarded::child(daemon, None),
        };
        while fs::read_dir(folder).is_ok_and(|mut files| files.next().is_none()) {
            if let Some(status) = shown.daemon.try_wait() {
                let by = if is_root() { "root" } else { "anyone but root" };
                return Err(format!("FUSE cannot be mounted here by {by}: {status}"));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(shown)
    }
}

impl Drop for PassThrough {
    fn drop(&mut self) {
        let mut unmount = Command::new("fusermount3");
        // Fails if it is no longer mounted.
        let _ = unmount.arg("-u").arg("-z").arg(&self.folder).status();
        self.daemon.kill();
    }
}

#[test]
fn cold_file_on_fuse_delays_no_other_request() {
    let folder = temp_folder();
    let images = folder.path().join("images");
    let setup = Setup::new().store_dir(&images).option("workers", 1);
    let mut node = setup.start();
    let (small, large) = (
        Chance::new(1).bytes(SMALL_BYTES),
        Chance::new(2).bytes(LARGE_BYTES),
    );
    let (warm_id, cold_id) = (node.upload(&[], &small), node.upload(&[], &large));
    node.stop();
    let _shown = match PassThrough::over(&images) {
        Ok(shown) => shown,
        Err(why) => return skip("a cold file of FUSE", &why),
    };
    node.start();
    assert!(node.download(&warm_id).expect(200).body == small);

    let mut reader = node.connect();
    let request = Request::get(&image_path(&cold_id));
    reader.send(&request).expect("sent");
    assert_eq!(reader.read_head().expect("a head").status, 200);
    // Gives the server time to begin with the file.
    std::thread::sleep(Duration::from_millis(200));
    for _ in 0..3 {
        let began = Instant::now();
        node.head(&warm_id).expect(200);
        assert!(began.elapsed() < AT_ONCE, "HEAD: {:?}", began.elapsed());
        let began = Instant::now();
        assert!(node.download(&warm_id).expect(200).body == small);
        assert!(began.elapsed() < AT_ONCE, "GET: {:?}", began.elapsed());
    }
    assert!(reader.read_bytes(LARGE_BYTES).expect("bytes") == large);
    node.stop();
}
