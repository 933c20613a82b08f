//! One leg as the reference sees it.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    time::{Duration, Instant},
};

use super::{
    CROSSING, LAST, T2,
    words::{callers, is_last_word, key, origin_of, tag_of, user_of},
};
use crate::text::Text;

/// Whose INVITE began it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Began {
    Ours,
    Theirs,
}

/// Where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Inviting,
    Answered,
    Refused,
    Ended,
}

/// A leg.
#[derive(Debug)]
pub(super) struct Leg {
    pub(super) began: Began,
    pub(super) peer: SocketAddr,
    /// Its peer is reached by TCP.
    pub(super) is_by_stream: bool,
    pub(super) since: Instant,
    pub(super) stage: Stage,
    pub(super) answered_at: Option<Instant>,
    /// Whom it calls for; none for whoever called.
    pub(super) pair: Option<String>,
    pub(super) callers: Vec<String>,
    pub(super) called: String,
    /// The number that its INVITE calls, wherever it rings.
    pub(super) number: String,
    pub(super) first_sequence: u32,
    /// A provisional answer came.
    pub(super) is_proceeding: bool,
    /// The ACK of our 2xx came.
    is_acknowledged: bool,
    /// Reliable answers of ours whose PRACK has not come, by their `RSeq`, and whether they describe anything.
    unpracked: BTreeMap<String, bool>,
    /// Whom its REFERs named, by their sequence.
    pub(super) referred: BTreeMap<u32, String>,
    /// When it was said goodbye to.
    pub(super) ended_at: Option<Instant>,
    /// Its call is or was transferred: who is joined to whom is the transfer's.
    pub(super) is_transferred: bool,
    /// Its INVITE came again after its refusal.
    comes_again: bool,
    /// It said BYE before its answer.
    pub(super) has_left_early: bool,
    /// Its way was lost before it said anything, and its INVITE has gone no other.
    pub(super) is_adrift: bool,
    /// When we gave it up.
    pub(super) cancelled_at: Option<Instant>,
    /// Its other party has left.
    pub(super) must_end: bool,
    /// The last reliable provisional answer.
    pub(super) reliable: Option<u32>,
    /// Requests of theirs by branch and method, with the status they got.
    asked: BTreeMap<(String, String), (Instant, u32, u16)>,
    /// Requests of ours by branch and method.
    sent: BTreeMap<(String, String), Sent>,
    last_sequence: u32,
    /// Our To tag in a call that they began.
    tag: Option<String>,
    session: Option<String>,
    /// Our descriptions by their version.
    descriptions: BTreeMap<u64, String>,
    /// Directions that their open offers ask for, by method and sequence.
    offers: BTreeMap<(String, u32), String>,
    notes: Vec<String>,
    /// A final answer of ours that waits for its ACK: its sequence, when it was sent first and last.
    unacknowledged: Option<(u32, Instant, Instant)>,
    /// When its session is over unless it is refreshed (RFC 4028).
    expires: Option<Instant>,
    /// The direction of their last description, the one that they asked for last, and the one that we told them last.
    said: String,
    pub(super) wish: String,
    pub(super) told: String,
}

#[derive(Debug)]
struct Sent {
    at: Instant,
    sequence: u32,
    status: Option<u16>,
    start: String,
    /// What they had been told before it, if it told them anything: a refused offer leaves that standing.
    told_before: Option<String>,
    /// The last NOTIFY of a transfer.
    is_last_word: bool,
}

