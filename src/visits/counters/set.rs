//! How many different elements a window saw: by their hashes while there are few, by a sketch once there are many.
//! Must not know what the elements are.

use super::BUCKETS;
use super::sketch::Sketch;

/// Up to so many the number is exact, to the bucket.
pub(super) const EXACT: usize = 64;

/// Elements, each with the bucket that saw it last.
#[derive(Clone, Debug, Default)]
pub(super) enum Set {
    #[default]
    Empty,
    /// The most usual case costs nothing beside the entry.
    One(u32, u32),
    Few(Vec<(u32, u32)>),
    Many(Box<Sketch>),
}

impl Set {
    /// Puts an element in; how many the window that ends with this bucket has.
    pub(super) fn put(&mut self, slot: u32, element: u32, former: u32) -> u32 {
        let oldest = slot.saturating_sub(BUCKETS - 1);
        match self {
            Self::Empty => {
                *self = Self::One(element, slot);
                1
            }
            Self::One(known, seen) if [element, former].contains(known) || *seen < oldest => {
                *self = Self::One(element, slot.max(*seen));
                1
            }
            Self::One(known, seen) => {
                *self = Self::Few(vec![(*known, *seen), (element, slot)]);
                2
            }
            Self::Few(few) => {
                if let Some(known) = few.iter_mut().find(|(known, _)| [element, former].contains(known)) {
                    *known = (element, slot.max(known.1));
                } else {
                    few.retain(|(_, seen)| *seen >= oldest);
                    few.push((element, slot));
                }
                if few.len() > EXACT {
                    let mut sketch = Sketch::default();
                    for (element, seen) in few.iter() {
                        sketch.put(*seen, *element);
                    }
                    let count = sketch.count(oldest);
                    *self = Self::Many(Box::new(sketch));
                    return count;
                }
                let young = few.iter().filter(|(_, seen)| *seen >= oldest).count();
                u32::try_from(young).unwrap_or(u32::MAX)
            }
            Self::Many(sketch) => {
                sketch.put(slot, element);
                sketch.count(oldest)
            }
        }
    }

    /// Bytes it holds beside itself.
    pub(super) fn heap(&self) -> usize {
        match self {
            Self::Empty | Self::One(..) => 0,
            Self::Few(few) => few.capacity() * size_of::<(u32, u32)>(),
            Self::Many(sketch) => sketch.heap(),
        }
    }
}
