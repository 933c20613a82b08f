//! Files outside the installation: those that somebody brings, read no further than any such file is long, and those that leave,
//! never over another and never in the installation's own folders.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use storage::Layout;

use crate::duty::Message;

/// Longer than any signed text, key, head, policy or scanned certificate that somebody brings.
const MAX_BYTES: u64 = 64 << 20;
/// What leaves holds what is said in confidence.
const MODE: u32 = 0o600;

/// Why nothing can leave to where somebody wants it.
#[derive(Debug)]
enum Cause {
    /// There is something already.
    Exists,
    /// The folder is not there.
    NoFolder,
    /// It lies in one of the installation's own folders.
    Inside(PathBuf),
    Other(io::Error),
}

/// Reads what somebody brings.
///
/// # Errors
/// It cannot be read, or is longer than 64 MiB.
pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let opened = File::open(path)?;
    let length = opened.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    match u64::try_from(length).is_ok_and(|length| length <= MAX_BYTES) {
        true => Ok(bytes),
        false => Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("it is longer than {} MiB", MAX_BYTES >> 20),
        )),
    }
}

/// Reads a text that somebody brings.
///
/// # Errors
/// As [`read`], and where it is no UTF-8.
pub(crate) fn read_text(path: &Path) -> io::Result<String> {
    String::from_utf8(read(path)?)
        .map_err(|fault| io::Error::new(io::ErrorKind::InvalidData, fault))
}

/// What to say of a file that cannot be read.
pub(crate) fn unread(path: &Path, fault: &io::Error) -> Message {
    let path = path.display();
    Message::new(
        format!(
            "{path} を読めません。ファイルの名前、権限、大きさ（64 MiB まで）を確かめてください。"
        ),
        format!("{path} cannot be read: {fault}"),
    )
}

/// Looks whether something new may be made there, without making it.
///
/// # Errors
/// What stands against it.
pub(crate) fn check_place(layout: &Layout, path: &Path) -> Result<(), Message> {
    look_at(layout, path).map_err(|cause| not_made(path, &cause))
}

/// Makes a new file for what leaves.
///
/// # Errors
/// What stands against it.
pub(crate) fn make(layout: &Layout, path: &Path) -> Result<File, Message> {
    look_at(layout, path)
        .and_then(|()| {
            let mut options = OpenOptions::new();
            options.write(true).create_new(true).mode(MODE);
            options.open(path).map_err(Cause::from)
        })
        .map_err(|cause| not_made(path, &cause))
}

/// Makes a new file of a text; its bytes are on the disk when this returns.
///
/// # Errors
/// What stands against it; then there is no file.
pub(crate) fn write_text(layout: &Layout, path: &Path, text: &str) -> Result<(), Message> {
    let mut file = make(layout, path)?;
    let written = file
        .write_all(text.as_bytes())
        .and_then(|()| file.sync_all());
    written.map_err(|fault| {
        // What could not be written whole is not left behind; where that fails too, the first fault is the one to tell.
        let _ = fs::remove_file(path);
        not_written(path, fault)
    })
}

/// What to say of a file that was made and then could not be written.
pub(crate) fn not_written(path: &Path, fault: io::Error) -> Message {
    not_made(path, &Cause::Other(fault))
}

fn look_at(layout: &Layout, path: &Path) -> Result<(), Cause> {
    // A link that leads nowhere is there, too.
    if path.symlink_metadata().is_ok() {
        return Err(Cause::Exists);
    }
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        Some(_) | None => Path::new("."),
    };
    let folder = fs::canonicalize(folder)?;
    let own = [layout.data(), layout.root(), &layout.signing()].map(Path::to_owned);
    let mut own = own.into_iter().chain(layout.mirrors().iter().cloned());
    // One that is not there holds nothing.
    let is_inside = |own: &PathBuf| fs::canonicalize(own).is_ok_and(|own| folder.starts_with(own));
    own.find(is_inside)
        .map_or(Ok(()), |own| Err(Cause::Inside(own)))
}

impl From<io::Error> for Cause {
    fn from(fault: io::Error) -> Cause {
        match fault.kind() {
            io::ErrorKind::AlreadyExists => Cause::Exists,
            io::ErrorKind::NotFound => Cause::NoFolder,
            _ => Cause::Other(fault),
        }
    }
}

fn not_made(path: &Path, cause: &Cause) -> Message {
    let path = path.display();
    let (ja, en) = match cause {
        Cause::Exists => (
            "既にあります。上書きはしません。別の名前を指定してください。".to_owned(),
            "it exists, and nothing is overwritten; choose another name".to_owned(),
        ),
        Cause::NoFolder => (
            "フォルダがありません。先に作るか、別の場所を指定してください。".to_owned(),
            "its folder does not exist; make it first, or choose another place".to_owned(),
        ),
        Cause::Inside(own) => (
            format!(
                "電話番のフォルダ {} の中には書き出しません。別の場所を指定してください。",
                own.display()
            ),
            format!(
                "nothing leaves into denwaban's own folder {}; choose another place",
                own.display()
            ),
        ),
        Cause::Other(fault) => (
            "権限と空き容量を確かめてください。".to_owned(),
            format!("{fault}; look at permissions and free space"),
        ),
    };
    Message::new(
        format!("{path} に書き出せません。{ja}"),
        format!("{path} cannot be written: {en}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leaves_over_another_file_or_into_own_folders_by_whatever_way() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in ["data/vault", "root", "signing", "mirror/keys", "desk"] {
            fs::create_dir_all(at(name)).unwrap();
        }
        let layout = Layout::new(at("data"), at("root"))
            .with_signing(at("signing"))
            .with_mirrors(vec![at("mirror")]);
        std::os::unix::fs::symlink(at("data/vault"), at("desk/link")).unwrap();
        std::os::unix::fs::symlink(at("nowhere"), at("desk/dangling")).unwrap();
        write_text(&layout, &at("desk/a.txt"), "text").unwrap();
        for (name, why) in [
            ("data/vault/a.wav", "own folder"),
            ("desk/../data/a.wav", "own folder"),
            ("desk/link/a.wav", "own folder"),
            ("root/a.wav", "own folder"),
            ("signing/a.wav", "own folder"),
            ("mirror/keys/a.wav", "own folder"),
            ("desk/a.txt", "exists"),
            ("desk/dangling", "exists"),
            ("nowhere/a.wav", "does not exist"),
        ] {
            let made = make(&layout, &at(name)).unwrap_err().en;
            let checked = check_place(&layout, &at(name)).unwrap_err().en;
            assert!(made.contains(why) && checked == made, "{name}: {made}");
        }
        assert_eq!(fs::read_to_string(at("desk/a.txt")).unwrap(), "text");
    }

    #[test]
    fn a_file_without_end_is_read_to_a_limit() {
        let fault = read_text(Path::new("/dev/zero")).unwrap_err();
        assert_eq!(fault.kind(), io::ErrorKind::FileTooLarge);
    }
}