impl Leg {
    pub(super) fn new(now: Instant, began: Began, peer: SocketAddr, invite: &Text) -> Leg {
        let mut leg = Leg {
            began,
            peer,
            is_by_stream: false,
            since: now,
            stage: Stage::Inviting,
            answered_at: None,
            pair: None,
            callers: callers(invite),
            called: invite.called_user().to_owned(),
            number: user_of(invite.header("To")),
            first_sequence: invite.sequence(),
            is_proceeding: false,
            is_acknowledged: false,
            unpracked: BTreeMap::new(),
            referred: BTreeMap::new(),
            ended_at: None,
            is_transferred: false,
            comes_again: false,
            has_left_early: false,
            is_adrift: false,
            cancelled_at: None,
            must_end: false,
            reliable: None,
            asked: BTreeMap::new(),
            sent: BTreeMap::new(),
            last_sequence: 0,
            tag: None,
            session: None,
            descriptions: BTreeMap::new(),
            offers: BTreeMap::new(),
            notes: Vec::new(),
            unacknowledged: None,
            expires: None,
            said: "sendrecv".to_owned(),
            wish: "sendrecv".to_owned(),
            told: "sendrecv".to_owned(),
        };
        leg.note(now, format!("{began:?} INVITE {}", invite.sequence()));
        if began == Began::Theirs {
            leg.asked(now, invite);
        }
        leg
    }

    pub(super) fn is_live(&self) -> bool {
        matches!(self.stage, Stage::Inviting | Stage::Answered)
    }

    pub(super) fn note(&mut self, now: Instant, what: impl std::fmt::Display) {
        let ms = now.saturating_duration_since(self.since).as_millis();
        self.notes.push(format!("{ms} {what}"));
    }

    /// The last of what happened to it.
    pub(super) fn story(&self) -> String {
        let first = self.notes.len().saturating_sub(40);
        format!(
            "{} -> {} {:?} [{}]",
            self.callers.join("/"),
            self.called,
            self.stage,
            self.notes[first..].join(", ")
        )
    }

    // Theirs.

    pub(super) fn is_repeated(&self, request: &Text) -> bool {
        self.asked.contains_key(&key(request))
    }

    /// A request came for the first time; says whether it is a PRACK that is waited for.
    pub(super) fn asked(&mut self, now: Instant, request: &Text) -> bool {
        self.asked
            .insert(key(request), (now, request.sequence(), 0));
        let rack = request.header("RAck").split(' ').next().unwrap_or_default();
        // Whatever was overtaken by a later request is refused (RFC 3261 section 12.2.2).
        let mut sequences = self.asked.values().map(|(_, sequence, _)| *sequence);
        let is_overtaken = sequences.any(|sequence| sequence > request.sequence());
        let is_awaited = self.unpracked.remove(rack).is_some() && !is_overtaken;
        if request.method() == "REFER" {
            let refer_to = request.header("Refer-To").to_owned();
            self.referred.insert(request.sequence(), refer_to);
        }
        let may_offer = ["INVITE", "UPDATE", "PRACK"].contains(&request.method());
        if may_offer && !request.body.is_empty() {
            let direction = crate::phone::direction_of(&request.body).to_owned();
            self.offers
                .insert((request.method().to_owned(), request.sequence()), direction);
        }
        is_awaited
    }

    /// Whether a reliable answer with a description waits for its PRACK: a 2xx has to wait for that too (RFC 3262 section 3).
    pub(super) fn is_described_early(&self) -> bool {
        self.unpracked.values().any(|is_described| *is_described)
    }

    /// An ACK came; says whether it was the first of the call's own 2xx.
    pub(super) fn acknowledged(&mut self, ack: &Text) -> bool {
        let sequence = ack.sequence();
        let is_answered = self.stage == Stage::Answered || self.stage == Stage::Ended;
        // That of a refusal is known by its branch, that of a 2xx by its dialog.
        if is_answered && self.is_of_another_dialog(ack) {
            return false;
        }
        self.unacknowledged
            .take_if(|(waits, _, _)| *waits == sequence);
        let is_its_own = is_answered && sequence == self.first_sequence;
        is_its_own && !std::mem::replace(&mut self.is_acknowledged, true)
    }

