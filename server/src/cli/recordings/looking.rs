//! `denwaban recordings find`, `reveal` and `heard`.

use std::{io, sync::Arc};

use clap::Args;
use jiff::Timestamp;
use rules::{HandOverId, RecordingId, jst_rfc3339};
use serde::Serialize;

use super::{PURPOSE_HELP, line, object, with_office};
use crate::{
    cli::{Exit, Form, Person, Place, Terminal},
    export::Request,
    heard::{self, HearingView, SightingView},
    office::{FindWish, RevealWish, Revealed},
    proof::Secret,
    said::{Said, Words},
    search::{self, Searched},
    wording::Wording,
};

#[derive(Debug, Args)]
pub(in crate::cli) struct Find {
    #[command(flatten)]
    place: Place,
    #[arg(long, value_name = "PURPOSE", help = PURPOSE_HELP)]
    purpose: Option<String>,
    #[command(flatten)]
    person: Person,
    /// 発信者の番号（期間を絞ってください。一度に200,000件まで照合）/ the caller's number; up to 200,000 callers are compared at once
    #[arg(long, value_name = "NUMBER")]
    caller: Option<String>,
    /// 着信した市の番号 / the city's number that was called
    #[arg(long, value_name = "NUMBER")]
    called: Option<String>,
    /// この時刻から（RFC 3339）/ calls that began at this time or later
    #[arg(long, value_name = "TIME")]
    from: Option<Timestamp>,
    /// この時刻より前 / calls that began before this time
    #[arg(long, value_name = "TIME")]
    until: Option<Timestamp>,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Reveal {
    /// 録音の id（recordings list に表示）/ the recording's id
    id: RecordingId,
    #[command(flatten)]
    place: Place,
    #[arg(long, value_name = "PURPOSE", help = PURPOSE_HELP)]
    purpose: Option<String>,
    /// 理由（必須、封印して保存）/ why; required, and kept sealed
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "",
        hide_default_value = true
    )]
    reason: Said<Words>,
    #[command(flatten)]
    person: Person,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Heard {
    /// 録音の id（recordings list に表示）/ the recording's id
    id: RecordingId,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    person: Person,
}

/// A search that looks at more recordings than this says how far it has come.
const LONG_SEARCH: u64 = 5_000;

pub(super) fn find(arguments: &Find, out: &mut Terminal) -> Result<(), Exit> {
    let config = Arc::new(arguments.place.load(out)?);
    let request = Request::Find(FindWish {
        caller: arguments.caller.as_deref().map(Secret::new),
        called: arguments.called.clone(),
        from: arguments.from,
        until: arguments.until,
        purpose: arguments.purpose.clone(),
        proof: arguments.person.proof(&config.layout(), out)?,
    });
    let now = Timestamp::now();
    let mut written = Ok(());
    let answer = with_office(&config, &request, |conversation| {
        search::receive(conversation, |told| match told {
            Searched::Found(call) if written.is_ok() => {
                written = match out.form {
                    Form::Text => out.line(&line(&call, now)),
                    Form::Json => out.object(&object(&call, now)),
                };
            }
            Searched::Progress { seen } if seen > LONG_SEARCH && out.form == Form::Text => {
                out.complain(&format!("照合中 / comparing: {seen}"));
            }
            Searched::Found(_) | Searched::Progress { .. } | Searched::Ended(_) => {}
        })
    });
    let findings = out.settle(answer)?;
    if findings.unreadable > 0 {
        out.complain(&format!(
            "{} 件は番号が保存されていないか開けないため、照合できませんでした / callers that could not be compared: not kept, or their key is gone",
            findings.unreadable
        ));
    }
    written
}

/// A line of `reveal --json`.
#[derive(Serialize)]
struct RevealedObject<'number> {
    id: RecordingId,
    kind: &'static str,
    caller: Option<&'number str>,
}

