//! Where the bands of the score begin: the presets of sensitivity and the bounds a file names itself. Must not know signals.

use crate::rules::read::word;
use crate::verdict::Band;
use crate::yaml::Section;

/// The first point of each band, in the order of [`Band::ALL`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bands([u8; 4]);

/// The presets, mildest first. None lets `likely_invalid` begin above 60: a single proof weighs 60 and has to reach it.
const PRESETS: [(&str, Bands); 5] = [
    ("low", Bands([0, 45, 60, 95])),
    ("balanced", Bands([0, 35, 60, 90])),
    ("recommended", Bands([0, 30, 60, 85])),
    ("strict", Bands([0, 25, 50, 75])),
    ("very_strict", Bands([0, 15, 40, 60])),
];

impl Default for Bands {
    fn default() -> Self {
        Self([0, 30, 60, 85])
    }
}

impl Bands {
    /// The bands that a section sets by `sensitivity` and `bands`, the latter going first; `base` is what holds without.
    pub(super) fn read(section: &Section<'_>, base: Self) -> Self {
        let of_name = |name: &str| PRESETS.into_iter().find(|(of, _)| *of == name).map(|(_, bands)| bands);
        let mut bands = word(section, "sensitivity", &PRESETS.map(|(name, _)| name), of_name).unwrap_or(base);
        let Some(node) = section.node("bands") else { return bands };
        let own = Section::of(node, section.faults());
        for (band, first) in Band::ALL.into_iter().zip(&mut bands.0) {
            if let Some(points) = own.number(band.name(), 0..=100) {
                *first = u8::try_from(points).unwrap_or(*first);
            }
        }
        own.finish();
        if bands.0.first() != Some(&0) || !bands.0.is_sorted_by(|left, right| left < right) {
            let hint = Some("human, suspect, likely_invalid, invalid".to_owned());
            section.faults().at(node, "bands must begin at 0 and ascend", hint);
        }
        bands
    }

    /// The band of a score.
    pub(super) fn of(self, points: u8) -> Band {
        Band::ALL.into_iter().zip(self.0).rev().find(|(_, first)| points >= *first).map_or(Band::Human, |(band, _)| band)
    }

    /// The first point of a band.
    pub(super) fn first_point(self, band: Band) -> u8 {
        Band::ALL.into_iter().zip(self.0).find(|(of, _)| *of == band).map_or(0, |(_, first)| first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_preset_is_no_milder_than_the_one_before_and_keeps_a_proof_likely_invalid() {
        for pair in PRESETS.windows(2) {
            for points in 0..=100 {
                assert!(pair[0].1.of(points) <= pair[1].1.of(points), "{points}: {pair:?}");
            }
        }
        for (name, bands) in PRESETS {
            assert!(bands.of(60) >= Band::LikelyInvalid, "{name}");
        }
        assert_eq!(PRESETS[2], ("recommended", Bands::default()));
    }
}
