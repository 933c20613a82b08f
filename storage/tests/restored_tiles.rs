//! The data volume is lost of an installation whose oldest months were removed by decision: of those months nothing is left but the
//! hashes in a backup, which somebody may have changed.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
};

use common::{beside::dying, *};
use jiff::{Timestamp, ToSpan};
use rules::{Actor, AuditDraft, AuditEvent, Digest, JstMonth, TrailTerm};
use storage::{
    Anchored, AuditTrail, BackupFault, BrokenReason, Catalogue, ChainReport, Disk, Duty, Head,
    Heads, Keys, Layout, Lock, OldMonths, OsDisk, Removal, Restored, SignFault, SignedHead,
    back_up, remove_months, restore, verify,
};

const CHAINS: [Duty; 2] = [Duty::Calls, Duty::Office];
const MONTHS: i64 = 4;
/// Of which so many go.
const REMOVED: i64 = 2;
/// Entries a month, its beginning not counted: more than one tile holds.
const ENTRIES: i64 = 300;

/// Four years before anything else here.
fn month(number: i64) -> Timestamp {
    now() + ((number * 31 - 4 * 366) * 24).hours()
}

struct House {
    folder: tempfile::TempDir,
    layout: Layout,
    /// Heads that somebody outside kept, of removed months too.
    outside: Vec<Head>,
}

impl House {
    /// A trail without its first months, in a backup.
    async fn backed_up() -> House {
        let folder = tempfile::tempdir().unwrap();
        let layout = layout_in(folder.path());
        city(Arc::new(OsDisk), &layout);
        let catalogue = Catalogue::open(&layout).await.unwrap();
        catalogue.close().await.unwrap();
        let mut house = House {
            folder,
            layout,
            outside: Vec::new(),
        };
        for number in 0..MONTHS {
            for chain in CHAINS {
                house.write(chain, ENTRIES, month(number));
                let signed = house.sign(chain).unwrap();
                house.outside.push(signed.head());
            }
        }
        for chain in CHAINS {
            house.forget(chain);
        }
        back_up(&house.layout, &house.backup()).await.unwrap();
        house
    }

    /// The same after everything but the keys was lost.
    async fn lost() -> House {
        let house = House::backed_up().await;
        house.lose();
        house
    }

    fn lose(&self) {
        for lost in ["vault", "calls", "office"] {
            fs::remove_dir_all(self.layout.data().join(lost)).unwrap();
        }
        self.layout.make_folders(&OsDisk).unwrap();
        for chain in CHAINS {
            self.write(chain, 1, now());
        }
    }

    /// The same once more, elsewhere.
    fn again(&self) -> House {
        let folder = tempfile::tempdir().unwrap();
        copy_all(self.folder.path(), folder.path());
        House {
            layout: layout_in(folder.path()),
            outside: self.outside.clone(),
            folder,
        }
    }

    fn write(&self, chain: Duty, entries: i64, at: Timestamp) {
        let mut trail = AuditTrail::open(Arc::new(OsDisk), &self.layout, chain).unwrap();
        let drafts = (0..entries)
            .map(|by_ms| AuditDraft::system(AuditEvent::ClockStepped { by_ms }))
            .collect();
        let _ = trail.append_all(drafts, at).unwrap();
    }

    fn heads(&self) -> Heads {
        Heads::new(Arc::new(OsDisk), &self.layout)
    }

    fn sign(&self, chain: Duty) -> Result<SignedHead, SignFault> {
        let signing = signing(&city_again(Arc::new(OsDisk), &self.layout)).unwrap();
        self.heads().sign(chain, signing.key())
    }

    fn forget(&self, chain: Duty) {
        let city = city_again(Arc::new(OsDisk), &self.layout);
        let months = OldMonths {
            chain,
            through: JstMonth::of(month(REMOVED - 1)),
            term: TrailTerm::default(),
        };
        let removal = Removal {
            months,
            decision: Digest([9; 32]),
            actor: Actor::System,
        };
        let signing = signing(&city).unwrap();
        let gone = remove_months(
            &removal,
            &self.heads(),
            signing.key(),
            &mut trail(&city),
            now(),
        );
        let expected = u64::try_from(REMOVED * (ENTRIES + 1)).unwrap();
        assert_eq!(gone.unwrap(), expected);
    }

