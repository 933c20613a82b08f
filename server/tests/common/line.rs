//! The way by which a telephone's SIP goes: a UDP socket, a TCP connection, or OpenSSL's own programs.

use std::{
    io::{Read, Write},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    process::{Child, Command, Stdio},
    sync::{
        Mutex,
        mpsc::{Receiver, Sender, channel},
    },
    thread,
    time::Duration,
};

/// A way for SIP.
pub(crate) enum Line {
    Datagrams(UdpSocket),
    Stream(Stream),
}

/// A connection, or a place where one is awaited.
pub(crate) struct Stream {
    own: SocketAddr,
    transport: &'static str,
    heard: Mutex<Receiver<String>>,
    mouth: Mutex<Mouth>,
    /// OpenSSL's program, where one carries the octets.
    program: Option<Child>,
}

enum Mouth {
    Open(Box<dyn Write + Send>),
    /// Nobody has called yet; the connection comes from the ear's thread.
    Awaited(Receiver<TcpStream>),
}

impl Line {
    /// Calls the house over TCP, from an address.
    pub(crate) fn tcp_to(address: IpAddr, house: SocketAddr) -> Line {
        let domain = socket2::Domain::for_address(house);
        let socket = socket2::Socket::new(domain, socket2::Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::new(address, 0).into()).unwrap();
        socket.connect(&house.into()).unwrap();
        let stream = TcpStream::from(socket);
        let (own, ear) = (stream.local_addr().unwrap(), stream.try_clone().unwrap());
        Line::Stream(Stream::new(
            own,
            "TCP",
            ear,
            Mouth::Open(Box::new(stream)),
            None,
        ))
    }

    /// Waits for the house to call over TCP.
    pub(crate) fn tcp_at(own: SocketAddr) -> Line {
        let listener = TcpListener::bind(own).unwrap();
        let (connected, mouth) = channel();
        let (say, heard) = channel();
        thread::spawn(move || {
            if let Ok((stream, _)) = listener.accept() {
                let _ = connected.send(stream.try_clone().unwrap());
                part(stream, &say);
            }
        });
        Line::Stream(Stream {
            own,
            transport: "TCP",
            heard: Mutex::new(heard),
            mouth: Mutex::new(Mouth::Awaited(mouth)),
            program: None,
        })
    }

    /// OpenSSL's `s_client` or `s_server` carries the octets.
    pub(crate) fn openssl(own: SocketAddr, arguments: &[&str]) -> Line {
        let mut program = Command::new("openssl")
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("openssl is there");
        let (ear, mouth) = (
            program.stdout.take().unwrap(),
            program.stdin.take().unwrap(),
        );
        Line::Stream(Stream::new(
            own,
            "TLS",
            ear,
            Mouth::Open(Box::new(mouth)),
            Some(program),
        ))
    }

    pub(crate) fn own(&self) -> SocketAddr {
        match self {
            Line::Datagrams(socket) => socket.local_addr().unwrap(),
            Line::Stream(stream) => stream.own,
        }
    }

    /// As a Via names it.
    pub(crate) fn transport(&self) -> &'static str {
        match self {
            Line::Datagrams(_) => "UDP",
            Line::Stream(stream) => stream.transport,
        }
    }

    /// As a Contact names it.
    pub(crate) fn parameter(&self) -> &'static str {
        match self.transport() {
            "TCP" => ";transport=tcp",
            "TLS" => ";transport=tls",
            _ => "",
        }
    }

    pub(crate) fn say(&self, text: &str, to: SocketAddr) {
        match self {
            Line::Datagrams(socket) => drop(socket.send_to(text.as_bytes(), to).unwrap()),
            Line::Stream(stream) => {
                let mut mouth = stream.mouth.lock().unwrap();
                if let Mouth::Awaited(connected) = &*mouth {
                    let stream = connected
                        .recv_timeout(super::PATIENCE)
                        .expect("the house calls");
                    *mouth = Mouth::Open(Box::new(stream));
                }
                if let Mouth::Open(mouth) = &mut *mouth {
                    mouth.write_all(text.as_bytes()).unwrap();
                    mouth.flush().unwrap();
                }
            }
        }
    }

    /// The next message, and whom to answer.
    pub(crate) fn hear(&self, patience: Duration) -> Option<(String, SocketAddr)> {
        match self {
            Line::Datagrams(socket) => {
                let mut bytes = [0; 65_535];
                socket.set_read_timeout(Some(patience)).unwrap();
                // RTCP goes to the port beside a voice's, and that is by chance this one where many telephones are open.
                loop {
                    let (length, from) = socket.recv_from(&mut bytes).ok()?;
                    if let Ok(text) = String::from_utf8(bytes[..length].to_vec()) {
                        return Some((text, from));
                    }
                }
            }
            Line::Stream(stream) => {
                let heard = stream.heard.lock().unwrap();
                let text = heard.recv_timeout(patience).ok()?;
                Some((text, stream.own))
            }
        }
    }
}

impl Stream {
    fn new(
        own: SocketAddr,
        transport: &'static str,
        ear: impl Read + Send + 'static,
        mouth: Mouth,
        program: Option<Child>,
    ) -> Stream {
        let (say, heard) = channel();
        thread::spawn(move || part(ear, &say));
        Stream {
            own,
            transport,
            heard: Mutex::new(heard),
            mouth: Mutex::new(mouth),
            program,
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if let Some(mut program) = self.program.take() {
            // It may have ended already.
            let _ = program.kill();
            let _ = program.wait();
        }
    }
}

/// Parts a stream into messages by their Content-Length; signs of life are passed over.
fn part(mut ear: impl Read, say: &Sender<String>) {
    let mut octets = Vec::new();
    let mut portion = [0; 4_096];
    while let Ok(length @ 1..) = ear.read(&mut portion) {
        octets.extend_from_slice(&portion[..length]);
        loop {
            let empty = octets
                .iter()
                .take_while(|octet| b"\r\n".contains(octet))
                .count();
            octets.drain(..empty);
            let Some(head) = octets.windows(4).position(|four| four == b"\r\n\r\n") else {
                break;
            };
            let text = String::from_utf8(octets[..head + 4].to_vec()).unwrap();
            let length = text
                .lines()
                .find_map(|line| line.strip_prefix("Content-Length: "))
                .map_or(0, |length| length.trim().parse::<usize>().unwrap());
            if octets.len() < head + 4 + length {
                break;
            }
            let whole: Vec<u8> = octets.drain(..head + 4 + length).collect();
            if say.send(String::from_utf8(whole).unwrap()).is_err() {
                return;
            }
        }
    }
}
