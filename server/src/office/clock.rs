//! What the office feeds the rule about its clock, where the rule's word is kept, and how a person confirms it. The rule is [`rules::DestructionClock`].

use std::{
    fs, io,
    path::PathBuf,
    str::FromStr,
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp};
use nix::libc;
use rules::{
    Action, AlarmCode, AuditDraft, AuditEntry, AuditEvent, BootId, ClockReading, ConfirmationId,
    DestructionClock, Digest, KernelClock, Missing, Proved,
};
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use storage::{Disk, Duty, Layout, MODE_SECRET, OsDisk, SealFault, SealedFields, Sealer};

use super::{owner::Owner, people::Caller};
use crate::{
    duty::{Answer, Ending, Message},
    said::{Said, Words},
};

/// How often the clock is judged while nothing is destroyed.
const CLOCK_LOOK: Duration = Duration::from_secs(60);

/// The office's view of its clock.
pub(super) struct ClockWatch {
    path: PathBuf,
    layout: Layout,
    kept: Kept,
}

/// What `office/clock.json` holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    clock: DestructionClock,
    #[serde(default)]
    confirmations: Vec<Confirmation>,
}

/// Somebody's word that the clock is right; the entry of that moment holds the hash of the reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Confirmation {
    id: ConfirmationId,
    at: Timestamp,
    reason: SealedFields,
}

/// What a look at the clock has found.
pub(super) struct Look {
    /// The wall clock that was judged; nothing is destroyed by another.
    pub(super) wall: Timestamp,
    /// What the rule said before, where it says another thing now.
    pub(super) before: Option<DestructionClock>,
}

/// Why a confirmation was not taken.
pub(super) enum NotConfirmed {
    Sealing(SealFault),
    Clock(io::Error),
}

/// Somebody's word about the clock, which nobody has taken yet.
pub(super) struct Confirmed {
    kept: Kept,
    /// Of the sealed reason.
    pub(super) digest: Digest,
}

/// What the rule has said of the clock, for whoever only looks.
///
/// # Errors
/// It may not be looked at.
pub(crate) fn kept_clock(layout: &Layout) -> io::Result<DestructionClock> {
    match OsDisk.read(&layout.clock()) {
        Err(fault) if fault.kind() != io::ErrorKind::NotFound => Err(fault),
        Ok(_) | Err(_) => Ok(ClockWatch::begin(layout).kept.clock),
    }
}

impl ClockWatch {
    /// Takes up what was kept. What cannot be read is lost, and where nothing is there the trail's last word counts: nobody
    /// thaws a clock by spoiling or removing a file.
    pub(super) fn begin(layout: &Layout) -> ClockWatch {
        let path = layout.clock();
        let kept = match OsDisk.read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).ok(),
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => told_by_trail(layout),
            Err(_) => None,
        };
        let lost = || Kept {
            clock: DestructionClock::Lost,
            confirmations: Vec::new(),
        };
        ClockWatch {
            path,
            layout: layout.clone(),
            kept: kept.unwrap_or_else(lost),
        }
    }

    /// Whether anything may be destroyed by the clock.
    pub(super) fn clock(&self) -> DestructionClock {
        self.kept.clock
    }

    /// Why it was said that the clock is right, sealed.
    pub(super) fn confirmations(&self) -> impl Iterator<Item = (ConfirmationId, &SealedFields)> {
        let confirmations = self.kept.confirmations.iter();
        confirmations.map(|confirmation| (confirmation.id, &confirmation.reason))
    }

    /// Judges anew.
    ///
    /// # Errors
    /// The clocks cannot be read, or what the rule says cannot be kept; it holds until the process ends.
    pub(super) fn look(&mut self) -> io::Result<Look> {
        let reading = read(&self.layout)?;
        let wall = reading.wall;
        let before = self.kept.clock;
        self.kept.clock = before.handle_reading(&reading);
        if self.kept.clock == before {
            return Ok(Look { wall, before: None });
        }
        self.keep()?;
        let before = Some(before);
        Ok(Look { wall, before })
    }

    /// Seals somebody's reason why the clock is right. It counts once it is written down and [`believe`](Self::believe) kept it.
    ///
    /// # Errors
    /// [`NotConfirmed`].
    pub(super) fn confirm(
        &self,
        by: &Proved,
        reason: &Words,
        disk: Arc<dyn Disk>,
        layout: &Layout,
    ) -> Result<Confirmed, NotConfirmed> {
        let reading = read(&self.layout).map_err(NotConfirmed::Clock)?;
        let clock = DestructionClock::confirm(by, &reading);
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(|fault| NotConfirmed::Clock(fault.into()))?;
        let id = ConfirmationId::new(reading.wall, u128::from_be_bytes(random));
        let sealed = Sealer::new(disk, layout).seal_confirmation(id, reading.wall, reason.text());
        let (sealed, digest) = sealed.map_err(NotConfirmed::Sealing)?;
        let mut kept = self.kept.clone();
        kept.clock = clock;
        kept.confirmations.push(Confirmation {
            id,
            at: reading.wall,
            reason: sealed,
        });
        Ok(Confirmed { kept, digest })
    }

    /// Takes somebody's word that the clock is right, once it is in the trail.
    ///
    /// # Errors
    /// What the disk says; then nothing has changed.
    pub(super) fn believe(&mut self, confirmed: Confirmed) -> Result<(), NotConfirmed> {
        let before = std::mem::replace(&mut self.kept, confirmed.kept);
        self.keep().map_err(|fault| {
            self.kept = before;
            NotConfirmed::Clock(fault)
        })
    }

    fn keep(&self) -> io::Result<()> {
        let bytes = serde_json::to_vec(&self.kept)?;
        OsDisk.replace(&self.path, &bytes, MODE_SECRET)
    }
}

