//! A drill: `cargo run --release -p denwaban-storage --example drill DIR [ROWS] [DUE]`.
//!
//! An archive of ROWS recordings (600,000 unless given), each with a file, is backed up. Then a day of DUE (6,700) is disposed of, and
//! then catalogue and files are lost. Prints what it costs until the backup is restored and can be listed; what was disposed of is dead.
//! A file holds 4 KiB here: copying what a real one holds costs what the disks cost.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a measurement prints, and is over when it fails"
)]

#[allow(dead_code, reason = "each measurement uses its own part of it")]
mod full_size;

use std::{fs, path::PathBuf};

use full_size::{Archive, Files, Size, first_day, timed};
use storage::{Catalogue, Duty, Lock, OsDisk, back_up, restore};

fn main() {
    full_size::run("drill", drill);
}

async fn drill(folder: PathBuf, size: Size) {
    let mut archive = Archive::fill(&folder, size, Files::All).await;
    let backup = folder.join("backup");
    let carried = timed("backup", back_up(&archive.layout, &backup)).await;
    println!("{:?}", carried.unwrap());
    let _ = timed("disposal", archive.dispose()).await;

    let Archive {
        layout,
        keys,
        vault,
        catalogue,
        ..
    } = archive;
    catalogue.close().await.unwrap();
    fs::remove_file(layout.catalogue()).unwrap();
    fs::remove_dir_all(layout.vault()).unwrap();
    layout.make_folders(&OsDisk).unwrap();

    let held = [Duty::Calls, Duty::Office].map(|duty| Lock::acquire(&layout, duty).unwrap());
    let back = async {
        let carried = restore(&layout, &vault, &keys, &backup, &held).await;
        let mut catalogue = Catalogue::open(&layout).await.unwrap();
        (
            carried.unwrap(),
            catalogue.recordings_by_day().await.unwrap(),
        )
    };
    let (carried, by_day) = timed("restore, until the archive is listed", back).await;
    println!("{carried:?}");
    assert_eq!(by_day.get(&first_day()), None, "what was disposed of");
    assert_eq!(by_day.values().sum::<u64>(), (size.rows - size.due) as u64);
}
