//! `[overload]`: how much there may be at once, who goes first, and whom caps hold back.

use std::{
    num::{NonZeroU8, NonZeroU32},
    time::Duration,
};

use exchange::{Cap, Limits, Overload, PrefixCap};
use rules::Number;

use super::{
    quoted,
    reader::{Faults, Section},
};

/// More calls than one host carries.
const MAX_CALLS: i64 = 100_000;
/// A cap's period; a longer one would hold a caller back for what is long past.
const MAX_PERIOD_S: i64 = 3_600;
/// Digits of an E.164 number without its country code.
const MAX_DIGITS: i64 = 13;

/// Reads the section over the limits that the ports give.
pub(super) fn read(
    section: Option<Section<'_>>,
    limits: &mut Limits,
    faults: &mut Faults,
) -> Overload {
    let mut overload = Overload::default();
    let Some(mut section) = section else {
        return overload;
    };
    for (key, limit) in [
        ("calls", &mut limits.calls),
        ("half_open", &mut limits.half_open),
    ] {
        if let Some(figure) = section.integer(faults, key, 1..MAX_CALLS + 1) {
            // Ports bound calls whatever is written.
            *limit = (*limit).min(usize::try_from(figure.value).unwrap_or(usize::MAX));
        }
    }
    for text in section.texts(faults, "priority_numbers").iter().flatten() {
        match Number::parse(text.value) {
            Ok(number) => {
                overload.priority_numbers.insert(number);
            }
            Err(fault) => {
                let expected = "a number of the city";
                let remedy = "write it as under [[number]]";
                faults.at(
                    text,
                    format!("{} ({fault})", quoted(text)),
                    expected,
                    remedy,
                );
            }
        }
    }
    if let Some(mut caps) = section.section(faults, "caps") {
        for (key, cap) in [
            ("caller", &mut overload.caps.caller),
            ("anonymous", &mut overload.caps.anonymous),
            ("number", &mut overload.caps.number),
            ("peer", &mut overload.caps.peer),
        ] {
            *cap = caps
                .section(faults, key)
                .and_then(|section| read_cap(section, faults));
        }
        let prefix = caps.section(faults, "prefix");
        overload.caps.prefix = prefix.and_then(|section| read_prefix(section, faults));
        caps.finish(faults);
    }
    section.finish(faults);
    overload
}

fn read_prefix(mut section: Section<'_>, faults: &mut Faults) -> Option<PrefixCap> {
    let digits = section.integer(faults, "digits", 1..MAX_DIGITS + 1);
    if digits.is_none() && !section.holds("digits") {
        let remedy = "write how many digits after the country code make callers alike: digits = 6";
        section.missing(faults, "digits", remedy);
    }
    let cap = read_cap(section, faults)?;
    let digits = NonZeroU8::new(u8::try_from(digits?.value).ok()?)?;
    Some(PrefixCap { digits, cap })
}

fn read_cap(mut section: Section<'_>, faults: &mut Faults) -> Option<Cap> {
    let calls = section.integer(faults, "calls", 1..MAX_CALLS + 1);
    let period = section.integer(faults, "per_s", 1..MAX_PERIOD_S + 1);
    for (key, is_there) in [("calls", calls.is_some()), ("per_s", period.is_some())] {
        if !is_there && !section.holds(key) {
            section.missing(faults, key, "write a cap like { calls = 20, per_s = 60 }");
        }
    }
    section.finish(faults);
    Some(Cap {
        calls: NonZeroU32::new(u32::try_from(calls?.value).ok()?)?,
        period: Duration::from_secs(period?.value.unsigned_abs()),
    })
}
