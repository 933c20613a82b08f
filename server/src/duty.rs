//! The two duties of the service, `calls` and `office`: each has its lock, its socket and its commands.
//!
//! A command goes to the process whose duty it is. When none runs, whoever sends it takes the duty's lock and does it by the same code.
//! The lock is the kernel's (`flock`), so it dies with its holder; no file of ours means "running".

mod places;

use std::{
    fs,
    io::{self, BufRead, BufReader, Read, Write},
    os::{
        fd::OwnedFd,
        unix::{
            fs::PermissionsExt,
            net::{UnixListener, UnixStream},
        },
    },
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use socket2::{Domain, SockAddr, Socket, Type};
use storage::{Duty, Layout, Lock};

use self::places::{Place, Places};
use crate::{config::SocketAccess, sharing::Sharing, unix};

/// How long one duty waits for the other's answer: it has others to attend to, and asks again.
pub(crate) const DUTY_PATIENCE: Duration = Duration::from_secs(2);

/// A request is one line of JSON; the longest holds a reason of a few hundred words.
const MAX_REQUEST_BYTES: usize = 64 * 1024;
/// An answer is one line too, and lists whatever the office holds: a hundred thousand copies of 600 octets each. The client
/// trusts the duty that it asks; the bound only keeps a mistake from taking all memory.
const MAX_ANSWER_BYTES: usize = 64 * 1024 * 1024;
/// Clients at one duty at once, so that a flood costs no threads.
const MAX_CLIENTS: usize = 96;
/// Clients of one Unix user, so that sixteen places are always left to others; sixty-four of them may listen at once.
const MAX_CLIENTS_OF_ONE: usize = 80;
/// How long a client may take to send its request: a command sends it at once, and others wait for its place.
const REQUEST_PATIENCE: Duration = Duration::from_secs(1);
/// How long a client may take to send a further line or to read its answer.
const CLIENT_PATIENCE: Duration = Duration::from_secs(30);

/// Where a duty's socket lies.
pub(crate) fn socket_of(duty: Duty, layout: &Layout) -> PathBuf {
    duty.folder(layout).join("socket")
}

/// Why a duty's socket cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error(
    "the socket {path} cannot be opened: {source}; check that its folder belongs to this user and that the group exists"
)]
pub(crate) struct SocketFault {
    path: String,
    source: io::Error,
}

/// Opens the duty's socket, with the mode and group of the settings.
///
/// A socket file that an earlier process left behind is removed: holding the lock proves that nobody answers there.
///
/// # Errors
/// [`SocketFault`] where the socket cannot be made.
pub(crate) fn listen(
    held: &Lock,
    layout: &Layout,
    access: &SocketAccess,
    sharing: Sharing,
) -> Result<UnixListener, SocketFault> {
    let path = socket_of(held.duty(), layout);
    open(&path, &held.duty().folder(layout), access, sharing).map_err(|source| SocketFault {
        path: path.display().to_string(),
        source,
    })
}

fn open(
    path: &Path,
    folder: &Path,
    access: &SocketAccess,
    sharing: Sharing,
) -> io::Result<UnixListener> {
    match fs::remove_file(path) {
        Err(fault) if fault.kind() != io::ErrorKind::NotFound => return Err(fault),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    if let Some(group) = &access.group {
        let unknown = || io::Error::other(format!("the group {group} is not in /etc/group"));
        let number = unix::group_number(group).ok_or_else(unknown)?;
        std::os::unix::fs::chown(path, None, Some(number))?;
        // The group passes through both folders to the socket, and can list neither.
        match sharing {
            Sharing::None => {
                std::os::unix::fs::chown(folder, None, Some(number))?;
                fs::set_permissions(folder, fs::Permissions::from_mode(0o710))?;
                folder.parent().map_or(Ok(()), let_pass)?;
            }
            // The folders are the common group's; whoever set them up lets others pass through the one above.
            Sharing::Group => let_pass(folder)?,
        }
    }
    fs::set_permissions(path, fs::Permissions::from_mode(access.mode))?;
    Ok(listener)
}

fn let_pass(folder: &Path) -> io::Result<()> {
    let mode = fs::metadata(folder)?.permissions().mode() | 0o011;
    fs::set_permissions(folder, fs::Permissions::from_mode(mode))
}

/// How a request ended. The variants are the exit statuses of the command line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Answer<T> {
    /// 0: it is done.
    Done(T),
    /// 1: it could not be done.
    Failed(Message),
    /// 2: the request or the configuration cannot be used.
    Usage(Message),
    /// 3: a rule of the city forbids it.
    Refused(Message),
    /// 4: audit, database or key are not available.
    Unavailable(Message),
    /// 5: a verification found a fault.
    Unverified(Message),
}

