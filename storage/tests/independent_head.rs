//! A reader of transparency logs that is not ours checks heads, tiles and proofs of a chain.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test that cannot go on has failed, and one that is left out says so"
)]

mod common;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use common::*;
use rules::{AuditDraft, AuditEvent};
use storage::{AuditTrail, Disk, Duty, Heads, Layout, OsDisk, Signing, head_key, verifier_keys};

/// Exit status of the script without its library.
const NO_LIBRARY: i32 = 77;
/// Sizes before, at and behind the edges of tiles, up to a third level of them. The first entry says that the month begins.
const SIZES: [i64; 8] = [2, 255, 256, 257, 1_000, 65_535, 65_536, 66_000];

struct Chain {
    layout: Layout,
    keys: PathBuf,
    heads: Vec<PathBuf>,
    folder: tempfile::TempDir,
}

/// A chain whose key changed on the way, and a head at each size.
fn chain() -> Chain {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::new(folder.path().join("data"), folder.path().join("root"));
    layout.make_folders(&OsDisk).unwrap();
    let disk: Arc<dyn Disk> = Arc::new(OsDisk);
    let mut signing = Signing::open(&disk, &layout, now()).unwrap();
    let mut trail = AuditTrail::open(Arc::clone(&disk), &layout, Duty::Calls).unwrap();
    let heads = Heads::new(Arc::clone(&disk), &layout);
    let mut kept = Vec::new();
    let mut written = 1;
    for size in SIZES {
        let drafts = (written..size)
            .map(|number| AuditDraft::system(AuditEvent::ClockStepped { by_ms: number }));
        let _ = trail.append_all(drafts.collect(), now()).unwrap();
        written = size;
        let head = heads.sign(Duty::Calls, signing.key()).unwrap();
        assert_eq!(head.head().size, u64::try_from(size).unwrap());
        let path = folder.path().join(format!("{size}.note"));
        fs::write(&path, head.note().to_string()).unwrap();
        kept.push(path);
        if size == 1_000 {
            signing.change(&disk, &layout, now()).unwrap();
        }
    }
    let keys = folder.path().join("keys");
    let named = verifier_keys(&OsDisk, &layout).unwrap();
    let lines = named
        .iter()
        .map(|key| format!("{}\n", head_key(key, Duty::Calls)));
    fs::write(&keys, lines.collect::<String>()).unwrap();
    Chain {
        layout,
        keys,
        heads: kept,
        folder,
    }
}

fn check(chain: &Chain) -> Option<(bool, String)> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../conformance/audit_heads.py");
    let output = Command::new("python3")
        .arg(script)
        .arg(chain.layout.tiles().join("calls"))
        .arg(chain.layout.calls_audit())
        .arg(&chain.keys)
        .args(&chain.heads)
        .output();
    match output {
        Ok(output) if output.status.code() != Some(NO_LIBRARY) => {
            let said = [output.stdout, output.stderr].concat();
            let said = String::from_utf8(said).unwrap();
            Some((output.status.success(), said))
        }
        Ok(_) => {
            eprintln!("left out: python3 has no aics_tlog; ./test installs it");
            None
        }
        Err(fault) => {
            eprintln!("left out: python3 cannot be run ({fault})");
            None
        }
    }
}

#[test]
fn a_reader_that_is_not_ours_verifies_heads_tiles_and_proofs() {
    let chain = chain();
    let Some((is_good, said)) = check(&chain) else {
        return;
    };
    assert!(is_good, "{said}");
    assert!(
        said.starts_with("heads 8 tiles 261 entries 66000 proofs "),
        "{said}"
    );

    // What we do not sign, or hash otherwise, it does not take.
    let note = fs::read_to_string(&chain.heads[2]).unwrap();
    fs::write(&chain.heads[2], note.replace("\n256\n", "\n254\n")).unwrap();
    let (is_good, said) = check(&chain).unwrap();
    assert!(!is_good && said.contains("256.note"), "{said}");
    fs::write(&chain.heads[2], note).unwrap();
    let tile = chain.layout.tiles().join("calls/tile/0/003");
    let mut bytes = fs::read(&tile).unwrap();
    bytes[0] ^= 1;
    fs::write(&tile, bytes).unwrap();
    let (is_good, said) = check(&chain).unwrap();
    assert!(!is_good && said.contains("TileVerificationError"), "{said}");
    drop(chain.folder);
}
