//! The real binary in a folder of its own: prepared by its own `init`, asked by its own command line.

use std::{
    fs::{self, File},
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::OnceLock,
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::listener;

/// Long enough for a busy machine, short enough to be a failure with a name.
pub const PATIENCE: Duration = Duration::from_secs(40);

/// The loopback network of one test: nobody else binds anything there, so tests run beside each other.
#[derive(Clone, Copy, Debug)]
pub struct Network {
    pub server: SocketAddr,
    pub carrier: SocketAddr,
    pub department: SocketAddr,
}

impl Network {
    /// The network 127.0.`third`.0: `.1` is the server, `.2` the carrier, `.3` the department.
    #[must_use]
    pub fn new(third: u8) -> Self {
        let at = |last, port| SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, third, last)), port);
        Self {
            server: at(1, 5060),
            carrier: at(2, 5060),
            department: at(3, 5062),
        }
    }
}

/// What `init` is told.
pub struct Plan {
    pub network: Network,
    /// What it takes after `--profile`.
    pub profile: Vec<String>,
    /// What it takes after `--carrier`: an address alone is one that only calls.
    pub carrier: String,
    /// What it takes after each `--pbx`, the preferred one first.
    pub pbx: Vec<String>,
    /// What it takes for TLS; nothing where nobody speaks it.
    pub tls: Vec<String>,
}

impl Plan {
    /// A carrier that only calls, and a PBX that is called over UDP.
    #[must_use]
    pub fn new(network: Network, profile: &[&str]) -> Self {
        Self {
            network,
            profile: profile.iter().map(|word| (*word).to_owned()).collect(),
            carrier: network.carrier.ip().to_string(),
            pbx: vec![network.department.to_string()],
            tls: Vec::new(),
        }
    }
}

/// A running server; dropping it kills the process and removes its folder.
pub struct Server {
    pub network: Network,
    folder: TempDir,
    child: Child,
}

impl Server {
    /// Prepares and starts a server; `profile` is what `init` takes after `--profile`.
    ///
    /// # Errors
    /// When `init` or the start is refused; the message holds what the program said.
    pub fn start(network: Network, profile: &[&str]) -> io::Result<Self> {
        Self::start_as(&Plan::new(network, profile), |text| text)
    }

    /// Prepares a server as planned, lets `edit` change the configuration that `init` wrote, and starts it.
    ///
    /// # Errors
    /// When `init` or the start is refused; the message holds what the program said.
    pub fn start_as(plan: &Plan, edit: impl FnOnce(String) -> String) -> io::Result<Self> {
        let folder = tempfile::tempdir()?;
        let network = plan.network;
        let server = network.server;
        let mut init = Command::new(binary());
        init.args(["init", "--dir"])
            .arg(folder.path())
            .args(["--listen", &server.to_string()]);
        init.args(["--carrier", &plan.carrier]);
        for pbx in &plan.pbx {
            init.args(["--pbx", pbx]);
        }
        init.args(&plan.tls);
        init.args([
            "--number",
            "0783331000",
            "--rtp",
            &format!("{}:20000-20399", server.ip()),
            "--profile",
        ])
        .args(&plan.profile);
        succeeded("init", &init.output()?)?;
        let config = folder.path().join("denwaban.toml");
        fs::write(&config, edit(fs::read_to_string(&config)?))?;

        let log = File::create(folder.path().join("log"))?;
        let mut run = Command::new(binary());
        run.args(["run", "--config"]).arg(config);
        let child = run
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()?;
        let mut server = Self {
            network,
            folder,
            child,
        };
        server.wait_until_it_answers()?;
        Ok(server)
    }

    /// A command of the program on this server's configuration.
    ///
    /// # Errors
    /// When it cannot be run, or ends with another status than 0.
    pub fn command(&self, arguments: &[&str]) -> io::Result<String> {
        let output = Command::new(binary())
            .args(arguments)
            .arg("--config")
            .arg(self.config())
            .output()?;
        succeeded(&arguments.join(" "), &output)?;
        String::from_utf8(output.stdout).map_err(io::Error::other)
    }

    /// All calls as `recordings list --json --all` shows them.
    ///
    /// # Errors
    /// When the command fails or a line is no JSON.
    pub fn calls(&self) -> io::Result<Vec<Value>> {
        let text = self.command(&["recordings", "list", "--json", "--all"])?;
        text.lines()
            .map(|line| serde_json::from_str(line).map_err(io::Error::other))
            .collect()
    }

    /// Waits until a call is listed in a state, and returns its line.
    ///
    /// # Errors
    /// When there is none within [`PATIENCE`]; the message holds what is listed.
    pub fn call_in_state(&self, state: &str) -> io::Result<Value> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let calls = self.calls()?;
            if let Some(call) = calls.iter().find(|call| call["state"] == state) {
                return Ok(call.clone());
            }
            if Instant::now() > deadline {
                return Err(io::Error::other(format!(
                    "listed {calls:?}, expected a call in state {state}:\n{}",
                    self.log()
                )));
            }
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// Waits until a line is registered.
    ///
    /// # Errors
    /// When there is none within [`PATIENCE`]; the message holds what is shown.
    pub fn wait_until_registered(&self) -> io::Result<()> {
        let is_held = |trunk: &Value| trunk["registration"]["held_until"].is_string();
        self.wait_for_trunk("registered", is_held)
    }

