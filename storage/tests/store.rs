//! What any engine under the catalogue has to do: whatever reaches it, in whatever order, it says what a plain list would say.
//!
//! Nothing here names an engine but [`Store::open`]; another one is another way to open, and the same suite.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::{collections::BTreeMap, sync::Arc};

use common::*;
use jiff::{Timestamp, ToSpan};
use proptest::{prelude::*, test_runner::TestRunner};
use rules::{CallRecord, DayCounts, Reason, RecordingState, Sought};
use storage::{
    Catalogue, Layout, ListedCall, OsDisk, Row, SealedCaller, SealedSegment, SearchPlace, Spool,
    SpoolEntry,
};

/// One thing that happens to the store.
#[derive(Clone, Debug)]
enum Step {
    /// A call that is being recorded.
    Open(u8),
    /// The same, at its end.
    Sealed(u8),
    /// A call without a recording.
    Unrecorded(u8),
    /// The spool is taken in.
    TakeIn,
    /// The program stops and starts, with a new file of the spool.
    Restart,
    /// The day's counts are kept.
    Counted(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..12_u8).prop_map(Step::Open),
        3 => (0..12_u8).prop_map(Step::Sealed),
        2 => (12..18_u8).prop_map(Step::Unrecorded),
        2 => Just(Step::TakeIn),
        1 => Just(Step::Restart),
        1 => any::<u8>().prop_map(Step::Counted),
    ]
}

/// What a plain list knows of the calls: in the order in which they came, each as far as it has got.
#[derive(Default)]
struct List {
    waiting: Vec<(u8, RecordingState)>,
    calls: Vec<(u8, RecordingState)>,
    counted: Option<u64>,
}

impl List {
    fn put(&mut self, number: u8, state: RecordingState) {
        self.waiting.push((number, state));
    }

    /// Returns how many entries were taken in.
    fn take_in(&mut self) -> u64 {
        let waiting = std::mem::take(&mut self.waiting);
        let count = waiting.len() as u64;
        for (number, state) in waiting {
            match self.calls.iter_mut().find(|(known, _)| *known == number) {
                // What came late changes nothing back.
                Some((_, known)) if *known == RecordingState::Open => *known = state,
                Some(_) => {}
                None => self.calls.push((number, state)),
            }
        }
        count
    }

    fn recorded(&self) -> Vec<(u8, RecordingState)> {
        let mut calls = self.calls.clone();
        calls.retain(|(_, state)| *state != RecordingState::Unrecorded);
        calls
    }
}

/// The store, what feeds it, and the list beside it.
struct Store {
    city: City,
    layout: Layout,
    spool: Spool,
    sealed: SealedSegment,
    catalogue: Catalogue,
    list: List,
    _folder: tempfile::TempDir,
}

impl Store {
    async fn open() -> Store {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::new(folder.path().join("data"), folder.path().join("root"));
        let city = city(Arc::new(OsDisk), &layout);
        Store {
            spool: Spool::new(Arc::clone(&city.disk), &layout),
            sealed: record(&city, &opening(99), 5),
            catalogue: Catalogue::open(&layout).await.unwrap(),
            list: List::default(),
            city,
            layout,
            _folder: folder,
        }
    }

    async fn happens(&mut self, step: &Step) {
        match step {
            Step::Open(number) => self.put(*number, RecordingState::Open),
            Step::Sealed(number) => self.put(*number, RecordingState::Sealed),
            Step::Unrecorded(number) => self.put(*number, RecordingState::Unrecorded),
            Step::TakeIn => self.take_in().await,
            Step::Restart => self.restart().await,
            Step::Counted(calls) => {
                let counts = DayCounts {
                    calls: u64::from(*calls),
                    ..DayCounts::default()
                };
                let kept = self.catalogue.keep_day_counts(today(), &counts).await;
                kept.unwrap();
                // A day is counted once: its rows become fewer afterwards.
                self.list.counted.get_or_insert(counts.calls);
            }
        }
    }

    fn put(&mut self, number: u8, state: RecordingState) {
        let segment = (state == RecordingState::Sealed).then_some(&self.sealed);
        let row = row(&self.city, &of(number), segment);
        let row = match state {
            RecordingState::Unrecorded => without_recording(row),
            _ => row,
        };
        let entry = SpoolEntry::Row(Box::new(row));
        self.spool.put(&entry).unwrap();
        self.list.put(number, state);
    }

