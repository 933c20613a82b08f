//! `denwaban calls` and `denwaban call`: the calls that go on and those that ended last, and one of them as a ladder.

use clap::Args;
use exchange::{Milestone, TraceEvent, ladder};
use media::Side;
use rules::CallId;
use serde::Serialize;
use sip_core::Passage;
use storage::Duty;

use super::{Exit, Form, Place, Terminal};
use crate::{
    calls,
    duty::{Answer, Conversation, Message},
    look::{CallView, CallerView, Page, Request, RungView, Story, WayView},
};

#[derive(Debug, Args)]
pub(super) struct List {
    #[command(flatten)]
    place: Place,
    /// 終わった通話を新しい順にこの件数 / so many of the calls that ended last
    #[arg(long, value_name = "COUNT", default_value_t = 20)]
    ended: usize,
}

#[derive(Debug, Args)]
pub(super) struct One {
    /// 通話の id（calls に表示。先頭の数文字でも可）/ the call's id; its beginning is enough where no other begins so
    id: String,
    #[command(flatten)]
    place: Place,
}

/// Lists calls, the live ones first.
pub(super) fn calls(arguments: &List, out: &mut Terminal) -> Result<(), Exit> {
    let request = Request::Calls {
        ended: arguments.ended,
    };
    let mut conversation = ask(&arguments.place, request, out)?;
    let mut shown = None;
    loop {
        let page: Page<CallView> = hear(&mut conversation, out)?;
        for call in &page.items {
            if out.form == Form::Json {
                out.object(call)?;
                continue;
            }
            let group = Group::of(call);
            if shown != Some(group) {
                out.line(group.title())?;
                shown = Some(group);
            }
            out.line(&line(call))?;
        }
        if page.is_last {
            break;
        }
    }
    if shown.is_none() && out.form == Form::Text {
        out.line("通話はありません / no call goes on, and none ended lately")?;
    }
    Ok(())
}

/// Shows one call.
pub(super) fn call(arguments: &One, out: &mut Terminal) -> Result<(), Exit> {
    let request = Request::Call {
        id: arguments.id.clone(),
    };
    let mut conversation = ask(&arguments.place, request, out)?;
    let story: Story = hear(&mut conversation, out)?;
    if out.form == Form::Json {
        return out.object(&story);
    }
    for line in summary(&story.call) {
        out.line(&line)?;
    }
    let events: Vec<TraceEvent> = story.ladder.iter().map(event).collect();
    out.line(ladder::draw(&events).trim_end())
}

/// Asks the running service; there is nobody else who knows.
pub(super) fn ask(
    place: &Place,
    request: Request,
    out: &mut Terminal,
) -> Result<Conversation, Exit> {
    let config = place.load(out)?;
    let request = calls::Request::Look(request);
    match Conversation::ask(&config.layout(), Duty::Calls, &request) {
        Ok(Some(conversation)) => Ok(conversation),
        Ok(None) => {
            out.complain(&format!(
                "denwaban は動いていません。通話は動いている間だけ表示できます。\n\
                 no service runs here, and only a running one knows its calls; start it: denwaban run --config {}",
                place.config.display()
            ));
            Err(Exit::Unavailable)
        }
        Err(fault) => Err(unheard(&fault, out)),
    }
}

/// Reads one answer.
pub(super) fn hear<T: serde::de::DeserializeOwned>(
    conversation: &mut Conversation,
    out: &mut Terminal,
) -> Result<T, Exit> {
    match conversation.answer::<T>() {
        Ok(answer) => out.settle(answer),
        Err(fault) => Err(unheard(&fault, out)),
    }
}

fn unheard(fault: &std::io::Error, out: &mut Terminal) -> Exit {
    let answer: Answer<()> = Answer::Failed(Message::new(
        "動いている denwaban に接続できません。ソケットの権限（[calls]）を確認してください。",
        format!(
            "the running denwaban cannot be asked ({fault}); check the mode and group of its socket under [calls]"
        ),
    ));
    out.settle(answer).err().unwrap_or(Exit::Failed)
}

pub(super) fn json<T: Serialize>(value: &T) -> Result<String, Exit> {
    serde_json::to_string(value).map_err(|_| Exit::Failed)
}

/// Whether a call goes on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Group {
    Live,
    Ended,
}

impl Group {
    fn of(call: &CallView) -> Group {
        if call.ended_at.is_none() {
            Group::Live
        } else {
            Group::Ended
        }
    }

    fn title(self) -> &'static str {
        match self {
            Group::Live => {
                "進行中 / live: id, 方向/direction, 段階/stage, 段階の経過/in it for, 発信→着信/caller→called, 相手/peers, 録音/recorded"
            }
            Group::Ended => {
                "終了 / ended: id, 方向/direction, 結果/result, 長さ/length, 発信→着信/caller→called, 相手/peers, 録音/recorded"
            }
        }
    }
}

