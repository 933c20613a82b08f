//! The port pairs that calls hold at the shards, and what the shards are told of them.

use std::{
    collections::VecDeque,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use media::{Clip, Codec, Command, LegId, OfferedLeg, PlaybackId, StreamSettings, sdp};
use rules::CallId;
use sip_core::PeerId;

use super::House;
use crate::{output::Output, route::Destination, trunk::Trunk};

impl House {
    /// Reads what a peer says of its media, as if it had named no codec but those of its settings.
    ///
    /// None where it is no speech, nothing in it may be spoken with this peer, or it wants media where none may go (T-15).
    pub(crate) fn read_media(&self, peer: PeerId, body: &[u8]) -> Option<sdp::RemoteMedia> {
        let trunk = self.settings.peer(peer)?;
        let mut theirs = sdp::parse(body).ok()?;
        theirs
            .codecs
            .retain(|(codec, _)| trunk.codecs.contains(codec));
        let is_fit = !theirs.codecs.is_empty() && self.admits_media(trunk, &theirs);
        is_fit.then_some(theirs)
    }

    /// What a peer may be offered, its best first.
    pub(crate) fn codecs_of(&self, peer: PeerId) -> Vec<Codec> {
        let trunk = self.settings.peer(peer);
        trunk.map_or_else(Vec::new, |trunk| trunk.codecs.clone())
    }

    /// What a peer may be offered of these codecs, its best first.
    pub(crate) fn codecs_for(&self, peer: PeerId, codecs: &[Codec]) -> Vec<Codec> {
        let mut allowed = self.codecs_of(peer);
        allowed.retain(|codec| codecs.contains(codec));
        allowed
    }

    /// Those of a caller's codecs in which all who may be called can be spoken with; where there are none, some of them.
    pub(crate) fn codecs_towards(
        &self,
        codecs: &[Codec],
        destinations: &VecDeque<Destination>,
    ) -> Vec<Codec> {
        let is_called = |trunk: &&Trunk| {
            trunk.takes_calls() && destinations.iter().any(|to| to.places.include(trunk))
        };
        let called: Vec<&Trunk> = self.settings.peers.iter().filter(is_called).collect();
        let codecs = codecs.iter().copied();
        let of_all = |codec: &Codec| called.iter().all(|trunk| trunk.codecs.contains(codec));
        let of_some = |codec: &Codec| called.iter().any(|trunk| trunk.codecs.contains(codec));
        let common: Vec<Codec> = codecs.clone().filter(of_all).collect();
        if !common.is_empty() {
            return common;
        }
        codecs.filter(of_some).collect()
    }

    /// Whether media may be sent to where a peer's description says; to nowhere it may.
    fn admits_media(&self, trunk: &Trunk, theirs: &sdp::RemoteMedia) -> bool {
        [theirs.rtp, theirs.rtcp]
            .into_iter()
            .filter(|address| theirs.is_reachable() || !address.ip().is_unspecified())
            .all(|address| trunk.admits_media(address) && !self.is_ours(address))
    }

    fn is_ours(&self, address: SocketAddr) -> bool {
        self.settings.is_listener(address) || self.ports.is_ours(address)
    }

    pub(crate) fn belongs(&mut self, lent: OfferedLeg, call: CallId) {
        if let Some(before) = self.legs.insert(lent.leg, call) {
            self.legs_by_call.remove(&(before, lent.leg));
        }
        self.legs_by_call.insert((call, lent.leg));
    }

    /// One more pair of a shard for a call, of the family of an address.
    ///
    /// # Errors
    /// 503 where none is left.
    pub(crate) fn take_pair(
        &mut self,
        call: CallId,
        shard: u16,
        family: IpAddr,
    ) -> Result<OfferedLeg, u16> {
        let lent = self.ports.take_of(shard, family).ok_or(503_u16)?;
        self.belongs(lent, call);
        Ok(lent)
    }

    pub(crate) fn call_of_leg(&self, leg: LegId) -> Option<CallId> {
        self.legs.get(&leg).copied()
    }

    pub(crate) fn legs_of(&self, call: CallId) -> Vec<LegId> {
        let first = (
            call,
            LegId {
                shard: 0,
                slot: 0,
                generation: 0,
            },
        );
        self.legs_by_call
            .range(first..)
            .take_while(|(owner, _)| *owner == call)
            .map(|(_, leg)| *leg)
            .collect()
    }

    pub(crate) fn command(&mut self, leg: LegId, command: Command) {
        self.outputs.push_back(Output::Media {
            shard: leg.shard,
            command,
        });
    }

    /// Opens a leg, or changes it: marked as its peer wants it, and watched for silence.
    pub(crate) fn open(&mut self, leg: LegId, peer: PeerId, stream: StreamSettings) {
        let stream = StreamSettings {
            silence: Some(SILENCE),
            dscp: self.settings.peer(peer).map_or(0, |trunk| trunk.dscp.media),
            ..stream
        };
        self.command(leg, Command::Open { leg, stream });
    }

    pub(crate) fn play(&mut self, leg: LegId, clip: Clip) -> PlaybackId {
        self.next_playback += 1;
        let playback = PlaybackId(self.next_playback);
        self.command(
            leg,
            Command::Play {
                leg,
                playback,
                clip,
            },
        );
        playback
    }

    /// Gives a pair back to its shard.
    pub(crate) fn close(&mut self, leg: LegId) {
        if let Some(call) = self.legs.remove(&leg) {
            self.legs_by_call.remove(&(call, leg));
            self.command(leg, Command::Close { leg });
        }
    }

    /// Forgets a pair whose shard is gone.
    pub(crate) fn forget_legs_of_shard(&mut self, shard: u16) {
        self.legs.retain(|leg, _| leg.shard != shard);
        self.legs_by_call.retain(|(_, leg)| leg.shard != shard);
        self.ports.forget_shard(shard);
    }
}

/// S-17: an emergency call without RTP on both legs for so long is over.
pub(crate) const SILENCE: Duration = Duration::from_secs(60);