    /// Waits until a registration was refused.
    ///
    /// # Errors
    /// When there is none within [`PATIENCE`]; the message holds what is shown.
    pub fn wait_until_refused(&self) -> io::Result<()> {
        let failures = |trunk: &Value| trunk["registration"]["failures"].as_u64();
        self.wait_for_trunk("refused", |trunk| failures(trunk) > Some(0))
    }

    /// Waits for a trunk as `trunks --json` shows it.
    fn wait_for_trunk(&self, what: &str, is_so: impl Fn(&Value) -> bool) -> io::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let text = self.command(&["trunks", "--json"])?;
            let mut trunks = text.lines().map(serde_json::from_str);
            if trunks.any(|trunk| trunk.is_ok_and(|trunk| is_so(&trunk))) {
                return Ok(());
            }
            if Instant::now() > deadline {
                let log = self.log();
                return Err(io::Error::other(format!(
                    "no line is {what}:\n{text}\n{log}"
                )));
            }
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// Writes a recording out as WAV, as a person who may.
    ///
    /// # Errors
    /// When it is refused.
    pub fn export(&self, recording: &str) -> io::Result<PathBuf> {
        let file = self.folder.path().join(format!("{recording}.wav"));
        let out = file
            .to_str()
            .ok_or_else(|| io::Error::other("the folder's name is no UTF-8"))?;
        let proof = listener::proof(self)?;
        let export = ["recordings", "export", recording, "--out", out];
        let asked = [&export[..], &["--purpose", "STAFF_CHECK"], &proof.each()].concat();
        self.command(&asked)?;
        Ok(file)
    }

    /// What the server has logged so far, for the message of a test that failed.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Ends the server by SIGTERM.
    ///
    /// # Errors
    /// When it does not end within [`PATIENCE`], or ends badly.
    pub fn stop(mut self) -> io::Result<()> {
        let pid = i32::try_from(self.child.id())
            .ok()
            .and_then(Pid::from_raw)
            .ok_or_else(|| io::Error::other("no pid"))?;
        kill_process(pid, Signal::TERM)?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.child.try_wait()? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => {
                    return Err(io::Error::other(format!(
                        "the server ended with {status}:\n{}",
                        self.log()
                    )));
                }
                None if Instant::now() > deadline => {
                    return Err(io::Error::other("the server did not end after SIGTERM"));
                }
                None => thread::sleep(Duration::from_millis(20)),
            }
        }
    }

    /// Where all of it lies.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("denwaban.toml")
    }

    /// Any answer will do: it shows that the socket is open and the carrier is known.
    fn wait_until_it_answers(&mut self) -> io::Result<()> {
        let socket = UdpSocket::bind(SocketAddr::new(self.network.carrier.ip(), 0))?;
        socket.connect(self.network.server)?;
        socket.set_read_timeout(Some(Duration::from_millis(100)))?;
        let (local, server) = (socket.local_addr()?, self.network.server);
        let deadline = Instant::now() + PATIENCE;
        for attempt in 0.. {
            if let Some(status) = self.child.try_wait()? {
                return Err(io::Error::other(format!(
                    "the server ended with {status} at its start:\n{}",
                    self.log()
                )));
            }
            if Instant::now() > deadline {
                return Err(io::Error::other(format!(
                    "the server does not answer an OPTIONS:\n{}",
                    self.log()
                )));
            }
            let options = format!(
                "OPTIONS sip:{server} SIP/2.0\r\nVia: SIP/2.0/UDP {local};branch=z9hG4bKstart{attempt};rport\r\nMax-Forwards: 70\r\n\
                 From: <sip:start@{local}>;tag=s\r\nTo: <sip:{server}>\r\nCall-ID: start{attempt}\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
            );
            // Refused while nobody listens yet.
            let _ = socket.send(options.as_bytes());
            match socket.recv(&mut [0; 4096]) {
                Ok(_) => break,
                Err(refusal) if refusal.kind() == io::ErrorKind::ConnectionRefused => {
                    thread::sleep(Duration::from_millis(20));
                }
                Err(_) => {}
            }
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The binary under test: `DENWABAN_BIN`, or the one of the profile that built this test, brought up to date.
///
/// # Panics
/// When it cannot be built: then there is nothing to test.
#[must_use]
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        if let Some(given) = std::env::var_os("DENWABAN_BIN") {
            return given.into();
        }
        let test = std::env::current_exe().expect("a running test has a path");
        let profile = test
            .parent()
            .and_then(Path::parent)
            .expect("a test lies in target/PROFILE/deps");
        let mut build = Command::new(env!("CARGO"));
        build.args([
            "build",
            "--quiet",
            "--locked",
            "--package",
            "denwaban-server",
            "--bin",
            "denwaban",
        ]);
        build
            .arg("--target-dir")
            .arg(profile.parent().expect("target/PROFILE lies in target"));
        if profile.ends_with("release") {
            build.arg("--release");
        }
        let outcome = build
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status()
            .expect("cargo built this test");
        assert!(
            outcome.success(),
            "cargo build -p denwaban-server: {outcome}"
        );
        profile.join("denwaban")
    })
}

fn succeeded(what: &str, output: &Output) -> io::Result<()> {
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!(
        "denwaban {what}: {}\n{said}",
        output.status
    )))
}
