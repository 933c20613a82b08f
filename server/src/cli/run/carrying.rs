//! What carries calls: signalling, media, recorder, spool and the calls' desk. It holds public keys only.

use std::{sync::Arc, thread};

use rules::{AlarmCode, AuditDraft, AuditEvent, Notices};
use storage::{Disk, Duty, Layout, Lock, OsDisk, Sealer, Spool, Vault};
use tokio::{
    runtime,
    sync::{mpsc, oneshot},
};

use crate::{
    calls::{self, Desk},
    clock::Clock,
    config::Config,
    descriptors,
    duty::{self, Answer, Client},
    emergency::{Counter, Signalled},
    life, look,
    neighbour::Neighbour,
    notices::NoticeReader,
    prompts::{self, Sounds},
    recorder::{self, Recorder},
    rows::{self, Row, Rows},
    sharing::Sharing,
    shutdown,
    signalling::{self, Order, Signalling},
    telemetry::Counters,
    wire::Wire,
};

/// What there is before the first call: the ports are bound, and what a crash left is settled.
pub(super) struct Beginning {
    config: Arc<Config>,
    layout: Layout,
    vault: Arc<Vault>,
    sip: runtime::Runtime,
    wire: Wire,
    spool: Spool,
    desk: Desk,
    desk_thread: thread::JoinHandle<()>,
}

/// Calls being carried.
pub(super) struct Carrying {
    orders: mpsc::Sender<Order>,
    signalling: thread::JoinHandle<u64>,
    recorder: recorder::RecorderThreads,
    rows: rows::RowsThread,
    desk: Desk,
    desk_thread: thread::JoinHandle<()>,
    /// Free when the calls have ended.
    _held: Option<Lock>,
}

/// The signalling thread had ended by itself.
#[derive(Debug)]
pub(super) struct SignallingEnded;

impl Beginning {
    /// Binds the ports, settles what a crash left, and begins the desk.
    ///
    /// # Errors
    /// No port, no thread or no runtime.
    pub(super) fn new(
        config: &Arc<Config>,
        layout: &Layout,
        vault: &Arc<Vault>,
    ) -> std::io::Result<Beginning> {
        if let Err(fault) = descriptors::raise() {
            tracing::warn!(%fault, "the limit of open files was not raised");
        }
        if let Some(short) = descriptors::shortage(&config.rtp) {
            tracing::warn!("{short}");
        }
        let sip = runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let wire = {
            let _inside = sip.enter();
            Wire::bind(config.wire(), Arc::new(Counters::default()))?
        };
        let disk: Arc<dyn Disk> = Arc::new(OsDisk);
        let mut spool = Spool::new(Arc::clone(&disk), layout);
        rows::recover(layout, &disk, vault, &mut spool);
        let last_stop = life::last_stop(layout);
        let (desk, desk_thread) = Desk::begin(layout)?;
        for draft in life::started(last_stop, config.sha256) {
            desk.audit(draft);
        }
        Ok(Beginning {
            config: Arc::clone(config),
            layout: layout.clone(),
            vault: Arc::clone(vault),
            sip,
            wire,
            spool,
            desk,
            desk_thread,
        })
    }

    /// The calls' desk.
    pub(super) fn desk(&self) -> Desk {
        self.desk.clone()
    }

    /// Begins to carry calls. `office`: who proves a person, and is told of new rows, wherever and whenever it is there.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(super) fn begin(self, held: Option<Lock>, office: &Neighbour) -> std::io::Result<Carrying> {
        let Beginning {
            config,
            layout,
            vault,
            sip,
            wire,
            spool,
            desk,
            desk_thread,
        } = self;
        let sealer = Arc::new(Sealer::new(Arc::new(OsDisk), &layout));
        let (rows, rows_thread) = Rows::begin(rows::Beginning {
            spool,
            sealer: Arc::clone(&sealer),
            vault: Arc::clone(&vault),
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
        let (reader, notices) = NoticeReader::new(&layout, desk.clone(), orders.clone());
        let reader = Arc::new(reader);
        let Begun {
            signalling,
            is_ready,
            prompts,
        } = begin_signalling(&config, sip, wire, inbox, recorder, desk.clone(), notices)?;
        reader.begin()?;
        let counter = Counter {
            config: Arc::clone(&config),
            sealer,
            desk: desk.clone(),
            office: office.clone(),
        };
        if let Some(lock) = &held {
            let answering = Answering {
                layout,
                counter,
                orders: orders.clone(),
                rows,
                notices: reader,
                prompts,
            };
            serve_calls(&config, lock, answering);
        }
        if is_ready.recv_timeout(signalling::FIRST_PORTS).is_err() {
            tracing::error!(
                ports = descriptors::text_of(&config.rtp),
                "no media port could be opened yet; calls get 503 until one is free"
            );
        }
        Ok(Carrying {
            orders,
            signalling,
            recorder: recorder_threads,
            rows: rows_thread,
            desk,
            desk_thread,
            _held: held,
        })
    }
}

impl Carrying {
    /// Whether the signalling thread has ended by itself.
    pub(super) fn has_ended(&self) -> bool {
        self.signalling.is_finished()
    }

