//! Holding the registry and the stores against each other.
//!
//! Nodes may run meanwhile, so everything that looks wrong is looked at once more: an image
//! that was changed since is not spoken of, and data that an image has by now are no orphans.

mod data;
mod finding;
mod orphans;
mod repair;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use self::data::Looker;
use self::finding::{Finding, Flaw};
use self::orphans::{Owned, overdue};
use super::args::{Check, Repair};
use super::failure::Failure;
use super::records::Records;
use crate::image::{Image, ImageId};
use crate::registry::Registry;
use crate::store::Stores;

/// Checks, and repairs what is to be repaired. To be called in a [`tokio::task::LocalSet`].
///
/// # Errors
/// `Findings` when something is wrong and is not repaired; those of the registry.
pub(super) async fn check(
    records: &Records,
    stores: &Stores,
    options: &Check,
) -> Result<(), Failure> {
    let images = records.all().await?;
    let older_than = Duration::from_secs(options.older_than);
    let unreadable = records.unreadable();
    let looker = Looker::new(stores, options.data);
    let mut findings: Vec<Finding> = unreadable.iter().map(of_unreadable).collect();
    findings.extend(looker.look_at(&images).await?);
    let overdue_images = images.iter().filter_map(|image| overdue(image, older_than));
    findings.extend(overdue_images);
    let owned = Owned::of(&images, &unreadable, stores);
    findings.extend(orphans(stores, &owned, older_than).await?);
    if !findings.is_empty() {
        keep_true(&mut findings, &images, records, stores).await?;
    }
    if let Records::Registry(registry) = records {
        let is_whole = unreadable.is_empty();
        repair(
            &mut findings,
            &**registry,
            (stores, &looker),
            options,
            is_whole,
        )
        .await;
    }
    tell(images.len(), &findings, options.json)
}

fn of_unreadable(id: &ImageId) -> Finding {
    Finding {
        image: Some(*id),
        ..Finding::of_flaw(Flaw::Unreadable)
    }
}

async fn orphans(
    stores: &Stores,
    owned: &Owned,
    older_than: Duration,
) -> Result<Vec<Finding>, Failure> {
    let mut findings = Vec::new();
    for store in stores.iter() {
        let name = store.name();
        match store.list_entries().await {
            Ok(Some(stored)) => findings.extend(owned.orphans(name, stored, older_than)),
            // Of the data of others nothing is ours to look for.
            Ok(None) if !store.source_schemes().is_empty() => {}
            Ok(None) => eprintln!(
                "NOTE: what the store {name} has cannot be listed; orphans in it are not found"
            ),
            Err(cause) => {
                let name = name.to_owned();
                return Err(Failure::Store { name, cause });
            }
        }
    }
    Ok(findings)
}

/// Drops what is true no longer.
async fn keep_true(
    findings: &mut Vec<Finding>,
    before: &[Arc<Image>],
    records: &Records,
    stores: &Stores,
) -> Result<(), Failure> {
    let images = records.all().await?;
    let owned = Owned::of(&images, &records.unreadable(), stores);
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
    (stores, looker): (&Stores, &Looker),
    options: &Check,
    is_whole: bool,
) {
    let repairs = |what| options.repair.contains(&what);
    for finding in findings {
        let store = finding.store.as_deref().unwrap_or_default();
        let is_wanted = match finding.flaw {
            // What cannot be read may have them.
            Flaw::Orphan => is_whole && repairs(Repair::Orphans),
            Flaw::StaleUpload | Flaw::Remains => repairs(Repair::Uploads),
            Flaw::Missing | Flaw::WrongSize => repairs(Repair::Images),
            Flaw::Unasked | Flaw::Unreadable | Flaw::Damaged => false,
        };
        let is_loss = matches!(finding.flaw, Flaw::Missing | Flaw::WrongSize);
        if is_wanted && is_loss && looker.lacks_all(store) {
            let reason = "left alone: the store has nothing that it should have; is it mounted?";
            finding.reason = Some(reason.to_owned());
        } else if is_wanted {
            repair::repair(finding, registry, stores).await;
        }
    }
}

fn tell(images: usize, findings: &[Finding], as_json: bool) -> Result<(), Failure> {
    for finding in findings {
        match as_json {
            true => println!("{}", serde_json::json!(finding)),
            false => println!("{}", finding.line()),
        }
    }
    let repaired = findings.iter().filter(|finding| finding.is_repaired());
    let (found, repaired) = (findings.len(), repaired.count());
    let left = found - repaired;
    match as_json {
        true => println!(
            "{}",
            serde_json::json!({"images": images, "findings": found, "repaired": repaired})
        ),
        false => println!("{images} images checked: {found} findings, {repaired} repaired"),
    }
    match left {
        0 => Ok(()),
        left => Err(Failure::Findings(left)),
    }
}
