//! Reads list files: one network, number or word per line. Promises: every fault with its line and what to do, all
//! at once but at most [`FAULTS`]; bounded work on any bytes. Must not know which list it reads.

use std::cell::Cell;
use std::fmt::Display;

use ipnetwork::IpNetwork;

use crate::fault::Fault;
use crate::lists::feed;
use crate::lists::network;
use crate::lists::network::Line;

/// Faults told of one file; a file that is of another kind has thousands of the same.
const FAULTS: usize = 20;
/// Largest file in bytes: the largest public lists of networks are below 20 MiB.
pub(super) const FILE: usize = 64 << 20;
/// Longest line in bytes, comment included; longer ones are some other format.
const LINE: usize = 4_096;
/// Longest piece of a line repeated in a message, in characters.
const SHOWN: usize = 60;

/// Reads networks: one CIDR, address or range per line, also in a table's column; `#` and `;` begin a comment. JSON feeds are
/// known by their first letter.
///
/// # Errors
/// Lines that are no network, networks with host bits set, files that are no list.
pub fn parse_prefixes(path: &str, bytes: &[u8]) -> Result<Vec<IpNetwork>, Vec<Fault>> {
    if bytes.len() <= FILE && feed::is_feed(without_mark(bytes)) {
        return feed::read(path, without_mark(bytes), None);
    }
    let heads = Cell::new(1);
    let networks = entries(path, bytes, |line| match network::read(line) {
        Line::Nothing => Ok(None),
        Line::Networks(networks) => {
            heads.set(0);
            Ok(Some(networks))
        }
        // The first line of a table names its columns.
        Line::Other if line.contains([',', '\t']) && heads.replace(0) > 0 => Ok(None),
        wrong => Err(no_network(line, &wrong)),
    })?;
    Ok(networks.into_iter().flatten().collect())
}

/// Reads numbers of autonomous systems: `AS123` or `123` per line, also in the first column of a table headed `ASN`; `#` and
/// `;` begin a comment.
///
/// # Errors
/// Lines that are no number from 1 to 4,294,967,295, files that are no list.
pub fn parse_numbers(path: &str, bytes: &[u8]) -> Result<Vec<u32>, Vec<Fault>> {
    entries(path, bytes, |line| {
        let text = network::unquoted(line.split(['#', ';', ',']).next().unwrap_or_default());
        if text.is_empty() || text.eq_ignore_ascii_case("asn") {
            return Ok(None);
        }
        number(text).map(Some)
    })
}

/// Reads `AS123` or `123`.
pub(super) fn number(text: &str) -> Result<u32, Wrong> {
    let digits = text.get(..2).filter(|head| head.eq_ignore_ascii_case("as")).and_then(|_| text.get(2..)).unwrap_or(text);
    match digits.parse() {
        Ok(number) if number > 0 && digits.bytes().all(|digit| digit.is_ascii_digit()) => Ok(number),
        _ => {
            let message = format!("`{}` is no AS number", shown(text));
            Err(Wrong::new(message, "write one number per line, such as `AS64500 # name`"))
        }
    }
}

/// Reads words: one per line, spaces around it dropped; a comment is a whole line or begins with ` #` or ` ;`.
///
/// # Errors
/// Lines with control characters, files that are no list.
pub fn parse_words(path: &str, bytes: &[u8]) -> Result<Vec<String>, Vec<Fault>> {
    entries(path, bytes, |line| {
        let comment = line.char_indices().zip(std::iter::once(' ').chain(line.chars()));
        let end = comment
            .filter(|((_, mark), before)| matches!(mark, '#' | ';') && before.is_whitespace())
            .map(|((at, _), _)| at)
            .next()
            .unwrap_or(line.len());
        let word = line.get(..end).unwrap_or_default().trim();
        if word.contains(char::is_control) {
            return Err(Wrong::new("control characters in a word".to_owned(), "write one word per line as plain text"));
        }
        Ok((!word.is_empty()).then(|| word.to_owned()))
    })
}

/// What is wrong with a line.
pub(super) struct Wrong {
    message: String,
    hint: String,
}

impl Wrong {
    pub(super) fn new(message: String, hint: impl Into<String>) -> Self {
        Self { message, hint: hint.into() }
    }
}

