//! Keys in session descriptions: the lines `a=crypto` (RFC 4568), with the suites of RFC 3711 and RFC 7714.
//!
//! Each side writes the key under which it sends. Keys print nothing of themselves and are wiped when dropped.

use std::fmt;

use base64::{
    Engine as _,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use rand_core::Rng;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// Lines of one stream that are read; the rest of a longer list is left. Verbose peers write eight.
pub const MAX_CRYPTO_LINES: usize = 16;
/// Key and salt of the largest suite (`AEAD_AES_256_GCM`).
const MAX_KEY_BYTES: usize = 44;
/// Octets of a master key identifier that we carry; real ones have one or four (RFC 4568 section 6.1 allows 128).
const MAX_MKI_BYTES: u8 = 16;
/// Some peers leave the padding out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// How packets are protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CryptoSuite {
    /// `AES_CM_128_HMAC_SHA1_80` (RFC 4568 section 6.2.1): what everyone has.
    AesCm128HmacSha1_80,
    /// `AES_CM_128_HMAC_SHA1_32` (RFC 4568 section 6.2.2): a shorter tag on RTP.
    AesCm128HmacSha1_32,
    /// `AEAD_AES_128_GCM` (RFC 7714 section 14.2).
    AeadAes128Gcm,
    /// `AEAD_AES_256_GCM` (RFC 7714 section 14.2).
    AeadAes256Gcm,
}

impl CryptoSuite {
    /// All that we have.
    pub const ALL: [CryptoSuite; 4] = [
        CryptoSuite::AeadAes256Gcm,
        CryptoSuite::AeadAes128Gcm,
        CryptoSuite::AesCm128HmacSha1_80,
        CryptoSuite::AesCm128HmacSha1_32,
    ];
    /// What our offers list, in this order: first what costs least (bench/RESULTS.md), then what everyone has. The short
    /// tag of `AES_CM_128_HMAC_SHA1_32` is taken where a peer offers nothing else.
    pub const OFFERED: [CryptoSuite; 3] = [
        CryptoSuite::AeadAes256Gcm,
        CryptoSuite::AeadAes128Gcm,
        CryptoSuite::AesCm128HmacSha1_80,
    ];

    /// The name in the line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            CryptoSuite::AesCm128HmacSha1_80 => "AES_CM_128_HMAC_SHA1_80",
            CryptoSuite::AesCm128HmacSha1_32 => "AES_CM_128_HMAC_SHA1_32",
            CryptoSuite::AeadAes128Gcm => "AEAD_AES_128_GCM",
            CryptoSuite::AeadAes256Gcm => "AEAD_AES_256_GCM",
        }
    }

    /// Octets of the master key.
    #[must_use]
    pub fn key_bytes(self) -> usize {
        match self {
            CryptoSuite::AeadAes256Gcm => 32,
            CryptoSuite::AesCm128HmacSha1_80
            | CryptoSuite::AesCm128HmacSha1_32
            | CryptoSuite::AeadAes128Gcm => 16,
        }
    }

    /// Octets of the master salt.
    #[must_use]
    pub fn salt_bytes(self) -> usize {
        match self {
            CryptoSuite::AesCm128HmacSha1_80 | CryptoSuite::AesCm128HmacSha1_32 => 14,
            CryptoSuite::AeadAes128Gcm | CryptoSuite::AeadAes256Gcm => 12,
        }
    }

    fn named(name: &str) -> Option<CryptoSuite> {
        CryptoSuite::ALL
            .into_iter()
            .find(|suite| name.eq_ignore_ascii_case(suite.name()))
    }
}

/// A master key with its salt, under which one side sends.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct CryptoKey {
    /// The number of the line: an answer names with it the line of the offer that it takes.
    #[zeroize(skip)]
    tag: u32,
    #[zeroize(skip)]
    suite: CryptoSuite,
    /// Key, then salt, then zeros.
    octets: [u8; MAX_KEY_BYTES],
}

