//! The command line: what can be asked, and how each answer becomes text and an exit status.

mod access;
mod audit;
mod backup;
mod calls;
mod check;
mod city_time;
mod copies;
mod demo;
mod dispose;
mod emergency;
mod handover;
mod holds;
mod init;
mod keys;
mod login;
mod numbers;
mod people;
mod policy;
#[cfg(test)]
mod promised_tests;
mod reconcile;
mod recordings;
mod report;
mod requests;
mod run;
mod signed;
mod statement;
mod trunks;
mod usage;
mod vendors;

use std::{
    ffi::OsString,
    io::{self, IsTerminal, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, Parser, Subcommand};
use rules::StaffId;
use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
use serde::Serialize;
use storage::Layout;

use city_time::in_city_time;

use crate::{
    config::{Config, ConfigReport},
    duty::{Answer, Message},
    proof::{self, Proof, Secret, Typed},
    sharing, wording,
};

/// 電話番: 市の代表電話に立ち、告知し、取り次ぎ、通話を封印して記録します。
/// The one who minds the phone: announces, connects, and keeps calls sealed.
///
/// 終了コード / exit status: 0 完了 done, 1 失敗 failed, 2 使い方または設定 usage or configuration,
/// 3 規則による拒否 refused by a rule, 4 監査・データベース・鍵が使えない audit, database or key unavailable, 5 検証の不一致 verification failed
#[derive(Debug, Parser)]
#[command(
    name = "denwaban",
    version,
    arg_required_else_help = true,
    max_term_width = 110
)]
struct Line {
    #[command(subcommand)]
    command: Command,
    /// 1行に1件の JSON。拒否の理由も標準エラーに JSON / one JSON object a line; a refusal too, on standard error
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// フォルダと設定ファイルを作ります / write a folder with configuration, keys and prompts
    Init(init::Arguments),
    /// 通話を取り次ぎます（Ctrl-C で終了）/ carry calls until SIGTERM or Ctrl-C
    Run(run::Arguments),
    /// 設定・音声・鍵・データベース・監査を調べます / examine configuration, prompts, keys, database and audit
    Check(Place),
    /// 通話の実演：告知・接続・録音・緊急時 / play a carrier and a department through a real server
    Demo(demo::Arguments),
    /// 緊急時モード（要領・告知の例外）/ the emergency mode, in which calls are connected without the notice
    #[command(subcommand)]
    Emergency(emergency::Command),
    /// 進行中の通話と、終わったばかりの通話 / the calls that go on, and those that ended last
    Calls(calls::List),
    /// 一つの通話の流れ / one call as a ladder with its times
    Call(calls::One),
    /// 回線の状態：正常か、いつ選ばれ、なぜ見送られたか / each peer: how it stands, when it was chosen and why it was passed over
    Trunks(trunks::Arguments),
    /// 録音の一覧と書き出し / list recordings, write one out
    #[command(subcommand)]
    Recordings(recordings::Command),
    /// 通話・記録・音声の突き合わせ（要領第5条第1項）/ whether every answered call has its recording or a reason
    Reconcile(Place),
    /// 期限の来た録音の予定・廃棄・証明書（要領第5条第6項）/ what is due, its destruction and the certificate
    Dispose(dispose::Arguments),
    /// 鍵の状態・更新・写し・復旧 / the keys: how they stand, rotation, mirrors, recovery
    #[command(subcommand)]
    Keys(keys::Command),
    /// 記録・音声・証跡のバックアップ（鍵は含みません）/ copy rows, audio and trail out, never a key
    Backup(backup::Backup),
    /// バックアップからの復元。鍵のないものは戻りません / bring a backup back; what has no key does not come back
    Restore(backup::Restore),
    /// 方針：取扱要領の版、目的、保存日数、要領第6条の決定 / the policy in its versions, and measures of article 6
    #[command(subcommand)]
    Policy(policy::Command),
    /// 番号ごとの告知：他の手段・法令による決定とその見直し（諮問書4①）/ how each number's callers are told, and decisions otherwise
    #[command(subcommand)]
    Numbers(numbers::Command),
    /// 月次の監督報告（要領第3条第2項）/ the monthly supervision report
    #[command(subcommand)]
    Report(report::Command),
    /// 市民に公表する月次の件数（署名付き）/ what the public is told of a month, signed
    Statement(statement::Arguments),
    /// 証跡 / the audit trail
    #[command(subcommand)]
    Audit(audit::Command),
    /// 職員：登録・指定・研修・確認・任命・代決 / people: who they are, and what is on record about them
    #[command(subcommand)]
    People(people::Command),
    /// ログインします（無操作15分、最長8時間）/ log in, for 15 minutes without use and 8 hours at most
    Login(login::Login),
    /// ログアウトします / log out
    Logout(Place),
    /// パスワードを変更、または他の職員に発行します / change the own password, or issue one to another person
    Password(login::Password),
    /// 確認コード（RFC 6238）/ one-time codes
    #[command(subcommand)]
    Totp(login::Totp),
    /// 権限の一覧 / who may do what
    #[command(subcommand)]
    Access(access::Command),
    /// 委託事業者 / contractors
    #[command(subcommand)]
    Vendors(vendors::Vendors),
    /// 委託契約 / contracts with contractors
    #[command(subcommand)]
    Contracts(vendors::Contracts),
    /// 収受：申請・決定・暗号化・受渡し・廃棄証明（要領第5条第3項）/ hand-overs: asked, decided, encrypted, given, certified as destroyed
    #[command(subcommand)]
    Handover(handover::Command),
    /// 保管庫の外にある写し / copies outside the vault
    #[command(subcommand)]
    Copies(copies::Command),
    /// 請求：法令・条例、開示等、不当要求行為（要領第5条第2項・第4項）/ requests by statute, by whom was recorded, about unreasonable demands
    #[command(subcommand)]
    Requests(requests::Command),
    /// 保全：期日の後も残す録音（要領第5条第4項）/ recordings that a case keeps beyond their day
    #[command(subcommand)]
    Holds(holds::Command),
}

