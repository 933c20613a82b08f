//! The configuration file: read whole, every fault collected, each with place, expectation and remedy.
//!
//! It holds no policy: the rooms' own constructors judge the values. Relative folders count from the file's own folder.
//! Start at [`Config::load`]; `reader` walks the TOML, `report` prints the faults, `template` writes what `init` asks for.

mod listing;
mod outbound;
mod overload;
mod peer;
pub(crate) mod people;
mod port_range;
mod profile;
pub(crate) mod reader;
pub(crate) mod report;
pub(crate) mod secret;
mod sip;
pub(crate) mod target;
pub(crate) mod template;

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read},
    ops::Range,
    path::{Path, PathBuf},
};

use exchange::{Department, Dscp, Limits, Outbound, Overload, Trunk};
use rules::{Digest, Label, Number, NumberPolicy, RetentionPolicy};
use storage::Layout;
use toml::de::DeTable;

use self::{
    peer::Surroundings,
    people::People,
    reader::{Faults, Placed, Section},
    sip::Sip,
};
pub(crate) use self::{port_range::PortRange, report::ConfigReport};
use crate::{life, wire};

/// Largest configuration file that is read: ten thousand numbers need less.
const MAX_FILE_BYTES: u64 = 4 * 1024 * 1024;

/// Everything `denwaban.toml` says.
#[derive(Debug)]
pub(crate) struct Config {
    /// The file it was read from.
    pub file: PathBuf,
    /// SHA-256 of its text, for the audit trail.
    pub(crate) sha256: Digest,
    /// Where SIP is taken, and how.
    pub(crate) sip: Sip,
    /// Where RTP and RTCP are taken; never empty.
    pub rtp: Vec<PortRange>,
    /// Where things lie on disk.
    pub folders: Folders,
    /// How long recordings are kept.
    pub retention: RetentionPolicy,
    /// Who may speak to the calls' socket.
    pub calls: SocketAccess,
    /// Who may speak to the office's socket.
    pub office: SocketAccess,
    /// Carriers and PBX.
    pub peers: Vec<Trunk>,
    /// Files that hold passwords and keys.
    pub secrets: Vec<PathBuf>,
    /// Who answers.
    pub departments: Vec<Department>,
    /// The city's numbers.
    pub numbers: Vec<NumberPolicy>,
    /// 管理所管課 of each number that is another's than `people.unit`'s.
    pub(crate) units: BTreeMap<Number, Label>,
    /// Whose the recordings are, and how people prove who they are.
    pub(crate) people: People,
    /// Whom people of the city may call outside.
    pub outbound: Outbound,
    /// How much there may be at once.
    pub limits: Limits,
    /// Who goes first, and whom caps hold back.
    pub overload: Overload,
}

/// Where things lie, absolute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Folders {
    /// Database, vault, key store, audit, sockets and locks.
    pub data: PathBuf,
    /// The root generation; in service another volume, in no backup.
    pub root: PathBuf,
    /// The key that signs, and the history of its public keys.
    pub signing: PathBuf,
    /// Prompts and their manifest.
    pub prompts: PathBuf,
    /// The staff file of the first version, which `people bootstrap` takes in.
    pub staff: PathBuf,
    /// Folders on other volumes that follow the keys.
    pub mirrors: Vec<PathBuf>,
    /// The common Unix group of two users, one for each duty, by name or number; `None`: one user does both.
    pub group: Option<String>,
}

/// Mode and group of a duty's socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SocketAccess {
    /// Unix mode, 0600 unless the file says otherwise.
    pub mode: u32,
    /// Unix group, by name or number.
    pub group: Option<String>,
}

impl Config {
    /// Reads the file.
    ///
    /// # Errors
    /// A report of every fault, or that the file cannot be read.
    pub(crate) fn load(file: &Path) -> Result<Config, ConfigReport> {
        let unreadable = |fault: io::Error| ConfigReport::unreadable(file, &fault);
        let mut text = String::new();
        // A device or a pipe has no length that could be asked for, and may have no end.
        let read = File::open(file)
            .and_then(|opened| opened.take(MAX_FILE_BYTES + 1).read_to_string(&mut text));
        let too_long = || io::Error::other("it is larger than 4 MiB");
        match read {
            Ok(length) if u64::try_from(length).is_ok_and(|length| length <= MAX_FILE_BYTES) => {}
            Ok(_) => return Err(unreadable(too_long())),
            Err(fault) => return Err(unreadable(fault)),
        }
        Config::parse(file, &text)
    }

