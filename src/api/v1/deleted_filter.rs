//! Lists of images that are gone, for administrators: deleted ones, and those whose data wait
//! for the scrubber.

use crate::error::{Error, Kind, Result};
use crate::image::{Filter, Status, Timestamp};
use crate::service::ListRequest;

/// The parameter `deleted` of an administrator's list: deleted images alone (a true word),
/// with the others (`none`), or not at all. Whether it names any that are gone.
///
/// # Errors
/// `Invalid` for another word.
pub(in crate::api) fn apply_deleted_filter(query: &str, list: &mut ListRequest) -> Result<bool> {
    let parameters = query.split('&').filter_map(|pair| pair.split_once('='));
    let mut said = parameters.rev().filter(|(name, _)| *name == "deleted");
    let Some((_, word)) = said.next() else {
        return Ok(false);
    };
    match word.to_ascii_lowercase().as_str() {
        "none" => {}
        "true" | "1" => {
            let gone = Status::ALL.into_iter().filter(|status| status.is_gone());
            let words = gone.map(|status| status.as_str().to_owned());
            list.filters.push(Filter::Status(words.collect()));
        }
        "false" | "0" => return Ok(false),
        _ => {
            let message =
                format!("Invalid value for deleted: true, false or none wanted, got {word}.");
            return Err(Error::new(Kind::Invalid, message));
        }
    }
    include_gone(list);
    Ok(true)
}

/// An administrator's list of the API. Without `deleted` it shows images that wait for the
/// scrubber when their status is asked for. Those images are shown whoever owns them, unless
/// the list says something about publicity. `deleted` is no parameter of Glance's v1 API, so
/// a word that is not understood is passed over as unknown parameters are.
pub(super) fn apply_gone_filter(query: &str, list: &mut ListRequest) {
    let mut names_gone = apply_deleted_filter(query, list).unwrap_or(false);
    let pending = Status::PendingDelete.as_str();
    let asks_for_pending = list.filters.iter().any(|filter| match filter {
        Filter::Status(words) => words.iter().any(|word| word == pending),
        _ => false,
    });
    if asks_for_pending {
        include_gone(list);
        names_gone = true;
    }
    if names_gone {
        list.is_public = list.is_public.or(Some(None));
    }
}

/// Without `changes-since` a list has no image that is gone.
fn include_gone(list: &mut ListRequest) {
    let ever = Timestamp::from_micros(i64::MIN);
    list.changes_since = list.changes_since.or(Some(ever));
}
