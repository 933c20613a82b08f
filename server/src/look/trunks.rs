//! A peer as it is told over the socket and by `--json`: reasons are codes, which the command line puts into words. Times are Japan's.

use exchange::{
    Ailment, Channels, Choice, Chosen, Passed, PassedOver, PeerRole, PlaceName, PlaceReport,
    PlaceState, RegistrationReport, Setback, TrunkReport,
};
use rules::jst_rfc3339;
use serde::{Deserialize, Serialize};
use sip_core::Transport;

/// A peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TrunkView {
    pub(crate) name: String,
    pub(crate) role: RoleView,
    #[serde(flatten)]
    pub(crate) state: TrunkStateView,
    /// Calls it has now, both ways.
    pub(crate) calls: u32,
    /// What its contract allows; null: nothing is counted against it.
    pub(crate) channels: Option<u32>,
    /// Of these, what only emergency calls may take.
    pub(crate) emergency_reserve: Option<u32>,
    pub(crate) places: Vec<PlaceView>,
    /// Null where we do not register.
    pub(crate) registration: Option<RegistrationView>,
    pub(crate) last_chosen: Option<ChosenView>,
    pub(crate) last_passed_over: Option<PassedView>,
    /// What it sent that was no message of SIP: answered 400, and dropped.
    pub(crate) malformed_answered: u64,
    pub(crate) malformed_dropped: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RoleView {
    Carrier,
    Pbx,
}

/// How a peer stands as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub(crate) enum TrunkStateView {
    Up,
    Down { why: Ailment, since: String },
}

/// One place of a peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PlaceView {
    #[serde(flatten)]
    pub(crate) place: PlaceNameView,
    /// The name it was found by.
    pub(crate) name: Option<String>,
    #[serde(flatten)]
    pub(crate) state: PlaceStateView,
}

/// Where a call may go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PlaceNameView {
    pub(crate) address: String,
    /// `udp`, `tcp`, `tls`.
    pub(crate) transport: String,
}

/// How a place stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub(crate) enum PlaceStateView {
    Up,
    /// It has asked for no calls until then.
    Resting {
        until: String,
    },
    Down {
        why: Ailment,
    },
    /// Down, and the next call may try it.
    Trial {
        why: Ailment,
    },
}

/// How we stand with a registrar.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RegistrationView {
    /// Until when we are registered; null where we are not.
    pub(crate) held_until: Option<String>,
    /// REGISTERs in a row that brought nothing.
    pub(crate) failures: u32,
    /// Numbers that the registrar says are ours.
    pub(crate) numbers: usize,
}

/// That a call was sent to a peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ChosenView {
    pub(crate) at: String,
    #[serde(flatten)]
    pub(crate) place: PlaceNameView,
    #[serde(flatten)]
    pub(crate) because: ChoiceView,
}

/// Why it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "because", rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum ChoiceView {
    Only,
    LastLeft,
    Lives,
    Number,
    Site,
    Priority,
    Weight,
    After { failed: FailedView },
}

/// The way that was tried before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FailedView {
    pub(crate) peer: String,
    #[serde(flatten)]
    pub(crate) place: PlaceNameView,
    pub(crate) why: SetbackView,
}

/// What became of a way that was tried: a code, or a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum SetbackView {
    Ailing(Ailment),
    Failed(u16),
}

/// That a call was not sent to a peer, or no longer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PassedView {
    pub(crate) at: String,
    #[serde(flatten)]
    pub(crate) because: PassedOverView,
}

/// Why it was not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "because", rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum PassedOverView {
    Priority,
    Weight,
    Number,
    Site,
    Down { why: Ailment },
    Resting { until: String },
    Failed { why: SetbackView },
    Full,
    NoAddress,
    NoListener,
    NotForCalls,
    NoNumber,
}

impl TrunkView {
    pub(super) fn of(report: &TrunkReport) -> TrunkView {
        let channels = report.channels;
        TrunkView {
            name: report.name.clone(),
            role: match report.role {
                PeerRole::Carrier => RoleView::Carrier,
                PeerRole::Pbx => RoleView::Pbx,
            },
            state: match report.down {
                None => TrunkStateView::Up,
                Some((since, why)) => TrunkStateView::Down {
                    why,
                    since: jst_rfc3339(since),
                },
            },
            calls: report.calls,
            channels: channels.map(|channels: Channels| channels.total),
            emergency_reserve: channels.map(|channels| channels.emergency_reserve),
            places: report.places.iter().map(PlaceView::of).collect(),
            registration: report.registration.as_ref().map(RegistrationView::of),
            last_chosen: report.last_chosen.as_ref().map(ChosenView::of),
            last_passed_over: report.last_passed_over.as_ref().map(PassedView::of),
            malformed_answered: report.malformed.answered,
            malformed_dropped: report.malformed.dropped,
        }
    }
}