/// A message for people, Japanese first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Message {
    /// A code that programs may compare, such as `PURPOSE_REQUIRED`; empty where the command's end gives it one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub code: String,
    /// The HTTP status that says the same; 0 where the command's end gives it one.
    #[serde(default)]
    pub status: u16,
    /// The clause of the city's rules; empty where none forbids.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub clause: String,
    /// In Japanese.
    pub ja: String,
    /// In English.
    pub en: String,
}

impl Message {
    /// A message without a code or a clause.
    pub(crate) fn new(ja: impl Into<String>, en: impl Into<String>) -> Message {
        Message {
            code: String::new(),
            status: 0,
            clause: String::new(),
            ja: ja.into(),
            en: en.into(),
        }
    }

    /// That something of this name is not there.
    pub(crate) fn not_found(ja: impl Into<String>, en: impl Into<String>) -> Message {
        Message {
            status: 404,
            ..Message::coded("NOT_FOUND", ja, en)
        }
    }

    /// The message as a program reads it: with the code and the status of the command's end where it has none of its own.
    pub(crate) fn ending(self, code: &str, status: u16) -> Message {
        let has_code = !self.code.is_empty();
        Message {
            code: if has_code { self.code } else { code.to_owned() },
            status: if self.status == 0 {
                status
            } else {
                self.status
            },
            ..self
        }
    }

    /// A message with a code, where no clause forbids.
    pub(crate) fn coded(code: &str, ja: impl Into<String>, en: impl Into<String>) -> Message {
        Message {
            code: code.to_owned(),
            ..Message::new(ja, en)
        }
    }
}

/// An answer that is not `Done`.
pub(crate) type Ending = Answer<Never>;

/// Nothing is done with this answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Never {}

impl<T> Answer<T> {
    /// The answer that an outcome is.
    pub(crate) fn of(outcome: Result<T, Ending>) -> Answer<T> {
        outcome.map_or_else(Answer::without, Answer::Done)
    }

    /// An answer that is not `Done`, to whoever asked for something else.
    pub(crate) fn without<U>(self) -> Answer<U> {
        match self {
            Answer::Done(_) => Answer::Failed(Message::new(
                "要求を最後まで行えませんでした。",
                "the request was not carried out to its end",
            )),
            Answer::Failed(message) => Answer::Failed(message),
            Answer::Usage(message) => Answer::Usage(message),
            Answer::Refused(message) => Answer::Refused(message),
            Answer::Unavailable(message) => Answer::Unavailable(message),
            Answer::Unverified(message) => Answer::Unverified(message),
        }
    }
}

/// One client of a duty: who it is and the way to it and back.
#[derive(Debug)]
pub(crate) struct Client {
    /// The Unix user, as the kernel reports it.
    pub(crate) unix_user: String,
    /// Its number.
    pub(crate) uid: u32,
    reader: BufReader<UnixStream>,
}

impl Client {
    /// Looks who is at the other end.
    ///
    /// # Errors
    /// The kernel does not say.
    pub(crate) fn new(stream: UnixStream) -> io::Result<Client> {
        stream.set_read_timeout(Some(CLIENT_PATIENCE))?;
        stream.set_write_timeout(Some(CLIENT_PATIENCE))?;
        Ok(Client {
            unix_user: unix::user_of(&stream)?,
            uid: unix::uid_of(&stream)?,
            reader: BufReader::new(stream),
        })
    }

