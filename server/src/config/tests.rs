//! What the configuration file may say and how its faults are told.

use std::time::Duration;

use exchange::{AnnouncementMedia, CalledPlace, NumberForm, PeerRole, Place, SecureMedia, Trust};
use expect_test::expect;
use rules::Profile;
use sip_core::{RefreshMethod, Reliable, Transport};

use super::{
    target::Destination,
    template::{Waiver, Wishes},
    *,
};

mod peers;

fn wishes(profile: Profile, waiver: Option<Waiver>) -> Wishes {
    Wishes {
        unit: "広報課".parse().unwrap(),
        listen: vec!["127.0.0.1:5060".parse().unwrap()],
        carriers: vec![Destination::parse("127.0.0.2", Transport::Udp).unwrap()],
        pbxs: vec![Destination::parse("127.0.0.3:5062", Transport::Udp).unwrap()],
        numbers: vec!["0783331000".to_owned(), "+81783331001".to_owned()],
        profile,
        waiver,
        ports: vec![PortRange::parse("127.0.0.1:20000-29999").unwrap()],
        tls: None,
    }
}

fn faults_of(text: &str) -> String {
    Config::parse(Path::new("/etc/denwaban/denwaban.toml"), text)
        .unwrap_err()
        .render(false)
}

#[test]
fn what_init_writes_is_what_run_reads() {
    let waiver = Waiver {
        reference: "広報 \"第12号\"".to_owned(),
        date: jiff::civil::date(2026, 4, 1),
        unix_user: "root".to_owned(),
    };
    for (profile, waiver) in [
        (Profile::Announce, None),
        (Profile::Transparent, Some(waiver)),
    ] {
        let text = template::configuration(&wishes(profile, waiver.clone()));
        let config = Config::parse(Path::new("/srv/denwaban/denwaban.toml"), &text).unwrap();
        assert_eq!(config.folders.root, Path::new("/srv/denwaban/root"));
        assert_eq!(config.calls.mode, 0o600);
        assert_eq!(config.numbers.len(), 2);
        assert_eq!(config.numbers[0].number.e164(), "+81783331000");
        for number in &config.numbers {
            assert_eq!(number.profile, profile);
            assert_eq!(
                number
                    .decision
                    .as_ref()
                    .map(|decision| decision.reference()),
                waiver.as_ref().map(|waiver| waiver.reference.as_str())
            );
        }
        assert_eq!(config.settings().faults(), []);
    }
}

#[test]
fn the_example_at_the_root_of_the_repository_is_true() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../denwaban.example.toml");
    let config = Config::load(&path).unwrap_or_else(|report| panic!("{}", report.render(false)));
    assert_eq!(config.settings().faults(), []);
    assert!(
        config
            .numbers
            .iter()
            .any(|number| number.decision.is_some())
    );
    assert!(
        config
            .departments
            .iter()
            .any(|department| department.targets.len() > 1)
    );
}

