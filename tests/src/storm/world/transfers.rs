//! Transfers in the world of a storm: who consults whom first, and who hears whom afterwards.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use super::World;
use crate::{
    net::{Dice, Packet},
    phone::{Act, Phone, Referred, Request, Stage},
    plan,
    reference::Joined,
    transition::{self, chance, one_of},
    voice::speaker,
};

/// Somebody of the city talks, and calls somebody else in between.
#[derive(Debug, Clone, Copy)]
pub(super) struct Consultation {
    /// Its telephone in the talk.
    talking: usize,
    /// Its telephone in the call in between.
    consulting: usize,
}

/// Two who were joined, and what had been lost by then.
#[derive(Debug)]
pub(super) struct Joining {
    joined: Joined,
    lost: u64,
}

/// When those who were joined speak again: both may have to be asked for another codec first.
const SPEAK_AFTER: Duration = Duration::from_millis(1_500);
/// For how long.
const SPEAK_FOR: Duration = Duration::from_secs(2);

impl World {
    /// Somebody of the city who talks calls somebody else, to bring the two together.
    pub(super) fn consult(&mut self, dice: &mut Dice) {
        let is_free = |(index, phone): &(usize, &Phone)| {
            let mut consultations = self.consultations.iter();
            phone.address == self.pbx
                && *phone.stage() == Stage::Talking
                && !consultations.any(|known| [known.talking, known.consulting].contains(index))
        };
        let free: Vec<usize> = self
            .phones
            .iter()
            .enumerate()
            .filter(is_free)
            .map(|(index, _)| index)
            .collect();
        if free.is_empty() {
            return;
        }
        let (talking, consulting) = (one_of(dice, &free), self.phones.len());
        let called = match chance(dice, 300) {
            true => format!("07980{consulting:05}"),
            false => plan::OTHER_NUMBER.to_owned(),
        };
        let now = self.clock.now().at;
        if chance(dice, 500) {
            self.phones[talking].plan(now, Act::Ask(Request::Reinvite("sendonly")));
            self.renew(talking);
        }
        let (habits, pbx) = (transition::habits(dice), self.pbx);
        let user = format!("2{consulting:04}");
        let patience = Duration::from_secs(40 + dice.roll() % 60);
        self.dial(pbx, &user, &called, habits, vec![(patience, Act::HangUp)]);
        self.tally.count("somebody was consulted", 1);
        self.consultations.push(Consultation {
            talking,
            consulting,
        });
    }

    /// Whoever consults asks for the transfer once it talks: in either of its dialogs.
    pub(super) fn bring_together(&mut self, now: Instant, index: usize) {
        let found = self.consultations.iter().position(|consultation| {
            consultation.consulting == index && *self.phones[index].stage() == Stage::Talking
        });
        let Some(found) = found else { return };
        let Consultation {
            talking,
            consulting,
        } = self.consultations.swap_remove(found);
        let (asks, named) = match chance(&mut self.dice, 700) {
            true => (talking, consulting),
            false => (consulting, talking),
        };
        let replaces = self.phones[named].replaces();
        let after = Duration::from_millis(self.dice.roll() % 3_000);
        self.phones[asks].plan(
            now + after,
            Act::Ask(Request::Refer(Referred::Dialog(replaces))),
        );
        self.renew(asks);
    }

    /// Those who were joined speak again, so that it can be told whether they hear each other.
    pub(super) fn note_joined(&mut self) {
        while let Some(joined) = self.reference.poll_joined() {
            for index in self.phones_of(&joined) {
                let phone = &mut self.phones[index];
                phone.plan(joined.at + SPEAK_AFTER, Act::Speak);
                phone.plan(joined.at + SPEAK_AFTER + SPEAK_FOR, Act::Hush);
                self.renew(index);
            }
            let lost = self.net.lost;
            self.joinings.push_back(Joining { joined, lost });
        }
    }

