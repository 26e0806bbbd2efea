//! Tests of the verbs over a registry and a store in memory, which can fail on demand.

mod fakes;
mod lost_races;
mod upload_failure;
