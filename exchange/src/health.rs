//! Whether a place of a peer lives, judged by what calls, registrations and our questions bring back (S-11).
//!
//! It only orders the choice: the last place left is tried even if it is down, and calls from it are taken whatever this says.
//! Two signs in a row change its mind, so that one lost answer moves no traffic. A place that says by 503 when it can be called again
//! (RFC 3261 section 21.5.4) rests until then, whatever else is known of it.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use sip_core::{Event, Loss, Message};

use crate::retry_after::RetryAfter;

/// So many bad signs in a row, and the place is down.
const DOWN_AFTER: u8 = 2;

/// So many good signs in a row, and it is up again.
const UP_AFTER: u8 = 2;

/// A place that is down gets one call of ours to prove itself after this, then after twice that, and so on.
const FIRST_TRIAL: Duration = Duration::from_secs(10);

/// But after this at the latest: a peer that came back should not stay idle for longer than an operator drinks tea.
const LATEST_TRIAL: Duration = Duration::from_secs(300);

/// What is wrong with a peer. Sockets and JSON carry it as a code, `SILENT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Ailment {
    /// Nothing came back in time.
    Silent,
    /// It answered 503.
    Unavailable,
    /// It answered 408: what lies behind it is silent.
    TimedOut,
    /// We are not registered with it.
    Unregistered,
    /// What was sent there cannot reach it.
    #[serde(untagged)]
    Unreachable(Unreachable),
}

/// Why what is sent some way reaches nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Unreachable {
    /// The network or the host says that nobody is there.
    Nobody,
    /// A connection to it stood and ended before it answered, and so did a second one.
    Lost,
    /// Somebody is there, and the TLS handshake comes to no end: it speaks no TLS, or does not accept us.
    Handshake,
    /// Its certificate is past its days, or before them.
    CertificateDate,
    /// Its certificate names neither its host name nor its address, whichever it is configured by.
    CertificateName,
    /// Nobody whom we believe vouches for its certificate, or it cannot be read.
    Certificate,
    /// It is to be spoken to over TLS, and our own certificate files cannot be used.
    OwnCertificate,
}

impl Unreachable {
    /// Whether a new connection may do what this one could not.
    pub(crate) fn loss(self) -> Loss {
        match self {
            Unreachable::Lost => Loss::Broken,
            Unreachable::Nobody
            | Unreachable::Handshake
            | Unreachable::CertificateDate
            | Unreachable::CertificateName
            | Unreachable::Certificate
            | Unreachable::OwnCertificate => Loss::Unreachable,
        }
    }

    fn describe(self) -> &'static str {
        match self {
            Unreachable::Nobody => "nobody is at its address",
            Unreachable::Lost => "connections to it end before it answers",
            Unreachable::Handshake => "no TLS handshake succeeds with it",
            Unreachable::CertificateDate => "its certificate is not valid at this date",
            Unreachable::CertificateName => "its certificate is made out to another name",
            Unreachable::Certificate => "its certificate is signed by nobody whom we believe",
            Unreachable::OwnCertificate => "our own certificate cannot be used",
        }
    }
}

impl Ailment {
    /// As lists and logs show it.
    pub fn describe(self) -> &'static str {
        match self {
            Ailment::Silent => "nothing came back",
            Ailment::Unreachable(why) => why.describe(),
            Ailment::Unavailable => "it answered 503",
            Ailment::TimedOut => "it answered 408",
            Ailment::Unregistered => "we are not registered with it",
        }
    }
}

/// What a call, a registration or a question brought back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sign {
    /// It answered a call of ours.
    TookCall,
    /// It answered a registration or a question, which says nothing of calls.
    Alive,
    /// It did not answer, or said that it cannot.
    Ailing(Ailment),
    /// It answered 503, and said when it is to be asked again.
    Resting(RetryAfter),
    /// It called us: whatever was wrong may be over.
    CalledUs,
}

