//! Session descriptions: reading what a peer offers or answers, and writing ours.
//!
//! Reading is tolerant (RFC 8866 by the crate `sdp-types`), choosing is strict: plain RTP, G.711, one usable address.
//! Writing follows RFC 3264: every media line is answered in its place, those we do not take with port 0.

use std::{
    fmt::Write,
    net::{IpAddr, SocketAddr},
};

use sdp_types::{Attribute, Connection, Media, ParserError, Session};
use thiserror::Error;

pub use crate::g711::Codec;

use crate::command::Fault;

/// Media lines we read; a description with more is refused. Real ones have one or two.
pub const MAX_MEDIA_LINES: usize = 16;
/// The largest description we read. A verbose one with video has about 4 KiB.
pub const MAX_BODY_BYTES: usize = 16 * 1024;
/// Payload type under which our own offers list keypad events; by habit of all (RFC 4733 leaves it dynamic).
pub const EVENTS_PAYLOAD_TYPE: u8 = 101;
/// Packet time when nothing is said (RFC 3551 section 4.5).
pub const DEFAULT_PTIME_MS: u16 = 20;
/// The shortest and longest packet time we send; a wish outside is brought to the nearer end.
pub const PTIME_RANGE_MS: std::ops::RangeInclusive<u16> = 10..=60;

/// What a peer's description says of the one audio stream we use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteMedia {
    /// Where the peer receives RTP.
    pub rtp: SocketAddr,
    /// Where the peer receives RTCP: one port above, or as `a=rtcp` says (RFC 3605).
    pub rtcp: SocketAddr,
    /// The codecs we know with the peer's payload types, in the peer's order of preference.
    pub codecs: Vec<(Codec, u8)>,
    /// The payload type of keypad events (RFC 4733), if the peer takes them.
    pub events: Option<u8>,
    /// Packet time the peer wishes to receive, 10 to 60.
    pub ptime_ms: u16,
    /// Who sends, seen from the peer.
    pub direction: Direction,
    /// All media lines in order: an answer repeats each.
    pub lines: Vec<MediaLine>,
}

/// One `m=` line as an answer needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaLine {
    /// `audio`, `video`, `image`, ...
    pub media: String,
    /// `RTP/AVP`, `udptl`, ...
    pub protocol: String,
    /// Payload types or formats, separated by spaces.
    pub formats: String,
    /// Whether this is the line we use.
    pub is_used: bool,
}

/// Who sends on a stream (RFC 8866 section 6.7), seen from whoever wrote the description.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Both.
    SendReceive,
    /// Only the writer sends.
    SendOnly,
    /// Only the writer receives.
    ReceiveOnly,
    /// Nobody.
    Inactive,
}

impl Direction {
    /// The direction an answer gives to this offer (RFC 3264 section 6.1).
    #[must_use]
    pub fn answered(self) -> Direction {
        match self {
            Direction::SendReceive => Direction::SendReceive,
            Direction::SendOnly => Direction::ReceiveOnly,
            Direction::ReceiveOnly => Direction::SendOnly,
            Direction::Inactive => Direction::Inactive,
        }
    }

    /// The attribute's name.
    #[must_use]
    pub fn attribute(self) -> &'static str {
        match self {
            Direction::SendReceive => "sendrecv",
            Direction::SendOnly => "sendonly",
            Direction::ReceiveOnly => "recvonly",
            Direction::Inactive => "inactive",
        }
    }
}

/// What one leg is opened with: the agreement of offer and answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamSettings {
    /// Where we send RTP, and the only address we take RTP from.
    pub remote_rtp: SocketAddr,
    /// The same for RTCP.
    pub remote_rtcp: SocketAddr,
    /// What we send.
    pub codec: Codec,
    /// The peer's payload type for it.
    pub payload_type: u8,
    /// The peer's payload type for keypad events, if agreed.
    pub events: Option<u8>,
    /// Packet time of what we make ourselves, 10 to 60.
    pub ptime_ms: u16,
}

