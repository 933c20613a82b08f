//! Searches and looks at numbers, as the office does them: judged, written down, and only then the rows are read.

use jiff::Timestamp;
use rules::{
    Action, Actor, FindPermit, FindRequest, Missing, Number, Purpose, Refusal, RevealPermit,
    RevealRequest, Sought, Subject,
};
use serde::{Deserialize, Serialize};
use storage::{Comparison, FoundCall, ListedCall, OpenFault, SealedCaller, SearchPlace, TextKind};

use super::{owner::Owner, people::Caller};
use crate::{
    duty::{Answer, Ending, Message},
    people,
    proof::{Asker, Proof, Secret},
    said::{Said, Words},
    search::{Findings, Searched},
};

/// Callers that one search may open: a month's calls (consultation 6), a minute's work.
const MOST_COMPARED: u64 = 200_000;

/// What somebody looks for, as it was typed in.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct FindWish {
    pub(crate) caller: Option<Secret>,
    pub(crate) called: Option<String>,
    pub(crate) from: Option<Timestamp>,
    pub(crate) until: Option<Timestamp>,
    pub(crate) purpose: Option<String>,
    pub(crate) proof: Proof,
}

impl FindWish {
    fn sought(&self) -> Result<Sought, Ending> {
        let number = |text: &str, option: &str| {
            Number::typed(text).map_err(|fault| {
                let ja = format!("{option} の電話番号を読めません。078-333-1000 や +81 78 333 1000 のように指定してください（全角も可）。");
                Answer::Usage(Message::new(ja, format!("{option}: {fault}")))
            })
        };
        let caller = self.caller.as_ref().map(Secret::text);
        Ok(Sought {
            caller: caller.map(|text| number(text, "--caller")).transpose()?,
            called: self
                .called
                .as_deref()
                .map(|text| number(text, "--called"))
                .transpose()?,
            from: self.from,
            until: self.until,
        })
    }
}

/// A search that goes on: what was permitted, and how far it has come.
#[derive(Debug)]
pub(crate) struct Search {
    permit: FindPermit,
    pub(crate) actor: Actor,
    place: SearchPlace,
    /// Recordings that the asker may see and that were looked at.
    seen: u64,
    /// What of that was told.
    told: u64,
    pub(crate) findings: Findings,
}

impl Search {
    /// The number of the entry that allowed it.
    pub(crate) fn granted(&self) -> u64 {
        self.permit.audit_seq()
    }

    /// How far it has come, where that is news.
    pub(crate) fn progress(&mut self) -> Option<Searched> {
        let seen = self.seen;
        let is_news = seen > std::mem::replace(&mut self.told, seen);
        is_news.then_some(Searched::Progress { seen })
    }
}

/// What ended a search before its end.
pub(crate) enum Cut {
    Refused(Refusal),
    Unusable(Ending),
    Client(std::io::Error),
}

/// A page of a search; `None` behind the last.
pub(crate) type Page = Result<Option<Vec<ListedCall>>, Cut>;

/// Whose number somebody asks for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct RevealWish {
    pub(crate) recording: rules::RecordingId,
    pub(crate) purpose: Option<String>,
    #[serde(default)]
    pub(crate) reason: Said<Words>,
    pub(crate) proof: Proof,
}

/// Who called.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Revealed {
    Number(Secret),
    /// The caller withheld it.
    Anonymous,
    /// There was no key to seal it to when the call came.
    NotKept,
}

impl Owner {
    /// Judges a search and writes it down. Nothing is read yet.
    pub(super) async fn begin_search(
        &mut self,
        wish: &FindWish,
        asker: &Asker,
    ) -> Result<Box<Search>, Ending> {
        self.take_in().await;
        let now = Timestamp::now();
        let proved = self.prove(&wish.proof, asker, now).await?;
        let caller = Caller {
            proved: proved.as_ref(),
            asker,
        };
        let sought = wish.sought()?;
        let register = self.register().await?;
        let purpose = wish.purpose.as_deref().map(str::parse::<Purpose>);
        let judged = purpose.transpose().and_then(|purpose| {
            let petitioner = caller.petitioner();
            let request = FindRequest {
                petitioner,
                sought,
                purpose,
            };
            request.judge(&register, now)
        });
        let grant = judged.map_err(|refusal| {
            let actor = caller.petitioner().actor();
            // The refusal stands whether or not it can be written down.
            self.audit(people::refused(actor, Action::Find, &refusal, self.policy));
            Answer::Refused(people::message(&refusal))
        })?;
        let receipt = self
            .audit(grant.entry().clone())
            .ok_or_else(|| Answer::Unavailable(people::message(&Refusal::audit_unavailable())))?;
        let actor = grant.entry().actor.clone();
        let permit = FindPermit::issue(grant, receipt, now)
            .map_err(|refusal| Answer::Unavailable(people::message(&refusal)))?;
        Ok(Box::new(Search {
            permit,
            actor,
            place: SearchPlace::default(),
            seen: 0,
            told: 0,
            findings: Findings::default(),
        }))
    }

