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
    fn the_superuser_has_a_name_and_an_unknown_number_keeps_its_number() {
        assert_eq!(user_name(0), "root");
        assert_eq!(user_name(4_000_000_000), "uid:4000000000");
    }
}
