//! When the clock may be believed enough to destroy by it. Nothing but destruction waits for it.
//!
//! A clock that was put months ahead would make everything due at once, and what is destroyed does not come back. So its word
//! counts only while it agrees with what it said before: with the monotonic clock of this start of the machine, and with the trail.

use std::{fmt, str::FromStr};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{
    audit::AuditEvent,
    credentials::Proved,
    ids::IdFault,
    refusal::{Clause, Refusal, RefusalCode},
};

/// The office writes at least one entry a day, the rotation of the root; two hours are for a day on which it is late.
const FARTHEST_AHEAD: SignedDuration = SignedDuration::from_hours(26);
/// More than any correction that NTP makes without a step.
const LARGEST_DRIFT: SignedDuration = SignedDuration::from_mins(5);

/// One start of the machine, as the kernel names it: a UUID.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct BootId(u128);

impl fmt::Display for BootId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = format!("{:032x}", self.0);
        let parts = [
            &digits[..8],
            &digits[8..12],
            &digits[12..16],
            &digits[16..20],
            &digits[20..],
        ];
        f.write_str(&parts.join("-"))
    }
}

impl fmt::Debug for BootId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for BootId {
    type Err = IdFault;

    fn from_str(text: &str) -> Result<BootId, IdFault> {
        let fault = IdFault {
            what: "boot id",
            expected: "a UUID in lower case",
            found_bytes: text.len(),
        };
        let digits = text.replace('-', "");
        let id = u128::from_str_radix(&digits, 16).map(BootId);
        id.ok().filter(|id| id.to_string() == text).ok_or(fault)
    }
}

impl Serialize for BootId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for BootId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<BootId, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

/// What the kernel says of its own clock (adjtimex).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KernelClock {
    /// Something disciplines it.
    Synchronised,
    /// Nothing does, or the kernel does not say.
    Free,
}

/// Everything that is known of the time at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockReading {
    /// The wall clock.
    pub wall: Timestamp,
    /// Which start of the machine this is.
    pub boot: BootId,
    /// How long ago that was, sleep included.
    pub since_boot: SignedDuration,
    /// What the kernel says.
    pub kernel: KernelClock,
    /// When the office's newest audit entry was written; `None` before the first.
    pub last_audited: Option<Timestamp>,
}

/// A moment at which the clock was believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockAnchor {
    wall: Timestamp,
    boot: BootId,
    since_boot_ms: i64,
}

impl ClockAnchor {
    fn at(reading: &ClockReading) -> ClockAnchor {
        ClockAnchor {
            wall: reading.wall,
            boot: reading.boot,
            since_boot_ms: i64::try_from(reading.since_boot.as_millis()).unwrap_or(i64::MAX),
        }
    }

    /// How far the wall went further than the monotonic clock since then.
    fn drift(&self, reading: &ClockReading) -> SignedDuration {
        let anchored = SignedDuration::from_millis(self.since_boot_ms);
        self.wall.duration_until(reading.wall) - (reading.since_boot - anchored)
    }
}

/// Why the clock is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FreezeCause {
    /// It is further past the last audited time than the service is ever silent.
    AheadOfTrail,
    /// It left the monotonic clock.
    AwayFromMonotonic,
    /// What was kept of it cannot be read, or is gone while the trail says that it was frozen.
    WordLost,
}

/// Whether destruction may go by the clock. Once it is frozen, it stays so until somebody says that the clock is right, or the
/// machine has started again and the kernel's clock is synchronised.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DestructionClock {
    /// Nothing was read yet.
    #[default]
    Unread,
    /// What was kept of it is lost, and may have been that it is frozen; the next reading freezes it.
    Lost,
    /// It is believed.
    Believed {
        /// Since this moment of the same start of the machine.
        anchor: ClockAnchor,
    },
    /// It is not.
    Frozen {
        /// The start of the machine in which it was believed last, or first read.
        boot: BootId,
        /// Why.
        cause: FreezeCause,
        /// By how much it was off.
        by_ms: i64,
    },
}

impl DestructionClock {
    /// What an entry of the trail says of it; the newest that says something counts where nothing else was kept.
    pub fn told_by(event: &AuditEvent) -> Option<DestructionClock> {
        if let AuditEvent::DestructionFrozen { .. } = event {
            return Some(DestructionClock::Lost);
        }
        matches!(event, AuditEvent::DestructionResumed { .. }).then_some(DestructionClock::Unread)
    }

