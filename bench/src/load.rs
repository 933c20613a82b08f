//! The measurements: calls held with both parties speaking, and calls set up and torn down at a rate.

use std::{
    collections::BTreeMap,
    fmt,
    io::{self, BufRead, BufReader},
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use socket2::SockRef;

use crate::{
    denwaban::{Denwaban, Listed, Profile},
    floor::step,
    process,
    signalling::{Ends, Event, Figures, Places},
    voices::{Heard, Voices},
};

/// Speech runs this long before it is measured, and a server before it is called: ports, caches and jitter settle.
pub(crate) const SETTLE: Duration = Duration::from_secs(1);
/// What is under way when everybody falls silent arrives within this.
const DRAIN: Duration = Duration::from_millis(500);
/// A call that is not answered or ended by then counts as failed; the notice alone lasts 8 s.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// Calls dialled per second before a hold; set-up is not what a hold measures.
const DIAL_PER_SECOND: u32 = 100;
/// Room for a hundred packets at a party that is kept from the processor for two seconds.
const RECEIVE_BUFFER_BYTES: usize = 256 * 1024;

/// What every measurement needs to know.
#[derive(Clone, Debug)]
pub struct Setup {
    pub denwaban: PathBuf,
    pub floor: PathBuf,
    pub profile: Profile,
    /// The first of this run's ports: 5060 stands for 5060 (SIP), 5062 (PBX) and, 1,000 above, the media's.
    pub first_port: u16,
    pub calls: u16,
}

/// What one way of carrying the calls cost, and what arrived.
#[derive(Debug)]
pub struct Held {
    pub name: &'static str,
    pub calls: u16,
    pub window: Duration,
    pub cpu: Option<Duration>,
    pub heard: Heard,
}

/// A hold of the server, with the floor's beside it.
#[derive(Debug)]
pub struct HoldReport {
    pub direct: Held,
    pub floor: Held,
    pub denwaban: Held,
    pub idle_kib: u64,
    pub held_kib: u64,
    pub figures: Figures,
    pub recordings: Vec<Listed>,
}

/// Calls at a rate, without speech.
#[derive(Debug)]
pub struct RateReport {
    pub per_second: u32,
    pub took: Duration,
    pub cpu: Duration,
    pub figures: Figures,
    pub recordings: Vec<Listed>,
}

impl Setup {
    #[must_use]
    pub fn places(&self) -> Places {
        let at = |last, port| SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 0, last)), port);
        let first = self.first_port;
        Places {
            server: at(1, first),
            carrier: at(2, first),
            department: at(3, first + 2),
            carrier_media: at(2, first + 1000),
            department_media: at(3, first + 1000),
            media_count: self.calls.max(1),
        }
    }

    /// Two socket pairs a call, and as many again to rest; never under 64.
    pub(crate) fn rtp_ports(&self) -> (u16, u16) {
        let first = self.first_port + 1000;
        (
            first,
            first.saturating_add(self.calls.max(16).saturating_mul(8)) - 1,
        )
    }
}

/// Holds calls with both parties speaking: directly, through the floor, and through the server, in one run.
///
/// # Errors
/// When a process cannot be started or a socket fails.
pub fn hold(setup: &Setup, seconds: u64) -> io::Result<HoldReport> {
    let window = Duration::from_secs(seconds);
    let direct = hold_directly(setup, window)?;
    let floor = hold_floor(setup, window)?;
    let places = setup.places();
    let server = Denwaban::start(&setup.denwaban, places, setup.rtp_ports(), setup.profile)?;
    let idle_kib = process::resident_kib(server.pid())?;

    let mut sockets = media_sockets(places, setup.calls)?;
    let mut ends = Ends::open(places, "hold")?;
    let voices = Voices::start()?;
    let beginning = Instant::now();
    for call in 0..u32::from(setup.calls) {
        ends.dial()?;
        settle_events(
            &mut ends,
            &voices,
            &mut sockets,
            beginning + Duration::from_secs(1) * (call + 1) / DIAL_PER_SECOND,
        )?;
    }
    let deadline = Instant::now() + PATIENCE;
    while !sockets.is_empty() && Instant::now() < deadline && ends.open_count() > 0 {
        settle_events(
            &mut ends,
            &voices,
            &mut sockets,
            Instant::now() + Duration::from_millis(50),
        )?;
    }
    let cpu = measured(&voices, window, Some(server.pid()))?;
    let held_kib = process::resident_kib(server.pid())?;
    hang_up_all(&mut ends, setup.calls)?;
    voices.hush();
    thread::sleep(DRAIN);
    let heard = voices.finish()?;
    let denwaban = Held {
        name: "denwaban",
        calls: setup.calls,
        window,
        cpu,
        heard,
    };
    let recordings = server.stop()?;
    Ok(HoldReport {
        direct,
        floor,
        denwaban,
        idle_kib,
        held_kib,
        figures: ends.figures,
        recordings,
    })
}

