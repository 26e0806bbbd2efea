//! The command `check`: compares the registry with the stores.
//!
//! Servers may run during a check. Therefore every finding is verified against a second reading of
//! the registry: findings about images that have changed are dropped, and so are orphans that
//! belong to an image by then.

mod data;
mod finding;
mod orphans;
mod repair;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use self::data::DataProber;
use self::finding::{Finding, Flaw};
use self::orphans::{OwnedData, overdue};
use super::args::{Check, Repair};
use super::error::ManageError;
use super::records::Records;
use crate::console::{print_error, print_line};
use crate::image::{Image, ImageId};
use crate::registry::Registry;
use crate::store::Stores;

/// Checks the registry and repairs what the options ask for. Must be called in a
/// [`tokio::task::LocalSet`].
///
/// # Errors
/// `Findings` when findings remain; those of the registry.
pub(super) async fn check(
    records: &Records,
    stores: &Stores,
    options: &Check,
) -> Result<(), ManageError> {
    let images = records.all().await?;
    let older_than = Duration::from_secs(options.older_than);
    let unreadable = records.unreadable();
    let prober = DataProber::new(stores, options.data);
    let mut findings: Vec<Finding> = unreadable.iter().map(of_unreadable).collect();
    findings.extend(prober.probe_all(&images).await?);
    let overdue_images = images.iter().filter_map(|image| overdue(image, older_than));
    findings.extend(overdue_images);
    let owned = OwnedData::of(&images, &unreadable, stores);
    findings.extend(orphans(stores, &owned, older_than).await?);
    if !findings.is_empty() {
        retain_confirmed(&mut findings, &images, records, stores).await?;
    }
    if let Records::Registry(registry) = records {
        let is_whole = unreadable.is_empty();
        repair(
            &mut findings,
            &**registry,
            (stores, &prober),
            options,
            is_whole,
        )
        .await;
    }
    print(images.len(), &findings, options.json)
}

fn of_unreadable(id: &ImageId) -> Finding {
    Finding {
        image: Some(*id),
        ..Finding::of_flaw(Flaw::Unreadable)
    }
}

async fn orphans(
    stores: &Stores,
    owned: &OwnedData,
    older_than: Duration,
) -> Result<Vec<Finding>, ManageError> {
    let mut findings = Vec::new();
    for store in stores.iter() {
        let name = store.name();
        match store.list_entries().await {
            Ok(Some(stored)) => findings.extend(owned.orphans(name, stored, older_than)),
            // A store that reads from other servers contains no data of this one.
            Ok(None) if !store.source_schemes().is_empty() => {}
            Ok(None) => print_error(format_args!(
                "NOTE: the store {name} cannot be listed, so orphans in it are not found"
            )),
            Err(cause) => {
                let name = name.to_owned();
                return Err(ManageError::Store { name, cause });
            }
        }
    }
    Ok(findings)
}

/// Drops findings that a second reading of the registry does not confirm.
async fn retain_confirmed(
    findings: &mut Vec<Finding>,
    before: &[Arc<Image>],
    records: &Records,
    stores: &Stores,
) -> Result<(), ManageError> {
    let images = records.all().await?;
    let owned = OwnedData::of(&images, &records.unreadable(), stores);
    let by_id = |images: &[Arc<Image>]| -> HashMap<ImageId, Arc<Image>> {
        let entry = |image: &Arc<Image>| (image.id, Arc::clone(image));
        images.iter().map(entry).collect()
    };
    let (before, now) = (by_id(before), by_id(&images));
    findings.retain(|finding| match (finding.flaw, finding.stored_of()) {
        (Flaw::Orphan, Some(of)) => {
            let store = finding.store.as_deref().unwrap_or_default();
            !owned.has(store, &of)
        }
        _ => finding
            .image
            .is_none_or(|id| before.get(&id) == now.get(&id)),
    });
    Ok(())
}

async fn repair(
    findings: &mut [Finding],
    registry: &dyn Registry,
    (stores, prober): (&Stores, &DataProber),
    options: &Check,
    is_whole: bool,
) {
    let repairs = |what| options.repair.contains(&what);
    for finding in findings {
        let store = finding.store.as_deref().unwrap_or_default();
        let is_wanted = match finding.flaw {
            // Data without an image may belong to a record that cannot be read.
            Flaw::Orphan => is_whole && repairs(Repair::Orphans),
            Flaw::StaleUpload | Flaw::Remains => repairs(Repair::Uploads),
            Flaw::Missing | Flaw::WrongSize => repairs(Repair::Images),
            Flaw::Unasked | Flaw::Unreadable | Flaw::Damaged => false,
        };
        let is_loss = matches!(finding.flaw, Flaw::Missing | Flaw::WrongSize);
        if is_wanted && is_loss && prober.lacks_all(store) {
            let reason = "not repaired: the store has none of its data; is it mounted?";
            finding.reason = Some(reason.to_owned());
        } else if is_wanted {
            repair::repair(finding, registry, stores).await;
        }
    }
}

fn print(images: usize, findings: &[Finding], as_json: bool) -> Result<(), ManageError> {
    for finding in findings {
        match as_json {
            true => print_line(serde_json::json!(finding))?,
            false => print_line(finding.line())?,
        }
    }
    let repaired = findings.iter().filter(|finding| finding.is_repaired());
    let (found, repaired) = (findings.len(), repaired.count());
    let left = found - repaired;
    match as_json {
        true => print_line(
            serde_json::json!({"images": images, "findings": found, "repaired": repaired}),
        )?,
        false => print_line(format_args!(
            "{images} images checked: {found} findings, {repaired} repaired"
        ))?,
    }
    match left {
        0 => Ok(()),
        left => Err(ManageError::Findings(left)),
    }
}
