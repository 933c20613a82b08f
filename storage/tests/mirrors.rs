//! Mirrors and root providers: a volume is lost, away or late; roots may live where no file shows them.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use common::*;
use jiff::ToSpan;
use rules::{AuditDraft, AuditEvent, Caller, JstDay};
use storage::{
    AuditTrail, Disk, Duty, Faults, Group, KeyFault, KeyStatus, Keys, Layout, MemoryDisk, Opener,
    RootProvider, SealedCaller, Standing, Wrapped,
};

const MIRROR: &str = "/volume/mirror";

fn mirrored() -> Layout {
    memory_layout().with_mirrors(vec![PathBuf::from(MIRROR)])
}

fn seal(city: &City) -> SealedCaller {
    let caller = Caller::Known(rules::Number::parse("0790000001").unwrap());
    city.sealer
        .seal_caller(opening(1).call, today(), &caller)
        .unwrap()
}

fn opens(opener: &Opener, sealed: &SealedCaller) -> bool {
    let desk = city(Arc::new(MemoryDisk::new()), &memory_layout());
    let permit = reveal_permit(&desk, opening(1).recording, now());
    opener
        .open_caller(&permit, opening(1).call, sealed, now())
        .is_ok()
}

fn opens_on(disk: &MemoryDisk, sealed: &SealedCaller) -> bool {
    opens(&Opener::new(Arc::new(disk.clone()), &mirrored()), sealed)
}

fn destroy_today(keys: &mut Keys) {
    keys.destroy(&BTreeSet::from([Group::Day(today())]), now())
        .unwrap();
}

fn files_under(disk: &MemoryDisk, folder: &str) -> BTreeMap<PathBuf, Vec<u8>> {
    let everything = disk.everything().into_iter();
    everything
        .filter(|(path, _)| path.starts_with(folder))
        .collect()
}

fn remove_files_under(disk: &MemoryDisk, folder: &str) {
    for path in files_under(disk, folder).keys() {
        disk.unlink(path).unwrap();
    }
}

fn plant_all(disk: &MemoryDisk, files: &BTreeMap<PathBuf, Vec<u8>>) {
    for (path, bytes) in files {
        disk.plant(path, bytes);
    }
}

#[test]
fn a_mirror_follows_every_change_and_keeps_no_history() {
    let disk = MemoryDisk::new();
    let city = city(Arc::new(disk.clone()), &mirrored());
    let mut keys = Keys::open(Arc::new(disk.clone()), &city.layout).unwrap();
    assert_eq!(
        disk.list(Path::new(MIRROR)).unwrap(),
        ["0001.root", "store"]
    );
    let old = files_under(&disk, MIRROR);

    destroy_today(&mut keys);

    assert_eq!(keys.mirrors_behind().count(), 0);
    assert_eq!(
        disk.list(Path::new(MIRROR)).unwrap(),
        ["0002.root", "store"]
    );
    let own = disk.read(&city.layout.root().join("0002.root")).unwrap();
    assert_ne!(
        own,
        disk.read(&Path::new(MIRROR).join("0002.root")).unwrap()
    );
    for (path, bytes) in &old {
        let kept = disk.everything().values().any(|there| there == bytes);
        assert!(!kept, "{} has history", path.display());
    }
}

#[test]
fn whatever_is_lost_comes_back_from_a_mirror_and_nothing_without_one() {
    let root = memory_layout().root().to_str().unwrap().to_owned();
    let data = "/city/data/keys".to_owned();
    for lost in [vec![&root], vec![&data], vec![&root, &data]] {
        let disk = MemoryDisk::new();
        let city = city(Arc::new(disk.clone()), &mirrored());
        let sealed = seal(&city);
        let not_lost = Keys::recover(
            Arc::new(disk.clone()),
            &city.layout,
            Path::new(MIRROR),
            now(),
        );
        assert!(matches!(not_lost, Err(KeyFault::NothingLost { .. })));
        lost.iter()
            .for_each(|folder| remove_files_under(&disk, folder));
        assert!(!opens_on(&disk, &sealed));

        let keys = Keys::recover(
            Arc::new(disk.clone()),
            &city.layout,
            Path::new(MIRROR),
            now(),
        )
        .unwrap();

        assert_eq!(
            (keys.root_generation(), keys.mirrors_behind().count()),
            (2, 0)
        );
        assert!(opens_on(&disk, &sealed));
        assert!(city.sealer.day(today()).is_ok());
    }
    // Root and mirror lost: the recordings are lost.
    let disk = MemoryDisk::new();
    let city = city(Arc::new(disk.clone()), &mirrored());
    let sealed = seal(&city);
    remove_files_under(&disk, &root);
    remove_files_under(&disk, MIRROR);
    let lost = Keys::recover(
        Arc::new(disk.clone()),
        &city.layout,
        Path::new(MIRROR),
        now(),
    );
    assert!(matches!(lost, Err(KeyFault::StoreMissing { .. })));
    assert!(!opens_on(&disk, &sealed));
}

