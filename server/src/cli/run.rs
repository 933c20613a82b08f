//! `denwaban run`: both duties in one process or each in its own, until SIGTERM or Ctrl-C.
//!
//! What carries calls begins in `carrying`; what the office does, in `office`.

mod carrying;

use std::{
    io::IsTerminal,
    process,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use clap::{Args, ValueEnum};
use rules::{AuditDraft, AuditEvent};
use storage::{Duty, Layout, Lock, LockFault, OsDisk, Vault};
use tokio::runtime;

use self::carrying::{Carrying, SignallingEnded};
use super::{Exit, Place, Terminal};
use crate::{
    config::Config,
    duty, export,
    log::Log,
    office::Office,
    sharing::{Sharing, share},
    shutdown::{self, EndSignals},
    telemetry,
};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    place: Place,
    /// この係だけを担当します（省略時は両方）/ do this duty alone, the other in a process of its own; both unless given
    #[arg(long, value_name = "DUTY")]
    roles: Option<Role>,
}

/// A duty as it is typed.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Role {
    Calls,
    Office,
}

impl Arguments {
    fn duties(&self) -> &'static [Duty] {
        match self.roles {
            None => &[Duty::Calls, Duty::Office],
            Some(Role::Calls) => &[Duty::Calls],
            Some(Role::Office) => &[Duty::Office],
        }
    }
}

pub(super) fn run(arguments: &Arguments, out: &mut Terminal) -> Result<(), Exit> {
    let config = Arc::new(arguments.place.load(out)?);
    let log = telemetry::begin().map_err(|_| Exit::Failed)?;
    let ended = serve(&config, arguments.duties(), &log, out);
    log.flush();
    ended
}

fn serve(config: &Arc<Config>, duties: &[Duty], log: &Log, out: &mut Terminal) -> Result<(), Exit> {
    let layout = config.layout();
    for duty in duties {
        let made = layout.make_folders_of(*duty, &OsDisk);
        let shared = made.and_then(|()| match &config.folders.group {
            None => Ok(()),
            Some(group) => share(&layout, *duty, group),
        });
        if let Err(fault) = shared {
            tracing::error!(%fault, duty = duty.name(), "the data folder cannot be used; calls go on, nothing is kept");
        }
    }
    let locks: Vec<_> = duties
        .iter()
        .map(|duty| take_duty(&layout, *duty, out))
        .collect::<Result<_, _>>()?;
    let running = Running::begin(config, &layout, duties, &locks).map_err(|fault| {
        out.complain(&format!(
            "通話を取り次げません。\ncalls cannot be carried: {fault}"
        ));
        Exit::Failed
    })?;
    if out.line(&running.greeting(config)).is_err() {
        // Nobody reads our output; calls do not depend on it.
        tracing::warn!("standard output is closed");
    }
    let ended = running.until_the_end(log);
    drop(locks);
    ended
}

/// How long a start waits for a command that does a duty in our absence.
const COMMAND: Duration = Duration::from_secs(10);

/// Takes a duty; a folder in which no lock can be made carries calls all the same (law 1).
///
/// Another `run` has both duties. A command has the office's alone, and not for long: it is waited for, after the calls' is ours.
fn take_duty(layout: &Layout, duty: Duty, out: &mut Terminal) -> Result<Option<Lock>, Exit> {
    let until = match duty {
        Duty::Calls => Instant::now(),
        Duty::Office => Instant::now() + COMMAND,
    };
    let mut acquired = Lock::acquire(layout, duty);
    while matches!(acquired, Err(LockFault::Held { .. })) && Instant::now() < until {
        thread::sleep(Duration::from_millis(20));
        acquired = Lock::acquire(layout, duty);
    }
    match acquired {
        Ok(lock) => Ok(Some(lock)),
        Err(fault @ LockFault::Held { .. }) => {
            out.complain(&format!(
                "このフォルダでは既に denwaban が動いています。\n{fault}"
            ));
            Err(Exit::Failed)
        }
        Err(fault @ LockFault::Disk { .. }) => {
            tracing::error!(%fault, "the duty's lock cannot be made; calls go on");
            Ok(None)
        }
    }
}

/// Everything that runs.
struct Running {
    main: runtime::Runtime,
    signals: EndSignals,
    work: Work,
}

/// What this process does.
enum Work {
    Both(Carrying, Office),
    Calls(Carrying),
    Office(Office),
}

impl Running {
    fn begin(
        config: &Arc<Config>,
        layout: &Layout,
        duties: &[Duty],
        locks: &[Option<Lock>],
    ) -> std::io::Result<Running> {
        let main = runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let signals = main.block_on(async { EndSignals::listen() })?;
        let vault = Arc::new(Vault::new(Arc::new(OsDisk), layout, config.retention));
        let does = |duty| duties.contains(&duty);
        let lock = |duty| locks.iter().flatten().find(|lock| lock.duty() == duty);
        let begin_office = || {
            let office = Office::begin(config, &vault)?;
            serve_office(config, layout, lock(Duty::Office), &office);
            Ok::<Office, std::io::Error>(office)
        };
        let work = match (does(Duty::Calls), does(Duty::Office)) {
            (true, false) => {
                let carrying = carrying::Beginning::new(config, layout, &vault)?;
                Work::Calls(carrying.begin(lock(Duty::Calls), None)?)
            }
            (true, true) => {
                let carrying = carrying::Beginning::new(config, layout, &vault)?;
                // The office before the first call: it makes today's key.
                let office = begin_office()?;
                Work::Both(carrying.begin(lock(Duty::Calls), Some(&office))?, office)
            }
            (false, _) => {
                let office = begin_office()?;
                let sha256 = config.sha256;
                let event = AuditEvent::ConfigurationLoaded { sha256 };
                // The log tells of a trail that cannot be written.
                office.desk().audit(AuditDraft::system(event));
                Work::Office(office)
            }
        };
        Ok(Running {
            main,
            signals,
            work,
        })
    }

