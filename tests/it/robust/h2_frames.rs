//! Frames that are none, out of place, or far too many (RFC 9113 sections 4 to 6 and 10.5; RFC 7541): the connection ends with
//! the reason that the standard names, and others are served as before.

use std::io::Write;
use std::time::Duration;

use h2::Reason;

use crate::door::Shop;
use crate::door::until;
use crate::harness::frames;
use crate::harness::frames::Frame;
use crate::harness::frames::flag;
use crate::harness::frames::frame;
use crate::harness::frames::kind;
use crate::robust::Keeper;
use crate::robust::h2_case::ONE;
use crate::robust::h2_case::Row;
use crate::robust::h2_case::Seen;
use crate::robust::h2_case::asked;
use crate::robust::h2_case::connect;
use crate::robust::h2_case::get;
use crate::robust::h2_case::hello;
use crate::robust::h2_case::play;
use crate::robust::h2_case::post;
use crate::robust::h2_case::shop;
use crate::robust::h2_case::tell;

const FAULT: Seen = Seen::Goaway(Reason::PROTOCOL_ERROR);
const SIZE: Seen = Seen::Goaway(Reason::FRAME_SIZE_ERROR);
/// The standard calls these `FRAME_SIZE_ERROR` and `COMPRESSION_ERROR`; the library says `PROTOCOL_ERROR` for them. The
/// connection ends either way.
const SMALL: Seen = FAULT;
const TABLE: Seen = FAULT;

#[test]
fn a_preface_that_is_none_ends_the_connection() {
    for (name, first) in [
        ("another", b"PRI * HTTP/2.1\r\n\r\nSM\r\n\r\n".to_vec()),
        ("HTTP/1.1", b"GET / HTTP/1.1\r\nhost: shop.example\r\n\r\n".to_vec()),
        ("nothing but zeros", vec![0; 64]),
    ] {
        let keeper = Keeper::start();
        let shop = shop(&keeper);
        // The farewell may be left out here (RFC 9113 section 3.4).
        let seen = tell(&shop, &first, &[], true).seen;
        assert!(seen == FAULT || seen == Seen::Closed, "{name}: {seen:?}");
        assert_eq!((tell(&shop, &hello(), &[], false).seen, keeper.came().len()), (Seen::Nothing, 1), "{name}");
    }
}

#[test]
fn a_client_without_settings_has_the_usual_ones() {
    // RFC 9113 section 3.4 would have the connection end; the library takes what comes first instead.
    let keeper = Keeper::start();
    let shop = shop(&keeper);
    let first = [frames::PREFACE, &frame(kind::PING, 0, 0, &[0; 8])].concat();
    assert_eq!(tell(&shop, &first, &[], false).seen, Seen::Nothing);
}

#[test]
fn frames_of_a_wrong_size_end_the_connection() {
    let rows: Vec<Row<'_>> = vec![
        ("a frame beyond 16 KiB", frame(kind::DATA, 0, ONE, &vec![0; 16_385]), SIZE, 0),
        ("a head beyond 16 KiB", frame(kind::HEADERS, flag::END_HEADERS, ONE, &vec![0; 16_385]), SIZE, 0),
        ("a ping of 7 bytes", frame(kind::PING, 0, 0, &[0; 7]), SMALL, 0),
        ("settings of 5 bytes", frame(kind::SETTINGS, 0, 0, &[0; 5]), SMALL, 0),
        ("an acknowledgement with settings", frame(kind::SETTINGS, flag::ACK, 0, &[0; 6]), SMALL, 0),
        ("a window of 3 bytes", frame(kind::WINDOW_UPDATE, 0, 0, &[0; 3]), SMALL, 0),
        ("a reset of 3 bytes", [post(&[]), frame(kind::RST_STREAM, 0, ONE, &[0; 3])].concat(), SMALL, 0),
        ("a priority of 4 bytes", frame(kind::PRIORITY, 0, ONE, &[0; 4]), SMALL, 0),
        ("a farewell of 7 bytes", frame(kind::GOAWAY, 0, 0, &[0; 7]), SMALL, 0),
    ];
    play(&rows);
}

