//! Where a client's requests come from: homes, offices, carriers' shared addresses, relays, proxies. Must not know who is there.

use crate::farms::dice::Dice;
use crate::farms::parameters as given;
use crate::farms::parameters::Range;

/// A home's address and what is spoken there.
#[derive(Clone, Debug)]
pub(super) struct Home {
    pub(super) address: String,
    pub(super) language: &'static str,
}

/// Any address of these ranges.
pub(super) fn anywhere(ranges: &[Range], dice: &mut Dice) -> String {
    let (first, second, from, to) = ranges[dice.index(ranges.len())];
    let third = dice.between((u64::from(from), u64::from(to)));
    format!("{first}.{second}.{third}.{}", dice.between((2, 250)))
}

/// The addresses behind which a carrier puts its phones.
pub(super) fn shared(ranges: &[Range]) -> Vec<String> {
    let thirds = |&(first, second, from, to): &Range| (from..=to).map(move |third| (first, second, third));
    let each = |(first, second, third)| (0..given::CARRIER_NAT).map(move |n| format!("{first}.{second}.{third}.{}", 10 + n));
    ranges.iter().flat_map(thirds).flat_map(each).collect()
}

/// The part of the farm's carrier that serves the place where the farm stands; its other customers there share it.
pub(super) fn around_the_farm() -> Vec<String> {
    let mut all = shared(&given::FARMS_CARRIER);
    all.truncate(usize::try_from(given::FARMS_NAT).unwrap());
    all
}

pub(super) fn households(dice: &mut Dice) -> Vec<Home> {
    let weights = given::HOMES.map(|(weight, _, _)| weight);
    let home = |_| {
        let (_, range, language) = given::HOMES[dice.weighted(&weights)];
        Home { address: anywhere(&[range], dice), language }
    };
    (0..given::HOUSEHOLDS).map(home).collect()
}

pub(super) fn offices(dice: &mut Dice) -> Vec<String> {
    (0..given::OFFICES).map(|_| anywhere(&given::OFFICE, dice)).collect()
}
