//! Four months of recordings, N that changes, holds, restarts, an old copy, and a sweep that comes late or for weeks not at all (K-22).
//!
//! Every way in which the office reads is tried at drawn instants and around each midnight at which something ends.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
};

use common::{archive::*, reading::*, *};
use jiff::{Timestamp, ToSpan};
use rules::{
    Actor, CallId, Caller, CaseId, FindPermit, FindRequest, HandOverId, JstDay, Number, PolicyDays,
    Purpose, RecordingId, Refusal, RetentionPolicy, RevealPermit, RevealRequest, Sought,
};
use storage::{
    AuditTrail, Comparison, Disk, Group, KeptPassphrase, Keys, MemoryDisk, OpenFault, Opening,
    Passphrase, Playback, SearchPlace, Spool, Vault, hold, release, settle_told,
};

const SEED: u64 = 22;
const MONTHS: i32 = 4;
/// Three calendar months are no longer.
const LONGEST_DAYS: u16 = 92;

#[test]
fn in_four_months_nothing_unheld_is_read_past_its_limit_however_late_the_sweep_comes() {
    run(async {
        let mut months = Months::begin(SEED).await;
        let last_begun = JstDay::on(today().date() + MONTHS.months());
        let last = JstDay::on(last_begun.date() + i64::from(LONGEST_DAYS + 1).days());
        let mut day = today().next();
        while day <= last {
            months.cross_midnight(day.start()).await;
            if day <= last_begun {
                months.carry_calls(day);
            }
            months.keep_office(day).await;
            day = day.next();
        }
        months.end(day).await;
    });
}

/// What is known of a recording without asking the code under test.
#[derive(Clone)]
struct Known {
    number: u128,
    opening: Opening,
    /// From then on nobody reads it but by a hold.
    limit: Timestamp,
    holding: Holding,
    passphrase: KeptPassphrase,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Holding {
    Never,
    Until(Timestamp),
    Over,
}

impl Known {
    fn day(&self) -> JstDay {
        JstDay::of(self.opening.call_started)
    }

    fn case(&self) -> CaseId {
        CaseId::new(now(), self.number % 3)
    }

    fn is_held(&self) -> bool {
        matches!(self.holding, Holding::Until(_))
    }

    /// Each leave that somebody may have by now, and when its readings end.
    fn leaves(&self) -> Vec<(Leave, Timestamp)> {
        let leave = Leave {
            recording: self.opening.recording,
            held_until: None,
        };
        let mut leaves = vec![(leave, self.limit)];
        if let Holding::Until(until) = self.holding {
            let of_case = Leave {
                held_until: Some(until),
                ..leave
            };
            leaves.push((of_case, until.max(self.limit)));
        }
        leaves
    }

    fn of_package(&self) -> BTreeMap<RecordingId, JstDay> {
        [(self.opening.recording, self.day())].into()
    }
}

/// What the months came to, so that no quiet ones pass for a test.
#[derive(Debug, Default)]
struct Tally {
    in_time: usize,
    past_limit_with_keys: usize,
    held_past_limit: usize,
    playbacks_cut: usize,
}

struct Months {
    seed: u64,
    dice: Dice,
    disk: MemoryDisk,
    archive: Archive,
    /// Permits have their entries here.
    desk: AuditTrail,
    /// N of the configuration, and of the policy from each day on.
    set: u16,
    said: BTreeMap<JstDay, u16>,
    /// The limit of each day that has begun.
    limits: BTreeMap<JstDay, Timestamp>,
    recordings: Vec<Known>,
    next_sweep: JstDay,
    swept_at: Timestamp,
    copied_on: JstDay,
    restored_on: JstDay,
    old_copy: BTreeMap<PathBuf, Vec<u8>>,
    tally: Tally,
}

impl Months {
    /// The first day has its three recordings, and N of the configuration alone.
    async fn begin(seed: u64) -> Months {
        let disk = MemoryDisk::new();
        let archive = Archive::begin(Arc::new(disk.clone()), &memory_layout()).await;
        let mut dice = Dice(seed);
        let copied_on = later(today(), 30 + dice.below(20));
        let mut months = Months {
            seed,
            disk,
            archive,
            desk: trail(&city(Arc::new(MemoryDisk::new()), &memory_layout())),
            set: 89,
            said: BTreeMap::new(),
            limits: BTreeMap::new(),
            recordings: Vec::new(),
            next_sweep: later(today(), 3),
            swept_at: now(),
            copied_on,
            restored_on: later(copied_on, 30 + dice.below(30)),
            old_copy: BTreeMap::new(),
            tally: Tally::default(),
            dice,
        };
        for number in 1..=3 {
            months.note(number, opening(number));
        }
        months
    }

