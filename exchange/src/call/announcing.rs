//! The notice: answered, acknowledged, played from its first sample to its last.

use std::time::{Duration, Instant};

use announcements::Prompt;
use bytes::Bytes;
use media::{Codec, PlaybackId, sdp::RemoteMedia};
use rules::{CutShort, EndCause, Keeping, Played, Reason};
use sip_core::{Delivery, Ring};

use crate::{
    call::{
        Call, Reliability, Stage,
        attempts::{Attempts, Tone},
        length,
    },
    exchange::NoticeStamp,
    house::House,
    keeping,
    leg::{Events, Session},
    now::Now,
    output::Alarm,
    route::phrase,
    trunk::AnnouncementMedia,
};

/// The notice before it is played, and the port pair that waits for the department.
pub(super) struct Notice {
    prompt: Prompt,
    far: media::OfferedLeg,
    medium: AnnouncementMedia,
    /// When its PRACK or ACK is waited for no longer.
    pub(super) until: Instant,
}

/// The notice while it is played.
pub(super) struct Announcing {
    pub(super) playback: PlaybackId,
    pub(super) until: Instant,
    notice: Notice,
}

impl Announcing {
    pub(super) fn stamp(&self) -> NoticeStamp {
        let prompt = &self.notice.prompt;
        NoticeStamp {
            prompt: prompt.id.as_str(),
            sha256: prompt.sha256,
            version: prompt.version,
        }
    }
}

/// The endpoint gives a PRACK or an ACK up after 64*T1 = 32 s (RFC 3262 section 3, RFC 3261 section 13.3.1.4).
const ACKNOWLEDGED_WITHIN: Duration = Duration::from_secs(40);

/// How much longer than itself a prompt may take before we stop waiting for the shard's report.
pub(super) const REPORT_GRACE: Duration = Duration::from_secs(2);

impl Call {
    /// Takes a call of the announce profile: 200 at once, and the leg is open so that the prompt can follow.
    pub(crate) fn answer(
        &mut self,
        house: &mut House,
        now: Now,
        far: media::OfferedLeg,
        prompt: Prompt,
    ) {
        let codecs = house.codecs_towards(&self.codecs(house), &self.destinations);
        let ours = match (&self.offer, codecs.first()) {
            // Nobody who may be called could be spoken with.
            (_, None) => None,
            // The caller's order decides (RFC 3264 section 6.1).
            (Some(_), Some(&codec)) => self.agree_with_origin(house, codec, None),
            // It brings its answer in the ACK (RFC 3264 section 4).
            (None, Some(_)) => Some(self.ask_origin(codecs, None)),
        };
        let Some(ours) = ours else {
            return self.refuse_media(house, now);
        };
        let until = now.at + ACKNOWLEDGED_WITHIN;
        // Without its PRACK a 183 that was lost would send the notice to nobody, and still count it as told.
        let can_be_early = self.reliability != Reliability::Unknown;
        if can_be_early && house.announces_early(self.origin.peer) {
            let medium = AnnouncementMedia::Early;
            let ring = Ring {
                body: Some(ours),
                delivery: Delivery::Reliable,
                ..Ring::plain(183, phrase(183))
            };
            house.endpoint.ring(now.at, self.origin.dialog, ring);
            let notice = Notice {
                prompt,
                far,
                medium,
                until,
            };
            return self.enter(house, now, Stage::ExpectPrack(notice));
        }
        let medium = AnnouncementMedia::AfterAnswer;
        house.accept(now, self.origin.dialog, Vec::new(), ours);
        let notice = Notice {
            prompt,
            far,
            medium,
            until,
        };
        self.enter(house, now, Stage::ExpectAck(notice));
    }

    /// Gives the origin's offer its answer, opens the leg, and returns what the answer says; as it was where it was given before.
    ///
    /// `far`: what the far side has said, where it was asked before.
    pub(super) fn agree_with_origin(
        &mut self,
        house: &mut House,
        codec: Codec,
        far: Option<&RemoteMedia>,
    ) -> Option<Bytes> {
        if let Session::Agreed(agreed) = &self.origin.session {
            return (agreed.codec == codec).then(|| agreed.ours.clone());
        }
        let offer = self.offer.as_ref()?;
        let events = Events::of(far.unwrap_or(offer));
        let mut local = self.origin.local.clone();
        if let Some(far) = far {
            local.direction = far.direction;
            local.noise = far.noise.is_some();
        }
        house.answer_keys(&mut local, offer);
        self.origin.local = local;
        let agreed = self.origin.answer_to(offer, codec, events);
        let stream = self.origin.stream(&agreed)?;
        house.open(self.origin_leg(), self.origin.peer, stream);
        let ours = agreed.ours.clone();
        self.origin.session = Session::Agreed(Box::new(agreed));
        Some(ours)
    }

