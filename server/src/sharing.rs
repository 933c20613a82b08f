//! Two Unix users, one for each duty, and the group that both are in: what one writes and the other reads or takes away.
//!
//! Where the configuration names no group one user does both duties, and nobody else reads anything.

use std::{
    fs, io,
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    path::Path,
};

use storage::{Duty, Layout};

use crate::unix;

/// Whether another user does the other duty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sharing {
    /// One user does both.
    None,
    /// The folders belong to a common group.
    Group,
}

impl Sharing {
    /// As the configuration says.
    pub(crate) fn of(group: Option<&String>) -> Sharing {
        match group {
            None => Sharing::None,
            Some(_) => Sharing::Group,
        }
    }
}

/// What this process writes from here on has the modes that it asks for, as far as the group goes; others read nothing.
pub(crate) fn open_to_group() {
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o007));
}

/// Gives the folders of a duty to the group, so that what is made in them is the group's too, and closes those that are nobody
/// else's, whoever could read them before.
///
/// Folders of another user are left as they are.
///
/// # Errors
/// There is no such group, this user is not in it, or a folder is missing.
pub(crate) fn share(layout: &Layout, duty: Duty, group: &str) -> io::Result<()> {
    let unknown = || io::Error::other(format!("the group {group} is not in /etc/group"));
    let number = unix::group_number(group).ok_or_else(unknown)?;
    let data = (layout.data().to_owned(), 0o750);
    for (folder, mode) in layout.folders_of(duty).into_iter().chain([data]) {
        if !is_ours(&folder)? {
            continue;
        }
        let mode = match mode & 0o070 {
            0 => mode,
            _ => {
                chown(&folder, None, Some(number))?;
                let passed = fs::metadata(&folder)?.permissions().mode() & 0o001;
                SET_GROUP | mode | passed
            }
        };
        fs::set_permissions(&folder, fs::Permissions::from_mode(mode))?;
    }
    Ok(())
}

/// What is made in the folder belongs to the folder's group.
const SET_GROUP: u32 = 0o2000;

fn is_ours(folder: &Path) -> io::Result<bool> {
    let owner = fs::metadata(folder)?.uid();
    Ok(owner == rustix::process::getuid().as_raw())
}