    /// Whether it may not be ended yet: a CANCEL waits for a provisional answer, a BYE for the ACK (RFC 3261 sections 9.1 and 15), and
    /// for the answer to the last NOTIFY.
    pub(super) fn must_wait(&self, now: Instant) -> bool {
        match (self.began, self.stage) {
            (Began::Ours, Stage::Inviting) => !self.is_proceeding,
            (Began::Theirs, Stage::Answered) if !self.is_acknowledged => true,
            (Began::Ours | Began::Theirs, Stage::Answered) => self.has_last_word(now),
            _ => false,
        }
    }

    fn has_last_word(&self, now: Instant) -> bool {
        self.sent.values().any(|sent| {
            let is_open = sent.status.is_none_or(|status| status < 200);
            sent.is_last_word && is_open && now.saturating_duration_since(sent.at) < LAST
        })
    }

    /// Its INVITE came again.
    pub(super) fn came_again(&mut self, request: &Text) {
        self.comes_again |= request.method() == "INVITE" && self.stage == Stage::Refused;
    }

    /// Whoever was refused for want of room, without a memory, comes again and finds some.
    fn take_up(&mut self, key: &(String, String), status: u16) {
        let Some((_, _, said)) = self.asked.get_mut(key) else {
            return;
        };
        if self.comes_again && key.1 == "INVITE" && *said == 503 && status != 503 {
            *said = 0;
            self.stage = Stage::Inviting;
        }
    }

    /// Whether a request of ours is none that was sent before.
    pub(super) fn is_new(&self, request: &Text) -> bool {
        !self.sent.contains_key(&key(request))
    }

    /// What is wrong with an answer of ours.
    pub(super) fn answer(&mut self, now: Instant, answer: &Text) -> Vec<String> {
        let mut flaws = Vec::new();
        let status = answer.status().unwrap_or(0);
        let key = key(answer);
        self.take_up(&key, status);
        let is_first = self.asked.get(&key).is_some_and(|(_, _, said)| *said < 200);
        if key.1 == "INVITE" && status > 100 && answer.sequence() == self.first_sequence {
            self.tag = tag_of(answer.header("To"));
        }
        match self.asked.get_mut(&key) {
            None => flaws.push(format!("{status} {} to nothing", key.1)),
            // A CANCEL is answered by what its INVITE has come to since, and whoever overtakes the answer that makes its dialog comes
            // too early: it was refused without a memory.
            Some((_, _, said))
                if *said >= 200
                    && *said != status
                    && key.1 != "CANCEL"
                    && !(matches!(*said, 481 | 500) && self.began == Began::Ours) =>
            {
                flaws.push(format!("{status} {} after {said}", key.1));
            }
            Some((_, _, said)) => *said = (*said).max(status),
        }
        flaws.extend(self.repeats(now, answer, status));
        // What is repeated agrees to nothing anew.
        if is_first {
            self.time_session(now, answer);
        }
        let reliable = answer.header("RSeq");
        if !reliable.is_empty() && status < 200 {
            let is_described = !answer.body.is_empty();
            self.unpracked.insert(reliable.to_owned(), is_described);
        }
        if !answer.body.is_empty() {
            let offered = self.offers.get(&(key.1.clone(), answer.sequence()));
            let is_fit = match offered.map(String::as_str) {
                Some("sendonly") => {
                    ["recvonly", "inactive"].contains(&crate::phone::direction_of(&answer.body))
                }
                Some("recvonly") => {
                    ["sendonly", "inactive"].contains(&crate::phone::direction_of(&answer.body))
                }
                Some("inactive") => crate::phone::direction_of(&answer.body) == "inactive",
                Some(_) | None => true,
            };
            if !is_fit && status >= 200 {
                flaws.push("an answer that speaks against its offer".to_owned());
            }
            flaws.extend(self.describe(&answer.body));
        }
        flaws
    }

