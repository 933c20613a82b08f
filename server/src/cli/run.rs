//! `denwaban run`: both duties in one process, until SIGTERM or Ctrl-C.

use std::{
    io::IsTerminal,
    process,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use rules::{AlarmCode, AuditDraft, AuditEvent};
use storage::{Disk, Duty, Layout, Lock, LockFault, OsDisk, Sealer, Spool, Vault};
use tokio::{
    runtime,
    sync::{mpsc, oneshot},
};

use super::{Exit, Place, Terminal};
use crate::{
    calls::{self, Desk},
    clock::Clock,
    config::Config,
    descriptors, duty,
    emergency::{Counter, Signalled},
    export, life,
    log::Log,
    look,
    office::Office,
    prompts,
    recorder::{self, Recorder},
    rows::{self, Row, Rows},
    shutdown::{self, EndSignals},
    signalling::{self, Order, Signalling},
    telemetry::{self, Counters},
    wire::Wire,
};

pub(super) fn run(place: &Place, out: &mut Terminal) -> Result<(), Exit> {
    let config = Arc::new(place.load(out)?);
    let log = telemetry::begin().map_err(|_| Exit::Failed)?;
    let ended = carry(&config, &log, out);
    log.flush();
    ended
}

fn carry(config: &Arc<Config>, log: &Log, out: &mut Terminal) -> Result<(), Exit> {
    if let Err(fault) = descriptors::raise() {
        tracing::warn!(%fault, "the limit of open files was not raised");
    }
    if let Some(short) = descriptors::shortage(&config.rtp) {
        tracing::warn!("{short}");
    }
    let layout = config.layout();
    if let Err(fault) = layout.make_folders(&OsDisk) {
        tracing::error!(%fault, "the data folder cannot be used; calls go on, nothing is kept");
    }
    let locks = [
        take_duty(&layout, Duty::Calls, out)?,
        take_duty(&layout, Duty::Office, out)?,
    ];
    let running = Running::begin(config, &layout, &locks).map_err(|fault| {
        out.complain(&format!(
            "通話を取り次げません。\ncalls cannot be carried: {fault}"
        ));
        Exit::Failed
    })?;
    let said = out.line(&format!(
        "通話を取り次いでいます / carrying calls at {}, {} numbers; 終了 / end: {}",
        config.sip,
        config.numbers.len(),
        if std::io::stdin().is_terminal() {
            "Ctrl-C"
        } else {
            "SIGTERM"
        }
    ));
    if said.is_err() {
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
    orders: mpsc::Sender<Order>,
    signalling: thread::JoinHandle<u64>,
    recorder: recorder::RecorderThreads,
    rows: rows::RowsThread,
    office: Office,
    desk: Desk,
    desk_thread: thread::JoinHandle<()>,
}

impl Running {
    fn begin(
        config: &Arc<Config>,
        layout: &Layout,
        locks: &[Option<Lock>],
    ) -> std::io::Result<Running> {
        let main = runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let signals = main.block_on(async { EndSignals::listen() })?;
        let sip = runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let counters = Arc::new(Counters::default());
        let wire = {
            let _inside = sip.enter();
            Wire::bind(config.wire(), Arc::clone(&counters))?
        };
        let disk: Arc<dyn Disk> = Arc::new(OsDisk);
        let vault = Arc::new(Vault::new(Arc::clone(&disk), layout, config.retention));
        let sealer = Arc::new(Sealer::new(Arc::clone(&disk), layout));
        let mut spool = Spool::new(Arc::clone(&disk), layout);
        rows::recover(layout, &disk, &vault, &mut spool);
        let last_stop = life::last_stop(layout);
        let (desk, desk_thread) = Desk::begin(layout)?;
        for draft in life::started(last_stop, config.sha256) {
            desk.audit(draft);
        }
        // The office before the first call: it makes today's key.
        let office = Office::begin(config, &vault)?;
        let (rows, rows_thread) = Rows::begin(rows::Beginning {
            spool,
            sealer: Arc::clone(&sealer),
            vault: Arc::clone(&vault),
            retention: config.retention,
            desk: desk.clone(),
            nudge: office.nudge(),
        })?;
        let (orders, inbox) = mpsc::channel(signalling::ORDERS);
        let beginning = recorder::Beginning {
            vault,
            sealer: Arc::clone(&sealer),
            rows: rows.clone(),
            desk: desk.clone(),
            events: orders.clone(),
        };
        let (recorder, recorder_threads) = Recorder::begin(beginning)?;
        let (signalling, is_ready) =
            begin_signalling(config, layout, sip, wire, inbox, recorder, desk.clone())?;
        let counter = Counter {
            config: Arc::clone(config),
            sealer,
            desk: desk.clone(),
            office: Some(office.desk()),
        };
        open_sockets(config, layout, locks, counter, &orders, &rows, &office);
        if is_ready.recv_timeout(signalling::FIRST_PORTS).is_err() {
            tracing::error!(
                ports = descriptors::text_of(&config.rtp),
                "no media port could be opened yet; calls get 503 until one is free"
            );
        }
        Ok(Running {
            main,
            signals,
            orders,
            signalling,
            recorder: recorder_threads,
            rows: rows_thread,
            office,
            desk,
            desk_thread,
        })
    }

    /// Waits for the signal; then calls end with BYE, recordings are sealed, rows and entries are written, in this order. Calls to and
    /// from 110, 118 and 119 go on until their parties end them, or the signal comes again (S-17).
    ///
    /// # Errors
    /// [`Exit::Failed`] where the signalling thread has ended unasked, so that a service manager starts us again.
    fn until_the_end(mut self, log: &Log) -> Result<(), Exit> {
        self.wait();
        tracing::info!("ending: calls are hung up, recordings are sealed");
        let asked = match self.ask_to_end() {
            Ok(0) => Ok(()),
            Ok(urgent) => {
                tracing::warn!(
                    calls = urgent,
                    "calls to or from 110, 118, 119 go on; the end waits for them, or for the signal to come again"
                );
                self.wait();
                // The thread has ended with the last of them, or is told again.
                let _ = self.ask_to_end();
                Ok(())
            }
            Err(ended) => Err(ended),
        };
        if let Err(fault) = begin_watchdog(log.clone()) {
            tracing::warn!(%fault, "nothing will force the end");
        }
        let ended = self.signalling.join();
        let calls_ended = ended.as_ref().copied().unwrap_or_default();
        self.recorder.stop();
        self.rows.stop();
        self.desk
            .audit(AuditDraft::system(AuditEvent::ServerStopped {
                calls_ended,
            }));
        self.desk.stop();
        let _ = self.desk_thread.join();
        // Last, so that the heads it signs hold the calls' last entry.
        self.office.stop();
        tracing::info!("ended");
        match (asked, ended) {
            (Ok(()), Ok(_)) => Ok(()),
            (Err(SignallingEnded), _) | (_, Err(_)) => Err(Exit::Failed),
        }
    }

    /// Waits for the signal, or for the signalling thread to end.
    fn wait(&mut self) {
        let has_ended = || self.signalling.is_finished();
        self.main.block_on(async {
            let mut look = tokio::time::interval(Duration::from_secs(1));
            loop {
                tokio::select! {
                    () = self.signals.arrived() => break,
                    _ = look.tick() => if has_ended() { break },
                }
            }
        });
    }

    /// Tells the signalling thread to end all calls.
    ///
    /// # Returns
    /// How many calls to and from 110, 118 and 119 it waits for; none where it does not say.
    ///
    /// # Errors
    /// The thread has ended by itself; there is nobody to tell.
    fn ask_to_end(&self) -> Result<usize, SignallingEnded> {
        let (answer, remaining) = oneshot::channel();
        let told = async {
            // Orders that stand before this one are few.
            let order = Order::Shutdown { answer };
            let sent = self.orders.send(order).await;
            sent.map_err(|_| SignallingEnded)?;
            Ok(remaining.await.unwrap_or_default())
        };
        let asked = async { tokio::time::timeout(shutdown::ANSWER, told).await };
        self.main.block_on(asked).unwrap_or(Ok(0))
    }
}

/// The signalling thread had ended by itself.
#[derive(Debug)]
struct SignallingEnded;

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

fn begin_signalling(
    config: &Config,
    layout: &Layout,
    sip: runtime::Runtime,
    wire: Wire,
    orders: mpsc::Receiver<Order>,
    recorder: Recorder,
    desk: Desk,
) -> std::io::Result<(thread::JoinHandle<u64>, std::sync::mpsc::Receiver<()>)> {
    let (library, faults) = prompts::open(&config.folders.prompts);
    for fault in &faults {
        tracing::error!(%fault, code = AlarmCode::PromptUnusable.code(), "a prompt cannot be used; calls that need it go on without it");
        desk.raise(AlarmCode::PromptUnusable, None);
    }
    let mut emergency = storage::load_emergency(&OsDisk, layout).unwrap_or_else(|fault| {
        tracing::error!(%fault, "the saved state of the emergency cannot be read; none is in force until it is declared again");
        desk.raise(AlarmCode::EmergencyNotSaved, None);
        rules::EmergencyState::default()
    });
    emergency.handle_restart(Clock::begin().now().wall);
    let (ready, is_ready) = std::sync::mpsc::channel();
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let beginning = signalling::Beginning {
        settings: config.settings(),
        emergency,
        library,
        wire,
        ports: config.rtp.clone(),
        most_pairs: descriptors::largest_pairs(),
        // One core is signalling's and the recorder's.
        shards: u16::try_from(cores.saturating_sub(1).max(1)).unwrap_or(1),
        orders,
        recorder,
        desk,
        counters: Arc::new(Counters::default()),
        ready,
    };
    let signalling = Signalling::begin(beginning)?;
    let thread = thread::Builder::new()
        .name("signalling".to_owned())
        .spawn(move || sip.block_on(signalling.run()))?;
    Ok((thread, is_ready))
}

/// Opens both duties' sockets. One that cannot be opened costs commands, not calls.
fn open_sockets(
    config: &Arc<Config>,
    layout: &Layout,
    locks: &[Option<Lock>],
    counter: Counter,
    orders: &mpsc::Sender<Order>,
    rows: &Rows,
    office: &Office,
) {
    let counter = Arc::new(counter);
    for lock in locks.iter().flatten() {
        let access = match lock.duty() {
            Duty::Calls => &config.calls,
            Duty::Office => &config.office,
        };
        let opened = duty::listen(lock, layout, access)
            .map_err(|fault| fault.to_string())
            .and_then(|listener| {
                let served = match lock.duty() {
                    Duty::Calls => {
                        let (counter, orders, rows) =
                            (Arc::clone(&counter), orders.clone(), rows.clone());
                        duty::serve(Duty::Calls, listener, move |request, mut client| {
                            let request = match request {
                                calls::Request::Emergency(request) => request,
                                calls::Request::Look(request) => {
                                    return look::attend(&orders, request, &mut client);
                                }
                            };
                            let mut officer = Signalled {
                                orders: orders.clone(),
                            };
                            let keep = |entry| rows.put(Row::Entry(Box::new(entry)));
                            let answer =
                                counter.carry_out(&mut officer, keep, request, &client.unix_user);
                            // Whoever asked may be gone; what was ordered holds.
                            let _ = client.answer(&answer);
                        })
                    }
                    Duty::Office => {
                        let desk = office.desk();
                        duty::serve(Duty::Office, listener, move |request, client| {
                            export::attend(&desk, request, client);
                        })
                    }
                };
                served.map_err(|fault| fault.to_string())
            });
        if let Err(fault) = opened {
            tracing::error!(
                fault,
                duty = lock.duty().name(),
                "a socket for commands cannot be opened; calls go on"
            );
        }
    }
}
