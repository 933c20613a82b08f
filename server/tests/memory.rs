//! What whoever takes the call process has: its memory, in the midst of calls, and the disk (T-25).
//!
//! Everything that opens a recording is derived here once more, from `docs/recording-format.md` and RFC 9180, and looked for at every
//! place of the memory, aligned or not: a window of 32 bytes opens a chunk exactly if it is one of these.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    fs,
    path::{Path, PathBuf},
};

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey},
    agreement::{PrivateKey, UnparsedPublicKey, X25519, agree},
    error::Unspecified,
    hmac,
};
use common::{
    House,
    memory::Memory,
    search::{STANDARD, Search, URL_SAFE, base64, from_base64},
    telephone::{Dialog, Telephone, Voice},
    wait_for,
};
use rules::CallId;
use serde_json::Value;

const CALLS: usize = 20;
/// Of nobody else here, so that it is looked for among others' files too.
const NUMBER: &str = "0790004711";
/// A second of sound.
const SECOND: u64 = 8_000;

#[test]
fn the_memory_of_the_call_process_opens_the_last_three_seconds_of_live_calls_and_nothing_closed() {
    let before = temporary();
    let house = House::init(&["--profile", "transparent", "--waiver", "広報第12号"]);
    // Ports enough that no share of one number is used up.
    let config = fs::read_to_string(house.config()).unwrap();
    let config = config.replace("20000-20199", "20000-20999");
    let mirror = house.dir().join("mirror");
    let config = format!("{config}\n[keys]\nmirrors = [\"{}\"]\n", mirror.display());
    fs::write(house.config(), config).unwrap();
    let spare = house.dir().join("tmp");
    fs::create_dir(&spare).unwrap();
    let in_spare = |command: &mut std::process::Command| {
        command.env("TMPDIR", &spare);
    };
    // What it has made ahead is enough; while it is away rows stay in the spool.
    house.run_duty("office", in_spare).terminate();
    let calls = house.run_duty("calls", in_spare);
    let parties = Parties::new(&house);
    let closed: Vec<Talk> = (0..CALLS).map(|call| parties.call(call)).collect();
    wait_for("two seconds of each", || {
        let open = segments(&house);
        let is_long = open.iter().filter(|segment| segment.samples() > 2 * SECOND);
        (is_long.count() == CALLS).then_some(())
    });
    for talk in closed {
        parties.end(&talk);
    }
    wait_for("their recordings to be closed", || {
        let segments = segments(&house);
        let closed = segments.iter().filter(|segment| segment.is_closed());
        (closed.count() == CALLS).then_some(())
    });
    let rows = wait_for("their rows", || {
        let rows = SealedRow::spooled(&house);
        let ended: BTreeSet<CallId> = rows.iter().map(|row| row.call).collect();
        (ended.len() == CALLS).then_some(rows)
    });
    let office = house.run_duty("office", in_spare);
    let live: Vec<Talk> = (CALLS..2 * CALLS).map(|call| parties.call(call)).collect();
    wait_for("five seconds of each live call", || {
        let segments = segments(&house);
        let long = segments
            .iter()
            .filter(|segment| !segment.is_closed() && segment.samples() > 5 * SECOND);
        (long.count() == CALLS).then_some(())
    });

    let memory = Memory::of(&calls);
    let segments = segments(&house);
    memory.go_on();

    let keys = Keys::read(&house);
    let secrets: Vec<Vec<Secret>> = segments.iter().map(|one| one.secrets(&keys)).collect();
    let of_rows: Vec<[u8; 32]> = rows.iter().flat_map(|row| row.secrets(&keys)).collect();
    let mut wanted: Vec<[u8; 32]> = secrets.iter().flatten().map(|one| one.bytes).collect();
    wanted.extend(keys.all());
    wanted.extend(&of_rows);
    let search = Search::of(&wanted);
    let found = memory.find(&search);
    // The search finds what is there: the states of the live calls.
    assert!(!found.is_empty());
    for key in keys.all() {
        assert!(!found.contains(&key), "a root, a private half or the seed");
    }
    for key in &of_rows {
        assert!(!found.contains(key), "a key of a caller's number");
    }
    for (segment, secrets) in segments.iter().zip(&secrets) {
        let there = secrets
            .iter()
            .filter(|secret| found.contains(&secret.bytes));
        let opened = there.map(|secret| segment.opened_by(secret.opens)).max();
        let most = if segment.is_closed() { 0 } else { 3 * SECOND };
        let opened = opened.unwrap_or(0);
        assert!(opened <= most, "{} samples of {:?}", opened, segment.path);
    }
    let senders: BTreeSet<[u8; 32]> = segments.iter().map(|one| one.encapsulated()).collect();
    assert!(!memory.holds_private_half_of(&senders));

    drop(live);
    calls.terminate();
    assert_nothing_lies_open(&house, &search, &spare);
    office.terminate();
    assert_nothing_lies_open(&house, &search, &spare);
    let made = temporary().into_iter().filter(|path| {
        let is_new = !before.contains(path);
        is_new && !house.dir().starts_with(path)
    });
    for path in made.flat_map(|path| files_under(&path)) {
        // Others' files come and go.
        if let Ok(bytes) = fs::read(&path) {
            assert_holds_nothing(&path, &bytes, &search);
        }
    }
}

