//! What a disposal costs: `cargo run --release -p denwaban-storage --example disposal DIR [ROWS] [DUE]`.
//!
//! A catalogue of ROWS recordings over 90 days (600,000 unless given), of which DUE (6,700) are of the day that is due, each with
//! its file. Every row has a sealed caller, as in service. Prints CPU and wall time of the plan and of the disposal.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a measurement prints, and is over when it fails"
)]

#[allow(dead_code, reason = "each measurement uses its own part of it")]
mod full_size;

use std::path::PathBuf;

use full_size::{Archive, Files, Size, timed};

fn main() {
    full_size::run("disposal-measurement", measure);
}

async fn measure(folder: PathBuf, size: Size) {
    let mut archive = Archive::fill(&folder, size, Files::Due).await;
    let plan = timed("plan", archive.plan()).await;
    println!("{plan:?}");
    let days = timed("disposal", archive.dispose()).await;
    println!("{days:?}");
}
