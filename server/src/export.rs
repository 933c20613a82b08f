//! Export: a recording as a WAV file for a person who may hear it (K-19), and disposal, over the office's socket.
//!
//! The office judges, writes the entry, opens, and sends the file's bytes; whoever asked makes the file, so that it is theirs.
//! Order: entry durable, then the file is made, then bytes flow, then the entry that it is complete. Start at [`attend`].

use std::{
    collections::BTreeSet,
    fs::File,
    io::{self, Read, Write},
    os::unix::{fs::MetadataExt, net::UnixStream},
    path::Path,
    sync::Arc,
    thread,
};

use aws_lc_rs::digest::{Context, SHA256};
use rules::{
    Action, AuditDraft, AuditEvent, CaseId, Chain, CopyFact, CopyId, Destruction, Digest,
    ExportCause, Fact, ListenPermit, RecordingId,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use storage::{Duty, Layout, Lock, OpenFault, OsDisk, Vault};

use crate::{
    config::Config,
    copies::CopyAsk,
    duty::{Answer, Client, Conversation, Message},
    hand_over::{self, HandOverAsk, PackageWish},
    heard,
    office::{
        Desk, DisposeRequest, FindWish, KeysRequest, Office, Opened, RevealWish, TrailRequest,
        Wish, export_cause,
    },
    outside,
    people::Ask,
    playback,
    proof::{Asker, Proof},
    report::{self, ReportRequest},
    said::Said,
    search, trail_export, trail_listing, unix,
    voice::{self, Voice},
};

/// Samples of each channel sent at once: ten seconds.
const SAMPLES_PER_PART: u64 = 80_000;

/// What is asked on the office's socket.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Request {
    /// Hear a recording as a WAV file.
    Export {
        recording: RecordingId,
        purpose: Option<String>,
        #[serde(default)]
        case: Said<CaseId>,
        /// Where the asker makes the file.
        place: String,
        proof: Proof,
    },
    /// Hear it at speaking pace.
    Play {
        recording: RecordingId,
        purpose: Option<String>,
        #[serde(default)]
        case: Said<CaseId>,
        range_ms: Option<(u64, u64)>,
        proof: Proof,
    },
    /// Look for recordings.
    Find(FindWish),
    /// See who called.
    Reveal(RevealWish),
    /// See who heard a recording.
    Heard {
        recording: RecordingId,
        proof: Proof,
    },
    /// See who saw the number of its caller, and why.
    Revealed {
        recording: RecordingId,
        proof: Proof,
    },
    /// A month's report or statement.
    Report(ReportRequest),
    /// Compare rows and files.
    Reconcile,
    /// Plan, destroy what is due, or acknowledge a certificate.
    Dispose(DisposeRequest),
    /// Something about people.
    People { ask: Ask, proof: Proof },
    /// Something about hand-overs.
    HandOver { ask: HandOverAsk, proof: Proof },
    /// Make a package.
    Package(PackageWish),
    /// Something about copies outside the vault.
    Copies { ask: CopyAsk, proof: Proof },
    /// Rotate, mirror or recover the keys.
    Keys { ask: KeysRequest, proof: Proof },
    /// Sign heads, or change the key that signs.
    Trail { ask: TrailRequest, proof: Proof },
    /// Whether somebody may do what opens no content.
    Judge {
        action: Action,
        proof: Proof,
        /// The Unix user at whose word whoever carries calls asks; of nobody else it is believed, nor is what is no user's name.
        #[serde(default)]
        asked_by: Option<String>,
    },
    /// Leave to bring audio back while others listen, or to give it up.
    RestoreAudio { step: AudioStep, proof: Proof },
    /// Leave to copy rows, audio and trail out, without any key.
    BackUp { proof: Proof },
    /// The entries of chains, from a number of each on.
    ListTrail {
        chains: BTreeSet<Chain>,
        from_seq: u64,
        proof: Proof,
    },
    /// Both chains as one file.
    ExportTrail { proof: Proof },
}

/// What is done about audio that a restore has still to bring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AudioStep {
    Bring,
    GiveUp,
}

/// How the file fares at the asker's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FileState {
    Made,
    Refused,
    Written,
    WriteFailed,
}

/// What was exported.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Exported {
    pub(crate) bytes: u64,
    pub(crate) sha256: Digest,
    pub(crate) duration_ms: u64,
}

