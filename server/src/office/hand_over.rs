//! Hand-overs at the office: judged, written down, recorded, and only then a package leaves (K-19, K-20).

mod asked;
mod view;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::Timestamp;
use rules::{
    Action, Contents, CopyId, Destination, Fact, HandOver, HandOverFact, HandOverId,
    HandOverPermit, Heard, JstDay, Label, Missing, PackageForm, Petitioner, Proved, RecordingId,
    Refusal, Register, RegisterFault, Subject,
};
use storage::{
    Attachments, Kept, Manifest, OpenFault, PackageKey, Passphrase, ReceiptCode, SecretFault,
    Signing, TextKind,
};

use super::{
    Desk, Job, ended,
    owner::{Owner, no_recording},
    people::Caller,
    people::no_randomness,
};
use crate::{
    duty::{Answer, Ending, Message},
    hand_over::{HandOverAsk, HandOverTold, HandOverView, PackageWish, Packed, Packing},
    people::{self, Told},
    proof::{Asker, Proof, Secret},
    wording::Wording,
};

impl Desk {
    /// Asks something about hand-overs.
    pub(crate) fn hand_over(
        &self,
        ask: HandOverAsk,
        proof: Proof,
        asker: Asker,
    ) -> Answer<HandOverTold> {
        self.ask(|answer| Job::HandOver {
            ask,
            proof,
            asker,
            answer,
        })
        .unwrap_or_else(ended)
    }

    /// Asks to make a package. Its entry is durable when the answer comes.
    pub(crate) fn begin_package(&self, wish: PackageWish, asker: Asker) -> Answer<Box<Packing>> {
        self.ask(|answer| Job::BeginPackage {
            wish,
            asker,
            answer,
        })
        .unwrap_or_else(ended)
    }

    /// Writes down that a package is whole.
    pub(crate) fn end_package(&self, packed: Packed, asker: Asker) -> Answer<()> {
        self.ask(|answer| Job::EndPackage {
            packed: Box::new(packed),
            asker,
            answer,
        })
        .unwrap_or_else(ended)
    }

    /// Signs a text in the installation's name.
    pub(crate) fn sign(&self, text: String) -> Option<String> {
        self.ask(|answer| Job::Sign { text, answer }).flatten()
    }

    /// Records what the service saw by itself; `false` if it is not recorded.
    pub(crate) fn track(&self, fact: Fact) -> bool {
        self.ask(|answer| Job::Track {
            fact: Box::new(fact),
            answer,
        })
        .unwrap_or(false)
    }
}

impl Owner {
    pub(super) async fn attend_hand_over(
        &mut self,
        ask: HandOverAsk,
        proof: &Proof,
        asker: &Asker,
    ) -> Result<HandOverTold, Ending> {
        self.take_in().await;
        let now = Timestamp::now();
        let proved = self.prove(proof, asker, now).await?;
        let caller = Caller {
            proved: proved.as_ref(),
            asker,
        };
        let fact = match ask {
            HandOverAsk::List => return self.list_hand_overs(&caller, now).await,
            HandOverAsk::Request(wish) => return self.request(&caller, wish, now).await,
            HandOverAsk::Passphrase { hand_over } => {
                return self.show_passphrase(&caller, hand_over, now).await;
            }
            HandOverAsk::Decide {
                hand_over,
                verdict,
                reason,
                masks,
            } => {
                let action = Action::DecideHandOver;
                let reason = self
                    .demand(&caller, action, Missing::Reason, reason, now)
                    .await?;
                let about = Subject::HandOver(hand_over);
                let (text, reason) = self.seal_text(about, TextKind::Reason, reason.text(), now)?;
                let fact = HandOverFact::Decided {
                    hand_over,
                    verdict,
                    reason,
                    masks,
                };
                self.check_masks(&caller, &fact, now).await?;
                return self.step(&caller, fact, Attachments::of(text), now).await;
            }
            HandOverAsk::Give {
                hand_over,
                receiver,
            } => {
                let (action, missing) = (Action::GiveHandOver, Missing::Particulars);
                let receiver = self.demand(&caller, action, missing, receiver, now).await?;
                let about = Subject::HandOver(hand_over);
                let (text, receiver) =
                    self.seal_text(about, TextKind::Receiver, receiver.text(), now)?;
                let fact = HandOverFact::Given {
                    hand_over,
                    receiver,
                };
                return self.step(&caller, fact, Attachments::of(text), now).await;
            }
            HandOverAsk::Receive { hand_over, code } => HandOverFact::Received {
                hand_over,
                code: ReceiptCode::told(code.text()).digest(hand_over),
            },
            HandOverAsk::Return { hand_over } => HandOverFact::Returned { hand_over },
            HandOverAsk::Destroyed {
                hand_over,
                certificate,
            } => {
                let fact = HandOverFact::Destroyed {
                    hand_over,
                    certificate,
                };
                let register = self.register().await?;
                let copy = register.hand_over(hand_over).and_then(HandOver::copy);
                self.certify(&caller, copy, Fact::HandOver(fact), now)
                    .await?;
                self.forget_passphrases(now).await;
                return Ok(HandOverTold::Done);
            }
            HandOverAsk::Close { hand_over } => HandOverFact::Closed { hand_over },
        };
        self.step(&caller, fact, Attachments::default(), now).await
    }