    /// Judges by what the clocks say now. The first judgement of a process belongs before its first audit entry.
    #[must_use]
    pub fn handle_reading(self, reading: &ClockReading) -> DestructionClock {
        let believed = DestructionClock::Believed {
            anchor: ClockAnchor::at(reading),
        };
        let is_synchronised = reading.kernel == KernelClock::Synchronised;
        match (self, ahead(reading)) {
            (DestructionClock::Unread, None) => believed,
            (DestructionClock::Unread, Some(by)) => {
                frozen(reading.boot, FreezeCause::AheadOfTrail, by)
            }
            // The trail's newest entries may carry the very time that was not believed.
            (DestructionClock::Lost, _) => {
                frozen(reading.boot, FreezeCause::WordLost, SignedDuration::ZERO)
            }
            (DestructionClock::Believed { anchor }, ahead) if anchor.boot == reading.boot => {
                let drift = anchor.drift(reading);
                match ahead {
                    _ if drift.abs() > LARGEST_DRIFT => {
                        frozen(anchor.boot, FreezeCause::AwayFromMonotonic, drift)
                    }
                    Some(by) => frozen(anchor.boot, FreezeCause::AheadOfTrail, by),
                    None => self,
                }
            }
            // After a restart there is no monotonic clock to compare with.
            (DestructionClock::Believed { .. }, None) => believed,
            (DestructionClock::Believed { .. }, Some(_)) if is_synchronised => believed,
            (DestructionClock::Believed { anchor }, Some(by)) => {
                frozen(anchor.boot, FreezeCause::AheadOfTrail, by)
            }
            (DestructionClock::Frozen { boot, .. }, _)
                if boot != reading.boot && is_synchronised =>
            {
                believed
            }
            (DestructionClock::Frozen { .. }, _) => self,
        }
    }

    /// Whether anything may be destroyed by this clock.
    ///
    /// # Errors
    /// `CLOCK_FROZEN`, also before the first reading.
    pub fn check(&self) -> Result<(), Refusal> {
        match self {
            DestructionClock::Believed { .. } => Ok(()),
            DestructionClock::Unread | DestructionClock::Lost | DestructionClock::Frozen { .. } => {
                Err(Refusal::new(
                    RefusalCode::ClockFrozen,
                    Clause::Rules5Retention,
                ))
            }
        }
    }

    /// Somebody has looked and says that the clock is right. Whether the role allows it is [`crate::access_table`]'s to say.
    pub fn confirm(_by: &Proved, reading: &ClockReading) -> DestructionClock {
        DestructionClock::Believed {
            anchor: ClockAnchor::at(reading),
        }
    }
}

/// How far the wall is past the last audited time, where that is too far.
fn ahead(reading: &ClockReading) -> Option<SignedDuration> {
    let by = reading.last_audited?.duration_until(reading.wall);
    (by > FARTHEST_AHEAD).then_some(by)
}

fn frozen(boot: BootId, cause: FreezeCause, by: SignedDuration) -> DestructionClock {
    let by_ms = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
    DestructionClock::Frozen { boot, cause, by_ms }
}

#[cfg(test)]
mod tests {
    use jiff::ToSpan;

    use super::*;
    use crate::credentials::LoginSession;

    const MONDAY: &str = "fdf9c005-c311-4e88-9307-03e2402e1d79";
    const TUESDAY: &str = "0df9c005-c311-4e88-9307-03e2402e1d79";

    fn noon() -> Timestamp {
        "2026-11-30T03:00:00Z".parse().unwrap()
    }

    /// Some hours after noon by the monotonic clock; the last entry was written then too.
    fn reading(boot: &str, hours: i64) -> ClockReading {
        let wall = noon() + hours.hours();
        ClockReading {
            wall,
            boot: boot.parse().unwrap(),
            since_boot: SignedDuration::from_hours(hours),
            kernel: KernelClock::Free,
            last_audited: Some(wall),
        }
    }

    fn believed() -> DestructionClock {
        DestructionClock::default().handle_reading(&reading(MONDAY, 0))
    }

    fn is_frozen(clock: DestructionClock) -> Option<FreezeCause> {
        match clock {
            DestructionClock::Frozen { cause, .. } => Some(cause),
            DestructionClock::Unread
            | DestructionClock::Lost
            | DestructionClock::Believed { .. } => None,
        }
    }

    #[test]
    fn a_clock_that_keeps_step_is_believed_for_months() {
        let clock = (1..=24 * 120).fold(believed(), |clock, hours| {
            clock.handle_reading(&reading(MONDAY, hours))
        });
        assert_eq!(is_frozen(clock), None);
    }

    #[test]
    fn a_step_of_more_than_five_minutes_either_way_freezes_and_smaller_ones_add_up() {
        for (seconds, expected) in [
            (300, None),
            (301, Some(FreezeCause::AwayFromMonotonic)),
            (-300, None),
            (-301, Some(FreezeCause::AwayFromMonotonic)),
        ] {
            let mut stepped = reading(MONDAY, 1);
            stepped.wall += SignedDuration::from_secs(seconds);
            assert_eq!(
                is_frozen(believed().handle_reading(&stepped)),
                expected,
                "{seconds}"
            );
        }
        // Four minutes, and four more.
        let mut clock = believed();
        for minutes in [4, 8] {
            let mut stepped = reading(MONDAY, 1);
            stepped.wall += minutes.minutes();
            clock = clock.handle_reading(&stepped);
        }
        assert_eq!(is_frozen(clock), Some(FreezeCause::AwayFromMonotonic));
    }

