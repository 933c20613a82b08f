//! What anybody verifies with a public key and nothing else: a certificate, a manifest, a statement.

use std::path::{Path, PathBuf};

use clap::Args;
use storage::VerifierKey;

use super::{Exit, Terminal};
use crate::outside;

#[derive(Debug, Args)]
pub(super) struct Signed {
    /// 署名された文書 / the signed text
    #[arg(value_name = "FILE")]
    pub(super) file: PathBuf,
    /// 署名の公開鍵、またはそれを1行ずつ収めたファイル / the public key (name+id+base64), or a file of such lines
    #[arg(long, value_name = "PUB")]
    key: String,
    // An outsider has none, and a script writes it behind every command.
    #[arg(long = "config", value_name = "FILE", hide = true)]
    _config: Option<PathBuf>,
}

impl Signed {
    /// The text, and the keys that verify it.
    ///
    /// # Errors
    /// [`Exit::Usage`] where one of them cannot be read.
    pub(super) fn read(&self, out: &mut Terminal) -> Result<(String, Vec<VerifierKey>), Exit> {
        let keys = keys_of(&self.key, out)?;
        let note = outside::read_text(&self.file).map_err(|fault| {
            out.message(&outside::unread(&self.file, &fault));
            Exit::Usage
        })?;
        Ok((note, keys))
    }
}

/// The keys of `--key`. A key is one line of text; anything else is taken for the name of a file.
///
/// # Errors
/// [`Exit::Usage`] where it is neither.
fn keys_of(text: &str, out: &mut Terminal) -> Result<Vec<VerifierKey>, Exit> {
    match text.parse::<VerifierKey>() {
        Ok(key) => Ok(vec![key]),
        Err(_) => read_keys(text).ok_or_else(|| {
            out.complain("公開鍵を読めません。\n--key is neither a public key (name+id+base64) nor a file of such lines");
            Exit::Usage
        }),
    }
}

fn read_keys(path: &str) -> Option<Vec<VerifierKey>> {
    let text = outside::read_text(Path::new(path)).ok()?;
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    let keys: Vec<VerifierKey> = lines
        .map(|line| line.trim().parse().ok())
        .collect::<Option<_>>()?;
    (!keys.is_empty()).then_some(keys)
}