    /// Refuses what would silence nothing, as far as the rows know how long the recordings are; their package knows it of all.
    ///
    /// Whoever may not decide is not told how long they are: the record says why.
    async fn check_masks(
        &mut self,
        caller: &Caller<'_>,
        fact: &HandOverFact,
        now: Timestamp,
    ) -> Result<(), Ending> {
        let register = self.register().await?;
        let judged = register.request(&caller.petitioner(), Fact::HandOver(fact.clone()), now);
        let (Ok(Some(_)), HandOverFact::Decided { masks, .. }) = (judged, fact) else {
            return Ok(());
        };
        let known = register.hand_over(fact.hand_over());
        for recording in known.iter().flat_map(|known| &known.wish().items) {
            let row = self.find(*recording).await?;
            if let Some(length_ms) = row.and_then(|call| call.duration_ms) {
                let silenced = masks.within(*recording, length_ms);
                silenced.map_err(|beyond| people::not_recorded(&beyond.into()))?;
            }
        }
        Ok(())
    }

    async fn step(
        &mut self,
        caller: &Caller<'_>,
        fact: HandOverFact,
        attachments: Attachments,
        now: Timestamp,
    ) -> Result<HandOverTold, Ending> {
        self.record(caller, Fact::HandOver(fact), |_| Ok(attachments), now)
            .await?;
        self.forget_passphrases(now).await;
        Ok(HandOverTold::Done)
    }

    /// Judges whoever asks before it is told what there is.
    async fn judge_first(
        &mut self,
        caller: &Caller<'_>,
        action: Action,
        now: Timestamp,
    ) -> Result<Arc<Register>, Ending> {
        let register = self.register().await?;
        let judged = register.judge_asker(&caller.petitioner(), action, now);
        judged.map_err(|refusal| self.refuse(caller, action, &refusal.into()))?;
        Ok(register)
    }

    /// The recordings, as far as a right depends on them.
    async fn look_up(
        &mut self,
        recordings: impl IntoIterator<Item = &RecordingId>,
    ) -> Result<Vec<Heard>, Ending> {
        Ok(self.look_up_kept(recordings).await?.0)
    }

    /// The same, and the day of each.
    async fn look_up_days(
        &mut self,
        recordings: impl IntoIterator<Item = &RecordingId>,
    ) -> Result<(Vec<Heard>, BTreeMap<RecordingId, JstDay>), Ending> {
        let (heard, kept) = self.look_up_kept(recordings).await?;
        let days = kept.into_iter();
        let days = days.map(|(recording, kept)| (recording, kept.day));
        Ok((heard, days.collect()))
    }