/// The volume is not mounted while a day is destroyed, and comes back with what it held.
#[test]
fn a_mirror_that_was_away_is_named_and_follows_when_it_is_back() {
    let disk = MemoryDisk::new();
    let city = city(Arc::new(disk.clone()), &mirrored());
    let mut keys = Keys::open(Arc::new(disk.clone()), &city.layout).unwrap();
    let old = files_under(&disk, MIRROR);
    remove_files_under(&disk, MIRROR);

    destroy_today(&mut keys);

    let behind: Vec<&Path> = keys.mirrors_behind().map(|(folder, _)| folder).collect();
    assert_eq!(behind, [Path::new(MIRROR)]);
    assert!(
        files_under(&disk, MIRROR).is_empty(),
        "it may be a mount point"
    );

    plant_all(&disk, &old);
    let keys = Keys::open(Arc::new(disk.clone()), &city.layout).unwrap();
    assert_eq!(keys.mirrors_behind().count(), 0);
    assert_eq!(
        disk.list(Path::new(MIRROR)).unwrap(),
        ["0002.root", "store"]
    );
}

#[test]
fn a_volume_that_was_replaced_is_set_up_when_somebody_says_so() {
    let disk = MemoryDisk::new();
    let city = city(Arc::new(disk.clone()), &mirrored());
    remove_files_under(&disk, MIRROR);
    let mut keys = Keys::open(Arc::new(disk.clone()), &city.layout).unwrap();
    assert_eq!(keys.mirrors_behind().count(), 1);
    keys.mirror().unwrap();
    assert_eq!(keys.mirrors_behind().count(), 0);
    assert_eq!(
        disk.list(Path::new(MIRROR)).unwrap(),
        ["0001.root", "store"]
    );
}

/// The volume of a mirror that the configuration names no more lies in a drawer, with the keys of its time.
#[test]
fn a_mirror_that_is_struck_is_named_until_it_follows_again_or_is_ended() {
    let disk = MemoryDisk::new();
    let struck = city(Arc::new(disk.clone()), &mirrored()).layout;
    let open = |layout: &Layout| Keys::open(Arc::new(disk.clone()), layout).unwrap();
    let behind = |keys: &Keys| -> Vec<PathBuf> {
        let behind = keys.mirrors_behind();
        behind.map(|(folder, _)| folder.to_owned()).collect()
    };
    let mirror = Path::new(MIRROR);

    let mut keys = open(&memory_layout());
    destroy_today(&mut keys);
    assert_eq!(behind(&keys), [mirror]);
    // Configured again it follows, and cannot be ended.
    let mut keys = open(&struck);
    assert!(behind(&keys).is_empty());
    let refused = keys.end_mirror(mirror);
    assert!(matches!(refused, Err(KeyFault::MirrorConfigured { .. })));
    // Ended it is waited for no more, by the next start neither.
    let mut keys = open(&memory_layout());
    keys.end_mirror(mirror).unwrap();
    assert!(behind(&keys).is_empty() && behind(&open(&memory_layout())).is_empty());
    let refused = keys.end_mirror(mirror);
    assert!(matches!(refused, Err(KeyFault::NoMirror { .. })));
    // Set up once more and struck once more, it is to be ended once more.
    assert!(behind(&open(&struck)).is_empty());
    assert_eq!(behind(&open(&memory_layout())), [mirror]);
}

