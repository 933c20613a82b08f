//! The signalling thread: the SIP socket, the shards' reports and the duty officer's orders go into the wiring,
//! and what the wiring wants done goes out. It never waits for anything behind it (law 1).

use std::{
    collections::BTreeMap,
    io,
    net::IpAddr,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use announcements::Library;
use exchange::{Input, Load, Output, RecorderEvent, Wiring};
use jiff::SignedDuration;
use rules::{
    AuditDraft, AuditEvent, Declaration, Digest, Emergency, EmergencyFault, EmergencyState,
    Notices, Scope, StaffId,
};
use tokio::sync::{mpsc, oneshot};

use crate::{
    calls::Desk,
    clock::Clock,
    config::PortRange,
    load::LoadMeter,
    look::Look,
    recorder::Recorder,
    shard::{Report, Shard, Share},
    shutdown,
    telemetry::{self, Counters},
    trace::{NoSuchCall, Traces},
    wire::{CodePoint, Heard, Wire},
};

/// How often the thread looks after its house: clock steps, counters, shards that died without a word.
const HOUSEKEEPING: Duration = Duration::from_secs(1);
/// How often it is looked whether a lost shard's thread has ended.
const RETIRED: Duration = Duration::from_millis(10);
/// How long the first ports may take.
pub(crate) const FIRST_PORTS: Duration = Duration::from_secs(2);
/// Messages taken in one turn before anything else is looked at.
const MESSAGES_PER_TURN: usize = 64;
/// Reports of all shards that may wait; shards keep what finds it full.
pub(crate) const REPORTS: usize = 4_096;
/// Orders of people that may wait.
pub(crate) const ORDERS: usize = 64;

/// What somebody outside asks the signalling thread for.
#[derive(Debug)]
pub(crate) enum Order {
    /// Declare an emergency.
    Declare {
        declaration: Declaration,
        /// The salted hash of its reason.
        reason: Digest,
        answer: oneshot::Sender<Result<Emergency, EmergencyFault>>,
    },
    /// Lift the emergency of a scope, or every one.
    Lift {
        scope: Option<Scope>,
        unix_user: String,
        person: Option<StaffId>,
        answer: oneshot::Sender<Result<Vec<Emergency>, EmergencyFault>>,
    },
    /// What managers decided about the numbers' notices, from the next call on.
    Notices {
        notices: Notices,
        /// Told once it holds.
        answer: oneshot::Sender<()>,
    },
    /// What the recorder reports.
    Recorder(RecorderEvent),
    /// Show what goes on.
    Look(Look),
    /// End all calls and the thread. Calls to and from 110, 118 and 119 are waited for until the order comes again (S-17).
    Shutdown {
        /// Told how many calls are waited for.
        answer: oneshot::Sender<usize>,
    },
}

/// Whether the thread is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    NotAsked,
    /// As soon as the last call to or from 110, 118 and 119 is over.
    WithTheLastEmergencyCall,
    /// When all is said, and then at the latest.
    By(Instant),
}

/// What the signalling thread is begun with.
pub(crate) struct Beginning {
    pub(crate) settings: exchange::Settings,
    pub(crate) emergency: EmergencyState,
    pub(crate) notices: Notices,
    pub(crate) library: Library,
    pub(crate) wire: Wire,
    pub(crate) ports: Vec<PortRange>,
    /// Pairs that the limit of open files allows.
    pub(crate) most_pairs: usize,
    pub(crate) shards: u16,
    pub(crate) orders: mpsc::Receiver<Order>,
    pub(crate) recorder: Recorder,
    pub(crate) desk: Desk,
    pub(crate) counters: Arc<Counters>,
    /// Told once the first ports are lent: from then on calls are taken.
    pub(crate) ready: std::sync::mpsc::Sender<()>,
}

/// The signalling thread's own state.
pub(crate) struct Signalling {
    wiring: Wiring,
    wire: Wire,
    clock: Clock,
    traces: Traces,
    shards: BTreeMap<u16, (Shard, Vec<Share>)>,
    /// Threads of lost shards that have not ended yet, and the ports that wait for it.
    retired: Vec<(JoinHandle<()>, Vec<Share>)>,
    next_shard: u16,
    reports_in: mpsc::Receiver<Report>,
    reports_out: mpsc::Sender<Report>,
    orders: mpsc::Receiver<Order>,
    recorder: Recorder,
    desk: Desk,
    counters: Arc<Counters>,
    load: LoadMeter,
    /// What was told of each counter.
    told: [u64; 6],
    ready: Option<std::sync::mpsc::Sender<()>>,
    /// When the thread ends, calls over or not; `None` while it carries calls.
    ending: Ending,
    calls_ended: u64,
}

