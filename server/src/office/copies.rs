//! The register of copies at the office: listed, certified as destroyed, and removed at their time (K-39).

use std::{
    collections::{BTreeSet, VecDeque},
    path::Path,
};

use jiff::Timestamp;
use rules::{
    Action, CopyFact, CopyId, CopyOf, CopyState, Destruction, Digest, Fact, HandOverFact, Holder,
    OutsideCopy, Refusal, Register, Subject, destroy_by,
};
use storage::{Attachments, SealedText, TextKind};

use super::{
    Desk, Job, Wish, ended,
    listed_file::{Removal, Written, remove_if_same, stays},
    owner::Owner,
    people::{Caller, nothing},
};
use crate::{
    copies::{CopyAsk, CopyStanding, CopyTold, CopyView},
    duty::{Answer, Ending, Message},
    people::Told,
    proof::{Asker, Proof},
    wording::Wording,
};

impl Desk {
    /// Asks something about copies.
    pub(crate) fn copies(&self, ask: CopyAsk, proof: Proof, asker: Asker) -> Answer<CopyTold> {
        self.ask(|answer| Job::Copies {
            ask,
            proof,
            asker,
            answer,
        })
        .unwrap_or_else(ended)
    }
}

impl Owner {
    pub(super) async fn attend_copies(
        &mut self,
        ask: CopyAsk,
        proof: &Proof,
        asker: &Asker,
    ) -> Result<CopyTold, Ending> {
        let now = Timestamp::now();
        let proved = self.prove(proof, asker, now).await?;
        let caller = Caller {
            proved: proved.as_ref(),
            asker,
        };
        match ask {
            CopyAsk::List => self.list_copies(&caller, now).await,
            CopyAsk::Destroyed { copy, certificate } => {
                let how = Destruction::Certified { certificate };
                let fact = Fact::Copy(CopyFact::Destroyed { copy, how });
                Ok(match self.certify(&caller, Some(copy), fact, now).await? {
                    Told::AlreadySo => CopyTold::AlreadySo,
                    _ => CopyTold::Done,
                })
            }
        }
    }

    /// Records that a copy is certified as destroyed; a listed file of it that is still what was written is removed before.
    ///
    /// `copy`: where there is one. `fact`: that says so; whoever may not say so has nothing removed.
    pub(super) async fn certify(
        &mut self,
        caller: &Caller<'_>,
        copy: Option<CopyId>,
        fact: Fact,
        now: Timestamp,
    ) -> Result<Told, Ending> {
        let register = self.register().await?;
        let judged = register.request(&caller.petitioner(), fact.clone(), now);
        let copy = copy.and_then(|id| Some((id, register.copies().get(id)?)));
        if let (Ok(Some(_)), Some((id, outside))) = (judged, copy) {
            let is_there = outside.is_being_written(now)
                || self.stays_in_place(&register, id, outside).await?;
            if is_there {
                let refusal = Refusal::copy_present();
                return Err(self.refuse(caller, fact.action(), &refusal.into()));
            }
        }
        self.record(caller, fact, nothing, now).await
    }

    /// Whether the file of a copy still lies where it is listed, although the office tried to remove it.
    async fn stays_in_place(
        &mut self,
        register: &Register,
        copy: CopyId,
        outside: &OutsideCopy,
    ) -> Result<bool, Ending> {
        let Some(written) = file_of(register, copy, outside) else {
            return Ok(false);
        };
        let place = self.listed_place(copy).await?;
        Ok(place.is_some_and(|place| stays(Path::new(&place), written)))
    }