/// The power goes in the n-th sync of a rotation, for every n: own keys and mirror open, each by itself.
#[test]
fn a_power_cut_at_any_sync_leaves_own_keys_and_mirror_whole() {
    let mut n = 0;
    let mut is_over = false;
    while !is_over {
        n += 1;
        let disk = MemoryDisk::new();
        let city = city(Arc::new(disk.clone()), &mirrored());
        let sealed = seal(&city);
        let mut keys = Keys::open(Arc::new(disk.clone()), &city.layout).unwrap();
        disk.set_faults(Faults {
            freeze_at_sync: Some(disk.sync_count() + n),
            ..Faults::default()
        });
        is_over = keys.rotate(now()).is_ok() && keys.mirrors_behind().count() == 0;
        for after in [disk.after_power_cut(), disk.after_kill()] {
            let lost = after.after_kill();
            remove_files_under(&lost, memory_layout().root().to_str().unwrap());
            Keys::recover(
                Arc::new(lost.clone()),
                &city.layout,
                Path::new(MIRROR),
                now(),
            )
            .unwrap();
            assert!(opens_on(&lost, &sealed), "the mirror, n = {n}");
            let keys = Keys::open(Arc::new(after.clone()), &city.layout).unwrap();
            assert_eq!(keys.mirrors_behind().count(), 0, "n = {n}");
            assert!(opens_on(&after, &sealed), "n = {n}");
        }
    }
    assert!(
        n > 9,
        "a rotation with a mirror has at least nine syncs, found {n}"
    );
}

/// A module that keeps its roots inside: nothing of them is ever in a file.
#[test]
fn roots_may_be_kept_where_no_file_shows_them() {
    let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::new());
    let layout = memory_layout();
    layout.make_folders(&*disk).unwrap();
    let module = Arc::new(Module::default());
    let roots = || Arc::clone(&module) as Arc<dyn RootProvider>;
    let mut keys = Keys::create_with(Arc::clone(&disk), &layout, roots(), now()).unwrap();
    keys.make_ahead(now()).unwrap();
    let city = city_again(Arc::clone(&disk), &layout);
    let sealed = seal(&city);
    let opener = Opener::with_roots(Arc::clone(&disk), &layout, roots());
    assert!(opens(&opener, &sealed));
    assert!(disk.list(layout.root()).unwrap().is_empty());

    let mut keys = Keys::open_with(Arc::clone(&disk), &layout, roots()).unwrap();
    destroy_today(&mut keys);

    assert!(!opens(&opener, &sealed));
    assert_eq!(module.0.lock().unwrap().len(), 1);
}

#[test]
fn a_key_store_of_the_first_version_opens_and_is_written_anew_with_its_checksum() {
    let disk = MemoryDisk::new();
    let city = city(Arc::new(disk.clone()), &memory_layout());
    let sealed = seal(&city);
    let path = city.layout.key_store();
    let mut store: serde_json::Value = serde_json::from_slice(&disk.read(&path).unwrap()).unwrap();
    let fields = store.as_object_mut().unwrap();
    fields.retain(|name, _| ["format", "root", "groups"].contains(&&**name));
    fields.insert("format".to_owned(), "denwaban key store 1".into());
    disk.plant(&path, &serde_json::to_vec(&store).unwrap());

    Keys::open(Arc::new(disk.clone()), &city.layout).unwrap();

    assert!(opens_on(&disk, &sealed));
    assert!(contains(
        &disk.read(&path).unwrap(),
        b"denwaban key store 3"
    ));
}

/// Root and key store of before a rotation, put back beside a mirror that followed it.
fn put_back(disk: &MemoryDisk) {
    let layout = mirrored();
    let folders = [layout.root().to_owned(), PathBuf::from("/city/data/keys")];
    let old: Vec<_> = folders
        .iter()
        .map(|folder| files_under(disk, folder.to_str().unwrap()))
        .collect();
    let mut keys = Keys::open(Arc::new(disk.clone()), &layout).unwrap();
    destroy_today(&mut keys);
    keys.make_ahead(now() + 72.hours()).unwrap();
    for (folder, files) in folders.iter().zip(&old) {
        remove_files_under(disk, folder.to_str().unwrap());
        plant_all(disk, files);
    }
}

fn recover(disk: &MemoryDisk, folder: &str) -> Result<Keys, KeyFault> {
    Keys::recover(
        Arc::new(disk.clone()),
        &mirrored(),
        Path::new(folder),
        now() + 72.hours(),
    )
}