impl Sign {
    /// What an answer to a registration or a question says: any but 408 and 503 shows that somebody is there.
    pub(crate) fn of_answer(status: u16, message: &Message) -> Sign {
        match (status, RetryAfter::read(message)) {
            (408, _) => Sign::Ailing(Ailment::TimedOut),
            (503, Some(retry_after)) => Sign::Resting(retry_after),
            (503, None) => Sign::Ailing(Ailment::Unavailable),
            _ => Sign::Alive,
        }
    }

    /// What it says that nothing came back: 408, or 503 where nothing could be sent, for the reason in `loss` (RFC 3261 section 8.1.3.1).
    /// Another status is about our own request.
    pub(crate) fn of_no_answer(status: u16, loss: Unreachable) -> Option<Sign> {
        match status {
            408 => Some(Sign::Ailing(Ailment::Silent)),
            503 => Some(Sign::Ailing(Ailment::Unreachable(loss))),
            _ => None,
        }
    }

    /// What an event of a call of ours says about whoever was called. `loss`: why what is sent to it reaches nobody, if that is so.
    pub(crate) fn of_event(event: &Event, loss: Unreachable) -> Option<Sign> {
        match event {
            Event::Rang { .. } | Event::Accepted { .. } | Event::AcceptedLate { .. } => {
                Some(Sign::TookCall)
            }
            Event::Rejected {
                status, message, ..
            } => Some(match Sign::of_answer(*status, message) {
                Sign::Alive => Sign::TookCall,
                sign => sign,
            }),
            Event::Silent { .. } => Some(Sign::Ailing(Ailment::Silent)),
            Event::NoResponse { status, .. } => Sign::of_no_answer(*status, loss),
            // Of calls to us, or of calls that have been answered.
            _ => None,
        }
    }

    /// What is wrong, where it says that something is.
    pub(crate) fn ailment(self) -> Option<Ailment> {
        match self {
            Sign::Ailing(ailment) => Some(ailment),
            Sign::Resting(_) => Some(Ailment::Unavailable),
            Sign::TookCall | Sign::Alive | Sign::CalledUs => None,
        }
    }
}

/// How a place stands when somebody is to be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It lives, or is due for a trial.
    Fit,
    /// It does, but has asked for no calls until then.
    Resting { until: Instant },
    /// It is tried only when nothing else is left.
    Down(Ailment),
}

/// A change that an operator hears of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Fell(Ailment),
    Rose,
    /// It is called after others for so long.
    Rests(RetryAfter),
}

/// By what a place that is down is found alive again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Watch {
    /// By giving it a call now and then.
    Calls,
    /// By OPTIONS, so that no citizen's call is spent on it.
    Probes,
}

/// The health of one place.
#[derive(Debug, Clone)]
pub(crate) struct Health {
    watch: Watch,
    state: State,
    /// What its last 503 with a time asked for; a call that was sent since and taken by it has overtaken that word.
    rest: Option<Rest>,
}

/// A time in which a place wants to be asked nothing.
#[derive(Debug, Clone, Copy)]
struct Rest {
    said_at: Instant,
    until: Instant,
}

#[derive(Debug, Clone)]
enum State {
    Up {
        bad_in_a_row: u8,
    },
    Down {
        ailment: Ailment,
        good_in_a_row: u8,
        trial: Trial,
    },
}

/// The next call that may prove a place alive.
#[derive(Debug, Clone, Copy)]
enum Trial {
    /// Probes do it.
    None,
    /// From then on.
    Due { at: Instant, pause: Duration },
    /// A call has been sent there, and its outcome is not known; if it stays so, another may go at this time.
    Out { until: Instant, pause: Duration },
}

impl Health {
    /// A place of which nothing bad is known.
    pub(crate) fn new(watch: Watch) -> Health {
        Health {
            watch,
            state: State::Up { bad_in_a_row: 0 },
            rest: None,
        }
    }

