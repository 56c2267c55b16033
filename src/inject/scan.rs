//! A tokenizer for the opening of a page: it finds where a script stands first in the head element that a browser
//! will build, and stops there. Follows the states of the WHATWG HTML Standard, section 13.2.5, as far as the tree
//! construction modes "initial", "before html" and "before head" (13.2.6.4.1 to .3) need them.
//! Byte by byte, so that no cut of the stream matters. Must not know what is inserted.

/// What is known after a piece of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// Not yet decided.
    More,
    /// The script goes before the byte of this number, counted from the page's first byte.
    At(usize),
    /// The bytes are UTF-16: nothing of ours may go in.
    Utf16,
    /// The page says that it is AMP: a script of ours would make it invalid.
    Amp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before the first byte.
    Start,
    /// Inside what may be a byte order mark; the bytes so far.
    Mark(u8),
    /// UTF-8's mark, two bytes of three.
    Mark8,
    Data,
    TagOpen,
    EndTagOpen,
    /// In a start tag's name; which of our names it may still be.
    Name(Name),
    EndName,
    MarkupOpen,
    MarkupDash,
    Doctype(u8),
    /// Up to the next `>`: doctypes, processing instructions, CDATA, bogus comments.
    Bogus,
    CommentStart,
    CommentStartDash,
    Comment,
    CommentEndDash,
    CommentEnd,
    CommentEndBang,
    BeforeAttribute,
    Attribute,
    AfterAttribute,
    BeforeValue,
    DoubleQuoted,
    SingleQuoted,
    Unquoted,
    AfterQuoted,
    SelfClosing,
}

/// How much of `html` or `head` matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Name {
    H,
    Ht,
    Htm,
    Html,
    He,
    Hea,
    Head,
}

impl Name {
    fn next(self, byte: u8) -> Option<Self> {
        match (self, byte.to_ascii_lowercase()) {
            (Self::H, b't') => Some(Self::Ht),
            (Self::Ht, b'm') => Some(Self::Htm),
            (Self::Htm, b'l') => Some(Self::Html),
            (Self::H, b'e') => Some(Self::He),
            (Self::He, b'a') => Some(Self::Hea),
            (Self::Hea, b'd') => Some(Self::Head),
            _ => None,
        }
    }
}

/// Which tag the attribute states are in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tag {
    Html,
    Head,
    /// An end tag that these modes ignore.
    End,
}

/// The tokenizer, between two pieces of the page.
#[derive(Clone, Debug)]
pub(crate) struct Scanner {
    state: State,
    tag: Tag,
    seen: usize,
    token: usize,
    /// The end tag name's letters so far (lower case), as far as they can matter.
    end: [u8; 5],
    end_len: usize,
    plain: bool,
    tokens: u8,
    /// The bytes of an attribute's name on `html` so far, as far as they can matter; one more than the longest that does.
    name: [u8; 10],
    name_len: usize,
}

impl Scanner {
    /// A tokenizer before the page's first byte.
    pub(crate) fn new() -> Self {
        Self {
            state: State::Start,
            tag: Tag::End,
            seen: 0,
            token: 0,
            end: [0; 5],
            end_len: 0,
            plain: true,
            tokens: 0,
            name: [0; 10],
            name_len: 0,
        }
    }

