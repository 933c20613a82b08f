//! What was decided about the numbers' notices, as whoever carries calls learns it: from the office's file, each second and when the office says so.
//!
//! No call waits for it (law 1). Where the file cannot be read or is gone, what was taken in last holds, also over a start; where nothing
//! ever was, that is the configuration.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use jiff::Timestamp;
use rules::{AlarmCode, Notices};
use storage::{Layout, OsDisk};
use tokio::sync::mpsc;

use crate::{
    calls::Desk,
    signalling::{self, Order},
};

/// How often the file is looked at.
const EACH: Duration = Duration::from_secs(1);
/// How long the signalling thread may take to take it in; it is asked again at the next look.
const PATIENCE: Duration = Duration::from_secs(1);

/// Reads the office's file and hands it to the signalling thread.
pub(crate) struct NoticeReader {
    layout: Layout,
    desk: Desk,
    orders: mpsc::Sender<Order>,
    known: Mutex<Known>,
}

struct Known {
    notices: Notices,
    file: FileState,
}

/// Whether the file could be read when it was looked at last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FileState {
    Readable,
    Unreadable,
}

impl NoticeReader {
    /// Looks for the first time, and goes by what an earlier run took in where there is nothing to look at.
    ///
    /// # Returns
    /// The reader, and what the first call goes by.
    pub(crate) fn new(
        layout: &Layout,
        desk: Desk,
        orders: mpsc::Sender<Order>,
    ) -> (NoticeReader, Notices) {
        let reader = NoticeReader {
            layout: layout.clone(),
            desk,
            orders,
            known: Mutex::new(Known {
                notices: taken_in_before(layout),
                file: FileState::Readable,
            }),
        };
        let mut known = reader.lock();
        if let Some(notices) = reader.read(&mut known) {
            reader.keep(&mut known, notices);
        }
        let notices = known.notices.clone();
        drop(known);
        (reader, notices)
    }

