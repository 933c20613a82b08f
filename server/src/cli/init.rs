//! `denwaban init`: a folder with configuration, keys and prompts, ready to run.

use std::{
    collections::BTreeSet,
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Write},
    net::{IpAddr, SocketAddr},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf, absolute},
};

use clap::{Args, ValueEnum};
use exchange::Place;
use rules::{JstDay, Label, Number, Profile, half_width};
use serde::Serialize;
use sip_core::Transport;

use super::{Exit, Terminal};
use crate::{
    clock::Clock,
    config::{
        Config, PortRange,
        people::USUAL_UNIT,
        target::Destination,
        template::{self, TlsWishes, Waiver, Wishes},
    },
    descriptors, office, unix,
    wire::TlsFiles,
};

/// DIR に denwaban.toml, data, root, signing, prompts を書きます。既存の denwaban.toml は上書きしません。
/// Write denwaban.toml, data, root, signing and prompts into DIR. An existing denwaban.toml is never overwritten.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// 作るフォルダ（既存でもよい）/ the folder to fill; it may exist
    #[arg(long)]
    dir: PathBuf,
    /// SIP (UDP・TCP) を待ち受けるアドレス（IPv4 と IPv6 なら繰り返す）/ where SIP over UDP and TCP is taken; twice for IPv4 and IPv6
    #[arg(long, value_name = "ADDRESS:PORT", required = true)]
    listen: Vec<SocketAddr>,
    /// 通信事業者（繰り返し可、先の指定を優先） / a carrier, the first preferred; calls out go to it too
    #[arg(long = "carrier", value_name = "ADDR[:PORT][;transport=udp|tcp|tls]", value_parser = parse_destination, required = true)]
    carriers: Vec<Destination>,
    /// 庁内交換機（繰り返し可、先の指定を優先）/ where a PBX takes calls; the first is preferred
    #[arg(long = "pbx", value_name = "ADDR[:PORT][;transport=udp|tcp|tls]", value_parser = parse_destination, required = true)]
    pbxs: Vec<Destination>,
    /// 市の番号（繰り返し可）/ a number of the city; may be given several times
    #[arg(long = "number", value_name = "NUMBER", required = true)]
    numbers: Vec<String>,
    /// 応答の仕方: announce 告知してから取り次ぐ, transparent そのまま取り次ぐ / how calls are answered
    #[arg(long, value_enum, default_value_t = ProfileName::Announce)]
    profile: ProfileName,
    /// 録音の管理所管課 / whose the recordings are
    #[arg(long, default_value = USUAL_UNIT)]
    unit: Label,
    /// 告知に代わる決定の文書番号 / the decision that tells callers by other means, so that recording needs no announcement of ours
    #[arg(long, value_name = "REFERENCE")]
    waiver: Option<String>,
    /// 音声のアドレスとポート範囲（繰り返し可。省略時は listen の各アドレスの 20000-29999）/ address and ports of the voice; may be repeated
    #[arg(long, value_name = "ADDRESS:FIRST-LAST", value_parser = parse_ports)]
    rtp: Vec<PortRange>,
    #[command(flatten)]
    tls: TlsArguments,
}

/// What TLS needs; a peer with `;transport=tls` makes certificate and key necessary.
#[derive(Debug, Args)]
struct TlsArguments {
    /// TLS を待ち受けるアドレス（繰り返し可。TLS の相手がいて省略時は listen の各アドレスの 5061）/ where SIP over TLS is taken; with a peer over TLS, port 5061 of each --listen unless given
    #[arg(long, value_name = "ADDRESS:PORT")]
    tls_listen: Vec<SocketAddr>,
    /// 自分の証明書と中間証明書（PEM）/ our certificate and its chain, PEM
    #[arg(long, value_name = "FILE")]
    tls_certificate: Option<PathBuf>,
    /// その鍵（PEM）/ its key, PEM
    #[arg(long, value_name = "FILE")]
    tls_key: Option<PathBuf>,
    /// 相手の証明書を信じる認証局（PEM。省略時はシステムのもの）/ whose certificates we believe, PEM; the system's unless given
    #[arg(long, value_name = "FILE")]
    tls_ca: Option<PathBuf>,
}