/// What lies where programs put their temporary files.
fn temporary() -> BTreeSet<PathBuf> {
    let folders = ["/tmp", "/var/tmp", "/dev/shm"];
    let entries = folders.into_iter().flat_map(fs::read_dir).flatten();
    entries.flatten().map(|entry| entry.path()).collect()
}

/// Neither a caller's number nor a key lies in a file, the write-ahead log, the spool, a log or a temporary file. The roots and the key that
/// signs alone are what they are.
fn assert_nothing_lies_open(house: &House, search: &Search, spare: &Path) {
    assert_eq!(fs::read_dir(spare).unwrap().count(), 0);
    let is_root = |path: &Path| path.extension().is_some_and(|ending| ending == "root");
    let seed = house.dir().join("signing/key");
    assert_holds_nothing(Path::new("log"), house.log().as_bytes(), search);
    let mut searched = BTreeSet::new();
    for path in files_under(house.dir()) {
        if !is_root(&path) && path != seed {
            assert_holds_nothing(&path, &fs::read(&path).unwrap(), search);
            searched.insert(path);
        }
    }
    for file in [
        "data/office/catalogue.db",
        "data/keys/store",
        "mirror/store",
    ] {
        assert!(searched.contains(&house.dir().join(file)), "{file}");
    }
}

fn assert_holds_nothing(path: &Path, bytes: &[u8], search: &Search) {
    let number = NUMBER.trim_start_matches('0').as_bytes();
    let has_number = bytes.windows(number.len()).any(|window| window == number);
    assert!(!has_number, "a number in {}", path.display());
    assert!(
        search.found_in(bytes).is_empty(),
        "a key in {}",
        path.display()
    );
}

#[test]
fn a_key_is_found_however_somebody_wrote_it_down() {
    let key: [u8; 32] = std::array::from_fn(|at| u8::try_from(at * 83 % 251).unwrap());
    let search = Search::of(&[key]);
    let digits = |key: &[u8]| -> String { key.iter().map(|byte| format!("{byte:02x}")).collect() };
    let mut written = vec![
        key.to_vec(),
        digits(&key).into_bytes(),
        digits(&key).to_uppercase().into_bytes(),
    ];
    for before in 0..4 {
        let bytes = [&vec![0x5a; before][..], &key, &[0xa5; 3]].concat();
        written.push(base64(STANDARD, &bytes));
        written.push(base64(URL_SAFE, &bytes));
    }
    for bytes in written {
        let bytes = [&b"in the midst of "[..], &bytes, b" something"].concat();
        assert_eq!(search.found_in(&bytes), HashSet::from([key]));
    }
    assert!(search.found_in(&[0; 100]).is_empty());
}

/// A caller's number as it waits in the spool.
struct SealedRow {
    call: CallId,
    group: String,
    encapsulated: [u8; 32],
    key: Vec<u8>,
    bytes: Vec<u8>,
}

impl SealedRow {
    fn spooled(house: &House) -> Vec<SealedRow> {
        let files = files_under(&house.dir().join("data/calls/spool"));
        let texts = files
            .iter()
            .filter_map(|path| fs::read_to_string(path).ok());
        let lines: Vec<String> = texts
            .flat_map(|text| {
                let lines = text.lines().map(str::to_owned);
                lines.collect::<Vec<_>>()
            })
            .collect();
        lines
            .iter()
            .filter_map(|line| SealedRow::read(line))
            .collect()
    }

