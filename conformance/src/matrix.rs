//! The matrix: which section of which RFC stands where in the code, and which tests show it.
//!
//! Made from the marks that STYLE.md asks for (`RFC 3261 section 9.1`) in comments of code and tests. A section's tests are
//! those that name it, with those of `matrix.toml`; only where there are none, the own tests of the code that names it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs, io,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use crate::vectors::folder;

const ROOMS: [&str; 9] = [
    "sip-core",
    "media",
    "rules",
    "announcements",
    "exchange",
    "storage",
    "server",
    "tests",
    "conformance",
];
/// Files that speak of marks and bear none.
const NO_SOURCE: &str = "conformance/src/matrix.rs";

/// An RFC's number and a section of it as text, empty for the whole.
type Place = (u16, String);

/// Sections whose tests name no RFC.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Shown {
    rfc: u16,
    /// These and what lies below them; all of the RFC where none is given.
    #[serde(default)]
    sections: Vec<String>,
    /// A file, or `file::test`.
    tests: Vec<String>,
}

#[derive(Default)]
struct Row {
    code: BTreeSet<String>,
    tests: BTreeSet<String>,
}

/// Where the matrix lies.
#[must_use]
pub fn file() -> PathBuf {
    folder().join("matrix.md")
}

/// Writes the matrix anew as text.
///
/// # Errors
/// When a file cannot be read, `matrix.toml` names a test that is not there, or a section has code and no test.
pub fn text() -> io::Result<String> {
    let root = folder().join("..");
    let mut sources = BTreeMap::new();
    for room in ROOMS {
        gather(&root, &root.join(room), &mut sources)?;
    }
    let mut rows: BTreeMap<Place, Row> = BTreeMap::new();
    for (path, source) in &sources {
        let (code, tests) = parts(path, source);
        for place in marks(code) {
            rows.entry(place).or_default().code.insert(path.clone());
        }
        for place in marks(tests) {
            rows.entry(place).or_default().tests.insert(path.clone());
        }
    }
    let shown = shown(&sources)?;
    for (place, row) in &mut rows {
        row.tests.extend(listed(&shown, place));
        if row.tests.is_empty() {
            row.tests = row
                .code
                .iter()
                .flat_map(|path| own_tests(path, &sources))
                .collect();
        }
    }
    // What only tests name says nothing about the code: the sections of the torture messages, mostly.
    rows.retain(|_, row| !row.code.is_empty());
    let bare: Vec<_> = rows
        .iter()
        .filter(|(_, row)| row.tests.is_empty())
        .collect();
    if !bare.is_empty() {
        let bare = bare
            .iter()
            .map(|((rfc, section), row)| format!("RFC {rfc} section `{section}`: {:?}", row.code));
        let bare: Vec<_> = bare.collect();
        return Err(io::Error::other(format!(
            "these stand in the code and no test is known for them; name it in conformance/matrix.toml:\n{}",
            bare.join("\n")
        )));
    }
    Ok(written(&rows))
}

fn written(rows: &BTreeMap<Place, Row>) -> String {
    let mut text = String::from(
        "# RFC, code and test\nWritten by `just matrix` from the marks in the code; do not edit.\nWhere neither a test nor `matrix.toml` names a section, the own tests of the code that does stand there. Differences from an RFC stand in `deviations.toml`.\n",
    );
    let mut places: Vec<_> = rows.iter().collect();
    places.sort_by_key(|((rfc, section), _)| (*rfc, ordinals(section)));
    let mut last = None;
    for ((rfc, section), row) in places {
        if last != Some(rfc) {
            let _ = write!(
                text,
                "\n## RFC {rfc}\n| section | code | shown by |\n|---|---|---|\n"
            );
            last = Some(rfc);
        }
        let section = if section.is_empty() { "whole" } else { section };
        let list = |paths: &BTreeSet<String>| {
            let paths: Vec<_> = paths.iter().map(|path| format!("`{path}`")).collect();
            paths.join(", ")
        };
        let _ = writeln!(
            text,
            "| {section} | {} | {} |",
            list(&row.code),
            list(&row.tests)
        );
    }
    text
}

/// `9.1` before `10`.
fn ordinals(section: &str) -> Vec<(u32, String)> {
    let parts = section.split('.').filter(|part| !part.is_empty());
    parts
        .map(|part| (part.parse().unwrap_or(0), part.to_owned()))
        .collect()
}

fn gather(root: &Path, place: &Path, sources: &mut BTreeMap<String, String>) -> io::Result<()> {
    for entry in fs::read_dir(place)? {
        let path = entry?.path();
        if path.is_dir() {
            gather(root, &path, sources)?;
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let name = path.strip_prefix(root).map_err(io::Error::other)?;
            let name = name.to_string_lossy().into_owned();
            if name != NO_SOURCE {
                sources.insert(name, fs::read_to_string(&path)?);
            }
        }
    }
    Ok(())
}

/// A file's code, and its tests.
fn parts<'source>(path: &str, source: &'source str) -> (&'source str, &'source str) {
    if is_of_tests(path) {
        return ("", source);
    }
    match source.find("#[cfg(test)]\nmod tests {") {
        Some(at) => source.split_at(at),
        None => (source, ""),
    }
}

fn is_of_tests(path: &str) -> bool {
    let room = path.split('/').next();
    matches!(room, Some("tests" | "conformance"))
        || path.contains("/tests/")
        || path.contains("_tests/")
        || path.ends_with("/tests.rs")
        || path.ends_with("_tests.rs")
}

