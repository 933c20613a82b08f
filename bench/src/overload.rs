//! More calls than can be served, and very many of them: what is still completed, how soon the rest are told, what memory stays.

use std::{
    fmt, io, thread,
    time::{Duration, Instant},
};

use crate::{
    denwaban::{Denwaban, Listed},
    load::{PATIENCE, SETTLE, Setup, hang_up_answered, wait_until_idle},
    process,
    signalling::{Ends, Figures, percentile},
};

/// The search for the highest clean rate begins here.
const FIRST_PER_SECOND: u32 = 300;
/// And goes on in steps of a tenth, up to what no two cores have shown yet.
const LAST_PER_SECOND: u32 = 20_000;
/// A step that was not clean is tried so often: one late wake-up of the machine is no limit of the server's.
const TRIES: u32 = 3;

/// Calls dialled at most before the generator listens.
const MOST_AT_ONCE: u32 = 8;

/// Calls offered at a rate to a server of their own.
#[derive(Debug)]
pub struct Offered {
    pub per_second: u32,
    pub offering: Duration,
    pub figures: Figures,
    pub cpu: Duration,
    /// By how much the generator was behind its own plan at most.
    pub late: Duration,
    pub recordings: Vec<Listed>,
}

/// The highest clean rate, and what came of multiples of it.
#[derive(Debug)]
pub struct OverloadReport {
    pub clean: Offered,
    pub overloaded: Vec<Offered>,
}

/// Resident memory after so many calls.
#[derive(Debug)]
pub struct ManyReport {
    pub per_second: u32,
    pub resident_kib: Vec<(u32, u64)>,
    pub figures: Figures,
    pub recordings: usize,
}

/// Looks for the highest rate at which every call is completed and nothing is said twice, then offers `factors` times as much.
///
/// # Errors
/// When the server cannot be started or a socket fails, or when not even the first rate is clean.
pub fn overload(setup: &Setup, seconds: u32, factors: &[u32]) -> io::Result<OverloadReport> {
    let clean = highest_clean(setup, seconds)?;
    let overloaded = factors
        .iter()
        .map(|factor| offer(setup, clean.per_second.saturating_mul(*factor), seconds))
        .collect::<io::Result<_>>()?;
    Ok(OverloadReport { clean, overloaded })
}

fn highest_clean(setup: &Setup, seconds: u32) -> io::Result<Offered> {
    let (mut best, mut per_second) = (None, FIRST_PER_SECOND);
    while per_second < LAST_PER_SECOND {
        let mut tries = (0..TRIES).map(|_| offer(setup, per_second, seconds));
        let clean = tries.find(|offered| offered.as_ref().map_or(true, Offered::is_clean));
        let Some(clean) = clean.transpose()? else {
            break;
        };
        best = Some(clean);
        per_second += per_second / 10;
    }
    best.ok_or_else(|| {
        io::Error::other(format!(
            "not even {FIRST_PER_SECOND} calls/s were clean; expected a quiet machine"
        ))
    })
}

/// Offers calls at a rate to a new server; each is hung up as soon as it is answered.
///
/// # Errors
/// When the server cannot be started or a socket fails.
pub fn offer(setup: &Setup, per_second: u32, seconds: u32) -> io::Result<Offered> {
    let places = setup.places();
    let server = Denwaban::start(&setup.denwaban, places, setup.rtp_ports(), setup.profile)?;
    let mut ends = Ends::open(places, "offer")?;
    thread::sleep(SETTLE);
    let before = process::cpu(server.pid())?;
    let beginning = Instant::now();
    let mut late = Duration::ZERO;
    let mut in_heap = 0;
    for call in 0..per_second * seconds {
        let due = beginning + Duration::from_secs(1) * call / per_second;
        // Whoever is late dials a few at once, because listening costs it more than dialling.
        if due.elapsed().is_zero() || in_heap == MOST_AT_ONCE {
            hang_up_answered(&mut ends, due)?;
            in_heap = 0;
        }
        in_heap += 1;
        late = late.max(due.elapsed());
        ends.dial()?;
    }
    let offering = beginning.elapsed();
    let deadline = Instant::now() + PATIENCE;
    while ends.open_count() > 0 && Instant::now() < deadline {
        hang_up_answered(&mut ends, Instant::now() + Duration::from_millis(20))?;
    }
    wait_until_idle(server.pid())?;
    let cpu = process::cpu(server.pid())?.saturating_sub(before);
    let recordings = server.stop()?;
    Ok(Offered {
        per_second,
        offering,
        figures: ends.figures,
        cpu,
        late,
        recordings,
    })
}

