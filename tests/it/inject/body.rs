//! The streaming body as whoever sends it sees it: trailers, errors, lengths, limits, and a site that pauses.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io;
use std::io::Read;
use std::io::Write;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::Mutex;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;

use bytes::Bytes;
use clicksieve::inject::BodyError;
use clicksieve::inject::Charset;
use clicksieve::inject::Coding;
use clicksieve::inject::InjectBody;
use clicksieve::inject::Injection;
use clicksieve::inject::Settings;
use clicksieve::inject::Way;
use clicksieve::inject::Why;
use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use http::HeaderMap;
use http::HeaderValue;
use http_body::Body;
use http_body::Frame;
use http_body::SizeHint;

use super::feed::Cuts;
use super::feed::SNIPPET;
use super::feed::gunzip;
use super::feed::gzip;
use super::feed::inject;

const FRONT: &str = "<!doctype html><html><head>";
const REST: &str = "<title>t</title></head><body>hello</body></html>";

enum Step {
    Data(Vec<u8>),
    /// Nothing more until the test takes this step away.
    Pause,
    Trailers(HeaderMap),
    Break,
}

/// A site's body that does these steps in turn and knows its length unless it pauses.
#[derive(Clone)]
struct Scripted(Rc<RefCell<VecDeque<Step>>>);

impl Body for Scripted {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let mut steps = self.0.borrow_mut();
        match steps.pop_front() {
            Some(Step::Data(data)) => Poll::Ready(Some(Ok(Frame::data(data.into())))),
            Some(Step::Pause) => {
                steps.push_front(Step::Pause);
                Poll::Pending
            }
            Some(Step::Trailers(fields)) => Poll::Ready(Some(Ok(Frame::trailers(fields)))),
            Some(Step::Break) => Poll::Ready(Some(Err(io::ErrorKind::ConnectionReset.into()))),
            None => Poll::Ready(None),
        }
    }

    fn size_hint(&self) -> SizeHint {
        let steps = self.0.borrow();
        let lens = steps.iter().map(|step| if let Step::Data(data) = step { Some(data.len() as u64) } else { None });
        lens.sum::<Option<u64>>().map_or_else(SizeHint::new, SizeHint::with_exact)
    }
}

fn script(steps: Vec<Step>) -> Scripted {
    Scripted(Rc::new(RefCell::new(steps.into())))
}

fn body(coding: Coding, splice: bool, steps: Vec<Step>) -> InjectBody<Scripted> {
    body_of(coding, splice, script(steps))
}

fn body_of(coding: Coding, splice: bool, site: Scripted) -> InjectBody<Scripted> {
    let injection = Injection { way: Way::Inline { nonce: None }, coding, beacon: true, worker: true, charset: Charset::Head };
    let settings = Settings { splice, ..Settings::default() };
    InjectBody::new(site, &injection, Bytes::from_static(SNIPPET.as_bytes()), &settings)
}

/// What a sender has before the body's next pause, end or error.
#[derive(Debug, Default)]
struct Seen {
    data: Vec<u8>,
    trailers: Option<HeaderMap>,
    error: Option<BodyError<io::Error>>,
    ended: bool,
}

fn read<B: Body<Data = Bytes, Error = BodyError<io::Error>> + Unpin>(body: &mut B) -> Seen {
    let mut seen = Seen::default();
    while let Poll::Ready(frame) = Pin::new(&mut *body).poll_frame(&mut Context::from_waker(Waker::noop())) {
        match frame.map(|frame| frame.map(Frame::into_data)) {
            Some(Ok(Ok(data))) => seen.data.extend_from_slice(&data),
            Some(Ok(Err(frame))) => seen.trailers = frame.into_trailers().ok(),
            Some(Err(error)) => seen.error = Some(error),
            None => {
                seen.ended = true;
                break;
            }
        }
    }
    seen
}

/// What a visitor can decode of a gzip stream that has not ended.
fn decodable(packed: &[u8]) -> String {
    let mut page = Vec::new();
    let _ = MultiGzDecoder::new(packed).read_to_end(&mut page);
    String::from_utf8(page).unwrap()
}

