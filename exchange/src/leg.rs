//! One side of a call: its dialog, its lent port pair, and what offer and answer agreed.

use bytes::Bytes;
use media::{Codec, LegId, OfferedLeg, StreamSettings, sdp};
use sip_core::{DialogId, PeerId};

/// A leg.
#[derive(Debug, Clone)]
pub(crate) struct Leg {
    pub(crate) peer: PeerId,
    pub(crate) dialog: DialogId,
    pub(crate) lent: OfferedLeg,
    pub(crate) local: sdp::Local,
    pub(crate) session: Session,
}

/// Where a leg's offer and answer stand (RFC 3264).
#[derive(Debug, Clone)]
pub(crate) enum Session {
    /// One side has offered.
    Offered,
    /// The other has answered: the shard has the leg open.
    Agreed(Box<Agreed>),
}

/// What was agreed.
#[derive(Debug, Clone)]
pub(crate) struct Agreed {
    /// What the peer said.
    pub(crate) theirs: sdp::RemoteMedia,
    /// What we said: the answer to a re-INVITE that changes nothing.
    pub(crate) ours: Bytes,
    /// The one codec in use.
    pub(crate) codec: Codec,
}

impl Leg {
    pub(crate) fn id(&self) -> LegId {
        self.lent.leg
    }
}

impl Agreed {
    /// The stream that was agreed; `events` says whether keypad events were.
    ///
    /// None when the peer does not have the codec, or the keys do not belong together.
    pub(crate) fn stream(
        theirs: &sdp::RemoteMedia,
        local: &sdp::Local,
        codec: Codec,
        events: Events,
    ) -> Option<StreamSettings> {
        let stream = StreamSettings::agreed(theirs, local, codec)?;
        Some(match events {
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
    pub(crate) fn of(media: &sdp::RemoteMedia) -> Events {
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
