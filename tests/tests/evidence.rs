//! Evidence has few makers, and this list says who calls them: a new caller is a decision, so it is a diff here too.
//!
//! It guards against forgetting, not against malice inside a crate (whoever edits the code can edit the list).

#![expect(
    clippy::unwrap_used,
    reason = "a test falls where the workspace cannot be read"
)]

use std::{fs, path::Path};

use expect_test::expect_file;

/// Every function that makes evidence; all of them live in `rules`.
const MAKERS: [&str; 13] = [
    "Played::reported",
    "Notice::announced",
    "Notice::waived_by_emergency",
    "Notice::waived_by_decision",
    "Notice::reopen",
    "AuditReceipt::durable",
    "ListenPermit::issue",
    "FindPermit::issue",
    "RevealPermit::issue",
    "RegisterPermit::issue",
    "HandOverPermit::issue",
    "DisposalPermit::due",
    "WorkPermit::",
];

#[test]
fn every_caller_of_a_maker_of_evidence_is_on_the_list() {
    let mut callers = Vec::new();
    for room in [
        "sip-core",
        "media",
        "announcements",
        "rules",
        "exchange",
        "storage",
        "server",
    ] {
        collect(&root().join(room).join("src"), &mut callers);
    }
    callers.sort();
    expect_file!["../evidence.callers"].assert_eq(&(callers.join("\n") + "\n"));
}

#[test]
fn a_caller_is_found_in_code_and_not_in_comments_or_tests() {
    let text = "/// [`Notice::announced`] is a maker.\nlet notice = Notice::announced(&played);\n#[cfg(test)]\nmod tests { Played::reported() }\n";
    assert_eq!(calls(text), ["Notice::announced"]);
}

fn collect(folder: &Path, callers: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        // A module of tests in a file of its own has its `cfg(test)` where it is named.
        let is_tests = path.file_stem().is_some_and(|name| name == "tests");
        if is_tests {
            continue;
        }
        if path.is_dir() {
            collect(&path, callers);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let place = path.strip_prefix(root()).unwrap().display().to_string();
            let text = fs::read_to_string(&path).unwrap();
            callers.extend(
                calls(&text)
                    .into_iter()
                    .map(|maker| format!("{maker} <- {place}")),
            );
        }
    }
}

/// Makers that the code of one file calls, once per call; its comments and its tests do not count.
fn calls(text: &str) -> Vec<&'static str> {
    let code = text
        .lines()
        .take_while(|line| !line.starts_with("#[cfg(test)]"))
        .filter(|line| !line.trim_start().starts_with("//"));
    code.flat_map(|line| {
        MAKERS
            .iter()
            .filter(move |maker| line.contains(**maker))
            .copied()
    })
    .collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}
