//! Hand-overs over the office's socket: what is asked, how it is told, and the package as it leaves (K-19, K-20).
//!
//! The office judges, enters the copy, opens and encrypts; whoever asked makes the file. Order: entry durable, then the file is made, then bytes flow,
//! then the entry that the package is whole. No clear byte passes the socket. Start at [`package`].

use std::{
    collections::BTreeMap,
    io::{self, BufWriter, Write},
    sync::Arc,
};

use aws_lc_rs::digest::{Context, SHA256};
use jiff::Timestamp;
use rules::{
    CaseId, Contents, ContractId, CopyId, Digest, Fact, HandOverFact, HandOverId, HandOverPermit,
    ItemPermit, Label, Masks, PackageForm, Permit, Proved, Purpose, Recipient, RecordingId,
    Reminder, StaffId, VendorId, Verdict,
};
use serde::{Deserialize, Serialize};
use storage::{
    Kept, MANIFEST_NAME, Manifest, ManifestItem, OpenFault, Opener, PackageKey, PackageWriter,
    Passphrase, RECEIPT_NAME, ReceiptCode, Vault,
};

use crate::{
    duty::{Answer, Client},
    export::{ABORT, BROKEN_OFF, Broken, END, Exported, FileState},
    office::Desk,
    proof::{Asker, Proof, Secret},
    said::{Said, Words},
    voice::{self, Voice},
    wording::Wording,
};

/// What is asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum HandOverAsk {
    Request(HandOverWish),
    Decide {
        hand_over: HandOverId,
        verdict: Verdict,
        #[serde(default)]
        reason: Said<Words>,
        #[serde(default)]
        masks: Masks,
    },
    /// The answer holds it, once.
    Passphrase {
        hand_over: HandOverId,
    },
    Give {
        hand_over: HandOverId,
        #[serde(default)]
        receiver: Said<Words>,
    },
    Receive {
        hand_over: HandOverId,
        code: Secret,
    },
    Return {
        hand_over: HandOverId,
    },
    Destroyed {
        hand_over: HandOverId,
        certificate: Digest,
    },
    Close {
        hand_over: HandOverId,
    },
    List,
}

/// A hand-over, as it was typed in.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct HandOverWish {
    pub(crate) to: WishedDestination,
    pub(crate) purpose: Option<String>,
    #[serde(default)]
    pub(crate) medium: Said<Label>,
    pub(crate) recordings: Vec<RecordingId>,
}

/// To whom, as it was typed in.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum WishedDestination {
    Contract {
        vendor: VendorId,
        contract: ContractId,
    },
    Request {
        case: CaseId,
        #[serde(default)]
        addressee: Said<Words>,
        recipient: Option<Recipient>,
    },
}

/// What was done.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum HandOverTold {
    Done,
    Requested(HandOverId),
    Passphrase(Secret),
    List(Vec<HandOverView>),
}

/// A line of the 収受簿.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct HandOverView {
    pub(crate) id: HandOverId,
    /// In the 収受簿 of its unit.
    pub(crate) number: u64,
    pub(crate) state: String,
    pub(crate) unit: Label,
    pub(crate) vendor: Option<VendorId>,
    pub(crate) contract: Option<ContractId>,
    pub(crate) request: Option<CaseId>,
    pub(crate) addressee: Option<Wording>,
    pub(crate) purpose: Purpose,
    pub(crate) medium: Option<Wording>,
    pub(crate) items: Vec<ItemView>,
    pub(crate) requested: Done,
    pub(crate) decided: Option<Done>,
    pub(crate) verdict: Option<Verdict>,
    /// Why, for managers and auditors.
    pub(crate) reason: Option<Wording>,
    pub(crate) packaged: Option<Done>,
    pub(crate) form: Option<PackageForm>,
    pub(crate) package_sha256: Option<Digest>,
    pub(crate) passphrase_shown: Option<Done>,
    pub(crate) given: Option<Done>,
    pub(crate) receiver: Option<Wording>,
    pub(crate) received: Option<Done>,
    pub(crate) returned: Option<Done>,
    pub(crate) destroyed: Option<Done>,
    pub(crate) certificate: Option<Digest>,
    pub(crate) closed: Option<Done>,
    pub(crate) destroy_by: Option<Timestamp>,
    pub(crate) overdue: bool,
    /// That its time comes.
    pub(crate) reminder: Option<Reminder>,
}

/// Who did a step, and when.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Done {
    pub(crate) by: Option<StaffId>,
    pub(crate) at: Timestamp,
}

/// A recording of a hand-over.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ItemView {
    pub(crate) recording: RecordingId,
    pub(crate) sha256: Option<Digest>,
}

/// What somebody wants to package.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct PackageWish {
    pub(crate) hand_over: HandOverId,
    pub(crate) form: PackageForm,
    /// Where the asker makes the file.
    pub(crate) place: String,
    pub(crate) proof: Proof,
}

