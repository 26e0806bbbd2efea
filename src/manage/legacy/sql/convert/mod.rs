//! From the rows of an old registry to an image.

mod data;

use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY};
use uuid::{Builder, Uuid, uuid};

pub(super) use self::data::Reach;
use self::data::{Refused, add_data};
use super::super::taken::Loss;
use super::rows::{Deletion, Old, OldMember};
use crate::image::{
    Checksum, Image, ImageId, Member, MemberStatus, Properties, Status, Timestamp, Trashed,
    Visibility,
};
use crate::wire::has_property_header;

/// The namespace (RFC 9562, 6.6) of images that had numbers.
const NUMBERED_IMAGES: Uuid = uuid!("5f9d3c1e-6f0b-4d3c-9b1e-0d2a7c4e8b61");

/// The image that an old registry had, or nothing; what of it is lost is said.
pub(super) fn convert(old: &Old, reach: &Reach<'_>, losses: &mut Vec<Loss>) -> Option<Image> {
    let id = old.row.text("id").unwrap_or_default();
    let loss = |what, is_whole| Loss {
        image: id.to_owned(),
        what,
        is_whole,
    };
    let mut lost = Vec::new();
    match image(old, reach, &mut lost) {
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

fn image(old: &Old, reach: &Reach<'_>, lost: &mut Vec<String>) -> Refused<Image> {
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
    add_data(old, reach, &mut image, lost)?;
    Ok(image)
}

fn required<T>(old: &Old, column: &str, parse: impl Fn(&str) -> Option<T>) -> Refused<T> {
    optional(old, column, parse)?.ok_or_else(|| format!("it has no {column}"))
}

fn optional<T>(old: &Old, column: &str, parse: impl Fn(&str) -> Option<T>) -> Refused<Option<T>> {
    let Some(text) = old.row.text(column) else {
        return Ok(None);
    };
    let parsed = parse(text);
    let wrong = || format!("its {column} is {text:?}, which cannot be kept");
    parsed.map(Some).ok_or_else(wrong)
}

fn number<T: std::str::FromStr + Default>(old: &Old, column: &str) -> Refused<T> {
    Ok(optional(old, column, |text| text.parse().ok())?.unwrap_or_default())
}

/// Until 2011 images had numbers, for which Glance's own upgrade rolls dice. Here a number and the
/// time of creation make an identifier, so that a second run finds what the first has loaded.
fn identifier(old: &Old, created_at: Timestamp, lost: &mut Vec<String>) -> Refused<ImageId> {
    let number = old.row.text("id").and_then(|id| id.parse::<u64>().ok());
    let Some(number) = number else {
        return required(old, "id", |text| text.parse().ok());
    };
    let id = named_uuid(&format!("{number} {created_at}")).to_string();
    lost.push(format!("its number cannot be kept: it is image {id}"));
    id.parse().map_err(|error| format!("{error}"))
}

/// A UUID of version 5 (RFC 9562, 5.5).
fn named_uuid(name: &str) -> Uuid {
    let mut hash = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
    hash.update(NUMBERED_IMAGES.as_bytes());
    hash.update(name.as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash.finish().as_ref()[..16]);
    Builder::from_sha1_bytes(bytes).into_uuid()
}

/// The words of v1, and those that were there before and after. What was under way, nobody
/// will finish.
fn status(old: &Old, lost: &mut Vec<String>) -> Refused<Status> {
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
            "it was {word}, which nobody will finish: it is killed"
        ));
    }
    Ok(status)
}

/// Reads the visibility: a word since 2017, a flag before.
fn visibility(old: &Old, lost: &mut Vec<String>) -> Visibility {
    let is_public = match old.row.text("visibility") {
        Some("community") => {
            lost.push("everybody could use it (visibility community): it is private".to_owned());
            false
        }
        Some(word) => word == "public",
        None => old.row.is("is_public"),
    };
    Visibility::default().with_is_public(is_public)
}

/// Properties and members. Those that were deleted with an image that waits for the scrubber
/// come back with it; others that were deleted are gone.
fn add_rows(old: &Old, image: &mut Image, lost: &mut Vec<String>) {
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
    for member in heeded_members(old, lost) {
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

/// No key of the old table keeps a member from being there twice.
fn add_member(members: &mut Vec<Member>, old: &OldMember) {
    members.retain(|member| member.id != old.id);
    members.push(Member {
        id: old.id.clone(),
        can_share: old.can_share,
        status: MemberStatus::Pending,
        created_at: None,
        updated_at: None,
    });
}

/// Of an image whose visibility is `private` Glance knows the members and heeds none: here they
/// could use it.
fn heeded_members<'a>(old: &'a Old, lost: &mut Vec<String>) -> &'a [OldMember] {
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
