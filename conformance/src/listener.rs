//! Somebody who may hear what a server has recorded: named, trained and proved as a city would have it.

use std::{fs, io};

use crate::server::Server;

const LISTENER: &str = "listener";
const MANAGER: &str = "manager";
const UNIT: &str = "管理所管課";
const OWN_PASSWORD: &str = "kaze-ni-noru-tori";

/// What proves a person to a command.
pub(crate) struct Proof {
    person: &'static str,
    password_file: String,
}

impl Proof {
    /// As words of a command line.
    pub(crate) fn each(&self) -> [&str; 4] {
        ["--as", self.person, "--password-file", &self.password_file]
    }
}

/// The listener's proof; the first who asks takes the listener in.
///
/// # Errors
/// When the server refuses one of the steps.
pub(crate) fn proof(server: &Server) -> io::Result<Proof> {
    let proof = Proof {
        person: LISTENER,
        password_file: path(server, "listener-own")?,
    };
    if !fs::exists(&proof.password_file)? {
        enlist(server, &proof)?;
    }
    Ok(proof)
}

/// Names a manager and an administrator; the manager takes the listener in.
fn enlist(server: &Server, listener: &Proof) -> io::Result<()> {
    let manager = Proof {
        person: MANAGER,
        password_file: password(server, MANAGER, "umi-no-mieru-oka")?,
    };
    let administrator = password(server, "administrator", "yama-wa-rokko-oroshi")?;
    server.command(&[
        "people",
        "bootstrap",
        "--manager",
        MANAGER,
        "--manager-password-file",
        &manager.password_file,
        "--administrator",
        "administrator",
        "--administrator-password-file",
        &administrator,
    ])?;
    let by_manager =
        |words: &[&str]| server.command(&[&["people"], words, &manager.each()].concat());
    let add = [
        "add",
        LISTENER,
        "--role",
        "assistant",
        "--unit",
        UNIT,
        "--json",
    ];
    let added: serde_json::Value = serde_json::from_str(&by_manager(&add)?)?;
    let first = added["password"].as_str().unwrap_or_default();
    let first = password(server, "listener-first", first)?;
    let today = jiff::tz::offset(9)
        .to_datetime(jiff::Timestamp::now())
        .date()
        .to_string();
    by_manager(&["designate", LISTENER, "--from", &today, "--until", &today])?;
    by_manager(&[
        "train",
        LISTENER,
        "--course",
        "個人情報保護",
        "--on",
        &today,
    ])?;
    let own = password(server, "listener-own", OWN_PASSWORD)?;
    let issued = ["--as", LISTENER, "--password-file", &first];
    server.command(&[&["password", "--new-password-file", &own], &issued[..]].concat())?;
    server.command(&[&["people", "acknowledge"], &listener.each()[..]].concat())?;
    Ok(())
}

/// Writes a password into a file of the server's folder.
fn password(server: &Server, name: &str, text: &str) -> io::Result<String> {
    let file = path(server, name)?;
    fs::write(&file, text)?;
    Ok(file)
}

fn path(server: &Server, name: &str) -> io::Result<String> {
    let file = server.folder().join(format!("{name}.password"));
    let file = file.into_os_string().into_string();
    file.map_err(|_| io::Error::other("the folder's name is no UTF-8"))
}
