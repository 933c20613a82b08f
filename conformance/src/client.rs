//! Telephones that others wrote, baresip and PJSIP, each driven by a script of `clients/` through one line a command.
//!
//! Nothing waits for a time: a party is told something, and what then must happen is waited for by its event.

use std::{
    env,
    ffi::OsString,
    fmt,
    fs::{self, File},
    io::{self, BufRead, BufReader, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
    sync::mpsc::{self, Receiver},
    thread,
    time::{Duration, Instant},
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SanType};
use serde::Deserialize;
use tempfile::TempDir;

use crate::{
    server::{Network, PATIENCE},
    vectors::folder,
};

/// Who wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Make {
    Baresip,
    Pjsua,
}

/// How its SIP goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    Udp,
    Tcp,
    /// And its media goes as SRTP, never as RTP.
    Tls,
}

/// What a party's event says.
#[derive(Debug, Deserialize)]
struct Event {
    event: String,
    detail: String,
}

/// A running telephone; dropping it ends its processes.
pub struct Client {
    make: Make,
    child: Child,
    folder: TempDir,
    events: Receiver<Event>,
    /// What has happened so far, for the message of a test that failed.
    seen: Vec<String>,
    /// What it hears: a tone in Hz, 0 for silence, -1 for something else.
    hears: String,
}

impl Client {
    /// Starts the telephone of `user` and waits until it listens. It says a tone of `tone_hz` in every call.
    ///
    /// # Errors
    /// When it cannot be started; the message says what is missing.
    pub fn start(
        make: Make,
        (user, at): (&str, SocketAddr),
        transport: Transport,
        tone_hz: u32,
        papers: &Papers,
    ) -> io::Result<Self> {
        let place = tempfile::tempdir()?;
        papers.copy_to(at.ip(), place.path())?;
        let script = folder().join("clients").join(format!("{make}.py"));
        let mut command = Command::new("python3");
        command
            .arg(script)
            .arg(place.path())
            .arg(user)
            .args([at.ip().to_string(), at.port().to_string()])
            .args([transport.to_string(), tone_hz.to_string()])
            .env("PYTHONPATH", packages())
            .env("PYTHONDONTWRITEBYTECODE", "1");
        let complaints = File::create(place.path().join("complaints"))?;
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(complaints);
        let mut child = command.spawn().map_err(|fault| {
            io::Error::other(format!("python3: {fault}; `./test` installs what it lacks"))
        })?;
        let events = child.stdout.take().map(read_events);
        let mut client = Self {
            make,
            child,
            folder: place,
            events: events.ok_or_else(|| io::Error::other("no output"))?,
            seen: Vec::new(),
            hears: "0".to_owned(),
        };
        client.wait_for("ready")?;
        Ok(client)
    }

    #[must_use]
    pub fn make(&self) -> Make {
        self.make
    }

    /// Tells it what to do: `call URI`, `answer`, `hold`, `resume`, `transfer URI`, `replace`, `hangup`.
    ///
    /// # Errors
    /// When it has ended.
    pub fn tell(&mut self, command: &str) -> io::Result<()> {
        self.seen.push(format!("told: {command}"));
        let input = self.child.stdin.as_mut();
        let input = input.ok_or_else(|| io::Error::other("no input"))?;
        writeln!(input, "{command}")
    }

    /// Waits for an event and returns its detail.
    ///
    /// # Errors
    /// When it does not happen within [`PATIENCE`]; the message holds what happened.
    pub fn wait_for(&mut self, event: &str) -> io::Result<String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let next = self.next(deadline, event)?;
            if next.event == event {
                return Ok(next.detail);
            }
        }
    }

    /// Waits until it hears a tone, or silence where `tone_hz` is 0.
    ///
    /// # Errors
    /// When it does not within [`PATIENCE`].
    pub fn wait_to_hear(&mut self, tone_hz: u32) -> io::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let wanted = tone_hz.to_string();
        while self.hears != wanted {
            self.next(deadline, &format!("hears {wanted}"))?;
        }
        Ok(())
    }

    fn next(&mut self, deadline: Instant, awaited: &str) -> io::Result<Event> {
        let left = deadline.saturating_duration_since(Instant::now());
        let event = self.events.recv_timeout(left).map_err(|_| {
            io::Error::other(format!(
                "{}: no `{awaited}` came; it has seen {:#?}\n{}",
                self.make,
                self.seen,
                self.log()
            ))
        })?;
        self.seen.push(format!("{} {}", event.event, event.detail));
        if event.event == "hears" {
            self.hears.clone_from(&event.detail);
        }
        Ok(event)
    }

    fn log(&self) -> String {
        ["complaints", "log"]
            .map(|name| fs::read(self.folder.path().join(name)).unwrap_or_default())
            .map(|octets| String::from_utf8_lossy(&octets).into_owned())
            .join("\n")
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // The end of its input ends the script, which ends what it has started.
        drop(self.child.stdin.take());
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
        // Both fail only when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Lines that are no events are a library's greetings.
fn read_events(output: ChildStdout) -> Receiver<Event> {
    let (told, events) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            let Ok(event) = serde_json::from_str(&line) else {
                continue;
            };
            if told.send(event).is_err() {
                return;
            }
        }
    });
    events
}

