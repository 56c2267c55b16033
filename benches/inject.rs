//! What injecting costs a page: 20 and 120 KiB, plain, spliced in gzip, decoded and encoded again.
#![expect(clippy::unwrap_used, reason = "a bench that cannot run should stop")]

use std::convert::Infallible;
use std::fmt::Write as _;
use std::io::Write;

use bytes::Bytes;
use clicksieve::inject::Charset;
use clicksieve::inject::Coding;
use clicksieve::inject::InjectBody;
use clicksieve::inject::Injection;
use clicksieve::inject::PageData;
use clicksieve::inject::Settings;
use clicksieve::inject::Way;
use clicksieve::inject::snippet;
use clicksieve::verdict::Consent;
use clicksieve::verdict::PixelAction;
use criterion::BatchSize;
use criterion::Criterion;
use criterion::Throughput;
use criterion::criterion_group;
use criterion::criterion_main;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::FutureExt;
use futures_util::stream;
use http_body::Frame;
use http_body_util::BodyExt;
use http_body_util::StreamBody;
use uuid::Uuid;

/// Bytes a site's connection yields at once.
const PIECE: usize = 8 * 1024;

/// A shop's page of at least that size: products whose names, prices and links differ.
fn page(kib: usize) -> Vec<u8> {
    let mut page =
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>Shop</title></head><body>".to_owned();
    let mut seed = 7_u32;
    while page.len() < kib * 1024 {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let _ = writeln!(
            page,
            "<article class=\"card\"><a href=\"/p/{seed:x}\">Item {}</a><b>{}.99</b></article>",
            seed % 977,
            seed >> 25
        );
    }
    page.into_bytes()
}

fn gzip(page: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(page).unwrap();
    encoder.finish().unwrap()
}

fn run(c: &mut Criterion, name: &str, kib: usize, coding: Coding, splice: bool) {
    let plain = page(kib);
    let sent = if coding == Coding::Gzip { gzip(&plain) } else { plain.clone() };
    let pieces: Vec<Bytes> = sent.chunks(PIECE).map(Bytes::copy_from_slice).collect();
    let settings = Settings { splice, ..Settings::default() };
    let injection = Injection { way: Way::Inline { nonce: None }, coding, beacon: true, worker: true, charset: Charset::Head };
    let token = "t".repeat(92);
    let mut group = c.benchmark_group(format!("inject/{name}"));
    group.throughput(Throughput::Bytes(plain.len() as u64));
    group.bench_function(format!("{kib} KiB"), |b| {
        b.iter_batched(
            || StreamBody::new(stream::iter(pieces.clone().into_iter().map(|piece| Ok::<_, Infallible>(Frame::data(piece))))),
            |site| {
                let data = PageData {
                    page: Uuid::nil(),
                    token: &token,
                    pixel: PixelAction::Leave,
                    consent: Consent::NotRequired,
                    worker: true,
                };
                let markup = snippet(&settings, &data, &injection.way);
                let mut body = InjectBody::new(site, &injection, markup, &settings);
                let mut len = 0;
                while let Some(frame) = body.frame().now_or_never().unwrap() {
                    len += frame.unwrap().data_ref().map_or(0, Bytes::len);
                }
                len
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

fn pages(c: &mut Criterion) {
    for kib in [20, 120] {
        run(c, "identity", kib, Coding::Identity, true);
        run(c, "gzip spliced", kib, Coding::Gzip, true);
    }
    run(c, "gzip encoded again", 20, Coding::Gzip, false);
}

criterion_group!(benches, pages);
criterion_main!(benches);
