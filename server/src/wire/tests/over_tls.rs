//! TLS against OpenSSL's own client and server, which we did not write.

use std::{
    fs,
    net::IpAddr,
    path::Path,
    process::{Child, Command, Stdio},
};

use super::*;

/// A program of OpenSSL's that ends with the test.
struct OpenSsl(Child);

impl OpenSsl {
    fn begin(arguments: &[&str]) -> OpenSsl {
        let child = Command::new("openssl")
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        OpenSsl(child.expect("openssl is there"))
    }

    fn say(&mut self, text: &str) {
        self.0
            .stdin
            .as_mut()
            .unwrap()
            .write_all(text.as_bytes())
            .unwrap();
    }

    fn hear(&mut self, length: usize) -> String {
        read(self.0.stdout.as_mut().unwrap(), length)
    }
}

impl Drop for OpenSsl {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn client(house: &House, folder: &Path, more: &[&str]) -> OpenSsl {
    let (address, ca) = (house.address().to_string(), folder.join("ca.pem"));
    let usual = [
        "s_client",
        "-quiet",
        "-verify_return_error",
        "-connect",
        &address,
        "-CAfile",
        ca.to_str().unwrap(),
    ];
    OpenSsl::begin(&[&usual[..], more].concat())
}

/// A server of OpenSSL's at a free port of an address.
fn server(folder: &Path, address: &str, more: &[&str]) -> (OpenSsl, SocketAddr) {
    let free = TcpListener::bind((address, 0))
        .unwrap()
        .local_addr()
        .unwrap();
    let place = |file: &str| folder.join(file).to_str().unwrap().to_owned();
    let (at, certificate, key) = (free.to_string(), place("certificate.pem"), place("key.pem"));
    let usual = [
        "s_server",
        "-quiet",
        "-accept",
        &at,
        "-cert",
        &certificate,
        "-key",
        &key,
    ];
    let mut server = OpenSsl::begin(&[&usual[..], more].concat());
    let until = Instant::now() + PATIENCE;
    while !listens(free) {
        assert!(server.0.try_wait().unwrap().is_none() && Instant::now() < until);
        std::thread::sleep(Duration::from_millis(10));
    }
    (server, free)
}

/// Whether somebody listens there, by the kernel's table: a look must neither be a client nor take the port.
fn listens(address: SocketAddr) -> bool {
    let IpAddr::V4(host) = address.ip() else {
        panic!("the servers of these tests are at IPv4 addresses");
    };
    let local = format!(
        "{:08X}:{:04X}",
        u32::from_ne_bytes(host.octets()),
        address.port()
    );
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    table.lines().any(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        // 0A is LISTEN.
        fields.get(1) == Some(&local.as_str()) && fields.get(3) == Some(&"0A")
    })
}

#[test]
fn a_client_of_either_version_is_heard_and_answered() {
    let folder = tempfile::tempdir().unwrap();
    let files = Authority::new().issue(folder.path(), "127.0.79.1");
    let mut house = House::with(
        Transport::Tls,
        "127.0.79.1",
        Keeping::default(),
        Some(files),
    );
    for version in ["-tls1_2", "-tls1_3"] {
        let mut client = client(
            &house,
            folder.path(),
            &["-verify_ip", "127.0.79.1", version],
        );
        client.say(OPTIONS);
        let (hop, text) = house.hear_message();
        assert_eq!((hop.transport, &text[..]), (Transport::Tls, OPTIONS));
        house.send(hop, "SIP/2.0 200 OK\r\n\r\n");
        house.run(Duration::from_millis(50));
        assert_eq!(client.hear(18), "SIP/2.0 200 OK\r\n\r\n", "{version}");
        drop(client);
        assert_eq!(house.hear_unreachable(), hop);
    }
}

