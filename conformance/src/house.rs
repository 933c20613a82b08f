//! SIPp on either side of a server whose every number is called over one transport; what a test does there is two words and a number.
//!
//! Everything here panics where a test cannot go on, and says with the log why.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use crate::{
    server::{Network, Plan, Server},
    sipp::{
        Part, Sipp,
        Transport::{self, Tcp, Udp},
    },
};

pub const CITY: &str = "0783331000";
pub const SECOND_NUMBER: &str = "0783331001";
pub const CITIZEN: &str = "0790000001";
pub const ANNOUNCE: &[&str] = &["announce"];
pub const TRANSPARENT: &[&str] = &["transparent"];

/// After a notice whoever is called has answered.
const NOTICE: Duration = Duration::from_secs(10);

/// Who calls.
#[derive(Clone, Copy, Debug)]
pub enum Caller {
    Carrier,
    Pbx,
}
use Caller::{Carrier, Pbx};

pub struct House {
    pub server: Server,
    transport: Transport,
    /// How long whoever calls waits once it is answered, where its scenario says so.
    pause: Duration,
}

/// One server that calls both its peers over UDP, then one that calls them over TCP.
pub fn over_both(third: u8, play: impl Fn(&House)) {
    for (third, transport) in [(third, Udp), (third + 1, Tcp)] {
        House::open(third, transport, TRANSPARENT, &play);
    }
}

pub fn announced(third: u8, play: impl Fn(&House)) {
    for (third, transport) in [(third, Udp), (third + 1, Tcp)] {
        House::open(third, transport, ANNOUNCE, &play);
    }
}

impl House {
    pub fn open(third: u8, transport: Transport, profile: &[&str], play: impl Fn(&Self)) {
        Self::open_as(third, transport, profile, |text| text, play);
    }

    /// `edit` changes the configuration that `init` wrote.
    pub fn open_as(
        third: u8,
        transport: Transport,
        profile: &[&str],
        edit: impl FnOnce(String) -> String,
        play: impl Fn(&Self),
    ) {
        let network = Network::new(third);
        let mut plan = Plan::new(network, profile);
        // A carrier is called at another port than it calls from, as a PBX is.
        plan.carrier = format!("{};transport={transport}", callee(network, Pbx));
        let pbx = [callee(network, Carrier), second_pbx(network)];
        plan.pbx = pbx.map(|at| format!("{at};transport={transport}")).to_vec();
        let server = Server::start_as(&plan, edit).unwrap();
        let pause = match profile == ANNOUNCE {
            true => NOTICE,
            false => Duration::ZERO,
        };
        let house = Self {
            server,
            transport,
            pause,
        };
        play(&house);
        house.server.stop().unwrap();
    }

    /// One call from one side to the other.
    pub fn play(&self, caller: Caller, calls: &'static str, is_called: &'static str) {
        let dialled = match caller {
            Carrier => CITY,
            Pbx => CITIZEN,
        };
        self.play_as(caller, dialled, calls, is_called);
    }

    pub fn play_as(
        &self,
        caller: Caller,
        dialled: &str,
        calls: &'static str,
        is_called: &'static str,
    ) {
        let callee = self.start(is_called, callee(self.server.network, caller), None, &[]);
        let caller = self.start_caller(caller, calls, dialled);
        self.finish(caller);
        self.finish(callee);
    }

    /// One call from one side by way of whoever is at `through`.
    pub fn calls_through(&self, caller: Caller, through: SocketAddr, callee: SocketAddr) {
        let answers = self.start("callee-answers", callee, None, &[]);
        let (at, number, dialled) = match caller {
            Carrier => (self.server.network.carrier, CITIZEN, CITY),
            Pbx => (self.server.network.department, CITY, CITIZEN),
        };
        let words = [("number", dialled), ("caller", number)];
        let at = SocketAddr::new(at.ip(), 5070);
        let calls = self.start("caller-talks-briefly", at, Some(through), &words);
        self.finish(calls);
        self.finish(answers);
    }

