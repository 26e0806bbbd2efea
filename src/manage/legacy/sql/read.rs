//! Reads the tables of an old registry.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::super::import_result::{LegacyImages, Loss};
use super::super::location_map::LocationMap;
use super::address::Address;
use super::convert::{ConversionContext, convert};
use super::database::Database;
use super::decrypt::Key;
use super::error::SqlError;
use super::rows::{Columns, LegacyImage, LegacyLocation, LegacyMember, LegacyProperty};
use crate::config::Secret;

/// The columns of `images` that are used, over all releases.
const IMAGE_COLUMNS: [&str; 21] = [
    "id",
    "name",
    "type",
    "size",
    "virtual_size",
    "status",
    "is_public",
    "visibility",
    "os_hidden",
    "location",
    "created_at",
    "updated_at",
    "deleted_at",
    "deleted",
    "disk_format",
    "container_format",
    "checksum",
    "owner",
    "min_disk",
    "min_ram",
    "protected",
];

/// The columns of `images` that every release has.
const NEEDED_COLUMNS: [&str; 4] = ["id", "status", "created_at", "deleted"];

/// Images by their identifiers in the old registry.
type Images = HashMap<String, LegacyImage>;

/// Reads every image of an old registry. Deleted images are included, since their identifiers must
/// not be used again.
pub(in super::super) async fn read_registry(
    url: &Secret,
    key: Option<&Secret>,
    location_map: &LocationMap,
) -> Result<LegacyImages, SqlError> {
    let key = key.map(Key::new).transpose()?;
    let mut database = Database::open(&Address::parse(url)?).await?;
    let mut legacy = LegacyImages::default();
    let mut images = images(&mut database, &mut legacy.losses).await?;
    add_properties(&mut database, &mut images).await?;
    add_members(&mut database, &mut images).await?;
    add_locations(&mut database, &mut images).await?;
    add_tags(&mut database, &mut images).await?;
    database.close().await?;
    for old in images.into_values() {
        let context = ConversionContext {
            key: key.as_ref(),
            location_map,
        };
        let image = convert(&old, &context, &mut legacy.losses);
        legacy.images.extend(image);
    }
    legacy.images.sort_unstable_by_key(|image| image.id);
    legacy.losses.sort_by(|a, b| a.image.cmp(&b.image));
    Ok(legacy)
}

async fn images(database: &mut Database, losses: &mut Vec<Loss>) -> Result<Images, SqlError> {
    let columns = database.columns_of("images", &IMAGE_COLUMNS).await?;
    if columns.is_empty() {
        return Err(SqlError::NoTable);
    }
    if let Some(column) = NEEDED_COLUMNS.iter().find(|name| !columns.contains(*name)) {
        return Err(SqlError::NoColumn(column));
    }
    let mut images = Images::new();
    let show = |row: Columns| {
        let id = row.text("id").unwrap_or_default().to_owned();
        match images.entry(id) {
            Entry::Vacant(place) => {
                place.insert(LegacyImage::of(row));
            }
            Entry::Occupied(there) => losses.push(Loss {
                image: there.key().clone(),
                what: "a second row of it is not taken over".to_owned(),
                is_whole: false,
            }),
        }
    };
    database.each_row("images", &columns, show).await?;
    Ok(images)
}

/// Adds the properties. Early releases had their names in a column `key`, and one of them, `type`, in
/// the table `images`.
async fn add_properties(database: &mut Database, images: &mut Images) -> Result<(), SqlError> {
    for old in images.values_mut() {
        let value = old.row.take("type").filter(|value| !value.is_empty());
        old.properties.extend(value.map(|value| LegacyProperty {
            name: "type".to_owned(),
            value: Some(value),
            deletion: None,
        }));
    }
    let wanted = ["image_id", "name", "key", "value", "deleted", "deleted_at"];
    add(
        database,
        images,
        "image_properties",
        &wanted,
        |old, mut row| {
            let deletion = row.deletion();
            let Some(name) = row.take("name").or_else(|| row.take("key")) else {
                return;
            };
            old.properties.push(LegacyProperty {
                name,
                value: row.take("value").filter(|value| !value.is_empty()),
                deletion,
            });
        },
    )
    .await
}

async fn add_members(database: &mut Database, images: &mut Images) -> Result<(), SqlError> {
    let wanted = ["image_id", "member", "can_share", "deleted", "deleted_at"];
    add(
        database,
        images,
        "image_members",
        &wanted,
        |old, mut row| {
            let (deletion, can_share) = (row.deletion(), row.is("can_share"));
            let Some(id) = row.take("member") else { return };
            old.members.push(LegacyMember {
                id,
                can_share,
                deletion,
            });
        },
    )
    .await
}

/// Adds the locations. Before 2013 an image had one, in the table `images`.
async fn add_locations(database: &mut Database, images: &mut Images) -> Result<(), SqlError> {
    for old in images.values_mut() {
        let value = old.row.take("location").filter(|value| !value.is_empty());
        old.locations.extend(value.map(|value| LegacyLocation {
            value,
            store: None,
            status: None,
            deletion: None,
        }));
    }
    let wanted = [
        "image_id",
        "value",
        "meta_data",
        "status",
        "deleted",
        "deleted_at",
    ];
    add(
        database,
        images,
        "image_locations",
        &wanted,
        |old, mut row| {
            let deletion = row.deletion();
            let Some(value) = row.take("value") else {
                return;
            };
            old.locations.push(LegacyLocation {
                value,
                store: row.text("meta_data").and_then(store_id),
                status: row.take("status"),
                deletion,
            });
        },
    )
    .await
}

/// Returns the store in the metadata of a location, which are JSON: `{"store": "ID"}`. In 2018 the
/// key was `backend`.
fn store_id(meta_data: &str) -> Option<String> {
    let meta: serde_json::Value = serde_json::from_str(meta_data).ok()?;
    let id = meta.get("store").or_else(|| meta.get("backend"));
    id.and_then(|id| id.as_str()).map(str::to_owned)
}

async fn add_tags(database: &mut Database, images: &mut Images) -> Result<(), SqlError> {
    let wanted = ["image_id", "deleted"];
    add(database, images, "image_tags", &wanted, |old, row| {
        old.tags += usize::from(!row.is("deleted"));
    })
    .await
}

/// Passes each row of a table to its image. Rows without an image are skipped.
async fn add(
    database: &mut Database,
    images: &mut Images,
    table: &str,
    wanted: &[&'static str],
    mut add: impl FnMut(&mut LegacyImage, Columns),
) -> Result<(), SqlError> {
    let columns = database.columns_of(table, wanted).await?;
    let show = |row: Columns| {
        let old = row.text("image_id").and_then(|id| images.get_mut(id));
        if let Some(old) = old {
            add(old, row);
        }
    };
    database.each_row(table, &columns, show).await
}
