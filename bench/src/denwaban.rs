//! The real binary: prepared by its own `init`, started as a process of its own, ended by SIGTERM.

use std::{
    io::{self, Read},
    net::{IpAddr, SocketAddr, UdpSocket},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::{signalling::Places, sip_text::CALLED};

/// A start reads prompts, makes keys and opens a database; a busy machine needs a while for that.
const START_LIMIT: Duration = Duration::from_secs(30);
/// The server promises five seconds; the rest is for a busy machine.
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// Whether callers hear our notice first, or a decision waives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Profile {
    Announce,
    Transparent,
}

/// A running server in a folder of its own; dropping it kills the process.
pub struct Denwaban {
    bin: PathBuf,
    folder: TempDir,
    child: Child,
}

/// One line of `recordings list --json`.
#[derive(Debug)]
pub struct Listed {
    pub state: String,
    pub duration_ms: u64,
    pub gaps_ms: u64,
}

impl Denwaban {
    /// Writes a configuration for these places, starts the server, and waits until it answers an OPTIONS.
    ///
    /// # Errors
    /// When `init` or the start is refused; what the server said is part of the message.
    pub fn start(
        bin: &Path,
        places: Places,
        rtp_ports: (u16, u16),
        profile: Profile,
    ) -> io::Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut init = Command::new(bin);
        init.args(["init", "--dir"]).arg(folder.path());
        init.args([
            "--listen",
            &places.server.to_string(),
            "--carrier",
            &places.carrier.ip().to_string(),
        ]);
        init.args(["--pbx", &places.department.to_string(), "--number", CALLED]);
        init.args([
            "--rtp",
            &format!("{}:{}-{}", places.server.ip(), rtp_ports.0, rtp_ports.1),
        ]);
        match profile {
            Profile::Announce => init.args(["--profile", "announce"]),
            Profile::Transparent => init.args([
                "--profile",
                "transparent",
                "--waiver",
                "bench: both parties are machines",
            ]),
        };
        let outcome = init.output()?;
        if !outcome.status.success() {
            return Err(io::Error::other(format!(
                "denwaban init: {}",
                String::from_utf8_lossy(&outcome.stderr)
            )));
        }
        let mut run = Command::new(bin);
        run.arg("run")
            .arg("--config")
            .arg(folder.path().join("denwaban.toml"));
        let child = run.stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        let mut denwaban = Self {
            bin: bin.to_owned(),
            folder,
            child,
        };
        denwaban.wait_until_it_answers(places.server, places.carrier.ip())?;
        denwaban.drain_log();
        Ok(denwaban)
    }

    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends the server and lists its recordings.
    ///
    /// # Errors
    /// When it does not end in time, ends badly, or cannot list.
    pub fn stop(mut self) -> io::Result<Vec<Listed>> {
        let pid = i32::try_from(self.child.id())
            .ok()
            .and_then(Pid::from_raw)
            .ok_or_else(|| io::Error::other("the server has no pid"))?;
        kill_process(pid, Signal::TERM)?;
        let deadline = Instant::now() + STOP_LIMIT;
        let status = loop {
            match self.child.try_wait()? {
                Some(status) => break status,
                None if Instant::now() > deadline => {
                    return Err(io::Error::other(
                        "the server did not end within 30 s of SIGTERM",
                    ));
                }
                None => std::thread::sleep(Duration::from_millis(10)),
            }
        };
        if !status.success() {
            return Err(io::Error::other(format!(
                "the server ended with {status}, expected exit status 0"
            )));
        }
        self.recordings()
    }

    /// The recordings as the server's own command line lists them.
    ///
    /// # Errors
    /// When the command fails or a line is not what the command promises.
    pub fn recordings(&self) -> io::Result<Vec<Listed>> {
        let mut list = Command::new(&self.bin);
        list.args(["recordings", "list", "--json", "--config"])
            .arg(self.folder.path().join("denwaban.toml"));
        let outcome = list.output()?;
        if !outcome.status.success() {
            return Err(io::Error::other(format!(
                "recordings list: {}",
                String::from_utf8_lossy(&outcome.stderr)
            )));
        }
        let text = String::from_utf8(outcome.stdout).map_err(io::Error::other)?;
        text.lines().map(listed).collect()
    }

    /// Any answer will do: it shows that the socket is open and the peers are known.
    fn wait_until_it_answers(&mut self, server: SocketAddr, carrier: IpAddr) -> io::Result<()> {
        let socket = UdpSocket::bind(SocketAddr::new(carrier, 0))?;
        socket.connect(server)?;
        socket.set_read_timeout(Some(Duration::from_millis(100)))?;
        let local = socket.local_addr()?;
        let deadline = Instant::now() + START_LIMIT;
        let mut attempt = 0;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait()? {
                let mut said = String::new();
                if let Some(mut stderr) = self.child.stderr.take() {
                    stderr.read_to_string(&mut said)?;
                }
                return Err(io::Error::other(format!(
                    "the server ended with {status} at its start: {said}"
                )));
            }
            attempt += 1;
            let options = format!(
                "OPTIONS sip:{server} SIP/2.0\r\nVia: SIP/2.0/UDP {local};branch=z9hG4bKstart{attempt};rport\r\nMax-Forwards: 70\r\n\
                 From: <sip:start@{local}>;tag=s\r\nTo: <sip:{server}>\r\nCall-ID: start{attempt}@{carrier}\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
            );
            // Refused while nobody listens yet.
            let _ = socket.send(options.as_bytes());
            match socket.recv(&mut [0; 4096]) {
                Ok(_) => return Ok(()),
                // The refusal comes at once; do not spin.
                Err(refusal) if refusal.kind() == io::ErrorKind::ConnectionRefused => {
                    std::thread::sleep(Duration::from_millis(20));
                }
                Err(_) => {}
            }
        }
        Err(io::Error::other(
            "the server did not answer an OPTIONS within 30 s",
        ))
    }

    /// A log that nobody reads would fill its pipe and stop the server.
    fn drain_log(&mut self) {
        if let Some(mut stderr) = self.child.stderr.take() {
            std::thread::spawn(move || io::copy(&mut stderr, &mut io::sink()));
        }
    }
}

impl Drop for Denwaban {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn listed(line: &str) -> io::Result<Listed> {
    let value: serde_json::Value = serde_json::from_str(line)?;
    let number = |name: &str| value[name].as_u64().unwrap_or(0);
    let state = value["state"]
        .as_str()
        .ok_or_else(|| io::Error::other("a line of recordings list has no state"))?;
    Ok(Listed {
        state: state.to_owned(),
        duration_ms: number("duration_ms"),
        gaps_ms: number("gaps_ms"),
    })
}