impl CryptoKey {
    /// A new key. `random` must be seeded from the system's entropy.
    #[must_use]
    pub fn new(tag: u32, suite: CryptoSuite, random: &mut impl Rng) -> CryptoKey {
        let mut octets = [0; MAX_KEY_BYTES];
        random.fill_bytes(&mut octets[..suite.key_bytes() + suite.salt_bytes()]);
        CryptoKey { tag, suite, octets }
    }

    /// New keys for an offer: one for each suite, numbered from 1.
    #[must_use]
    pub fn offered(suites: &[CryptoSuite], random: &mut impl Rng) -> Vec<CryptoKey> {
        (1..)
            .zip(suites)
            .map(|(tag, &suite)| CryptoKey::new(tag, suite, random))
            .collect()
    }

    /// A new key for the answer that takes `line` of an offer (RFC 4568 section 5.1.2).
    #[must_use]
    pub fn answering(line: &CryptoLine, random: &mut impl Rng) -> CryptoKey {
        CryptoKey::new(line.key.tag, line.key.suite, random)
    }

    /// A key of known octets; `None` where they are not as many as the suite wants.
    #[must_use]
    pub fn of(tag: u32, suite: CryptoSuite, key: &[u8], salt: &[u8]) -> Option<CryptoKey> {
        if key.len() != suite.key_bytes() || salt.len() != suite.salt_bytes() {
            return None;
        }
        let mut octets = [0; MAX_KEY_BYTES];
        octets[..key.len()].copy_from_slice(key);
        octets[key.len()..key.len() + salt.len()].copy_from_slice(salt);
        Some(CryptoKey { tag, suite, octets })
    }

    /// The number of its line.
    #[must_use]
    pub fn tag(&self) -> u32 {
        self.tag
    }

    /// What it is a key of.
    #[must_use]
    pub fn suite(&self) -> CryptoSuite {
        self.suite
    }

    /// Whether both have the same octets, whatever their lines' numbers are.
    pub(crate) fn is_same_secret(&self, other: &CryptoKey) -> bool {
        self.suite == other.suite && self.octets == other.octets
    }

    pub(crate) fn master_key(&self) -> &[u8] {
        &self.octets[..self.suite.key_bytes()]
    }

    pub(crate) fn master_salt(&self) -> &[u8] {
        &self.octets[self.suite.key_bytes()..][..self.suite.salt_bytes()]
    }

    /// What stands behind `a=crypto:` (RFC 4568 section 9.1): no lifetime, no identifier, no parameters.
    pub(crate) fn line(&self) -> Zeroizing<String> {
        let octets = &self.octets[..self.suite.key_bytes() + self.suite.salt_bytes()];
        let inline = Zeroizing::new(BASE64.encode(octets));
        Zeroizing::new(format!(
            "{} {} inline:{}",
            self.tag,
            self.suite.name(),
            *inline
        ))
    }
}

impl fmt::Debug for CryptoKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("CryptoKey")
            .field("tag", &self.tag)
            .field("suite", &self.suite)
            .finish_non_exhaustive()
    }
}

/// A peer's line that we can use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CryptoLine {
    /// What the peer sends under.
    pub key: CryptoKey,
    /// What the peer puts into each packet to name the key, if it does.
    pub mki: Option<Mki>,
}

/// A master key identifier (RFC 3711 section 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mki {
    value: u128,
    bytes: u8,
}

impl Mki {
    /// Its octets in each packet.
    #[must_use]
    pub fn bytes(self) -> usize {
        usize::from(self.bytes)
    }

    /// Whether these octets of a packet are this one.
    #[must_use]
    pub fn is(self, octets: &[u8]) -> bool {
        let value = self.value.to_be_bytes();
        octets == &value[value.len() - self.bytes()..]
    }

    /// `value:length` (RFC 4568 section 9.2).
    fn read(text: &str) -> Option<Mki> {
        let (value, bytes) = text.split_once(':')?;
        let mki = Mki {
            value: value.parse().ok()?,
            bytes: bytes.parse().ok()?,
        };
        let bits = 8 * u32::from(mki.bytes);
        let fits =
            (1..=MAX_MKI_BYTES).contains(&mki.bytes) && 128 - mki.value.leading_zeros() <= bits;
        fits.then_some(mki)
    }
}