    /// A final answer to an INVITE is repeated until its ACK comes, after T2 at most (RFC 3261 sections 13.3.1.4 and 17.2.1).
    fn repeats(&mut self, now: Instant, answer: &Text, status: u16) -> Option<String> {
        // What is refused without a memory is not repeated.
        let is_remembered = status < 300
            || (!self.is_by_stream
                && answer.sequence() == self.first_sequence
                && self.began == Began::Theirs
                && status != 503);
        if answer.method() != "INVITE" || status < 200 || !is_remembered {
            return None;
        }
        let sequence = answer.sequence();
        match &mut self.unacknowledged {
            Some((waits, _, last)) if *waits == sequence => {
                let pause = now.saturating_duration_since(*last);
                *last = now;
                (pause > T2).then(|| format!("{status} INVITE was not repeated for {pause:?}"))
            }
            _ => {
                self.unacknowledged = Some((sequence, now, now));
                None
            }
        }
    }

    /// What is wrong with an answer that waits for its ACK when the leg goes on without.
    pub(super) fn unrepeated(&mut self, now: Instant) -> Option<String> {
        let (sequence, first, last) = self.unacknowledged.take()?;
        let until = now.min(first + LAST);
        let pause = until.saturating_duration_since(last);
        (pause > T2)
            .then(|| format!("the answer to INVITE {sequence} was not repeated for {pause:?}"))
    }

    /// A 2xx says how long the session lasts (RFC 4028 section 7.2).
    pub(super) fn time_session(&mut self, now: Instant, answer: &Text) {
        let is_success = answer
            .status()
            .is_some_and(|status| (200..300).contains(&status));
        if !is_success || !["INVITE", "UPDATE"].contains(&answer.method()) {
            return;
        }
        let interval = answer.header("Session-Expires").split(';').next();
        let interval_s = interval.and_then(|interval| interval.trim().parse().ok());
        self.expires = interval_s.map(|seconds| now + Duration::from_secs(seconds));
    }

    /// Whether it goes on although nobody has refreshed it. An emergency call does (S-17).
    pub(super) fn has_outlived_its_session(&self, now: Instant) -> bool {
        self.stage == Stage::Answered
            && !self.is_emergency()
            && self
                .expires
                .is_some_and(|expires| now > expires + Duration::from_secs(2))
    }

    fn is_emergency(&self) -> bool {
        let mut users = self.callers.iter().chain([&self.called]);
        users.any(|user| {
            ["110", "118", "119"]
                .iter()
                .any(|number| user.ends_with(number) && user.len() <= 6)
        })
    }

    /// Whether its peer knows of no such dialog any more (RFC 3261 section 12.2.1.2): its BYE may still be under way.
    pub(super) fn is_disowned(&self) -> bool {
        let is_of_the_dialog =
            |method: &str| ["INVITE", "UPDATE", "INFO", "STORM", "BYE"].contains(&method);
        let mut sent = self.sent.iter();
        sent.any(|((_, method), sent)| sent.status == Some(481) && is_of_the_dialog(method))
    }

    /// Whether its end may come without anybody asking for it: silence in an emergency call (S-17), or a session that cannot be refreshed.
    pub(super) fn may_end_by_itself(&self, now: Instant) -> bool {
        self.is_emergency() || self.expires.is_some_and(|expires| now + LAST > expires)
    }

    /// Whether this request of ours was sent because of that one of another leg: at once.
    pub(super) fn was_sent_at(&self, answer: &Text) -> Option<Instant> {
        self.sent.get(&key(answer)).map(|sent| sent.at)
    }

    /// The offer of theirs that came at this instant and waits for its outcome.
    pub(super) fn waits_since(&self, at: Instant) -> Option<(String, u32)> {
        let mut asked = self.asked.iter();
        asked.find_map(|((_, method), (since, sequence, status))| {
            let is_open = *since == at && *status < 200 && *sequence != self.first_sequence;
            let has_offer = self.offers.contains_key(&(method.clone(), *sequence));
            (is_open && has_offer).then(|| (method.clone(), *sequence))
        })
    }