    pub fn finish(&self, party: Sipp) {
        party.finish().unwrap_or_else(|fault| {
            let log = self.server.log();
            panic!("{:?}: {fault}\nthe log:\n{log}", self.transport)
        });
    }

    /// The carrier calls and is connected with the second PBX.
    pub fn second_answers(&self) {
        let at = second_pbx(self.server.network);
        let answers = self.start("callee-answers", at, None, &[]);
        self.ask(Carrier, "caller-talks-briefly");
        self.finish(answers);
    }

    /// A party alone with the server, and as quick as it can be.
    pub fn ask(&self, caller: Caller, asks: &'static str) {
        let words = [("number", CITY)];
        let ended = self
            .start_pausing(caller, 5070, asks, &words, Duration::ZERO)
            .finish();
        ended.unwrap_or_else(|fault| {
            panic!(
                "{:?}: {fault}\nthe log:\n{}",
                self.transport,
                self.server.log()
            )
        });
    }

    pub fn start_caller(&self, caller: Caller, scenario: &'static str, dialled: &str) -> Sipp {
        self.start_at(caller, 5070, scenario, &[("number", dialled)])
    }

    /// A party that calls while another call of its side is up.
    pub fn start_beside(
        &self,
        caller: Caller,
        scenario: &'static str,
        words: &[(&str, &str)],
    ) -> Sipp {
        self.start_at(caller, 5072, scenario, words)
    }

    pub fn start_at(
        &self,
        caller: Caller,
        port: u16,
        scenario: &'static str,
        words: &[(&str, &str)],
    ) -> Sipp {
        self.start_pausing(caller, port, scenario, words, self.pause)
    }

    fn start_pausing(
        &self,
        caller: Caller,
        port: u16,
        scenario: &'static str,
        words: &[(&str, &str)],
        pause: Duration,
    ) -> Sipp {
        let Network {
            server,
            carrier,
            department,
        } = self.server.network;
        let (at, number) = match caller {
            Carrier => (carrier, CITIZEN),
            Pbx => (department, CITY),
        };
        // SIPp goes by the first of two words that are alike.
        let words = [words, &[("caller", number), ("city", CITY)]].concat();
        Sipp::start(&Part {
            scenario,
            local: SocketAddr::new(at.ip(), port),
            remote: Some(server),
            speech: &[],
            pause,
            transport: self.transport,
            words: &words,
        })
        .unwrap()
    }

    pub fn start(
        &self,
        scenario: &'static str,
        local: SocketAddr,
        remote: Option<SocketAddr>,
        words: &[(&str, &str)],
    ) -> Sipp {
        Sipp::start(&Part {
            scenario,
            local,
            remote,
            speech: &[],
            pause: Duration::ZERO,
            transport: self.transport,
            words,
        })
        .unwrap()
    }
}

/// Another number of the city, whose department is behind the second PBX.
pub fn with_second_number(text: &str) -> String {
    format!(
        "{text}\n[[department]]\nname = \"second\"\ntargets = [{{ peer = \"pbx-2\", ring_s = 30 }}]\n\
         [[number]]\nnumber = \"{SECOND_NUMBER}\"\nprofile = \"transparent\"\ndepartment = \"second\"\n"
    )
}

/// The PBX that is called where the first cannot be.
pub fn second_pbx(network: Network) -> SocketAddr {
    let IpAddr::V4(first) = network.department.ip() else {
        panic!("the parties of these tests are IPv4")
    };
    let [one, two, third, _] = first.octets();
    SocketAddr::new(IpAddr::from([one, two, third, 4]), 5062)
}

/// Where whoever is called by that side listens.
pub fn callee(network: Network, caller: Caller) -> SocketAddr {
    match caller {
        Carrier => network.department,
        Pbx => SocketAddr::new(network.carrier.ip(), 5064),
    }
}

/// A party that waits for whoever comes.
pub fn listen(scenario: &'static str, local: SocketAddr, transport: Transport) -> Sipp {
    Sipp::start(&Part {
        scenario,
        local,
        remote: None,
        speech: &[],
        pause: Duration::ZERO,
        transport,
        words: &[],
    })
    .unwrap()
}
