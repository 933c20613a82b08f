//! `denwaban audit`: reads both chains, verifies them against heads that were kept outside, and gives signed heads out.

use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::Duration,
};

use clap::{Args, Subcommand, ValueEnum};
use rules::{Actor, AuditEntry, AuditEvent, Chain, JstMonth, jst_rfc3339};
use serde::Serialize;
use storage::{
    Anchored, AuditFault, BrokenReason, ChainReport, Duty, Head, Layout, OsDisk, SignedHead,
    SignedHere, VerifierKey, verifier_keys,
};

use super::{
    Exit, Form, Person, Place, Terminal, calls::json, city_time::in_city_time, people::ask_as,
    recordings::with_office,
};
use crate::{
    config::Config,
    duty::{Answer, Conversation, Message},
    export::{self, Request},
    forgetting::{ForgetAsk, ForgetStep, Forgotten, Incomplete, MonthState, MonthView},
    office::{TrailDone, TrailRequest},
    outside,
    people::RegisterAsk,
    proof::Proof,
    said::{Said, Words},
    trail_export::{self, CHAINS, TrailExported, unread},
    trail_listing::{self, EntryView},
    wording::Wording,
};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// 証跡を表示します（通話の係、事務の係の順。表示したことも証跡に残ります）/ show the entries, those of calls first; that they were shown is an entry too
    List(List),
    /// 署名付きの証跡の頭。庁外に保管してください / the signed head of each chain, to be kept outside
    Head(HeadArguments),
    /// 証跡の連鎖を最初から最後まで検証します / verify every entry, and compare with heads that were kept outside
    Verify(Verify),
    /// 証跡をファイルに書き出します / write every entry, the heads and the public keys to a file
    Export(Export),
    /// 期限（3年）の過ぎた月の証跡を、決定により削除します / remove months of the trail whose term of three years is over, by decision
    Forget(Forget),
}

#[derive(Debug, Args)]
pub(super) struct List {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    person: Person,
    /// この番号から / from this entry of each chain on
    #[arg(long, value_name = "N", default_value_t = 1)]
    from_seq: u64,
    /// この係の証跡だけ / of one chain
    #[arg(long, value_name = "CHAIN")]
    chain: Option<ChainName>,
}

#[derive(Debug, Args)]
pub(super) struct HeadArguments {
    #[command(flatten)]
    place: Place,
    /// この係の証跡だけ / of one chain
    #[arg(long, value_name = "CHAIN")]
    chain: Option<ChainName>,
}

#[derive(Debug, Args)]
pub(super) struct Verify {
    #[command(flatten)]
    place: Place,
    /// 庁外に保管した頭（何度でも指定できます）/ a file of heads that was kept outside; may be given again
    #[arg(long, value_name = "FILE")]
    head: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct Export {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    person: Person,
    /// 書き出すファイル（既存のファイルは上書きしません）/ the file; an existing one is never overwritten
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

#[derive(Debug, Args)]
pub(super) struct Forget {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    person: Person,
    /// この月まで（例 2023-11）/ the last month that goes
    #[arg(long, value_name = "YYYY-MM")]
    through: JstMonth,
    /// 削除の決定（--yes に必須、封印して保存）/ the decision by which they go; required by --yes, and kept sealed
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "",
        hide_default_value = true
    )]
    decision: Said<Words>,
    /// 実行します。付けなければ、削除する月を示すだけです / do it; without it the months that would go are shown
    #[arg(long)]
    yes: bool,
}

/// A chain as it is typed.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum ChainName {
    Calls,
    Office,
}

fn chosen(name: Option<ChainName>) -> Vec<Chain> {
    match name {
        None => CHAINS.to_vec(),
        Some(ChainName::Calls) => vec![Chain::Calls],
        Some(ChainName::Office) => vec![Chain::Office],
    }
}

pub(super) fn audit(command: &Command, out: &mut Terminal) -> Result<(), Exit> {
    match command {
        Command::List(arguments) => list(arguments, out),
        Command::Head(arguments) => head(arguments, out),
        Command::Verify(arguments) => verify_all(arguments, out),
        Command::Export(arguments) => export(arguments, out),
        Command::Forget(arguments) => forget(arguments, out),
    }
}

fn list(arguments: &List, out: &mut Terminal) -> Result<(), Exit> {
    let config = Arc::new(arguments.place.load(out)?);
    let chains: BTreeSet<Chain> = chosen(arguments.chain).into_iter().collect();
    let request = Request::ListTrail {
        chains: chains.clone(),
        from_seq: arguments.from_seq,
        proof: arguments.person.proof(&config.layout(), out)?,
    };
    let answer = with_office(&config, &request, |conversation| {
        match conversation.answer::<()>()? {
            Answer::Done(()) => Ok(Answer::Done(list_chains(conversation, &chains, out))),
            other => Ok(other.without()),
        }
    });
    out.settle(answer)?
}

