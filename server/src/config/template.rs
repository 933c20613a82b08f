//! The text of the file that `init` writes: `denwaban.toml`.

use std::{fmt::Write, net::SocketAddr};

use rules::{Label, Profile};

use super::{PortRange, target::Destination};

/// What `init` was asked for.
#[derive(Clone, Debug)]
pub(crate) struct Wishes {
    /// Where SIP is taken.
    pub listen: Vec<SocketAddr>,
    /// The carriers, the preferred one first.
    pub(crate) carriers: Vec<Destination>,
    /// Where the PBX nodes take calls, the preferred one first.
    pub(crate) pbxs: Vec<Destination>,
    /// 管理所管課 of the recordings.
    pub(crate) unit: Label,
    /// The city's numbers as they were typed.
    pub numbers: Vec<String>,
    /// How their calls are answered.
    pub profile: Profile,
    /// The decision that tells callers by other means.
    pub waiver: Option<Waiver>,
    /// Where RTP is taken.
    pub ports: Vec<PortRange>,
    /// Where SIP is taken over TLS, and who we are there.
    pub(crate) tls: Option<TlsWishes>,
}

/// TLS as `[sip]` and `[sip.tls]` name it.
#[derive(Clone, Debug)]
pub(crate) struct TlsWishes {
    /// Where it is taken.
    pub(crate) listen: Vec<SocketAddr>,
    /// The file of our certificate and its chain, of its key, and of the authorities that we believe; none: the system's.
    pub(crate) certificate: String,
    pub(crate) key: String,
    pub(crate) ca: Option<String>,
}

/// A decision of law 2, as typed at `init`.
#[derive(Clone, Debug)]
pub(crate) struct Waiver {
    /// What names the decision.
    pub reference: String,
    /// The day it was entered.
    pub date: jiff::civil::Date,
    /// Who entered it.
    pub unix_user: String,
}

/// The configuration file for these wishes.
pub(crate) fn configuration(wishes: &Wishes) -> String {
    let mut text = format!(
        r#"# 電話番 denwaban の設定 / the configuration of denwaban
# 誤りの検査 / check it with: denwaban check --config THIS-FILE
# すべての項目 / every key: denwaban.example.toml, docs/trunks.md

[sip]
# SIP (UDP・TCP) を待ち受けるアドレス / where SIP over UDP and TCP is taken
listen = {listen}
{tls}
[media]
# 音声 (RTP/RTCP) のアドレスとポート範囲。通話ごとに4ポート / address and ports of the voice; a call uses four
rtp = {ports}

[folders]
# このファイルのあるフォルダから数える / relative to the folder of this file
data = "data"
# 鍵の根。運用では別ボリュームに置き、バックアップしない / the root of the keys: in service on another volume, in no backup
root = "root"
# 証跡や証明書に署名する鍵。事務の係だけが読みます / the key that signs the audit trail and certificates; only the office reads it
signing = "signing"
prompts = "prompts"

[people]
# 録音の管理所管課。職員はこの課で登録します / whose the recordings are: people are registered in this unit
unit = {unit}

[retention]
# 保存日数 1〜92（要領第5条第6項: 3か月以内）/ days that recordings are kept
days = 89

[calls]
# 緊急時モードと通話の表示のソケットの権限 / who may declare the emergency and see calls through the calls' socket
socket_mode = "0600"

[office]
# 書き出し・廃棄のソケットの権限 / who may ask for export and disposal through the office's socket
socket_mode = "0600"
"#,
        listen = one_or_list(&listeners(wishes)),
        tls = wishes.tls.as_ref().map(tls_section).unwrap_or_default(),
        ports = one_or_list(&wishes.ports),
        unit = toml::Value::String(wishes.unit.to_string()),
    );
    text.push_str(OUTBOUND);
    text.push_str(OVERLOAD);
    for (index, carrier) in wishes.carriers.iter().enumerate() {
        text.push_str("\n# 通信事業者 / a carrier that brings citizens' calls\n");
        peer_section(&mut text, "carrier", index, carrier);
    }
    for (index, pbx) in wishes.pbxs.iter().enumerate() {
        text.push_str("\n# 庁内交換機 / a PBX that reaches the departments\n");
        peer_section(&mut text, "pbx", index, pbx);
    }
    let whom = match wishes.pbxs.len() {
        1 => "peer = \"pbx\"",
        _ => "role = \"pbx\"",
    };
    // Writing into a String cannot fail.
    let _ = write!(
        text,
        r#"
# 応答する部署。呼び出し先を順に / the department that answers; its targets are tried in turn
[[department]]
name = "代表"
targets = [{{ {whom}, ring_s = 30 }}]
"#
    );
    for number in &wishes.numbers {
        number_section(&mut text, number, wishes);
    }
    text
}