/// A package that may leave: the leave, what opens, and what the manifest says so far.
pub(crate) struct Packing {
    pub(crate) permit: HandOverPermit,
    pub(crate) proved: Proved,
    pub(crate) kept: BTreeMap<RecordingId, Kept>,
    pub(crate) vault: Arc<Vault>,
    pub(crate) opener: Opener,
    pub(crate) lock: PackageKey,
    pub(crate) code: ReceiptCode,
    pub(crate) manifest: Manifest,
}

/// A package that left whole, to be written down.
pub(crate) struct Packed {
    pub(crate) proved: Proved,
    pub(crate) hand_over: HandOverId,
    pub(crate) copy: CopyId,
    pub(crate) contents: Contents,
    pub(crate) passphrase: Option<Passphrase>,
}

/// Makes a package for one client.
///
/// # Errors
/// The client went away; its copy stands in the register until its destruction is certified.
pub(crate) fn package(
    desk: &Desk,
    wish: PackageWish,
    asker: &Asker,
    client: &mut Client,
) -> io::Result<()> {
    let packing = match desk.begin_package(wish, asker.clone()) {
        Answer::Done(packing) => *packing,
        other => return client.answer(&other.without::<()>()),
    };
    let (hand_over, copy) = (packing.permit.hand_over(), packing.permit.copy());
    // Of nothing that left; whatever did stands in the register, for an asker's word is no proof that it is gone.
    let abandoned = || {
        desk.track(Fact::HandOver(HandOverFact::PackageAbandoned {
            hand_over,
            copy,
        }))
    };
    let file = client
        .answer(&Answer::Done(()))
        .and_then(|()| client.hear::<FileState>());
    if !matches!(file, Ok(FileState::Made)) {
        abandoned();
        return file.map(drop);
    }
    let (packed, exported) = match send(desk, packing, client) {
        Ok(sent) => sent,
        Err(Broken::Client(fault)) => return Err(fault),
        Err(Broken::Unopened(fault)) => {
            abandoned();
            client.end_parts(ABORT)?;
            return client.answer(&voice::broken_off::<Exported>(&fault, BROKEN_OFF));
        }
        Err(Broken::Recording(fault)) => {
            client.end_parts(ABORT)?;
            return client.answer(&voice::broken_off::<Exported>(&fault, BROKEN_OFF));
        }
    };
    match client.hear::<FileState>()? {
        FileState::Written => client.answer(&match desk.end_package(packed, asker.clone()) {
            Answer::Done(()) => Answer::Done(exported),
            other => other.without(),
        }),
        FileState::Made | FileState::Refused | FileState::WriteFailed => Ok(()),
    }
}

/// Samples of each channel that are encrypted at once: ten seconds.
const SAMPLES_PER_PART: u64 = 80_000;
/// Encrypted bytes that are sent at once.
const PART_BYTES: usize = 256 * 1024;

fn send(desk: &Desk, packing: Packing, client: &mut Client) -> Result<(Packed, Exported), Broken> {
    let Packing {
        mut permit,
        proved,
        kept,
        vault,
        opener,
        lock,
        code,
        mut manifest,
    } = packing;
    let passphrase = match &lock {
        PackageKey::Passphrase(passphrase) => Some(passphrase.clone()),
        PackageKey::Recipient(_) => None,
    };
    let mut open_next = || {
        let item = permit.next_item();
        item.map(|item| open_item(item, &kept, &vault, &opener))
            .transpose()
    };
    let mut next = open_next().map_err(Broken::Unopened)?;
    let seconds = u64::try_from(manifest.packaged_at.as_second()).unwrap_or(0);
    let parts = BufWriter::with_capacity(PART_BYTES, Parts::new(client));
    let mut package = PackageWriter::begin(parts, lock, seconds).map_err(Broken::Client)?;
    let mut duration_ms = 0;
    while let Some(voice) = next {
        duration_ms += voice::milliseconds(voice.samples());
        let name = format!("{:04}.wav", manifest.items.len() + 1);
        let written = write_voice(desk, voice, name, &mut package)?;
        manifest.items.push(written);
        next = open_next().map_err(Broken::Recording)?;
    }
    let items = manifest.items.iter();
    let items = items.map(|item| (item.recording, item.sha256)).collect();
    let signed = desk.sign(manifest.to_text()).ok_or_else(unsigned)?;
    let receipt = format!("受領コード / receipt code: {}\n", code.text());
    for (name, text) in [(MANIFEST_NAME, &signed), (RECEIPT_NAME, &receipt)] {
        write_file(&mut package, name, text.as_bytes()).map_err(Broken::Client)?;
    }
    let parts = package.finish().map_err(Broken::Client)?;
    let parts = parts
        .into_inner()
        .map_err(|fault| Broken::Client(fault.into_error()))?;
    let (sha256, bytes) = parts.finish().map_err(Broken::Client)?;
    let (hand_over, copy) = (permit.hand_over(), permit.copy());
    let contents = Contents {
        sha256,
        bytes,
        code: code.digest(hand_over),
        items,
    };
    let packed = Packed {
        proved,
        hand_over,
        copy,
        contents,
        passphrase,
    };
    let exported = Exported {
        bytes,
        sha256,
        duration_ms,
    };
    Ok((packed, exported))
}

