//! Images in files, on unusual file systems or with a lost registry.

mod fuse;
mod occupied;
