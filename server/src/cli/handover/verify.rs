//! What an outsider checks of a package: its manifest, and the files beside it.

use std::{io, path::Path};

use rules::jst_rfc3339;
use serde::Serialize;
use storage::{Manifest, ManifestItem, verify_manifest};

use super::hash_of;
use crate::{
    cli::{Exit, Terminal, signed::Signed},
    duty::Message,
};

/// How a file of a package is found beside its manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Found {
    Same,
    Other,
    Missing,
}

pub(super) fn verify(arguments: &Signed, out: &mut Terminal) -> Result<(), Exit> {
    let (note, keys) = arguments.read(out)?;
    let manifest = verify_manifest(&note, &keys).map_err(|fault| {
        let en = format!("the manifest proves nothing: {fault}");
        out.message(&Message::new("目録を検証できません。", en));
        Exit::Unverified
    })?;
    let folder = arguments.file.parent().unwrap_or(Path::new("."));
    let found: Vec<(&ManifestItem, Found)> = manifest
        .items
        .iter()
        .map(|item| (item, find(folder, item)))
        .collect();
    let count = |wanted| found.iter().filter(|(_, found)| *found == wanted).count();
    let (same, missing) = (count(Found::Same), count(Found::Missing));
    let others: Vec<&str> = found
        .iter()
        .filter(|(_, found)| *found == Found::Other)
        .map(|(item, _)| item.name.as_str())
        .collect();
    if !others.is_empty() {
        let names = others.join(", ");
        let en = format!(
            "these files are not those of the manifest: {names}; ask for the package again"
        );
        out.message(&Message::new(
            format!("目録と違うファイルがあります: {names}"),
            en,
        ));
        return Err(Exit::Unverified);
    }
    let object = shown_manifest(&manifest, same, missing);
    out.result(&object, || {
        format!(
            "正しい目録です / genuine: {} 目的/purpose={} 受領/receiver={} 廃棄期限/destroy-by={} ファイル/files={same} 見当たらない/missing={missing}",
            manifest.hand_over,
            manifest.purpose,
            manifest.receiver,
            jst_rfc3339(manifest.destroy_by),
        )
    })
}

fn shown_manifest(manifest: &Manifest, same: usize, missing: usize) -> serde_json::Value {
    serde_json::json!({
        "hand_over": manifest.hand_over,
        "purpose": manifest.purpose,
        "under": manifest.under,
        "giver": manifest.giver,
        "receiver": manifest.receiver,
        "destroy_by": jst_rfc3339(manifest.destroy_by),
        "items": manifest.items.len(),
        "same": same,
        "missing": missing,
    })
}

fn find(folder: &Path, item: &ManifestItem) -> Found {
    match hash_of(&folder.join(&item.name)) {
        Ok(found) if found == item.sha256 => Found::Same,
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => Found::Missing,
        Ok(_) | Err(_) => Found::Other,
    }
}
