//! The notice: what allows a call's sound to be kept (law 2).
//!
//! The announcement went out to its last sample, or a declared emergency waives it, or the number's recorded decision does; nothing else makes a [`Notice`].
//! Whoever has none connects the call unrecorded, with the [`Reason`]. A [`NoticeRecord`] says afterwards what the notice was: data, never evidence.
//! Source: consultation 4①（市民からの入電時、自動音声により事前に録音する旨をアナウンスする。災害等緊急時を除く）.

use std::{fmt, str::FromStr};

use jiff::{Timestamp, civil::Date};
use serde::{Deserialize, Serialize};

use crate::{
    digest::Digest,
    emergency::Emergency,
    fault::Fault,
    ids::{EmergencyId, IdFault},
    number::Number,
    number_decision::{Authority, NumberDecision},
};

/// The prompt that says that the call is recorded. That another prompt was heard to its end tells nobody anything.
const RECORDING_NOTICE: &str = "recording-notice";

/// Proof that the recording notice went out to its last sample, by the media engine's own report.
#[derive(Debug)]
#[must_use = "a notice that was played allows the recording only when it becomes a Notice"]
pub struct Played {
    prompt: String,
    sha256: Digest,
    version: u32,
    samples: u64,
    started: Timestamp,
    ended: Timestamp,
}

impl Played {
    /// Takes the engine's report of a finished playback; the wiring of the exchange calls it and nobody else.
    ///
    /// `prompt_id`, `sha256`, `version`: of the prompt as it was played. Samples are 1/8000 s.
    ///
    /// # Errors
    /// [`CutShort`] where the notice was not sent to its end, was empty, or was another prompt.
    pub fn reported(
        prompt_id: &str,
        sha256: [u8; 32],
        version: u32,
        samples_sent: u64,
        samples_total: u64,
        started: Timestamp,
        ended: Timestamp,
    ) -> Result<Played, CutShort> {
        if prompt_id != RECORDING_NOTICE {
            return Err(CutShort::OtherPrompt);
        }
        if samples_sent != samples_total || samples_total == 0 {
            return Err(CutShort::Samples {
                sent: samples_sent,
                total: samples_total,
            });
        }
        Ok(Played {
            prompt: prompt_id.to_owned(),
            sha256: Digest(sha256),
            version,
            samples: samples_total,
            started,
            ended,
        })
    }
}

/// A playback that told the caller nothing, or not all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CutShort {
    /// Not every sample was sent.
    #[error("notice was sent to sample {sent} of {total}, expected all; the call stays unrecorded")]
    Samples {
        /// Sent to the carrier.
        sent: u64,
        /// In the prompt.
        total: u64,
    },
    /// It was a busy or closing prompt.
    #[error("prompt that was played is not {RECORDING_NOTICE}; the call stays unrecorded")]
    OtherPrompt,
}

impl CutShort {
    /// A notice that was cut is the peer's doing (it hung up); another prompt is ours.
    pub fn fault(&self) -> Fault {
        match self {
            CutShort::Samples { .. } => Fault::Peer,
            CutShort::OtherPrompt => Fault::Ours,
        }
    }
}

/// What allows a call to be recorded. It is moved into the recording that it allows.
#[derive(Debug)]
#[must_use = "without its notice a call stays unrecorded"]
pub struct Notice {
    record: NoticeRecord,
}

impl Notice {
    /// The caller heard the announcement to its end.
    pub fn announced(played: &Played) -> Notice {
        let Played {
            prompt,
            sha256,
            version,
            samples,
            started,
            ended,
        } = played;
        let record = NoticeRecord::Announced {
            prompt: prompt.clone(),
            sha256: *sha256,
            version: *version,
            samples: *samples,
            started: *started,
            ended: *ended,
        };
        Notice { record }
    }