    fn backup(&self) -> PathBuf {
        self.folder.path().join("backup")
    }

    fn tiles(&self, chain: Duty) -> PathBuf {
        self.layout.tiles().join(chain.name())
    }

    /// The tiles of a chain in the backup.
    fn carried(&self, chain: Duty) -> PathBuf {
        let layout = Layout::new(self.backup().join("data"), "no-root");
        layout.tiles().join(chain.name())
    }

    async fn restore(&self, disk: Arc<dyn Disk>) -> Result<Restored, BackupFault> {
        let held =
            [Duty::Calls, Duty::Office].map(|duty| Lock::acquire(&self.layout, duty).unwrap());
        let keys = Keys::open(Arc::new(OsDisk), &self.layout).unwrap();
        let vault = city_again(disk, &self.layout).vault;
        restore(&vault, &keys, &self.backup(), now(), &held).await
    }

    /// What comes back by a restore that goes through, and what of the tiles does not.
    async fn restored(&self) -> Vec<PathBuf> {
        let restored = self.restore(Arc::new(OsDisk)).await.unwrap();
        let path_of = |fault: BackupFault| match fault {
            BackupFault::TilesDiffer { path } => path,
            other => panic!("{other}"),
        };
        restored.tiles_left.into_iter().map(path_of).collect()
    }

    fn verify(&self, chain: Duty) -> ChainReport {
        verify(&OsDisk, &self.layout, chain, &self.outside).unwrap()
    }

    /// Each chain verifies, with every head that was kept outside, and its next head is signed.
    fn check_that_both_chains_are_whole(&self) {
        for chain in CHAINS {
            let report = self.verify(chain);
            assert!(report.is_whole() && report.removed > 0, "{report:?}");
            let last = self.outside.iter().rfind(|head| head.chain == chain);
            let expected = Anchored::Heads {
                last_agreeing: last.map(|head| head.size),
                first_disagreeing: None,
            };
            assert_eq!(report.anchored, expected);
            assert_eq!(self.sign(chain).unwrap().head(), report.head);
        }
    }
}

#[test]
fn a_restored_trail_without_its_oldest_months_verifies_and_its_heads_are_signed() {
    run(async {
        let house = House::lost().await;

        assert_eq!(house.restored().await, Vec::<PathBuf>::new());

        house.check_that_both_chains_are_whole();
        // Restoring again brings nothing, and what was signed since stays.
        let before = every_byte_under(&house.layout.tiles());
        assert_eq!(house.restored().await, Vec::<PathBuf>::new());
        assert_eq!(every_byte_under(&house.layout.tiles()), before);
    });
}

#[test]
fn a_newer_trail_and_its_newer_tiles_stay() {
    run(async {
        let house = House::backed_up().await;
        for chain in CHAINS {
            house.write(chain, ENTRIES, now());
            house.sign(chain).unwrap();
        }
        let before = every_byte_under(&house.layout.tiles());

        assert_eq!(house.restored().await, Vec::<PathBuf>::new());

        assert_eq!(every_byte_under(&house.layout.tiles()), before);
        house.check_that_both_chains_are_whole();

        // The trail alone is newer: its tiles are lost.
        fs::remove_dir_all(house.layout.tiles()).unwrap();
        assert_eq!(house.restored().await, Vec::<PathBuf>::new());
        house.check_that_both_chains_are_whole();
    });
}

#[test]
fn a_copy_of_the_trail_that_is_older_than_the_backup_gets_the_backups_tiles() {
    run(async {
        let house = House::backed_up().await;
        let old = house.again();
        house.write(Duty::Office, ENTRIES, now());
        house.sign(Duty::Office).unwrap();
        fs::remove_dir_all(house.backup()).unwrap();
        back_up(&house.layout, &house.backup()).await.unwrap();
        fs::remove_dir_all(old.backup()).unwrap();
        copy_all(&house.backup(), &old.backup());

        assert_eq!(old.restored().await, Vec::<PathBuf>::new());

        let checkpoint = |house: &House| fs::read(house.tiles(Duty::Office).join("checkpoint"));
        assert_eq!(checkpoint(&old).unwrap(), checkpoint(&house).unwrap());
        old.check_that_both_chains_are_whole();
    });
}

