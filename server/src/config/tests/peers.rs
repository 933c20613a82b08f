//! What the file says of peers, and whom they call.

use super::*;

#[test]
fn what_init_writes_for_several_peers_is_tried_in_the_order_of_the_command_line() {
    let destination = |text| Destination::parse(text, Transport::Udp).unwrap();
    let wishes = Wishes {
        carriers: vec![
            destination("127.0.0.2"),
            destination("127.0.0.4:5070"),
            destination("127.0.0.6;transport=udp"),
        ],
        pbxs: vec![destination("127.0.0.3"), destination("127.0.0.5:5062")],
        ..wishes(Profile::Announce, None)
    };
    let text = template::configuration(&wishes);
    let config = Config::parse(Path::new("/srv/denwaban.toml"), &text)
        .unwrap_or_else(|report| panic!("{}", report.render(false)));
    let shown: Vec<_> = config
        .peers
        .iter()
        .map(|peer| {
            (
                peer.name.as_str(),
                peer.priority,
                peer.outbound,
                peer.targets.len(),
            )
        })
        .collect();
    let expected = [
        ("carrier", 0, true, 1),
        ("carrier-2", 1, true, 1),
        ("carrier-3", 2, true, 1),
        ("pbx", 0, true, 1),
        ("pbx-2", 1, true, 1),
    ];
    assert_eq!(shown, expected);
    // As `init` writes them: trusted, 100rel supported, session timer on, numbers as they came, nobody asked by OPTIONS.
    for peer in &config.peers {
        assert_eq!(peer.trust, Trust::Inside);
        assert_eq!(peer.sip.reliable, Reliable::Supported);
        assert_eq!(peer.sip.session.interval, Some(Duration::from_secs(1800)));
        assert_eq!(peer.sip.session.min, Duration::from_secs(90));
        assert!(!peer.sip.switch_over_mtu);
        assert_eq!(peer.number_form, NumberForm::AsItCame);
        assert!(peer.probe.is_none() && peer.channels.is_none());
    }
    assert_eq!(
        config.outbound.allowed.len(),
        1,
        "a carrier takes calls: Japan may be called"
    );
    let caps = config.overload.caps;
    assert!(caps.caller.is_none() && caps.prefix.is_none() && caps.number.is_none());
}

#[test]
fn each_key_of_a_peer_reaches_the_exchange() {
    let peer = carrier_of(
        r#"trust = "outside"
targets = [{ to = "127.0.0.8:5070", priority = 2, weight = 3 }, { to = "sbc.example.jp" }]
priority = 4
weight = 5
outbound = true
number_form = "e164"
called_in = "diversion"
announcement = "early"
codecs = ["pcma"]
reliable = "required"
switch_over_mtu = true
secure_media = "never"
session = { interval_s = 600, min_s = 120, refresh = "invite" }
channels = { total = 30, emergency_reserve = 2 }
contracted = ["0783331000", "0783331001"]
dscp = { signalling = 24, media = 46 }
probe = { interval_s = 30 }"#,
    );
    assert_eq!(peer.role, PeerRole::Carrier);
    assert_eq!(peer.trust, Trust::Outside);
    assert_eq!((peer.targets[0].priority, peer.targets[0].weight), (2, 3));
    let name = Place::Name {
        host: "sbc.example.jp".to_owned(),
        port: None,
    };
    assert_eq!(peer.targets[1].place, name);
    assert_eq!((peer.priority, peer.weight, peer.outbound), (4, 5, true));
    assert_eq!(peer.number_form, NumberForm::E164);
    assert_eq!(peer.called_in, CalledPlace::Diversion);
    assert_eq!(peer.announcement, AnnouncementMedia::Early);
    assert_eq!(peer.codecs, [media::Codec::Pcma]);
    assert_eq!(peer.sip.reliable, Reliable::Required);
    assert!(peer.sip.switch_over_mtu);
    assert_eq!(peer.secure_media, SecureMedia::Never);
    assert_eq!(peer.sip.session.interval, Some(Duration::from_secs(600)));
    assert_eq!(peer.sip.session.min, Duration::from_secs(120));
    assert_eq!(peer.sip.session.method, RefreshMethod::Invite);
    let channels = peer.channels.unwrap();
    assert_eq!((channels.total, channels.emergency_reserve), (30, 2));
    assert_eq!(peer.contracted.len(), 2);
    assert_eq!((peer.dscp.signalling, peer.dscp.media), (24, 46));
    assert_eq!(peer.probe.unwrap().interval, Duration::from_secs(30));
    let timer = carrier_of("session = { interval_s = 0 }").sip.session;
    assert_eq!(timer.interval, None);
}

