//! The port pairs that calls hold at the shards, and what the shards are told of them.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use media::{Clip, Command, LegId, OfferedLeg, PlaybackId, StreamSettings, sdp};
use rules::CallId;
use sip_core::PeerId;

use super::House;
use crate::output::Output;

impl House {
    /// Whether media may be sent to where a peer's description says (T-15); to nowhere it may.
    pub(crate) fn admits_media(&self, peer: PeerId, theirs: &sdp::RemoteMedia) -> bool {
        let Some(trunk) = self.settings.peer(peer) else {
            return false;
        };
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
