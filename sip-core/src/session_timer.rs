//! The session timer of a dialog: who refreshes, how often, and when it is over.
//!
//! It reads no clock and sends nothing: it says after how long the endpoint must act.
//! Follows RFC 4028. Start at [`SessionTimer::offer`] (we ask) and [`SessionTimer::answer`] (we are asked).

use std::{fmt, time::Duration};

use crate::{
    abilities::{self, Extension},
    header::HeaderName,
    lexis,
    message::Message,
    peer::{RefreshMethod, SessionSettings},
};

/// The longest interval that is believed.
const MAX_INTERVAL_S: u64 = 86_400; // A day; beyond it a session timer times nothing.

/// How often one request is repeated with a longer interval.
const MAX_RAISES: u8 = 3; // RFC 4028 section 7.4 needs one; each proxy on the way may ask for more.

/// A side of one transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Uac,
    Uas,
}

/// The value of a Session-Expires header (RFC 4028 section 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SessionExpires {
    interval: Duration,
    refresher: Option<Role>,
}

impl SessionExpires {
    /// Reads that of a message; one that cannot be read is none.
    pub(crate) fn of(message: &Message) -> Option<SessionExpires> {
        let value = message.value(HeaderName::SessionExpires)?;
        let end = value
            .iter()
            .position(|octet| *octet == b';')
            .unwrap_or(value.len());
        let interval = read_seconds(&value[..end])?;
        let params = lexis::Params::parse(&value[end..]).ok();
        let refresher = params.and_then(|params| params.get("refresher")).flatten();
        let is =
            |name: &str| refresher.is_some_and(|role| role.eq_ignore_ascii_case(name.as_bytes()));
        Some(SessionExpires {
            interval,
            refresher: match (is("uac"), is("uas")) {
                (true, _) => Some(Role::Uac),
                (_, true) => Some(Role::Uas),
                _ => None,
            },
        })
    }
}

impl fmt::Display for SessionExpires {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.interval.as_secs())?;
        match self.refresher {
            Some(Role::Uac) => f.write_str(";refresher=uac"),
            Some(Role::Uas) => f.write_str(";refresher=uas"),
            None => Ok(()),
        }
    }
}

/// Who refreshes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refresher {
    Us,
    Peer,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Running {
    interval: Duration,
    refresher: Refresher,
    agreement: Agreement,
}

/// Who times the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Agreement {
    /// Somebody beside us: without a refresh it ends the call.
    Shared,
    /// Nobody else: a refresh only asks whether the other side is still there (RFC 4028 section 7.2).
    OursAlone,
}

/// What a request with a Session-Expires below our minimum is answered: 422 with this Min-SE (RFC 4028 section 9).
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooSmall {
    pub(crate) min_s: u64,
}

