//! What the office does with the keys: makes them ahead, rotates the root daily, sees that mirrors follow.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use rules::{
    Action, AlarmCode, AuditDraft, AuditEvent, DecisionId, Fact, JstDay, Missing, Subject,
};
use serde::{Deserialize, Serialize};
use storage::{Group, KeyFault, Keys, TextKind, Vault};

use super::{
    cases::random_id,
    owner::Owner,
    people::{Caller, with},
};
use crate::{
    duty::{Answer, Ending, Message},
    proof::{Asker, Proof},
    said::{Said, Words},
};

/// How often a mirror that has not followed is tried again: its volume is mounted by a person.
const MIRRORS_AGAIN: Duration = Duration::from_secs(30);

/// What is asked of the keys.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum KeysRequest {
    /// A new root, under which old key stores open nothing.
    Rotate,
    /// Every mirror written, new ones too.
    Mirror,
    /// No mirror waited for any more that the configuration names no more.
    EndMirror {
        mirror: PathBuf,
        #[serde(default)]
        decision: Said<Words>,
    },
    /// Root and key store made anew from a mirror.
    Recover { from: PathBuf },
}

impl KeysRequest {
    fn action(&self) -> Action {
        match self {
            KeysRequest::Rotate => Action::RotateKeys,
            KeysRequest::Mirror => Action::MirrorKeys,
            KeysRequest::EndMirror { .. } => Action::EndMirror,
            KeysRequest::Recover { .. } => Action::RecoverKeys,
        }
    }
}

/// How the keys stand afterwards.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct KeysDone {
    pub(crate) generation: u32,
    /// Mirrors that have not followed, each with the reason.
    pub(crate) behind: Vec<(PathBuf, String)>,
}

impl Owner {
    /// Makes pairs ahead, and rotates the root once a day, so that old copies of the store open nothing.
    pub(super) fn look_after_keys(&mut self, now: Timestamp) {
        let today = JstDay::of(now);
        if self.day == Some(today) && self.keys.is_some() {
            return self.look_after_mirrors();
        }
        let Some(mut keys) = self.open_keys() else {
            return;
        };
        let before: BTreeSet<Group> = keys.groups().collect();
        // The first version did not write down when it rotated.
        let is_due = keys
            .rooted_at()
            .is_none_or(|rooted| JstDay::of(rooted) < today);
        let made = keys.make_ahead(now).and_then(|()| match is_due {
            true => keys.rotate(now),
            false => Ok(()),
        });
        let mut drafts = keys_made(&before, &keys, &self.vault);
        if made.is_ok() && is_due {
            drafts.push(AuditDraft::system(rotated(&keys, today)));
        }
        if self.note(AlarmCode::KeyUnavailable, made).is_some() {
            self.tell_mirrors(&keys);
            self.keys = Some(keys);
            self.day = Some(today);
        }
        for draft in drafts {
            // The keys are there whether or not this can be written down.
            self.audit(draft);
        }
    }

    /// Tries mirrors again that have not followed.
    fn look_after_mirrors(&mut self) {
        if Instant::now() < self.mirrors_again {
            return;
        }
        self.mirrors_again = Instant::now() + MIRRORS_AGAIN;
        let Some(mut keys) = self.keys.take() else {
            return;
        };
        if keys.mirrors_behind().next().is_some() {
            let followed = keys.follow_again();
            self.tell_mirrors(&keys);
            if self.note(AlarmCode::KeyUnavailable, followed).is_none() {
                return;
            }
        }
        self.keys = Some(keys);
    }

    fn tell_mirrors(&mut self, keys: &Keys) {
        let behind = keys.mirrors_behind().map(|(_, fault)| fault.to_string());
        let behind: Vec<String> = behind.collect();
        let outcome = match behind.is_empty() {
            true => Ok(()),
            false => Err(behind.join("; ")),
        };
        self.note(AlarmCode::MirrorBehind, outcome);
    }

    pub(super) fn open_keys(&mut self) -> Option<Keys> {
        if let Some(keys) = self.keys.take() {
            return Some(keys);
        }
        let opened = Keys::open(Arc::clone(&self.disk), &self.layout);
        self.note(AlarmCode::KeyUnavailable, opened)
    }

    /// Does what somebody asked of the keys.
    pub(super) async fn keys_asked(
        &mut self,
        request: &KeysRequest,
        proof: &Proof,
        asker: &Asker,
    ) -> Result<KeysDone, Ending> {
        let now = Timestamp::now();
        let proved = self.prove(proof, asker, now).await?;
        let proved = proved.as_ref();
        let caller = Caller { proved, asker };
        let action = request.action();
        self.allow(&caller, action, now).await?;
        match request {
            KeysRequest::EndMirror { mirror, decision } => {
                self.decide_end(&caller, mirror, decision, now).await?;
            }
            KeysRequest::Rotate | KeysRequest::Mirror | KeysRequest::Recover { .. } => {
                self.write_down(&caller, AuditEvent::KeysBegun { action })?;
            }
        }
        let (event, done) = self.do_with_keys(request, now)?;
        let actor = caller.petitioner().actor();
        // It is done whether or not that can be written down; that it was begun is.
        self.audit(AuditDraft { actor, event });
        Ok(done)
    }

