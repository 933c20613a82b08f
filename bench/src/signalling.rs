//! Both ends of every call: a carrier that dials, and a department that answers at once.
//!
//! Neither repeats its requests: loopback loses nothing while the sockets' buffers hold, so a silence is a figure, not a
//! reason to try again. What the server repeats is answered again and counted.

use std::{
    collections::{BTreeMap, VecDeque},
    io,
    net::{SocketAddr, UdpSocket},
    time::{Duration, Instant},
};

use socket2::SockRef;

use crate::{
    floor::step,
    poll::Poll,
    sip_text::{self, CarrierCall},
};

/// Room for a second of answers at the highest rate, in case this thread is kept from the processor.
const RECEIVE_BUFFER_BYTES: usize = 4 * 1024 * 1024;

/// Where everybody is; the media addresses are those of the first call, each further call is two ports above.
#[derive(Clone, Copy, Debug)]
pub struct Places {
    pub server: SocketAddr,
    pub carrier: SocketAddr,
    pub department: SocketAddr,
    pub carrier_media: SocketAddr,
    pub department_media: SocketAddr,
    /// Socket pairs on each side; beyond, calls share the address of an earlier one that is over.
    pub media_count: u16,
}

/// What happened to a call, seen from its ends.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// The carrier has its 200; the server expects its audio at `remote`.
    CarrierTalks { call: u32, remote: SocketAddr },
    /// The department has its ACK; its calls count from zero in the order of their INVITEs.
    DepartmentTalks { call: u32, remote: SocketAddr },
    /// The carrier's BYE was answered, or its INVITE refused.
    Over { call: u32 },
}

/// What a run of calls came to.
#[derive(Debug, Default)]
pub struct Figures {
    pub placed: u32,
    pub answered: u32,
    /// Calls that both ends saw come and go.
    pub completed: u32,
    /// Final answers other than 200, by status.
    pub refused: BTreeMap<u16, u32>,
    /// Messages that came more than once.
    pub repeated: u32,
    /// INVITE to 200 in microseconds.
    pub set_up_us: Vec<u32>,
    /// INVITE to another final answer in microseconds.
    pub refused_us: Vec<u32>,
}

/// The carrier's and the department's sockets and all their calls.
pub struct Ends {
    places: Places,
    run: String,
    carrier: UdpSocket,
    department: UdpSocket,
    poll: Poll,
    calls: Vec<Call>,
    dialogs: BTreeMap<String, Dialog>,
    events: VecDeque<Event>,
    /// Room for one packet; empty while it is in use.
    packet: Vec<u8>,
    pub figures: Figures,
}

enum Call {
    Calling { since: Instant },
    Talking { to: String, contact: String },
    Closing,
    Over,
}

struct Dialog {
    call: u32,
    answer: String,
    remote: SocketAddr,
    is_acknowledged: bool,
}

impl Ends {
    /// Binds both ends; `run` keeps this run's calls apart from any earlier ones at the same server.
    ///
    /// # Errors
    /// When an address is taken.
    pub fn open(places: Places, run: &str) -> io::Result<Self> {
        let poll = Poll::new()?;
        let (carrier, department) = (bind(places.carrier)?, bind(places.department)?);
        poll.add(&carrier, 0)?;
        poll.add(&department, 1)?;
        Ok(Self {
            places,
            run: run.to_owned(),
            carrier,
            department,
            poll,
            calls: Vec::new(),
            dialogs: BTreeMap::new(),
            events: VecDeque::new(),
            packet: vec![0; 65_536],
            figures: Figures::default(),
        })
    }

    /// The carrier dials once more.
    ///
    /// # Errors
    /// When the kernel refuses the packet.
    pub fn dial(&mut self) -> io::Result<()> {
        let call = u32::try_from(self.calls.len()).map_err(io::Error::other)?;
        let invite = self.carrier_call(call)?.invite();
        self.calls.push(Call::Calling {
            since: Instant::now(),
        });
        self.figures.placed += 1;
        self.carrier
            .send_to(invite.as_bytes(), self.places.server)
            .map(drop)
    }

