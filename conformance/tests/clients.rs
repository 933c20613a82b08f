//! Telephones that others wrote as carrier and PBX of the real binary: each says a tone, and must hear the other's.
//!
//! Nothing is slept: each step waits for the event that must follow, and "hears" is told from decoded samples.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::net::SocketAddr;

use conformance::{
    client::{
        self, Client,
        Make::{Baresip, Pjsua},
        Papers,
        Transport::{self, Tcp, Tls, Udp},
    },
    server::{Network, Plan, Server},
};

const CARRIER_HZ: u32 = 700;
const PBX_HZ: u32 = 1100;
const TRANSPARENT: &[&str] = &["transparent", "--waiver", "decision 7"];
const CITY: &str = "0783331000";
const CITIZEN: &str = "0790000001";

#[test]
fn a_call_from_baresip_to_pjsua_is_held_and_resumed_from_both_sides() {
    let mut city = City::new(50, (Baresip, Udp), (Pjsua, Udp), TRANSPARENT);
    city.carrier_calls();
    city.both_hear();
    city.pbx_holds();
    city.carrier_holds();
    city.carrier_hangs_up();
    city.was_recorded("decision");
}

#[test]
fn a_call_from_pjsua_to_baresip_is_held_and_resumed_from_both_sides() {
    let mut city = City::new(51, (Pjsua, Udp), (Baresip, Udp), TRANSPARENT);
    city.carrier_calls();
    city.both_hear();
    city.carrier_holds();
    city.pbx_holds();
    city.pbx_hangs_up();
    city.was_recorded("decision");
}

#[test]
fn a_call_out_from_baresip_to_pjsua_is_held_and_resumed_from_both_sides() {
    let mut city = City::new(52, (Pjsua, Udp), (Baresip, Udp), TRANSPARENT);
    city.pbx_calls();
    city.both_hear();
    city.carrier_holds();
    city.pbx_holds();
    city.carrier_hangs_up();
    city.was_not_recorded();
}

#[test]
fn a_call_out_from_pjsua_to_baresip_is_held_and_resumed_from_both_sides() {
    let mut city = City::new(53, (Baresip, Udp), (Pjsua, Udp), TRANSPARENT);
    city.pbx_calls();
    city.both_hear();
    city.pbx_holds();
    city.carrier_holds();
    city.pbx_hangs_up();
    city.was_not_recorded();
}

#[test]
fn an_announced_call_from_baresip_to_pjsua_is_heard_after_the_notice() {
    let mut city = City::new(54, (Baresip, Udp), (Pjsua, Udp), &["announce"]);
    city.carrier_is_announced();
    city.both_hear();
    city.pbx_holds();
    city.carrier_hangs_up();
    city.was_recorded("announced");
}

#[test]
fn over_tcp_calls_go_in_and_out_between_both_clients() {
    let mut city = City::new(55, (Baresip, Tcp), (Pjsua, Tcp), TRANSPARENT);
    city.carrier_calls();
    city.both_hear();
    city.pbx_holds();
    city.pbx_hangs_up();
    city.pbx_calls();
    city.both_hear();
    city.carrier_hangs_up();
    city.was_recorded("decision");
}

#[test]
fn over_tls_the_pbx_speaks_srtp_while_the_carrier_speaks_rtp() {
    let mut city = City::new(56, (Baresip, Udp), (Pjsua, Tls), TRANSPARENT);
    city.carrier_calls();
    city.both_hear();
    city.pbx_holds();
    city.carrier_hangs_up();
    city.pbx_calls();
    city.both_hear();
    city.pbx_hangs_up();
    city.was_recorded("decision");
}

#[test]
fn over_tls_the_carrier_speaks_srtp_while_the_pbx_speaks_rtp() {
    let mut city = City::new(59, (Pjsua, Tls), (Baresip, Udp), TRANSPARENT);
    city.carrier_calls();
    city.both_hear();
    city.carrier_holds();
    city.pbx_hangs_up();
    city.pbx_calls();
    city.both_hear();
    city.carrier_hangs_up();
    city.was_recorded("decision");
}

