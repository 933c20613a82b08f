//! Listening at the office: its one thread judges and writes down; whoever asked opens the recording on a thread of its own, so that
//! a long one keeps nobody else waiting.

use std::sync::Arc;

use jiff::Timestamp;
use rules::{
    Action, Actor, AuditDraft, AuditEvent, AuditReceipt, CopyFact, CopyId, Destruction, Fact,
    ListenGrant, ListenPermit, ListenRequest, Permit, Purpose, RecordingId, RecordingState,
};
use storage::{Kept, OpenFault, Opener, TokenHash, Vault};

use super::{Desk, Opened, Wish, export_cause, owner::Owner, people::Caller, together::Known};
use crate::{
    duty::{Answer, Ending, Message},
    people, playback,
    proof::{Asker, Proof},
    voice,
};

/// Leave to hear a recording, with what opens it. Its entry is durable.
pub(crate) struct Leave {
    permit: ListenPermit,
    kept: Kept,
    vault: Arc<Vault>,
    opener: Opener,
    granted: u64,
    actor: Actor,
    copy: Option<CopyId>,
}

/// What a wish was judged to be; its entry is not durable yet.
pub(super) struct Judged {
    grant: ListenGrant,
    kept: Kept,
    copy: Option<CopyId>,
}

impl Judged {
    /// The entry that allows it.
    pub(super) fn entry(&self) -> AuditDraft {
        self.grant.entry().clone()
    }
}

impl Owner {
    /// Judges a wish; a copy that it becomes is entered.
    ///
    /// `known`: what the database says of it.
    pub(super) async fn judge_wish(
        &mut self,
        wish: &Wish,
        asker: &Asker,
        known: &Known,
        now: Timestamp,
    ) -> Result<Judged, Ending> {
        let proved = match &wish.proof {
            Proof::Session(token) => {
                let token = TokenHash::of(token.text());
                let session = known.sessions.get(&token).cloned();
                Some(self.prove_session(&token, session, asker, now).await?)
            }
            other => self.prove(other, asker, now).await?,
        };
        let caller = Caller {
            proved: proved.as_ref(),
            asker,
        };
        let register = self.register().await?;
        let purpose = wish
            .purpose
            .as_ref()
            .map(|text| text.parse::<Purpose>())
            .transpose();
        let Some(call) = known.calls.get(&wish.recording) else {
            let judged = purpose.and_then(|purpose| {
                let petitioner = caller.petitioner();
                register.judge_unknown_recording(&petitioner, wish.action, purpose, wish.case, now)
            });
            return Err(self.unknown(&caller, wish.action, wish.recording, judged));
        };
        let mut request = ListenRequest {
            petitioner: caller.petitioner(),
            action: wish.action,
            heard: self.heard(wish.recording, call),
            purpose: None,
            case: wish.case,
            range_ms: wish.range_ms,
        };
        let judged = purpose.and_then(|purpose| {
            request.purpose = purpose;
            request.judge(&register, now)
        });
        let grant = judged.map_err(|refusal| {
            // The refusal stands whether or not it can be written down.
            self.audit(request.refused(&register, &refusal));
            Answer::Refused(people::message(&refusal))
        })?;
        let copy = self.enter_copy(&caller, wish, call.expires_at, now).await?;
        let kept = Kept::from(call);
        Ok(Judged { grant, kept, copy })
    }

    /// What was judged, now that its entry is durable.
    ///
    /// # Errors
    /// The receipt is another entry's.
    pub(super) fn leave(
        &self,
        Judged { grant, kept, copy }: Judged,
        receipt: AuditReceipt,
        now: Timestamp,
    ) -> Result<Leave, Ending> {
        let granted = receipt.seq();
        let actor = grant.entry().actor.clone();
        let permit = ListenPermit::issue(grant, receipt, now)
            .map_err(|refusal| Answer::Unavailable(people::message(&refusal)))?;
        Ok(Leave {
            permit,
            kept,
            vault: Arc::clone(&self.vault),
            opener: self.opener.clone(),
            granted,
            actor,
            copy,
        })
    }
}

impl Leave {
    /// Opens the recording; where that fails the office is told that nothing was heard.
    pub(super) fn open(self, desk: &Desk, action: Action) -> Answer<Opened> {
        let Leave {
            permit,
            kept,
            vault,
            opener,
            granted,
            actor,
            copy,
        } = self;
        let recording = permit.recording();
        let fault = match vault.open(permit, kept, &opener, Timestamp::now()) {
            Ok(playback) => {
                return Answer::Done(Opened {
                    playback,
                    granted,
                    actor,
                    copy,
                });
            }
            Err(fault) => fault,
        };
        // What was disposed of since the leave is not damaged.
        let fault = match desk.standing(recording) {
            Some((_, RecordingState::Disposed)) => OpenFault::Expired,
            Some(_) | None => fault,
        };
        let event = not_heard(action, recording, granted, &fault);
        desk.audit(AuditDraft { actor, event });
        if let Some(copy) = copy {
            let how = Destruction::Removed;
            desk.track(Fact::Copy(CopyFact::Destroyed { copy, how }));
        }
        not_opened(&fault)
    }
}

/// The entry of what was granted and then could not be opened.
fn not_heard(
    action: Action,
    recording: RecordingId,
    granted: u64,
    fault: &OpenFault,
) -> AuditEvent {
    match action {
        Action::Listen => AuditEvent::PlaybackEnded {
            recording,
            granted,
            range_ms: (0, 0),
            cut: playback::cut_by(fault),
        },
        _ => AuditEvent::ExportFailed {
            recording,
            granted,
            cause: export_cause(fault),
            range_ms: Some((0, 0)),
        },
    }
}

fn not_opened(fault: &OpenFault) -> Answer<Opened> {
    match fault {
        OpenFault::Awaited { .. } => Answer::Unavailable(Message::new(
            "この録音の音声は、バックアップからの復元を待っています。",
            fault.to_string(),
        )),
        OpenFault::Key(_) => Answer::Unavailable(Message::new(
            "鍵を使えないため、録音を開けません。",
            fault.to_string(),
        )),
        _ => voice::broken_off(fault, "録音を開けません。"),
    }
}
