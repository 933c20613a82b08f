//! `denwaban recordings`: lists and finds what is kept, and opens one recording for a person who may hear it.

mod looking;

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::{Args, Subcommand};
use jiff::Timestamp;
use rules::{CaseId, RecordingId, RecordingState, jst_rfc3339};
use serde::Serialize;
use storage::{Catalogue, Duty, ListedCall};
use tokio::runtime;

use super::{Exit, Form, Person, Place, Terminal};
use crate::{
    duty::{Answer, Conversation, Message},
    export::{self, Alone, Exported, Request},
    outside,
    playback::{self, Played},
    said::Said,
};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// 録音の一覧（内容も相手の番号も表示しません）/ list recordings; neither content nor a citizen's number is shown
    List(List),
    /// 録音を WAV に書き出します（左: 市民、右: 市）/ write a recording to a WAV file: caller left, city right
    Export(Export),
    /// 録音を番号・期間で探します（番号は伏せて表示）/ find recordings by number and time; numbers are shown masked
    Find(looking::Find),
    /// 録音を話す速さで標準出力に流します（WAV）/ play a recording at speaking pace, as WAV on standard output
    Play(Play),
    /// 発信者の番号を表示します（理由は封印して保存）/ show the caller's number; the reason is kept sealed
    Reveal(looking::Reveal),
    /// 誰がどこを聞いたか（証跡から）/ who heard it, and which part, from the audit trail
    Heard(looking::Heard),
    /// 誰が何のために発信者の番号を見たか（理由は管理責任者と監査に表示）/ who saw the caller's number; managers and auditors are told why
    Revealed(looking::Heard),
}

#[derive(Debug, Args)]
pub(super) struct List {
    #[command(flatten)]
    place: Place,
    /// 録音のない通話も / with calls that have no recording
    #[arg(long)]
    all: bool,
    /// 新しい順にこの件数だけ / only so many of the newest
    #[arg(long, value_name = "COUNT")]
    limit: Option<u32>,
}

const PURPOSE_HELP: &str = "目的（必須）: ANALYSIS_INQUIRY 問い合わせ分析, ANALYSIS_COMPLAINT 苦情の原因分析, STAFF_CHECK 職員の確認; 決定のある請求 (--case): STATUTE 法令・条例, SUBJECT_RIGHTS 開示請求等, UNREASONABLE_DEMAND 不当要求行為 / what for; required";
const CASE_HELP: &str = "承認された請求の id（STATUTE, SUBJECT_RIGHTS, UNREASONABLE_DEMAND に必須）/ the approved request that such a purpose needs";

#[derive(Debug, Args)]
pub(super) struct Export {
    /// 録音の id（recordings list に表示）/ the recording's id
    id: RecordingId,
    #[command(flatten)]
    place: Place,
    #[arg(long, value_name = "PURPOSE", help = PURPOSE_HELP)]
    purpose: Option<String>,
    #[arg(long, value_name = "R", help = CASE_HELP, default_value = "", hide_default_value = true)]
    case: Said<CaseId>,
    #[command(flatten)]
    person: Person,
    /// 書き出すファイル（既存のファイルは上書きしません）/ the file; an existing one is never overwritten
    #[arg(long, value_name = "FILE.wav")]
    out: PathBuf,
}

#[derive(Debug, Args)]
pub(super) struct Play {
    /// 録音の id（recordings list に表示）/ the recording's id
    id: RecordingId,
    #[command(flatten)]
    place: Place,
    #[arg(long, value_name = "PURPOSE", help = PURPOSE_HELP)]
    purpose: Option<String>,
    #[arg(long, value_name = "R", help = CASE_HELP, default_value = "", hide_default_value = true)]
    case: Said<CaseId>,
    #[command(flatten)]
    person: Person,
    /// ここから（ミリ秒）/ from here, in milliseconds; the beginning unless given
    #[arg(long, value_name = "MS")]
    from_ms: Option<u64>,
    /// ここまで（ミリ秒）/ to here, in milliseconds; the end unless given
    #[arg(long, value_name = "MS")]
    to_ms: Option<u64>,
}

pub(super) fn recordings(command: &Command, out: &mut Terminal) -> Result<(), Exit> {
    match command {
        Command::List(arguments) => list(arguments, out),
        Command::Export(arguments) => export(arguments, out),
        Command::Play(arguments) => play(arguments, out),
        Command::Find(arguments) => looking::find(arguments, out),
        Command::Reveal(arguments) => looking::reveal(arguments, out),
        Command::Heard(arguments) => looking::heard(arguments, out),
        Command::Revealed(arguments) => looking::revealed(arguments, out),
    }
}

