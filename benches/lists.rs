//! What one look-up of an address costs, and what the table weighs, in the end and while it is built: 2,000,000 random networks
//! on 64 lists, IPv4 and IPv6, and the shipped lists.
#![expect(clippy::unwrap_used, reason = "a bench that cannot run should stop")]
#![expect(clippy::print_stdout, clippy::cast_precision_loss, reason = "counts are told beside the times")]

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;

use clicksieve::facts;
use clicksieve::facts::Knowledge;
use clicksieve::lists::PrefixTable;
use criterion::Criterion;
use criterion::criterion_group;
use criterion::criterion_main;
use ipnetwork::IpNetwork;

const NETWORKS: u64 = 2_000_000;

/// A sequence of numbers that look random and are the same in every run (splitmix64).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn v4(&mut self) -> Ipv4Addr {
        Ipv4Addr::from_bits(u32::try_from(self.next() >> 32).unwrap())
    }

    /// In `2000::/3`, where all addresses in use are.
    fn v6(&mut self) -> Ipv6Addr {
        let bits = (u128::from(self.next()) << 64) | u128::from(self.next());
        Ipv6Addr::from_bits((bits >> 3) | (1 << 125))
    }
}

fn network(address: IpAddr, prefix: u8) -> IpNetwork {
    let network = IpNetwork::new(address, prefix).unwrap();
    IpNetwork::new(network.network(), prefix).unwrap()
}

fn table(name: &str, entry: impl Fn(&mut Numbers) -> IpNetwork) -> PrefixTable {
    let mut table = None;
    let counted = allocation_counter::measure(|| {
        let mut numbers = Numbers(7);
        table = Some(PrefixTable::build((0..NETWORKS).map(|at| (entry(&mut numbers), u8::try_from(at % 64).unwrap()))));
    });
    let mebibytes = |bytes: f64| bytes / f64::from(1 << 20);
    let (all, most) = (mebibytes(counted.bytes_current as f64), mebibytes(counted.bytes_max as f64));
    println!("lists/{name}: {NETWORKS} networks, {all:.1} MiB, {most:.1} MiB reserved at most while it is built");
    table.unwrap()
}

fn lists(criterion: &mut Criterion) {
    let v4 = table("v4", |numbers| {
        let prefix = u8::try_from(20 + numbers.next() % 13).unwrap();
        network(numbers.v4().into(), prefix)
    });
    let v6 = table("v6", |numbers| {
        let prefix = u8::try_from(32 + numbers.next() % 33).unwrap();
        network(numbers.v6().into(), prefix)
    });
    let shipped = Knowledge::load(&facts::Settings::default()).unwrap();
    let mut numbers = Numbers(11);
    let addresses: Vec<(IpAddr, IpAddr)> = (0..1 << 16).map(|_| (numbers.v4().into(), numbers.v6().into())).collect();
    let mut group = criterion.benchmark_group("lists");
    let mut next = addresses.iter().cycle();
    group.bench_function("v4", |bencher| bencher.iter(|| v4.lookup(next.next().unwrap().0)));
    let mut next = addresses.iter().cycle();
    group.bench_function("v6", |bencher| bencher.iter(|| v6.lookup(next.next().unwrap().1)));
    // Lists, ASN and country together: what an address costs that nobody asked for yet.
    let mut next = addresses.iter().cycle();
    group.bench_function("network", |bencher| bencher.iter(|| shipped.network(next.next().unwrap().0)));
    group.finish();
}

criterion_group!(benches, lists);
criterion_main!(benches);
