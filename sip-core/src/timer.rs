//! The timers of RFC 3261 table 4 and RFC 6026, as an enum and a table; no clock is read here.
//!
//! Each transaction and usage owns a [`TimerTable`]; the endpoint keeps one [`Agenda`] of who is due next.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use crate::hop::Transport;

/// What a timer is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// Repeat our INVITE.
    A,
    /// Give up our INVITE.
    B,
    /// Keep ACKing a failure.
    D,
    /// Repeat another request.
    E,
    /// Give up another request.
    F,
    /// Repeat our failure to an INVITE.
    G,
    /// Give up waiting for the ACK of a failure.
    H,
    /// Absorb further ACKs.
    I,
    /// Answer repeated requests.
    J,
    /// Absorb repeated answers.
    K,
    /// Absorb repeated INVITEs after a 2xx (RFC 6026 section 8.7).
    L,
    /// Take further 2xx (RFC 6026 section 8.4).
    M,
    /// Repeat our provisional answer (RFC 3261 section 13.3.1.1).
    Extend,
    /// A CANCEL was sent, the INVITE's answer is due (RFC 3261 section 9.1).
    CancelWait,
    /// Repeat our 2xx (RFC 3261 section 13.3.1.4).
    Repeat2xx,
    /// The ACK of our 2xx is due (RFC 3261 section 13.3.1.4).
    AckWait,
    /// The application has not answered; nobody waits any more (RFC 4320 section 4.2).
    Unanswered,
    /// Repeat our reliable provisional answer (RFC 3262 section 3).
    RepeatReliable,
    /// The PRACK of our reliable provisional answer is due (RFC 3262 section 3).
    PrackWait,
    /// Nothing at all has come back to our INVITE: tell the application.
    Patience,
    /// Send the re-INVITE that met another (RFC 3261 section 14.1).
    Glare,
    /// A re-INVITE of ours has no final answer: give it up.
    ChangeWait,
    /// Refresh the session (RFC 4028 section 10).
    Refresh,
    /// The session is over unless a refresh comes (RFC 4028 section 10).
    Expire,
}

impl Timer {
    /// Why the wake-up, for traces.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Timer::A => "timer A: repeat INVITE",
            Timer::B => "timer B: INVITE unanswered",
            Timer::D => "timer D: end of ACKing a failure",
            Timer::E => "timer E: repeat request",
            Timer::F => "timer F: request unanswered",
            Timer::G => "timer G: repeat failure",
            Timer::H => "timer H: failure without ACK",
            Timer::I => "timer I: end of absorbing ACK",
            Timer::J => "timer J: end of repeating an answer",
            Timer::K => "timer K: end of absorbing answers",
            Timer::L => "timer L: end of absorbing INVITE",
            Timer::M => "timer M: end of taking 2xx",
            Timer::Extend => "repeat provisional answer",
            Timer::CancelWait => "cancelled INVITE unanswered",
            Timer::Repeat2xx => "repeat 2xx",
            Timer::AckWait => "2xx without ACK",
            Timer::Unanswered => "request unanswered by the application",
            Timer::RepeatReliable => "repeat reliable provisional answer",
            Timer::PrackWait => "reliable provisional answer without PRACK",
            Timer::Patience => "INVITE without any answer",
            Timer::Glare => "repeat re-INVITE after 491",
            Timer::ChangeWait => "re-INVITE without final answer",
            Timer::Refresh => "refresh session",
            Timer::Expire => "session without refresh",
        }
    }
}

/// The intervals everything is measured in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Intervals {
    pub(crate) t1: Duration,
    pub(crate) t2: Duration,
    pub(crate) t4: Duration,
}

impl Intervals {
    /// 64*T1: how long a transaction lives without an answer.
    pub(crate) fn long(&self) -> Duration {
        self.t1 * 64
    }

    /// How long a copy of an answered INVITE may still arrive: it is sent for 64*T1 (RFC 3261 section 17.1.1.2) and is under way for T4
    /// at most (table 4), over a stream for no time that counts. Taken for a new INVITE, it would be a call that nobody makes.
    pub(crate) fn copies(&self, transport: Transport) -> Duration {
        match transport.is_reliable() {
            true => self.long(),
            false => self.long() + self.t4,
        }
    }

    /// The interval after this one: doubled, at most T2.
    pub(crate) fn next(&self, interval: Duration) -> Duration {
        (interval * 2).min(self.t2)
    }
}

/// The running timers of one owner, at most `SLOTS` at once.
///
/// A transaction runs three: G or A beside H or B, and the wait after a CANCEL.
#[derive(Debug)]
pub(crate) struct TimerTable<const SLOTS: usize = 3> {
    slots: [Option<(Instant, Timer)>; SLOTS],
}