#[test]
fn frames_out_of_place_end_the_connection() {
    let bit = |id: u16, value: u32| frames::settings(&[(id, value)]);
    let other = |stream| frames::headers(stream, flag::END_STREAM, &asked("GET", "/"));
    let open = frame(kind::HEADERS, flag::END_STREAM, ONE, &frames::block(&asked("GET", "/")));
    let rows: Vec<Row<'_>> = vec![
        ("data on stream 0", frames::data(0, 0, b"x"), FAULT, 0),
        ("a head on stream 0", other(0), FAULT, 0),
        ("a reset of stream 0", frames::reset(0, Reason::CANCEL), FAULT, 0),
        ("a priority of stream 0", frame(kind::PRIORITY, 0, 0, &[0; 5]), FAULT, 0),
        ("a continuation on stream 0", frame(kind::CONTINUATION, flag::END_HEADERS, 0, b""), FAULT, 0),
        ("settings on a stream", frame(kind::SETTINGS, 0, ONE, b""), FAULT, 0),
        ("a ping on a stream", frame(kind::PING, 0, ONE, &[0; 8]), FAULT, 0),
        ("a farewell on a stream", frame(kind::GOAWAY, 0, ONE, &[0; 8]), FAULT, 0),
        ("a head on an even stream", other(2), FAULT, 0),
        ("data on a stream that was never opened", frames::data(5, 0, b"x"), FAULT, 0),
        ("a reset of a stream that was never opened", frames::reset(5, Reason::CANCEL), FAULT, 0),
        ("a window of a stream that was never opened", frames::window(5, 1), FAULT, 0),
        ("a push", frame(kind::PUSH_PROMISE, flag::END_HEADERS, ONE, &[0, 0, 0, 2]), FAULT, 0),
        ("a continuation without a head", frame(kind::CONTINUATION, flag::END_HEADERS, ONE, b""), FAULT, 0),
        ("another frame within a head", [&open[..], &frame(kind::PING, 0, 0, &[0; 8])].concat(), FAULT, 0),
        ("another stream's continuation", [&open[..], &frame(kind::CONTINUATION, flag::END_HEADERS, 3, b"")].concat(), FAULT, 0),
        ("data within a head", [&open[..], &frames::data(ONE, 0, b"x")].concat(), FAULT, 0),
        ("a push allowed twice over", bit(2, 2), FAULT, 0),
        ("a window beyond 31 bits", bit(4, 0x8000_0000), FAULT, 0),
        ("frames of less than 16 KiB", bit(5, 1_000), FAULT, 0),
        ("frames of more than 24 bits", bit(5, 0x0100_0000), FAULT, 0),
        ("a window of nothing more", frames::window(0, 0), FAULT, 0),
        ("a window that overflows", frames::window(0, 0x7fff_ffff), Seen::Goaway(Reason::FLOW_CONTROL_ERROR), 0),
        ("padding longer than its head", frame(kind::HEADERS, flag::END_HEADERS | flag::PADDED, ONE, &[9, 0]), FAULT, 0),
    ];
    play(&rows);
}

#[test]
fn coded_fields_that_are_none_end_the_connection() {
    let head = |block: &[u8]| frame(kind::HEADERS, flag::END_HEADERS | flag::END_STREAM, ONE, block);
    let rows: Vec<Row<'_>> = vec![
        ("index 0", head(&[0x80]), TABLE, 0),
        ("an index beyond the table", head(&[0xff, 0x7f]), TABLE, 0),
        ("an index without an end", head(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]), TABLE, 0),
        ("a table larger than allowed", head(&[0x3f, 0xe1, 0xff, 0x7f]), TABLE, 0),
        ("a change of the table behind a field", head(&[0x82, 0x20]), TABLE, 0),
        ("a name without an end", head(&[0, 5, b'x']), TABLE, 0),
        ("a value longer than its frame", head(&[0, 1, b'x', 0x7f, 0x80, 0x80]), TABLE, 0),
        ("padding of Huffman's code that is no padding", head(&[0, 1, b'x', 0x81, 0x00]), TABLE, 0),
        ("the end of Huffman's code within a value", head(&[0, 1, b'x', 0x84, 0xff, 0xff, 0xff, 0xff]), TABLE, 0),
    ];
    play(&rows);
}