/// The same page in the three ways it can go through: plain, encoded again, spliced.
fn three_ways(page: &str) -> [(Coding, bool, Vec<u8>); 3] {
    let packed = gzip(page.as_bytes());
    [(Coding::Identity, true, page.into()), (Coding::Gzip, false, packed.clone()), (Coding::Gzip, true, packed)]
}

#[test]
fn trailers_come_through_behind_the_page() {
    let mut fields = HeaderMap::new();
    fields.insert("server-timing", HeaderValue::from_static("db"));
    for (coding, splice, page) in three_ways(&format!("{FRONT}{REST}")) {
        let mut body = body(coding, splice, vec![Step::Data(page), Step::Trailers(fields.clone())]);
        let seen = read(&mut body);
        assert_eq!(seen.trailers, Some(fields.clone()), "{coding:?} {splice}");
        assert!(seen.ended && body.is_end_stream());
        let page = if coding == Coding::Gzip { gunzip(&seen.data) } else { seen.data };
        assert!(String::from_utf8(page).unwrap().ends_with(REST));
    }
}

#[test]
fn a_site_that_breaks_off_is_an_error_outward() {
    for (coding, splice, page) in three_ways(&format!("{FRONT}{REST}")) {
        let mut body = body(coding, splice, vec![Step::Data(page), Step::Break, Step::Data(b"never".to_vec())]);
        let seen = read(&mut body);
        assert!(matches!(seen.error, Some(BodyError::Site(_))), "{coding:?} {splice} {seen:?}");
        assert!(seen.ended && !String::from_utf8_lossy(&seen.data).contains("never"));
    }
}

#[test]
fn after_a_peek_the_length_is_exact_where_it_can_be() {
    for (coding, splice, page) in three_ways(&format!("{FRONT}{}{REST}", "<p>paragraph".repeat(500))) {
        let steps = page.chunks(page.len() / 2).map(|half| Step::Data(half.to_vec())).collect();
        let mut body = body(coding, splice, steps);
        assert_eq!(body.size_hint().exact(), None);
        futures_util::FutureExt::now_or_never(body.peek()).expect("the first piece is there").unwrap();
        let promised = body.size_hint().exact();
        let seen = read(&mut body);
        let len = (coding == Coding::Identity || splice).then_some(seen.data.len() as u64);
        assert_eq!(promised, len, "{coding:?} {splice}");
    }
}

#[test]
fn a_fault_that_a_peek_finds_ends_the_body() {
    for (coding, steps) in [(Coding::Identity, vec![Step::Break]), (Coding::Gzip, vec![])] {
        let mut body = body(coding, false, steps);
        assert!(futures_util::FutureExt::now_or_never(body.peek()).expect("no pause").is_err());
        let seen = read(&mut body);
        assert!(seen.ended && seen.data.is_empty() && seen.error.is_none(), "{seen:?}");
    }
}

#[test]
fn a_page_without_a_place_passes_untouched_and_says_why() {
    let long = format!("<!doctype html><!--{}--><head><title>t</title>", "x".repeat(Settings::default().head_limit));
    for (page, why) in [
        (long.as_bytes(), Why::HeadLimit),
        (b"<!doctype html><!-- <head>", Why::NoHead),
        (b"\xFF\xFE<\0h\0", Why::Utf16),
        (b"<!doctype html><html lang=en amp><head><title>t</title></head>", Why::Amp),
        ("<!doctype html><html \u{26A1}4email><head><title>t</title></head>".as_bytes(), Why::Amp),
    ] {
        for (coding, splice, sent) in
            [(Coding::Identity, true, page.to_vec()), (Coding::Gzip, false, gzip(page)), (Coding::Gzip, true, gzip(page))]
        {
            let told = Arc::new(Mutex::new(Vec::new()));
            let listener = Arc::clone(&told);
            let steps = sent.chunks(1000).map(|piece| Step::Data(piece.to_vec())).collect();
            let mut body = body(coding, splice, steps).on_miss(Arc::new(move |why| listener.lock().unwrap().push(why)));
            let seen = read(&mut body);
            let got = if coding == Coding::Gzip { gunzip(&seen.data) } else { seen.data };
            assert!(got == page, "{why:?} {coding:?} {splice}");
            assert_eq!(*told.lock().unwrap(), [why], "{coding:?} {splice}");
        }
    }
}

