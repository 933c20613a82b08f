//! An attended transfer as each of its two calls sees it: the party that stays is asked for what the join needs, and nothing else changes.
//!
//! Whoever transfers talks on in both calls until the join is certain. What they agree to is put in force only then; where one of them
//! refuses, the other is asked for what it had. [`crate::Exchange`] holds the two calls together (`exchange/attended.rs`).
//! Follows RFC 3891 and RFC 5589 section 7.

use bytes::Bytes;
use media::{Codec, OfferedLeg, sdp};
use rules::EndCause;
use sip_core::{DialogId, Glare};

use crate::{
    call::{
        Call, Hearing, Stage,
        negotiating::{End, Negotiation},
        proposal::{Proposal, put_in_force},
        transferring::{DONE, Talk},
    },
    house::House,
    identity::Identity,
    leg::Leg,
    now::Now,
    route::Failure,
};

/// A party of this call that is to be joined with one of another call.
#[derive(Debug)]
pub(super) struct Attended {
    /// Its dialog.
    staying: DialogId,
    /// The pair that its leg was asked to move to.
    moves_to: Option<OfferedLeg>,
    standing: Standing,
}

/// How far it has come.
#[derive(Debug)]
enum Standing {
    /// It has been asked for nothing.
    Unasked,
    /// It has our offer.
    Asked(Box<Proposal>),
    /// It has agreed to be this leg.
    Agreed(Box<Leg>),
    /// It has refused by this status: it is as it was.
    Refused(u16),
    /// It has agreed to something that cannot be used.
    Unusable,
}

/// What the other call may know of it.
pub(crate) enum Prospect<'a> {
    /// It is this leg, and can be asked.
    Unasked(&'a Leg),
    /// It has been asked.
    Asked,
    /// It has been asked, and will be this leg.
    Agreed(&'a Leg),
    /// It cannot be joined: the status that says why.
    Refused(u16),
}

/// What a leg has to be asked, so that its party and another's hear each other.
#[derive(Debug)]
pub(crate) struct Terms {
    /// What the other party says of itself, with the one codec that both speak.
    says: sdp::RemoteMedia,
    /// What the other party wishes.
    direction: sdp::Direction,
    /// The shard on which both will be.
    shard: u16,
}

/// A leg on its way from one call to another.
pub(crate) struct Handover {
    /// As it has agreed to be.
    pub(crate) leg: Leg,
    /// Who is at it.
    identity: Identity,
    peer: Option<String>,
    /// Whether its party is heard: a leg that has fallen silent does not say so again.
    hearing: Hearing,
}

impl Terms {
    /// None where the two fit as they are.
    pub(crate) fn between(leg: &Leg, other: &Leg, codec: Codec, shard: u16) -> Option<Terms> {
        let (own, theirs) = (leg.agreed()?, other.agreed()?);
        let is_there = leg.lent.leg.shard == shard;
        let is_fit = own.codec == codec && leg.local.direction == theirs.wish && is_there;
        (!is_fit).then(|| Terms {
            says: sdp::RemoteMedia {
                codecs: vec![(codec, codec.static_payload_type())],
                ..theirs.theirs.clone()
            },
            direction: theirs.wish,
            shard,
        })
    }
}

impl<'a> Prospect<'a> {
    /// The leg as it is to be joined; none while that is not known.
    pub(crate) fn leg(&self) -> Option<&'a Leg> {
        match self {
            Prospect::Unasked(leg) | Prospect::Agreed(leg) => Some(leg),
            Prospect::Asked | Prospect::Refused(_) => None,
        }
    }
}

impl Attended {
    /// The dialog whose party has our offer.
    pub(super) fn asked(&self) -> Option<DialogId> {
        match self.standing {
            Standing::Asked(_) => Some(self.staying),
            Standing::Unasked | Standing::Agreed(_) | Standing::Refused(_) | Standing::Unusable => {
                None
            }
        }
    }

    /// Takes the answer of whom it asked; `leg`: as it is.
    pub(super) fn answered(self, house: &House, leg: Option<&Leg>, body: Option<&Bytes>) -> Self {
        let Standing::Asked(proposal) = self.standing else {
            return self;
        };
        let answered = leg.and_then(|leg| proposal.answered(house, leg, body));
        let standing = match answered {
            Some(leg) => Standing::Agreed(Box::new(leg)),
            None => Standing::Unusable,
        };
        Attended { standing, ..self }
    }

    /// Takes the refusal of whom it asked.
    pub(super) fn refused(self, status: u16) -> Self {
        let standing = Standing::Refused(status);
        Attended { standing, ..self }
    }
}

impl Call {
    /// The party that stays when the one of `leaving` goes is to be joined with one of another call.
    pub(super) fn attend(&mut self, leaving: DialogId) {
        if let Some(staying) = self.remaining(leaving).map(|leg| leg.dialog) {
            self.negotiation = Negotiation::Attended(Attended {
                staying,
                moves_to: None,
                standing: Standing::Unasked,
            });
        }
    }

