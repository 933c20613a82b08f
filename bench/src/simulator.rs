//! The exchange without sockets or clocks: very many calls through it in little time, and what it holds afterwards.

use std::{
    collections::VecDeque,
    fmt, io,
    net::SocketAddr,
    time::{Duration, Instant},
};

use exchange::{
    Department, Input, Limits, Listener, Now, Outbound, Output, Overload, PeerRole, Places,
    Settings, Target, Trunk, Wiring,
};
use media::{Command, LegId, OfferedLeg};
use rules::{EmergencyState, Number, NumberPolicy, Profile};
use sip_core::{Hop, Transport};

use crate::{
    process,
    sip_text::{self, CALLED, CarrierCall},
};

/// Port pairs: two for each of the calls that are allowed at once, and some.
const PAIRS: u16 = 3_000;
/// What a transaction waits for at most (RFC 3261 section 17), and the longest ringing.
const SETTLE: Duration = Duration::from_secs(400);

/// What the carrier does with the answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// It acknowledges, and hangs up at once.
    Polite,
    /// It says nothing after its INVITE.
    Silent,
}

/// What came of it.
#[derive(Debug)]
pub struct SimulationReport {
    pub calls: u32,
    pub answered: u32,
    pub refused: u32,
    /// Resident memory of this process after each tenth, and when everything has settled.
    pub resident_kib: Vec<u64>,
    pub settled_kib: u64,
    pub took: Duration,
    pub simulated: Duration,
    /// Whether no call, dialog or transaction is left, and every port pair is free again.
    pub is_clean: bool,
}

/// Makes calls one after the other, `pause` of simulated time apart.
///
/// # Errors
/// When the settings are at fault or this process cannot be looked at.
pub fn simulate(calls: u32, pause: Duration, caller: Caller) -> io::Result<SimulationReport> {
    let mut world = World::new(caller, PAIRS)?;
    let (began, first) = (Instant::now(), world.now.at);
    let mut resident_kib = Vec::new();
    for call in 0..calls {
        world.dial(call);
        world.pass(pause);
        if (call + 1) % (calls / 10).max(1) == 0 {
            resident_kib.push(process::resident_kib(std::process::id())?);
        }
    }
    world.pass(SETTLE);
    let exchange = world.wiring.exchange();
    Ok(SimulationReport {
        calls,
        answered: world.answered,
        refused: world.refused,
        resident_kib,
        settled_kib: process::resident_kib(std::process::id())?,
        took: began.elapsed(),
        simulated: world.now.at.saturating_duration_since(first),
        is_clean: exchange.is_idle() && exchange.free_leg_count() == usize::from(PAIRS),
    })
}

/// The exchange between a carrier and a department, with a clock that is moved.
pub struct World {
    wiring: Wiring,
    now: Now,
    caller: Caller,
    us: SocketAddr,
    carrier: SocketAddr,
    department: SocketAddr,
    /// What is on the way to the exchange.
    arriving: VecDeque<(SocketAddr, String)>,
    answered: u32,
    refused: u32,
}

impl World {
    /// Makes an exchange with so many port pairs; without any each call is turned away.
    ///
    /// # Errors
    /// When the settings are at fault.
    pub fn new(caller: Caller, pairs: u16) -> io::Result<World> {
        let at = |last| SocketAddr::from(([192, 0, 2, last], 5060));
        let (us, carrier, department) = (at(1), at(2), at(3));
        let settings = settings(us, carrier, department)?;
        if let Some(fault) = settings.faults().first() {
            return Err(io::Error::other(format!("{fault:?}")));
        }
        let now = Now {
            at: Instant::now(),
            wall: jiff::Timestamp::UNIX_EPOCH,
        };
        let mut wiring = Wiring::new(settings, EmergencyState::default(), [7; 32]);
        let legs = (0..pairs).map(|slot| {
            offered(LegId {
                shard: 0,
                slot: u32::from(slot),
                generation: 0,
            })
        });
        wiring.handle(now, Input::LegsOffered(legs.collect()));
        Ok(World {
            wiring,
            now,
            caller,
            us,
            carrier,
            department,
            arriving: VecDeque::new(),
            answered: 0,
            refused: 0,
        })
    }

    /// Carries a call, numbered anew each time, until nobody says anything any more.
    pub fn dial(&mut self, call: u32) {
        let invite = self.call(call).invite();
        self.arriving.push_back((self.carrier, invite));
        self.run();
    }

    /// Lets time pass, with every timer at its own time.
    pub fn pass(&mut self, time: Duration) {
        let until = self.now.at + time;
        while let Some(due) = self
            .wiring
            .poll_timeout()
            .map(|(due, _)| due)
            .filter(|due| *due <= until)
        {
            self.go_to(due);
            self.wiring.handle(self.now, Input::Timeout);
            self.run();
        }
        self.go_to(until);
    }

    fn go_to(&mut self, at: Instant) {
        let step = at.saturating_duration_since(self.now.at);
        self.now.at += step;
        self.now.wall += step;
    }