    /// A declared emergency excuses the announcement (災害等緊急時を除く), for calls that reach us while it is in force.
    ///
    /// `called`: the city's number. `now`: when the call was taken in.
    ///
    /// # Errors
    /// [`WaiverFault`] where it is not in force at `now` or does not cover the number.
    pub fn waived_by_emergency(
        emergency: &Emergency,
        called: &Number,
        now: Timestamp,
    ) -> Result<Notice, WaiverFault> {
        if !emergency.is_in_force(now) {
            return Err(WaiverFault::EmergencyOver {
                emergency: emergency.id(),
            });
        }
        if !emergency.scope().covers(called) {
            return Err(WaiverFault::OtherNumber);
        }
        Ok(Notice {
            record: NoticeRecord::Emergency {
                emergency: emergency.id(),
            },
        })
    }

    /// The city's recorded decision for this number names the other means by which its callers are told, or the law that excuses it.
    ///
    /// `now`: when the call was taken in.
    ///
    /// # Errors
    /// [`WaiverFault`] where the decision is about another number, or nobody looked at it in time.
    pub fn waived_by_decision(
        decision: &NumberDecision,
        called: &Number,
        now: Timestamp,
    ) -> Result<Notice, WaiverFault> {
        if decision.number() != called {
            return Err(WaiverFault::OtherNumber);
        }
        if !decision.is_in_force(now) {
            return Err(WaiverFault::ReviewOver);
        }
        let record = NoticeRecord::Decision {
            reference: decision.reference().to_owned(),
            decided_on: decision.decided_on(),
            authority: decision.authority().clone(),
        };
        Ok(Notice { record })
    }

    /// What is written down about it, into the segment's header and the call's row.
    pub fn record(&self) -> NoticeRecord {
        self.record.clone()
    }

    /// Which of the three it is.
    pub fn kind(&self) -> NoticeKind {
        self.record.kind()
    }
}

/// A waiver that waives nothing here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WaiverFault {
    /// It ended before the call, or was lifted.
    #[error(
        "emergency {emergency} is no longer in force; the call needs the announcement or stays unrecorded"
    )]
    EmergencyOver {
        /// Which.
        emergency: EmergencyId,
    },
    /// It is about another number of the city.
    #[error("waiver is about another number; the call needs the announcement or stays unrecorded")]
    OtherNumber,
    /// The day of its review is over.
    #[error(
        "waiver is past its review; the call needs the announcement, and `numbers confirm` or `numbers decide` a manager"
    )]
    ReviewOver,
}

impl WaiverFault {
    /// Ours: who asks has looked up the wrong waiver.
    pub fn fault(&self) -> Fault {
        Fault::Ours
    }
}

/// What a notice was, written down. It proves nothing and makes no [`Notice`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum NoticeRecord {
    /// The announcement was sent to its end (K-04).
    Announced {
        /// The prompt's id.
        prompt: String,
        /// SHA-256 of its WAV file.
        sha256: Digest,
        /// Its version in the manifest.
        version: u32,
        /// Samples sent, all of them, 1/8000 s each.
        samples: u64,
        /// When its first sample went out.
        started: Timestamp,
        /// When its last sample had gone out.
        ended: Timestamp,
    },
    /// A declared emergency waived it (K-05).
    Emergency {
        /// Which.
        emergency: EmergencyId,
    },
    /// The number's recorded decision waived it.
    Decision {
        /// Where the decision is found.
        reference: String,
        /// When it was taken.
        decided_on: Date,
        /// On whose word it stood.
        #[serde(flatten)]
        authority: Authority,
    },
}

impl NoticeRecord {
    /// Which of the three it was.
    pub fn kind(&self) -> NoticeKind {
        match self {
            NoticeRecord::Announced { .. } => NoticeKind::Announced,
            NoticeRecord::Emergency { .. } => NoticeKind::Emergency,
            NoticeRecord::Decision { .. } => NoticeKind::Decision,
        }
    }
}

