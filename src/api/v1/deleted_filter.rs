//! Deleted images in lists of administrators: the parameter `deleted`, and the status filter
//! `pending_delete`.

use crate::error::{Error, Kind, Result};
use crate::image::{Filter, Status, Timestamp};
use crate::service::ListRequest;

/// Applies the parameter `deleted` to a list: only deleted images (a true word), deleted and other
/// images (`none`), or none of the deleted (a false word, the default). Returns true if the list
/// may contain deleted images.
///
/// # Errors
/// `Invalid` for another word.
pub(in crate::api) fn apply_deleted_filter(query: &str, list: &mut ListRequest) -> Result<bool> {
    let parameters = query.split('&').filter_map(|pair| pair.split_once('='));
    // Of a repeated parameter the last counts, as in `list_query`.
    let mut stated = parameters.rev().filter(|(name, _)| *name == "deleted");
    let Some((_, word)) = stated.next() else {
        return Ok(false);
    };
    match word.to_ascii_lowercase().as_str() {
        "none" => {}
        "true" | "1" => {
            let deleted = Status::ALL.into_iter().filter(|status| status.is_gone());
            let words = deleted.map(|status| status.as_str().to_owned());
            list.filters.push(Filter::Status(words.collect()));
        }
        "false" | "0" => return Ok(false),
        _ => {
            let message =
                format!("Invalid value for deleted: true, false or none wanted, got {word}.");
            return Err(Error::new(Kind::Invalid, message));
        }
    }
    include_deleted(list);
    Ok(true)
}

/// Applies `deleted` to an administrator's list of the v1 API, and includes images that wait for
/// the scrubber if the status filter names `pending_delete`. Deleted images of all owners are listed
/// unless the query has `is_public`. `deleted` is not a parameter of Glance's v1 API, so an
/// invalid word is ignored like an unknown parameter.
pub(super) fn apply_deleted_and_pending_filter(query: &str, list: &mut ListRequest) {
    let mut includes_deleted = apply_deleted_filter(query, list).unwrap_or(false);
    let pending = Status::PendingDelete.as_str();
    let asks_for_pending = list.filters.iter().any(|filter| match filter {
        Filter::Status(words) => words.iter().any(|word| word == pending),
        _ => false,
    });
    if asks_for_pending {
        include_deleted(list);
        includes_deleted = true;
    }
    if includes_deleted {
        // Without `is_public`, an administrator's list would have only public images and its own.
        list.is_public = list.is_public.or(Some(None));
    }
}

/// Makes the list include deleted images, which lists without `changes-since` leave out.
fn include_deleted(list: &mut ListRequest) {
    let earliest = Timestamp::from_micros(i64::MIN);
    list.changes_since = list.changes_since.or(Some(earliest));
}