/// Where the configuration lies.
#[derive(Clone, Debug, Args)]
struct Place {
    /// 設定ファイル（init が書いた DIR/denwaban.toml）/ the configuration that init wrote
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

impl Place {
    fn load(&self, out: &mut Terminal) -> Result<Config, Exit> {
        let config = Config::load(&self.config).map_err(|report| {
            out.report(&report);
            Exit::Usage
        })?;
        if config.folders.group.is_some() {
            sharing::open_to_group();
        }
        Ok(config)
    }
}

/// Who asks. Without it the person of `login`, and where nobody is logged in, the host's user.
#[derive(Clone, Debug, Args)]
struct Person {
    /// 職員の id / the person's id
    #[arg(long = "as", value_name = "ID")]
    person: Option<StaffId>,
    /// パスワードのファイル（1行目）/ the file whose first line is the password
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// 確認コード6桁 / the six digits of the one-time code
    #[arg(long, value_name = "CODE")]
    totp: Option<String>,
}

impl Person {
    /// What is shown of the person.
    ///
    /// # Errors
    /// [`Exit::Usage`] where the password's file cannot be read.
    fn proof(&self, layout: &Layout, out: &mut Terminal) -> Result<Proof, Exit> {
        match (&self.person, &self.password_file) {
            (Some(person), Some(file)) => Ok(Proof::Password(Typed {
                person: person.clone(),
                password: read_password(file, out)?,
                code: self.totp.as_deref().map(Secret::new),
            })),
            (Some(person), None) => Ok(Proof::Named(person.clone())),
            (None, _) => {
                let token =
                    proof::session_file(layout).and_then(|file| proof::read_password(&file).ok());
                Ok(token.map_or(Proof::Nobody, Proof::Session))
            }
        }
    }
}

/// Reads a password from its file.
///
/// # Errors
/// [`Exit::Usage`] where that cannot be read.
fn read_password(file: &Path, out: &mut Terminal) -> Result<Secret, Exit> {
    proof::read_password(file).map_err(|fault| {
        let file = file.display();
        out.message(&Message::new(
            format!("パスワードのファイル {file} を読めません。"),
            format!(
                "the password's file {file} cannot be read: {fault}; its first line is the password"
            ),
        ));
        Exit::Usage
    })
}

/// How a command ends; the numbers are the exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Exit {
    Done = 0,
    Failed = 1,
    Usage = 2,
    Refused = 3,
    Unavailable = 4,
    Unverified = 5,
}

impl Exit {
    /// Of two ends of one command the one to tell: what is broken is worse than what cannot be read.
    fn or_worse(self, other: Exit) -> Exit {
        match (self, other) {
            (Exit::Unverified, _) | (_, Exit::Done) => self,
            (_, other) => other,
        }
    }