impl TlsArguments {
    fn is_given(&self) -> bool {
        let files = [&self.tls_certificate, &self.tls_key, &self.tls_ca];
        !self.tls_listen.is_empty() || files.iter().any(|file| file.is_some())
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ProfileName {
    Announce,
    Transparent,
}

fn parse_destination(text: &str) -> Result<Destination, String> {
    let remedy = "write it like 192.0.2.20:5060, [2001:db8::20]:5060 or 192.0.2.20;transport=tcp";
    let destination = Destination::parse(text, Transport::Udp);
    let destination = destination.map_err(|why| format!("{why}; {remedy}"))?;
    match destination.place {
        Place::Address(_) => Ok(destination),
        Place::Name { .. } => Err(format!(
            "an address is needed here; names can stand in denwaban.toml; {remedy}"
        )),
    }
}

fn parse_ports(text: &str) -> Result<PortRange, String> {
    PortRange::parse(text).map_err(|why| format!("{why}; write it like 127.0.0.1:20000-29999"))
}

pub(super) fn init(arguments: &Arguments, out: &mut Terminal) -> Result<(), Exit> {
    let file = arguments.dir.join("denwaban.toml");
    // A link that leads nowhere stands there too: `make` would neither follow nor replace it.
    if file.symlink_metadata().is_ok() {
        out.complain(&format!(
            "{path} は既にあります。上書きしません。\n{path} exists and is never overwritten; choose another --dir, or edit it by hand",
            path = file.display()
        ));
        return Err(Exit::Usage);
    }
    let text = template::configuration(&wishes(arguments, out)?);
    let config = Config::parse(&file, &text).map_err(|report| {
        out.complain(&format!(
            "指定から作る設定に誤りがあるため、何も書きませんでした。\nnothing was written: what these options would write has faults\n{}",
            report.render(false)
        ));
        Exit::Usage
    })?;
    if let Some(Err(fault)) = config.sip.tls.as_ref().map(TlsFiles::check) {
        out.complain(&format!(
            "証明書を使えないため、何も書きませんでした。\nnothing was written: {fault}"
        ));
        return Err(Exit::Usage);
    }
    let made = make(&config, &file, &text);
    made.map_err(|fault| {
        out.complain(&format!(
            "フォルダを作れません。\nthe folder cannot be written: {fault}"
        ));
        Exit::Failed
    })?;
    if let Err(fault) = office::found(&config, Clock::begin().now().wall) {
        out.complain(&format!(
            "鍵またはデータベースを用意できません。run はそれでも通話を取り次ぎます。\nkeys or database cannot be prepared: {fault}; \
             run carries calls nevertheless, and tries again"
        ));
        return Err(Exit::Unavailable);
    }
    report(arguments, &config, out)
}

fn wishes(arguments: &Arguments, out: &mut Terminal) -> Result<Wishes, Exit> {
    for number in &arguments.numbers {
        if let Err(fault) = Number::typed(number) {
            out.complain(&format!(
                "--number {number}: この番号は使えません。078-333-1000 や +81783331000 のように指定してください。\nthe number cannot be used: {fault}"
            ));
            return Err(Exit::Usage);
        }
    }
    for (option, listen) in [
        ("--listen", &arguments.listen),
        ("--tls-listen", &arguments.tls.tls_listen),
    ] {
        if listen.iter().any(|address| address.ip().is_unspecified()) {
            out.complain(&format!("{option} には実際のアドレスを指定してください。\n{option} needs the host's own address: it stands in every message we send"));
            return Err(Exit::Usage);
        }
    }
    let tls = tls_wishes(arguments, out)?;
    let mut ports = arguments.rtp.clone();
    if ports.is_empty() {
        let hosts: BTreeSet<IpAddr> = arguments.listen.iter().map(SocketAddr::ip).collect();
        ports.extend(hosts.into_iter().map(|address| PortRange {
            address,
            first: 20_000,
            last: 29_999,
        }));
    }
    let waiver = arguments.waiver.as_ref().map(|reference| Waiver {
        reference: reference.clone(),
        date: JstDay::of(Clock::begin().now().wall).date(),
        unix_user: unix::own_user(),
    });
    Ok(Wishes {
        unit: arguments.unit.clone(),
        listen: arguments.listen.clone(),
        carriers: arguments.carriers.clone(),
        pbxs: arguments.pbxs.clone(),
        numbers: arguments
            .numbers
            .iter()
            .map(|number| half_width(number))
            .collect(),
        profile: match arguments.profile {
            ProfileName::Announce => Profile::Announce,
            ProfileName::Transparent => Profile::Transparent,
        },
        waiver,
        ports,
        tls,
    })
}

/// TLS, where a peer or an option asks for it.
fn tls_wishes(arguments: &Arguments, out: &mut Terminal) -> Result<Option<TlsWishes>, Exit> {
    let tls = &arguments.tls;
    let mut peers = arguments.carriers.iter().chain(&arguments.pbxs);
    let secure = peers.find(|peer| peer.transport == Transport::Tls);
    if secure.is_none() && !tls.is_given() {
        return Ok(None);
    }
    let usual = Transport::Tls.default_port();
    let (Some(certificate), Some(key)) = (&tls.tls_certificate, &tls.tls_key) else {
        let (ja, en) = match secure {
            Some(peer) => (
                format!("{peer} とは TLS で話すため"),
                format!("{peer} is spoken to over TLS, which needs"),
            ),
            None => ("TLS には".to_owned(), "TLS needs".to_owned()),
        };
        out.complain(&format!(
            "{ja}、証明書と鍵が要ります。--tls-certificate FILE と --tls-key FILE を指定してください（待ち受けは --tls-listen、相手の認証局は --tls-ca）。\n\
             {en} our certificate and its key: add --tls-certificate FILE and --tls-key FILE \
             (and --tls-listen where it is not port {usual} of each --listen, --tls-ca where the system does not know the peers' authority)"
        ));
        return Err(Exit::Usage);
    };
    let mut listen = tls.tls_listen.clone();
    if listen.is_empty() {
        let hosts: BTreeSet<IpAddr> = arguments.listen.iter().map(SocketAddr::ip).collect();
        listen.extend(hosts.into_iter().map(|host| SocketAddr::new(host, usual)));
    }
    let mut written = |file: &PathBuf| in_configuration(&arguments.dir, file, out);
    Ok(Some(TlsWishes {
        listen,
        certificate: written(certificate)?,
        key: written(key)?,
        ca: tls.tls_ca.as_ref().map(written).transpose()?,
    }))
}

/// A file as the configuration names it: from the configuration's folder where it lies there, so that both move together.
fn in_configuration(dir: &Path, file: &Path, out: &mut Terminal) -> Result<String, Exit> {
    let found = absolute(dir).and_then(|dir| Ok((dir, absolute(file)?)));
    let named = found.ok().and_then(|(dir, file)| {
        let named = file.strip_prefix(&dir).unwrap_or(&file);
        named.to_str().map(str::to_owned)
    });
    named.ok_or_else(|| {
        out.complain(&format!(
            "{path}: 設定ファイルに書けない名前です。\n{path} cannot be written into a configuration; name a file whose path is UTF-8",
            path = file.display()
        ));
        Exit::Usage
    })
}

/// Writes the folders and files; `denwaban.toml` last, so that a folder with one is a whole folder.
fn make(config: &Config, file: &Path, text: &str) -> io::Result<()> {
    let folders = &config.folders;
    let mut builder = DirBuilder::new();
    builder.recursive(true).mode(0o700);
    for folder in [&folders.data, &folders.root, &folders.prompts] {
        builder.create(folder)?;
    }
    fs::set_permissions(
        &folders.root,
        std::os::unix::fs::PermissionsExt::from_mode(0o700),
    )?;
    announcements::write_embedded(file.parent().unwrap_or(Path::new(".")))?;
    write_new(file, text)
}

/// Writes a file that does not exist yet; one that does is left as it is.
fn write_new(path: &Path, text: &str) -> io::Result<()> {
    match OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
    {
        Ok(mut file) => {
            file.write_all(text.as_bytes())?;
            file.sync_all()
        }
        Err(fault) if fault.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(fault) => Err(fault),
    }
}

/// The object of `init --json`.
#[derive(Serialize)]
struct Written<'path> {
    folder: &'path Path,
    config: &'path Path,
    root: &'path Path,
}

fn report(arguments: &Arguments, config: &Config, out: &mut Terminal) -> Result<(), Exit> {
    let file = config.file.display();
    let written = Written {
        folder: &arguments.dir,
        config: &config.file,
        root: &config.folders.root,
    };
    out.result(&written, || {
        format!("作成しました / written: {}", arguments.dir.display())
    })?;
    if let Some(short) = descriptors::shortage(&config.rtp) {
        out.line(&format!("注意 / note: {short}"))?;
    }
    if config
        .numbers
        .iter()
        .any(|number| number.decision.is_some())
    {
        out.line("注意 / note: --waiver の決定は未確認です。決裁の確認をしてください / the decision of --waiver is unconfirmed; `check` names it")?;
    }
    out.line("次にすること / what to do next:")?;
    out.line(&format!(
        "  1. 管理責任者とシステム管理者を定める / name the manager and the administrator:\n     denwaban people bootstrap --config {file} --manager ID --manager-password-file FILE --administrator ID --administrator-password-file FILE"
    ))?;
    out.line(&format!(
        "  2. 調べる / examine:  denwaban check --config {file}"
    ))?;
    out.line(&format!(
        "  3. 始める / carry calls:  denwaban run --config {file}"
    ))?;
    out.line(&format!(
        "  鍵の根は別ボリュームへ / keep the root on another volume, in no backup: {}",
        config.folders.root.display()
    ))
}
