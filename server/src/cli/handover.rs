//! `denwaban handover`: 収受, one command a step, the 収受簿, and what an outsider checks.

mod verify;

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::{Args, Subcommand};
use rules::{
    CaseId, ContractId, Digest, HandOverId, IdFault, Label, PackageForm, Recipient, RecordingId,
    Reminder, StaffId, Stretch, StretchFault, VendorId, Verdict, jst_rfc3339,
};
use storage::sha256_of;

use super::{
    Exit, Person, Place, Terminal,
    recordings::{place_of, with_office},
    requests::Verdicts,
    signed::Signed,
};
use crate::{
    duty::Message,
    export::{self, Exported, Request},
    hand_over::{
        Done, HandOverAsk, HandOverTold, HandOverView, HandOverWish, PackageWish, WishedDestination,
    },
    outside,
    proof::Secret,
    said::{Said, Words},
    wording::Wording,
};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// 提供を申請します（委託事業者へ、または承認された請求による）/ ask for a hand-over: to a contractor, or under an approved request
    Request(Ask),
    /// 管理責任者が決定します（申請者以外）/ decide, as the manager or a deputy who did not ask
    Decide(Decide),
    /// 暗号化した包みを作ります（age。--zip は AES-256）/ make the encrypted package: age, or AES-256 ZIP
    Package(Pack),
    /// --zip のパスフレーズを、包みを作った人以外に一度だけ表示します / show the passphrase once, to another person than packaged
    Passphrase(About),
    /// 渡したことを記録します / record that it was given
    Give(Give),
    /// 受け取った側が読んだ受領コードを記録します / record the receipt code that the receiver read in the package
    Receive(Receive),
    /// 媒体が戻ったことを記録します / record that the medium came back
    Returned(About),
    /// 廃棄証明を記録します / record the certificate of destruction
    Destroyed(Destroyed),
    /// 完了にします（管理責任者）/ close it, as the manager
    Close(About),
    /// 収受の一覧 / hand-overs and where they stand
    List(List),
    /// 収受簿を CSV に書き出します / write the register of hand-overs to a CSV file
    Register(Register),
    /// 包みの目録を検証します（設定は不要）/ verify a package's manifest and the files beside it; it needs no configuration
    Verify(Signed),
}

#[derive(Debug, Args)]
pub(super) struct Ask {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    person: Person,
    #[command(flatten)]
    to: To,
    /// 目的（必須）/ what for; required
    #[arg(long, value_name = "PURPOSE")]
    purpose: Option<String>,
    /// 媒体（必須）/ on what it is handed over; required
    #[arg(long, default_value = "", hide_default_value = true)]
    medium: Said<Label>,
    /// 録音 / a recording; may be repeated
    #[arg(long = "recording", value_name = "ID", num_args = 1.., required = true)]
    recordings: Vec<RecordingId>,
}

/// To whom: a contractor, or whoever a request names.
#[derive(Debug, Args)]
struct To {
    /// 委託事業者 / to which contractor
    #[arg(
        long,
        value_name = "VENDOR",
        requires = "contract",
        required_unless_present = "request"
    )]
    to: Option<VendorId>,
    /// 契約 / under which contract
    #[arg(long, value_name = "CONTRACT", requires = "to")]
    contract: Option<ContractId>,
    /// 承認された請求 / under which approved request
    #[arg(
        long,
        value_name = "REQUEST",
        conflicts_with_all = ["to", "contract"]
    )]
    request: Option<CaseId>,
    /// 請求による提供先（--request に必須、封印して保存）/ to whom; required by --request, and kept sealed
    #[arg(long, value_name = "TEXT", requires = "request")]
    receiver: Option<Said<Words>>,
    /// 提供先の公開鍵（なければ包みは --zip だけ）/ the receiver's public key; without one a package is --zip
    #[arg(long, value_name = "age1…", requires = "request")]
    recipient: Option<Recipient>,
}

