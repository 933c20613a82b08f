//! The command line without calls: what init writes, what is refused, and with which exit status.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::{
    fs,
    net::{IpAddr, TcpStream},
    os::unix::fs::PermissionsExt,
    process::{Command, Output},
};

use common::{Addresses, House, text};

fn mode(path: &std::path::Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn init_writes_a_folder_that_check_finds_sound() {
    let house = House::init(&["--profile", "announce"]);
    let dir = house.dir();
    for name in [
        "denwaban.toml",
        "data",
        "root",
        "prompts/manifest.toml",
        "prompts/recording-notice.wav",
    ] {
        assert!(dir.join(name).exists(), "{name}");
    }
    assert_eq!(mode(&dir.join("root")), 0o700);
    assert_eq!(mode(&house.config()), 0o600);
    let checked = house.denwaban(&["check"]);
    assert_eq!(checked.status.code(), Some(0), "{}", text(&checked));
}

#[test]
fn init_never_overwrites_a_configuration() {
    let house = House::init(&["--profile", "announce"]);
    fs::write(house.config(), "# mine\n").unwrap();
    let again = Command::new(env!("CARGO_BIN_EXE_denwaban"))
        .args([
            "init",
            "--dir",
            house.dir().to_str().unwrap(),
            "--number",
            "0783331000",
            "--listen",
            "127.0.0.1:5060",
        ])
        .args([
            "--carrier",
            "127.0.0.2",
            "--pbx",
            "127.0.0.3:5062",
            "--profile",
            "announce",
        ])
        .output()
        .unwrap();
    assert_eq!(again.status.code(), Some(2), "{}", text(&again));
    assert_eq!(fs::read_to_string(house.config()).unwrap(), "# mine\n");
}

#[test]
fn a_second_run_on_the_same_folder_is_refused() {
    let mut house = House::init(&["--profile", "announce"]);
    house.run();
    let second = house.denwaban(&["run"]);
    assert_eq!(second.status.code(), Some(1), "{}", text(&second));
    assert!(text(&second).contains("既に"), "{}", text(&second));
    house.kill();
    house.run();
}

#[test]
fn a_wrong_configuration_is_refused_with_its_line() {
    let house = House::init(&["--profile", "announce"]);
    let sound = fs::read_to_string(house.config()).unwrap();
    fs::write(
        house.config(),
        sound
            .replace("profile = \"announce\"", "profile = \"anounce\"")
            .replace("days = 89", "days = 93"),
    )
    .unwrap();
    for command in [
        ["run"].as_slice(),
        &["check"],
        &["recordings", "list"],
        &["audit", "verify"],
    ] {
        let refused = house.denwaban(command);
        let said = text(&refused);
        assert_eq!(refused.status.code(), Some(2), "{command:?}: {said}");
        assert!(
            said.contains("CONFIG_RETENTION_EXCEEDS_LIMIT")
                && said.contains("anounce")
                && said.contains("2 件"),
            "{said}"
        );
    }
}

#[test]
fn without_its_root_the_service_runs_and_export_says_that_keys_are_unavailable() {
    let mut house = House::init(&["--profile", "announce"]);
    fs::rename(house.dir().join("root"), house.dir().join("elsewhere")).unwrap();
    house.run();
    let checked = house.denwaban(&["check"]);
    assert_eq!(checked.status.code(), Some(4), "{}", text(&checked));
    let disposed = house.denwaban(&["dispose", "--due"]);
    assert_eq!(disposed.status.code(), Some(4), "{}", text(&disposed));
    house.terminate();
}

#[test]
fn a_tampered_audit_trail_is_found() {
    let mut house = House::init(&["--profile", "announce"]);
    for scope in ["all", "0783331000"] {
        let declared =
            house.denwaban(&["emergency", "declare", "--scope", scope, "--reason", "訓練"]);
        assert!(declared.status.success(), "{}", text(&declared));
    }
    let sound = house.denwaban(&["audit", "verify"]);
    assert_eq!(sound.status.code(), Some(0), "{}", text(&sound));
    let folder = house.dir().join("data/calls/audit");
    let file = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.is_file())
        .unwrap();
    let mut bytes = fs::read(&file).unwrap();
    let place = bytes
        .windows(18)
        .position(|window| window == b"emergency_declared")
        .expect("the entry is readable");
    bytes[place] = b'E';
    fs::write(&file, bytes).unwrap();
    let broken = house.denwaban(&["audit", "verify"]);
    assert_eq!(broken.status.code(), Some(5), "{}", text(&broken));
    house.run();
    house.terminate();
}

#[test]
fn nothing_is_due_in_a_new_folder() {
    let house = House::init(&["--profile", "announce"]);
    let disposed = house.denwaban(&["dispose", "--due"]);
    assert_eq!(disposed.status.code(), Some(0), "{}", text(&disposed));
    let listed = house.denwaban(&["recordings", "list"]);
    assert_eq!(listed.status.code(), Some(0), "{}", text(&listed));
}