/// Sets up and tears down calls at a rate; each is hung up as soon as it is answered.
///
/// # Errors
/// When the server cannot be started or a socket fails.
pub fn rate(setup: &Setup, per_second: u32, seconds: u32) -> io::Result<RateReport> {
    let places = setup.places();
    let server = Denwaban::start(&setup.denwaban, places, setup.rtp_ports(), setup.profile)?;
    let mut ends = Ends::open(places, "rate")?;
    let before = process::cpu(server.pid())?;
    let beginning = Instant::now();
    for call in 0..per_second * seconds {
        ends.dial()?;
        hang_up_answered(
            &mut ends,
            beginning + Duration::from_secs(1) * (call + 1) / per_second,
        )?;
    }
    let deadline = Instant::now() + PATIENCE;
    while ends.open_count() > 0 && Instant::now() < deadline {
        hang_up_answered(&mut ends, Instant::now() + Duration::from_millis(20))?;
    }
    let took = beginning.elapsed();
    wait_until_idle(server.pid())?;
    let cpu = process::cpu(server.pid())?.saturating_sub(before);
    let recordings = server.stop()?;
    Ok(RateReport {
        per_second,
        took,
        cpu,
        figures: ends.figures,
        recordings,
    })
}

/// Nobody between the parties: what the generator and the kernel take by themselves.
///
/// # Errors
/// When a socket fails.
pub fn hold_directly(setup: &Setup, window: Duration) -> io::Result<Held> {
    let places = setup.places();
    let sockets = media_sockets(places, setup.calls)?;
    let voices = Voices::start()?;
    for ((side, call), socket) in sockets {
        let remote = if side == Side::Carrier {
            places.department_media
        } else {
            places.carrier_media
        };
        voices.speak(leg(side, call), socket, step(remote, index(call)?));
    }
    let window = window.min(Duration::from_secs(5));
    measured(&voices, window, None)?;
    voices.hush();
    thread::sleep(DRAIN);
    Ok(Held {
        name: "direct",
        calls: setup.calls,
        window,
        cpu: None,
        heard: voices.finish()?,
    })
}

/// The bare forwarder between the parties.
///
/// # Errors
/// When it cannot be started or a socket fails.
pub fn hold_floor(setup: &Setup, window: Duration) -> io::Result<Held> {
    let places = setup.places();
    let folder = tempfile::tempdir()?;
    let local = SocketAddr::new(places.server.ip(), setup.rtp_ports().0);
    let floor = start_floor(setup, folder.path(), local)?;
    let sockets = media_sockets(places, setup.calls)?;
    let voices = Voices::start()?;
    for ((side, call), socket) in sockets {
        let remote = step(
            local,
            2 * index(call)? + u16::from(side == Side::Department),
        );
        voices.speak(leg(side, call), socket, remote);
    }
    let cpu = measured(&voices, window, Some(floor.0.id()))?;
    voices.hush();
    thread::sleep(DRAIN);
    Ok(Held {
        name: "floor",
        calls: setup.calls,
        window,
        cpu,
        heard: voices.finish()?,
    })
}

struct FloorProcess(Child);

