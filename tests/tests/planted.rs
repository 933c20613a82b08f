//! The planted bugs of `tests/planted`: each patch still fits the tree, so that `just hunt` has something to find.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// R-16 counts in forties.
const PLANTED: usize = 40;

#[test]
fn every_planted_bug_still_fits_the_tree() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut patches: Vec<PathBuf> = fs::read_dir(root.join("tests/planted"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "patch"))
        .collect();
    patches.sort();
    assert_eq!(patches.len(), PLANTED, "planted bugs");
    let misfits: Vec<String> = patches
        .iter()
        .filter_map(|patch| {
            let check = Command::new("git")
                .args(["apply", "--check"])
                .arg(fs::canonicalize(patch).unwrap())
                .current_dir(&root)
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&check.stderr).into_owned();
            (!check.status.success()).then_some(said)
        })
        .collect();
    assert_eq!(misfits, [""; 0], "make these anew against the tree");
}