impl To {
    /// `None` where neither is named, which the command line does not let through.
    fn destination(self) -> Option<WishedDestination> {
        match self.request {
            Some(case) => Some(WishedDestination::Request {
                case,
                addressee: self.receiver.unwrap_or_default(),
                recipient: self.recipient,
            }),
            None => Some(WishedDestination::Contract {
                vendor: self.to?,
                contract: self.contract?,
            }),
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct Decide {
    /// 収受の id / which hand-over
    id: HandOverId,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    person: Person,
    #[command(flatten)]
    verdict: Verdicts,
    /// 理由（必須、封印して保存）/ why; required, and kept sealed
    #[arg(long, default_value = "", hide_default_value = true)]
    reason: Said<Words>,
    /// 包みの中で無音にする区間（秒）。市民側は citizen、市側は city。繰り返せます / a stretch that the package silences, in seconds; may be repeated
    #[arg(long = "mask", value_name = "RECORDING:SIDE:FROM-TO", value_parser = mask, conflicts_with = "reject")]
    masks: Vec<(RecordingId, Stretch)>,
}

fn mask(text: &str) -> Result<(RecordingId, Stretch), String> {
    let (recording, stretch) = text
        .split_once(':')
        .ok_or("expected RECORDING:SIDE:FROM-TO")?;
    let recording = recording
        .parse()
        .map_err(|fault: IdFault| fault.to_string())?;
    let stretch = stretch
        .parse()
        .map_err(|fault: StretchFault| fault.to_string())?;
    Ok((recording, stretch))
}

#[derive(Debug, Args)]
pub(super) struct Pack {
    /// 収受の id / which hand-over
    id: HandOverId,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    person: Person,
    /// 書き出すファイル（既存のファイルは上書きしません）/ the file; an existing one is never overwritten
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// AES-256 の ZIP にします / an AES-256 ZIP file under a machine-made passphrase
    #[arg(long)]
    zip: bool,
}

#[derive(Debug, Args)]
pub(super) struct About {
    /// 収受の id / which hand-over
    id: HandOverId,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    person: Person,
}

#[derive(Debug, Args)]
pub(super) struct Give {
    /// 収受の id / which hand-over
    id: HandOverId,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    person: Person,
    /// 受け取った人（必須、封印して保存）/ who took it; required, and kept sealed
    #[arg(long, default_value = "", hide_default_value = true)]
    receiver: Said<Words>,
}

#[derive(Debug, Args)]
pub(super) struct Receive {
    /// 収受の id / which hand-over
    id: HandOverId,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    person: Person,
    /// 受領コード（必須）/ the receipt code; required
    #[arg(long, default_value = "", hide_default_value = true)]
    code: String,
}

#[derive(Debug, Args)]
pub(super) struct Destroyed {
    /// 収受の id / which hand-over
    id: HandOverId,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    person: Person,
    /// 廃棄証明書のファイル（SHA-256 を記録）/ the certificate; its SHA-256 is recorded
    #[arg(long, value_name = "FILE")]
    certificate: PathBuf,
}

#[derive(Debug, Args)]
pub(super) struct List {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    person: Person,
}

#[derive(Debug, Args)]
pub(super) struct Register {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    person: Person,
    /// 書き出すファイル / the file
    #[arg(long, value_name = "FILE.csv")]
    csv: PathBuf,
}

pub(super) fn handover(command: Command, out: &mut Terminal) -> Result<(), Exit> {
    match command {
        Command::Request(Ask {
            place,
            person,
            to,
            purpose,
            medium,
            recordings,
        }) => {
            let wish = HandOverWish {
                to: to.destination().ok_or(Exit::Usage)?,
                purpose,
                medium,
                recordings,
            };
            tell(&place, &person, HandOverAsk::Request(wish), out)
        }
        Command::Decide(arguments) => {
            let ask = HandOverAsk::Decide {
                hand_over: arguments.id,
                verdict: arguments.verdict.verdict(),
                reason: arguments.reason,
                masks: arguments.masks.into_iter().collect(),
            };
            tell(&arguments.place, &arguments.person, ask, out)
        }
        Command::Package(arguments) => package(&arguments, out),
        Command::Passphrase(about) => step(
            &about,
            |hand_over| HandOverAsk::Passphrase { hand_over },
            out,
        ),
        Command::Give(arguments) => {
            let ask = HandOverAsk::Give {
                hand_over: arguments.id,
                receiver: arguments.receiver,
            };
            tell(&arguments.place, &arguments.person, ask, out)
        }
        Command::Receive(arguments) => {
            let ask = HandOverAsk::Receive {
                hand_over: arguments.id,
                code: Secret::new(arguments.code),
            };
            tell(&arguments.place, &arguments.person, ask, out)
        }
        Command::Returned(about) => {
            step(&about, |hand_over| HandOverAsk::Return { hand_over }, out)
        }
        Command::Destroyed(arguments) => {
            let ask = HandOverAsk::Destroyed {
                hand_over: arguments.id,
                certificate: certificate_digest(&arguments.certificate, out)?,
            };
            tell(&arguments.place, &arguments.person, ask, out)
        }
        Command::Close(about) => step(&about, |hand_over| HandOverAsk::Close { hand_over }, out),
        Command::List(List { place, person }) => {
            for view in list(&place, &person, out)? {
                out.result(&view, || shown(&view))?;
            }
            Ok(())
        }
        Command::Register(arguments) => register(&arguments, out),
        Command::Verify(arguments) => verify::verify(&arguments, out),
    }
}

fn step(
    about: &About,
    ask: impl FnOnce(HandOverId) -> HandOverAsk,
    out: &mut Terminal,
) -> Result<(), Exit> {
    tell(&about.place, &about.person, ask(about.id), out)
}

/// Asks the office as a person.
fn send(
    place: &Place,
    person: &Person,
    ask: HandOverAsk,
    out: &mut Terminal,
) -> Result<HandOverTold, Exit> {
    let config = Arc::new(place.load(out)?);
    let proof = person.proof(&config.layout(), out)?;
    let request = Request::HandOver { ask, proof };
    let answer = with_office(&config, &request, |conversation| conversation.answer());
    out.settle(answer)
}

fn tell(place: &Place, person: &Person, ask: HandOverAsk, out: &mut Terminal) -> Result<(), Exit> {
    match send(place, person, ask, out)? {
        HandOverTold::Requested(id) => {
            let object = serde_json::json!({ "id": id });
            out.result(&object, || format!("申請しました / requested: {id}"))
        }
        HandOverTold::Passphrase(passphrase) => {
            let passphrase = passphrase.text();
            let object = serde_json::json!({ "passphrase": passphrase });
            out.result(&object, || {
                format!(
                    "パスフレーズ（表示は一度だけ。包みとは別の方法で伝えてください）/ passphrase, shown once; tell it by another way than the package\n  {passphrase}"
                )
            })
        }
        HandOverTold::Done | HandOverTold::List(_) => {
            let object = serde_json::json!({ "state": "done" });
            out.result(&object, || "記録しました / done".to_owned())
        }
    }
}

/// What is recorded of a certificate's file.
///
/// # Errors
/// [`Exit::Usage`] where it cannot be read.
pub(super) fn certificate_digest(file: &Path, out: &mut Terminal) -> Result<Digest, Exit> {
    hash_of(file).map_err(|fault| {
        let file = file.display();
        out.message(&Message::new(
            format!("廃棄証明書 {file} を読めません。"),
            format!("the certificate {file} cannot be read: {fault}"),
        ));
        Exit::Usage
    })
}

fn hash_of(file: &Path) -> io::Result<Digest> {
    Ok(sha256_of(&outside::read(file)?))
}

fn package(arguments: &Pack, out: &mut Terminal) -> Result<(), Exit> {
    let config = Arc::new(arguments.place.load(out)?);
    let layout = config.layout();
    if let Err(message) = outside::check_place(&layout, &arguments.out) {
        out.message(&message);
        return Err(Exit::Failed);
    }
    let form = match arguments.zip {
        true => PackageForm::Zip,
        false => PackageForm::Age,
    };
    let request = Request::Package(PackageWish {
        hand_over: arguments.id,
        form,
        place: place_of(&arguments.out).display().to_string(),
        proof: arguments.person.proof(&layout, out)?,
    });
    let answer = with_office(&config, &request, |conversation| {
        export::receive(conversation, &layout, &arguments.out)
    });
    let made: Exported = out.settle(answer)?;
    let object = serde_json::json!({
        "file": arguments.out, "bytes": made.bytes, "sha256": made.sha256,
    });
    out.result(&object, || {
        format!(
            "包みを作りました / packaged: {} {} bytes SHA-256 {}",
            arguments.out.display(),
            made.bytes,
            made.sha256
        )
    })
}

fn list(place: &Place, person: &Person, out: &mut Terminal) -> Result<Vec<HandOverView>, Exit> {
    match send(place, person, HandOverAsk::List, out)? {
        HandOverTold::List(views) => Ok(views),
        HandOverTold::Done | HandOverTold::Requested(_) | HandOverTold::Passphrase(_) => {
            Ok(Vec::new())
        }
    }
}

fn shown(view: &HandOverView) -> String {
    let destroy_by = view.destroy_by.map_or_else(String::new, |at| {
        format!(" 廃棄期限/destroy-by={}", jst_rfc3339(at))
    });
    format!(
        "{} {} {} → {} {} 録音/recordings={}{destroy_by}{}",
        view.id,
        view.state,
        view.unit,
        receiver_of(view),
        view.purpose,
        view.items.len(),
        reminded(view.reminder),
    )
}

/// What stands behind the day by which a copy must be gone, once it comes near.
pub(super) fn reminded(reminder: Option<Reminder>) -> &'static str {
    match reminder {
        Some(Reminder::Overdue) => " 期限超過/overdue",
        Some(Reminder::Day) => " 期限まで1日以内/within a day",
        Some(Reminder::Week) => " 期限まで7日以内/within 7 days",
        None => "",
    }
}

fn receiver_of(view: &HandOverView) -> String {
    let vendor = view.vendor.as_ref().map(ToString::to_string);
    vendor
        .or_else(|| view.addressee.as_ref().map(ToString::to_string))
        .unwrap_or_default()
}

/// Under which contract or request.
fn basis_of(view: &HandOverView) -> String {
    let contract = view.contract.as_ref().map(ToString::to_string);
    let request = view.request.map(|request| request.to_string());
    contract.or(request).unwrap_or_default()
}

const COLUMNS: [&str; 21] = [
    "番号 number",
    "収受 id",
    "状態 state",
    "録音と SHA-256 items",
    "目的 purpose",
    "契約・請求 contract or request",
    "渡す側 giver",
    "受け取る側 receiver",
    "受け取った人 taken by",
    "媒体 medium",
    "申請 requested",
    "決定 decision",
    "決定の理由 reason",
    "包み packaged",
    "パスフレーズを見た人 passphrase shown",
    "受渡し given",
    "受領 received",
    "廃棄期限 destroy-by",
    "返却 returned",
    "廃棄証明 destroyed",
    "完了 closed",
];

fn register(arguments: &Register, out: &mut Terminal) -> Result<(), Exit> {
    let views = list(&arguments.place, &arguments.person, out)?;
    // The mark tells spreadsheets that it is UTF-8.
    let mut text = "\u{feff}".to_owned() + &csv_line(&COLUMNS);
    for view in &views {
        let row = csv_row(view);
        let row: Vec<&str> = row.iter().map(String::as_str).collect();
        text += &csv_line(&row);
    }
    let layout = arguments.place.load(out)?.layout();
    if let Err(message) = outside::write_text(&layout, &arguments.csv, &text) {
        out.message(&message);
        return Err(Exit::Failed);
    }
    let object = serde_json::json!({ "file": arguments.csv, "hand_overs": views.len() });
    out.result(&object, || {
        format!(
            "収受簿を書き出しました / written: {} {} 件",
            arguments.csv.display(),
            views.len()
        )
    })
}

fn csv_row(view: &HandOverView) -> Vec<String> {
    let items = view.items.iter().map(|item| match item.sha256 {
        Some(sha256) => format!("{} {sha256}", item.recording),
        None => item.recording.to_string(),
    });
    let verdict = view.verdict.map_or("", |verdict| match verdict {
        Verdict::Approved => "承認 approved ",
        Verdict::Rejected => "不承認 rejected ",
    });
    let certificate = view
        .certificate
        .map_or_else(String::new, |sha256| format!(" {sha256}"));
    vec![
        view.number.to_string(),
        view.id.to_string(),
        view.state.clone(),
        items.collect::<Vec<_>>().join("\n"),
        view.purpose.to_string(),
        basis_of(view),
        view.unit.to_string(),
        receiver_of(view),
        in_words(view.receiver.as_ref()),
        in_words(view.medium.as_ref()),
        done(Some(&view.requested)),
        format!("{verdict}{}", done(view.decided.as_ref())),
        in_words(view.reason.as_ref()),
        done(view.packaged.as_ref()),
        done(view.passphrase_shown.as_ref()),
        done(view.given.as_ref()),
        done(view.received.as_ref()),
        view.destroy_by.map_or_else(String::new, jst_rfc3339),
        done(view.returned.as_ref()),
        format!("{}{certificate}", done(view.destroyed.as_ref())),
        done(view.closed.as_ref()),
    ]
}

fn in_words(wording: Option<&Wording>) -> String {
    wording.map_or_else(String::new, Wording::to_string)
}

fn done(done: Option<&Done>) -> String {
    let Some(Done { by, at }) = done else {
        return String::new();
    };
    let by = by.as_ref().map_or("", StaffId::as_str);
    format!("{by} {}", jst_rfc3339(*at))
}

/// A line of CSV. Source: RFC 4180; a field that a spreadsheet would take for a formula begins with an apostrophe.
fn csv_line(fields: &[&str]) -> String {
    let quoted = fields.iter().map(|field| {
        let is_formula = field.starts_with(['=', '+', '-', '@', '\t', '\r']);
        let guard = if is_formula { "'" } else { "" };
        format!("\"{guard}{}\"", field.replace('"', "\"\""))
    });
    quoted.collect::<Vec<_>>().join(",") + "\r\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_quoted_and_never_a_formula() {
        assert_eq!(
            csv_line(&["a", "b \"c\"", "=1+1", "x\ny"]),
            "\"a\",\"b \"\"c\"\"\",\"'=1+1\",\"x\ny\"\r\n"
        );
    }
}