    /// Begins the thread that looks each second, as long as somebody carries calls.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(crate) fn begin(self: &Arc<NoticeReader>) -> io::Result<()> {
        let reader = Arc::clone(self);
        let look = move || {
            while !reader.orders.is_closed() {
                reader.look();
                reader.keep_policy_days();
                thread::sleep(EACH);
            }
        };
        let name = "number-notices".to_owned();
        thread::Builder::new().name(name).spawn(look).map(drop)
    }

    /// Looks at the file; `false` where calls do not go by it.
    pub(crate) fn look(&self) -> bool {
        let mut known = self.lock();
        let Some(notices) = self.read(&mut known) else {
            return false;
        };
        if notices == known.notices {
            return true;
        }
        let taken = signalling::ask(&self.orders, PATIENCE, |answer| Order::Notices {
            notices: notices.clone(),
            answer,
        });
        if taken.is_some() {
            tracing::info!("what was decided about the numbers' notices has changed");
            self.keep(&mut known, notices);
        }
        taken.is_some()
    }

    /// Keeps N as the office's file has it. What cannot be kept is in that file all the same.
    fn keep_policy_days(&self) {
        if let Err(fault) = storage::keep_policy_days(&OsDisk, &self.layout) {
            tracing::debug!(%fault, "what the policy says of N was not kept");
        }
    }

    /// Keeps what calls go by, for a start that finds no file of the office.
    fn keep(&self, known: &mut Known, notices: Notices) {
        if notices == known.notices {
            return;
        }
        if let Err(fault) = storage::save_known_notices(&OsDisk, &self.layout, &notices) {
            tracing::warn!(%fault, "calls go by it, but a start without the office's file would not");
        }
        known.notices = notices;
    }

    /// A file that is gone is no file without decisions.
    fn read(&self, known: &mut Known) -> Option<Notices> {
        let why = match storage::load_notices(&OsDisk, &self.layout) {
            Ok(Some(notices)) => match notices.check(Timestamp::now()) {
                Ok(()) => {
                    known.file = FileState::Readable;
                    return Some(notices);
                }
                Err(fault) => fault.to_string(),
            },
            Ok(None) if known.notices == Notices::default() => return Some(Notices::default()),
            Ok(None) => "it is gone".to_owned(),
            Err(fault) => fault.to_string(),
        };
        if std::mem::replace(&mut known.file, FileState::Unreadable) == FileState::Readable {
            tracing::error!(
                why,
                "what was decided about the numbers' notices cannot be read; what was known last holds"
            );
            self.desk.raise(AlarmCode::NoticesUnknown, None);
        }
        None
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        // What is known is whole between any two statements; a panic elsewhere does not spoil it.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What an earlier run took in.
fn taken_in_before(layout: &Layout) -> Notices {
    match storage::load_known_notices(&OsDisk, layout) {
        // Its own file is believed no further than the office's.
        Ok(Some(known)) if known.check(Timestamp::now()).is_ok() => known,
        Ok(_) => Notices::default(),
        Err(fault) => {
            tracing::warn!(%fault, "what an earlier run went by is not known");
            Notices::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use rules::{
        Actor, DecisionId, Digest, Fact, JstDay, Number, NumberDecision, NumberNotice, Recorded,
        Register, WaiverBasis, WaiverFact, WaiverTerms,
    };
    use storage::Disk as _;

    use super::*;

    struct World {
        reader: NoticeReader,
        first: Notices,
        orders: mpsc::Receiver<Order>,
        layout: Layout,
        _folder: tempfile::TempDir,
    }

    /// A reader over a real folder; `orders` is what the signalling thread would hear.
    fn world(prepare: impl FnOnce(&Layout)) -> World {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::new(folder.path().join("data"), folder.path().join("root"));
        layout.make_folders(&OsDisk).unwrap();
        prepare(&layout);
        let (desk, _thread) = Desk::begin(&layout).unwrap();
        let (sender, orders) = mpsc::channel(4);
        let (reader, first) = NoticeReader::new(&layout, desk, sender);
        World {
            reader,
            first,
            orders,
            layout,
            _folder: folder,
        }
    }

    fn decided() -> Notices {
        decided_until("2025-05-01")
    }

    /// What the register would say of a decision that is reviewed then.
    fn decided_until(review: &str) -> Notices {
        let at = "2024-05-01T00:00:00Z".parse().unwrap();
        let fact = Fact::Waiver(WaiverFact::Decided {
            decision: DecisionId::new(at, 1),
            basis: WaiverBasis::Law,
            terms: WaiverTerms {
                number: Number::parse("0783331000").unwrap(),
                unit: "広報課".parse().unwrap(),
                review: review.parse().unwrap(),
            },
            text: Digest([7; 32]),
        });
        let by = Actor::Person {
            unix_user: "denwaban".to_owned(),
            person: Some("kacho".parse().unwrap()),
        };
        Register::of([Recorded { at, by, fact }])
            .waivers()
            .notices()
    }

    fn tell(layout: &Layout, notices: &Notices) {
        let (_, saved) = storage::settle_told(&OsDisk, layout, notices, Timestamp::now());
        saved.unwrap();
    }

    fn damage(layout: &Layout) {
        OsDisk
            .replace(&layout.notices(), b"[{", storage::MODE_SHARED)
            .unwrap();
    }

    #[test]
    fn a_changed_file_is_taken_in_once() {
        let mut world = world(|_| {});
        assert_eq!(world.first, Notices::default());
        assert!(
            world.reader.look(),
            "nothing is decided and nothing is there"
        );
        tell(&world.layout, &decided());
        let (reader, orders) = (&world.reader, &mut world.orders);
        thread::scope(|scope| {
            let look = scope.spawn(|| reader.look());
            let Some(Order::Notices { notices, answer }) = orders.blocking_recv() else {
                panic!("the signalling thread is told");
            };
            assert_eq!(notices, decided());
            answer.send(()).unwrap();
            assert!(look.join().unwrap());
        });
        assert!(world.reader.look());
        assert!(world.orders.try_recv().is_err(), "it is told once");
    }

    #[test]
    fn a_file_that_cannot_be_read_or_is_gone_leaves_what_was_known_last() {
        let mut world = world(|layout| {
            tell(layout, &decided());
        });
        assert_eq!(world.first, decided());
        damage(&world.layout);
        assert!(!world.reader.look());
        OsDisk.unlink(&world.layout.notices()).unwrap();
        assert!(!world.reader.look());
        assert!(world.orders.try_recv().is_err(), "calls go on as they did");
    }

    #[test]
    fn what_an_earlier_run_took_in_holds_where_the_file_is_gone_or_damaged() {
        for lose in [damage, |layout: &Layout| {
            OsDisk.unlink(&layout.notices()).unwrap();
        }] {
            let before = world(|layout| {
                tell(layout, &decided());
            });
            lose(&before.layout);
            let (desk, _thread) = Desk::begin(&before.layout).unwrap();
            let (orders, _kept) = mpsc::channel(4);
            let (_, first) = NoticeReader::new(&before.layout, desk, orders);
            assert_eq!(first, decided());
        }
    }

    #[test]
    fn what_no_register_says_is_not_taken_in() {
        let by_configuration = NumberDecision::by_configuration(
            DecisionId::from_bytes([7; 16]),
            Number::parse("0783331000").unwrap(),
            "広第1号",
            JstDay::of(Timestamp::now()).date(),
            "root",
        );
        let forged = NumberNotice::Waived(by_configuration.unwrap());
        for forged in [decided_until("2025-05-02"), vec![forged].into()] {
            let mut world = world(|layout| {
                tell(layout, &decided());
            });
            tell(&world.layout, &forged);
            assert!(!world.reader.look());
            assert!(world.orders.try_recv().is_err(), "calls go on as they did");
        }
    }

    #[test]
    fn at_the_start_an_unreadable_file_leaves_the_configuration() {
        let world = world(damage);
        assert_eq!(world.first, Notices::default());
    }
}
