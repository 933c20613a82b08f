//! What the office does with the heads of both chains: it signs them each hour, at the end, and whenever somebody asks.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use rules::{
    Action, Actor, AlarmCode, AuditDraft, AuditEvent, Chain, DayNotCounted, Refusal, Statement,
};
use serde::{Deserialize, Serialize};
use storage::{
    AuditFault, Duty, Heads, SignFault, SignedHead, Signing, SigningKey, sha256_of, sign_statement,
    verifier_keys,
};

use super::{owner::Owner, people::Caller};
use crate::{
    duty::{Answer, Ending, Message},
    people,
    proof::{Asker, Proof},
};

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
            if let Err(fault) = self.sign_with(chain, Heads::sign) {
                self.tell_of_heads(&fault);
                is_sound = false;
            }
        }
        if is_sound {
            self.note::<(), SignFault>(AlarmCode::AuditAltered, Ok(()));
        }
    }

    /// Does what somebody asked of the trail.
    pub(super) async fn trail_asked(
        &mut self,
        request: &TrailRequest,
        proof: &Proof,
        asker: &Asker,
    ) -> Result<TrailDone, Ending> {
        let now = Timestamp::now();
        let chains = match request {
            // A head tells of no entry, and whoever keeps it outside need not be a person.
            TrailRequest::Heads { chains } => {
                let nobody = Caller {
                    proved: None,
                    asker,
                };
                self.allow(&nobody, Action::SignHeads, now).await?;
                chains.clone()
            }
            TrailRequest::ChangeKey => {
                let proved = self.prove(proof, asker, now).await?;
                let proved = proved.as_ref();
                let caller = Caller { proved, asker };
                let action = Action::RotateKeys;
                self.allow(&caller, action, now).await?;
                self.write_down(&caller, AuditEvent::KeysBegun { action })?;
                let changed = self.change_key(&caller);
                changed.map_err(|fault| not_signed(&fault))?;
                vec![Chain::Calls, Chain::Office]
            }
        };
        let signed: Result<Vec<SignedHead>, SignFault> = chains
            .iter()
            .map(|chain| self.sign_with(*chain, Heads::sign_asked))
            .collect();
        match signed {
            Ok(heads) => Ok(TrailDone {
                notes: heads.iter().map(|head| head.note().to_string()).collect(),
            }),
            Err(fault) => {
                self.tell_of_heads(&fault);
                Err(not_signed(&fault))
            }
        }
    }

    /// Signs a statement for the public, once it is written down that it is.
    pub(super) async fn sign_statement(
        &mut self,
        statement: &Statement,
        actor: Actor,
    ) -> Result<String, Ending> {
        self.take_in().await;
        let living = self.days_to_reconcile().await?;
        statement.check_days(&living).map_err(|fault| {
            let DayNotCounted(day) = fault;
            let ja = format!("{day} の集計が済んでいません。denwaban run を動かすと集計します。");
            Answer::Failed(Message::new(ja, fault.to_string()))
        })?;
        let unusable = |fault: String| {
            Answer::Unavailable(Message::new(
                "署名鍵を使えないため、署名できません。",
                fault,
            ))
        };
        let signing = match self.signing.take() {
            Some(signing) => signing,
            None => self
                .open_signing()
                .map_err(|fault| unusable(fault.to_string()))?,
        };
        let note = sign_statement(statement, signing.key());
        self.signing = Some(signing);
        let note = note
            .map_err(|fault| unusable(fault.to_string()))?
            .to_string();
        let event = AuditEvent::StatementSigned {
            month: statement.month,
            sha256: sha256_of(note.as_bytes()),
            policy: Some(self.policy),
        };
        match self.audit(AuditDraft { actor, event }) {
            Some(_) => Ok(note),
            None => Err(Answer::Unavailable(people::message(
                &Refusal::audit_unavailable(),
            ))),
        }
    }

    /// Makes a new key. Cut off anywhere, the next one who opens it finds the old key or the new one.
    fn change_key(&mut self, caller: &Caller<'_>) -> Result<(), SignFault> {
        let mut signing = match self.signing.take() {
            Some(signing) => signing,
            None => self.open_signing()?,
        };
        signing.change(&self.disk, &self.layout, Timestamp::now())?;
        let actor = caller.petitioner().actor();
        let event = made(&signing);
        // It is changed whether or not this can be written down; that it was begun is.
        self.audit(AuditDraft { actor, event });
        self.signing = Some(signing);
        Ok(())
    }

    /// `sign`: for the clock, or for whoever asks.
    fn sign_with(
        &mut self,
        chain: Chain,
        sign: impl Fn(&Heads, Duty, &SigningKey) -> Result<SignedHead, SignFault>,
    ) -> Result<SignedHead, SignFault> {
        let signing = match self.signing.take() {
            Some(signing) => signing,
            None => self.open_signing()?,
        };
        let heads = Heads::new(self.disk.clone(), &self.layout);
        let signed = sign(&heads, chain.into(), signing.key());
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
            let event = AuditEvent::alarm(code);
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

fn not_signed(fault: &SignFault) -> Ending {
    match fault {
        SignFault::Altered { .. }
        | SignFault::LastHead { .. }
        | SignFault::Audit(AuditFault::Broken(_)) => Answer::Unverified(Message::coded(
            AlarmCode::AuditAltered.code(),
            "証跡が、以前に署名した時の内容と一致しません。署名しません。audit verify で箇所を確かめ、ファイルを消さずに証拠として保全し、管理責任者と監査に知らせてください。",
            fault.to_string(),
        )),
        _ => Answer::Unavailable(Message::new(
            "証跡または署名鍵を使えないため、署名できません。",
            fault.to_string(),
        )),
    }
}
