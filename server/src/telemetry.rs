//! What the service says about itself: a log without telephone numbers, and counters that the log reads out.

use std::sync::atomic::{AtomicU64, Ordering};

use exchange::{Milestone, PeerEvent, TraceEvent};
use media::Event;
use tracing_subscriber::{EnvFilter, fmt};

use crate::log::Log;

/// Begins to log to standard error; `RUST_LOG` sets the level, `info` without it.
///
/// # Errors
/// The system gives no thread.
pub(crate) fn begin() -> std::io::Result<Log> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let colour = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let log = Log::begin(std::io::stderr())?;
    // A second beginning (tests in one process) keeps the first.
    let _ = fmt()
        .with_env_filter(filter)
        .with_writer(log.clone())
        .with_ansi(colour)
        .with_target(false)
        .try_init();
    Ok(log)
}

/// Things that are counted and not logged one by one.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Datagrams and connections from addresses that are no peer's; they get no byte back.
    pub strangers: AtomicU64,
    /// Messages that could not be sent.
    pub unsent: AtomicU64,
    /// Connections of peers that were refused for want of room or of a certificate of ours.
    pub connections_refused: AtomicU64,
    /// Connections of ours that could not be made.
    pub connects_failed: AtomicU64,
    /// Connections that were closed because the peer did not read what it was sent.
    pub slow_readers: AtomicU64,
    /// Calls that were not taken in.
    pub calls_refused: AtomicU64,
    /// Panics that ended one call.
    pub panics: AtomicU64,
}

impl Counters {
    /// What of them an operator should hear of, each with what it says.
    pub(crate) fn to_tell(&self) -> [(u64, &'static str); 6] {
        [
            (
                &self.strangers,
                "datagrams and connections of strangers were dropped",
            ),
            (&self.unsent, "messages could not be sent"),
            (
                &self.connections_refused,
                "connections of peers were refused: too many, or no certificate of ours",
            ),
            (
                &self.connects_failed,
                "connections to peers could not be made",
            ),
            (
                &self.calls_refused,
                "calls were not taken in; `denwaban calls` shows the latest with their reasons",
            ),
            (
                &self.slow_readers,
                "connections were closed whose peers did not read",
            ),
        ]
        .map(|(counter, says)| (counter.load(Ordering::Relaxed), says))
    }

    /// Adds one.
    pub(crate) fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// Logs a milestone of a call; it holds no number by its type.
pub(crate) fn milestone(event: &TraceEvent, counters: &Counters) {
    match &event.what {
        Milestone::Message {
            side,
            passage,
            line,
        } => {
            tracing::debug!(call = %event.call, ?side, ?passage, "{line}");
        }
        // The house's own milestones say both already.
        Milestone::Began | Milestone::Ended(_) => {}
        Milestone::House(text) => tracing::info!(call = %event.call, "{text}"),
        Milestone::Refused(phrase) => {
            Counters::count(&counters.calls_refused);
            tracing::debug!(call = %event.call, "refused: {phrase}");
        }
    }
}

/// Logs a milestone of a peer; it holds no number by its type.
pub(crate) fn peer(event: &PeerEvent) {
    tracing::info!(peer = event.peer, "{}", event.what);
}

/// Logs what a leg counted, when it ends.
pub(crate) fn leg_ended(event: &Event) {
    if let Event::Closed { leg, statistics } = event {
        let dropped = &statistics.dropped;
        tracing::debug!(
            shard = leg.shard,
            slot = leg.slot,
            received = statistics.received,
            sent = statistics.sent,
            lost = statistics.lost,
            jitter_ms = statistics.jitter.as_millis(),
            foreign = dropped.foreign_source,
            out_of_window = dropped.out_of_window,
            "a leg ended"
        );
    }
}
