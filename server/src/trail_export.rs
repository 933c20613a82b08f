//! Both chains as one file of lines: public keys, signed heads, entries. The office sends it and knows what it has sent.
//!
//! Order: entry durable, then bytes flow, then the entry that says how many entries went out, with the file's hash.

use std::io;

use aws_lc_rs::digest::{Context, SHA256};
use rules::{AuditDraft, AuditEvent, Chain, Digest, Refusal, TrailReading};
use serde::{Deserialize, Serialize};
use storage::{
    AuditFault, Duty, Layout, OsDisk, SigningFault, VerifierKey, head_key, read_entries,
    verifier_keys,
};

use crate::{
    duty::{Answer, Client, Ending, Message},
    export::{ABORT, END, FileState},
    office::{Desk, Reader, TrailRequest},
    people,
    proof::{Asker, Proof},
};

/// Both of them, in the order of the file.
pub(crate) const CHAINS: [Chain; 2] = [Chain::Calls, Chain::Office];
/// What is sent at once.
const PART_BYTES: usize = 64 * 1024;

/// What was sent.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct TrailExported {
    pub(crate) entries: u64,
    pub(crate) sha256: Digest,
}

/// Every public key of the installation's history, the newest last: by itself, and as each chain's heads name it.
///
/// # Errors
/// The history cannot be read.
pub(crate) fn shown_keys(layout: &Layout) -> Result<Vec<VerifierKey>, SigningFault> {
    let named = |key: &VerifierKey| {
        let heads = CHAINS.map(|chain| head_key(key, chain.into()));
        [vec![key.clone()], heads.to_vec()].concat()
    };
    Ok(verifier_keys(&OsDisk, layout)?
        .iter()
        .flat_map(named)
        .collect())
}

/// Answers one client.
///
/// # Errors
/// The client went away; what it got is written down as begun.
pub(crate) fn attend(
    desk: &Desk,
    proof: Proof,
    asker: Asker,
    client: &mut Client,
) -> io::Result<()> {
    let begun = match begin(desk, proof, asker) {
        Ok(begun) => begun,
        Err(ending) => return client.answer(&ending.without::<()>()),
    };
    client.answer(&Answer::Done(()))?;
    if client.hear::<FileState>()? != FileState::Made {
        return Ok(());
    }
    let sent = match send(desk, &begun, client)? {
        Ok(sent) => sent,
        Err(fault) => {
            client.end_parts(ABORT)?;
            return client.answer(&unread(&fault).without::<TrailExported>());
        }
    };
    if client.hear::<FileState>()? != FileState::Written {
        return Ok(());
    }
    let TrailExported { entries, sha256 } = sent;
    let Reader { actor, granted, .. } = begun.reader;
    let event = AuditEvent::AuditExported {
        granted: Some(granted),
        entries,
        sha256,
    };
    client.answer(&match desk.audit(AuditDraft { actor, event }) {
        true => Answer::Done(sent),
        false => Answer::Unavailable(people::message(&Refusal::audit_unavailable())),
    })
}

/// What whoever reads a chain is told that is not as it was written, or cannot be read.
pub(crate) fn unread(fault: &AuditFault) -> Ending {
    let message = Message::new("証跡を最後まで読めません。", fault.to_string());
    match fault {
        AuditFault::Broken(_) => Answer::Unverified(message),
        _ => Answer::Unavailable(message),
    }
}

/// An export that is written down and has sent nothing yet.
struct Begun {
    reader: Reader,
    keys: Vec<VerifierKey>,
    heads: Vec<String>,
}

fn begin(desk: &Desk, proof: Proof, asker: Asker) -> Result<Begun, Ending> {
    let reader = match desk.let_read(TrailReading::Export, proof, asker.clone()) {
        Answer::Done(reader) => reader,
        other => return Err(other.without()),
    };
    let chains = CHAINS.to_vec();
    let heads = match desk.trail(TrailRequest::Heads { chains }, Proof::Nobody, asker) {
        Answer::Done(done) => done.notes,
        other => return Err(other.without()),
    };
    let keys = shown_keys(&desk.config().layout()).map_err(|fault| {
        Answer::Unavailable(Message::new(
            "公開鍵の履歴を読めません。",
            fault.to_string(),
        ))
    })?;
    Ok(Begun {
        reader,
        keys,
        heads,
    })
}

/// Sends keys, heads and entries; the inner fault is the trail's.
fn send(
    desk: &Desk,
    begun: &Begun,
    client: &mut Client,
) -> io::Result<Result<TrailExported, AuditFault>> {
    let mut lines = Lines {
        client,
        hash: Context::new(&SHA256),
        part: Vec::with_capacity(PART_BYTES),
        sent: Ok(()),
    };
    for key in &begun.keys {
        lines.put(&format!("{{\"key\":\"{key}\"}}"));
    }
    for note in &begun.heads {
        let note = serde_json::Value::from(note.as_str());
        lines.put(&format!("{{\"head\":{note}}}"));
    }
    let layout = desk.config().layout();
    let mut entries = 0;
    for chain in CHAINS {
        let name = Duty::from(chain).name();
        let read = read_entries(&OsDisk, &layout, chain.into(), 1, &mut |hash, entry| {
            entries += 1;
            lines.put(&format!(
                "{{\"chain\":\"{name}\",\"hash\":\"{hash}\",\"entry\":{entry}}}"
            ));
        });
        if let Err(fault) = read {
            lines.sent?;
            return Ok(Err(fault));
        }
    }
    let sha256 = lines.end()?;
    Ok(Ok(TrailExported { entries, sha256 }))
}

/// Lines on their way, hashed as they are sent; the first fault is kept until the end.
struct Lines<'client> {
    client: &'client mut Client,
    hash: Context,
    part: Vec<u8>,
    sent: io::Result<()>,
}

impl Lines<'_> {
    fn put(&mut self, text: &str) {
        self.part.extend_from_slice(text.as_bytes());
        self.part.push(b'\n');
        if self.part.len() >= PART_BYTES {
            self.send_part();
        }
    }

    fn send_part(&mut self) {
        if self.sent.is_ok() && !self.part.is_empty() {
            self.hash.update(&self.part);
            self.sent = self.client.send_part(&self.part);
        }
        self.part.clear();
    }

    fn end(mut self) -> io::Result<Digest> {
        self.send_part();
        self.sent?;
        self.client.end_parts(END)?;
        let mut sha256 = [0; 32];
        sha256.copy_from_slice(self.hash.finish().as_ref());
        Ok(Digest(sha256))
    }
}
