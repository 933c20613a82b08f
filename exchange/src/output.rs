//! What the exchange wants done: the only way anything leaves this room.

use std::{fmt, net::SocketAddr};

use media::{Codec, Command, Tap};
use rules::{
    AlarmCode, AuditDraft, CallId, CallRecord, Caller, EmergencyState, Notice, RecordingId,
};

use crate::{
    health::Ailment,
    names::Question,
    registration::Refused,
    trace::{PeerEvent, TraceEvent},
};

/// One thing to do. Outputs are to be carried out in their order.
#[derive(Debug)]
pub enum Output {
    /// Send a message.
    Sip(sip_core::Transmit),
    /// Give a shard a command.
    ///
    /// `Command::Close` gives a lent pair back, opened or not: the shard drains it, rests it, and offers it again.
    Media {
        /// Whose command it is.
        shard: u16,
        /// The command.
        command: Command,
    },
    /// Tell the recorder.
    Record(RecordOrder),
    /// Write an entry into the audit trail; numbered and chained there.
    Audit(AuditDraft),
    /// Write the state of the emergency to its file. It holds whether or not that works.
    SaveEmergency(EmergencyState),
    /// A milestone of a call, for logs and ladders.
    Trace(TraceEvent),
    /// A milestone of a peer, for the log.
    Peer(PeerEvent),
    /// Find out where a name leads; `Input::Resolved` answers, without places where that cannot be found.
    Resolve(Question),
    /// Something an operator should look at.
    Alarm(Alarm),
}

/// What the recorder and the rows need to know. Each call gets either `Begin` and `End`, or one `Unrecorded`.
///
/// Where the recorder answers `Begin` by `RecorderFault::NotBegun`, the call ends by `Unrecorded` with that reason. If the two cross, an
/// `End` comes for a recording that was never begun: the recorder then writes that reason into the record itself.
pub enum RecordOrder {
    /// Keep what comes out of the tap, under this notice.
    Begin(Box<Begin>),
    /// The recording goes on with another party, as its next segment and under the same notice.
    Next(Box<Next>),
    /// The call is over; the tap runs dry.
    End {
        /// The recording's call.
        call: CallId,
        /// The whole record.
        record: Box<CallRecord>,
    },
    /// A call ended of which nothing was kept.
    Unrecorded {
        /// The whole record, with the reason.
        record: Box<CallRecord>,
        /// Who called; to be sealed.
        caller: Caller,
    },
}

/// A recording that begins.
#[derive(Debug)]
pub struct Begin {
    /// The call.
    pub call: CallId,
    /// Its recording.
    pub recording: RecordingId,
    /// Why it may be kept.
    pub notice: Notice,
    /// Where the frames come from.
    pub tap: Tap,
    /// The record as far as it is known.
    pub record: CallRecord,
    /// Who called; to be sealed.
    pub caller: Caller,
    /// What each party speaks.
    pub codecs: Codecs,
}

/// The next segment of a recording that was begun.
#[derive(Debug)]
pub struct Next {
    /// The call.
    pub call: CallId,
    /// Where the frames come from; the tap before it runs dry.
    pub tap: Tap,
    /// What each party speaks.
    pub codecs: Codecs,
}

/// The codec of each channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Codecs {
    /// The caller's.
    pub carrier: Codec,
    /// The city's.
    pub department: Codec,
}

impl fmt::Debug for RecordOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecordOrder::Begin(begin) => f
                .debug_struct("Begin")
                .field("call", &begin.call)
                .finish_non_exhaustive(),
            RecordOrder::Next(next) => f
                .debug_struct("Next")
                .field("call", &next.call)
                .finish_non_exhaustive(),
            RecordOrder::End { call, .. } => f
                .debug_struct("End")
                .field("call", call)
                .finish_non_exhaustive(),
            RecordOrder::Unrecorded { record, .. } => f
                .debug_struct("Unrecorded")
                .field("call", &record.call_id)
                .finish_non_exhaustive(),
        }
    }
}

/// What the recorder says about a call's recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecorderEvent {
    /// The call.
    pub call: CallId,
    /// What happened.
    pub fault: RecorderFault,
}

/// What can happen to a recording. None of it touches the call (law 1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecorderFault {
    /// It could not be begun: nothing is kept of this call.
    NotBegun,
    /// It has stopped for a while; the recording has a named gap.
    Interrupted,
}

