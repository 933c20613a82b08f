//! 遵守させなければならない (要領 3-2): what the manager looks at once a month, counted from the trail (K-27).

use std::collections::BTreeMap;

use jiff::{Timestamp, civil::Weekday};
use serde::{Deserialize, Serialize};

use crate::{
    access::Action,
    audit::{AlarmCode, AuditEntry, AuditEvent},
    digest::Digest,
    hand_over::HandOverFact,
    ids::{HandOverId, JstDay, StaffId, jst_hour},
    month::JstMonth,
    people::{Person, Recovery},
    purpose::Purpose,
    refusal::RefusalCode,
    register::{Fact, Register},
};

/// A line of the report. Who is `None` where nobody was proved.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "snake_case")]
pub enum SupervisionLine {
    /// Content that somebody opened or looked for.
    Access {
        /// Who.
        who: Option<StaffId>,
        /// In which way.
        action: Action,
        /// What for.
        purpose: Purpose,
        /// How often.
        count: u64,
    },
    /// Of that, at night or at a weekend.
    OutsideHours {
        /// Who.
        who: Option<StaffId>,
        /// From 20:00 to 07:00.
        night: u64,
        /// On a Saturday or Sunday, whatever the hour.
        weekend: u64,
    },
    /// Files that were written on the host.
    Export {
        /// By whom.
        who: Option<StaffId>,
        /// How many.
        count: u64,
    },
    /// A package that was made to be handed over.
    Package {
        /// When it was whole.
        at: Timestamp,
        /// By whom.
        who: Option<StaffId>,
        /// For which hand-over.
        hand_over: HandOverId,
        /// How many recordings are in it.
        recordings: u64,
    },
    /// What was refused.
    Denial {
        /// To whom.
        who: Option<StaffId>,
        /// Why.
        code: RefusalCode,
        /// How often.
        count: u64,
    },
    /// Emergencies that were declared or renewed.
    Emergencies {
        /// By whom.
        who: Option<StaffId>,
        /// How many.
        count: u64,
    },
    /// A manager whom root named.
    Recovered {
        /// Whom.
        person: StaffId,
    },
    /// Alarms.
    Alarm {
        /// Which.
        code: AlarmCode,
        /// How often.
        count: u64,
    },
    /// What should be gone or decided anew by now, whatever the month.
    Overdue {
        /// Copies outside the vault, past the day by which they go.
        copies: u64,
        /// Holds past their review or their end.
        holds: u64,
    },
    /// Managers whom root named and no auditor has acknowledged, whatever the month.
    RecoveryOpen {
        /// Whom.
        person: StaffId,
    },
    /// The manager signed this month's report off.
    SignedOff {
        /// Who.
        by: Option<StaffId>,
        /// The SHA-256 of what was signed.
        report: Digest,
    },
}

/// A month's report, gathered entry by entry from both chains.
#[derive(Debug, Clone)]
pub struct Supervision {
    month: JstMonth,
    accesses: BTreeMap<(Option<StaffId>, Action, Purpose), u64>,
    outside: BTreeMap<Option<StaffId>, (u64, u64)>,
    exports: BTreeMap<Option<StaffId>, u64>,
    packages: Vec<SupervisionLine>,
    /// For what hand-overs were asked for, in whatever month.
    purposes: BTreeMap<HandOverId, Purpose>,
    denials: BTreeMap<(Option<StaffId>, RefusalCode), u64>,
    emergencies: BTreeMap<Option<StaffId>, u64>,
    recovered: Vec<StaffId>,
    alarms: BTreeMap<AlarmCode, u64>,
}

impl Supervision {
    /// Of this month, before the first entry.
    pub fn of(month: JstMonth) -> Supervision {
        Supervision {
            month,
            accesses: BTreeMap::new(),
            outside: BTreeMap::new(),
            exports: BTreeMap::new(),
            packages: Vec::new(),
            purposes: BTreeMap::new(),
            denials: BTreeMap::new(),
            emergencies: BTreeMap::new(),
            recovered: Vec::new(),
            alarms: BTreeMap::new(),
        }
    }

