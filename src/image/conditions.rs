//! Conditional requests (RFC 9110, section 13): evaluation of conditions against an image.
//! `wire/conditions.rs` parses the headers.

use super::Image;

/// An entity tag as a request names it (RFC 9110, 8.8.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntityTag {
    /// The tag without its quotes.
    pub opaque: Box<str>,
    /// True if it is marked with `W/`.
    pub is_weak: bool,
}

/// The tags of `If-Match` or `If-None-Match`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntityTags {
    /// `*`: any representation.
    Any,
    /// A list, possibly empty.
    Listed(Vec<EntityTag>),
}

/// The conditions of a request; without any, every request proceeds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conditions {
    /// `If-Match`.
    pub if_match: Option<EntityTags>,
    /// `If-None-Match`.
    pub if_none_match: Option<EntityTags>,
    /// `If-Modified-Since`, in seconds since 1970.
    pub if_modified_since_s: Option<i64>,
    /// `If-Unmodified-Since`, in seconds since 1970.
    pub if_unmodified_since_s: Option<i64>,
}

/// The validators of an image's current representation (RFC 9110, 8.8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validators<'a> {
    /// The entity tag, which is the image's checksum; `None` without a checksum.
    pub etag: Option<&'a str>,
    /// The time of the last modification, in whole seconds since 1970.
    pub modified_s: i64,
}

/// The outcome of conditions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConditionResult {
    /// The request proceeds.
    Proceed,
    /// The client of a GET or HEAD has the current representation already.
    NotModified,
    /// A condition is false: the request has no effect.
    Failed,
}

impl<'a> Validators<'a> {
    /// Returns the validators of an image.
    ///
    /// `updated_at` in whole seconds is a valid modification time: the data of an active image
    /// never change, and `updated_at` changes when they arrive. If an image changes twice within
    /// one second, it either had no data before the second change or has the same data after it.
    pub fn of(image: &'a Image) -> Self {
        Self {
            etag: image.checksum.as_ref().map(|checksum| checksum.as_str()),
            modified_s: image.updated_at.as_micros().div_euclid(1_000_000),
        }
    }
}

impl EntityTags {
    /// Returns true if a tag equals the current one; weak tags never do (RFC 9110, 8.8.3.2).
    fn match_strongly(&self, etag: Option<&str>) -> bool {
        self.any(|tag| !tag.is_weak && Some(&*tag.opaque) == etag)
    }

    /// Returns true if a tag, weak or strong, equals the current one.
    fn match_weakly(&self, etag: Option<&str>) -> bool {
        self.any(|tag| Some(&*tag.opaque) == etag)
    }

    fn any(&self, is_match: impl Fn(&EntityTag) -> bool) -> bool {
        match self {
            EntityTags::Any => true,
            EntityTags::Listed(tags) => tags.iter().any(is_match),
        }
    }
}

impl Conditions {
    /// Evaluates the conditions of a GET or HEAD.
    pub fn evaluate_read(&self, current: Validators<'_>) -> ConditionResult {
        if !self.permit_modified(current) {
            return ConditionResult::Failed;
        }
        let is_known = match (&self.if_none_match, self.if_modified_since_s) {
            (Some(tags), _) => tags.match_weakly(current.etag),
            (None, Some(since_s)) => current.modified_s <= since_s,
            (None, None) => false,
        };
        if is_known {
            ConditionResult::NotModified
        } else {
            ConditionResult::Proceed
        }
    }

    /// Returns true if a request may change the image.
    pub fn permits_change(&self, current: Validators<'_>) -> bool {
        let tags = self.if_none_match.as_ref();
        self.permit_modified(current) && !tags.is_some_and(|tags| tags.match_weakly(current.etag))
    }

    /// Returns true if a request may change a resource without validators. Clients do not know an
    /// entity tag of such a resource, so a tag that they send cannot equal it.
    pub fn permits_unvalidated_change(&self) -> bool {
        !matches!(self.if_match, Some(EntityTags::Listed(_)))
    }

    /// Evaluates `If-Match`, or `If-Unmodified-Since` if that is absent (RFC 9110, 13.2.2).
    fn permit_modified(&self, current: Validators<'_>) -> bool {
        match (&self.if_match, self.if_unmodified_since_s) {
            (Some(tags), _) => tags.match_strongly(current.etag),
            (None, Some(since_s)) => current.modified_s <= since_s,
            (None, None) => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CURRENT: Validators<'static> = Validators {
        etag: Some("abc"),
        modified_s: 100,
    };

    fn tags(is_weak: bool, opaque: &str) -> Option<EntityTags> {
        let opaque = opaque.into();
        Some(EntityTags::Listed(vec![EntityTag { opaque, is_weak }]))
    }

    #[test]
    fn if_match_compares_strongly_and_precedes_dates() {
        let conditions = |if_match| Conditions {
            if_match,
            if_unmodified_since_s: Some(1),
            ..Conditions::default()
        };
        for (if_match, permits) in [
            (Some(EntityTags::Any), true),
            (tags(false, "abc"), true),
            (tags(true, "abc"), false),
            (tags(false, "x"), false),
            (Some(EntityTags::Listed(Vec::new())), false),
            (None, false),
        ] {
            let conditions = conditions(if_match);
            assert_eq!(
                conditions.permits_change(CURRENT),
                permits,
                "{conditions:?}"
            );
        }
        let unmodified = Conditions {
            if_unmodified_since_s: Some(100),
            ..Conditions::default()
        };
        assert!(unmodified.permits_change(CURRENT));
    }

    #[test]
    fn if_none_match_compares_weakly_and_precedes_dates() {
        let conditions = |if_none_match| Conditions {
            if_none_match,
            if_modified_since_s: Some(100),
            ..Conditions::default()
        };
        for (if_none_match, is_known) in [
            (Some(EntityTags::Any), true),
            (tags(true, "abc"), true),
            (tags(false, "abc"), true),
            (tags(false, "x"), false),
        ] {
            let conditions = conditions(if_none_match);
            assert_eq!(conditions.permits_change(CURRENT), !is_known);
            let verdict = conditions.evaluate_read(CURRENT);
            assert_eq!(
                verdict == ConditionResult::NotModified,
                is_known,
                "{conditions:?}"
            );
        }
        // A date alone makes no change fail.
        assert!(conditions(None).permits_change(CURRENT));
        assert_eq!(
            conditions(None).evaluate_read(CURRENT),
            ConditionResult::NotModified
        );
    }

    #[test]
    fn a_failed_condition_precedes_a_known_representation() {
        let conditions = Conditions {
            if_match: tags(false, "x"),
            if_none_match: tags(false, "abc"),
            ..Conditions::default()
        };
        assert_eq!(conditions.evaluate_read(CURRENT), ConditionResult::Failed);
    }
}
