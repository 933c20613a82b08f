//! Session descriptions as peers write them, odd ones included, and ours as an independent reader sees them.

mod secure;

use media::{
    Codec,
    sdp::{self, Direction, Local, RemoteMedia, SdpFault, StreamSettings},
};
use proptest::prelude::*;

use self::secure::SECURE;

const PLAIN: &str = "v=0\no=- 1 1 IN IP4 192.0.2.1\ns=-\nc=IN IP4 192.0.2.1\nt=0 0\n";

fn read(media: &str) -> Result<RemoteMedia, SdpFault> {
    sdp::parse(format!("{PLAIN}{media}").as_bytes())
}

fn local(address: &str) -> Local {
    let rtp = address.parse().unwrap_or_else(|_| panic!("{address}"));
    Local {
        version: 3,
        ..Local::new(rtp, 77)
    }
}

fn lines_of<'a>(text: &'a str, start: &str) -> Vec<&'a str> {
    text.lines()
        .filter(|line| line.starts_with(start))
        .collect()
}

#[test]
fn a_usual_offer_is_read_in_its_order_of_preference() {
    let offer = "m=audio 49170 RTP/AVP 8 0 18 101\na=rtpmap:8 PCMA/8000\na=rtpmap:18 G729/8000\n\
                 a=rtpmap:101 telephone-event/8000\na=fmtp:101 0-15\na=ptime:20\na=sendrecv\n";
    let remote = read(offer).unwrap();
    assert_eq!(remote.rtp, "192.0.2.1:49170".parse().unwrap());
    assert_eq!(remote.rtcp, "192.0.2.1:49171".parse().unwrap());
    assert_eq!(remote.codecs, [(Codec::Pcma, 8), (Codec::Pcmu, 0)]);
    assert_eq!(
        (remote.events, remote.ptime_ms, remote.direction),
        (Some(101), 20, Direction::SendReceive)
    );
    assert_eq!(
        sdp::choose(&remote, &[Codec::Pcmu, Codec::Pcma]),
        Some(Codec::Pcma)
    );
    assert_eq!(sdp::choose(&remote, &[Codec::Pcmu]), Some(Codec::Pcmu));
    assert_eq!(sdp::choose(&remote, &[]), None);
    let settings = StreamSettings::agreed(&remote, &local("192.0.2.9:20000"), Codec::Pcmu).unwrap();
    assert_eq!(
        (settings.payload_type, settings.events, settings.remote_rtp),
        (0, Some(101), remote.rtp)
    );
}

#[test]
fn the_examples_of_rfc_3264_are_understood() {
    // Section 10.1: audio with three codecs, and two video lines.
    let offer = "m=audio 49170 RTP/AVP 0 8 97\na=rtpmap:0 PCMU/8000\na=rtpmap:8 PCMA/8000\na=rtpmap:97 iLBC/8000\n\
                 m=video 51372 RTP/AVP 31 32\na=rtpmap:31 H261/90000\na=rtpmap:32 MPV/90000\n";
    let remote = read(offer).unwrap();
    let answer = sdp::answer(&remote, &local("192.0.2.9:20000"), Codec::Pcmu, true);
    assert_eq!(
        lines_of(&answer, "m="),
        ["m=audio 20000 RTP/AVP 0", "m=video 0 RTP/AVP 31 32"]
    );
    // Section 10.2: one line each for speech and for keypad events; the first that is speech is taken.
    let offer = "m=audio 5004 RTP/AVP 97\na=rtpmap:97 telephone-event/8000\na=fmtp:97 0-15\na=recvonly\n\
                 m=audio 5006 RTP/AVP 0\na=sendonly\n";
    let remote = read(offer).unwrap();
    assert_eq!(
        (remote.rtp.port(), remote.events, remote.direction),
        (5006, None, Direction::SendOnly)
    );
    let answer = sdp::answer(&remote, &local("192.0.2.9:20000"), Codec::Pcmu, true);
    let media: Vec<&str> = answer
        .lines()
        .filter(|line| line.starts_with("m=") || line.ends_with("only"))
        .collect();
    assert_eq!(
        media,
        [
            "m=audio 0 RTP/AVP 97",
            "m=audio 20000 RTP/AVP 0",
            "a=recvonly"
        ]
    );
}

