//! The INVITE client transaction: repeats our INVITE until someone answers, and ACKs every failure.
//!
//! A 2xx is ACKed by the endpoint, which knows dialogs. Follows RFC 3261 section 17.1.1 and RFC 6026 section 8.4.

use std::time::{Duration, Instant};

use crate::{
    hop::Transport,
    timer::{Intervals, Timer, TimerTable},
    transaction::Due,
};

#[derive(Debug, PartialEq, Eq)]
enum State {
    /// Nothing came back yet.
    Calling { interval: Duration },
    /// Nothing came back, and the connection that may have carried it is gone: whoever has heard it answers by another (RFC 3261 section 18.2.2).
    Adrift,
    /// A provisional answer came.
    Proceeding,
    /// A failure came and was ACKed.
    Completed,
    /// A 2xx came; others of forks may follow (RFC 6026 section 7.2).
    Accepted,
}

/// What an answer means to the transaction's user.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// A provisional answer.
    Provisional,
    /// A 2xx: a first one, a repeated one or another fork's; its To tag tells.
    Accepted,
    /// The failure; send its ACK.
    Failed,
    /// The failure again; repeat its ACK.
    FailedAgain,
    /// Nothing to do.
    Ignored,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct InviteClient {
    state: State,
    /// How long a failure may come again.
    absorbed: Duration,
    pub(crate) timers: TimerTable,
}

impl InviteClient {
    /// The INVITE has just been sent (RFC 3261 section 17.1.1.2: timers A and B start, over a stream B alone).
    pub(crate) fn start(now: Instant, intervals: &Intervals, transport: Transport) -> Self {
        let mut timers = TimerTable::default();
        if !transport.is_reliable() {
            timers.set(Timer::A, now + intervals.t1);
        }
        timers.set(Timer::B, now + intervals.long());
        InviteClient {
            state: State::Calling {
                interval: intervals.t1,
            },
            // RFC 3261 section 17.1.1.2 asks for at least 32 s, which 64*T1 is by default, and for nothing over a stream.
            absorbed: match transport.is_reliable() {
                true => Duration::ZERO,
                false => intervals.long(),
            },
            timers,
        }
    }

    /// The INVITE has just been sent again by another way: whoever hears both answers both, over a stream as well.
    pub(crate) fn start_again(now: Instant, intervals: &Intervals, transport: Transport) -> Self {
        InviteClient {
            absorbed: intervals.long(),
            ..InviteClient::start(now, intervals, transport)
        }
    }

    /// Whether nothing at all came back, so that it may go another way (RFC 3261 section 17.1.4).
    pub(crate) fn is_unheard(&self) -> bool {
        matches!(self.state, State::Calling { .. })
    }

    /// No way is left for what nobody has answered: it is not sent again, and answers are taken until timer B fires.
    pub(crate) fn set_adrift(&mut self) {
        match self.state {
            State::Calling { .. } => {
                self.timers.stop(Timer::A);
                self.state = State::Adrift;
            }
            State::Adrift | State::Proceeding | State::Completed | State::Accepted => {}
        }
    }

    pub(crate) fn is_adrift(&self) -> bool {
        self.state == State::Adrift
    }

    /// Whether a CANCEL may go out now: a provisional answer came, no final one, and none is out yet (RFC 3261 section 9.1).
    pub(crate) fn may_cancel(&self) -> bool {
        self.state == State::Proceeding && !self.timers.is_running(Timer::CancelWait)
    }

    /// The final answer is due within 64*T1 (a CANCEL went out, or the callee ended the early dialog; RFC 3261 section 9.1).
    pub(crate) fn expect_end(&mut self, now: Instant, intervals: &Intervals) {
        match self.state {
            // A provisional answer that is still to come must not make it last for ever.
            State::Calling { .. } | State::Adrift | State::Proceeding => {
                self.timers.set(Timer::CancelWait, now + intervals.long());
            }
            // D and M run already.
            State::Completed | State::Accepted => {}
        }
    }

    pub(crate) fn handle_response(
        &mut self,
        now: Instant,
        intervals: &Intervals,
        status: u16,
    ) -> Heard {
        match (&self.state, status) {
            (State::Calling { .. } | State::Adrift, 100..=199) => {
                self.timers.stop(Timer::A);
                self.timers.stop(Timer::B);
                self.state = State::Proceeding;
                Heard::Provisional
            }
            (State::Proceeding, 100..=199) => Heard::Provisional,
            (State::Calling { .. } | State::Adrift | State::Proceeding, 200..=299) => {
                self.timers.stop_all();
                self.timers.set(Timer::M, now + intervals.long());
                self.state = State::Accepted;
                Heard::Accepted
            }
            (State::Accepted, 200..=299) => Heard::Accepted,
            (State::Calling { .. } | State::Adrift | State::Proceeding, _) => {
                self.timers.stop_all();
                self.timers.set(Timer::D, now + self.absorbed);
                self.state = State::Completed;
                Heard::Failed
            }
            (State::Completed, 300..=699) => Heard::FailedAgain,
            // A late provisional or a failure beside a 2xx changes nothing (RFC 6026 section 8.4).
            (State::Completed | State::Accepted, _) => Heard::Ignored,
        }
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant, timer: Timer) -> Due {
        match (&mut self.state, timer) {
            (State::Calling { interval }, Timer::A) => {
                *interval *= 2;
                let next = now + *interval;
                self.timers.set(Timer::A, next);
                Due::Repeat
            }
            (State::Calling { .. } | State::Adrift | State::Proceeding, _) => Due::GiveUp,
            (State::Completed | State::Accepted, _) => Due::Over,
        }
    }
}