    /// Tells the signalling thread to end all calls.
    ///
    /// # Returns
    /// How many calls to and from 110, 118 and 119 it waits for; none where it does not say.
    ///
    /// # Errors
    /// The thread has ended by itself; there is nobody to tell.
    pub(super) async fn ask_to_end(&self) -> Result<usize, SignallingEnded> {
        let (answer, remaining) = oneshot::channel();
        let told = async {
            // Orders that stand before this one are few.
            let order = Order::Shutdown { answer };
            let sent = self.orders.send(order).await;
            sent.map_err(|_| SignallingEnded)?;
            Ok(remaining.await.unwrap_or_default())
        };
        let asked = tokio::time::timeout(shutdown::ANSWER, told).await;
        asked.unwrap_or(Ok(0))
    }

    /// Ends in order: recordings are sealed, rows and entries are written.
    ///
    /// # Errors
    /// The signalling thread had fallen.
    pub(super) fn end(self) -> Result<(), SignallingEnded> {
        let ended = self.signalling.join();
        let calls_ended = ended.as_ref().copied().unwrap_or_default();
        self.recorder.stop();
        self.rows.stop();
        self.desk
            .audit(AuditDraft::system(AuditEvent::ServerStopped {
                calls_ended,
            }));
        self.desk.stop();
        // A desk that panicked has logged it.
        let _ = self.desk_thread.join();
        ended.map(drop).map_err(|_| SignallingEnded)
    }
}

/// The signalling thread, and what it plays.
struct Begun {
    signalling: thread::JoinHandle<u64>,
    /// Told when the first ports are open.
    is_ready: std::sync::mpsc::Receiver<()>,
    prompts: Sounds,
}

fn begin_signalling(
    config: &Config,
    sip: runtime::Runtime,
    wire: Wire,
    orders: mpsc::Receiver<Order>,
    recorder: Recorder,
    desk: Desk,
    notices: Notices,
) -> std::io::Result<Begun> {
    let (library, faults) = prompts::open(&config.folders.prompts);
    for fault in &faults {
        tracing::error!(%fault, code = AlarmCode::PromptUnusable.code(), "a prompt cannot be used; calls that need it go on without it");
        desk.raise(AlarmCode::PromptUnusable, None);
    }
    let mut emergency = storage::load_emergency(&OsDisk, &config.layout()).unwrap_or_else(|fault| {
        tracing::error!(%fault, "the saved state of the emergency cannot be read; none is in force until it is declared again");
        desk.raise(AlarmCode::EmergencyNotSaved, None);
        rules::EmergencyState::default()
    });
    emergency.handle_restart(Clock::begin().now().wall);
    let prompts = prompts::sounds(&library);
    let (ready, is_ready) = std::sync::mpsc::channel();
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let beginning = signalling::Beginning {
        settings: config.settings(),
        emergency,
        notices,
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
    Ok(Begun {
        signalling: thread,
        is_ready,
        prompts,
    })
}

/// What answers on the calls' socket.
struct Answering {
    layout: Layout,
    counter: Counter,
    orders: mpsc::Sender<Order>,
    rows: Rows,
    notices: Arc<NoticeReader>,
    prompts: Sounds,
}

impl Answering {
    /// Whoever asks may be gone when it is answered; what was ordered holds.
    fn attend(&self, request: calls::Request, mut client: Client) {
        let told = match request {
            calls::Request::Emergency(request) => {
                let mut officer = Signalled {
                    orders: self.orders.clone(),
                };
                let keep = |entry| self.rows.put(Row::Entry(Box::new(entry)));
                let user = client.unix_user.clone();
                let answer = self.counter.carry_out(&mut officer, keep, request, &user);
                client.answer(&answer)
            }
            calls::Request::Look(request) => {
                look::attend(&self.orders, request, &mut client);
                Ok(())
            }
            calls::Request::Flush => client.answer(&Answer::Done(self.rows.flush())),
            calls::Request::Notices => client.answer(&Answer::Done(self.notices.look())),
            calls::Request::Prompts => client.answer(&Answer::Done(&self.prompts)),
            calls::Request::ForgetMonths { through } => {
                let gone = calls::forget_months(&self.layout, client.uid, through);
                client.answer(&Answer::Done(gone))
            }
        };
        drop(told);
    }
}

/// Opens the calls' socket. One that cannot be opened costs commands, not calls.
fn serve_calls(config: &Config, lock: &Lock, answering: Answering) {
    let sharing = Sharing::of(config.folders.group.as_ref());
    let opened = duty::listen(lock, &answering.layout, &config.calls, sharing)
        .map_err(|fault| fault.to_string())
        .and_then(|listener| {
            let answer = move |request, client| answering.attend(request, client);
            duty::serve(Duty::Calls, listener, answer).map_err(|fault| fault.to_string())
        });
    if let Err(fault) = opened {
        tracing::error!(fault, "the calls' socket cannot be opened; calls go on");
    }
}
