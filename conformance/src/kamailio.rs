//! Kamailio as a carrier that takes a line by its SHA-256 digest (RFC 8760), which SIPp cannot verify.
//!
//! `kamailio/registrar.cfg` says what it does; what it has proved it writes into its log.

use std::{
    fs::{self, File},
    io,
    net::SocketAddr,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::{
    server::PATIENCE,
    socket::{Transport, wait_until_bound},
    vectors::folder,
};

/// A running Kamailio; dropping it ends its processes.
pub struct Kamailio {
    child: Child,
    folder: TempDir,
}

/// Whom it serves.
pub struct Line<'text> {
    /// Where the line's calls and registrations come from.
    pub at: SocketAddr,
    pub password: &'text str,
    /// Whoever is called by the line.
    pub callee: SocketAddr,
}

impl Kamailio {
    /// Starts it at an address over UDP and TCP, and waits until it listens.
    ///
    /// # Errors
    /// When it cannot be started, or its address is taken.
    pub fn start(local: SocketAddr, line: &Line<'_>, transport: Transport) -> io::Result<Self> {
        let place = tempfile::tempdir()?;
        let log = File::create(place.path().join("log"))?;
        let mut command = Command::new("kamailio");
        command
            .arg("-f")
            .arg(folder().join("kamailio").join("registrar.cfg"));
        command.args(["-DD", "-E", "-m", "16", "-M", "4", "-Y"]);
        command.arg(place.path());
        let callee = format!("sip:{};transport={transport}", line.callee);
        for (word, text) in [
            ("LINE", line.at.ip().to_string()),
            ("PASSWORD", line.password.to_owned()),
            ("CALLEE", callee),
        ] {
            command.args(["-A", &format!("{word}=\"{text}\"")]);
        }
        for transport in [Transport::Udp, Transport::Tcp] {
            command.args(["-l", &format!("{transport}:{local}")]);
        }
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        let child = command.spawn().map_err(|fault| {
            io::Error::other(format!("kamailio: {fault}; install Debian's kamailio"))
        })?;
        let mut kamailio = Self {
            child,
            folder: place,
        };
        for transport in [Transport::Udp, Transport::Tcp] {
            let bound = wait_until_bound(&mut kamailio.child, local, transport);
            bound.map_err(|fault| {
                io::Error::other(format!("kamailio: {fault}\n{}", kamailio.log()))
            })?;
        }
        Ok(kamailio)
    }

    /// Waits until its log says something.
    ///
    /// # Errors
    /// When it has not within [`PATIENCE`]; the message holds its log.
    pub fn wait_for(&self, line: &str) -> io::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while !self.log().contains(line) {
            if Instant::now() > deadline {
                let log = self.log();
                return Err(io::Error::other(format!("never `{line}` in:\n{log}")));
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// What it has logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Kamailio {
    /// Its first process ends the others when it is asked to end, and cannot when it is killed.
    fn drop(&mut self) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        // Both fail only when it has ended already.
        let _ = pid.map(|pid| kill_process(pid, Signal::TERM));
        let _ = self.child.wait();
    }
}
