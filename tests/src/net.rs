//! The network: it delays, loses and repeats, by a seed.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    time::{Duration, Instant},
};

/// A datagram on its way.
#[derive(Debug, Clone)]
pub struct Packet {
    /// Who sent it.
    pub from: SocketAddr,
    /// Where it goes.
    pub to: SocketAddr,
    /// What it says.
    pub payload: Vec<u8>,
}

/// How bad a network is.
#[derive(Debug, Clone, Copy)]
pub struct Weather {
    /// One way.
    pub delay: Duration,
    /// Lost of a thousand, each way.
    pub loss_permille: u32,
    /// Delivered twice of a thousand.
    pub repeat_permille: u32,
    /// Held up of a thousand, so that later ones overtake them.
    pub overtake_permille: u32,
}

impl Default for Weather {
    fn default() -> Self {
        Weather {
            delay: Duration::from_millis(5),
            loss_permille: 0,
            repeat_permille: 0,
            overtake_permille: 0,
        }
    }
}

/// The network.
#[derive(Debug)]
pub struct Net {
    weather: Weather,
    dice: Dice,
    on_the_way: BTreeMap<(Instant, u64), Packet>,
    sent: u64,
    /// Packets that were lost.
    pub lost: u64,
    /// Packets that came twice.
    pub repeated: u64,
    /// Packets that were held up.
    pub overtaken: u64,
}

impl Net {
    /// A network with this weather.
    pub fn new(weather: Weather, seed: u64) -> Net {
        Net {
            weather,
            dice: Dice::new(seed),
            on_the_way: BTreeMap::new(),
            sent: 0,
            lost: 0,
            repeated: 0,
            overtaken: 0,
        }
    }

    /// The weather changes.
    pub fn set_weather(&mut self, weather: Weather) {
        self.weather = weather;
    }

    /// Takes a datagram and loses it, or not.
    pub fn send(&mut self, now: Instant, packet: Packet) {
        if self.dice.permille() < self.weather.loss_permille {
            self.lost += 1;
            return;
        }
        if self.dice.permille() < self.weather.repeat_permille {
            self.repeated += 1;
            self.place(
                now + self.weather.delay + Duration::from_millis(3),
                packet.clone(),
            );
        }
        let mut delay = self.weather.delay;
        if self.weather.overtake_permille > 0
            && self.dice.permille() < self.weather.overtake_permille
        {
            self.overtaken += 1;
            delay += Duration::from_millis(1 + self.dice.roll() % 200);
        }
        self.place(now + delay, packet);
    }

    fn place(&mut self, arrival: Instant, packet: Packet) {
        self.sent += 1;
        self.on_the_way.insert((arrival, self.sent), packet);
    }

    /// When the next datagram arrives.
    pub fn next_due(&self) -> Option<Instant> {
        self.on_the_way.keys().next().map(|(arrival, _)| *arrival)
    }

    /// The next datagram that has arrived.
    pub fn deliver(&mut self, now: Instant) -> Option<Packet> {
        let first = self.on_the_way.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }
}

/// `SplitMix64`: chance that a seed makes again.
#[derive(Debug, Clone)]
pub struct Dice {
    state: u64,
}

impl Dice {
    /// Dice that fall as the seed says.
    pub fn new(seed: u64) -> Dice {
        Dice { state: seed }
    }

    /// 64 bits.
    pub fn roll(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn permille(&mut self) -> u32 {
        u32::try_from(self.roll() % 1_000).expect("below a thousand")
    }
}