    /// The telephones of two legs.
    fn phones_of(&self, joined: &Joined) -> Vec<usize> {
        let is_one =
            |(_, phone): &(usize, &Phone)| joined.legs.iter().any(|leg| leg == phone.call_id());
        let found = self.phones.iter().enumerate().filter(is_one);
        found.map(|(index, _)| index).collect()
    }

    /// Those who were joined a while ago have heard each other, where nothing was lost and both wanted to.
    pub(super) fn look_at_joinings(&mut self, now: Instant) {
        let is_over = |joining: &mut Joining| joining.joined.at + SPEAK_AFTER + SPEAK_FOR <= now;
        while let Some(joining) = self.joinings.pop_front_if(is_over) {
            let indices = self.phones_of(&joining.joined);
            let [one, other] = indices[..] else { continue };
            let is_whole = joining.lost == self.net.lost && self.dead.is_empty();
            if !is_whole || !self.reference.are_joined(&joining.joined.legs) {
                continue;
            }
            let since = joining.joined.at;
            let wants = |index: usize| wants_to_talk(&self.phones[index], since);
            if !wants(one) || !wants(other) {
                continue;
            }
            for (mouth, ear) in [(one, other), (other, one)] {
                self.was_heard(since + SPEAK_AFTER, now, mouth, ear);
            }
        }
    }

    fn was_heard(&mut self, since: Instant, now: Instant, mouth: usize, ear: usize) {
        let (speaks, hears) = (&self.phones[mouth], &self.phones[ear]);
        let sent = speaks.voice.sent.values().rev();
        let spoken = sent.take_while(|at| **at > since).count();
        let port = speaks.voice.local.port();
        let heard = hears.voice.heard.iter().rev();
        let is_heard = heard
            .take_while(|heard| heard.at > since)
            .any(|heard| speaker(&heard.payload) == Some(port));
        if is_heard {
            self.tally.count("joined parties heard each other", 1);
        } else if spoken > 50 {
            let ms = now.saturating_duration_since(since).as_millis();
            let fault = format!(
                "{} was joined to {} and is not heard for {ms} ms",
                speaks.name, hears.name
            );
            self.watch.faults.push(fault);
        }
    }

    // Ears.

    /// A telephone hears something: speech of nobody but whom it is joined to.
    pub(super) fn hear(&mut self, now: Instant, to: SocketAddr, packet: &Packet) {
        let Some(index) = index_of(to.port()).filter(|index| *index < self.phones.len()) else {
            return;
        };
        self.phones[index].voice.hear(now, packet);
        let sound = packet.payload.get(12..).unwrap_or_default();
        let Some(mouth) = speaker(sound).and_then(index_of) else {
            return;
        };
        let (hears, speaks) = (&self.phones[index], &self.phones[mouth]);
        if !self
            .reference
            .may_hear(now, hears.call_id(), speaks.call_id())
        {
            let fault = format!(
                "{} hears {}, whom it is not joined to",
                hears.name, speaks.name
            );
            // Every 20 ms.
            if !self.watch.has_found(&fault) {
                let stories = [hears, speaks].map(|phone| self.reference.story(phone.call_id()));
                let fault = format!("{fault}: {}", stories.join("; "));
                self.watch.faults.push(fault);
            }
        }
    }
}

/// Whether somebody talks with both ears and mouth, takes every change, and has asked for none since.
fn wants_to_talk(phone: &Phone, since: Instant) -> bool {
    let asks = ["> INVITE", "> UPDATE", "> BYE", "> REFER"];
    let mut since_then = phone.log.iter().rev().take_while(|(at, _)| *at >= since);
    *phone.stage() == Stage::Talking
        && phone.habits.change == 200
        && phone.direction == "sendrecv"
        && !since_then.any(|(_, words)| asks.iter().any(|ask| words.starts_with(ask)))
}

/// The telephone that has an RTP port.
fn index_of(port: u16) -> Option<usize> {
    port.checked_sub(30_000)
        .map(|offset| usize::from(offset / 2))
}
