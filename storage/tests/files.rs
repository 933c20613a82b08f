//! Small files and their modes, on a real disk.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::{
    fs::{self, Permissions},
    io,
    os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink},
    path::Path,
    sync::Arc,
};

use common::*;
use rules::{AuditDraft, AuditEvent, Declaration, EmergencyId, EmergencyState, Scope};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use storage::{
    Catalogue, Disk, Duty, EmergencyFileFault, Faults, Layout, Lock, MemoryDisk, OsDisk,
    load_emergency, save_emergency,
};

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

#[test]
fn root_key_store_catalogue_lock_and_trail_of_the_office_are_for_their_owner_alone() {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::new(folder.path().join("data"), folder.path().join("root"));
    let city = city(Arc::new(OsDisk), &layout);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(layout.root()), 0o700);
    assert_eq!(mode(&layout.root().join("0001.root")), 0o600);
    assert_eq!(mode(&layout.key_store()), 0o600);
    let _catalogue = run(Catalogue::open(&layout)).unwrap();
    let _held = Lock::acquire(&layout, Duty::Office).unwrap();
    let nobodys = AuditDraft::system(AuditEvent::AuditExportBegun { policy: Some(1) });
    let _receipt = trail(&city).append(nobodys, now()).unwrap();
    for own in [layout.catalogue(), layout.office().join("lock")] {
        assert_eq!(mode(&own), 0o600, "{}", own.display());
    }
    assert_eq!(mode(&layout.office_audit()), 0o700);
    let month = layout.office_audit().join("2026-11.jsonl");
    assert_eq!(mode(&month), 0o600);
    let others = layout.public_halves().join(format!("day-{}", today()));
    assert_eq!(mode(&others) & 0o007, 0);
}

/// A database that a former version made.
#[test]
fn a_catalogue_that_the_group_could_read_is_closed_when_it_is_opened() {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::new(folder.path().join("data"), folder.path().join("root"));
    layout.make_folders(&OsDisk).unwrap();
    fs::write(layout.catalogue(), "").unwrap();
    fs::set_permissions(layout.catalogue(), Permissions::from_mode(0o640)).unwrap();

    let _catalogue = run(Catalogue::open(&layout)).unwrap();

    let found = fs::metadata(layout.catalogue()).unwrap();
    assert_eq!(found.permissions().mode() & 0o777, 0o600);
}

/// Whoever carries calls writes into the vault, and may be somebody else by now.
#[test]
fn a_pipe_or_a_link_in_the_place_of_a_file_is_refused_and_nobody_waits_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::new(folder.path().join("data"), folder.path().join("root"));
    let city = city(Arc::new(OsDisk), &layout);
    let day = layout.vault_day(today());
    fs::create_dir(&day).unwrap();
    let (elsewhere, planted) = (folder.path().join("elsewhere"), day.join("expiry"));
    fs::write(&elsewhere, "what only the office may read").unwrap();
    let pipe = || mknodat(CWD, &planted, FileType::Fifo, Mode::from_raw_mode(0o660), 0).unwrap();
    let link = || symlink(&elsewhere, &planted).unwrap();
    for plant in [&pipe as &dyn Fn(), &link] {
        plant();

        city.vault.fixed_expiry(today()).unwrap_err();
        for refused in [
            OsDisk.read(&planted).map(drop),
            OsDisk.read_part(&planted, 0, 10).map(drop),
            OsDisk.append(&planted).map(drop),
            OsDisk.sync_file(&planted),
            OsDisk.overwrite(&planted),
        ] {
            refused.unwrap_err();
        }

        fs::remove_file(&planted).unwrap();
    }
    assert_eq!(
        fs::read(&elsewhere).unwrap(),
        b"what only the office may read"
    );
}

#[test]
fn an_expiry_that_is_longer_than_any_and_a_file_longer_than_memory_are_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::new(folder.path().join("data"), folder.path().join("root"));
    let city = city(Arc::new(OsDisk), &layout);
    let planted = layout.vault_day(today()).join("expiry");
    fs::create_dir(layout.vault_day(today())).unwrap();
    // Holes cost whoever plants them nothing.
    fs::File::create(&planted)
        .unwrap()
        .set_len(1 << 40)
        .unwrap();

    city.vault.fixed_expiry(today()).unwrap_err();
    let refused = OsDisk.read(&planted).unwrap_err();

    assert_eq!(refused.kind(), io::ErrorKind::FileTooLarge);
}

/// Only root can make anything for somebody else; another user leaves this test out.
#[test]
fn what_root_makes_in_a_folder_belongs_to_whom_the_folder_does() {
    const OWNER: u32 = 61_003;
    let folder = tempfile::tempdir().unwrap();
    if fs::metadata(folder.path()).unwrap().uid() != 0 {
        return;
    }
    chown(folder.path(), Some(OWNER), Some(OWNER)).unwrap();

    let deep = folder.path().join("office/audit");
    OsDisk.make_folder(&deep, 0o700).unwrap();
    OsDisk
        .replace(&deep.join("month"), b"entry", 0o600)
        .unwrap();

    for made in [deep.parent().unwrap(), &deep, &deep.join("month")] {
        let found = fs::metadata(made).unwrap();
        assert_eq!(
            (found.uid(), found.gid()),
            (OWNER, OWNER),
            "{}",
            made.display()
        );
    }
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