/// Where `scripts/install.sh` puts Python packages (`need_python`), and what was given besides.
fn packages() -> OsString {
    let target = env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    let place = folder().join("..").join(target).join("python");
    let given = env::var_os("PYTHONPATH").unwrap_or_default();
    let paths = [place].into_iter().chain(env::split_paths(&given));
    env::join_paths(paths).expect("a folder of the build has no colon in its name")
}

/// The addresses of a test with these two telephones: baresip sends from whatever address the kernel chooses, and on the
/// loopback that is 127.0.0.1, so that its twenty ports tell one test from another.
#[must_use]
pub fn network(third: u8, carrier: Make, pbx: Make) -> Network {
    let of = |make, own: SocketAddr| match make {
        Make::Baresip => {
            let port = 10_000 + u16::from(third) * 20;
            SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
        }
        Make::Pjsua => own,
    };
    let own = Network::new(third);
    Network {
        server: own.server,
        carrier: of(carrier, own.carrier),
        department: of(pbx, own.department),
    }
}

impl fmt::Display for Make {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Make::Baresip => "baresip",
            Make::Pjsua => "pjsua",
        })
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Transport::Udp => "udp",
            Transport::Tcp => "tcp",
            Transport::Tls => "tls",
        })
    }
}

/// An authority, and certificates of it for addresses.
pub struct Papers {
    folder: TempDir,
}

impl Papers {
    /// Writes an authority, and for each address a certificate with its key.
    ///
    /// # Errors
    /// When they cannot be made or written.
    pub fn new(addresses: &[IpAddr]) -> io::Result<Self> {
        let place = tempfile::tempdir()?;
        let mut parameters = CertificateParams::default();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let name = &mut parameters.distinguished_name;
        name.push(DnType::CommonName, "an authority of this test");
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let authority = CertifiedIssuer::self_signed(parameters, key).map_err(io::Error::other)?;
        fs::write(place.path().join("ca.pem"), authority.pem())?;
        for address in addresses {
            let mut parameters = CertificateParams::default();
            parameters.subject_alt_names = vec![SanType::IpAddress(*address)];
            let key = KeyPair::generate().map_err(io::Error::other)?;
            let certificate = parameters.signed_by(&key, &authority);
            let certificate = certificate.map_err(io::Error::other)?;
            let file = |ending: &str| place.path().join(format!("{address}.{ending}"));
            fs::write(file("pem"), certificate.pem())?;
            fs::write(file("key"), key.serialize_pem())?;
        }
        Ok(Self { folder: place })
    }

    /// What `init` takes for the TLS of one of the addresses.
    #[must_use]
    pub fn arguments(&self, address: IpAddr) -> Vec<String> {
        [
            ("--tls-certificate", format!("{address}.pem")),
            ("--tls-key", format!("{address}.key")),
            ("--tls-ca", "ca.pem".to_owned()),
        ]
        .into_iter()
        .flat_map(|(option, name)| [option.to_owned(), self.file(&name)])
        .collect()
    }

    /// The configuration that wants a certificate of whoever calls, too, where it speaks TLS.
    #[must_use]
    pub fn wanted_of_clients(&self, text: &str) -> String {
        let client_ca = format!("\nclient_ca = \"{}\"\nca = ", self.file("ca.pem"));
        text.replace("\nca = ", &client_ca)
    }

    fn file(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn copy_to(&self, address: IpAddr, place: &Path) -> io::Result<()> {
        let files = [
            ("ca.pem".to_owned(), "ca.pem"),
            (format!("{address}.pem"), "certificate.pem"),
            (format!("{address}.key"), "key.pem"),
        ];
        for (from, to) in files {
            fs::copy(self.folder.path().join(from), place.join(to))?;
        }
        Ok(())
    }
}
