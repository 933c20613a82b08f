//! `denwaban copies`: what lies outside the vault, who holds it, and what became of it (K-39).

use std::{path::PathBuf, sync::Arc};

use clap::{Args, Subcommand};
use rules::{CopyId, CopyOf, Holder, jst_rfc3339};
use serde_json::json;

use super::{
    Exit, Person, Place, Terminal,
    handover::{certificate_digest, reminded},
    recordings::with_office,
};
use crate::{
    copies::{CopyAsk, CopyStanding, CopyTold, CopyView},
    export::Request,
    wording::Wording,
};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// 保管庫の外にある写しの一覧 / copies outside the vault, and whether their time is over
    List(List),
    /// 写しの廃棄証明を記録します / record the certificate of a copy's destruction
    Destroyed(Destroyed),
}

#[derive(Debug, Args)]
pub(super) struct List {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    person: Person,
}

#[derive(Debug, Args)]
pub(super) struct Destroyed {
    /// 写しの id / which copy
    id: CopyId,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    person: Person,
    /// 廃棄証明書のファイル（SHA-256 を記録）/ the certificate; its SHA-256 is recorded
    #[arg(long, value_name = "FILE")]
    certificate: PathBuf,
}

pub(super) fn copies(command: Command, out: &mut Terminal) -> Result<(), Exit> {
    match command {
        Command::List(List { place, person }) => send(&place, &person, CopyAsk::List, out),
        Command::Destroyed(arguments) => {
            let ask = CopyAsk::Destroyed {
                copy: arguments.id,
                certificate: certificate_digest(&arguments.certificate, out)?,
            };
            send(&arguments.place, &arguments.person, ask, out)
        }
    }
}

fn send(place: &Place, person: &Person, ask: CopyAsk, out: &mut Terminal) -> Result<(), Exit> {
    let config = Arc::new(place.load(out)?);
    let proof = person.proof(&config.layout(), out)?;
    let request = Request::Copies { ask, proof };
    let answer = with_office(&config, &request, |conversation| conversation.answer());
    match out.settle(answer)? {
        CopyTold::Done => out.result(&json!({ "state": "done" }), || {
            "記録しました / done".to_owned()
        }),
        CopyTold::AlreadySo => out.result(&json!({ "state": "already_so" }), || {
            "既にそのとおりです / it is so already; nothing was changed".to_owned()
        }),
        CopyTold::List(views) => views.iter().try_for_each(|view| show(view, out)),
    }
}

fn show(view: &CopyView, out: &mut Terminal) -> Result<(), Exit> {
    let state = match view.state {
        CopyStanding::Outstanding => "outstanding",
        CopyStanding::Destroyed => "destroyed",
    };
    let (recording, hand_over) = match view.of {
        CopyOf::Recording(recording) => (Some(recording), None),
        CopyOf::HandOver(hand_over) => (None, Some(hand_over)),
    };
    let holder = match &view.holder {
        Holder::Person(person) => person.to_string(),
        Holder::Vendor(vendor) => vendor.to_string(),
        Holder::Receiver(hand_over) => hand_over.to_string(),
    };
    let object = json!({
        "id": view.id,
        "recording": recording,
        "hand_over": hand_over,
        "holder": holder,
        "place": view.place,
        "sha256": view.sha256,
        "made_at": jst_rfc3339(view.made_at),
        "destroy_by": jst_rfc3339(view.destroy_by),
        "state": state,
        "reminder": view.reminder,
    });
    out.result(&object, || {
        let japanese = match view.state {
            CopyStanding::Outstanding => "保有中",
            CopyStanding::Destroyed => "廃棄済",
        };
        format!(
            "{} {japanese}/{state} {holder} 廃棄期限/destroy-by={}{} {}",
            view.id,
            jst_rfc3339(view.destroy_by),
            reminded(view.reminder),
            view.place
                .as_ref()
                .map_or_else(|| "場所不明/place unknown".to_owned(), Wording::to_string),
        )
    })
}