/// What woke the thread.
enum Woken {
    Wire,
    Report(Report),
    Order(Option<Order>),
    Time,
    Housekeeping,
}

impl Signalling {
    /// Begins the shards and the wiring.
    ///
    /// # Errors
    /// No shard can be begun, or the system gives no randomness.
    pub(crate) fn begin(beginning: Beginning) -> io::Result<Signalling> {
        let Beginning {
            settings,
            emergency,
            notices,
            library,
            wire,
            ports,
            most_pairs,
            shards,
            orders,
            recorder,
            desk,
            counters,
            ready,
        } = beginning;
        let (reports_out, reports_in) = mpsc::channel(REPORTS);
        let mut signalling = Signalling {
            wiring: Wiring::new(settings, emergency, seed()?),
            wire,
            clock: Clock::begin(),
            traces: Traces::default(),
            shards: BTreeMap::new(),
            retired: Vec::new(),
            next_shard: 0,
            reports_in,
            reports_out,
            orders,
            recorder,
            desk,
            counters,
            load: LoadMeter::default(),
            told: [0; 6],
            ready: Some(ready),
            ending: Ending::NotAsked,
            calls_ended: 0,
        };
        let limit = (most_pairs / usize::from(shards)).max(1);
        for first_pair in 0..shards {
            signalling.begin_shard(Share::of(&ports, first_pair, shards, limit))?;
        }
        signalling.take(Input::NoticesDecided(notices));
        signalling.take(Input::PromptsLoaded(library));
        Ok(signalling)
    }

    fn begin_shard(&mut self, shares: Vec<Share>) -> io::Result<()> {
        let number = self.next_shard;
        self.next_shard = self.next_shard.wrapping_add(1);
        let shard = Shard::begin(number, &shares, seed()?, self.reports_out.clone())?;
        self.shards.insert(number, (shard, shares));
        Ok(())
    }

    /// Carries calls until it is told to end, and then until they have ended or time is up.
    ///
    /// Returns the calls that were ended for that.
    pub(crate) async fn run(mut self) -> u64 {
        let mut housekeeping = tokio::time::interval(HOUSEKEEPING);
        // Until ports are lent every call would get 503; what arrives before waits in the socket, but not for ever.
        let deaf_until = Instant::now() + FIRST_PORTS;
        loop {
            let due = self.wiring.poll_timeout().map(|(at, _)| at);
            let look = (!self.retired.is_empty()).then(|| Instant::now() + RETIRED);
            let due = [due, look].into_iter().flatten().min();
            let woken = tokio::select! {
                biased;
                Some(report) = self.reports_in.recv() => Woken::Report(report),
                order = self.orders.recv() => Woken::Order(order),
                () = until(due) => Woken::Time,
                _ = housekeeping.tick() => Woken::Housekeeping,
                () = self.wire.stirred(), if self.ready.is_none() || Instant::now() >= deaf_until => Woken::Wire,
            };
            let mut is_flooded = false;
            match woken {
                Woken::Wire => is_flooded = self.hear() == MESSAGES_PER_TURN,
                Woken::Report(report) => self.handle_report(report),
                Woken::Order(Some(order)) => self.handle_order(order),
                // Nobody is left who could ask for anything.
                Woken::Order(None) => self.shut_down(),
                Woken::Time => {
                    self.replace_retired();
                    self.take(Input::Timeout);
                }
                Woken::Housekeeping => self.keep_house(),
            }
            self.send();
            if self.is_over() {
                break;
            }
            if is_flooded {
                // Connections are tasks beside this one; a flood must not keep them from their turn.
                tokio::task::yield_now().await;
            }
        }
        for (shard, _) in self.shards.into_values() {
            shard.stop();
        }
        self.calls_ended
    }

    /// Takes what came in, at most for one turn; returns how much that was.
    fn hear(&mut self) -> usize {
        for count in 0..MESSAGES_PER_TURN {
            let wiring = &self.wiring;
            let Some(heard) = self.wire.hear(|address| mark_of(wiring, address)) else {
                return count;
            };
            match heard {
                Heard::Message {
                    hop,
                    payload,
                    received_at,
                } => self.take(Input::Message {
                    hop,
                    payload,
                    received_at,
                }),
                Heard::Unreachable { hop, why } => self.take(Input::Unreachable { hop, why }),
                Heard::Closed { hop } => self.take(Input::Closed { hop }),
                Heard::Resolved(answer) => self.take(Input::Resolved {
                    question: answer.question,
                    found: answer.found,
                }),
            }
        }
        MESSAGES_PER_TURN
    }