/// Writes what the office shows of each chain; one that is not as it was written does not hide the other.
fn list_chains(
    conversation: &mut Conversation,
    chains: &BTreeSet<Chain>,
    out: &mut Terminal,
) -> Result<(), Exit> {
    let mut worst = Exit::Done;
    for chain in chains {
        let name = Duty::from(*chain).name();
        let mut said = Ok(());
        let received = trail_listing::receive(conversation, |entry| {
            if said.is_ok() {
                said = shown(name, entry, out.form).and_then(|line| out.put(&in_city_time(&line)));
            }
        });
        said?;
        let ended = received.or_else(|fault| out.settle(Answer::Failed(stopped(&fault))))?;
        worst = worst.or_worse(out.settle(ended).err().unwrap_or(Exit::Done));
    }
    worst.ended()
}

fn stopped(fault: &io::Error) -> Message {
    Message::new(
        "証跡の表示が途中で終わりました。読むのを30秒止めると終わります。続きは --from-seq で表示できます。",
        format!(
            "the office shows no more ({fault}): whoever reads pauses for less than 30 s; go on by --from-seq"
        ),
    )
}

/// The object of `audit list --json`.
#[derive(Serialize)]
struct Listed<'entry> {
    chain: &'static str,
    seq: u64,
    at: String,
    actor: &'entry Actor,
    event: &'entry AuditEvent,
    /// Why, for managers and auditors, where that lies sealed.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'entry Wording>,
}

/// A line for an entry; one that a newer version wrote is shown as it stands.
fn shown(chain: &'static str, view: &EntryView, form: Form) -> Result<String, Exit> {
    let (text, reason) = (&view.entry, view.reason.as_ref());
    let Ok(entry) = serde_json::from_str::<AuditEntry>(text) else {
        return Ok(format!("{{\"chain\":\"{chain}\",\"entry\":{text}}}"));
    };
    let listed = Listed {
        chain,
        seq: entry.seq,
        at: jst_rfc3339(entry.at),
        actor: &entry.actor,
        event: &entry.event,
        reason,
    };
    if form == Form::Json {
        return json(&listed);
    }
    let who = match &entry.actor {
        Actor::System => "denwaban".to_owned(),
        Actor::Person { unix_user, person } => match person {
            Some(person) => format!("{person} ({unix_user})"),
            None => unix_user.clone(),
        },
    };
    let event = json(&entry.event)?;
    let reason = reason.map_or_else(String::new, |reason| format!(" 理由/reason={reason}"));
    let Listed { seq, at, .. } = listed;
    Ok(format!("{chain} {seq} {at} {who} {event}{reason}"))
}

fn broken(fault: &AuditFault, out: &mut Terminal) -> Exit {
    match out.settle(unread(fault)) {
        Err(exit) => exit,
        Ok(never) => match never {},
    }
}

fn head(arguments: &HeadArguments, out: &mut Terminal) -> Result<(), Exit> {
    let config = Arc::new(arguments.place.load(out)?);
    let chains = chosen(arguments.chain);
    let heads = TrailRequest::Heads { chains };
    let done = ask_of_trail(&config, heads, Proof::Nobody, out)?;
    if out.form == Form::Json {
        let mut notes = done.notes.iter();
        return notes.try_for_each(|note| out.object(&serde_json::json!({ "note": note })));
    }
    out.line(done.notes.join("\n").trim_end())
}

pub(super) fn ask_of_trail(
    config: &Arc<Config>,
    ask: TrailRequest,
    proof: Proof,
    out: &mut Terminal,
) -> Result<TrailDone, Exit> {
    let request = Request::Trail { ask, proof };
    let answer = with_office(config, &request, |conversation| conversation.answer());
    out.settle(answer)
}

fn verify_all(arguments: &Verify, out: &mut Terminal) -> Result<(), Exit> {
    let layout = arguments.place.load(out)?.layout();
    let heads = kept_outside(&arguments.head, &layout, out)?;
    let mut worst = Exit::Done;
    for duty in [Duty::Calls, Duty::Office] {
        let found = match verify(&layout, duty, &heads) {
            Ok(report) if out.form == Form::Json => {
                out.object(&Shown::of(&report))?;
                exit_of(&report)
            }
            Ok(report) => tell(&report, out)?,
            Err(fault) => broken(&fault, out),
        };
        worst = worst.or_worse(found);
    }
    worst.ended()
}