    /// `None` of a line that tells of no number.
    fn read(line: &str) -> Option<SealedRow> {
        let (_, entry) = line.split_once(' ')?;
        let entry: Value = serde_json::from_str(entry).ok()?;
        let row = &entry["row"];
        let number = &row["caller"]["number"];
        let part = |name: &str| Some(bytes_of(number[name].as_str()?));
        Some(SealedRow {
            call: row["call"]["call_id"].as_str()?.parse().ok()?,
            group: number["group"].as_str()?.to_owned(),
            encapsulated: part("encapsulated")?.try_into().ok()?,
            key: part("key")?,
            bytes: part("bytes")?,
        })
    }

    /// Everything between the day's private half and the number. That it is right, the number says, which it opens.
    fn secrets(&self, keys: &Keys) -> Vec<[u8; 32]> {
        let id = self.call.to_bytes();
        let info = [&b"denwaban row key"[..], &id].concat();
        let hpke = Hpke::receive(&keys.private[&self.group], &self.encapsulated, &info);
        let key = hpke.open(&self.key);
        let number = open(&key, [0; 12], &id, &self.bytes).unwrap();
        assert!(number.ends_with(NUMBER.trim_start_matches('0').as_bytes()));
        let mut secrets = hpke.secrets().to_vec();
        secrets.push(key);
        secrets
    }
}

/// A caller with a line for each call, and a department that takes them all.
struct Parties {
    department: Telephone,
    callers: Vec<Telephone>,
}

struct Talk {
    caller: usize,
    dialog: Dialog,
    _voices: [Voice; 2],
}

impl Parties {
    fn new(house: &House) -> Parties {
        let sip = (house.addresses.house, 5060).into();
        let caller = |_| Telephone::new(house.addresses.carrier, 0, sip).with_number(NUMBER);
        Parties {
            department: Telephone::new(house.addresses.pbx, 5062, sip),
            callers: (0..2 * CALLS).map(caller).collect(),
        }
    }

    fn call(&self, caller: usize) -> Talk {
        let call_id = format!("memory-{caller}");
        let telephone = &self.callers[caller];
        telephone.invite(&call_id);
        let invite = self.department.pick_up();
        let officer = self.department.speak(invite.media(), 0x47);
        let dialog = telephone.answered(&call_id);
        let citizen = telephone.speak(dialog.answer.media(), 0x21);
        Talk {
            caller,
            dialog,
            _voices: [officer, citizen],
        }
    }

    fn end(&self, talk: &Talk) {
        self.callers[talk.caller].hang_up(&talk.dialog);
        let bye = self.department.expect("BYE");
        self.department.respond(&bye, "200 OK", false);
    }
}

/// A segment's file, as far as it is written.
struct Segment {
    path: PathBuf,
    bytes: Vec<u8>,
    chunks: Vec<Chunk>,
}

#[derive(Clone, Copy)]
struct Chunk {
    index: u32,
    samples: u32,
    is_final: bool,
    /// Where its clear part, its sealed part and its end lie.
    clear: usize,
    sealed: usize,
    end: usize,
}

/// What opens the chunks from one on.
struct Secret {
    bytes: [u8; 32],
    opens: Opens,
}

#[derive(Clone, Copy)]
enum Opens {
    From(u32),
    Only(u32),
}

fn segments(house: &House) -> Vec<Segment> {
    let files = files_under(&house.dir().join("data/vault"));
    let files = files
        .into_iter()
        .filter(|path| path.extension().is_some_and(|end| end == "krec"));
    // A file that is closed this moment is looked at again by whoever waits.
    files.filter_map(|path| Segment::read(&path)).collect()
}

impl Segment {
    fn read(path: &Path) -> Option<Segment> {
        let bytes = fs::read(path).ok()?;
        let number = |at: usize| Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
        let size = |at: usize| number(at).map(|number| number as usize);
        let mut chunks = Vec::new();
        let mut at = size(12)?;
        while let (Some(clear), Some(sealed)) = (size(at), size(at + 4)) {
            let chunk = Chunk {
                index: number(at + 8)?,
                samples: number(at + 24)?,
                is_final: *bytes.get(at + 12)? == 1,
                clear: at,
                sealed: at + clear,
                end: at + clear + sealed,
            };
            at = chunk.end + 32;
            if at > bytes.len() {
                break;
            }
            chunks.push(chunk);
        }
        let path = path.to_owned();
        Some(Segment {
            path,
            bytes,
            chunks,
        })
    }

