//! A secure leg that moves to another media shard. The world is whole; the peer's numbers have wrapped.

use media::rtp;
use rtc_srtp::{
    context::Context,
    crypto::{RTCCryptoProvider, providers::AwsLcRsProvider},
    protection_profile::ProtectionProfile,
};
use sip_core::Transport;
use tests::{
    City, Plan,
    line::Extra,
    net::Packet,
    plan::{NUMBER, OTHER_NUMBER},
};

use crate::transfer::refer_to_dialog;

/// The key of every telephone here: 30 octets `A`.
const KEY: [u8; 30] = [b'A'; 30];
const SUITE: &str = "AES_CM_128_HMAC_SHA1_80";

/// Its description, with the number that the suite has in an offer of ours.
fn describe(city: &mut City, line: usize) -> Extra {
    let plain = city.lines[line].describe("sendrecv");
    let offer = city.lines[line].last("INVITE");
    let offered = offer.and_then(|offer| {
        let (before, _) = offer.body.split_once(SUITE)?;
        before.trim_end().rsplit(':').next()
    });
    let number = offered.unwrap_or("1");
    let key = "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFB";
    let key_line = format!("a=crypto:{number} {SUITE} inline:{key}\r\na=ptime:20");
    Extra::body(
        plain
            .replace("RTP/AVP", "RTP/SAVP")
            .replace("a=ptime:20", &key_line),
    )
}

/// What a telephone says, sealed.
struct Speaker {
    line: usize,
    sealing: Context,
    /// Wraps included.
    number: u32,
}

impl Speaker {
    fn new(line: usize) -> Speaker {
        let (key, salt) = KEY.split_at(16);
        let profile = ProtectionProfile::Aes128CmHmacSha1_80;
        let provider = AwsLcRsProvider::new();
        let sealing = Context::new(key, salt, profile, None, None, provider.crypto());
        Speaker {
            line,
            sealing: sealing.expect("a key of its suite"),
            number: 0,
        }
    }

    /// Says 20 ms of this sound, to where the last description wants it.
    fn says(&mut self, city: &mut City, step: u32, sound: u8) {
        self.number += step;
        let mut packet = vec![sound; rtp::HEADER_BYTES + 160];
        rtp::Header {
            marker: false,
            payload_type: 0,
            sequence: u16::try_from(self.number % 65_536).expect("16 bits"),
            timestamp: self.number.wrapping_mul(160),
            ssrc: 7,
            payload: 0..0,
        }
        .write(packet.first_chunk_mut().expect("a header"));
        let line = &city.lines[self.line];
        let mut got = line.got.iter().rev();
        let to = got
            .find_map(|(_, message)| message.media())
            .expect("a description");
        let sealed = self.sealing.encrypt_rtp(&packet);
        let packet = Packet {
            from: line.voice.local,
            to,
            payload: sealed.expect("a sealed packet").to_vec(),
        };
        city.send(packet);
        city.run_ms(20);
    }
}

#[test]
fn a_party_whose_numbers_have_wrapped_is_heard_after_its_leg_has_moved_to_another_shard() {
    let mut city = City::new(Plan {
        shards: 2,
        pbx_by: Transport::Tls,
        ..Plan::transparent()
    });
    let citizen = city.line(city.carrier.address, "0790000001");
    let department = city.line(city.pbx.address, "100");
    let offer = Extra::body(city.lines[citizen].describe("sendrecv"));
    city.line_calls(citizen, NUMBER, &offer);
    city.run_until_line(department, "INVITE (sdp)", 1);
    let answer = describe(&mut city, department);
    city.line_answers(department, "INVITE", 200, &answer);
    city.run_until_line(department, "ACK", 1);
    let consulting = city.line(city.pbx.address, "300");
    let expert = city.line(city.pbx.address, "100");
    let offer = describe(&mut city, consulting);
    city.line_calls(consulting, OTHER_NUMBER, &offer);
    city.run_until_line(expert, "INVITE (sdp)", 1);
    let answer = describe(&mut city, expert);
    city.line_answers(expert, "INVITE", 200, &answer);
    city.run_until_line(consulting, "200 INVITE (sdp)", 1);
    city.run_ms(100);
    let mut speaker = Speaker::new(expert);
    // 23 minutes of speech, of which every thousandth packet comes.
    for _ in 0..69 {
        speaker.says(&mut city, 1_000, 1);
    }
    let replaces = city.lines[consulting].replaces();
    refer_to_dialog(&mut city, department, &replaces);
    city.run_until_line(expert, "INVITE (sdp)", 2);
    let answer = describe(&mut city, expert);
    city.line_answers(expert, "INVITE", 200, &answer);
    city.run_ms(100);
    for _ in 0..50 {
        speaker.says(&mut city, 1, 77);
    }
    let heard = city.lines[citizen].voice.heard.iter();
    let heard = heard.filter(|heard| heard.payload.iter().all(|sample| *sample == 77));
    assert_eq!(heard.count(), 50, "{}", city.ladder(0));
    city.line_says(citizen, "BYE", &Extra::default());
    city.finish();
}
