//! Reading a peer's description.

use std::net::{IpAddr, SocketAddr};

use sdp_types::{Attribute, Connection, Media, ParserError, Session};

use super::{
    Codec, CryptoLine, DEFAULT_PTIME_MS, Direction, MAX_BODY_BYTES, MAX_MEDIA_LINES, MediaLine,
    NOISE_PAYLOAD_TYPE, Origin, PTIME_RANGE_MS, RemoteMedia, SdpFault,
    crypto::{self, MAX_CRYPTO_LINES},
};

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
    let (used, audio) = choose_audio(&session)?;
    lines[used].is_used = true;
    Ok(RemoteMedia { lines, ..audio })
}

/// The first usable audio line; one that is secure goes before those that are plain (S-13).
fn choose_audio(session: &Session) -> Result<(usize, RemoteMedia), SdpFault> {
    let is_open = |media: &Media| media.media.eq_ignore_ascii_case("audio") && media.port != 0;
    let mut plain = None;
    let mut first_fault = None;
    for (index, media) in session.medias.iter().enumerate() {
        if !is_open(media) {
            continue;
        }
        match read_audio(session, media) {
            Ok(audio) if audio.secure => return Ok((index, audio)),
            Ok(audio) => plain = plain.or(Some((index, audio))),
            Err(fault) => first_fault = first_fault.or(Some(fault)),
        }
    }
    let is_fax = |media: &Media| media.port != 0 && media.media.eq_ignore_ascii_case("image");
    let none = if session.medias.iter().any(is_fax) {
        SdpFault::Fax
    } else {
        SdpFault::NoAudio
    };
    plain.ok_or(first_fault.unwrap_or(none))
}

impl MediaLine {
    fn of(media: &Media) -> MediaLine {
        MediaLine {
            media: media.media.clone(),
            port: media.port,
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
    let (secure, crypto) = read_protection(media)?;
    let Formats {
        codecs,
        events,
        noise,
    } = read_formats(media);
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
    let said = direction(&media.attributes)
        .or_else(|| direction(&session.attributes))
        .unwrap_or(Direction::SendReceive);
    Ok(RemoteMedia {
        origin: read_origin(session),
        rtp,
        rtcp,
        codecs,
        events,
        noise,
        ptime_ms: read_ptime(media),
        // An unspecified address is nowhere to send to: hold as it was before RFC 3264 (its section 8.4).
        direction: if host.is_unspecified() {
            said.and(Direction::SendOnly)
        } else {
            said
        },
        secure,
        crypto,
        lines: Vec::new(),
    })
}

/// Whether the line is secure, and the keys that can be used.
///
/// Keys on a plain line are an invitation (RFC 8643) that we do not take: that line is answered plain.
fn read_protection(media: &Media) -> Result<(bool, Vec<CryptoLine>), SdpFault> {
    if media.proto.eq_ignore_ascii_case("RTP/AVP") {
        return Ok((false, Vec::new()));
    }
    if !media.proto.eq_ignore_ascii_case("RTP/SAVP") {
        return Err(SdpFault::Transport);
    }
    let mut values = media
        .attributes
        .iter()
        .filter(|attribute| attribute.attribute.eq_ignore_ascii_case("crypto"))
        .filter_map(|attribute| attribute.value.as_deref())
        .take(MAX_CRYPTO_LINES)
        .peekable();
    if values.peek().is_none() {
        return Err(SdpFault::NoKey);
    }
    let lines: Vec<CryptoLine> = values.filter_map(crypto::read).collect();
    if lines.is_empty() {
        return Err(SdpFault::NoSuite);
    }
    Ok((true, lines))
}

/// The origin. Some peers write a session id that is no number; it only ever has to differ from another one.
fn read_origin(session: &Session) -> Origin {
    let id = session.origin.sess_id.trim();
    // Fowler, Noll and Vo's hash: offset and prime of its 64 bits.
    let fold = |hash: u64, octet: u8| (hash ^ u64::from(octet)).wrapping_mul(0x0100_0000_01b3);
    Origin {
        session_id: id
            .parse()
            .unwrap_or_else(|_| id.bytes().fold(0xcbf2_9ce4_8422_2325, fold)),
        version: session.origin.sess_version,
    }
}

/// What a line's formats mean to us.
struct Formats {
    codecs: Vec<(Codec, u8)>,
    events: Option<u8>,
    noise: Option<u8>,
}

/// The codecs we know, in the line's order, and the payload types of events and comfort noise.
///
/// Static types need no `rtpmap` (RFC 3551 section 6); where one is given it decides.
fn read_formats(media: &Media) -> Formats {
    let (mut codecs, mut events, mut noise) = (Vec::new(), None, None);
    for format in media.fmt.split_ascii_whitespace() {
        let Ok(payload_type @ 0..=127) = format.parse::<u8>() else {
            continue;
        };
        let encoding = match (read_rtpmap(media, payload_type), payload_type) {
            (Some(encoding), _) => encoding,
            (None, 0) => Encoding::Audio(Codec::Pcmu),
            (None, 8) => Encoding::Audio(Codec::Pcma),
            (None, NOISE_PAYLOAD_TYPE) => Encoding::Noise,
            // A dynamic type without a map, or a static one that is not ours.
            (None, _) => Encoding::Other,
        };
        match encoding {
            Encoding::Audio(codec) => push_codec(&mut codecs, codec, payload_type),
            Encoding::Events => events = events.or(Some(payload_type)),
            Encoding::Noise => noise = noise.or(Some(payload_type)),
            Encoding::Other => {}
        }
    }
    Formats {
        codecs,
        events,
        noise,
    }
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
    Noise,
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
            None if is_narrow && name.eq_ignore_ascii_case("CN") => Encoding::Noise,
            Some(_) | None => Encoding::Other,
        });
    }
    None
}

/// The one host that a connection names.
fn read_host(connection: &Connection) -> Result<IpAddr, SdpFault> {
    let address = connection.try_address().map_err(|_| SdpFault::NoAddress)?;
    match address.ip {
        // Said by who holds; it is no one's address.
        ip if ip.is_unspecified() => Ok(ip),
        ip => read_ip(ip),
    }
}

/// Refuses what no single host answers to (T-15).
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