fn open_item(
    item: ItemPermit,
    kept: &BTreeMap<RecordingId, Kept>,
    vault: &Vault,
    opener: &Opener,
) -> Result<Voice<ItemPermit>, OpenFault> {
    let recording = item.recording();
    let kept = kept.get(&recording).copied();
    let kept = kept.ok_or(OpenFault::NoFile { recording })?;
    let opened = vault.open(item, kept, opener, Timestamp::now())?;
    Ok(Voice::new(opened, None))
}

/// Without a signed manifest nothing leaves whole.
fn unsigned() -> Broken {
    Broken::Client(io::Error::other("the manifest cannot be signed"))
}

fn write_voice<W: Write>(
    desk: &Desk,
    mut voice: Voice<ItemPermit>,
    name: String,
    package: &mut PackageWriter<W>,
) -> Result<ManifestItem, Broken> {
    let recording = voice.permit().recording();
    let length_ms = voice::milliseconds(voice.samples());
    let masked = voice.permit().masked(length_ms);
    let masked = masked.map_err(|beyond| Broken::Recording(beyond.into()))?;
    let header = voice::wav_header(voice.samples());
    let bytes = voice::wav_bytes(voice.samples());
    let mut hash = Context::new(&SHA256);
    package.begin_file(&name, bytes).map_err(Broken::Client)?;
    let mut put = |part: &[u8]| {
        hash.update(part);
        package.write(part).map_err(Broken::Client)
    };
    put(&header)?;
    let all = voice.samples();
    loop {
        let begin = all - voice.samples();
        let part = voice.part(desk, SAMPLES_PER_PART);
        let Some(mut part) = part.map_err(Broken::Recording)? else {
            break;
        };
        storage::silence(&mut part.bytes, begin, &masked);
        put(&part.bytes)?;
        voice.pass(&part);
    }
    Ok(ManifestItem {
        name,
        recording,
        sha256: digest_of(hash),
        bytes,
        masked,
    })
}

fn write_file<W: Write>(
    package: &mut PackageWriter<W>,
    name: &str,
    content: &[u8],
) -> io::Result<()> {
    package.begin_file(name, u64::try_from(content.len()).unwrap_or(u64::MAX))?;
    package.write(content)
}

fn digest_of(hash: Context) -> Digest {
    let mut sha256 = [0; 32];
    sha256.copy_from_slice(hash.finish().as_ref());
    Digest(sha256)
}

/// Sends what is written as parts, and hashes it.
struct Parts<'a> {
    client: &'a mut Client,
    hash: Context,
    bytes: u64,
}

impl<'a> Parts<'a> {
    fn new(client: &'a mut Client) -> Parts<'a> {
        Parts {
            client,
            hash: Context::new(&SHA256),
            bytes: 0,
        }
    }

    fn finish(self) -> io::Result<(Digest, u64)> {
        self.client.end_parts(END)?;
        Ok((digest_of(self.hash), self.bytes))
    }
}

impl Write for Parts<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A part of no bytes would be the end.
        if !bytes.is_empty() {
            self.client.send_part(bytes)?;
            self.hash.update(bytes);
            self.bytes += u64::try_from(bytes.len()).unwrap_or(0);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.client.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_prints_no_reason_name_or_code() {
        let hand_over = HandOverId::new(Timestamp::UNIX_EPOCH, 1);
        let word = || "試験 花子".parse().unwrap();
        let to = WishedDestination::Request {
            case: CaseId::new(Timestamp::UNIX_EPOCH, 2),
            addressee: word(),
            recipient: None,
        };
        for ask in [
            HandOverAsk::Request(HandOverWish {
                to,
                purpose: None,
                medium: "USB-12".parse().unwrap(),
                recordings: Vec::new(),
            }),
            HandOverAsk::Decide {
                hand_over,
                verdict: Verdict::Approved,
                reason: word(),
                masks: Masks::default(),
            },
            HandOverAsk::Give {
                hand_over,
                receiver: word(),
            },
            HandOverAsk::Receive {
                hand_over,
                code: Secret::new("試験 花子"),
            },
        ] {
            let shown = format!("{ask:?}");
            assert!(!shown.contains("花子"), "{shown}");
        }
    }
}