fn list(arguments: &List, out: &mut Terminal) -> Result<(), Exit> {
    let config = arguments.place.load(out)?;
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|_| Exit::Failed)?;
    let now = Timestamp::now();
    runtime.block_on(async {
        let unavailable = |out: &mut Terminal, fault: &storage::CatalogueFault| {
            out.complain(&format!("データベースを読めません。\n{fault}"));
            Exit::Unavailable
        };
        let mut catalogue = Catalogue::open_read_only(&config.layout()).await.map_err(|fault| unavailable(out, &fault))?;
        let mut listing = catalogue.list(arguments.all, arguments.limit).await.map_err(|fault| unavailable(out, &fault))?;
        if out.form == Form::Text {
            out.line("録音/recording             開始/started                   長さ/length 状態/state   告知/notice 番号/called")?;
        }
        loop {
            let page = listing.page().await.map_err(|fault| unavailable(out, &fault))?;
            if page.is_empty() {
                return Ok(());
            }
            for call in &page {
                out.result(&object(call, now), || line(call, now))?;
            }
        }
    })
}

/// A line of `--json`. A tombstone has id, state and expiry, all else null; only an unrecorded call has a reason.
#[derive(Serialize)]
struct Listed<'call> {
    id: Option<String>,
    call_id: Option<String>,
    called: Option<&'call str>,
    caller: Option<&'call str>,
    started_at: Option<String>,
    expires_at: String,
    duration_ms: Option<u64>,
    state: &'static str,
    notice: Option<&'call str>,
    gaps_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'call str>,
}

/// What is due is expired from its instant on, whether or not the sweep ran (K-22): nobody can open it any more.
fn is_expired(call: &ListedCall, now: Timestamp) -> bool {
    match call.state {
        RecordingState::Open | RecordingState::Sealed | RecordingState::Recovered => {
            call.expires_at <= now
        }
        RecordingState::Disposed | RecordingState::Unrecorded => false,
    }
}

fn object(call: &ListedCall, now: Timestamp) -> Listed<'_> {
    Listed {
        id: call.recording.map(|recording| recording.to_string()),
        call_id: call.call.map(|call| call.to_string()),
        called: call.called.as_deref(),
        caller: call.caller.as_deref(),
        started_at: call.started_at.map(jst_rfc3339),
        expires_at: jst_rfc3339(call.expires_at),
        duration_ms: call.duration_ms,
        state: if is_expired(call, now) {
            "expired"
        } else {
            call.state.code()
        },
        notice: call.notice.as_deref(),
        gaps_ms: call.gaps_ms,
        reason: call
            .reason
            .as_deref()
            .filter(|_| call.state == RecordingState::Unrecorded),
    }
}

fn line(call: &ListedCall, now: Timestamp) -> String {
    let id = call
        .recording
        .map_or_else(|| "-".repeat(26), |recording| recording.to_string());
    let started = call.started_at.map_or_else(String::new, jst_rfc3339);
    let length = call.duration_ms.map_or_else(String::new, |length| {
        format!("{}.{}s", length / 1_000, length % 1_000 / 100)
    });
    let state = match call.state {
        _ if is_expired(call, now) => "期限切れ expired",
        RecordingState::Open => "録音中 open",
        RecordingState::Sealed => "封印済 sealed",
        RecordingState::Recovered => "復旧 recovered",
        RecordingState::Disposed => "廃棄済 disposed",
        RecordingState::Unrecorded => "録音なし unrecorded",
    };
    let notice = call
        .notice
        .as_deref()
        .or(call.reason.as_deref())
        .unwrap_or_default();
    format!(
        "{id} {started} {length:>8} {state} {notice} {}",
        call.called.as_deref().unwrap_or_default()
    )
}

fn export(arguments: &Export, out: &mut Terminal) -> Result<(), Exit> {
    let config = Arc::new(arguments.place.load(out)?);
    let layout = config.layout();
    if let Err(message) = outside::check_place(&layout, &arguments.out) {
        return out.settle(Answer::Failed(message));
    }
    let place = place_of(&arguments.out);
    let request = Request::Export {
        recording: arguments.id,
        purpose: arguments.purpose.clone(),
        place: place.display().to_string(),
        case: arguments.case.clone(),
        proof: arguments.person.proof(&layout, out)?,
    };
    let answer = with_office(&config, &request, |conversation| {
        export::receive(conversation, &layout, &arguments.out)
    });
    let exported: Exported = out.settle(answer)?;
    let object = serde_json::json!({
        "file": arguments.out,
        "bytes": exported.bytes,
        "sha256": exported.sha256,
        "duration_ms": exported.duration_ms,
    });
    out.result(&object, || {
        format!(
            "書き出しました / written: {} ({}.{} s)\n  SHA-256 {}\n  聞き終えたら消してください。複写も録音と同じ期日までです / delete it when heard: a copy lives no longer than its recording",
            arguments.out.display(),
            exported.duration_ms / 1_000,
            exported.duration_ms % 1_000 / 100,
            exported.sha256
        )
    })
}