#[test]
fn every_profile_can_be_used_and_what_the_peer_writes_wins() {
    for name in profile::names() {
        let peer = carrier_of(&format!("profile = \"{name}\""));
        assert_eq!(peer.codecs, [media::Codec::Pcmu], "{name}");
        let own = format!("profile = \"{name}\"\ncodecs = [\"pcma\"]\nreliable = \"required\"");
        let peer = carrier_of(&own);
        assert_eq!(peer.codecs, [media::Codec::Pcma], "{name}");
        assert_eq!(peer.sip.reliable, Reliable::Required, "{name}");
        // A profile writes no key that a peer does not have: unread ones would be lost without a word.
        let table = profile::find(name).unwrap();
        for key in table.keys() {
            let key = key.get_ref();
            let written = format!("{key} = 1");
            let said = faults_of(&with_carrier(&written));
            assert!(!said.contains("unknown key"), "{name}: {key}");
        }
    }
    let said = faults_of(&with_carrier("profile = \"ntt\""));
    assert!(said.contains("ttc-jj-90-30"), "{said}");
}

#[test]
fn a_registration_reads_its_password_from_a_file_and_never_shows_it() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("carrier.password"), "open sesame\n").unwrap();
    let keys = r#"transport = "tcp"
registration = { registrar = "sip.example.jp", user = "0783331000", auth_user = "city", password_file = "carrier.password", expires_s = 600 }"#;
    let file = folder.path().join("denwaban.toml");
    let config = Config::parse(&file, &with_carrier(keys))
        .unwrap_or_else(|report| panic!("{}", report.render(false)));
    let peer = &config.peers[0];
    let credentials = peer.sip.credentials.as_ref().unwrap();
    assert_eq!(credentials.realm, "sip.example.jp");
    assert_eq!(credentials.user, "city");
    assert_eq!(credentials.password, "open sesame");
    let registration = peer.registration.as_ref().unwrap();
    assert_eq!(registration.expires, Duration::from_secs(600));
    assert_eq!(registration.contact_user, None);
    // Its registrar is where requests go, where nothing else is written.
    assert_eq!(peer.targets.len(), 1);
    assert_eq!(peer.targets[0].transport, Transport::Tcp);
    assert_eq!(config.secrets, [folder.path().join("carrier.password")]);
    assert!(!format!("{config:?}").contains("sesame"));
    for contents in ["", "two\nlines\n"] {
        std::fs::write(folder.path().join("carrier.password"), contents).unwrap();
        let said = Config::parse(&file, &with_carrier(keys)).unwrap_err();
        let said = said.render(false);
        assert!(said.contains("chmod 600"), "{said}");
        assert!(!said.contains("lines\n"), "{said}");
    }
}

#[test]
fn what_does_not_fit_together_is_told_with_its_peer() {
    for (keys, told) in [
        ("addresses_ = 1", "addresses"),
        (
            "send_to = \"192.0.2.1\"\nsecure_media = \"always\"",
            "keys travel in clear",
        ),
        ("outbound = true", "no target"),
        ("probe = { interval_s = 30 }", "no target"),
        ("probe = { interval_s = 1 }", "5 to 86400"),
        (
            "send_to = \"sbc.example.jp;transport=tls\"",
            "add such an address to sip.listen",
        ),
        (
            "channels = { total = 2, emergency_reserve = 2 }",
            "fewer than all channels",
        ),
        (
            "session = { interval_s = 100, min_s = 200 }",
            "no less than min_s",
        ),
        ("session = { min_s = 10 }", "90 to 86400"),
        ("contracted = [\"12\"]", "a number of the contract"),
        ("codecs = [\"opus\"]", "\"pcmu\" or \"pcma\""),
        ("codecs = []", "one at least"),
        ("reliable = true", "a text"),
        ("switch_over_mtu = \"yes\"", "true or false"),
        ("dscp = { media = 64 }", "0 to 63"),
        (
            "local = \"192.0.2.9\"",
            "one of the addresses of sip.listen",
        ),
        (
            "registration = { registrar = \"sip:x\", user = \"a b\" }",
            "a user part that cannot stand",
        ),
        (
            "registration = { registrar = \"sip.example.jp\", user = \"city\", password_file = \"nowhere\" }",
            "cannot be read",
        ),
    ] {
        // As one line: the report breaks it where it is full.
        let said = faults_of(&with_carrier(keys)).replace('│', " ");
        let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(
            said.contains(told) && said.contains("help:"),
            "{keys}: {said}"
        );
    }
}

