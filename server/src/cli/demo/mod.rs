//! `denwaban demo`: plays a carrier and a department through a real server, so that in a minute a person has heard
//! an announced, connected, recorded call, and one in a declared emergency.
//!
//! The server is this same binary in a process of its own; the two telephones ([`party`]) share no code with it.

mod call;
mod ladder;
mod party;
mod people;
mod speech;
mod waveform;

use std::{
    fs, io,
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use exchange::PeerRole;
use rules::Profile;

use self::{call::Scene, ladder::Ladder, party::Line, speech::Speech};
use super::{Exit, Place, Terminal};
use crate::config::Config;

const NUMBER: &str = "0783331000";
const CARRIER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
const PBX: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 3));
const LISTEN: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// How long the server may take to answer, and a recording to be sealed and listed.
const LIMIT: Duration = Duration::from_secs(10);

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// 設定ファイル（省略すると --dir に作ります）/ play through this configuration; without it one is made in --dir
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// デモ用のフォルダ / folder of the demonstration's own installation
    #[arg(
        long,
        value_name = "DIR",
        default_value = "var/demo",
        conflicts_with = "config"
    )]
    dir: PathBuf,
    /// 録音を書き出す職員の id / who exports the recording
    #[arg(long = "as", value_name = "ID", default_value = people::DEMO_PERSON)]
    person: String,
    /// そのパスワードのファイル / the file of that person's password
    #[arg(long, value_name = "FILE", requires = "config")]
    password_file: Option<PathBuf>,
}

/// Why a demonstration ends before its end.
enum Stop {
    Fault(io::Error),
    Exit(Exit),
}

impl From<io::Error> for Stop {
    fn from(fault: io::Error) -> Stop {
        Stop::Fault(fault)
    }
}

impl From<Exit> for Stop {
    fn from(exit: Exit) -> Stop {
        Stop::Exit(exit)
    }
}

/// Runs the whole demonstration.
pub(super) fn demo(arguments: &Arguments, out: &mut Terminal) -> Result<(), Exit> {
    show(arguments, out).map_err(|stop| match stop {
        Stop::Exit(exit) => exit,
        Stop::Fault(fault) => {
            out.complain(&format!(
                "デモを続けられません / the demonstration cannot go on: {fault}"
            ));
            Exit::Failed
        }
    })
}

fn show(arguments: &Arguments, out: &mut Terminal) -> Result<(), Stop> {
    let file = match &arguments.config {
        Some(file) => file.clone(),
        None => prepare(&arguments.dir)?,
    };
    let scene = scene(
        &Place {
            config: file.clone(),
        }
        .load(out)?,
    )?;
    let speech = Speech::load()?;

    out.line(&format!(
        "1/6 サーバーを起動します / starting the server of {}",
        file.display()
    ))?;
    let _server = Server::start(&file, &scene)?;
    let before = sealed(&file)?.len();

    out.line("2/6 告知つきの通話（約30秒）/ an announced call, about 30 s: the notice, ringback, the talk")?;
    play(&scene, &speech, "announced", out)?;

    play_in_an_emergency(&file, &scene, &speech, out)?;
    let recordings = wait_for_sealed(&file, before + 2)?;
    show_recordings(arguments, &file, &recordings, out)
}

/// The call once more while an emergency is in force, which is lifted whatever becomes of the call.
fn play_in_an_emergency(
    file: &Path,
    scene: &Scene,
    speech: &Speech,
    out: &mut Terminal,
) -> Result<(), Stop> {
    out.line("3/6 緊急時を宣言します / declaring an emergency")?;
    denwaban(
        file,
        &[
            "emergency",
            "declare",
            "--scope",
            "all",
            "--reason",
            "デモ：台風による架電集中",
            "--for",
            "1h",
        ],
        out,
    )?;
    out.line("4/6 告知なしの通話（約20秒）/ the same call without the notice, about 20 s")?;
    let played = play(scene, speech, "emergency", out);
    denwaban(file, &["emergency", "lift"], out)?;
    played?;
    Ok(())
}