fn line(call: &CallView) -> String {
    let state = match Group::of(call) {
        Group::Live => stage(&call.stage),
        Group::Ended => ending(call),
    };
    format!(
        "{} {} {state} {} {}→{} {} {}",
        call.id,
        direction(&call.direction),
        length(call.seconds),
        caller(&call.caller),
        call.called,
        call.peers.join("→"),
        recorded(call)
    )
}

fn summary(call: &CallView) -> Vec<String> {
    let mut lines = vec![
        format!("通話 / call       {}", call.id),
        format!("方向 / direction  {}", direction(&call.direction)),
        format!("発信 / caller     {}", caller(&call.caller)),
        format!("着信 / called     {}", call.called),
        format!("相手 / peers      {}", call.peers.join(" → ")),
        format!("開始 / started    {}", call.started_at),
    ];
    let more = [
        ("応答 / answered ", &call.answered_at),
        ("終了 / ended    ", &call.ended_at),
        ("緊急 / emergency", &call.emergency),
    ];
    for (label, value) in more {
        lines.extend(value.as_ref().map(|value| format!("{label}  {value}")));
    }
    lines.push(match Group::of(call) {
        Group::Live => format!(
            "段階 / stage      {} ({} から / since)",
            stage(&call.stage),
            call.since
        ),
        Group::Ended => format!(
            "結果 / result     {} ({})",
            ending(call),
            length(call.seconds)
        ),
    });
    lines.push(format!("録音 / recorded   {}", recorded(call)));
    lines.push(String::new());
    lines
}

fn caller(caller: &CallerView) -> String {
    match caller {
        CallerView::Number(masked) => masked.clone(),
        CallerView::Extension(masked) => format!("内線 extension {masked}"),
        CallerView::Anonymous => "非通知 anonymous".to_owned(),
    }
}

fn direction(code: &str) -> String {
    let ja = match code {
        "inbound" => "着信",
        "outbound" => "発信",
        "internal" => "内線",
        _ => "",
    };
    format!("{ja} {code}")
}

fn stage(name: &str) -> String {
    let ja = match name {
        "ExpectAck" => "応答確認待ち",
        "Announcing" => "案内中",
        "Calling" | "Passing" => "呼出中",
        "Joining" => "接続中",
        "Talking" => "通話中",
        "Transferring" => "転送中",
        "Closing" => "終了案内中",
        _ => "",
    };
    format!("{ja} {name}").trim_start().to_owned()
}

fn ending(call: &CallView) -> String {
    let code = call.cause.as_deref().unwrap_or_default();
    let ja = match code {
        "CALLER_HUNG_UP" => "発信側切断",
        "DEPARTMENT_HUNG_UP" => "部署切断",
        "CANCELLED" => "応答前に取消",
        "BUSY" => "話中",
        "NO_ANSWER" => "応答なし",
        "UNREACHABLE" => "不達",
        "REJECTED" => "拒否",
        "CLOSED" => "時間外",
        "CONGESTION" => "輻輳",
        "LONGEST_CALL" => "最長時間",
        "NOT_ACKNOWLEDGED" => "応答確認なし",
        "NOT_ACCEPTABLE" => "音声条件不一致",
        "MEDIA_LOST" => "音声系の障害",
        "SHUTDOWN" => "サービス停止",
        "FAULT" => "障害",
        "REFUSED" => "受付拒否",
        _ => "",
    };
    let status = call
        .status
        .map_or_else(String::new, |status| format!(" {status}"));
    format!("{ja} {code}{status}").trim_start().to_owned()
}

fn recorded(call: &CallView) -> String {
    match call.recorded.as_str() {
        "yes" => format!(
            "録音 recording {}",
            call.recording.as_deref().unwrap_or_default()
        ),
        "no" => format!(
            "録音なし unrecorded {}",
            call.reason.as_deref().unwrap_or_default()
        ),
        "never" => "録音対象外 never recorded".to_owned(),
        _ => "未定 undecided".to_owned(),
    }
}

fn length(seconds: i64) -> String {
    format!(
        "{}:{:02}:{:02}",
        seconds / 3_600,
        seconds / 60 % 60,
        seconds % 60
    )
}

/// A rung as the exchange's own ladder draws it.
fn event(rung: &RungView) -> TraceEvent {
    let message = |side, passage| Milestone::Message {
        side,
        passage,
        line: rung.line.clone(),
    };
    TraceEvent {
        at: rung.at,
        // One ladder, one call: the drawing does not look at it.
        call: CallId::from_bytes([0; 16]),
        what: match rung.way {
            WayView::FromCarrier => message(Side::Carrier, Passage::Received),
            WayView::ToCarrier => message(Side::Carrier, Passage::Sent),
            WayView::FromDepartment => message(Side::Department, Passage::Received),
            WayView::ToDepartment => message(Side::Department, Passage::Sent),
            WayView::House => Milestone::House(rung.line.clone()),
        },
    }
}