#[test]
fn nothing_is_written_over_a_mirror_with_newer_keys_and_nothing_is_done_beside_it() {
    let disk = MemoryDisk::new();
    let city = city(Arc::new(disk.clone()), &mirrored());
    put_back(&disk);
    let before = disk.everything();

    let opened = Keys::open(Arc::new(disk.clone()), &city.layout).err();

    assert!(matches!(opened, Some(KeyFault::MirrorNewer { .. })));
    let told = opened.unwrap().to_string();
    assert!(
        told.contains("keys recover --from /volume/mirror"),
        "{told}"
    );
    assert_eq!(disk.everything(), before);
    let disk: Arc<dyn Disk> = Arc::new(disk);
    let status = KeyStatus::read(&disk, &city.layout).unwrap();
    let (_, standing) = &status.mirrors[0];
    assert!(matches!(
        standing,
        Standing::Behind(KeyFault::MirrorNewer { .. })
    ));
}

#[test]
fn a_mirror_with_newer_keys_is_taken_in_over_older_ones_that_open_and_brings_nothing_back() {
    let disk = MemoryDisk::new();
    let city = city(Arc::new(disk.clone()), &mirrored());
    let gone = seal(&city);
    put_back(&disk);

    let keys = recover(&disk, MIRROR).unwrap();

    assert_eq!(
        (keys.root_generation(), keys.mirrors_behind().count()),
        (3, 0)
    );
    let days: BTreeSet<Group> = keys.groups().collect();
    assert!(!days.contains(&Group::Day(today())));
    assert!(days.contains(&Group::Day(JstDay::of(now() + 240.hours()))));
    assert!(!opens_on(&disk, &gone));
    Keys::open(Arc::new(disk), &city.layout).unwrap();
}

#[test]
fn an_older_mirror_is_taken_in_neither_over_newer_keys_nor_beside_a_newer_mirror() {
    const OLDER: &str = "/volume/older";
    let disk = MemoryDisk::new();
    let _ = city(Arc::new(disk.clone()), &mirrored());
    for (path, bytes) in files_under(&disk, MIRROR) {
        let name = path.file_name().unwrap();
        disk.plant(&Path::new(OLDER).join(name), &bytes);
    }
    let mut keys = Keys::open(Arc::new(disk.clone()), &mirrored()).unwrap();
    destroy_today(&mut keys);
    let before = disk.everything();
    assert!(matches!(
        recover(&disk, OLDER),
        Err(KeyFault::NothingLost { .. })
    ));
    assert_eq!(disk.everything(), before);

    remove_files_under(&disk, mirrored().root().to_str().unwrap());
    let before = disk.everything();
    assert!(matches!(
        recover(&disk, OLDER),
        Err(KeyFault::MirrorNewer { .. })
    ));
    assert_eq!(disk.everything(), before);
}

/// The mirror's volume comes back after the office began beside an old copy.
#[test]
fn a_mirror_that_turns_out_newer_stops_the_keys_and_stays_as_it_is() {
    let disk = MemoryDisk::new();
    let _ = city(Arc::new(disk.clone()), &mirrored());
    put_back(&disk);
    let newer = files_under(&disk, MIRROR);
    remove_files_under(&disk, MIRROR);
    let mut keys = Keys::open(Arc::new(disk.clone()), &mirrored()).unwrap();
    plant_all(&disk, &newer);
    type Turn = fn(&mut Keys) -> Result<(), KeyFault>;
    let turns: [Turn; 4] = [
        Keys::follow_again,
        Keys::mirror,
        |keys| keys.rotate(now()),
        |keys| keys.make_ahead(now() + 240.hours()),
    ];
    for turn in turns {
        assert!(matches!(turn(&mut keys), Err(KeyFault::MirrorNewer { .. })));
        assert_eq!(files_under(&disk, MIRROR), newer);
    }
}

/// An old copy went on while the mirror was away: each holds halves that the other lacks, whichever counts more writings.
#[test]
fn a_mirror_from_which_the_keys_have_parted_is_not_written_over() {
    let disk = MemoryDisk::new();
    let _ = city(Arc::new(disk.clone()), &mirrored());
    put_back(&disk);
    let parted = files_under(&disk, MIRROR);
    remove_files_under(&disk, MIRROR);
    let mut keys = Keys::open(Arc::new(disk.clone()), &mirrored()).unwrap();
    keys.make_ahead(now() + 72.hours()).unwrap();
    for _ in 0..3 {
        keys.rotate(now()).unwrap();
    }
    plant_all(&disk, &parted);
    assert!(matches!(
        keys.follow_again(),
        Err(KeyFault::MirrorNewer { .. })
    ));
    assert_eq!(files_under(&disk, MIRROR), parted);
}

