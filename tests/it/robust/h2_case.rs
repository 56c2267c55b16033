//! How a case of HTTP/2 is played: frames as bytes over TLS, then a request that shows whether the connection, or else a new
//! one, is in step.

use h2::Reason;

use crate::door::Secure;
use crate::door::Shop;
use crate::door::visitor;
use crate::harness::frames;
use crate::harness::frames::Frame;
use crate::harness::frames::flag;
use crate::harness::frames::kind;
use crate::harness::site::Site;
use crate::robust::Came;
use crate::robust::Keeper;

/// What a visitor sees of the stream in question, or of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// An answer that came whole.
    Status(u16),
    /// `RST_STREAM`.
    Reset(Reason),
    /// `GOAWAY` with a fault, or the connection's end without a word.
    Goaway(Reason),
    Closed,
    /// Neither; the connection goes on.
    Nothing,
}

impl Seen {
    /// Whether this is what was expected. Who is still sending when the door closes may lose its farewell to the socket's reset.
    /// Which of two windows a body leaves first, its own or the connection's, depends on what was taken from it by then, and so
    /// what it is told (RFC 9113 section 6.9.1).
    pub(super) fn fits(self, expected: Self) -> bool {
        let overflow = Reason::FLOW_CONTROL_ERROR;
        self == expected
            || (self == Self::Closed && matches!(expected, Self::Goaway(_)))
            || (self == Self::Reset(overflow) && expected == Self::Goaway(overflow))
    }
}

/// One row: name, frames, what the visitor sees, how many requests the site gets of them.
pub(super) type Row<'a> = (&'a str, Vec<u8>, Seen, usize);

/// A field of a head.
pub(super) type Field<'a> = (&'a str, &'a str);

/// The stream of the request that comes last.
const LAST: u32 = 1_001;
/// The stream that the rows are about.
pub(super) const ONE: u32 = 1;

/// The pseudo-fields of a request.
pub(super) fn asked<'a>(method: &'a str, path: &'a str) -> Vec<Field<'a>> {
    vec![(":method", method), (":scheme", "https"), (":authority", "shop.example"), (":path", path)]
}

/// A request without a body.
pub(super) fn get(fields: &[Field<'_>]) -> Vec<u8> {
    frames::headers(ONE, flag::END_STREAM, &[&asked("GET", "/")[..], fields].concat())
}

/// The head of a request with a body.
pub(super) fn post(fields: &[Field<'_>]) -> Vec<u8> {
    frames::headers(ONE, 0, &[&asked("POST", "/")[..], fields].concat())
}

/// A shop over TLS in front of a keeper.
pub(super) fn shop(keeper: &Keeper) -> Shop {
    let port = keeper.site.address.port();
    Shop::with_proxy(Site::answers(""), |_| {}, move |proxy| proxy.upstream = clicksieve::proxy::Origin::local(port))
}

/// A connection on which nothing has been said.
pub(super) fn connect(shop: &Shop) -> Secure {
    visitor(&shop.front, &shop.h2())
}

/// What a client says first. Its table is empty, so that statuses can be read.
pub(super) fn hello() -> Vec<u8> {
    [frames::PREFACE, &frames::settings(&[(1, 0)])].concat()
}

/// What came of a case.
pub(super) struct Told {
    pub(super) seen: Seen,
    /// The body of the answer on the stream in question.
    pub(super) body: Vec<u8>,
    /// Its head's block of fields.
    pub(super) head: Vec<u8>,
    /// Whether the connection answered the last request.
    pub(super) in_step: bool,
}

/// Says all of it and reads until the case is settled.
pub(super) fn tell(shop: &Shop, first: &[u8], sent: &[u8], waits: bool) -> Told {
    let mut stream = connect(shop).into_inner();
    let last = frames::headers(LAST, flag::END_STREAM, &asked("GET", "/next"));
    // A door that has closed cannot be told the rest.
    let _ = std::io::Write::write_all(&mut stream, &[first, sent, &last].concat());
    let mut told = Told { seen: Seen::Nothing, body: Vec::new(), head: Vec::new(), in_step: false };
    let mut status = None;
    while !(told.in_step && (told.seen != Seen::Nothing || !waits)) {
        let Some(frame) = Frame::read(&mut stream) else {
            if !told.in_step && told.seen == Seen::Nothing {
                told.seen = Seen::Closed;
            }
            return told;
        };
        let ended = frame.flags & flag::END_STREAM != 0 && matches!(frame.kind, kind::DATA | kind::HEADERS);
        match (frame.kind, frame.stream) {
            (kind::GOAWAY, _) if frame.reason() != Reason::NO_ERROR => {
                told.seen = Seen::Goaway(frame.reason());
                return told;
            }
            (kind::RST_STREAM, ONE) if told.seen == Seen::Nothing => told.seen = Seen::Reset(frame.reason()),
            (kind::HEADERS, ONE) if status.is_none() => {
                status = Some(frame.status());
                told.head = frame.payload;
            }
            (kind::DATA, ONE) => told.body.extend_from_slice(&frame.payload),
            (_, LAST) => told.in_step = ended,
            _ => {}
        }
        if let Some(status) = status.filter(|_| ended && frame.stream == ONE) {
            told.seen = Seen::Status(status);
        }
    }
    told
}

/// Plays rows, each against a door and a site of its own; gives what the site got in the last one.
pub(super) fn play(rows: &[Row<'_>]) -> Vec<Came> {
    let mut wrong = Vec::new();
    let mut came = Vec::new();
    for (name, sent, seen, count) in rows {
        let keeper = Keeper::start();
        let shop = shop(&keeper);
        let told = tell(&shop, &hello(), sent, *seen != Seen::Nothing);
        let ended = matches!(told.seen, Seen::Goaway(_) | Seen::Closed);
        if !ended && !told.in_step {
            wrong.push(format!("{name}: out of step"));
        }
        if ended && tell(&shop, &hello(), &[], false).seen != Seen::Nothing {
            wrong.push(format!("{name}: a new connection is out of step"));
        }
        came = keeper.came();
        came.retain(|came| !came.line().starts_with("GET /next "));
        if !told.seen.fits(*seen) || came.len() != *count {
            let lines: Vec<&str> = came.iter().map(Came::line).collect();
            wrong.push(format!("{name}: {:?}, {lines:?} at the site", told.seen));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    came
}