    /// Takes the next entry of a chain.
    pub fn handle(&mut self, entry: &AuditEntry) {
        if let AuditEvent::Registered {
            change: Fact::HandOver(HandOverFact::Requested { hand_over, wish }),
            ..
        } = &entry.event
        {
            self.purposes.insert(*hand_over, wish.purpose);
        }
        if JstMonth::of(entry.at) != self.month {
            return;
        }
        let who = entry.actor.person().cloned();
        match &entry.event {
            AuditEvent::ListenGranted {
                action, purpose, ..
            } => self.access(entry, *action, *purpose),
            AuditEvent::SearchGranted { purpose, .. } => {
                self.access(entry, Action::Find, *purpose);
            }
            AuditEvent::NumberRevealed { purpose, .. } => {
                self.access(entry, Action::Reveal, *purpose);
            }
            AuditEvent::ExportCompleted { .. } => *self.exports.entry(who).or_default() += 1,
            AuditEvent::ListenRefused { code, .. } | AuditEvent::ActionRefused { code, .. } => {
                *self.denials.entry((who, *code)).or_default() += 1;
            }
            AuditEvent::LoginRefused { tried, code } => {
                *self.denials.entry((tried.clone(), *code)).or_default() += 1;
            }
            AuditEvent::EmergencyDeclared { .. } => {
                *self.emergencies.entry(who).or_default() += 1;
            }
            AuditEvent::Registered {
                change: Fact::Recovered { person, .. },
                ..
            } => self.recovered.push(person.clone()),
            AuditEvent::Registered {
                change: Fact::HandOver(fact),
                ..
            } => self.handle_hand_over(entry, fact),
            AuditEvent::AlarmRaised { code, .. } => *self.alarms.entry(*code).or_default() += 1,
            _ => {}
        }
    }

    /// A package opens content when it begins, and is an export once it is whole.
    fn handle_hand_over(&mut self, entry: &AuditEntry, fact: &HandOverFact) {
        match fact {
            HandOverFact::PackageBegun { hand_over, .. } => {
                if let Some(purpose) = self.purposes.get(hand_over) {
                    self.access(entry, Action::Package, *purpose);
                }
            }
            HandOverFact::Packaged {
                hand_over,
                contents,
                ..
            } => self.packages.push(SupervisionLine::Package {
                at: entry.at,
                who: entry.actor.person().cloned(),
                hand_over: *hand_over,
                recordings: u64::try_from(contents.items.len()).unwrap_or(u64::MAX),
            }),
            _ => {}
        }
    }

    fn access(&mut self, entry: &AuditEntry, action: Action, purpose: Purpose) {
        let who = entry.actor.person().cloned();
        let (night, weekend) = outside_hours(entry);
        if night + weekend > 0 {
            let outside = self.outside.entry(who.clone()).or_default();
            outside.0 += night;
            outside.1 += weekend;
        }
        *self.accesses.entry((who, action, purpose)).or_default() += 1;
    }

    /// The report, line by line, in an order that is always the same.
    pub fn lines(&self) -> Vec<SupervisionLine> {
        let accesses = self.accesses.iter().map(|((who, action, purpose), count)| {
            let who = who.clone();
            SupervisionLine::Access {
                who,
                action: *action,
                purpose: *purpose,
                count: *count,
            }
        });
        let outside = self.outside.iter().map(|(who, (night, weekend))| {
            let who = who.clone();
            SupervisionLine::OutsideHours {
                who,
                night: *night,
                weekend: *weekend,
            }
        });
        let exports = self.exports.iter().map(|(who, count)| {
            let (who, count) = (who.clone(), *count);
            SupervisionLine::Export { who, count }
        });
        let denials = self.denials.iter().map(|((who, code), count)| {
            let who = who.clone();
            SupervisionLine::Denial {
                who,
                code: *code,
                count: *count,
            }
        });
        let emergencies = self.emergencies.iter().map(|(who, count)| {
            let (who, count) = (who.clone(), *count);
            SupervisionLine::Emergencies { who, count }
        });
        let recovered = self.recovered.iter().map(|person| {
            let person = person.clone();
            SupervisionLine::Recovered { person }
        });
        let alarms = self.alarms.iter().map(|(code, count)| {
            let (code, count) = (*code, *count);
            SupervisionLine::Alarm { code, count }
        });
        accesses
            .chain(outside)
            .chain(exports)
            .chain(self.packages.iter().cloned())
            .chain(denials)
            .chain(emergencies)
            .chain(recovered)
            .chain(alarms)
            .collect()
    }
}