    /// How the party that is to be joined stands; none where the call is not, or not any more, being joined.
    pub(crate) fn prospect(&self) -> Option<Prospect<'_>> {
        let attended = self.attended()?;
        let leg = self.leg(self.end_of(attended.staying)?)?;
        Some(match &attended.standing {
            Standing::Unasked => Prospect::Unasked(leg),
            Standing::Asked(_) => Prospect::Asked,
            Standing::Agreed(leg) => Prospect::Agreed(leg),
            Standing::Refused(status) => Prospect::Refused(*status),
            Standing::Unusable => Prospect::Refused(488),
        })
    }

    fn attended(&self) -> Option<&Attended> {
        match &self.negotiation {
            Negotiation::Attended(attended) => Some(attended),
            Negotiation::Idle
            | Negotiation::PassedOn(_)
            | Negotiation::Reoffered { .. }
            | Negotiation::Own { .. }
            | Negotiation::Fitting(_)
            | Negotiation::GivenUp { .. } => None,
        }
    }

    /// Whether the party of this dialog has agreed to a join that is still to come.
    pub(super) fn has_agreed_to_join(&self, dialog: DialogId) -> bool {
        let has_agreed = |attended: &Attended| match attended.standing {
            Standing::Agreed(_) => attended.staying == dialog,
            Standing::Unasked | Standing::Asked(_) | Standing::Refused(_) | Standing::Unusable => {
                false
            }
        };
        self.attended().is_some_and(has_agreed)
    }

    /// Whether whoever transfers this call by a join has this dialog.
    pub(super) fn is_joined_away_by(&self, dialog: DialogId) -> bool {
        let is_other = |attended: &Attended| attended.staying != dialog;
        self.attended().is_some_and(is_other) && self.end_of(dialog).is_some()
    }

    /// Asks the party that stays for what the join needs.
    pub(super) fn ask_to_join(&mut self, house: &mut House, now: Now, terms: &Terms) {
        let Some(attended) = self.take_attended() else {
            return;
        };
        let attended = match self.propose_join(house, attended.staying, terms) {
            Ok((moves_to, proposal)) => {
                let ours = proposal.text();
                let endpoint = &mut house.endpoint;
                endpoint.reinvite(now.at, attended.staying, ours, Glare::Repeat);
                let standing = Standing::Asked(Box::new(proposal));
                Attended {
                    moves_to,
                    standing,
                    ..attended
                }
            }
            Err(status) => attended.refused(status),
        };
        self.negotiation = Negotiation::Attended(attended);
    }

    /// What the party that stays is offered, and the pair that its leg moves to by that.
    fn propose_join(
        &mut self,
        house: &mut House,
        staying: DialogId,
        terms: &Terms,
    ) -> Result<(Option<OfferedLeg>, Proposal), u16> {
        let id = self.id;
        let end = self.end_of(staying).ok_or(481_u16)?;
        let leg = self.leg_mut(end).ok_or(481_u16)?;
        let moves_to = match leg.lent.leg.shard == terms.shard {
            true => None,
            false => {
                let family = leg.lent.rtp.ip();
                Some(house.take_pair(id, terms.shard, family)?)
            }
        };
        let lent = moves_to.unwrap_or(leg.lent);
        let proposal =
            Proposal::to(house, leg, lent, &terms.says, terms.direction).ok_or(488_u16)?;
        Ok((moves_to, proposal))
    }

    /// Whoever transfers has hung up, as many do at once: the one that stays waits for the join.
    pub(super) fn left_to_join(&mut self, house: &mut House, now: Now, leaving: DialogId) {
        let Some(end) = self.end_of(leaving) else {
            return;
        };
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Talking(talking) => {
                let (leaving, talk) = self.part(talking, end);
                self.answer_whoever_leaves(house, now, leaving.dialog);
                house.close(leaving.id());
                self.wait_with_ringback(house);
                self.enter(house, now, Stage::Parted(talk));
            }
            stage @ (Stage::ExpectPrack(_)
            | Stage::ExpectAck(_)
            | Stage::Announcing(_)
            | Stage::Calling { .. }
            | Stage::Passing { .. }
            | Stage::Joining(_)
            | Stage::Transferring(_)
            | Stage::Parted(_)
            | Stage::Closing(_)
            | Stage::Over) => self.stage = stage,
        }
    }

    /// Gives the leg away that stays, as it has agreed to be, and ends what is left of this call.
    pub(crate) fn give_away(&mut self, house: &mut House, now: Now) -> Option<Handover> {
        self.answer_what_waits(house, now);
        let talk = self.conclude(house, now)?;
        let leg = self.origin.clone();
        let peer = house.peer_name(leg.peer);
        self.write_record(house, now, talk.kept(), EndCause::DepartmentHungUp);
        house.trace(now, self.id, "joined to another call by transfer");
        let hearing = self.hearing(leg.id());
        Some(Handover {
            leg,
            identity: self.parties.at_origin().clone(),
            peer,
            hearing,
        })
    }

    /// Joins the party that stays with the leg of another call, and lets whoever transfers go.
    pub(super) fn receive(&mut self, house: &mut House, now: Now, handover: Handover) {
        let Some(talk) = self.conclude(house, now) else {
            return;
        };
        let Handover {
            leg,
            identity,
            peer,
            hearing,
        } = handover;
        let coming = leg.id();
        self.parties.take_in(identity);
        self.peers.truncate(1);
        self.peers.extend(peer);
        self.join(house, coming);
        house.trace(now, self.id, "transferred");
        self.talk_on(house, now, leg, talk);
        self.hears(house, now, coming, hearing);
    }

    /// Puts in force what the party that stays has agreed to, and lets whoever transfers go.
    fn conclude(&mut self, house: &mut House, now: Now) -> Option<Talk> {
        let Attended {
            staying, standing, ..
        } = self.take_attended()?;
        let staying = self.end_of(staying)?;
        self.put_agreed_in_force(house, staying, standing);
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Talking(talking) => {
                let (leaving, talk) = self.part(talking, staying.other());
                self.answer_whoever_leaves(house, now, leaving.dialog);
                house.end(now, leaving.dialog, 480, Some(DONE));
                house.close(leaving.id());
                Some(talk)
            }
            Stage::Parted(talk) => Some(talk),
            stage @ (Stage::ExpectPrack(_)
            | Stage::ExpectAck(_)
            | Stage::Announcing(_)
            | Stage::Calling { .. }
            | Stage::Passing { .. }
            | Stage::Joining(_)
            | Stage::Transferring(_)
            | Stage::Closing(_)
            | Stage::Over) => {
                self.stage = stage;
                None
            }
        }
    }

    /// The join has come to nothing, for which this status stands: both talk on as they did.
    ///
    /// Where whoever transfers has hung up, the call ends as after a blind transfer: a citizen hears why, whoever else is hung up on.
    pub(super) fn not_joined(&mut self, house: &mut House, now: Now, status: u16) {
        let Some(attended) = self.take_attended() else {
            return;
        };
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Parted(talk) => {
                if let Some(end) = self.end_of(attended.staying) {
                    self.put_agreed_in_force(house, end, attended.standing);
                }
                self.transfer_failed(house, now, None, talk, Failure::answered(status));
            }
            stage @ (Stage::ExpectPrack(_)
            | Stage::ExpectAck(_)
            | Stage::Announcing(_)
            | Stage::Calling { .. }
            | Stage::Passing { .. }
            | Stage::Joining(_)
            | Stage::Talking(_)
            | Stage::Transferring(_)
            | Stage::Closing(_)
            | Stage::Over) => {
                self.stage = stage;
                house.trace(now, self.id, "transfer failed");
                self.ask_back(house, now, attended);
            }
        }
    }

    /// The party that stays goes on as it was: what it has been asked is withdrawn, what it has agreed to is asked back.
    fn ask_back(&mut self, house: &mut House, now: Now, attended: Attended) {
        let Attended {
            staying,
            moves_to,
            standing,
        } = attended;
        let has_agreed = match standing {
            Standing::Asked(_) => {
                let dialog = staying;
                self.negotiation = Negotiation::GivenUp { dialog, moves_to };
                return house.endpoint.withdraw(now.at, staying);
            }
            Standing::Agreed(_) | Standing::Unusable => true,
            Standing::Unasked | Standing::Refused(_) => false,
        };
        give_back(house, moves_to);
        if let Some(end) = self.end_of(staying).filter(|_| has_agreed) {
            self.restore(house, now, end);
        }
    }

    fn put_agreed_in_force(&mut self, house: &mut House, end: End, standing: Standing) {
        let Some(leg) = self.leg_mut(end) else { return };
        match standing {
            Standing::Agreed(agreed) => put_in_force(house, leg, *agreed),
            // Whoever is left alone may answer yet: it is to hear why it is.
            Standing::Asked(proposal) => {
                let proposal = *proposal;
                self.negotiation = Negotiation::Own { end, proposal };
            }
            Standing::Unasked | Standing::Refused(_) | Standing::Unusable => {}
        }
    }

    fn take_attended(&mut self) -> Option<Attended> {
        match std::mem::replace(&mut self.negotiation, Negotiation::Idle) {
            Negotiation::Attended(attended) => Some(attended),
            other @ (Negotiation::Idle
            | Negotiation::PassedOn(_)
            | Negotiation::Reoffered { .. }
            | Negotiation::Own { .. }
            | Negotiation::Fitting(_)
            | Negotiation::GivenUp { .. }) => {
                self.negotiation = other;
                None
            }
        }
    }
}

/// Gives a pair back that no leg moves to any more.
pub(super) fn give_back(house: &mut House, moves_to: Option<OfferedLeg>) {
    if let Some(pair) = moves_to {
        house.close(pair.leg);
    }
}