/// What is wrong with a line or cell that should be a network.
pub(super) fn no_network(line: &str, wrong: &Line) -> Wrong {
    let text = line.split(['#', ';']).next().unwrap_or_default().trim();
    match wrong {
        Line::BitsSet(network) => {
            let meant = match IpNetwork::new(network.network(), network.prefix()) {
                Ok(meant) => format!("write `{meant}` for the network or `{}` for the address", network.ip()),
                Err(_) => "write the first address of the network".to_owned(),
            };
            Wrong::new(format!("`{}` has bits set behind its prefix", shown(text)), meant)
        }
        Line::Backwards => Wrong::new(format!("`{}` ends before it begins", shown(text)), "write the lower address first"),
        _ => Wrong::new(
            format!("`{}` is no network", shown(text)),
            "write one network such as `192.0.2.0/24`, one address or one range per line",
        ),
    }
}

/// A file without the byte-order mark that some editors put first.
pub(super) fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}

/// Runs a reader over all lines and gathers what it made of them, or all that is wrong.
pub(super) fn entries<T>(
    path: &str,
    bytes: &[u8],
    read: impl Fn(&str) -> Result<Option<T>, Wrong>,
) -> Result<Vec<T>, Vec<Fault>> {
    if let Some(fault) = no_list(path, bytes) {
        return Err(vec![fault]);
    }
    let bytes = without_mark(bytes);
    let mut found = Vec::new();
    let mut faults = Faults { path, told: Vec::new(), untold: 0 };
    for (number, line) in (1_u32..).zip(bytes.split(|byte| *byte == b'\n')) {
        if line.len() > LINE {
            faults.add(number, Wrong::new(format!("line of {} bytes", line.len()), format!("lines have at most {LINE} bytes")));
            continue;
        }
        match std::str::from_utf8(line).map(|line| read(line.trim_end_matches('\r'))) {
            Ok(Ok(entry)) => found.extend(entry),
            Ok(Err(wrong)) => faults.add(number, wrong),
            Err(_) => faults.add(number, Wrong::new("not UTF-8 text".to_owned(), "save the file as UTF-8")),
        }
    }
    faults.done(found)
}

/// The fault of a file that is no list at all.
pub(super) fn no_list(path: &str, bytes: &[u8]) -> Option<Fault> {
    if bytes.len() > FILE {
        let message = format!("file of {} bytes", bytes.len());
        return Some(Fault::of_file(path, message).hint(format!("lists have at most {FILE} bytes")));
    }
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Some(Fault::of_file(path, "UTF-16 text, not UTF-8").hint("save the file as UTF-8"));
    }
    let head = without_mark(bytes).trim_ascii_start();
    if head.starts_with(b"<") {
        return Some(Fault::at(path, 1, 1, "an HTML or XML page, not a list").hint("download the raw text of the list"));
    }
    if head.starts_with(&[0x1f, 0x8b]) || head.starts_with(b"PK\x03\x04") {
        return Some(Fault::of_file(path, "a compressed file, not a list").hint("unpack it first"));
    }
    bytes.contains(&0).then(|| Fault::of_file(path, "binary data, not a list").hint("lists are plain text, one entry per line"))
}

struct Faults<'a> {
    path: &'a str,
    told: Vec<Fault>,
    untold: usize,
}

impl Faults<'_> {
    fn add(&mut self, line: u32, wrong: Wrong) {
        if self.told.len() < FAULTS {
            self.told.push(Fault::at(self.path, line, 1, wrong.message).hint(wrong.hint));
        } else {
            self.untold += 1;
        }
    }

    fn done<T>(mut self, found: Vec<T>) -> Result<Vec<T>, Vec<Fault>> {
        if self.untold > 0 {
            self.told.push(Fault::of_file(self.path, format!("{} further lines are wrong", self.untold)));
        }
        if self.told.is_empty() { Ok(found) } else { Err(self.told) }
    }
}

