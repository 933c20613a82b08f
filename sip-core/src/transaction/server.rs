//! The server transaction of every request but INVITE and ACK.
//!
//! It answers once and repeats that answer; it sends no 408 and no provisional answer (RFC 4320 sections 4.1 and 4.2).
//! Follows RFC 3261 section 17.2.2.

use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::{
    hop::Transport,
    timer::{Intervals, Timer, TimerTable},
};

#[derive(Debug)]
enum State {
    /// The application has not answered yet.
    Trying,
    /// It has.
    Completed { answer: Bytes },
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Server {
    state: State,
    transport: Transport,
    pub(crate) timers: TimerTable,
}

impl Server {
    /// A request arrived.
    pub(crate) fn start(now: Instant, intervals: &Intervals, transport: Transport) -> Self {
        let mut timers = TimerTable::default();
        timers.set(Timer::Unanswered, now + intervals.long());
        Server {
            state: State::Trying,
            transport,
            timers,
        }
    }

    /// Whether an answer can still be given.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.state, State::Trying)
    }

    /// The final answer has been sent.
    pub(crate) fn answer(&mut self, now: Instant, intervals: &Intervals, answer: Bytes) {
        self.timers.stop_all();
        let repeated = if self.transport.is_reliable() {
            Duration::ZERO
        } else {
            intervals.long()
        };
        self.timers.set(Timer::J, now + repeated);
        self.state = State::Completed { answer };
    }

    /// The request came again; says what to send again.
    pub(crate) fn handle_request(&self) -> Option<Bytes> {
        match &self.state {
            State::Trying => None,
            State::Completed { answer } => Some(answer.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    // One peer that repeats its request.
    use super::*;
    use crate::testing::{INTERVALS, epoch};

    #[test]
    fn a_repeated_request_gets_the_same_answer_for_32_seconds() {
        let now = epoch();
        let mut request = Server::start(now, &INTERVALS, Transport::Udp);
        assert_eq!(request.handle_request(), None);
        assert_eq!(
            request.timers.next(),
            Some((now + Duration::from_secs(32), Timer::Unanswered))
        );
        request.answer(now, &INTERVALS, Bytes::from_static(b"200"));
        assert!(!request.is_open());
        assert_eq!(request.handle_request().as_deref(), Some(&b"200"[..]));
        assert_eq!(
            request.timers.next(),
            Some((now + Duration::from_secs(32), Timer::J))
        );
    }

    #[test]
    fn over_a_stream_an_answered_request_is_over_at_once() {
        let now = epoch();
        let mut request = Server::start(now, &INTERVALS, Transport::Tls);
        request.answer(now, &INTERVALS, Bytes::from_static(b"200"));
        assert_eq!(request.timers.next(), Some((now, Timer::J)));
    }
}
