//! The entries of the trail for whoever may read them, as they stand; the entry that they were shown is durable first.
//!
//! A chain that is not as it was written is shown up to its first bad entry, and does not hide the other.

use std::{collections::BTreeSet, io};

use rules::{Chain, TrailReading};
use serde::{Deserialize, Serialize};
use storage::{OsDisk, read_entries};

use crate::{
    duty::{Answer, Client, Conversation},
    office::{Desk, Reader},
    proof::{Asker, Proof},
    trail_export::unread,
    wording::Wording,
};

/// An entry as it stands, and why that was done which it tells of, for whoever reads such words.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct EntryView {
    pub(crate) entry: String,
    pub(crate) reason: Option<Wording>,
}

/// Shows one client the entries of chains, from a number of each on.
///
/// # Errors
/// The client went away.
pub(crate) fn show(
    desk: &Desk,
    chains: BTreeSet<Chain>,
    from_seq: u64,
    proof: Proof,
    asker: Asker,
    client: &mut Client,
) -> io::Result<()> {
    let reading = TrailReading::Entries {
        chains: chains.clone(),
        from_seq,
    };
    let reader = match desk.let_read(reading, proof, asker) {
        Answer::Done(reader) => reader,
        other => return client.answer(&other.without::<()>()),
    };
    client.answer(&Answer::Done(()))?;
    for chain in chains {
        let ended = show_chain(desk, chain, from_seq, &reader, client)?;
        client.answer(&ended)?;
    }
    Ok(())
}

fn show_chain(
    desk: &Desk,
    chain: Chain,
    from_seq: u64,
    reader: &Reader,
    client: &mut Client,
) -> io::Result<Answer<Option<EntryView>>> {
    let layout = desk.config().layout();
    let mut sent = Ok(());
    let read = read_entries(&OsDisk, &layout, chain.into(), from_seq, &mut |_, entry| {
        if sent.is_ok() {
            let reason = reader.reason_of(entry);
            let entry = entry.to_owned();
            sent = client.answer(&Answer::Done(Some(EntryView { entry, reason })));
        }
    });
    sent?;
    Ok(match read {
        Ok(()) => Answer::Done(None),
        Err(fault) => unread(&fault).without(),
    })
}

/// The asker's end: hands on each entry of the next chain until its last, or the first that is not as it was written.
///
/// # Errors
/// The office went away.
pub(crate) fn receive(
    conversation: &mut Conversation,
    mut tell: impl FnMut(&EntryView),
) -> io::Result<Answer<()>> {
    loop {
        match conversation.answer::<Option<EntryView>>()? {
            Answer::Done(Some(entry)) => tell(&entry),
            Answer::Done(None) => return Ok(Answer::Done(())),
            other => return Ok(other.without()),
        }
    }
}