#[test]
fn addresses_of_both_families_stand_at_either_level() {
    // RFC 5118 section 4.9: IPv6 in the session and in the media part, and both families in one description.
    let mixed = "v=0\no=- 1 1 IN IP6 2001:db8:20::1\ns=-\nt=0 0\nm=audio 6000 RTP/AVP 0\nc=IN IP6 2001:db8::1\n\
                 m=video 6024 RTP/AVP 107\nc=IN IP4 192.0.2.1\n";
    assert_eq!(
        sdp::parse(mixed.as_bytes()).unwrap().rtp,
        "[2001:db8::1]:6000".parse().unwrap()
    );
    // Section 4.10: an IPv4-mapped address is the IPv4 host.
    let mapped =
        "v=0\no=- 1 1 IN IP6 ::1\ns=-\nc=IN IP6 ::ffff:192.0.2.1\nt=0 0\nm=audio 6000 RTP/AVP 0\n";
    assert_eq!(
        sdp::parse(mapped.as_bytes()).unwrap().rtp,
        "192.0.2.1:6000".parse().unwrap()
    );
    let remote =
        read("m=audio 6000 RTP/AVP 0\nc=IN IP4 192.0.2.7/127\na=rtcp:7001 IN IP4 192.0.2.8\n")
            .unwrap();
    assert_eq!(
        (remote.rtp, remote.rtcp),
        (
            "192.0.2.7:6000".parse().unwrap(),
            "192.0.2.8:7001".parse().unwrap()
        )
    );
    assert_eq!(
        read("m=audio 6000 RTP/AVP 0\na=rtcp:7001\n").unwrap().rtcp,
        "192.0.2.1:7001".parse().unwrap()
    );
}

#[test]
fn each_unusable_description_says_what_is_wrong() {
    let table: [(&str, SdpFault); 19] = [
        ("", SdpFault::NoAudio),
        ("m=video 5000 RTP/AVP 31\n", SdpFault::NoAudio),
        ("m=audio 0 RTP/AVP 0\n", SdpFault::NoAudio),
        ("m=audio 5000 RTP/AVPF 0\n", SdpFault::Transport),
        ("m=audio 5000 RTP/SAVP 0\n", SdpFault::NoKey),
        (
            "m=audio 5000 RTP/SAVP 0\na=crypto:1 F8_128_HMAC_SHA1_80 inline:AAAA\n",
            SdpFault::NoSuite,
        ),
        (
            "m=audio 0 RTP/AVP 0\nm=image 5000 udptl t38\n",
            SdpFault::Fax,
        ),
        ("m=image 5000 udptl t38\n", SdpFault::Fax),
        ("m=audio 5000 UDP/TLS/RTP/SAVPF 0\n", SdpFault::Transport),
        ("m=audio 5000 RTP/AVP 18 3 13\n", SdpFault::NoCodec),
        ("m=audio 5000 RTP/AVP 97\n", SdpFault::NoCodec),
        (
            "m=audio 5000 RTP/AVP 0\na=rtpmap:0 MPEG4-GENERIC/16000/2\n",
            SdpFault::NoCodec,
        ),
        (
            "m=audio 5000 RTP/AVP 97\na=rtpmap:97 PCMU/16000\n",
            SdpFault::NoCodec,
        ),
        (
            "m=audio 5000 RTP/AVP 0\nc=IN IP4 224.2.0.1/127\n",
            SdpFault::NoHost,
        ),
        (
            "m=audio 5000 RTP/AVP 0\nc=IN IP4 255.255.255.255\n",
            SdpFault::NoHost,
        ),
        (
            "m=audio 5000 RTP/AVP 0\nc=IN IP6 ff02::1\n",
            SdpFault::NoHost,
        ),
        (
            "m=audio 5000 RTP/AVP 0\nc=IN IP4 pbx.example.com\n",
            SdpFault::NoAddress,
        ),
        ("m=audio 65535 RTP/AVP 0\n", SdpFault::Port),
        ("m=audio 5000 RTP/AVP 0\na=rtcp:0\n", SdpFault::Port),
    ];
    for (media, fault) in table {
        assert_eq!(read(media), Err(fault), "{media}");
    }
    let nowhere = "v=0\no=- 1 1 IN IP4 192.0.2.1\ns=-\nt=0 0\nm=audio 5000 RTP/AVP 0\n";
    assert_eq!(sdp::parse(nowhere.as_bytes()), Err(SdpFault::NoAddress));
    assert_eq!(
        read("m=audio five RTP/AVP 0\n"),
        Err(SdpFault::Malformed { line: 6 })
    );
    assert_eq!(sdp::parse(b""), Err(SdpFault::Malformed { line: 0 }));
    assert_eq!(
        read(&"m=audio 5000 RTP/AVP 18\n".repeat(17)),
        Err(SdpFault::Crowded { found: 17 })
    );
    let found = 16 * 1024 + 1;
    assert_eq!(
        sdp::parse(&vec![b'v'; found]),
        Err(SdpFault::Large { found })
    );
}

