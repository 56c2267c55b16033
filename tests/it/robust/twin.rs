//! The cases of HTTP/1.1 over HTTP/2: what a request says is said again in frames, over TLS, at the same door. What only
//! HTTP/1.1 has has no such form, and [`Only`] says why. Each table counts its rows and those with a form ([`COUNTED`]).

use std::collections::BTreeMap;
use std::net::TcpStream;

use h2::Reason;
use rustls::ClientConnection;
use rustls::StreamOwned;

use crate::door::Shop;
use crate::harness::frames;
use crate::harness::frames::Frame;
use crate::harness::frames::flag;
use crate::harness::frames::frame;
use crate::harness::frames::kind;
use crate::harness::hpack;
use crate::harness::site::Site;
use crate::robust::Keeper;
use crate::robust::h2_case;

/// Why a request of HTTP/1.1 has no form in HTTP/2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Only {
    /// It is about what parts words, lines and requests: HPACK and frames have lengths.
    Syntax,
    /// It is about another version.
    Version,
    /// It has a field of the connection. `h2_heads::fields_of_http1_connections_are_refused` says them over HTTP/2.
    Hop,
    /// It is about how chunks are written.
    Chunks,
    /// Its target is absolute: scheme and authority have fields of their own. `h2_heads::pseudo_fields_that_are_none_are_refused`
    /// has them wrong in every way.
    Absolute,
    /// Its target has a fragment, which the library cuts off. `h2_heads::sound_requests_reach_the_site_in_its_own_words` has it.
    Fragment,
    /// So many small frames are a flood to the library. `h2_bodies::whole_bodies_reach_the_site_whole` has 2,000 of them.
    Flood,
}

type Field = (Vec<u8>, Vec<u8>);

/// The most that a frame may hold (RFC 9113 section 4.2).
const FRAME: usize = 16_384;

/// What a request says, in the words of HTTP/2.
#[derive(Clone, Debug, Default)]
pub(super) struct Form {
    fields: Vec<Field>,
    /// One frame of data for each.
    pieces: Vec<Vec<u8>>,
    trailers: Vec<Field>,
    /// Whether it comes to its end.
    ends: bool,
}

/// Reads one request.
pub(super) fn form(sent: &[u8]) -> Result<Form, Only> {
    let (head, body) = halves(sent, b"\r\n\r\n").ok_or(Only::Syntax)?;
    let mut lines = split(head).into_iter();
    let line = lines.next().ok_or(Only::Syntax)?;
    let line = line.strip_suffix(b" HTTP/1.1").ok_or(if head.windows(5).any(|five| five == b"HTTP/") {
        Only::Version
    } else {
        Only::Syntax
    })?;
    let (method, target) = halves(line, b" ").ok_or(Only::Syntax)?;
    if method.is_empty() || target.starts_with(b" ") || target.ends_with(b" ") {
        return Err(Only::Syntax);
    }
    if target.windows(3).any(|three| three == b"://") && !target.starts_with(b"/") {
        return Err(Only::Absolute);
    }
    if target.contains(&b'#') {
        return Err(Only::Fragment);
    }
    let fields = lines.map(read).collect::<Result<Vec<Field>, Only>>()?;
    let values = |name: &[u8]| -> Vec<Vec<u8>> {
        fields.iter().filter(|(found, _)| found == name).map(|(_, value)| value.clone()).collect()
    };
    let hosts = values(b"host");
    let mut form = Form { fields: vec![(b":method".to_vec(), method.to_vec())], ends: true, ..Form::default() };
    if method == b"CONNECT" && !target.starts_with(b"/") {
        form.fields.push((b":authority".to_vec(), target.to_vec()));
    } else {
        form.fields.extend([(b":scheme".to_vec(), b"https".to_vec()), (b":path".to_vec(), target.to_vec())]);
        form.fields.extend(hosts.first().map(|host| (b":authority".to_vec(), host.clone())));
    }
    let chunked = values(b"transfer-encoding") == [b"chunked"];
    // Several hosts stay what they are, beside the authority.
    let dropped = |name: &[u8]| (name == b"host" && hosts.len() == 1) || (name == b"transfer-encoding" && chunked);
    form.fields.extend(fields.iter().filter(|(name, _)| !dropped(name)).cloned());
    if form.fields.iter().any(|(name, value)| is_of_the_hop(name, value)) {
        return Err(Only::Hop);
    }
    let length = values(b"content-length");
    if chunked {
        if !length.is_empty() {
            return Err(Only::Hop);
        }
        return chunks(form, body);
    }
    let wanted = length.first().map(|length| std::str::from_utf8(length).ok().and_then(|length| length.parse().ok()));
    form.ends = wanted.flatten().is_none_or(|length: usize| length == body.len());
    form.pieces = body.chunks(FRAME).map(<[u8]>::to_vec).collect();
    // What follows without a length is another request, but for a tunnel.
    if wanted.is_none() && !body.is_empty() && method != b"CONNECT" { Err(Only::Syntax) } else { Ok(form) }
}

