//! What a registrar may answer, and when we ask again.

use bytes::Bytes;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::*;

/// A registrar, the clock and the dice.
struct Line {
    now: Instant,
    generator: ChaCha20Rng,
    registrar: Registrar,
    sent: u64,
}

impl Line {
    #[expect(clippy::disallowed_methods, reason = "a test needs a first instant")]
    fn new() -> Line {
        let now = Instant::now();
        let mut generator = ChaCha20Rng::seed_from_u64(5);
        let settings = Registration {
            registrar: "carrier.example".to_owned(),
            user: "line".to_owned(),
            expires: Duration::from_secs(3_600),
            contact_user: None,
        };
        Line {
            now,
            registrar: Registrar::new(now, settings, &mut generator),
            generator,
            sent: 0,
        }
    }

    /// Lets time pass until it asks; returns how long that took and what it asks for, in seconds.
    fn asks(&mut self) -> (u64, u64) {
        let before = self.now;
        if let Some((due, _)) = self.registrar.due() {
            self.now = self.now.max(due);
        }
        let expires = self
            .registrar
            .ask(self.now)
            .expect("it asks when it is due");
        self.sent += 1;
        self.registrar.asked(SentId(self.sent));
        assert_eq!(self.registrar.ask(self.now), None, "one question at a time");
        ((self.now - before).as_secs(), expires.as_secs())
    }

    fn hears(&mut self, status: u16, headers: &str) -> Option<News> {
        self.hears_of(1, status, headers)
    }

    fn hears_of(&mut self, places: usize, status: u16, headers: &str) -> Option<News> {
        let contact = self.registrar.contact_user().to_owned();
        let headers = headers.replace("OURS", &contact);
        let text = format!(
            "SIP/2.0 {status} X\r\nVia: SIP/2.0/UDP a;branch=z9hG4bKa\r\nFrom: <sip:a@x>;tag=1\r\nTo: <sip:a@x>;tag=2\r\n\
             Call-ID: c\r\nCSeq: 1 REGISTER\r\n{headers}\r\n"
        );
        let message = Message::parse(Bytes::from(text)).unwrap();
        assert!(self.registrar.expects(SentId(self.sent)));
        let generator = &mut self.generator;
        self.registrar
            .handle_answer(self.now, Ok((status, &message)), places, generator)
    }

    fn hears_nothing(&mut self) -> Option<News> {
        self.registrar
            .handle_answer(self.now, Err(Refused::Silent), 1, &mut self.generator)
    }
}

#[test]
fn what_is_granted_counts_and_not_what_was_asked() {
    let mut line = Line::new();
    assert_eq!(line.asks(), (0, 3_600));
    let contacts = "Contact: <sip:other@192.0.2.9>;expires=60, <sip:OURS@192.0.2.1:5060>;expires=1800\r\nExpires: 30\r\n";
    assert_eq!(line.hears(200, contacts), Some(News::Registered));
    assert_eq!(
        line.registrar.held_until(),
        Some(line.now + Duration::from_secs(1_800))
    );
    let (waited, _) = line.asks();
    assert!(
        (1_140..=1_200).contains(&waited),
        "600 s before its end or a little sooner: {waited}"
    );
    assert_eq!(
        line.hears(200, "Expires: 100\r\n"),
        None,
        "a refresh is no news"
    );
    let (waited, _) = line.asks();
    assert!(
        (45..=50).contains(&waited),
        "a short one at its half: {waited}"
    );
    assert_eq!(
        line.hears(200, "Contact: <sip:rewritten@192.0.2.77>\r\n"),
        None
    );
    assert_eq!(
        line.registrar.held_until(),
        Some(line.now + Duration::from_secs(3_600))
    );
}

#[test]
fn a_registrar_that_does_not_list_us_has_not_registered_us() {
    for contacts in [
        "Contact: <sip:one@192.0.2.9>, <sip:two@192.0.2.9>\r\n",
        "Contact: <sip:OURS@192.0.2.1>;expires=0\r\n",
    ] {
        let mut line = Line::new();
        line.asks();
        assert_eq!(
            line.hears(200, contacts),
            Some(News::Refused(Refused::NotListed))
        );
        assert!(!line.registrar.is_held());
        assert_eq!(line.registrar.numbers(), []);
    }
}

#[test]
fn an_interval_too_brief_is_asked_for_longer_at_once_and_only_once() {
    let mut line = Line::new();
    line.asks();
    assert_eq!(line.hears(423, "Min-Expires: 7200\r\n"), None);
    assert_eq!(line.asks(), (0, 7_200));
    let again = line.hears(423, "Min-Expires: 7200\r\n");
    assert_eq!(
        again,
        Some(News::Refused(Refused::Status(423))),
        "it contradicts itself"
    );
    let (waited, _) = line.asks();
    assert!(waited >= 30, "{waited}");
    let absurd = line.hears(423, "Min-Expires: 99999999\r\n");
    assert_eq!(absurd, None, "a row of failures is told once");
    assert!(line.asks().0 >= 30);
}

#[test]
fn an_interval_that_is_raised_again_and_again_is_asked_for_with_pauses() {
    let mut line = Line::new();
    line.asks();
    line.hears(423, "Min-Expires: 7200\r\n");
    assert_eq!(line.asks(), (0, 7_200));
    line.hears(423, "Min-Expires: 7201\r\n");
    let (waited, asked) = line.asks();
    assert!(waited >= 30 && asked == 7_201, "{waited} s, {asked} s");
}