#[test]
fn over_tls_an_announced_call_is_heard_after_the_notice_and_both_sides_speak_srtp() {
    let mut city = City::new(49, (Pjsua, Tls), (Pjsua, Tls), &["announce"]);
    city.carrier_is_announced();
    city.both_hear();
    city.pbx_hangs_up();
    city.was_recorded("announced");
}

#[test]
fn a_call_that_pjsua_transfers_blind_goes_on_with_the_number_it_named() {
    let mut city = City::new(57, (Baresip, Udp), (Pjsua, Udp), TRANSPARENT);
    city.carrier_calls();
    city.both_hear();
    city.pbx_transfers_blind();
    city.is_transferred();
    city.carrier_hangs_up();
    city.was_recorded("decision");
}

#[test]
fn over_tcp_an_announced_call_that_pjsua_transfers_goes_on_after_no_second_notice() {
    let mut city = City::new(60, (Baresip, Tcp), (Pjsua, Tcp), &["announce"]);
    city.carrier_is_announced();
    city.both_hear();
    city.pbx_transfers_blind();
    city.is_transferred();
    city.carrier_hangs_up();
    city.was_recorded("announced");
}

#[test]
fn a_call_that_baresip_transfers_blind_goes_on_with_the_number_it_named() {
    let mut city = City::new(61, (Pjsua, Udp), (Baresip, Udp), TRANSPARENT);
    city.carrier_calls();
    city.both_hear();
    city.pbx_transfers_blind();
    city.pbx.wait_for("closed").unwrap();
    city.both_hear();
    city.carrier_hangs_up();
    city.was_recorded("decision");
}

#[test]
fn a_call_that_pjsua_transfers_after_asking_goes_on_with_whom_it_asked() {
    let mut city = City::new(58, (Baresip, Udp), (Pjsua, Udp), TRANSPARENT);
    city.carrier_calls();
    city.both_hear();
    let target = city.target(CITY, Udp);
    city.pbx.tell(&format!("call {target}")).unwrap();
    city.pbx.wait_for("incoming").unwrap();
    city.pbx.tell("answer").unwrap();
    city.pbx.wait_for("established").unwrap();
    city.pbx.wait_for("established").unwrap();
    city.pbx.tell("replace").unwrap();
    city.is_transferred();
    city.carrier_hangs_up();
    city.was_recorded("decision");
}

/// A server with a telephone on either side.
struct City {
    carrier: Client,
    pbx: Client,
    carrier_transport: Transport,
    pbx_transport: Transport,
    server: Server,
}

impl City {
    fn new(
        third: u8,
        (carrier, carrier_transport): (client::Make, Transport),
        (pbx, pbx_transport): (client::Make, Transport),
        profile: &[&str],
    ) -> Self {
        let network = client::network(third, carrier, pbx);
        let addresses = [network.server, network.carrier, network.department].map(|at| at.ip());
        let papers = Papers::new(&addresses).unwrap();
        let mut plan = Plan::new(network, profile);
        plan.carrier = format!("{};transport={carrier_transport}", network.carrier);
        plan.pbx = vec![format!("{};transport={pbx_transport}", network.department)];
        if [carrier_transport, pbx_transport].contains(&Tls) {
            plan.tls = papers.arguments(network.server.ip());
        }
        let server = Server::start_as(&plan, |text| papers.wanted_of_clients(&text)).unwrap();
        let start = |make, at, transport, tone_hz| {
            Client::start(make, at, transport, tone_hz, &papers).unwrap()
        };
        let carrier_at = (CITIZEN, network.carrier);
        let pbx_at = (CITY, network.department);
        Self {
            carrier: start(carrier, carrier_at, carrier_transport, CARRIER_HZ),
            pbx: start(pbx, pbx_at, pbx_transport, PBX_HZ),
            carrier_transport,
            pbx_transport,
            server,
        }
    }

    fn target(&self, number: &str, transport: Transport) -> String {
        let server = match transport {
            Tls => tls_address(self.server.network),
            Udp | Tcp => self.server.network.server,
        };
        format!("sip:{number}@{server};transport={transport}")
    }

