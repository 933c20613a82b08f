//! The torture messages of RFC 4475 and RFC 5118, with what the table says about each.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use serde::Deserialize;

/// One message and its expected outcome.
#[derive(Debug)]
pub struct Vector {
    /// Folder and file, `rfc4475/wsinv.dat`.
    pub name: String,
    pub class: Class,
    pub parser: Parser,
    pub live: Live,
    pub octets: Bytes,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    Valid,
    Invalid,
    /// Well-formed, and wrong in what it means.
    Semantic,
}

/// What a reader of messages does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parser {
    Accept,
    Reject,
    Either,
}

/// What a server may send back over UDP.
#[derive(Debug, PartialEq, Eq)]
pub enum Live {
    /// The message is a response: not one octet.
    Silence,
    /// One of `allowed`, or, where something is forbidden, anything that is not.
    Answer {
        allowed: Vec<u16>,
        forbidden: Vec<u16>,
    },
}

/// A difference from the table that has its reason.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deviation {
    pub vector: String,
    pub level: Level,
    pub ours: String,
    pub reason: String,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    Message,
    Endpoint,
    Live,
}

/// This crate's folder, where the vectors lie.
#[must_use]
pub fn folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All vectors in the order of the table.
///
/// # Panics
/// When the table names a file that is missing, misses a file that is there, or cannot be read: the tests have no ground then.
#[must_use]
pub fn all() -> Vec<Vector> {
    let table = fs::read_to_string(folder().join("expected.tsv"))
        .expect("expected.tsv is part of this folder");
    let vectors: Vec<_> = table
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(vector)
        .collect();
    for file in ["rfc4475", "rfc5118"].iter().flat_map(|name| files(name)) {
        assert!(
            vectors.iter().any(|vector| vector.name == file),
            "{file} has no row in expected.tsv; add what it must do"
        );
    }
    vectors
}

/// The listed differences of one level.
///
/// # Panics
/// When the list cannot be read.
#[must_use]
pub fn deviations(level: Level) -> Vec<Deviation> {
    #[derive(Deserialize, Default)]
    #[serde(default, deny_unknown_fields)]
    struct List {
        deviation: Vec<Deviation>,
    }
    let text = fs::read_to_string(folder().join("deviations.toml"))
        .expect("deviations.toml is part of this folder");
    let list: List = toml::from_str(&text).expect("deviations.toml holds [[deviation]] tables");
    list.deviation
        .into_iter()
        .filter(|deviation| deviation.level == level)
        .collect()
}

/// What differs from the table and is not listed, and what is listed and does not differ: both must be empty.
///
/// `outcomes`: per vector what we did, and whether the table allows it.
#[must_use]
pub fn surprises(level: Level, outcomes: &[(&Vector, String, bool)]) -> Vec<String> {
    let deviations = deviations(level);
    let listed = |vector: &Vector, ours: &str| {
        deviations
            .iter()
            .any(|one| one.vector == vector.name && one.ours == ours)
    };
    let mut surprises: Vec<_> = outcomes
        .iter()
        .filter(|(vector, ours, is_allowed)| !is_allowed && !listed(vector, ours))
        .map(|(vector, ours, _)| {
            format!(
                "{}: {ours}, expected {} ({:?})",
                vector.name,
                vector.expectation(level),
                vector.class
            )
        })
        .collect();
    for deviation in &deviations {
        let is_seen = |(vector, ours, is_allowed): &(&Vector, String, bool)| {
            !is_allowed && vector.name == deviation.vector && *ours == deviation.ours
        };
        if !outcomes.iter().any(is_seen) {
            surprises.push(format!(
                "{}: no longer {}, take it out of deviations.toml",
                deviation.vector, deviation.ours
            ));
        }
    }
    surprises
}

impl Vector {
    fn expectation(&self, level: Level) -> String {
        match level {
            Level::Message => format!("{:?}", self.parser).to_lowercase(),
            Level::Endpoint | Level::Live => self.live.to_string(),
        }
    }