#[test]
fn retry_after_is_obeyed_within_reason() {
    let mut line = Line::new();
    line.asks();
    line.hears(503, "Retry-After: 120 (maintenance)\r\n");
    let (waited, _) = line.asks();
    assert!((120..=132).contains(&waited), "{waited}");
    line.hears(503, "Retry-After: 31536000\r\n");
    let (waited, _) = line.asks();
    assert!((3_600..=3_960).contains(&waited), "{waited}");
}

#[test]
fn a_short_retry_after_comes_before_our_own_patience() {
    // The line is held for 40 s: whoever waits half a minute and longer loses it, though the registrar asked for 5 s.
    let mut line = Line::new();
    line.asks();
    line.hears(200, "Expires: 40\r\n");
    let until = line.registrar.held_until().unwrap();
    line.asks();
    let mut tries = 0;
    while line.now + Duration::from_secs(6) < until {
        line.hears(503, "Retry-After: 5\r\n");
        assert_eq!(line.asks().0, 5, "try {tries}");
        tries += 1;
    }
    assert!(tries >= 3, "{tries}");
    // Not held any more it is obeyed too, but nobody makes us ask without a pause.
    line.registrar.lapse(until);
    line.hears(503, "Retry-After: 5\r\n");
    assert_eq!(line.asks().0, 5);
    line.hears(503, "Retry-After: 0\r\n");
    assert_eq!(line.asks().0, 5);
    // Where the header is missing our own patience counts again.
    line.hears(503, "");
    assert!(line.asks().0 >= 30);
}

#[test]
fn failures_wait_ever_longer_and_never_in_step() {
    let mut line = Line::new();
    line.asks();
    assert_eq!(line.hears_nothing(), Some(News::Refused(Refused::Silent)));
    let mut waits = Vec::new();
    for _ in 0..9 {
        waits.push(line.asks().0);
        assert_eq!(line.hears(403, ""), None, "told once");
    }
    for (wait, longest) in waits
        .iter()
        .zip([60, 120, 240, 480, 960, 1_800, 1_800, 1_800, 1_800])
    {
        assert!((longest / 2..=longest).contains(wait), "{waits:?}");
    }
    line.asks();
    assert_eq!(line.hears(200, ""), Some(News::Registered));
    assert_eq!(line.registrar.failures(), 0);
}

#[test]
fn the_second_place_is_asked_before_we_wait() {
    let mut line = Line::new();
    line.asks();
    line.hears_of(2, 503, "");
    assert_eq!(line.asks().0, 0);
    line.hears_of(2, 503, "");
    assert!(line.asks().0 >= 30);
}

#[test]
fn a_registration_stands_while_its_refresh_fails_and_then_ends() {
    let mut line = Line::new();
    line.asks();
    line.hears(200, "Expires: 600\r\n");
    let until = line.registrar.held_until().unwrap();
    line.asks();
    assert_eq!(line.hears_nothing(), Some(News::Refused(Refused::Silent)));
    assert!(line.registrar.is_held());
    let mut asked = 0;
    while line.registrar.due().unwrap().0 < until {
        line.asks();
        line.hears(500, "");
        asked += 1;
    }
    assert!(asked >= 3, "it is asked again while it holds: {asked}");
    assert_eq!(line.registrar.lapse(until - Duration::from_millis(1)), None);
    assert_eq!(line.registrar.lapse(until), Some(News::Lapsed));
    assert!(!line.registrar.is_held());
}

#[test]
fn route_and_numbers_are_taken_and_forgotten_with_the_registration() {
    let mut line = Line::new();
    line.asks();
    line.hears(
        200,
        "Expires: 60\r\nService-Route: <sip:edge.carrier.example;lr>, <sip:home.carrier.example;lr>\r\n\
         P-Associated-URI: <sip:+81783331000@carrier.example>, <tel:+81783331001>, <sip:line@carrier.example>\r\n",
    );
    assert_eq!(
        line.registrar.service_route(),
        [
            "<sip:edge.carrier.example;lr>",
            "<sip:home.carrier.example;lr>"
        ]
    );
    let numbers: Vec<_> = line.registrar.numbers().iter().map(Number::e164).collect();
    assert_eq!(numbers, ["+81783331000", "+81783331001"]);
    let end = line.registrar.held_until().unwrap();
    line.registrar.lapse(end);
    assert!(line.registrar.service_route().is_empty() && line.registrar.numbers().is_empty());
}

#[test]
fn whoever_leaves_asks_for_no_time_and_then_never_again() {
    let mut line = Line::new();
    assert_eq!(line.registrar.leave(), None, "nothing was registered");
    let mut line = Line::new();
    line.asks();
    line.hears(200, "");
    assert_eq!(line.registrar.leave(), Some(Duration::ZERO));
    line.registrar.left(SentId(99));
    assert!(line.registrar.is_waiting());
    line.sent = 99;
    assert_eq!(line.hears(200, ""), None);
    assert!(!line.registrar.is_waiting() && !line.registrar.is_held());
    assert_eq!(line.registrar.due(), None);
}

#[test]
fn our_contact_cannot_be_guessed_unless_it_is_configured() {
    let mut generator = ChaCha20Rng::seed_from_u64(1);
    let one = Line::new().registrar.contact_user().to_owned();
    let other = random_user(&mut generator);
    assert_ne!(one, other);
    assert!(one.len() == CONTACT_LETTERS && one.bytes().all(|letter| letter.is_ascii_lowercase()));
}