fn halves<'a>(bytes: &'a [u8], at: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let place = bytes.windows(at.len()).position(|window| window == at)?;
    Some((&bytes[..place], &bytes[place + at.len()..]))
}

/// Lines by CR LF.
fn split(mut head: &[u8]) -> Vec<&[u8]> {
    let mut lines = Vec::new();
    while let Some((line, rest)) = halves(head, b"\r\n") {
        lines.push(line);
        head = rest;
    }
    lines.push(head);
    lines
}

/// A line of a field; where it is none in HTTP/1.1 for what it says, it is said all the same.
fn read(line: &[u8]) -> Result<Field, Only> {
    if line.starts_with(b" ") || line.starts_with(b"\t") || line.contains(&b'\n') {
        return Err(Only::Syntax);
    }
    let (name, value) = halves(line, b":").ok_or(Only::Syntax)?;
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let from = value.iter().position(|byte| !blank(byte)).unwrap_or(value.len());
    let to = value.iter().rposition(|byte| !blank(byte)).map_or(from, |last| last + 1);
    Ok((name.to_ascii_lowercase(), value[from..to].to_vec()))
}

fn is_of_the_hop(name: &[u8], value: &[u8]) -> bool {
    let hop: [&[u8]; 6] =
        [b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade", b"http2-settings"];
    hop.contains(&name) || (name == b"te" && value != b"trailers")
}

/// Chunks that are written plainly become frames.
fn chunks(mut form: Form, mut body: &[u8]) -> Result<Form, Only> {
    while let Some((line, rest)) = halves(body, b"\r\n") {
        let size = std::str::from_utf8(line).ok().and_then(|line| usize::from_str_radix(line, 16).ok()).ok_or(Only::Chunks)?;
        if format!("{size:x}").as_bytes() != line {
            return Err(Only::Chunks);
        }
        if size == 0 {
            if rest != b"\r\n" {
                let trailers = rest.strip_suffix(b"\r\n\r\n").ok_or(Only::Chunks)?;
                form.trailers = split(trailers).into_iter().map(read).collect::<Result<_, _>>()?;
                if form.trailers.iter().any(|(name, value)| is_of_the_hop(name, value)) {
                    return Err(Only::Hop);
                }
            }
            form.pieces.extend(form.pieces.is_empty().then(Vec::new));
            return if form.pieces.len() > 2_000 { Err(Only::Flood) } else { Ok(form) };
        }
        let Some((piece, rest)) = rest.split_at_checked(size) else { return Err(Only::Chunks) };
        form.pieces.push(piece.to_vec());
        body = rest.strip_prefix(b"\r\n").ok_or(Only::Chunks)?;
    }
    form.ends = false;
    if body.is_empty() { Ok(form) } else { Err(Only::Chunks) }
}

impl Form {
    /// Its frames on a stream.
    fn frames(&self, stream: u32) -> Vec<u8> {
        let last = |ends: bool| if ends { flag::END_STREAM } else { 0 };
        let bare = self.pieces.is_empty() && self.trailers.is_empty() && self.ends;
        let mut sent = head(stream, &self.fields, last(bare));
        for (place, piece) in self.pieces.iter().enumerate() {
            let ends = self.ends && self.trailers.is_empty() && place + 1 == self.pieces.len();
            sent.extend(frames::data(stream, last(ends), piece));
        }
        if !self.trailers.is_empty() {
            sent.extend(head(stream, &self.trailers, flag::END_STREAM));
        }
        sent
    }

    /// Whether its head needs more frames than 64 KiB do. The library ends the connection then, as
    /// `h2_frames::a_head_without_an_end_is_refused` has it.
    pub(super) fn is_endless(&self) -> bool {
        frames::block(&self.fields).len().max(frames::block(&self.trailers).len()) > 4 * FRAME
    }
}

/// Fields in as many frames as they need.
fn head(stream: u32, fields: &[Field], last: u8) -> Vec<u8> {
    let block = frames::block(fields);
    let count = block.len().div_ceil(FRAME);
    let frames = block.chunks(FRAME).enumerate().map(|(place, piece)| {
        let done = if place + 1 == count { flag::END_HEADERS } else { 0 };
        let (kind, flags) = if place == 0 { (kind::HEADERS, done | last) } else { (kind::CONTINUATION, done) };
        frame(kind, flags, stream, piece)
    });
    frames.collect::<Vec<_>>().concat()
}

/// How an answer ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum End {
    Whole,
    Reset(Reason),
    /// The connection is over, with this word or none.
    Goaway(Reason),
    #[default]
    Closed,
}