#[test]
fn a_plain_line_beside_a_secure_one_is_taken_and_both_are_answered() {
    let remote = read("m=audio 5000 RTP/SAVP 0\na=crypto:1 X inline:Y\nm=audio 5002 RTP/AVP 0\nm=image 5004 udptl t38\n").unwrap();
    assert_eq!(remote.rtp.port(), 5002);
    let answer = sdp::answer(&remote, &local("192.0.2.9:20000"), Codec::Pcmu, false);
    assert_eq!(
        lines_of(&answer, "m="),
        [
            "m=audio 0 RTP/SAVP 0",
            "m=audio 20000 RTP/AVP 0",
            "m=image 0 udptl t38"
        ]
    );
}

#[test]
fn odd_but_clear_descriptions_are_read() {
    // Shift JIS in the name, tabs, small letters, a payload number of the peer's own, twice the same codec.
    let mut odd =
        b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=\x93\xd6\x97\xb1\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"
            .to_vec();
    odd.extend(b"m=AUDIO 5000 rtp/avp 96  0\t97 \r\na=RTPMAP:96 pcmu/8000/1\r\na=rtpmap:97 Telephone-Event/8000\r\na=PTIME:30\r\n");
    let remote = sdp::parse(&odd).unwrap();
    assert_eq!(
        (remote.codecs, remote.events, remote.ptime_ms),
        (vec![(Codec::Pcmu, 96)], Some(97), 30)
    );
}

#[test]
fn packet_times_are_brought_into_what_we_send() {
    let table = [
        ("", 20),
        ("a=ptime:10\n", 10),
        ("a=ptime:5\n", 10),
        ("a=ptime:200\n", 60),
        ("a=ptime:twenty\n", 20),
    ];
    for (attribute, expected) in table {
        assert_eq!(
            read(&format!("m=audio 5000 RTP/AVP 0\n{attribute}"))
                .unwrap()
                .ptime_ms,
            expected,
            "{attribute}"
        );
    }
    assert_eq!(
        read("m=audio 5000 RTP/AVP 0\na=ptime:40\na=maxptime:30\n")
            .unwrap()
            .ptime_ms,
        30
    );
}

#[test]
fn directions_are_read_at_both_levels_and_mirrored_in_the_answer() {
    let session = PLAIN.replace("t=0 0\n", "t=0 0\na=inactive\n");
    let read = |media: &str| {
        sdp::parse(format!("{session}{media}").as_bytes())
            .unwrap()
            .direction
    };
    assert_eq!(read("m=audio 5000 RTP/AVP 0\n"), Direction::Inactive);
    assert_eq!(
        read("m=audio 5000 RTP/AVP 0\na=sendonly\n"),
        Direction::SendOnly
    );
    assert_eq!(Direction::SendOnly.answered(), Direction::ReceiveOnly);
    assert_eq!(Direction::ReceiveOnly.answered(), Direction::SendOnly);
}

#[test]
fn our_offer_is_written_whole() {
    let offer = sdp::offer(&local("192.0.2.9:20000"), &[Codec::Pcmu, Codec::Pcma], true);
    let expected = "v=0\r\no=- 77 3 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\n\
                    m=audio 20000 RTP/AVP 0 8 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n\
                    a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\na=sendrecv\r\n";
    assert_eq!(offer, expected);
}

#[test]
fn our_answer_uses_the_peers_numbers() {
    let remote = read("m=audio 5000 RTP/AVP 96 8 97\na=rtpmap:96 PCMU/8000\na=rtpmap:97 telephone-event/8000\na=ptime:40\n").unwrap();
    let answer = sdp::answer(&remote, &local("[2001:db8::9]:20000"), Codec::Pcmu, true);
    let expected = "v=0\r\no=- 77 3 IN IP6 2001:db8::9\r\ns=-\r\nc=IN IP6 2001:db8::9\r\nt=0 0\r\n\
                    m=audio 20000 RTP/AVP 96 97\r\na=rtpmap:96 PCMU/8000\r\na=rtpmap:97 telephone-event/8000\r\n\
                    a=fmtp:97 0-15\r\na=ptime:40\r\na=sendrecv\r\n";
    assert_eq!(answer, expected);
}