/// A piece of a file as a message repeats it: short, without control characters.
pub(super) fn shown(text: &str) -> impl Display {
    let mut short: String = text.chars().filter(|character| !character.is_control()).take(SHOWN).collect();
    if text.chars().count() > SHOWN {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn told(faults: &[Fault]) -> Vec<String> {
        faults.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn networks_addresses_comments_and_foreign_line_ends_are_read() {
        let text = b"\xef\xbb\xbf# list\r\n192.0.2.0/24\r\n\r\n198.51.100.7 ; one\n2001:db8::/32# x\n 2001:db8::1 \n";
        let networks = parse_prefixes("a.txt", text).unwrap();
        let networks: Vec<String> = networks.iter().map(ToString::to_string).collect();
        assert_eq!(networks, ["192.0.2.0/24", "198.51.100.7/32", "2001:db8::/32", "2001:db8::1/128"]);
    }

    #[test]
    fn all_wrong_lines_are_told_at_once_with_their_place_and_what_to_do() {
        let faults = parse_prefixes("vpn.txt", b"192.0.2.1/24\n10.0.0.0/8\n10.0.0.9-10.0.0.0\nexample.com\n1.2.3.4,DE\nx,y\n")
            .unwrap_err();
        assert_eq!(
            told(&faults),
            [
                "vpn.txt:1:1: `192.0.2.1/24` has bits set behind its prefix\nhint: write `192.0.2.0/24` for the network or `192.0.2.1` for the address",
                "vpn.txt:3:1: `10.0.0.9-10.0.0.0` ends before it begins\nhint: write the lower address first",
                "vpn.txt:4:1: `example.com` is no network\nhint: write one network such as `192.0.2.0/24`, one address or one range per line",
                "vpn.txt:6:1: `x,y` is no network\nhint: write one network such as `192.0.2.0/24`, one address or one range per line",
            ]
        );
    }

    #[test]
    fn a_page_or_an_archive_in_place_of_a_list_is_one_fault() {
        let faults = parse_prefixes("a.txt", b"\n <!doctype html>\n<p>404\n").unwrap_err();
        assert_eq!(told(&faults), ["a.txt:1:1: an HTML or XML page, not a list\nhint: download the raw text of the list"]);
        assert_eq!(parse_numbers("a.txt", &[0x1f, 0x8b, 8, 0]).unwrap_err().len(), 1);
        assert_eq!(parse_words("a.txt", b"a\0b").unwrap_err().len(), 1);
    }

    #[test]
    fn tables_feeds_and_other_encodings_are_read_or_named() {
        let table = parse_prefixes("a.csv", b"network,country\n1.0.0.0/24,AU\n\"1.0.4.0\",\"1.0.7.255\",AU\n").unwrap();
        assert_eq!(table.iter().map(ToString::to_string).collect::<Vec<_>>(), ["1.0.0.0/24", "1.0.4.0/22"]);
        assert_eq!(parse_prefixes("a", b"\xef\xbb\xbf {\"ip\": \"192.0.2.1\"}").unwrap().len(), 1);
        let utf16: Vec<u8> = std::iter::once(0xfeff).chain("192.0.2.1\r\n".encode_utf16()).flat_map(u16::to_le_bytes).collect();
        assert_eq!(told(&parse_prefixes("a", &utf16).unwrap_err()), ["a: UTF-16 text, not UTF-8\nhint: save the file as UTF-8"]);
        let numbers = parse_numbers("bad.csv", b"ASN,Entity\n198375,\"INULOGIC SARL, FR\"\n51447, \"RootLayer\"\n").unwrap();
        assert_eq!(numbers, [198_375, 51_447]);
    }

    #[test]
    fn every_list_that_came_as_text_or_feed_is_read() {
        let data = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("data");
        let read = |path: &str| parse_prefixes(path, &std::fs::read(data.join(path)).unwrap()).unwrap().len();
        assert_eq!((read("proxies/proxies.jsonl"), read("vpn/providers/protonvpn.txt")), (984, 2_715));
        let bad = std::fs::read(data.join("datacenter/bad-asn-list.csv")).unwrap();
        assert_eq!(parse_numbers("bad-asn-list.csv", &bad).unwrap().len(), 742);
    }

    #[test]
    fn of_many_faults_some_are_told_and_the_rest_counted() {
        let faults = parse_prefixes("a.txt", "nonsense\n".repeat(1_000).as_bytes()).unwrap_err();
        assert_eq!(faults.len(), FAULTS + 1);
        assert_eq!(faults[FAULTS].to_string(), "a.txt: 980 further lines are wrong");
    }

    #[test]
    fn numbers_are_read_with_and_without_their_prefix() {
        assert_eq!(parse_numbers("a", b"AS9009 # M247\nas1\n 64500\n#\n").unwrap(), [9009, 1, 64_500]);
        for wrong in ["AS", "0", "-1", "+1", "4294967296", "AS12x", "A\u{e4}1"] {
            assert_eq!(parse_numbers("a", wrong.as_bytes()).unwrap_err().len(), 1, "{wrong}");
        }
    }

    #[test]
    fn words_keep_marks_inside_them() {
        assert_eq!(parse_words("a", b"# x\nC#-client\na;b\nfoo bar # note\n\n; y\n").unwrap(), ["C#-client", "a;b", "foo bar"]);
    }

    #[test]
    fn too_long_lines_and_broken_text_are_faults() {
        let mut bytes = vec![b'a'; LINE + 1];
        bytes.extend_from_slice(b"\n\xff\xfe\n");
        assert_eq!(parse_words("a", &bytes).unwrap_err().len(), 2);
    }

    proptest! {
        #[test]
        fn hostile_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            drop(parse_prefixes("a", &bytes));
            drop(parse_numbers("a", &bytes));
            drop(parse_words("a", &bytes));
        }
    }
}