    /// The same, and what the row says of each.
    async fn look_up_kept(
        &mut self,
        recordings: impl IntoIterator<Item = &RecordingId>,
    ) -> Result<(Vec<Heard>, BTreeMap<RecordingId, Kept>), Ending> {
        let (mut heard, mut kept) = (Vec::new(), BTreeMap::new());
        for recording in recordings {
            let call = self.find(*recording).await?;
            let call = call.ok_or_else(|| no_recording(*recording))?;
            heard.push(self.heard(*recording, &call));
            kept.insert(*recording, Kept::from(&call));
        }
        Ok((heard, kept))
    }

    pub(super) fn dice(&self) -> Result<u128, Ending> {
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(|fault| no_randomness(&fault))?;
        Ok(u128::from_be_bytes(random))
    }

    /// It is opened, the entry is durable, and it is forgotten, before it is shown: a fault on the way loses none that nobody has seen.
    async fn show_passphrase(
        &mut self,
        caller: &Caller<'_>,
        hand_over: HandOverId,
        now: Timestamp,
    ) -> Result<HandOverTold, Ending> {
        let register = self
            .judge_first(caller, Action::ShowPassphrase, now)
            .await?;
        let kept = self
            .rows(async |catalogue| catalogue.kept_passphrase(hand_over).await)
            .await?;
        let package = register.hand_over(hand_over).and_then(HandOver::package);
        let items: BTreeSet<RecordingId> = package.map_or_else(BTreeSet::new, |package| {
            package.contents.items.keys().copied().collect()
        });
        let (_, days) = self.look_up_days(&items).await?;
        let opened = kept.and_then(|kept| {
            let opened = self.opener.open_passphrase(&self.vault, &kept, &days);
            opened.ok()
        });
        let fact = HandOverFact::PassphraseShown { hand_over };
        self.step(caller, fact, Attachments::default(), now).await?;
        opened
            .map(|passphrase| HandOverTold::Passphrase(Secret::new(passphrase.text().to_owned())))
            .ok_or_else(|| {
                Answer::Unavailable(Message::new(
                    "パスフレーズを開けません。もう一度包みを作ってください。",
                    "the passphrase cannot be opened; record the package as destroyed and hand over anew",
                ))
            })
    }

    /// Forgets the passphrases that nobody may see any more. What cannot be forgotten now is by the next step or sweep; no step fails for it.
    pub(super) async fn forget_passphrases(&mut self, now: Timestamp) {
        let forgotten = match self.register().await {
            Ok(register) => {
                let kept = register.kept_passphrases(now);
                self.rows(async |catalogue| catalogue.keep_passphrases_of(&kept).await)
                    .await
            }
            Err(ending) => Err(ending),
        };
        if forgotten.is_err() {
            tracing::warn!(
                "passphrases that nobody may see any more are still kept; the next sweep forgets them"
            );
        }
    }

    pub(super) async fn begin_package(
        &mut self,
        wish: PackageWish,
        asker: &Asker,
    ) -> Result<Box<Packing>, Ending> {
        self.take_in().await;
        let now = Timestamp::now();
        let proved = self.prove(&wish.proof, asker, now).await?;
        let caller = Caller {
            proved: proved.as_ref(),
            asker,
        };
        let register = self.judge_first(&caller, Action::Package, now).await?;
        let hand_over = wish.hand_over;
        let known = register
            .hand_over(hand_over)
            .ok_or_else(|| people::not_recorded(&RegisterFault::NoSuchHandOver(hand_over)))?;
        let (heard, kept) = self.look_up_kept(&known.wish().items).await?;
        let destroy_by = register
            .package_destroy_by(hand_over, &heard, now)
            .map_err(|fault| people::not_recorded(&fault))?;
        let copy = CopyId::new(now, self.dice()?);
        let (text, place) = self.seal_place(copy, &wish.place, now)?;
        let fact = Fact::HandOver(HandOverFact::PackageBegun {
            hand_over,
            copy,
            form: wish.form,
            destroy_by,
            place: Some(place),
        });
        let asked = register.request_with(&caller.petitioner(), fact, &heard, now);
        let grant = asked.map_err(|fault| self.refuse(&caller, Action::Package, &fault))?;
        let (Some(grant), Some(proved)) = (grant, proved) else {
            return Err(Answer::Refused(people::message(&Refusal::nobody())));
        };
        let lock = lock_of(&register, known, wish.form)?;
        let code = ReceiptCode::random().map_err(|fault| no_randomness(&fault))?;
        let medium = self.medium_of(hand_over, known).await?;
        let medium = medium.ok_or_else(no_medium)?;
        let manifest = manifest_of(
            hand_over,
            known,
            medium.to_string(),
            &proved,
            destroy_by,
            now,
        );
        let text = Attachments::of(text);
        let after = self.last_entry()?;
        let ahead = self
            .rows(async |catalogue| catalogue.keep_ahead(&grant, text, after).await)
            .await?;
        let receipt = self
            .audit(grant.entry().clone())
            .ok_or_else(|| Answer::Unavailable(people::message(&Refusal::audit_unavailable())))?;
        let (recorded, permit) = HandOverPermit::issue(&register, grant, receipt, heard, now)
            .map_err(|refusal| Answer::Unavailable(people::message(&refusal)))?;
        self.rows(async |catalogue| catalogue.record(recorded, ahead).await)
            .await?;
        Ok(Box::new(Packing {
            permit,
            proved,
            kept,
            vault: Arc::clone(&self.vault),
            opener: self.opener.clone(),
            lock,
            code,
            manifest,
        }))
    }