#[test]
fn a_peer_of_an_ip_version_that_nothing_of_ours_speaks_is_refused() {
    let sound = template::configuration(&wishes(Profile::Announce, None));
    let text = sound.replace(
        "addresses = [\"127.0.0.2\"]",
        "addresses = [\"2001:db8::2\"]",
    );
    let said = faults_of(&text);
    assert!(said.contains("an IPv6 address in sip.listen"), "{said}");
    assert!(said.contains("an IPv6 range in media.rtp"), "{said}");
}

#[test]
fn outbound_prefixes_and_sites_reach_the_exchange_and_name_peers_that_are_there() {
    let sound = without_outbound();
    let section = r#"
[outbound]
calls = 40
allowed = [{ prefix = "0" }, { prefix = "010", calls = 2 }]
[[outbound.site]]
name = "本庁"
peers = ["pbx"]
extensions = ["2"]
trunk = "carrier"
number = "0783331000"
"#;
    let text = format!("{sound}{section}");
    let config = Config::parse(Path::new("/srv/denwaban.toml"), &text)
        .unwrap_or_else(|report| panic!("{}", report.render(false)));
    let outbound = &config.outbound;
    assert_eq!((outbound.calls, outbound.allowed.len()), (Some(40), 2));
    assert_eq!(outbound.allowed[1].calls, Some(2));
    let site = &outbound.sites[0];
    assert_eq!(
        (site.name.as_str(), site.trunk.as_str()),
        ("本庁", "carrier")
    );
    assert_eq!(site.number.e164(), "+81783331000");
    for (written, instead, told) in [
        (
            "trunk = \"carrier\"",
            "trunk = \"pbx\"",
            "role = \"carrier\"",
        ),
        ("peers = [\"pbx\"]", "peers = [\"pbx-9\"]", "role = \"pbx\""),
        ("prefix = \"010\"", "prefix = \"abc\"", "010 for abroad"),
        (
            "number = \"0783331000\"\n",
            "number = \"9\"\n",
            "own number",
        ),
    ] {
        let text = format!("{sound}{}", section.replace(written, instead));
        let said = faults_of(&text);
        assert!(said.contains(told), "{instead}: {said}");
    }
}

#[test]
fn a_name_that_no_list_can_show_is_refused() {
    let sound = template::configuration(&wishes(Profile::Announce, None));
    for name in ["", "two\\nlines", &"x".repeat(65)] {
        let text = sound.replace("name = \"carrier\"", &format!("name = \"{name}\""));
        assert!(faults_of(&text).contains("a shorter name"), "{name}");
    }
}

#[test]
fn a_line_that_is_known_by_its_registrar_alone_needs_its_media_range_and_no_address() {
    let registered =
        with_carrier("registration = { registrar = \"sip.example.jp\", user = \"city\" }")
            .replace("addresses = [\"127.0.0.2\"]\n", "");
    let config = Config::parse(Path::new("/srv/denwaban.toml"), &registered)
        .unwrap_or_else(|report| panic!("{}", report.render(false)));
    assert_eq!(config.peers[0].targets.len(), 1);
    assert!(config.peers[0].outbound);
    let inbound = registered.replacen(
        "role = \"carrier\"",
        "role = \"carrier\"\noutbound = false",
        1,
    );
    let inbound = Config::parse(Path::new("/srv/denwaban.toml"), &inbound).unwrap();
    assert!(!inbound.peers[0].outbound);
    let said = faults_of(&registered.replacen("media = [\"127.0.0.2\"]\n", "", 1));
    assert!(said.contains("needs its media range"), "{said}");
}

fn carrier_of(keys: &str) -> Trunk {
    let text = with_carrier(keys);
    let config = Config::parse(Path::new("/srv/denwaban.toml"), &text)
        .unwrap_or_else(|report| panic!("{}", report.render(false)));
    config.peers[0].clone()
}
