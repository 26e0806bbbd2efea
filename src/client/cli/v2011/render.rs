//! Output of the commands of 2011, equal to that of Glance's client of 2011 and 2012. Scripts
//! parse it.

use crate::client::GlanceEndpoint;
use crate::client::cli::current::render::text;
use crate::client::cli::printable::printable;
use crate::client::cli::table::{Align, Column, plain_heading, plain_row};
use crate::wire::MemberEntry;
use crate::wire::{ImageMeta, SharedImage};

const INDEX: [Column; 5] = [
    column("ID", 36),
    column("Name", 30),
    column("Disk Format", 20),
    column("Container Format", 20),
    Column {
        heading: "Size",
        width: 14,
        align: Align::Right,
    },
];
/// Length of the separator between two images.
const RULE_CHARS: usize = 80;

const fn column(heading: &'static str, width: usize) -> Column {
    Column {
        heading,
        width,
        align: Align::Left,
    }
}

/// Formats the heading of `index`.
pub(super) fn index_heading() -> String {
    plain_heading(&INDEX)
}

/// Formats an image as a line of `index`.
pub(super) fn index_row(image: &ImageMeta) -> String {
    let cells = [
        image.id.clone(),
        text(image.name.as_deref()),
        text(image.disk_format.as_deref()),
        text(image.container_format.as_deref()),
        image.size.unwrap_or(0).to_string(),
    ];
    plain_row(&INDEX, &cells)
}

/// Formats the separator around the images of `details`.
pub(super) fn rule() -> String {
    format!("{}\n", "=".repeat(RULE_CHARS))
}

/// Formats an image with all fields and properties, one line each.
pub(super) fn block(image: &ImageMeta, endpoint: &GlanceEndpoint) -> String {
    let yes = |value| if value { "Yes" } else { "No" };
    let uri = image.uri.clone();
    let mut lines = vec![
        (
            "URI".to_owned(),
            uri.unwrap_or_else(|| endpoint.image_uri(&image.id)),
        ),
        ("Id".to_owned(), image.id.clone()),
        ("Public".to_owned(), yes(image.is_public).to_owned()),
        ("Protected".to_owned(), yes(image.protected).to_owned()),
        ("Name".to_owned(), text(image.name.as_deref())),
        ("Status".to_owned(), text(image.status.as_deref())),
        ("Size".to_owned(), image.size.unwrap_or(0).to_string()),
        ("Disk format".to_owned(), text(image.disk_format.as_deref())),
        (
            "Container format".to_owned(),
            text(image.container_format.as_deref()),
        ),
        (
            "Minimum Ram Required (MB)".to_owned(),
            image.min_ram.unwrap_or(0).to_string(),
        ),
        (
            "Minimum Disk Required (GB)".to_owned(),
            image.min_disk.unwrap_or(0).to_string(),
        ),
        ("Owner".to_owned(), text(image.owner.as_deref())),
    ];
    for (key, value) in &image.properties {
        lines.push((format!("Property '{key}'"), text(value.as_deref())));
    }
    lines
        .iter()
        .map(|(name, value)| format!("{}: {}\n", printable(name), printable(value)))
        .collect()
}

/// Formats the members of an image.
pub(super) fn members(members: &[MemberEntry]) -> String {
    shares(members.iter().map(|m| (m.id.as_str(), m.can_share)))
}

/// Formats the images shared with a tenant.
pub(super) fn shared_images(images: &[SharedImage]) -> String {
    shares(images.iter().map(|i| (i.image_id.as_str(), i.can_share)))
}

/// Formats one name per line; an asterisk, explained by a footnote, marks those that can share.
fn shares<'a>(rows: impl Iterator<Item = (&'a str, bool)>) -> String {
    let mut lines = String::new();
    let mut can_any_share = false;
    for (name, can_share) in rows {
        lines.push_str(&printable(name));
        lines.push_str(if can_share { " *\n" } else { "\n" });
        can_any_share |= can_share;
    }
    if can_any_share {
        lines.push_str("\n(*: Can share image)\n");
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image() -> ImageMeta {
        ImageMeta {
            id: "71c675ab-d94f-49cd-a114-e12490b328d9".to_owned(),
            name: Some("Ubuntu 10.04 Plain 5GB".to_owned()),
            status: Some("active".to_owned()),
            size: Some(5_368_709_120),
            disk_format: Some("raw".to_owned()),
            container_format: Some("ovf".to_owned()),
            is_public: true,
            properties: [("distro".to_owned(), Some("Ubuntu".to_owned()))].into(),
            ..ImageMeta::default()
        }
    }

    #[test]
    fn index_has_the_columns_of_essex() {
        let heading = index_heading();
        let mut lines = heading.lines();
        let names = lines.next().unwrap();
        assert_eq!(names.find("Name"), Some(37));
        assert_eq!(names.find("Disk Format"), Some(68));
        assert_eq!(names.find("Container Format"), Some(89));
        assert_eq!(names.len(), 36 + 30 + 20 + 20 + 14 + 4);
        assert!(names.ends_with("Size"));
        assert!(lines.next().unwrap().starts_with("------"));
        assert!(index_row(&image()).ends_with("    5368709120\n"));
    }

    #[test]
    fn block_has_one_line_per_field() {
        let shown = block(&image(), &GlanceEndpoint::new("glance", 9292));
        let wanted = "\
URI: http://glance:9292/v1/images/71c675ab-d94f-49cd-a114-e12490b328d9
Id: 71c675ab-d94f-49cd-a114-e12490b328d9
Public: Yes
Protected: No
Name: Ubuntu 10.04 Plain 5GB
Status: active
Size: 5368709120
Disk format: raw
Container format: ovf
Minimum Ram Required (MB): 0
Minimum Disk Required (GB): 0
Owner: None
Property 'distro': Ubuntu
";
        assert_eq!(shown, wanted);
    }

    #[test]
    fn members_that_can_share_are_marked() {
        let member = |id: &str, can_share| MemberEntry {
            id: id.to_owned(),
            can_share,
        };
        assert_eq!(members(&[member("a", false)]), "a\n");
        assert_eq!(
            members(&[member("a", true), member("b", false)]),
            "a *\nb\n\n(*: Can share image)\n"
        );
    }
}