/// Answers one client of the office's socket.
pub(crate) fn attend(desk: &Desk, request: Request, mut client: Client) {
    let asker = Asker::new(&client.unix_user);
    let ended = match request {
        Request::Export {
            recording,
            purpose,
            case,
            place,
            proof,
        } => {
            let wish = Wish {
                recording,
                action: Action::ListenToFile,
                purpose,
                case: case.named(),
                range_ms: None,
                place: Some(place),
                proof,
            };
            export(desk, wish, asker, &mut client)
        }
        Request::Play {
            recording,
            purpose,
            case,
            range_ms,
            proof,
        } => {
            let wish = Wish {
                recording,
                action: Action::Listen,
                purpose,
                case: case.named(),
                range_ms,
                place: None,
                proof,
            };
            playback::play(desk, wish, asker, &mut client)
        }
        Request::Find(wish) => search::find(desk, wish, asker, &mut client),
        Request::Reveal(wish) => client.answer(&desk.reveal(wish, asker)),
        Request::Heard { recording, proof } => {
            heard::show(desk, recording, proof, asker, &mut client)
        }
        Request::Revealed { recording, proof } => {
            heard::show_sightings(desk, recording, proof, asker, &mut client)
        }
        Request::Report(request) => report::attend(desk, request, asker, &mut client),
        Request::Reconcile => client.answer(&desk.reconcile(asker)),
        Request::Dispose(request) => client.answer(&desk.dispose(request, asker)),
        Request::Keys { ask, proof } => client.answer(&desk.keys(ask, proof, asker)),
        Request::Trail { ask, proof } => client.answer(&desk.trail(ask, proof, asker)),
        Request::Judge {
            action,
            proof,
            asked_by,
        } => {
            let asker = match asked_by {
                Some(user) if carries_calls(desk, &client) && unix::is_user_name(&user) => {
                    Asker::spoken_for(&user, &client.unix_user)
                }
                Some(_) | None => asker,
            };
            client.answer(&desk.judge(action, proof, asker))
        }
        Request::RestoreAudio { step, proof } => {
            client.answer(&desk.restore_audio(step, proof, asker))
        }
        Request::BackUp { proof } => client.answer(&desk.back_up(proof, asker)),
        Request::ListTrail {
            chains,
            from_seq,
            proof,
        } => trail_listing::show(desk, chains, from_seq, proof, asker, &mut client),
        Request::ExportTrail { proof } => trail_export::attend(desk, proof, asker, &mut client),
        Request::HandOver { ask, proof } => client.answer(&desk.hand_over(ask, proof, asker)),
        Request::Package(wish) => hand_over::package(desk, wish, &asker, &mut client),
        Request::Copies { ask, proof } => client.answer(&desk.copies(ask, proof, asker)),
        Request::People { ask, proof } => client.answer(&desk.people(ask, proof, asker)),
    };
    if let Err(fault) = ended {
        tracing::warn!(%fault, "a client of the office's socket went away");
    }
}

/// Whether a client is of the user whose folder is the calls' one.
fn carries_calls(desk: &Desk, client: &Client) -> bool {
    let folder = std::fs::metadata(desk.config().layout().calls());
    folder.is_ok_and(|folder| folder.uid() == client.uid)
}

fn export(desk: &Desk, wish: Wish, asker: Asker, client: &mut Client) -> io::Result<()> {
    let recording = wish.recording;
    let opened = match desk.listen(wish, asker) {
        Answer::Done(opened) => opened,
        other => return client.answer(&other.without::<()>()),
    };
    let Opened {
        playback,
        granted,
        actor,
        copy,
    } = opened;
    // Whoever listens to a file says where it will lie, which enters the copy.
    let Some(copy) = copy else {
        return client.answer(&not_listed());
    };
    // Of nothing that left. Whatever did stays in the register until the sweep removes the file or a certificate says that it is gone:
    // an asker's word is no proof.
    let removed = || {
        let how = Destruction::Removed;
        desk.track(Fact::Copy(CopyFact::Destroyed { copy, how }));
    };
    let mut voice = Voice::new(playback, None);
    let failed = |cause, sent_ms| {
        let event = AuditEvent::ExportFailed {
            recording,
            granted,
            cause,
            range_ms: Some((0, sent_ms)),
        };
        // The grant is written down already; this entry only says how it ended.
        desk.audit(AuditDraft {
            actor: actor.clone(),
            event,
        });
    };
    let file = client
        .answer(&Answer::Done(()))
        .and_then(|()| client.hear::<FileState>());
    if !matches!(file, Ok(FileState::Made)) {
        failed(ExportCause::FileRefused, 0);
        removed();
        return file.map(drop);
    }
    let sent = send(desk, &mut voice, copy, client);
    let sent_ms = voice.at_ms();
    let sent = match sent {
        Ok(sent) => sent,
        Err(Broken::Client(fault)) => {
            failed(ExportCause::WriteFailed, sent_ms);
            return Err(fault);
        }
        Err(Broken::Unopened(fault)) => {
            failed(export_cause(&fault), sent_ms);
            removed();
            return broken_off(&fault, client);
        }
        Err(Broken::Recording(fault)) => {
            failed(export_cause(&fault), sent_ms);
            return broken_off(&fault, client);
        }
    };
    if !matches!(client.hear(), Ok(FileState::Written)) {
        failed(ExportCause::WriteFailed, sent_ms);
        return Ok(());
    }
    let (sha256, bytes) = (sent.sha256, sent.bytes);
    let made = CopyFact::Made {
        copy,
        sha256,
        bytes,
    };
    if !desk.track(Fact::Copy(made)) {
        failed(ExportCause::WriteFailed, sent_ms);
        return client.answer(&not_listed());
    }
    let event = AuditEvent::ExportCompleted {
        recording,
        granted,
        sha256: sent.sha256,
        bytes: sent.bytes,
        range_ms: (0, sent.duration_ms),
    };
    if desk.audit(AuditDraft {
        actor: actor.clone(),
        event,
    }) {
        return client.answer(&Answer::Done(sent));
    }
    let ja = "書き出しましたが、完了を証跡に記録できませんでした。";
    client.answer(&Answer::<Exported>::Unavailable(Message::new(
        ja,
        "the file is written, its completion is not in the audit trail",
    )))
}

