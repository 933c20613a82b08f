//! What leaves the exchange, as the reference sees it: what a message fulfils, and what it must not be.

use std::{net::SocketAddr, time::Instant};

use super::{
    Reference, Unprovoked, What,
    leg::{Began, Leg, Stage},
    words,
};
use crate::{net::Packet, text::Text};

impl Reference {
    /// A datagram leaves the exchange.
    pub fn went(&mut self, now: Instant, packet: &Packet) {
        self.passed += 1;
        let message = Text::read(&packet.payload);
        let id = message.header("Call-ID").to_owned();
        for flaw in words::flaws(&message) {
            self.fault(&id, flaw);
        }
        match message.status() {
            Some(status) => self.answer_went(now, &id, status, &message),
            None => self.request_went(now, &id, packet.to, &message),
        }
    }

    fn request_went(&mut self, now: Instant, id: &str, to: SocketAddr, message: &Text) {
        let (method, sequence) = (message.method().to_owned(), message.sequence());
        if !self.legs.contains_key(id) {
            match method.as_str() {
                "INVITE" => self.invite_went(now, id, to, message),
                "OPTIONS" | "REGISTER" => {}
                _ => self.fault(id, format!("{method} in no dialog")),
            }
            return;
        }
        let Some(leg) = self.legs.get_mut(id) else {
            return;
        };
        leg.note(now, format!("out {method} {sequence}"));
        let is_new = leg.is_new(message);
        let mut flaws = leg.sent(now, message);
        match method.as_str() {
            "ACK" => {
                self.done(id, |what| *what == What::Ack(sequence));
            }
            "PRACK" => {
                let number: u32 = message
                    .header("RAck")
                    .split(' ')
                    .next()
                    .and_then(|number| number.parse().ok())
                    .unwrap_or(0);
                self.done(id, |what| *what == What::Prack(number));
            }
            "NOTIFY" if is_new && words::is_last_word(message) => {
                self.outcome_told(now, id, message);
            }
            "INVITE" if is_new && leg.began == Began::Ours && leg.stage == Stage::Answered => {
                let origin = leg.pair.clone().unwrap_or_default();
                // It is asked for the caller's codec before the caller hears of its answer.
                self.done(&origin, |what| matches!(what, What::Pass(_)));
            }
            "CANCEL" => {
                if leg.began == Began::Theirs || !leg.is_proceeding {
                    flaws.push("CANCEL before a provisional answer".to_owned());
                }
                leg.must_end = true;
                leg.cancelled_at.get_or_insert(now);
                self.done(id, |what| *what == What::End);
            }
            "BYE" => {
                if leg.stage == Stage::Inviting {
                    flaws.push("BYE before an answer".to_owned());
                }
                if is_new {
                    flaws.extend(leg.unrepeated(now));
                }
                self.goodbye_went(now, id, is_new);
            }
            _ => {
                if is_new && !leg.is_live() {
                    flaws.push(format!("{method} after the end"));
                }
            }
        }
        for flaw in flaws {
            self.fault(id, flaw);
        }
    }

    fn goodbye_went(&mut self, now: Instant, id: &str, is_new: bool) {
        if let Some(at) = self.join_shown_by(id).filter(|_| is_new) {
            self.succeed(now, at);
        }
        let Some(leg) = self.legs.get(id) else {
            return;
        };
        let is_asked_for = leg.must_end || !is_new || leg.stage != Stage::Answered;
        if !is_asked_for && let Some(other) = self.partner(id) {
            self.end_unprovoked(now, id, &other, "BYE");
        }
        let Some(leg) = self.legs.get_mut(id) else {
            return;
        };
        leg.stage = Stage::Ended;
        leg.ended_at.get_or_insert(now);
        let origin = leg.pair.clone().unwrap_or_default();
        self.done(id, |what| *what == What::End);
        // What it answered was of no use to the caller.
        self.done(&origin, |what| matches!(what, What::Pass(_)));
    }

    fn invite_went(&mut self, now: Instant, id: &str, to: SocketAddr, message: &Text) {
        let mut leg = Leg::new(now, Began::Ours, to, message);
        leg.is_by_stream = self.by_stream.contains(&to);
        leg.pair = match self.transfer_of(to, message) {
            Some(at) => Some(self.target_called(at, id)),
            None => self.origin_of(to, message),
        };
        if let Some(origin) = &leg.pair {
            self.turn_away(origin);
        }
        let origin = leg.pair.as_ref().and_then(|origin| self.legs.get(origin));
        let is_of_transfer = self.legs.values().any(|leg| leg.is_transferred);
        let is_for_transfer = origin.map_or(is_of_transfer, |origin| origin.is_transferred);
        let flaw = match origin {
            // Whom a transfer calls is called for one of its legs.
            None if is_of_transfer => None,
            Some(origin) if origin.is_transferred => None,
            None => Some("an INVITE for no caller"),
            Some(origin) if !origin.is_live() => Some("an INVITE for a caller who has left"),
            Some(origin) if origin.peer == self.carrier && to == self.carrier => {
                Some("carrier to carrier")
            }
            Some(_) if message.body.is_empty() => Some("an INVITE without a description"),
            Some(_) => None,
        };
        leg.sent(now, message);
        leg.is_transferred = is_for_transfer;
        self.legs.insert(id.to_owned(), leg);
        if let Some(flaw) = flaw {
            self.fault(id, flaw);
        }
    }