impl StreamSettings {
    /// The settings of a leg whose peer wrote `remote`, once `codec` is agreed.
    ///
    /// `None` when the peer does not have the codec.
    #[must_use]
    pub fn agreed(remote: &RemoteMedia, codec: Codec) -> Option<StreamSettings> {
        let payload_type = remote.payload_type(codec)?;
        Some(StreamSettings {
            remote_rtp: remote.rtp,
            remote_rtcp: remote.rtcp,
            codec,
            payload_type,
            events: remote.events,
            ptime_ms: remote.ptime_ms,
        })
    }
}

/// Our own side of a description.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Local {
    /// Where we receive RTP; RTCP one port above.
    pub rtp: SocketAddr,
    /// Origin's session id: fixed for the leg, never the other leg's.
    pub session_id: u64,
    /// Origin's version: one more for each changed description (RFC 3264 section 8).
    pub version: u64,
}

/// Why a description cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SdpFault {
    /// Larger than we read.
    #[error("description of {found} bytes, expected at most {MAX_BODY_BYTES}; refusing it")]
    Large {
        /// Its bytes.
        found: usize,
    },
    /// No session description, or a line in it is broken.
    #[error("description is broken at line {line}, expected RFC 8866; refusing it")]
    Malformed {
        /// The line, from 1; 0 when a whole part is missing.
        line: usize,
    },
    /// More media lines than we read.
    #[error("{found} media lines, expected at most {MAX_MEDIA_LINES}; refusing the description")]
    Crowded {
        /// Their number.
        found: usize,
    },
    /// No audio line, or each has port 0.
    #[error("no audio line with a port, expected one; refusing the description")]
    NoAudio,
    /// Audio only over a transport we do not speak, such as RTP/SAVP.
    #[error("audio over a transport that is not plain RTP/AVP; refusing the description")]
    Transport,
    /// Audio only in codecs we do not have.
    #[error("no audio codec in common, expected PCMU or PCMA at 8000 Hz; refusing the description")]
    NoCodec,
    /// The connection address is missing or no IP address.
    #[error("connection address is missing or no IP address; refusing the description")]
    NoAddress,
    /// The connection address is one that nobody can be called at.
    #[error(
        "connection address is multicast, broadcast or unspecified, expected one host; refusing the description"
    )]
    NoHost,
    /// The RTP port leaves no port for RTCP, or `a=rtcp` names port 0.
    #[error("port cannot be used for RTP with RTCP beside it; refusing the description")]
    Port,
}

impl SdpFault {
    /// Whose fault it is: always the peer's.
    #[must_use]
    pub fn fault(&self) -> Fault {
        Fault::Peer
    }
}

/// Reads a description and takes its first usable audio line.
///
/// # Errors
/// [`SdpFault`]: what is wrong with the description, or with its first audio line when none is usable.
///
/// Source: RFC 8866; RFC 3264 section 5.1 (order of preference), section 8.2 (port 0).
pub fn parse(body: &[u8]) -> Result<RemoteMedia, SdpFault> {
    if body.len() > MAX_BODY_BYTES {
        return Err(SdpFault::Large { found: body.len() });
    }
    // Names and titles in Shift JIS are common in Japan and mean nothing to us: foreign bytes must not cost the call.
    let text = String::from_utf8_lossy(body);
    let session = Session::parse(text.as_bytes()).map_err(|fault| SdpFault::Malformed {
        line: line_of(&fault),
    })?;
    if session.medias.len() > MAX_MEDIA_LINES {
        return Err(SdpFault::Crowded {
            found: session.medias.len(),
        });
    }
    let mut lines: Vec<MediaLine> = session.medias.iter().map(MediaLine::of).collect();
    let mut first_fault = None;
    for (media, line) in session.medias.iter().zip(0..) {
        if !media.media.eq_ignore_ascii_case("audio") || media.port == 0 {
            continue;
        }
        match read_audio(&session, media) {
            Ok(audio) => {
                let used: &mut MediaLine = &mut lines[line];
                used.is_used = true;
                return Ok(RemoteMedia { lines, ..audio });
            }
            Err(fault) => {
                first_fault.get_or_insert(fault);
            }
        }
    }
    Err(first_fault.unwrap_or(SdpFault::NoAudio))
}

