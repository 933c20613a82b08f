//! Why a caller's number is not there.
//!
//! Japanese carriers say it in the display name of From, in the words of 3GPP TS 24.008 section 10.5.4.30 (cause of no CLI), and by `cpc`.

use crate::identity::{
    privacy::Privacy,
    uri_text::{Display, UriText},
};

/// Why a caller's number is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absence {
    /// 非通知: the caller does not want it shown.
    Withheld,
    /// 公衆電話: the call comes from a payphone.
    Payphone,
    /// 表示圏外: none came, as from a country that sends none.
    Unavailable,
    /// サービス競合: another service of the network keeps it from being shown.
    Conflict,
}

/// The display names that carriers write.
const DISPLAYS: [(&str, Absence); 5] = [
    ("Anonymous", Absence::Withheld),
    ("Reject by user", Absence::Withheld),
    ("Coin line/payphone", Absence::Payphone),
    ("Unavailable", Absence::Unavailable),
    ("Interaction with other service", Absence::Conflict),
];

impl Absence {
    /// What is written into a display name where the peer said it in other ways only.
    pub fn display(self) -> &'static str {
        match self {
            Absence::Withheld => "Anonymous",
            Absence::Payphone => "Coin line/payphone",
            Absence::Unavailable => "Unavailable",
            Absence::Conflict => "Interaction with other service",
        }
    }

    /// As lists show it.
    pub fn code(self) -> &'static str {
        match self {
            Absence::Withheld => "WITHHELD",
            Absence::Payphone => "PAYPHONE",
            Absence::Unavailable => "UNAVAILABLE",
            Absence::Conflict => "SERVICE_CONFLICT",
        }
    }

    /// Reads the reason of a call without a number: the most telling sign first.
    ///
    /// `known`: every URI that the caller is named by.
    pub(super) fn read<'a>(
        display: Option<&Display>,
        privacy: &Privacy,
        mut known: impl Iterator<Item = &'a UriText>,
    ) -> Absence {
        let said = display.and_then(|Display(display)| {
            let display = display.trim();
            let found = DISPLAYS
                .iter()
                .find(|(name, _)| name.eq_ignore_ascii_case(display));
            found.map(|(_, absence)| *absence)
        });
        let is_payphone = known.any(|uri| {
            uri.number_param("cpc")
                .is_some_and(|category| category.eq_ignore_ascii_case("payphone"))
        });
        match said {
            // The plain word is what a gateway writes for every reason; `cpc` is exact.
            Some(Absence::Withheld) | None if is_payphone => Absence::Payphone,
            Some(said) => said,
            None if privacy.hides_caller() => Absence::Withheld,
            None => Absence::Unavailable,
        }
    }
}
