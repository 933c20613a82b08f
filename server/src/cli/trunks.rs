//! `denwaban trunks`: each peer, how it stands, what it carries, when it was chosen and why it was passed over.

use clap::Args;

use super::{
    Exit, Place, Terminal,
    calls::{ask, hear, json},
};
use crate::look::{Page, PlaceView, Request, TrunkView};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    place: Place,
    /// 1行に1件の JSON / one JSON object a line
    #[arg(long)]
    json: bool,
}

pub(super) fn trunks(arguments: &Arguments, out: &mut Terminal) -> Result<(), Exit> {
    let mut conversation = ask(&arguments.place, Request::Trunks, out)?;
    loop {
        let page: Page<TrunkView> = hear(&mut conversation, out)?;
        for trunk in &page.items {
            if arguments.json {
                out.line(&json(trunk)?)?;
                continue;
            }
            for line in lines(trunk) {
                out.line(&line)?;
            }
        }
        if page.is_last {
            return Ok(());
        }
    }
}

fn lines(trunk: &TrunkView) -> Vec<String> {
    let role = match trunk.role.as_str() {
        "carrier" => "通信事業者",
        "pbx" => "交換機",
        _ => "",
    };
    let mut lines = vec![format!(
        "{} ({role} {}) {}{}",
        trunk.name,
        trunk.role,
        state(&trunk.state),
        because(trunk.why.as_deref())
    )];
    let mut add = |label: &str, text: Option<String>| {
        lines.extend(text.map(|text| format!("  {label} {text}")));
    };
    add("状態の開始 / since:", trunk.since.clone());
    let calls = match (trunk.channels, trunk.emergency_reserve) {
        (Some(channels), Some(reserve)) => format!(
            "{} / {channels}（緊急用 / for emergency calls {reserve}）",
            trunk.calls
        ),
        _ => trunk.calls.to_string(),
    };
    add("通話とチャネル / calls and channels:", Some(calls));
    for place in &trunk.places {
        add("送り先 / place:", Some(place_line(place)));
    }
    add("登録 / registration:", registration(trunk));
    add("最後に選択 / last chosen:", trunk.last_chosen.clone());
    let passed = trunk.last_passed_over.as_ref();
    let passed = passed.map(|at| format!("{at}{}", because(trunk.passed_over_because.as_deref())));
    add("最後に見送り / last passed over:", passed);
    let (answered, dropped) = (trunk.malformed_answered, trunk.malformed_dropped);
    let malformed = format!("400 {answered}, 無応答 / dropped {dropped}");
    let is_any = answered + dropped > 0;
    add(
        "不正なメッセージ / malformed messages:",
        is_any.then_some(malformed),
    );
    lines
}

fn place_line(place: &PlaceView) -> String {
    let name = place.name.as_ref();
    let name = name.map_or_else(String::new, |name| format!(" ({name})"));
    format!(
        "{};transport={}{name} {}{}",
        place.address,
        place.transport,
        state(&place.state),
        because(place.why.as_deref())
    )
}

fn registration(trunk: &TrunkView) -> Option<String> {
    let standing = trunk.registration.as_deref()?;
    let ja = match standing {
        "registered" => "登録済",
        _ => "未登録",
    };
    let until = trunk.registered_until.as_ref();
    let until = until.map_or_else(String::new, |until| format!(" {until} まで / until"));
    let failures = match trunk.registration_failures {
        Some(failures) if failures > 0 => format!(" 連続失敗 / failures in a row {failures}"),
        _ => String::new(),
    };
    let numbers = match trunk.registered_numbers {
        Some(numbers) if numbers > 0 => format!(" 番号 / numbers {numbers}"),
        _ => String::new(),
    };
    Some(format!("{ja} {standing}{until}{numbers}{failures}"))
}

fn state(code: &str) -> String {
    let ja = match code {
        "up" => "正常",
        "down" => "不通",
        "trial" => "不通・試行可",
        _ => "",
    };
    format!("{ja} {code}")
}

/// Why, Japanese first where we have a word for it.
fn because(why: Option<&str>) -> String {
    let Some(why) = why else {
        return String::new();
    };
    let ja = match why {
        "nothing came back" => "応答なし",
        "nobody is at its address" => "到達不能",
        "no TLS handshake succeeds with it" => "TLS の接続不成立",
        "its certificate is not valid at this date" => "相手の証明書が有効期間外",
        "its certificate is made out to another name" => "相手の証明書が別の名前のもの",
        "its certificate is signed by nobody whom we believe" => {
            "相手の証明書の認証局を信頼していない"
        }
        "our own certificate cannot be used" => "自分の証明書が使えない",
        "it answered 503" => "503 応答",
        "it answered 408" => "408 応答",
        "we are not registered with it" => "未登録",
        "another of better priority lives" => "優先順の高い相手が正常",
        "another of the same priority was drawn by weight" => "割合により別の相手を選択",
        "its contracted channels are taken" => "契約チャネルに空きなし",
        "no address is known for its name" => "名前のアドレスが不明",
        _ => return format!(": {why}"),
    };
    format!(": {ja} / {why}")
}

#[cfg(test)]
mod tests {
    use exchange::{Ailment, PassedOver, Unreachable};

    use super::*;

    #[test]
    fn every_reason_has_its_japanese() {
        let ailments = [
            Ailment::Silent,
            Ailment::Unreachable(Unreachable::Nobody),
            Ailment::Unreachable(Unreachable::Handshake),
            Ailment::Unreachable(Unreachable::CertificateDate),
            Ailment::Unreachable(Unreachable::CertificateName),
            Ailment::Unreachable(Unreachable::Certificate),
            Ailment::Unreachable(Unreachable::OwnCertificate),
            Ailment::Unavailable,
            Ailment::TimedOut,
            Ailment::Unregistered,
        ];
        let passed = [
            PassedOver::Priority,
            PassedOver::Weight,
            PassedOver::Full,
            PassedOver::NoAddress,
        ];
        let reasons = ailments.iter().map(|ailment| ailment.describe());
        for why in reasons.chain(passed.iter().map(|passed| passed.describe())) {
            assert!(because(Some(why)).contains(" / "), "{why}");
        }
    }
}
