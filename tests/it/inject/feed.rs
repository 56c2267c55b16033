//! Feeds one page through `InjectBody` in given cuts and puts the answer together again. Must not judge it.

use std::convert::Infallible;
use std::io::Read;
use std::io::Write;

use bytes::Bytes;
use clicksieve::inject::Charset;
use clicksieve::inject::Coding;
use clicksieve::inject::InjectBody;
use clicksieve::inject::Injection;
use clicksieve::inject::Settings;
use clicksieve::inject::Way;
use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use futures_util::stream;
use http_body::Frame;
use http_body_util::BodyExt;
use http_body_util::StreamBody;

/// What stands for the snippet.
pub(super) const SNIPPET: &str = "<script data-cs=\"x\">1</script>";

/// How a page is cut.
#[derive(Clone, Copy, Debug)]
pub(super) enum Cuts {
    Whole,
    /// Byte by byte up to a bound, then the rest.
    Bytes(usize),
    Random(u64),
}

pub(super) fn cut(page: &[u8], cuts: Cuts) -> Vec<Bytes> {
    let mut rest = Bytes::copy_from_slice(page);
    let mut pieces = Vec::new();
    let mut seed = if let Cuts::Random(seed) = cuts { seed | 1 } else { 1 };
    while !rest.is_empty() {
        let len = match cuts {
            Cuts::Bytes(bound) if pieces.len() < bound => 1,
            Cuts::Whole | Cuts::Bytes(_) => rest.len(),
            Cuts::Random(_) => {
                seed ^= seed << 13;
                seed ^= seed >> 7;
                seed ^= seed << 17;
                usize::try_from(seed % 97).unwrap() + 1
            }
        };
        pieces.push(rest.split_to(len.min(rest.len())));
    }
    pieces
}

pub(super) fn inject(page: &[u8], cuts: Cuts, coding: Coding, splice: bool) -> Result<Vec<u8>, String> {
    let injection = Injection { way: Way::Inline { nonce: None }, coding, beacon: true, worker: true, charset: Charset::Head };
    let frames = cut(page, cuts).into_iter().map(|piece| Ok::<_, Infallible>(Frame::data(piece)));
    let settings = Settings { splice, ..Settings::default() };
    let body =
        InjectBody::new(StreamBody::new(stream::iter(frames)), &injection, Bytes::from_static(SNIPPET.as_bytes()), &settings);
    let collected = tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(body.collect());
    collected.map(|whole| whole.to_bytes().to_vec()).map_err(|error| error.to_string())
}

pub(super) fn gzip(page: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(page).unwrap();
    encoder.finish().unwrap()
}

pub(super) fn gunzip(packed: &[u8]) -> Vec<u8> {
    let mut page = Vec::new();
    MultiGzDecoder::new(packed).read_to_end(&mut page).expect("a valid gzip stream");
    page
}
