//! The load generator's command line; `bench/RESULTS.md` shows how it was called for each figure.

use std::{error::Error, io::Write, path::PathBuf, time::Duration};

use bench::{
    denwaban::Profile,
    load::{self, Setup},
    overload,
    simulator::{self, Caller},
};
use clap::{Parser, Subcommand};

/// Ports for so many calls at once; as many again rest after their calls.
const CALLS: u16 = 1200;

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    measurement: Measurement,
    /// The server to measure; by default the one built beside this program.
    #[arg(long, env = "DENWABAN_BIN", global = true)]
    denwaban: Option<PathBuf>,
    /// With a notice first, or waived by a decision: only the latter lets a hold begin at once.
    #[arg(long, value_enum, default_value = "transparent", global = true)]
    profile: Profile,
    /// The first of the ports used, about 10,000 of them on 127.0.0.1, 127.0.0.2 and 127.0.0.3.
    #[arg(long, default_value_t = 5060, global = true)]
    first_port: u16,
    /// A few calls for two seconds: shows that the measurement works, and nothing else.
    #[arg(long, global = true)]
    quick: bool,
}

#[derive(Clone, Copy, Subcommand)]
enum Measurement {
    /// Calls held with both parties speaking; the floor is measured in the same run.
    Hold {
        #[arg(long, default_value_t = 200)]
        calls: u16,
        #[arg(long, default_value_t = 20)]
        seconds: u64,
    },
    /// Calls set up and torn down, without speech.
    Rate {
        #[arg(long, default_value_t = 500)]
        per_second: u32,
        #[arg(long, default_value_t = 10)]
        seconds: u32,
    },
    /// The highest rate at which every call is completed, then twice, five and ten times as many.
    Overload {
        /// How long each rate is offered.
        #[arg(long, default_value_t = 4)]
        seconds: u32,
    },
    /// One rate, whatever comes of it.
    Offer {
        #[arg(long)]
        per_second: u32,
        #[arg(long, default_value_t = 4)]
        seconds: u32,
    },
    /// Calls through the exchange alone, without sockets or clocks, and callers who never say a word after their INVITE.
    Simulate {
        #[arg(long, default_value_t = 1_000_000)]
        calls: u32,
    },
    /// Very many calls, and the memory after each tenth of them.
    Many {
        #[arg(long, default_value_t = 100_000)]
        calls: u32,
        #[arg(long, default_value_t = 500)]
        per_second: u32,
    },
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let beside = std::env::current_exe()?;
    let denwaban = arguments
        .denwaban
        .unwrap_or_else(|| beside.with_file_name("denwaban"));
    let floor = beside.with_file_name("floor");
    let setup = |calls| Setup {
        denwaban,
        floor,
        profile: arguments.profile,
        first_port: arguments.first_port,
        calls,
    };
    let report = match (arguments.measurement, arguments.quick) {
        (Measurement::Hold { calls, seconds }, false) => {
            load::hold(&setup(calls), seconds)?.to_string()
        }
        (Measurement::Hold { .. }, true) => load::hold(&setup(5), 2)?.to_string(),
        (
            Measurement::Rate {
                per_second,
                seconds,
            },
            false,
        ) => load::rate(&setup(CALLS), per_second, seconds)?.to_string(),
        (Measurement::Overload { seconds }, false) => {
            overload::overload(&setup(CALLS), seconds, &[2, 5, 10])?.to_string()
        }
        (Measurement::Overload { .. }, true) => {
            overload::overload(&setup(CALLS), 1, &[5])?.to_string()
        }
        (
            Measurement::Offer {
                per_second,
                seconds,
            },
            _,
        ) => overload::offer(&setup(CALLS), per_second, seconds)?.to_string(),
        (Measurement::Simulate { calls }, quick) => simulated(if quick { 2_000 } else { calls })?,
        (Measurement::Many { calls, per_second }, false) => {
            overload::many(&setup(CALLS), per_second, calls)?.to_string()
        }
        (Measurement::Many { .. }, true) => overload::many(&setup(CALLS), 100, 200)?.to_string(),
        (Measurement::Rate { .. }, true) => load::rate(&setup(100), 20, 2)?.to_string(),
    };
    writeln!(std::io::stdout(), "{report}")?;
    Ok(())
}

/// Polite callers 20 ms apart, then silent ones 1 ms apart.
fn simulated(calls: u32) -> std::io::Result<String> {
    let polite = simulator::simulate(calls, Duration::from_millis(20), Caller::Polite)?;
    let silent = simulator::simulate(calls, Duration::from_millis(1), Caller::Silent)?;
    Ok(format!("polite: {polite}\nsilent: {silent}"))
}
