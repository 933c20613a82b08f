//! Runs storms: `storm --seeds N --from SEED [--udp]`, on as many threads as there are cores.
//!
//! It prints the seeds, each failure as it happens, what happened how often, and how much time was simulated. It fails where a storm
//! fails, and where something that should happen never did.

use std::{
    io::Write,
    panic::{AssertUnwindSafe, catch_unwind},
    process::ExitCode,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use tests::storm::{self, Tally, Ways};

/// What the command line asks for.
struct Wanted {
    seeds: u64,
    from: u64,
    /// When to stop before all seeds are run.
    seconds: Option<u64>,
    ways: Ways,
}

fn main() -> ExitCode {
    let mut out = std::io::stdout();
    let wanted = match read(std::env::args().skip(1)) {
        Ok(wanted) => wanted,
        Err(what) => {
            let _ = writeln!(
                out,
                "{what}; use: storm [--seeds N] [--from SEED] [--seconds S] [--udp]"
            );
            return ExitCode::FAILURE;
        }
    };
    let _ = writeln!(
        out,
        "storm: {} seeds from {}, commit {}",
        wanted.seeds,
        wanted.from,
        commit()
    );
    // What a storm finds is told by its message; the panics that it injects are told by nothing.
    std::panic::set_hook(Box::new(|_| {}));
    let (began, next) = (Instant::now(), AtomicU64::new(0));
    let (tally, failures) = (Mutex::new(Tally::default()), Mutex::new(0));
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| work(&wanted, began, &next, &tally, &failures));
        }
    });
    let (tally, failures) = (tally.into_inner(), failures.into_inner());
    let (Ok(tally), Ok(failures)) = (tally, failures) else {
        return ExitCode::FAILURE;
    };
    report(&mut out, &wanted, began.elapsed(), &next, &tally, failures)
}

fn work(
    wanted: &Wanted,
    began: Instant,
    next: &AtomicU64,
    tally: &Mutex<Tally>,
    failures: &Mutex<u64>,
) {
    let is_late = || {
        wanted
            .seconds
            .is_some_and(|seconds| began.elapsed() > Duration::from_secs(seconds))
    };
    while !is_late() {
        let count = next.fetch_add(1, Ordering::Relaxed);
        if count >= wanted.seeds {
            return;
        }
        let seed = wanted.from.wrapping_add(count);
        match catch_unwind(AssertUnwindSafe(|| storm::run(seed, wanted.ways))) {
            Ok(one) => {
                if let Ok(mut tally) = tally.lock() {
                    tally.add(&one);
                }
            }
            Err(panic) => {
                let what = panic
                    .downcast_ref::<String>()
                    .cloned()
                    .or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string))
                    .unwrap_or_default();
                // Under the lock, so that no two are mixed.
                if let Ok(mut failures) = failures.lock() {
                    *failures += 1;
                    let _ = writeln!(std::io::stdout(), "seed {seed} failed: {what}");
                }
            }
        }
    }
}

fn report(
    out: &mut impl Write,
    wanted: &Wanted,
    took: Duration,
    next: &AtomicU64,
    tally: &Tally,
    failures: u64,
) -> ExitCode {
    let run = next.load(Ordering::Relaxed).min(wanted.seeds);
    for (what, times) in &tally.fired {
        let _ = writeln!(out, "{times:>10}  {what}");
    }
    let simulated = tally.simulated.as_secs();
    let _ = writeln!(
        out,
        "storm: {run} seeds, {failures} failed, {simulated} s simulated in {:.1} s",
        took.as_secs_f64()
    );
    let missing = tally.missing(wanted.ways);
    if !missing.is_empty() {
        let _ = writeln!(
            out,
            "never happened: {}; run more seeds",
            missing.join(", ")
        );
    }
    if failures == 0 && missing.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn read(arguments: impl Iterator<Item = String>) -> Result<Wanted, String> {
    // Fresh seeds unless some are asked for: they are printed.
    let fresh = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(1, |time| time.as_secs() * 1_000_000);
    let mut wanted = Wanted {
        seeds: 1_000,
        from: fresh,
        seconds: None,
        ways: Ways::Any,
    };
    let mut arguments = arguments;
    while let Some(name) = arguments.next() {
        if name == "--udp" {
            wanted.ways = Ways::Datagrams;
            continue;
        }
        let value = arguments.next().and_then(|value| value.parse::<u64>().ok());
        let value = value.ok_or(format!("{name} has no number"))?;
        match name.as_str() {
            "--seeds" => wanted.seeds = value,
            "--from" => wanted.from = value,
            "--seconds" => wanted.seconds = Some(value),
            _ => return Err(format!("{name} is unknown")),
        }
    }
    Ok(wanted)
}

/// The commit that is run; unknown outside of a repository.
fn commit() -> String {
    let run = std::process::Command::new("git")
        .args(["rev-parse", "--short", "HEAD"])
        .output();
    run.ok()
        .and_then(|output| String::from_utf8(output.stdout).ok())
        .map(|text| text.trim().to_owned())
        .filter(|text| !text.is_empty())
        .unwrap_or_else(|| "unknown".to_owned())
}
