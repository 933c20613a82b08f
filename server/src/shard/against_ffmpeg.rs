//! A running shard's secure legs against ffmpeg, which seals and opens by code of its own, in both counter-mode suites.
//!
//! Each test plays one second of a tone in real time; the far end of the bridge must hear that tone and nothing else.

use std::{
    f64::consts::TAU,
    net::UdpSocket,
    path::Path,
    process::{Child, Command as Program, Stdio},
    time::{Duration, Instant},
};

use media::{
    Codec, Command, Event, LegId, LegStatistics, OfferedLeg, StreamSettings,
    sdp::{self, Crypto, CryptoKey, CryptoLine, CryptoSuite, Local},
};
use tokio::sync::mpsc;

use super::{Report, Shard, Share};
use crate::config::PortRange;

const TONE_HZ: f64 = 440.0;
const KEY: [u8; 16] = *b"sixteen secrets!";
const SALT: [u8; 14] = *b"fourteen salts";
/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn ffmpeg_is_heard_on_a_secure_leg_with_its_reports() {
    // Under the SDES name of the short suite ffmpeg cuts the tag of reports too; RFC 4568 section 6.2 leaves it long, as
    // RFC 5764 does, whose name it knows as well.
    for (suite, name, first) in [
        (
            CryptoSuite::AesCm128HmacSha1_80,
            "AES_CM_128_HMAC_SHA1_80",
            25_000,
        ),
        (
            CryptoSuite::AesCm128HmacSha1_32,
            "SRTP_AES128_CM_HMAC_SHA1_32",
            25_010,
        ),
    ] {
        let department = UdpSocket::bind("127.0.77.5:0").unwrap();
        let call = Call::begin(first, suite, 25_900, &department);
        let target = format!(
            "srtp://{}?localrtpport=25900&localrtcpport=25901&localaddr=127.0.77.4&pkt_size=182",
            call.carrier.rtp
        );
        let inline = inline_of(&key(suite));
        let tone = format!("sine=frequency={TONE_HZ}:sample_rate=8000:duration=1");
        let mut ffmpeg = ffmpeg(&["-re", "-f", "lavfi", "-i", &tone])
            .args(["-c:a", "pcm_mulaw", "-ar", "8000", "-ac", "1", "-f", "rtp"])
            .args(["-srtp_out_suite", name, "-srtp_out_params", &inline])
            .arg(&target)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let heard = listen(&department, 7_000);
        assert!(ffmpeg.wait().unwrap().success());
        assert_tone(&heard, suite);
        let statistics = call.end();
        assert_eq!(statistics.dropped, media::command::Dropped::default());
        assert!(statistics.received >= 40, "{statistics:?}");
    }
}

#[test]
fn ffmpeg_hears_a_secure_leg_by_the_description_we_write() {
    for (suite, first, port) in [
        (CryptoSuite::AesCm128HmacSha1_80, 25_020, 25_910),
        (CryptoSuite::AesCm128HmacSha1_32, 25_030, 25_920),
    ] {
        let department = UdpSocket::bind("127.0.77.5:0").unwrap();
        let call = Call::begin(first, suite, port, &department);
        // Our offer, as the peer would get it; ffmpeg binds the port that it names.
        let mut local = Local::new(format!("127.0.77.4:{port}").parse().unwrap(), 1);
        local.crypto = vec![key(suite)];
        let folder = tempfile::tempdir().unwrap();
        let description = folder.path().join("leg.sdp");
        std::fs::write(&description, sdp::offer(&local, &[Codec::Pcmu], false)).unwrap();
        let listening = ffmpeg_listens(&description);
        speak_until_it_ends(&department, call.department, listening, suite);
        let statistics = call.end();
        assert_eq!(statistics.dropped, media::command::Dropped::default());
        assert!(statistics.sent >= 50, "{statistics:?}");
    }
}

/// A secure carrier's leg bridged to a plain department's leg, on a shard with real sockets.
struct Call {
    shard: Shard,
    reports: mpsc::Receiver<Report>,
    carrier: OfferedLeg,
    department: OfferedLeg,
}

impl Call {
    fn begin(first: u16, suite: CryptoSuite, carrier_port: u16, department: &UdpSocket) -> Call {
        let range = PortRange {
            address: "127.0.77.3".parse().unwrap(),
            first,
            last: first + 3,
        };
        let (out, mut reports) = mpsc::channel(64);
        let shares = Share::of(&[range], 0, 1, 10);
        let mut shard = Shard::begin(0, &shares, [7; 32], out).unwrap();
        let Some(Report::Offered(legs)) = reports.blocking_recv() else {
            panic!("a shard's first word is what it lends");
        };
        let [carrier, city] = legs[..] else {
            panic!("{legs:?}");
        };
        let theirs = CryptoLine {
            key: key(suite),
            mki: None,
        };
        let crypto = Crypto {
            ours: key(suite),
            theirs,
            counted: None,
        };
        let peer = format!("127.0.77.4:{carrier_port}").parse().unwrap();
        let secure = StreamSettings {
            crypto: Some(Box::new(crypto)),
            ..stream(peer)
        };
        open(&mut shard, carrier.leg, secure);
        open(
            &mut shard,
            city.leg,
            stream(department.local_addr().unwrap()),
        );
        assert!(shard.send(Command::Bridge {
            carrier: carrier.leg,
            department: city.leg,
        }));
        assert!(shard.tell());
        Call {
            shard,
            reports,
            carrier,
            department: city,
        }
    }