    /// Somebody else is called for an origin: whoever has said nothing by then is wanted no more.
    fn turn_away(&mut self, origin: &str) {
        for leg in self.legs.values_mut() {
            leg.must_end |= leg.pair.as_deref() == Some(origin) && leg.is_unheard();
        }
    }

    fn has_far(&self, origin: &str) -> bool {
        let mut legs = self.legs.values();
        legs.any(|leg| leg.pair.as_deref() == Some(origin) && leg.is_live())
    }

    /// The caller for whom an INVITE goes out: by its number, which crosses, else by the number that it called.
    fn origin_of(&self, to: SocketAddr, invite: &Text) -> Option<String> {
        let named = words::callers(invite);
        let called = invite.called_user();
        let candidates = self
            .legs
            .iter()
            .filter(|(_, leg)| leg.began == Began::Theirs);
        let of_caller = candidates.clone().filter(|(_, leg)| {
            to != self.carrier && named.iter().any(|user| leg.callers.contains(user))
        });
        let of_called =
            candidates.filter(|(_, leg)| to == self.carrier && leg.called.ends_with(called));
        of_caller
            .chain(of_called)
            .max_by_key(|(id, leg)| (leg.is_live(), !self.has_far(id), leg.since))
            .map(|(id, _)| id.clone())
    }

    fn answer_went(&mut self, now: Instant, id: &str, status: u16, message: &Text) {
        let (method, sequence) = (message.method().to_owned(), message.sequence());
        self.done(id, |what| {
            matches!(what, What::Answer { method: owed, sequence: at, least, most }
                if *owed == method && *at == sequence && (*least..=*most).contains(&status))
        });
        let Some(leg) = self.legs.get_mut(id) else {
            return;
        };
        leg.note(now, format!("out {status} {method} {sequence}"));
        let flaws = leg.answer(now, message);
        let wish = (status == 200).then(|| leg.take_wish(message)).flatten();
        if let Some(wish) = wish {
            self.others_know(id, &wish);
        }
        let Some(leg) = self.legs.get_mut(id) else {
            return;
        };
        let is_opening =
            method == "INVITE" && sequence == leg.first_sequence && leg.began == Began::Theirs;
        let was_waiting = leg.stage == Stage::Inviting && !leg.has_left_early;
        if is_opening && status >= 200 && leg.stage == Stage::Inviting {
            leg.stage = if status < 300 {
                Stage::Answered
            } else {
                Stage::Refused
            };
            if status < 300 {
                leg.answered_at = Some(now);
            }
        }
        if is_opening && status >= 200 {
            if status >= 300 && was_waiting {
                self.refused_unprovoked(now, id, status);
            }
            self.done(id, |what| matches!(what, What::Pass(_) | What::End));
            if status >= 300 {
                self.end_others(now, id);
            }
        }
        for flaw in flaws {
            self.fault(id, flaw);
        }
        // A 202 that is repeated takes nothing anew.
        if method == "REFER" && status == 202 {
            let leg = self.legs.get_mut(id);
            if let Some(refer_to) = leg.and_then(|leg| leg.referred.remove(&sequence)) {
                self.refer_taken(now, id, &refer_to);
            }
        }
    }

    /// A caller is refused whose call is alerting, or answered.
    fn refused_unprovoked(&mut self, now: Instant, id: &str, status: u16) {
        let is_wanted = |(_, leg): &(&String, &Leg)| {
            leg.pair.as_deref() == Some(id) && leg.is_live() && leg.is_proceeding && !leg.must_end
        };
        let far = self.legs.iter().find(is_wanted).map(|(far, _)| far.clone());
        if let Some(far) = far {
            self.end_unprovoked(now, id, &far, &status.to_string());
        }
    }

    /// Law 1: a talk ends when one of its parties wants that.
    fn end_unprovoked(&mut self, now: Instant, id: &str, other: &str, what: &str) {
        let legs = [id, other].map(|id| self.legs.get(id));
        let is_excused = |leg: &Leg| {
            leg.must_end
                || leg.is_adrift
                || leg.is_transferred
                || leg.is_disowned()
                || leg.may_end_by_itself(now)
        };
        if legs.iter().flatten().any(|leg| is_excused(leg)) {
            return;
        }
        let stories = legs.map(|leg| leg.map(Leg::story).unwrap_or_default());
        self.unprovoked.push(Unprovoked {
            legs: [id.to_owned(), other.to_owned()],
            what: format!("{what}: {}", stories.join("; ")),
        });
    }

    /// Whoever is held or heard again has been told so before it was agreed.
    fn others_know(&mut self, id: &str, wish: &str) {
        let own = self.legs.get(id).and_then(|leg| leg.pair.clone());
        let unaware = self.legs.iter().find(|(other, leg)| {
            (own.as_deref() == Some(other.as_str()) || leg.pair.as_deref() == Some(id))
                && leg.is_settled()
                && leg.told == "sendrecv"
        });
        let unaware = unaware.map(|(other, _)| other.clone());
        if self.legs.get(id).is_some_and(|leg| leg.is_transferred) {
            return;
        }
        if self.legs.get(id).is_some_and(Leg::is_settled)
            && let Some(other) = unaware
        {
            let asker = self.legs.get(id).map(Leg::story).unwrap_or_default();
            self.fault(&other, format!("was not told of {wish} asked by [{asker}]"));
        }
    }
}