    async fn take_in(&mut self) {
        self.spool.flush(now()).unwrap();
        let taken = self.catalogue.take_in(&OsDisk, &self.layout).await.unwrap();
        assert_eq!((taken.entries, taken.damaged), (self.list.take_in(), 0));
    }

    async fn restart(&mut self) {
        self.spool.flush(now()).unwrap();
        self.spool = Spool::new(Arc::clone(&self.city.disk), &self.layout);
        let opened = Catalogue::open(&self.layout).await.unwrap();
        let closed = std::mem::replace(&mut self.catalogue, opened);
        closed.close().await.unwrap();
    }

    /// Whatever can be asked is answered as the list answers it.
    async fn agrees(&mut self) {
        let all = self.listed(true, None).await;
        assert_eq!(standings(&all), self.list.calls);
        let recorded = self.listed(false, None).await;
        assert_eq!(standings(&recorded), self.list.recorded());
        let last = self.listed(false, Some(3)).await;
        assert_eq!(last, recorded[recorded.len().saturating_sub(3)..]);

        for (number, state) in self.list.recorded() {
            let recording = of(number).recording;
            let found = self.catalogue.find(recording).await.unwrap().unwrap();
            assert_eq!(found.state, state);
            let caller = self.catalogue.caller(recording).await.unwrap();
            assert!(matches!(caller, Some(SealedCaller::Number(_))));
        }
        assert!(
            self.catalogue
                .find(of(200).recording)
                .await
                .unwrap()
                .is_none()
        );

        let by_day = self.catalogue.recordings_by_day().await.unwrap();
        let count = self.list.recorded().len() as u64;
        let expected = (count > 0).then_some((today(), count));
        assert_eq!(by_day, expected.into_iter().collect::<BTreeMap<_, _>>());
        let kept = self.catalogue.kept_calls(today()).await.unwrap();
        assert_eq!(kept.len(), self.list.calls.len());
        let counts = self.catalogue.day_counts(today()).await.unwrap();
        assert_eq!(counts.map(|counts| counts.calls), self.list.counted);
        self.searches_agree().await;
    }

    async fn searches_agree(&mut self) {
        let early = now() + 6.seconds();
        let sought = Sought {
            until: Some(early),
            ..Sought::default()
        };
        let mut expected = self.list.calls.clone();
        expected.retain(|(number, _)| started(*number) < early);
        let (found, _) = self
            .catalogue
            .search(&sought, SearchPlace::default())
            .await
            .unwrap();
        assert_eq!(found.len(), expected.len());
    }

    async fn listed(&mut self, unrecorded: bool, limit: Option<u32>) -> Vec<ListedCall> {
        let mut listing = self.catalogue.list(unrecorded, limit).await.unwrap();
        listing.page().await.unwrap()
    }
}

fn started(number: u8) -> Timestamp {
    now() + i64::from(number).seconds()
}

/// The call of that number: each a second after the one before.
fn of(number: u8) -> storage::Opening {
    storage::Opening {
        call_started: started(number),
        ..opening(u128::from(number))
    }
}

fn without_recording(row: Row) -> Row {
    let call = CallRecord {
        recording: None,
        notice: None,
        unrecorded: Some(Reason::NoAnnouncement),
        ..row.call
    };
    Row {
        call,
        state: RecordingState::Unrecorded,
        ..row
    }
}

fn standings(calls: &[ListedCall]) -> Vec<(u8, RecordingState)> {
    let numbered = |call: &ListedCall| {
        let number = (0..=u8::MAX).find(|number| Some(of(*number).call) == call.call);
        (number.unwrap(), call.state)
    };
    calls.iter().map(numbered).collect()
}

#[test]
fn whatever_reaches_it_in_whatever_order_it_says_what_a_plain_list_would_say() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let mut runner = TestRunner::new(ProptestConfig {
        cases: 24,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let steps = proptest::collection::vec(step(), 1..40);
    runner
        .run(&steps, |steps| {
            runtime.block_on(async {
                let mut store = Store::open().await;
                for step in &steps {
                    store.happens(step).await;
                }
                store.take_in().await;
                store.agrees().await;
                store.restart().await;
                store.agrees().await;
            });
            Ok(())
        })
        .unwrap();
}
