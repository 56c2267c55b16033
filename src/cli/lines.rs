//! JSON Lines in, the same lines out with more fields, in order, on all processors. Promises: bounded memory however
//! long the stream; a line that comes alone goes out at once; a line that cannot be read stays in its place, with the
//! reason. Must not know what a line is enriched with.

use std::io;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::num::NonZero;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::SyncSender;
use std::sync::mpsc::sync_channel;
use std::thread;

use serde_json::Map;
use serde_json::Value;

use crate::cli::Ended;
use crate::cli::say;

/// Read at once: some thousand lines, so that handing over costs nothing per line.
const BLOCK: usize = 256 << 10;
/// The longest line in bytes; a line of a log is far shorter.
const LONGEST: usize = 64 << 10;
/// Blocks on their way to and from one worker.
const UNDER_WAY: usize = 4;

/// What became of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// Lines that were enriched.
    pub(super) fine: u64,
    /// Lines that carry an `error`.
    pub(super) wrong: u64,
}

/// Whole lines, and the number of the first one.
struct Block {
    first: u64,
    bytes: Vec<u8>,
}

/// A worker's way in and its way out.
type Lane = (SyncSender<Block>, Receiver<(Vec<u8>, Tally)>);

/// Passes a stream through what `make` makes for each worker: it gets the fields of one line and adds to them, or says what
/// is wrong with them.
///
/// # Errors
/// The stream cannot be read or written.
pub(super) fn pump<E: FnMut(&mut Map<String, Value>) -> Result<(), String>>(
    input: Box<dyn Read + Send>,
    out: &mut dyn Write,
    make: impl Fn() -> E + Sync,
) -> io::Result<Tally> {
    let workers = thread::available_parallelism().map_or(1, NonZero::get);
    let make = &make;
    thread::scope(|scope| {
        let (ways_in, ways_out): (Vec<_>, Vec<_>) = (0..workers)
            .map(|_| -> Lane {
                let (to, blocks) = sync_channel::<Block>(UNDER_WAY);
                let (done, from) = sync_channel(UNDER_WAY);
                // A closed way out means that writing failed: nobody waits for the rest.
                scope.spawn(move || {
                    let mut enrich = make();
                    blocks.iter().map(|block| work(&block, &mut enrich)).try_for_each(|made| done.send(made))
                });
                (to, from)
            })
            .unzip();
        let reader = scope.spawn(move || read(input, &ways_in));
        let mut tally = Tally::default();
        // Blocks were dealt out in turn, so they are taken in turn; the first worker without one has had the last.
        for way in ways_out.iter().cycle() {
            let Ok((bytes, counted)) = way.recv() else { break };
            out.write_all(&bytes)?;
            out.flush()?;
            tally = Tally { fine: tally.fine + counted.fine, wrong: tally.wrong + counted.wrong };
        }
        drop(ways_out);
        match reader.join() {
            Ok(Ok(true)) => Ok(tally),
            Ok(Err(error)) => Err(error),
            Ok(Ok(false)) | Err(_) => Err(io::Error::other("a thread ended before its work")),
        }
    })
}

/// How a command ends whose stream ended so.
pub(super) fn ended(done: io::Result<Tally>, err: &mut dyn Write) -> Ended {
    match done {
        Ok(Tally { wrong: 0, .. }) => Ended::Well,
        Ok(Tally { fine, wrong }) => {
            say(err, format_args!("{wrong} of {} lines carry an `error`", fine + wrong));
            Ended::Wrong
        }
        // Who reads what we write has enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ended::Well,
        Err(error) => {
            say(err, format_args!("the stream broke off: {error}"));
            Ended::Failed
        }
    }
}

/// Deals whole lines out to the workers in turn; of a line that is too long only so much that it shows. Whether the end was
/// reached.
fn read(input: Box<dyn Read + Send>, ways: &[SyncSender<Block>]) -> io::Result<bool> {
    let mut input = BufReader::with_capacity(BLOCK, input);
    let (mut rest, mut line) = (Vec::new(), 1_u64);
    for way in ways.iter().cycle() {
        let mut bytes = std::mem::take(&mut rest);
        let at_end = loop {
            let got = match input.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                got => got?,
            };
            let (len, end) = (got.len(), got.iter().rposition(|byte| *byte == b'\n'));
            if let Some(end) = end {
                let (whole, begun) = got.split_at(end + 1);
                bytes.extend_from_slice(whole);
                rest.extend_from_slice(begun);
            } else {
                bytes.extend_from_slice(got);
                bytes.truncate(LONGEST + 1);
            }
            input.consume(len);
            if len == 0 || end.is_some() {
                break len == 0;
            }
        };
        let ends = bytes.split(|byte| *byte == b'\n').skip(1).count();
        if !bytes.is_empty() && way.send(Block { first: line, bytes }).is_err() {
            return Ok(false);
        }
        if at_end {
            return Ok(true);
        }
        line = line.saturating_add(u64::try_from(ends).unwrap_or(u64::MAX));
    }
    Ok(false)
}