/// Reads the heads that were kept outside; only what the installation's keys signed is one.
fn kept_outside(files: &[PathBuf], layout: &Layout, out: &mut Terminal) -> Result<Vec<Head>, Exit> {
    if files.is_empty() {
        return Ok(Vec::new());
    }
    let keys = verifier_keys(&OsDisk, layout).map_err(|fault| {
        out.complain(&format!("公開鍵の履歴を検証できません。\n{fault}"));
        Exit::Unverified
    })?;
    let mut heads = Vec::new();
    for file in files {
        let shown = file.display();
        let text = outside::read_text(file).map_err(|fault| {
            out.message(&outside::unread(file, &fault));
            Exit::Usage
        })?;
        let signed = SignedHead::read_all(&text, &keys).map_err(|fault| {
            out.complain(&format!(
                "{shown} はこの電話番が署名した頭ではありません。\n{shown}: {fault}"
            ));
            Exit::Unverified
        })?;
        heads.extend(signed.iter().map(SignedHead::head));
    }
    Ok(heads)
}

/// Verifies one chain. A last line that is being written at this moment is looked at again.
pub(super) fn verify(
    layout: &Layout,
    duty: Duty,
    heads: &[Head],
) -> Result<ChainReport, AuditFault> {
    const LOOKS: usize = 5;
    const BETWEEN: Duration = Duration::from_millis(50);
    let is_cut = |report: &ChainReport| {
        let bad = report.first_bad.as_ref();
        bad.is_some_and(|bad| bad.reason == BrokenReason::LineCut)
    };
    for _ in 1..LOOKS {
        match storage::verify(&OsDisk, layout, duty, heads) {
            Ok(report) if is_cut(&report) => thread::sleep(BETWEEN),
            other => return other,
        }
    }
    storage::verify(&OsDisk, layout, duty, heads)
}

fn exit_of(report: &ChainReport) -> Exit {
    match report.is_whole() {
        true => Exit::Done,
        false => Exit::Unverified,
    }
}

fn tell(report: &ChainReport, out: &mut Terminal) -> Result<Exit, Exit> {
    let name = report.chain.name();
    if let Some(why) = not_as_signed(report) {
        out.complain(&format!("証跡 {name}: {why}"));
    }
    match &report.first_bad {
        None if !report.leads_on() => {}
        None => out.line(&format!(
            "証跡は正しく連なっています / whole: {name} 件数/entries={} 頭/head={}",
            report.entries(),
            root_of(report)
        ))?,
        Some(bad) => out.complain(&format!("証跡 {name} を検証できません。\n{bad}")),
    }
    match report.anchored {
        Anchored::None => out.line(&format!(
            "  庁外の頭との照合なし / anchored: none ({name}); `audit head` の出力を庁外に保管し --head で指定してください / keep what `audit head` prints outside and give it with --head"
        ))?,
        Anchored::Heads {
            last_agreeing,
            first_disagreeing,
        } => {
            if let Some(size) = last_agreeing {
                out.line(&format!("  一致する最後の頭 / last head that agrees: {size}"))?;
            }
            if let Some(size) = first_disagreeing {
                out.complain(&format!(
                    "証跡 {name} は庁外に保管された頭と一致しません。\nthe first head that does not agree with chain {name} has size {size}: entries were changed, or are gone"
                ));
            }
        }
    }
    Ok(exit_of(report))
}

/// What to say where the entries do not lead through the last head that was signed here.
pub(super) fn not_as_signed(report: &ChainReport) -> Option<String> {
    match report.signed_here {
        SignedHere::Nothing | SignedHere::Agrees { .. } => None,
        SignedHere::Differs { size } => Some(format!(
            "この電話番が署名した頭（{size} 件）に続きません。記録が変えられたか、失われています（あるのは {there} 件まで）。庁外に保管した頭を --head で照合してください。\nthe entries do not lead through the head of size {size} that was signed here; {there} are there: some were changed, or are gone. Compare with heads that were kept outside (--head), and bring the trail back from a backup",
            there = report.end.seq
        )),
        SignedHere::Spoilt => Some(
            "この電話番が最後に署名した頭を読めません。庁外に保管した頭を --head で照合してください。\nthe last head that was signed here cannot be read, or is none; compare with heads that were kept outside (--head)".to_owned(),
        ),
    }
}

/// The object of `audit verify --json`.
#[derive(Serialize)]
struct Shown<'report> {
    chain: &'static str,
    entries: u64,
    /// The root of the tree, as the head's note has it.
    head: String,
    first_bad: Option<u64>,
    reason: Option<&'static str>,
    anchored: ShownAnchor,
    signed_here: ShownHere,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<&'report Path>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    removed: Option<u64>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum ShownAnchor {
    None(&'static str),
    Heads {
        last_agreeing: Option<u64>,
        first_disagreeing: Option<u64>,
    },
}

