//! `denwaban trunks`: each peer, how it stands, what it carries, and why it was chosen or passed over last.

use clap::Args;
use exchange::{Ailment, Unreachable};

use super::{
    Exit, Form, Place, Terminal,
    calls::{ask, hear},
};
use crate::look::{
    ChoiceView, ChosenView, Page, PassedOverView, PassedView, PlaceNameView, PlaceStateView,
    PlaceView, RegistrationView, Request, RoleView, SetbackView, TrunkStateView, TrunkView,
};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    place: Place,
}

pub(super) fn trunks(arguments: &Arguments, out: &mut Terminal) -> Result<(), Exit> {
    let mut conversation = ask(&arguments.place, Request::Trunks, out)?;
    loop {
        let page: Page<TrunkView> = hear(&mut conversation, out)?;
        for trunk in &page.items {
            if out.form == Form::Json {
                out.object(trunk)?;
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
    let role = match trunk.role {
        RoleView::Carrier => "通信事業者 carrier",
        RoleView::Pbx => "交換機 pbx",
    };
    let (state, since) = match &trunk.state {
        TrunkStateView::Up => ("正常 up".to_owned(), None),
        TrunkStateView::Down { why, since } => {
            (format!("不通 down: {}", ailment(*why)), Some(since.clone()))
        }
    };
    let mut lines = vec![format!("{} ({role}) {state}", trunk.name)];
    let mut add = |label: &str, text: Option<String>| {
        lines.extend(text.map(|text| format!("  {label} {text}")));
    };
    add("状態の開始 / since:", since);
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
    let registration = trunk.registration.as_ref().map(registration);
    add("登録 / registration:", registration);
    let chosen = trunk.last_chosen.as_ref().map(chosen);
    add("最後に選択 / last chosen:", chosen);
    let passed_over = trunk.last_passed_over.as_ref().map(passed_over);
    add("最後に見送り / last passed over:", passed_over);
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
    let state = match &place.state {
        PlaceStateView::Up => "正常 up".to_owned(),
        PlaceStateView::Resting { until } => format!("待機 resting: {}", retry_after(until)),
        PlaceStateView::Down { why } => format!("不通 down: {}", ailment(*why)),
        PlaceStateView::Trial { why } => format!("不通・試行可 trial: {}", ailment(*why)),
    };
    format!("{}{name} {state}", place_name(&place.place))
}

fn place_name(place: &PlaceNameView) -> String {
    format!("{};transport={}", place.address, place.transport)
}

fn registration(registration: &RegistrationView) -> String {
    let standing = match &registration.held_until {
        Some(until) => format!("登録済 registered {until} まで / until"),
        None => "未登録 unregistered".to_owned(),
    };
    let count = |label: &str, count: usize| match count {
        0 => String::new(),
        count => format!(" {label} {count}"),
    };
    let numbers = count("番号 / numbers", registration.numbers);
    let failures = usize::try_from(registration.failures).unwrap_or(usize::MAX);
    let failures = count("連続失敗 / failures in a row", failures);
    format!("{standing}{numbers}{failures}")
}

fn chosen(chosen: &ChosenView) -> String {
    let why = match &chosen.because {
        ChoiceView::Only => "ほかに送れる相手なし / no other could be".to_owned(),
        ChoiceView::LastLeft => "正常な相手なし / no other lives either".to_owned(),
        ChoiceView::Lives => "ほかが不通または待機中 / it lives, others do not".to_owned(),
        ChoiceView::Number => "発信者の番号を持つ / it has the caller's number".to_owned(),
        ChoiceView::Site => "発信地の回線 / it is the trunk of the caller's site".to_owned(),
        ChoiceView::Priority => "優先順が最上位 / its priority is the best".to_owned(),
        ChoiceView::Weight => "割合により選択 / drawn by weight".to_owned(),
        ChoiceView::After { failed } => format!(
            "{} {} の不成立の後（{}） / after it failed",
            failed.peer,
            place_name(&failed.place),
            setback(failed.why)
        ),
    };
    format!("{} {}: {why}", chosen.at, place_name(&chosen.place))
}

fn passed_over(passed: &PassedView) -> String {
    let why = match &passed.because {
        PassedOverView::Priority => {
            "優先順の高い相手が正常 / another of better priority lives".to_owned()
        }
        PassedOverView::Weight => {
            "割合により別の相手を選択 / another of the same priority was drawn by weight".to_owned()
        }
        PassedOverView::Number => {
            "別の回線が発信者の番号を持つ / another has the caller's number".to_owned()
        }
        PassedOverView::Site => {
            "別の回線が発信地のもの / another is the trunk of the caller's site".to_owned()
        }
        PassedOverView::Down { why } => ailment(*why),
        PassedOverView::Resting { until } => retry_after(until),
        PassedOverView::Failed { why } => {
            format!("試行が不成立（{}） / tried, and failed", setback(*why))
        }
        PassedOverView::Full => {
            "契約チャネルに空きなし / its contracted channels are taken".to_owned()
        }
        PassedOverView::NoAddress => {
            "名前のアドレスが不明 / no address is known for its name".to_owned()
        }
        PassedOverView::NoListener => {
            "その方式・アドレス種別の待ち受けなし / no listener of ours leads to its addresses"
                .to_owned()
        }
        PassedOverView::NotForCalls => {
            "発信に使わない設定 / the configuration sends it no calls (outbound)".to_owned()
        }
        PassedOverView::NoNumber => "通知できる番号なし / no number may be shown to it".to_owned(),
    };
    format!("{}: {why}", passed.at)
}

fn retry_after(until: &str) -> String {
    format!("503 応答により {until} まで / its 503 asks for no calls until then")
}

fn setback(setback: SetbackView) -> String {
    match setback {
        SetbackView::Ailing(why) => ailment(why),
        SetbackView::Failed(status) => format!("結果 {status} / it came to {status}"),
    }
}

/// What is wrong with a peer, in both languages.
fn ailment(ailment: Ailment) -> String {
    let ja = match ailment {
        Ailment::Silent => "応答なし",
        Ailment::Unreachable(Unreachable::Nobody) => "到達不能",
        Ailment::Unreachable(Unreachable::Lost) => "応答前に接続が切れる",
        Ailment::Unreachable(Unreachable::Handshake) => "TLS の接続不成立",
        Ailment::Unreachable(Unreachable::CertificateDate) => "相手の証明書が有効期間外",
        Ailment::Unreachable(Unreachable::CertificateName) => "相手の証明書が別の名前のもの",
        Ailment::Unreachable(Unreachable::Certificate) => "相手の証明書の認証局を信頼していない",
        Ailment::Unreachable(Unreachable::OwnCertificate) => "自分の証明書が使えない",
        Ailment::Unavailable => "503 応答",
        Ailment::TimedOut => "408 応答",
        Ailment::Unregistered => "未登録",
    };
    format!("{ja} / {}", ailment.describe())
}