    fn greeting(&self, config: &Config) -> String {
        let end = match std::io::stdin().is_terminal() {
            true => "Ctrl-C",
            false => "SIGTERM",
        };
        match &self.work {
            Work::Both(..) | Work::Calls(_) => format!(
                "通話を取り次いでいます / carrying calls at {}, {} numbers; 終了 / end: {end}",
                config.sip,
                config.numbers.len(),
            ),
            Work::Office(_) => format!(
                "事務を担当しています / doing the office's duty in {}; 終了 / end: {end}",
                config.folders.data.display()
            ),
        }
    }

    /// Waits for the signal; then calls end with BYE, recordings are sealed, rows and entries are written, in this order. Calls to and
    /// from 110, 118 and 119 go on until their parties end them, or the signal comes again (S-17).
    ///
    /// # Errors
    /// [`Exit::Failed`] where the signalling thread or the office's has ended unasked, so that a service manager starts us again.
    fn until_the_end(mut self, log: &Log) -> Result<(), Exit> {
        self.wait();
        tracing::info!("ending: calls are hung up, recordings are sealed");
        let asked = self.end_calls();
        if let Err(fault) = begin_watchdog(log.clone()) {
            tracing::warn!(%fault, "nothing will force the end");
        }
        let is_sound = asked.is_ok();
        let (carrying, office) = match self.work {
            Work::Both(carrying, office) => (Some(carrying), Some(office)),
            Work::Calls(carrying) => (Some(carrying), None),
            Work::Office(office) => (None, Some(office)),
        };
        let carried = carrying.map_or(Ok(()), Carrying::end);
        // Last, so that the heads it signs hold the calls' last entry.
        if let Some(office) = office {
            office.stop();
        }
        tracing::info!("ended");
        match (is_sound, carried) {
            (true, Ok(())) => Ok(()),
            (false, _) | (_, Err(SignallingEnded)) => Err(Exit::Failed),
        }
    }

    /// Tells calls to end, and waits for those that may go on.
    fn end_calls(&mut self) -> Result<(), SignallingEnded> {
        let urgent = match self.carrying() {
            Some(carrying) => self.main.block_on(carrying.ask_to_end())?,
            None => 0,
        };
        if urgent > 0 {
            tracing::warn!(
                calls = urgent,
                "calls to or from 110, 118, 119 go on; the end waits for them, or for the signal to come again"
            );
            self.wait();
            if let Some(carrying) = self.carrying() {
                // The thread has ended with the last of them, or is told again.
                let _ = self.main.block_on(carrying.ask_to_end());
            }
        }
        Ok(())
    }

    fn carrying(&self) -> Option<&Carrying> {
        match &self.work {
            Work::Both(carrying, _) | Work::Calls(carrying) => Some(carrying),
            Work::Office(_) => None,
        }
    }

    /// Waits for the signal, or for a thread to end by which the process lives.
    fn wait(&mut self) {
        let Running {
            main,
            signals,
            work,
        } = self;
        main.block_on(async {
            let mut look = tokio::time::interval(Duration::from_secs(1));
            loop {
                tokio::select! {
                    () = signals.arrived() => break,
                    _ = look.tick() => if work.has_ended() { break },
                }
            }
        });
    }
}

impl Work {
    /// Whether the thread has ended by which the process lives. Where calls are carried the office's is not it (law 1).
    fn has_ended(&self) -> bool {
        match self {
            Work::Both(carrying, _) | Work::Calls(carrying) => carrying.has_ended(),
            Work::Office(office) => office.has_ended(),
        }
    }
}

/// Whatever hangs, a disk for example, must not keep the process beyond its time; what is not sealed is recovered at the next start.
fn begin_watchdog(log: Log) -> std::io::Result<()> {
    const MARGIN: Duration = Duration::from_millis(600);
    thread::Builder::new()
        .name("watchdog".to_owned())
        .spawn(move || {
            thread::sleep(shutdown::PATIENCE.saturating_sub(MARGIN));
            tracing::error!("the end took too long; the next start recovers what is open");
            log.flush();
            process::exit(i32::from(Exit::Failed as u8));
        })?;
    Ok(())
}

/// Opens the office's socket. One that cannot be opened costs commands, not calls.
fn serve_office(config: &Config, layout: &Layout, lock: Option<&Lock>, office: &Office) {
    let Some(lock) = lock else { return };
    let sharing = Sharing::of(config.folders.group.as_ref());
    let desk = office.desk();
    let opened = duty::listen(lock, layout, &config.office, sharing)
        .map_err(|fault| fault.to_string())
        .and_then(|listener| {
            let served = duty::serve(Duty::Office, listener, move |request, client| {
                export::attend(&desk, request, client);
            });
            served.map_err(|fault| fault.to_string())
        });
    if let Err(fault) = opened {
        tracing::error!(fault, "the office's socket cannot be opened");
    }
}
