//! Writing our descriptions.

use std::{fmt::Write, net::SocketAddr};

use super::{
    Codec, Crypto, CryptoKey, Direction, EVENTS_PAYLOAD_TYPE, Local, MediaLine, NOISE_PAYLOAD_TYPE,
    RemoteMedia,
};

/// Writes a leg's first offer: one audio line, codecs in order of preference, secure where `local` has keys.
///
/// `events`: whether keypad events are offered.
#[must_use]
pub fn offer(local: &Local, codecs: &[Codec], events: bool) -> String {
    let mut text = session_lines(local);
    Audio {
        protocol: protocol(local),
        codecs: &static_numbers(codecs),
        events: events.then_some(EVENTS_PAYLOAD_TYPE),
        noise: local.noise.then_some(NOISE_PAYLOAD_TYPE),
        ptime_ms: local.ptime_ms,
        direction: local.direction,
        crypto: &local.crypto,
    }
    .write(&mut text, local);
    text
}

/// Writes a later offer to the peer whose last description was `remote`: its media lines in their places, ours on the one
/// that is used, port 0 for all others; keypad events under the number they have.
///
/// Source: RFC 3264 section 8 (lines stay in order), section 8.3.2 (numbers keep their meaning).
#[must_use]
pub fn reoffer(remote: &RemoteMedia, local: &Local, codecs: &[Codec], events: bool) -> String {
    let mut text = session_lines(local);
    for line in &remote.lines {
        if !line.is_used {
            refuse(&mut text, line);
            continue;
        }
        Audio {
            protocol: protocol(local),
            codecs: &static_numbers(codecs),
            events: events.then(|| remote.events.unwrap_or_else(|| free_number(line))),
            noise: local.noise.then_some(NOISE_PAYLOAD_TYPE),
            ptime_ms: local.ptime_ms,
            direction: local.direction,
            crypto: &local.crypto,
        }
        .write(&mut text, local);
    }
    text
}

/// Writes the answer to `remote`: `codec` on its used line under the peer's payload type, port 0 for all others.
///
/// `events`: whether keypad events are taken, where the peer has them. A codec that the peer does not list is written
/// under its static number; [`super::choose`] never picks one. A secure line for which `local` has no key that belongs to
/// one of the peer's is refused with port 0: it is never answered plain.
///
/// Source: RFC 3264 section 6, RFC 4568 section 5.1.2.
#[must_use]
pub fn answer(remote: &RemoteMedia, local: &Local, codec: Codec, events: bool) -> String {
    let mut text = session_lines(local);
    let payload_type = remote
        .payload_type(codec)
        .unwrap_or(codec.static_payload_type());
    let keys = remote
        .secure
        .then(|| Crypto::agreed(&local.crypto, &remote.crypto).map(|agreed| agreed.ours));
    for line in &remote.lines {
        let crypto = match &keys {
            None => &[][..],
            Some(Some(ours)) => std::slice::from_ref(ours),
            Some(None) => {
                refuse(&mut text, line);
                continue;
            }
        };
        if !line.is_used {
            refuse(&mut text, line);
            continue;
        }
        Audio {
            protocol: &line.protocol,
            codecs: &[(codec, payload_type)],
            events: remote.events.filter(|_| events),
            noise: remote.noise.filter(|_| local.noise),
            ptime_ms: remote.ptime_ms,
            direction: local.direction.and(remote.direction.answered()),
            crypto,
        }
        .write(&mut text, local);
    }
    text
}

fn protocol(local: &Local) -> &'static str {
    if local.crypto.is_empty() {
        "RTP/AVP"
    } else {
        "RTP/SAVP"
    }
}

fn static_numbers(codecs: &[Codec]) -> Vec<(Codec, u8)> {
    codecs
        .iter()
        .map(|&codec| (codec, codec.static_payload_type()))
        .collect()
}

/// A number for keypad events that means nothing else to the peer: ours by habit, else the first free dynamic one.
fn free_number(line: &MediaLine) -> u8 {
    let is_free = |number: &u8| {
        line.formats
            .split(' ')
            .all(|format| format.parse() != Ok(*number))
    };
    std::iter::once(EVENTS_PAYLOAD_TYPE)
        .chain(96..=127)
        .find(is_free)
        .unwrap_or(EVENTS_PAYLOAD_TYPE)
}

/// A line in its place that is not taken (RFC 3264 section 6).
fn refuse(text: &mut String, line: &MediaLine) {
    push_line(
        text,
        format_args!("m={} 0 {} {}", line.media, line.protocol, line.formats),
    );
}

/// The lines above the media (RFC 8866 section 5), with the origin of this leg alone.
fn session_lines(local: &Local) -> String {
    let (kind, host) = (address_type(local.rtp), local.rtp.ip());
    let mut text = String::with_capacity(320);
    push_line(&mut text, format_args!("v=0"));
    push_line(
        &mut text,
        format_args!(
            "o=- {} {} IN {kind} {host}",
            local.session_id, local.version
        ),
    );
    push_line(&mut text, format_args!("s=-"));
    push_line(&mut text, format_args!("c=IN {kind} {host}"));
    push_line(&mut text, format_args!("t=0 0"));
    text
}

/// One audio line with its attributes.
struct Audio<'a> {
    protocol: &'a str,
    codecs: &'a [(Codec, u8)],
    events: Option<u8>,
    noise: Option<u8>,
    ptime_ms: u16,
    direction: Direction,
    crypto: &'a [CryptoKey],
}

impl Audio<'_> {
    fn write(&self, text: &mut String, local: &Local) {
        let numbers: Vec<String> = self
            .codecs
            .iter()
            .map(|&(_, number)| number)
            .chain(self.noise)
            .chain(self.events)
            .map(|number| number.to_string())
            .collect();
        push_line(
            text,
            format_args!(
                "m=audio {} {} {}",
                local.rtp.port(),
                self.protocol,
                numbers.join(" ")
            ),
        );
        for (codec, number) in self.codecs {
            push_line(text, format_args!("a=rtpmap:{number} {codec}/8000"));
        }
        if let Some(number) = self.noise {
            push_line(text, format_args!("a=rtpmap:{number} CN/8000"));
        }
        if let Some(number) = self.events {
            push_line(text, format_args!("a=rtpmap:{number} telephone-event/8000"));
            // The sixteen keys; flash and line events are not passed (RFC 4733 section 2.4.1).
            push_line(text, format_args!("a=fmtp:{number} 0-15"));
        }
        for key in self.crypto {
            push_line(text, format_args!("a=crypto:{}", *key.line()));
        }
        push_line(text, format_args!("a=ptime:{}", self.ptime_ms));
        push_line(text, format_args!("a={}", self.direction.attribute()));
    }
}

fn push_line(text: &mut String, line: std::fmt::Arguments<'_>) {
    text.write_fmt(line).expect("a string takes any text");
    text.push_str("\r\n");
}

fn address_type(address: SocketAddr) -> &'static str {
    match address {
        SocketAddr::V4(_) => "IP4",
        SocketAddr::V6(_) => "IP6",
    }
}