#[test]
fn odd_but_allowed_frames_change_nothing() {
    let parts = |count: usize| {
        let block = frames::block(&asked("GET", "/"));
        let mut sent = Vec::new();
        for (place, piece) in block.chunks(block.len().div_ceil(count)).enumerate() {
            let last = (place + 1) * block.len().div_ceil(count) >= block.len();
            let kind = if place == 0 { kind::HEADERS } else { kind::CONTINUATION };
            let ends = if last { flag::END_HEADERS } else { 0 } | if place == 0 { flag::END_STREAM } else { 0 };
            sent.extend_from_slice(&frame(kind, ends, ONE, piece));
        }
        sent
    };
    let with_priority = |on: u32| {
        let payload = [&on.to_be_bytes()[..], &[0], &frames::block(&asked("GET", "/"))].concat();
        frame(kind::HEADERS, flag::END_HEADERS | flag::END_STREAM | flag::PRIORITY, ONE, &payload)
    };
    let behind = |bytes: Vec<u8>| [bytes, get(&[])].concat();
    let rows: Vec<Row<'_>> = vec![
        ("a head in three frames", parts(3), Seen::Status(200), 1),
        ("a head in five frames", parts(5), Seen::Status(200), 1),
        // 64 KiB fit into four frames; more pieces than five are the library's bound against endless ones (CVE-2024-27316).
        ("a head in ten frames", parts(10), Seen::Goaway(Reason::ENHANCE_YOUR_CALM), 0),
        ("an unknown frame", behind(frame(0x42, 0xff, 0, b"anything")), Seen::Status(200), 1),
        ("unknown settings", behind(frames::settings(&[(0x4242, 7)])), Seen::Status(200), 1),
        ("a priority of an idle stream", behind(frame(kind::PRIORITY, 0, 9, &[0, 0, 0, 3, 1])), Seen::Status(200), 1),
        ("a head with a priority", with_priority(3), Seen::Status(200), 1),
        ("a ping", behind(frame(kind::PING, 0, 0, b"whatever")), Seen::Status(200), 1),
        ("an answer to a ping that nobody sent", behind(frame(kind::PING, flag::ACK, 0, b"whatever")), Seen::Status(200), 1),
        ("a window for the connection", behind(frames::window(0, 1_000)), Seen::Status(200), 1),
        (
            "unused flags",
            frame(kind::HEADERS, flag::END_HEADERS | flag::END_STREAM | 0xc0, ONE, &frames::block(&asked("GET", "/"))),
            Seen::Status(200),
            1,
        ),
        ("a request that depends on itself", with_priority(ONE), Seen::Reset(Reason::PROTOCOL_ERROR), 0),
        ("a priority of itself", behind(frame(kind::PRIORITY, 0, ONE, &[0, 0, 0, 1, 1])), Seen::Reset(Reason::PROTOCOL_ERROR), 0),
    ];
    play(&rows);
}

#[test]
fn a_head_without_an_end_is_refused() {
    let piece = frames::block(&[("x", "a".repeat(8_000))]);
    let open = frame(kind::HEADERS, flag::END_STREAM, ONE, &frames::block(&asked("GET", "/")));
    let flood = |piece: &[u8], count: usize| {
        let pieces = frame(kind::CONTINUATION, 0, ONE, piece).repeat(count);
        [&open[..], &pieces, &frame(kind::CONTINUATION, flag::END_HEADERS, ONE, b"")].concat()
    };
    let large = frames::block(&[("x", "a".repeat(15_000))]);
    let index = [&frames::block(&asked("GET", "/"))[..], &[0x40, 1, b'x', 0x7f, 0x81, 0x1e], &[b'a'; 3_968], &[0xbe].repeat(200)]
        .concat();
    let rows: Vec<Row<'_>> = vec![
        ("many continuations", flood(&piece, 20), Seen::Goaway(Reason::ENHANCE_YOUR_CALM), 0),
        ("many empty continuations", flood(b"", 200), Seen::Goaway(Reason::ENHANCE_YOUR_CALM), 0),
        ("many continuations of one byte", flood(&[0x82], 200), FAULT, 0),
        ("a head of 90 KiB", flood(&large, 6), Seen::Goaway(Reason::ENHANCE_YOUR_CALM), 0),
        (
            "a field of 4 KiB by its index, 200 times",
            frame(kind::HEADERS, flag::END_HEADERS | flag::END_STREAM, ONE, &index),
            Seen::Goaway(Reason::ENHANCE_YOUR_CALM),
            0,
        ),
    ];
    play(&rows);
}

#[test]
fn empty_frames_without_an_end_are_not_read_for_ever() {
    let empty = [post(&[]), frames::data(ONE, 0, b"").repeat(3_000)].concat();
    let keeper = Keeper::start();
    let shop = shop(&keeper);
    let seen = tell(&shop, &hello(), &empty, true).seen;
    assert!(matches!(seen, Seen::Goaway(Reason::ENHANCE_YOUR_CALM) | Seen::Closed), "{seen:?}");
    assert_eq!(tell(&shop, &hello(), &[], false).seen, Seen::Nothing);
}

/// Says something over and over, reading nothing; ends when the door has closed.
fn pour(shop: &Shop, first: &[u8], each: impl Fn(u32) -> Vec<u8>) {
    let mut stream = connect(shop).into_inner();
    let _ = stream.write_all(first);
    let mut number = 0;
    loop {
        let many: Vec<u8> = (0..500).flat_map(|step| each(number + step)).collect();
        number += 500;
        if stream.write_all(&many).and_then(|()| stream.flush()).is_err() {
            break;
        }
        assert!(number < 5_000_000, "nobody stopped it");
    }
}