    /// The ACK of our 200 is here: the carrier has our address, so the caller hears the notice from its first sample.
    ///
    /// Begun with the 200 itself, a lost 200 would send the notice to nobody and still count it as told.
    pub(super) fn acknowledged(&mut self, house: &mut House, now: Now, body: Option<&Bytes>) {
        if !self.origin_answers(house, body) {
            return self.refuse_media(house, now);
        }
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::ExpectAck(notice) => self.announce(house, now, notice),
            Stage::Joining(joining) => {
                self.stage = Stage::Joining(joining);
                self.joined(house, now);
            }
            // The ACK of the department's 200 that we passed on, or a repeated one.
            stage @ (Stage::Talking(_)
            | Stage::Transferring(_)
            | Stage::Parted(_)
            | Stage::ExpectPrack(_)
            | Stage::Announcing(_)
            | Stage::Calling { .. }
            | Stage::Passing { .. }
            | Stage::Closing(_)
            | Stage::Over) => self.stage = stage,
        }
    }

    /// Plays the notice; the caller's media path stands.
    pub(super) fn announce(&mut self, house: &mut House, now: Now, notice: Notice) {
        let playback = house.play(self.origin_leg(), notice.prompt.clip.clone());
        let until = now.at + length(&notice.prompt) + REPORT_GRACE;
        self.enter(
            house,
            now,
            Stage::Announcing(Announcing {
                playback,
                until,
                notice,
            }),
        );
    }

    /// The engine has reported the end of the notice; now the department is called, recorded or not.
    pub(super) fn notice_ended(
        &mut self,
        house: &mut House,
        now: Now,
        report: &Result<Played, CutShort>,
    ) {
        let keeping = keeping::after_announcement(report);
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Announcing(announcing) => {
                match &keeping {
                    Keeping::Record(_) => house.trace(now, self.id, "notice sent to its end"),
                    Keeping::Unrecorded(_) => {
                        house.trace(now, self.id, "notice cut short");
                        house.alarm(Alarm::NoticeCutShort { call: self.id });
                    }
                }
                self.call_department(house, now, &announcing.notice, keeping);
            }
            // A report that came too late for its call.
            stage @ (Stage::ExpectPrack(_)
            | Stage::ExpectAck(_)
            | Stage::Calling { .. }
            | Stage::Passing { .. }
            | Stage::Joining(_)
            | Stage::Talking(_)
            | Stage::Transferring(_)
            | Stage::Parted(_)
            | Stage::Closing(_)
            | Stage::Over) => self.stage = stage,
        }
    }

    /// The shard has not reported the end of the notice in time: the caller is not kept waiting for it, and nothing is kept of the call.
    pub(super) fn notice_unreported(&mut self, house: &mut House, now: Now) {
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Announcing(announcing) => {
                house.trace(now, self.id, "notice not reported");
                house.alarm(Alarm::NoticeCutShort { call: self.id });
                let keeping = Keeping::Unrecorded(Reason::NoAnnouncement);
                self.call_department(house, now, &announcing.notice, keeping);
            }
            stage @ (Stage::ExpectPrack(_)
            | Stage::ExpectAck(_)
            | Stage::Calling { .. }
            | Stage::Passing { .. }
            | Stage::Joining(_)
            | Stage::Talking(_)
            | Stage::Transferring(_)
            | Stage::Parted(_)
            | Stage::Closing(_)
            | Stage::Over) => self.stage = stage,
        }
    }

    /// Calls the department's first target while the caller hears ringback.
    fn call_department(&mut self, house: &mut House, now: Now, notice: &Notice, keeping: Keeping) {
        let ringback = house.ringback.clone();
        let leg = self.origin_leg();
        house.command(
            leg,
            media::Command::Loop {
                leg,
                clip: ringback,
            },
        );
        let attempts = Attempts::begin(self, house, now, notice.far, Tone::Ours);
        match (attempts, notice.medium) {
            (Ok(attempts), AnnouncementMedia::AfterAnswer) => {
                self.enter(house, now, Stage::Calling { attempts, keeping });
            }
            (Ok(attempts), AnnouncementMedia::Early) => {
                self.enter(house, now, Stage::Passing { attempts, keeping });
            }
            (Err(failure), AnnouncementMedia::AfterAnswer) => self.close(house, now, failure),
            (Err(failure), AnnouncementMedia::Early) => self.refuse(house, now, failure),
        }
    }

    /// Refuses media in which there is nothing for us: by 488, or by BYE where the call is answered.
    pub(super) fn refuse_media(&mut self, house: &mut House, now: Now) {
        self.end(house, now, EndCause::NotAcceptable);
    }
}
