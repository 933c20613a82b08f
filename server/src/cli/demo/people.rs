//! The people of the demonstration, taken in by the commands that a city uses.

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    process::Command,
};

use jiff::{Timestamp, ToSpan};
use rules::JstDay;

use crate::{config::people::USUAL_UNIT, proof};

/// Names the demonstration's people: a manager and an administrator, and an assistant who may listen.
pub(super) fn enlist(config: &Path, folder: &Path) -> io::Result<()> {
    let [manager, administrator, own, first] = [
        "demo-manager",
        "demo-administrator",
        DEMO_PERSON,
        "demo-first",
    ]
    .map(|name| folder.join(file_of(name)));
    for file in [&manager, &administrator, &own] {
        write_password(file, proof::random_text()?.text())?;
    }
    let [manager, administrator, own_text, first_text] =
        [&manager, &administrator, &own, &first].map(|file| file.display().to_string());
    // A demonstration is no call: the date is read here and goes nowhere but into its register.
    let today = JstDay::of(Timestamp::now());
    let last = JstDay::on(today.date().saturating_add(1.year())).to_string();
    let today = today.to_string();
    // One of the first version would name the same person.
    match fs::remove_file(folder.join("staff.toml")) {
        Err(fault) if fault.kind() != io::ErrorKind::NotFound => return Err(fault),
        _ => {}
    }
    let by_manager = ["--as", "demo-manager", "--password-file", &manager];
    let ask = |arguments: &[&str]| quietly(config, arguments);
    ask(&[
        "people",
        "bootstrap",
        "--manager",
        "demo-manager",
        "--manager-password-file",
        &manager,
        "--administrator",
        "demo-administrator",
        "--administrator-password-file",
        &administrator,
    ])?;
    let add = [
        "people",
        "add",
        DEMO_PERSON,
        "--role",
        "assistant",
        "--unit",
        USUAL_UNIT,
        "--json",
    ];
    let issued: serde_json::Value =
        serde_json::from_slice(&ask(&[&add[..], &by_manager].concat())?)?;
    write_password(&first, issued["password"].as_str().unwrap_or_default())?;
    let days = ["--from", &today, "--until", &last];
    ask(&[
        &["people", "designate", DEMO_PERSON],
        &days[..],
        &by_manager,
    ]
    .concat())?;
    let training = ["--course", "デモ", "--on", &today];
    ask(&[
        &["people", "train", DEMO_PERSON],
        &training[..],
        &by_manager,
    ]
    .concat())?;
    let person = ["--as", DEMO_PERSON, "--password-file"];
    ask(&[
        &["password"],
        &person[..],
        &[&first_text, "--new-password-file", &own_text],
    ]
    .concat())?;
    fs::remove_file(&first)?;
    ask(&[&["people", "acknowledge"], &person[..], &[&own_text]].concat())?;
    Ok(())
}

/// Who listens in the demonstration.
pub(super) const DEMO_PERSON: &str = "demo";

/// Where a person's password lies in the demonstration's folder.
pub(super) fn file_of(person: &str) -> String {
    format!("{person}.password")
}

fn write_password(file: &Path, password: &str) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    let mut made = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(file)?;
    made.write_all(password.as_bytes())
}

/// Runs a command of ours for its result.
fn quietly(config: &Path, arguments: &[&str]) -> io::Result<Vec<u8>> {
    let output = Command::new(std::env::current_exe()?)
        .args(arguments)
        .arg("--config")
        .arg(config)
        .output()?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    Err(io::Error::other(
        String::from_utf8_lossy(&output.stderr).into_owned(),
    ))
}
