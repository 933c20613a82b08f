//! The entries of the trail for whoever may read them, as they stand; the entry that they were shown is durable first.
//!
//! A chain that is not as it was written is shown up to its first bad entry, and does not hide the other.

use std::{collections::BTreeSet, io};

use rules::{Chain, TrailReading};
use storage::{OsDisk, read_entries};

use crate::{
    duty::{Answer, Client, Conversation},
    office::Desk,
    proof::{Asker, Proof},
    trail_export::unread,
};

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
    match desk.let_read(reading, proof, asker) {
        Answer::Done(_) => client.answer(&Answer::Done(()))?,
        other => return client.answer(&other.without::<()>()),
    }
    for chain in chains {
        let ended = show_chain(desk, chain, from_seq, client)?;
        client.answer(&ended)?;
    }
    Ok(())
}

fn show_chain(
    desk: &Desk,
    chain: Chain,
    from_seq: u64,
    client: &mut Client,
) -> io::Result<Answer<Option<String>>> {
    let layout = desk.config().layout();
    let mut sent = Ok(());
    let read = read_entries(&OsDisk, &layout, chain.into(), from_seq, &mut |_, entry| {
        if sent.is_ok() {
            sent = client.answer(&Answer::Done(Some(entry)));
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
    mut tell: impl FnMut(&str),
) -> io::Result<Answer<()>> {
    loop {
        match conversation.answer::<Option<String>>()? {
            Answer::Done(Some(entry)) => tell(&entry),
            Answer::Done(None) => return Ok(Answer::Done(())),
            other => return Ok(other.without()),
        }
    }
}