/// An answer as it came, whole or not.
#[derive(Debug, Default)]
pub(super) struct Got {
    /// 0 where there was none.
    pub(super) status: u16,
    /// Answers ahead of it.
    pub(super) ahead: usize,
    pub(super) fields: Vec<hpack::Field>,
    pub(super) body: Vec<u8>,
    pub(super) end: End,
    is_over: bool,
    /// A head whose end has not come.
    block: Vec<u8>,
}

impl Got {
    fn take(&mut self, frame: &Frame) {
        match frame.kind {
            _ if self.is_over => return,
            kind::RST_STREAM => (self.end, self.is_over) = (End::Reset(frame.reason()), true),
            kind::DATA => self.body.extend_from_slice(&frame.payload),
            kind::HEADERS | kind::CONTINUATION => {
                self.block.extend_from_slice(&frame.payload);
                if frame.flags & flag::END_HEADERS != 0 {
                    let block = std::mem::take(&mut self.block);
                    self.head(hpack::fields(&block));
                }
            }
            _ => return,
        }
        if frame.flags & flag::END_STREAM != 0 && matches!(frame.kind, kind::DATA | kind::HEADERS) {
            (self.end, self.is_over) = (End::Whole, true);
        }
    }

    fn head(&mut self, fields: Vec<hpack::Field>) {
        let status = fields.iter().find(|(name, _)| name == ":status");
        match status.map(|(_, value)| std::str::from_utf8(value).unwrap().parse().unwrap()) {
            Some(100..200) => self.ahead += 1,
            Some(status) => (self.status, self.fields) = (status, fields),
            // Trailers.
            None => self.fields.extend(fields),
        }
    }

    pub(super) fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(found, _)| found == name).map(|(_, value)| std::str::from_utf8(value).unwrap())
    }

    pub(super) fn text(&self) -> &str {
        assert_eq!(self.end, End::Whole);
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(super) fn whole(&self) -> (u16, bool) {
        (self.status, self.end == End::Whole)
    }

    /// Whether it was refused: by its status, or as what the standard calls malformed.
    pub(super) fn is_refused(&self, status: u16) -> bool {
        match self.end {
            End::Whole => self.status == status,
            End::Reset(reason) | End::Goaway(reason) => self.status == 0 && reason == Reason::PROTOCOL_ERROR,
            End::Closed => self.status == 0,
        }
    }
}

/// A visitor's connection to a door with TLS.
pub(super) struct Twin {
    pub(super) shop: Shop,
    stream: StreamOwned<ClientConnection, TcpStream>,
    next: u32,
    /// Answers by their streams, as far as they have come.
    came: BTreeMap<u32, Got>,
}

impl Twin {
    pub(super) fn over(shop: Shop) -> Self {
        let stream = h2_case::connect(&shop).into_inner();
        Self::on(shop, stream)
    }

    /// On a connection that stands already.
    pub(super) fn on(shop: Shop, mut stream: StreamOwned<ClientConnection, TcpStream>) -> Self {
        begin(&mut stream);
        Self { shop, stream, next: 1, came: BTreeMap::new() }
    }

    pub(super) fn before(site: Site) -> Self {
        Self::over(Shop::with(site, |_| {}))
    }

    pub(super) fn of(keeper: &Keeper) -> Self {
        Self::over(h2_case::shop(keeper))
    }

    /// Says all of a request, on a stream of its own; gives the stream's number.
    pub(super) fn say(&mut self, form: &Form) -> u32 {
        let stream = self.next;
        self.next += 2;
        // A door that has closed cannot be told the rest.
        let _ = std::io::Write::write_all(&mut self.stream, &form.frames(stream));
        stream
    }

    /// The same byte by byte.
    pub(super) fn say_slowly(&mut self, form: &Form) -> u32 {
        let stream = self.next;
        self.next += 2;
        for byte in form.frames(stream) {
            std::io::Write::write_all(&mut self.stream, &[byte]).unwrap();
        }
        stream
    }

    /// Says a request that has a form.
    pub(super) fn ask(&mut self, sent: &str) -> Got {
        let form = form(sent.as_bytes()).unwrap_or_else(|only| panic!("{only:?}: {sent:?}"));
        let stream = self.say(&form);
        self.hear(stream)
    }

    pub(super) fn get(&mut self, path: &str) -> Got {
        self.ask(&format!("GET {path} HTTP/1.1\r\nhost: shop.example\r\n\r\n"))
    }