    /// The carrier hangs up a call that talks; any other is left alone.
    ///
    /// # Errors
    /// When the kernel refuses the packet.
    pub fn hang_up(&mut self, call: u32) -> io::Result<()> {
        let index = usize::try_from(call).map_err(io::Error::other)?;
        let Some(Call::Talking { to, contact }) = self.calls.get(index) else {
            return Ok(());
        };
        let bye = self.carrier_call(call)?.within("BYE", 2, to, contact);
        self.calls[index] = Call::Closing;
        self.carrier
            .send_to(bye.as_bytes(), self.places.server)
            .map(drop)
    }

    /// Takes in what arrives until `until`, or until something happened that [`Ends::poll_event`] tells.
    ///
    /// # Errors
    /// When a socket fails.
    pub fn listen(&mut self, until: Instant) -> io::Result<()> {
        let mut packet = std::mem::take(&mut self.packet);
        let listened = self.listen_into(&mut packet, until);
        self.packet = packet;
        listened
    }

    fn listen_into(&mut self, packet: &mut [u8], until: Instant) -> io::Result<()> {
        loop {
            let patience = until.saturating_duration_since(Instant::now());
            let mut readable = [false; 2];
            self.poll
                .wait(patience.min(Duration::from_millis(100)), |number| {
                    readable[usize::from(number == 1)] = true;
                    Ok(())
                })?;
            if readable[0] {
                while let Some(text) = receive(&self.carrier, packet)? {
                    self.carrier_hears(text)?;
                }
            }
            if readable[1] {
                while let Some(text) = receive(&self.department, packet)? {
                    self.department_hears(text)?;
                }
            }
            if patience.is_zero() || !self.events.is_empty() {
                return Ok(());
            }
        }
    }

    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Calls that still wait for something.
    #[must_use]
    pub fn open_count(&self) -> usize {
        self.calls
            .iter()
            .filter(|call| !matches!(call, Call::Over))
            .count()
    }

    fn carrier_hears(&mut self, text: &str) -> io::Result<()> {
        let Some(status) = sip_text::status(text) else {
            return self.carrier_is_asked(text);
        };
        let id = sip_text::header(text, "Call-ID")
            .and_then(|id| id.strip_suffix(&self.run_suffix())?.parse().ok());
        let Some(call): Option<u32> = id else {
            return Ok(());
        };
        let index = usize::try_from(call).map_err(io::Error::other)?;
        let is_invite = sip_text::header(text, "CSeq").is_some_and(|cseq| cseq.ends_with("INVITE"));
        match self.calls.get(index) {
            Some(Call::Calling { since }) if is_invite && status >= 200 => {
                let took_us = u32::try_from(since.elapsed().as_micros()).unwrap_or(u32::MAX);
                self.invite_is_answered(call, index, status, text, took_us)
            }
            Some(Call::Talking { .. } | Call::Closing | Call::Over)
                if is_invite && status >= 200 =>
            {
                self.figures.repeated += 1;
                self.acknowledge(call, text)
            }
            Some(Call::Closing) if status >= 200 => {
                self.calls[index] = Call::Over;
                self.figures.completed += u32::from(status == 200);
                self.events.push_back(Event::Over { call });
                Ok(())
            }
            // A provisional answer, or one more of what has been settled.
            Some(_) | None => Ok(()),
        }
    }

    fn invite_is_answered(
        &mut self,
        call: u32,
        index: usize,
        status: u16,
        text: &str,
        took_us: u32,
    ) -> io::Result<()> {
        self.acknowledge(call, text)?;
        if status != 200 {
            self.calls[index] = Call::Over;
            *self.figures.refused.entry(status).or_default() += 1;
            self.figures.refused_us.push(took_us);
            self.events.push_back(Event::Over { call });
            return Ok(());
        }
        let (to, contact) = to_and_contact(text)?;
        self.calls[index] = Call::Talking { to, contact };
        self.figures.answered += 1;
        self.figures.set_up_us.push(took_us);
        let remote = sip_text::media(text)
            .ok_or_else(|| io::Error::other("a 200 to INVITE has no SDP, expected an answer"))?;
        self.events.push_back(Event::CarrierTalks { call, remote });
        Ok(())
    }

    fn acknowledge(&self, call: u32, text: &str) -> io::Result<()> {
        let call = self.carrier_call(call)?;
        let (to, contact) = to_and_contact(text)?;
        let is_refusal = sip_text::status(text).is_some_and(|status| status >= 300);
        let ack = if is_refusal {
            call.acknowledge_refusal(&to)
        } else {
            call.within("ACK", 1, &to, &contact)
        };
        self.carrier
            .send_to(ack.as_bytes(), self.places.server)
            .map(drop)
    }

