//! SIPp as a party: one scenario of `sipp/`, one call, with speech that only this party says.

use std::{
    fmt,
    fs::{self, File},
    io,
    net::SocketAddr,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::{server::PATIENCE, vectors::folder};

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

/// How its SIP goes: one connection, where there are any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    Udp,
    Tcp,
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Transport::Udp => "udp",
            Transport::Tcp => "tcp",
        })
    }
}

impl Sipp {
    /// Starts a party. One that is called listens when this returns.
    ///
    /// # Errors
    /// When SIPp cannot be started, or its address is taken.
    pub fn start(part: &Part<'_>) -> io::Result<Self> {
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
            sipp.wait_until_bound(part.local, part.transport)?;
        }
        Ok(sipp)
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
        let read = |name| fs::read_to_string(self.folder.path().join(name)).unwrap_or_default();
        format!(
            "errors:\n{}\nmessages:\n{}",
            read("errors"),
            read("messages")
        )
    }

    /// A socket shows in /proc as soon as it is bound.
    fn wait_until_bound(&mut self, local: SocketAddr, transport: Transport) -> io::Result<()> {
        let SocketAddr::V4(local) = local else {
            return Err(io::Error::other("the parties of these tests are IPv4"));
        };
        let row = format!(
            "{:08X}:{:04X}",
            u32::from_ne_bytes(local.ip().octets()),
            local.port()
        );
        let deadline = Instant::now() + PATIENCE;
        while !fs::read_to_string(format!("/proc/net/{transport}"))?.contains(&row) {
            if let Some(status) = self.child.try_wait()? {
                return Err(io::Error::other(format!(
                    "sipp {} ended with {status}\n{}",
                    self.scenario,
                    self.said()
                )));
            }
            if Instant::now() > deadline {
                return Err(io::Error::other(format!(
                    "sipp {} does not listen at {local}",
                    self.scenario
                )));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }
}

impl Drop for Sipp {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
