//! The INVITE server transaction: repeats our final answer until the ACK arrives.
//!
//! A 2xx is repeated by the usage, which outlives it. Follows RFC 3261 section 17.2.1 and RFC 6026 section 8.7.

use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::{
    hop::Transport,
    timer::{Intervals, Timer, TimerTable},
    transaction::Due,
};

/// How often a callee that rings says so, lest a proxy give the call up (RFC 3261 section 13.3.1.1).
const EXTENSION: Duration = Duration::from_secs(60);

#[derive(Debug)]
enum State {
    /// No final answer yet; the last provisional one.
    Proceeding { last: Bytes },
    /// Our failure waits for its ACK, and is repeated `until` 64*T1 are over.
    Completed {
        answer: Bytes,
        interval: Duration,
        until: Instant,
    },
    /// The ACK came; more of them are absorbed.
    Confirmed,
    /// A 2xx went out (RFC 6026 section 7.1); repeated INVITEs are absorbed.
    Accepted,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct InviteServer {
    state: State,
    transport: Transport,
    pub(crate) timers: TimerTable,
}

impl InviteServer {
    /// An INVITE arrived and `trying` has been sent.
    pub(crate) fn start(trying: Bytes, transport: Transport) -> Self {
        InviteServer {
            state: State::Proceeding { last: trying },
            transport,
            timers: TimerTable::default(),
        }
    }

    /// Whether a final answer can still be given.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.state, State::Proceeding { .. })
    }

    /// Whether our answer was a 2xx, so that an ACK belongs to the dialog (RFC 6026 section 7.1).
    pub(crate) fn is_accepted(&self) -> bool {
        matches!(self.state, State::Accepted)
    }

    /// A provisional answer other than 100 has been sent.
    pub(crate) fn ring(&mut self, now: Instant, answer: Bytes) {
        match &mut self.state {
            State::Proceeding { last } => {
                *last = answer;
                self.timers.set(Timer::Extend, now + EXTENSION);
            }
            // The final answer is given; there is nothing to announce any more.
            State::Completed { .. } | State::Confirmed | State::Accepted => {}
        }
    }

    /// A 2xx has been sent.
    pub(crate) fn accept(&mut self, now: Instant, intervals: &Intervals) {
        self.timers.stop_all();
        self.timers
            .set(Timer::L, now + intervals.copies(self.transport));
        self.state = State::Accepted;
    }

    /// A failure has been sent.
    pub(crate) fn reject(&mut self, now: Instant, intervals: &Intervals, answer: Bytes) {
        self.timers.stop_all();
        if !self.transport.is_reliable() {
            self.timers.set(Timer::G, now + intervals.t1);
        }
        self.timers
            .set(Timer::H, now + intervals.copies(self.transport));
        self.state = State::Completed {
            answer,
            interval: intervals.t1,
            until: now + intervals.long(),
        };
    }

    /// The INVITE came again; says what to send again.
    pub(crate) fn handle_invite(&self) -> Option<Bytes> {
        match &self.state {
            State::Proceeding { last } => Some(last.clone()),
            State::Completed { answer, .. } => Some(answer.clone()),
            // The caller has our answer, or the usage repeats it.
            State::Confirmed | State::Accepted => None,
        }
    }

    /// An ACK for a failure came.
    pub(crate) fn handle_ack(&mut self, now: Instant, intervals: &Intervals) {
        match &self.state {
            State::Completed { .. } => {
                self.timers.stop_all();
                let absorbed = if self.transport.is_reliable() {
                    Duration::ZERO
                } else {
                    intervals.t4
                };
                self.timers.set(Timer::I, now + absorbed);
                self.state = State::Confirmed;
            }
            // An ACK before the answer is nonsense, after the first one a repetition, and of a 2xx the dialog's.
            State::Proceeding { .. } | State::Confirmed | State::Accepted => {}
        }
    }

