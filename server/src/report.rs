//! Monthly reports: read from both chains of the trail, on the thread of whoever asks, so that the office waits for nobody.

use std::{io, sync::Arc};

use jiff::Timestamp;
use rules::{
    Action, Actor, AuditEntry, Fact, JstMonth, MonthNotOver, MonthTally, Register, Supervision,
    SupervisionLine, TrailReading,
};
use serde::{Deserialize, Serialize};
use storage::{Duty, OsDisk, read_entries, sha256_of};

use crate::{
    config::Config,
    duty::{Answer, Client, Conversation, Ending, Message},
    office::Desk,
    proof::{Asker, Proof},
};

/// What is asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ReportRequest {
    /// The supervision report of a month.
    Supervision { month: JstMonth, proof: Proof },
    /// The same, and the manager's signature under it.
    Sign { month: JstMonth, proof: Proof },
    /// What the public is told of a month.
    Statement { month: JstMonth, proof: Proof },
}

/// Answers one client.
///
/// # Errors
/// The client went away.
pub(crate) fn attend(
    desk: &Desk,
    request: ReportRequest,
    asker: Asker,
    client: &mut Client,
) -> io::Result<()> {
    let lines = match request {
        ReportRequest::Statement { month, proof } => {
            return client.answer(&Answer::of(statement(desk, month, proof, asker)));
        }
        ReportRequest::Supervision { month, proof } => supervision(desk, month, proof, asker),
        ReportRequest::Sign { month, proof } => sign(desk, month, proof, asker),
    };
    let lines = match lines {
        Ok(lines) => lines,
        Err(ending) => return client.answer(&ending.without::<Option<SupervisionLine>>()),
    };
    for line in lines {
        client.answer(&Answer::Done(Some(line)))?;
    }
    client.answer(&Answer::Done(None::<SupervisionLine>))
}

fn supervision(
    desk: &Desk,
    month: JstMonth,
    proof: Proof,
    asker: Asker,
) -> Result<Vec<SupervisionLine>, Ending> {
    match desk.let_read(TrailReading::Supervision { month }, proof, asker) {
        Answer::Done(_) => {
            let counted = count(desk.config(), month)?;
            let standing = register(desk)?.supervision(month, Timestamp::now());
            Ok([counted, standing].concat())
        }
        other => Err(other.without()),
    }
}

/// The report's own lines are what is signed; whoever may sign may see them.
fn sign(
    desk: &Desk,
    month: JstMonth,
    proof: Proof,
    asker: Asker,
) -> Result<Vec<SupervisionLine>, Ending> {
    // Nobody has both chains read who may not.
    let proved = match desk.prove(Action::SignSupervision, proof, asker.clone()) {
        Answer::Done(proved) => proved,
        other => return Err(other.without()),
    };
    let counted = count(desk.config(), month)?;
    let text = serde_json::to_vec(&counted)
        .map_err(|fault| Answer::Failed(Message::new("報告を作れません。", fault.to_string())))?;
    let report = sha256_of(&text);
    match desk.record(proved, asker, Fact::SupervisionSigned { month, report }) {
        Answer::Done(_) => {
            let standing = register(desk)?.supervision(month, Timestamp::now());
            Ok([counted, standing].concat())
        }
        other => Err(other.without()),
    }
}

fn count(config: &Config, month: JstMonth) -> Result<Vec<SupervisionLine>, Ending> {
    let mut supervision = Supervision::of(month);
    for chain in [Duty::Office, Duty::Calls] {
        read(config, chain, |entry| supervision.handle(entry))?;
    }
    Ok(supervision.lines())
}

fn statement(desk: &Desk, month: JstMonth, proof: Proof, asker: Asker) -> Result<String, Ending> {
    let actor = permitted(desk, Action::PublishStatement, proof, asker)?;
    let mut tally = MonthTally::of(month, Timestamp::now()).map_err(|fault| not_over(&fault))?;
    read(desk.config(), Duty::Office, |entry| tally.handle(entry))?;
    let register = register(desk)?;
    let waivers = register.waivers();
    let waivers = waivers.counts(&desk.config().numbers, Timestamp::now());
    let statement = tally.finish(register.open_recoveries(), waivers);
    match desk.sign_statement(statement, actor) {
        Answer::Done(note) => Ok(note),
        other => Err(other.without()),
    }
}

fn not_over(fault: &MonthNotOver) -> Ending {
    let from = rules::jst_rfc3339(fault.from);
    let ja = format!(
        "{} はまだ終わっていないか、最後の日の集計が済んでいません。公表文は {from} から作れます。",
        fault.month
    );
    Answer::Failed(Message::new(ja, fault.to_string()))
}

/// Who asks, where the table lets them.
fn permitted(desk: &Desk, action: Action, proof: Proof, asker: Asker) -> Result<Actor, Ending> {
    let unix_user = asker.unix_user.clone();
    match desk.judge(action, proof, asker) {
        Answer::Done(person) => Ok(Actor::Person { unix_user, person }),
        other => Err(other.without()),
    }
}

fn register(desk: &Desk) -> Result<Arc<Register>, Ending> {
    desk.register().ok_or_else(|| {
        Answer::Unavailable(Message::new(
            "データベースを使えません。",
            "the register cannot be read; see the log and `denwaban check`",
        ))
    })
}

/// Reads a whole chain; one that is not as it was written counts for nothing.
fn read(config: &Config, chain: Duty, mut handle: impl FnMut(&AuditEntry)) -> Result<(), Ending> {
    let layout = config.layout();
    let read = read_entries(&OsDisk, &layout, chain, 1, &mut |_, entry| {
        if let Ok(entry) = serde_json::from_str(entry) {
            handle(&entry);
        }
    });
    read.map_err(|fault| Answer::Unavailable(Message::new("証跡を読めません。", fault.to_string())))
}

/// The asker's end of a supervision report: hands on each line until the last.
///
/// # Errors
/// The office went away.
pub(crate) fn receive(
    conversation: &mut Conversation,
    mut tell: impl FnMut(SupervisionLine),
) -> io::Result<Answer<()>> {
    loop {
        match conversation.answer::<Option<SupervisionLine>>()? {
            Answer::Done(Some(line)) => tell(line),
            Answer::Done(None) => return Ok(Answer::Done(())),
            other => return Ok(other.without()),
        }
    }
}