/// The keys of both ways of one stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crypto {
    /// What we send under.
    pub ours: CryptoKey,
    /// What the peer sends under.
    pub theirs: CryptoLine,
    /// How far the peer's numbers had come where its leg was before; a leg that is open counts for itself.
    pub counted: Option<Counted>,
}

/// How far the sequence numbers of a peer's secure stream have come (RFC 3711 section 3.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    /// The stream.
    pub ssrc: u32,
    /// How often its numbers have wrapped.
    pub rollover: u32,
    /// The newest number.
    pub newest: u16,
}

impl Counted {
    /// A quarter of all numbers: whoever knows a count that is no older tells every later wrap.
    const QUARTER_BITS: u32 = 14;

    /// Whether both stand in the same quarter of the same stream's same wrap.
    pub(crate) fn is_near(&self, other: &Counted) -> bool {
        let place = |counted: &Counted| {
            let quarter = counted.newest >> Counted::QUARTER_BITS;
            (counted.ssrc, counted.rollover, quarter)
        };
        place(self) == place(other)
    }

    /// Whether a listener that begins at zero would miss a wrap, or soon will.
    pub(crate) fn has_come_far(&self) -> bool {
        self.rollover > 0 || self.newest >> Counted::QUARTER_BITS > 0
    }
}

impl Crypto {
    /// The keys that belong together: an answer's line has number and suite of the offer's line that it takes.
    #[must_use]
    pub fn agreed(ours: &[CryptoKey], theirs: &[CryptoLine]) -> Option<Crypto> {
        theirs.iter().find_map(|line| {
            let belongs = |key: &&CryptoKey| {
                (key.tag, key.suite) == (line.key.tag, line.key.suite)
                    // One key for both ways would use its stream twice, or be our own packets come back.
                    && !key.is_same_secret(&line.key)
            };
            Some(Crypto {
                ours: ours.iter().find(belongs)?.clone(),
                theirs: line.clone(),
                counted: None,
            })
        })
    }
}

/// Reads what stands behind `a=crypto:`; `None` for what we cannot use, and the peer's next line may do.
///
/// Source: RFC 4568 sections 6.1 (one key; lifetimes are the sender's to keep), 6.3 (parameters), 9.1.
pub(crate) fn read(value: &str) -> Option<CryptoLine> {
    let mut words = value.split_ascii_whitespace();
    let tag = words.next()?;
    let tag = (tag.len() <= 9).then(|| tag.parse::<u32>().ok())??;
    let suite = CryptoSuite::named(words.next()?)?;
    let (method, info) = words.next()?.split_once(':')?;
    if !method.eq_ignore_ascii_case("inline") || info.contains(';') || !words.all(is_harmless) {
        return None;
    }
    let mut parts = info.split('|');
    let octets = Zeroizing::new(BASE64.decode(parts.next()?).ok()?);
    let (key, salt) = octets.split_at_checked(suite.key_bytes())?;
    let mut mki = None;
    for part in parts {
        match part.contains(':') {
            true => mki = Some(Mki::read(part)?),
            false if is_lifetime(part) => {}
            false => return None,
        }
    }
    Some(CryptoLine {
        key: CryptoKey::of(tag, suite, key, salt)?,
        mki,
    })
}

/// Whether a session parameter changes nothing of the protection: a hint for the window, a derivation rate of zero,
/// or one whose `-` says that it may be left (RFC 4568 section 6.3.7).
fn is_harmless(parameter: &str) -> bool {
    let parameter = parameter.to_ascii_uppercase();
    parameter.starts_with("WSH=") || parameter == "KDR=0" || parameter.starts_with('-')
}

