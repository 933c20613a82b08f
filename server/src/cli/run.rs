//! `denwaban run`: both duties in one process or each in its own, until SIGTERM or Ctrl-C.
//!
//! What carries calls begins in `carrying`; what the office does, in `officing`.

mod carrying;
mod officing;

use std::{
    io::{self, IsTerminal},
    process,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use clap::{Args, ValueEnum};
use rules::{AuditDraft, AuditEvent};
use serde::Serialize;
use storage::{Duty, Layout, Lock, LockFault, OsDisk, Vault};
use tokio::runtime;

use self::{
    carrying::{Carrying, SignallingEnded},
    officing::{OfficePart, Officing},
};
use super::{Exit, Place, Terminal};
use crate::{
    config::Config,
    log::Log,
    neighbour::Neighbour,
    sharing::share,
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

/// The object of `run --json`, once calls are carried or the office's duty is done.
#[derive(Serialize)]
struct Served {
    duties: Vec<&'static str>,
    listen: String,
    numbers: usize,
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
    // The office's of a process that carries calls is taken when it is free: no call waits for it (law 1).
    let first = match duties.contains(&Duty::Calls) {
        true => Duty::Calls,
        false => Duty::Office,
    };
    let held = take_duty(&layout, first, out)?;
    let running = Running::begin(config, &layout, duties, held).map_err(|fault| {
        out.complain(&format!(
            "通話を取り次げません。\ncalls cannot be carried: {fault}"
        ));
        Exit::Failed
    })?;
    let served = Served {
        duties: duties.iter().map(|duty| duty.name()).collect(),
        listen: config.sip.to_string(),
        numbers: config.numbers.len(),
    };
    let greeted = out.result(&served, || running.greeting(config));
    if greeted.is_err() {
        // Nobody reads our output; calls do not depend on it.
        tracing::warn!("standard output is closed");
    }
    running.until_the_end(log)
}

/// How long an office of its own waits for a command that does its duty in our absence.
const COMMAND: Duration = Duration::from_secs(10);

/// Takes a duty; a folder in which no lock can be made carries calls all the same (law 1).
///
/// Whoever else has the calls' is another `run`. A command has the office's alone, and not for long: it is waited for.
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
    Both(Carrying, Box<OfficePart>),
    Calls(Carrying),
    Office(Officing),
}

impl Running {
    /// `held`: the lock of the calls' duty where calls are carried, else of the office's.
    fn begin(
        config: &Arc<Config>,
        layout: &Layout,
        duties: &[Duty],
        held: Option<Lock>,
    ) -> io::Result<Running> {
        let main = runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let signals = main.block_on(async { EndSignals::listen() })?;
        let vault = Arc::new(Vault::new(Arc::new(OsDisk), layout, config.retention));
        let does = |duty| duties.contains(&duty);
        let work = match (does(Duty::Calls), does(Duty::Office)) {
            (true, false) => {
                let carrying = carrying::Beginning::new(config, layout, &vault)?;
                let neighbour = Neighbour::away(layout);
                Work::Calls(carrying.begin(held, &neighbour)?)
            }
            (true, true) => {
                let carrying = carrying::Beginning::new(config, layout, &vault)?;
                let neighbour = Neighbour::away(layout);
                // Where its lock is free, before the first call: it makes today's key.
                let mut office =
                    OfficePart::new(config, &vault, neighbour.clone(), carrying.desk());
                office.look();
                office.wait_for_keys();
                Work::Both(carrying.begin(held, &neighbour)?, Box::new(office))
            }
            (false, _) => {
                let office = Officing::begin(config, &vault, Arc::default(), held)?;
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
        let end = match io::stdin().is_terminal() {
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
            Work::Both(carrying, office) => (Some(carrying), office.begun()),
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
        let mut arrives = || {
            main.block_on(async { tokio::time::timeout(LOOK, signals.arrived()).await })
                .is_ok()
        };
        while !arrives() && !work.has_ended() {
            work.look();
        }
    }
}

/// How often a process looks whether it still does what it shall.
const LOOK: Duration = Duration::from_secs(1);

impl Work {
    /// Whether the thread has ended by which the process lives. Where calls are carried the office's is not it (law 1).
    fn has_ended(&self) -> bool {
        match self {
            Work::Both(carrying, _) | Work::Calls(carrying) => carrying.has_ended(),
            Work::Office(office) => office.has_ended(),
        }
    }

    /// Begins what could not begin yet.
    fn look(&mut self) {
        match self {
            Work::Both(_, office) => office.look(),
            Work::Calls(_) | Work::Office(_) => {}
        }
    }
}

/// Whatever hangs, a disk for example, must not keep the process beyond its time; what is not sealed is recovered at the next start.
fn begin_watchdog(log: Log) -> io::Result<()> {
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