    /// Sends one answer as a line.
    ///
    /// # Errors
    /// The client's end is gone or does not read.
    pub(crate) fn answer<T: Serialize>(&mut self, answer: &Answer<T>) -> io::Result<()> {
        self.write_all(&line_of(answer)?)
    }

    /// Sends a part of a file, its length before it.
    ///
    /// # Errors
    /// The client's end is gone or does not read.
    pub(crate) fn send_part(&mut self, part: &[u8]) -> io::Result<()> {
        let length = u32::try_from(part.len()).map_err(io::Error::other)?;
        self.write_all(&length.to_le_bytes())?;
        self.write_all(part)
    }

    /// Says how the parts ended, where a length would stand.
    ///
    /// # Errors
    /// The client's end is gone or does not read.
    pub(crate) fn end_parts(&mut self, mark: u32) -> io::Result<()> {
        self.write_all(&mark.to_le_bytes())
    }

    /// Reads the request: one line, whole within [`REQUEST_PATIENCE`] however it drips.
    fn hear_request<T: DeserializeOwned>(&mut self) -> io::Result<T> {
        let until = Instant::now() + REQUEST_PATIENCE;
        let mut line = Vec::new();
        while line.last() != Some(&b'\n') {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            self.reader.get_ref().set_read_timeout(Some(left))?;
            // One read at a time: `read_until` would begin its patience anew with each octet.
            let piece = self.reader.fill_buf()?;
            let end = piece.iter().position(|octet| *octet == b'\n');
            let length = end.map_or(piece.len(), |end| end + 1);
            if length == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if line.len() + length > MAX_REQUEST_BYTES {
                return Err(io::ErrorKind::FileTooLarge.into());
            }
            line.extend_from_slice(&piece[..length]);
            self.reader.consume(length);
        }
        self.reader
            .get_ref()
            .set_read_timeout(Some(CLIENT_PATIENCE))?;
        Ok(serde_json::from_slice(&line)?)
    }

    /// Reads one line.
    ///
    /// # Errors
    /// The client's end is gone or silent, or its line is not what was expected.
    pub(crate) fn hear<T: DeserializeOwned>(&mut self) -> io::Result<T> {
        read_line(&mut self.reader, MAX_REQUEST_BYTES)
    }
}

impl Write for Client {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.reader.get_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.reader.get_mut().flush()
    }
}

fn line_of<T: Serialize>(value: &T) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    Ok(line)
}

fn read_line<T: DeserializeOwned>(
    reader: &mut BufReader<UnixStream>,
    max_bytes: usize,
) -> io::Result<T> {
    let mut line = Vec::new();
    let most = u64::try_from(max_bytes).unwrap_or(u64::MAX);
    if reader.take(most).read_until(b'\n', &mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(serde_json::from_slice(&line)?)
}

/// Answers clients, each on a thread of its own, until the listener's process ends.
///
/// # Errors
/// The accepting thread cannot be made.
pub(crate) fn serve<R, F>(duty: Duty, listener: UnixListener, answer: F) -> io::Result<()>
where
    R: DeserializeOwned,
    F: Fn(R, Client) + Send + Sync + 'static,
{
    let answer = Arc::new(answer);
    let places = Places::new(MAX_CLIENTS, MAX_CLIENTS_OF_ONE);
    thread::Builder::new()
        .name(format!("{}-socket", duty.name()))
        .spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else {
                    thread::sleep(Duration::from_millis(50)); // Out of descriptors: give others time to close theirs.
                    continue;
                };
                let Ok(uid) = unix::uid_of(&stream) else {
                    continue;
                };
                let Some(place) = places.take(uid, &stream) else {
                    turn_away(stream);
                    continue;
                };
                let answer = Arc::clone(&answer);
                let spawned = thread::Builder::new()
                    .name(format!("{}-client", duty.name()))
                    .spawn(move || attend(stream, &place, &*answer));
                if let Err(fault) = spawned {
                    tracing::warn!(%fault, "a client of the socket was turned away");
                }
            }
        })?;
    Ok(())
}

