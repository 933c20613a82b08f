//! The load generator's command line; `bench/RESULTS.md` shows how it was called for each figure.

use std::{error::Error, io::Write, path::PathBuf};

use bench::{
    denwaban::Profile,
    load::{self, Setup},
};
use clap::{Parser, Subcommand};

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
        ) => load::rate(&setup(1200), per_second, seconds)?.to_string(),
        (Measurement::Rate { .. }, true) => load::rate(&setup(100), 20, 2)?.to_string(),
    };
    writeln!(std::io::stdout(), "{report}")?;
    Ok(())
}
