//! What joins the rooms: an output of one becomes an input of another, here and nowhere else.
//!
//! `server` drives it with threads and real clocks, the test city with a fake one: the wiring that ships is the wiring that is tested.
//! It alone calls [`Played::reported`], with the engine's own event.

use std::{net::IpAddr, time::Instant};

use announcements::Library;
use bytes::Bytes;
use media::{Event, OfferedLeg};
use rules::{
    CallId, Declaration, Digest, Emergency, EmergencyFault, EmergencyState, Notices, Played, Scope,
    StaffId,
};
use sip_core::Hop;

use crate::{
    admission::Load,
    call::Hearing,
    exchange::Exchange,
    health::Unreachable,
    names::{Found, Question},
    now::Now,
    output::{Output, RecorderEvent},
    settings::Settings,
};

/// What the world did.
#[derive(Debug)]
pub enum Input {
    /// A message arrived; its sender was found to be a peer before.
    Message {
        /// Which way it came.
        hop: Hop,
        /// The octets: one datagram, or one message of a stream.
        payload: Bytes,
        /// When it reached this host; it may have waited since.
        received_at: Instant,
    },
    /// How busy the server was.
    Load(Load),
    /// Messages this way find nobody: an ICMP error came back, a connection was refused or is lost.
    Unreachable {
        /// The way.
        hop: Hop,
        /// What is in it.
        why: Unreachable,
    },
    /// The peer has closed its direction of this connection: it answers by it no more, and may still read.
    Closed {
        /// The connection.
        hop: Hop,
    },
    /// Where a name leads that `Output::Resolve` asked for.
    Resolved {
        /// What was asked.
        question: Question,
        /// What was found.
        found: Found,
    },
    /// A shard lends port pairs.
    LegsOffered(Vec<OfferedLeg>),
    /// A shard reports.
    Media(Event),
    /// A shard is gone.
    ShardLost(u16),
    /// The recorder reports.
    Recorder(RecorderEvent),
    /// Prompts were read.
    PromptsLoaded(Library),
    /// What managers decided about the numbers' notices; it holds from the next call on.
    NoticesDecided(Notices),
    /// A time that `poll_timeout` named has come.
    Timeout,
    /// The service is to stop: calls end with BYE, new ones get 503. Calls to and from 110, 118 and 119 go on until it comes again (S-17).
    Shutdown,
}

/// The exchange and what it is joined to.
pub struct Wiring {
    exchange: Exchange,
}

impl Wiring {
    /// Joins a new exchange. `emergency` is the state that was saved, after `EmergencyState::handle_restart`.
    pub fn new(settings: Settings, emergency: EmergencyState, seed: [u8; 32]) -> Wiring {
        Wiring {
            exchange: Exchange::new(settings, emergency, seed),
        }
    }

    /// Whether SIP from this address is read at all; asked before anything of it is parsed (K-16).
    pub fn is_peer(&self, address: IpAddr) -> bool {
        self.exchange.is_peer(address)
    }

    /// How SIP to a peer at this address is marked for the network's queues (RFC 2474); none for whoever is no peer.
    pub fn mark_of(&self, address: IpAddr) -> Option<u8> {
        self.exchange.mark_of(address)
    }

    /// The exchange, to look at.
    pub fn exchange(&self) -> &Exchange {
        &self.exchange
    }

    /// Takes what the world did. Drain [`Wiring::poll_output`] afterwards.
    pub fn handle(&mut self, now: Now, input: Input) {
        self.exchange.watch_clock(now);
        match input {
            Input::Message {
                hop,
                payload,
                received_at,
            } => self.exchange.handle_message(now, hop, payload, received_at),
            Input::Load(load) => self.exchange.handle_load(now, load),
            Input::Unreachable { hop, why } => self.exchange.handle_unreachable(now, hop, why),
            Input::Closed { hop } => self.exchange.handle_closed(now, hop),
            Input::Resolved { question, found } => {
                self.exchange.handle_resolved(now, &question, &found);
            }
            Input::LegsOffered(legs) => self.exchange.handle_legs_offered(now, legs),
            Input::Media(event) => self.handle_media(now, &event),
            Input::ShardLost(shard) => self.exchange.handle_shard_lost(now, shard),
            Input::Recorder(event) => self.exchange.handle_recorder(now, event),
            Input::PromptsLoaded(library) => self.exchange.load_prompts(library),
            Input::NoticesDecided(notices) => self.exchange.decide_notices(notices),
            Input::Timeout => self.exchange.handle_timeout(now),
            Input::Shutdown => self.exchange.shut_down(now),
        }
    }

    /// Declares an emergency, in force for new calls when it returns. `reason`: the salted hash of its reason, for the audit trail.
    ///
    /// # Errors
    /// [`EmergencyFault`] without a reason or for longer than 24 h.
    pub fn declare(
        &mut self,
        now: Now,
        declaration: Declaration,
        reason: Digest,
    ) -> Result<Emergency, EmergencyFault> {
        self.exchange.watch_clock(now);
        self.exchange.declare(now, declaration, reason)
    }

    /// Ends the emergency of a scope, or every one.
    ///
    /// # Errors
    /// [`EmergencyFault::NothingDeclared`] where there is none.
    pub fn lift(
        &mut self,
        now: Now,
        scope: Option<&Scope>,
        unix_user: &str,
        person: Option<&StaffId>,
    ) -> Result<Vec<Emergency>, EmergencyFault> {
        self.exchange.watch_clock(now);
        self.exchange.lift(now, scope, unix_user, person)
    }

    /// After a panic in [`Wiring::handle`]: ends the one call that was in hand, and goes on with its neighbours.
    ///
    /// Returns the call; none when no call was in hand.
    pub fn recover(&mut self, now: Now) -> Option<CallId> {
        let call = self.exchange.in_hand()?;
        self.exchange.abandon(now, call);
        Some(call)
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.exchange.poll_output()
    }

    /// When `Input::Timeout` is due, and why.
    pub fn poll_timeout(&self) -> Option<(Instant, &'static str)> {
        self.exchange.poll_timeout()
    }

    /// Whether no call and no dialog is left, so that a service that stops may exit.
    pub fn is_idle(&self) -> bool {
        self.exchange.is_idle()
    }

    /// A finished playback proves the notice only here, by what the engine says it has sent.
    fn handle_media(&mut self, now: Now, event: &Event) {
        match *event {
            Event::PlaybackEnded {
                leg,
                playback,
                samples_sent,
                samples_total,
                started,
                ended,
            } => {
                let Some(stamp) = self.exchange.notice_on(leg, playback) else {
                    return self.exchange.handle_prompt_ended(now, leg, playback);
                };
                let report = Played::reported(
                    stamp.prompt,
                    stamp.sha256,
                    stamp.version,
                    samples_sent,
                    samples_total,
                    now.wall_at(started),
                    now.wall_at(ended),
                );
                self.exchange.handle_notice_ended(now, leg, report);
            }
            Event::FellSilent { leg } => self.exchange.handle_silence(now, leg, Hearing::Silence),
            Event::Heard { leg } => self.exchange.handle_silence(now, leg, Hearing::Speech),
            Event::Counted { leg, counted } => self.exchange.handle_counted(now, leg, counted),
            // What a leg counted is the shard's to log; the call has ended already.
            Event::Closed { .. } => {}
        }
    }
}