    /// Carries everything to whom it is for, until nobody says anything any more.
    fn run(&mut self) {
        loop {
            while let Some(output) = self.wiring.poll_output() {
                self.carry(output);
            }
            let Some((from, text)) = self.arriving.pop_front() else {
                return;
            };
            let input = Input::Message {
                hop: Hop::udp(self.us, from),
                payload: text.into(),
                received_at: self.now.at,
            };
            self.wiring.handle(self.now, input);
        }
    }

    fn carry(&mut self, output: Output) {
        match output {
            Output::Sip(transmit) => {
                let text = String::from_utf8_lossy(&transmit.payload).into_owned();
                if transmit.hop.remote == self.carrier {
                    self.carrier_hears(&text);
                } else {
                    self.department_hears(&text);
                }
            }
            Output::Media {
                command: Command::Close { leg },
                ..
            } => {
                let next = LegId {
                    generation: leg.generation + 1,
                    ..leg
                };
                let legs = vec![offered(next)];
                self.wiring.handle(self.now, Input::LegsOffered(legs));
            }
            _ => {}
        }
    }

    fn carrier_hears(&mut self, text: &str) {
        let Some(status) = sip_text::status(text) else {
            let answer = sip_text::answer(text, "200 OK", "c", self.carrier, "");
            self.arriving.push_back((self.carrier, answer));
            return;
        };
        let is_invite = sip_text::header(text, "CSeq").is_some_and(|cseq| cseq.ends_with("INVITE"));
        if !is_invite || status < 200 {
            return;
        }
        *match status {
            200 => &mut self.answered,
            _ => &mut self.refused,
        } += 1;
        let number = sip_text::header(text, "Call-ID").and_then(|id| id.split('-').next());
        let Some(call) = number.and_then(|number| number.parse().ok()) else {
            return;
        };
        if self.caller == Caller::Silent {
            return;
        }
        let to = sip_text::header(text, "To").unwrap_or_default().to_owned();
        let contact = sip_text::header(text, "Contact").and_then(sip_text::uri);
        let contact = contact.unwrap_or_default().to_owned();
        let call = self.call(call);
        let said = match status {
            200 => vec![
                call.within("ACK", 1, &to, &contact),
                call.within("BYE", 2, &to, &contact),
            ],
            _ => vec![call.acknowledge_refusal(&to)],
        };
        let said = said.into_iter().map(|text| (self.carrier, text));
        self.arriving.extend(said);
    }

    fn department_hears(&mut self, text: &str) {
        let body = match text.split(' ').next() {
            Some("INVITE") => sip_text::sdp(SocketAddr::new(self.department.ip(), 30_000)),
            Some("ACK" | "SIP/2.0") | None => return,
            Some(_) => String::new(),
        };
        let answer = sip_text::answer(text, "200 OK", "d", self.department, &body);
        self.arriving.push_back((self.department, answer));
    }

    fn call(&self, call: u32) -> CarrierCall<'static> {
        CarrierCall {
            run: "simulation",
            call,
            carrier: self.carrier,
            server: self.us,
            media: SocketAddr::new(self.carrier.ip(), 40_000),
        }
    }
}

fn offered(leg: LegId) -> OfferedLeg {
    let port = u16::try_from(20_000 + 2 * leg.slot).unwrap_or(u16::MAX);
    OfferedLeg {
        leg,
        rtp: SocketAddr::from(([192, 0, 2, 1], port)),
    }
}

fn settings(us: SocketAddr, carrier: SocketAddr, department: SocketAddr) -> io::Result<Settings> {
    let peer = |name, role, address: SocketAddr| {
        Trunk::new(name, role, vec![address.ip()]).at(address, Transport::Udp)
    };
    Ok(Settings {
        listeners: vec![Listener {
            transport: Transport::Udp,
            address: us,
        }],
        peers: vec![
            peer("carrier", PeerRole::Carrier, carrier),
            peer("pbx", PeerRole::Pbx, department),
        ],
        departments: vec![Department {
            name: "daihyo".to_owned(),
            targets: vec![Target {
                places: Places::Role(PeerRole::Pbx),
                user: None,
                ring: Duration::from_secs(30),
            }],
        }],
        numbers: vec![NumberPolicy {
            number: Number::parse(CALLED).map_err(io::Error::other)?,
            profile: Profile::Transparent,
            decision: None,
            department: "daihyo".to_owned(),
        }],
        outbound: Outbound::default(),
        limits: Limits::default(),
        overload: Overload::default(),
        sip: sip_core::Settings::default(),
        fault_injection: None,
    })
}

impl fmt::Display for SimulationReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let per_call_us = self.took.as_secs_f64() * 1e6 / f64::from(self.calls.max(1));
        writeln!(
            f,
            "{} calls: {} answered, {} refused; {} s simulated in {:.0} s, {per_call_us:.0} us a call",
            self.calls,
            self.answered,
            self.refused,
            self.simulated.as_secs(),
            self.took.as_secs_f64()
        )?;
        writeln!(f, "KiB resident after each tenth: {:?}", self.resident_kib)?;
        write!(
            f,
            "{} KiB when all had settled; left behind: {}",
            self.settled_kib,
            if self.is_clean {
                "nothing"
            } else {
                "SOMETHING"
            }
        )
    }
}