/// The test files that belong to a file of code: itself, `name/tests.rs`, `name_tests.rs`, what lies in `name/tests/`; else
/// those of the file above it.
fn own_tests(path: &str, sources: &BTreeMap<String, String>) -> Vec<String> {
    let mut stem = path.trim_end_matches(".rs");
    loop {
        let belongs = |name: &str| {
            name.strip_prefix(stem).is_some_and(|rest| {
                rest == ".rs"
                    || rest == "/tests.rs"
                    || rest == "_tests.rs"
                    || rest.starts_with("/tests/")
            })
        };
        let found: Vec<_> = sources
            .iter()
            .filter(|(name, source)| belongs(name) && has_tests(source))
            .map(|(name, _)| name.clone())
            .collect();
        if !found.is_empty() {
            return found;
        }
        let Some((above, _)) = stem.rsplit_once('/') else {
            return Vec::new();
        };
        if above.ends_with("/src") {
            return Vec::new();
        }
        stem = above;
    }
}

fn has_tests(source: &str) -> bool {
    let attributes = ["#[test]", "#[tokio::test]"];
    attributes.iter().any(|test| source.contains(test))
}

/// Reads the table of tests that name no RFC, and wants each of them to be there.
fn shown(sources: &BTreeMap<String, String>) -> io::Result<Vec<Shown>> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Table {
        shown: Vec<Shown>,
    }
    let text = fs::read_to_string(folder().join("matrix.toml"))?;
    let table: Table = toml::from_str(&text).map_err(io::Error::other)?;
    for test in table.shown.iter().flat_map(|shown| &shown.tests) {
        let (path, name) = test.split_once("::").unwrap_or((test, ""));
        let is_there = sources
            .get(path)
            .is_some_and(|source| has_tests(source) && source.contains(&format!("fn {name}")));
        if !is_there {
            return Err(io::Error::other(format!(
                "conformance/matrix.toml names {test}, which is no test; correct it"
            )));
        }
    }
    Ok(table.shown)
}

fn listed(shown: &[Shown], (rfc, section): &Place) -> Vec<String> {
    let is_below = |above: &String| {
        section
            .strip_prefix(above.as_str())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    shown
        .iter()
        .filter(|one| one.rfc == *rfc)
        .filter(|one| one.sections.is_empty() || one.sections.iter().any(is_below))
        .flat_map(|one| one.tests.iter().cloned())
        .collect()
}

/// What a text names: `RFC 3261 sections 8.1.1 and 13.2`, `RFCs 3262 and 3311`, also across the lines of a comment.
fn marks(text: &str) -> BTreeSet<Place> {
    let lines = text.lines().map(|line| {
        line.trim_start()
            .trim_start_matches('/')
            .trim_start_matches('!')
            .trim()
    });
    let text = lines.collect::<Vec<_>>().join(" ");
    let mut places = BTreeSet::new();
    let mut rest = text.as_str();
    while let Some(at) = rest.find("RFC") {
        rest = &rest[at + 3..];
        let Some(after) = rest.strip_prefix(' ').or_else(|| rest.strip_prefix("s ")) else {
            continue;
        };
        let (numbers, after) = numbers(after);
        let numbers: Vec<u16> = numbers
            .iter()
            .filter_map(|number| number.parse().ok())
            .collect();
        let after = after.trim_start_matches(',').trim_start();
        let sections = after
            .strip_prefix("sections ")
            .or_else(|| after.strip_prefix("section "))
            .map(|after| self::numbers(after).0)
            .unwrap_or_default();
        match (numbers.as_slice(), sections.as_slice()) {
            ([rfc], [_, ..]) => places.extend(sections.into_iter().map(|one| (*rfc, one))),
            (rfcs, _) => places.extend(rfcs.iter().map(|rfc| (*rfc, String::new()))),
        }
    }
    places
}

/// The numbers that a list begins with, and what follows it.
fn numbers(mut text: &str) -> (Vec<String>, &str) {
    let mut found = Vec::new();
    loop {
        let is_of_it = |one: char| one.is_ascii_digit() || one == '.';
        let end = text.find(|one| !is_of_it(one)).unwrap_or(text.len());
        let number = text[..end].trim_end_matches('.');
        if number.is_empty() {
            return (found, text);
        }
        found.push(number.to_owned());
        let after = &text[number.len()..];
        let next = [", ", " and ", " to "]
            .iter()
            .find_map(|between| after.strip_prefix(between));
        match next.filter(|next| next.starts_with(|one: char| one.is_ascii_digit())) {
            Some(next) => text = next,
            None => return (found, after),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_read_as_people_write_them() {
        let found = |text: &str| {
            marks(text)
                .into_iter()
                .map(|(rfc, section)| format!("{rfc}:{section}"))
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!(found("(RFC 3261 section 9.1)."), "3261:9.1");
        assert_eq!(
            found("/// RFC 3261 sections 7.3,\n/// 8.1.1 (requests) and 8.2.6."),
            "3261:7.3 3261:8.1.1"
        );
        assert_eq!(
            found("//! Follows RFC 3261\n//! section 17.2.1 and RFC 6026."),
            "3261:17.2.1 6026:"
        );
        assert_eq!(found("RFCs 3262, 3311 and 4028, for"), "3262: 3311: 4028:");
        assert_eq!(found("an RFC says"), "");
    }

    #[test]
    fn sections_stand_in_the_order_of_the_document() {
        assert!(ordinals("9.1") < ordinals("10"));
        assert!(ordinals("13.2") < ordinals("13.10"));
        assert!(ordinals("") < ordinals("1"));
    }
}