#[test]
fn what_we_write_reads_back_and_an_independent_reader_agrees() {
    for address in ["192.0.2.9:20000", "[2001:db8::9]:20002"] {
        let local = local(address);
        let offer = sdp::offer(&local, &[Codec::Pcma], true);
        let remote = sdp::parse(offer.as_bytes()).unwrap();
        assert_eq!(
            (remote.rtp, remote.codecs.clone(), remote.events),
            (local.rtp, vec![(Codec::Pcma, 8)], Some(101))
        );
        for text in [offer, sdp::answer(&remote, &local, Codec::Pcma, true)] {
            let session = sdp_types::Session::parse(text.as_bytes()).unwrap();
            assert_eq!(
                (session.origin.sess_id.as_str(), session.origin.sess_version),
                ("77", 3)
            );
            let mut written = Vec::new();
            session.write(&mut written).unwrap();
            assert_eq!(String::from_utf8(written).unwrap(), text);
        }
    }
}

#[test]
fn a_repeated_description_changes_nothing_and_a_changed_one_does() {
    let base = "m=audio 5000 RTP/AVP 0 8 101\na=rtpmap:101 telephone-event/8000\n";
    let before = read(base).unwrap();
    let renumbered = format!("{PLAIN}{base}").replace("o=- 1 1", "o=- 1 9");
    assert!(before.changes_nothing(&sdp::parse(renumbered.as_bytes()).unwrap()));
    let changes = [
        base.replace("5000", "5002"),
        base.replace("0 8 101", "8 0 101"),
        base.replace("0 8 101", "0 101"),
        base.replace("101", "102"),
        format!("{base}a=sendonly\n"),
        format!("{base}a=rtcp:9000\n"),
        format!("{base}c=IN IP4 192.0.2.2\n"),
        format!("{base}m=video 6000 RTP/AVP 31\n"),
        base.replace("0 8 101", "0 8 101 13"),
        SECURE.to_owned(),
    ];
    for change in changes {
        assert!(!before.changes_nothing(&read(&change).unwrap()), "{change}");
    }
}

#[test]
fn each_form_of_hold_is_read_agreed_and_answered() {
    // The peer's lines, its direction, the answer's, and whether we send and receive.
    let table = [
        ("", "c=IN IP4 192.0.2.1", Direction::SendReceive, "sendrecv"),
        (
            "a=sendonly\n",
            "c=IN IP4 192.0.2.1",
            Direction::SendOnly,
            "recvonly",
        ),
        (
            "a=recvonly\n",
            "c=IN IP4 192.0.2.1",
            Direction::ReceiveOnly,
            "sendonly",
        ),
        (
            "a=inactive\n",
            "c=IN IP4 192.0.2.1",
            Direction::Inactive,
            "inactive",
        ),
        ("", "c=IN IP4 0.0.0.0", Direction::SendOnly, "recvonly"),
        (
            "a=sendonly\n",
            "c=IN IP4 0.0.0.0",
            Direction::SendOnly,
            "recvonly",
        ),
        (
            "a=inactive\n",
            "c=IN IP4 0.0.0.0",
            Direction::Inactive,
            "inactive",
        ),
        ("", "c=IN IP6 ::", Direction::SendOnly, "recvonly"),
    ];
    for (attribute, connection, direction, answered) in table {
        let remote = read(&format!(
            "m=audio 5000 RTP/AVP 0\n{connection}\n{attribute}"
        ))
        .unwrap();
        assert_eq!(remote.direction, direction, "{connection} {attribute}");
        assert_eq!(remote.is_reachable(), connection.ends_with("192.0.2.1"));
        let answer = sdp::answer(&remote, &local("192.0.2.9:20000"), Codec::Pcmu, false);
        assert!(answer.ends_with(&format!("a={answered}\r\n")), "{answer}");
        let stream =
            StreamSettings::agreed(&remote, &local("192.0.2.9:20000"), Codec::Pcmu).unwrap();
        assert_eq!(stream.direction, direction.answered());
    }
}

