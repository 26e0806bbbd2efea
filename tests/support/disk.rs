//! A small disk for a test: ext4 on a file, through a loop device. Needs root.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::process::is_root;
use super::setup::temp_folder;

/// `EXT4_IOC_SHUTDOWN`, from the kernel's fs/ext4/ext4.h: `_IOR('X', 125, __u32)`.
const EXT4_IOC_SHUTDOWN: libc::c_ulong = 0x8004_587d;
/// Flag: do not write the journal, as in a power failure.
const NOLOGFLUSH: u32 = 2;

/// A mounted disk. Dropping it unmounts and removes it.
pub struct Disk {
    folder: TempDir,
    mounted: bool,
}

impl Disk {
    /// Creates a file system of this size, or returns the reason why this machine cannot.
    pub fn new(size_bytes: u64) -> Result<Self, String> {
        if !is_root() {
            return Err("loop devices need root".to_owned());
        }
        let folder = temp_folder();
        let image = folder.path().join("disk");
        File::create(&image)
            .and_then(|file| file.set_len(size_bytes))
            .map_err(|error| error.to_string())?;
        std::fs::create_dir(folder.path().join("mnt")).map_err(|error| error.to_string())?;
        run(Command::new("mkfs.ext4")
            .args(["-q", "-F", "-m", "0"])
            .arg(&image))?;
        let mut disk = Self {
            folder,
            mounted: false,
        };
        disk.mount()?;
        Ok(disk)
    }

    /// Returns the mount point.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("mnt")
    }

    fn image(&self) -> PathBuf {
        self.folder.path().join("disk")
    }

    pub fn mount(&mut self) -> Result<(), String> {
        let (image, path) = (self.image(), self.path());
        run(Command::new("mount")
            .args(["-o", "loop"])
            .arg(image)
            .arg(path))?;
        self.mounted = true;
        Ok(())
    }

    pub fn unmount(&mut self) -> Result<(), String> {
        run(Command::new("umount").arg(self.path()))?;
        self.mounted = false;
        Ok(())
    }

    /// Simulates a power failure: data that are not on the disk are lost.
    pub fn cut_power(&self) -> io::Result<()> {
        let root = File::open(self.path())?;
        let how = NOLOGFLUSH;
        // SAFETY: a valid descriptor and a pointer to the number the request reads.
        let cut = unsafe { libc::ioctl(root.as_raw_fd(), EXT4_IOC_SHUTDOWN, &raw const how) };
        match cut {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Checks and repairs the unmounted file system, as a boot does.
    pub fn check(&self) -> Result<(), String> {
        // Exit code 1 means that errors were repaired, which is expected after a power failure.
        let status = Command::new("e2fsck")
            .args(["-f", "-p"])
            .arg(self.image())
            .output()
            .map_err(|error| format!("e2fsck: {error}"))?;
        match status.status.code() {
            Some(0 | 1) => Ok(()),
            _ => Err(format!(
                "e2fsck: {}",
                String::from_utf8_lossy(&status.stdout)
            )),
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.mounted
            && let Err(error) = self.unmount()
        {
            eprintln!("{} is still mounted: {error}", self.path().display());
        }
    }
}

fn run(command: &mut Command) -> Result<(), String> {
    let name = Path::new(command.get_program()).display().to_string();
    let output = command
        .output()
        .map_err(|error| format!("{name}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("{name}: {}", said.trim()))
}