impl Drop for FloorProcess {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start_floor(setup: &Setup, folder: &Path, local: SocketAddr) -> io::Result<FloorProcess> {
    let places = setup.places();
    let mut command = Command::new(&setup.floor);
    command.arg("--folder").arg(folder).args([
        "--calls",
        &setup.calls.to_string(),
        "--local",
        &local.to_string(),
    ]);
    command.args([
        "--carrier",
        &places.carrier_media.to_string(),
        "--department",
        &places.department_media.to_string(),
    ]);
    let mut floor = FloorProcess(command.stdout(Stdio::piped()).spawn()?);
    let stdout = floor
        .0
        .stdout
        .take()
        .ok_or_else(|| io::Error::other("the floor has no output"))?;
    let mut said = String::new();
    BufReader::new(stdout).read_line(&mut said)?;
    if said.trim() != "ready" {
        return Err(io::Error::other(
            "the floor did not get ready; are its ports free?",
        ));
    }
    Ok(floor)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Side {
    Carrier,
    Department,
}

type Sockets = BTreeMap<(Side, u32), UdpSocket>;

/// One socket for each party of each call, bound before anybody is told of it.
fn media_sockets(places: Places, calls: u16) -> io::Result<Sockets> {
    let mut sockets = Sockets::new();
    for call in 0..calls {
        for (side, first) in [
            (Side::Carrier, places.carrier_media),
            (Side::Department, places.department_media),
        ] {
            let socket = UdpSocket::bind(step(first, call))?;
            SockRef::from(&socket).set_recv_buffer_size(RECEIVE_BUFFER_BYTES)?;
            sockets.insert((side, call.into()), socket);
        }
    }
    Ok(sockets)
}

/// The number by which a listener knows the speaker; neighbours in a call speak at different times.
fn leg(side: Side, call: u32) -> u32 {
    2 * call + u32::from(side == Side::Department)
}

fn index(call: u32) -> io::Result<u16> {
    u16::try_from(call).map_err(io::Error::other)
}

/// Lets whoever is connected begin to speak.
fn settle_events(
    ends: &mut Ends,
    voices: &Voices,
    sockets: &mut Sockets,
    until: Instant,
) -> io::Result<()> {
    while Instant::now() < until {
        ends.listen(until)?;
        while let Some(event) = ends.poll_event() {
            let (side, call, remote) = match event {
                Event::CarrierTalks { call, remote } => (Side::Carrier, call, remote),
                Event::DepartmentTalks { call, remote } => (Side::Department, call, remote),
                Event::Over { .. } => continue,
            };
            if let Some(socket) = sockets.remove(&(side, call)) {
                voices.speak(leg(side, call), socket, remote);
            }
        }
    }
    Ok(())
}

pub(crate) fn hang_up_answered(ends: &mut Ends, until: Instant) -> io::Result<()> {
    loop {
        ends.listen(until)?;
        while let Some(event) = ends.poll_event() {
            // The carrier's own word ends the call: in announce it comes before the department is asked.
            if let Event::CarrierTalks { call, .. } = event {
                ends.hang_up(call)?;
            }
        }
        if Instant::now() >= until {
            return Ok(());
        }
    }
}

fn hang_up_all(ends: &mut Ends, calls: u16) -> io::Result<()> {
    let beginning = Instant::now();
    for call in 0..u32::from(calls) {
        ends.hang_up(call)?;
        let until = beginning + Duration::from_secs(1) * (call + 1) / (2 * DIAL_PER_SECOND);
        hang_up_answered(ends, until)?;
    }
    let deadline = Instant::now() + PATIENCE;
    while ends.open_count() > 0 && Instant::now() < deadline {
        hang_up_answered(ends, Instant::now() + Duration::from_millis(50))?;
    }
    Ok(())
}

/// Lets the window pass and returns the processor time that a process took in it.
fn measured(voices: &Voices, window: Duration, pid: Option<u32>) -> io::Result<Option<Duration>> {
    let from = Instant::now() + SETTLE;
    voices.measure(from, from + window);
    thread::sleep(SETTLE);
    let before = pid.map(process::cpu).transpose()?;
    thread::sleep(window);
    let after = pid.map(process::cpu).transpose()?;
    Ok(after
        .zip(before)
        .map(|(after, before)| after.saturating_sub(before)))
}

/// Waits for what a call leaves behind: its recording sealed, its row written.
pub(crate) fn wait_until_idle(pid: u32) -> io::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    let mut last = process::cpu(pid)?;
    while Instant::now() < deadline {
        thread::sleep(Duration::from_secs(1));
        let now = process::cpu(pid)?;
        if now.saturating_sub(last) < Duration::from_millis(30) {
            break;
        }
        last = now;
    }
    Ok(())
}

impl Held {
    /// Processor time per call and second.
    #[must_use]
    pub fn cpu_ms_per_call_second(&self) -> Option<f64> {
        Some(self.cpu?.as_secs_f64() * 1000.0 / f64::from(self.calls) / self.window.as_secs_f64())
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Heard {
            sent,
            strayed,
            foreign,
            late_us,
            ..
        } = &self.heard;
        write!(
            f,
            "{:<9} {} calls, {} s: ",
            self.name,
            self.calls,
            self.window.as_secs()
        )?;
        if let Some(cost) = self.cpu_ms_per_call_second() {
            write!(f, "{cost:.3} CPU-ms per call-second, ")?;
        }
        let (median, tail, lost) = (
            self.heard.delay_us(50),
            self.heard.delay_us(99),
            self.heard.lost(),
        );
        write!(
            f,
            "delay p50 {median} us, p99 {tail} us, lost {lost} of {sent}, strayed {strayed}, foreign {foreign}, "
        )?;
        write!(f, "generator late by at most {late_us} us")
    }
}

impl fmt::Display for HoldReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}\n{}", self.direct, self.floor, self.denwaban)?;
        if let Some((ours, floor)) = self
            .denwaban
            .cpu_ms_per_call_second()
            .zip(self.floor.cpu_ms_per_call_second())
        {
            writeln!(f, "ratio to the floor: {:.2}", ours / floor)?;
        }
        let added = |percent| {
            i64::from(self.denwaban.heard.delay_us(percent))
                - i64::from(self.direct.heard.delay_us(percent))
        };
        writeln!(f, "added delay p50 {} us, p99 {} us", added(50), added(99))?;
        let per_call_kib =
            self.held_kib.saturating_sub(self.idle_kib) / u64::from(self.denwaban.calls.max(1));
        writeln!(
            f,
            "memory {} KiB idle, {} KiB held: {per_call_kib} KiB a call",
            self.idle_kib, self.held_kib
        )?;
        writeln!(f, "{}", self.figures)?;
        write!(f, "{}", Kept(&self.recordings))
    }
}