    /// Writes down what must hold of a recording, and makes a package of it whose passphrase nobody has seen.
    fn note(&mut self, number: u128, opening: Opening) {
        let day = JstDay::of(opening.call_started);
        let limit = *self
            .limits
            .entry(day)
            .or_insert_with(|| limit_of(day, self.set, &self.said));
        let city = &self.archive.city;
        let passphrase = city.opener.keep_passphrase(
            &city.vault,
            HandOverId::new(opening.call_started, number),
            &[(opening.recording, day)].into(),
            &Passphrase::random().unwrap(),
        );
        self.recordings.push(Known {
            number,
            opening,
            limit,
            holding: Holding::Never,
            passphrase: passphrase.unwrap(),
        });
    }

    /// Around the midnight at which they end, recordings open an instant before; then what plays is cut, and nothing begins.
    async fn cross_midnight(&mut self, midnight: Timestamp) {
        let before = midnight - 1.nanosecond();
        for known in self.recordings.clone() {
            let mut ending = known.leaves();
            ending.retain(|(_, end)| *end == midnight);
            for (leave, _) in ending {
                let mut playing = self.play(&known, leave, before).unwrap();
                assert!(
                    hears(&mut playing, before).is_ok(),
                    "{}",
                    self.at(&known, before)
                );
                let cut = hears(&mut playing, midnight);
                assert!(
                    matches!(cut, Err(OpenFault::Expired)),
                    "{}",
                    self.at(&known, midnight)
                );
                let refused = self.play(&known, leave, midnight).err();
                assert!(
                    matches!(refused, Some(OpenFault::Expired)),
                    "{}",
                    self.at(&known, midnight)
                );
                self.tally.playbacks_cut += 1;
            }
            if known.limit == midnight {
                let permit = self.reveal_permit(&known, before).await.unwrap();
                let before = self.reveals(&known, &permit, before).await;
                let after = self.reveals(&known, &permit, midnight).await;
                assert_eq!(
                    (before, after),
                    (true, false),
                    "{}",
                    self.at(&known, midnight)
                );
            }
        }
    }

    /// Some calls; between them N may change, by the policy or, with a restart, by the configuration.
    fn carry_calls(&mut self, day: JstDay) {
        self.archive.keys.make_ahead(day.start()).unwrap();
        self.record(day);
        if self.dice.below(6) == 0 {
            self.set = self.draw_days();
            self.restart();
        }
        if self.dice.below(6) == 0 {
            let days = self.draw_days();
            self.said.insert(day.next(), days);
            let said = self.said.iter();
            let said: PolicyDays = said.map(|(day, days)| (*day, policy(*days))).collect();
            let layout = &self.archive.city.layout;
            let (_, saved) = settle_told(&self.disk, layout, &said, day.start());
            saved.unwrap();
        }
        if self.dice.below(3) == 0 {
            self.record(day);
        }
    }

    fn record(&mut self, day: JstDay) {
        let number = self.recordings.len() as u128 + 1;
        let started = self.draw_instant(day);
        let opening = Opening {
            recording: RecordingId::new(started, number),
            call: CallId::new(started, number + 1_000_000),
            call_started: started,
            start: started + 9.seconds(),
            ..opening(number)
        };
        let city = &self.archive.city;
        let mut spool = Spool::new(Arc::clone(&city.disk), &city.layout);
        keep(city, &mut spool, &opening);
        self.note(number, opening);
    }

