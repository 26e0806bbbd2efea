//! Options of the data folder, disk I/O and the file store.

use std::path::PathBuf;
use std::time::Duration;

use super::store_names::store_named;
use crate::config::declare::options;
use crate::config::value_types::{Choice, FileMode, FilePath, Flag, Int, SecondsOrOff, Words};

/// The engine that reads and writes files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IoBackend {
    /// `io_uring` where the kernel allows it, else threads.
    Auto,
    /// `io_uring`; the server does not start without it.
    Uring,
    /// A pool of threads.
    Threads,
}

/// How an upload is written to disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreIo {
    /// Past the page cache where the file system supports it, else through it.
    Auto,
    /// Past the page cache; the server does not start where the file system does not support it.
    Direct,
    /// Through the page cache.
    Buffered,
}

options! {
    /// The data folder, disk I/O, memory of uploads, and verification of stored data.
    pub struct DataConfig, "DEFAULT", "Data";

    /// Folder of the registry and of the images, unless registry_dir or filesystem_store_datadir
    /// name others. The server creates it. A relative path is resolved against the server's
    /// working directory.
    data_dir: PathBuf = "/var/lib/glance", FilePath;
    /// Engine for file reads and writes: uring (io_uring; the server does not start without it),
    /// threads (a pool of threads, works everywhere), or auto (io_uring where the kernel allows
    /// it, else threads). Set uring to notice when a container's seccomp profile forbids io_uring.
    io_backend: IoBackend = "auto", Choice(&[
        ("auto", IoBackend::Auto),
        ("uring", IoBackend::Uring),
        ("threads", IoBackend::Threads),
    ]);
    /// Data of one upload that may wait in memory to be written to disk. A larger window helps one
    /// upload on a disk with high latency. upload_memory bounds all uploads together.
    upload_window_size: usize = "2097152", Int::<usize>::new(262_144, 1 << 30, "bytes");
    /// Memory for all uploads to the file store together. Each upload needs 320 KiB in addition:
    /// one block that its client is filling and a small connection buffer. Two thirds of the value
    /// hold data that are being hashed and written, one third holds larger connection buffers.
    /// When it is used up, uploads wait for one another. Other stores have limits of their own.
    upload_memory: usize = "201326592", Int::<usize>::new(3 << 20, 1 << 40, "bytes");
    /// Compares image data that come from another server (http, s3, swift) with the image's
    /// checksum while they are sent to a client. The last bytes are held back until the checksum
    /// matches; if it does not match, the connection is cut. Turn it off only to save CPU when the
    /// source is trusted: about 0.3 CPU seconds for each GiB with many clients, 1.5 with a single
    /// one.
    verify_downloads: bool = "true", Flag;
    /// Time from the start of one verification pass to the start of the next. A pass compares all
    /// stored files and cached images with their checksums. An image whose file is damaged is not
    /// served until the file is repaired; a damaged cached image is fetched again. The default is
    /// a week; 0 turns verification off.
    verify_interval: Option<Duration> = "604800", SecondsOrOff { max: 31_536_000 };
    /// Largest amount of data that verification reads in a second, so that it does not disturb
    /// transfers. Raise it when a pass takes longer than verify_interval: the default reads about
    /// 10 TB in a week. 0 turns verification off.
    verify_rate: u64 = "16777216", Int::<u64>::new(0, 1 << 40, "bytes");
    /// Threads of the whole process for file operations that may block. Raise it when image data
    /// are on a network file system with high latency.
    blocking_threads: usize = "8", Int::<usize>::new(1, 512, "");
    /// Threads that compute the checksums of uploads. 0 starts one for each core.
    hash_threads: usize = "0", Int::<usize>::new(0, 1_024, "");
}

impl DataConfig {
    /// Returns the memory for data that are being hashed and written, in bytes.
    pub fn blocks_memory_bytes(&self) -> usize {
        self.upload_memory - self.read_memory_bytes()
    }

    /// Returns the memory for larger connection buffers, in bytes.
    pub fn read_memory_bytes(&self) -> usize {
        self.upload_memory / 3
    }
}

options! {
    /// The stores in use, and the file store.
    pub struct StoreConfig, "glance_store", "Image store";

    /// Store that receives new images; it must be one of stores. This release has file, http
    /// (which is read-only and takes no images), s3 and swift. A client can choose another store
    /// with x-image-meta-store.
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
    /// Stores that are in use. When this option is not set, the default store is in use as well.
    stores: Vec<String> = "file,http", Words, also [("DEFAULT", "known_stores")];
    /// Folder of the file store, with one file for each image. The server creates it. Uploads are
    /// written to a hidden folder inside it and renamed when they are complete, so the whole
    /// folder must be on one file system.
    filesystem_store_datadir: PathBuf = "$data_dir/images", FilePath, also [
        ("DEFAULT", "filesystem_store_datadir"),
    ];
    /// Permissions of an image's file, applied exactly, whatever the umask is. 0 leaves them to
    /// the umask, as in Glance. With the default, other users of the machine cannot read images.
    filesystem_store_file_perm: Option<u32> = "0640", FileMode;
    /// How uploads reach the disk: direct (past the page cache; the server does not start where
    /// the file system cannot do this), buffered (through the page cache), or auto (direct where
    /// the file system supports it). Direct writes keep uploads from evicting images that are
    /// being downloaded.
    filesystem_store_io: StoreIo = "auto", Choice(&[
        ("auto", StoreIo::Auto),
        ("direct", StoreIo::Direct),
        ("buffered", StoreIo::Buffered),
    ]);
}

impl StoreConfig {
    /// Returns true if a store is in use, given its canonical name: file, http, s3, swift.
    pub fn has(&self, store: &str) -> bool {
        self.stores
            .iter()
            .any(|name| store_named(name) == Some(store))
    }
}