#[test]
fn a_backup_of_an_earlier_version_has_no_tiles_and_is_restored_all_the_same() {
    run(async {
        let house = House::lost().await;
        fs::remove_dir_all(house.carried(Duty::Calls).parent().unwrap()).unwrap();

        assert_eq!(house.restored().await, Vec::<PathBuf>::new());

        for chain in CHAINS {
            let bad = house.verify(chain).first_bad.unwrap();
            assert_eq!(bad.reason, BrokenReason::TilesDiffer);
        }
    });
}

#[test]
fn a_tile_that_was_changed_in_the_backup_is_named_and_stays_there() {
    run(async {
        // Of leaves alone, which a head of a removed month needs: the rest comes.
        let house = House::lost().await;
        let tile = house.carried(Duty::Calls).join("tile/0/001");
        change(&tile);
        assert_eq!(house.restored().await, [tile]);
        assert!(!house.tiles(Duty::Calls).join("tile/0/001").exists());
        assert!(house.tiles(Duty::Calls).join("tile/0/000").exists());
        let report = house.verify(Duty::Calls);
        assert_eq!(report.first_bad, None);
        let anchored = Anchored::Heads {
            last_agreeing: Some(1204),
            first_disagreeing: Some(301),
        };
        assert_eq!(report.anchored, anchored);
        assert_eq!(house.sign(Duty::Calls).unwrap().head(), report.head);

        // Of the right edge: nothing shows any more which of its tiles it is, and none comes.
        let house = House::lost().await;
        let edge = house.carried(Duty::Calls).join("tile/1/000.p");
        let tile = fs::read_dir(edge).unwrap().next().unwrap().unwrap().path();
        change(&tile);
        let named = house.restored().await;
        assert!(named.contains(&tile) && named.len() == 2, "{named:?}");
        assert!(!house.tiles(Duty::Calls).exists());
        assert_eq!(house.verify(Duty::Office).first_bad, None);
    });
}

#[test]
fn tiles_of_another_trail_or_with_a_head_that_nobody_signed_stay_in_the_backup() {
    run(async {
        let house = House::lost().await;
        let checkpoint = house.carried(Duty::Calls).join("checkpoint");
        let signed = fs::read_to_string(&checkpoint).unwrap();
        fs::write(&checkpoint, signed.replacen("\n12", "\n13", 1)).unwrap();
        let restored = house.restore(Arc::new(OsDisk)).await.unwrap();
        assert!(matches!(
            &restored.tiles_left[..],
            [BackupFault::Head(SignFault::LastHead { path, .. })] if *path == checkpoint
        ));
        assert!(!house.tiles(Duty::Calls).exists());

        // Signed here, and of more entries than the backup's trail has.
        let house = House::backed_up().await;
        house.write(Duty::Calls, 3, now());
        house.sign(Duty::Calls).unwrap();
        fs::remove_dir_all(house.carried(Duty::Calls)).unwrap();
        copy_all(&house.tiles(Duty::Calls), &house.carried(Duty::Calls));
        house.lose();
        let checkpoint = house.carried(Duty::Calls).join("checkpoint");
        assert_eq!(house.restored().await, [checkpoint]);
        assert!(!house.tiles(Duty::Calls).exists());
    });
}

#[test]
fn a_restore_killed_at_any_boundary_leaves_tiles_that_the_next_one_completes() {
    let lost = run(House::lost());
    let (mut n, mut is_over) = (0, false);
    while !is_over {
        n += 1;
        is_over = run(async {
            let house = lost.again();
            let (disk, left) = dying(n);
            let restored = house.restore(disk).await;

            let is_over = restored.is_ok() && left.load(Ordering::SeqCst) > 0;
            assert_eq!(house.restored().await, Vec::<PathBuf>::new(), "n = {n}");
            house.check_that_both_chains_are_whole();
            is_over
        });
    }
    assert!(n > 20, "it syncs less often than it says: {n}");
}

fn layout_in(folder: &Path) -> Layout {
    Layout::new(folder.join("data"), folder.join("root"))
}

fn change(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    bytes[20] ^= 1;
    fs::write(path, bytes).unwrap();
}

fn copy_all(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        match path.is_dir() {
            true => copy_all(&path, &target),
            false => drop(fs::copy(&path, target).unwrap()),
        }
    }
}