#[test]
fn every_fault_is_told_at_once_with_its_line_and_remedy() {
    let text = r#"[sip]
listen = "0.0.0.0:5060"
prot = "udp"

[media]
rtp = "127.0.0.1:20000"

[retention]
days = 120

[[peer]]
name = "carrier"
role = "carier"
addresses = ["192.0.2.10", "192.0.2.300"]

[[department]]
name = "代表"
targets = [{ peer = "pbx", ring_s = 600 }]

[[number]]
number = "0783331000"
profile = "announce"
department = "窓口"
"#;
    expect![[r#"
        設定ファイルに 9 件の誤りがあります。 / 9 faults in /etc/denwaban/denwaban.toml
          × sip.listen: found "0.0.0.0:5060", expected an address with port, such as 127.0.0.1:5060
           ╭─[/etc/denwaban/denwaban.toml:2:10]
         1 │ [sip]
         2 │ listen = "0.0.0.0:5060"
           ·          ───────┬──────
           ·                 ╰── here
         3 │ prot = "udp"
           ╰────
          help: write the host's own address and a port; it stands in every message we send, so 0.0.0.0 will not do
          × sip.prot: found the unknown key `prot`, expected one of: dscp, idle_s, keepalive_s, listen, resolver,
          │ tls
           ╭─[/etc/denwaban/denwaban.toml:3:1]
         2 │ listen = "0.0.0.0:5060"
         3 │ prot = "udp"
           · ──┬─
           ·   ╰── here
         4 │ 
           ╰────
          help: remove the key
          × media.rtp: found "127.0.0.1:20000": its ports have no dash between first and last, expected an address
          │ and a range of ports
           ╭─[/etc/denwaban/denwaban.toml:6:7]
         5 │ [media]
         6 │ rtp = "127.0.0.1:20000"
           ·       ────────┬────────
           ·               ╰── here
         7 │ 
           ╰────
          help: write it like 127.0.0.1:20000-29999
          × retention.days: found 120 (CONFIG_RETENTION_EXCEEDS_LIMIT: retention of 120 days is not within 1 to 92
          │ (要領第5条第6項により保存期間は3か月以内); set 89 or fewer), expected 1 to 92 days
            ╭─[/etc/denwaban/denwaban.toml:9:8]
          8 │ [retention]
          9 │ days = 120
            ·        ─┬─
            ·         ╰── here
         10 │ 
            ╰────
          help: write 89, which is three months for every start date (要領第5条第6項)
          × peer[0].role: found "carier", expected "carrier" or "pbx"
            ╭─[/etc/denwaban/denwaban.toml:13:8]
         12 │ name = "carrier"
         13 │ role = "carier"
            ·        ────┬───
            ·            ╰── here
         14 │ addresses = ["192.0.2.10", "192.0.2.300"]
            ╰────
          help: write one of them
          × peer[0].addresses[1]: found "192.0.2.300", expected an IP address without port
            ╭─[/etc/denwaban/denwaban.toml:14:28]
         13 │ role = "carier"
         14 │ addresses = ["192.0.2.10", "192.0.2.300"]
            ·                            ──────┬──────
            ·                                  ╰── here
         15 │ 
            ╰────
          help: write the address alone, such as "192.0.2.10"
          × department[0].targets[0].peer: found the unknown peer "pbx", expected the name of a [[peer]]
            ╭─[/etc/denwaban/denwaban.toml:18:21]
         17 │ name = "代表"
         18 │ targets = [{ peer = "pbx", ring_s = 600 }]
            ·                     ──┬──
            ·                       ╰── here
         19 │ 
            ╰────
          help: add a [[peer]] of that name, or name one that is there
          × department[0].targets[0].ring_s: found 600, expected a whole number from 1 to 120
            ╭─[/etc/denwaban/denwaban.toml:18:37]
         17 │ name = "代表"
         18 │ targets = [{ peer = "pbx", ring_s = 600 }]
            ·                                     ─┬─
            ·                                      ╰── here
         19 │ 
            ╰────
          help: write a number inside that range
          × number[0].department: found the unknown department "窓口", expected the name of a [[department]]
            ╭─[/etc/denwaban/denwaban.toml:23:14]
         22 │ profile = "announce"
         23 │ department = "窓口"
            ·              ───┬──
            ·                 ╰── here
            ╰────
          help: add a [[department]] of that name, or name one that is there
    "#]].assert_eq(&faults_of(text));
}

#[test]
fn broken_toml_is_told_with_its_line() {
    expect![[r#"
        設定ファイルに 1 件の誤りがあります。 / 1 faults in /etc/denwaban/denwaban.toml
          × TOML: found invalid basic string, expected `"`, expected valid TOML
           ╭─[/etc/denwaban/denwaban.toml:2:25]
         1 │ [sip]
         2 │ listen = "127.0.0.1:5060
           ·                         ┬
           ·                         ╰── here
           ╰────
          help: correct the spelling of this line
    "#]]
    .assert_eq(&faults_of("[sip]\nlisten = \"127.0.0.1:5060\n"));
}

#[test]
fn addresses_that_cannot_carry_a_call_are_refused() {
    let sound = template::configuration(&wishes(Profile::Announce, None));
    for (address, instead) in [
        ("listen = \"127.0.0.1:5060\"", "listen = \"127.0.0.1:0\""),
        ("listen = \"127.0.0.1:5060\"", "listen = \"224.0.0.1:5060\""),
        ("addresses = [\"127.0.0.2\"]", "addresses = [\"0.0.0.0\"]"),
        ("addresses = [\"127.0.0.2\"]", "addresses = [\"224.0.0.1\"]"),
        ("send_to = \"127.0.0.3:5062\"", "send_to = \"127.0.0.3:0\""),
        (
            "send_to = \"127.0.0.3:5062\"",
            "send_to = \"127.0.0.1:5060\"",
        ),
        ("send_to = \"127.0.0.3:5062\"", "send_to = \"[::1]:5062\""),
        ("127.0.0.1:20000-29999", "127.0.0.1:20001-20004"),
    ] {
        let text = sound.replace(address, instead);
        assert_ne!(text, sound, "{address}");
        let faults = faults_of(&text);
        assert!(
            faults.contains("1 faults") && faults.contains("help:"),
            "{instead}: {faults}"
        );
    }
}

#[test]
fn the_caps_that_init_suggests_are_read_once_they_are_uncommented() {
    let text = template::configuration(&wishes(Profile::Announce, None));
    let mut text = text
        .replace("# [overload.caps]", "[overload.caps]")
        .replace("# prefix = {", "prefix = {");
    for key in ["caller", "anonymous", "number", "peer"] {
        text = text.replace(&format!("# {key} = {{ calls"), &format!("{key} = {{ calls"));
    }
    let config = Config::parse(Path::new("/srv/denwaban.toml"), &text)
        .unwrap_or_else(|report| panic!("{}", report.render(false)));
    let caps = config.overload.caps;
    assert_eq!(caps.caller.unwrap().calls.get(), 20);
    assert_eq!(caps.prefix.unwrap().digits.get(), 6);
    assert_eq!(caps.anonymous.unwrap().period, Duration::from_secs(60));
    assert_eq!(caps.number.unwrap().calls.get(), 300);
    assert_eq!(caps.peer.unwrap().calls.get(), 1_200);
}

/// What `init` writes, without whom people may call outside.
fn without_outbound() -> String {
    let sound = template::configuration(&wishes(Profile::Announce, None));
    let text = sound
        .replace("[outbound]\n", "")
        .replace("allowed = [{ prefix = \"0\" }]\n", "");
    assert_ne!(text, sound);
    text
}

/// A configuration whose carrier has these keys too, and no other place where it is called.
fn with_carrier(keys: &str) -> String {
    let sound = template::configuration(&wishes(Profile::Announce, None))
        .replace("send_to = \"127.0.0.2:5060\"\n", "");
    let text = sound.replacen(
        "role = \"carrier\"\n",
        &format!("role = \"carrier\"\n{keys}\n"),
        1,
    );
    assert_ne!(text, sound);
    text
}

#[test]
fn a_file_without_end_is_read_to_its_limit_and_refused() {
    let report = Config::load(Path::new("/dev/zero")).unwrap_err();
    assert!(report.render(false).contains("larger than 4 MiB"));
}

/// The keys of a section, as the fault of an unknown one lists them.
fn keys_of(text: &str) -> Vec<String> {
    let said = faults_of(text).replace('│', " ");
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    let (_, list) = said
        .split_once("the unknown key `zzzzzz`, expected one of: ")
        .unwrap_or_else(|| panic!("{said}"));
    let end = list.find(" ╭").unwrap();
    let keys = list[..end].split(", ");
    keys.map(str::to_owned).collect()
}

#[test]
fn the_example_names_every_key_and_the_page_every_key_of_a_peer() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let example = std::fs::read_to_string(root.join("denwaban.example.toml")).unwrap();
    let page = std::fs::read_to_string(root.join("docs/trunks.md")).unwrap();
    let sound = without_outbound();
    let peer = keys_of(&with_carrier("zzzzzz = 1"));
    let mut keys = peer.clone();
    for section in [
        "[sip]",
        "[media]",
        "[folders]",
        "[retention]",
        "[calls]",
        "[office]",
        "[[department]]",
        "[[number]]",
    ] {
        keys.extend(keys_of(&sound.replacen(
            section,
            &format!("{section}\nzzzzzz = 1"),
            1,
        )));
    }
    for section in [
        "overload",
        "overload.caps",
        "overload.caps.prefix",
        "outbound",
    ] {
        keys.extend(keys_of(&format!("{sound}\n[{section}]\nzzzzzz = 1\n")));
    }
    keys.extend(keys_of(&format!(
        "{sound}\n[[outbound.site]]\nzzzzzz = 1\n"
    )));
    for table in ["session", "registration", "channels", "probe", "dscp"] {
        keys.extend(keys_of(&with_carrier(&format!(
            "{table} = {{ zzzzzz = 1 }}"
        ))));
    }
    for key in keys {
        let is_named = |text: &str| {
            let mut places = text.match_indices(&key);
            places.any(|(at, _)| {
                let before = text[..at].chars().next_back();
                let after = text[at + key.len()..].trim_start().chars().next();
                !before.is_some_and(|letter| letter.is_alphanumeric() || letter == '_')
                    && after.is_some_and(|letter| "=]`".contains(letter))
            })
        };
        assert!(is_named(&example), "{key} is not in denwaban.example.toml");
        let is_plain = ["name", "role", "profile", "transport", "local"].contains(&key.as_str());
        if peer.contains(&key) && !is_plain {
            assert!(is_named(&page), "{key} is not in docs/trunks.md");
        }
    }
    for name in profile::names() {
        assert!(
            page.contains(&format!("`{name}`")),
            "{name} is not in docs/trunks.md"
        );
    }
}

#[test]
fn empty_lists_are_told_and_never_taken() {
    let sound = template::configuration(&wishes(Profile::Announce, None));
    for (written, instead) in [
        ("listen = \"127.0.0.1:5060\"", "listen = []"),
        ("rtp = \"127.0.0.1:20000-29999\"", "rtp = []"),
    ] {
        let said = faults_of(&sound.replace(written, instead));
        assert!(
            said.contains("1 faults") && said.contains("help: add"),
            "{said}"
        );
    }
}

#[test]
fn a_city_of_both_ip_versions_is_written_and_read() {
    let destination = |text| Destination::parse(text, Transport::Udp).unwrap();
    let wishes = Wishes {
        listen: vec![
            "127.0.0.1:5060".parse().unwrap(),
            "[::1]:5060".parse().unwrap(),
        ],
        carriers: vec![destination("[2001:db8::2]:5060;transport=tcp")],
        ports: vec![
            PortRange::parse("127.0.0.1:20000-29999").unwrap(),
            PortRange::parse("[::1]:20000-29999").unwrap(),
        ],
        ..wishes(Profile::Announce, None)
    };
    let text = template::configuration(&wishes);
    let config = Config::parse(Path::new("/srv/denwaban.toml"), &text)
        .unwrap_or_else(|report| panic!("{}", report.render(false)));
    assert_eq!(config.sip.listeners.len(), 4, "UDP and TCP at each address");
    assert_eq!(config.rtp.len(), 2);
    assert_eq!(config.limits.calls, 5_000);
    let marked = text.replace("[sip]\n", "[sip]\ndscp = 24\n");
    let marked = marked.replace("[media]\n", "[media]\ndscp = 46\n");
    let marked = Config::parse(Path::new("/srv/denwaban.toml"), &marked).unwrap();
    let dscp = marked.peers[0].dscp;
    assert_eq!((dscp.signalling, dscp.media), (24, 46));
}