#[test]
fn the_settings_of_a_socket_are_its_mode_and_group() {
    let mut house = House::init(&["--profile", "announce"]);
    house.run();
    assert_eq!(mode(&house.dir().join("data/calls/socket")), 0o600);
    house.terminate();
    let sound = fs::read_to_string(house.config()).unwrap();
    // Its own group, so that the test needs no privilege.
    let own = rustix::process::getgid().as_raw();
    let opened = sound.replace("[calls]\n", &format!("[calls]\nsocket_group = \"{own}\"\n"));
    let opened = opened.replacen("socket_mode = \"0600\"", "socket_mode = \"0660\"", 1);
    fs::write(house.config(), opened).unwrap();
    house.run();
    let socket = house.dir().join("data/calls/socket");
    assert_eq!(mode(&socket), 0o660, "{}", house.log());
    let group = std::os::unix::fs::MetadataExt::gid(&fs::metadata(&socket).unwrap());
    assert_eq!(group, own);
    assert_eq!(
        mode(&house.dir().join("data")) & 0o011,
        0o011,
        "the group reaches the socket"
    );
    assert_eq!(mode(&house.dir().join("data/office/socket")), 0o600);
    house.terminate();
}

#[test]
fn init_does_not_say_it_wrote_a_configuration_where_a_link_stands() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("denwaban.toml");
    std::os::unix::fs::symlink(folder.path().join("nowhere"), &config).unwrap();
    let refused = Command::new(env!("CARGO_BIN_EXE_denwaban"))
        .args(["init", "--dir", folder.path().to_str().unwrap()])
        .args(["--number", "0783331000", "--listen", "127.0.0.1:5060"])
        .args(["--carrier", "127.0.0.2", "--pbx", "127.0.0.3:5062"])
        .output()
        .unwrap();
    assert_eq!(refused.status.code(), Some(2), "{}", text(&refused));
}

#[test]
fn an_emergency_for_a_number_that_is_not_the_citys_is_not_declared() {
    // A slip of the finger in a disaster: the duty officer must hear of it, with and without a server.
    let mut house = House::init(&["--profile", "announce"]);
    for is_running in [false, true] {
        if is_running {
            house.run();
        }
        let refused = house.denwaban(&[
            "emergency",
            "declare",
            "--scope",
            "0783339999",
            "--reason",
            "訓練",
        ]);
        assert_eq!(refused.status.code(), Some(2), "{}", text(&refused));
        let status = house.denwaban(&["emergency", "status"]);
        assert!(text(&status).contains("no emergency"), "{}", text(&status));
    }
}

#[test]
fn a_refused_declaration_leaves_an_entry_and_no_sealed_reason() {
    let house = House::init(&["--profile", "announce"]);
    for (duration, code) in [("25h", 3), ("1h", 0)] {
        let declared = house.denwaban(&[
            "emergency",
            "declare",
            "--reason",
            "訓練",
            "--for",
            duration,
        ]);
        assert_eq!(declared.status.code(), Some(code), "{}", text(&declared));
    }
    let nobody = house.denwaban(&["emergency", "declare", "--reason", "訓練", "--as", "nobody"]);
    assert_eq!(nobody.status.code(), Some(3), "{}", text(&nobody));

    // Who is somebody is written down where people are proved.
    let office = everything_under(&house.dir().join("data/office/audit"));
    assert_eq!(office.matches("\"PERSON_UNKNOWN\"").count(), 1, "{office}");
    let audit = everything_under(&house.dir().join("data/calls/audit"));
    for (event, count) in [("\"EMERGENCY_TOO_LONG\"", 1), ("emergency_declared", 1)] {
        assert_eq!(audit.matches(event).count(), count, "{event}\n{audit}");
    }
    let spool = everything_under(&house.dir().join("data/calls/spool"));
    assert_eq!(spool.matches("{\"reason\":").count(), 1, "{spool}");
}

#[test]
fn an_emergency_that_was_answered_outlives_a_kill_at_once() {
    let mut house = House::init(&["--profile", "announce"]);
    house.run();
    let declared = house.denwaban(&["emergency", "declare", "--reason", "訓練"]);
    house.kill();
    assert!(declared.status.success(), "{}", text(&declared));
    let status = house.denwaban(&["emergency", "status"]);
    assert!(text(&status).contains("in force"), "{}", text(&status));
}

fn everything_under(folder: &std::path::Path) -> String {
    let files = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    files
        .map(|file| String::from_utf8_lossy(&fs::read(file).unwrap()).into_owned())
        .collect()
}

