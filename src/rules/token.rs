//! A one-line expression -> its tokens, each with its place in the rule file, whichever way YAML writes the text: plain,
//! quoted, or as a block of several lines. Must not know facts or what an expression means.

use crate::yaml::Faults;
use crate::yaml::Key;
use crate::yaml::Node;
use crate::yaml::Value;

/// What stands at one place of an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A name, a word, a number or a duration.
    Word(String),
    /// Text in quotes.
    Quoted(String),
    /// The name of a list, without its `@`.
    List(String),
    /// The name of a condition, without its `$`.
    Named(String),
    /// `==`, `!=`, `<`, `<=`, `>` or `>=`.
    Compare(&'static str),
    /// One of `( ) [ ] ,`.
    Mark(char),
}

impl Kind {
    /// The token as it was written, for messages.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Word(word) => word.clone(),
            Self::Quoted(text) => format!("\"{text}\""),
            Self::List(name) => format!("@{name}"),
            Self::Named(name) => format!("${name}"),
            Self::Compare(sign) => (*sign).to_owned(),
            Self::Mark(mark) => mark.to_string(),
        }
    }
}

/// A token and its place.
#[derive(Clone, Debug)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) line: u32,
    pub(super) column: u32,
}

impl Token {
    /// A YAML value at the token's place.
    pub(super) fn node(&self, value: Value) -> Node {
        Node { line: self.line, column: self.column, value }
    }

    /// A YAML key at the token's place.
    pub(super) fn key(&self, name: impl Into<String>) -> Key {
        Key { line: self.line, column: self.column, name: name.into() }
    }
}

/// Where the letters of a YAML text stand in its file. YAML changes only white space and escapes, so the letters of both
/// are counted off against each other.
struct Places {
    /// Line and column of each letter that is no white space.
    of: Vec<(u32, u32)>,
    /// The text's own place, for what lies outside.
    start: (u32, u32),
}

impl Places {
    fn of(file: &str, node: &Node, wanted: usize) -> Self {
        let start = (node.line, node.column);
        let mut letters = Letters::from(file, start);
        let quote = letters.peek().filter(|letter| matches!(letter, '"' | '\''));
        match letters.peek() {
            Some('"' | '\'') => drop(letters.next()),
            Some('|' | '>') => letters.skip_line(),
            _ => {}
        }
        let mut of = Vec::with_capacity(wanted);
        while of.len() < wanted {
            let at = letters.place;
            let Some(letter) = letters.next() else { break };
            let escape = match quote {
                Some('"') => letter == '\\',
                Some('\'') => letter == '\'' && letters.peek() == Some('\''),
                _ => false,
            };
            if !letter.is_whitespace() && !escape {
                of.push(at);
            }
        }
        Self { of, start }
    }

    /// The place of a letter by its number among those that are no white space.
    fn at(&self, letter: usize) -> (u32, u32) {
        self.of.get(letter).copied().unwrap_or(self.start)
    }

    /// The place behind the last letter.
    fn end(&self) -> (u32, u32) {
        self.of.last().map_or(self.start, |(line, column)| (*line, column.saturating_add(1)))
    }
}

/// The letters of a file from a place on, with their places.
struct Letters<'a> {
    rest: std::str::Chars<'a>,
    place: (u32, u32),
}

impl<'a> Letters<'a> {
    fn from(file: &'a str, (line, column): (u32, u32)) -> Self {
        let before = |count: u32| usize::try_from(count.saturating_sub(1)).unwrap_or(usize::MAX);
        let skipped: usize = file.split_inclusive('\n').take(before(line)).map(str::len).sum();
        let mut rest = file.get(skipped..).unwrap_or_default().chars();
        for _ in 0..before(column) {
            rest.next();
        }
        Self { rest, place: (line, column) }
    }

    fn peek(&self) -> Option<char> {
        self.rest.clone().next()
    }

    fn skip_line(&mut self) {
        while self.next().is_some_and(|letter| letter != '\n') {}
    }
}

impl Iterator for Letters<'_> {
    type Item = char;

    fn next(&mut self) -> Option<char> {
        let letter = self.rest.next()?;
        self.place = match letter {
            '\n' => (self.place.0.saturating_add(1), 1),
            _ => (self.place.0, self.place.1.saturating_add(1)),
        };
        Some(letter)
    }
}