/// `2^n` or a number (RFC 4568 section 9.1).
fn is_lifetime(text: &str) -> bool {
    let number = text.strip_prefix("2^").unwrap_or(text);
    number.parse::<u64>().is_ok_and(|number| number > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::ChaCha8Rng;
    use rand_core::SeedableRng;

    const KEY: &str = "d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj";

    #[test]
    fn the_example_of_rfc_4568_is_read() {
        let line = read(&format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|2^20|1:4")).unwrap();
        assert_eq!(line.key.master_key(), b"wDfvg&T+)xG7@fb5");
        assert_eq!(line.key.master_salt(), b"jU,RaA}\\|p0%*#");
        let mki = line.mki.unwrap();
        assert!(mki.is(&[0, 0, 0, 1]) && !mki.is(&[0, 0, 0, 2]) && !mki.is(&[1]));
    }

    #[test]
    fn lines_that_would_weaken_or_change_the_protection_are_left() {
        let usable = [
            format!("1 AES_CM_128_HMAC_SHA1_32 inline:{KEY}"),
            format!("2 aes_cm_128_hmac_sha1_80 INLINE:{KEY}|1048576 WSH=64 KDR=0 -NEW=1"),
            format!("3 AEAD_AES_128_GCM inline:{}w", &KEY[..37]),
            format!("4 AEAD_AES_256_GCM inline:{KEY}{}w", &KEY[..18]),
        ];
        for line in usable {
            assert!(read(&line).is_some(), "{line}");
        }
        let left = [
            String::new(),
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY} UNENCRYPTED_SRTP"),
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY} UNENCRYPTED_SRTCP"),
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY} UNAUTHENTICATED_SRTP"),
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY} KDR=1"),
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY} NEW=1"),
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|1:4;inline:{KEY}|2:4"),
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|256:1"),
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|1:129"),
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|soon"),
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{}", &KEY[..39]),
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}AAAA"),
            format!("1 F8_128_HMAC_SHA1_80 inline:{KEY}"),
            format!("1 AES_CM_128_HMAC_SHA1_80 uri:{KEY}"),
            format!("1234567890 AES_CM_128_HMAC_SHA1_80 inline:{KEY}"),
            "1 AES_CM_128_HMAC_SHA1_80".to_owned(),
        ];
        for line in left {
            assert_eq!(read(&line), None, "{line}");
        }
    }

    #[test]
    fn every_suite_reads_back_as_written_and_prints_no_key() {
        let mut random = ChaCha8Rng::from_seed([3; 32]);
        let keys = CryptoKey::offered(&CryptoSuite::ALL, &mut random);
        assert_eq!(
            keys.iter().map(CryptoKey::tag).collect::<Vec<_>>(),
            [1, 2, 3, 4]
        );
        for key in keys {
            let line = read(&key.line()).unwrap();
            assert_eq!((&line.key, line.mki), (&key, None));
            let name = format!("{:?}", key.suite());
            assert_eq!(
                format!("{key:?}"),
                format!("CryptoKey {{ tag: {}, suite: {name}, .. }}", key.tag())
            );
        }
    }

    #[test]
    fn keys_belong_together_by_number_and_suite_and_never_to_themselves() {
        let mut random = ChaCha8Rng::from_seed([3; 32]);
        let ours = CryptoKey::offered(&CryptoSuite::ALL, &mut random);
        let line = |key: CryptoKey| CryptoLine { key, mki: None };
        let theirs = line(CryptoKey::new(
            3,
            CryptoSuite::AesCm128HmacSha1_80,
            &mut random,
        ));
        let agreed = Crypto::agreed(&ours, std::slice::from_ref(&theirs)).unwrap();
        assert_eq!((agreed.ours, agreed.theirs), (ours[2].clone(), theirs));
        let renumbered = line(CryptoKey::new(
            4,
            CryptoSuite::AesCm128HmacSha1_80,
            &mut random,
        ));
        assert_eq!(Crypto::agreed(&ours, &[renumbered]), None);
        assert_eq!(Crypto::agreed(&ours, &[line(ours[2].clone())]), None);
    }
}