fn work(block: &Block, enrich: &mut impl FnMut(&mut Map<String, Value>) -> Result<(), String>) -> (Vec<u8>, Tally) {
    let mut out = Vec::with_capacity(block.bytes.len().saturating_mul(3));
    let mut tally = Tally::default();
    for (number, line) in (block.first..).zip(block.bytes.split(|byte| *byte == b'\n')) {
        let line = line.trim_ascii();
        if line.is_empty() {
            continue;
        }
        let mut fields = Map::new();
        let done = fields_of(line).and_then(|read| {
            fields = read;
            enrich(&mut fields)
        });
        match done {
            Ok(()) => tally.fine += 1,
            Err(error) => {
                tally.wrong += 1;
                fields.insert("error".to_owned(), Value::String(format!("line {number}: {error}")));
            }
        }
        // Writing JSON into memory does not fail.
        if serde_json::to_writer(&mut out, &fields).is_ok() {
            out.push(b'\n');
        }
    }
    (out, tally)
}

fn fields_of(line: &[u8]) -> Result<Map<String, Value>, String> {
    if line.len() > LONGEST {
        return Err(format!("longer than {LONGEST} bytes"));
    }
    match serde_json::from_slice(line) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(_) => Err("not a JSON object".to_owned()),
        Err(error) => Err(format!("not JSON: {} at column {}", reason(&error), error.column())),
    }
}

/// What is wrong with JSON, without the place: a stream's line is not the parser's.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rsplit_once(" at line").map_or(text.clone(), |(reason, _)| reason.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives what it has piece by piece.
    struct Pieces(Vec<Vec<u8>>);

    impl Read for Pieces {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            if self.0.is_empty() {
                return Ok(0);
            }
            let piece = self.0.remove(0);
            into[..piece.len()].copy_from_slice(&piece);
            Ok(piece.len())
        }
    }

    fn pumped(pieces: &[&[u8]]) -> (Vec<Value>, Tally) {
        let mut out = Vec::new();
        let pieces = Pieces(pieces.iter().map(|piece| piece.to_vec()).collect());
        let twice = |fields: &mut Map<String, Value>| {
            let n = fields.get("n").and_then(Value::as_u64).ok_or("no `n`")?;
            fields.insert("twice".to_owned(), Value::from(n * 2));
            Ok(())
        };
        let tally = pump(Box::new(pieces), &mut out, || twice).unwrap();
        (out.lines().map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect(), tally)
    }

    #[test]
    fn lines_come_out_in_order_however_they_are_cut() {
        let text: Vec<u8> = (0..20_000).flat_map(|n| format!("{{\"n\":{n},\"keep\":\"x\"}}\n").into_bytes()).collect();
        for size in [1_000, 7_777, 262_144] {
            let (lines, tally) = pumped(&text.chunks(size).collect::<Vec<_>>());
            assert_eq!(tally, Tally { fine: 20_000, wrong: 0 });
            for (n, line) in lines.iter().enumerate() {
                assert_eq!(*line, serde_json::json!({ "n": n, "keep": "x", "twice": n * 2 }));
            }
        }
    }

    #[test]
    fn a_wrong_line_keeps_its_place_and_says_what_is_wrong() {
        let long = vec![b'a'; LONGEST * 3];
        let (lines, tally) =
            pumped(&[b"{\"n\":1}\n\n{\"n\":\n[1]\n", &long[..BLOCK / 2], &long[..BLOCK / 2], b"\n{}\r\n{\"n\":6}"]);
        assert_eq!(tally, Tally { fine: 2, wrong: 4 });
        let said: Vec<&str> = lines.iter().map(|line| line["error"].as_str().unwrap_or("fine")).collect();
        assert_eq!(
            said,
            [
                "fine",
                "line 3: not JSON: EOF while parsing a value at column 5",
                "line 4: not a JSON object",
                "line 5: longer than 65536 bytes",
                "line 6: no `n`",
                "fine"
            ]
        );
        assert_eq!(lines[5]["twice"], 12);
    }
}