#[test]
fn a_secret_that_others_can_read_and_a_certificate_that_is_missing_are_faults_of_check() {
    let house = House::init(&["--profile", "announce"]);
    let sound = fs::read_to_string(house.config()).unwrap();
    let password = house.dir().join("carrier.password");
    fs::write(&password, "open sesame\n").unwrap();
    fs::set_permissions(&password, fs::Permissions::from_mode(0o600)).unwrap();
    let registered = sound.replacen(
        "role = \"carrier\"\n",
        "role = \"carrier\"\nregistration = { registrar = \"sip.example.jp\", user = \"city\", password_file = \"carrier.password\" }\n",
        1,
    );
    fs::write(house.config(), &registered).unwrap();
    let sealed = house.denwaban(&["check"]);
    assert_eq!(sealed.status.code(), Some(0), "{}", text(&sealed));
    fs::set_permissions(&password, fs::Permissions::from_mode(0o644)).unwrap();
    let open = house.denwaban(&["check"]);
    assert_eq!(open.status.code(), Some(2), "{}", text(&open));
    assert!(text(&open).contains("chmod 600"), "{}", text(&open));
    assert!(!text(&open).contains("sesame"), "{}", text(&open));

    let tls = format!("{sound}\n[sip.tls]\ncertificate = \"nowhere.pem\"\nkey = \"nowhere.key\"\n");
    fs::write(house.config(), tls).unwrap();
    let missing = house.denwaban(&["check"]);
    assert_eq!(missing.status.code(), Some(2), "{}", text(&missing));
    assert!(text(&missing).contains("nowhere.key"), "{}", text(&missing));
}

/// What `init` says to these peers and options, at a house of its own.
fn init_with(folder: &std::path::Path, own: IpAddr, more: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_denwaban"))
        .args(["init", "--dir", folder.to_str().unwrap()])
        .args(["--number", "0783331000", "--pbx", "127.0.0.3:5062"])
        .args(["--listen", &format!("{own}:5060")])
        .args(["--rtp", &format!("{own}:20000-20199")])
        .args(more)
        .output()
        .unwrap()
}

const OVER_TLS: [&str; 2] = ["--carrier", "127.0.0.2;transport=tls"];

#[test]
fn init_asks_for_our_certificate_where_a_peer_is_spoken_to_over_tls() {
    let folder = tempfile::tempdir().unwrap();
    let own = Addresses::new().house;
    let certified = rcgen::generate_simple_self_signed([own.to_string()]).unwrap();
    let (certificate, key) = (folder.path().join("own.pem"), folder.path().join("own.key"));
    fs::write(&certificate, certified.cert.pem()).unwrap();
    fs::write(&key, "no key\n").unwrap();
    let [certificate, key] = [&certificate, &key].map(|path| path.to_str().unwrap());
    let listens = format!("{own}:5071");
    for (options, named) in [
        (
            &[][..],
            &["--tls-certificate FILE", "--tls-key FILE", "--tls-listen"][..],
        ),
        (&["--tls-certificate", certificate], &["--tls-key FILE"]),
        (
            &["--tls-certificate", certificate, "--tls-key", key],
            &["own.key"],
        ),
        (&["--tls-listen", "0.0.0.0:5061"], &["--tls-listen"]),
    ] {
        let refused = init_with(
            &folder.path().join("city"),
            own,
            &[&OVER_TLS[..], options].concat(),
        );
        assert_eq!(refused.status.code(), Some(2), "{}", text(&refused));
        for option in named {
            assert!(text(&refused).contains(option), "{}", text(&refused));
        }
        assert!(!folder.path().join("city").exists(), "nothing is written");
    }
    let over_udp = ["--carrier", "127.0.0.2", "--tls-listen", &listens];
    let refused = init_with(&folder.path().join("city"), own, &over_udp);
    assert_eq!(
        refused.status.code(),
        Some(2),
        "a listener needs one too: {}",
        text(&refused)
    );
}

#[test]
fn what_init_writes_with_a_certificate_takes_calls_over_tls() {
    for (listens, port) in [(None, 5061), (Some(5071), 5071)] {
        let mut house = House::unwritten();
        let own = house.addresses.house;
        let certified = rcgen::generate_simple_self_signed([own.to_string()]).unwrap();
        let folder = house.dir().join("tls");
        fs::create_dir(&folder).unwrap();
        let files = ["certificate.pem", "key.pem", "ca.pem"].map(|name| folder.join(name));
        let texts = [
            certified.cert.pem(),
            certified.signing_key.serialize_pem(),
            certified.cert.pem(),
        ];
        for (file, text) in files.iter().zip(texts) {
            fs::write(file, text).unwrap();
            fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
        }
        let [certificate, key, ca] = files.each_ref().map(|file| file.to_str().unwrap());
        let listens = listens.map(|port| format!("{own}:{port}"));
        let listens: Vec<&str> = listens
            .iter()
            .flat_map(|at| ["--tls-listen", at.as_str()])
            .collect();
        let files = [
            "--tls-certificate",
            certificate,
            "--tls-key",
            key,
            "--tls-ca",
            ca,
        ];
        let written = init_with(
            house.dir(),
            own,
            &[&OVER_TLS[..], &files, &listens].concat(),
        );
        assert!(written.status.success(), "{}", text(&written));
        let configuration = fs::read_to_string(house.config()).unwrap();
        assert!(
            configuration.contains("certificate = \"tls/certificate.pem\""),
            "a file of the folder moves with it:\n{configuration}"
        );
        let checked = house.denwaban(&["check"]);
        assert!(checked.status.success(), "{}", text(&checked));
        house.run();
        TcpStream::connect((own, port)).unwrap();
    }
}