    /// Whether it is up, for reports.
    pub(crate) fn ailment(&self) -> Option<Ailment> {
        match self.state {
            State::Up { .. } => None,
            State::Down { ailment, .. } => Some(ailment),
        }
    }

    /// Until when it has asked for nothing to be sent there; none where it takes what is.
    pub(crate) fn rests_until(&self, now: Instant) -> Option<Instant> {
        self.rest_end().filter(|until| now < *until)
    }

    /// The end of what it asked for last, past or to come.
    pub(crate) fn rest_end(&self) -> Option<Instant> {
        self.rest.map(|rest| rest.until)
    }

    /// What a sign says if a call brought it that was sent then: a call from before the last 503 takes nothing of that back, and shows only
    /// that somebody is there.
    pub(crate) fn weigh(&self, sent_at: Instant, sign: Sign) -> Sign {
        let is_newer = self.rest.is_none_or(|rest| rest.said_at < sent_at);
        match sign {
            Sign::TookCall if !is_newer => Sign::Alive,
            sign => sign,
        }
    }

    /// How it stands for a call that is to be placed at this moment.
    pub(crate) fn standing(&self, now: Instant) -> Standing {
        match (self.judgement(now), self.rests_until(now)) {
            (Standing::Fit, Some(until)) => Standing::Resting { until },
            (standing, _) => standing,
        }
    }

    /// How it stands by what it showed, whatever it asked for.
    fn judgement(&self, now: Instant) -> Standing {
        match self.state {
            State::Up { .. } => Standing::Fit,
            State::Down {
                good_in_a_row: 1.., ..
            } => Standing::Fit,
            State::Down { ailment, trial, .. } => match trial {
                Trial::Due { at, .. } | Trial::Out { until: at, .. } if at <= now => Standing::Fit,
                Trial::Due { .. } | Trial::Out { .. } | Trial::None => Standing::Down(ailment),
            },
        }
    }

    /// A call is sent there: if it is the trial, no other follows it until its outcome is known or it is overdue.
    pub(crate) fn is_called(&mut self, now: Instant) {
        let State::Down { trial, .. } = &mut self.state else {
            return;
        };
        match *trial {
            Trial::Due { at, pause } | Trial::Out { until: at, pause } if at <= now => {
                *trial = Trial::Out {
                    until: now + pause,
                    pause,
                };
            }
            Trial::Due { .. } | Trial::Out { .. } | Trial::None => {}
        }
    }

    /// Takes a sign; returns the change of mind where it makes one.
    pub(crate) fn take(&mut self, now: Instant, sign: Sign) -> Option<Change> {
        match sign {
            Sign::TookCall => {
                self.rest = None;
                self.take_good()
            }
            Sign::Alive => self.take_good(),
            Sign::Ailing(ailment) => self.take_bad(now, ailment),
            Sign::Resting(retry_after) => {
                let did_rest = self.rests_until(now).is_some();
                self.rest = Some(Rest {
                    said_at: now,
                    until: now + retry_after.wait(),
                });
                let begins = (!did_rest).then_some(Change::Rests(retry_after));
                self.take_bad(now, Ailment::Unavailable).or(begins)
            }
            Sign::CalledUs => {
                self.bring_trial_near(now);
                None
            }
        }
    }

    fn take_good(&mut self) -> Option<Change> {
        match &mut self.state {
            State::Up { bad_in_a_row } => {
                *bad_in_a_row = 0;
                None
            }
            State::Down { good_in_a_row, .. } => {
                *good_in_a_row += 1;
                if *good_in_a_row < UP_AFTER {
                    return None;
                }
                self.state = State::Up { bad_in_a_row: 0 };
                Some(Change::Rose)
            }
        }
    }