#[test]
fn no_older_mirror_is_taken_in_while_the_one_that_may_have_what_the_trail_tells_of_is_away() {
    const OTHER: &str = "/volume/other";
    let both = memory_layout().with_mirrors(vec![PathBuf::from(MIRROR), PathBuf::from(OTHER)]);
    let disk = MemoryDisk::new();
    let _ = city(Arc::new(disk.clone()), &both);
    let mut trail = AuditTrail::open(Arc::new(disk.clone()), &both, Duty::Office).unwrap();
    let told = AuditDraft::system(AuditEvent::KeysRecovered { generation: 9 });
    let _ = trail.append(told, now()).unwrap();
    for lost in [both.root().to_str().unwrap(), OTHER] {
        remove_files_under(&disk, lost);
    }
    let before = disk.everything();
    let taken_in = |layout: &Layout| {
        let disk = Arc::new(disk.clone());
        Keys::recover(disk, layout, Path::new(MIRROR), now()).map(drop)
    };
    assert!(matches!(
        taken_in(&both),
        Err(KeyFault::MirrorUnread { path, told: 9, found: 1 }) if path == Path::new(OTHER)
    ));
    assert_eq!(disk.everything(), before);
    taken_in(&mirrored()).unwrap();
}

#[test]
fn a_changed_byte_of_the_key_store_is_damage_and_goes_to_no_mirror() {
    let disk = MemoryDisk::new();
    let city = city(Arc::new(disk.clone()), &mirrored());
    let sealed = seal(&city);
    let path = city.layout.key_store();
    let whole = disk.read(&path).unwrap();
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        disk.plant(&path, &changed);
        let before = disk.everything();
        let opened = Keys::open(Arc::new(disk.clone()), &city.layout).err();
        assert!(
            matches!(opened, Some(KeyFault::StoreDamaged { .. })),
            "byte {at}: {opened:?}"
        );
        assert_eq!(disk.everything(), before, "byte {at}");
    }
    recover(&disk, MIRROR).unwrap();
    assert!(opens_on(&disk, &sealed));
}

/// One 64-bit word stands for a root: wrapping is adding it. What matters here is who keeps it.
#[derive(Default)]
struct Module(Mutex<BTreeMap<u32, u64>>);

impl Module {
    fn pad(&self, generation: u32, words: &[u8]) -> Result<u8, KeyFault> {
        let roots = self.0.lock().unwrap();
        let root = roots.get(&generation);
        let root = root.ok_or(KeyFault::DoesNotUnwrap { root: generation })?;
        let words = words.iter().fold(*root, |sum, byte| {
            sum.rotate_left(5).wrapping_add(u64::from(*byte))
        });
        Ok(u8::try_from(words % 251).unwrap())
    }
}

impl RootProvider for Module {
    fn generate(&self, generation: u32) -> Result<(), KeyFault> {
        let root = u64::from(generation) * 7_919;
        self.0.lock().unwrap().insert(generation, root);
        Ok(())
    }

    fn wrap(&self, generation: u32, words: &[u8], clear: &[u8]) -> Result<Wrapped, KeyFault> {
        let pad = self.pad(generation, words)?;
        let bytes = clear.iter().map(|byte| byte.wrapping_add(pad)).collect();
        let nonce = [0; 12];
        Ok(Wrapped { nonce, bytes })
    }

    fn unwrap(
        &self,
        generation: u32,
        words: &[u8],
        wrapped: &Wrapped,
    ) -> Result<zeroize::Zeroizing<Vec<u8>>, KeyFault> {
        let pad = self.pad(generation, words)?;
        let bytes = wrapped.bytes.iter().map(|byte| byte.wrapping_sub(pad));
        Ok(zeroize::Zeroizing::new(bytes.collect()))
    }

    fn destroy(&self, kept: u32) -> Result<(), KeyFault> {
        self.0
            .lock()
            .unwrap()
            .retain(|generation, _| *generation == kept);
        Ok(())
    }
}