    /// Reads the next page of a search, and keeps of it what the permit shows by now.
    pub(super) async fn search_page(&mut self, search: &mut Search) -> Page {
        let now = Timestamp::now();
        let register = self.register().await.map_err(Cut::Unusable)?;
        let place = search.place;
        let sought = search.permit.sought();
        let read = self
            .rows(async |catalogue| catalogue.search(sought, place).await)
            .await;
        let (calls, next) = read.map_err(Cut::Unusable)?;
        if calls.is_empty() {
            return Ok(None);
        }
        search.place = next;
        let mut shown = Vec::new();
        for call in calls {
            let Some(recording) = call.call.recording else {
                continue;
            };
            let heard = self.heard(recording, &call.call);
            let is_shown = search.permit.shows(&register, &heard, now);
            if is_shown.map_err(Cut::Refused)? {
                shown.push(call);
            }
        }
        search.seen += u64::try_from(shown.len()).unwrap_or(u64::MAX);
        let found = match search.permit.sought().caller {
            Some(_) if search.seen > MOST_COMPARED => return Err(Cut::Unusable(too_many())),
            Some(_) => self.of_caller(search, shown, now)?,
            None => shown.into_iter().map(|found| found.call).collect(),
        };
        search.findings.found += u64::try_from(found.len()).unwrap_or(u64::MAX);
        Ok(Some(found))
    }

    /// Those of a page whose caller is the one that is sought.
    fn of_caller(
        &self,
        search: &mut Search,
        calls: Vec<FoundCall>,
        now: Timestamp,
    ) -> Result<Vec<ListedCall>, Cut> {
        let compared = self
            .opener
            .compare_callers(&search.permit, &calls, now)
            .map_err(|fault| Cut::Unusable(not_opened(&fault)))?;
        let mut same = Vec::new();
        for (compared, found) in compared.into_iter().zip(calls) {
            match compared {
                Comparison::Same => same.push(found.call),
                Comparison::Other => {}
                Comparison::Unreadable => search.findings.unreadable += 1,
            }
            search.findings.compared += u64::from(compared != Comparison::Unreadable);
        }
        Ok(same)
    }

    /// Judges a look at a number, writes it down with its reason sealed, and only then opens it.
    pub(super) async fn reveal(
        &mut self,
        wish: &RevealWish,
        asker: &Asker,
    ) -> Result<Revealed, Ending> {
        self.take_in().await;
        let now = Timestamp::now();
        let proved = self.prove(&wish.proof, asker, now).await?;
        let caller = Caller {
            proved: proved.as_ref(),
            asker,
        };
        let register = self.register().await?;
        let purpose = wish.purpose.as_deref().map(str::parse::<Purpose>);
        let Some(call) = self.find(wish.recording).await? else {
            let judged = purpose.transpose().and_then(|purpose| {
                let petitioner = caller.petitioner();
                register.judge_unknown_recording(&petitioner, Action::Reveal, purpose, None, now)
            });
            return Err(self.unknown(&caller, Action::Reveal, wish.recording, judged));
        };
        let about = Subject::Recording(wish.recording);
        let what = (Action::Reveal, Missing::Reason);
        let reason = (TextKind::Reason, wish.reason.clone());
        let sealed = self.seal_said(&caller, what, &about, reason, now).await?;
        let mut request = RevealRequest {
            petitioner: caller.petitioner(),
            heard: self.heard(wish.recording, &call),
            purpose: None,
            reason: sealed.as_ref().map(|(_, digest)| *digest),
        };
        let judged = purpose.transpose().and_then(|purpose| {
            request.purpose = purpose;
            request.judge(&register, now)
        });
        let grant = judged.map_err(|refusal| {
            // The refusal stands whether or not it can be written down.
            self.audit(request.refused(&register, &refusal));
            Answer::Refused(people::message(&refusal))
        })?;
        // A reason whose entry could not be written is one of nothing; an entry whose reason is lost would say less than it must.
        if let Some((text, _)) = sealed {
            self.rows(async |catalogue| catalogue.keep_text(&text).await)
                .await?;
        }
        let receipt = self
            .audit(grant.entry().clone())
            .ok_or_else(|| Answer::Unavailable(people::message(&Refusal::audit_unavailable())))?;
        let permit = RevealPermit::issue(grant, receipt, now)
            .map_err(|refusal| Answer::Unavailable(people::message(&refusal)))?;
        self.open_number(&permit, &call, now).await
    }

    async fn open_number(
        &mut self,
        permit: &RevealPermit,
        call: &ListedCall,
        now: Timestamp,
    ) -> Result<Revealed, Ending> {
        let recording = permit.recording();
        let sealed = self
            .rows(async |catalogue| catalogue.caller(recording).await)
            .await?;
        let (Some(id), Some(sealed)) = (call.call, sealed) else {
            return Ok(Revealed::NotKept);
        };
        if sealed == SealedCaller::NotKept {
            return Ok(Revealed::NotKept);
        }
        match self.opener.open_caller(permit, id, &sealed, now) {
            Ok(rules::Caller::Known(number)) => Ok(Revealed::Number(Secret::new(number.e164()))),
            Ok(rules::Caller::Anonymous) => Ok(Revealed::Anonymous),
            Err(fault) => Err(not_opened(&fault)),
        }
    }
}

/// How many there are beyond that is not told: most may be those of others.
fn too_many() -> Ending {
    Answer::Usage(Message::new(
        format!(
            "一度に照合できる発信者は {MOST_COMPARED} 件までです。--from と --until で期間を絞ってください。"
        ),
        format!(
            "at most {MOST_COMPARED} callers are compared at once; narrow the time with --from and --until"
        ),
    ))
}

fn not_opened(fault: &OpenFault) -> Ending {
    match fault {
        OpenFault::Refused(refusal) => Answer::Refused(people::message(refusal)),
        OpenFault::Key(_) => Answer::Unavailable(Message::new(
            "鍵を使えないため、番号を開けません。",
            fault.to_string(),
        )),
        _ => Answer::Failed(Message::new("番号を開けません。", fault.to_string())),
    }
}