    fn take_bad(&mut self, now: Instant, latest: Ailment) -> Option<Change> {
        match &mut self.state {
            State::Up { bad_in_a_row } => {
                *bad_in_a_row += 1;
                if *bad_in_a_row < DOWN_AFTER {
                    return None;
                }
                self.state = State::Down {
                    ailment: latest,
                    good_in_a_row: 0,
                    trial: self.first_trial(now),
                };
                Some(Change::Fell(latest))
            }
            State::Down {
                ailment,
                good_in_a_row,
                trial,
            } => {
                *ailment = latest;
                *good_in_a_row = 0;
                // Calls that were on their way when it fell say nothing new; only a trial that failed makes the next one wait longer.
                if let Trial::Out { pause, .. } = *trial {
                    let pause = (pause * 2).min(LATEST_TRIAL);
                    *trial = Trial::Due {
                        at: now + pause,
                        pause,
                    };
                }
                None
            }
        }
    }

    /// It can send; whether it hears us is another question, which is soon put to one that is down.
    fn bring_trial_near(&mut self, now: Instant) {
        match &mut self.state {
            State::Down {
                trial: Trial::Due { at, pause },
                ..
            } => {
                *at = (*at).min(now + FIRST_TRIAL);
                *pause = FIRST_TRIAL;
            }
            State::Up { .. } | State::Down { .. } => {}
        }
    }