/// The listeners as the file names them: UDP and TCP at each address, and TLS where it is wished for.
fn listeners(wishes: &Wishes) -> Vec<String> {
    let plain = wishes.listen.iter().map(SocketAddr::to_string);
    let over_tls = wishes.tls.iter().flat_map(|tls| &tls.listen);
    plain
        .chain(over_tls.map(|address| format!("{address};transport=tls")))
        .collect()
}

fn tls_section(tls: &TlsWishes) -> String {
    let mut text = "
# TLS の証明書（PEM）。書き換えると数秒で読み直します / certificates of TLS; changed files are read anew within seconds
[sip.tls]
"
    .to_owned();
    line(&mut text, "certificate", &tls.certificate);
    line(&mut text, "key", &tls.key);
    if let Some(ca) = &tls.ca {
        line(&mut text, "ca", ca);
    }
    text
}

/// Calls abroad are where toll fraud goes, so they are never allowed unasked.
const OUTBOUND: &str = r#"
# 庁内から外線へ発信できる番号。110・118・119 と市の番号へは常に発信できます。
# Whom people of the city may call outside; 110, 118, 119 and the city's own numbers always.
[outbound]
# "0" は国内すべて、"010" は国際 / "0" is all of Japan, "010" is abroad
allowed = [{ prefix = "0" }]
"#;

/// Caps are a city's own decision: companies, other cities and ward offices call from one number.
const OVERLOAD: &str = r#"
# 一つの発信者・番号帯・宛先・接続先に限る上限。企業・他都市・区役所は一つの番号から多数発信するため、初期値では無効です。
# Caps on one caller, callers that begin alike, callers without a number, one of our numbers, or one peer; off unless written,
# because companies, other cities and ward offices call from one number. Suggested figures:
# [overload.caps]
# caller = { calls = 20, per_s = 60 }
# prefix = { digits = 6, calls = 120, per_s = 60 }
# anonymous = { calls = 60, per_s = 60 }
# number = { calls = 300, per_s = 60 }
# peer = { calls = 1200, per_s = 60 }
"#;

/// A peer of the ordinary kind. Its defaults: trusted, 100rel supported, session timer 1800 s, numbers as they came, no OPTIONS.
fn peer_section(text: &mut String, role: &str, index: usize, at: &Destination) {
    let name = match index {
        0 => role.to_owned(),
        later => format!("{role}-{}", later + 1),
    };
    text.push_str("[[peer]]\n");
    line(text, "name", &name);
    line(text, "role", role);
    if let Some(address) = at.address() {
        let _ = writeln!(text, "addresses = [\"{}\"]", address.ip());
        line(text, "send_to", &at.to_string());
        let _ = writeln!(text, "media = [\"{}\"]", address.ip());
    }
    if index > 0 {
        let _ = writeln!(
            text,
            "# 小さい値を優先 / the smaller is tried first\npriority = {index}"
        );
    }
}

fn number_section(text: &mut String, number: &str, wishes: &Wishes) {
    let profile = match wishes.profile {
        Profile::Announce => "announce",
        Profile::Transparent => "transparent",
    };
    text.push_str("\n# 市の番号 / a number of the city\n[[number]]\n");
    line(text, "number", number);
    line(text, "profile", profile);
    line(text, "department", "代表");
    if let Some(waiver) = &wishes.waiver {
        text.push_str("# 告知に代わる決定（未確認）/ the decision that stands for our announcement, unconfirmed\n");
        text.push_str("[number.waiver]\n");
        line(text, "reference", &waiver.reference);
        // Writing into a String cannot fail.
        let _ = writeln!(text, "date = {}", waiver.date);
        line(text, "unix_user", &waiver.unix_user);
    }
}

/// One text, or a list of several.
fn one_or_list<T: ToString>(items: &[T]) -> String {
    let texts: Vec<String> = items
        .iter()
        .map(|item| toml::Value::String(item.to_string()).to_string())
        .collect();
    match texts.as_slice() {
        [one] => one.clone(),
        _ => format!("[{}]", texts.join(", ")),
    }
}

fn line(text: &mut String, key: &str, value: &str) {
    let value = toml::Value::String(value.to_owned());
    let _ = writeln!(text, "{key} = {value}");
}