pub(super) fn reveal(arguments: &Reveal, out: &mut Terminal) -> Result<(), Exit> {
    let config = Arc::new(arguments.place.load(out)?);
    let request = Request::Reveal(RevealWish {
        recording: arguments.id,
        purpose: arguments.purpose.clone(),
        reason: arguments.reason.clone(),
        proof: arguments.person.proof(&config.layout(), out)?,
    });
    let answer = with_office(&config, &request, |conversation| conversation.answer());
    let revealed: Revealed = out.settle(answer)?;
    let (kind, caller, text) = match &revealed {
        Revealed::Number(number) => ("number", Some(number.text()), number.text()),
        Revealed::Anonymous => ("anonymous", None, "非通知 / withheld"),
        Revealed::NotKept => ("not_kept", None, "保存されていません / not kept"),
    };
    let id = arguments.id;
    out.result(&RevealedObject { id, kind, caller }, || text.to_owned())
}

/// A line of `heard --json`; the range is null while the hearing goes on, and of a package, which names its hand-over.
#[derive(Serialize)]
struct HeardObject<'view> {
    at: String,
    who: Option<&'view str>,
    purpose: &'static str,
    hand_over: Option<HandOverId>,
    from_ms: Option<u64>,
    to_ms: Option<u64>,
}

pub(super) fn heard(arguments: &Heard, out: &mut Terminal) -> Result<(), Exit> {
    let config = Arc::new(arguments.place.load(out)?);
    let request = Request::Heard {
        recording: arguments.id,
        proof: arguments.person.proof(&config.layout(), out)?,
    };
    let mut written = Ok(());
    let answer = with_office(&config, &request, |conversation| -> io::Result<_> {
        heard::receive(conversation, |hearing| {
            if written.is_ok() {
                written = show(&hearing, out);
            }
        })
    });
    out.settle(answer)?;
    written
}

fn show(hearing: &HearingView, out: &mut Terminal) -> Result<(), Exit> {
    let object = HeardObject {
        at: jst_rfc3339(hearing.at),
        who: hearing.who.as_ref().map(|who| who.as_str()),
        purpose: hearing.purpose.code(),
        hand_over: hearing.hand_over,
        from_ms: hearing.range_ms.map(|(from, _)| from),
        to_ms: hearing.range_ms.map(|(_, to)| to),
    };
    out.result(&object, || {
        let range = match (hearing.hand_over, hearing.range_ms) {
            (Some(hand_over), _) => format!("包み package {hand_over}"),
            (None, Some((from, to))) => format!("{from}..{to} ms"),
            (None, None) => "-".to_owned(),
        };
        let who = object.who.unwrap_or("-");
        format!("{} {who} {} {range}", object.at, object.purpose)
    })
}

/// A line of `revealed --json`.
#[derive(Serialize)]
struct SightingObject<'view> {
    at: String,
    who: Option<&'view str>,
    purpose: &'static str,
    reason: Option<&'view Wording>,
}

pub(super) fn revealed(arguments: &Heard, out: &mut Terminal) -> Result<(), Exit> {
    let config = Arc::new(arguments.place.load(out)?);
    let request = Request::Revealed {
        recording: arguments.id,
        proof: arguments.person.proof(&config.layout(), out)?,
    };
    let mut written = Ok(());
    let answer = with_office(&config, &request, |conversation| -> io::Result<_> {
        heard::receive(conversation, |sighting: SightingView| {
            if written.is_ok() {
                written = show_sighting(&sighting, out);
            }
        })
    });
    out.settle(answer)?;
    written
}

fn show_sighting(sighting: &SightingView, out: &mut Terminal) -> Result<(), Exit> {
    let object = SightingObject {
        at: jst_rfc3339(sighting.at),
        who: sighting.who.as_ref().map(|who| who.as_str()),
        purpose: sighting.purpose.code(),
        reason: sighting.reason.as_ref(),
    };
    out.result(&object, || {
        let who = object.who.unwrap_or_default();
        let reason = object.reason.map_or_else(String::new, Wording::to_string);
        format!("{} {who} {} {reason}", object.at, object.purpose)
    })
}
