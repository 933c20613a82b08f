//! Requests at the office: opened, decided by another person, suspended, shown (K-09, K-33).

use std::collections::BTreeMap;

use jiff::Timestamp;
use rules::{
    Action, Application, AuditEvent, CaseId, Digest, Fact, Missing, Particular, Register,
    RequestFact, Subject,
};
use storage::{SealedText, TextKind};

use super::{
    owner::Owner,
    people::{Caller, no_randomness, nothing, with},
};
use crate::{
    cases::{CaseTexts, CaseView, RequestAsk, WishedRequest},
    duty::Ending,
    people::Told,
    said::{Said, Words},
    wording::Wording,
};

impl Owner {
    pub(super) async fn ask_request(
        &mut self,
        caller: &Caller<'_>,
        ask: RequestAsk,
        now: Timestamp,
    ) -> Result<Told, Ending> {
        match ask {
            RequestAsk::Open(wish) => self.open_request(caller, wish, now).await,
            RequestAsk::Decide {
                case,
                verdict,
                reason,
            } => {
                let action = Action::DecideRequest;
                let reason = self
                    .demand(caller, action, Missing::Reason, reason, now)
                    .await?;
                let about = Subject::Case(case);
                let (text, reason) = self.seal_text(about, TextKind::Reason, reason.text(), now)?;
                let fact = RequestFact::Decided {
                    case,
                    verdict,
                    reason,
                };
                self.record(caller, Fact::Request(fact), with(vec![text]), now)
                    .await
            }
            RequestAsk::Suspend { case } => {
                let fact = Fact::Request(RequestFact::Suspended { case });
                self.record(caller, fact, nothing, now).await
            }
            RequestAsk::List => self.list_requests(caller, now).await,
        }
    }

    async fn open_request(
        &mut self,
        caller: &Caller<'_>,
        wish: WishedRequest,
        now: Timestamp,
    ) -> Result<Told, Ending> {
        let unit = self.unit_of(caller, Action::OpenRequest).await?;
        let case = CaseId::new(now, random_id()?);
        let what = (Action::OpenRequest, Missing::Basis);
        let about = Subject::Case(case);
        let said = (TextKind::Basis, wish.basis);
        let basis = self.seal_said(caller, what, &about, said, now).await?;
        let said = (TextKind::Requester, wish.requester);
        let requester = self.seal_said(caller, what, &about, said, now).await?;
        let said = (TextKind::Document, wish.document);
        let document = self.seal_said(caller, what, &about, said, now).await?;
        let (basis_text, basis) = basis.unzip();
        let (requester_text, requester) = requester.unzip();
        let (document_text, document) = document.unzip();
        let texts = [basis_text, requester_text, document_text];
        let texts = texts.into_iter().flatten().collect();
        let application = Application {
            kind: wish.kind,
            unit,
            recordings: wish.recordings.into_iter().collect(),
            basis,
            requester,
            document,
        };
        let fact = Fact::Request(RequestFact::Opened { case, application });
        match self.record(caller, fact, with(texts), now).await? {
            Told::Done => Ok(Told::Opened { case }),
            Told::AskedBefore(Subject::Case(case)) => Ok(Told::Opened { case }),
            other => Ok(other),
        }
    }

    /// Seals what may be said about something.
    ///
    /// # Errors
    /// As [`Self::permit_said`], and where it cannot be sealed.
    pub(super) async fn seal_said(
        &mut self,
        caller: &Caller<'_>,
        (action, missing): (Action, Missing),
        about: &Subject,
        (kind, said): (TextKind, Said<Words>),
        now: Timestamp,
    ) -> Result<Option<(SealedText, Digest)>, Ending> {
        let said = self.permit_said(caller, action, missing, said, now).await?;
        let sealed = said.map(|said| self.seal_text(about.clone(), kind, said.text(), now));
        sealed.transpose()
    }

    async fn list_requests(&mut self, caller: &Caller<'_>, now: Timestamp) -> Result<Told, Ending> {
        let register = self.register().await?;
        self.show(caller, &register, Action::ListRequests, now)?;
        let mut views = Vec::new();
        for (id, case) in register.cases_shown_to(caller.person()?) {
            let texts = self.texts_of(id).await?;
            views.push(CaseView::of(id, case, texts));
        }
        Ok(Told::Cases(views))
    }

    /// Judges that somebody may see a register with its sealed texts, and writes it down first.
    pub(super) fn show(
        &mut self,
        caller: &Caller<'_>,
        register: &Register,
        action: Action,
        now: Timestamp,
    ) -> Result<(), Ending> {
        if let Err(fault) = register.judge(&caller.petitioner(), action, None, now) {
            return Err(self.refuse(caller, action, &fault));
        }
        let policy = register.policy().version();
        self.write_down(caller, AuditEvent::RegisterShown { action, policy })
    }

    /// A text of a decision, for whoever reads such words; what is shown is written down by [`Self::show`].
    pub(super) async fn decision_text(
        &mut self,
        register: &Register,
        caller: &Caller<'_>,
        about: Subject,
        kind: TextKind,
        now: Timestamp,
    ) -> Result<Option<Wording>, Ending> {
        match register.judge(&caller.petitioner(), Action::ReadDecisions, None, now) {
            Ok(()) => self.text_of(about, kind).await,
            Err(_) => Ok(None),
        }
    }

    /// What a record says in words; `None` where they are not kept or do not open.
    pub(super) async fn particular(
        &mut self,
        said: &Particular,
        about: &Subject,
        kind: TextKind,
    ) -> Result<Option<Wording>, Ending> {
        match said {
            Particular::Sealed { sealed } => {
                Ok(self.words_about(about, kind).await?.remove(sealed))
            }
            Particular::InClear(label) => Ok(Some(label.as_str().into())),
        }
    }

    /// Every text of a kind about somebody or something that opens, by the hash in the trail.
    pub(super) async fn words_about(
        &mut self,
        about: &Subject,
        kind: TextKind,
    ) -> Result<BTreeMap<Digest, Wording>, Ending> {
        let texts = self
            .rows(async |catalogue| catalogue.sealed_texts(about, kind).await)
            .await?;
        let opened = texts.iter().map(|text| self.opener.open_hashed_text(text));
        let opened = opened.filter_map(Result::ok);
        Ok(opened.map(|(hash, text)| (hash, text.into())).collect())
    }

    async fn texts_of(&mut self, case: CaseId) -> Result<CaseTexts, Ending> {
        let about = || Subject::Case(case);
        Ok(CaseTexts {
            basis: self.text_of(about(), TextKind::Basis).await?,
            requester: self.text_of(about(), TextKind::Requester).await?,
            document: self.text_of(about(), TextKind::Document).await?,
            reason: self.text_of(about(), TextKind::Reason).await?,
        })
    }
}

/// The random half of a new id.
pub(super) fn random_id() -> Result<u128, Ending> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|fault| no_randomness(&fault))?;
    Ok(u128::from_be_bytes(random))
}
