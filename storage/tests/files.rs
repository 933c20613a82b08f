//! Small files and their modes, on a real disk.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::{os::unix::fs::PermissionsExt, path::Path, sync::Arc};

use common::*;
use rules::{Declaration, EmergencyId, EmergencyState, Scope};
use storage::{
    Disk, EmergencyFileFault, Faults, Layout, MemoryDisk, OsDisk, load_emergency, save_emergency,
};

#[test]
fn root_and_key_store_are_for_their_owner_alone() {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::new(folder.path().join("data"), folder.path().join("root"));
    let _city = city(Arc::new(OsDisk), &layout);
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(layout.root()), 0o700);
    assert_eq!(mode(&layout.root().join("0001.root")), 0o600);
    assert_eq!(mode(&layout.key_store()), 0o600);
    let others = layout.public_halves().join(format!("day-{}", today()));
    assert_eq!(mode(&others) & 0o007, 0);
}

#[test]
fn an_emergency_that_was_saved_is_declared_after_a_power_cut() {
    let disk = MemoryDisk::new();
    let layout = memory_layout();
    layout.make_folders(&disk).unwrap();
    let mut state = EmergencyState::default();
    let declaration = Declaration {
        id: EmergencyId::new(now(), 1),
        scope: Scope::All,
        reason: "試験".to_owned(),
        duration: None,
        declared_by: None,
        unix_user: "root".to_owned(),
    };
    state.declare(declaration, now()).unwrap();

    let never = load_emergency(&disk, &layout).unwrap();
    save_emergency(&disk, &layout, &state).unwrap();
    let after = disk.after_power_cut();
    let saved = load_emergency(&after, &layout).unwrap();
    // Saving something else fails half way: the old state stays.
    let refused_write = Some(after.write_count() + 1);
    after.set_faults(Faults {
        refused_write,
        ..Faults::default()
    });
    save_emergency(&after, &layout, &EmergencyState::default()).unwrap_err();
    let kept = load_emergency(&after, &layout).unwrap();
    after.plant(&layout.emergency(), b"{\"declared\":");
    let damaged = load_emergency(&after, &layout).unwrap_err();

    assert!(never.declared().is_empty());
    assert_eq!(saved.declared().len(), 1);
    assert_eq!(kept.declared().len(), 1);
    assert!(matches!(damaged, EmergencyFileFault::Damaged { .. }));
    assert!(after.exists(&layout.emergency()).unwrap());
}
