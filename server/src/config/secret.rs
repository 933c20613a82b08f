//! A password that lies in a file of its own, so that the configuration can be shown to others.

use std::{
    fs::File,
    io::{self, Read},
    os::unix::fs::PermissionsExt,
    path::Path,
};

use super::reader::{Faults, Placed};

/// Longer than any password a carrier prints on paper.
const MAX_BYTES: u64 = 1_024;

/// Reads the file's one line; the faults never show what is in it.
pub(super) fn read(file: &Placed<&str>, base: &Path, faults: &mut Faults) -> Option<String> {
    let path = base.join(file.value);
    let found = match first_line(&path) {
        Ok(Some(password)) => return Some(password),
        Ok(None) => "a file without one line of text".to_owned(),
        Err(fault) => format!("a file that cannot be read ({fault})"),
    };
    faults.at(
        file,
        found,
        "a file that holds the password on one line, at most 1 KiB",
        "write the password into it and chmod 600 it; the path counts from this file's folder",
    );
    None
}

/// Whether others than the owner and its group's service can read the file.
pub(crate) fn is_open_to_others(path: &Path) -> io::Result<bool> {
    let mode = std::fs::metadata(path)?.permissions().mode();
    Ok(mode & 0o037 != 0)
}

fn first_line(path: &Path) -> io::Result<Option<String>> {
    let mut text = String::new();
    File::open(path)?
        .take(MAX_BYTES + 1)
        .read_to_string(&mut text)?;
    let line = text.trim_end_matches(['\n', '\r']);
    let is_one = !line.is_empty()
        && !line.contains(['\n', '\r', '\0'])
        && u64::try_from(line.len()).is_ok_and(|length| length <= MAX_BYTES);
    Ok(is_one.then(|| line.to_owned()))
}