#[test]
fn what_either_side_does_not_want_is_not_agreed() {
    use Direction::{Inactive, ReceiveOnly, SendOnly, SendReceive};
    // Ours, the peer's, what we do, what our answer says.
    let table = [
        (SendReceive, SendReceive, SendReceive),
        (SendOnly, SendReceive, SendOnly),
        (SendOnly, ReceiveOnly, SendOnly),
        (SendOnly, SendOnly, Inactive),
        (ReceiveOnly, SendOnly, ReceiveOnly),
        (ReceiveOnly, ReceiveOnly, Inactive),
        (Inactive, SendReceive, Inactive),
        (SendReceive, Inactive, Inactive),
    ];
    for (ours, theirs, agreed) in table {
        let remote = read(&format!(
            "m=audio 5000 RTP/AVP 0\na={}\n",
            theirs.attribute()
        ))
        .unwrap();
        let local = Local {
            direction: ours,
            ..local("192.0.2.9:20000")
        };
        let stream = StreamSettings::agreed(&remote, &local, Codec::Pcmu).unwrap();
        assert_eq!(stream.direction, agreed, "{ours:?} {theirs:?}");
        let answer = sdp::answer(&remote, &local, Codec::Pcmu, false);
        assert!(
            answer.contains(&format!("a={}\r\n", agreed.attribute())),
            "{answer}"
        );
        let offer = sdp::offer(&local, &[Codec::Pcmu], false);
        assert!(
            offer.contains(&format!("a={}\r\n", ours.attribute())),
            "{offer}"
        );
    }
}

#[test]
fn a_later_offer_keeps_every_line_in_its_place_and_the_numbers_meaning() {
    let remote = read(
        "m=video 6000 RTP/AVP 31\n\
         m=audio 5000 RTP/AVP 8 0 96 101\na=rtpmap:96 telephone-event/8000\na=rtpmap:101 opus/48000/2\n\
         m=image 0 udptl t38\n",
    )
    .unwrap();
    let mut ours = local("192.0.2.9:20000");
    ours.version = 4;
    ours.direction = Direction::SendOnly;
    let offer = sdp::reoffer(&remote, &ours, &[Codec::Pcma], true);
    assert_eq!(
        lines_of(&offer, "m="),
        [
            "m=video 0 RTP/AVP 31",
            "m=audio 20000 RTP/AVP 8 96",
            "m=image 0 udptl t38"
        ]
    );
    assert!(offer.contains("o=- 77 4 ") && offer.contains("a=sendonly\r\n"));
    // Where the peer has no events, they get a number that means nothing else to it.
    let deaf = read("m=audio 5000 RTP/AVP 8 101\na=rtpmap:101 opus/48000/2\n").unwrap();
    let offer = sdp::reoffer(&deaf, &ours, &[Codec::Pcma], true);
    assert_eq!(lines_of(&offer, "m="), ["m=audio 20000 RTP/AVP 8 96"]);
}

#[test]
fn comfort_noise_and_packet_time_cross_where_both_sides_have_them() {
    let offer = "m=audio 5000 RTP/AVP 0 13\na=ptime:30\n";
    let remote = read(offer).unwrap();
    assert_eq!((remote.noise, remote.ptime_ms), (Some(13), 30));
    let quiet = local("192.0.2.9:20000");
    let noisy = Local {
        noise: true,
        ptime_ms: 30,
        ..quiet.clone()
    };
    let answer = |local| sdp::answer(&remote, local, Codec::Pcmu, false);
    assert!(answer(&quiet).contains("m=audio 20000 RTP/AVP 0\r\n"));
    assert!(answer(&noisy).contains("m=audio 20000 RTP/AVP 0 13\r\n"));
    assert!(answer(&noisy).contains("a=rtpmap:13 CN/8000\r\n"));
    let offered = sdp::offer(&noisy, &[Codec::Pcmu], true);
    assert!(offered.contains("m=audio 20000 RTP/AVP 0 13 101\r\n"));
    assert!(offered.contains("a=ptime:30\r\n"));
    let mapped = read("m=audio 5000 RTP/AVP 0 98\na=rtpmap:98 CN/8000\n").unwrap();
    let agreed = |local| {
        StreamSettings::agreed(&mapped, local, Codec::Pcmu)
            .unwrap()
            .noise
    };
    assert_eq!((agreed(&quiet), agreed(&noisy)), (None, Some(98)));
}

