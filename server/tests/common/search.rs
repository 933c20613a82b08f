//! What is looked for wherever it could have been left: keys, in every form in which somebody writes one down.

use std::collections::{BTreeMap, HashMap, HashSet};

/// The last two letters of the alphabets of RFC 4648 sections 4 and 5.
pub(crate) const STANDARD: [u8; 2] = *b"+/";
pub(crate) const URL_SAFE: [u8; 2] = *b"-_";

/// Keys, and all ways in which they can stand in a file.
pub(crate) struct Search {
    /// By length.
    forms: BTreeMap<usize, Forms>,
}

struct Forms {
    /// The first three bytes of them, so that most of what is searched is passed over at once.
    fronts: Vec<bool>,
    whose: HashMap<Vec<u8>, [u8; 32]>,
}

impl Search {
    pub(crate) fn of(keys: &[[u8; 32]]) -> Search {
        let mut forms: BTreeMap<usize, Forms> = BTreeMap::new();
        for key in keys {
            for form in forms_of(key) {
                let alike = forms.entry(form.len()).or_insert_with(|| Forms {
                    fronts: vec![false; 1 << 24],
                    whose: HashMap::new(),
                });
                alike.fronts[front(&form)] = true;
                alike.whose.insert(form, *key);
            }
        }
        Search { forms }
    }

    /// Which of them lie there, at whatever place.
    pub(crate) fn found_in(&self, bytes: &[u8]) -> HashSet<[u8; 32]> {
        let mut found = HashSet::new();
        for (length, Forms { fronts, whose }) in &self.forms {
            let windows = bytes.windows(*length);
            let likely = windows.filter(|window| fronts[front(window)]);
            found.extend(likely.filter_map(|window| whose.get(window)));
        }
        found
    }
}

fn front(bytes: &[u8]) -> usize {
    usize::from(bytes[0]) << 16 | usize::from(bytes[1]) << 8 | usize::from(bytes[2])
}

/// As it is, as hexadecimal digits, and in base64 behind any number of other bytes, as far as the letters are the key's alone.
fn forms_of(key: &[u8; 32]) -> Vec<Vec<u8>> {
    let digits: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut forms = vec![
        key.to_vec(),
        digits.to_uppercase().into_bytes(),
        digits.into_bytes(),
    ];
    for last in [STANDARD, URL_SAFE] {
        for before in 0..3 {
            let letters = base64(last, &[&vec![0; before][..], key].concat());
            let first = (before * 8).div_ceil(6);
            let end = (before + 32) * 8 / 6;
            forms.push(letters[first..end].to_vec());
        }
    }
    forms
}

/// Without padding.
pub(crate) fn base64(last: [u8; 2], bytes: &[u8]) -> Vec<u8> {
    let alphabet = alphabet(last);
    let groups = bytes.chunks(3).flat_map(|group| {
        let byte = |at: usize| usize::from(group.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        let letters = [18, 12, 6, 0].map(|shift| alphabet[bits >> shift & 63]);
        letters.into_iter().take(group.len() + 1)
    });
    groups.collect()
}

pub(crate) fn from_base64(text: &str) -> Vec<u8> {
    let alphabet = alphabet(STANDARD);
    let letters: Vec<u8> = text.trim_end_matches('=').bytes().collect();
    let groups = letters.chunks(4).flat_map(|group| {
        let place = |letter: &u8| alphabet.iter().position(|known| known == letter).unwrap();
        let bits = group
            .iter()
            .fold(0, |bits, letter| bits << 6 | place(letter));
        let bits = bits << (6 * (4 - group.len()));
        let bytes = [16, 8, 0].map(|shift| u8::try_from(bits >> shift & 255).unwrap());
        bytes.into_iter().take(group.len() - 1)
    });
    groups.collect()
}

fn alphabet(last: [u8; 2]) -> Vec<u8> {
    let letters = (b'A'..=b'Z').chain(b'a'..=b'z').chain(b'0'..=b'9');
    letters.chain(last).collect()
}