const EVENING: i8 = 20; // A city hall's last desk has closed by then.
const MORNING: i8 = 7;

/// Whether it was at night, and whether at a weekend: 1 or 0 each.
fn outside_hours(entry: &AuditEntry) -> (u64, u64) {
    let hour = jst_hour(entry.at);
    let weekday = JstDay::of(entry.at).date().weekday();
    let is_night = !(MORNING..EVENING).contains(&hour);
    let is_weekend = matches!(weekday, Weekday::Saturday | Weekday::Sunday);
    (u64::from(is_night), u64::from(is_weekend))
}

/// Who signed which month's report off.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct SignOffs {
    since: Option<Timestamp>,
    signed: BTreeMap<JstMonth, SignOff>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct SignOff {
    by: Option<StaffId>,
    report: Digest,
}

impl SignOffs {
    /// Something stands in the register from now on, so that there is somebody to supervise.
    pub(crate) fn begin(&mut self, at: Timestamp) {
        self.since.get_or_insert(at);
    }

    /// The first signature under a month is the one that stands.
    pub(crate) fn sign(&mut self, month: JstMonth, by: Option<StaffId>, report: Digest) {
        self.signed.entry(month).or_insert(SignOff { by, report });
    }

    /// The last whole month, where its report waits for a signature.
    fn due(&self, now: Timestamp) -> Option<JstMonth> {
        let month = JstMonth::of(now).previous();
        let was_anybody = self.since.is_some_and(|since| since < month.end().start());
        (was_anybody && !self.signed.contains_key(&month)).then_some(month)
    }
}

impl Register {
    /// The last whole month, where nobody has signed its supervision report off.
    pub fn supervision_due(&self, now: Timestamp) -> Option<JstMonth> {
        self.sign_offs.due(now)
    }

    /// What the report of a month says of what stands now.
    pub fn supervision(&self, month: JstMonth, now: Timestamp) -> Vec<SupervisionLine> {
        let copies = self.copies().iter();
        let overdue = copies.filter(|(_, copy)| copy.is_overdue(now)).count();
        let holds = self.holds().iter();
        let waiting = holds.filter_map(|(_, hold)| hold.overdue(now)).count();
        let overdue = SupervisionLine::Overdue {
            copies: u64::try_from(overdue).unwrap_or(u64::MAX),
            holds: u64::try_from(waiting).unwrap_or(u64::MAX),
        };
        let open = self.open_recoveries().map(|person| {
            let person = person.clone();
            SupervisionLine::RecoveryOpen { person }
        });
        let signed = self.sign_offs.signed.get(&month);
        let signed = signed.map(|SignOff { by, report }| {
            let (by, report) = (by.clone(), *report);
            SupervisionLine::SignedOff { by, report }
        });
        [overdue].into_iter().chain(open).chain(signed).collect()
    }

