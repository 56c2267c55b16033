//! Reads what `strace -f -y` wrote: calls that were interrupted by another thread's stand in two lines. Must not know the
//! program beyond the name of its log.

use std::collections::HashMap;

const LOG: &str = "spool.db-wal>";

/// One call: where it begins and where it has ended, as lines of the trace.
struct Call {
    name: String,
    arguments: String,
    begins: usize,
    ends: Option<usize>,
    result: String,
}

/// All calls in the order in which they begin.
pub(super) struct Trace(Vec<Call>);

impl Trace {
    pub(super) fn read(text: &str) -> Self {
        let mut calls: Vec<Call> = Vec::new();
        let mut open: HashMap<&str, usize> = HashMap::new();
        for (line, row) in text.lines().enumerate() {
            // Short process ids are padded.
            let Some((process, rest)) = row.split_once(' ') else { continue };
            let Some((_time, rest)) = rest.trim_start().split_once(' ') else { continue };
            let result = |text: &str| text.rsplit_once(" = ").map_or("", |(_, result)| result).to_owned();
            if rest.starts_with("<... ") {
                let Some(call) = open.remove(process).map(|at| &mut calls[at]) else { continue };
                call.ends = Some(line);
                call.result = result(rest);
                continue;
            }
            let Some((name, arguments)) = rest.split_once('(') else { continue };
            let unfinished = rest.ends_with("<unfinished ...>");
            if unfinished {
                open.insert(process, calls.len());
            }
            calls.push(Call {
                name: name.to_owned(),
                arguments: arguments.to_owned(),
                begins: line,
                ends: (!unfinished).then_some(line),
                result: if unfinished { String::new() } else { result(rest) },
            });
        }
        Self(calls)
    }

    /// Where each good answer begins to be sent.
    pub(super) fn answers(&self) -> Vec<usize> {
        let sends = |call: &&Call| matches!(call.name.as_str(), "write" | "writev" | "sendto" | "sendmsg");
        let good = |call: &&Call| call.arguments.contains("\"HTTP/1.1 200 OK\\r\\n");
        self.0.iter().filter(sends).filter(good).map(|call| call.begins).collect()
    }

    /// Where something that holds this text has first been written to the spool's log.
    pub(super) fn written(&self, text: &str) -> Option<usize> {
        let writes = |call: &&Call| call.name == "pwrite64" && call.arguments.contains(LOG) && call.arguments.contains(text);
        self.0.iter().find(writes).and_then(|call| call.ends)
    }

    /// Whether the spool's log was synced, from begin to end, between two lines.
    pub(super) fn synced_between(&self, after: usize, before: usize) -> bool {
        self.0.iter().any(|call| {
            matches!(call.name.as_str(), "fsync" | "fdatasync")
                && call.arguments.contains(LOG)
                && call.result.trim() == "0"
                && call.begins > after
                && call.ends.is_some_and(|end| end < before)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sync_that_ends_after_the_answer_does_not_count() {
        let trace = |last: [&str; 2]| {
            Trace::read(&format!(
                "7     10:00:00.000001 pwrite64(9</s/spool.db-wal>, \"order-1\", 7, 0) = 7\n\
                 7     10:00:00.000002 fdatasync(9</s/spool.db-wal> <unfinished ...>\n{}\n{}\n",
                last[0], last[1]
            ))
        };
        let synced = "7     10:00:00.000003 <... fdatasync resumed>) = 0";
        let answered = "8     10:00:00.000004 sendto(11<socket:[1]>, \"HTTP/1.1 200 OK\\r\\ndate\", 19, 0, NULL, 0) = 19";
        for (lines, holds) in [([synced, answered], true), ([answered, synced], false)] {
            let trace = trace(lines);
            let (written, answer) = (trace.written("order-1").unwrap(), trace.answers()[0]);
            assert_eq!(trace.synced_between(written, answer), holds);
        }
    }
}
