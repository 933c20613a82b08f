//! In this world the name system is one thread with a table, which may know nothing, or say nothing of some things.

use std::{
    net::UdpSocket,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use hickory_resolver::proto::{
    op::{Message, MessageType, ResponseCode},
    rr::{
        Record,
        rdata::{A, AAAA, SRV},
    },
};

use super::*;

/// A name server on this host.
struct Server {
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
}

type Zone = Vec<(&'static str, u32, RData)>;

impl Server {
    fn new(zone: Zone) -> Server {
        let socket = UdpSocket::bind("127.0.80.1:0").unwrap();
        let server = Server {
            address: socket.local_addr().unwrap(),
            asked: Arc::default(),
        };
        let asked = Arc::clone(&server.asked);
        thread::spawn(move || {
            let mut octets = [0; 4096];
            let (mut held, mut late_from) = (Vec::new(), None);
            while let Ok((length, from)) = socket.recv_from(&mut octets) {
                asked.fetch_add(1, Ordering::Relaxed);
                let question = Message::from_vec(&octets[..length]).unwrap();
                let query = &question.queries[0];
                let is_silent_about = [RecordType::NAPTR, RecordType::AAAA];
                let name = query.name().to_ascii();
                let is_half =
                    name == "half.example." && is_silent_about.contains(&query.query_type());
                if is_half || name == "terse.example." && query.query_type() == RecordType::NAPTR {
                    continue;
                }
                let is_late = name == "late.example." && query.query_type() == RecordType::A;
                if is_late && late_from.get_or_insert_with(Instant::now).elapsed() < 2 * GRACE {
                    continue;
                }
                let waits_for_all = name.ends_with("together.example.");
                held.push((question, from));
                if waits_for_all && held.len() < 4 {
                    continue;
                }
                for (question, from) in held.drain(..) {
                    let answer = answer_from(&zone, &question).to_vec().unwrap();
                    socket.send_to(&answer, from).unwrap();
                }
            }
        });
        server
    }
}

fn answer_from(zone: &Zone, question: &Message) -> Message {
    let query = question.queries[0].clone();
    let at_name = |name: &str| Name::from_ascii(name).unwrap() == *query.name();
    let records = zone
        .iter()
        .filter(|(name, _, data)| at_name(name) && data.record_type() == query.query_type())
        .map(|(name, ttl, data)| {
            Record::from_rdata(Name::from_ascii(name).unwrap(), *ttl, data.clone())
        });
    let mut answer = Message::response(question.metadata.id, question.metadata.op_code);
    answer.metadata.message_type = MessageType::Response;
    answer.metadata.recursion_available = true;
    answer.add_query(query.clone());
    answer.add_answers(records.collect::<Vec<_>>());
    // As many home gateways do, it knows how to be asked for A, and fails at everything else.
    if query.name().to_ascii().ends_with("gateway.example.") && query.query_type() != RecordType::A
    {
        answer.metadata.response_code = ResponseCode::ServFail;
    } else if !zone.iter().any(|(name, ..)| at_name(name)) {
        answer.metadata.response_code = ResponseCode::NXDomain;
    }
    answer
}

fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

fn naptr(order: u16, service: &str, replacement: &str) -> RData {
    let octets = |text: &str| text.as_bytes().to_vec().into_boxed_slice();
    RData::NAPTR(NAPTR::new(
        order,
        0,
        octets("s"),
        octets(service),
        octets(""),
        name(replacement),
    ))
}

fn srv(priority: u16, weight: u16, port: u16, target: &str) -> RData {
    RData::SRV(SRV::new(priority, weight, port, name(target)))
}

fn a(last: u8) -> RData {
    RData::A(A::new(192, 0, 2, last))
}

fn zone() -> Zone {
    vec![
        (
            "sip.example.",
            300,
            naptr(10, "SIPS+D2T", "_sips._tcp.elsewhere.example."),
        ),
        (
            "sip.example.",
            300,
            naptr(20, "SIP+D2U", "_sip._udp.pool.example."),
        ),
        (
            "_sip._udp.pool.example.",
            120,
            srv(10, 3, 5070, "one.example."),
        ),
        (
            "_sip._udp.pool.example.",
            120,
            srv(20, 1, 5080, "two.example."),
        ),
        (
            "_sip._tcp.sip.example.",
            300,
            srv(5, 0, 5090, "two.example."),
        ),
        (
            "_sips._tcp.elsewhere.example.",
            300,
            srv(0, 0, 5061, "one.example."),
        ),
        ("one.example.", 60, a(1)),
        (
            "one.example.",
            60,
            RData::AAAA(AAAA::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
        ),
        ("two.example.", 300, a(2)),
        ("gateway.example.", 300, a(3)),
        ("half.example.", 300, a(4)),
        ("late.example.", 300, a(6)),
        (
            "late.example.",
            300,
            RData::AAAA(AAAA::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 6)),
        ),
        ("terse.example.", 300, a(5)),
        (
            "_sip._udp.terse.example.",
            300,
            srv(1, 1, 5070, "terse.example."),
        ),
        (
            "together.example.",
            300,
            naptr(1, "SIP+D2U", "_sip._udp.together.example."),
        ),
        (
            "_sip._udp.together.example.",
            300,
            srv(1, 1, 5070, "two.example."),
        ),
        (
            "nothing.example.",
            300,
            naptr(1, "SIP+D2U", "_sip._udp.nothing.example."),
        ),
        ("_sip._udp.nothing.example.", 300, srv(0, 0, 0, ".")),
    ]
}

/// Enough for a server on this host that answers at all.
const SHORT_PATIENCE: Duration = Duration::from_millis(200);

fn question(host: &str, port: Option<u16>, transport: Transport) -> Question {
    Question {
        peer: "carrier".to_owned(),
        host: host.to_owned(),
        port,
        transport,
    }
}

/// Asks, and returns each place as `ADDRESS priority/weight`, with all that was found.
fn ask(server: SocketAddr, questions: &[Question]) -> Vec<(Vec<String>, Found)> {
    ask_with(PATIENCE, server, questions)
}

fn ask_with(
    patience: Duration,
    server: SocketAddr,
    questions: &[Question],
) -> Vec<(Vec<String>, Found)> {
    in_runtime(async {
        let (words, mut heard) = mpsc::channel(16);
        let resolver = Resolver::begin(Some(server), patience, words);
        let mut answers = Vec::new();
        for question in questions {
            resolver.ask(question.clone());
            let answer = next(&mut heard).await;
            assert_eq!(answer.question, *question);
            answers.push((shown(&answer), answer.found));
        }
        answers
    })
}

/// So many answers to one question.
fn hear(count: usize, patience: Duration, server: SocketAddr, question: &Question) -> Vec<Answer> {
    in_runtime(async {
        let (words, mut heard) = mpsc::channel(16);
        Resolver::begin(Some(server), patience, words).ask(question.clone());
        let mut answers = Vec::new();
        while answers.len() < count {
            answers.push(next(&mut heard).await);
        }
        answers
    })
}

fn in_runtime<T>(asking: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().build().unwrap().block_on(asking)
}

async fn next(heard: &mut mpsc::Receiver<Word>) -> Answer {
    let heard = tokio::time::timeout(Duration::from_secs(40), heard.recv());
    let Some(Word::Resolved(answer)) = heard.await.unwrap() else {
        panic!("no answer");
    };
    answer
}

fn shown(answer: &Answer) -> Vec<String> {
    let places = answer.found.places.iter();
    let shown = places.map(|place| {
        assert_eq!(place.transport, answer.question.transport);
        format!("{} {}/{}", place.address, place.priority, place.weight)
    });
    shown.collect()
}

#[test]
fn the_transport_of_the_peer_decides_which_records_are_followed() {
    let server = Server::new(zone());
    let ways = [Transport::Udp, Transport::Tcp, Transport::Tls];
    let questions = ways.map(|transport| question("sip.example", None, transport));
    let answers = ask(server.address, &questions);
    assert_eq!(
        answers[0].0,
        [
            "192.0.2.1:5070 10/3",
            "[2001:db8::1]:5070 10/3",
            "192.0.2.2:5080 20/1"
        ],
        "NAPTR, SRV, addresses"
    );
    let ttl_s = answers[0].1.ttl.as_secs();
    assert!(
        (58..=60).contains(&ttl_s),
        "the shortest time to live: {ttl_s}"
    );
    assert_eq!(answers[0].1.extent, Extent::Whole);
    assert_eq!(
        answers[1].0,
        ["192.0.2.2:5090 5/0"],
        "SRV under the usual name"
    );
    assert_eq!(
        answers[2].0,
        ["192.0.2.1:5061 0/0", "[2001:db8::1]:5061 0/0"]
    );
}

#[test]
fn a_port_or_a_name_without_services_asks_for_addresses_alone() {
    let server = Server::new(zone());
    let answers = ask(
        server.address,
        &[
            question("sip.example", Some(5062), Transport::Udp),
            question("two.example", Some(5062), Transport::Udp),
            question("two.example.", None, Transport::Tls),
            question("192.0.2.9", None, Transport::Tcp),
        ],
    );
    let places: Vec<_> = answers.into_iter().map(|(places, _)| places).collect();
    let expected: [&[&str]; 4] = [
        &[],
        &["192.0.2.2:5062 0/0"],
        &["192.0.2.2:5061 0/0"],
        &["192.0.2.9:5060 0/0"],
    ];
    assert_eq!(places, expected);
}

#[test]
fn a_name_that_is_not_there_or_takes_no_calls_leads_nowhere() {
    let server = Server::new(zone());
    let answers = ask(
        server.address,
        &[
            question("nobody.example", None, Transport::Udp),
            question("nothing.example", None, Transport::Udp),
            question("not a name", None, Transport::Udp),
        ],
    );
    assert!(
        answers.iter().all(|(places, _)| places.is_empty()),
        "{answers:?}"
    );
}

#[test]
fn a_server_that_says_nothing_is_an_answer_of_nowhere() {
    let silent = UdpSocket::bind("127.0.80.2:0").unwrap();
    let answers = ask_with(
        SHORT_PATIENCE,
        silent.local_addr().unwrap(),
        &[question("sip.example", None, Transport::Udp)],
    );
    assert_eq!(answers[0].0, [""; 0]);
}

#[test]
fn everything_that_may_be_needed_is_asked_at_once_and_judged_in_order() {
    // This server answers nothing before it has been asked for NAPTR, SRV, A and AAAA.
    let server = Server::new(zone());
    let together = question("together.example", None, Transport::Udp);
    let answers = ask(server.address, &[together]);
    assert_eq!(answers[0].0, ["192.0.2.2:5070 1/1"]);
}

#[test]
fn a_server_that_is_silent_about_some_records_is_asked_again_soon_for_all() {
    let server = Server::new(zone());
    let half = question("half.example", None, Transport::Udp);
    let answers = ask_with(SHORT_PATIENCE, server.address, &[half]);
    assert_eq!(answers[0].0, ["192.0.2.4:5060 0/0"]);
    assert_eq!(answers[0].1.extent, Extent::InPart);
}

#[test]
fn a_server_that_is_silent_about_naptr_holds_nobody_up() {
    // Whoever waited for NAPTR would hear nothing before this test gives up.
    let patience = Duration::from_secs(300);
    let server = Server::new(zone());
    let terse = question("terse.example", None, Transport::Udp);
    let answers = ask_with(patience, server.address, &[terse]);
    assert_eq!(answers[0].0, ["192.0.2.5:5070 1/1"]);
    assert_eq!(answers[0].1.extent, Extent::InPart);
}

#[test]
fn a_server_that_is_silent_about_one_family_of_addresses_holds_nobody_up() {
    // Whoever waited for AAAA would hear nothing before this test gives up.
    let patience = Duration::from_secs(300);
    let server = Server::new(zone());
    let half = question("half.example", Some(5060), Transport::Udp);
    let answers = ask_with(patience, server.address, &[half]);
    assert_eq!(answers[0].0, ["192.0.2.4:5060 0/0"]);
    assert_eq!(answers[0].1.extent, Extent::InPart);
}

#[test]
fn what_was_not_waited_for_is_asked_for_once_more_and_follows() {
    // It may be the only family of addresses that can be reached from here.
    let server = Server::new(zone());
    let late = question("late.example", Some(5060), Transport::Udp);
    let answers = hear(2, PATIENCE, server.address, &late);
    assert_eq!(shown(&answers[0]), ["[2001:db8::6]:5060 0/0"]);
    assert_eq!(answers[0].found.extent, Extent::InPart);
    assert_eq!(
        shown(&answers[1]),
        ["192.0.2.6:5060 0/0", "[2001:db8::6]:5060 0/0"]
    );
    assert_eq!(answers[1].found.extent, Extent::Whole);
}

#[test]
fn a_name_is_asked_for_once_in_its_time_to_live() {
    let server = Server::new(zone());
    let again = question("one.example", Some(5060), Transport::Udp);
    let answers = ask(server.address, &[again.clone(), again.clone(), again]);
    assert!(answers.iter().all(|(places, _)| places.len() == 2));
    assert_eq!(
        server.asked.load(Ordering::Relaxed),
        2,
        "A and AAAA, once each"
    );
}

#[test]
fn what_fails_takes_nothing_from_what_is_found() {
    let server = Server::new(zone());
    let found = ask(
        server.address,
        &[question("gateway.example", None, Transport::Udp)],
    );
    assert_eq!(found[0].0, ["192.0.2.3:5060 0/0"]);
    assert_eq!(found[0].1.extent, Extent::InPart);
}