    fn first_trial(&self, now: Instant) -> Trial {
        match self.watch {
            Watch::Calls => Trial::Due {
                at: now + FIRST_TRIAL,
                pause: FIRST_TRIAL,
            },
            Watch::Probes => Trial::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SILENT: Sign = Sign::Ailing(Ailment::Silent);

    #[expect(clippy::disallowed_methods, reason = "a test needs a first instant")]
    fn start() -> Instant {
        Instant::now()
    }

    fn fallen(now: Instant, watch: Watch) -> Health {
        let mut health = Health::new(watch);
        assert_eq!(
            health.take(now, SILENT),
            None,
            "one lost answer says nothing"
        );
        assert_eq!(
            health.take(now, SILENT),
            Some(Change::Fell(Ailment::Silent))
        );
        health
    }

    #[test]
    fn two_bad_signs_in_a_row_bring_it_down_and_two_good_ones_up() {
        let now = start();
        let mut health = Health::new(Watch::Calls);
        for sign in [SILENT, Sign::Alive, SILENT, Sign::TookCall] {
            assert_eq!(health.take(now, sign), None);
        }
        assert_eq!(health.standing(now), Standing::Fit);
        let mut health = fallen(now, Watch::Calls);
        assert_eq!(health.standing(now), Standing::Down(Ailment::Silent));
        assert_eq!(health.take(now, Sign::Alive), None);
        assert_eq!(
            health.standing(now),
            Standing::Fit,
            "others may follow the first that got through"
        );
        assert_eq!(health.take(now, Sign::Alive), Some(Change::Rose));
        assert_eq!(health.ailment(), None);
    }

    #[test]
    fn only_408_and_503_are_bad_answers() {
        let statuses = [200, 302, 401, 404, 408, 480, 486, 500, 502, 503, 504, 603];
        let is_bad = |status: &u16| Sign::of_answer(*status, &answer(*status)) != Sign::Alive;
        let bad: Vec<u16> = statuses.into_iter().filter(is_bad).collect();
        assert_eq!(bad, [408, 503]);
    }

    fn answer(status: u16) -> Message {
        let text = format!(
            "SIP/2.0 {status} X\r\nVia: SIP/2.0/UDP a;branch=z9hG4bKa\r\nFrom: <sip:a@x>;tag=1\r\n\
             To: <sip:a@x>;tag=2\r\nCall-ID: c\r\nCSeq: 1 OPTIONS\r\n\r\n"
        );
        Message::parse(bytes::Bytes::from(text)).unwrap()
    }

    #[test]
    fn who_asks_for_patience_rests_until_then_or_until_it_takes_a_call() {
        let now = start();
        let second = Duration::from_secs(1);
        let minute = RetryAfter::new(second * 60);
        let mut health = Health::new(Watch::Calls);
        assert_eq!(
            health.take(now, Sign::Resting(minute)),
            Some(Change::Rests(minute))
        );
        let until = now + second * 60;
        assert_eq!(health.standing(now), Standing::Resting { until });
        assert_eq!(health.standing(until), Standing::Fit);
        assert_eq!(health.take(now, Sign::Alive), None);
        let rests = Standing::Resting { until };
        assert_eq!(health.standing(now), rests, "an OPTIONS is no call");
        assert_eq!(health.take(now, Sign::TookCall), None);
        assert_eq!(health.standing(now), Standing::Fit);
        // The latest word counts, and a second 503 in a row brings it down as any two bad signs do.
        health.take(now, Sign::Resting(minute));
        let shorter = RetryAfter::new(second * 20);
        assert_eq!(
            health.take(now, Sign::Resting(shorter)),
            Some(Change::Fell(Ailment::Unavailable))
        );
        let down = Standing::Down(Ailment::Unavailable);
        assert_eq!(health.standing(now), down);
        let until = now + second * 20;
        let trial_is_due = now + FIRST_TRIAL;
        assert_eq!(
            health.standing(trial_is_due),
            Standing::Resting { until },
            "no trial before it wants one"
        );
        assert_eq!(health.standing(until), Standing::Fit);
    }

    #[test]
    fn one_call_at_a_time_tries_a_place_that_is_down_and_ever_more_rarely() {
        let start = start();
        let mut health = fallen(start, Watch::Calls);
        let mut now = start;
        let mut tried_at = Vec::new();
        while now < start + Duration::from_secs(400) {
            if health.standing(now) == Standing::Fit {
                health.is_called(now);
                assert_ne!(health.standing(now), Standing::Fit, "the trial is out");
                // Calls that were sent before it fell report late, and change nothing.
                tried_at.push((now - start).as_secs());
                now += Duration::from_secs(4);
                health.take(now, SILENT);
                health.take(now, SILENT);
            }
            now += Duration::from_secs(1);
        }
        assert_eq!(tried_at, [10, 34, 78, 162, 326]);
    }

    #[test]
    fn a_trial_whose_outcome_never_comes_is_followed_by_another() {
        let start = start();
        let mut health = fallen(start, Watch::Calls);
        let due = start + FIRST_TRIAL;
        health.is_called(due);
        assert_ne!(health.standing(due + FIRST_TRIAL / 2), Standing::Fit);
        assert_eq!(health.standing(due + FIRST_TRIAL), Standing::Fit);
    }

    #[test]
    fn who_calls_us_is_tried_soon_and_is_not_alive_for_that_alone() {
        let mut now = start();
        let mut health = fallen(now, Watch::Calls);
        for _ in 0..5 {
            while health.standing(now) != Standing::Fit {
                now += Duration::from_secs(1);
            }
            health.is_called(now);
            health.take(now, SILENT);
        }
        health.take(now, Sign::CalledUs);
        assert_ne!(health.standing(now), Standing::Fit);
        assert_eq!(health.standing(now + FIRST_TRIAL), Standing::Fit);
        let mut hears_nothing = Health::new(Watch::Calls);
        hears_nothing.take(now, SILENT);
        hears_nothing.take(now, Sign::CalledUs);
        assert_eq!(
            hears_nothing.take(now, SILENT),
            Some(Change::Fell(Ailment::Silent))
        );
    }

    #[test]
    fn where_probes_watch_no_call_is_spent() {
        let now = start();
        let mut health = fallen(now, Watch::Probes);
        let much_later = now + Duration::from_secs(86_400);
        assert_eq!(health.standing(much_later), Standing::Down(Ailment::Silent));
        health.take(much_later, Sign::Alive);
        assert_eq!(health.take(much_later, Sign::Alive), Some(Change::Rose));
    }
}