    fn handle_report(&mut self, report: Report) {
        match report {
            Report::Offered(legs) => {
                self.take(Input::LegsOffered(legs));
                if let Some(ready) = self.ready.take() {
                    // Whoever waited may have given up waiting.
                    let _ = ready.send(());
                }
            }
            Report::Media(event) => {
                telemetry::leg_ended(&event);
                self.take(Input::Media(event));
            }
            Report::Lost(shard) => self.lose(shard),
        }
    }

    /// A shard is lost: its calls end, and another takes its share of the ports as soon as its thread has ended. That thread may
    /// hang, so nobody waits for it here.
    fn lose(&mut self, number: u16) {
        let Some((shard, shares)) = self.shards.remove(&number) else {
            return;
        };
        self.take(Input::ShardLost(number));
        self.retired.push((shard.retire(), shares));
        self.replace_retired();
    }

    /// Begins shards in the place of lost ones whose threads have ended: their sockets are closed, so the ports can be bound again.
    fn replace_retired(&mut self) {
        let ended: Vec<_> = self
            .retired
            .extract_if(.., |(thread, _)| thread.is_finished())
            .collect();
        for (_, shares) in ended {
            if self.ending == Ending::NotAsked
                && let Err(fault) = self.begin_shard(shares)
            {
                tracing::error!(%fault, "no media shard could take the place of the lost one; calls are refused until restart");
            }
        }
    }

    fn handle_order(&mut self, order: Order) {
        let now = self.clock.now();
        match order {
            Order::Declare {
                declaration,
                reason,
                answer,
            } => {
                let declared = self.wiring.declare(now, declaration, reason);
                // The state reaches its slot first: whoever is answered looks there whether it was saved.
                self.drain();
                // Whoever asked may be gone; the emergency holds all the same.
                let _ = answer.send(declared);
            }
            Order::Lift {
                scope,
                unix_user,
                person,
                answer,
            } => {
                let lifted = self
                    .wiring
                    .lift(now, scope.as_ref(), &unix_user, person.as_ref());
                self.drain();
                let _ = answer.send(lifted);
            }
            Order::Notices { notices, answer } => {
                self.take(Input::NoticesDecided(notices));
                // Whoever asked may be gone; it holds all the same.
                let _ = answer.send(());
            }
            Order::Recorder(event) => self.take(Input::Recorder(event)),
            Order::Look(look) => self.show(look),
            Order::Shutdown { answer } => {
                self.shut_down();
                let remaining = self.wiring.exchange().emergency_call_count();
                // Whoever asked waits no longer than a second.
                let _ = answer.send(remaining);
            }
        }
    }

    fn shut_down(&mut self) {
        let exchange = self.wiring.exchange();
        let (calls, urgent) = (exchange.call_count(), exchange.emergency_call_count());
        let ended = match (self.ending, urgent) {
            (Ending::By(_), _) => return,
            (Ending::NotAsked, 1..) => {
                self.ending = Ending::WithTheLastEmergencyCall;
                calls - urgent
            }
            _ => {
                self.ending = Ending::By(Instant::now() + shutdown::HANG_UP);
                calls
            }
        };
        self.calls_ended += u64::try_from(ended).unwrap_or_default();
        self.take(Input::Shutdown);
    }

    /// Whether the thread may end.
    fn is_over(&mut self) -> bool {
        match self.ending {
            Ending::NotAsked => false,
            Ending::WithTheLastEmergencyCall => {
                if self.wiring.exchange().emergency_call_count() == 0 {
                    self.shut_down();
                }
                false
            }
            Ending::By(until) => self.wiring.is_idle() || Instant::now() >= until,
        }
    }

    /// Hands out copies of what is asked for; whoever asked may be gone.
    fn show(&self, look: Look) {
        let live = self.wiring.exchange().calls();
        match look {
            Look::Calls { ended, answer } => {
                let ended = self.traces.ended(ended);
                let _ = answer.send(live.into_iter().chain(ended).collect());
            }
            Look::Call { id, answer } => {
                let found = self.traces.find(&id).and_then(|(id, ended, ladder)| {
                    let report = ended.or_else(|| live.into_iter().find(|call| call.id == id));
                    Ok((report.ok_or(NoSuchCall::Unknown)?, ladder))
                });
                let _ = answer.send(found);
            }
            Look::Trunks { answer } => {
                let _ = answer.send(self.wiring.exchange().trunks(self.clock.now()));
            }
        }
    }