#[test]
fn a_peer_that_speaks_no_tls_is_let_go_and_harms_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let files = Authority::new().issue(folder.path(), "127.0.79.2");
    let mut house = House::with(
        Transport::Tls,
        "127.0.79.2",
        Keeping::default(),
        Some(files),
    );
    let mut plain = house.connect();
    plain.write_all(OPTIONS.as_bytes()).unwrap();
    assert_eq!(
        house.hear_unreachable(),
        house.hop(plain.local_addr().unwrap())
    );
    let mut client = client(&house, folder.path(), &[]);
    client.say(OPTIONS);
    assert_eq!(house.hear_message().1, OPTIONS);
}

#[test]
fn without_a_certificate_of_the_right_authority_no_client_is_heard() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let mut files = authority.issue(folder.path(), "127.0.79.3");
    files.client_ca = files.ca.clone();
    let mut house = House::with(
        Transport::Tls,
        "127.0.79.3",
        Keeping::default(),
        Some(files),
    );
    let place = |file: &str, text: &str| {
        let path = folder.path().join(file);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (theirs, key) = authority.sign("pbx.example");
    let theirs = [place("theirs.pem", &theirs), place("theirs.key", &key)];
    let (wrong, key) = Authority::new().sign("pbx.example");
    let wrong = [place("wrong.pem", &wrong), place("wrong.key", &key)];
    for refused in [vec![], vec!["-cert", &wrong[0], "-key", &wrong[1]]] {
        let mut client = client(&house, folder.path(), &refused);
        // The handshake may already be over when we want to speak.
        let _ = client
            .0
            .stdin
            .as_mut()
            .unwrap()
            .write_all(OPTIONS.as_bytes());
        house.hear_unreachable();
    }
    let mut client = client(
        &house,
        folder.path(),
        &["-cert", &theirs[0], "-key", &theirs[1]],
    );
    client.say(OPTIONS);
    assert_eq!(house.hear_message().1, OPTIONS);
}

#[test]
fn a_server_is_believed_by_its_address_and_shown_our_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let files = Authority::new().issue(folder.path(), "127.0.79.4");
    let ca = files.ca.clone().unwrap();
    let mutual = [
        "-Verify",
        "1",
        "-verify_return_error",
        "-CAfile",
        ca.to_str().unwrap(),
    ];
    let (mut server, address) = server(folder.path(), "127.0.79.4", &mutual);
    let mut house = House::with(
        Transport::Tls,
        "127.0.79.4",
        Keeping::default(),
        Some(files),
    );
    let hop = house.hop(address);
    house.send(hop, OPTIONS);
    house.run(Duration::from_millis(300));
    assert_eq!(server.hear(OPTIONS.len()), OPTIONS);
    server.say("SIP/2.0 200 OK\r\n\r\n");
    assert_eq!(
        house.hear_message(),
        (hop, "SIP/2.0 200 OK\r\n\r\n".to_owned())
    );
}

#[test]
fn a_server_of_another_name_or_of_an_unknown_authority_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let files = authority.issue(folder.path(), "127.0.79.5");
    for (other, signer, expected) in [
        ("127.0.79.99", &authority, Unreachable::CertificateName),
        ("127.0.79.5", &Authority::new(), Unreachable::Certificate),
    ] {
        let theirs = tempfile::tempdir().unwrap();
        signer.issue(theirs.path(), other);
        let (_server, address) = server(theirs.path(), "127.0.79.5", &[]);
        let mut house = House::with(
            Transport::Tls,
            "127.0.79.5",
            Keeping::default(),
            Some(files.clone()),
        );
        let hop = house.hop(address);
        house.send(hop, OPTIONS);
        assert!(
            matches!(house.hear(), Heard::Unreachable { hop: told, why } if (told, why) == (hop, expected)),
            "{other}"
        );
    }
}

