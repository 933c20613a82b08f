//! What the reference reads in messages: names, numbers, and what no message may be.

use crate::text::Text;

pub(super) fn key(message: &Text) -> (String, String) {
    let via = message.header("Via");
    let branch = via
        .split(';')
        .find_map(|param| param.trim().strip_prefix("branch="));
    (
        branch.unwrap_or_default().to_owned(),
        message.method().to_owned(),
    )
}

/// Session id and version of an `o=` line.
pub(super) fn origin_of(line: &str) -> (String, u64) {
    let mut words = line.split(' ').skip(1);
    let id = words.next().unwrap_or_default().to_owned();
    let version = words
        .next()
        .and_then(|version| version.parse().ok())
        .unwrap_or(0);
    (id, version)
}

/// The user parts that name the caller: of From, and of what its network asserts.
pub(super) fn callers(invite: &Text) -> Vec<String> {
    let mut lines = invite.all("P-Asserted-Identity");
    lines.push(invite.header("From"));
    let users = lines.into_iter().filter_map(|line| {
        let (_, rest) = line.split_once("<sip:")?;
        let end = rest.find(['@', ';', '>'])?;
        Some(rest[..end].to_owned())
    });
    // Whoever has no number of its own, or shares it, is told apart by the other.
    users
        .filter(|user| user != "anonymous" && user != "119")
        .collect()
}

/// Whether no NOTIFY follows it (RFC 3515 section 2.4.7).
pub(super) fn is_last_word(request: &Text) -> bool {
    let state = request.header("Subscription-State");
    request.method() == "NOTIFY" && state.starts_with("terminated")
}

/// Whether a NOTIFY says that whom a REFER named has answered (RFC 3515 section 2.4.5).
pub(super) fn is_transfer_done(notify: &Text) -> bool {
    is_last_word(notify) && notify.body.starts_with("SIP/2.0 200")
}

/// The Call-ID that the Replaces of a Refer-To names.
pub(super) fn replaced(refer_to: &str) -> Option<String> {
    let (_, replaces) = refer_to.split_once("?Replaces=")?;
    let end = replaces.find("%3B")?;
    Some(replaces[..end].replace("%40", "@"))
}

/// The user part of an address.
pub(super) fn user_of(address: &str) -> String {
    let user = address
        .split_once("sip:")
        .and_then(|(_, rest)| rest.split_once('@'));
    user.map_or(String::new(), |(user, _)| user.to_owned())
}

/// Whether two user parts name one number, however it is written: in Japan the last nine digits tell.
pub(super) fn is_same_number(one: &str, other: &str) -> bool {
    let tail = |user: &str| user[user.len().saturating_sub(9)..].to_owned();
    !one.is_empty() && tail(one) == tail(other)
}

/// What no message of ours may be.
pub(super) fn flaws(message: &Text) -> Vec<String> {
    let mut flaws = Vec::new();
    for name in ["From", "To", "Call-ID", "CSeq", "Content-Length"] {
        if message.all(name).len() != 1 {
            flaws.push(format!("{} of {name}", message.all(name).len()));
        }
    }
    if message.header("Content-Length") != message.body.len().to_string() {
        flaws.push("a wrong Content-Length".to_owned());
    }
    // The odd headers that every caller of a storm brings.
    if !message.header("X-Odd").is_empty() || !message.header("Server").is_empty() {
        flaws.push("a header of a peer crossed".to_owned());
    }
    if message.status().is_none() && message.header("Max-Forwards").is_empty() {
        flaws.push("no Max-Forwards".to_owned());
    }
    flaws
}

pub(super) fn tag_of(party: &str) -> Option<String> {
    let (_, tag) = party.split_once(";tag=")?;
    Some(tag.split(';').next().unwrap_or(tag).to_owned())
}
