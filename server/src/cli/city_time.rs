//! What programs read has its instants as the city has them: RFC 3339 with +09:00, whatever view they come from.
//!
//! The trail's entries and what is signed keep theirs as they were hashed; only what is shown is written so.

use jiff::Timestamp;
use rules::jst_rfc3339;

/// Writes each string of a JSON text that is an instant of UTC and nothing else in the city's time.
pub(super) fn in_city_time(json: &str) -> String {
    let mut shown = String::with_capacity(json.len());
    let mut rest = json;
    while let Some((before, string)) = rest.split_once('"') {
        let (word, behind) = string.split_at(end_of_string(string));
        shown.push_str(before);
        shown.push('"');
        match instant(word) {
            Some(at) => shown.push_str(&jst_rfc3339(at)),
            None => shown.push_str(word),
        }
        shown.push('"');
        rest = behind.get(1..).unwrap_or_default();
    }
    shown.push_str(rest);
    shown
}

/// Where the quote stands that ends a string; one that is escaped ends none.
fn end_of_string(text: &str) -> usize {
    let mut is_escaped = false;
    let end = text.bytes().position(|octet| {
        let is_end = octet == b'"' && !is_escaped;
        is_escaped = octet == b'\\' && !is_escaped;
        is_end
    });
    end.unwrap_or(text.len())
}

fn instant(word: &str) -> Option<Timestamp> {
    word.ends_with('Z').then(|| word.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_is_the_citys_wherever_it_stands_and_no_other_word_changes() {
        for (json, shown) in [
            (
                r#"{"at":"2026-11-24T15:00:00.123456Z","by":null}"#,
                r#"{"at":"2026-11-25T00:00:00.123+09:00","by":null}"#,
            ),
            (
                r#"{"event":{"until":["2026-11-24T15:00:00Z"]}}"#,
                r#"{"event":{"until":["2026-11-25T00:00:00.000+09:00"]}}"#,
            ),
            (
                r#"{"why":"\"2026-11-24T15:00:00Z\"","z":"\\","n":"Z"}"#,
                r#"{"why":"\"2026-11-24T15:00:00Z\"","z":"\\","n":"Z"}"#,
            ),
            (r#"{"day":"2026-11-24"}"#, r#"{"day":"2026-11-24"}"#),
        ] {
            assert_eq!(in_city_time(json), shown);
        }
    }
}
