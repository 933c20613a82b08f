//! A recording of two segments of which one is lost, or emptied, on the disk: nobody is told that the rest is the whole.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::{fs, path::PathBuf, sync::Arc};

use common::*;
use jiff::ToSpan;
use rules::{CountedDays, DayCounts, Discrepancy, Reconciled, RecordingState};
use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};
use storage::{
    Catalogue, Kept, Layout, OpenFault, Opening, OsDisk, SealedSegment, Spool, SpoolEntry, Vault,
    reconcile_day,
};

struct House {
    _folder: tempfile::TempDir,
    layout: Layout,
    city: City,
    /// What both segments together are.
    whole: SealedSegment,
}

impl House {
    /// With one recording, whose row is in the catalogue.
    async fn recorded() -> House {
        let house = House::written();
        let mut spool = Spool::new(Arc::clone(&house.city.disk), &house.layout);
        let row = row(&house.city, &opening(1), Some(&house.whole));
        spool.put(&SpoolEntry::Row(Box::new(row))).unwrap();
        house.city.vault.flush().unwrap();
        let recording = opening(1).recording;
        house
            .city
            .vault
            .close_recording(today(), recording)
            .unwrap();
        spool.flush(now()).unwrap();
        house
    }

    fn written() -> House {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::new(folder.path().join("data"), folder.path().join("root"));
        let city = city(Arc::new(OsDisk), &layout);
        let first = record(&city, &opening(1), 3);
        let whole = first.and(&record(&city, &second(), 5));
        House {
            _folder: folder,
            layout,
            city,
            whole,
        }
    }

    fn segment(&self, number: u32) -> PathBuf {
        let name = format!("{}-{number:03}.krec", opening(1).recording);
        self.layout.vault_day(today()).join(name)
    }

    fn kept(&self) -> Kept {
        Kept {
            day: today(),
            bytes: Some(self.whole.bytes),
        }
    }

    fn open(&self) -> Result<(), OpenFault> {
        let permit = permit(&self.city, opening(1).recording, now());
        let vault: &Vault = &self.city.vault;
        vault
            .open(permit, self.kept(), &self.city.opener, now())
            .map(drop)
    }

    /// When everything has settled.
    async fn reconciled(&self) -> Reconciled {
        let mut catalogue = Catalogue::open(&self.layout).await.unwrap();
        let (vault, at) = (&self.city.vault, now() + 1.hour());
        let reconciled = reconcile_day(
            &mut catalogue,
            vault,
            &OsDisk,
            today(),
            &CountedDays::default(),
            at,
        )
        .await;
        catalogue.close().await.unwrap();
        reconciled.unwrap()
    }

    async fn check_that_it_is_not_whole(&self, found_bytes: u64) {
        let Reconciled {
            counts,
            discrepancies,
        } = self.reconciled().await;
        let DayCounts {
            recorded,
            incomplete,
            missing,
            ..
        } = counts;
        assert_eq!((recorded, incomplete, missing), (1, 1, 0));
        let recording = opening(1).recording;
        let short = Discrepancy::NotWhole {
            recording,
            kept_bytes: self.whole.bytes,
            found_bytes,
        };
        assert_eq!(discrepancies, [short]);
        let opened = self.open();
        let is_refused = matches!(opened, Err(OpenFault::NotWhole { found_bytes: found, .. }) if found == found_bytes);
        assert!(is_refused, "{opened:?}");
    }
}

/// The segment that a transfer began.
fn second() -> Opening {
    Opening {
        segment: 1,
        ..opening(1)
    }
}

fn length(path: &PathBuf) -> u64 {
    fs::metadata(path).unwrap().len()
}

#[test]
fn a_segment_that_is_lost_is_named_and_what_is_left_is_not_given_out() {
    run(async {
        let house = House::recorded().await;
        assert!(house.reconciled().await.counts.is_explained());
        house.open().unwrap();
        for (lost, left) in [(1, 0), (0, 1)] {
            let bytes = fs::read(house.segment(lost)).unwrap();
            fs::remove_file(house.segment(lost)).unwrap();

            let found = length(&house.segment(left));
            house.check_that_it_is_not_whole(found).await;

            fs::write(house.segment(lost), bytes).unwrap();
            house.open().unwrap();
        }
    });
}

#[test]
fn a_segment_that_is_emptied_or_cut_is_named_and_what_is_left_is_not_given_out() {
    run(async {
        for left in [0, 100] {
            let house = House::recorded().await;
            let mut options = fs::File::options();
            let file = options.write(true).open(house.segment(1)).unwrap();
            file.set_len(left).unwrap();

            let found = length(&house.segment(0)) + left;
            house.check_that_it_is_not_whole(found).await;
        }
    });
}

#[test]
fn of_a_segment_in_which_a_byte_was_changed_nothing_is_given_out() {
    run(async {
        for segment in [0, 1] {
            let house = House::recorded().await;
            let mut bytes = fs::read(house.segment(segment)).unwrap();
            let last = bytes.len() - 10;
            bytes[last] ^= 1;
            fs::write(house.segment(segment), bytes).unwrap();

            let opened = house.open();
            let is_refused = matches!(opened, Err(OpenFault::NotWhole { found_bytes, kept_bytes, .. }) if found_bytes < kept_bytes);
            assert!(is_refused, "{segment}: {opened:?}");
        }
    });
}

/// The crash came between the last chunk and the row.
#[test]
fn the_row_of_a_recording_that_a_crash_left_open_adds_its_segments_up() {
    run(async {
        let house = House::written();
        let (recovered, faults) = house.city.vault.recover().unwrap();

        assert!(faults.is_empty());
        assert_eq!(recovered.len(), 1);
        let found = recovered[0].row();
        assert_eq!(found.state, RecordingState::Sealed);
        assert_eq!(found.audio, (&house.whole).into());
        house.city.vault.settle(&recovered).unwrap();
        house.open().unwrap();
    });
}

/// Somebody who may write catalogue and vault hides the recording.
async fn hidden_by(statement: &'static str) -> Reconciled {
    let house = House::recorded().await;
    let _ = house.reconciled().await;
    let mut connection = SqliteConnection::connect_with(
        &SqliteConnectOptions::new().filename(house.layout.catalogue()),
    )
    .await
    .unwrap();
    let altered = sqlx::query(statement).execute(&mut connection).await;
    assert_eq!(altered.unwrap().rows_affected(), 1);
    connection.close().await.unwrap();
    for number in [0, 1] {
        fs::remove_file(house.segment(number)).unwrap();
    }
    house.reconciled().await
}

#[test]
fn a_recording_that_was_hidden_by_its_row_and_its_files_is_named() {
    run(async {
        let recording = opening(1).recording;
        let call = Some(opening(1).call);
        for (statement, expected) in [
            (
                "UPDATE calls SET state = 'disposed'",
                Discrepancy::NoDisposal { recording },
            ),
            (
                "UPDATE calls SET state = 'unrecorded', reason = 'NO_WAIVER'",
                Discrepancy::NoFile { recording },
            ),
            (
                "UPDATE calls SET state = 'unrecorded', reason = 'NO_WAIVER', recording = NULL",
                Discrepancy::WasRecorded { call },
            ),
        ] {
            let found = hidden_by(statement).await;
            assert_eq!(found.discrepancies, [expected], "{statement}");
            assert_eq!((found.counts.calls, found.counts.missing), (1, 1));
        }
    });
}
