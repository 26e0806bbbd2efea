//! Output tables of the current commands, equal to those of python-glanceclient v1.

use indicatif::BinaryBytes;

use crate::client::cli::table::boxed;
use crate::wire::MemberEntry;
use crate::wire::{ImageMeta, SharedImage};

/// Formats the table of `image-list`.
pub(super) fn image_table(images: &[ImageMeta], human_readable: bool) -> String {
    let rows: Vec<Vec<String>> = images
        .iter()
        .map(|image| {
            vec![
                image.id.clone(),
                text(image.name.as_deref()),
                text(image.disk_format.as_deref()),
                text(image.container_format.as_deref()),
                size(image.size, human_readable),
                text(image.status.as_deref()),
            ]
        })
        .collect();
    let headings = [
        "ID",
        "Name",
        "Disk Format",
        "Container Format",
        "Size",
        "Status",
    ];
    boxed(&headings, &rows)
}

/// Formats one image: its properties, then its fields, each in alphabetical order.
pub(super) fn property_table(image: &ImageMeta) -> String {
    let mut rows: Vec<Vec<String>> = image
        .properties
        .iter()
        .map(|(key, value)| vec![format!("Property '{key}'"), text(value.as_deref())])
        .collect();
    for (name, value) in fields(image) {
        rows.push(vec![name.to_owned(), value]);
    }
    boxed(&["Property", "Value"], &rows)
}

fn fields(image: &ImageMeta) -> [(&'static str, String); 17] {
    [
        ("checksum", text(image.checksum.as_deref())),
        ("container_format", text(image.container_format.as_deref())),
        ("created_at", text(image.created_at.as_deref())),
        ("deleted", word(image.deleted)),
        ("deleted_at", text(image.deleted_at.as_deref())),
        ("disk_format", text(image.disk_format.as_deref())),
        ("id", image.id.clone()),
        ("is_public", word(image.is_public)),
        ("min_disk", number(image.min_disk)),
        ("min_ram", number(image.min_ram)),
        ("name", text(image.name.as_deref())),
        ("owner", text(image.owner.as_deref())),
        ("protected", word(image.protected)),
        ("size", number(image.size)),
        ("status", text(image.status.as_deref())),
        ("updated_at", text(image.updated_at.as_deref())),
        ("virtual_size", number(image.virtual_size)),
    ]
}

/// Formats the members of an image.
pub(super) fn member_table(image: &str, members: &[MemberEntry]) -> String {
    let rows = members
        .iter()
        .map(|member| (image, member.id.as_str(), member.can_share));
    share_table(rows)
}

/// Formats the images shared with a tenant.
pub(super) fn shared_table(tenant: &str, images: &[SharedImage]) -> String {
    let rows = images
        .iter()
        .map(|image| (image.image_id.as_str(), tenant, image.can_share));
    share_table(rows)
}

fn share_table<'a>(rows: impl Iterator<Item = (&'a str, &'a str, bool)>) -> String {
    let rows: Vec<Vec<String>> = rows
        .map(|(image, member, can_share)| {
            vec![image.to_owned(), member.to_owned(), word(can_share)]
        })
        .collect();
    boxed(&["Image ID", "Member ID", "Can Share"], &rows)
}

/// Returns the text, or `None`, as Python prints a missing value; scripts compare with it.
pub(in crate::client::cli) fn text(value: Option<&str>) -> String {
    value.unwrap_or("None").to_owned()
}

fn number(value: Option<u64>) -> String {
    value.map_or_else(|| "None".to_owned(), |number| number.to_string())
}

fn word(value: bool) -> String {
    if value { "True" } else { "False" }.to_owned()
}

fn size(bytes: Option<u64>, human_readable: bool) -> String {
    match bytes {
        Some(bytes) if human_readable => BinaryBytes(bytes).to_string(),
        bytes => number(bytes),
    }
}