/// Something an operator should look at.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Alarm {
    /// Calls are connected unrecorded, or end without a word, for want of a prompt.
    #[error(
        "prompt {prompt} is missing or damaged; calls that need it go on without it; write it anew and restart"
    )]
    PromptMissing {
        /// Its id.
        prompt: &'static str,
    },
    /// The notice was started and not reported as sent to its end.
    #[error("the notice of call {call} was not sent to its end; the call goes on unrecorded")]
    NoticeCutShort {
        /// The call.
        call: CallId,
    },
    /// The recorder could not take a call, or has a gap.
    #[error(
        "the recorder could not keep call {call}; the call goes on; see the recorder's own alarm"
    )]
    Recorder {
        /// The call.
        call: CallId,
    },
    /// Calls were refused for want of room.
    #[error(
        "calls refused with 503 since the last such alarm: {refused}; {calls} calls, {free_legs} port pairs free; \
         raise the cap or the RTP range"
    )]
    Full {
        /// Calls refused since the last such alarm, this one included.
        refused: u64,
        /// Calls in progress.
        calls: usize,
        /// Port pairs that are free.
        free_legs: usize,
    },
    /// Calls were refused because there were more than can be served, or more than a cap allows.
    #[error(
        "calls refused with 503 since the last such alarm: {refused} ({reasons}); {calls} calls in progress"
    )]
    Overloaded {
        /// Calls refused since the last such alarm, this one included.
        refused: u64,
        /// Why, each with its count.
        reasons: String,
        /// Calls in progress.
        calls: usize,
    },
    /// A media shard is gone, and its calls with it.
    #[error("media shard {shard} is lost; its {calls} calls are ended")]
    ShardLost {
        /// The shard.
        shard: u16,
        /// Calls that lived on it.
        calls: usize,
    },
    /// A call broke an invariant of ours and was ended.
    #[error(
        "call {call} was abandoned after a panic; its neighbours go on; report the trace of this call"
    )]
    Abandoned {
        /// The call.
        call: CallId,
    },
    /// Calls of ours to a peer do not get through.
    #[error("peer {peer} is down: {}; calls go to others, and to it where none is left", ailment.describe())]
    PeerDown {
        /// Its name.
        peer: String,
        /// What is wrong.
        ailment: Ailment,
    },
    /// They do again.
    #[error("peer {peer} is up again")]
    PeerUp {
        /// Its name.
        peer: String,
    },
    /// A registrar does not know us, or does not say that it does.
    #[error(
        "peer {peer} {}; it is asked again; look at its registrar, user and password",
        Refused::describe(*refused)
    )]
    NotRegistered {
        /// Its name.
        peer: String,
        /// What it answered; none where a registration ended before it could be refreshed.
        refused: Option<Refused>,
    },
    /// A peer has a name, and no address is known for it.
    #[error(
        "no address is known for the name of peer {peer}; it cannot be called; look at the name and the name server"
    )]
    PeerUnknown {
        /// Its name in the configuration.
        peer: String,
    },
    /// A name stands for the address of another peer.
    #[error(
        "the name of peer {peer} leads to {address}, which is another peer's; it is not called there; list it at one of them"
    )]
    AddressTaken {
        /// Its name in the configuration.
        peer: String,
        /// Where it leads.
        address: SocketAddr,
    },
    /// A peer brings more calls than its contract says. They are taken.
    #[error(
        "peer {peer} has {calls} calls and a contract for {contracted}; they are taken; correct the figure or the contract"
    )]
    OverContract {
        /// Its name.
        peer: String,
        /// Its calls, both ways.
        calls: u32,
        /// What the contract says.
        contracted: u32,
    },
}

impl Alarm {
    /// As the audit trail and the log name it.
    pub fn code(&self) -> AlarmCode {
        match self {
            Alarm::PromptMissing { .. } | Alarm::NoticeCutShort { .. } => AlarmCode::PromptUnusable,
            Alarm::Recorder { .. } => AlarmCode::RecorderFault,
            Alarm::Full { .. } => AlarmCode::PortsExhausted,
            Alarm::Overloaded { .. } => AlarmCode::Overloaded,
            Alarm::ShardLost { .. } => AlarmCode::ShardLost,
            Alarm::Abandoned { .. } => AlarmCode::CallAbandoned,
            Alarm::PeerDown { .. } | Alarm::PeerUnknown { .. } => AlarmCode::PeerDown,
            Alarm::PeerUp { .. } => AlarmCode::PeerUp,
            Alarm::NotRegistered { .. } => AlarmCode::NotRegistered,
            Alarm::AddressTaken { .. } => AlarmCode::PeerAddressTaken,
            Alarm::OverContract { .. } => AlarmCode::ContractExceeded,
        }
    }

    /// The call it is about, if it is about one.
    pub fn call(&self) -> Option<CallId> {
        match self {
            Alarm::NoticeCutShort { call }
            | Alarm::Recorder { call }
            | Alarm::Abandoned { call } => Some(*call),
            Alarm::PromptMissing { .. }
            | Alarm::Full { .. }
            | Alarm::Overloaded { .. }
            | Alarm::ShardLost { .. }
            | Alarm::PeerDown { .. }
            | Alarm::PeerUp { .. }
            | Alarm::NotRegistered { .. }
            | Alarm::PeerUnknown { .. }
            | Alarm::AddressTaken { .. }
            | Alarm::OverContract { .. } => None,
        }
    }
}
