//! Which lists hold an IPv4 address: the upper half of it finds a slot, and the slot finds the line of the processor's cache that
//! answers for the lower half. Promises: a look-up reads one line far away, seldom a few, and allocates nothing; the table grows
//! with its intervals, whatever their addresses. Must not know where the networks come from.

use rustc_hash::FxHashMap;

use crate::lists::ListSet;
use crate::lists::intervals::Network;
use crate::lists::intervals::WIDTH;
use crate::lists::intervals::intervals;
use crate::lists::intervals::last_begun;

/// Slots that begin with the same eight bits.
const OF_BLOCK: usize = 256;
/// Sets of a page: as many as the addresses of a slot, so that one always has its sets on one page.
const OF_PAGE: usize = 1 << 16;

/// The first number of a line whose places are those of sets.
const OF_SETS: u16 = 0;
/// The first number of a line that is crowded: its places say where its children lie.
const OF_CHILDREN: u16 = u16::MAX;

/// An interval within a slot: where it begins, and its set or the place of that.
type Begun<S> = (u16, S);

/// Where each interval begins, by the lower half of an address, and the place of its set on the slot's page; filled up with the
/// last one. The first begins wherever the line begins, so its number says what the places are. Of a crowded line they are the
/// lower and upper half of the place of its first child, and how many come after that one.
#[derive(Clone, Copy, Debug, Default)]
#[repr(align(64))]
struct Line {
    starts: [u16; WIDTH],
    places: [u16; WIDTH],
}

impl Line {
    /// A line of these intervals, at least one and at most 16.
    fn of_sets(intervals: &[Begun<u16>]) -> Self {
        let mut line = Self::filled(intervals.iter().map(|(start, _)| *start));
        let last = intervals.last().map_or(0, |(_, place)| *place);
        line.places = std::array::from_fn(|at| intervals.get(at).map_or(last, |(_, place)| *place));
        line.starts[0] = OF_SETS;
        line
    }

    /// A line above children that begin here, at least one and at most 16.
    fn of_children(starts: impl ExactSizeIterator<Item = u16>, first: usize) -> Self {
        let after = u16::try_from(starts.len().saturating_sub(1)).unwrap_or(0);
        let mut line = Self::filled(starts);
        let [lower, upper] = halves(u32::try_from(first).unwrap_or(u32::MAX));
        [line.starts[0], line.places[0], line.places[1], line.places[2]] = [OF_CHILDREN, lower, upper, after];
        line
    }

    fn filled(mut starts: impl Iterator<Item = u16>) -> Self {
        let mut last = 0;
        let starts = std::array::from_fn(|_| {
            last = starts.next().unwrap_or(last);
            last
        });
        Self { starts, places: [0; WIDTH] }
    }
}

/// The lower half and the upper half.
fn halves(number: u32) -> [u16; 2] {
    let [a, b, c, d] = number.to_le_bytes();
    [u16::from_le_bytes([a, b]), u16::from_le_bytes([c, d])]
}

/// What is known of addresses that have their upper half in common.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Slot {
    /// The first of its lines; each answers for the same share of the lower halves.
    line: u32,
    /// The page of sets that its lines name places of.
    page: u16,
    /// How far a lower half is shifted to its line.
    shift: u16,
}

/// The lists of every IPv4 address.
#[derive(Clone, Debug, Default)]
pub(super) struct Lines {
    /// The first slot of each block, by the first eight bits; none where there are no networks.
    blocks: Vec<u32>,
    slots: Vec<Slot>,
    all: Vec<Line>,
    sets: Vec<ListSet>,
}

impl Lines {
    /// The table of these networks.
    pub(super) fn over(networks: Vec<Network<u32>>) -> Self {
        if networks.is_empty() {
            return Self::default();
        }
        let mut growing = Growing::default();
        // Room that is not written to costs no memory.
        growing.table.all.reserve(networks.len() / 3);
        intervals(networks, |start, set| growing.begin(start, set));
        growing.finished()
    }

