//! One side of a call: its dialog, its lent port pair, and what offer and answer agreed.

use bytes::Bytes;
use media::{
    Codec, LegId, OfferedLeg, StreamSettings,
    sdp::{self, Counted, Direction, RemoteMedia},
};
use rules::Number;
use sip_core::{DialogId, PeerId};

/// A leg.
#[derive(Debug, Clone)]
pub(crate) struct Leg {
    pub(crate) peer: PeerId,
    /// The number outside that we called on it, by which it counts against the caps on calls out, whatever becomes of its call. None
    /// on every other leg, emergency calls included.
    pub(crate) outside: Option<Number>,
    pub(crate) dialog: DialogId,
    pub(crate) lent: OfferedLeg,
    pub(crate) local: sdp::Local,
    pub(crate) session: Session,
    /// How far the numbers of what its peer sends have come, where it is secure: another shard goes on there.
    pub(crate) counted: Option<Counted>,
}

/// Where a leg's offer and answer stand (RFC 3264).
#[derive(Debug, Clone)]
pub(crate) enum Session {
    /// Nobody has offered: their INVITE came without a description, and the offer will be ours.
    Unbegun,
    /// The INVITE has offered, theirs or ours.
    Offered,
    /// They have our offer in an answer to their INVITE that had none.
    Asked(Box<Asked>),
    /// It was answered: the shard has the leg open.
    Agreed(Box<Agreed>),
}

/// An offer of ours, until it is answered.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) ours: Bytes,
    pub(crate) codecs: Vec<Codec>,
}

/// What was agreed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Agreed {
    /// What the peer said.
    pub(crate) theirs: RemoteMedia,
    /// What we said: the answer to a re-INVITE that changes nothing.
    pub(crate) ours: Bytes,
    /// The one codec in use.
    pub(crate) codec: Codec,
    /// Every codec that the peer has named, the newest description's first: a hold names but the one in use.
    pub(crate) speaks: Vec<Codec>,
    /// Whether keypad events cross.
    pub(crate) events: Events,
    /// Who is to send as the peer itself would have it: `SendOnly` where it holds.
    pub(crate) wish: Direction,
}

impl Leg {
    pub(crate) fn id(&self) -> LegId {
        self.lent.leg
    }

    pub(crate) fn agreed(&self) -> Option<&Agreed> {
        match &self.session {
            Session::Agreed(agreed) => Some(agreed),
            Session::Unbegun | Session::Offered | Session::Asked(_) => None,
        }
    }

    /// Whether its party wants to hear nobody, or not to be heard.
    pub(crate) fn holds(&self) -> bool {
        self.agreed()
            .is_some_and(|agreed| agreed.wish != Direction::SendReceive)
    }

    /// Our description of this leg as the answer to theirs.
    pub(crate) fn answer_to(&self, theirs: &RemoteMedia, codec: Codec, events: Events) -> Agreed {
        let ours = sdp::answer(theirs, &self.local, codec, events.are_agreed());
        Agreed {
            ours: Bytes::from(ours),
            codec,
            events,
            speaks: self.speaks(theirs),
            wish: theirs.direction,
            theirs: theirs.clone(),
        }
    }

    /// Their answer to our offer, which said `ours`.
    pub(crate) fn answered_by(&self, theirs: RemoteMedia, ours: Bytes, codec: Codec) -> Agreed {
        // What they do not send because we did not ask for it says nothing about their wish.
        let wish = match self.local.direction {
            Direction::SendReceive => theirs.direction,
            Direction::SendOnly | Direction::ReceiveOnly | Direction::Inactive => self
                .agreed()
                .map_or(Direction::SendReceive, |before| before.wish),
        };
        Agreed {
            ours,
            codec,
            speaks: self.speaks(&theirs),
            events: Events::of(&theirs),
            wish,
            theirs,
        }
    }

    fn speaks(&self, theirs: &RemoteMedia) -> Vec<Codec> {
        let mut speaks: Vec<Codec> = theirs.codecs.iter().map(|(codec, _)| *codec).collect();
        let before = self.agreed().map_or(&[][..], |agreed| &agreed.speaks);
        let rest = before.iter().filter(|codec| !speaks.contains(codec));
        speaks.extend(rest.copied().collect::<Vec<_>>());
        speaks
    }

    /// A description that changed nothing is the one that later ones are compared with.
    pub(crate) fn keep_origin(&mut self, theirs: RemoteMedia) {
        if let Session::Agreed(agreed) = &mut self.session {
            agreed.theirs = theirs;
        }
    }

    /// The codec in which this leg's party and another's can talk: this one's where the other speaks it. None before both have agreed,
    /// and where they have none in common.
    pub(crate) fn codec_with(&self, other: &Leg) -> Option<Codec> {
        let (own, other) = (self.agreed()?, other.agreed()?);
        let is_common = |codec: &Codec| own.speaks.contains(codec) && other.speaks.contains(codec);
        [own.codec, other.codec].into_iter().find(is_common)
    }

    /// The stream that was agreed. None when the peer does not have the codec, or the keys do not belong together.
    pub(crate) fn stream(&self, agreed: &Agreed) -> Option<StreamSettings> {
        let mut stream = StreamSettings::agreed(&agreed.theirs, &self.local, agreed.codec)?;
        if let Some(crypto) = &mut stream.crypto {
            crypto.counted = self.counted;
        }
        Some(match agreed.events {
            Events::Agreed => stream,
            Events::Refused => StreamSettings {
                events: None,
                ..stream
            },
        })
    }
}

/// Whether keypad events cross this call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Events {
    /// Both sides take them.
    Agreed,
    /// One side does not.
    Refused,
}

impl Events {
    pub(crate) fn of(media: &RemoteMedia) -> Events {
        if media.events.is_some() {
            Events::Agreed
        } else {
            Events::Refused
        }
    }

    pub(crate) fn are_agreed(self) -> bool {
        self == Events::Agreed
    }
}