/// The tokens of an expression, and the place behind the last.
pub(super) fn tokens(file: &str, node: &Node, text: &str, faults: &Faults) -> (Vec<Token>, (u32, u32)) {
    let letters: Vec<char> = text.chars().collect();
    let count = letters.iter().filter(|letter| !letter.is_whitespace()).count();
    let mut reader = Reader { letters: &letters, at: 0, seen: 0, places: Places::of(file, node, count), faults };
    let mut tokens = Vec::new();
    while let Some(token) = reader.token() {
        tokens.push(token);
    }
    let end = reader.places.end();
    (tokens, end)
}

struct Reader<'a> {
    letters: &'a [char],
    at: usize,
    /// The letters passed that are no white space.
    seen: usize,
    places: Places,
    faults: &'a Faults,
}

fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || matches!(letter, '_' | '.' | '-' | '/' | ':' | '*')
}

impl Reader<'_> {
    fn token(&mut self) -> Option<Token> {
        loop {
            while self.peek()?.is_whitespace() {
                self.take();
            }
            let (line, column) = self.places.at(self.seen);
            if let Some(kind) = self.kind((line, column)) {
                return Some(Token { kind, line, column });
            }
        }
    }

    fn peek(&self) -> Option<char> {
        self.letters.get(self.at).copied()
    }

    fn take(&mut self) -> Option<char> {
        let letter = self.peek()?;
        self.at += 1;
        self.seen += usize::from(!letter.is_whitespace());
        Some(letter)
    }

    fn follows(&mut self, wanted: char) -> bool {
        let follows = self.peek() == Some(wanted);
        if follows {
            self.take();
        }
        follows
    }

    fn word(&mut self) -> String {
        let mut word = String::new();
        while let Some(letter) = self.peek().filter(|letter| is_word(*letter)) {
            word.push(letter);
            self.take();
        }
        word
    }

    /// The token here; what is no token is noted, and read as what was probably meant.
    fn kind(&mut self, place: (u32, u32)) -> Option<Kind> {
        if self.peek().is_some_and(is_word) {
            return Some(Kind::Word(self.word()));
        }
        let (kind, meant) = match self.take()? {
            mark @ ('(' | ')' | '[' | ']' | ',') => return Some(Kind::Mark(mark)),
            quote @ ('"' | '\'') => return Some(self.quoted(quote, place)),
            '@' => return Some(Kind::List(self.word())),
            '$' => return Some(Kind::Named(self.word())),
            '<' => return Some(Kind::Compare(if self.follows('=') { "<=" } else { "<" })),
            '>' => return Some(Kind::Compare(if self.follows('=') { ">=" } else { ">" })),
            '=' if self.follows('=') => return Some(Kind::Compare("==")),
            '!' if self.follows('=') => return Some(Kind::Compare("!=")),
            '=' => (("=", Kind::Compare("==")), "=="),
            '!' => (("!", Kind::Word("not".to_owned())), "not"),
            '&' => ((if self.follows('&') { "&&" } else { "&" }, Kind::Word("and".to_owned())), "and"),
            '|' => ((if self.follows('|') { "||" } else { "|" }, Kind::Word("or".to_owned())), "or"),
            other => {
                self.note(place, format!("`{other}` means nothing here"), Some("put text in quotes".to_owned()));
                return None;
            }
        };
        self.note(place, format!("`{}` means nothing here", kind.0), Some(format!("write `{meant}`")));
        Some(kind.1)
    }

    fn quoted(&mut self, quote: char, place: (u32, u32)) -> Kind {
        let mut text = String::new();
        while let Some(letter) = self.take() {
            if letter == quote {
                return Kind::Quoted(text);
            }
            text.push(letter);
        }
        self.note(place, "the quote is not closed".to_owned(), Some(format!("end the text with `{quote}`")));
        Kind::Quoted(text)
    }

    fn note(&self, (line, column): (u32, u32), message: String, hint: Option<String>) {
        self.faults.at(&Node { line, column, value: Value::Null }, message, hint);
    }
}
