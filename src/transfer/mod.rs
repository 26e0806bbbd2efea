//! Bytes in motion: what the node does to image data between two places.

pub mod md5;
