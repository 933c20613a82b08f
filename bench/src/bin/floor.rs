//! The bare forwarder as a process of its own, so that its processor time can be read; `load` starts and ends it.

use std::{error::Error, io::Write, net::SocketAddr, path::PathBuf};

use bench::floor::Floor;
use clap::Parser;

#[derive(Parser)]
struct Arguments {
    /// Where each leg's payload is appended to its own file.
    #[arg(long)]
    folder: PathBuf,
    #[arg(long)]
    calls: u16,
    /// The first of the forwarder's own ports.
    #[arg(long)]
    local: SocketAddr,
    /// The first of the carrier's ports.
    #[arg(long)]
    carrier: SocketAddr,
    /// The first of the department's ports.
    #[arg(long)]
    department: SocketAddr,
}

fn main() -> Result<(), Box<dyn Error>> {
    // Whoever started us may be killed; nobody else would end us then.
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    let arguments = Arguments::parse();
    let mut floor = Floor::open(
        &arguments.folder,
        arguments.calls,
        arguments.local,
        arguments.carrier,
        arguments.department,
    )?;
    writeln!(std::io::stdout(), "ready")?;
    floor.run()?;
    Ok(())
}
