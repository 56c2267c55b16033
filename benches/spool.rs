//! How long a durable commit takes, alone and in a batch; events per second follow from it.
#![expect(clippy::unwrap_used, reason = "a bench that cannot run should stop")]

use clicksieve::clock::UnixMillis;
use clicksieve::event::EventId;
use clicksieve::event::Source;
use clicksieve::spool::NewEvent;
use clicksieve::spool::NewState;
use clicksieve::spool::Settings;
use clicksieve::spool::Spool;
use criterion::Criterion;
use criterion::Throughput;
use criterion::criterion_group;
use criterion::criterion_main;

const NOW: UnixMillis = UnixMillis(1_774_000_000_000);
/// Bytes of a usual event with its hashed keys.
const BODY: usize = 700;

fn event(n: u64) -> NewEvent {
    NewEvent {
        destination: "shop".into(),
        name: "Purchase".to_owned(),
        id: EventId::parse(&format!("{n:032x}")).unwrap(),
        aliases: Vec::new(),
        source: Source::Browser,
        visit: None,
        time: NOW.seconds(),
        body: "b".repeat(BODY),
        fbp: None,
        apart: None,
        state: NewState::Due,
    }
}

fn commit(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut group = c.benchmark_group("spool/commit");
    for batch in [1_u64, 64] {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings { path: folder.path().join("spool.db"), max_bytes: 8 << 30, ..Settings::default() };
        let spool = Spool::open(&settings).unwrap();
        let mut next = 0;
        group.throughput(Throughput::Elements(batch));
        group.bench_function(batch.to_string(), |b| {
            b.iter(|| {
                next += batch;
                runtime.block_on(spool.commit(NOW, (next..next + batch).map(event).collect())).unwrap()
            });
        });
        runtime.block_on(spool.close());
    }
    group.finish();
}

criterion_group!(benches, commit);
criterion_main!(benches);
