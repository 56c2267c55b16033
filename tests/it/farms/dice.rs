//! A small generator of numbers with a fixed seed (splitmix64), so that every run sees the same day. Must not know what is drawn.

use std::time::Duration;

const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A generator of its own, so that what one buyer draws does not move the next.
    pub(super) fn child(&mut self) -> Self {
        Self(self.next())
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub(super) fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(u64::try_from(length).unwrap())).unwrap()
    }

    pub(super) fn one<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[self.index(of.len())]
    }

    pub(super) fn between(&mut self, (least, most): (u64, u64)) -> u64 {
        least + self.below(most - least + 1)
    }

    /// Whether this is one of so many in a thousand.
    pub(super) fn share(&mut self, thousandths: u64) -> bool {
        self.below(1_000) < thousandths
    }

    pub(super) fn weighted(&mut self, weights: &[u64]) -> usize {
        let mut left = self.below(weights.iter().sum());
        for (at, weight) in weights.iter().enumerate() {
            if left < *weight {
                return at;
            }
            left -= weight;
        }
        0
    }

    /// From 0 to 1, never 0.
    fn unit(&mut self) -> f64 {
        (f64::from(u32::try_from(self.next() >> 32).unwrap()) + 0.5) / 4_294_967_296.0
    }

    /// Log-normal in milliseconds (Box and Muller), from one second to half an hour.
    pub(super) fn pause(&mut self, median: u64, sigma: f64) -> u64 {
        let normal = (-2.0 * self.unit().ln()).sqrt() * (std::f64::consts::TAU * self.unit()).cos();
        let seconds = Duration::from_millis(median).as_secs_f64() * (sigma * normal).exp();
        millis(seconds.clamp(1.0, 1_800.0))
    }

    /// In milliseconds, each order of magnitude as likely as the next.
    pub(super) fn spread(&mut self, (least, most): (u64, u64)) -> u64 {
        let (least, most) = (Duration::from_millis(least).as_secs_f64(), Duration::from_millis(most).as_secs_f64());
        millis(least * (most / least).powf(self.unit()))
    }

    pub(super) fn text(&mut self, length: usize) -> String {
        (0..length).map(|_| char::from(LETTERS[self.index(64)])).collect()
    }

    /// A hash as it is written in hex.
    pub(super) fn hash(&mut self) -> String {
        let [one, two, three, four] = std::array::from_fn(|_| self.next());
        format!("{one:016x}{two:016x}{three:016x}{four:016x}")
    }
}

fn millis(seconds: f64) -> u64 {
    u64::try_from(Duration::from_secs_f64(seconds).as_millis()).unwrap()
}
