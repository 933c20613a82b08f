//! What the office does with the heads of both chains: it signs them each hour, at the end, and whenever somebody asks.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use rules::{Actor, AlarmCode, AuditDraft, AuditEvent, Chain, Digest};
use serde::{Deserialize, Serialize};
use storage::{AuditFault, Heads, SignFault, SignedHead, Signing, verifier_keys};

use super::owner::Owner;
use crate::duty::{Answer, Message};

/// How often heads are signed.
const EACH: Duration = Duration::from_secs(3600);

/// What is asked of the trail.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum TrailRequest {
    /// The head of each of these chains.
    Heads { chains: Vec<Chain> },
    /// A new key, which the old one names; both heads are signed with it.
    ChangeKey,
    /// To write down that so many entries were written to a file.
    Exported { entries: u64, sha256: Digest },
}

/// The signed notes that were asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct TrailDone {
    pub(crate) notes: Vec<String>,
}

impl Owner {
    /// Signs heads when an hour has gone by. What is wrong with them is told, and an alarm where entries are not those that were signed.
    pub(super) fn look_after_heads(&mut self) {
        if Instant::now() >= self.heads_again {
            self.heads_again = Instant::now() + EACH;
            self.sign_all();
        }
    }

    /// Signs the head of each chain as far as it can.
    pub(super) fn sign_all(&mut self) {
        let mut is_sound = true;
        for chain in [Chain::Calls, Chain::Office] {
            if let Err(fault) = self.sign(chain) {
                self.tell_of_heads(&fault);
                is_sound = false;
            }
        }
        if is_sound {
            self.note::<(), SignFault>(AlarmCode::AuditAltered, Ok(()));
        }
    }

    /// Does what somebody asked of the trail.
    pub(super) fn trail_asked(
        &mut self,
        request: &TrailRequest,
        unix_user: &str,
    ) -> Answer<TrailDone> {
        match request {
            TrailRequest::Heads { chains } => self.heads_asked(chains),
            TrailRequest::ChangeKey => match self.change_key(unix_user) {
                Ok(()) => self.heads_asked(&[Chain::Calls, Chain::Office]),
                Err(fault) => not_signed(&fault),
            },
            TrailRequest::Exported { entries, sha256 } => {
                let event = AuditEvent::AuditExported {
                    entries: *entries,
                    sha256: *sha256,
                };
                match self.audit(by(unix_user, event)) {
                    Some(_) => Answer::Done(TrailDone { notes: Vec::new() }),
                    None => Answer::Unavailable(Message::new(
                        "証跡に記録できないため、書き出しません。",
                        "the export cannot be written into the audit trail",
                    )),
                }
            }
        }
    }

    fn heads_asked(&mut self, chains: &[Chain]) -> Answer<TrailDone> {
        let signed: Result<Vec<SignedHead>, SignFault> =
            chains.iter().map(|chain| self.sign(*chain)).collect();
        match signed {
            Ok(heads) => Answer::Done(TrailDone {
                notes: heads.iter().map(|head| head.note().to_string()).collect(),
            }),
            Err(fault) => {
                self.tell_of_heads(&fault);
                not_signed(&fault)
            }
        }
    }

    /// Makes a new key. Cut off anywhere, the next one who opens it finds the old key or the new one.
    fn change_key(&mut self, unix_user: &str) -> Result<(), SignFault> {
        let mut signing = match self.signing.take() {
            Some(signing) => signing,
            None => self.open_signing()?,
        };
        signing.change(&self.disk, &self.layout, Timestamp::now())?;
        // It is changed whether or not this can be written down; the log tells of a trail that cannot.
        self.audit(by(unix_user, made(&signing)));
        self.signing = Some(signing);
        Ok(())
    }

    fn sign(&mut self, chain: Chain) -> Result<SignedHead, SignFault> {
        let signing = match self.signing.take() {
            Some(signing) => signing,
            None => self.open_signing()?,
        };
        let heads = Heads::new(self.disk.clone(), &self.layout);
        let signed = heads.sign(chain.into(), signing.key());
        self.signing = Some(signing);
        signed
    }

    /// Opens the key that signs; the first one is made here, and written down.
    pub(super) fn open_signing(&mut self) -> Result<Signing, SignFault> {
        let known = verifier_keys(&*self.disk, &self.layout)?.len();
        let signing = Signing::open(&self.disk, &self.layout, Timestamp::now())?;
        if known == 0 {
            // It is there whether or not this can be written down.
            self.audit(AuditDraft::system(made(&signing)));
        }
        Ok(signing)
    }

    fn tell_of_heads(&mut self, fault: &SignFault) {
        let code = match fault {
            SignFault::Altered { .. }
            | SignFault::LastHead { .. }
            | SignFault::Audit(AuditFault::Broken(_)) => AlarmCode::AuditAltered,
            _ => AlarmCode::AuditUnavailable,
        };
        let is_news = !self.is_told(code);
        self.note::<(), _>(code, Err(fault));
        if is_news && code == AlarmCode::AuditAltered {
            let event = AuditEvent::AlarmRaised { code, call: None };
            self.audit(AuditDraft::system(event));
        }
    }
}

/// What the trail says of a key that was made.
pub(super) fn made(signing: &Signing) -> AuditEvent {
    AuditEvent::SigningKeyMade {
        generation: signing.generation(),
        sha256: signing.key().verifier_key().sha256(),
    }
}

fn by(unix_user: &str, event: AuditEvent) -> AuditDraft {
    let actor = Actor::Person {
        unix_user: unix_user.to_owned(),
        person: None,
    };
    AuditDraft { actor, event }
}

fn not_signed(fault: &SignFault) -> Answer<TrailDone> {
    match fault {
        SignFault::Altered { .. }
        | SignFault::LastHead { .. }
        | SignFault::Audit(AuditFault::Broken(_)) => Answer::Unverified(Message::coded(
            AlarmCode::AuditAltered.code(),
            "証跡が、以前に署名した時の内容と一致しません。署名しません。",
            fault.to_string(),
        )),
        _ => Answer::Unavailable(Message::new(
            "証跡または署名鍵を使えないため、署名できません。",
            fault.to_string(),
        )),
    }
}
