//! The notice: answered, acknowledged, played from its first sample to its last.

use std::time::{Duration, Instant};

use announcements::Prompt;
use bytes::Bytes;
use media::{Codec, PlaybackId, sdp};
use rules::{CutShort, EndCause, Keeping, Played, Reason};

use crate::{
    call::{Call, Stage, calling::Attempts, length},
    exchange::NoticeStamp,
    house::House,
    keeping,
    leg::{Agreed, Events, Session},
    now::Now,
    output::Alarm,
};

/// The notice before it is played, and the port pair that waits for the department.
pub(super) struct Notice {
    prompt: Prompt,
    far: media::OfferedLeg,
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

/// How much longer than itself a prompt may take before we stop waiting for the shard's report.
pub(super) const REPORT_GRACE: Duration = Duration::from_secs(2);

/// What we speak on a leg, in no order: the peer's order decides.
const CODECS: [Codec; 2] = [Codec::Pcmu, Codec::Pcma];

impl Call {
    /// Takes a call of the announce profile: 200 at once, and the leg is open so that the prompt can follow.
    pub(crate) fn answer(
        &mut self,
        house: &mut House,
        now: Now,
        far: media::OfferedLeg,
        prompt: Prompt,
    ) {
        let Some(codec) = sdp::choose(&self.offer, &CODECS) else {
            return self.refuse_media(house, now);
        };
        let events = Events::of(&self.offer);
        let Some(ours) = self.agree_with_origin(house, codec, events) else {
            return self.refuse_media(house, now);
        };
        house.accept(now, self.origin.dialog, Vec::new(), ours);
        self.enter(house, now, Stage::ExpectAck(Notice { prompt, far }));
    }

    /// Gives the origin's offer its answer, opens the leg, and returns what the answer says; as it was where it was given before.
    pub(super) fn agree_with_origin(
        &mut self,
        house: &mut House,
        codec: Codec,
        events: Events,
    ) -> Option<Bytes> {
        match &self.origin.session {
            Session::Agreed(agreed) if agreed.codec == codec => Some(agreed.ours.clone()),
            Session::Agreed(_) => None,
            Session::Offered => {
                let stream = Agreed::stream(&self.offer, &self.origin.local, codec, events)?;
                let ours = Bytes::from(sdp::answer(
                    &self.offer,
                    &self.origin.local,
                    codec,
                    events.are_agreed(),
                ));
                house.open(self.origin_leg(), stream);
                let agreed = Agreed {
                    theirs: self.offer.clone(),
                    ours: ours.clone(),
                    codec,
                };
                self.origin.session = Session::Agreed(Box::new(agreed));
                Some(ours)
            }
        }
    }

    /// The ACK of our 200 is here: the carrier has our address, so the caller hears the notice from its first sample.
    ///
    /// Begun with the 200 itself, a lost 200 would send the notice to nobody and still count it as told.
    pub(super) fn acknowledged(&mut self, house: &mut House, now: Now) {
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::ExpectAck(notice) => {
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
            // The ACK of the department's 200 that we passed on, or a repeated one.
            stage @ (Stage::Talking(_)
            | Stage::Announcing(_)
            | Stage::Calling { .. }
            | Stage::Passing { .. }
            | Stage::Closing(_)
            | Stage::Over) => self.stage = stage,
        }
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
                self.call_department(house, now, announcing.notice.far, keeping);
            }
            // A report that came too late for its call.
            stage @ (Stage::ExpectAck(_)
            | Stage::Calling { .. }
            | Stage::Passing { .. }
            | Stage::Talking(_)
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
                self.call_department(house, now, announcing.notice.far, keeping);
            }
            stage @ (Stage::ExpectAck(_)
            | Stage::Calling { .. }
            | Stage::Passing { .. }
            | Stage::Talking(_)
            | Stage::Closing(_)
            | Stage::Over) => self.stage = stage,
        }
    }

    /// Calls the department's first target while the caller hears ringback.
    fn call_department(
        &mut self,
        house: &mut House,
        now: Now,
        far: media::OfferedLeg,
        keeping: Keeping,
    ) {
        let ringback = house.ringback.clone();
        let leg = self.origin_leg();
        house.command(
            leg,
            media::Command::Loop {
                leg,
                clip: ringback,
            },
        );
        match Attempts::begin(self, house, now, far) {
            Ok(attempts) => self.enter(house, now, Stage::Calling { attempts, keeping }),
            Err(failure) => self.close(house, now, failure),
        }
    }

    /// Refuses an offer in which there is nothing for us.
    pub(super) fn refuse_media(&mut self, house: &mut House, now: Now) {
        house.reject(now, self.origin.dialog, 488);
        self.end(house, now, EndCause::NotAcceptable);
    }
}
