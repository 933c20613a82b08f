//! What a storm watches while it lasts, because nothing tells it afterwards: emergencies, prompts on the wire, how rough it was.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::{Duration, Instant},
};

use media::{Command, LegId, OfferedLeg};
use rules::{CallId, Number, Scope};

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
}

/// An emergency by the clock that does not jump.
#[derive(Debug)]
struct Declared {
    scope: Scope,
    from: Instant,
    until: Instant,
}

impl Watch {
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
        let at = *self.taken_in.get(&call)?;
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
    pub(super) fn disk(&mut self, files: &BTreeMap<std::path::PathBuf, Vec<u8>>) {
        let name = |path: &std::path::Path| path.to_string_lossy().into_owned();
        let rows = rows(files);
        let closed: BTreeSet<String> = files
            .keys()
            .map(|path| name(path))
            .filter(|name| name.ends_with(".krec") && !name.ends_with(".open.krec"))
            .collect();
        for path in closed {
            let file = path.rsplit('/').next().unwrap_or_default();
            let recording = file.rsplit_once('-').map_or(file, |(id, _)| id);
            if !rows.contains(recording) {
                self.faults
                    .push(format!("{file} is closed without its row"));
            }
        }
    }
}

/// All rows that lie on a disk.
pub(super) fn rows(files: &BTreeMap<std::path::PathBuf, Vec<u8>>) -> String {
    let rows = files
        .iter()
        .filter(|(path, _)| path.to_string_lossy().ends_with(".rows"));
    rows.map(|(_, bytes)| String::from_utf8_lossy(bytes).into_owned())
        .collect()
}