    /// What the office does on a day, or does not; and sometimes everything is tried.
    async fn keep_office(&mut self, day: JstDay) {
        let at = self.draw_instant(day);
        if self.dice.below(3) == 0 {
            self.hold_one(at).await;
        }
        if self.dice.below(6) == 0 {
            self.release_one(at).await;
        }
        if self.dice.below(10) == 0 {
            self.restart();
        }
        if day == self.copied_on {
            self.old_copy = self.sealed_files();
        }
        if day == self.restored_on {
            self.put_back();
        }
        let is_tried = day == self.restored_on || self.dice.below(12) == 0;
        if is_tried {
            self.try_everything(at).await;
        }
        if day == self.next_sweep {
            self.sweep(at).await;
            let is_away = self.dice.below(3) == 0;
            let days = self.dice.below(5) + if is_away { 21 } else { 1 };
            self.next_sweep = later(day, days);
        }
    }

    async fn sweep(&mut self, at: Timestamp) {
        self.archive.dispose(at).await.unwrap();
        self.swept_at = at;
    }

    async fn hold_one(&mut self, at: Timestamp) {
        let days = 10 + self.dice.below(100);
        let free = self.draw_recording(|known| at < known.limit && known.holding == Holding::Never);
        let Some(index) = free else { return };
        let known = &mut self.recordings[index];
        known.holding = Holding::Until(later(JstDay::of(at), days).start());
        let permit = hold_permit(known.case(), known.opening.recording);
        let held = self
            .archive
            .office(async |office| hold(office, &permit).await);
        held.await.unwrap();
    }

    async fn release_one(&mut self, at: Timestamp) {
        let Some(index) = self.draw_recording(Known::is_held) else {
            return;
        };
        self.let_go(index, at).await;
    }

    async fn let_go(&mut self, index: usize, at: Timestamp) {
        let known = &mut self.recordings[index];
        known.holding = Holding::Over;
        let permit = release_permit(known.case(), known.opening.recording);
        let released = self
            .archive
            .office(async |office| release(office, &Actor::System, permit, at).await);
        released.await.unwrap();
    }

    /// The process is killed, and the next start has N of the configuration as it is by now.
    fn restart(&mut self) {
        self.disk = self.disk.after_kill();
        let disk: Arc<dyn Disk> = Arc::new(self.disk.clone());
        let city = &mut self.archive.city;
        *city = city_again(Arc::clone(&disk), &city.layout);
        city.vault = Arc::new(Vault::new(
            Arc::clone(&disk),
            &city.layout,
            policy(self.set),
        ));
        self.archive.keys = Keys::open(disk, &city.layout).unwrap();
        self.archive.signing = signing(city);
    }

    /// The vault and the rows on their way, as somebody copies them.
    fn sealed_files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let layout = &self.archive.city.layout;
        let folders = [layout.vault(), layout.spool()];
        let mut files = self.disk.everything();
        files.retain(|path, _| folders.iter().any(|folder| path.starts_with(folder)));
        files
    }

    /// Whatever is gone since the copy was made comes back beside today's keys.
    fn put_back(&mut self) {
        let there = self.sealed_files();
        for (path, bytes) in &self.old_copy {
            if !there.contains_key(path) {
                self.disk.plant(path, bytes);
            }
        }
        self.restart();
    }

