//! Reads `SQLite`'s write-ahead log as its format is documented (sqlite.org/fileformat2.html, section 4): which frames are
//! of this log, and where a transaction ends.

/// Bytes of the log's own head.
pub(super) const HEAD: usize = 32;
/// Bytes in front of each page.
pub(super) const FRAME_HEAD: usize = 24;

fn number(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap())
}

/// Bytes of a frame, its page included.
pub(super) fn frame(log: &[u8]) -> usize {
    FRAME_HEAD + usize::try_from(number(log, 8)).unwrap()
}

/// The ends of all transactions of this log, in order. What an older log left behind them has other salts.
pub(super) fn commits(log: &[u8]) -> Vec<usize> {
    let mut ends = Vec::new();
    if log.len() < HEAD {
        return ends;
    }
    let mut at = HEAD;
    while at + frame(log) <= log.len() && log[at + 8..at + 16] == log[16..24] {
        at += frame(log);
        if number(log, at - frame(log) + 4) > 0 {
            ends.push(at);
        }
    }
    ends
}

/// Every boundary of frames up to `end`, and within each frame so many bytes after its begin.
pub(super) fn cuts(log: &[u8], end: usize, within: &[usize]) -> Vec<usize> {
    let mut cuts = vec![0, 1, HEAD - 1];
    for at in (HEAD..end).step_by(frame(log)) {
        cuts.push(at);
        cuts.extend(within.iter().map(|more| at + more));
    }
    cuts.push(end);
    cuts
}