#[test]
fn the_limit_counts_the_pages_bytes_however_they_are_cut() {
    let limit = Settings::default().head_limit;
    for (front, beyond) in [("<head>", 6), ("<title>", 0), ("</head>", 0), ("text", 0)] {
        for place in [limit - 1, limit, limit + 1] {
            let page = format!("<!--{}-->{front}<p>x", "x".repeat(place - beyond - 7));
            let injected = place <= limit;
            for cuts in [Cuts::Whole, Cuts::Bytes(usize::MAX), Cuts::Random(3)] {
                let got = inject(page.as_bytes(), cuts, Coding::Identity, true).unwrap();
                assert_eq!(got.len() > page.len(), injected, "{front} at {place} {cuts:?}");
            }
        }
    }
}

#[test]
fn what_a_site_sent_before_a_pause_reaches_the_visitor_before_its_end() {
    let mut first = FRONT.to_owned();
    for number in 0..200 {
        let _ = write!(first, "<p>{number}");
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(first.as_bytes()).unwrap();
    encoder.flush().unwrap();
    let packed = std::mem::take(encoder.get_mut());
    encoder.write_all(REST.as_bytes()).unwrap();
    let packed_rest = encoder.finish().unwrap();
    for (coding, splice, start, rest) in [
        (Coding::Identity, true, first.clone().into_bytes(), REST.as_bytes()),
        (Coding::Gzip, false, packed.clone(), &packed_rest),
        (Coding::Gzip, true, packed, &packed_rest),
    ] {
        let site = script(vec![Step::Data(start), Step::Pause, Step::Data(rest.to_vec())]);
        let mut body = body_of(coding, splice, site.clone());
        let mut early = read(&mut body);
        assert!(!early.ended);
        let shown = if coding == Coding::Gzip { decodable(&early.data) } else { String::from_utf8(early.data.clone()).unwrap() };
        assert!(shown.contains(SNIPPET) && shown.ends_with("<p>199"), "{coding:?} {splice}: {shown}");
        site.0.borrow_mut().pop_front();
        early.data.extend(read(&mut body).data);
        let whole = if coding == Coding::Gzip { gunzip(&early.data) } else { early.data };
        assert!(String::from_utf8(whole).unwrap().ends_with(&format!("<p>199{REST}")), "{coding:?} {splice}");
    }
}

#[test]
fn a_damaged_page_never_leaves_the_splice_as_a_sound_one() {
    let page = format!("{FRONT}{REST}{}", "<p>more".repeat(40));
    let packed = gzip(page.as_bytes());
    let sound = |answer: &[u8]| {
        let mut decoded = Vec::new();
        MultiGzDecoder::new(answer).read_to_end(&mut decoded).is_ok_and(|_| !decoded.ends_with(page.as_bytes()))
    };
    for cut in 1..packed.len() {
        let answer = inject(&packed[..cut], Cuts::Random(cut as u64), Coding::Gzip, true);
        assert!(
            answer.is_err() || answer.is_ok_and(|answer| MultiGzDecoder::new(&answer[..]).read_to_end(&mut Vec::new()).is_err()),
            "cut at {cut}"
        );
    }
    for at in (0..packed.len()).filter(|at| !(4..10).contains(at)) {
        let mut bent = packed.clone();
        bent[at] ^= 0x10;
        // Bits that pad the last deflate byte mean nothing; all others are noticed.
        let answer = inject(&bent, Cuts::Whole, Coding::Gzip, true);
        assert!(!answer.is_ok_and(|answer| sound(&answer)), "bent at {at}");
    }
}