#[test]
fn a_fax_line_is_seen_beside_speech_and_instead_of_it() {
    let speech = "m=audio 5000 RTP/AVP 0\n";
    let both = read(&format!("{speech}m=image 5002 udptl t38\n")).unwrap();
    assert!(both.asks_fax());
    assert!(!read(speech).unwrap().asks_fax());
    assert!(
        !read(&format!("{speech}m=image 0 udptl t38\n"))
            .unwrap()
            .asks_fax()
    );
    assert_eq!(
        read("m=audio 0 RTP/AVP 0\nm=image 5002 udptl t38\n"),
        Err(SdpFault::Fax)
    );
    let refused = read(&format!("{speech}m=image 0 udptl t38\n")).unwrap();
    assert!(!refused.changes_nothing(&both));
}

#[test]
fn a_version_that_grew_is_another_description_whatever_it_says() {
    let read = |origin: &str| {
        let text = PLAIN.replace("o=- 1 1", origin);
        sdp::parse(format!("{text}m=audio 5000 RTP/AVP 0\n").as_bytes()).unwrap()
    };
    let first = read("o=- 1 1");
    assert!(!first.is_newer(&read("o=- 1 1")));
    assert!(first.is_newer(&read("o=- 1 2")));
    assert!(first.is_newer(&read("o=- 2 1")));
    assert_eq!(
        first.origin,
        sdp::Origin {
            session_id: 1,
            version: 1
        }
    );
    // Ids that are no numbers, or too large for one.
    let odd = read("o=- 123456789012345678901234567890 1");
    assert!(!odd.is_newer(&read("o=- 123456789012345678901234567890 1")));
    assert!(odd.is_newer(&read("o=- 123456789012345678901234567891 1")));
    assert!(read("o=- call-1 1").is_newer(&read("o=- call-2 1")));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn junk_is_refused_without_panic(body in proptest::collection::vec(any::<u8>(), 0..600)) {
        drop(sdp::parse(&body));
    }

    #[test]
    fn whatever_is_read_can_be_answered(lines in proptest::collection::vec(line(), 0..14)) {
        // The first line with a port is always usable, unless something behind it spoils the whole description.
        let body = format!("{PLAIN}m=audio 5000 RTP/AVP 8\r\n{}", lines.concat());
        if let Ok(remote) = sdp::parse(body.as_bytes()) {
            let codec = sdp::choose(&remote, &[Codec::Pcmu, Codec::Pcma]).expect("a usable line has a codec");
            let answer = sdp::answer(&remote, &local("192.0.2.9:20000"), codec, true);
            let answered = sdp_types::Session::parse(answer.as_bytes()).expect("ours is well-formed");
            prop_assert_eq!(answered.medias.len(), remote.lines.len());
            prop_assert_eq!(answered.medias.iter().filter(|media| media.port != 0).count(), 1);
            prop_assert!(remote.changes_nothing(&remote));
            prop_assert!((10..=60).contains(&remote.ptime_ms));
        } else {
            prop_assert!(!lines.is_empty());
        }
    }
}

/// A line that may stand in a description, in any order.
fn line() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("o=- 1 1 IN IP4 192.0.2.1\r\n".to_owned()),
        Just("c=IN IP4 192.0.2.1\r\n".to_owned()),
        Just("c=IN IP6 2001:db8::1\r\n".to_owned()),
        (any::<u16>(), "[0-9 ]{1,12}")
            .prop_map(|(port, formats)| format!("m=audio {port} RTP/AVP 0 {formats}\r\n")),
        (any::<u16>(), "[a-zA-Z/]{1,8}")
            .prop_map(|(port, protocol)| format!("m=image {port} {protocol} t38\r\n")),
        "[0-9]{1,3} [A-Za-z-]{1,6}/[0-9]{1,5}".prop_map(|map| format!("a=rtpmap:{map}\r\n")),
        "[a-z]{1,8}:?.{0,12}"
            .prop_map(|attribute| format!("a={}\r\n", attribute.replace(['\r', '\n', '\0'], ""))),
        any::<u16>().prop_map(|ptime| format!("a=ptime:{ptime}\r\n")),
        "[0-9]{1,3} [A-Z_0-9]{1,24} inline:[A-Za-z0-9+/|:^;=]{1,60}"
            .prop_map(|line| format!("a=crypto:{line}\r\n")),
    ]
}