    #[test]
    fn a_clock_far_past_the_trail_freezes_at_once_and_after_a_restart() {
        for (hours, expected) in [(26, None), (27, Some(FreezeCause::AheadOfTrail))] {
            for before in [DestructionClock::Unread, believed()] {
                let ahead = ClockReading {
                    last_audited: Some(noon()),
                    ..reading(TUESDAY, hours)
                };
                assert_eq!(
                    is_frozen(before.handle_reading(&ahead)),
                    expected,
                    "{hours}"
                );
            }
        }
        let first = ClockReading {
            last_audited: None,
            ..reading(MONDAY, 9_000)
        };
        assert_eq!(
            is_frozen(DestructionClock::Unread.handle_reading(&first)),
            None
        );
    }

    #[test]
    fn frozen_stays_frozen_though_the_clock_goes_back_or_the_kernel_is_synchronised() {
        let mut stepped = reading(MONDAY, 1);
        stepped.wall += 90.minutes();
        let frozen = believed().handle_reading(&stepped);
        let mut right = reading(MONDAY, 2);
        right.kernel = KernelClock::Synchronised;
        assert_eq!(frozen.handle_reading(&right), frozen);
        // The machine starts again, and nothing disciplines its clock yet.
        assert_eq!(frozen.handle_reading(&reading(TUESDAY, 3)), frozen);

        let mut disciplined = reading(TUESDAY, 3);
        disciplined.kernel = KernelClock::Synchronised;
        assert_eq!(is_frozen(frozen.handle_reading(&disciplined)), None);
    }

    #[test]
    fn a_word_that_is_lost_freezes_whatever_the_trail_says_until_another_start_or_a_person() {
        let mut agreeing = reading(MONDAY, 1);
        agreeing.kernel = KernelClock::Synchronised;
        assert!(DestructionClock::Lost.check().is_err());
        let lost = DestructionClock::Lost.handle_reading(&agreeing);
        assert_eq!(is_frozen(lost), Some(FreezeCause::WordLost));
        assert_eq!(lost.handle_reading(&agreeing), lost);
        let mut restarted = reading(TUESDAY, 2);
        restarted.kernel = KernelClock::Synchronised;
        assert_eq!(is_frozen(lost.handle_reading(&restarted)), None);
    }

    #[test]
    fn the_trail_tells_of_freezing_and_of_going_on_and_of_nothing_else() {
        let (cause, by_ms) = (FreezeCause::AheadOfTrail, 1);
        let frozen = AuditEvent::DestructionFrozen { cause, by_ms };
        let resumed = AuditEvent::DestructionResumed { reason: None };
        let other = AuditEvent::SupervisionShown {
            month: "2026-11".parse().unwrap(),
            policy: Some(1),
        };
        let told = [&frozen, &resumed, &other].map(DestructionClock::told_by);
        let expected = [
            Some(DestructionClock::Lost),
            Some(DestructionClock::Unread),
            None,
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn whoever_confirms_begins_anew() {
        let mut stepped = reading(MONDAY, 1);
        stepped.wall += (90 * 24).hours();
        let frozen = believed().handle_reading(&stepped);
        assert_eq!(frozen.check().unwrap_err().code(), RefusalCode::ClockFrozen);
        let session = LoginSession {
            person: "bucho".parse().unwrap(),
            began_at: stepped.wall,
            seen_at: stepped.wall,
        };
        let manager = session.judge(stepped.wall).unwrap();
        let clock = DestructionClock::confirm(&manager, &stepped);
        assert!(clock.check().is_ok());
        stepped.since_boot += SignedDuration::from_hours(1);
        stepped.wall += 1.hour();
        stepped.last_audited = Some(stepped.wall);
        assert_eq!(is_frozen(clock.handle_reading(&stepped)), None);
    }

    #[test]
    fn a_machine_that_was_off_over_the_holidays_goes_on_when_its_clock_is_disciplined() {
        let mut back = reading(TUESDAY, 24 * 9);
        back.last_audited = Some(noon());
        let waiting = believed().handle_reading(&back);
        assert_eq!(is_frozen(waiting), Some(FreezeCause::AheadOfTrail));
        back.kernel = KernelClock::Synchronised;
        assert_eq!(is_frozen(waiting.handle_reading(&back)), None);
    }

    #[test]
    fn a_boot_id_reads_back_what_it_prints() {
        let boot: BootId = MONDAY.parse().unwrap();
        assert_eq!(boot.to_string(), MONDAY);
        for text in [
            "",
            "FDF9C005-c311-4e88-9307-03e2402e1d79",
            "fdf9c005c3114e88930703e2402e1d79",
        ] {
            assert!(text.parse::<BootId>().is_err(), "{text}");
        }
    }
}