    /// Reads the text of a file; `file` gives the folder from which relative paths count.
    ///
    /// # Errors
    /// A report of every fault.
    pub(crate) fn parse(file: &Path, text: &str) -> Result<Config, ConfigReport> {
        let mut faults = Faults::default();
        let (document, broken) = DeTable::parse_recoverable(text);
        for fault in &broken {
            let span = fault.span().unwrap_or(0..0);
            faults.note(
                span,
                "TOML",
                fault.message().to_owned(),
                "valid TOML",
                "correct the spelling of this line",
            );
        }
        // In a file that is not TOML every other fault would be a guess.
        let config = broken
            .is_empty()
            .then(|| read(file, text, document.get_ref(), &mut faults))
            .flatten();
        let faults = faults.into_sorted();
        match config {
            Some(config) if faults.is_empty() => Ok(config),
            _ => Err(ConfigReport::faulty(file, text, faults)),
        }
    }

    /// Whether this is a number of the city.
    pub(crate) fn is_ours(&self, number: &Number) -> bool {
        self.numbers.iter().any(|known| known.number == *number)
    }

    /// A number of the city, as people type it; `None` is no number or somebody else's.
    pub(crate) fn own_number(&self, text: &str) -> Option<Number> {
        let number = Number::typed(text).ok()?;
        self.is_ours(&number).then_some(number)
    }

    /// 管理所管課 of calls to a number; of a call whose number is not known, the usual one.
    pub(crate) fn unit_of(&self, called: Option<&Number>) -> &Label {
        called
            .and_then(|number| self.units.get(number))
            .unwrap_or(&self.people.unit)
    }

    /// Where storage finds its files.
    pub(crate) fn layout(&self) -> Layout {
        Layout::new(&self.folders.data, &self.folders.root)
            .with_signing(&self.folders.signing)
            .with_mirrors(self.folders.mirrors.clone())
    }

    /// What the SIP sockets are made with.
    pub(crate) fn wire(&self) -> wire::Settings {
        wire::Settings {
            listeners: self.sip.listeners.clone(),
            keeping: self.sip.keeping,
            tls: self.sip.tls.clone(),
            look: wire::LOOK,
            resolver: self.sip.resolver,
        }
    }

    /// What the exchange is told.
    pub(crate) fn settings(&self) -> exchange::Settings {
        exchange::Settings {
            listeners: self.sip.listeners.clone(),
            peers: self.peers.clone(),
            departments: self.departments.clone(),
            numbers: self.numbers.clone(),
            outbound: self.outbound.clone(),
            limits: self.limits,
            overload: self.overload.clone(),
            sip: sip_core::Settings::default(),
            fault_injection: None,
        }
    }
}

/// Reads all sections; `None` only with at least one fault noted.
fn read(file: &Path, text: &str, table: &DeTable<'_>, faults: &mut Faults) -> Option<Config> {
    let mut root = Section::root(table);
    let base = base_of(file);
    let sip = required(
        &mut root,
        faults,
        "sip",
        "add [sip] with listen = \"ADDRESS:5060\"",
    );
    let sip = sip.and_then(|section| sip::read(&base, section, faults));
    let media = required(
        &mut root,
        faults,
        "media",
        "add [media] with rtp = \"ADDRESS:20000-29999\"",
    );
    let media = media.map(|section| read_media(section, faults));
    let host = read_host(&mut root, &base, faults);
    let media = media.unwrap_or_default();
    let mut limits = Limits {
        calls: media.rtp.iter().map(PortRange::pairs).sum::<usize>() / 2,
        ..Limits::default()
    };
    let overload = root.section(faults, "overload");
    let overload = overload::read(overload, &mut limits, faults);
    let around = Surroundings {
        base: &base,
        listeners: sip.as_ref().map_or(&[], |sip| &sip.listeners),
        rtp: &media.rtp,
        dscp: Dscp {
            signalling: sip.as_ref().map_or(0, |sip| sip.dscp),
            media: media.dscp,
        },
    };
    let peers = peer::read_peers(root.sections(faults, "peer"), &around, faults);
    let outbound = root.section(faults, "outbound");
    let outbound = outbound::read(outbound, &peers.trunks, faults);
    let departments =
        listing::read_departments(root.sections(faults, "department"), &peers.trunks, faults);
    let numbers = listing::read_numbers(root.sections(faults, "number"), &departments, faults);
    ask_for_lists(&root, faults);
    root.finish(faults);
    let sip = sip?;
    let key = sip.tls.as_ref().map(|files| files.key.clone());
    let secrets = peers.secrets.into_iter().chain(key).collect();
    let config = Config {
        file: file.to_owned(),
        sha256: life::sha256(text.as_bytes()),
        sip,
        rtp: media.rtp,
        folders: host.folders,
        retention: host.retention?,
        calls: host.calls?,
        office: host.office?,
        peers: peers.trunks,
        secrets,
        departments,
        numbers: numbers.policies,
        units: numbers.units,
        people: host.people?,
        outbound,
        limits,
        overload,
    };
    judge_together(&config, &peers.places, faults);
    Some(config)
}