/// Headers that were negotiated: names and values.
pub(crate) type Lines = Vec<(&'static str, String)>;

/// See the module.
#[derive(Debug)]
pub(crate) struct SessionTimer {
    settings: SessionSettings,
    /// The shortest interval the way to the other side takes.
    min: Duration,
    raises: u8,
    running: Option<Running>,
}

impl SessionTimer {
    pub(crate) fn new(settings: SessionSettings) -> SessionTimer {
        SessionTimer {
            // RFC 4028 section 4: no Min-SE may be below 90 s.
            min: settings.min.max(Duration::from_secs(90)),
            settings,
            raises: 0,
            running: None,
        }
    }

    /// By what we refresh.
    pub(crate) fn method(&self) -> RefreshMethod {
        self.settings.method
    }

    /// What an INVITE or UPDATE of ours says (RFC 4028 sections 7.1 and 7.4).
    pub(crate) fn offer(&self) -> Lines {
        let Some(interval) = self.interval() else {
            return Vec::new();
        };
        let refresher = self.running.map(|running| match running.refresher {
            Refresher::Us => Role::Uac,
            Refresher::Peer => Role::Uas,
        });
        let expires = SessionExpires {
            interval,
            refresher,
        };
        vec![
            ("Session-Expires", expires.to_string()),
            ("Min-SE", self.min.as_secs().to_string()),
        ]
    }

    /// Takes a 422 to a request of ours; whether to ask again with the longer interval (RFC 4028 section 7.3).
    pub(crate) fn raise(&mut self, answer: &Message) -> bool {
        let asked = answer.named("Min-SE").next();
        let asked = asked
            .and_then(|value| read_seconds(value.split(';').next().unwrap_or_default().as_bytes()));
        let (Some(asked), Some(interval)) = (asked, self.interval()) else {
            return false;
        };
        let is_longer = asked > interval && self.raises < MAX_RAISES;
        if is_longer {
            self.raises += 1;
            self.min = self.min.max(asked);
        }
        is_longer
    }

    /// Takes a 2xx to an INVITE or UPDATE of ours; whether a session timer runs from here on (RFC 4028 section 7.2).
    ///
    /// A peer that knows no session timer is refreshed by us.
    pub(crate) fn take_answer(&mut self, answer: &Message) -> bool {
        let Some(offered) = self.interval() else {
            return false;
        };
        self.raises = 0;
        let expires = SessionExpires::of(answer);
        let refresher = match expires.and_then(|expires| expires.refresher) {
            Some(Role::Uas) => Refresher::Peer,
            Some(Role::Uac) | None => Refresher::Us,
        };
        // Nobody may make it longer on the way back, and below a second it would time nothing.
        let interval = expires.map_or(offered, |expires| expires.interval.min(offered));
        self.running = Some(Running {
            interval: interval.max(SHORTEST),
            refresher,
            agreement: agreement(expires),
        });
        true
    }

    /// Whether an INVITE or UPDATE of the peer's asks for too short an interval.
    ///
    /// # Errors
    /// [`TooSmall`], if its sender understands 422 (RFC 4028 section 9).
    pub(crate) fn check(&self, request: &Message) -> Result<(), TooSmall> {
        let is_small = self.settings.interval.is_some()
            && abilities::supports(request, Extension::Timer)
            && SessionExpires::of(request).is_some_and(|expires| expires.interval < self.own_min());
        if is_small {
            Err(TooSmall {
                min_s: self.own_min().as_secs(),
            })
        } else {
            Ok(())
        }
    }

    /// What our 2xx to an INVITE or UPDATE says; the session timer runs from here on unless it says nothing (RFC 4028 section 9).
    pub(crate) fn answer(&mut self, request: &Message) -> Lines {
        let Some(ours) = self.settings.interval else {
            return Vec::new();
        };
        let is_able = abilities::supports(request, Extension::Timer);
        let least = request
            .named("Min-SE")
            .next()
            .and_then(|value| read_seconds(value.as_bytes()))
            .unwrap_or_default()
            .max(self.own_min());
        let asked = SessionExpires::of(request);
        // We may shorten what is asked, not below anyone's minimum, and never lengthen it (RFC 4028 section 9): where its sender knows no session
        // timer, a proxy on the way has asked, and will end the call.
        let interval = match asked {
            Some(asked) => asked.interval.min(ours.max(least)).max(SHORTEST),
            None => ours.max(least),
        };
        let role = match asked.and_then(|asked| asked.refresher) {
            Some(role) if is_able => role,
            Some(_) | None if !is_able => Role::Uas,
            // Who refreshed goes on; in the beginning it is who called (RFC 4028 table 2 leaves it to us).
            Some(_) | None => match self.running.map(|running| running.refresher) {
                Some(Refresher::Us) => Role::Uas,
                Some(Refresher::Peer) | None => Role::Uac,
            },
        };
        self.running = Some(Running {
            interval,
            refresher: match role {
                Role::Uac => Refresher::Peer,
                Role::Uas => Refresher::Us,
            },
            agreement: if is_able {
                Agreement::Shared
            } else {
                agreement(asked)
            },
        });
        let expires = SessionExpires {
            interval,
            refresher: Some(role),
        };
        let mut lines = vec![("Session-Expires", expires.to_string())];
        if is_able {
            lines.push(("Require", Extension::Timer.tag().to_owned()));
        }
        lines
    }

    /// After how long we refresh, if we do: half the interval (RFC 4028 section 10).
    pub(crate) fn refresh_after(&self) -> Option<Duration> {
        let running = self.running?;
        (running.refresher == Refresher::Us).then_some(running.interval / 2)
    }

    /// After how long without refresh the session is over: a third of the interval, at most 32 s, before its end (RFC 4028 section 10).
    pub(crate) fn expires_after(&self) -> Option<Duration> {
        let interval = self.running?.interval;
        Some(interval - (interval / 3).min(Duration::from_secs(32)))
    }

    /// Whether nobody but us times the session, so that every answer to a refresh shows what it was to show.
    pub(crate) fn is_ours_alone(&self) -> bool {
        let running = self.running;
        running.is_some_and(|running| running.agreement == Agreement::OursAlone)
    }

    /// What we offer.
    fn interval(&self) -> Option<Duration> {
        let ours = self.settings.interval?;
        let standing = self.running.map_or(ours, |running| running.interval);
        Some(standing.max(self.min))
    }

    fn own_min(&self) -> Duration {
        self.settings.min.max(Duration::from_secs(90))
    }
}

fn agreement(said: Option<SessionExpires>) -> Agreement {
    match said {
        Some(_) => Agreement::Shared,
        None => Agreement::OursAlone,
    }
}

/// A shorter interval would have us refresh without end.
const SHORTEST: Duration = Duration::from_secs(30);

fn read_seconds(value: &[u8]) -> Option<Duration> {
    let seconds = lexis::number(lexis::trim(value), u64::from(u32::MAX))?;
    Some(Duration::from_secs(seconds.min(MAX_INTERVAL_S)))
}

#[cfg(test)]
mod tests {
    // Peers that know session timers, know others, or know none.
    use bytes::Bytes;

    use super::*;

    fn timer(interval_s: Option<u64>, min_s: u64) -> SessionTimer {
        SessionTimer::new(SessionSettings {
            interval: interval_s.map(Duration::from_secs),
            min: Duration::from_secs(min_s),
            method: RefreshMethod::Update,
        })
    }

    fn message(start: &str, more: &str) -> Message {
        let text = format!(
            "{start}\r\nVia: SIP/2.0/UDP a;branch=z9hG4bKa\r\nFrom: <sip:a@x>;tag=1\r\nTo: <sip:b@y>\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\n{more}\r\n"
        );
        Message::parse(Bytes::from(text)).unwrap()
    }

    fn invite(more: &str) -> Message {
        message("INVITE sip:b@y SIP/2.0", more)
    }

    fn values(lines: &Lines) -> Vec<&str> {
        lines.iter().map(|(_, value)| value.as_str()).collect()
    }

    #[test]
    fn a_value_is_a_number_and_perhaps_a_refresher() {
        let read = |value: &str| SessionExpires::of(&invite(&format!("x: {value}\r\n")));
        for text in ["1800", "90;refresher=uac", "90;refresher=uas"] {
            assert_eq!(read(text).unwrap().to_string(), text);
        }
        assert_eq!(
            read("90 ; Refresher = UAS").unwrap().to_string(),
            "90;refresher=uas"
        );
        assert_eq!(read("90;refresher=me;x").unwrap().to_string(), "90");
        assert_eq!(read("99999999999"), None);
        assert_eq!(read("x"), None);
    }

    #[test]
    fn a_422_makes_us_ask_for_longer_a_few_times() {
        let mut timer = timer(Some(300), 90);
        assert_eq!(values(&timer.offer()), ["300", "90"]);
        let too_small = |min_s: u64| message("SIP/2.0 422 X", &format!("Min-SE: {min_s}\r\n"));
        assert!(!timer.raise(&too_small(300)), "it took that already");
        assert!(timer.raise(&too_small(600)));
        assert_eq!(values(&timer.offer()), ["600", "600"]);
        assert!(timer.raise(&too_small(700)) && timer.raise(&too_small(800)));
        assert!(
            !timer.raise(&too_small(900)),
            "a peer that never has enough"
        );
        assert!(!timer.raise(&message("SIP/2.0 422 X", "")));
    }

    #[test]
    fn the_answer_says_who_refreshes_and_a_peer_without_timers_is_refreshed_by_us() {
        let seconds = |timer: &SessionTimer| {
            (
                timer.refresh_after().map(|after| after.as_secs()),
                timer.expires_after().map(|after| after.as_secs()),
            )
        };
        let mut asking = timer(Some(1800), 90);
        let answer = |more: &str| message("SIP/2.0 200 OK", more);
        assert!(asking.take_answer(&answer("Session-Expires: 90;refresher=uas\r\n")));
        assert_eq!(seconds(&asking), (None, Some(60)));
        assert_eq!(values(&asking.offer()), ["90;refresher=uas", "90"]);
        asking = timer(Some(1800), 90);
        asking.take_answer(&answer("Session-Expires: 600;refresher=uac\r\n"));
        assert_eq!(seconds(&asking), (Some(300), Some(568)));
        asking = timer(Some(1800), 90);
        asking.take_answer(&answer(""));
        assert_eq!(seconds(&asking), (Some(900), Some(1768)));
        asking.take_answer(&answer("Session-Expires: 1\r\n"));
        assert_eq!(seconds(&asking), (Some(15), Some(20)));
        asking = timer(None, 90);
        assert!(!asking.take_answer(&answer("Session-Expires: 90;refresher=uas\r\n")));
        assert_eq!(seconds(&asking), (None, None));
        assert!(asking.offer().is_empty());
    }

    #[test]
    fn a_request_is_refused_shortened_or_taken() {
        let able = "Supported: timer\r\n";
        let mut asked = timer(Some(1800), 120);
        let small = invite(&format!("{able}Session-Expires: 119\r\n"));
        assert_eq!(asked.check(&small), Err(TooSmall { min_s: 120 }));
        assert_eq!(asked.check(&invite("Session-Expires: 60\r\n")), Ok(()));
        assert_eq!(timer(None, 120).check(&small), Ok(()));
        // RFC 4028 table 2, row by row.
        let row = |more: &str| {
            let mut asked = timer(Some(1800), 120);
            let lines = asked.answer(&invite(more));
            values(&lines).join(" ")
        };
        assert_eq!(row(""), "1800;refresher=uas");
        assert_eq!(row("Session-Expires: 300\r\n"), "300;refresher=uas");
        assert_eq!(row("Session-Expires: 60\r\n"), "60;refresher=uas");
        assert_eq!(row("Session-Expires: 0\r\n"), "30;refresher=uas");
        assert_eq!(row(able), "1800;refresher=uac timer");
        assert_eq!(
            row(&format!("{able}Session-Expires: 300\r\n")),
            "300;refresher=uac timer"
        );
        assert_eq!(
            row(&format!("{able}Session-Expires: 7200;refresher=uas\r\n")),
            "1800;refresher=uas timer"
        );
        assert_eq!(
            row(&format!("{able}Session-Expires: 7200\r\nMin-SE: 3600\r\n")),
            "3600;refresher=uac timer"
        );
        assert!(timer(None, 90).answer(&invite(able)).is_empty());
        // A refresh that names nobody leaves it to whom it was.
        asked.answer(&invite(&format!(
            "{able}Session-Expires: 300;refresher=uas\r\n"
        )));
        let lines = asked.answer(&invite(&format!("{able}Session-Expires: 300\r\n")));
        assert_eq!(values(&lines), ["300;refresher=uas", "timer"]);
    }
}
