//! Where data lives and how it is written.

use std::path::PathBuf;
use std::time::Duration;

use super::store_names::store_named;
use crate::config::declare::options;
use crate::config::value_types::{Choice, FileMode, FilePath, Flag, Int, SecondsOrOff, Words};

/// What reads and writes files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IoBackend {
    /// `io_uring` where the kernel allows it, else threads.
    Auto,
    /// `io_uring`; no start without it.
    Uring,
    /// A pool of threads.
    Threads,
}

/// How an upload reaches the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreIo {
    /// Past the page cache where the file system can, else through it.
    Auto,
    /// Past the page cache; no start where the file system cannot.
    Direct,
    /// Through the page cache.
    Buffered,
}

options! {
    /// The data folder and the engine that moves bytes.
    pub struct DataConfig, "DEFAULT", "Data";

    /// Folder under which the registry and the images live, unless an option of their own says otherwise.
    /// It is created. A relative path starts at the folder that the server is started in.
    data_dir: PathBuf = "/var/lib/glance", FilePath;
    /// What reads and writes files: uring (io_uring; no start without it), threads (works everywhere), or auto
    /// (io_uring where the kernel allows it, else threads).
    io_backend: IoBackend = "auto", Choice(&[
        ("auto", IoBackend::Auto),
        ("uring", IoBackend::Uring),
        ("threads", IoBackend::Threads),
    ]);
    /// Bytes of one upload that may be in memory on their way to the disk. upload_memory bounds those of all
    /// uploads together.
    upload_window_size: usize = "2097152", Int::<usize>::new(262_144, 1 << 30, "bytes");
    /// Memory of all uploads to the file store together, beside 320 KiB for each of them (a block that its client is
    /// filling, and a small buffer of its connection). Two thirds are for data on their way to hash and disk, one third
    /// for larger buffers of connections. Past it uploads wait for one another. Other stores have limits of their own.
    upload_memory: usize = "201326592", Int::<usize>::new(3 << 20, 1 << 40, "bytes");
    /// Whether image data that come from another server (http, s3, swift) are compared with the image's checksum on
    /// their way to a client. The last bytes are kept back until it fits, and the connection is cut when it does not.
    verify_downloads: bool = "true", Flag;
    /// Time from the beginning of one comparison of all stored files and cached images with their checksums to that of
    /// the next. An image whose file is wrong is not served until it is right again; a cached image that is wrong is
    /// fetched again. 0 = no comparison.
    verify_interval: Option<Duration> = "604800", SecondsOrOff { max: 31_536_000 };
    /// Most bytes that are read for it in a second. 0 = no comparison.
    verify_rate: u64 = "16777216", Int::<u64>::new(0, 1 << 40, "bytes");
    /// Threads for file operations that may block, in the whole process.
    blocking_threads: usize = "8", Int::<usize>::new(1, 512, "");
    /// Threads that compute checksums of uploads. 0 = one for each core.
    hash_threads: usize = "0", Int::<usize>::new(0, 1_024, "");
}

impl DataConfig {
    /// Memory of all data that are on their way to hash and disk, in bytes.
    pub fn blocks_memory_bytes(&self) -> usize {
        self.upload_memory - self.read_memory_bytes()
    }

    /// Memory of all large buffers of connections, in bytes.
    pub fn read_memory_bytes(&self) -> usize {
        self.upload_memory / 3
    }
}

options! {
    /// The store of image data.
    pub struct StoreConfig, "glance_store", "Image store";

    /// Store that new images go to, one of stores. Of Glance's this release has file, http (which takes no images), s3
    /// and swift.
    default_store: &'static str = "file", Choice(&[
        ("file", "file"),
        ("filesystem", "file"),
        ("http", "http"),
        ("s3", "s3"),
        ("s3+http", "s3"),
        ("s3+https", "s3"),
        ("swift", "swift"),
        ("swift+http", "swift"),
        ("swift+https", "swift"),
    ]), also [
        ("DEFAULT", "default_store"),
    ];
    /// Stores that are in use. The default store must be among them; where nothing is said here, it is in use too.
    stores: Vec<String> = "file,http", Words, also [("DEFAULT", "known_stores")];
    /// Folder that image data is kept in, one file an image. It is created. Uploads are written to a hidden
    /// folder inside it and renamed when they are complete, so it must be one file system.
    filesystem_store_datadir: PathBuf = "$data_dir/images", FilePath, also [
        ("DEFAULT", "filesystem_store_datadir"),
    ];
    /// Permissions of an image's file, exactly these whatever the umask. Glance's default is 0. Here other users
    /// of the machine cannot read images unless told otherwise.
    filesystem_store_file_perm: Option<u32> = "0640", FileMode;
    /// How uploads reach the disk: direct (past the page cache; no start where the file system cannot), buffered
    /// (through it), or auto (direct where the file system can).
    filesystem_store_io: StoreIo = "auto", Choice(&[
        ("auto", StoreIo::Auto),
        ("direct", StoreIo::Direct),
        ("buffered", StoreIo::Buffered),
    ]);
}

impl StoreConfig {
    /// Whether a store is in use, by its one name here: file, http, s3, swift.
    pub fn has(&self, store: &str) -> bool {
        self.stores
            .iter()
            .any(|name| store_named(name) == Some(store))
    }
}