impl fmt::Display for RateReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let completed = self.figures.completed.max(1);
        let per_call_ms = self.cpu.as_secs_f64() * 1000.0 / f64::from(completed);
        let reached = f64::from(self.figures.completed) / self.took.as_secs_f64();
        writeln!(
            f,
            "asked for {} calls/s, completed {reached:.0}/s: {per_call_ms:.3} CPU-ms a call",
            self.per_second
        )?;
        writeln!(f, "{}", self.figures)?;
        write!(f, "{}", Kept(&self.recordings))
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (median, tail) = (self.set_up(50).as_micros(), self.set_up(99).as_micros());
        write!(
            f,
            "calls placed {}, answered {}, completed {}, ",
            self.placed, self.answered, self.completed
        )?;
        write!(
            f,
            "refused {:?}, repeated messages {}, set-up p50 {median} us, p99 {tail} us",
            self.refused, self.repeated
        )
    }
}

/// Recordings by state, with what they hold in total.
struct Kept<'list>(&'list [Listed]);

impl fmt::Display for Kept<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut states = BTreeMap::new();
        for listed in self.0 {
            *states.entry(listed.state.as_str()).or_insert(0) += 1;
        }
        let total = |of: fn(&Listed) -> u64| self.0.iter().map(of).sum::<u64>();
        let longest_gap = self
            .0
            .iter()
            .map(|listed| listed.gaps_ms)
            .max()
            .unwrap_or(0);
        write!(
            f,
            "recordings {states:?}, {} ms in all, ",
            total(|listed| listed.duration_ms)
        )?;
        write!(
            f,
            "gaps {} ms in all, {longest_gap} ms at most",
            total(|listed| listed.gaps_ms)
        )
    }
}