    /// Records that nobody waits for a mirror any more; the keys follow.
    async fn decide_end(
        &mut self,
        caller: &Caller<'_>,
        mirror: &Path,
        decision: &Said<Words>,
        now: Timestamp,
    ) -> Result<(), Ending> {
        let action = Action::EndMirror;
        let decision = self
            .demand(caller, action, Missing::Decision, decision.clone(), now)
            .await?;
        let opened = match self.keys.take() {
            Some(keys) => Ok(keys),
            None => Keys::open(Arc::clone(&self.disk), &self.layout),
        };
        let checked = opened.and_then(|keys| {
            let checked = keys.check_end(mirror);
            self.keys = Some(keys);
            checked
        });
        checked.map_err(|fault| not_done(&fault))?;
        let id = DecisionId::new(now, random_id()?);
        let about = Subject::Decision(id);
        let (sealed, text) = self.seal_text(about, TextKind::Reason, decision.text(), now)?;
        let fact = Fact::MirrorEnded {
            mirror: mirror.display().to_string(),
            decision: id,
            text,
        };
        self.record(caller, fact, with(vec![sealed]), now)
            .await
            .map(drop)
    }

    fn do_with_keys(
        &mut self,
        request: &KeysRequest,
        now: Timestamp,
    ) -> Result<(AuditEvent, KeysDone), Ending> {
        let opened = match request {
            KeysRequest::Recover { from } => {
                self.keys = None;
                Keys::recover(Arc::clone(&self.disk), &self.layout, from, now)
            }
            KeysRequest::Rotate | KeysRequest::Mirror | KeysRequest::EndMirror { .. } => {
                match (self.keys.take(), request) {
                    (Some(keys), _) => Ok(keys),
                    // A person gives up what an old copy lacks; no clock does.
                    (None, KeysRequest::Rotate) => {
                        Keys::open_old(Arc::clone(&self.disk), &self.layout)
                    }
                    (None, _) => Keys::open(Arc::clone(&self.disk), &self.layout),
                }
            }
        };
        let done = opened.and_then(|mut keys| {
            match request {
                KeysRequest::Rotate => keys.rotate(now)?,
                KeysRequest::Mirror => keys.mirror()?,
                KeysRequest::EndMirror { mirror, .. } => keys.end_mirror(mirror)?,
                KeysRequest::Recover { .. } => {}
            }
            Ok(keys)
        });
        let keys = done.map_err(|fault| not_done(&fault))?;
        let generation = u64::from(keys.root_generation());
        let (mirrors, behind) = (keys.mirrors().count(), keys.mirrors_behind().count());
        let event = match request {
            KeysRequest::Rotate => rotated(&keys, JstDay::of(now)),
            KeysRequest::Mirror | KeysRequest::EndMirror { .. } => AuditEvent::KeysMirrored {
                generation,
                current: (mirrors - behind) as u64,
                behind: behind as u64,
            },
            KeysRequest::Recover { .. } => AuditEvent::KeysRecovered { generation },
        };
        let behind = keys.mirrors_behind();
        let behind = behind.map(|(folder, fault)| (folder.to_owned(), fault.to_string()));
        let done = KeysDone {
            generation: keys.root_generation(),
            behind: behind.collect(),
        };
        self.tell_mirrors(&keys);
        self.keys = Some(keys);
        Ok((event, done))
    }
}

fn rotated(keys: &Keys, day: JstDay) -> AuditEvent {
    AuditEvent::KeysRotated {
        day,
        generation: u64::from(keys.root_generation()),
        wrapped: keys.groups().count() as u64,
    }
}

/// What the trail says of pairs that were made.
pub(super) fn keys_made(before: &BTreeSet<Group>, keys: &Keys, vault: &Vault) -> Vec<AuditDraft> {
    let fresh = keys.groups().filter(|group| !before.contains(group));
    fresh
        .filter_map(|group| match group {
            Group::Day(day) => Some(AuditDraft::system(AuditEvent::KeysMade {
                day,
                expires_at: vault.policy_expiry(day),
            })),
            Group::Case(_) | Group::Register(_) => None,
        })
        .collect()
}

fn not_done(fault: &KeyFault) -> Ending {
    match fault {
        KeyFault::NothingLost { .. } => Answer::Failed(Message::new(
            "鍵は失われておらず、写しの鍵も新しくありません。何も変更しませんでした。",
            fault.to_string(),
        )),
        KeyFault::TrailNewer { .. } => Answer::Unavailable(Message::new(
            "証跡は、鍵の根のより新しい世代を伝えています。鍵束と鍵の根は古い写しから戻されたものです。何も変更しませんでした。keys recover --from で写しから取り込んでください。新しい写しが残っていなければ keys rotate で、その後に作られた鍵をあきらめます。",
            fault.to_string(),
        )),
        KeyFault::MirrorNewer { .. } => Answer::Unavailable(Message::new(
            "鍵の写しのほうが新しく、鍵束と鍵の根は古い写しから戻されたものです。何も変更しませんでした。keys recover --from で新しい写しから取り込んでください。",
            fault.to_string(),
        )),
        KeyFault::MirrorUnread { .. } => Answer::Unavailable(Message::new(
            "証跡は、この写しより新しい鍵の根を伝えており、別の写しを読めません。何も変更しませんでした。そのボリュームをマウントしてそこから取り込むか、失われているなら [keys] mirrors から外してください。",
            fault.to_string(),
        )),
        KeyFault::MirrorConfigured { .. } | KeyFault::NoMirror { .. } => {
            Answer::Failed(Message::new(
                "この写しは終了できません。何も変更しませんでした。",
                fault.to_string(),
            ))
        }
        _ => Answer::Unavailable(Message::new("鍵を使えません。", fault.to_string())),
    }
}
