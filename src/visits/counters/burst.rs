//! Counts of ten minutes against what is usual: a mean and a variance that forget slowly, in whole numbers. Must not know
//! what is counted.

/// So many slots are learnt from before anything is said: two hours.
const LEARNT: u16 = 12;
/// So many silent slots are learnt from at most after a pause: four hours.
const SILENT: u32 = 24;
/// Mean and variance are kept in units of 1/256.
const SCALE: i64 = 256;

/// What is usual, and the count of the slot that runs.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Burst {
    slot: u32,
    count: u32,
    mean: i32,
    variance: i64,
    learnt: u16,
}

impl Burst {
    /// Counts one; how many standard deviations the slot stands above the mean of those before it, once that is known.
    pub(super) fn add(&mut self, slot: u32) -> Option<i64> {
        if slot > self.slot {
            if self.slot > 0 {
                self.learn(self.count);
                (1..(slot - self.slot).min(SILENT)).for_each(|_| self.learn(0));
            }
            (self.slot, self.count) = (slot, 0);
        }
        self.count = self.count.saturating_add(1);
        if self.learnt < LEARNT {
            return None;
        }
        let above = i64::from(self.count) * SCALE - i64::from(self.mean);
        // Counts vary by the root of their mean at the least; one more keeps quiet campaigns from bursting by a click.
        let spread = (self.variance.max(i64::from(self.mean)) + SCALE).isqrt() * SCALE.isqrt();
        Some(above / spread.max(1))
    }

    /// Exponential moving averages with a weight of an eighth for the newest.
    fn learn(&mut self, count: u32) {
        let off = i64::from(count) * SCALE - i64::from(self.mean);
        if self.learnt == 0 {
            self.mean = i32::try_from(off).unwrap_or(i32::MAX);
        } else {
            self.mean = self.mean.saturating_add(i32::try_from(off / 8).unwrap_or(i32::MAX));
            let square = off.saturating_mul(off) / SCALE;
            self.variance = (self.variance - self.variance / 8).saturating_add(square / 8);
        }
        self.learnt = self.learnt.saturating_add(1);
    }
}