/// Picks the codec for an answer: the peer's first that is allowed (RFC 3264 section 6.1).
#[must_use]
pub fn choose(remote: &RemoteMedia, allowed: &[Codec]) -> Option<Codec> {
    remote
        .codecs
        .iter()
        .map(|&(codec, _)| codec)
        .find(|codec| allowed.contains(codec))
}

/// Writes an offer of one audio line, codecs in order of preference.
#[must_use]
pub fn offer(local: &Local, codecs: &[Codec], events: bool) -> String {
    let codecs: Vec<(Codec, u8)> = codecs
        .iter()
        .map(|&codec| (codec, codec.static_payload_type()))
        .collect();
    let mut text = session_lines(local);
    let events = events.then_some(EVENTS_PAYLOAD_TYPE);
    write_audio(
        &mut text,
        local,
        &codecs,
        events,
        DEFAULT_PTIME_MS,
        Direction::SendReceive,
    );
    text
}

/// Writes the answer to `remote`: `codec` on its used line under the peer's payload type, port 0 for all others.
///
/// `events`: whether keypad events are taken, where the peer has them. A codec that the peer does not list is written
/// under its static number; [`choose`] never picks one.
///
/// Source: RFC 3264 section 6.
#[must_use]
pub fn answer(remote: &RemoteMedia, local: &Local, codec: Codec, events: bool) -> String {
    let mut text = session_lines(local);
    let payload_type = remote
        .payload_type(codec)
        .unwrap_or(codec.static_payload_type());
    for line in &remote.lines {
        if line.is_used {
            let events = remote.events.filter(|_| events);
            write_audio(
                &mut text,
                local,
                &[(codec, payload_type)],
                events,
                remote.ptime_ms,
                remote.direction.answered(),
            );
        } else {
            push_line(
                &mut text,
                format_args!("m={} 0 {} {}", line.media, line.protocol, line.formats),
            );
        }
    }
    text
}

impl RemoteMedia {
    /// The peer's payload type for a codec.
    #[must_use]
    pub fn payload_type(&self, codec: Codec) -> Option<u8> {
        self.codecs
            .iter()
            .find(|&&(listed, _)| listed == codec)
            .map(|&(_, payload_type)| payload_type)
    }

    /// Whether a later description of the same peer leaves the stream as it is, whatever its origin's version says.
    ///
    /// Addresses, codecs with their payload types, keypad events, direction, and the kinds of all media lines.
    #[must_use]
    pub fn changes_nothing(&self, later: &RemoteMedia) -> bool {
        let kinds = |media: &RemoteMedia| -> Vec<(String, bool)> {
            media
                .lines
                .iter()
                .map(|line| (line.media.to_ascii_lowercase(), line.is_used))
                .collect()
        };
        self.rtp == later.rtp
            && self.rtcp == later.rtcp
            && self.codecs == later.codecs
            && self.events == later.events
            && self.direction == later.direction
            && kinds(self) == kinds(later)
    }
}

impl MediaLine {
    fn of(media: &Media) -> MediaLine {
        MediaLine {
            media: media.media.clone(),
            protocol: media.proto.clone(),
            formats: media
                .fmt
                .split_ascii_whitespace()
                .collect::<Vec<_>>()
                .join(" "),
            is_used: false,
        }
    }
}

/// Reads one audio line with a port; `lines` is left to the caller.
fn read_audio(session: &Session, media: &Media) -> Result<RemoteMedia, SdpFault> {
    if !media.proto.eq_ignore_ascii_case("RTP/AVP") {
        return Err(SdpFault::Transport);
    }
    let (codecs, events) = read_formats(media);
    if codecs.is_empty() {
        return Err(SdpFault::NoCodec);
    }
    let connection = media
        .connections
        .first()
        .or(session.connection.as_ref())
        .ok_or(SdpFault::NoAddress)?;
    let host = read_host(connection)?;
    let rtcp_port = media.port.checked_add(1).ok_or(SdpFault::Port)?;
    let rtp = SocketAddr::new(host, media.port);
    let rtcp = match attribute(&media.attributes, "rtcp") {
        Some(value) => read_rtcp(value, host)?,
        None => SocketAddr::new(host, rtcp_port),
    };
    Ok(RemoteMedia {
        rtp,
        rtcp,
        codecs,
        events,
        ptime_ms: read_ptime(media),
        direction: direction(&media.attributes)
            .or_else(|| direction(&session.attributes))
            .unwrap_or(Direction::SendReceive),
        lines: Vec::new(),
    })
}