    /// Managers whom somebody with root's right named and no auditor has acknowledged.
    pub fn open_recoveries(&self) -> impl Iterator<Item = &StaffId> {
        self.people()
            .filter(|person| matches!(person.recovery(), Some(Recovery::Open { .. })))
            .map(Person::id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        audit::Actor,
        hand_over::{Contents, Destination, PackageForm, Wished},
        ids::{CopyId, RecordingId},
    };

    fn granted(seq: u64, at: &str, who: &str) -> AuditEntry {
        AuditEntry {
            seq,
            at: at.parse().unwrap(),
            actor: Actor::Person {
                unix_user: "denwaban".to_owned(),
                person: Some(who.parse().unwrap()),
            },
            event: AuditEvent::SearchGranted {
                criteria: [].into(),
                purpose: Purpose::StaffCheck,
                policy: 1,
            },
        }
    }

    #[test]
    fn use_at_night_and_at_weekends_is_told_apart_by_the_citys_clock() {
        let mut supervision = Supervision::of("2026-11".parse().unwrap());
        for (seq, at) in (1..).zip([
            "2026-11-24T01:00:00Z", // Tuesday, 10:00.
            "2026-11-24T10:59:59Z", // 19:59:59.
            "2026-11-24T11:00:00Z", // 20:00.
            "2026-11-24T21:59:59Z", // Wednesday, 06:59:59.
            "2026-11-27T15:00:00Z", // Saturday, 00:00.
            "2026-11-29T03:00:00Z", // Sunday noon.
            "2026-11-30T15:00:00Z", // December.
        ]) {
            supervision.handle(&granted(seq, at, "hanako"));
        }
        let who: Option<StaffId> = "hanako".parse().ok();
        let expected = [
            SupervisionLine::Access {
                who: who.clone(),
                action: Action::Find,
                purpose: Purpose::StaffCheck,
                count: 6,
            },
            SupervisionLine::OutsideHours {
                who,
                night: 3,
                weekend: 2,
            },
        ];
        assert_eq!(supervision.lines(), expected);
    }

    #[test]
    fn a_package_is_an_access_when_it_begins_and_is_named_once_it_is_whole() {
        let who: Option<StaffId> = "taro".parse().ok();
        let hand_over = HandOverId::new(Timestamp::UNIX_EPOCH, 1);
        let copy = CopyId::new(Timestamp::UNIX_EPOCH, 2);
        let recording = RecordingId::new(Timestamp::UNIX_EPOCH, 3);
        let wish = Wished {
            to: Destination::Contract {
                vendor: "bunseki".parse().unwrap(),
                contract: "r8-1".parse().unwrap(),
            },
            purpose: Purpose::AnalysisInquiry,
            medium: Digest([9; 32]).into(),
            items: [recording].into(),
        };
        let destroy_by = Timestamp::UNIX_EPOCH;
        let form = PackageForm::Zip;
        let begun = HandOverFact::PackageBegun {
            hand_over,
            copy,
            form,
            destroy_by,
            place: None,
        };
        let contents = Contents {
            sha256: Digest([1; 32]),
            bytes: 1,
            code: Digest([2; 32]),
            items: [(recording, Digest([3; 32]))].into(),
        };
        let packaged = HandOverFact::Packaged {
            hand_over,
            copy,
            contents,
        };
        let mut supervision = Supervision::of("2026-11".parse().unwrap());
        for (at, fact) in [
            (
                "2026-10-31T01:00:00Z",
                HandOverFact::Requested { hand_over, wish },
            ),
            ("2026-11-24T01:00:00Z", begun.clone()),
            ("2026-11-24T02:00:00Z", begun),
            ("2026-11-24T02:01:00Z", packaged),
        ] {
            let change = Fact::HandOver(fact);
            let event = AuditEvent::Registered { change, policy: 1 };
            supervision.handle(&AuditEntry {
                event,
                ..granted(1, at, "taro")
            });
        }
        let expected = [
            SupervisionLine::Access {
                who: who.clone(),
                action: Action::Package,
                purpose: Purpose::AnalysisInquiry,
                count: 2,
            },
            SupervisionLine::Package {
                at: "2026-11-24T02:01:00Z".parse().unwrap(),
                who,
                hand_over,
                recordings: 1,
            },
        ];
        assert_eq!(supervision.lines(), expected);
    }

    #[test]
    fn a_report_is_due_when_its_month_is_over_until_it_is_signed_once() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let month: JstMonth = "2026-11".parse().unwrap();
        let mut sign_offs = SignOffs::default();
        assert_eq!(sign_offs.due(at("2026-12-01T00:00:00Z")), None);
        sign_offs.begin(at("2026-11-30T14:59:59Z"));
        assert_eq!(sign_offs.due(at("2026-11-30T14:59:59Z")), None);
        assert_eq!(sign_offs.due(at("2026-11-30T15:00:00Z")), Some(month));
        sign_offs.sign(month, "kacho".parse().ok(), Digest([1; 32]));
        let signed = sign_offs.clone();
        sign_offs.sign(month, "taro".parse().ok(), Digest([2; 32]));
        assert_eq!(sign_offs, signed);
        assert_eq!(sign_offs.due(at("2026-12-24T00:00:00Z")), None);
    }
}
