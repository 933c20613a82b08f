//! Looking for recordings over the office's socket: each that is shown as soon as it is found, how far it has come, and the end.

use std::io;

use rules::{AuditDraft, AuditEvent};
use serde::{Deserialize, Serialize};
use storage::ListedCall;

use crate::{
    duty::{Answer, Client, Conversation},
    office::{Cut, Desk, FindWish},
    people,
    proof::Asker,
};

/// What is told of a search, one a line.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Searched {
    Found(Box<ListedCall>),
    /// How many recordings were looked at so far, of those that the asker may see: of others nothing is told.
    Progress {
        seen: u64,
    },
    Ended(Findings),
}

/// What a search came to.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Findings {
    /// Recordings that were shown.
    pub(crate) found: u64,
    /// Callers' numbers that were compared.
    pub(crate) compared: u64,
    /// Callers whose number could not be compared: it was not kept, or does not open.
    pub(crate) unreadable: u64,
}

/// Searches for one client.
///
/// # Errors
/// The client went away; how far the search came is written down all the same.
pub(crate) fn find(
    desk: &Desk,
    wish: FindWish,
    asker: Asker,
    client: &mut Client,
) -> io::Result<()> {
    let mut search = match desk.begin_search(wish, asker) {
        Answer::Done(search) => search,
        other => return client.answer(&other.without::<Searched>()),
    };
    let cut = loop {
        let (next, page) = match desk.search_page(search) {
            Ok(searched) => searched,
            Err(ending) => return client.answer(&ending.without::<Searched>()),
        };
        search = next;
        match page {
            Err(cut) => break Some(cut),
            Ok(None) => break None,
            Ok(Some(calls)) => {
                let mut told = calls
                    .into_iter()
                    .map(|call| Searched::Found(Box::new(call)))
                    .chain(search.progress());
                if let Err(fault) = told.try_for_each(|told| client.answer(&Answer::Done(told))) {
                    break Some(Cut::Client(fault));
                }
            }
        }
    };
    let event = AuditEvent::SearchEnded {
        granted: search.granted(),
        found: search.findings.found,
        compared: search.findings.compared,
        cut: match &cut {
            Some(Cut::Refused(refusal)) => Some(refusal.code()),
            Some(Cut::Unusable(_) | Cut::Client(_)) | None => None,
        },
    };
    // The grant is written down already; this entry only says how far it went.
    desk.audit(AuditDraft {
        actor: search.actor.clone(),
        event,
    });
    match cut {
        None => client.answer(&Answer::Done(Searched::Ended(search.findings))),
        Some(Cut::Refused(refusal)) => {
            client.answer(&Answer::<Searched>::Refused(people::message(&refusal)))
        }
        Some(Cut::Unusable(ending)) => client.answer(&ending.without::<Searched>()),
        Some(Cut::Client(fault)) => Err(fault),
    }
}

/// The asker's end: hands on what is told until the search has ended.
///
/// # Errors
/// The office went away.
pub(crate) fn receive(
    conversation: &mut Conversation,
    mut tell: impl FnMut(Searched),
) -> io::Result<Answer<Findings>> {
    loop {
        match conversation.answer::<Searched>()? {
            Answer::Done(Searched::Ended(findings)) => return Ok(Answer::Done(findings)),
            Answer::Done(told) => tell(told),
            other => return Ok(other.without()),
        }
    }
}