    /// The code and the HTTP status of what ends so, where it has none of its own.
    fn meaning(self) -> Option<(&'static str, u16)> {
        match self {
            Exit::Done => None,
            Exit::Failed => Some(("FAILED", 500)),
            Exit::Usage => Some(("USAGE", 400)),
            Exit::Refused => Some(("REFUSED", 403)),
            Exit::Unavailable => Some(("UNAVAILABLE", 503)),
            Exit::Unverified => Some(("UNVERIFIED", 500)),
        }
    }

    /// The end of a command that told of everything.
    fn ended(self) -> Result<(), Exit> {
        match self {
            Exit::Done => Ok(()),
            worst => Err(worst),
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

/// The one writer of the command line: results to standard output, everything else to standard error.
#[derive(Debug)]
struct Terminal {
    out: io::StdoutLock<'static>,
    form: Form,
    /// What programs were told last, without a code: the command's end gives it one, unless the command goes on.
    held: Option<Message>,
}

/// For whom it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// People.
    Text,
    /// Programs: one JSON object a line.
    Json,
}

/// A refusal as programs read it.
#[derive(Serialize)]
struct RefusalObject<'m> {
    code: &'m str,
    status: u16,
    clause: &'m str,
    ja: &'m str,
    en: &'m str,
}

impl Terminal {
    /// Writes a line for people; programs have objects instead ([`Self::result`]).
    ///
    /// # Errors
    /// As [`Self::put`].
    fn line(&mut self, text: &str) -> Result<(), Exit> {
        match self.form {
            Form::Text => self.put(text),
            Form::Json => Ok(()),
        }
    }

    /// Writes an object of the result, as programs read it.
    ///
    /// # Errors
    /// As [`Self::put`].
    fn object<T: Serialize>(&mut self, object: &T) -> Result<(), Exit> {
        let object = serde_json::to_string(object).map_err(|_| Exit::Failed)?;
        self.put(&in_city_time(&object))
    }

    /// Writes a line: to people without what steers a terminal, to programs as it stands.
    ///
    /// # Errors
    /// [`Exit::Done`] when the reader has seen enough (`| head`), [`Exit::Failed`] for anything else.
    fn put(&mut self, line: &str) -> Result<(), Exit> {
        self.let_go(Exit::Done);
        let written = match self.form {
            Form::Text => writeln!(self.out, "{}", wording::lines(line)),
            Form::Json => writeln!(self.out, "{line}"),
        };
        written.map_err(|fault| {
            if fault.kind() == io::ErrorKind::BrokenPipe {
                Exit::Done
            } else {
                Exit::Failed
            }
        })
    }

    /// Writes to standard error; for programs as a message, whose Japanese is the first line.
    fn complain(&mut self, text: &str) {
        let text = text.trim_end();
        if self.form == Form::Json {
            let (ja, en) = text.split_once('\n').unwrap_or((text, text));
            return self.message(&Message::new(ja, en));
        }
        // When standard error is gone there is nobody left to tell.
        let _ = writeln!(io::stderr(), "{}", wording::lines(text));
    }

    /// Tells what is wrong with a configuration, in colours where a terminal shows them.
    fn report(&mut self, report: &ConfigReport) {
        match self.form {
            Form::Text if io::stderr().is_terminal() => {
                let _ = writeln!(io::stderr(), "{}", report.render(true).trim_end());
            }
            Form::Text | Form::Json => self.complain(&report.render(false)),
        }
    }

    /// Writes an object of the result for programs, or its text for people.
    ///
    /// # Errors
    /// As [`Self::line`].
    fn result<T: Serialize>(
        &mut self,
        object: &T,
        text: impl FnOnce() -> String,
    ) -> Result<(), Exit> {
        match self.form {
            Form::Text => self.line(&text()),
            Form::Json => self.object(object),
        }
    }

    /// Writes an object beside the result to standard error, or its text for people.
    fn remark<T: Serialize>(&mut self, object: &T, text: impl FnOnce() -> String) {
        match self.form {
            Form::Text => self.complain(&text()),
            Form::Json => tell(object),
        }
    }

    fn message(&mut self, message: &Message) {
        if self.form == Form::Json {
            self.let_go(Exit::Done);
            self.held = Some(message.clone());
            return;
        }
        let code = if message.code.is_empty() {
            String::new()
        } else {
            format!("{}\n", message.code)
        };
        self.complain(&format!("{code}{}\n{}", message.ja, message.en));
    }

    /// Writes what is held; where the command ends by it, with the code of that end.
    fn let_go(&mut self, end: Exit) {
        let Some(held) = self.held.take() else {
            return;
        };
        let message = match end.meaning() {
            Some((code, status)) => held.ending(code, status),
            None => held,
        };
        tell(&RefusalObject {
            code: &message.code,
            status: message.status,
            clause: &message.clause,
            ja: &message.ja,
            en: &message.en,
        });
    }

