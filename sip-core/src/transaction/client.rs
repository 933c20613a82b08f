//! The client transaction of every request but INVITE and ACK.
//!
//! Follows RFC 3261 section 17.1.2.

use std::time::{Duration, Instant};

use crate::{
    hop::Transport,
    timer::{Intervals, Timer, TimerTable},
    transaction::Due,
};

#[derive(Debug, PartialEq, Eq)]
enum State {
    Trying { interval: Duration },
    Proceeding,
    Completed,
}

/// What an answer means to the transaction's user.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// A provisional answer; only its coming counts.
    Provisional,
    /// The final answer.
    Final,
    /// The final answer again.
    Ignored,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Client {
    state: State,
    transport: Transport,
    /// When Timer F ends it, whatever was heard.
    ends_at: Instant,
    pub(crate) timers: TimerTable,
}

impl Client {
    /// The request has just been sent.
    pub(crate) fn start(now: Instant, intervals: &Intervals, transport: Transport) -> Self {
        let mut timers = TimerTable::default();
        if !transport.is_reliable() {
            timers.set(Timer::E, now + intervals.t1);
        }
        let ends_at = now + intervals.long();
        timers.set(Timer::F, ends_at);
        Client {
            state: State::Trying {
                interval: intervals.t1,
            },
            transport,
            ends_at,
            timers,
        }
    }

    /// Ends it sooner than Timer F does where nothing at all has come back by then.
    pub(crate) fn give_up_unheard_at(&mut self, at: Instant) {
        self.timers.set(Timer::F, at.min(self.ends_at));
    }

    /// Whether nothing at all came back.
    pub(crate) fn is_unheard(&self) -> bool {
        matches!(self.state, State::Trying { .. })
    }

    pub(crate) fn handle_response(
        &mut self,
        now: Instant,
        intervals: &Intervals,
        status: u16,
    ) -> Heard {
        match (&self.state, status) {
            (State::Trying { .. } | State::Proceeding, 100..=199) => {
                self.state = State::Proceeding;
                self.timers.set(Timer::F, self.ends_at);
                Heard::Provisional
            }
            (State::Trying { .. } | State::Proceeding, _) => {
                self.timers.stop_all();
                let absorbed = if self.transport.is_reliable() {
                    Duration::ZERO
                } else {
                    intervals.t4
                };
                self.timers.set(Timer::K, now + absorbed);
                self.state = State::Completed;
                Heard::Final
            }
            (State::Completed, _) => Heard::Ignored,
        }
    }

    pub(crate) fn handle_timeout(
        &mut self,
        now: Instant,
        intervals: &Intervals,
        timer: Timer,
    ) -> Due {
        match (&mut self.state, timer) {
            (State::Trying { interval }, Timer::E) => {
                *interval = intervals.next(*interval);
                let next = now + *interval;
                self.timers.set(Timer::E, next);
                Due::Repeat
            }
            (State::Proceeding, Timer::E) => {
                self.timers.set(Timer::E, now + intervals.t2);
                Due::Repeat
            }
            (State::Trying { .. } | State::Proceeding, _) => Due::GiveUp,
            (State::Completed, _) => Due::Over,
        }
    }
}

#[cfg(test)]
mod tests {
    // One peer that answers late or never.
    use super::*;
    use crate::testing::{INTERVALS, epoch};

    #[test]
    fn an_unanswered_request_is_sent_eleven_times_in_32_seconds() {
        let start = epoch();
        let mut request = Client::start(start, &INTERVALS, Transport::Udp);
        let mut sent_at = vec![Duration::ZERO];
        let given_up = loop {
            let (at, _) = request.timers.next().unwrap();
            let timer = request.timers.take_due(at).unwrap();
            match request.handle_timeout(at, &INTERVALS, timer) {
                Due::Repeat => sent_at.push(at - start),
                Due::GiveUp => break at - start,
                Due::Over => panic!("it never was answered"),
            }
        };
        let expected = [
            0, 500, 1500, 3500, 7500, 11500, 15500, 19500, 23500, 27500, 31500,
        ];
        assert_eq!(sent_at, expected.map(Duration::from_millis));
        assert_eq!(given_up, Duration::from_secs(32));
    }

    #[test]
    fn patience_ends_with_the_first_answer_and_never_lasts_longer_than_timer_f() {
        let now = epoch();
        let after = |seconds| now + Duration::from_secs(seconds);
        let mut request = Client::start(now, &INTERVALS, Transport::Tcp);
        request.give_up_unheard_at(after(4));
        assert_eq!(request.timers.next(), Some((after(4), Timer::F)));
        request.handle_response(after(3), &INTERVALS, 100);
        assert_eq!(request.timers.next(), Some((after(32), Timer::F)));
        request.give_up_unheard_at(after(60));
        assert_eq!(request.timers.next(), Some((after(32), Timer::F)));
    }

    #[test]
    fn the_first_final_answer_counts_and_repetitions_are_absorbed_for_t4() {
        let now = epoch();
        let mut request = Client::start(now, &INTERVALS, Transport::Udp);
        assert_eq!(
            request.handle_response(now, &INTERVALS, 100),
            Heard::Provisional
        );
        assert!(!request.is_unheard());
        assert_eq!(request.handle_response(now, &INTERVALS, 481), Heard::Final);
        assert_eq!(
            request.handle_response(now, &INTERVALS, 200),
            Heard::Ignored
        );
        assert_eq!(request.timers.next(), Some((now + INTERVALS.t4, Timer::K)));
        assert_eq!(request.handle_timeout(now, &INTERVALS, Timer::K), Due::Over);
    }

    #[test]
    fn over_a_stream_a_request_is_sent_once_and_its_answer_ends_it() {
        let now = epoch();
        for transport in [Transport::Tcp, Transport::Tls] {
            let mut request = Client::start(now, &INTERVALS, transport);
            let given_up = (now + Duration::from_secs(32), Timer::F);
            assert_eq!(request.timers.next(), Some(given_up));
            request.handle_response(now, &INTERVALS, 100);
            assert_eq!(request.timers.next(), Some(given_up));
            request.handle_response(now, &INTERVALS, 200);
            assert_eq!(request.timers.next(), Some((now, Timer::K)));
        }
    }
}
