//! What a challenge seals: the puzzle a visitor gets, and the pass that it earns. Must not know how either is judged.

use crate::clock::UnixMillis;
use crate::seal::Fields;
use crate::seal::Keys;
use crate::seal::NONCE;
use crate::seal::Purpose;
use crate::seal::SealError;
use crate::seal::TAG;
use crate::seal::moment;
use crate::verdict::Trial;

/// The longest referrer that is kept, in bytes; browsers cut to the origin what is longer than 4 KiB, and a cookie holds no more.
const LONGEST_REFERER: usize = 1_024;
/// The longest text of a puzzle that is looked at: the referrer and 60 bytes beside it, in base64.
pub(super) const LONGEST_TEXT: usize = 1_600;

/// What a visitor has to solve. It comes back with the answer, so that nothing is kept here meanwhile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Puzzle {
    /// When it was given.
    pub issued: UnixMillis,
    /// What is asked.
    pub trial: Trial,
    /// The zero bits asked of a `pow`.
    pub bits: u8,
    /// How many puzzles this visitor had before it without solving one.
    pub failures: u8,
    /// How long the pass serves, in seconds from `issued`.
    pub pass_seconds: u32,
    /// A digest of the client it was given to.
    pub client: u64,
    /// A digest of the address it was given for.
    pub target: u64,
    /// The `Referer` of the request it was given for; empty for none.
    pub referer: Vec<u8>,
}

/// What a solved puzzle earns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pass {
    /// When it ends.
    pub until: UnixMillis,
    /// What was passed.
    pub trial: Trial,
    /// A digest of the client.
    pub client: u64,
}

impl Keys {
    /// Seals a puzzle into visible ASCII without padding. A referrer that is too long is cut before its query, or left out.
    pub fn seal_puzzle(&self, puzzle: &Puzzle, nonce: [u8; NONCE]) -> String {
        let referer = match puzzle.referer.as_slice() {
            whole if whole.len() <= LONGEST_REFERER => whole,
            long => long.split(|byte| *byte == b'?').next().filter(|bare| bare.len() <= LONGEST_REFERER).unwrap_or_default(),
        };
        let mut plain = Vec::with_capacity(29 + referer.len() + TAG);
        plain.extend_from_slice(&moment(puzzle.issued));
        plain.extend_from_slice(&[puzzle.trial as u8, puzzle.bits, puzzle.failures]);
        plain.extend_from_slice(&puzzle.pass_seconds.to_be_bytes());
        plain.extend_from_slice(&puzzle.client.to_be_bytes());
        plain.extend_from_slice(&puzzle.target.to_be_bytes());
        plain.extend_from_slice(referer);
        self.current.seal(Purpose::Puzzle, nonce, plain)
    }

    /// Opens a puzzle, whoever wrote it.
    pub fn open_puzzle(&self, text: &str) -> Result<Puzzle, SealError> {
        let plain = self.open(Purpose::Puzzle, text)?;
        let mut fields = Fields(&plain);
        let puzzle = (|| {
            let issued = fields.moment()?;
            let [trial, bits, failures] = fields.take::<3>()?;
            let pass_seconds = u32::from_be_bytes(fields.take::<4>()?);
            let (client, target) = (fields.number()?, fields.number()?);
            let (trial, referer) = (trial_of(trial)?, fields.0.to_vec());
            Some(Puzzle { issued, trial, bits, failures, pass_seconds, client, target, referer })
        })();
        puzzle.ok_or(SealError::Foreign)
    }

    /// Seals a pass into visible ASCII without padding.
    pub fn seal_pass(&self, pass: &Pass, nonce: [u8; NONCE]) -> String {
        let mut plain = Vec::with_capacity(15 + TAG);
        plain.extend_from_slice(&moment(pass.until));
        plain.push(pass.trial as u8);
        plain.extend_from_slice(&pass.client.to_be_bytes());
        self.current.seal(Purpose::Pass, nonce, plain)
    }

    /// Opens a pass, whoever wrote it.
    pub fn open_pass(&self, text: &str) -> Result<Pass, SealError> {
        let plain = self.open(Purpose::Pass, text)?;
        let mut fields = Fields(&plain);
        let pass = (|| {
            let until = fields.moment()?;
            let [trial] = fields.take::<1>()?;
            Some(Pass { until, trial: trial_of(trial)?, client: fields.number()? })
        })();
        pass.filter(|_| fields.0.is_empty()).ok_or(SealError::Foreign)
    }
}

fn trial_of(code: u8) -> Option<Trial> {
    Trial::ALL.get(usize::from(code)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> Keys {
        Keys::generate([7; 32]).unwrap()
    }

    fn puzzle(referer: &str) -> Puzzle {
        let issued = UnixMillis(1_774_000_000_123);
        let (client, target, referer) = (u64::MAX, 7, referer.as_bytes().to_vec());
        Puzzle { issued, trial: Trial::Pow, bits: 12, failures: 2, pass_seconds: 3_600, client, target, referer }
    }

    #[test]
    fn a_puzzle_and_a_pass_come_back_as_they_went_and_open_as_nothing_else() {
        let (keys, given) = (keys(), puzzle("https://l.facebook.com/?u=x"));
        let sealed = keys.seal_puzzle(&given, [3; 12]);
        assert_eq!(keys.open_puzzle(&sealed).unwrap(), given);
        let pass = Pass { until: UnixMillis(9), trial: Trial::Js, client: 5 };
        let text = keys.seal_pass(&pass, [3; 12]);
        assert_eq!(keys.open_pass(&text).unwrap(), pass);
        assert!(keys.open_pass(&sealed).is_err() && keys.open_puzzle(&text).is_err() && keys.open_visit(&text).is_err());
    }

    #[test]
    fn a_referrer_that_is_too_long_loses_its_query_and_one_that_is_longer_still_is_left_out() {
        let keys = keys();
        let kept = |referer: &str| keys.open_puzzle(&keys.seal_puzzle(&puzzle(referer), [3; 12])).unwrap().referer;
        let longest = format!("https://a.example/{}", "p".repeat(LONGEST_REFERER - 18));
        assert_eq!(kept(&longest), longest.as_bytes());
        assert_eq!(kept(&format!("https://a.example/?{}", "q".repeat(LONGEST_REFERER))), b"https://a.example/");
        assert_eq!(kept(&format!("{longest}p")), b"");
    }
}