/// What the exchange would refuse is told here, where its place is known.
fn judge_together(config: &Config, places: &[(String, Range<usize>)], faults: &mut Faults) {
    if !faults.is_empty() {
        return;
    }
    for fault in config.settings().faults() {
        let place = places.iter().find(|(name, _)| fault.names(name));
        let span = place.map_or(0..0, |(_, span)| span.clone());
        let expected = "settings that fit together";
        let remedy = "correct it as the message says";
        faults.note(span, "peer", fault.to_string(), expected, remedy);
    }
}

/// The sections about this host: folders, retention and sockets.
struct Host {
    folders: Folders,
    retention: Option<RetentionPolicy>,
    calls: Option<SocketAccess>,
    office: Option<SocketAccess>,
    people: Option<People>,
}

fn read_host(root: &mut Section<'_>, base: &Path, faults: &mut Faults) -> Host {
    let folders = root.section(faults, "folders");
    let mut folders = read_folders(base, folders, faults);
    let keys = root.section(faults, "keys");
    folders.mirrors = read_mirrors(base, keys, &folders, faults);
    let retention = root.section(faults, "retention");
    let retention = read_retention(retention, faults);
    let calls = root.section(faults, "calls");
    let calls = read_access(calls, faults);
    let office = root.section(faults, "office");
    let people = root.section(faults, "people");
    Host {
        folders,
        retention,
        calls,
        office: read_access(office, faults),
        people: people::read(people, faults),
    }
}

fn ask_for_lists(root: &Section<'_>, faults: &mut Faults) {
    for (key, remedy) in [
        ("peer", "add a [[peer]] for the carrier and one for the PBX"),
        ("number", "add a [[number]] for each number of the city"),
    ] {
        if !root.holds(key) {
            root.missing(faults, key, remedy);
        }
    }
}

/// The folder from which relative paths count.
fn base_of(file: &Path) -> PathBuf {
    let file = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    file.parent().unwrap_or(Path::new("/")).to_owned()
}

fn required<'t>(
    root: &mut Section<'t>,
    faults: &mut Faults,
    key: &'static str,
    remedy: &str,
) -> Option<Section<'t>> {
    let section = root.section(faults, key);
    if section.is_none() && !root.holds(key) {
        root.missing(faults, key, remedy);
    }
    section
}

/// What `[media]` says.
#[derive(Default)]
struct Media {
    rtp: Vec<PortRange>,
    dscp: u8,
}

fn read_media(mut section: Section<'_>, faults: &mut Faults) -> Media {
    let remedy = "add rtp = \"ADDRESS:20000-29999\"";
    let ranges = section.texts(faults, "rtp");
    let is_empty = ranges.as_ref().is_some_and(Vec::is_empty);
    if is_empty || ranges.is_none() && !section.holds("rtp") {
        section.missing(faults, "rtp", remedy);
    }
    let dscp = section.integer(faults, "dscp", peer::DSCP);
    section.finish(faults);
    let mut rtp: Vec<PortRange> = Vec::new();
    for text in ranges.iter().flatten() {
        match PortRange::parse(text.value) {
            Ok(range) if rtp.iter().any(|other| other.address == range.address) => {
                let expected = "one range for each address";
                let remedy = "write one range that is as large as both";
                faults.at(text, quoted(text), expected, remedy);
            }
            Ok(range) => rtp.push(range),
            Err(why) => {
                let found = format!("{}: {why}", quoted(text));
                faults.at(
                    text,
                    found,
                    "an address and a range of ports",
                    "write it like 127.0.0.1:20000-29999",
                );
            }
        }
    }
    Media {
        rtp,
        dscp: dscp.map_or(0, |dscp| u8::try_from(dscp.value).unwrap_or_default()),
    }
}

