//! How SIP is spoken with a peer: trust, forms of numbers, reliable answers, the session timer, probes.

use exchange::{AnnouncementMedia, CalledPlace, NumberForm, Probe, Trunk, Trust};
use sip_core::{RefreshMethod, Reliable};

use super::{MAX_SECONDS, seconds};
use crate::config::reader::{Faults, Section};

/// RFC 4028 section 4: no session may be shorter.
const MIN_SESSION_S: i64 = 90;

/// How SIP is spoken with it.
pub(super) fn read(section: &mut Section<'_>, trunk: &mut Trunk, faults: &mut Faults) {
    let trusts = [("inside", Trust::Inside), ("outside", Trust::Outside)];
    if let Some(trust) = section.choice(faults, "trust", &trusts) {
        trunk.trust = trust;
    }
    let announcements = [
        ("after_answer", AnnouncementMedia::AfterAnswer),
        ("early", AnnouncementMedia::Early),
    ];
    if let Some(announcement) = section.choice(faults, "announcement", &announcements) {
        trunk.announcement = announcement;
    }
    let forms = [
        ("as_it_came", NumberForm::AsItCame),
        ("national", NumberForm::National),
        ("e164", NumberForm::E164),
    ];
    if let Some(form) = section.choice(faults, "number_form", &forms) {
        trunk.number_form = form;
    }
    let places = [
        ("request_uri", CalledPlace::RequestUri),
        ("to", CalledPlace::To),
        ("p_called_party_id", CalledPlace::PCalledPartyId),
        ("diversion", CalledPlace::Diversion),
    ];
    if let Some(place) = section.choice(faults, "called_in", &places) {
        trunk.called_in = place;
    }
    let reliable = [
        ("off", Reliable::Off),
        ("supported", Reliable::Supported),
        ("required", Reliable::Required),
    ];
    if let Some(reliable) = section.choice(faults, "reliable", &reliable) {
        trunk.sip.reliable = reliable;
    }
    if let Some(switches) = section.boolean(faults, "switch_over_mtu") {
        trunk.sip.switch_over_mtu = switches;
    }
    if let Some(session) = section.section(faults, "session") {
        read_session(session, trunk, faults);
    }
    if let Some(mut probe) = section.section(faults, "probe") {
        let interval = probe.integer(faults, "interval_s", 5..MAX_SECONDS + 1);
        if interval.is_none() && !probe.holds("interval_s") {
            probe.missing(faults, "interval_s", "write probe = { interval_s = 30 }");
        }
        probe.finish(faults);
        trunk.probe = interval.map(|interval| Probe {
            interval: seconds(interval.value),
        });
    }
}

/// The session timer of its leg; an interval of 0 switches it off.
fn read_session(mut section: Section<'_>, trunk: &mut Trunk, faults: &mut Faults) {
    let settings = &mut trunk.sip.session;
    if let Some(min) = section.integer(faults, "min_s", MIN_SESSION_S..MAX_SECONDS + 1) {
        settings.min = seconds(min.value);
    }
    let methods = [
        ("update", RefreshMethod::Update),
        ("invite", RefreshMethod::Invite),
    ];
    if let Some(method) = section.choice(faults, "refresh", &methods) {
        settings.method = method;
    }
    if let Some(interval) = section.integer(faults, "interval_s", 0..MAX_SECONDS + 1) {
        let offered = seconds(interval.value);
        settings.interval = (!offered.is_zero()).then_some(offered);
        if !offered.is_zero() && offered < settings.min {
            faults.at(
                &interval,
                interval.value.to_string(),
                "0 to switch the timer off, or no less than min_s",
                "write 1800, which RFC 4028 recommends",
            );
        }
    }
    section.finish(faults);
}
