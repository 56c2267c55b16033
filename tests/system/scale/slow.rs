//! Hundreds of visitors that take or send a little at a time.

use std::io::Read;
use std::io::Write;
use std::net::TcpStream;

use crate::far::Far;
use crate::far::until;
use crate::harness::PATIENCE;
use crate::harness::site::Site;
use crate::harness::visitor::Visitor;
use crate::scale::site;
use crate::usage;

const SLOW: usize = 200;
const WAVES: usize = 7;
/// What each of them takes at a time.
const SIP: usize = 4 << 10;
/// How much higher the waves after the second may rise: two thousand connections that leave 4 KiB each would show.
const LEFT: u64 = 8 << 20;
/// What all of them together may hold: the answers' bytes wait in the kernel and at the site.
const HELD: u64 = 96 << 20;
/// So that spelling a head, and a sip now and then, may take long on a busy machine, too.
const PATIENT: &str = "deadlines: { head: 5m, body: 5m }\n";
const HEAD: &[u8] = b"GET /small HTTP/1.1\r\nhost: shop.example\r\nx-a: b\r\n\r\n";

fn connected(far: &Far) -> TcpStream {
    let stream = TcpStream::connect(far.shop()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// Two hundred sip at a big answer and two hundred send their head byte by byte, while others are served.
fn wave(far: &Far) {
    let mut sipping: Vec<TcpStream> = (0..SLOW).map(|_| connected(far)).collect();
    for stream in &mut sipping {
        stream.write_all(b"GET /file HTTP/1.1\r\nhost: shop.example\r\n\r\n").unwrap();
    }
    let mut spelling: Vec<TcpStream> = (0..SLOW).map(|_| connected(far)).collect();
    let mut others = Visitor::connect(far.shop());
    let mut sip = vec![0; SIP];
    for byte in HEAD {
        for stream in &mut sipping {
            stream.read_exact(&mut sip).unwrap();
        }
        for stream in &mut spelling {
            stream.write_all(&[*byte]).unwrap();
        }
        assert_eq!(others.get("/small").text(), "ok");
        assert_eq!(Visitor::connect(far.shop()).get("/small").text(), "ok");
    }
    for stream in spelling {
        let mut visitor = Visitor::over(stream);
        assert_eq!(visitor.answer(false).text(), "ok");
    }
}

#[test]
fn hundreds_of_slow_visitors_hold_up_nobody_and_leave_nothing_behind() {
    let far = Far::of(site(), PATIENT);
    assert_eq!(Visitor::connect(far.shop()).get("/small").text(), "ok");
    far.until_left();
    let idle = usage::resident(&far.process);
    // The crests are compared, for what lies between them is the allocator's, which gives back what it has when it likes. The
    // first is not: it may be lower, for want of anything loaded.
    let crests: Vec<u64> = (0..WAVES)
        .map(|_| {
            usage::forget_peak(&far.process);
            wave(&far);
            far.until_left();
            usage::peak(&far.process).saturating_sub(idle)
        })
        .collect();
    println!(
        "idle {} KiB, above it in each wave {:?} KiB",
        idle >> 10,
        crests.iter().map(|crest| crest >> 10).collect::<Vec<_>>()
    );
    assert!(crests.iter().all(|crest| *crest < HELD), "{crests:?} above {idle}");
    assert!(crests[WAVES - 1] < crests[1] + LEFT, "{crests:?} above {idle}");
}

#[test]
fn a_site_that_answers_nothing_to_many_holds_up_nobody_else() {
    let (go, wait) = std::sync::mpsc::sync_channel::<()>(SLOW);
    let wait = std::sync::Mutex::new(wait);
    let site = Site::start(move |talk, _| {
        while let Some(head) = talk.head() {
            if head.starts_with("GET /slow") {
                wait.lock().unwrap().recv_timeout(3 * PATIENCE).unwrap();
            }
            talk.say("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
        }
    });
    let far = Far::of(site, "");
    let mut waiting: Vec<_> = (0..SLOW).map(|_| Visitor::over(connected(&far))).collect();
    for visitor in &mut waiting {
        visitor.say("GET /slow HTTP/1.1\r\nhost: shop.example\r\n\r\n");
    }
    until("all of them reached the site", || far.site.connections() >= SLOW);
    for _ in 0..50 {
        assert_eq!(Visitor::connect(far.shop()).get("/small").text(), "ok");
    }
    for _ in 0..SLOW {
        go.send(()).unwrap();
    }
    for mut visitor in waiting {
        assert_eq!(visitor.answer(false).text(), "ok");
    }
}
