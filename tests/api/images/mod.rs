//! `/v1/images` and the paths below it.

mod conditions;
pub mod create;
mod create_fields;
mod create_formats;
mod damaged;
mod delete;
mod detail;
mod download;
mod download_ranges;
mod index;
mod index_filters;
mod index_order;
mod show;
mod update;
mod update_data;
mod upload;
mod upload_headers;
mod upload_limits;
mod upload_races;