/// A file as the register of copies names it: absolute, and without the links on its way, which the office does not follow.
pub(super) fn place_of(file: &Path) -> PathBuf {
    let file = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    let folder = file.parent().and_then(|folder| folder.canonicalize().ok());
    match (folder, file.file_name()) {
        (Some(folder), Some(name)) => folder.join(name),
        _ => file,
    }
}

/// What `play --json` says on standard error: the sound is on standard output.
#[derive(Serialize)]
struct PlayedObject {
    id: RecordingId,
    from_ms: u64,
    to_ms: u64,
}

fn play(arguments: &Play, out: &mut Terminal) -> Result<(), Exit> {
    let config = Arc::new(arguments.place.load(out)?);
    let range_ms = match (arguments.from_ms, arguments.to_ms) {
        (None, None) => None,
        (from, to) => Some((from.unwrap_or(0), to.unwrap_or(u64::MAX))),
    };
    let request = Request::Play {
        recording: arguments.id,
        purpose: arguments.purpose.clone(),
        case: arguments.case.clone(),
        range_ms,
        proof: arguments.person.proof(&config.layout(), out)?,
    };
    let answer = with_office(&config, &request, |conversation| {
        match playback::receive(conversation, &mut out.out) {
            Err(fault) if fault.kind() == io::ErrorKind::BrokenPipe => {
                Ok(Answer::Failed(stopped()))
            }
            played => played,
        }
    });
    let played: Played = out.settle(answer)?;
    let (from_ms, to_ms) = played.range_ms;
    let object = PlayedObject {
        id: arguments.id,
        from_ms,
        to_ms,
    };
    out.remark(&object, || {
        format!("再生しました / played: {from_ms}..{to_ms} ms")
    });
    Ok(())
}

fn stopped() -> Message {
    Message::new(
        "再生を途中で止めました。送った範囲は証跡に残ります。",
        "whoever read the sound stopped; the trail says which part was sent",
    )
}

/// Asks the running server's office, or is the office for as long as it takes.
pub(super) fn with_office<T>(
    config: &Arc<crate::config::Config>,
    request: &Request,
    converse: impl FnOnce(&mut Conversation) -> io::Result<Answer<T>>,
) -> Answer<T> {
    let failed = |fault: io::Error| {
        Answer::Failed(Message::new(
            "動いている denwaban と話せません。ソケットの権限を確認してください。",
            format!(
                "the running denwaban cannot be asked ({fault}); check the mode and group of its socket"
            ),
        ))
    };
    match Conversation::ask(&config.layout(), Duty::Office, request) {
        Ok(Some(mut conversation)) => converse(&mut conversation).unwrap_or_else(failed),
        Ok(None) => {
            let alone = match Alone::begin(config) {
                Ok(alone) => alone,
                Err(message) => return Answer::Failed(message),
            };
            let answer = alone
                .ask(request)
                .and_then(|mut conversation| converse(&mut conversation))
                .unwrap_or_else(failed);
            alone.end();
            answer
        }
        Err(fault) => failed(fault),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tombstone_shows_nothing_but_its_id_state_and_expiry() {
        let recording = RecordingId::new(Timestamp::UNIX_EPOCH, 7);
        let tombstone = listed(recording, RecordingState::Disposed);
        let expected = format!(
            "{{\"id\":\"{recording}\",\"call_id\":null,\"called\":null,\"caller\":null,\"started_at\":null,\"expires_at\":\"1970-01-01T09:00:00.000+09:00\",\"duration_ms\":null,\"state\":\"disposed\",\"notice\":null,\"gaps_ms\":null}}"
        );
        let shown = serde_json::to_string(&object(&tombstone, Timestamp::now()));
        assert_eq!(shown.unwrap(), expected);
    }

    #[test]
    fn what_is_due_is_shown_as_expired_before_it_is_swept() {
        let recording = RecordingId::new(Timestamp::UNIX_EPOCH, 7);
        let sealed = listed(recording, RecordingState::Sealed);
        let due = sealed.expires_at;
        let before = due - jiff::SignedDuration::from_nanos(1);
        assert_eq!(object(&sealed, before).state, "sealed");
        assert_eq!(object(&sealed, due).state, "expired");
        assert!(line(&sealed, due).contains("期限切れ expired"));
    }

    fn listed(recording: RecordingId, state: RecordingState) -> ListedCall {
        ListedCall {
            recording: Some(recording),
            call: None,
            day: rules::JstDay::of(Timestamp::UNIX_EPOCH),
            expires_at: Timestamp::UNIX_EPOCH,
            state,
            called: None,
            department: None,
            caller: None,
            started_at: None,
            answered_at: None,
            ended_at: None,
            duration_ms: None,
            gaps_ms: None,
            notice: None,
            reason: None,
            recovery: None,
            chunks: None,
            sha256: None,
            bytes: None,
        }
    }
}
