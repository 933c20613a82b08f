//! What a storm watches while it lasts, because nothing tells it afterwards: emergencies, prompts on the wire, how rough it was.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::{Duration, Instant},
};

use media::{Command, LegId, OfferedLeg};
use rules::{CallId, EmergencyState, Number, Scope};
use storage::{Disk, MemoryDisk};

/// Around the beginning and the end of an emergency a call may come under it or not: it is looked at once a second.
const BLUR: Duration = Duration::from_secs(3);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// What was found wrong.
    pub(super) faults: Vec<String>,
    /// Whether packets were lost, or anybody or anything died.
    pub(super) is_rough: bool,
    emergencies: Vec<Declared>,
    taken_in: BTreeMap<CallId, Instant>,
    pairs: BTreeMap<LegId, SocketAddr>,
    /// Samples that left for a leg since its prompt began.
    prompts: BTreeMap<LegId, u64>,
    /// Segments with a closed name that have been looked at.
    closed: BTreeSet<String>,
}

/// An emergency by the clock that does not jump.
#[derive(Debug)]
struct Declared {
    scope: Scope,
    from: Instant,
    until: Instant,
}

impl Watch {
    /// Whether a fault that begins so was found.
    pub(super) fn has_found(&self, fault: &str) -> bool {
        self.faults.iter().any(|found| found.starts_with(fault))
    }

    // Emergencies.

    pub(super) fn declared(&mut self, now: Instant, scope: Scope, duration: Duration) {
        self.end(now, |declared| declared.scope == scope);
        self.emergencies.push(Declared {
            scope,
            from: now,
            until: now + duration,
        });
    }

    pub(super) fn lifted(&mut self, now: Instant) {
        self.end(now, |_| true);
    }

    fn end(&mut self, now: Instant, is_meant: impl Fn(&Declared) -> bool) {
        for declared in &mut self.emergencies {
            if declared.until > now && is_meant(declared) {
                declared.until = now;
            }
        }
    }

    pub(super) fn taken_in(&mut self, now: Instant, call: CallId) {
        self.taken_in.entry(call).or_insert(now);
    }

    /// Whether a call came under an emergency; none where that is a matter of moments.
    pub(super) fn is_under_emergency(&self, call: CallId, called: &Number) -> Option<bool> {
        self.covers(*self.taken_in.get(&call)?, called)
    }

    /// Whether a number is under an emergency at an instant; none where that is a matter of moments.
    fn covers(&self, at: Instant, called: &Number) -> Option<bool> {
        let covering = |declared: &&Declared| match &declared.scope {
            Scope::All => true,
            Scope::Number(number) => number == called,
        };
        let is_near = |edge: Instant| edge + BLUR > at && at + BLUR > edge;
        let mut covering = self.emergencies.iter().filter(covering);
        if covering
            .clone()
            .any(|declared| is_near(declared.from) || is_near(declared.until))
        {
            return None;
        }
        Some(covering.any(|declared| declared.from <= at && at < declared.until))
    }

    /// What is in force is what was declared, for as long as it was declared, whatever the wall clock did.
    pub(super) fn compare_emergencies(
        &mut self,
        now: Instant,
        wall: jiff::Timestamp,
        state: &EmergencyState,
        called: &Number,
    ) {
        let Some(is_expected) = self.covers(now, called) else {
            return;
        };
        let is_found = state.in_force(called, wall).is_some();
        if is_found != is_expected {
            let what = match is_expected {
                true => "an emergency has ended before its time",
                false => "an emergency is in force that has ended, or was declared for others",
            };
            self.faults.push(what.to_owned());
        }
    }

    // Prompts.

    pub(super) fn lent(&mut self, legs: &[OfferedLeg]) {
        self.pairs.extend(legs.iter().map(|leg| (leg.leg, leg.rtp)));
    }

    pub(super) fn commanded(&mut self, command: &Command) {
        if let Command::Play { leg, .. } = command {
            self.prompts.insert(*leg, 0);
        }
    }

    /// A packet of a shard's own leaves.
    pub(super) fn left(&mut self, from: SocketAddr, octets: usize) {
        for (leg, samples) in &mut self.prompts {
            if self.pairs.get(leg) == Some(&from) {
                *samples += u64::try_from(octets.saturating_sub(12)).expect("a packet");
            }
        }
    }

    /// A leg that hears a prompt.
    pub(super) fn prompted(&self) -> Option<LegId> {
        self.prompts.keys().next().copied()
    }

    /// The engine says how much of a prompt it has sent: by the packets it was no less.
    pub(super) fn prompt_ended(&mut self, leg: LegId, sent: u64) {
        if let Some(left) = self.prompts.remove(&leg).filter(|left| *left < sent) {
            let what = format!("{sent} samples of a prompt are reported, {left} went out");
            self.faults.push(what);
        }
    }

    pub(super) fn shard_lost(&mut self) {
        self.pairs.clear();
        self.prompts.clear();
    }

    // The disk.

    /// A segment has its closed name only once its row lies on the disk: a crash would find nothing to recover.
    pub(super) fn disk(&mut self, disk: &MemoryDisk) {
        let paths = disk.paths().into_iter();
        let names = paths.filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()));
        let closed = names.filter(|name| name.ends_with(".krec") && !name.ends_with(".open.krec"));
        let unseen: Vec<String> = closed.filter(|name| !self.closed.contains(name)).collect();
        if unseen.is_empty() {
            return;
        }
        let rows = rows(disk);
        for name in unseen {
            let recording = name.rsplit_once('-').map_or(name.as_str(), |(id, _)| id);
            if !rows.contains(recording) {
                let what = format!("{name} is closed without its row");
                self.faults.push(what);
            }
            self.closed.insert(name);
        }
    }
}

/// All rows that lie on a disk.
pub(super) fn rows(disk: &MemoryDisk) -> String {
    let paths = disk.paths().into_iter();
    let rows = paths.filter(|path| path.to_string_lossy().ends_with(".rows"));
    let read = rows.filter_map(|path| disk.read(&path).ok());
    read.map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .collect()
}