#[test]
fn a_server_that_speaks_no_tls_or_refuses_our_certificate_is_told_from_one_that_is_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let files = Authority::new().issue(folder.path(), "127.0.79.7");
    let stranger = folder.path().join("stranger.pem");
    fs::write(&stranger, Authority::new().pem()).unwrap();
    let picky = [
        "-Verify",
        "1",
        "-verify_return_error",
        "-CAfile",
        stranger.to_str().unwrap(),
    ];
    let (_server, refuses) = server(folder.path(), "127.0.79.7", &picky);
    let plain = TcpListener::bind("127.0.79.7:0").unwrap();
    let speaks_plain = plain.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = plain.accept().unwrap();
        stream.write_all(OPTIONS.as_bytes()).unwrap();
        let _ = stream.read(&mut [0; 4096]);
    });
    let closed = {
        let gone = TcpListener::bind("127.0.79.7:0").unwrap();
        gone.local_addr().unwrap()
    };
    let mut house = House::with(
        Transport::Tls,
        "127.0.79.7",
        Keeping::default(),
        Some(files),
    );
    for (address, expected) in [
        (refuses, Unreachable::Handshake),
        (speaks_plain, Unreachable::Handshake),
        (closed, Unreachable::Nobody),
    ] {
        let hop = house.hop(address);
        house.send(hop, OPTIONS);
        let heard = house.hear();
        assert!(
            matches!(heard, Heard::Unreachable { hop: told, why } if (told, why) == (hop, expected)),
            "{heard:?}"
        );
    }
}

#[test]
fn changed_files_are_read_anew_and_broken_ones_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let files = Authority::new().issue(folder.path(), "127.0.79.6");
    let mut house = House::with(
        Transport::Tls,
        "127.0.79.6",
        Keeping::default(),
        Some(files.clone()),
    );
    let is_heard = |house: &mut House| {
        let mut client = client(house, folder.path(), &[]);
        let _ = client
            .0
            .stdin
            .as_mut()
            .unwrap()
            .write_all(OPTIONS.as_bytes());
        matches!(house.hear(), Heard::Message { .. })
    };
    assert!(is_heard(&mut house));
    fs::write(&files.key, "no key").unwrap();
    std::thread::sleep(Duration::from_millis(200));
    house.run_until_quiet();
    assert!(is_heard(&mut house), "the earlier ones stay in force");
    // The client believes only the new authority, so it speaks once the new certificate is shown.
    Authority::new().issue(folder.path(), "127.0.79.6");
    let until = Instant::now() + PATIENCE;
    house.run_until_quiet();
    while !is_heard(&mut house) {
        house.run_until_quiet();
        assert!(
            Instant::now() < until,
            "the new certificate is not in force"
        );
    }
}

#[test]
fn each_file_that_cannot_be_used_is_named_with_its_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let good = Authority::new().issue(folder.path(), "pbx.example");
    let (_, other_key) = Authority::new().sign("pbx.example");
    let place = |file: &str, text: &str| {
        let path = folder.path().join(file);
        fs::write(&path, text).unwrap();
        path
    };
    let (junk, other) = (place("junk.pem", "junk"), place("other.key", &other_key));
    assert!(good.check().is_ok());
    let says = |files: TlsFiles| files.check().unwrap_err().to_string();
    let missing = folder.path().join("missing.pem");
    let text = says(TlsFiles {
        certificate: missing.clone(),
        ..good.clone()
    });
    assert!(text.contains("missing.pem cannot be read"), "{text}");
    let text = says(TlsFiles {
        key: junk.clone(),
        ..good.clone()
    });
    assert!(
        text.contains("junk.pem holds no private key in PEM form"),
        "{text}"
    );
    let text = says(TlsFiles {
        certificate: junk.clone(),
        ..good.clone()
    });
    assert!(text.contains("junk.pem holds no certificate"), "{text}");
    let text = says(TlsFiles {
        client_ca: Some(junk),
        ..good.clone()
    });
    assert!(text.contains("junk.pem holds no certificate"), "{text}");
    let text = says(TlsFiles { key: other, ..good });
    assert!(text.contains("do not belong together"), "{text}");
    assert!(!text.contains("PRIVATE"), "{text}");
}
