//! The register of copies at the office: listed, certified as destroyed, and removed at their time (K-39).

use std::{
    collections::{BTreeSet, VecDeque},
    path::Path,
};

use jiff::Timestamp;
use rules::{
    Action, CopyFact, CopyId, CopyOf, CopyState, Destruction, Fact, Holder, OutsideCopy, Register,
    Subject, destroy_by,
};
use storage::{Attachments, SealedText, TextKind};

use super::{
    Desk, Job, Wish, ended,
    listed_file::{Written, remove_if_same},
    owner::Owner,
    people::Caller,
};
use crate::{
    copies::{CopyAsk, CopyStanding, CopyTold, CopyView},
    duty::{Answer, Ending, Message},
    people::Told,
    proof::{Asker, Proof},
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
                let nothing = |_: &Owner| Ok(Attachments::default());
                let told = self.record(&caller, fact, nothing, now).await?;
                Ok(match told {
                    Told::AlreadySo => CopyTold::AlreadySo,
                    _ => CopyTold::Done,
                })
            }
        }
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
        if !Path::new(place).is_absolute() {
            return Err(Answer::Usage(Message::new(
                "書き出し先は絶対パスで指定してください。",
                "the place of a copy is no absolute path; say where the file will lie from / on",
            )));
        }
        let copy = CopyId::new(now, self.dice()?);
        let (text, place) = self.seal_text(Subject::Copy(copy), TextKind::Place, place, now)?;
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

    async fn place_of(
        &mut self,
        register: &Register,
        id: CopyId,
        copy: &OutsideCopy,
    ) -> Result<Option<String>, Ending> {
        if let CopyOf::HandOver(hand_over) = copy.of() {
            let known = register.hand_over(hand_over);
            return Ok(known.map(|known| known.wish().medium.to_string()));
        }
        let sealed = self.sealed_place(id).await?;
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
        let due = copies.filter(|(id, copy)| due_file(*id, copy, now).is_some());
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
        let Some(written) = due_file(copy, outside, now) else {
            return;
        };
        let removed = match self.place_of(&register, copy, outside).await {
            Ok(Some(place)) => remove_if_same(Path::new(&place), written).unwrap_or_else(|fault| {
                tracing::warn!(%fault, "a copy is past its time, or broke off, and cannot be removed; it stays outstanding");
                false
            }),
            Ok(None) => {
                tracing::warn!(%copy, "a copy is past its time, or broke off, and where it lies is not known; it stays outstanding");
                false
            }
            Err(_) => {
                tracing::warn!(%copy, "where a copy lies cannot be looked up; the next sweep does");
                false
            }
        };
        if removed {
            let how = Destruction::Removed;
            self.track(Fact::Copy(CopyFact::Destroyed { copy, how }))
                .await;
        }
    }
}

/// By what the file of a copy is known, where it is to be removed and is one: a package lies on a medium.
fn due_file(id: CopyId, copy: &OutsideCopy, now: Timestamp) -> Option<Written> {
    match (copy.of(), copy.state()) {
        (CopyOf::HandOver(_), _) | (_, CopyState::Destroyed { .. }) => None,
        _ if !copy.is_to_be_removed(now) => None,
        (CopyOf::Recording(_), CopyState::Unfinished) => Some(Written::Begun(id)),
        (CopyOf::Recording(_), CopyState::Whole { sha256, bytes }) => {
            Some(Written::Whole { sha256, bytes })
        }
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
    fn of(id: CopyId, copy: &OutsideCopy, place: Option<String>, now: Timestamp) -> CopyView {
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
