//! Who a Unix user is: the number the kernel reports, with the name that `/etc/passwd` gives it.

use std::{
    fs, io,
    os::{fd::AsFd, unix::net::UnixStream},
    path::Path,
};

/// Largest passwd or group file that is read.
const MAX_FILE_BYTES: u64 = 4 * 1024 * 1024;

/// The name of the user at the other end of a socket, as the kernel knows it (`SO_PEERCRED`).
///
/// # Errors
/// The kernel's own, where the socket gives no credentials.
pub(crate) fn user_of(stream: &UnixStream) -> io::Result<String> {
    uid_of(stream).map(user_name)
}

/// The number of that user.
///
/// # Errors
/// As [`user_of`].
pub(crate) fn uid_of(stream: &UnixStream) -> io::Result<u32> {
    let credentials = rustix::net::sockopt::socket_peercred(stream.as_fd())?;
    Ok(credentials.uid.as_raw())
}

/// The name of the user who runs this process.
pub(crate) fn own_user() -> String {
    user_name(rustix::process::getuid().as_raw())
}

/// Whether this is the name of root.
pub(crate) fn is_superuser(user: &str) -> bool {
    user == user_name(0)
}

/// Whether a text has the form of a Unix user's name, or of what stands for one without a name: an entry of the trail takes no other
/// from a process that may have been taken.
///
/// Source: useradd(8), "Usernames may contain only ...", with the capitals and points that directories use.
pub(crate) fn is_user_name(text: &str) -> bool {
    const MOST: usize = 32; // useradd(8): at most 32 characters.
    let number = text.strip_prefix("uid:");
    let is_number = number.is_some_and(|number| number.parse::<u32>().is_ok());
    let name = text.strip_suffix('$').unwrap_or(text);
    let is_letter = |octet: u8| octet.is_ascii_alphanumeric() || b"_-.".contains(&octet);
    let begins = |octet: &u8| octet.is_ascii_alphabetic() || *octet == b'_';
    let is_name = name.as_bytes().first().is_some_and(begins) && name.bytes().all(is_letter);
    text.len() <= MOST && (is_number || is_name)
}

/// The number of a group that is written as a name or as a number.
pub(crate) fn group_number(group: &str) -> Option<u32> {
    group.parse().ok().or_else(|| {
        let text = read(Path::new("/etc/group"))?;
        entry(&text, 0, group)?.get(2)?.parse().ok()
    })
}

/// The user's name, or `uid:NUMBER` where `/etc/passwd` does not list it.
fn user_name(uid: u32) -> String {
    let listed = read(Path::new("/etc/passwd")).and_then(|text| {
        let name = *entry(&text, 2, &uid.to_string())?.first()?;
        Some(name.to_owned())
    });
    listed.unwrap_or_else(|| format!("uid:{uid}"))
}

fn entry<'t>(text: &'t str, column: usize, wanted: &str) -> Option<Vec<&'t str>> {
    text.lines()
        .map(|line| line.split(':').collect::<Vec<_>>())
        .find(|fields| fields.get(column) == Some(&wanted))
}

fn read(file: &Path) -> Option<String> {
    let small = fs::metadata(file).ok()?.len() <= MAX_FILE_BYTES;
    small.then(|| fs::read_to_string(file).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_name_of_a_user_is_taken_for_none() {
        for name in ["denwaban", "_apt", "T.Yamada-2", "host$", "uid:4000000000"] {
            assert!(is_user_name(name), "{name}");
        }
        let long = "a".repeat(33);
        for text in ["", "2nd", "a b", "試験", "uid:", "uid:x", "a\n", "$", &long] {
            assert!(!is_user_name(text), "{text:?}");
        }
    }

    #[test]
    fn the_superuser_has_a_name_and_an_unknown_number_keeps_its_number() {
        assert_eq!(user_name(0), "root");
        assert_eq!(user_name(4_000_000_000), "uid:4000000000");
    }
}