/// The three kinds of notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoticeKind {
    /// The announcement was heard.
    Announced,
    /// A declared emergency waived it.
    Emergency,
    /// The number's recorded decision waived it.
    Decision,
}

impl NoticeKind {
    /// As lists show it.
    pub fn code(self) -> &'static str {
        match self {
            NoticeKind::Announced => "announced",
            NoticeKind::Emergency => "emergency",
            NoticeKind::Decision => "decision",
        }
    }
}

impl FromStr for NoticeKind {
    type Err = IdFault;

    fn from_str(text: &str) -> Result<NoticeKind, IdFault> {
        let fault = IdFault {
            what: "notice",
            expected: "announced, emergency or decision",
            found_bytes: text.len(),
        };
        [
            NoticeKind::Announced,
            NoticeKind::Emergency,
            NoticeKind::Decision,
        ]
        .into_iter()
        .find(|kind| kind.code() == text)
        .ok_or(fault)
    }
}

/// Whether a call's sound is kept: by a notice, or not at all and why. "No notice" is not a choice.
#[derive(Debug)]
#[must_use = "a call carries its keeping to its end"]
pub enum Keeping {
    /// It is recorded under this notice.
    Record(Notice),
    /// It is connected without being recorded.
    Unrecorded(Reason),
}

/// Why a call was not recorded. Later capabilities add codes and rename none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Reason {
    /// The prompt was missing, damaged or cut by a fault of ours.
    NoAnnouncement,
    /// Transparent, without emergency and without a decision.
    NoWaiver,
    /// No department answered.
    NotAnswered,
    /// The caller left before a department answered.
    CallerHungUp,
    /// Nothing could be written or sealed.
    RecorderFault,
    /// 110, 118 or 119 called back, and nothing may be said to them first.
    CallBack,
    /// It is no citizen's call that came in (K-02); no row is written of it either.
    OutOfScope,
}

impl Reason {
    /// All of them.
    pub const ALL: [Reason; 7] = [
        Reason::NoAnnouncement,
        Reason::NoWaiver,
        Reason::NotAnswered,
        Reason::CallerHungUp,
        Reason::RecorderFault,
        Reason::CallBack,
        Reason::OutOfScope,
    ];