    fn is_closed(&self) -> bool {
        self.chunks.last().is_some_and(|chunk| chunk.is_final)
    }

    fn samples(&self) -> u64 {
        self.opened_by(Opens::From(0))
    }

    fn opened_by(&self, opens: Opens) -> u64 {
        let opened = self.chunks.iter().filter(|chunk| match opens {
            Opens::From(first) => chunk.index >= first,
            Opens::Only(index) => chunk.index == index,
        });
        opened.map(|chunk| u64::from(chunk.samples)).sum()
    }

    fn part(&self, from: usize, length: usize) -> &[u8] {
        &self.bytes[from..from + length]
    }

    fn group(&self) -> String {
        let length = u32::from_be_bytes(self.part(68, 4).try_into().unwrap());
        String::from_utf8(self.part(84, length as usize).to_vec()).unwrap()
    }

    fn encapsulated(&self) -> [u8; 32] {
        let at = 84 + self.group().len();
        self.part(at, 32).try_into().unwrap()
    }

    /// Everything between the group's private half and the last chunk. That it is right, the last chunk says, which it opens.
    fn secrets(&self, keys: &Keys) -> Vec<Secret> {
        let sealed_at = 84 + self.group().len() + 32;
        let info = [
            &b"denwaban KREC1 segment key"[..],
            self.part(16, 16),
            self.part(48, 4),
        ]
        .concat();
        let hpke = Hpke::receive(&keys.private[&self.group()], &self.encapsulated(), &info);
        let mut state = hpke.open(self.part(sealed_at, 48));
        let all = hpke.secrets().map(|bytes| (bytes, Opens::From(0)));
        let mut secrets: Vec<_> = all.map(|(bytes, opens)| Secret { bytes, opens }).into();
        let last = *self.chunks.last().unwrap();
        for index in 0..=last.index + 1 {
            let key = sign(&state, b"denwaban KREC1 chunk\x01");
            if index == last.index {
                self.open(&last, &key);
            }
            let opens = Opens::From(index);
            secrets.push(Secret {
                bytes: state,
                opens,
            });
            let opens = Opens::Only(index);
            secrets.push(Secret { bytes: key, opens });
            state = sign(&state, b"denwaban KREC1 next\x01");
        }
        secrets
    }

    fn open(&self, chunk: &Chunk, key: &[u8; 32]) {
        let mut nonce = [0; 12];
        nonce[8..].copy_from_slice(&chunk.index.to_be_bytes());
        let clear = [
            self.part(chunk.clear - 32, 32),
            &self.bytes[chunk.clear..chunk.sealed],
        ]
        .concat();
        open(key, nonce, &clear, &self.bytes[chunk.sealed..chunk.end]).unwrap();
    }
}

fn open(key: &[u8], nonce: [u8; 12], clear: &[u8], sealed: &[u8]) -> Result<Vec<u8>, Unspecified> {
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key)?);
    let mut bytes = sealed.to_vec();
    let nonce = Nonce::assume_unique_for_key(nonce);
    let length = key
        .open_in_place(nonce, Aad::from(clear), &mut bytes)?
        .len();
    bytes.truncate(length);
    Ok(bytes)
}

fn sign(key: &[u8], message: &[u8]) -> [u8; 32] {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    hmac::sign(&key, message).as_ref().try_into().unwrap()
}

/// The receiver's side of RFC 9180 in base mode, with everything that it passes through.
struct Hpke {
    diffie_hellman: [u8; 32],
    shared: [u8; 32],
    secret: [u8; 32],
    key: [u8; 32],
    nonce: [u8; 12],
}

const KEM: &[u8] = b"KEM\x00\x20";
const SUITE: &[u8] = b"HPKE\x00\x20\x00\x01\x00\x02";