/// The last head that was signed here.
#[derive(Serialize)]
struct ShownHere {
    size: Option<u64>,
    agrees: bool,
}

impl From<SignedHere> for ShownHere {
    fn from(signed_here: SignedHere) -> ShownHere {
        let (size, agrees) = match signed_here {
            SignedHere::Nothing => (None, true),
            SignedHere::Agrees { size } => (Some(size), true),
            SignedHere::Differs { size } => (Some(size), false),
            SignedHere::Spoilt => (None, false),
        };
        ShownHere { size, agrees }
    }
}

impl Shown<'_> {
    fn of(report: &ChainReport) -> Shown<'_> {
        let bad = report.first_bad.as_ref();
        Shown {
            chain: report.chain.name(),
            entries: report.entries(),
            head: root_of(report),
            first_bad: bad.map(|bad| bad.seq),
            reason: bad.map(|bad| bad.reason.code()),
            anchored: match report.anchored {
                Anchored::None => ShownAnchor::None("none"),
                Anchored::Heads {
                    last_agreeing,
                    first_disagreeing,
                } => ShownAnchor::Heads {
                    last_agreeing,
                    first_disagreeing,
                },
            },
            signed_here: report.signed_here.into(),
            file: bad.map(|bad| &*bad.path),
            line: bad.map(|bad| bad.line),
            removed: Some(report.removed).filter(|removed| *removed > 0),
        }
    }
}

fn root_of(report: &ChainReport) -> String {
    report.head.root_base64()
}

fn export(arguments: &Export, out: &mut Terminal) -> Result<(), Exit> {
    let config = Arc::new(arguments.place.load(out)?);
    let path = &arguments.out;
    let layout = config.layout();
    let proof = arguments.person.proof(&layout, out)?;
    let request = Request::ExportTrail { proof };
    let exported = with_office(&config, &request, |conversation| {
        export::receive::<TrailExported>(conversation, &layout, path)
    });
    let TrailExported { entries, sha256 } = out.settle(exported)?;
    let object = serde_json::json!({ "file": path, "entries": entries, "sha256": sha256 });
    out.result(&object, || {
        let path = path.display();
        format!("書き出しました / written: {path} 件数/entries={entries}\n  SHA-256 {sha256}")
    })
}

fn forget(arguments: &Forget, out: &mut Terminal) -> Result<(), Exit> {
    let ask = ForgetAsk {
        through: arguments.through,
        step: match arguments.yes {
            true => ForgetStep::Remove {
                decision: arguments.decision.clone(),
            },
            false => ForgetStep::Plan,
        },
    };
    let ask = RegisterAsk::Forget(ask);
    ask_as(&arguments.place, &arguments.person, ask, out)
}

/// Shows what goes, or went; what has not followed the decision is no success.
pub(super) fn forgotten(
    Forgotten { months, incomplete }: &Forgotten,
    out: &mut Terminal,
) -> Result<(), Exit> {
    if months.is_empty() && out.form == Form::Text {
        out.line("削除する月はありません / no month goes")?;
    }
    for view in months {
        out.result(view, || shown_month(view))?;
    }
    for Incomplete { chain, why } in incomplete {
        let chain = Duty::from(*chain).name();
        out.message(&Message::new(
            format!(
                "証跡 {chain} の削除が未完了です。決定は記録しました。同じ命令で続きを行います。"
            ),
            format!(
                "chain {chain} is incomplete: {why}; it is decided and recorded, the same command goes on"
            ),
        ));
    }
    match incomplete.is_empty() {
        true => Ok(()),
        false => Err(Exit::Unavailable),
    }
}

fn shown_month(view: &MonthView) -> String {
    let state = match view.state {
        MonthState::Planned => "予定/planned",
        MonthState::Removed => "削除/removed",
        MonthState::Incomplete => "未完了/incomplete",
    };
    format!(
        "{} {} 件数/entries={} バイト/bytes={} {state}",
        Duty::from(view.chain).name(),
        view.month,
        view.entries,
        view.bytes
    )
}

/// Every public key of the installation's history.
pub(super) fn shown_keys(layout: &Layout, out: &mut Terminal) -> Result<Vec<VerifierKey>, Exit> {
    trail_export::shown_keys(layout).map_err(|fault| {
        out.complain(&format!("公開鍵の履歴を読めません。\n{fault}"));
        Exit::Unavailable
    })
}