/// The codecs we know, in the line's order, and the events' payload type.
///
/// Static types need no `rtpmap` (RFC 3551 section 6); where one is given it decides.
fn read_formats(media: &Media) -> (Vec<(Codec, u8)>, Option<u8>) {
    let mut codecs = Vec::new();
    let mut events = None;
    for format in media.fmt.split_ascii_whitespace() {
        let Ok(payload_type @ 0..=127) = format.parse::<u8>() else {
            continue;
        };
        match (read_rtpmap(media, payload_type), payload_type) {
            (Some(Encoding::Audio(codec)), _) => push_codec(&mut codecs, codec, payload_type),
            (Some(Encoding::Events), _) => {
                events.get_or_insert(payload_type);
            }
            (Some(Encoding::Other), _) => {}
            (None, 0) => push_codec(&mut codecs, Codec::Pcmu, 0),
            (None, 8) => push_codec(&mut codecs, Codec::Pcma, 8),
            // A dynamic type without a map, or a static one that is not ours.
            (None, _) => {}
        }
    }
    (codecs, events)
}

/// Lists a codec once, under the first payload type given to it.
fn push_codec(codecs: &mut Vec<(Codec, u8)>, codec: Codec, payload_type: u8) {
    if codecs.iter().all(|&(listed, _)| listed != codec) {
        codecs.push((codec, payload_type));
    }
}

/// What an `rtpmap` maps to.
enum Encoding {
    Audio(Codec),
    Events,
    Other,
}

/// The first `rtpmap` of a payload type (RFC 8866 section 6.6).
fn read_rtpmap(media: &Media, payload_type: u8) -> Option<Encoding> {
    let maps = media
        .attributes
        .iter()
        .filter(|attribute| attribute.attribute.eq_ignore_ascii_case("rtpmap"));
    for map in maps {
        let mut words = map
            .value
            .as_deref()
            .unwrap_or_default()
            .split_ascii_whitespace();
        if words.next().and_then(|number| number.parse::<u8>().ok()) != Some(payload_type) {
            continue;
        }
        let mut parts = words.next().unwrap_or_default().split('/');
        let (name, rate, channels) = (parts.next().unwrap_or_default(), parts.next(), parts.next());
        // A rate that is left out can only be 8,000 for these names; another one is another codec.
        let is_narrow = rate.is_none_or(|rate| rate == "8000")
            && channels.is_none_or(|channels| channels == "1");
        let known = [Codec::Pcmu, Codec::Pcma]
            .into_iter()
            .find(|codec| name.eq_ignore_ascii_case(codec.encoding_name()));
        return Some(match known {
            Some(codec) if is_narrow => Encoding::Audio(codec),
            None if is_narrow && name.eq_ignore_ascii_case("telephone-event") => Encoding::Events,
            Some(_) | None => Encoding::Other,
        });
    }
    None
}

/// The one host that a connection names.
fn read_host(connection: &Connection) -> Result<IpAddr, SdpFault> {
    let address = connection.try_address().map_err(|_| SdpFault::NoAddress)?;
    read_ip(address.ip)
}

/// Refuses what no single host answers to (T-15, RFC 3264 section 8.4 for the unspecified address).
fn read_ip(ip: IpAddr) -> Result<IpAddr, SdpFault> {
    let ip = ip.to_canonical();
    let is_broadcast = matches!(ip, IpAddr::V4(ip) if ip.is_broadcast());
    if ip.is_multicast() || ip.is_unspecified() || is_broadcast {
        return Err(SdpFault::NoHost);
    }
    Ok(ip)
}

