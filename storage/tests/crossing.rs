//! A disposal empties the spool while calls go on writing rows into it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::{
    io,
    path::Path,
    sync::{Arc, Mutex},
};

use common::*;
use rules::Actor;
use storage::{
    Catalogue, Disk, DiskFile, Keys, Layout, MemoryDisk, Office, Spool, SpoolEntry, dispose_due,
};

/// The office's disk: just before its k-th step in the spool's folder, the calls' side makes a row durable.
struct Crossing {
    disk: MemoryDisk,
    steps: Mutex<u32>,
    crossed_at: u32,
    spool: Mutex<Spool>,
}

impl Crossing {
    fn step(&self, path: &Path) {
        if !path.starts_with(memory_layout().spool()) {
            return;
        }
        let mut steps = self.steps.lock().unwrap();
        *steps += 1;
        if *steps == self.crossed_at {
            self.spool.lock().unwrap().flush(now()).unwrap();
        }
    }
}

impl Disk for Crossing {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.step(path);
        self.disk.read(path)
    }

    fn len(&self, path: &Path) -> io::Result<u64> {
        self.step(path);
        self.disk.len(path)
    }

    fn create(&self, path: &Path, mode: u32) -> io::Result<Box<dyn DiskFile>> {
        self.disk.create(path, mode)
    }

    fn append(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.disk.append(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step(from);
        self.disk.rename(from, to)
    }

    fn unlink(&self, path: &Path) -> io::Result<()> {
        self.step(path);
        self.disk.unlink(path)
    }

    fn overwrite(&self, path: &Path) -> io::Result<()> {
        self.disk.overwrite(path)
    }

    fn make_folder(&self, path: &Path, mode: u32) -> io::Result<()> {
        self.disk.make_folder(path, mode)
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        self.disk.remove_folder(path)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        self.step(folder);
        self.disk.list(folder)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.step(folder);
        self.disk.sync_folder(folder)
    }

    fn sync_all(&self, folder: &Path) -> io::Result<()> {
        self.disk.sync_all(folder)
    }
}

#[test]
fn a_row_that_crosses_a_disposal_is_taken_in() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let mut most_steps = 0;
    for crossed_at in 1..=9 {
        most_steps = most_steps.max(runtime.block_on(cross(crossed_at)));
    }
    assert!(
        (3..9).contains(&most_steps),
        "each of the {most_steps} steps is crossed"
    );
}

/// Returns how many steps the disposal takes in the spool's folder.
async fn cross(crossed_at: u32) -> u32 {
    let folder = tempfile::tempdir().unwrap();
    let database = Layout::new(folder.path().join("data"), folder.path().join("root"));
    database.make_folders(&storage::OsDisk).unwrap();
    let disk = MemoryDisk::new();
    let city = city(Arc::new(disk.clone()), &memory_layout());
    let mut spool = Spool::new(Arc::clone(&city.disk), &city.layout);
    let put = |spool: &mut Spool, number| {
        let row = row(&city, &opening(number), None);
        spool.put(&SpoolEntry::Row(Box::new(row))).unwrap();
    };
    put(&mut spool, 1);
    spool.flush(now()).unwrap();
    put(&mut spool, 2);
    let crossing = Arc::new(Crossing {
        disk: disk.clone(),
        steps: Mutex::default(),
        crossed_at,
        spool: Mutex::new(spool),
    });
    let after = city_again(crossing.clone(), &memory_layout());

    let mut catalogue = Catalogue::open(&database).await.unwrap();
    let mut office = Office {
        keys: &mut Keys::open(after.disk.clone(), &after.layout).unwrap(),
        vault: &after.vault,
        catalogue: &mut catalogue,
        trail: &mut trail(&after),
        signing: None,
        mirror_ends: Some(&[]),
    };
    let _ = dispose_due(&mut office, &Actor::System, now())
        .await
        .unwrap();
    let steps = *crossing.steps.lock().unwrap();
    // Whatever was not crossed is written now, and the next look of the office finds it.
    crossing.spool.lock().unwrap().flush(now()).unwrap();
    let _ = catalogue.take_in(&disk, &city.layout).await.unwrap();

    let calls = catalogue
        .list(true, None)
        .await
        .unwrap()
        .page()
        .await
        .unwrap();
    assert_eq!(calls.len(), 2, "crossed at step {crossed_at}");
    steps
}
