//! Converts the rows of an old registry to an image, and collects what is lost.

mod data;

use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY};
use uuid::{Builder, Uuid, uuid};

pub(super) use self::data::ConversionContext;
use self::data::{Conversion, add_data};
use super::super::import_result::Loss;
use super::rows::{Deletion, LegacyImage, LegacyMember};
use crate::image::{
    Checksum, Image, ImageId, Member, MemberStatus, Properties, Status, Timestamp, Trashed,
    Visibility,
};
use crate::wire::has_property_header;

/// The namespace (RFC 9562, section 6.6) of images with numeric identifiers.
const NUMBERED_IMAGES: Uuid = uuid!("5f9d3c1e-6f0b-4d3c-9b1e-0d2a7c4e8b61");

/// Converts an image. Returns `None` if that is impossible. Adds what is lost to `losses`.
pub(super) fn convert(
    old: &LegacyImage,
    context: &ConversionContext<'_>,
    losses: &mut Vec<Loss>,
) -> Option<Image> {
    let id = old.row.text("id").unwrap_or_default();
    let loss = |what, is_whole| Loss {
        image: id.to_owned(),
        what,
        is_whole,
    };
    let mut lost = Vec::new();
    match image(old, context, &mut lost) {
        Ok(image) => {
            losses.extend(lost.into_iter().map(|what| loss(what, false)));
            Some(image)
        }
        Err(why) => {
            losses.push(loss(why, true));
            None
        }
    }
}

fn image(
    old: &LegacyImage,
    context: &ConversionContext<'_>,
    lost: &mut Vec<String>,
) -> Conversion<Image> {
    let row = &old.row;
    let updated_at = optional(old, "updated_at", Timestamp::parse)?;
    let created_at = optional(old, "created_at", Timestamp::parse)?.or(updated_at);
    let created_at = created_at.ok_or("it has no created_at")?;
    let owned = |column: &str| row.text(column).map(str::to_owned);
    let mut image = Image::queued(identifier(old, created_at, lost)?, created_at);
    image.updated_at = updated_at.unwrap_or(created_at);
    image.status = status(old, lost)?;
    if image.status.is_gone() {
        let deleted_at = optional(old, "deleted_at", Timestamp::parse)?;
        image.deleted_at = deleted_at.or(Some(image.updated_at));
    }
    image.name = owned("name");
    image.owner = owned("owner");
    image.disk_format = owned("disk_format");
    image.container_format = owned("container_format");
    image.size_bytes = number(old, "size")?;
    image.virtual_size_bytes = optional(old, "virtual_size", |text| text.parse().ok())?;
    image.min_disk_gb = number(old, "min_disk")?;
    image.min_ram_mb = number(old, "min_ram")?;
    image.checksum = optional(old, "checksum", Checksum::stated)?;
    image.protected = row.is("protected");
    image.visibility = visibility(old, lost);
    if row.is("os_hidden") {
        lost.push("it was hidden (os_hidden), and lists will show it".to_owned());
    }
    if old.tags > 0 {
        lost.push(format!("its tags ({}) are not kept", old.tags));
    }
    add_rows(old, &mut image, lost);
    add_data(old, context, &mut image, lost)?;
    Ok(image)
}

fn required<T>(
    old: &LegacyImage,
    column: &str,
    parse: impl Fn(&str) -> Option<T>,
) -> Conversion<T> {
    optional(old, column, parse)?.ok_or_else(|| format!("it has no {column}"))
}

fn optional<T>(
    old: &LegacyImage,
    column: &str,
    parse: impl Fn(&str) -> Option<T>,
) -> Conversion<Option<T>> {
    let Some(text) = old.row.text(column) else {
        return Ok(None);
    };
    let parsed = parse(text);
    let wrong = || format!("its {column} is {text:?}, which cannot be kept");
    parsed.map(Some).ok_or_else(wrong)
}

fn number<T: std::str::FromStr + Default>(old: &LegacyImage, column: &str) -> Conversion<T> {
    Ok(optional(old, column, |text| text.parse().ok())?.unwrap_or_default())
}

