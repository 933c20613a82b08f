//! Calls over every transport and both IP versions through the real program, with OpenSSL's programs as the peers' TLS.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::{
    fs,
    net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket},
    path::Path,
};

use common::{
    House,
    line::Line,
    telephone::{Telephone, Voice},
    wait_for,
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SanType};

/// What the caller says, and what the department says, each as one mu-law value.
const CALLER: u8 = 0x21;
const CITY: u8 = 0x47;

/// A house whose configuration says something else than what `init` wrote.
fn house(change: impl FnOnce(&House, String) -> String) -> House {
    let mut house = House::init(&["--profile", "transparent"]);
    let text = fs::read_to_string(house.config()).unwrap();
    fs::write(house.config(), change(&house, text)).unwrap();
    house.run();
    house
}

fn replaced(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "{from} is not in\n{text}");
    text.replace(from, to)
}

/// A call in which both hear each other, and that the caller ends.
fn converse(house: &House, caller: &Telephone, department: &Telephone) {
    caller.invite("conversed");
    let invite = department.pick_up();
    let officer = department.speak(invite.media(), CITY);
    let dialog = caller.answered("conversed");
    let citizen = caller.speak(dialog.answer.media(), CALLER);
    hear_each_other(house, &citizen, &officer);
    caller.hang_up(&dialog);
    let bye = department.expect("BYE");
    department.respond(&bye, "200 OK", false);
}

fn hear_each_other(house: &House, citizen: &Voice, officer: &Voice) {
    wait_for("both voices at the other end", || {
        (citizen.heard(CITY) > 4_000 && officer.heard(CALLER) > 4_000).then_some(())
    });
    assert!(!house.log().contains("panic"), "{}", house.log());
}

fn free_port(address: IpAddr) -> SocketAddr {
    TcpListener::bind((address, 0))
        .unwrap()
        .local_addr()
        .unwrap()
}

#[test]
fn a_call_goes_over_tcp_on_both_legs_and_another_by_the_same_connections() {
    let house = house(|house, text| {
        let pbx = house.addresses.pbx;
        replaced(
            &text,
            &format!("\"{pbx}:5062\""),
            &format!("\"{pbx}:5062;transport=tcp\""),
        )
    });
    let at = SocketAddr::new(house.addresses.house, 5060);
    let department = SocketAddr::new(house.addresses.pbx, 5062);
    let department = Telephone::over(Line::tcp_at(department), house.addresses.pbx, at);
    let caller = Line::tcp_to(house.addresses.carrier, at);
    let caller = Telephone::over(caller, house.addresses.carrier, at);
    converse(&house, &caller, &department);
    caller.invite("again");
    department.pick_up();
    caller.answered("again");
}

#[test]
fn a_call_goes_to_the_next_pbx_where_the_first_refuses_tcp() {
    let mut next = None;
    let house = house(|house, text| {
        let (pbx, IpAddr::V4(own)) = (house.addresses.pbx, house.addresses.house) else {
            unreachable!("the house of these tests is at an IPv4 address");
        };
        let [a, b, c, d] = own.octets();
        let second = IpAddr::from([a, b ^ 0x40, c, d]);
        next = Some(second);
        let text = replaced(
            &text,
            &format!("\"{pbx}:5062\""),
            &format!("\"{pbx}:5062;transport=tcp\""),
        );
        let text = replaced(&text, "peer = \"pbx\"", "role = \"pbx\"");
        format!(
            "{text}\n[[peer]]\nname = \"pbx2\"\nrole = \"pbx\"\npriority = 1\naddresses = [\"{second}\"]\nsend_to = \"{second}:5062\"\n"
        )
    });
    let at = SocketAddr::new(house.addresses.house, 5060);
    let caller = Telephone::new(house.addresses.carrier, 0, at);
    let department = Telephone::new(next.unwrap(), 5062, at);
    converse(&house, &caller, &department);
}