/// Lists the recordings, writes the announced one as a WAV and draws it.
fn show_recordings(
    arguments: &Arguments,
    file: &Path,
    recordings: &[String],
    out: &mut Terminal,
) -> Result<(), Stop> {
    out.line("5/6 録音の一覧と書き出し / the recordings, and the announced one as a WAV")?;
    denwaban(file, &["recordings", "list"], out)?;
    let announced = &recordings[recordings.len() - 2];
    let wav = file.with_file_name(format!("{announced}.wav"));
    let picture = file.with_file_name(format!("{announced}.png"));
    let wav_text = wav.display().to_string();
    let password_file = arguments.password_file.clone();
    let password_file =
        password_file.unwrap_or_else(|| file.with_file_name(people::file_of(people::DEMO_PERSON)));
    let password_file = password_file.display().to_string();
    denwaban(
        file,
        &[
            "recordings",
            "export",
            announced,
            "--purpose",
            "ANALYSIS_INQUIRY",
            "--as",
            &arguments.person,
            "--password-file",
            &password_file,
            "--out",
            &wav_text,
        ],
        out,
    )?;
    waveform::draw(&wav, &picture)?;
    denwaban(file, &["audit", "verify"], out)?;

    out.line("6/6 おわり / done")?;
    let made = serde_json::json!({ "wav": wav, "picture": picture });
    out.result(&made, || {
        format!("  WAV  {wav_text}  左＝市民、右＝市 / left: the caller, right: the city")
    })?;
    out.line(&format!(
        "  PNG  {}  上＝市民、下＝市 / above: the caller, below: the city",
        picture.display()
    ))?;
    out.line("  見どころ: 録音は担当課が応答したところから始まり、告知は入りません。話した順に左右の波形が交互に現れます。")?;
    out.line("  Look for: the recording begins where the department answers, so the notice is not in it; the two voices take turns.")?;
    Ok(())
}

/// Where the parties of the demonstration stand, by the configuration. It plays on loopback only.
fn scene(config: &Config) -> io::Result<Scene> {
    let peer = |role| config.peers.iter().find(|peer| peer.role == role);
    let carrier = peer(PeerRole::Carrier).and_then(|carrier| carrier.addresses.first().copied());
    let pbx = peer(PeerRole::Pbx).and_then(|pbx| pbx.targets.first());
    let pbx = pbx.and_then(|target| match target.place {
        exchange::Place::Address(address) => Some(address),
        exchange::Place::Name { .. } => None,
    });
    let number = config
        .numbers
        .iter()
        .find(|number| number.profile == Profile::Announce);
    let (Some(carrier), Some(pbx), Some(number)) = (carrier, pbx, number) else {
        return Err(io::Error::other(
            "the configuration has no carrier, no PBX with a target or no number of the announce profile; leave --config out, and one is made",
        ));
    };
    if !(config.sip.first_address().ip().is_loopback()
        && carrier.is_loopback()
        && pbx.ip().is_loopback())
    {
        return Err(io::Error::other(
            "the demonstration plays on loopback only, and this configuration names other hosts; leave --config out, and one is made",
        ));
    }
    Ok(Scene {
        denwaban: config.sip.first_address(),
        carrier,
        pbx,
        number: number.number.e164().to_owned(),
    })
}

fn play(scene: &Scene, speech: &Speech, name: &str, out: &mut Terminal) -> Result<(), Stop> {
    let ladder = Ladder::new();
    let outcome = call::play(
        scene,
        speech,
        &ladder,
        &format!("{name}-{}", std::process::id()),
    );
    out.line(&ladder.render())?;
    let outcome = outcome?;
    let (notice, heard) = (outcome.notice.as_secs_f64(), seconds(outcome.heard_samples));
    out.line(&format!(
        "  応答から呼出まで {notice:.1} 秒、市民に届いた音声 {heard:.1} 秒"
    ))?;
    out.line(&format!("  {notice:.1} s from the answer until the department rang, {heard:.1} s of sound reached the citizen"))?;
    Ok(())
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a figure for people, one decimal"
)]
fn seconds(samples: usize) -> f64 {
    samples as f64 / 8_000.0
}

/// Makes the demonstration's own installation on free ports of loopback; a folder that has one is used as it is.
fn prepare(folder: &Path) -> io::Result<PathBuf> {
    let config = folder.join("denwaban.toml");
    if config.exists() {
        // One of the first version has no people yet.
        if !folder.join(people::file_of(people::DEMO_PERSON)).exists() {
            people::enlist(&config, folder)?;
        }
        return Ok(config);
    }
    let listen = SocketAddr::new(LISTEN, free_port(LISTEN)?).to_string();
    let pbx = SocketAddr::new(PBX, free_port(PBX)?).to_string();
    let folder_text = folder.display().to_string();
    let carrier = CARRIER.to_string();
    let output = Command::new(std::env::current_exe()?)
        .args([
            "init",
            "--dir",
            &folder_text,
            "--listen",
            &listen,
            "--carrier",
            &carrier,
            "--pbx",
            &pbx,
        ])
        .args(["--number", NUMBER, "--profile", "announce"])
        .output()?;
    if !output.status.success() {
        return Err(io::Error::other(
            String::from_utf8_lossy(&output.stderr).into_owned(),
        ));
    }
    people::enlist(&config, folder)?;
    Ok(config)
}