    pub(super) async fn end_package(
        &mut self,
        packed: Packed,
        asker: &Asker,
    ) -> Result<(), Ending> {
        let now = Timestamp::now();
        let Packed {
            proved,
            hand_over,
            copy,
            contents,
            passphrase,
        } = packed;
        let caller = Caller {
            proved: Some(&proved),
            asker,
        };
        let (heard, days) = self.look_up_days(contents.items.keys()).await?;
        let attach = |office: &Owner| {
            let keep = |passphrase: Passphrase| {
                let (opener, vault) = (&office.opener, &office.vault);
                opener.keep_passphrase(vault, hand_over, &days, &passphrase)
            };
            let passphrase = passphrase.map(keep).transpose();
            Ok(Attachments {
                passphrase: passphrase.map_err(|fault| not_kept(&fault))?,
                ..Attachments::default()
            })
        };
        let fact = packaged(hand_over, copy, contents);
        self.record_about(&caller, fact, &heard, attach, now)
            .await
            .map(|_: Told| ())
    }

    /// Signs a text in the installation's name.
    pub(super) fn sign_text(&mut self, text: String) -> Option<String> {
        if self.signing.is_none() {
            match self.open_signing() {
                Ok(signing) => self.signing = Some(signing),
                Err(fault) => tracing::error!(%fault, "no manifest can be signed"),
            }
        }
        let key = self.signing.as_ref().map(Signing::key)?;
        match key.sign_note(text) {
            Ok(note) => Some(note.to_string()),
            Err(fault) => {
                tracing::error!(%fault, "a manifest cannot be signed");
                None
            }
        }
    }

    /// Records what the service saw by itself.
    pub(super) async fn track(&mut self, fact: Fact) -> bool {
        let service = Petitioner::service();
        let nothing = |_: &Owner| Ok(Attachments::default());
        let now = Timestamp::now();
        let recorded = self.record_as(&service, fact, &[], nothing, now).await;
        recorded.is_ok()
    }

    async fn list_hand_overs(
        &mut self,
        caller: &Caller<'_>,
        now: Timestamp,
    ) -> Result<HandOverTold, Ending> {
        let register = self.register().await?;
        let own_unit = self.seen_unit(&register, caller, Action::ListHandOvers, now)?;
        let (mut views, mut numbers) = (Vec::new(), BTreeMap::<_, u64>::new());
        for (id, known) in register.hand_overs() {
            // Each unit has its own numbers, so that everybody sees the same.
            let number = numbers.entry(known.unit()).or_default();
            *number += 1;
            if own_unit.as_ref().is_some_and(|unit| known.unit() != unit) {
                continue;
            }
            let about = || Subject::HandOver(*id);
            let mut view = HandOverView::of(*id, *number, known, &register, now);
            view.medium = self.medium_of(*id, known).await?;
            view.addressee = self.text_of(about(), TextKind::Addressee).await?;
            view.receiver = self.text_of(about(), TextKind::Receiver).await?;
            if view.decided.is_some() {
                let reason = self.decision_text(&register, caller, about(), TextKind::Reason, now);
                view.reason = reason.await?;
            }
            views.push(view);
        }
        Ok(HandOverTold::List(views))
    }

