//! What goes in and out of an [`crate::Engine`]: names of legs, commands, events, and packets to send.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use crate::{
    fork::Fork,
    player::Clip,
    sdp::{Counted, StreamSettings},
};

/// Names one leg for its whole life; a slot that is lent again has another generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LegId {
    /// The shard that owns the leg's sockets.
    pub shard: u16,
    /// The shard's slot; it indexes a table, so it is small.
    pub slot: u32,
    /// How often the slot was lent before.
    pub generation: u32,
}

/// A bound pair of sockets that a shard lends ahead of need. RTCP is one port above.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OfferedLeg {
    /// The name under which the pair is used.
    pub leg: LegId,
    /// The local RTP address, as our SDP will say it.
    pub rtp: SocketAddr,
}

/// Names one playback, so that its end can be told from another's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PlaybackId(pub u64);

/// What the call wants of a shard. A command for a leg that is not open changes nothing and is counted.
#[derive(Debug)]
pub enum Command {
    /// Begins a leg. For a leg that is open, changes its stream and keeps everything else: who hears it goes on hearing
    /// one stream, and a clip whose party may hear nothing for a while waits and goes on where it stopped.
    Open {
        /// The leg.
        leg: LegId,
        /// What SDP agreed.
        stream: StreamSettings,
    },
    /// Plays a clip once, from its first sample; ends in [`Event::PlaybackEnded`] in every case but a shard's loss.
    Play {
        /// The leg that hears it.
        leg: LegId,
        /// Its name in the event.
        playback: PlaybackId,
        /// The speech.
        clip: Clip,
    },
    /// Plays a clip again and again until another source takes over (ringback).
    Loop {
        /// The leg that hears it.
        leg: LegId,
        /// The tone.
        clip: Clip,
    },
    /// Sends nothing to the leg until another command.
    Quiet {
        /// The leg.
        leg: LegId,
    },
    /// Lets both legs hear each other. A leg that was bridged to another leaves it: that one hears nothing then.
    Bridge {
        /// The carrier's leg.
        carrier: LegId,
        /// The department's leg.
        department: LegId,
    },
    /// Copies what both legs receive from here on into a ring; an earlier fork of the carrier's leg ends.
    Fork {
        /// The carrier's leg.
        carrier: LegId,
        /// The department's leg.
        department: LegId,
        /// The ring's writing end.
        fork: Fork,
    },
    /// Ends the copying.
    Unfork {
        /// The leg that was `carrier` in the fork's command.
        carrier: LegId,
    },
    /// Ends a leg: RTCP BYE, statistics, and its slot is free.
    Close {
        /// The leg.
        leg: LegId,
    },
}

/// What a shard reports.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A playback is over: its last sample has been sent and its time has passed, or something cut it.
    PlaybackEnded {
        /// The leg that heard it.
        leg: LegId,
        /// Its name in the command.
        playback: PlaybackId,
        /// Samples of the clip handed to the network; padding is not counted. Fewer than `samples_total` when cut.
        samples_sent: u64,
        /// Samples of the clip.
        samples_total: u64,
        /// When the first packet was sent; when none was, the same as `ended`.
        started: Instant,
        /// When the last sample's time had passed, or the cut.
        ended: Instant,
    },
    /// No RTP has come from a leg's party for the time that its settings name, although it was to send.
    FellSilent {
        /// The leg.
        leg: LegId,
    },
    /// A leg that fell silent is silent no longer: RTP came, or nothing is expected of it any more (hold).
    Heard {
        /// The leg.
        leg: LegId,
    },
    /// The numbers of what a secure leg's party sends have come this far: told each quarter of a wrap, for the shard that the leg
    /// may move to.
    Counted {
        /// The leg.
        leg: LegId,
        /// How far.
        counted: Counted,
    },
    /// A leg is over.
    Closed {
        /// The leg.
        leg: LegId,
        /// What it saw.
        statistics: LegStatistics,
    },
}

/// What a leg has counted. Nothing here identifies a caller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LegStatistics {
    /// RTP packets accepted.
    pub received: u64,
    /// Their payload bytes.
    pub received_bytes: u64,
    /// Packets that the sequence numbers say were lost on the way to us (RFC 3550 appendix A.3); duplicates lower it.
    pub lost: i64,
    /// Interarrival jitter of what we received (RFC 3550 appendix A.8).
    pub jitter: Duration,
    /// Packets that came twice.
    pub duplicates: u64,
    /// RTP packets sent.
    pub sent: u64,
    /// Their payload bytes.
    pub sent_bytes: u64,
    /// What the peer reports of our stream in its RTCP, if it sends any.
    pub reported: Option<ReportedReception>,
    /// What was dropped, by reason.
    pub dropped: Dropped,
}

/// Packets that a leg dropped, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Not from the signalled address (T-04, T-05).
    pub foreign_source: u64,
    /// No RTP or RTCP packet at all.
    pub malformed: u64,
    /// Above the leg's packet rate (T-06).
    pub over_rate: u64,
    /// Outside the stream's SSRC and sequence window (T-05).
    pub out_of_window: u64,
    /// Not authentic, or sent again, on a secure leg.
    pub unauthentic: u64,
    /// Of a payload type that was not agreed.
    pub foreign_payload: u64,
    /// Events or comfort noise for a peer that agreed to none, and packets from before the stream's present run.
    pub not_forwarded: u64,
    /// Came, or would have gone, while it was agreed that nothing is sent that way (hold).
    pub on_hold: u64,
}

/// Our stream as the peer received it (RFC 3550 section 6.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReportedReception {
    /// Packets lost since the beginning.
    pub lost: i32,
    /// Share lost in the last interval, in 1/256.
    pub fraction_lost: u8,
    /// Interarrival jitter.
    pub jitter: Duration,
    /// Time to the peer and back, where the peer's report allows to compute it.
    pub round_trip: Option<Duration>,
}

/// A packet that [`crate::Engine::handle_rtp`] rewrote in place and that wants to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forward {
    /// The leg whose RTP socket sends it.
    pub leg: LegId,
    /// Where it goes.
    pub to: SocketAddr,
    /// How many bytes of the buffer it takes, from the first.
    pub len: usize,
}

/// A packet that [`crate::Engine::poll_transmit`] wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// The leg whose socket sends it.
    pub leg: LegId,
    /// Where it goes.
    pub to: SocketAddr,
    /// Whether the RTCP socket sends it; else the RTP socket.
    pub rtcp: bool,
    /// How many bytes of the buffer it takes.
    pub len: usize,
}

/// Whose fault something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The other end sent something wrong.
    Peer,
    /// A setting or a file is wrong.
    Operator,
    /// Something ran out.
    Resource,
    /// Our own mistake.
    Ours,
}
