//! A drill: `cargo run --release -p denwaban-storage --example drill DIR [ROWS] [DUE] [BYTES]`.
//!
//! An archive of ROWS recordings (600,000 unless given), each with a file of BYTES (4,096), is backed up. Then a day of DUE (6,700) is
//! disposed of, and then catalogue and files are lost. Prints what it costs until calls may be carried and recordings listed, and, apart
//! from that, until their audio is back; what was disposed of is dead.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a measurement prints, and is over when it fails"
)]

#[allow(dead_code, reason = "each measurement uses its own part of it")]
mod full_size;

use std::{fs, path::PathBuf};

use full_size::{Archive, Files, Size, first_day, timed};
use jiff::Timestamp;
use storage::{AudioRestore, Catalogue, Duty, Lock, OsDisk, back_up, restore};

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
        let restored = restore(&vault, &keys, &backup, Timestamp::now(), &held).await;
        let mut catalogue = Catalogue::open(&layout).await.unwrap();
        (
            restored.unwrap(),
            catalogue.recordings_by_day().await.unwrap(),
        )
    };
    let (restored, by_day) = timed("restore, until the archive is listed", back).await;
    drop(held);
    println!("{restored:?}");
    assert_eq!(by_day.get(&first_day()), None, "what was disposed of");
    assert_eq!(by_day.values().sum::<u64>(), (size.rows - size.due) as u64);

    let audio = async {
        let mut audio = AudioRestore::resume(&vault, None).unwrap().unwrap();
        let days = audio.days().into_iter();
        days.map(|day| audio.bring_day(day).unwrap()).sum::<u64>()
    };
    let files = timed("restore --audio", audio).await;
    println!("{files} files of {} bytes", size.file_bytes);
    assert_eq!(files, restored.awaited);
}
