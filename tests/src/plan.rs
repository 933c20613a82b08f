//! What kind of city it is: its profile, its department, its network, and what is broken in it.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::Duration,
};

use announcements::PromptId;
use exchange::{
    Allowed, Department, FaultInjection, FaultMoment, Limits, Listener, Outbound, Overload,
    PeerRole, Places, Prefix, Settings, Target, Trunk,
};
use rules::{DecisionId, Number, NumberDecision, NumberPolicy, Profile};
use sip_core::Transport;

use crate::{
    department::{Manners, answers_after},
    net::Weather,
};

/// The number that citizens call in most scenarios.
pub const NUMBER: &str = "0783331001";
/// Another number of the city, with the same profile.
pub const OTHER_NUMBER: &str = "0783331002";

/// What kind of city it is.
#[derive(Debug, Clone)]
pub struct Plan {
    /// How its numbers are taken.
    pub profile: Profile,
    /// Whether a decision waives the announcement.
    pub is_waived: bool,
    /// The user parts of the department's targets and how long each may ring.
    pub targets: Vec<(&'static str, u64)>,
    /// What each telephone does.
    pub manners: BTreeMap<String, Manners>,
    /// Prompts that are missing.
    pub prompts_missing: Vec<PromptId>,
    /// The network.
    pub weather: Weather,
    /// What makes it again.
    pub seed: u64,
    /// Port pairs of each of its shards.
    pub legs: u32,
    /// Its media shards.
    pub shards: u16,
    /// How much there may be.
    pub limits: Limits,
    /// Whether the day's keys are there.
    pub has_keys: bool,
    /// Whether nobody is at the PBX's address.
    pub is_pbx_away: bool,
    /// By what the carrier is reached.
    pub carrier_by: Transport,
    /// By what the PBX is reached.
    pub pbx_by: Transport,
    /// Whether its shard carries media and reports nothing.
    pub is_shard_mute: bool,
    /// The number whose calls break an invariant.
    pub broken_number: Option<&'static str>,
    /// When they do.
    pub broken_at: FaultMoment,
    /// What else is different in its settings.
    pub adapt: fn(&mut Settings),
}

impl Plan {
    /// A city that announces; its one telephone answers after two seconds.
    pub fn announce() -> Plan {
        Plan {
            profile: Profile::Announce,
            is_waived: false,
            targets: vec![("100", 20)],
            manners: BTreeMap::from([("100".to_owned(), answers_after(2_000))]),
            prompts_missing: Vec::new(),
            weather: Weather::default(),
            seed: 1,
            legs: 16,
            shards: 1,
            limits: Limits::default(),
            has_keys: true,
            is_pbx_away: false,
            carrier_by: Transport::Udp,
            pbx_by: Transport::Udp,
            is_shard_mute: false,
            broken_number: None,
            broken_at: FaultMoment::Answering,
            adapt: |_| {},
        }
    }

    /// A city that passes calls on as they come.
    pub fn transparent() -> Plan {
        Plan {
            profile: Profile::Transparent,
            ..Plan::announce()
        }
    }

    /// With a telephone of other manners.
    pub fn with(mut self, user: &str, manners: Manners) -> Plan {
        self.manners.insert(user.to_owned(), manners);
        self
    }
}

/// The settings of the exchange of such a city.
pub(crate) fn settings(
    plan: &Plan,
    exchange: SocketAddr,
    carrier: SocketAddr,
    pbx: SocketAddr,
) -> Settings {
    let peer = |name: &str, role, address: SocketAddr, by| {
        Trunk {
            outbound: role == PeerRole::Carrier,
            ..Trunk::new(name, role, vec![address.ip()])
        }
        .at(address, by)
    };
    let target = |(user, ring_s): &(&str, u64)| Target {
        places: Places::Peer("pbx".to_owned()),
        user: Some((*user).to_owned()),
        ring: Duration::from_secs(*ring_s),
    };
    let number = |text: &str| Number::parse(text).expect("a number");
    let policy = |text: &str| NumberPolicy {
        number: number(text),
        profile: plan.profile,
        decision: plan.is_waived.then(|| {
            let (id, day) = (
                DecisionId::from_bytes([7; 16]),
                jiff::civil::date(2026, 4, 1),
            );
            NumberDecision::by_configuration(id, number(text), "広第1号", day, "root")
                .expect("a decision that can be found")
        }),
        department: "daihyo".to_owned(),
    };
    let mut settings = Settings {
        listeners: BTreeSet::from([Transport::Udp, plan.carrier_by, plan.pbx_by])
            .into_iter()
            .map(|transport| Listener {
                transport,
                address: exchange,
            })
            .collect(),
        peers: vec![
            peer("carrier", PeerRole::Carrier, carrier, plan.carrier_by),
            peer("pbx", PeerRole::Pbx, pbx, plan.pbx_by),
        ],
        departments: vec![Department {
            name: "daihyo".to_owned(),
            targets: plan.targets.iter().map(target).collect(),
        }],
        numbers: vec![policy(NUMBER), policy(OTHER_NUMBER)],
        outbound: Outbound {
            allowed: vec![Allowed {
                prefix: Prefix::parse("0").expect("a prefix"),
                calls: None,
            }],
            ..Outbound::default()
        },
        limits: plan.limits,
        overload: Overload::default(),
        sip: sip_core::Settings::default(),
        fault_injection: plan.broken_number.map(|called| FaultInjection {
            called: number(called),
            moment: plan.broken_at,
        }),
    };
    (plan.adapt)(&mut settings);
    assert_eq!(settings.faults(), []);
    settings
}