    /// Whether this connection, or, where that has ended, a new one, answers as it should.
    pub(super) fn is_in_step(&mut self, after: &Got, path: &str) -> bool {
        if matches!(after.end, End::Goaway(_) | End::Closed) {
            self.stream = h2_case::connect(&self.shop).into_inner();
            self.next = 1;
            self.came.clear();
            begin(&mut self.stream);
        }
        let next = self.get(path);
        next.whole() == (200, true) && next.body == path.as_bytes()
    }

    /// Leaves without a word.
    pub(super) fn leave(self) -> Shop {
        self.shop
    }

    /// Says a form and waits for its answer.
    pub(super) fn tell(&mut self, form: &Form) -> Got {
        let stream = self.say(form);
        self.hear(stream)
    }

    /// Waits for the answer on a stream; what comes on others is kept.
    pub(super) fn hear(&mut self, stream: u32) -> Got {
        loop {
            if let Some(got) = self.came.remove(&stream) {
                if got.is_over {
                    return got;
                }
                self.came.insert(stream, got);
            }
            let frame = Frame::read(&mut self.stream);
            match frame {
                Some(frame) if frame.kind != kind::GOAWAY || frame.reason() == Reason::NO_ERROR => {
                    self.came.entry(frame.stream).or_default().take(&frame);
                }
                farewell => {
                    let end = farewell.map_or(End::Closed, |frame| End::Goaway(frame.reason()));
                    return Got { end, ..self.came.remove(&stream).unwrap_or_default() };
                }
            }
        }
    }
}

/// What a client says first: its table is empty, and its windows are wide.
fn begin(stream: &mut impl std::io::Write) {
    let hello = [frames::PREFACE, &frames::settings(&[(1, 0), (4, 1 << 30)]), &frames::window(0, 1 << 30)].concat();
    stream.write_all(&hello).unwrap();
}

/// The rows of each table, and how many of them have a form and were said over HTTP/2. Tables that are about nothing but what
/// [`Only`] names (chunks, `Connection`, versions, what comes before the protocol) have none and are not counted here; cases
/// outside of tables are said both ways where they stand.
const COUNTED: &[(&str, usize, usize)] = &[
    ("address: fields", 6, 6),
    ("address: balancers", 4, 4),
    ("fields: of requests", 30, 19),
    ("fields: wishes for trailers", 3, 1),
    ("fields: of answers", 9, 9),
    ("fields: HEAD", 3, 3),
    ("frames: bodies", 17, 11),
    ("frames: cut", 6, 2),
    ("informed: expectations", 4, 4),
    ("informed: other expectations", 4, 4),
    ("informed: ahead", 6, 6),
    ("informed: upgrades", 4, 1),
    ("limits: too much", 21, 16),
    ("limits: within", 5, 5),
    ("limits: trailers", 4, 2),
    ("limits: events", 2, 2),
    ("limits: slow bodies", 4, 3),
    ("origin: no answer", 31, 31),
    ("origin: cut", 28, 28),
    ("origin: reset", 2, 2),
    ("origin: no body", 20, 20),
    ("origin: surplus", 3, 3),
    ("origin: framing", 36, 12),
    ("origin: kept connections", 6, 6),
    ("parting: refused", 13, 4),
    ("passing: request lines", 24, 17),
    ("passing: heads", 19, 11),
    ("refused: request lines", 29, 11),
    ("refused: versions", 4, 0),
    ("refused: fields", 21, 13),
    ("refused: hosts", 16, 14),
    ("refused: framing", 38, 14),
    ("refused: old chunks", 1, 0),
    ("refused: bytes in a target", 5, 5),
    ("refused: tunnels", 2, 2),
    ("refused: TRACE", 1, 1),
];

/// Counts the rows of one table.
pub(super) struct Tally {
    table: &'static str,
    rows: usize,
    forms: usize,
}

impl Tally {
    pub(super) fn of(table: &'static str) -> Self {
        Self { table, rows: 0, forms: 0 }
    }

    /// A row that is said over HTTP/2, too, if it has a form.
    pub(super) fn row(&mut self, form: Result<Form, Only>) -> Option<Form> {
        self.rows += 1;
        let form = form.ok();
        self.forms += usize::from(form.is_some());
        form
    }

    /// A row that is about the site, and so is said both ways.
    pub(super) fn both(&mut self) {
        self.rows += 1;
        self.forms += 1;
    }

    /// Fails where rows or forms are other than they were counted.
    pub(super) fn holds(self) {
        let counted = COUNTED.iter().find(|(table, ..)| *table == self.table);
        assert_eq!(counted, Some(&(self.table, self.rows, self.forms)));
    }
}

#[test]
fn most_rows_of_the_tables_are_said_over_http2_too() {
    let (rows, forms) = COUNTED.iter().fold((0, 0), |(rows, forms), (_, more, said)| (rows + more, forms + said));
    assert!(rows >= 431 && forms >= 292, "{rows} rows, {forms} with a form");
}
