//! `denwaban people`: the register of people, one command a fact.

use std::{path::PathBuf, sync::Arc};

use clap::{Args, Subcommand};
use rules::{Fact, JstDay, Label, Period, Role, StaffId, VendorId};

use super::{
    Exit, Person, Place, Terminal, audit, holds, numbers, policy, read_password,
    recordings::with_office, requests,
};
use crate::{
    config::Config,
    duty::Message,
    export::Request,
    people::{Ask, PasswordView, PersonView, RegisterAsk, Told},
    proof::{Proof, Secret},
    said::{Said, Words},
    wording::Wording,
};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// 最初の管理責任者とシステム管理者を定めます（一度だけ）/ name the first manager and the first administrator, once
    Bootstrap(Bootstrap),
    /// 職員を登録し、仮のパスワードを表示します。役割を解かれた人にも使います / take a person in, also one who was withdrawn; the first password is shown once
    Add(Add),
    /// 指定します（要領第4条第1項）/ designate for a period
    Designate(Designate),
    /// 役割を解き、指定・代決・監督者の承認を取り消します。利用中でも1秒以内に止まります / end a role, and take designation, deputyship and a supervisor's approval back; what goes on stops within a second
    Withdraw(About),
    /// 研修を記録します（12か月有効）/ record a training, good for 12 months
    Train(Train),
    /// 現在の取扱要領を確認します / acknowledge the rules in force
    Acknowledge(Own),
    /// 管理責任者を任命します / appoint a manager
    Appoint(About),
    /// 代決者を定めます / name a deputy for a period
    Deputise(Deputise),
    /// root の権限で管理責任者を定めます（監査の確認まで報告に載ります）/ name a manager with root's right; it stands in every statement until an auditor acknowledges it
    Recover(Recover),
    /// 上の処置を監査として確認します / take note of a recovery, as auditor
    AcknowledgeRecovery(About),
    /// 登録されている職員 / who is registered
    List(Own),
}

#[derive(Debug, Args)]
pub(super) struct Bootstrap {
    #[command(flatten)]
    place: Place,
    /// 管理責任者の id / the manager's id
    #[arg(long, value_name = "ID")]
    manager: StaffId,
    /// そのパスワードのファイル / the file of that password
    #[arg(long, value_name = "FILE")]
    manager_password_file: PathBuf,
    /// システム管理者の id（別の人）/ the administrator's id, another person
    #[arg(long, value_name = "ID")]
    administrator: StaffId,
    /// そのパスワードのファイル / the file of that password
    #[arg(long, value_name = "FILE")]
    administrator_password_file: PathBuf,
}

const ROLE_HELP: &str = "役割 / assistant, exchange_staff, vendor_supervisor, operator, duty_officer, administrator, analyst, auditor";

#[derive(Debug, Args)]
pub(super) struct Add {
    /// 職員の id / the id of the new person
    id: StaffId,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    person: Person,
    #[arg(long, help = ROLE_HELP)]
    role: Role,
    /// 管理所管課 / the unit
    #[arg(long)]
    unit: Label,
    /// 委託事業者（監督者だけ）/ the contractor of a contractor's supervisor
    #[arg(long)]
    vendor: Option<VendorId>,
    /// 氏名（封印して保存）/ the name; it is kept sealed
    #[arg(long, default_value = "", hide_default_value = true)]
    name: Said<Words>,
}

#[derive(Debug, Args)]
pub(super) struct Days {
    /// この日から / the first day
    #[arg(long, value_name = "DATE")]
    from: JstDay,
    /// この日まで / the last day
    #[arg(long, value_name = "DATE")]
    until: JstDay,
}

impl Days {
    pub(super) fn period(&self, out: &mut Terminal) -> Result<Period, Exit> {
        Period::new(self.from, self.until).map_err(|fault| {
            let ja = format!(
                "{} は {} より前です。日付を確かめてください。",
                self.until, self.from
            );
            out.message(&Message::new(ja, fault.to_string()));
            Exit::Usage
        })
    }
}

#[derive(Debug, Args)]
pub(super) struct Designate {
    /// 職員の id / whom
    id: StaffId,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    person: Person,
    #[command(flatten)]
    days: Days,
}

#[derive(Debug, Args)]
pub(super) struct Deputise {
    /// 職員の id / whom
    id: StaffId,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    person: Person,
    #[command(flatten)]
    days: Days,
    /// 根拠（必須、封印して保存）/ on what it rests; required, and kept sealed
    #[arg(long, default_value = "", hide_default_value = true)]
    basis: Said<Words>,
}