impl PlaceView {
    fn of(report: &PlaceReport) -> PlaceView {
        PlaceView {
            place: PlaceNameView::of(report.place),
            name: report.name.clone(),
            state: match report.state {
                PlaceState::Up => PlaceStateView::Up,
                PlaceState::Resting(until) => PlaceStateView::Resting {
                    until: jst_rfc3339(until),
                },
                PlaceState::Down(why) => PlaceStateView::Down { why },
                PlaceState::OnTrial(why) => PlaceStateView::Trial { why },
            },
        }
    }
}

impl PlaceNameView {
    fn of(place: PlaceName) -> PlaceNameView {
        PlaceNameView {
            address: place.address.to_string(),
            transport: match place.transport {
                Transport::Udp => "udp",
                Transport::Tcp => "tcp",
                Transport::Tls => "tls",
            }
            .to_owned(),
        }
    }
}

impl RegistrationView {
    fn of(report: &RegistrationReport) -> RegistrationView {
        RegistrationView {
            held_until: report.held_until.map(jst_rfc3339),
            failures: report.failures,
            numbers: report.numbers,
        }
    }
}

impl ChosenView {
    fn of(chosen: &Chosen) -> ChosenView {
        ChosenView {
            at: jst_rfc3339(chosen.at),
            place: PlaceNameView::of(chosen.place),
            because: match &chosen.why {
                Choice::Only => ChoiceView::Only,
                Choice::LastLeft => ChoiceView::LastLeft,
                Choice::Lives => ChoiceView::Lives,
                Choice::Number => ChoiceView::Number,
                Choice::Site => ChoiceView::Site,
                Choice::Priority => ChoiceView::Priority,
                Choice::Weight => ChoiceView::Weight,
                Choice::After {
                    peer,
                    place,
                    setback,
                } => ChoiceView::After {
                    failed: FailedView {
                        peer: peer.clone(),
                        place: PlaceNameView::of(*place),
                        why: SetbackView::of(*setback),
                    },
                },
            },
        }
    }
}

impl SetbackView {
    fn of(setback: Setback) -> SetbackView {
        match setback {
            Setback::Ailing(ailment) => SetbackView::Ailing(ailment),
            Setback::Failed(status) => SetbackView::Failed(status),
        }
    }
}

impl PassedView {
    fn of(passed: &Passed) -> PassedView {
        PassedView {
            at: jst_rfc3339(passed.at),
            because: match passed.why {
                PassedOver::Priority => PassedOverView::Priority,
                PassedOver::Weight => PassedOverView::Weight,
                PassedOver::Number => PassedOverView::Number,
                PassedOver::Site => PassedOverView::Site,
                PassedOver::Down(why) => PassedOverView::Down { why },
                PassedOver::Resting(until) => PassedOverView::Resting {
                    until: jst_rfc3339(until),
                },
                PassedOver::Failed(setback) => PassedOverView::Failed {
                    why: SetbackView::of(setback),
                },
                PassedOver::Full => PassedOverView::Full,
                PassedOver::NoAddress => PassedOverView::NoAddress,
                PassedOver::NoListener => PassedOverView::NoListener,
                PassedOver::NotForCalls => PassedOverView::NotForCalls,
                PassedOver::NoNumber => PassedOverView::NoNumber,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_cross_the_socket_as_codes() {
        let address = "192.0.2.20:5060".parse().unwrap();
        let transport = Transport::Udp;
        let place = PlaceName { address, transport };
        let at = "2026-04-01T00:00:00Z".parse().unwrap();
        let setback = Setback::Ailing(Ailment::Unreachable(exchange::Unreachable::Nobody));
        let chosen = ChosenView::of(&Chosen {
            at,
            place,
            why: Choice::After {
                peer: "first".to_owned(),
                place,
                setback,
            },
        });
        let passed = |why| PassedView::of(&Passed { at, why });
        let resting = passed(PassedOver::Resting(at));
        let failed = passed(PassedOver::Failed(Setback::Failed(486)));
        let expected = serde_json::json!({
            "at": "2026-04-01T09:00:00.000+09:00",
            "address": "192.0.2.20:5060",
            "transport": "udp",
            "because": "AFTER",
            "failed": {
                "peer": "first", "address": "192.0.2.20:5060", "transport": "udp", "why": "NOBODY"
            }
        });
        let written = serde_json::to_value(&chosen).unwrap();
        assert_eq!(written, expected);
        assert_eq!(
            serde_json::from_value::<ChosenView>(written).unwrap(),
            chosen
        );
        for (view, written) in [
            (
                resting,
                r#"{"at":"2026-04-01T09:00:00.000+09:00","because":"RESTING","until":"2026-04-01T09:00:00.000+09:00"}"#,
            ),
            (
                failed,
                r#"{"at":"2026-04-01T09:00:00.000+09:00","because":"FAILED","why":486}"#,
            ),
        ] {
            assert_eq!(serde_json::to_string(&view).unwrap(), written);
            assert_eq!(serde_json::from_str::<PassedView>(written).unwrap(), view);
        }
    }
}