fn read_folders(base: &Path, section: Option<Section<'_>>, faults: &mut Faults) -> Folders {
    let mut folders = Folders {
        data: base.join("data"),
        root: base.join("root"),
        signing: base.join("signing"),
        prompts: base.join("prompts"),
        staff: base.join("staff.toml"),
        mirrors: Vec::new(),
        group: None,
    };
    let Some(mut section) = section else {
        return folders;
    };
    for (key, place) in [
        ("data", &mut folders.data),
        ("root", &mut folders.root),
        ("signing", &mut folders.signing),
        ("prompts", &mut folders.prompts),
        ("staff", &mut folders.staff),
    ] {
        if let Some(path) = section.text(faults, key) {
            *place = base.join(path.value);
        }
    }
    folders.group = section
        .text(faults, "group")
        .map(|group| group.value.to_owned());
    for (key, folder) in [
        ("folders.root", &folders.root),
        ("folders.signing", &folders.signing),
    ] {
        if folder.starts_with(&folders.data) {
            faults.note(
                section.span.clone(),
                key,
                "a folder inside the data",
                "one outside the data folder",
                "give it a folder of its own, in service on another volume",
            );
        }
    }
    section.finish(faults);
    folders
}

/// A mirror beside what it mirrors would be lost, or restored, together with it.
fn read_mirrors(
    base: &Path,
    section: Option<Section<'_>>,
    folders: &Folders,
    faults: &mut Faults,
) -> Vec<PathBuf> {
    let Some(mut section) = section else {
        return Vec::new();
    };
    let texts = section.texts(faults, "mirrors").unwrap_or_default();
    section.finish(faults);
    let mut mirrors: Vec<PathBuf> = Vec::new();
    for text in &texts {
        let mirror = base.join(text.value);
        let is_inside = [&folders.data, &folders.root, &folders.signing]
            .iter()
            .any(|folder| mirror.starts_with(folder) || folder.starts_with(&mirror));
        if is_inside || mirrors.contains(&mirror) {
            let expected = "a folder of its own, outside data, root and signing";
            let remedy = "give each mirror a folder on another volume";
            faults.at(text, quoted(text), expected, remedy);
        } else {
            mirrors.push(mirror);
        }
    }
    mirrors
}

fn read_retention(section: Option<Section<'_>>, faults: &mut Faults) -> Option<RetentionPolicy> {
    const DEFAULT_DAYS: u16 = 89; // 要領 5-6: three calendar months can be 89 days.
    let days = section.and_then(|mut section| {
        let days = section.integer(faults, "days", 0..65_536);
        section.finish(faults);
        days
    });
    let Some(days) = days else {
        return RetentionPolicy::new(DEFAULT_DAYS).ok();
    };
    match u16::try_from(days.value).ok().map(RetentionPolicy::new) {
        Some(Ok(policy)) => Some(policy),
        Some(Err(fault)) => {
            let remedy = "write 89, which is three months for every start date (要領第5条第6項)";
            faults.at(
                &days,
                format!("{} ({fault})", days.value),
                "1 to 92 days",
                remedy,
            );
            None
        }
        None => None,
    }
}

fn read_access(section: Option<Section<'_>>, faults: &mut Faults) -> Option<SocketAccess> {
    let mut access = SocketAccess {
        mode: 0o600,
        group: None,
    };
    let Some(mut section) = section else {
        return Some(access);
    };
    let mode = section.text(faults, "socket_mode");
    access.group = section
        .text(faults, "socket_group")
        .map(|group| group.value.to_owned());
    section.finish(faults);
    if let Some(mode) = mode {
        match u32::from_str_radix(mode.value, 8)
            .ok()
            .filter(|bits| bits & !0o660 == 0 && bits & 0o600 == 0o600)
        {
            Some(bits) => access.mode = bits,
            None => {
                let remedy =
                    "write \"0600\" for the owner alone, or \"0660\" together with socket_group";
                faults.at(&mode, quoted(&mode), "\"0600\" or \"0660\"", remedy);
                return None;
            }
        }
    }
    Some(access)
}

fn quoted(text: &Placed<&str>) -> String {
    format!("\"{}\"", text.value.escape_debug())
}

#[cfg(test)]
mod tests;
