//! What a person shows of themselves: id and password and perhaps a code, or the token of a login session. It goes over the duty's socket and into no log.

use std::{
    fmt, fs,
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use rules::{Host, StaffId};
use serde::{Deserialize, Serialize};
use storage::Layout;
use zeroize::Zeroizing;

use crate::unix;

/// A text that prints as nothing and is wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(Zeroizing<String>);

impl Secret {
    pub(crate) fn new(text: impl Into<String>) -> Secret {
        Secret(Zeroizing::new(text.into()))
    }

    pub(crate) fn text(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl Serialize for Secret {
    fn serialize<S: serde::Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: serde::Deserializer<'de>>(input: D) -> Result<Secret, D::Error> {
        String::deserialize(input).map(Secret::new)
    }
}

/// An id with what was typed in for it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Typed {
    pub(crate) person: StaffId,
    pub(crate) password: Secret,
    pub(crate) code: Option<Secret>,
}

/// What is shown with a request.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Proof {
    /// Nothing: the host's own user asks.
    Nobody,
    /// An id alone, which proves nobody.
    Named(StaffId),
    Password(Typed),
    Session(Secret),
}

/// Who is at the other end of the socket, as the kernel says, or as whoever carries calls says whom the kernel named there.
#[derive(Clone, Debug)]
pub(crate) struct Asker {
    pub(crate) unix_user: String,
    /// Whoever spoke for that user.
    spokesman: Option<String>,
}

impl Asker {
    pub(crate) fn new(unix_user: &str) -> Asker {
        Asker {
            unix_user: unix_user.to_owned(),
            spokesman: None,
        }
    }

    /// A user for whom another speaks.
    pub(crate) fn spoken_for(unix_user: &str, spokesman: &str) -> Asker {
        Asker {
            spokesman: Some(spokesman.to_owned()),
            ..Asker::new(unix_user)
        }
    }

    /// Under whom wrong passwords are counted: whoever speaks for others answers for all of them.
    pub(crate) fn sources(&self) -> impl Iterator<Item = &str> {
        let spokesman = self.spokesman.as_deref();
        let spokesman = spokesman.filter(|spokesman| *spokesman != self.unix_user);
        [self.unix_user.as_str()].into_iter().chain(spokesman)
    }

    pub(crate) fn host(&self) -> Host {
        match &self.unix_user {
            user if unix::is_superuser(user) => Host::Superuser,
            // The office's own thread judges: the process is the office's.
            user if *user == unix::own_user() => Host::Owner,
            _ => Host::User,
        }
    }
}

/// A password is a line of a file, so that no list of processes shows it.
///
/// # Errors
/// The file cannot be read, or is larger than any password.
pub(crate) fn read_password(file: &Path) -> io::Result<Secret> {
    const MAX_BYTES: u64 = 4_096; // Several times the longest password.
    let mut text = Zeroizing::new(String::new());
    let opened = fs::File::open(file)?;
    let length = opened.take(MAX_BYTES + 1).read_to_string(&mut text)?;
    if u64::try_from(length).is_ok_and(|length| length > MAX_BYTES) {
        return Err(io::Error::other("it is larger than any password"));
    }
    Ok(Secret::new(text.lines().next().unwrap_or_default()))
}

/// Where `login` leaves the token for this installation: in the user's own folder, readable by nobody else.
pub(crate) fn session_file(layout: &Layout) -> Option<PathBuf> {
    let folder = ["XDG_RUNTIME_DIR", "HOME"]
        .into_iter()
        .find_map(|name| std::env::var_os(name).filter(|value| !value.is_empty()))?;
    let place = fs::canonicalize(layout.office()).ok()?;
    let name = aws_lc_rs::digest::digest(
        &aws_lc_rs::digest::SHA256,
        place.as_os_str().as_encoded_bytes(),
    );
    let name: String = name
        .as_ref()
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    Some(PathBuf::from(folder).join(format!(".denwaban-login-{name}")))
}

/// Leaves a token there.
///
/// # Errors
/// The file cannot be written.
pub(crate) fn keep_session(file: &Path, token: &Secret) -> io::Result<()> {
    // A file of somebody else with this name is not written into.
    match fs::remove_file(file) {
        Err(fault) if fault.kind() != io::ErrorKind::NotFound => return Err(fault),
        _ => {}
    }
    let mut made = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file)?;
    made.write_all(token.text().as_bytes())
}

/// A text that nobody guesses: 25 characters of base 32 in groups of five, 125 bit.
///
/// # Errors
/// The system gives no random bytes.
pub(crate) fn random_text() -> io::Result<Secret> {
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let mut random = Zeroizing::new([0_u8; 25]);
    getrandom::fill(&mut *random).map_err(io::Error::other)?;
    let letter = |byte: &u8| char::from(LETTERS[usize::from(byte % 32)]);
    let groups: Vec<String> = random
        .chunks(5)
        .map(|group| group.iter().map(letter).collect())
        .collect();
    Ok(Secret::new(groups.join("-")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_made_text_is_a_password_that_the_rules_take() {
        let text = random_text().unwrap();
        assert_eq!(text.text().len(), 29);
        assert_ne!(text, random_text().unwrap());
        let person = "hanako".parse().unwrap();
        assert!(rules::NewPassword::judge(&person, text.text()).is_ok());
        assert_eq!(format!("{text:?}"), "Secret(..)");
    }

    #[test]
    fn a_password_is_the_first_line_of_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        fs::write(&file, "kaze ni noru tori \nmore\n").unwrap();
        assert_eq!(read_password(&file).unwrap().text(), "kaze ni noru tori ");
        fs::write(&file, "x".repeat(5_000)).unwrap();
        assert!(read_password(&file).is_err());
    }
}
