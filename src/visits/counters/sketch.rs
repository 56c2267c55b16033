//! `HyperLogLog` over the buckets of a window (Flajolet et al., 2007): 4,096 registers for each bucket, standard error 1.6 %;
//! few elements by linear counting, which is nearer. Must not know what the elements are.

use super::BUCKETS;

/// Registers of one bucket; a power of two.
const REGISTERS: u32 = 4_096;
/// The bits of an element that choose its register.
const CHOOSING: u32 = REGISTERS.trailing_zeros();
/// `alpha * REGISTERS² * 2^32`, with the paper's `alpha = 0.7213 / (1 + 1.079 / REGISTERS)`.
const NUMERATOR: u64 = 51_961_454_491_325_944;

/// The registers of each bucket that saw something.
#[derive(Clone, Debug, Default)]
pub(super) struct Sketch {
    buckets: Vec<(u32, Box<[u8]>)>,
    /// The number, while no register has changed since, and the oldest bucket that it holds for.
    known: Option<(u32, u32)>,
}

impl Sketch {
    /// Puts an element into a bucket.
    pub(super) fn put(&mut self, slot: u32, element: u32) {
        let newest = self.buckets.iter().map(|(of, _)| *of).max().unwrap_or(slot).max(slot);
        let place = self.buckets.iter().position(|(of, _)| *of == slot).unwrap_or_else(|| {
            self.buckets.retain(|(of, _)| newest - *of < BUCKETS);
            self.buckets.push((slot, vec![0; REGISTERS as usize].into()));
            self.known = None;
            self.buckets.len() - 1
        });
        let rank = u8::try_from(((element << CHOOSING) | (1 << (CHOOSING - 1))).leading_zeros() + 1).unwrap_or(u8::MAX);
        let register = self
            .buckets
            .get_mut(place)
            .and_then(|(_, registers)| registers.get_mut(usize::try_from(element >> (32 - CHOOSING)).unwrap_or_default()));
        if let Some(register) = register.filter(|register| **register < rank) {
            *register = rank;
            self.known = None;
        }
    }

    /// How many different elements the buckets from `oldest` on have.
    pub(super) fn count(&mut self, oldest: u32) -> u32 {
        if let Some((_, count)) = self.known.filter(|(of, _)| *of == oldest) {
            return count;
        }
        let mut merged = [0_u8; REGISTERS as usize];
        for (_, registers) in self.buckets.iter().filter(|(of, _)| *of >= oldest) {
            merged.iter_mut().zip(registers).for_each(|(most, rank)| *most = (*most).max(*rank));
        }
        let count = estimate(&merged);
        self.known = Some((oldest, count));
        count
    }

    /// Bytes it holds, itself included.
    pub(super) fn heap(&self) -> usize {
        size_of::<Self>() + self.buckets.capacity() * size_of::<(u32, Box<[u8]>)>() + self.buckets.len() * REGISTERS as usize
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "between 0 and 34,069: no more registers, and none empty"
)]
fn estimate(registers: &[u8]) -> u32 {
    let sum: u64 = registers.iter().map(|rank| (1_u64 << 32) >> rank).sum();
    let raw = NUMERATOR / sum.max(1);
    let empty = registers.iter().map(|rank| u32::from(*rank == 0)).sum::<u32>();
    if raw <= u64::from(REGISTERS) * 5 / 2 && empty > 0 {
        return (f64::from(REGISTERS) * (f64::from(REGISTERS) / f64::from(empty)).ln()).round() as u32;
    }
    u32::try_from(raw).unwrap_or(u32::MAX)
}
