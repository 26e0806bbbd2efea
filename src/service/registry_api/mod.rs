//! The verbs of a registry server (`glance-registry`), which keeps records and no image data.

mod documents;
mod images;
mod records;
