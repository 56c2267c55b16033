//! How many connections there may be, in all and from one address. Asked once per connection, never per request.
//! Must not know sockets.

use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use prometheus_client::metrics::gauge::Gauge;
use rustc_hash::FxHashMap;
use tokio::sync::Notify;

/// The book of open connections; clones write into the same one.
#[derive(Clone, Debug)]
pub struct Admission(Arc<Book>);

#[derive(Debug)]
struct Book {
    limit: AtomicUsize,
    per_address: AtomicUsize,
    open: AtomicUsize,
    addresses: Mutex<FxHashMap<IpAddr, usize>>,
    gauge: Gauge,
    emptied: Notify,
}

/// One admitted connection; dropping it makes room.
#[derive(Debug)]
pub struct Ticket {
    book: Arc<Book>,
    address: Option<IpAddr>,
}

impl Admission {
    /// An empty book; `gauge` shows how many connections are open.
    pub fn new(limit: usize, per_address: usize, gauge: Gauge) -> Self {
        Self(Arc::new(Book {
            limit: AtomicUsize::new(limit),
            per_address: AtomicUsize::new(per_address),
            open: AtomicUsize::new(0),
            addresses: Mutex::default(),
            gauge,
            emptied: Notify::new(),
        }))
    }

    /// Changes the bounds; connections that are open stay.
    pub fn bound(&self, limit: usize, per_address: usize) {
        self.0.limit.store(limit, Ordering::Relaxed);
        self.0.per_address.store(per_address, Ordering::Relaxed);
    }

    /// Admits a connection, or not.
    pub fn admit(&self, address: IpAddr) -> Option<Ticket> {
        let book = &self.0;
        book.gauge.inc();
        let before = book.open.fetch_add(1, Ordering::SeqCst);
        // A ticket that is refused takes its count back when it is dropped here.
        let mut ticket = Ticket { book: Arc::clone(book), address: None };
        if before >= book.limit.load(Ordering::Relaxed) {
            return None;
        }
        if let Some(key) = key(address) {
            let mut addresses = book.addresses.lock().unwrap_or_else(PoisonError::into_inner);
            let count = addresses.entry(key).or_default();
            if *count >= book.per_address.load(Ordering::Relaxed) {
                return None;
            }
            *count += 1;
            ticket.address = Some(key);
        }
        Some(ticket)
    }

    /// Waits until no connection is open.
    pub async fn empty(&self) {
        loop {
            let emptied = self.0.emptied.notified();
            tokio::pin!(emptied);
            emptied.as_mut().enable();
            if self.0.open.load(Ordering::SeqCst) == 0 {
                return;
            }
            emptied.await;
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(address) = self.address {
            let mut addresses = self.book.addresses.lock().unwrap_or_else(PoisonError::into_inner);
            if let Entry::Occupied(mut count) = addresses.entry(address) {
                *count.get_mut() = count.get().saturating_sub(1);
                if *count.get() == 0 {
                    count.remove();
                }
            }
        }
        self.book.gauge.dec();
        if self.book.open.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.book.emptied.notify_waiters();
        }
    }
}

/// What connections are counted by: the address, or the /64 that one IPv6 household has. Loopback is not counted.
fn key(address: IpAddr) -> Option<IpAddr> {
    match address.to_canonical() {
        address if address.is_loopback() => None,
        IpAddr::V4(address) => Some(IpAddr::V4(address)),
        IpAddr::V6(address) => Some(IpAddr::V6((address.to_bits() >> 64 << 64).into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission() -> Admission {
        Admission::new(4, 2, Gauge::default())
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_gets_no_more_than_its_share() {
        let admission = admission();
        let held = [admission.admit(ip("192.0.2.1")).unwrap(), admission.admit(ip("::ffff:192.0.2.1")).unwrap()];
        assert!(admission.admit(ip("192.0.2.1")).is_none());
        assert!(admission.admit(ip("192.0.2.2")).is_some());
        drop(held);
        assert!(admission.admit(ip("192.0.2.1")).is_some());
    }

    #[test]
    fn one_household_of_ipv6_is_one_address() {
        let admission = admission();
        let _held = [admission.admit(ip("2001:db8::1")), admission.admit(ip("2001:db8::2"))];
        assert!(admission.admit(ip("2001:db8::ffff:3")).is_none());
        assert!(admission.admit(ip("2001:db8:0:1::1")).is_some());
    }

    #[test]
    fn loopback_is_limited_in_all_only() {
        let admission = admission();
        let held: Vec<_> = (0..4).map(|_| admission.admit(ip("127.0.0.1")).unwrap()).collect();
        assert!(admission.admit(ip("127.0.0.1")).is_none());
        drop(held);
        assert!(admission.admit(ip("127.0.0.1")).is_some());
        assert_eq!(admission.0.gauge.get(), 0);
    }

    #[tokio::test]
    async fn the_last_to_leave_is_noticed() {
        let admission = admission();
        let ticket = admission.admit(ip("192.0.2.1"));
        tokio::join!(admission.empty(), async { drop(ticket) });
    }
}