impl From<NotConfirmed> for Ending {
    fn from(fault: NotConfirmed) -> Ending {
        Answer::Unavailable(match fault {
            NotConfirmed::Sealing(fault) => {
                Message::new("理由を封印できません。", fault.to_string())
            }
            NotConfirmed::Clock(fault) => {
                Message::new("時計の状態を保存できません。", fault.to_string())
            }
        })
    }
}

impl Owner {
    /// Judges the clock, and tells of it when it says another thing than before; the wall clock that was judged, if one could be.
    pub(super) fn look_at_clock(&mut self) -> Option<Timestamp> {
        self.clock_again = Instant::now() + CLOCK_LOOK;
        match self.clock.look() {
            Ok(Look { wall, before }) => {
                if let Some(before) = before {
                    self.tell_of_clock(before);
                }
                Some(wall)
            }
            Err(fault) => {
                tracing::error!(%fault, "the clock cannot be judged, or what was judged cannot be kept");
                None
            }
        }
    }

    fn tell_of_clock(&mut self, before: DestructionClock) {
        let event = match (before, self.clock.clock()) {
            (_, DestructionClock::Frozen { cause, by_ms, .. }) => {
                let code = AlarmCode::DestructionFrozen;
                tracing::error!(
                    code = code.code(),
                    by_ms,
                    "the wall clock is not believed: nothing is destroyed until a person confirms it or the machine has started again"
                );
                self.audit(AuditDraft::system(AuditEvent::alarm(code)));
                AuditEvent::DestructionFrozen { cause, by_ms }
            }
            (DestructionClock::Frozen { .. }, _) => {
                tracing::info!("the wall clock is believed again");
                AuditEvent::DestructionResumed { reason: None }
            }
            (
                DestructionClock::Unread
                | DestructionClock::Lost
                | DestructionClock::Believed { .. },
                _,
            ) => return,
        };
        self.audit(AuditDraft::system(event));
    }

    /// Takes a person's word that the clock is right: sealed, written down, and only then believed.
    pub(super) async fn confirm_clock(
        &mut self,
        caller: &Caller<'_>,
        reason: Said<Words>,
        now: Timestamp,
    ) -> Result<(), Ending> {
        let action = Action::ConfirmClock;
        let by = caller.proved()?;
        let reason = self
            .demand(caller, action, Missing::Reason, reason, now)
            .await?;
        let disk = Arc::clone(&self.disk);
        let confirmed = self.clock.confirm(by, &reason, disk, &self.layout)?;
        let reason = Some(confirmed.digest);
        self.write_down(caller, AuditEvent::DestructionResumed { reason })?;
        Ok(self.clock.believe(confirmed)?)
    }
}

/// What the trail's last word about the clock leaves of it; `None` where the trail cannot be read.
fn told_by_trail(layout: &Layout) -> Option<Kept> {
    let told = |entry: &str| {
        let entry: AuditEntry = serde_json::from_str(entry).ok()?;
        DestructionClock::told_by(&entry.event)
    };
    let told = storage::find_newest(&OsDisk, layout, Duty::Office, told).ok()?;
    Some(Kept {
        clock: told.unwrap_or_default(),
        confirmations: Vec::new(),
    })
}

fn read(layout: &Layout) -> io::Result<ClockReading> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    let boot = BootId::from_str(boot.trim()).map_err(io::Error::other)?;
    let last_audited = storage::last_entry_at(&OsDisk, layout, Duty::Office);
    let last_audited = last_audited.map_err(io::Error::other)?;
    let since = clock_gettime(ClockId::Boottime);
    let nanoseconds = i32::try_from(since.tv_nsec).unwrap_or_default();
    Ok(ClockReading {
        wall: Timestamp::now(),
        boot,
        since_boot: SignedDuration::new(since.tv_sec, nanoseconds),
        kernel: kernel_clock(),
        last_audited,
    })
}

/// Whether something disciplines the kernel's clock. Source: adjtimex(2).
#[expect(
    unsafe_code,
    reason = "no crate reads adjtimex(2); docs/decisions/0010-keys-and-disposal.md"
)]
fn kernel_clock() -> KernelClock {
    // SAFETY: `timex` is plain numbers, for which zeros are a value; with `modes` at 0 the call only reads the clock and
    // writes into this structure, which outlives it.
    let (state, timex) = unsafe {
        let mut timex: libc::timex = std::mem::zeroed();
        (libc::adjtimex(&raw mut timex), timex)
    };
    let is_free = state < 0 || state == libc::TIME_ERROR || timex.status & libc::STA_UNSYNC != 0;
    match is_free {
        true => KernelClock::Free,
        false => KernelClock::Synchronised,
    }
}