    fn carrier_calls(&mut self) {
        let target = self.target(CITY, self.carrier_transport);
        connect(&mut self.carrier, &mut self.pbx, &target);
    }

    /// The carrier's call is answered with the notice, and only then rings at the PBX.
    fn carrier_is_announced(&mut self) {
        let target = self.target(CITY, self.carrier_transport);
        self.carrier.tell(&format!("call {target}")).unwrap();
        self.carrier.wait_for("established").unwrap();
        self.pbx.wait_for("incoming").unwrap();
        self.pbx.tell("answer").unwrap();
    }

    fn pbx_calls(&mut self) {
        let target = self.target(CITIZEN, self.pbx_transport);
        connect(&mut self.pbx, &mut self.carrier, &target);
    }

    fn both_hear(&mut self) {
        self.carrier.wait_to_hear(PBX_HZ).unwrap();
        self.pbx.wait_to_hear(CARRIER_HZ).unwrap();
    }

    fn pbx_holds(&mut self) {
        hold((&mut self.pbx, PBX_HZ), (&mut self.carrier, CARRIER_HZ));
    }

    fn carrier_holds(&mut self) {
        hold((&mut self.carrier, CARRIER_HZ), (&mut self.pbx, PBX_HZ));
    }

    fn carrier_hangs_up(&mut self) {
        hang_up(&mut self.carrier, &mut self.pbx);
    }

    fn pbx_hangs_up(&mut self) {
        hang_up(&mut self.pbx, &mut self.carrier);
    }

    /// To a number of the city, which rings at the PBX itself.
    fn pbx_transfers_blind(&mut self) {
        let target = self.target(CITY, self.pbx_transport);
        self.pbx.tell(&format!("transfer {target}")).unwrap();
        self.pbx.wait_for("incoming").unwrap();
        self.pbx.tell("answer").unwrap();
    }

    /// The PBX is told that the transfer went well, and its first call ends, while the carrier's goes on.
    fn is_transferred(&mut self) {
        while self.pbx.wait_for("transfer").unwrap() != "200" {}
        self.pbx.wait_for("closed").unwrap();
        self.both_hear();
    }

    fn was_recorded(self, notice: &str) {
        let call = self.server.call_in_state("sealed").unwrap();
        assert_eq!(call["notice"], notice);
        self.server.stop().unwrap();
    }

    fn was_not_recorded(self) {
        let calls = self.server.calls().unwrap();
        assert!(
            calls.iter().all(|call| call["state"] != "sealed"),
            "{calls:?}"
        );
        self.server.stop().unwrap();
    }
}

fn connect(caller: &mut Client, callee: &mut Client, target: &str) {
    caller.tell(&format!("call {target}")).unwrap();
    callee.wait_for("incoming").unwrap();
    caller.wait_for("ringing").unwrap();
    callee.tell("answer").unwrap();
    caller.wait_for("established").unwrap();
    callee.wait_for("established").unwrap();
}

/// PJSIP, on whichever side, hears silence while one holds, and the other's tone again afterwards. baresip 1.0 writes down
/// nothing more of what it hears once a call of its was held.
fn hold((holder, holder_hz): (&mut Client, u32), (held, held_hz): (&mut Client, u32)) {
    holder.tell("hold").unwrap();
    let pjsua_holds = holder.make() == Pjsua;
    match pjsua_holds {
        true => holder.wait_to_hear(0).unwrap(),
        false => held.wait_to_hear(0).unwrap(),
    }
    holder.tell("resume").unwrap();
    match pjsua_holds {
        true => holder.wait_to_hear(held_hz).unwrap(),
        false => held.wait_to_hear(holder_hz).unwrap(),
    }
}

fn hang_up(first: &mut Client, other: &mut Client) {
    first.tell("hangup").unwrap();
    first.wait_for("closed").unwrap();
    other.wait_for("closed").unwrap();
    first.wait_to_hear(0).unwrap();
    other.wait_to_hear(0).unwrap();
}

fn tls_address(network: Network) -> SocketAddr {
    SocketAddr::new(network.server.ip(), 5061)
}
