//! Packages, opened by Debian's `age`, `tar` and `7z`, which share no line with what wrote them.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::{
    fs,
    io::Write,
    path::Path,
    process::{Command, Output, Stdio},
};

use rules::Recipient;
use storage::{PackageKey, PackageWriter, Passphrase};
use tempfile::TempDir;

const MARKER: &[u8] = b"a voice that must not be found";

/// Files of awkward lengths: none, a byte, about a block of either format, about a chunk of age, and more.
fn files() -> Vec<(String, Vec<u8>)> {
    let lengths = [0, 1, 511, 512, 65_536 - 512, 65_537, 200_000];
    let content = |length: usize| {
        let repeated = MARKER.iter().copied().cycle();
        repeated.take(length).collect()
    };
    let named = |(index, length)| (format!("{index:04}.wav"), content(length));
    lengths.into_iter().enumerate().map(named).collect()
}

fn package(key: PackageKey) -> Vec<u8> {
    let mut writer = PackageWriter::begin(Vec::new(), key, 1_795_000_000).unwrap();
    for (name, content) in files() {
        writer.begin_file(&name, content.len() as u64).unwrap();
        for piece in content.chunks(7_777) {
            writer.write(piece).unwrap();
        }
    }
    writer.finish().unwrap()
}

fn holds_marker(bytes: &[u8]) -> bool {
    let part = &MARKER[..12];
    bytes.windows(part.len()).any(|window| window == part)
}

fn assert_unpacked(folder: &Path) {
    for (name, content) in files() {
        let found = fs::read(folder.join(&name)).unwrap();
        assert!(found == content, "{name}: {} bytes", found.len());
    }
}

/// A key pair of Debian's `age-keygen`: the private key's file and the recipient.
fn key_pair(folder: &TempDir, name: &str) -> (String, Recipient) {
    let file = folder.path().join(name).display().to_string();
    run(Command::new("age-keygen").args(["-o", &file]));
    let shown = run(Command::new("age-keygen").args(["-y", &file]));
    let recipient = String::from_utf8(shown.stdout).unwrap();
    (file, recipient.trim().parse().unwrap())
}

fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
    output
}

#[test]
fn a_package_for_a_key_opens_with_that_key_in_age_and_with_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let (private, recipient) = key_pair(&folder, "own");
    let (other, _) = key_pair(&folder, "other");
    let package = package(PackageKey::Recipient(recipient));
    assert!(!holds_marker(&package));
    let file = folder.path().join("package.tar.age");
    fs::write(&file, &package).unwrap();

    let archive = folder.path().join("package.tar");
    let decrypt = |key: &str, from: &Path| {
        let mut command = Command::new("age");
        command
            .args(["-d", "-i", key, "-o"])
            .arg(&archive)
            .arg(from);
        command.output().unwrap()
    };
    assert!(!decrypt(&other, &file).status.success());
    let opened = decrypt(&private, &file);
    assert!(opened.status.success(), "{opened:?}");
    run(Command::new("tar")
        .arg("-C")
        .arg(folder.path())
        .arg("-xf")
        .arg(&archive));
    assert_unpacked(folder.path());

    // A package that lost its end says so.
    fs::write(&file, &package[..package.len() - 17]).unwrap();
    assert!(!decrypt(&private, &file).status.success());
}

#[test]
fn a_package_under_a_passphrase_opens_with_it_in_7z_and_with_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let passphrase = Passphrase::random().unwrap();
    let text = passphrase.text().to_owned();
    let package = package(PackageKey::Passphrase(passphrase));
    assert!(!holds_marker(&package));
    let file = folder.path().join("package.zip");
    fs::write(&file, &package).unwrap();

    let extract = |passphrase: &str| {
        let mut command = Command::new("7zz");
        command.arg("x").arg("-y").arg(format!("-p{passphrase}"));
        command
            .arg(format!("-o{}", folder.path().display()))
            .arg(&file);
        command.output().unwrap()
    };
    assert!(!extract("another").status.success());
    let opened = extract(&text);
    assert!(opened.status.success(), "{opened:?}");
    assert_unpacked(folder.path());
    let listed = run(Command::new("7zz").args(["l", "-slt"]).arg(&file));
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert_eq!(listed.matches("AES-256").count(), files().len(), "{listed}");
}

#[test]
fn a_passphrase_has_150_bits_and_shows_in_no_debug() {
    let (one, other) = (Passphrase::random().unwrap(), Passphrase::random().unwrap());
    assert_ne!(one.text(), other.text());
    assert_eq!(one.text().len(), 35);
    assert_eq!(format!("{one:?}"), "Passphrase(..)");
}

#[test]
fn a_file_that_is_not_as_long_as_was_said_breaks_the_package() {
    let begin = || {
        let key = PackageKey::Passphrase(Passphrase::random().unwrap());
        PackageWriter::begin(Vec::new(), key, 0).unwrap()
    };
    let mut short = begin();
    short.begin_file("0001.wav", 3).unwrap();
    short.write(b"ab").unwrap();
    assert!(short.begin_file("0002.wav", 1).is_err());
    let mut long = begin();
    long.begin_file("0001.wav", 3).unwrap();
    assert!(long.write(b"abcd").is_err());
    assert!(begin().begin_file("0001.wav", 5 << 30).is_err());
}

#[test]
fn age_reads_what_it_is_piped() {
    // No file at all: the smallest payload is two blocks of zeros.
    let folder = tempfile::tempdir().unwrap();
    let (private, recipient) = key_pair(&folder, "own");
    let writer = PackageWriter::begin(Vec::new(), PackageKey::Recipient(recipient), 0).unwrap();
    let package = writer.finish().unwrap();
    let mut age = Command::new("age")
        .args(["-d", "-i", &private])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    age.stdin.take().unwrap().write_all(&package).unwrap();
    let opened = age.wait_with_output().unwrap();
    assert_eq!(opened.stdout, [0; 1024]);
}
