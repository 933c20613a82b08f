//! Digest: shows a peer that we know a password without saying it.
//!
//! It reads challenges, chooses one and answers it; whom to answer at all is [`Endpoint`](crate::Endpoint)'s to say.
//! Follows RFC 7616 and RFC 8760, and RFC 2069's form for challenges without `qop`. Start at [`Challenge::choose`].

use std::fmt;

use md5::Md5;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::{lexis, message::Message, peer::Credentials};

/// The longest nonce or opaque that is kept.
const MAX_PART_BYTES: usize = 1024; // Law 5; ours to repeat in each request.

/// Who asks: the element that was called, or a proxy before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Asker {
    /// 401 and Authorization.
    Callee,
    /// 407 and Proxy-Authorization.
    Proxy,
}

impl Asker {
    pub(crate) fn of(status: u16) -> Option<Asker> {
        match status {
            401 => Some(Asker::Callee),
            407 => Some(Asker::Proxy),
            _ => None,
        }
    }

    fn challenge(self) -> &'static str {
        match self {
            Asker::Callee => "WWW-Authenticate",
            Asker::Proxy => "Proxy-Authenticate",
        }
    }

    /// The header that answers.
    pub(crate) fn header(self) -> &'static str {
        match self {
            Asker::Callee => "Authorization",
            Asker::Proxy => "Proxy-Authorization",
        }
    }
}

/// From the weakest to the strongest; what is not here is not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Algorithm {
    Md5,
    Md5Session,
    Sha256,
    Sha256Session,
}

impl Algorithm {
    fn read(name: &str) -> Option<Algorithm> {
        [
            ("MD5", Algorithm::Md5),
            ("MD5-sess", Algorithm::Md5Session),
            ("SHA-256", Algorithm::Sha256),
            ("SHA-256-sess", Algorithm::Sha256Session),
        ]
        .into_iter()
        .find_map(|(known, algorithm)| known.eq_ignore_ascii_case(name).then_some(algorithm))
    }

    fn hash(self, parts: &[&str]) -> Zeroizing<String> {
        match self {
            Algorithm::Md5 | Algorithm::Md5Session => hash::<Md5>(parts),
            Algorithm::Sha256 | Algorithm::Sha256Session => hash::<Sha256>(parts),
        }
    }

    fn is_session(self) -> bool {
        match self {
            Algorithm::Md5Session | Algorithm::Sha256Session => true,
            Algorithm::Md5 | Algorithm::Sha256 => false,
        }
    }
}

/// What a peer asks us to prove. `Debug` shows its shape only.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Challenge {
    pub(crate) asker: Asker,
    algorithm: Algorithm,
    /// The algorithm as it was written; it is repeated only if it was.
    algorithm_name: Option<String>,
    realm: String,
    nonce: String,
    opaque: Option<String>,
    qop: Qop,
    pub(crate) freshness: Freshness,
}

/// Whether the answer counts its uses (RFC 7616 section 3.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Qop {
    /// RFC 2069: nothing is counted.
    Unsaid,
    Auth,
}

/// What a challenge says of the answer before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Freshness {
    /// Nothing: there was none, or it was wrong.
    Unsaid,
    /// It was right and came too late: the same password with this nonce will do.
    Stale,
}

impl Challenge {
    /// The strongest challenge of an answer that is for `realm`; none for all others (T-09).
    pub(crate) fn choose(answer: &Message, realm: &str) -> Option<Challenge> {
        let asker = Asker::of(answer.status()?)?;
        let mut chosen: Option<Challenge> = None;
        for value in answer.named(asker.challenge()) {
            for challenge in read(&value, asker) {
                let is_stronger = chosen
                    .as_ref()
                    .is_none_or(|chosen| chosen.algorithm < challenge.algorithm);
                if challenge.realm == realm && is_stronger {
                    chosen = Some(challenge);
                }
            }
        }
        chosen
    }

    /// Whether two are for the same nonce: answering it again would be no better.
    pub(crate) fn has_nonce_of(&self, other: &Challenge) -> bool {
        self.nonce == other.nonce
    }

    /// The value of the header that answers; `count` says how often this nonce has been answered, this time included.
    ///
    /// Source: RFC 7616 sections 3.4.1 to 3.4.3.
    pub(crate) fn answer(
        &self,
        credentials: &Credentials,
        method: &str,
        uri: &str,
        cnonce: &str,
        count: u32,
    ) -> String {
        let algorithm = self.algorithm;
        let (realm, nonce) = (&self.realm, &self.nonce);
        let mut secret = algorithm.hash(&[&credentials.user, realm, &credentials.password]);
        if algorithm.is_session() {
            secret = algorithm.hash(&[&secret, nonce, cnonce]);
        }
        let asked = algorithm.hash(&[method, uri]);
        let count = format!("{count:08x}");
        let response = match self.qop {
            Qop::Unsaid => algorithm.hash(&[&secret, nonce, &asked]),
            Qop::Auth => algorithm.hash(&[&secret, nonce, &count, cnonce, "auth", &asked]),
        };
        let user = escaped(&credentials.user);
        let mut value = format!(
            "Digest username=\"{user}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{uri}\", response=\"{}\"",
            *response
        );
        if let Some(name) = &self.algorithm_name {
            value.push_str(&format!(", algorithm={name}"));
        }
        if self.qop == Qop::Auth {
            value.push_str(&format!(", qop=auth, nc={count}, cnonce=\"{cnonce}\""));
        }
        if let Some(opaque) = &self.opaque {
            value.push_str(&format!(", opaque=\"{opaque}\""));
        }
        value
    }
}