impl Hpke {
    fn receive(private: &[u8; 32], encapsulated: &[u8; 32], info: &[u8]) -> Hpke {
        let half = PrivateKey::from_private_key(&X25519, private).unwrap();
        let own = half.compute_public_key().unwrap();
        let peer = UnparsedPublicKey::new(&X25519, encapsulated);
        let agreed = agree(&half, peer, Unspecified, |bytes| {
            bytes.try_into().map_err(|_| Unspecified)
        });
        let diffie_hellman: [u8; 32] = agreed.unwrap();
        // Section 4.1.
        let extracted = extract(b"", KEM, b"eae_prk", &diffie_hellman);
        let context = [&encapsulated[..], own.as_ref()].concat();
        let shared = expand(&extracted, KEM, b"shared_secret", &context, 32);
        // Section 5.1.
        let psk = extract(b"", SUITE, b"psk_id_hash", b"");
        let info = extract(b"", SUITE, b"info_hash", info);
        let context = [&[0][..], &psk, &info].concat();
        let secret = extract(&shared, SUITE, b"secret", b"");
        let key = expand(&secret, SUITE, b"key", &context, 32);
        let nonce = expand(&secret, SUITE, b"base_nonce", &context, 12);
        Hpke {
            diffie_hellman,
            shared,
            secret,
            key,
            nonce: nonce[..12].try_into().unwrap(),
        }
    }

    fn open(&self, sealed: &[u8]) -> [u8; 32] {
        let opened = open(&self.key, self.nonce, b"", sealed).unwrap();
        opened.try_into().unwrap()
    }

    fn secrets(&self) -> [[u8; 32]; 4] {
        [self.diffie_hellman, self.shared, self.secret, self.key]
    }
}

fn extract(salt: &[u8], suite: &[u8], label: &[u8], input: &[u8]) -> [u8; 32] {
    sign(salt, &[b"HPKE-v1", suite, label, input].concat())
}

fn expand(key: &[u8], suite: &[u8], label: &[u8], info: &[u8], length: u16) -> [u8; 32] {
    let length = length.to_be_bytes();
    sign(
        key,
        &[&length[..], b"HPKE-v1", suite, label, info, &[1]].concat(),
    )
}

/// What the office has, and the call process must not.
struct Keys {
    root: [u8; 32],
    /// The mirror's, which is another.
    mirrored: [u8; 32],
    /// Of the key that signs.
    seed: [u8; 32],
    private: BTreeMap<String, [u8; 32]>,
}

impl Keys {
    fn read(house: &House) -> Keys {
        let root_in = |folder: &str| -> [u8; 32] {
            let root = fs::read(house.dir().join(folder).join("0001.root")).unwrap();
            root[12..44].try_into().unwrap()
        };
        let root = root_in("root");
        let signing = fs::read_to_string(house.dir().join("signing/key")).unwrap();
        // `PRIVATE+KEY+name+id+base64`, whose letters may be a plus too.
        let seed = signing.trim_end().splitn(5, '+').last().unwrap();
        let seed = from_base64(seed);
        let store = fs::read(house.dir().join("data/keys/store")).unwrap();
        let store: Value = serde_json::from_slice(&store).unwrap();
        let groups = store["groups"].as_object().unwrap();
        let private = groups.iter().map(|(name, pairs)| {
            let pair = pairs.as_array().unwrap().last().unwrap();
            let part = |key: &str| bytes_of(pair[key].as_str().unwrap());
            let generation = u32::try_from(pair["generation"].as_u64().unwrap()).unwrap();
            let words = [
                &b"denwaban wrapped half"[..],
                &1_u32.to_be_bytes(),
                &generation.to_be_bytes(),
                &part("public"),
                name.as_bytes(),
            ]
            .concat();
            let nonce = part("nonce").try_into().unwrap();
            let half = open(&root, nonce, &words, &part("wrapped")).unwrap();
            (name.clone(), half.try_into().unwrap())
        });
        Keys {
            root,
            mirrored: root_in("mirror"),
            // Behind the byte of its kind.
            seed: seed[1..].try_into().unwrap(),
            private: private.collect(),
        }
    }

    fn all(&self) -> Vec<[u8; 32]> {
        let halves = self.private.values().copied();
        halves
            .chain([self.root, self.mirrored, self.seed])
            .collect()
    }
}

fn bytes_of(digits: &str) -> Vec<u8> {
    let pairs = digits.as_bytes().chunks(2);
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    pairs.map(byte).collect()
}

fn files_under(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .flat_map(|entry| match entry.file_type() {
            Ok(kind) if kind.is_dir() => files_under(&entry.path()),
            Ok(kind) if kind.is_file() => vec![entry.path()],
            _ => Vec::new(),
        })
        .collect()
}