#[test]
fn who_says_too_much_and_takes_nothing_is_let_go() {
    let keeper = Keeper::start();
    let port = keeper.site.address.port();
    let shop = Shop::with_proxy(
        crate::harness::site::Site::answers(""),
        |server| server.write = Duration::from_millis(300),
        move |proxy| proxy.upstream = clicksieve::proxy::Origin::local(port),
    );
    pour(&shop, &hello(), |_| frame(kind::PING, 0, 0, &[0; 8]));
    pour(&shop, &hello(), |_| frames::settings(&[(3, 100)]));
    until(|| shop.front.metrics.open_connections.get() == 0);
    assert_eq!(tell(&shop, &hello(), &[], false).seen, Seen::Nothing);
}

/// What is said over and over, by its number.
type Each = Box<dyn Fn(u32) -> Vec<u8>>;

#[test]
fn floods_of_what_costs_us_more_than_it_costs_the_visitor_end_the_connection() {
    let asked = |stream| frames::headers(stream, flag::END_STREAM, &asked("GET", "/"));
    let stream = |number: u32| 2 * number + 1;
    let bad: [(&str, Each); 4] = [
        ("resets", Box::new(move |number| [asked(stream(number)), frames::reset(stream(number), Reason::CANCEL)].concat())),
        (
            "windows that overflow",
            Box::new(move |number| [asked(stream(number)), frames::window(stream(number), 0x7fff_ffff)].concat()),
        ),
        ("windows of nothing", Box::new(move |number| [asked(stream(number)), frames::window(stream(number), 0)].concat())),
        ("heads that are none", Box::new(move |number| frames::headers(stream(number), flag::END_STREAM, &[(":method", "GET")]))),
    ];
    for (name, each) in bad {
        let keeper = Keeper::start();
        let shop = shop(&keeper);
        pour(&shop, &hello(), each);
        until(|| shop.front.metrics.open_connections.get() == 0);
        assert_eq!(tell(&shop, &hello(), &[], false).seen, Seen::Nothing, "{name}");
    }
}

#[test]
fn many_harmless_frames_are_read_and_forgotten() {
    let priorities: Vec<u8> =
        (0..5_000_u32).flat_map(|number| frame(kind::PRIORITY, 0, 2 * number + 1, &[0, 0, 0, 0, 1])).collect();
    let unknown = frame(0x42, 0, 0, b"x").repeat(5_000);
    let windows = frames::window(0, 1).repeat(5_000);
    let rows: Vec<Row<'_>> = vec![
        ("priorities", [priorities, get(&[])].concat(), Seen::Status(200), 1),
        ("unknown frames", [unknown, get(&[])].concat(), Seen::Status(200), 1),
        ("windows", [windows, get(&[])].concat(), Seen::Status(200), 1),
    ];
    play(&rows);
}

#[test]
fn streams_beyond_the_bound_are_refused_and_may_come_again() {
    let keeper = Keeper::start();
    let shop = shop(&keeper);
    let mut stream = connect(&shop).into_inner();
    let uploads: Vec<u8> = (0..150_u32).flat_map(|number| frames::headers(2 * number + 1, 0, &asked("POST", "/"))).collect();
    stream.write_all(&[hello(), uploads].concat()).unwrap();
    let mut refused = 0;
    while refused < 50 {
        let frame = Frame::read(&mut stream).expect("a word on each");
        if frame.kind == kind::RST_STREAM {
            assert!(frame.reason() == Reason::REFUSED_STREAM && frame.stream > 199, "{frame:?}");
            refused += 1;
        }
    }
    stream.write_all(&frames::reset(1, Reason::CANCEL)).unwrap();
    stream.write_all(&frames::headers(1_001, flag::END_STREAM, &asked("GET", "/again"))).unwrap();
    let answer = std::iter::from_fn(|| Frame::read(&mut stream)).find(|frame| frame.stream == 1_001).unwrap();
    assert_eq!((answer.kind, answer.status()), (kind::HEADERS, 200));
}

#[test]
fn settings_that_are_never_acknowledged_hold_up_nothing() {
    // The client never acknowledges ours, here as in all cases of this table; what it may do is what it knows.
    play(&[("a page", get(&[]), Seen::Status(200), 1)]);
}

#[test]
fn a_request_behind_the_visitors_own_farewell_is_still_answered() {
    // A client's farewell is about streams of ours, of which there are none (RFC 9113 section 6.8).
    play(&[("a farewell first", [frames::goaway(0, Reason::NO_ERROR), get(&[])].concat(), Seen::Status(200), 1)]);
}

#[test]
fn numbers_of_streams_only_grow() {
    let head = |stream| frames::headers(stream, flag::END_STREAM, &asked("GET", "/"));
    let keeper = Keeper::start();
    let shop = shop(&keeper);
    let told = tell(&shop, &hello(), &[head(5), head(3)].concat(), true);
    assert!(matches!(told.seen, Seen::Goaway(Reason::PROTOCOL_ERROR | Reason::STREAM_CLOSED)), "{:?}", told.seen);
}