    /// All lists that hold an address.
    pub(super) fn find(&self, address: u32) -> ListSet {
        self.found(address).unwrap_or_default()
    }

    fn found(&self, address: u32) -> Option<ListSet> {
        let [lower, upper] = halves(address);
        let [within, block] = upper.to_le_bytes();
        let slot = self.slots.get(*self.blocks.get(usize::from(block))? as usize + usize::from(within))?;
        let mut at = slot.line as usize + (usize::from(lower) >> slot.shift);
        loop {
            let line = self.all.get(at)?;
            let interval = last_begun(&line.starts, lower);
            if line.starts[0] == OF_SETS {
                let place = line.places.get(interval)?;
                return self.sets.get(usize::from(slot.page) * OF_PAGE + usize::from(*place)).copied();
            }
            // Children lie behind what they are children of, so this ends.
            let [lower, upper, after] = [line.places[0], line.places[1], line.places[2]].map(usize::from);
            at = lower + (upper << u16::BITS) + interval.min(after);
        }
    }

    /// Whether it holds no network at all.
    pub(super) fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }
}

/// The table while it grows.
struct Growing {
    table: Lines,
    /// The intervals of the slot that is begun; the first holds its first address.
    here: Vec<Begun<ListSet>>,
    /// The slots of the block that is begun.
    block: Vec<Slot>,
    /// The place of each set on the last page.
    places: FxHashMap<u64, u16>,
    page: u16,
    /// Slots and blocks that a single set holds are all the same one.
    whole: FxHashMap<u64, Slot>,
    alike: FxHashMap<u32, u32>,
}

impl Default for Growing {
    fn default() -> Self {
        Self {
            table: Lines::default(),
            here: vec![(0, ListSet::default())],
            block: Vec::with_capacity(OF_BLOCK),
            places: FxHashMap::default(),
            page: 0,
            whole: FxHashMap::default(),
            alike: FxHashMap::default(),
        }
    }
}

impl Growing {
    /// Begins an interval, behind all that were begun before.
    fn begin(&mut self, start: u32, set: ListSet) {
        let [lower, slot] = halves(start);
        while self.closed() < usize::from(slot) {
            self.close();
        }
        self.here.pop_if(|(start, _)| *start == lower);
        self.here.push((lower, set));
    }

    fn closed(&self) -> usize {
        self.table.blocks.len() * OF_BLOCK + self.block.len()
    }

    fn finished(mut self) -> Lines {
        while self.closed() < usize::from(u16::MAX) + 1 {
            self.close();
        }
        self.table.slots.shrink_to_fit();
        self.table.all.shrink_to_fit();
        self.table.sets.shrink_to_fit();
        self.table
    }

    /// Closes the slot that is begun; the next one begins as it ends.
    fn close(&mut self) {
        let mut here = std::mem::take(&mut self.here);
        let last = here.last().map_or(ListSet::default(), |(_, set)| *set);
        let slot = if here.len() > 1 { self.divided(&here) } else { self.undivided(last) };
        self.block.push(slot);
        if self.block.len() == OF_BLOCK {
            self.close_block();
        }
        here.clear();
        here.push((0, last));
        self.here = here;
    }

    fn close_block(&mut self) {
        let first = u32::try_from(self.table.slots.len()).unwrap_or(u32::MAX);
        let alike = self.block.first().filter(|slot| self.block.iter().all(|other| other == *slot));
        let known = alike.map(|slot| *self.alike.entry(slot.line).or_insert(first));
        if known.is_none_or(|known| known == first) {
            self.table.slots.append(&mut self.block);
        }
        self.block.clear();
        self.table.blocks.push(known.unwrap_or(first));
    }

    /// The slot that one set holds.
    fn undivided(&mut self, set: ListSet) -> Slot {
        if let Some(slot) = self.whole.get(&set.0) {
            return *slot;
        }
        self.turn(1);
        let place = self.place(set);
        let slot = self.slot(0);
        self.table.all.push(Line::of_sets(&[(0, place)]));
        self.whole.insert(set.0, slot);
        slot
    }