    async fn try_everything(&mut self, at: Timestamp) {
        let later_at = at + i64::try_from(24 * self.dice.below(60)).unwrap().hours();
        self.take_in().await;
        let found = self.find(at).await;
        for known in self.recordings.clone() {
            for (leave, end) in known.leaves() {
                let playing = self.play(&known, leave, at);
                assert_eq!(playing.is_ok(), at < end, "{}", self.at(&known, at));
                let Ok(mut playing) = playing else { continue };
                assert!(hears(&mut playing, at).is_ok(), "{}", self.at(&known, at));
                let goes_on = hears(&mut playing, later_at).is_ok();
                assert_eq!(goes_on, later_at < end, "{}", self.at(&known, later_at));
                self.tally.held_past_limit += usize::from(known.limit <= at);
            }
            let is_in_time = at < known.limit;
            let revealed = match self.reveal_permit(&known, at).await {
                Ok(permit) => self.reveals(&known, &permit, at).await,
                Err(_) => false,
            };
            assert_eq!(revealed, is_in_time, "{}", self.at(&known, at));
            let is_found = found.contains(&known.opening.recording);
            assert_eq!(is_found, is_in_time, "{}", self.at(&known, at));
            self.try_keys(&known, at);
            self.tally.in_time += usize::from(is_in_time);
        }
    }

    /// A passphrase has no limit of its own but the keys: they go with the first sweep past the limit, unless a case holds them.
    fn try_keys(&mut self, known: &Known, at: Timestamp) {
        let city = &self.archive.city;
        let opened =
            city.opener
                .open_passphrase(&city.vault, &known.passphrase, &known.of_package());
        let is_swept = known.limit <= self.swept_at && !known.is_held();
        assert!(opened.is_err() || !is_swept, "{}", self.at(known, at));
        let is_late = known.limit <= at && !known.is_held();
        self.tally.past_limit_with_keys += usize::from(is_late && opened.is_ok());
    }

    fn play(
        &self,
        known: &Known,
        leave: Leave,
        at: Timestamp,
    ) -> Result<Playback<Leave>, OpenFault> {
        let city = &self.archive.city;
        city.vault
            .open(leave, kept_on(known.day()), &city.opener, at)
    }

    async fn take_in(&mut self) {
        let Archive {
            city, catalogue, ..
        } = &mut self.archive;
        let _ = catalogue.take_in(&self.disk, &city.layout).await.unwrap();
    }

    /// A permit by what the recording's row says.
    async fn reveal_permit(
        &mut self,
        known: &Known,
        at: Timestamp,
    ) -> Result<RevealPermit, Refusal> {
        self.take_in().await;
        let call = self.archive.catalogue.find(known.opening.recording).await;
        let Some(call) = call.unwrap() else {
            panic!("there is no row: {}", self.at(known, at));
        };
        let proved = proved("sato", at);
        let request = RevealRequest {
            petitioner: petitioner(Some(&proved)),
            heard: heard(known.opening.recording, &call),
            purpose: Some(Purpose::AnalysisComplaint),
            reason: Some(rules::Digest([7; 32])),
        };
        let grant = request.judge(&register_of(at), at)?;
        let receipt = self.desk.append(grant.entry().clone(), at).unwrap();
        RevealPermit::issue(grant, receipt, at)
    }

    async fn reveals(&mut self, known: &Known, permit: &RevealPermit, at: Timestamp) -> bool {
        let catalogue = &mut self.archive.catalogue;
        let caller = catalogue.caller(known.opening.recording).await.unwrap();
        let opener = &self.archive.city.opener;
        let opened =
            caller.map(|caller| opener.open_caller(permit, known.opening.call, &caller, at));
        matches!(opened, Some(Ok(Caller::Known(_))))
    }