    /// Whether these answers, provisional ones left out, are what the table allows.
    #[must_use]
    pub fn allows(&self, answers: &[u16]) -> bool {
        match (&self.live, answers) {
            (Live::Silence, answers) => answers.is_empty(),
            (Live::Answer { .. }, []) => self.class == Class::Invalid,
            (Live::Answer { allowed, forbidden }, answers) => answers.iter().all(|status| {
                allowed.contains(status) || (!forbidden.is_empty() && !forbidden.contains(status))
            }),
        }
    }
}

impl fmt::Display for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Live::Silence => f.write_str("silence"),
            Live::Answer { allowed, forbidden } if forbidden.is_empty() => {
                write!(f, "one of {allowed:?}")
            }
            Live::Answer { allowed, forbidden } => {
                write!(f, "{allowed:?} or none of {forbidden:?}")
            }
        }
    }
}

fn vector(line: &str) -> Vector {
    let mut columns = line.split('\t');
    let mut column = || {
        columns
            .next()
            .unwrap_or_else(|| panic!("expected.tsv: too few columns in `{line}`"))
    };
    let name = column().to_owned();
    let _section = column();
    let class = match column() {
        "valid" => Class::Valid,
        "invalid" => Class::Invalid,
        "semantic" => Class::Semantic,
        other => {
            panic!("expected.tsv: class `{other}` of {name}, expected valid, invalid or semantic")
        }
    };
    let parser = match column() {
        "accept" => Parser::Accept,
        "reject" => Parser::Reject,
        "either" => Parser::Either,
        other => {
            panic!("expected.tsv: parser `{other}` of {name}, expected accept, reject or either")
        }
    };
    let live = live(column());
    let octets = fs::read(folder().join(&name))
        .unwrap_or_else(|fault| panic!("{name}: {fault}"))
        .into();
    Vector {
        name,
        class,
        parser,
        live,
        octets,
    }
}

/// Reads `405|501`, `!400|500` or `406|!400|500`: whatever follows a `!` is forbidden.
fn live(pattern: &str) -> Live {
    if pattern == "-" {
        return Live::Silence;
    }
    let (allowed, forbidden) = pattern.split_once('!').unwrap_or((pattern, ""));
    let statuses = |list: &str| {
        list.split('|')
            .filter_map(|status| status.parse().ok())
            .collect()
    };
    Live::Answer {
        allowed: statuses(allowed),
        forbidden: statuses(forbidden),
    }
}

fn files(name: &str) -> Vec<String> {
    let entries =
        fs::read_dir(folder().join(name)).expect("the folders of vectors are part of this one");
    let paths = entries.map(|entry| {
        entry
            .expect("a folder of the repository can be read")
            .path()
    });
    let vectors =
        paths.filter(|path: &PathBuf| path.extension().is_some_and(|ending| ending == "dat"));
    vectors
        .filter_map(|path| Some(format!("{name}/{}", path.file_name()?.to_str()?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_covers_both_documents() {
        let vectors = all();
        assert_eq!(
            vectors
                .iter()
                .filter(|vector| vector.name.starts_with("rfc4475/"))
                .count(),
            49
        );
        assert_eq!(
            vectors
                .iter()
                .filter(|vector| vector.name.starts_with("rfc5118/"))
                .count(),
            12
        );
    }

    #[test]
    fn a_pattern_allows_and_forbids() {
        let vector = |class, pattern| Vector {
            name: String::new(),
            class,
            parser: Parser::Either,
            live: live(pattern),
            octets: Bytes::new(),
        };
        let allows = |class, pattern, answers: &[u16]| vector(class, pattern).allows(answers);
        assert!(allows(Class::Valid, "501|405", &[405]));
        assert!(!allows(Class::Valid, "501|405", &[404]));
        assert!(!allows(Class::Valid, "!400|500", &[400]));
        assert!(allows(Class::Valid, "406|!400|500", &[404]));
        assert!(!allows(Class::Valid, "405", &[]));
        assert!(allows(Class::Invalid, "400", &[]));
        assert!(!allows(Class::Invalid, "-", &[400]));
    }
}
