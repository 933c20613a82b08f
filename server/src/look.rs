//! What people may see of the calls that go on: asked on the calls' socket, answered from memory, never waiting for a disk.
//!
//! Neither content nor a whole number is in it, so it needs no right beyond the socket's own and leaves no audit entry (K-15).

mod trunks;

use std::time::Duration;

use exchange::{CallReport, EndedBy, Recorded, ShownCaller, TrunkReport};
use jiff::Timestamp;
use rules::jst_rfc3339;
use serde::{Deserialize, Serialize, Serializer};
use tokio::sync::{mpsc, oneshot};

pub(crate) use self::trunks::{
    ChoiceView, ChosenView, PassedOverView, PassedView, PlaceNameView, PlaceStateView, PlaceView,
    RegistrationView, RoleView, SetbackView, TrunkStateView, TrunkView,
};
use crate::{
    duty::{Answer, Client, Message},
    signalling::{self, Order},
    trace::{Ladder, NoSuchCall, Rung, Way},
};

/// Calls in one line of an answer; each takes at most 600 bytes of the 64 KiB that a line may have.
const CALLS: usize = 64;
/// Peers in one line; each has some 300 bytes, and 200 more for each of its places, of which a name may have many.
const TRUNKS: usize = 4;
/// How long a person waits for the signalling thread.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Request {
    /// All live calls, and so many of those that ended last.
    Calls { ended: usize },
    /// One call with its ladder; the beginning of its id is enough.
    Call { id: String },
    /// Every peer.
    Trunks,
}

/// A call as it is told over the socket and by `--json`. Times are Japan's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CallView {
    pub(crate) id: String,
    pub(crate) direction: String,
    /// As ladders name it.
    pub(crate) stage: String,
    pub(crate) since: String,
    pub(crate) started_at: String,
    pub(crate) answered_at: Option<String>,
    pub(crate) ended_at: Option<String>,
    #[serde(flatten)]
    pub(crate) caller: CallerView,
    /// Masked.
    pub(crate) called: String,
    pub(crate) peers: Vec<String>,
    /// `undecided`, `yes`, `no`, `never`.
    pub(crate) recorded: String,
    pub(crate) recording: Option<String>,
    /// Why it is not recorded.
    pub(crate) reason: Option<String>,
    pub(crate) emergency: Option<String>,
    /// What ended it, or `REFUSED`.
    pub(crate) cause: Option<String>,
    /// The status of a refusal.
    pub(crate) status: Option<u16>,
    /// How long it has been in its stage, or how long it lasted.
    pub(crate) seconds: i64,
}

/// Who calls, masked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "caller_kind", content = "caller", rename_all = "snake_case")]
pub(crate) enum CallerView {
    Number(String),
    Extension(String),
    Anonymous,
}

impl CallView {
    fn of(report: &CallReport, now: Timestamp) -> CallView {
        let (recorded, recording, reason) = match report.recorded {
            Recorded::Undecided => ("undecided", None, None),
            Recorded::Kept(recording) => ("yes", Some(recording.to_string()), None),
            Recorded::Not(reason) => ("no", None, Some(reason.code().to_owned())),
            Recorded::Never => ("never", None, None),
        };
        let (cause, status) = match report.ending.map(|ending| ending.by) {
            Some(EndedBy::Cause(cause)) => (Some(cause.code().to_owned()), None),
            Some(EndedBy::Refusal(status)) => (Some("REFUSED".to_owned()), Some(status)),
            None => (None, None),
        };
        let (from, to) = match report.ending {
            Some(ending) => (report.started_at, ending.at),
            None => (report.since, now),
        };
        CallView {
            id: report.id.to_string(),
            direction: report.direction.code().to_owned(),
            stage: report.stage.to_owned(),
            since: jst_rfc3339(report.since),
            started_at: jst_rfc3339(report.started_at),
            answered_at: report.answered_at.map(jst_rfc3339),
            ended_at: report.ending.map(|ending| jst_rfc3339(ending.at)),
            caller: match &report.caller {
                ShownCaller::Number(masked) => CallerView::Number(masked.clone()),
                ShownCaller::Extension(masked) => CallerView::Extension(masked.clone()),
                ShownCaller::Anonymous => CallerView::Anonymous,
            },
            called: report.called.clone(),
            peers: report.peers.clone(),
            recorded: recorded.to_owned(),
            recording,
            reason,
            emergency: report.emergency.map(|emergency| emergency.to_string()),
            cause,
            status,
            seconds: to.duration_since(from).as_secs().max(0),
        }
    }
}

/// Some of what was asked for; the last page says so.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Page<T> {
    pub(crate) items: Vec<T>,
    pub(crate) is_last: bool,
}