    fn keep_house(&mut self) {
        let now = self.clock.now();
        if let Some(step) = self.clock.step(now) {
            self.handle_clock_step(step);
        }
        let dead: Vec<u16> = self
            .shards
            .iter()
            .filter(|(_, (shard, _))| shard.is_finished())
            .map(|(number, _)| *number)
            .collect();
        for number in dead {
            self.lose(number);
        }
        if let Some(percent) = self.load.percent() {
            self.take(Input::Load(Load { percent }));
        }
        for (told, (count, says)) in self.told.iter_mut().zip(self.counters.to_tell()) {
            if count > *told {
                tracing::warn!(count = count - *told, "{says}");
                *told = count;
            }
        }
    }

    fn handle_clock_step(&mut self, step: SignedDuration) {
        let by_ms = i64::try_from(step.as_millis()).unwrap_or(i64::MAX);
        tracing::warn!(by_ms, "the wall clock was put on or back");
        self.desk
            .audit(AuditDraft::system(AuditEvent::ClockStepped { by_ms }));
    }

    /// Hands an input to the wiring. A broken invariant ends the call that was in hand and no other.
    fn take(&mut self, input: Input) {
        let now = self.clock.now();
        let wiring = &mut self.wiring;
        if catch_unwind(AssertUnwindSafe(|| wiring.handle(now, input))).is_err() {
            Counters::count(&self.counters.panics);
            let recovered = catch_unwind(AssertUnwindSafe(|| wiring.recover(now)));
            match recovered {
                Ok(Some(call)) => tracing::error!(%call, "a call was abandoned after a panic"),
                Ok(None) => tracing::error!("a panic outside any call was survived"),
                Err(_) => tracing::error!("a call could not be abandoned after a panic"),
            }
        }
        self.drain();
    }

    /// Does everything the wiring wants done, in its order.
    fn drain(&mut self) {
        let mut not_begun = Vec::new();
        while let Some(output) = self.wiring.poll_output() {
            match output {
                Output::Sip(transmit) => {
                    let mark = mark_of(&self.wiring, transmit.hop.remote.ip());
                    self.wire
                        .send(transmit.hop, transmit.payload, mark.unwrap_or_default());
                }
                Output::Media { shard, command } => {
                    let reached = self
                        .shards
                        .get_mut(&shard)
                        .is_some_and(|(shard, _)| shard.send(command));
                    if !reached {
                        // The thread has ended, or its bound of commands is broken: housekeeping's loss, told at once.
                        self.report_lost(shard);
                    }
                }
                Output::Record(order) => not_begun.extend(self.recorder.order(order)),
                Output::Audit(draft) => self.desk.audit(draft),
                Output::SaveEmergency(state) => self.desk.save_emergency(state),
                Output::Trace(event) => {
                    telemetry::milestone(&event, &self.counters);
                    self.traces.take(&event);
                }
                Output::Peer(event) => telemetry::peer(&event),
                Output::Resolve(question) => self.wire.resolve(question),
                Output::Alarm(alarm) => self.desk.alarm(&alarm),
            }
        }
        for event in not_begun {
            self.take(Input::Recorder(event));
        }
    }

    /// Lets leave what this turn has to say: one call of the kernel for all of it costs less than one for each.
    fn send(&mut self) {
        let shards = self.shards.iter_mut();
        let lost: Vec<u16> = shards
            .filter_map(|(number, (shard, _))| (!shard.tell()).then_some(*number))
            .collect();
        for shard in lost {
            self.report_lost(shard);
        }
        self.wire.flush();
    }

    fn report_lost(&self, shard: u16) {
        // A full channel loses nothing: housekeeping finds the thread dead, or the next command comes here again.
        if self.shards.contains_key(&shard) {
            let _ = self.reports_out.try_send(Report::Lost(shard));
        }
    }
}

/// Asks the signalling thread and waits for its answer; none where it is ending.
pub(crate) fn ask<T>(
    orders: &mpsc::Sender<Order>,
    patience: Duration,
    order: impl FnOnce(oneshot::Sender<T>) -> Order,
) -> Option<T> {
    let (answer, mut answered) = oneshot::channel();
    orders.blocking_send(order(answer)).ok()?;
    let until = Instant::now() + patience;
    loop {
        match answered.try_recv() {
            Ok(value) => return Some(value),
            Err(oneshot::error::TryRecvError::Empty) if Instant::now() < until => {
                thread::sleep(Duration::from_millis(1));
            }
            Err(_) => return None,
        }
    }
}

/// How packets to a peer are marked; none for whoever is no peer.
fn mark_of(wiring: &Wiring, address: IpAddr) -> Option<CodePoint> {
    wiring.mark_of(address).map(CodePoint)
}

async fn until(due: Option<Instant>) {
    match due {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

fn seed() -> io::Result<[u8; 32]> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(io::Error::other)?;
    Ok(seed)
}