    /// Reads the next piece.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Found {
        let mut rest = bytes;
        while let Some((&byte, tail)) = rest.split_first() {
            let found = self.step(byte);
            if found != Found::More {
                return found;
            }
            self.seen += 1;
            rest = tail;
            if let Some(skip) = self.skippable(rest) {
                self.seen += skip;
                rest = rest.get(skip..).unwrap_or_default();
            }
        }
        Found::More
    }

    /// Bytes read without a decision.
    pub(crate) fn seen(&self) -> usize {
        self.seen
    }

    /// Bytes of what was read that the decision may still go before; everything earlier can be passed on.
    pub(crate) fn undecided(&self) -> usize {
        match self.state {
            // Longer than any end tag that matters: its name cannot be the place any more.
            State::EndName if self.end_len == self.end.len() => 0,
            State::TagOpen | State::EndTagOpen | State::Name(_) | State::EndName => self.seen - self.token,
            State::Mark(_) | State::Mark8 => self.seen,
            _ => 0,
        }
    }

    /// Whether nothing but one doctype, one `<html>` and white space came before the place.
    pub(crate) fn plain(&self) -> bool {
        self.plain
    }

    /// Bytes that cannot change the state: the inside of comments and quoted values.
    fn skippable(&self, rest: &[u8]) -> Option<usize> {
        let stop = match self.state {
            State::Comment => b'-',
            State::Bogus => b'>',
            State::DoubleQuoted => b'"',
            State::SingleQuoted => b'\'',
            _ => return None,
        };
        Some(rest.iter().position(|byte| *byte == stop).unwrap_or(rest.len()))
    }

    fn step(&mut self, byte: u8) -> Found {
        match self.state {
            State::Start | State::Mark(_) | State::Mark8 => self.mark(byte),
            State::Data => self.data(byte),
            State::TagOpen | State::EndTagOpen | State::Name(_) | State::EndName => self.tag_name(byte),
            State::MarkupOpen | State::MarkupDash | State::Doctype(_) => self.declaration(byte),
            State::Bogus => {
                if byte == b'>' {
                    self.state = State::Data;
                }
                Found::More
            }
            State::CommentStart
            | State::CommentStartDash
            | State::Comment
            | State::CommentEndDash
            | State::CommentEnd
            | State::CommentEndBang => self.comment(byte),
            _ => self.attributes(byte),
        }
    }

    /// The byte order mark, if there is one (WHATWG Encoding, section 6, "decode").
    fn mark(&mut self, byte: u8) -> Found {
        self.state = match (self.state, byte) {
            (State::Start, 0xEF | 0xFE | 0xFF) => State::Mark(byte),
            (State::Mark(0xEF), 0xBB) => State::Mark8,
            (State::Mark(0xFE), 0xFF) | (State::Mark(0xFF), 0xFE) => return Found::Utf16,
            (State::Mark8, 0xBF) => {
                self.plain = false;
                State::Data
            }
            (State::Start, _) => {
                self.state = State::Data;
                return self.data(byte);
            }
            // No mark after all: it is text, and the page begins with it.
            _ => return Found::At(0),
        };
        Found::More
    }

    fn data(&mut self, byte: u8) -> Found {
        match byte {
            b'\t' | b'\n' | 0x0C | b'\r' | b' ' => Found::More,
            b'<' => {
                self.token = self.seen;
                self.state = State::TagOpen;
                Found::More
            }
            _ => Found::At(self.seen),
        }
    }

    fn tag_name(&mut self, byte: u8) -> Found {
        self.state = match (self.state, byte) {
            (State::TagOpen, b'!') => State::MarkupOpen,
            (State::TagOpen, b'/') => State::EndTagOpen,
            (State::TagOpen, b'h' | b'H') => State::Name(Name::H),
            (State::EndTagOpen, b'>') => self.odd(State::Data),
            (State::EndTagOpen, byte) if byte.is_ascii_alphabetic() => {
                self.end_len = 0;
                self.push_end(byte);
                self.odd(State::EndName)
            }
            (State::TagOpen, b'?') | (State::EndTagOpen, _) => self.odd(State::Bogus),
            (State::Name(Name::Html), b'\t' | b'\n' | 0x0C | b'\r' | b' ' | b'/' | b'>') => {
                self.plain &= self.tokens & 2 == 0;
                self.tokens |= 2;
                return self.enter(Tag::Html, byte);
            }
            (State::Name(Name::Head), b'\t' | b'\n' | 0x0C | b'\r' | b' ' | b'/' | b'>') => {
                return self.enter(Tag::Head, byte);
            }
            (State::Name(name), byte) => match name.next(byte) {
                Some(name) => State::Name(name),
                None => return Found::At(self.token),
            },
            (State::EndName, b'\t' | b'\n' | 0x0C | b'\r' | b' ' | b'/' | b'>') => {
                // These four open the head as any start tag does; all other end tags are ignored here.
                let name = self.end.get(..self.end_len).unwrap_or_default();
                if matches!(name, b"head" | b"body" | b"html" | b"br") {
                    return Found::At(self.token);
                }
                return self.enter(Tag::End, byte);
            }
            (State::EndName, byte) => {
                self.push_end(byte);
                State::EndName
            }
            // Another start tag, or a `<` that is text.
            _ => return Found::At(self.token),
        };
        Found::More
    }

    fn odd(&mut self, state: State) -> State {
        self.plain = false;
        state
    }

    fn push_end(&mut self, byte: u8) {
        if let Some(slot) = self.end.get_mut(self.end_len) {
            *slot = byte.to_ascii_lowercase();
            self.end_len += 1;
        }
    }

    fn enter(&mut self, tag: Tag, byte: u8) -> Found {
        self.tag = tag;
        self.state = State::BeforeAttribute;
        self.attributes(byte)
    }

    fn declaration(&mut self, byte: u8) -> Found {
        const DOCTYPE: &[u8] = b"doctype";
        self.state = match (self.state, byte) {
            (State::MarkupDash, b'-') => self.odd(State::CommentStart),
            (State::MarkupOpen, b'-') => State::MarkupDash,
            (State::MarkupOpen | State::MarkupDash | State::Doctype(_), b'>') => self.odd(State::Data),
            (State::MarkupOpen, b'd' | b'D') => State::Doctype(1),
            (State::Doctype(matched), byte) if DOCTYPE.get(usize::from(matched)) == Some(&byte.to_ascii_lowercase()) => {
                if usize::from(matched) + 1 == DOCTYPE.len() {
                    self.plain &= self.tokens == 0;
                    self.tokens |= 1;
                    State::Bogus
                } else {
                    State::Doctype(matched + 1)
                }
            }
            _ => self.odd(State::Bogus),
        };
        Found::More
    }

    fn comment(&mut self, byte: u8) -> Found {
        self.state = match (self.state, byte) {
            (State::CommentStart | State::CommentStartDash | State::CommentEnd | State::CommentEndBang, b'>') => State::Data,
            (State::CommentStart, b'-') => State::CommentStartDash,
            (State::CommentStartDash | State::CommentEndDash | State::CommentEnd, b'-') => State::CommentEnd,
            (State::Comment | State::CommentEndBang, b'-') => State::CommentEndDash,
            (State::CommentEnd, b'!') => State::CommentEndBang,
            _ => State::Comment,
        };
        Found::More
    }

    fn attributes(&mut self, byte: u8) -> Found {
        let before = self.state;
        let found = self.attribute_states(byte);
        if self.tag == Tag::Html {
            if before == State::Attribute && self.state != State::Attribute && self.name_is_amp() {
                return Found::Amp;
            }
            if self.state == State::Attribute {
                if before != State::Attribute {
                    self.name_len = 0;
                }
                if let Some(slot) = self.name.get_mut(self.name_len) {
                    *slot = byte.to_ascii_lowercase();
                    self.name_len += 1;
                }
            }
        }
        found
    }

    /// The attributes by which an `html` element says that it is AMP: for pages, ads and e-mail (amp.dev, "AMP HTML
    /// Specification"). The sign is U+26A1 in UTF-8, which AMP demands.
    fn name_is_amp(&self) -> bool {
        const SIGN: &[u8] = "\u{26A1}".as_bytes();
        let name = self.name.get(..self.name_len).unwrap_or_default();
        let rest = name.strip_prefix(b"amp").or_else(|| name.strip_prefix(SIGN));
        rest.is_some_and(|rest| matches!(rest, b"" | b"4ads" | b"4email"))
    }

    fn attribute_states(&mut self, byte: u8) -> Found {
        let space = matches!(byte, b'\t' | b'\n' | 0x0C | b'\r' | b' ');
        self.state = match (self.state, byte) {
            (State::DoubleQuoted, b'"') | (State::SingleQuoted, b'\'') => State::AfterQuoted,
            (State::DoubleQuoted | State::SingleQuoted, _) => return Found::More,
            (_, b'>') => return self.close(),
            (State::BeforeAttribute | State::AfterAttribute | State::BeforeValue, _) if space => return Found::More,
            (State::Attribute, _) if space => State::AfterAttribute,
            (State::Unquoted | State::AfterQuoted | State::SelfClosing, _) if space => State::BeforeAttribute,
            (State::BeforeValue, b'"') => State::DoubleQuoted,
            (State::BeforeValue, b'\'') => State::SingleQuoted,
            (State::BeforeValue | State::Unquoted, _) => State::Unquoted,
            (_, b'/') => State::SelfClosing,
            (State::Attribute | State::AfterAttribute, b'=') => State::BeforeValue,
            // Anything else begins or continues a name, an `=` too.
            _ => State::Attribute,
        };
        Found::More
    }

    fn close(&mut self) -> Found {
        if self.tag == Tag::Head {
            return Found::At(self.seen + 1);
        }
        self.state = State::Data;
        Found::More
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(page: &str) -> Option<usize> {
        let whole = match Scanner::new().feed(page.as_bytes()) {
            Found::At(at) => Some(at),
            _ => None,
        };
        let mut scanner = Scanner::new();
        let bytewise = page.as_bytes().iter().find_map(|byte| match scanner.feed(&[*byte]) {
            Found::At(at) => Some(at),
            _ => None,
        });
        assert_eq!(whole, bytewise, "{page}");
        whole
    }

    fn split(page: &str) -> (&str, &str) {
        page.split_at(place(page).expect("a place"))
    }

    #[test]
    fn the_place_is_right_after_the_head_tag() {
        for (before, after) in [
            ("<!DOCTYPE html><html><head>", "<title>x</title>"),
            ("\u{FEFF}<!doctype html>\n<HTML LANG='a>b'>\n<Head data-x=\">\" y=z/>", "<meta>"),
            ("<!--><!-- <head> --!><html a=\"<head>\"><head/>", "x"),
            ("<!--a-- ><head>--><head>", ""),
            ("<?xml version='1.0'?><![CDATA[<x]]><!---><!----><head\n>", "<p>"),
            ("</p><html><html x></ ?><head>", "<p>"),
            ("<html a = b/c><head>", ""),
        ] {
            assert_eq!(split(&format!("{before}{after}")), (before, after));
        }
    }

    #[test]
    fn without_a_head_tag_it_is_before_what_opens_the_head() {
        for (before, after) in [
            ("<!doctype html>\n", "<title>x"),
            ("<html>\n ", "<header>"),
            ("<html>", "<hea >"),
            (" ", "text<head>"),
            ("<html></p>", "</head>"),
            ("<html>", "</body>"),
            ("", "&nbsp;"),
            ("", "< p>"),
            ("<html>", "<frameset>"),
            ("", "<script><head></script>"),
        ] {
            assert_eq!(split(&format!("{before}{after}")), (before, after));
        }
    }

    #[test]
    fn an_opening_that_never_ends_has_no_place() {
        for page in ["", " \n", "<html", "<!-- <head>", "<html a='<head>", "<hea"] {
            assert_eq!(place(page), None, "{page}");
        }
    }

    #[test]
    fn an_amp_page_is_known_by_its_html_tag() {
        for tag in
            ["<html amp>", "<html \u{26A1} lang=en>", "<HTML lang='a' AMP=''>", "<html\namp4email>", "<html a=b \u{26A1}4ads/>"]
        {
            let page = format!("<!doctype html>{tag}<head>");
            assert_eq!(Scanner::new().feed(page.as_bytes()), Found::Amp, "{tag}");
            let mut scanner = Scanner::new();
            let bytewise = page.as_bytes().iter().map(|byte| scanner.feed(&[*byte])).find(|found| *found != Found::More);
            assert_eq!(bytewise, Some(Found::Amp), "{tag}");
        }
        for tag in ["<html lang=amp>", "<html amped>", "<html data-amp>", "<html a='amp'>", "<head amp>", "<html am p>"] {
            assert!(place(&format!("<!doctype html>{tag}<head>")).is_some(), "{tag}");
        }
    }

    #[test]
    fn a_utf_16_mark_is_seen_in_both_orders() {
        assert_eq!(Scanner::new().feed(b"\xFF\xFE<\0"), Found::Utf16);
        assert_eq!(Scanner::new().feed(b"\xFE\xFF\0<"), Found::Utf16);
    }
}