/// A call with its ladder.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Story {
    #[serde(flatten)]
    pub(crate) call: CallView,
    pub(crate) ladder: Vec<RungView>,
}

/// One rung: a message on the carrier's or the department's side, or what happened in the house.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RungView {
    #[serde(serialize_with = "write_jst")]
    pub(crate) at: Timestamp,
    pub(crate) way: WayView,
    pub(crate) line: String,
}

/// Which way a rung goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum WayView {
    FromCarrier,
    ToCarrier,
    FromDepartment,
    ToDepartment,
    House,
}

/// Writes the time of a rung as every other time of its call is written.
fn write_jst<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&jst_rfc3339(*at))
}

impl RungView {
    fn of(rung: Rung) -> RungView {
        RungView {
            at: rung.at,
            way: match rung.way {
                Way::FromCarrier => WayView::FromCarrier,
                Way::ToCarrier => WayView::ToCarrier,
                Way::FromDepartment => WayView::FromDepartment,
                Way::ToDepartment => WayView::ToDepartment,
                Way::House => WayView::House,
            },
            line: rung.line,
        }
    }
}

/// What the signalling thread hands out: its own values, copied; making text of them is the asking thread's work.
#[derive(Debug)]
pub(crate) enum Look {
    Calls {
        ended: usize,
        answer: oneshot::Sender<Vec<CallReport>>,
    },
    Call {
        id: String,
        answer: oneshot::Sender<Result<(CallReport, Ladder), NoSuchCall>>,
    },
    Trunks {
        answer: oneshot::Sender<Vec<TrunkReport>>,
    },
}

/// Answers one client from what the signalling thread hands out.
pub(crate) fn attend(orders: &mpsc::Sender<Order>, request: Request, client: &mut Client) {
    let answered = match request {
        Request::Calls { ended } => calls(orders, ended, client),
        Request::Call { id } => client.answer(&call(orders, id)),
        Request::Trunks => trunks(orders, client),
    };
    // Whoever asked may be gone.
    let _ = answered;
}

fn calls(orders: &mpsc::Sender<Order>, ended: usize, client: &mut Client) -> std::io::Result<()> {
    let asked = signalling::ask(orders, PATIENCE, |answer| {
        Order::Look(Look::Calls { ended, answer })
    });
    let Some(reports) = asked else {
        return client.answer(&silent::<Page<CallView>>());
    };
    let now = Timestamp::now();
    send_pages(&reports, CALLS, |report| CallView::of(report, now), client)
}

fn trunks(orders: &mpsc::Sender<Order>, client: &mut Client) -> std::io::Result<()> {
    let asked = signalling::ask(orders, PATIENCE, |answer| {
        Order::Look(Look::Trunks { answer })
    });
    match asked {
        Some(reports) => send_pages(&reports, TRUNKS, TrunkView::of, client),
        None => client.answer(&silent::<Page<TrunkView>>()),
    }
}

/// Sends everything, a page a line; nothing at all is a page too.
fn send_pages<R, V: Serialize>(
    reports: &[R],
    size: usize,
    view: impl Fn(&R) -> V,
    client: &mut Client,
) -> std::io::Result<()> {
    let mut rest = reports;
    loop {
        let (page, others) = rest.split_at(size.min(rest.len()));
        client.answer(&Answer::Done(Page {
            items: page.iter().map(&view).collect(),
            is_last: others.is_empty(),
        }))?;
        if others.is_empty() {
            return Ok(());
        }
        rest = others;
    }
}

fn call(orders: &mpsc::Sender<Order>, id: String) -> Answer<Story> {
    let asked = signalling::ask(orders, PATIENCE, |answer| {
        Order::Look(Look::Call { id, answer })
    });
    match asked {
        Some(Ok((report, ladder))) => Answer::Done(Story {
            call: CallView::of(&report, Timestamp::now()),
            ladder: ladder.rungs().into_iter().map(RungView::of).collect(),
        }),
        Some(Err(NoSuchCall::Unknown)) => Answer::Usage(Message::new(
            "この id の通話は、いまも最近もありません。denwaban calls で id を確かめてください。",
            "no call of this id goes on or ended lately; look the id up with `denwaban calls`, older ones with `denwaban recordings list --all`",
        )),
        Some(Err(NoSuchCall::Ambiguous(count))) => Answer::Usage(Message::new(
            format!(
                "この文字で始まる id の通話が {count} 件あります。もう少し長く指定してください。"
            ),
            format!("{count} calls have an id that begins like this; write more of it"),
        )),
        None => silent(),
    }
}

fn silent<T>() -> Answer<T> {
    Answer::Failed(Message::new(
        "通話の係が応答しません。",
        "the signalling thread does not answer; it is ending",
    ))
}