fn free_port(address: IpAddr) -> io::Result<u16> {
    Ok(UdpSocket::bind((address, 0))?.local_addr()?.port())
}

/// The server in its own process; ended with SIGTERM when the demonstration ends.
struct Server {
    process: Option<Child>,
}

impl Server {
    /// Starts the server unless one already answers, and waits until it does.
    fn start(config: &Path, scene: &Scene) -> io::Result<Server> {
        let carrier = Line::bind(SocketAddr::new(scene.carrier, 0))?;
        if answers(&carrier, scene)? {
            return Ok(Server { process: None });
        }
        let log = fs::File::create(config.with_file_name("demo-server.log"))?;
        let process = Command::new(std::env::current_exe()?)
            .args(["run", "--config"])
            .arg(config)
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        let mut server = Server {
            process: Some(process),
        };
        let deadline = Instant::now() + LIMIT;
        while Instant::now() < deadline {
            if let Some(process) = &mut server.process
                && let Some(status) = process.try_wait()?
            {
                return Err(io::Error::other(format!(
                    "the server ended with {status}; demo-server.log beside the configuration says why"
                )));
            }
            if answers(&carrier, scene)? {
                return Ok(server);
            }
        }
        Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "the server did not answer OPTIONS within 10 s; demo-server.log beside the configuration says why",
        ))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let Some(process) = &mut self.process else {
            return;
        };
        if let Some(pid) = i32::try_from(process.id())
            .ok()
            .and_then(rustix::process::Pid::from_raw)
        {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let _ = process.wait();
    }
}

fn answers(carrier: &Line, scene: &Scene) -> io::Result<bool> {
    let local = carrier.address()?;
    let options = format!(
        "OPTIONS sip:{to} SIP/2.0\r\nVia: SIP/2.0/UDP {local};branch=z9hG4bKdemo{port};rport\r\nMax-Forwards: 70\r\nFrom: <sip:demo@{local}>;tag=demo\r\n\
         To: <sip:{to}>\r\nCall-ID: demo-options-{port}\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n",
        to = scene.denwaban,
        port = local.port(),
    );
    // Nobody listens yet: the refusal shows as an error of the next call on this socket.
    if carrier.send(scene.denwaban, &options).is_err() {
        thread::sleep(Duration::from_millis(100));
        return Ok(false);
    }
    Ok(carrier
        .receive(Duration::from_millis(300))?
        .is_some_and(|(text, _)| text.status() == Some(200)))
}

/// Runs another command of this binary and shows what it printed.
fn denwaban(config: &Path, args: &[&str], out: &mut Terminal) -> Result<(), Stop> {
    let output = Command::new(std::env::current_exe()?)
        .args(args)
        .arg("--config")
        .arg(config)
        .stdin(Stdio::null())
        .output()?;
    out.line(&format!("  $ denwaban {}", args.join(" ")))?;
    for line in String::from_utf8_lossy(&output.stdout)
        .lines()
        .chain(String::from_utf8_lossy(&output.stderr).lines())
    {
        out.line(&format!("    {line}"))?;
    }
    if output.status.success() {
        Ok(())
    } else {
        Err(io::Error::other(format!(
            "`denwaban {}` ended with {}",
            args[0], output.status
        ))
        .into())
    }
}

/// Waits until `count` recordings are sealed and listed, and none is open.
fn wait_for_sealed(config: &Path, count: usize) -> io::Result<Vec<String>> {
    let deadline = Instant::now() + LIMIT;
    loop {
        let found = sealed(config)?;
        if found.len() >= count {
            return Ok(found);
        }
        if Instant::now() > deadline {
            let text = format!(
                "{} recordings are sealed and listed after 10 s, expected {count}",
                found.len()
            );
            return Err(io::Error::new(io::ErrorKind::TimedOut, text));
        }
        thread::sleep(Duration::from_millis(200));
    }
}

/// Ids of the sealed recordings, oldest first.
fn sealed(config: &Path) -> io::Result<Vec<String>> {
    let output = Command::new(std::env::current_exe()?)
        .args(["recordings", "list", "--json", "--config"])
        .arg(config)
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let rows = text
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let mut sealed = rows
        .filter(|row| row["state"] == "sealed")
        .filter_map(|row| row["id"].as_str().map(str::to_owned))
        .collect::<Vec<_>>();
    // An id begins with its time, so its order is that of the calls.
    sealed.sort();
    Ok(sealed)
}