/// The timers of a usage: of a 2xx (two) or a reliable answer (two), of a change of ours (one at a time), of the session (two), and patience.
pub(crate) type UsageTimers = TimerTable<8>;

impl<const SLOTS: usize> Default for TimerTable<SLOTS> {
    fn default() -> Self {
        TimerTable {
            slots: [None; SLOTS],
        }
    }
}

impl<const SLOTS: usize> TimerTable<SLOTS> {
    pub(crate) fn set(&mut self, timer: Timer, at: Instant) {
        self.stop(timer);
        let free = self.slots.iter_mut().find(|slot| slot.is_none());
        *free.expect("a table has a slot for each timer its owner runs at once") =
            Some((at, timer));
    }

    pub(crate) fn stop(&mut self, timer: Timer) {
        for slot in &mut self.slots {
            if slot.is_some_and(|(_, running)| running == timer) {
                *slot = None;
            }
        }
    }

    pub(crate) fn is_running(&self, timer: Timer) -> bool {
        let mut running = self.slots.iter().flatten();
        running.any(|(_, running)| *running == timer)
    }

    pub(crate) fn stop_all(&mut self) {
        self.slots = [None; SLOTS];
    }

    pub(crate) fn next(&self) -> Option<(Instant, Timer)> {
        self.slots.iter().flatten().min().copied()
    }

    /// Takes the earliest timer that is due.
    pub(crate) fn take_due(&mut self, now: Instant) -> Option<Timer> {
        let (at, timer) = self.next()?;
        if at > now {
            return None;
        }
        self.stop(timer);
        Some(timer)
    }
}

/// Who is due when, for all owners; each owner stands in it at most once.
#[derive(Debug)]
pub(crate) struct Agenda<Owner> {
    entries: BTreeMap<(Instant, Owner), Timer>,
}

impl<Owner: Ord + Copy> Agenda<Owner> {
    pub(crate) fn new() -> Self {
        Agenda {
            entries: BTreeMap::new(),
        }
    }

    /// Moves an owner from where it stood to what its table says.
    pub(crate) fn arm<const SLOTS: usize>(
        &mut self,
        owner: Owner,
        stood: &mut Option<Instant>,
        table: &TimerTable<SLOTS>,
    ) {
        let next = table.next();
        if let Some(at) = *stood {
            self.entries.remove(&(at, owner));
        }
        *stood = next.map(|(at, _)| at);
        if let Some((at, timer)) = next {
            self.entries.insert((at, owner), timer);
        }
    }

    /// Takes an owner that is gone out of it.
    pub(crate) fn forget(&mut self, owner: Owner, stood: Option<Instant>) {
        if let Some(at) = stood {
            self.entries.remove(&(at, owner));
        }
    }

    pub(crate) fn next(&self) -> Option<(Instant, &'static str)> {
        self.entries
            .first_key_value()
            .map(|((at, _), timer)| (*at, timer.reason()))
    }

    /// The owner that is due first, if one is.
    pub(crate) fn due(&self, now: Instant) -> Option<Owner> {
        self.entries
            .first_key_value()
            .filter(|((at, _), _)| *at <= now)
            .map(|((_, owner), _)| *owner)
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::epoch;

    #[test]
    fn the_earliest_timer_is_taken_first_and_once() {
        let now = epoch();
        let mut table: TimerTable = TimerTable::default();
        table.set(Timer::B, now + Duration::from_secs(32));
        table.set(Timer::A, now + Duration::from_secs(1));
        table.set(Timer::A, now + Duration::from_secs(2));
        assert_eq!(table.take_due(now + Duration::from_secs(1)), None);
        assert_eq!(
            table.take_due(now + Duration::from_secs(40)),
            Some(Timer::A)
        );
        assert_eq!(
            table.take_due(now + Duration::from_secs(40)),
            Some(Timer::B)
        );
        assert_eq!(table.take_due(now + Duration::from_secs(40)), None);
    }

    #[test]
    fn an_owner_stands_in_the_agenda_once() {
        let now = epoch();
        let mut agenda = Agenda::new();
        let mut table: TimerTable = TimerTable::default();
        let mut stood = None;
        table.set(Timer::F, now);
        agenda.arm(7, &mut stood, &table);
        table.set(Timer::F, now + Duration::from_secs(1));
        agenda.arm(7, &mut stood, &table);
        assert_eq!(agenda.len(), 1);
        assert_eq!(
            agenda.next(),
            Some((now + Duration::from_secs(1), "timer F: request unanswered"))
        );
        agenda.forget(7, stood);
        assert_eq!(agenda.next(), None);
    }
}
