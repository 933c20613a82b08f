//! The tiles of a chain in a backup: copied with the trail, and brought back where they lead to the trail that stands then.
//!
//! Of removed months nothing else is left, so without them a restored trail does not verify and no head is signed.
//! A tile that is not what the signed head says of it stays in the backup, and is named. Start at [`bring`].

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{BackupFault, at, chain::remove_folder, copying::copy_missing};
use crate::{
    files::{Disk, FRESH_SUFFIX, OsDisk},
    head::{Head, SignedHead},
    heads::{SignFault, checkpoint, last_head, put_beside_tiles},
    layout::{Layout, MODE_TAKEN_AWAY},
    lock::Duty,
    signing::verifier_keys,
    tiles::{self, Tiles},
    trail::{AuditFault, Start, walk},
};

/// Copies the tiles of a chain as they are, and the head beside them.
pub(super) fn back_up(layout: &Layout, copy: &Layout, chain: Duty) -> Result<(), BackupFault> {
    copy_tree(&tiles::folder(layout, chain), &tiles::folder(copy, chain))
}

fn copy_tree(from: &Path, to: &Path) -> Result<(), BackupFault> {
    let is_whole = |name: &str| !name.ends_with(FRESH_SUFFIX);
    copy_missing(&OsDisk, from, to, MODE_TAKEN_AWAY, is_whole)?;
    let Ok(entries) = fs::read_dir(from) else {
        // Of a chain without a head there are none; of an old edge the folder goes.
        return Ok(());
    };
    for entry in entries {
        let entry = entry.map_err(at(from))?;
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            copy_tree(&entry.path(), &to.join(entry.file_name()))?;
        }
    }
    Ok(())
}

/// Takes the tiles of a chain away, and the head beside them.
pub(super) fn forget(layout: &Layout, chain: Duty) -> Result<(), BackupFault> {
    remove_folder(&tiles::folder(layout, chain))
}

/// Brings the backup's tiles to the trail that stands here, where they are more than what is here and go on from it.
///
/// # Returns
/// What stays in the backup, and why.
///
/// # Errors
/// [`BackupFault`]; restoring again goes on.
pub(super) fn bring(
    disk: &dyn Disk,
    layout: &Layout,
    backup: &Layout,
    chain: Duty,
) -> Result<Vec<BackupFault>, BackupFault> {
    let (signed, here) = match heads(disk, layout, backup, chain) {
        Ok(Some(heads)) => heads,
        Ok(None) => return Ok(Vec::new()),
        Err(fault) => return Ok(vec![fault.into()]),
    };
    let head = signed.head();
    let tiles = Tiles::new(disk, backup, chain, head.size);
    if !has(&tiles, head) {
        return Ok(differ(tiles.edge_paths()));
    }
    let goes_on = here.is_none_or(|here| has(&tiles, here));
    if !goes_on || !leads_through(disk, layout, head)? {
        return Ok(differ(vec![checkpoint(backup, chain)]));
    }
    let folder = tiles::folder(layout, chain);
    let unproven = tiles.copy_proven(&folder).map_err(at(&folder))?;
    put_beside_tiles(disk, layout, &signed)?;
    Ok(differ(unproven))
}

/// The head of the backup's tiles, if it has any and they are more than what is here, and the head of those.
fn heads(
    disk: &dyn Disk,
    layout: &Layout,
    backup: &Layout,
    chain: Duty,
) -> Result<Option<(SignedHead, Option<Head>)>, SignFault> {
    let keys = verifier_keys(disk, layout)?;
    let Some(signed) = last_head(disk, backup, chain, &keys)? else {
        return Ok(None);
    };
    let here = last_head(disk, layout, chain, &keys)?.map(|here| here.head());
    let is_more = here.is_none_or(|here| here.size < signed.head().size);
    Ok(is_more.then_some((signed, here)))
}

/// Whether tiles hold the tree of a head.
fn has(tiles: &Tiles<'_>, head: Head) -> bool {
    let tree = tiles.frontier_at(head.size);
    tree.is_ok_and(|tree| tree.root() == head.root)
}

/// Whether a trail has the tree of a head.
fn leads_through(disk: &dyn Disk, layout: &Layout, head: Head) -> Result<bool, AuditFault> {
    let mut is_met = false;
    let start = Start::Size(head.size);
    walk(disk, layout, head.chain, start, &mut |seen| {
        let tree = seen.frontier();
        is_met |= tree.size() == head.size && tree.root() == head.root;
        Ok::<(), AuditFault>(())
    })?;
    Ok(is_met)
}

fn differ(paths: Vec<PathBuf>) -> Vec<BackupFault> {
    let differs = |path| BackupFault::TilesDiffer { path };
    paths.into_iter().map(differs).collect()
}