    /// The slot of these intervals.
    fn divided(&mut self, here: &[Begun<ListSet>]) -> Slot {
        self.turn(here.len());
        let here: Vec<Begun<u16>> = here.iter().map(|(start, set)| (*start, self.place(*set))).collect();
        let bits = parting(&here);
        let slot = self.slot(bits);
        let first = self.table.all.len();
        self.table.all.resize(first + (1 << bits), Line::default());
        for part in 0..1_usize << bits {
            let start = |part: usize| part << slot.shift;
            let from = here.partition_point(|(at, _)| usize::from(*at) <= start(part)).saturating_sub(1);
            let to = here.partition_point(|(at, _)| usize::from(*at) < start(part + 1));
            self.write(first + part, here.get(from..to).unwrap_or_default());
        }
        slot
    }

    /// A slot of so many lines (as a power of two), to be written next.
    fn slot(&self, bits: u32) -> Slot {
        let shift = u16::try_from(u16::BITS - bits).unwrap_or(0);
        Slot { line: u32::try_from(self.table.all.len()).unwrap_or(u32::MAX), page: self.page, shift }
    }

    /// Writes a line of these intervals; where they are too many, children of it.
    fn write(&mut self, at: usize, intervals: &[Begun<u16>]) {
        let line = if intervals.len() > WIDTH { self.parent(intervals) } else { Line::of_sets(intervals) };
        if let Some(place) = self.table.all.get_mut(at) {
            *place = line;
        }
    }

    fn parent(&mut self, intervals: &[Begun<u16>]) -> Line {
        let mut of_child = WIDTH;
        while of_child * WIDTH < intervals.len() {
            of_child *= WIDTH;
        }
        let children = intervals.chunks(of_child);
        let first = self.table.all.len();
        self.table.all.resize(first + children.len(), Line::default());
        for (at, child) in children.clone().enumerate() {
            self.write(first + at, child);
        }
        Line::of_children(children.map(|child| child.first().map_or(0, |(start, _)| *start)), first)
    }

    /// Turns to a new page, unless so many more sets have room on this one.
    fn turn(&mut self, more: usize) {
        if self.places.len() + more > OF_PAGE {
            self.page = self.page.saturating_add(1);
            self.places.clear();
            self.table.sets.resize(usize::from(self.page) * OF_PAGE, ListSet::default());
        }
    }

    fn place(&mut self, set: ListSet) -> u16 {
        let next = u16::try_from(self.places.len()).unwrap_or(u16::MAX);
        *self.places.entry(set.0).or_insert_with(|| {
            self.table.sets.push(set);
            next
        })
    }
}

/// Into how many lines a slot is divided, as a power of two: the fewest of which (nearly) none is crowded. Where addresses
/// cluster, that is too many; then few lines lie above many.
fn parting(here: &[Begun<u16>]) -> u32 {
    let most = here.len().div_ceil(WIDTH / 2).next_power_of_two().ilog2().min(u16::BITS - WIDTH.ilog2());
    let crowded = |bits: &u32| crowded(here, *bits);
    (0..most).find(|bits| crowded(bits) == 0).unwrap_or_else(|| {
        if crowded(&most) <= here.len() / WIDTH { most } else { (here.len() / WIDTH).max(1).ilog2().min(most) }
    })
}

/// How many intervals would be in lines that cannot hold theirs.
fn crowded(here: &[Begun<u16>], bits: u32) -> usize {
    let shift = u16::BITS - bits;
    let part = |start: u16| u32::from(start) >> shift;
    let begins = |start: u16| part(start) << shift == u32::from(start);
    here.chunk_by(|(one, _), (other, _)| part(*one) == part(*other))
        .filter(|run| run.len() + run.first().map_or(0, |(start, _)| usize::from(!begins(*start))) > WIDTH)
        .map(<[_]>::len)
        .sum()
}