    /// What a timer asks for; `Repeat` comes with [`InviteServer::handle_invite`]'s answer.
    pub(crate) fn handle_timeout(
        &mut self,
        now: Instant,
        intervals: &Intervals,
        timer: Timer,
    ) -> Due {
        match (&mut self.state, timer) {
            (
                State::Completed {
                    interval, until, ..
                },
                Timer::G,
            ) => {
                *interval = intervals.next(*interval);
                let next = now + *interval;
                if next < *until {
                    self.timers.set(Timer::G, next);
                }
                Due::Repeat
            }
            (State::Proceeding { .. }, Timer::Extend) => {
                self.timers.set(Timer::Extend, now + EXTENSION);
                Due::Repeat
            }
            (
                State::Proceeding { .. }
                | State::Completed { .. }
                | State::Confirmed
                | State::Accepted,
                _,
            ) => Due::Over,
        }
    }
}

#[cfg(test)]
mod tests {
    // One caller that repeats its INVITE and may never ACK.
    use super::*;
    use crate::testing::{INTERVALS, epoch};

    #[test]
    fn a_repeated_invite_gets_the_last_answer() {
        let now = epoch();
        let mut invite = InviteServer::start(Bytes::from_static(b"100"), Transport::Udp);
        assert_eq!(invite.handle_invite().as_deref(), Some(&b"100"[..]));
        invite.ring(now, Bytes::from_static(b"180"));
        assert_eq!(invite.handle_invite().as_deref(), Some(&b"180"[..]));
        invite.accept(now, &INTERVALS);
        assert!(invite.is_accepted() && !invite.is_open());
        assert_eq!(invite.handle_invite(), None);
        assert_eq!(
            invite.timers.next(),
            Some((now + Duration::from_secs(32) + INTERVALS.t4, Timer::L))
        );
    }

    #[test]
    fn a_failure_is_repeated_until_its_ack_or_timer_h() {
        let now = epoch();
        let mut invite = InviteServer::start(Bytes::new(), Transport::Udp);
        invite.reject(now, &INTERVALS, Bytes::from_static(b"486"));
        let (at, timer) = invite.timers.next().unwrap();
        assert_eq!((at - now, timer), (INTERVALS.t1, Timer::G));
        invite.timers.take_due(at);
        assert_eq!(invite.handle_timeout(at, &INTERVALS, timer), Due::Repeat);
        assert_eq!(
            invite.timers.next(),
            Some((at + INTERVALS.t1 * 2, Timer::G))
        );
        invite.handle_ack(at, &INTERVALS);
        assert_eq!(invite.handle_invite(), None);
        assert_eq!(invite.timers.next(), Some((at + INTERVALS.t4, Timer::I)));
        assert_eq!(invite.handle_timeout(at, &INTERVALS, Timer::I), Due::Over);
    }

    #[test]
    fn a_failure_without_ack_is_repeated_for_64_t1_and_copies_are_known_for_t4_more() {
        let now = epoch();
        let mut invite = InviteServer::start(Bytes::new(), Transport::Udp);
        invite.reject(now, &INTERVALS, Bytes::from_static(b"486"));
        let mut last = now;
        while let Some((at, Timer::G)) = invite.timers.next() {
            invite.timers.take_due(at);
            assert_eq!(invite.handle_timeout(at, &INTERVALS, Timer::G), Due::Repeat);
            last = at;
        }
        assert!(last < now + INTERVALS.long());
        let end = now + INTERVALS.long() + INTERVALS.t4;
        assert_eq!(invite.timers.next(), Some((end, Timer::H)));
    }

    #[test]
    fn over_a_stream_a_failure_is_sent_once_and_waits_for_its_ack() {
        let now = epoch();
        let mut invite = InviteServer::start(Bytes::new(), Transport::Tcp);
        invite.reject(now, &INTERVALS, Bytes::from_static(b"486"));
        assert_eq!(
            invite.timers.next(),
            Some((now + Duration::from_secs(32), Timer::H))
        );
        invite.handle_ack(now, &INTERVALS);
        assert_eq!(invite.timers.next(), Some((now, Timer::I)));
    }
}