impl fmt::Debug for Challenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Challenge")
            .field("asker", &self.asker)
            .field("algorithm", &self.algorithm)
            .field("qop", &self.qop)
            .field("freshness", &self.freshness)
            .finish_non_exhaustive()
    }
}

/// The challenges of one header that we can answer; several may stand in it, each after the name of its scheme.
fn read(value: &str, asker: Asker) -> Vec<Challenge> {
    let mut challenges = Vec::new();
    let mut params: Option<Vec<(&str, &str)>> = None;
    for element in lexis::elements(value.as_bytes()) {
        let Ok(element) = std::str::from_utf8(element) else {
            continue;
        };
        let (name, param) = element.split_once('=').unwrap_or((element, ""));
        let (name, param) = (name.trim(), param.trim());
        let words = name.split_once(|letter: char| letter.is_ascii_whitespace());
        let is_scheme = words.is_some() || !element.contains('=');
        if is_scheme {
            challenges.extend(params.take().and_then(|params| of(&params, asker)));
        }
        match words {
            Some((scheme, name)) if scheme.eq_ignore_ascii_case("Digest") => {
                params = Some(vec![(name.trim(), param)]);
            }
            Some(_) => {}
            None => {
                if let Some(params) = &mut params {
                    params.push((name, param));
                }
            }
        }
    }
    challenges.extend(params.and_then(|params| of(&params, asker)));
    challenges
}

fn of(params: &[(&str, &str)], asker: Asker) -> Option<Challenge> {
    // What stands in quotes is hashed and repeated as it stands, escapes and all.
    let param = |name: &str| {
        let (_, value) = params
            .iter()
            .find(|(found, _)| found.eq_ignore_ascii_case(name))?;
        let inner = value
            .strip_prefix('"')
            .and_then(|value| value.strip_suffix('"'));
        Some(inner.unwrap_or(value).to_owned())
    };
    let algorithm_name = param("algorithm");
    let algorithm = match &algorithm_name {
        Some(name) => Algorithm::read(name)?,
        None => Algorithm::Md5, // RFC 7616 section 3.3.
    };
    let qop = match param("qop") {
        None => Qop::Unsaid,
        Some(offered) => {
            let mut offered = offered.split(',').map(str::trim);
            let is_offered = offered.any(|qop| qop.eq_ignore_ascii_case("auth"));
            is_offered.then_some(Qop::Auth)?
        }
    };
    // A session's secret needs a cnonce, which stands only beside `qop`.
    if algorithm.is_session() && qop == Qop::Unsaid {
        return None;
    }
    let is_stale = param("stale").is_some_and(|stale| stale.eq_ignore_ascii_case("true"));
    let challenge = Challenge {
        asker,
        algorithm,
        algorithm_name,
        realm: param("realm")?,
        nonce: param("nonce")?,
        opaque: param("opaque"),
        qop,
        freshness: if is_stale {
            Freshness::Stale
        } else {
            Freshness::Unsaid
        },
    };
    let parts = [Some(&challenge.nonce), challenge.opaque.as_ref()];
    let is_short = parts
        .into_iter()
        .flatten()
        .all(|part| part.len() <= MAX_PART_BYTES);
    is_short.then_some(challenge)
}

/// The parts with a colon between them, hashed, in hexadecimal digits.
fn hash<Hash: Digest>(parts: &[&str]) -> Zeroizing<String> {
    let mut hasher = Hash::new();
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            hasher.update(b":");
        }
        hasher.update(part.as_bytes());
    }
    let digits = hasher
        .finalize()
        .iter()
        .map(|octet| format!("{octet:02x}"))
        .collect();
    Zeroizing::new(digits)
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

#[cfg(test)]
mod tests {
    // The examples of the RFCs, and servers that ask for more, less, or for somebody else's realm.
    use bytes::Bytes;

    use super::*;

    const REALM: &str = "http-auth@example.org";
    const NONCE: &str = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v";
    const CNONCE: &str = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
    const URI: &str = "/dir/index.html";

    fn mufasa(password: &str) -> Credentials {
        Credentials {
            realm: REALM.to_owned(),
            user: "Mufasa".to_owned(),
            password: password.to_owned(),
        }
    }

    fn refusal(status: u16, headers: &[&str]) -> Message {
        let headers: String = headers
            .iter()
            .map(|header| format!("{header}\r\n"))
            .collect();
        let text = format!(
            "SIP/2.0 {status} No\r\nVia: SIP/2.0/UDP a;branch=z9hG4bKa\r\nFrom: <sip:a@x>;tag=1\r\nTo: <sip:b@y>;tag=2\r\nCall-ID: c\r\nCSeq: 1 REGISTER\r\n{headers}\r\n"
        );
        Message::parse(Bytes::from(text)).unwrap()
    }