#[test]
fn a_caller_at_an_ipv6_address_speaks_with_a_pbx_at_an_ipv4_address() {
    let six = IpAddr::V6(Ipv6Addr::LOCALHOST);
    let at = free_port(six);
    let media = free_port(six).port() & !1;
    let house = house(|house, text| {
        let (own, carrier) = (house.addresses.house, house.addresses.carrier);
        let text = replaced(
            &text,
            &format!("listen = \"{own}:5060\""),
            &format!("listen = [\"{at}\", \"{own}:5060\"]"),
        );
        let range = format!("{own}:20000-20199");
        let text = replaced(
            &text,
            &format!("rtp = \"{range}\""),
            &format!(
                "rtp = [\"{range}\", \"[::1]:{media}-{}\"]",
                media.saturating_add(19)
            ),
        );
        replaced(&text, &format!("\"{carrier}\""), "\"::1\"")
    });
    let caller = UdpSocket::bind((six, 0)).unwrap();
    let caller = Telephone::over(Line::Datagrams(caller), six, at);
    let own = SocketAddr::new(house.addresses.house, 5060);
    let department = Telephone::new(house.addresses.pbx, 5062, own);
    converse(&house, &caller, &department);
    let caller = Telephone::over(Line::tcp_to(six, at), six, at);
    caller.invite("over-tcp");
    department.pick_up();
    caller.answered("over-tcp");
}

#[test]
fn a_call_goes_over_tls_on_both_legs_and_each_shows_its_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let mut ports = None;
    let house = house(|house, text| {
        let (own, carrier, pbx) = (
            house.addresses.house,
            house.addresses.carrier,
            house.addresses.pbx,
        );
        let (at, department) = (free_port(own), free_port(pbx));
        ports = Some((at, department));
        certify(folder.path(), &[own, carrier, pbx]);
        let place = |file: &str| folder.path().join(file).display().to_string();
        let text = replaced(
            &text,
            &format!("listen = \"{own}:5060\""),
            &format!(
                "listen = [\"{own}:5060\", \"{at};transport=tls\"]\n[sip.tls]\ncertificate = \"{}\"\nkey = \"{}\"\nca = \"{}\"\nclient_ca = \"{}\"",
                place(&format!("{own}.pem")),
                place(&format!("{own}.key")),
                place("ca.pem"),
                place("ca.pem"),
            ),
        );
        replaced(
            &text,
            &format!("\"{pbx}:5062\""),
            &format!("\"{department};transport=tls\"\nsecure_media = \"never\""),
        )
    });
    let checked = house.denwaban(&["check"]);
    assert!(
        common::text(&checked).contains("[sip.tls]"),
        "{}",
        common::text(&checked)
    );
    let (at, department) = ports.unwrap();
    let place = |file: String| folder.path().join(file).display().to_string();
    let (carrier, pbx) = (house.addresses.carrier, house.addresses.pbx);
    let ca = place("ca.pem".to_owned());
    let accept = department.to_string();
    let (certificate, key) = (place(format!("{pbx}.pem")), place(format!("{pbx}.key")));
    let server = Line::openssl(
        department,
        &[
            "s_server",
            "-quiet",
            "-accept",
            &accept,
            "-cert",
            &certificate,
            "-key",
            &key,
            "-Verify",
            "1",
            "-verify_return_error",
            "-CAfile",
            &ca,
        ],
    );
    let department = Telephone::over(server, pbx, at);
    let (connect, bind) = (at.to_string(), free_port(carrier));
    let (certificate, key) = (
        place(format!("{carrier}.pem")),
        place(format!("{carrier}.key")),
    );
    let from = bind.to_string();
    let client = Line::openssl(
        bind,
        &[
            "s_client",
            "-quiet",
            "-connect",
            &connect,
            "-bind",
            &from,
            "-cert",
            &certificate,
            "-key",
            &key,
            "-CAfile",
            &ca,
            "-verify_return_error",
            "-verify_ip",
            &at.ip().to_string(),
        ],
    );
    let caller = Telephone::over(client, carrier, at);
    converse(&house, &caller, &department);
    assert!(!house.log().contains("PRIVATE"), "{}", house.log());
}

/// Writes an authority, and for each address a certificate with its key.
fn certify(folder: &Path, addresses: &[IpAddr]) {
    let mut parameters = CertificateParams::new(Vec::new()).unwrap();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let name = &mut parameters.distinguished_name;
    name.push(DnType::CommonName, "an authority of this test");
    let authority = CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap();
    fs::write(folder.join("ca.pem"), authority.pem()).unwrap();
    for address in addresses {
        let mut parameters = CertificateParams::new(Vec::new()).unwrap();
        parameters.subject_alt_names = vec![SanType::IpAddress(*address)];
        let key = KeyPair::generate().unwrap();
        let certificate = parameters.signed_by(&key, &authority).unwrap();
        fs::write(folder.join(format!("{address}.pem")), certificate.pem()).unwrap();
        fs::write(folder.join(format!("{address}.key")), key.serialize_pem()).unwrap();
    }
}