    /// The recordings that a search for the caller shows.
    async fn find(&mut self, at: Timestamp) -> BTreeSet<RecordingId> {
        let register = register_of(at);
        let proved = proved("sato", at);
        let request = FindRequest {
            petitioner: petitioner(Some(&proved)),
            sought: Sought {
                caller: Some(Number::parse("0790000001").unwrap()),
                ..Sought::default()
            },
            purpose: Some(Purpose::SubjectRights),
        };
        let grant = request.judge(&register, at).unwrap();
        let receipt = self.desk.append(grant.entry().clone(), at).unwrap();
        let permit = FindPermit::issue(grant, receipt, at).unwrap();
        let (mut found, mut place) = (BTreeSet::new(), SearchPlace::default());
        loop {
            let search = self.archive.catalogue.search(permit.sought(), place).await;
            let (mut page, next) = search.unwrap();
            if page.is_empty() {
                return found;
            }
            page.retain(|met| {
                let recording = met.call.recording.unwrap();
                let shown = permit.shows(&register, &heard(recording, &met.call), at);
                shown.unwrap()
            });
            let opener = &self.archive.city.opener;
            let compared = opener.compare_callers(&permit, &page, at).unwrap();
            let same = compared.iter().zip(&page);
            let same = same.filter(|(compared, _)| **compared == Comparison::Same);
            found.extend(same.filter_map(|(_, met)| met.call.recording));
            place = next;
        }
    }

    /// Every hold ends, one last sweep comes, and nothing is left; and the months had something of everything.
    async fn end(&mut self, day: JstDay) {
        for index in 0..self.recordings.len() {
            if self.recordings[index].is_held() {
                self.let_go(index, day.start()).await;
            }
        }
        self.sweep(day.start()).await;
        self.try_everything(day.start()).await;
        let audio = self.disk.paths().into_iter();
        let audio = audio.filter(|path| path.extension().is_some_and(|ending| ending == "krec"));
        assert_eq!(
            audio.collect::<Vec<_>>(),
            Vec::<PathBuf>::new(),
            "{}",
            self.seed
        );
        let mut groups = self.archive.keys.groups();
        let is_dead = |group| match group {
            Group::Day(day) => self.limits.contains_key(&day),
            Group::Case(_) => true,
            Group::Register(_) => false,
        };
        assert!(!groups.any(is_dead), "{}", self.seed);
        let Tally {
            in_time,
            past_limit_with_keys,
            held_past_limit,
            playbacks_cut,
        } = self.tally;
        let least = in_time.min(past_limit_with_keys).min(held_past_limit);
        assert!(
            least > 20 && playbacks_cut >= self.recordings.len(),
            "{:?}",
            self.tally
        );
        assert!(!self.old_copy.is_empty());
    }

    fn draw_days(&mut self) -> u16 {
        u16::try_from(1 + self.dice.below(usize::from(LONGEST_DAYS))).unwrap()
    }

    fn draw_instant(&mut self, day: JstDay) -> Timestamp {
        day.start() + i64::try_from(self.dice.below(86_400)).unwrap().seconds()
    }

    fn draw_recording(&mut self, is_one: impl Fn(&Known) -> bool) -> Option<usize> {
        let known = self.recordings.iter().enumerate();
        let those: Vec<usize> = known
            .filter_map(|(index, known)| is_one(known).then_some(index))
            .collect();
        match those.is_empty() {
            true => None,
            false => Some(those[self.dice.below(those.len())]),
        }
    }

    /// What an assertion says when it fails.
    fn at(&self, known: &Known, at: Timestamp) -> String {
        let Known { number, limit, .. } = known;
        let (seed, day) = (self.seed, known.day());
        format!("seed {seed}: recording {number} of {day} with its limit at {limit}, at {at}")
    }
}

/// 00:00 +09:00 of D + N days or of D + 3 calendar months, whichever comes first.
fn limit_of(day: JstDay, set: u16, said: &BTreeMap<JstDay, u16>) -> Timestamp {
    let said = said.range(..=day).next_back();
    let days = said.map_or(set, |(_, said)| set.min(*said));
    let by_days = day.date() + i64::from(days).days();
    let end = by_days.min(day.date() + 3.months());
    format!("{end}T00:00:00+09:00").parse().unwrap()
}

fn policy(days: u16) -> RetentionPolicy {
    RetentionPolicy::new(days).unwrap()
}

fn later(day: JstDay, days: usize) -> JstDay {
    JstDay::on(day.date() + i64::try_from(days).unwrap().days())
}