    fn challenge(more: &str) -> Option<Challenge> {
        let header = format!("WWW-Authenticate: Digest realm=\"{REALM}\", nonce=\"{NONCE}\"{more}");
        Challenge::choose(&refusal(401, &[&header]), REALM)
    }

    fn response(answer: &str) -> &str {
        let (_, rest) = answer.split_once("response=\"").unwrap();
        rest.split_once('"').unwrap().0
    }

    #[test]
    fn the_examples_of_rfc_7616_come_out() {
        // RFC 7616 section 3.9.1; the two of a session are of an independent reckoning (Python's hashlib).
        for (algorithm, expected) in [
            ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
            (
                "SHA-256",
                "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
            ),
            ("MD5-sess", "e783283f46242139c486a698fec7211d"),
            (
                "SHA-256-sess",
                "2fd51b3a77ad75bad6afad6003e818d767133c46d9e2749e7f5232ae1ea3efd7",
            ),
        ] {
            let more = format!(
                ", qop=\"auth, auth-int\", algorithm={algorithm}, opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\""
            );
            let answer =
                challenge(&more)
                    .unwrap()
                    .answer(&mufasa("Circle of Life"), "GET", URI, CNONCE, 1);
            assert_eq!(response(&answer), expected, "{algorithm}");
            let expected = format!(
                "Digest username=\"Mufasa\", realm=\"{REALM}\", nonce=\"{NONCE}\", uri=\"{URI}\", response=\"{expected}\", algorithm={algorithm}, qop=auth, nc=00000001, cnonce=\"{CNONCE}\", opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\""
            );
            assert_eq!(answer, expected);
        }
    }

    #[test]
    fn a_challenge_without_qop_is_answered_as_rfc_2069_has_it() {
        // RFC 2069 section 2.4, with the response of its erratum 749.
        let header = "Proxy-Authenticate: Digest realm=\"testrealm@host.com\", nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\", opaque=\"5ccc069c403ebaf9f0171e9517f40e41\"";
        let challenge = Challenge::choose(&refusal(407, &[header]), "testrealm@host.com").unwrap();
        assert_eq!(challenge.asker.header(), "Proxy-Authorization");
        let answer = challenge.answer(&mufasa("CircleOfLife"), "GET", URI, CNONCE, 1);
        assert_eq!(response(&answer), "1949323746fe6a43ef61f9606e7febea");
        assert!(
            !answer.contains("algorithm") && !answer.contains("nc=") && !answer.contains("cnonce")
        );
    }

    #[test]
    fn the_strongest_of_several_challenges_is_answered() {
        let of = |algorithm: &str, nonce: &str| {
            format!(
                "WWW-Authenticate: Digest realm=\"r\", nonce=\"{nonce}\", algorithm={algorithm}, qop=\"auth\""
            )
        };
        let headers = [
            of("MD5", "1"),
            of("SHA-512-256", "2"),
            of("sha-256", "3"),
            of("MD5", "4"),
        ];
        let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
        let chosen = Challenge::choose(&refusal(401, &headers), "r").unwrap();
        assert_eq!(
            (chosen.algorithm, chosen.nonce.as_str()),
            (Algorithm::Sha256, "3")
        );
        // In one header, beside another scheme.
        let header = "WWW-Authenticate: Basic realm=\"r\", Digest realm=\"r\" , nonce = \"1,a=\", Negotiate, digest nonce=\"2\",realm=\"r\",algorithm=SHA-256,stale=TRUE";
        let chosen = Challenge::choose(&refusal(401, &[header]), "r").unwrap();
        assert_eq!(
            (chosen.nonce.as_str(), chosen.freshness),
            ("2", Freshness::Stale)
        );
    }

    #[test]
    fn what_is_not_for_us_or_not_known_is_not_answered() {
        assert!(challenge("").is_some());
        for more in [
            ", qop=\"auth-int\"",
            ", algorithm=SHA-512-256",
            ", algorithm=token",
            ", algorithm=MD5-sess",
        ] {
            assert_eq!(challenge(more), None, "{more}");
        }
        let other = "WWW-Authenticate: Digest realm=\"elsewhere\", nonce=\"1\"";
        let proxy = "Proxy-Authenticate: Digest realm=\"r\", nonce=\"1\"";
        let long = format!(
            "WWW-Authenticate: Digest realm=\"r\", nonce=\"{}\"",
            "n".repeat(1025)
        );
        for (status, header) in [(401, other), (401, proxy), (403, other), (401, &long)] {
            assert_eq!(Challenge::choose(&refusal(status, &[header]), "r"), None);
        }
    }

    #[test]
    fn debug_shows_neither_nonce_nor_password() {
        let shown = format!("{:?} {:?}", challenge(""), mufasa("Circle of Life"));
        assert!(
            !shown.contains("7ypf") && !shown.contains("Circle") && !shown.contains("Mufasa"),
            "{shown}"
        );
    }
}
