//! The session timer at work: refreshes of ours, and the end of a session that nobody refreshed.
//!
//! Follows RFC 4028 section 10; the arithmetic is in [`crate::session_timer`].

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{
    Endpoint,
    event::{DialogId, Event},
    session::{Aim, Attempt, By},
    table::Usage,
};
use crate::{
    header::{HeaderName, Method},
    lexis,
    message::Message,
    peer::RefreshMethod,
    timer::Timer,
};

/// How long after a refused refresh the next is tried, where the refusal does not say.
const PAUSE: Duration = Duration::from_secs(10); // Several fit into the shortest interval, 90 s.

impl Usage {
    /// The session has been refreshed, or begins to be timed.
    pub(super) fn time_session(&mut self, now: Instant) {
        self.timers.stop(Timer::Refresh);
        self.timers.stop(Timer::Expire);
        if let Some(after) = self.session_timer.refresh_after() {
            self.timers.set(Timer::Refresh, now + after);
        }
        if let Some(after) = self.session_timer.expires_after() {
            self.timers.set(Timer::Expire, now + after);
        }
    }
}

impl Endpoint {
    /// Refreshes the session: by UPDATE where settings and peer allow it, else by a re-INVITE with the description that stands.
    pub(super) fn refresh(&mut self, now: Instant, id: DialogId) {
        let Some(usage) = self
            .usages
            .get_mut(&id)
            .filter(|usage| usage.is_confirmed())
        else {
            return;
        };
        let method = usage.session_timer.method();
        let Some(session) = usage.current() else {
            return;
        };
        let by_update = method == RefreshMethod::Update
            && session.abilities.allows(&Method::Update)
            || session.description.is_empty();
        let is_under_way = session.change.is_sent();
        if is_under_way {
            // It refreshes the session if it is taken.
            return self.refresh_after(now, id, PAUSE);
        }
        let attempt = Attempt {
            by: if by_update { By::Update } else { By::Invite },
            aim: Aim::Refresh,
            description: Bytes::new(),
            tries: 0,
        };
        self.try_change(now, id, attempt);
    }

    /// Nobody refreshed the session: the application decides (RFC 4028 section 10).
    pub(super) fn expire(&mut self, id: DialogId) {
        let Some(usage) = self.usages.get_mut(&id) else {
            return;
        };
        usage.timers.stop(Timer::Refresh);
        self.events.push_back(Event::SessionExpired { dialog: id });
    }

    /// A refresh of ours was refused. One without dialog or answer ends the session, any other is tried again until it expires: one that
    /// could not be sent too.
    ///
    /// A side that times no session itself has shown that it is there: a call must not end because it takes no re-INVITE (RFC 4028 section 7.2).
    pub(super) fn not_refreshed(
        &mut self,
        now: Instant,
        id: DialogId,
        status: u16,
        message: Option<&Message>,
    ) {
        let Some(usage) = self.usages.get_mut(&id) else {
            return;
        };
        if matches!(status, 408 | 481) {
            usage.timers.stop(Timer::Expire);
            self.arm_usage(id);
            return self.expire(id);
        }
        if message.is_some() && usage.session_timer.is_ours_alone() {
            usage.time_session(now);
            return self.arm_usage(id);
        }
        let asked = message
            .and_then(|message| message.value(HeaderName::RetryAfter))
            .and_then(|value| {
                let end = value.iter().position(|octet| !octet.is_ascii_digit());
                lexis::number(&value[..end.unwrap_or(value.len())], 3600)
            });
        let pause = asked.map_or(PAUSE, Duration::from_secs);
        self.refresh_after(now, id, pause.max(Duration::from_secs(1)));
    }

    /// A change that would have refreshed the session failed: it is refreshed alone.
    pub(super) fn refresh_soon(&mut self, now: Instant, id: DialogId) {
        let usage = self.usages.get(&id);
        let is_missing = usage.is_some_and(|usage| {
            usage.is_confirmed()
                && usage.session_timer.refresh_after().is_some()
                && usage.timers.is_running(Timer::Expire)
                && !usage.timers.is_running(Timer::Refresh)
        });
        if is_missing {
            self.refresh_after(now, id, PAUSE);
        }
    }

    fn refresh_after(&mut self, now: Instant, id: DialogId, pause: Duration) {
        if let Some(usage) = self.usages.get_mut(&id) {
            usage.timers.set(Timer::Refresh, now + pause);
        }
        self.arm_usage(id);
    }
}