    /// Ends the command.
    fn end(mut self, exit: Exit) -> ExitCode {
        self.let_go(exit);
        exit.into()
    }

    /// The result of an answer, or its message and exit status.
    fn settle<T>(&mut self, answer: Answer<T>) -> Result<T, Exit> {
        let (message, exit) = match answer {
            Answer::Done(value) => return Ok(value),
            Answer::Failed(message) => (message, Exit::Failed),
            Answer::Usage(message) => (message, Exit::Usage),
            Answer::Refused(message) => (message, Exit::Refused),
            Answer::Unavailable(message) => (message, Exit::Unavailable),
            Answer::Unverified(message) => (message, Exit::Unverified),
        };
        self.message(&message);
        Err(exit)
    }
}

/// Writes an object to standard error; when that is gone there is nobody left to tell.
fn tell<T: Serialize>(object: &T) {
    if let Ok(object) = serde_json::to_string(object) {
        let _ = writeln!(io::stderr(), "{object}");
    }
}

/// Does what the arguments say.
pub fn main<I, A>(arguments: I) -> ExitCode
where
    I: IntoIterator<Item = A>,
    A: Into<OsString> + Clone,
{
    // Whatever this program writes belongs to its user alone, unless a setting opens it.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    forbid_core_dumps();
    let arguments: Vec<OsString> = arguments.into_iter().map(Into::into).collect();
    let parsed = Line::try_parse_from(&arguments);
    let is_json = match &parsed {
        Ok(line) => line.json,
        Err(_) => arguments.iter().any(|argument| argument == "--json"),
    };
    let mut out = Terminal {
        out: io::stdout().lock(),
        form: if is_json { Form::Json } else { Form::Text },
        held: None,
    };
    let line = match parsed {
        Ok(line) => line,
        Err(told) => {
            let exit = usage::tell(told, &mut out);
            return out.end(exit);
        }
    };
    let ended = match line.command {
        Command::Init(arguments) => init::init(&arguments, &mut out),
        Command::Run(arguments) => run::run(&arguments, &mut out),
        Command::Check(place) => check::check(&place, &mut out),
        Command::Demo(arguments) => demo::demo(&arguments, &mut out),
        Command::Emergency(command) => emergency::emergency(&command, &mut out),
        Command::Calls(arguments) => calls::calls(&arguments, &mut out),
        Command::Call(arguments) => calls::call(&arguments, &mut out),
        Command::Trunks(arguments) => trunks::trunks(&arguments, &mut out),
        Command::Recordings(command) => recordings::recordings(&command, &mut out),
        Command::Reconcile(place) => reconcile::reconcile(&place, &mut out),
        Command::Dispose(arguments) => dispose::dispose(&arguments, &mut out),
        Command::Keys(command) => keys::keys(&command, &mut out),
        Command::Backup(arguments) => backup::backup(&arguments, &mut out),
        Command::Restore(arguments) => backup::restore(&arguments, &mut out),
        Command::Policy(command) => policy::policy(command, &mut out),
        Command::Numbers(command) => numbers::numbers(command, &mut out),
        Command::Report(command) => report::report(&command, &mut out),
        Command::Statement(arguments) => statement::statement(&arguments, &mut out),
        Command::Audit(command) => audit::audit(&command, &mut out),
        Command::People(command) => people::people(command, &mut out),
        Command::Login(arguments) => login::login(&arguments, &mut out),
        Command::Logout(place) => login::logout(&place, &mut out),
        Command::Password(arguments) => login::password(&arguments, &mut out),
        Command::Totp(command) => login::totp(&command, &mut out),
        Command::Access(command) => access::access(&command, &mut out),
        Command::Vendors(command) => vendors::vendors(command, &mut out),
        Command::Contracts(command) => vendors::contracts(command, &mut out),
        Command::Handover(command) => handover::handover(command, &mut out),
        Command::Copies(command) => copies::copies(command, &mut out),
        Command::Requests(command) => requests::requests(command, &mut out),
        Command::Holds(command) => holds::holds(command, &mut out),
    };
    out.end(ended.err().unwrap_or(Exit::Done))
}

/// Keys and voices that are in memory shall lie in no core file, nor in what a handler of them collects.
fn forbid_core_dumps() {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    // A kernel that refuses leaves it to the service manager; the command goes on.
    let _ = setrlimit(Resource::Core, none);
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
}