    /// Enters the copy that a listener is about to make; `None` for a way of listening that makes none.
    pub(super) async fn enter_copy(
        &mut self,
        caller: &Caller<'_>,
        wish: &Wish,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<Option<CopyId>, Ending> {
        let Some(place) = &wish.place else {
            return Ok(None);
        };
        let copy = CopyId::new(now, self.dice()?);
        let (text, place) = self.seal_place(copy, place, now)?;
        let fact = Fact::Copy(CopyFact::Begun {
            copy,
            recording: wish.recording,
            destroy_by: destroy_by(now, [expires_at], None),
            place,
        });
        self.record(caller, fact, |_| Ok(Attachments::of(text)), now)
            .await?;
        Ok(Some(copy))
    }

    /// Seals where a copy will lie.
    pub(super) fn seal_place(
        &self,
        copy: CopyId,
        place: &str,
        now: Timestamp,
    ) -> Result<(SealedText, Digest), Ending> {
        if !Path::new(place).is_absolute() {
            return Err(Answer::Usage(Message::new(
                "書き出し先は絶対パスで指定してください。",
                "the place of a copy is no absolute path; say where the file will lie from / on",
            )));
        }
        self.seal_text(Subject::Copy(copy), TextKind::Place, place, now)
    }

    async fn list_copies(
        &mut self,
        caller: &Caller<'_>,
        now: Timestamp,
    ) -> Result<CopyTold, Ending> {
        let register = self.register().await?;
        let own_unit = self.seen_unit(&register, caller, Action::ListCopies, now)?;
        let mut views = Vec::new();
        for (id, copy) in register.copies().iter() {
            let unit = unit_of(&register, copy);
            if own_unit.as_ref().is_some_and(|own| unit != Some(own)) {
                continue;
            }
            let place = self.place_of(&register, id, copy).await?;
            views.push(CopyView::of(id, copy, place, now));
        }
        Ok(CopyTold::List(views))
    }

    /// Where a copy lies: in a file, or on the medium on which it is handed over.
    async fn place_of(
        &mut self,
        register: &Register,
        id: CopyId,
        copy: &OutsideCopy,
    ) -> Result<Option<Wording>, Ending> {
        let file = match register.is_on_medium(id, copy) {
            true => None,
            false => self.listed_place(id).await?.map(Wording::from),
        };
        let CopyOf::HandOver(hand_over) = copy.of() else {
            return Ok(file);
        };
        match (file, register.hand_over(hand_over)) {
            (None, Some(known)) => self.medium_of(hand_over, known).await,
            (file, _) => Ok(file),
        }
    }

    /// The file in which a copy was written, where that is known.
    async fn listed_place(&mut self, copy: CopyId) -> Result<Option<String>, Ending> {
        let sealed = self.sealed_place(copy).await?;
        Ok(sealed.and_then(|sealed| self.opener.open_text(&sealed).ok()))
    }

    async fn sealed_place(&mut self, copy: CopyId) -> Result<Option<SealedText>, Ending> {
        let about = Subject::Copy(copy);
        self.rows(async |catalogue| catalogue.sealed_text(about, TextKind::Place).await)
            .await
    }

    /// The outstanding copies in a file of which no place is kept: a restore brought the fact without its text.
    pub(super) async fn lost_copies(
        &mut self,
        register: &Register,
    ) -> Result<BTreeSet<CopyId>, Ending> {
        let mut lost = BTreeSet::new();
        for (id, copy) in register.copies().iter() {
            if !copy.is_outstanding() || matches!(copy.of(), CopyOf::HandOver(_)) {
                continue;
            }
            if self.sealed_place(id).await?.is_none() {
                lost.insert(id);
            }
        }
        Ok(lost)
    }

    /// The copies that lie in a file and whose time is over, or that broke off.
    pub(super) async fn due_copies(&mut self, now: Timestamp) -> Result<VecDeque<CopyId>, Ending> {
        let register = self.register().await?;
        let copies = register.copies().iter();
        let due = copies.filter(|(id, copy)| due_file(&register, *id, copy, now).is_some());
        Ok(due.map(|(id, _)| id).collect())
    }

    /// Removes a listed file that is still what was written; another file of that name stays.
    pub(super) async fn remove_due_copy(&mut self, copy: CopyId, now: Timestamp) {
        let Ok(register) = self.register().await else {
            return;
        };
        // Somebody may have certified meanwhile that it is destroyed.
        let Some(outside) = register.copies().get(copy) else {
            return;
        };
        let Some(written) = due_file(&register, copy, outside, now) else {
            return;
        };
        let removed = match self.listed_place(copy).await {
            Ok(Some(place)) => remove_if_same(Path::new(&place), written).unwrap_or_else(|fault| {
                tracing::warn!(%fault, "a copy is past its time, or broke off, and cannot be removed; it stays outstanding");
                Removal::Kept
            }),
            Ok(None) => {
                tracing::warn!(%copy, "a copy is past its time, or broke off, and where it lies is not known; it stays outstanding");
                Removal::Kept
            }
            Err(_) => {
                tracing::warn!(%copy, "where a copy lies cannot be looked up; the next sweep does");
                Removal::Kept
            }
        };
        if removed == Removal::Done {
            self.track(gone(copy, outside.of())).await;
        }
    }
}

/// That the service removed the file of a copy. A package that nobody gave is as if it had not been made.
fn gone(copy: CopyId, of: CopyOf) -> Fact {
    match of {
        CopyOf::Recording(_) => {
            let how = Destruction::Removed;
            Fact::Copy(CopyFact::Destroyed { copy, how })
        }
        CopyOf::HandOver(hand_over) => {
            Fact::HandOver(HandOverFact::PackageAbandoned { hand_over, copy })
        }
    }
}

/// By what the file of a copy is known, where it is to be removed and can be told from others.
fn due_file(
    register: &Register,
    id: CopyId,
    copy: &OutsideCopy,
    now: Timestamp,
) -> Option<Written> {
    match file_of(register, id, copy)? {
        Written::Unmarked => None,
        written => Some(written).filter(|_| copy.is_to_be_removed(now)),
    }
}

/// By what the file of a copy that is outside is known, where it is one and not on a medium.
fn file_of(register: &Register, id: CopyId, copy: &OutsideCopy) -> Option<Written> {
    if register.is_on_medium(id, copy) {
        return None;
    }
    match (copy.state(), copy.of()) {
        (CopyState::Destroyed { .. }, _) => None,
        (CopyState::Whole { sha256, bytes }, _) => Some(Written::Whole { sha256, bytes }),
        (CopyState::Unfinished, CopyOf::Recording(_)) => Some(Written::Begun(id)),
        (CopyState::Unfinished, CopyOf::HandOver(_)) => Some(Written::Unmarked),
    }
}

/// 管理所管課 that answers for a copy.
fn unit_of<'r>(register: &'r Register, copy: &OutsideCopy) -> Option<&'r rules::Label> {
    match (copy.of(), copy.holder()) {
        (CopyOf::HandOver(hand_over), _) => register.hand_over(hand_over).map(|known| known.unit()),
        (CopyOf::Recording(_), Holder::Person(person)) => {
            register.person(person).map(|person| person.unit())
        }
        (CopyOf::Recording(_), Holder::Vendor(_) | Holder::Receiver(_)) => None,
    }
}

impl CopyView {
    fn of(id: CopyId, copy: &OutsideCopy, place: Option<Wording>, now: Timestamp) -> CopyView {
        let (state, sha256) = match copy.state() {
            CopyState::Destroyed { .. } => (CopyStanding::Destroyed, None),
            CopyState::Unfinished => (CopyStanding::Outstanding, None),
            CopyState::Whole { sha256, .. } => (CopyStanding::Outstanding, Some(sha256)),
        };
        CopyView {
            id,
            of: copy.of(),
            holder: copy.holder().clone(),
            place,
            state,
            sha256,
            made_at: copy.made_at(),
            destroy_by: copy.destroy_by(),
            reminder: copy.reminder(now),
        }
    }
}
