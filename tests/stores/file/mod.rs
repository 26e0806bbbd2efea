//! Images in files, where the file system or the registry is not as usual.

mod fuse;
mod occupied;
