//! What this thread concluded lately: what a sheet says of a policy's rows, and the verdict that follows from the rows that
//! hold. No lock, nothing allocated but the tables. Promises: bounded memory, and no answer of another policy. Must not know
//! how answers are found.

use std::cell::RefCell;
use std::hash::Hasher;

use rustc_hash::FxHasher;

use crate::near;
use crate::near::Epoch;
use crate::rules::index::Outlook;
use crate::rules::set::Near as Rows;
use crate::rules::set::Set;
use crate::rules::sheet::Sheet;
use crate::rules::sheet::Words;
use crate::verdict::Verdict;

/// Places for sheets, each about 200 bytes.
const SHEETS: usize = 512;
/// Places for verdicts, each about 200 bytes and their reasons.
const VERDICTS: usize = 128;

/// By what a verdict is known: its policy, the part of the shop, and the rows that hold.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Key {
    epoch: Epoch,
    part: usize,
    rows: Rows,
}

struct Tables {
    outlooks: Vec<Option<(Epoch, Words, [Rows; 2])>>,
    verdicts: Vec<Option<(Key, Verdict)>>,
}

thread_local! {
    static NEAR: RefCell<Tables> = RefCell::new(Tables { outlooks: vec![None; SHEETS], verdicts: vec![None; VERDICTS] });
}

/// What a sheet says of a policy's rows; `find` answers where this thread does not remember.
pub(super) fn outlook(epoch: Epoch, sheet: &Sheet, find: impl FnOnce() -> Outlook) -> Outlook {
    let words = sheet.words();
    let place = place(epoch, 0, &words, SHEETS);
    let known = NEAR.with_borrow(|near| match near.outlooks.get(place) {
        Some(Some((of, known, [sure, open]))) if *of == epoch && *known == words => {
            Some(Outlook { sure: Set::of(*sure), open: Set::of(*open) })
        }
        _ => None,
    });
    known.unwrap_or_else(|| {
        let found = find();
        if let (Some(sure), Some(open)) = (found.sure.near(), found.open.near()) {
            NEAR.with_borrow_mut(|near| {
                if let Some(place) = near.outlooks.get_mut(place) {
                    *place = Some((epoch, words, [*sure, *open]));
                }
            });
        }
        found
    })
}

/// The verdict where these rows hold in this part of a shop; `find` answers where this thread does not remember.
pub(super) fn verdict(epoch: Epoch, part: usize, rows: &Set, find: impl FnOnce() -> Verdict) -> Verdict {
    let Some(rows) = rows.near() else { return find() };
    let key = Key { epoch, part, rows: *rows };
    let place = place(epoch, part, rows, VERDICTS);
    let known = NEAR.with_borrow(|near| match near.verdicts.get(place) {
        Some(Some((known, verdict))) if *known == key => Some(verdict.clone()),
        _ => None,
    });
    known.unwrap_or_else(|| {
        let found = find();
        NEAR.with_borrow_mut(|near| {
            if let Some(place) = near.verdicts.get_mut(place) {
                *place = Some((key, found.clone()));
            }
        });
        found
    })
}

fn place(epoch: Epoch, part: usize, words: &[u64], places: usize) -> usize {
    let mut hasher = FxHasher::default();
    hasher.write_u64(epoch.number());
    hasher.write_usize(part);
    for word in words {
        hasher.write_u64(*word);
    }
    near::place(hasher.finish(), places)
}

#[cfg(test)]
mod tests {
    use crate::verdict::Score;

    use super::*;

    /// More than there are places, so that many share one.
    const MANY: usize = 2_000;

    fn only(number: usize) -> Set {
        let mut set = Set::default();
        set.insert(number % 256);
        set
    }

    fn points(of: usize) -> Verdict {
        Verdict { score: Score::clamped(i32::try_from(of % 101).unwrap()), ..Verdict::default() }
    }

    #[test]
    fn what_was_found_is_remembered() {
        let (epoch, sheet) = (Epoch::fresh(), Sheet::of_first(1));
        let found = |number| outlook(epoch, &sheet, || Outlook { sure: only(number), open: Set::default() }).sure;
        assert_eq!((found(1), found(2)), (only(1), only(1)));
        let verdict = |of| verdict(epoch, 1, &only(3), || points(of));
        assert_eq!((verdict(5), verdict(6)), (points(5), points(5)));
    }

    #[test]
    fn nothing_answers_for_another_policy_sheet_part_or_set_of_rows() {
        let one = Epoch::fresh();
        for number in 0..MANY {
            let (fresh, byte) = (Epoch::fresh(), u8::try_from(number % 256).unwrap());
            for (epoch, sheet, wanted) in [(fresh, Sheet::of_first(0), number), (one, Sheet::of_first(byte), number % 256)] {
                let found = outlook(epoch, &sheet, || Outlook { sure: only(wanted), open: only(wanted + 1) });
                assert_eq!((found.sure, found.open), (only(wanted), only(wanted + 1)));
            }
            for (epoch, part, rows) in [(fresh, 0, 0), (one, number + 1, 0), (one, 0, number % 256)] {
                let wanted = points(part + rows + usize::try_from(epoch.number()).unwrap());
                assert_eq!(verdict(epoch, part, &only(rows), || wanted.clone()), wanted);
            }
        }
    }

    #[test]
    fn rows_that_do_not_lie_in_place_are_found_each_time() {
        let (epoch, sheet, far) = (Epoch::fresh(), Sheet::of_first(9), 5_000);
        let mut rows = Set::default();
        rows.insert(far);
        let found = |sure: &Set| outlook(epoch, &sheet, || Outlook { sure: sure.clone(), open: Set::default() }).sure;
        assert_eq!((found(&rows), found(&only(1))), (rows.clone(), only(1)));
        assert_eq!(verdict(epoch, 0, &rows, || points(1)), points(1));
        assert_eq!(verdict(epoch, 0, &rows, || points(2)), points(2));
    }
}