/// Makes very many calls, one after the other at a rate, and looks at the server's memory ten times.
///
/// # Errors
/// When the server cannot be started or a socket fails.
pub fn many(setup: &Setup, per_second: u32, calls: u32) -> io::Result<ManyReport> {
    let places = setup.places();
    let server = Denwaban::start(&setup.denwaban, places, setup.rtp_ports(), setup.profile)?;
    let mut ends = Ends::open(places, "many")?;
    thread::sleep(SETTLE);
    let mut resident_kib = vec![(0, process::resident_kib(server.pid())?)];
    let tenth = (calls / 10).max(1);
    let mut beginning = Instant::now();
    let mut in_tenth = 0;
    for call in 1..=calls {
        ends.dial()?;
        in_tenth += 1;
        hang_up_answered(
            &mut ends,
            beginning + Duration::from_secs(1) * in_tenth / per_second,
        )?;
        if call % tenth == 0 {
            // What waits for timers of RFC 3261 (64 * T1) is no growth, and stands at each look alike.
            resident_kib.push((call, process::resident_kib(server.pid())?));
            (beginning, in_tenth) = (Instant::now(), 0);
        }
    }
    let deadline = Instant::now() + PATIENCE;
    while ends.open_count() > 0 && Instant::now() < deadline {
        hang_up_answered(&mut ends, Instant::now() + Duration::from_millis(20))?;
    }
    wait_until_idle(server.pid())?;
    let recordings = server.stop()?.len();
    Ok(ManyReport {
        per_second,
        resident_kib,
        figures: ends.figures,
        recordings,
    })
}

impl Offered {
    /// Whether every call was completed, none refused, and nothing said twice.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        let Figures {
            placed,
            completed,
            repeated,
            ..
        } = self.figures;
        (completed, repeated) == (placed, 0)
    }

    /// Completed calls a second, as long as calls were offered.
    #[must_use]
    pub fn goodput(&self) -> f64 {
        f64::from(self.figures.completed) / self.offering.as_secs_f64()
    }

    /// Calls that were answered and came to nothing.
    #[must_use]
    pub fn failed(&self) -> u32 {
        self.figures.answered - self.figures.completed
    }

    /// Calls that got no answer at all.
    #[must_use]
    pub fn unanswered(&self) -> u32 {
        let refused: u32 = self.figures.refused.values().sum();
        self.figures.placed - self.figures.answered - refused
    }
}

impl fmt::Display for Offered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let refused = |percent| percentile(&self.figures.refused_us, percent).as_micros();
        let set_up = |percent| self.figures.set_up(percent).as_micros();
        let per_call = self.cpu.as_secs_f64() * 1000.0 / f64::from(self.figures.completed.max(1));
        write!(
            f,
            "{:>6}/s offered: {:.0}/s completed, {} failed, {} without an answer, refused {:?}, {} repeated, {per_call:.2} CPU-ms a call; \
             200 p50 {} us p99 {} us; 503 p50 {} us p99 {} us max {} us; generator late by at most {} us; {} recordings",
            self.per_second,
            self.goodput(),
            self.failed(),
            self.unanswered(),
            self.figures.refused,
            self.figures.repeated,
            set_up(50),
            set_up(99),
            refused(50),
            refused(99),
            refused(100),
            self.late.as_micros(),
            self.recordings.len(),
        )
    }
}

impl fmt::Display for OverloadReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "highest clean rate:\n{}", self.clean)?;
        for offered in &self.overloaded {
            let share = offered.goodput() / self.clean.goodput() * 100.0;
            writeln!(
                f,
                "{offered}\n        goodput {share:.0} % of the clean rate"
            )?;
        }
        Ok(())
    }
}

impl fmt::Display for ManyReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} calls/s; {}", self.per_second, self.figures)?;
        for (calls, kib) in &self.resident_kib {
            writeln!(f, "after {calls:>7} calls: {kib} KiB resident")?;
        }
        write!(f, "{} recordings", self.recordings)
    }
}
