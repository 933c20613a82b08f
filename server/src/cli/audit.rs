//! `denwaban audit verify`: goes through both chains from their first entry to their last. It only reads.

use std::{thread, time::Duration};

use clap::Subcommand;
use storage::{AuditFault, BrokenReason, Duty, Head, Layout, OsDisk};

use super::{Exit, Place, Terminal};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// 証跡の連鎖を最初から最後まで検証します / verify the chain of every entry
    Verify(Place),
}

pub(super) fn audit(command: &Command, out: &mut Terminal) -> Result<(), Exit> {
    let Command::Verify(place) = command;
    let config = place.load(out)?;
    let layout = config.layout();
    let mut worst = None;
    for duty in [Duty::Calls, Duty::Office] {
        match verify(&layout, duty) {
            Ok(head) => out.line(&format!(
                "証跡は正しく連なっています / whole: {} 件数/entries={} 末尾/head={}",
                duty.name(),
                head.seq,
                head.hash
            ))?,
            Err(fault) => {
                out.complain(&format!("証跡 {} を検証できません。\n{fault}", duty.name()));
                // A broken chain is worse than one that cannot be read.
                worst = Some(if worst == Some(Exit::Unverified) {
                    Exit::Unverified
                } else {
                    exit_of(&fault)
                });
            }
        }
    }
    match worst {
        None => Ok(()),
        Some(exit) => Err(exit),
    }
}

/// Verifies one chain. A last line that is being written at this moment is looked at again.
pub(super) fn verify(layout: &Layout, duty: Duty) -> Result<Head, AuditFault> {
    const LOOKS: usize = 5;
    const BETWEEN: Duration = Duration::from_millis(50);
    for _ in 1..LOOKS {
        match storage::verify(&OsDisk, layout, duty) {
            Err(AuditFault::Broken {
                reason: BrokenReason::LineCut,
                ..
            }) => thread::sleep(BETWEEN),
            other => return other,
        }
    }
    storage::verify(&OsDisk, layout, duty)
}

pub(super) fn exit_of(fault: &AuditFault) -> Exit {
    match fault {
        AuditFault::Broken { .. } => Exit::Unverified,
        _ => Exit::Unavailable,
    }
}