    /// The server hangs up towards the carrier, as it does after a prompt that ends a call.
    fn carrier_is_asked(&self, text: &str) -> io::Result<()> {
        let ok = sip_text::answer(text, "200 OK", "c", self.places.carrier, "");
        self.carrier
            .send_to(ok.as_bytes(), self.places.server)
            .map(drop)
    }

    fn department_hears(&mut self, text: &str) -> io::Result<()> {
        let id = sip_text::header(text, "Call-ID").unwrap_or_default();
        let method = text.split(' ').next().unwrap_or_default();
        match (method, self.dialogs.get_mut(id)) {
            ("INVITE", None) => {
                let call = u32::try_from(self.dialogs.len()).map_err(io::Error::other)?;
                let media = self.media(self.places.department_media, call)?;
                let answer = sip_text::answer(
                    text,
                    "200 OK",
                    &format!("d{call}"),
                    self.places.department,
                    &sip_text::sdp(media),
                );
                let remote = sip_text::media(text)
                    .ok_or_else(|| io::Error::other("an INVITE has no SDP, expected an offer"))?;
                self.department
                    .send_to(answer.as_bytes(), self.places.server)?;
                self.dialogs.insert(
                    id.to_owned(),
                    Dialog {
                        call,
                        answer,
                        remote,
                        is_acknowledged: false,
                    },
                );
            }
            ("INVITE", Some(dialog)) => {
                self.figures.repeated += 1;
                self.department
                    .send_to(dialog.answer.as_bytes(), self.places.server)?;
            }
            ("ACK", Some(dialog)) if !dialog.is_acknowledged => {
                dialog.is_acknowledged = true;
                self.events.push_back(Event::DepartmentTalks {
                    call: dialog.call,
                    remote: dialog.remote,
                });
            }
            ("ACK", _) | ("SIP/2.0", _) => {}
            (_, _) => {
                let ok = sip_text::answer(text, "200 OK", "d", self.places.department, "");
                self.department.send_to(ok.as_bytes(), self.places.server)?;
            }
        }
        Ok(())
    }

    fn carrier_call(&self, call: u32) -> io::Result<CarrierCall<'_>> {
        let Places {
            carrier,
            server,
            carrier_media,
            ..
        } = self.places;
        Ok(CarrierCall {
            run: &self.run,
            call,
            carrier,
            server,
            media: self.media(carrier_media, call)?,
        })
    }

    fn media(&self, first: SocketAddr, call: u32) -> io::Result<SocketAddr> {
        let index =
            u16::try_from(call % u32::from(self.places.media_count)).map_err(io::Error::other)?;
        Ok(step(first, index))
    }

    fn run_suffix(&self) -> String {
        format!("-{}@{}", self.run, self.places.carrier.ip())
    }
}

impl Figures {
    /// The set-up time that a share of all calls did not exceed.
    #[must_use]
    pub fn set_up(&self, percent: usize) -> Duration {
        percentile(&self.set_up_us, percent)
    }
}

/// The time that a share of all did not exceed; zero of none.
#[must_use]
pub fn percentile(times_us: &[u32], percent: usize) -> Duration {
    let mut sorted = times_us.to_vec();
    sorted.sort_unstable();
    let index = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    Duration::from_micros(sorted.get(index).copied().unwrap_or(0).into())
}

fn to_and_contact(text: &str) -> io::Result<(String, String)> {
    let to =
        sip_text::header(text, "To").ok_or_else(|| io::Error::other("a response has no To"))?;
    let contact = sip_text::header(text, "Contact").and_then(sip_text::uri);
    Ok((to.to_owned(), contact.unwrap_or_default().to_owned()))
}

fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(address)?;
    SockRef::from(&socket).set_recv_buffer_size(RECEIVE_BUFFER_BYTES)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn receive<'packet>(
    socket: &UdpSocket,
    packet: &'packet mut [u8],
) -> io::Result<Option<&'packet str>> {
    match socket.recv(packet) {
        Ok(length) => str::from_utf8(&packet[..length])
            .map(Some)
            .map_err(io::Error::other),
        Err(refusal)
            if matches!(
                refusal.kind(),
                io::ErrorKind::WouldBlock | io::ErrorKind::ConnectionRefused
            ) =>
        {
            Ok(None)
        }
        Err(refusal) => Err(refusal),
    }
}