/// `a=rtcp:port [IN IP4 address]` (RFC 3605 section 2.1).
fn read_rtcp(value: &str, host: IpAddr) -> Result<SocketAddr, SdpFault> {
    let mut words = value.split_ascii_whitespace();
    let port = words
        .next()
        .and_then(|port| port.parse::<u16>().ok())
        .filter(|&port| port != 0)
        .ok_or(SdpFault::Port)?;
    let host = match words.nth(2) {
        Some(address) => read_ip(address.parse().map_err(|_| SdpFault::NoAddress)?)?,
        None => host,
    };
    Ok(SocketAddr::new(host, port))
}

/// The packet time wished for, within [`PTIME_RANGE_MS`] and not above `maxptime` (RFC 8866 section 6.4).
fn read_ptime(media: &Media) -> u16 {
    let number = |name| {
        attribute(&media.attributes, name).and_then(|value| value.trim().parse::<u16>().ok())
    };
    let wished = number("ptime").unwrap_or(DEFAULT_PTIME_MS);
    let most = number("maxptime").unwrap_or(*PTIME_RANGE_MS.end());
    wished
        .min(most)
        .clamp(*PTIME_RANGE_MS.start(), *PTIME_RANGE_MS.end())
}

fn direction(attributes: &[Attribute]) -> Option<Direction> {
    let known = [
        Direction::SendReceive,
        Direction::SendOnly,
        Direction::ReceiveOnly,
        Direction::Inactive,
    ];
    attributes.iter().find_map(|attribute| {
        known
            .into_iter()
            .find(|known| attribute.attribute.eq_ignore_ascii_case(known.attribute()))
    })
}

/// The value of the first attribute of that name.
fn attribute<'a>(attributes: &'a [Attribute], name: &str) -> Option<&'a str> {
    attributes
        .iter()
        .find(|attribute| attribute.attribute.eq_ignore_ascii_case(name))?
        .value
        .as_deref()
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
fn write_audio(
    text: &mut String,
    local: &Local,
    codecs: &[(Codec, u8)],
    events: Option<u8>,
    ptime_ms: u16,
    direction: Direction,
) {
    let numbers: Vec<String> = codecs
        .iter()
        .map(|&(_, number)| number)
        .chain(events)
        .map(|number| number.to_string())
        .collect();
    push_line(
        text,
        format_args!("m=audio {} RTP/AVP {}", local.rtp.port(), numbers.join(" ")),
    );
    for (codec, number) in codecs {
        push_line(text, format_args!("a=rtpmap:{number} {codec}/8000"));
    }
    if let Some(number) = events {
        push_line(text, format_args!("a=rtpmap:{number} telephone-event/8000"));
        // The sixteen keys; flash and line events are not passed (RFC 4733 section 2.4.1).
        push_line(text, format_args!("a=fmtp:{number} 0-15"));
    }
    push_line(text, format_args!("a=ptime:{ptime_ms}"));
    push_line(text, format_args!("a={}", direction.attribute()));
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

/// The line a parser fault names; its text is the peer's and goes nowhere.
fn line_of(fault: &ParserError) -> usize {
    match *fault {
        ParserError::InvalidLineFormat(line, _)
        | ParserError::InvalidFieldEncoding(line, _)
        | ParserError::InvalidFieldFormat(line, _)
        | ParserError::MissingField(line, _)
        | ParserError::FieldTrailingData(line, _)
        | ParserError::InvalidVersion(line, _)
        | ParserError::MultipleVersions(line)
        | ParserError::MultipleOrigins(line)
        | ParserError::MultipleSessionNames(line)
        | ParserError::MultipleSessionDescription(line)
        | ParserError::MultipleUris(line)
        | ParserError::MultipleConnections(line)
        | ParserError::MultipleTimeZones(line)
        | ParserError::MultipleMediaTitles(line)
        | ParserError::MultipleKeys(line)
        | ParserError::RepeatWithoutTime(line) => line,
        // A missing version line, and kinds that the crate keeps only for compatibility.
        _ => 0,
    }
}