#[derive(Debug, Args)]
pub(super) struct Train {
    /// 職員の id / whom
    id: StaffId,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    person: Person,
    /// 研修の名称（必須）/ which training; required
    #[arg(long, default_value = "", hide_default_value = true)]
    course: Said<Label>,
    /// 受講日 / when it was held
    #[arg(long, value_name = "DATE")]
    on: JstDay,
}

#[derive(Debug, Args)]
pub(super) struct About {
    /// 職員の id / whom
    id: StaffId,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    person: Person,
}

#[derive(Debug, Args)]
pub(super) struct Own {
    #[command(flatten)]
    pub(super) place: Place,
    #[command(flatten)]
    pub(super) person: Person,
}

#[derive(Debug, Args)]
pub(super) struct Recover {
    /// 職員の id / whom
    id: StaffId,
    #[command(flatten)]
    place: Place,
}

pub(super) fn people(command: Command, out: &mut Terminal) -> Result<(), Exit> {
    match command {
        Command::Bootstrap(arguments) => bootstrap(arguments, out),
        Command::Recover(Recover { id, place }) => {
            let config = Arc::new(place.load(out)?);
            let ask = Ask::Register(RegisterAsk::Recover { person: id });
            let done = send(&config, ask, Proof::Nobody, out)?;
            told(&done, out)
        }
        Command::Add(arguments) => {
            let ask = RegisterAsk::Add {
                person: arguments.id,
                role: arguments.role,
                unit: arguments.unit,
                vendor: arguments.vendor,
                name: arguments.name,
            };
            ask_as(&arguments.place, &arguments.person, ask, out)
        }
        Command::Designate(arguments) => {
            let period = arguments.days.period(out)?;
            let person = arguments.id;
            let ask = RegisterAsk::Record(Fact::Designated { person, period });
            ask_as(&arguments.place, &arguments.person, ask, out)
        }
        Command::Deputise(arguments) => {
            let ask = RegisterAsk::Deputise {
                person: arguments.id,
                period: arguments.days.period(out)?,
                basis: arguments.basis,
            };
            ask_as(&arguments.place, &arguments.person, ask, out)
        }
        Command::Train(arguments) => {
            let ask = RegisterAsk::Train {
                person: arguments.id,
                course: arguments.course,
                on: arguments.on,
            };
            ask_as(&arguments.place, &arguments.person, ask, out)
        }
        Command::Withdraw(about) => record(about, |person| Fact::Withdrawn { person }, out),
        Command::Appoint(about) => record(about, |person| Fact::Appointed { person }, out),
        Command::AcknowledgeRecovery(about) => {
            record(about, |person| Fact::RecoveryAcknowledged { person }, out)
        }
        Command::Acknowledge(own) => ask_as(&own.place, &own.person, RegisterAsk::Acknowledge, out),
        Command::List(own) => ask_as(&own.place, &own.person, RegisterAsk::List, out),
    }
}

fn bootstrap(arguments: Bootstrap, out: &mut Terminal) -> Result<(), Exit> {
    let config = Arc::new(arguments.place.load(out)?);
    let ask = Ask::Register(RegisterAsk::Bootstrap {
        manager: arguments.manager,
        manager_password: read_password(&arguments.manager_password_file, out)?,
        administrator: arguments.administrator,
        administrator_password: read_password(&arguments.administrator_password_file, out)?,
    });
    let done = send(&config, ask, Proof::Nobody, out)?;
    told(&done, out)?;
    if crate::people::is_left_behind(&config.folders.staff) {
        out.complain(&format!(
            "{file} の職員を登録しました。このファイルはもう読まれません。削除してください。\n\
             the people of {file} are registered; nobody reads the file any more, delete it. Each needs a first password: denwaban password --for ID",
            file = config.folders.staff.display()
        ));
    }
    Ok(())
}

fn record(
    about: About,
    fact: impl FnOnce(StaffId) -> Fact,
    out: &mut Terminal,
) -> Result<(), Exit> {
    let ask = RegisterAsk::Record(fact(about.id));
    ask_as(&about.place, &about.person, ask, out)
}

/// Asks the office as a person, and shows what it says.
pub(super) fn ask_as(
    place: &Place,
    person: &Person,
    ask: RegisterAsk,
    out: &mut Terminal,
) -> Result<(), Exit> {
    let config = Arc::new(place.load(out)?);
    let proof = person.proof(&config.layout(), out)?;
    let done = send(&config, Ask::Register(ask), proof, out)?;
    told(&done, out)
}

/// Asks the office.
pub(super) fn send(
    config: &Arc<Config>,
    ask: Ask,
    proof: Proof,
    out: &mut Terminal,
) -> Result<Told, Exit> {
    let request = Request::People { ask, proof };
    let answer = with_office(config, &request, |conversation| conversation.answer());
    out.settle(answer)
}

