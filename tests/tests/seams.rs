//! The seams between the rooms: who may import whom, and what a pure room may not touch.
//!
//! The room table of ARCHITECTURE.md is the law; `cargo tree` and the sources are the facts.

#![expect(
    clippy::unwrap_used,
    reason = "a test falls where the workspace cannot be read"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Rooms without IO, clock or dice.
const PURE: [&str; 4] = ["sip-core", "media", "rules", "exchange"];

/// Direct library dependencies that a pure room may have. None of them opens a file or socket, reads a clock or rolls dice
/// with the features we ask for (`jiff` is a calendar here; clippy.toml bans its `now`; `governor` gets a clock of ours).
const PURE_LIBRARIES: [&str; 19] = [
    "audio-codec-algorithms",
    "base64",
    "bytes",
    "governor",
    "jiff",
    "md-5",
    "memchr",
    "rand_chacha",
    "rand_core",
    "rtc-rtp",
    "rtc-srtp",
    "rtrb",
    "sdp-types",
    "serde",
    "sha2",
    "smallvec",
    "slab",
    "thiserror",
    "zeroize",
];

/// Words that name a clock, dice, or the outside world; no code of a pure room holds them (its tests may ask for a first instant).
const BANNED_WORDS: [&str; 14] = [
    "Instant::now",
    "Timestamp::now",
    "Zoned::now",
    "SystemTime",
    ".elapsed()",
    "HashMap",
    "HashSet",
    "std::fs",
    "std::thread",
    "std::env",
    "UdpSocket",
    "TcpStream",
    "getrandom",
    "tokio",
];

type Rooms = BTreeMap<String, BTreeSet<String>>;

#[test]
fn every_room_imports_what_the_table_allows_and_nothing_else() {
    let table = room_table(&read("ARCHITECTURE.md"));
    assert!(
        table.len() >= 7,
        "the room table of ARCHITECTURE.md has {} rows; expected the seven rooms that hold code",
        table.len()
    );
    let found = table
        .keys()
        .map(|room| (room.clone(), direct_dependencies(room)))
        .collect();
    assert_eq!(violations(&table, &found), Vec::<String>::new());
}

#[test]
fn pure_rooms_name_no_clock_no_dice_and_no_outside_world() {
    let mut broken = Vec::new();
    for room in PURE {
        let files = sources(&root().join(room).join("src"));
        let texts = files.iter().map(|file| fs::read_to_string(file).unwrap());
        let texts = texts.collect::<Vec<_>>();
        let for_tests = texts.iter().flat_map(|text| test_modules(text));
        let for_tests = for_tests.collect::<BTreeSet<_>>();
        for (file, text) in files.iter().zip(&texts) {
            if for_tests.contains(file.file_stem().unwrap().to_str().unwrap()) {
                continue;
            }
            let place = file.strip_prefix(root()).unwrap().display();
            let words = banned_words(text).into_iter();
            broken.extend(words.map(|(line, word)| format!("{place}:{line}: {word}")));
        }
    }
    assert_eq!(broken, Vec::<String>::new());
}

#[test]
fn each_pure_room_has_its_own_clippy_bans() {
    for room in PURE {
        let settings = read(&format!("{room}/clippy.toml"));
        for ban in [
            "std::time::Instant::now",
            "std::time::Instant::elapsed",
            "std::time::SystemTime",
            "std::collections::HashMap",
            "std::collections::HashSet",
        ] {
            assert!(
                settings.contains(ban),
                "{room}/clippy.toml does not ban {ban}"
            );
        }
    }
}

#[test]
fn a_room_that_imports_too_much_is_named() {
    let table = room_table(
        "| room | imports |\n|---|---|\n| media | – |\n| storage | rules |\n| rules | – |\n",
    );
    let found = BTreeMap::from([
        (
            "media".to_owned(),
            BTreeSet::from(["denwaban-sip-core".to_owned(), "tokio".to_owned()]),
        ),
        ("rules".to_owned(), BTreeSet::new()),
        (
            "storage".to_owned(),
            BTreeSet::from(["denwaban-rules".to_owned(), "sqlx".to_owned()]),
        ),
    ]);
    assert_eq!(
        violations(&table, &found),
        [
            "media imports sip-core, the table allows none",
            "media is pure and may not depend on tokio"
        ]
    );
}

#[test]
fn a_clock_in_a_pure_source_is_named_with_its_line() {
    let text = "fn a() {}\n// A comment may say Instant::now.\nlet now = Instant::now();\n#[cfg(test)]\nmod tests { SystemTime }\n";
    assert_eq!(banned_words(text), [(3, "Instant::now")]);
}

/// Compares the table with what cargo says; one line for each breach.
fn violations(table: &Rooms, found: &Rooms) -> Vec<String> {
    let mut broken = Vec::new();
    for (room, dependencies) in found {
        let allowed = &table[room];
        for dependency in dependencies {
            if let Some(other) = dependency.strip_prefix("denwaban-") {
                if !allowed.contains(other) && !allowed.contains("all") {
                    let list = allowed.iter().cloned().collect::<Vec<_>>().join(", ");
                    let list = if list.is_empty() {
                        "none".to_owned()
                    } else {
                        list
                    };
                    broken.push(format!("{room} imports {other}, the table allows {list}"));
                }
            } else if PURE.contains(&room.as_str())
                && !PURE_LIBRARIES.contains(&dependency.as_str())
            {
                broken.push(format!("{room} is pure and may not depend on {dependency}"));
            }
        }
    }
    broken
}

/// Reads the rows `| room | imports | ... |`; a dash means none.
fn room_table(text: &str) -> Rooms {
    let mut rows = text
        .lines()
        .skip_while(|line| !line.starts_with("| room | imports"));
    rows.next();
    rows.skip(1)
        .take_while(|line| line.starts_with('|'))
        .map(|line| {
            let mut cells = line.trim_matches('|').split('|').map(str::trim);
            let room = cells.next().unwrap().trim_matches('`').to_owned();
            let imports = cells.next().unwrap();
            (
                room,
                imports
                    .split(',')
                    .map(|one| one.trim().trim_matches('`').to_owned())
                    .filter(|one| one != "–")
                    .collect(),
            )
        })
        .collect()
}

/// Direct dependencies of one room, normal and build ones; development ones are free.
fn direct_dependencies(room: &str) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--offline",
            "--edges",
            "normal,build",
            "--depth",
            "1",
            "--prefix",
            "none",
            "--format",
            "{p}",
            "--package",
        ])
        .arg(format!("denwaban-{room}"))
        .current_dir(root())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "cargo tree: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .skip(1)
        .filter_map(|line| line.split(' ').next())
        .map(str::to_owned)
        .collect()
}

fn banned_words(text: &str) -> Vec<(usize, &'static str)> {
    let code = text
        .lines()
        .take_while(|line| !line.starts_with("#[cfg(test)]"))
        .enumerate();
    let numbered = code
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
        .map(|(index, line)| (index + 1, line));
    numbered
        .flat_map(|(number, line)| {
            BANNED_WORDS
                .iter()
                .filter(move |word| line.contains(**word))
                .map(move |word| (number, *word))
        })
        .collect()
}

/// Names of the modules that a file declares for its tests only.
fn test_modules(text: &str) -> Vec<&str> {
    let lines = text.lines().zip(text.lines().skip(1));
    lines
        .filter(|(first, _)| *first == "#[cfg(test)]")
        .filter_map(|(_, second)| second.split_once("mod ")?.1.strip_suffix(';'))
        .collect()
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}