/// Returns the identifier. Until 2011 images had numbers, which Glance's own upgrade replaces by
/// random identifiers. Here the identifier is derived from the number and the time of creation, so
/// that a second run finds the images of the first.
fn identifier(
    old: &LegacyImage,
    created_at: Timestamp,
    lost: &mut Vec<String>,
) -> Conversion<ImageId> {
    let number = old.row.text("id").and_then(|id| id.parse::<u64>().ok());
    let Some(number) = number else {
        return required(old, "id", |text| text.parse().ok());
    };
    let id = named_uuid(&format!("{number} {created_at}")).to_string();
    lost.push(format!("its number cannot be kept: it is image {id}"));
    id.parse().map_err(|error| format!("{error}"))
}

/// Returns a UUID of version 5 (RFC 9562, section 5.5).
fn named_uuid(name: &str) -> Uuid {
    let mut hash = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
    hash.update(NUMBERED_IMAGES.as_bytes());
    hash.update(name.as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash.finish().as_ref()[..16]);
    Builder::from_sha1_bytes(bytes).into_uuid()
}

/// Returns the status. Besides those of v1 there are statuses of earlier and later releases. An
/// upload that was in progress will never be finished, so its image is killed.
fn status(old: &LegacyImage, lost: &mut Vec<String>) -> Conversion<Status> {
    let word = required(old, "status", |text| Some(text.to_owned()))?;
    let status = match word.as_str() {
        "available" => Status::Active,
        "saving" | "uploading" | "importing" => Status::Killed,
        word => Status::from_word(word).ok_or_else(|| format!("its status is {word:?}"))?,
    };
    if old.row.is("deleted") && status != Status::PendingDelete {
        return Ok(Status::Deleted);
    }
    if status == Status::Killed && word != "killed" {
        lost.push(format!(
            "its upload was not finished ({word}): it is killed"
        ));
    }
    Ok(status)
}

/// Returns the visibility. Releases before 2017 have a column `is_public` for it.
fn visibility(old: &LegacyImage, lost: &mut Vec<String>) -> Visibility {
    let is_public = match old.row.text("visibility") {
        Some("community") => {
            lost.push("its visibility community is not supported: it is private".to_owned());
            false
        }
        Some(word) => word == "public",
        None => old.row.is("is_public"),
    };
    Visibility::default().with_is_public(is_public)
}

/// Adds properties and members. Those that were deleted together with an image that waits for the
/// scrubber are kept for its restoration; other deleted rows are dropped.
fn add_rows(old: &LegacyImage, image: &mut Image, lost: &mut Vec<String>) {
    let (mut properties, mut members) = (Properties::new(), Vec::<Member>::new());
    let mut aside = Trashed {
        properties: Properties::new(),
        members: Vec::new(),
    };
    let waits = image.status == Status::PendingDelete;
    let comes_back = |deletion: Deletion| waits && deletion.at >= image.deleted_at;
    for property in &old.properties {
        let (name, value) = (property.name.clone(), property.value.clone());
        match property.deletion {
            None if !waits => properties.insert(name, value),
            Some(deletion) if !comes_back(deletion) => None,
            _ => aside.properties.insert(name, value),
        };
    }
    for member in effective_members(old, lost) {
        match member.deletion {
            None if !waits => add_member(&mut members, member),
            Some(deletion) if !comes_back(deletion) => {}
            _ => add_member(&mut aside.members, member),
        }
    }
    for name in properties.keys().chain(aside.properties.keys()) {
        if !has_property_header(name) {
            lost.push(format!(
                "no header can name its property {name:?}: only lists show it"
            ));
        }
    }
    (image.properties, image.members) = (properties, members);
    image.trashed = waits.then(|| Box::new(aside));
}

/// Adds a member and replaces a duplicate, which the old table does not exclude.
fn add_member(members: &mut Vec<Member>, old: &LegacyMember) {
    members.retain(|member| member.id != old.id);
    members.push(Member {
        id: old.id.clone(),
        can_share: old.can_share,
        status: MemberStatus::Pending,
        created_at: None,
        updated_at: None,
    });
}

/// Returns the members that may use the image. For the visibility `private` Glance stores members but
/// ignores them; here they would gain access.
fn effective_members<'a>(old: &'a LegacyImage, lost: &mut Vec<String>) -> &'a [LegacyMember] {
    if old.row.text("visibility") != Some("private") {
        return &old.members;
    }
    let there = old
        .members
        .iter()
        .filter(|member| member.deletion.is_none());
    match there.count() {
        0 => {}
        some => lost.push(format!(
            "its members ({some}) could not use it (visibility private), and are not kept"
        )),
    }
    &[]
}

#[cfg(test)]
mod tests;