    /// As lists show it.
    pub fn code(self) -> &'static str {
        match self {
            Reason::NoAnnouncement => "NO_ANNOUNCEMENT",
            Reason::NoWaiver => "NO_WAIVER",
            Reason::NotAnswered => "NOT_ANSWERED",
            Reason::CallerHungUp => "CALLER_HUNG_UP",
            Reason::RecorderFault => "RECORDER_FAULT",
            Reason::CallBack => "CALL_BACK",
            Reason::OutOfScope => "OUT_OF_SCOPE",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl FromStr for Reason {
    type Err = IdFault;

    fn from_str(text: &str) -> Result<Reason, IdFault> {
        let fault = IdFault {
            what: "reason",
            expected: "one of the codes of unrecorded calls",
            found_bytes: text.len(),
        };
        Reason::ALL
            .into_iter()
            .find(|reason| reason.code() == text)
            .ok_or(fault)
    }
}

#[cfg(test)]
mod tests {
    use jiff::{ToSpan, civil::date};

    use super::*;
    use crate::{
        emergency::{Declaration, EmergencyState, Scope},
        ids::{DecisionId, JstDay},
    };

    fn now() -> Timestamp {
        "2026-11-24T00:00:00Z".parse().unwrap()
    }

    fn number(text: &str) -> Number {
        Number::parse(text).unwrap()
    }

    fn played(prompt: &str, sent: u64, total: u64) -> Result<Played, CutShort> {
        Played::reported(prompt, [7; 32], 3, sent, total, now(), now() + 8.seconds())
    }

    #[test]
    fn only_a_notice_sent_to_its_last_sample_was_played() {
        let total = 64_800;
        for sent in (0..total).step_by(160) {
            assert_eq!(
                played("recording-notice", sent, total).unwrap_err(),
                CutShort::Samples { sent, total }
            );
        }
        assert_eq!(
            Notice::announced(&played("recording-notice", total, total).unwrap()).kind(),
            NoticeKind::Announced
        );
        assert!(played("recording-notice", total + 1, total).is_err());
        assert!(played("recording-notice", 0, 0).is_err());
    }

    #[test]
    fn another_prompt_is_no_notice_however_long_it_was_heard() {
        assert_eq!(
            played("busy", 8000, 8000).unwrap_err(),
            CutShort::OtherPrompt
        );
    }

    #[test]
    fn an_emergency_waives_the_announcement_while_it_lasts_and_where_it_holds() {
        let mut state = EmergencyState::default();
        let declaration = Declaration {
            id: EmergencyId::new(now(), 1),
            scope: Scope::Number(number("0783331001")),
            reason: "試験".to_owned(),
            duration: None,
            declared_by: None,
            unix_user: "root".to_owned(),
        };
        let emergency = state.declare(declaration, now()).unwrap();
        let waived = |called, at| Notice::waived_by_emergency(emergency, &number(called), at);
        assert_eq!(
            waived("0783331001", now()).unwrap().kind(),
            NoticeKind::Emergency
        );
        assert_eq!(
            waived("0783331002", now()).unwrap_err(),
            WaiverFault::OtherNumber
        );
        assert_eq!(
            waived("0783331001", now() + 4.hours()).unwrap_err(),
            WaiverFault::EmergencyOver {
                emergency: emergency.id()
            }
        );
    }

    #[test]
    fn a_decision_waives_the_announcement_for_its_own_number_only() {
        let decision = NumberDecision::by_configuration(
            DecisionId::from_bytes([7; 16]),
            number("0783331001"),
            "広第1号",
            date(2026, 4, 1),
            "root",
        )
        .unwrap();
        assert_eq!(
            Notice::waived_by_decision(&decision, &number("+81783331001"), now())
                .unwrap()
                .kind(),
            NoticeKind::Decision
        );
        assert_eq!(
            Notice::waived_by_decision(&decision, &number("0783331002"), now()).unwrap_err(),
            WaiverFault::OtherNumber
        );
    }

    #[test]
    fn a_managers_decision_waives_to_the_end_of_its_day_of_review() {
        let review: JstDay = "2026-11-24".parse().unwrap();
        let decision = NumberDecision::by_manager(
            DecisionId::new(now(), 1),
            number("0783331001"),
            now(),
            "kacho".parse().unwrap(),
            review,
        );
        let waived = |at| Notice::waived_by_decision(&decision, &number("0783331001"), at);
        let last = review.next().start() - 1.nanoseconds();
        let record = serde_json::to_value(waived(last).unwrap().record()).unwrap();
        assert_eq!(record["person"], "kacho");
        assert_eq!(
            waived(review.next().start()).unwrap_err(),
            WaiverFault::ReviewOver
        );
    }

    #[test]
    fn a_record_of_an_unconfirmed_decision_reads_back_as_it_was_always_written() {
        let written = r#"{"kind":"decision","reference":"広第1号","decided_on":"2026-04-01","unix_user":"root","confirmed":false}"#;
        let NoticeRecord::Decision { authority, .. } = serde_json::from_str(written).unwrap()
        else {
            panic!("a decision reads back as one");
        };
        let unix_user = "root".to_owned();
        assert_eq!(authority, Authority::Configuration { unix_user });
    }

    #[test]
    fn reasons_read_back_and_serialise_as_their_codes() {
        for reason in Reason::ALL {
            assert_eq!(reason.code().parse(), Ok(reason));
            assert_eq!(
                serde_json::to_string(&reason).unwrap(),
                format!("\"{reason}\"")
            );
        }
        assert!("BECAUSE".parse::<Reason>().is_err());
    }
}