/// Tells the asker that the file does not become whole.
fn broken_off(fault: &OpenFault, client: &mut Client) -> io::Result<()> {
    client.end_parts(ABORT)?;
    client.answer(&voice::broken_off::<Exported>(fault, BROKEN_OFF))
}

/// Of a file that breaks off and is removed by whoever asked.
pub(crate) const BROKEN_OFF: &str = "録音を最後まで読めませんでした。ファイルは消しました。";

/// What is not listed as whole must not stay; the asker removes it when it hears of this.
fn not_listed() -> Answer<Exported> {
    Answer::Failed(Message::new(
        "書き出しを複写の登録に記録できませんでした。ファイルは消しました。",
        "the register of copies cannot say that the file is whole; it is removed",
    ))
}

/// After the last part stands a length of zero; where the recording broke off, the other one.
pub(crate) const END: u32 = 0;
pub(crate) const ABORT: u32 = u32::MAX;

pub(crate) enum Broken {
    Client(io::Error),
    /// Before the first byte left.
    Unopened(OpenFault),
    /// With something of it outside.
    Recording(OpenFault),
}

/// Sends the file in parts, each with its length before it, and hashes what is sent. The right is looked at anew before each.
fn send(
    desk: &Desk,
    voice: &mut Voice<ListenPermit>,
    copy: CopyId,
    client: &mut Client,
) -> Result<Exported, Broken> {
    let samples = voice.samples();
    let mut hash = Context::new(&SHA256);
    let mut bytes = 0;
    let mut send_part = |part: &[u8]| {
        hash.update(part);
        bytes += u64::try_from(part.len()).unwrap_or(0);
        client.send_part(part)
    };
    let mut next = voice
        .part(desk, SAMPLES_PER_PART)
        .map_err(Broken::Unopened)?;
    send_part(&voice::copy_header(samples, copy)).map_err(Broken::Client)?;
    while let Some(part) = next {
        send_part(&part.bytes).map_err(Broken::Client)?;
        voice.pass(&part);
        next = voice
            .part(desk, SAMPLES_PER_PART)
            .map_err(Broken::Recording)?;
    }
    client.end_parts(END).map_err(Broken::Client)?;
    let mut sha256 = [0; 32];
    sha256.copy_from_slice(hash.finish().as_ref());
    Ok(Exported {
        bytes,
        sha256: Digest(sha256),
        duration_ms: voice::milliseconds(samples),
    })
}

/// The asker's end of an export: makes the file once it is permitted, and takes it away again if it does not become whole.
pub(crate) fn receive<T: DeserializeOwned>(
    conversation: &mut Conversation,
    layout: &Layout,
    path: &Path,
) -> io::Result<Answer<T>> {
    match conversation.answer::<()>()? {
        Answer::Done(()) => {}
        other => return Ok(other.without()),
    }
    let mut file = match outside::make(layout, path) {
        Ok(file) => file,
        Err(message) => {
            conversation.say(&FileState::Refused)?;
            return Ok(Answer::Failed(message));
        }
    };
    let written = conversation
        .say(&FileState::Made)
        .and_then(|()| take_parts(conversation, &mut file));
    let answer = match written {
        Ok(true) => conversation
            .say(&FileState::Written)
            .and_then(|()| conversation.answer()),
        Ok(false) => conversation.answer(),
        Err(fault) => {
            // The office hears of it, or finds the conversation ended; either is written down.
            let _ = conversation.say(&FileState::WriteFailed);
            Ok(Answer::Failed(outside::not_written(path, fault)))
        }
    };
    if !matches!(answer, Ok(Answer::Done(_) | Answer::Unavailable(_))) {
        std::fs::remove_file(path)?;
    }
    answer
}

