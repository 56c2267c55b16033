//! Look-ups against a name server on loopback that answers as it is told.

use std::collections::HashMap;
use std::net::UdpSocket;
use std::str::FromStr;

use hickory_resolver::proto::op::Message;
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::Name;
use hickory_resolver::proto::rr::Record;
use hickory_resolver::proto::rr::rdata::A;
use hickory_resolver::proto::rr::rdata::AAAA;
use hickory_resolver::proto::rr::rdata::PTR;

use super::*;

/// What the server says to a question.
#[derive(Clone)]
enum Says {
    Records(Vec<RData>),
    Code(ResponseCode),
    /// The same bytes whatever was asked.
    Noise(Vec<u8>),
    Nothing,
}

fn pointer(name: &str) -> RData {
    RData::PTR(PTR(Name::from_str(name).unwrap()))
}

fn address(text: &str) -> RData {
    match text.parse().unwrap() {
        IpAddr::V4(address) => RData::A(A(address)),
        IpAddr::V6(address) => RData::AAAA(AAAA(address)),
    }
}

/// A server; what is not in its script does not exist. It ends with the process.
fn serve(script: &[(&str, Says)]) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let at = socket.local_addr().unwrap();
    let script: HashMap<String, Says> = script.iter().map(|(name, says)| ((*name).to_owned(), says.clone())).collect();
    std::thread::spawn(move || {
        let mut bytes = [0; 2_048];
        while let Ok((length, from)) = socket.recv_from(&mut bytes) {
            let Ok(query) = Message::from_vec(&bytes[..length]) else { continue };
            let question = query.queries[0].clone();
            let name = question.name().to_ascii().to_ascii_lowercase();
            let mut reply = Message::response(query.metadata.id, query.metadata.op_code);
            reply.metadata.recursion_available = true;
            reply.add_query(question.clone());
            match script.get(&name).cloned().unwrap_or(Says::Code(ResponseCode::NXDomain)) {
                Says::Records(records) => {
                    for data in records {
                        reply.add_answer(Record::from_rdata(question.name().clone(), 60, data));
                    }
                }
                Says::Code(code) => reply.metadata.response_code = code,
                Says::Noise(noise) => {
                    socket.send_to(&noise, from).unwrap();
                    continue;
                }
                Says::Nothing => continue,
            }
            socket.send_to(&reply.to_vec().unwrap(), from).unwrap();
        }
    });
    at
}

fn look_ups(server: SocketAddr) -> LookUps {
    let settings = Settings { servers: vec![server], deadline: Duration::from_secs(2) };
    LookUps::new(&settings, Arc::default()).unwrap()
}

async fn answer(script: &[(&str, Says)], of: &str) -> Answer {
    let look_ups = look_ups(serve(script));
    timeout(look_ups.deadline, look_ups.look_up(of.parse().unwrap())).await.unwrap_or(Answer::Failed)
}

const CRAWLER: &str = "66.249.66.1";
const BACK: &str = "1.66.249.66.in-addr.arpa.";
const NAME: &str = "crawl-66-249-66-1.googlebot.com.";

#[tokio::test]
async fn a_name_that_has_the_address_again_confirms_its_operator() {
    let script = [(BACK, Says::Records(vec![pointer(NAME)])), (NAME, Says::Records(vec![address(CRAWLER)]))];
    assert_eq!(answer(&script, CRAWLER).await, Answer::Of("google"));
    let back = "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.3.f.8.4.1.0.0.2.ip6.arpa.";
    let own = "2001:48f3::1";
    let name = "msnbot-1.search.msn.com.";
    let script = [(back, Says::Records(vec![pointer(name)])), (name, Says::Records(vec![address(own)]))];
    assert_eq!(answer(&script, own).await, Answer::Of("bing"));
}

#[tokio::test]
async fn a_borrowed_name_is_nobodys() {
    // The owner of an address writes any name behind it; only the name's owner can point back.
    let elsewhere = [(BACK, Says::Records(vec![pointer(NAME)])), (NAME, Says::Records(vec![address("66.249.66.2")]))];
    assert_eq!(answer(&elsewhere, CRAWLER).await, Answer::Nobodys);
    let nowhere = [(BACK, Says::Records(vec![pointer(NAME)]))];
    assert_eq!(answer(&nowhere, CRAWLER).await, Answer::Nobodys);
    let alike = "crawl.evilgooglebot.com.";
    let script = [(BACK, Says::Records(vec![pointer(alike)])), (alike, Says::Records(vec![address(CRAWLER)]))];
    assert_eq!(answer(&script, CRAWLER).await, Answer::Nobodys);
    let rented = "1.66.249.66.bc.googleusercontent.com.";
    let script = [(BACK, Says::Records(vec![pointer(rented)])), (rented, Says::Records(vec![address(CRAWLER)]))];
    assert_eq!(answer(&script, CRAWLER).await, Answer::Nobodys);
}

#[tokio::test]
async fn an_address_without_a_name_is_nobodys_and_a_server_that_fails_says_nothing() {
    assert_eq!(answer(&[], CRAWLER).await, Answer::Nobodys);
    for code in [ResponseCode::ServFail, ResponseCode::Refused] {
        assert_eq!(answer(&[(BACK, Says::Code(code))], CRAWLER).await, Answer::Failed, "{code}");
        let script = [(BACK, Says::Records(vec![pointer(NAME)])), (NAME, Says::Code(code))];
        assert_eq!(answer(&script, CRAWLER).await, Answer::Failed, "{code}");
    }
    assert_eq!(answer(&[(BACK, Says::Nothing)], CRAWLER).await, Answer::Failed);
}

#[tokio::test]
async fn huge_and_broken_answers_confirm_nobody() {
    let many = (0..200).map(|number| pointer(&format!("n{number}.googlebot.com."))).collect();
    let confirmed = matches!(answer(&[(BACK, Says::Records(many))], CRAWLER).await, Answer::Of(_));
    assert!(!confirmed);
    for noise in [vec![0xff; 60_000], vec![0; 3], Vec::new()] {
        let length = noise.len();
        assert_eq!(answer(&[(BACK, Says::Noise(noise))], CRAWLER).await, Answer::Failed, "{length}");
    }
}

#[tokio::test]
async fn questions_of_requests_are_answered_in_the_background() {
    let server = serve(&[(BACK, Says::Records(vec![pointer(NAME)])), (NAME, Says::Records(vec![address(CRAWLER)]))]);
    let look_ups = look_ups(server);
    let names = Arc::clone(&look_ups.names);
    let (end, ending) = watch::channel(false);
    let running = tokio::spawn(look_ups.run(ending));
    let (good, bad) = (CRAWLER.parse().unwrap(), "192.0.2.7".parse().unwrap());
    while [good, bad].into_iter().any(|address| names.of(address) == Answer::Asked) {
        tokio::task::yield_now().await;
    }
    assert_eq!((names.of(good), names.of(bad)), (Answer::Of("google"), Answer::Nobodys));
    end.send_replace(true);
    running.await.unwrap();
}
