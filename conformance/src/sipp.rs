//! SIPp as a party: one scenario of `sipp/`, one call, with speech that only this party says.

use std::{
    fs::{self, File},
    io,
    net::SocketAddr,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;

pub use crate::socket::Transport;
use crate::{
    server::{PATIENCE, binary},
    socket::wait_until_bound,
    vectors::folder,
};

/// A running SIPp; dropping it kills the process.
pub struct Sipp {
    child: Child,
    folder: TempDir,
    scenario: &'static str,
}

/// What a party is to do.
pub struct Part<'speech> {
    /// A file of `sipp/`, without its ending.
    pub scenario: &'static str,
    pub local: SocketAddr,
    /// Whom it calls; the one who is called has nobody.
    pub remote: Option<SocketAddr>,
    /// PCMU, 20 ms in 160 bytes, said once from its beginning.
    pub speech: &'speech [u8],
    /// How long a pause of the scenario lasts.
    pub pause: Duration,
    pub transport: Transport,
    /// Words of the scenario, `[number]`, and what stands for them.
    pub words: &'speech [(&'speech str, &'speech str)],
}

impl Sipp {
    /// Starts a party. One that is called listens when this returns.
    ///
    /// # Errors
    /// When SIPp cannot be started, or its address is taken.
    pub fn start(part: &Part<'_>) -> io::Result<Self> {
        // Its patience is not spent on building the server it waits for.
        let _ = binary();
        let place = tempfile::tempdir()?;
        fs::write(place.path().join("speech.pcmu"), part.speech)?;
        let mut sipp = Command::new("sipp");
        sipp.args(part.remote.map(|remote| remote.to_string()));
        sipp.arg("-sf").arg(
            folder()
                .join("sipp")
                .join(part.scenario)
                .with_extension("xml"),
        );
        sipp.args(match part.transport {
            Transport::Udp => ["-t", "u1"],
            Transport::Tcp => ["-t", "t1"],
        });
        for (word, text) in part.words {
            sipp.args(["-key", word, text]);
        }
        let ip = part.local.ip().to_string();
        sipp.args(["-i", &ip, "-p", &part.local.port().to_string(), "-mi", &ip]);
        sipp.args([
            "-d",
            &part.pause.as_millis().to_string(),
            "-m",
            "1",
            "-nostdin",
        ]);
        sipp.args([
            "-timeout",
            &PATIENCE.as_secs().to_string(),
            "-timeout_error",
        ]);
        sipp.args([
            "-trace_err",
            "-error_file",
            "errors",
            "-trace_msg",
            "-message_file",
            "messages",
        ]);
        let screen = File::create(place.path().join("screen"))?;
        sipp.current_dir(place.path())
            .stdin(Stdio::null())
            .stdout(screen.try_clone()?)
            .stderr(screen);
        let child = sipp.spawn().map_err(|fault| {
            io::Error::other(format!("sipp: {fault}; install Debian's sip-tester"))
        })?;
        let mut sipp = Self {
            child,
            folder: place,
            scenario: part.scenario,
        };
        if part.remote.is_none() {
            let bound = wait_until_bound(&mut sipp.child, part.local, part.transport);
            bound.map_err(|fault| {
                io::Error::other(format!("sipp {}: {fault}\n{}", sipp.scenario, sipp.said()))
            })?;
        }
        Ok(sipp)
    }

    /// Waits until its call is answered and acknowledged, and returns the dialog.
    ///
    /// # Errors
    /// When it is not within [`PATIENCE`].
    pub fn dialog(&self) -> io::Result<Dialog> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(dialog) = Dialog::acknowledged(&self.messages()) {
                return Ok(dialog);
            }
            if Instant::now() > deadline {
                return Err(io::Error::other(format!(
                    "sipp {} has no call that is acknowledged\n{}",
                    self.scenario,
                    self.said()
                )));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until the scenario is over.
    ///
    /// # Errors
    /// When it did not go as written; the message holds what SIPp saw.
    pub fn finish(mut self) -> io::Result<()> {
        let status = self.child.wait()?;
        if status.success() {
            return Ok(());
        }
        Err(io::Error::other(format!(
            "sipp {} ended with {status}\n{}",
            self.scenario,
            self.said()
        )))
    }

    fn said(&self) -> String {
        let errors = fs::read_to_string(self.folder.path().join("errors")).unwrap_or_default();
        format!("errors:\n{errors}\nmessages:\n{}", self.messages())
    }

    fn messages(&self) -> String {
        fs::read_to_string(self.folder.path().join("messages")).unwrap_or_default()
    }
}

impl Drop for Sipp {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A dialog as the ACK names it.
pub struct Dialog {
    call_id: String,
    caller_tag: String,
    callee_tag: String,
}

impl Dialog {
    /// That of the first whole ACK in a trace.
    fn acknowledged(trace: &str) -> Option<Dialog> {
        let (_, ack) = trace.split_once("\nACK ")?;
        let (ack, _) = ack.split_once("Content-Length:")?;
        let value = |name| {
            ack.lines()
                .find_map(|line| line.trim_end().strip_prefix(name))
        };
        let tag = |line: &str| Some(line.split_once(";tag=")?.1.to_owned());
        Some(Dialog {
            call_id: value("Call-ID: ")?.to_owned(),
            caller_tag: tag(value("From: ")?)?,
            callee_tag: tag(value("To: ")?)?,
        })
    }

    /// The Replaces that names it to a server that was called (RFC 3891 section 3: the `to-tag` is that of whoever reads it).
    #[must_use]
    pub fn of_called_server(&self) -> String {
        let Dialog {
            call_id,
            caller_tag,
            callee_tag,
        } = self;
        format!("{call_id};to-tag={callee_tag};from-tag={caller_tag}")
    }

    /// The Replaces that names it to a server that called.
    #[must_use]
    pub fn of_calling_server(&self) -> String {
        let Dialog {
            call_id,
            caller_tag,
            callee_tag,
        } = self;
        format!("{call_id};to-tag={caller_tag};from-tag={callee_tag}")
    }
}