/// `false` where the recording broke off.
fn take_parts(conversation: &mut Conversation, file: &mut File) -> io::Result<bool> {
    let is_whole = receive_parts(conversation, file)?;
    if is_whole {
        file.sync_all()?;
    }
    Ok(is_whole)
}

/// Writes parts as they come; `false` where the recording broke off.
pub(crate) fn receive_parts(
    conversation: &mut Conversation,
    out: &mut impl Write,
) -> io::Result<bool> {
    loop {
        let mut length = [0; 4];
        conversation.read_exact(&mut length)?;
        match u32::from_le_bytes(length) {
            END => return Ok(true),
            ABORT => return Ok(false),
            length => {
                let copied = io::copy(&mut conversation.by_ref().take(u64::from(length)), out)?;
                if copied != u64::from(length) {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                out.flush()?;
            }
        }
    }
}

/// The office of a command when no server runs: the same code behind a socket pair, under the office's lock.
pub(crate) struct Alone {
    office: Office,
    _held: Lock,
}

impl Alone {
    /// Takes the office's duty for as long as the command lasts.
    ///
    /// # Errors
    /// A message for whoever asked.
    pub(crate) fn begin(config: &Arc<Config>) -> Result<Alone, Message> {
        let layout = config.layout();
        // A lost volume came back empty: what brings keys and rows back is asked here.
        let made = layout.make_folders_of(Duty::Office, &OsDisk);
        made.map_err(|fault| {
            let ja = "データのフォルダを作れません。ボリュームと権限を確認してください。";
            let data = layout.data().display();
            Message::new(ja, format!("the folders in {data} cannot be made: {fault}"))
        })?;
        let held = Lock::acquire(&layout, Duty::Office).map_err(|fault| {
            let ja = "事務の係の錠を取れません。動いている denwaban に接続できるか、フォルダの権限を確認してください。";
            Message::new(ja, fault.to_string())
        })?;
        let vault = Arc::new(Vault::new(Arc::new(OsDisk), &layout, config.retention));
        let office = Office::begin(config, &vault, Arc::default())
            .map_err(|fault| Message::new("スレッドを作れません。", fault.to_string()))?;
        Ok(Alone {
            office,
            _held: held,
        })
    }

    /// Asks it as a running server would be asked.
    ///
    /// # Errors
    /// The system gives no socket pair or thread.
    pub(crate) fn ask(&self, request: &Request) -> io::Result<Conversation> {
        let (own, other) = UnixStream::pair()?;
        let client = Client::new(other)?;
        let (desk, request) = (self.office.desk(), request.clone());
        thread::Builder::new()
            .name("office-client".to_owned())
            .spawn(move || attend(&desk, request, client))?;
        Ok(Conversation::over(own))
    }

    /// Where its jobs are handed in.
    pub(crate) fn desk(&self) -> Desk {
        self.office.desk()
    }

    /// Ends it in order.
    pub(crate) fn end(self) {
        self.office.stop();
    }
}

#[cfg(test)]
mod tests {
    use rules::Refusal;

    use super::*;

    /// The office's side breaks a file off in the midst.
    fn told_of(fault: &OpenFault) -> Answer<Exported> {
        let (own, other) = UnixStream::pair().unwrap();
        let mut client = Client::new(other).unwrap();
        let mut conversation = Conversation::over(own);
        broken_off(fault, &mut client).unwrap();
        let mut file = Vec::new();
        assert!(!receive_parts(&mut conversation, &mut file).unwrap());
        conversation.answer().unwrap()
    }

    #[test]
    fn an_export_that_a_withdrawal_or_its_day_cuts_is_a_refusal_with_its_code() {
        for (fault, code) in [
            (OpenFault::Expired, "DISPOSED"),
            (
                OpenFault::Refused(Box::new(Refusal::nobody())),
                "PERSON_UNKNOWN",
            ),
        ] {
            let Answer::Refused(message) = told_of(&fault) else {
                panic!("{code} is no refusal");
            };
            assert_eq!(message.code, code);
        }
        assert!(matches!(told_of(&OpenFault::NoSegment), Answer::Failed(_)));
    }
}