#[cfg(test)]
mod tests {
    // One peer that answers late, twice, or never.
    use super::*;
    use crate::testing::{INTERVALS, epoch};

    #[test]
    fn an_unanswered_invite_is_sent_seven_times_in_32_seconds() {
        let start = epoch();
        let mut invite = InviteClient::start(start, &INTERVALS, Transport::Udp);
        let mut sent_at = vec![Duration::ZERO];
        let given_up = loop {
            let (at, _) = invite.timers.next().unwrap();
            let timer = invite.timers.take_due(at).unwrap();
            match invite.handle_timeout(at, timer) {
                Due::Repeat => sent_at.push(at - start),
                Due::GiveUp => break at - start,
                Due::Over => panic!("it never was answered"),
            }
        };
        assert_eq!(
            sent_at,
            [0, 500, 1500, 3500, 7500, 15500, 31500].map(Duration::from_millis)
        );
        assert_eq!(given_up, Duration::from_secs(32));
    }

    #[test]
    fn a_provisional_answer_stops_the_repetition() {
        let now = epoch();
        let mut invite = InviteClient::start(now, &INTERVALS, Transport::Udp);
        assert!(!invite.may_cancel());
        assert_eq!(
            invite.handle_response(now, &INTERVALS, 100),
            Heard::Provisional
        );
        assert!(invite.may_cancel() && !invite.is_unheard());
        assert_eq!(invite.timers.next(), None);
        invite.expect_end(now, &INTERVALS);
        assert!(!invite.may_cancel());
        assert_eq!(
            invite.timers.next(),
            Some((now + Duration::from_secs(32), Timer::CancelWait))
        );
        assert_eq!(invite.handle_timeout(now, Timer::CancelWait), Due::GiveUp);
    }

    #[test]
    fn one_whose_end_is_expected_does_not_ring_for_ever() {
        let now = epoch();
        let mut invite = InviteClient::start(now, &INTERVALS, Transport::Udp);
        invite.expect_end(now, &INTERVALS);
        invite.handle_response(now, &INTERVALS, 100);
        let end = now + Duration::from_secs(32);
        assert_eq!(invite.timers.next(), Some((end, Timer::CancelWait)));
        assert_eq!(invite.handle_timeout(end, Timer::CancelWait), Due::GiveUp);
    }

    #[test]
    fn a_repeated_failure_is_acked_again_and_a_late_2xx_is_not_taken() {
        let now = epoch();
        let mut invite = InviteClient::start(now, &INTERVALS, Transport::Udp);
        assert_eq!(invite.handle_response(now, &INTERVALS, 486), Heard::Failed);
        assert_eq!(
            invite.handle_response(now, &INTERVALS, 486),
            Heard::FailedAgain
        );
        assert_eq!(invite.handle_response(now, &INTERVALS, 180), Heard::Ignored);
        assert_eq!(invite.handle_response(now, &INTERVALS, 200), Heard::Ignored);
        assert_eq!(invite.handle_timeout(now, Timer::D), Due::Over);
    }

    #[test]
    fn one_without_a_way_is_not_repeated_and_may_be_answered_until_timer_b() {
        let now = epoch();
        let mut invite = InviteClient::start(now, &INTERVALS, Transport::Udp);
        invite.set_adrift();
        let end = now + Duration::from_secs(32);
        assert_eq!(invite.timers.next(), Some((end, Timer::B)));
        assert_eq!(invite.handle_timeout(end, Timer::B), Due::GiveUp);
        assert!(invite.is_adrift() && !invite.is_unheard() && !invite.may_cancel());
        assert_eq!(
            invite.handle_response(now, &INTERVALS, 180),
            Heard::Provisional
        );
        assert!(invite.may_cancel() && !invite.is_adrift());
    }

    #[test]
    fn every_2xx_is_passed_on_until_timer_m() {
        let now = epoch();
        let mut invite = InviteClient::start(now, &INTERVALS, Transport::Udp);
        assert_eq!(
            invite.handle_response(now, &INTERVALS, 200),
            Heard::Accepted
        );
        assert_eq!(
            invite.handle_response(now, &INTERVALS, 200),
            Heard::Accepted
        );
        assert_eq!(invite.handle_response(now, &INTERVALS, 487), Heard::Ignored);
        assert_eq!(
            invite.timers.next(),
            Some((now + Duration::from_secs(32), Timer::M))
        );
    }

    #[test]
    fn over_a_stream_an_invite_is_sent_once_and_a_failure_ends_it() {
        let now = epoch();
        let mut invite = InviteClient::start(now, &INTERVALS, Transport::Tcp);
        assert_eq!(
            invite.timers.next(),
            Some((now + Duration::from_secs(32), Timer::B))
        );
        assert_eq!(invite.handle_response(now, &INTERVALS, 486), Heard::Failed);
        assert_eq!(invite.timers.next(), Some((now, Timer::D)));
        // A 2xx of another fork may come all the same.
        let mut invite = InviteClient::start(now, &INTERVALS, Transport::Tls);
        invite.handle_response(now, &INTERVALS, 200);
        assert_eq!(
            invite.timers.next(),
            Some((now + Duration::from_secs(32), Timer::M))
        );
    }
}