/// Tells a client for which there is no place; it is not waited for.
fn turn_away(mut stream: UnixStream) {
    let message = Message::new(
        "ほかの要求に応答しています。しばらくしてからもう一度実行してください。",
        "every place of this duty's clients is taken; ask again in a while",
    );
    let answer = Answer::<()>::Unavailable(message);
    // Whoever does not read it finds the conversation ended.
    let _ = stream.set_nonblocking(true);
    if let Ok(line) = line_of(&answer) {
        let _ = stream.write_all(&line);
    }
}

fn attend<R: DeserializeOwned>(stream: UnixStream, place: &Place, answer: &impl Fn(R, Client)) {
    let Ok(mut client) = Client::new(stream) else {
        return;
    };
    match client.hear_request() {
        Ok(request) => {
            // Its place may have gone to a newer client while the last octet came: then it is not answered.
            if place.spoke().is_some() {
                answer(request, client);
            }
        }
        Err(fault) => {
            let message = not_understood(&fault);
            // The client is at fault and may be gone already; there is nobody else to tell.
            let _ = client.answer(&Answer::<()>::Usage(message));
        }
    }
}

fn not_understood(fault: &io::Error) -> Message {
    if fault.kind() == io::ErrorKind::FileTooLarge {
        return Message::new(
            format!(
                "要求が長すぎます（{MAX_REQUEST_BYTES} バイトまで）。文を短くするか、分けてください。"
            ),
            format!(
                "the request is longer than {MAX_REQUEST_BYTES} bytes; say it shorter, or in parts"
            ),
        );
    }
    Message::new(
        "この要求は理解できません。",
        format!("the request is not understood: {fault}"),
    )
}

/// Connects to a duty's socket. One that takes nobody up, with as many waiting as the kernel holds, is waited for no longer
/// than [`DUTY_PATIENCE`], and so is one that does not read what is written to it.
fn connect(path: &Path) -> io::Result<UnixStream> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_write_timeout(Some(DUTY_PATIENCE))?;
    match socket.connect(&SockAddr::unix(path)?) {
        // What unix(7) says of a connection that waited for its time.
        Err(fault) if fault.kind() == io::ErrorKind::WouldBlock => {
            let why = format!("{} takes nobody up; ask again in a while", path.display());
            Err(io::Error::new(io::ErrorKind::TimedOut, why))
        }
        Err(fault) => Err(fault),
        Ok(()) => Ok(OwnedFd::from(socket).into()),
    }
}

/// A running duty's end of a conversation, as a client sees it.
#[derive(Debug)]
pub(crate) struct Conversation {
    reader: BufReader<UnixStream>,
}

impl Conversation {
    /// Asks the process that does a duty; `None` when none runs.
    ///
    /// # Errors
    /// The socket exists and is answered, but not to us.
    pub(crate) fn ask<R: Serialize>(
        layout: &Layout,
        duty: Duty,
        request: &R,
    ) -> io::Result<Option<Conversation>> {
        let mut stream = match connect(&socket_of(duty, layout)) {
            Ok(stream) => stream,
            Err(fault)
                if matches!(
                    fault.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
                ) =>
            {
                return Ok(None);
            }
            Err(fault) => return Err(fault),
        };
        stream.write_all(&line_of(request)?)?;
        stream.set_write_timeout(None)?;
        Ok(Some(Conversation::over(stream)))
    }

    /// Waits for each answer no longer than that: whoever asks has others to attend to.
    ///
    /// # Errors
    /// The system's own.
    pub(crate) fn within(self, patience: Duration) -> io::Result<Conversation> {
        self.reader.get_ref().set_read_timeout(Some(patience))?;
        self.reader.get_ref().set_write_timeout(Some(patience))?;
        Ok(self)
    }

    /// A conversation over a stream on which the request was sent already.
    pub(crate) fn over(stream: UnixStream) -> Conversation {
        Conversation {
            reader: BufReader::new(stream),
        }
    }