    /// On what it is handed over.
    pub(super) async fn medium_of(
        &mut self,
        id: HandOverId,
        known: &HandOver,
    ) -> Result<Option<Wording>, Ending> {
        let (said, about) = (&known.wish().medium, Subject::HandOver(id));
        self.particular(said, &about, TextKind::Medium).await
    }

    /// The unit whose lists somebody is shown, once that is written down; `None` for an auditor, who sees all.
    pub(super) fn seen_unit(
        &mut self,
        register: &Register,
        caller: &Caller<'_>,
        action: Action,
        now: Timestamp,
    ) -> Result<Option<Label>, Ending> {
        self.show(caller, register, action, now)?;
        let person = register.person(caller.person()?);
        Ok(person
            .filter(|person| !person.role().sees_every_unit())
            .map(|person| person.unit().clone()))
    }
}

fn packaged(hand_over: HandOverId, copy: CopyId, contents: Contents) -> Fact {
    Fact::HandOver(HandOverFact::Packaged {
        hand_over,
        copy,
        contents,
    })
}

fn not_kept(fault: &OpenFault) -> Ending {
    Answer::Unavailable(Message::new(
        "パスフレーズを保管できません。包みを廃棄し、もう一度作ってください。",
        format!("the passphrase cannot be kept: {fault}; destroy the package and make it anew"),
    ))
}

/// A restore brought the fact without its text.
fn no_medium() -> Ending {
    Answer::Unavailable(Message::new(
        "この収受の媒体の記録が失われています。もう一度申請してください。",
        "on what this is handed over is not kept any more; request the hand-over anew",
    ))
}

/// How the package opens: the rules have seen that there is a key, or that none is needed.
fn lock_of(register: &Register, known: &HandOver, form: PackageForm) -> Result<PackageKey, Ending> {
    let recipient = match (form, &known.wish().to) {
        (PackageForm::Zip, _) => None,
        (PackageForm::Age, Destination::Contract { vendor, .. }) => register
            .vendors()
            .get(vendor)
            .map(|vendor| vendor.recipient().clone()),
        (PackageForm::Age, Destination::Request { recipient, .. }) => recipient.clone(),
    };
    match recipient {
        Some(recipient) => Ok(PackageKey::Recipient(recipient)),
        None => Passphrase::random()
            .map(PackageKey::Passphrase)
            .map_err(|fault: SecretFault| no_randomness(&fault)),
    }
}

fn manifest_of(
    hand_over: HandOverId,
    known: &HandOver,
    medium: String,
    packager: &Proved,
    destroy_by: Timestamp,
    now: Timestamp,
) -> Manifest {
    let wish = known.wish();
    let (under, receiver) = match &wish.to {
        Destination::Contract { vendor, contract } => {
            (format!("contract {contract}"), vendor.to_string())
        }
        Destination::Request { case, .. } => (format!("request {case}"), case.to_string()),
    };
    let decision = known
        .steps()
        .iter()
        .find(|step| matches!(step.fact, HandOverFact::Decided { .. }));
    let decided_by = decision.and_then(|step| step.by.clone());
    Manifest {
        hand_over,
        purpose: wish.purpose,
        under,
        giver: known.unit().to_string(),
        receiver,
        medium,
        requested_by: known.requested_by().clone(),
        // Whoever decided is a person; the rules let nobody else.
        decided_by: decided_by.unwrap_or_else(|| known.requested_by().clone()),
        decided_at: decision.map_or(now, |step| step.at),
        packaged_by: packager.person().clone(),
        packaged_at: now,
        destroy_by,
        items: Vec::new(),
    }
}