    /// Closes the carrier's leg and says what it counted.
    fn end(mut self) -> LegStatistics {
        let leg = self.carrier.leg;
        assert!(self.shard.send(Command::Close { leg }) && self.shard.tell());
        let statistics = loop {
            match self.reports.blocking_recv() {
                Some(Report::Media(Event::Closed { statistics, .. })) => break statistics,
                Some(_) => {}
                None => panic!("the shard ended"),
            }
        };
        self.shard.stop();
        statistics
    }
}

fn open(shard: &mut Shard, leg: LegId, stream: StreamSettings) {
    assert!(shard.send(Command::Open { leg, stream }));
}

fn stream(peer: std::net::SocketAddr) -> StreamSettings {
    let offer = sdp::offer(&Local::new(peer, 1), &[Codec::Pcmu], false);
    let remote = sdp::parse(offer.as_bytes()).unwrap();
    let ours = Local::new("127.0.77.3:25000".parse().unwrap(), 2);
    StreamSettings::agreed(&remote, &ours, Codec::Pcmu).unwrap()
}

fn key(suite: CryptoSuite) -> CryptoKey {
    CryptoKey::of(1, suite, &KEY, &SALT).unwrap()
}

/// The key as ffmpeg's option wants it, cut out of our own description.
fn inline_of(key: &CryptoKey) -> String {
    let mut local = Local::new("127.0.77.4:25900".parse().unwrap(), 1);
    local.crypto = vec![key.clone()];
    let offer = sdp::offer(&local, &[Codec::Pcmu], false);
    let (_, behind) = offer.split_once("inline:").unwrap();
    behind.split_once('\r').unwrap().0.to_owned()
}

fn ffmpeg(arguments: &[&str]) -> Program {
    let mut program = Program::new("ffmpeg");
    program
        .args(["-hide_banner", "-loglevel", "error", "-nostdin"])
        .args(arguments)
        .stderr(Stdio::inherit());
    program
}

/// Opens what arrives as a description says, and writes one second of it as samples.
fn ffmpeg_listens(description: &Path) -> Child {
    ffmpeg(&["-protocol_whitelist", "file,rtp,udp,srtp,crypto"])
        .args(["-analyzeduration", "0", "-probesize", "32", "-i"])
        .arg(description)
        .args(["-t", "1", "-ar", "8000", "-ac", "1", "-f", "s16le", "-"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// The department speaks the tone until ffmpeg has heard its second of it.
fn speak_until_it_ends(
    department: &UdpSocket,
    leg: OfferedLeg,
    mut listening: Child,
    suite: CryptoSuite,
) {
    let mut output = listening.stdout.take().unwrap();
    let reader = std::thread::spawn(move || {
        let mut octets = Vec::new();
        std::io::Read::read_to_end(&mut output, &mut octets).unwrap();
        octets
    });
    let begin = Instant::now();
    let mut sequence = 0_u16;
    while listening.try_wait().unwrap().is_none() {
        assert!(begin.elapsed() < PATIENCE, "ffmpeg heard no second of it");
        department.send_to(&spoken(sequence), leg.rtp).unwrap();
        sequence = sequence.wrapping_add(1);
        let due = begin + Duration::from_millis(20) * u32::from(sequence);
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    let octets = reader.join().unwrap();
    let (samples, _) = octets.as_chunks::<2>();
    let samples: Vec<i16> = samples.iter().copied().map(i16::from_le_bytes).collect();
    assert!(samples.len() >= 7_000, "{} samples", samples.len());
    assert_tone(&samples, suite);
}

/// A packet of the tone.
fn spoken(sequence: u16) -> Vec<u8> {
    let timestamp = u32::from(sequence) * 160;
    let mut packet = vec![0; media::rtp::HEADER_BYTES];
    media::rtp::Header {
        marker: sequence == 0,
        payload_type: 0,
        sequence,
        timestamp,
        ssrc: 9,
        payload: 0..0,
    }
    .write(packet.first_chunk_mut().unwrap());
    packet.extend((0..160_u32).map(|sample| {
        let phase = TAU * TONE_HZ * f64::from(timestamp + sample) / 8_000.0;
        #[expect(clippy::cast_possible_truncation, reason = "a sine times 8,000 fits")]
        let linear = (phase.sin() * 8_000.0) as i16;
        Codec::Pcmu.encode(linear)
    }));
    packet
}

/// Takes what the department hears until there are so many samples.
fn listen(department: &UdpSocket, samples: usize) -> Vec<i16> {
    department.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut heard = Vec::new();
    let mut packet = [0; 1_500];
    while heard.len() < samples {
        let (length, _) = department.recv_from(&mut packet).unwrap();
        let header = media::rtp::Header::read(&packet[..length]).unwrap();
        assert_eq!(header.payload_type, 0);
        let payload = &packet[header.payload];
        heard.extend(payload.iter().map(|&sample| Codec::Pcmu.decode(sample)));
    }
    heard
}

/// At least 95 % of the power lies at the tone's frequency (Goertzel's algorithm over whole tenths of a second).
fn assert_tone(samples: &[i16], suite: CryptoSuite) {
    let (blocks, _) = samples.as_chunks::<800>();
    // The first block may hold the beginning of the sound.
    for (index, block) in blocks.iter().enumerate().skip(1) {
        let coefficient = 2.0 * (TAU * TONE_HZ / 8_000.0).cos();
        let (mut last, mut before, mut power) = (0.0, 0.0, 0.0);
        for &sample in block {
            let sample = f64::from(sample);
            (last, before) = (sample + coefficient * last - before, last);
            power += sample * sample;
        }
        let at_tone = last * last + before * before - coefficient * last * before;
        let share = 2.0 * at_tone / (power * 800.0);
        assert!(share > 0.95, "{suite:?}: {share:.3} of block {index}");
    }
}