    /// Reads one answer.
    ///
    /// # Errors
    /// The other end went away, or its line is not an answer.
    pub(crate) fn answer<T: DeserializeOwned>(&mut self) -> io::Result<Answer<T>> {
        read_line(&mut self.reader, MAX_ANSWER_BYTES)
    }

    /// Sends one line.
    ///
    /// # Errors
    /// The other end went away.
    pub(crate) fn say<T: Serialize>(&mut self, value: &T) -> io::Result<()> {
        self.reader.get_mut().write_all(&line_of(value)?)
    }
}

impl Read for Conversation {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.reader.read(bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// A duty that tells what it was asked and answers with it.
    fn duty() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        serve(Duty::Calls, listener, |request: String, mut client| {
            let _ = client.answer(&Answer::Done(request));
        })
        .unwrap();
        (folder, path)
    }

    fn ask(path: &Path, line: &str) -> io::Result<Answer<String>> {
        let mut stream = UnixStream::connect(path)?;
        stream.write_all(line.as_bytes())?;
        Conversation::over(stream).answer()
    }

    #[test]
    fn silent_clients_in_every_place_do_not_hold_a_command_up() {
        let (_folder, path) = duty();
        let mut silent: Vec<UnixStream> = (0..MAX_CLIENTS)
            .map(|_| UnixStream::connect(&path).unwrap())
            .collect();
        // More than there are places, and one that drips.
        silent.extend((0..MAX_CLIENTS).map(|_| UnixStream::connect(&path).unwrap()));
        for stream in &mut silent {
            let _ = stream.write_all(b"\"");
        }
        let answer = ask(&path, "\"emergency\"\n").unwrap();
        assert_eq!(answer, Answer::Done("emergency".to_owned()));
    }

    #[test]
    fn a_client_that_drips_its_request_is_hung_up_on_after_a_second() {
        let (_folder, path) = duty();
        let mut dripping = UnixStream::connect(&path).unwrap();
        let mut ear = dripping.try_clone().unwrap();
        let (ended, has_ended) = mpsc::channel();
        thread::spawn(move || {
            let mut said = String::new();
            let read = ear.read_to_string(&mut said);
            let _ = ended.send((read.is_ok(), said));
        });
        let begun = Instant::now();
        let ended = loop {
            let _ = dripping.write_all(b" ");
            match has_ended.recv_timeout(Duration::from_millis(100)) {
                Ok(ended) => break ended,
                Err(_) => assert!(
                    begun.elapsed() < Duration::from_secs(10),
                    "it still has its place"
                ),
            }
        };
        assert!(begun.elapsed() >= REQUEST_PATIENCE);
        assert!(ended.1.contains("usage"), "{ended:?}");
    }

    #[test]
    fn a_duty_that_takes_nobody_up_holds_nobody_up_for_ever() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::new(folder.path().join("data"), folder.path().join("root"));
        fs::create_dir_all(layout.calls()).unwrap();
        let path = socket_of(Duty::Calls, &layout);
        let listener = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        listener.bind(&SockAddr::unix(&path).unwrap()).unwrap();
        listener.listen(0).unwrap();
        let mut waiting = Vec::new();
        let refused = loop {
            match connect(&path) {
                Ok(stream) => waiting.push(stream),
                Err(fault) => break fault,
            }
        };
        assert_eq!(refused.kind(), io::ErrorKind::TimedOut);
        let asked = Conversation::ask(&layout, Duty::Calls, &"emergency");
        assert_eq!(asked.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn an_answer_may_be_longer_than_a_request() {
        let (near, far) = UnixStream::pair().unwrap();
        let list = vec!["copy".to_owned(); MAX_REQUEST_BYTES];
        let answering = {
            let list = list.clone();
            thread::spawn(move || Client::new(far).unwrap().answer(&Answer::Done(list)))
        };

        let heard = Conversation::over(near).answer::<Vec<String>>();

        assert!(matches!(heard, Ok(Answer::Done(heard)) if heard == list));
        answering.join().unwrap().unwrap();
    }
}
