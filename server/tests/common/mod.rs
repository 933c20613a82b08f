//! A small carrier and a small department over real sockets, and a house of the real program between them.
//!
//! The messages are plain text: what a peer writes must not come from the code that reads it.

#![allow(dead_code, reason = "each test file uses its own part")]
#![allow(clippy::unwrap_used, reason = "a helper of tests")]

pub(crate) mod hand_over;
pub(crate) mod line;
pub(crate) mod memory;
pub(crate) mod recorded;
pub(crate) mod search;
pub(crate) mod telephone;

use std::{
    fs,
    io::{BufRead, BufReader},
    net::{IpAddr, Ipv4Addr},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU8, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use tempfile::TempDir;

/// Longer than anything in these tests takes on a machine that others use too.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Asks again and again until there is an answer.
pub(crate) fn wait_for<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < until, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// The wall clock of whatever program follows.
fn at(moment: Timestamp) -> Command {
    let mut command = Command::new("faketime");
    command.env("TZ", "UTC");
    command.arg(moment.strftime("%Y-%m-%d %H:%M:%S").to_string());
    command
}

/// Three loopback addresses that no other test of this or another run has.
pub(crate) struct Addresses {
    pub house: IpAddr,
    pub carrier: IpAddr,
    pub pbx: IpAddr,
}

impl Addresses {
    pub(crate) fn new() -> Addresses {
        static NEXT: AtomicU8 = AtomicU8::new(0);
        let index = NEXT.fetch_add(1, Ordering::Relaxed);
        let [.., high, low] = std::process::id().to_be_bytes();
        let address =
            |part: u8| IpAddr::V4(Ipv4Addr::new(127, 64 + 3 * index + part, high, low.max(1)));
        Addresses {
            house: address(0),
            carrier: address(1),
            pbx: address(2),
        }
    }
}

/// A folder that `init` filled, and the program running on it.
pub(crate) struct House {
    pub folder: TempDir,
    pub addresses: Addresses,
    server: Option<Child>,
    log: Arc<Mutex<String>>,
}

impl House {
    /// A folder without anything in it, for a test that calls `init` itself.
    pub(crate) fn unwritten() -> House {
        House {
            folder: tempfile::tempdir().unwrap(),
            addresses: Addresses::new(),
            server: None,
            log: Arc::default(),
        }
    }

    /// `denwaban init` with one number, 0783331000, and whatever else is given.
    pub(crate) fn init(more: &[&str]) -> House {
        House::init_by(Command::new(env!("CARGO_BIN_EXE_denwaban")), more)
    }

    /// The same, at another time.
    pub(crate) fn init_at(moment: Timestamp, more: &[&str]) -> House {
        let mut program = at(moment);
        program.arg(env!("CARGO_BIN_EXE_denwaban"));
        House::init_by(program, more)
    }

    fn init_by(mut program: Command, more: &[&str]) -> House {
        let house = House::unwritten();
        let Addresses {
            house: own,
            carrier,
            pbx,
        } = house.addresses;
        let done = program
            .args([
                "init",
                "--dir",
                house.dir().to_str().unwrap(),
                "--number",
                "0783331000",
            ])
            .args([
                "--listen",
                &format!("{own}:5060"),
                "--carrier",
                &carrier.to_string(),
                "--pbx",
                &format!("{pbx}:5062"),
            ])
            .args(["--rtp", &format!("{own}:20000-20199")])
            .args(more)
            .output()
            .unwrap();
        assert!(done.status.success(), "{}", text(&done));
        house
    }

    pub(crate) fn dir(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.dir().join("denwaban.toml")
    }

    /// Runs a command of the program on this folder.
    pub(crate) fn denwaban(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs a command of the program at another time.
    pub(crate) fn denwaban_at(&self, moment: Timestamp, arguments: &[&str]) -> Output {
        let command = self.command(arguments);
        at(moment)
            .arg(command.get_program())
            .args(command.get_args())
            .env("HOME", self.dir())
            .env_remove("XDG_RUNTIME_DIR")
            .output()
            .unwrap()
    }

    /// The same; it must do what it is told.
    pub(crate) fn done_at(&self, moment: Timestamp, arguments: &[&str]) -> Output {
        let output = self.denwaban_at(moment, arguments);
        assert!(output.status.success(), "{arguments:?}: {}", text(&output));
        output
    }

    /// A command of the program on this folder, whose user's own folder lies here too.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_denwaban"));
        command
            .args(arguments)
            .arg("--config")
            .arg(self.config())
            .env("HOME", self.dir())
            .env_remove("XDG_RUNTIME_DIR");
        command
    }

    /// Runs a command of the program that must do what it is told.
    pub(crate) fn done(&self, arguments: &[&str]) -> Output {
        let output = self.denwaban(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", text(&output));
        output
    }

    /// Starts the program and waits until it says that it carries calls.
    pub(crate) fn run(&mut self) {
        let (server, line) = self.begin(&[], |_| {});
        self.server = Some(server);
        assert!(
            line.contains(&self.addresses.house.to_string()),
            "{line}{}",
            self.log()
        );
    }

    /// Starts one duty of it in a process of its own.
    pub(crate) fn run_duty(&self, duty: &str, prepare: impl FnOnce(&mut Command)) -> Process {
        let (child, line) = self.begin(&["--roles", duty], prepare);
        assert!(line.contains("SIGTERM"), "{line}{}", self.log());
        Process(child)
    }

    /// Starts the program, and waits for what it says first.
    fn begin(&self, more: &[&str], prepare: impl FnOnce(&mut Command)) -> (Child, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_denwaban"));
        command
            .args(["run", "--config"])
            .arg(self.config())
            .args(more)
            .env("RUST_LOG", "info")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        prepare(&mut command);
        let mut server = command.spawn().unwrap();
        let stderr = server.stderr.take().unwrap();
        let log = Arc::clone(&self.log);
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                log.lock().unwrap().push_str(&format!("{line}\n"));
            }
        });
        let mut stdout = BufReader::new(server.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        (server, line)
    }

    /// The running server's process.
    pub(crate) fn pid(&self) -> u32 {
        self.server.as_ref().unwrap().id()
    }

    /// What the program has logged so far.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// SIGTERM; returns how long the program took to end, and that it ended well.
    pub(crate) fn terminate(&mut self) -> Duration {
        let mut server = self.server.take().expect("it runs");
        let begun = Instant::now();
        let pid = rustix::process::Pid::from_child(&server);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let status = wait_for("the end of the program", || server.try_wait().unwrap());
        assert!(status.success(), "{status}\n{}", self.log());
        begun.elapsed()
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        let mut server = self.server.take().expect("it runs");
        server.kill().unwrap();
        server.wait().unwrap();
    }

    /// The rows of `recordings list --json`.
    pub(crate) fn rows(&self, more: &[&str]) -> Vec<serde_json::Value> {
        let listed = self.denwaban(&[&["recordings", "list", "--json"], more].concat());
        assert!(listed.status.success(), "{}{}", text(&listed), self.log());
        let lines = String::from_utf8(listed.stdout).unwrap();
        lines
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// Waits until some row satisfies the condition.
    pub(crate) fn row(
        &self,
        what: &str,
        more: &[&str],
        condition: impl Fn(&serde_json::Value) -> bool,
    ) -> serde_json::Value {
        let until = Instant::now() + PATIENCE;
        loop {
            let rows = self.rows(more);
            if let Some(row) = rows.iter().find(|row| condition(row)) {
                return row.clone();
            }
            assert!(
                Instant::now() < until,
                "no row: {what}\n{rows:#?}\n{}",
                self.log()
            );
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// The file of a person's password; the first of a new person is written into it.
    pub(crate) fn password_file(&self, id: &str, password: &str) -> String {
        let file = self.dir().join(format!("{id}.password"));
        fs::write(&file, password).unwrap();
        file.to_str().unwrap().to_owned()
    }

    /// Names the manager `kacho` and the administrator `kanri`, and runs a command as the manager from then on.
    pub(crate) fn found(&self) {
        let manager = self.password_file("kacho", MANAGER_PASSWORD);
        let administrator = self.password_file("kanri", ADMINISTRATOR_PASSWORD);
        self.done(&[
            "people",
            "bootstrap",
            "--manager",
            "kacho",
            "--manager-password-file",
            &manager,
            "--administrator",
            "kanri",
            "--administrator-password-file",
            &administrator,
        ]);
    }

    /// What proves a person whom [`Self::found`] or [`Self::enlist`] took in.
    pub(crate) fn proof(&self, id: &str) -> [String; 4] {
        let file = self.dir().join(format!("{id}.password"));
        let file = file.to_str().unwrap().to_owned();
        [
            "--as".to_owned(),
            id.to_owned(),
            "--password-file".to_owned(),
            file,
        ]
    }

    /// Runs a command as this person.
    pub(crate) fn by(&self, id: &str, arguments: &[&str]) -> Output {
        let proof = self.proof(id);
        let proof: Vec<&str> = proof.iter().map(String::as_str).collect();
        self.denwaban(&[arguments, &proof].concat())
    }

    /// Takes one person in who may do all that the role allows: designated, trained, with a password of the own, the rules acknowledged.
    pub(crate) fn enlist(&self, id: &str, role: &str) {
        self.enlist_with(id, role, &[]);
    }

    /// The same with more to say of the person.
    pub(crate) fn enlist_with(&self, id: &str, role: &str, more: &[&str]) {
        let today = rules::JstDay::of(Timestamp::now()).to_string();
        let file = self.password_file("kacho", MANAGER_PASSWORD);
        self.done(&["login", "--as", "kacho", "--password-file", &file]);
        let add = [
            "people",
            "add",
            id,
            "--role",
            role,
            "--unit",
            "管理所管課",
            "--json",
        ];
        let added = self.done(&[&add[..], more].concat());
        let added: serde_json::Value = serde_json::from_slice(&added.stdout).unwrap();
        let first = added["password"].as_str().unwrap();
        let days = ["--from", &today, "--until", &today];
        self.done(&[&["people", "designate", id], &days[..]].concat());
        self.done(&[
            "people",
            "train",
            id,
            "--course",
            "個人情報保護",
            "--on",
            &today,
        ]);
        self.done(&["logout"]);
        let first = self.password_file(id, first);
        let own = self.password_file(&format!("{id}.own"), OWN_PASSWORD);
        self.done(&[
            "password",
            "--as",
            id,
            "--password-file",
            &first,
            "--new-password-file",
            &own,
        ]);
        self.password_file(id, OWN_PASSWORD);
        let acknowledged = self.by(id, &["people", "acknowledge"]);
        assert!(acknowledged.status.success(), "{}", text(&acknowledged));
    }

    /// The manager takes the contractor `bunseki` in, with this key, and enters the contract `r8-1` from today on.
    pub(crate) fn contract(&self, recipient: &str, until: &str) {
        let today = rules::JstDay::of(Timestamp::now()).to_string();
        let attest = ["vendors", "attest", "bunseki", "--kind", "security-policy"];
        let contract = ["contracts", "add", "r8-1", "--vendor", "bunseki"];
        let terms = ["--number", "0783331000", "--purpose", "ANALYSIS_INQUIRY"];
        let days = ["--from", &today, "--until", until];
        for arguments in [
            &["vendors", "add", "bunseki", "--recipient", recipient][..],
            &[&attest[..], &days[2..]].concat(),
            &[&contract[..], &terms, &days].concat(),
        ] {
            let done = self.by("kacho", arguments);
            assert!(done.status.success(), "{arguments:?}: {}", text(&done));
        }
    }
}

/// One duty's process.
pub(crate) struct Process(Child);

impl Process {
    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }

    /// SIGTERM; it must end well.
    pub(crate) fn terminate(mut self) {
        let pid = rustix::process::Pid::from_child(&self.0);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let status = wait_for("the end of a duty", || self.0.try_wait().unwrap());
        assert!(status.success(), "{status}");
    }

    /// SIGKILL.
    pub(crate) fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The test is over, well or not; nothing may be left running.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

const MANAGER_PASSWORD: &str = "umi-no-mieru-oka\n";
const ADMINISTRATOR_PASSWORD: &str = "yama-wa-rokko-oroshi\n";
const OWN_PASSWORD: &str = "kaze-ni-noru-tori\n";

impl Drop for House {
    fn drop(&mut self) {
        if let Some(mut server) = self.server.take() {
            // The test is over, well or not; nothing may be left running.
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}

/// Both outputs of a command as text.
pub(crate) fn text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}