/// Shows what was done.
pub(super) fn told(told: &Told, out: &mut Terminal) -> Result<(), Exit> {
    let state = |state: &str| serde_json::json!({ "state": state });
    match told {
        Told::Done => out.result(&state("done"), || "記録しました / done".to_owned()),
        Told::AlreadySo | Told::AskedBefore(_) => out.result(&state("already_so"), || {
            "既にそのとおりです。何も変えていません / it is so already; nothing was changed"
                .to_owned()
        }),
        Told::AlreadyIn { person, password } => already_in(person, *password, out),
        Told::Issued { person, password } => issued(person, password, out),
        Told::Policy(view) => out.result(view, || policy::text(view)),
        Told::People(people) => people
            .iter()
            .try_for_each(|person| out.result(person, || shown(person))),
        Told::Opened { case } => out.result(&serde_json::json!({ "id": case }), || {
            format!(
                "{case} 受け付けました。決定は別の人が行います / opened; another person decides"
            )
        }),
        Told::HoldRequested { hold } => out.result(&serde_json::json!({ "id": hold }), || {
            format!(
                "{hold} 受け付けました。決定は別の人が行います / asked for; another person decides"
            )
        }),
        Told::Holds(holds) => holds
            .iter()
            .try_for_each(|hold| out.result(hold, || holds::shown(hold))),
        Told::Decided { decision } => out.result(&serde_json::json!({ "id": decision }), || {
            format!("{decision} 決定しました。次の通話から有効です / decided; it holds from the next call on")
        }),
        Told::Numbers(numbers) => numbers
            .iter()
            .try_for_each(|number| out.result(number, || numbers::shown(number))),
        Told::Forgotten(forgotten) => audit::forgotten(forgotten, out),
        Told::Cases(cases) => cases
            .iter()
            .try_for_each(|case| out.result(case, || requests::shown(case))),
        // Whoever asks for these shows them in a way of its own.
        Told::Session { person, .. } | Told::Totp { person, .. } => {
            out.result(&serde_json::json!({ "id": person }), || person.to_string())
        }
    }
}

/// Shows a first password, once.
pub(super) fn issued(person: &StaffId, password: &Secret, out: &mut Terminal) -> Result<(), Exit> {
    let password = password.text();
    let object = serde_json::json!({ "id": person, "password": password });
    out.result(&object, || {
        format!(
            "{person} の仮のパスワード（表示は一度だけ。本人が変更するまで何も利用できません）/ first password, shown once; it opens nothing but its change\n  {password}"
        )
    })
}

/// Says of somebody who was taken in before how to come by a password, in case nobody saw the first one.
fn already_in(person: &StaffId, password: PasswordView, out: &mut Terminal) -> Result<(), Exit> {
    let object = serde_json::json!({ "state": "already_so", "password": password });
    out.result(&object, || {
        let so = "既に登録されています。何も変えていません / registered already; nothing was changed";
        match password {
            PasswordView::Own => so.to_owned(),
            PasswordView::Missing | PasswordView::First => format!(
                "{so}\n本人が仮のパスワードを持っていなければ発行し直してください / if nobody has seen the first password, issue another: denwaban password --for {person}"
            ),
        }
    })
}

fn shown(person: &PersonView) -> String {
    let day = |label: &str, day: Option<JstDay>| {
        day.map_or_else(String::new, |day| format!(" {label}{day}"))
    };
    let vendor = person
        .vendor
        .as_ref()
        .map_or_else(String::new, |vendor| format!(" 委託/vendor={vendor}"));
    let acknowledged = person.acknowledged.map_or_else(String::new, |version| {
        format!(" 確認/acknowledged={version}")
    });
    let password = match person.password {
        PasswordView::Missing => " パスワードなし/no password",
        PasswordView::First => " 仮のパスワード/first password",
        PasswordView::Own => "",
    };
    let withdrawn = if person.withdrawn {
        " 解任/withdrawn"
    } else {
        ""
    };
    let recovered = if person.recovered {
        " 復旧（監査未確認）/recovered"
    } else {
        ""
    };
    let basis = person
        .deputy_basis
        .as_ref()
        .map_or_else(String::new, |basis| format!(" 代決の根拠/basis={basis}"));
    format!(
        "{} {}{withdrawn} {} {}{vendor}{password}{}{}{acknowledged}{}{basis}{recovered}",
        person.id,
        person.role,
        person.unit,
        person
            .name
            .as_ref()
            .map_or_else(String::new, Wording::to_string),
        day("指定/designated..", person.designated_until),
        day("研修/trained=", person.trained_on),
        day("代決/deputy..", person.deputy_until),
    )
}