    /// The direction that an offer inside the dialog has changed to, if it holds or listens only.
    pub(super) fn take_wish(&mut self, answer: &Text) -> Option<String> {
        let name = (answer.method().to_owned(), answer.sequence());
        // Their numbers are their own: only of a call that they began the first is the INVITE that began it.
        let is_first = self.began == Began::Theirs && answer.sequence() == self.first_sequence;
        if is_first || answer.body.is_empty() {
            return None;
        }
        // A repeated answer agrees to nothing new.
        let wish = self.offers.remove(&name)?;
        let before = std::mem::replace(&mut self.wish, wish.clone());
        // Whoever says again what it has answered asks for nothing.
        let had_said = std::mem::replace(&mut self.said, wish.clone());
        (before == "sendrecv" && wish != "sendrecv" && wish != had_said).then_some(wish)
    }

    /// Whether a request of theirs names another To tag than our answers to them do.
    pub(super) fn is_of_another_dialog(&self, request: &Text) -> bool {
        let named = tag_of(request.header("To"));
        self.began == Began::Theirs && self.tag.is_some() && named.is_some() && named != self.tag
    }

    /// Whether both sides know of the talk.
    pub(super) fn is_settled(&self) -> bool {
        let is_known = self.began == Began::Ours || self.is_acknowledged;
        self.stage == Stage::Answered && is_known && !self.must_end
    }

    /// Whether this request of ours had its answer before.
    pub(super) fn is_answered(&self, answer: &Text) -> bool {
        let sent = self.sent.get(&key(answer));
        sent.is_some_and(|sent| sent.status.is_some_and(|status| status >= 200))
    }

    // Ours.

    /// What is wrong with a request of ours.
    pub(super) fn sent(&mut self, now: Instant, request: &Text) -> Vec<String> {
        let mut flaws = Vec::new();
        let key = key(request);
        let (method, sequence) = (key.1.as_str(), request.sequence());
        if let Some(before) = self.sent.get(&key) {
            self.is_adrift &= method != "INVITE";
            if before.start != request.start || before.sequence != sequence {
                flaws.push(format!("{method} repeated with another text"));
            }
            let lasted = now.saturating_duration_since(before.at);
            if lasted > LAST + Duration::from_millis(100) && !matches!(method, "ACK") {
                flaws.push(format!("{method} repeated after {lasted:?}"));
            }
            if before.status.is_some_and(|status| status >= 200) && method != "ACK" {
                flaws.push(format!("{method} repeated after its answer"));
            }
            return flaws;
        }
        match method {
            "ACK" | "CANCEL" => {}
            // Nobody counts with it any more.
            _ if self.has_left_early => {}
            _ if sequence <= self.last_sequence => {
                flaws.push(format!("CSeq {sequence} after {}", self.last_sequence));
            }
            _ => self.last_sequence = sequence,
        }
        let told_before = request.body.starts_with("v=0").then(|| self.told.clone());
        if !request.body.is_empty() {
            flaws.extend(self.describe(&request.body));
        }
        self.sent.insert(
            key,
            Sent {
                at: now,
                sequence,
                status: None,
                start: request.start.clone(),
                told_before,
                is_last_word: is_last_word(request),
            },
        );
        flaws
    }

    pub(super) fn knows(&self, answer: &Text) -> bool {
        self.sent.contains_key(&key(answer))
    }

    /// Whether nothing has come back to the INVITE that began it.
    pub(super) fn is_unheard(&self) -> bool {
        self.began == Began::Ours && self.stage == Stage::Inviting && !self.is_proceeding
    }

