//! Which operator's name stands behind an address, as far as somebody was asked and has answered: a memory and a queue
//! between requests, which never wait, and the look-ups (`refresh::names`). Promises: bounded; one question about an address
//! at a time; what was answered is forgotten in time. Must not know how names are looked up.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use moka::Expiry;
use moka::sync::Cache;
use tokio::sync::mpsc;

/// Addresses remembered; each about 100 bytes.
const REMEMBERED: u64 = 20_000;
/// Questions that wait; whoever comes when it is full is asked for at his next request.
const WAITING: usize = 256;
/// Questions of one network that may be open: who sends crawlers' names from many addresses of his must not keep crawlers from
/// being asked for.
const OF_ONE: usize = 16;
/// How long a question may go without an answer before it is asked again.
const PATIENCE: Duration = Duration::from_secs(30);
/// A crawler's address keeps its name for months.
const CONFIRMED: Duration = Duration::from_hours(24);
/// An address without an operator's name may get one when the operator grows.
const DENIED: Duration = Duration::from_hours(1);
/// Where nobody could say, it is tried again soon.
const FAILED: Duration = Duration::from_mins(5);

/// What is known of the name behind an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It was asked for.
    Asked,
    /// The address has a name of this operator's, and the name has the address.
    Of(&'static str),
    /// It has no such name.
    Nobodys,
    /// Nobody could say.
    Failed,
}

impl Answer {
    fn holds(self) -> Duration {
        match self {
            Self::Asked => PATIENCE,
            Self::Of(_) => CONFIRMED,
            Self::Nobodys => DENIED,
            Self::Failed => FAILED,
        }
    }
}

struct Holds;

impl Expiry<IpAddr, Answer> for Holds {
    fn expire_after_create(&self, _: &IpAddr, answer: &Answer, _: Instant) -> Option<Duration> {
        Some(answer.holds())
    }

    fn expire_after_update(&self, _: &IpAddr, answer: &Answer, _: Instant, _: Option<Duration>) -> Option<Duration> {
        Some(answer.holds())
    }
}

/// The names behind addresses.
#[derive(Debug)]
pub struct Names {
    answers: Cache<IpAddr, Answer>,
    /// How many questions of each /24 or /48 are open.
    open: Mutex<HashMap<IpAddr, usize>>,
    questions: mpsc::Sender<IpAddr>,
    asked: Mutex<Option<mpsc::Receiver<IpAddr>>>,
}

impl Default for Names {
    fn default() -> Self {
        let (questions, asked) = mpsc::channel(WAITING);
        let answers = Cache::builder().max_capacity(REMEMBERED).expire_after(Holds).build();
        Self { answers, open: Mutex::default(), questions, asked: Mutex::new(Some(asked)) }
    }
}

impl Names {
    /// What is known of an address; where nothing is, it is asked for.
    pub fn of(&self, address: IpAddr) -> Answer {
        // `or_insert_with` runs once however many ask at the same time.
        let entry = self.answers.entry(address).or_insert_with(|| Answer::Asked);
        if entry.is_fresh() && !self.ask(address) {
            self.answers.invalidate(&address);
        }
        entry.into_value()
    }

    fn ask(&self, address: IpAddr) -> bool {
        let mut open = self.open();
        let of_network = open.entry(network(address)).or_default();
        if *of_network < OF_ONE && self.questions.try_send(address).is_ok() {
            *of_network += 1;
            return true;
        }
        if *of_network == 0 {
            open.remove(&network(address));
        }
        false
    }

    /// Takes the answer about an address.
    pub fn answer(&self, address: IpAddr, answer: Answer) {
        self.answers.insert(address, answer);
        if let Entry::Occupied(mut of_network) = self.open().entry(network(address)) {
            *of_network.get_mut() -= 1;
            if *of_network.get() == 0 {
                of_network.remove();
            }
        }
    }

    /// The questions, for the one who answers them.
    pub fn questions(&self) -> Option<mpsc::Receiver<IpAddr>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn open(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The /24 or /48 of an address.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(address) => IpAddr::V4((u32::from(address) & 0xffff_ff00).into()),
        IpAddr::V6(address) => IpAddr::V6((u128::from(address) & (u128::MAX << 80)).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_asked_for_once_and_answers_hold() {
        let names = Names::default();
        let mut questions = names.questions().unwrap();
        let address = "192.0.2.1".parse().unwrap();
        assert_eq!([names.of(address), names.of(address)], [Answer::Asked, Answer::Asked]);
        assert_eq!(questions.try_recv(), Ok(address));
        assert!(questions.try_recv().is_err());
        names.answer(address, Answer::Of("google"));
        assert_eq!(names.of(address), Answer::Of("google"));
        assert!(names.questions().is_none());
    }

    #[test]
    fn when_too_many_questions_wait_the_next_is_dropped_and_asked_later() {
        let names = Names::default();
        let mut questions = names.questions().unwrap();
        let address = |last: usize| IpAddr::from([10, u8::try_from(last / 256).unwrap(), u8::try_from(last % 256).unwrap(), 7]);
        for last in 0..=WAITING {
            names.of(address(last));
        }
        assert!(questions.try_recv().is_ok());
        names.of(address(WAITING));
        let waiting: Vec<IpAddr> = std::iter::from_fn(|| questions.try_recv().ok()).collect();
        assert_eq!(waiting.len(), WAITING);
        assert_eq!(waiting.last(), Some(&address(WAITING)));
    }

    #[test]
    fn one_network_has_few_questions_open_and_more_once_they_are_answered() {
        let names = Names::default();
        let mut questions = names.questions().unwrap();
        let of = |last: u16| IpAddr::from([0x2001, 0xdb8, 7, last, 0, 0, 0, 1]);
        for last in 0..1_000 {
            names.of(of(last));
        }
        names.of("66.249.66.1".parse().unwrap());
        let waiting: Vec<IpAddr> = std::iter::from_fn(|| questions.try_recv().ok()).collect();
        assert_eq!((waiting.len(), waiting.last().copied()), (OF_ONE + 1, Some("66.249.66.1".parse().unwrap())));
        for address in waiting {
            names.answer(address, Answer::Nobodys);
        }
        assert!(names.open().is_empty());
        names.of(of(999));
        assert_eq!(questions.try_recv(), Ok(of(999)));
    }

    #[test]
    fn what_confirms_holds_a_day_what_denies_an_hour_and_a_failure_minutes() {
        let now = tokio::time::Instant::now().into_std();
        let address = "192.0.2.1".parse().unwrap();
        let of = |answer| Holds.expire_after_create(&address, &answer, now).unwrap();
        let again = |answer| Holds.expire_after_update(&address, &answer, now, Some(PATIENCE)).unwrap();
        for (answer, seconds) in [(Answer::Of("google"), 86_400), (Answer::Nobodys, 3_600), (Answer::Failed, 300)] {
            assert_eq!([of(answer), again(answer)], [Duration::from_secs(seconds); 2], "{answer:?}");
        }
    }
}