    /// Whether it is an INVITE that nobody has answered in time (RFC 3261 sections 9.1 and 17.1.1.2).
    pub(super) fn is_given_up(&self, now: Instant) -> bool {
        match (self.began, self.stage) {
            (Began::Ours, Stage::Inviting) => {
                let until = self
                    .cancelled_at
                    .or((!self.is_proceeding).then_some(self.since));
                until.is_some_and(|since| now.saturating_duration_since(since) >= LAST)
            }
            _ => false,
        }
    }

    /// Whether so much time has passed since the INVITE's end that nothing need be remembered.
    pub(super) fn is_forgotten(&self, now: Instant) -> bool {
        let answered = self.answered_at.unwrap_or(now);
        !self.is_live() && now.saturating_duration_since(answered) > LAST
    }

    pub(super) fn answered(&mut self, answer: &Text) {
        if let Some(sent) = self.sent.get_mut(&key(answer)) {
            let is_first = sent.status.is_none_or(|status| status < 200);
            sent.status = sent.status.max(answer.status());
            if is_first && answer.status() == Some(200) && answer.body.starts_with("v=0") {
                crate::phone::direction_of(&answer.body).clone_into(&mut self.said);
            }
            if let Some(before) = sent.told_before.take()
                && is_first
                && answer.status().is_some_and(|status| status >= 300)
            {
                self.told = before;
            }
        }
    }

    /// RFC 3264 section 8: one session id a leg, and another text has a later version.
    fn describe(&mut self, body: &str) -> Vec<String> {
        if !body.starts_with("v=0") {
            return Vec::new();
        }
        let origin = body.lines().find_map(|line| line.strip_prefix("o="));
        let (id, version) = origin_of(origin.unwrap_or_default());
        let mut flaws = Vec::new();
        if self.session.get_or_insert(id.clone()) != &id {
            flaws.push("a description with another session id".to_owned());
        }
        let latest = self.descriptions.keys().next_back().copied().unwrap_or(0);
        // A 200 that is repeated after a later offer says nothing new.
        if version >= latest {
            crate::phone::direction_of(body).clone_into(&mut self.told);
        }
        match self.descriptions.get(&version) {
            Some(before) if before != body => {
                flaws.push(format!("two descriptions of version {version}"));
            }
            Some(_) => {}
            None if version < latest => {
                flaws.push(format!("version {version} of a description after {latest}"));
            }
            None => {}
        }
        self.descriptions.insert(version, body.to_owned());
        flaws
    }

    /// What is left once all is over.
    pub(super) fn left(&self, now: Instant) -> Vec<String> {
        let mut flaws = Vec::new();
        let waits = self.unacknowledged.filter(|(_, first, _)| {
            now.saturating_duration_since(*first) > LAST && self.stage == Stage::Refused
        });
        if let Some((sequence, first, last)) = waits
            && last.saturating_duration_since(first) + T2 < LAST
        {
            flaws.push(format!("the refusal of INVITE {sequence} was not repeated"));
        }
        if self.has_outlived_its_session(now) {
            flaws.push("a session that nobody refreshed".to_owned());
        }
        if self.is_live() && !self.is_given_up(now) {
            flaws.push(format!("left in {:?}", self.stage));
        }
        for ((_, method), (at, sequence, status)) in &self.asked {
            // Nobody waits longer, so nobody is answered later (RFC 4320 section 4.2); a goodbye leaves nobody waiting.
            let until = self.ended_at.unwrap_or(now);
            let is_due = until.saturating_duration_since(*at) < CROSSING || method == "INVITE";
            if *status < 200 && is_due && now.saturating_duration_since(*at) > CROSSING {
                flaws.push(format!("{method} {sequence} was never answered"));
            }
        }
        for ((_, method), sent) in &self.sent {
            let is_open = sent.status.is_none_or(|status| status < 200)
                && method != "ACK"
                && method != "INVITE";
            if is_open && now.saturating_duration_since(sent.at) < LAST {
                flaws.push(format!("{method} {} still waits", sent.sequence));
            }
        }
        flaws
    }
}
