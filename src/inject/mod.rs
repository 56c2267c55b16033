//! Puts a page's id and the tag into HTML as it streams: whether to (`plan`), where (`scan`), what (`snippet`), how
//! the answer's head changes (`head`) and the streaming body itself (`body`, `gzip`).
//! Promises: the site's bytes are never changed, only added to; a broken page stays visibly broken; bounded memory.
//! Must not know visits, rules or sockets. `docs/injection.md` says it in prose.

mod body;
mod csp;
mod gzip;
mod head;
mod plan;
mod scan;
mod snippet;
pub mod tag;

pub use body::BodyError;
pub use body::InjectBody;
pub use csp::Way;
pub use gzip::GzipFault;
pub use head::is_navigation;
pub use head::keep_from_caches;
pub use head::prepare_request;
pub use head::rewrite_head;
pub use head::tell_apart;
pub use plan::Charset;
pub use plan::Coding;
pub use plan::Injection;
pub use plan::Plan;
pub use plan::Why;
pub use plan::plan;
pub use snippet::PageData;
pub use snippet::snippet;

/// What an operator can set.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The path under which the tag and the collector are served; starts with a slash, ends without one.
    pub prefix: String,
    /// Decoded bytes read in search of the place. 64 KiB: real pages open their head within the first few hundred
    /// bytes, generated ones after a long licence comment; past it the page passes as it is.
    pub head_limit: usize,
    /// Whether gzip pages with an ordinary opening get the script spliced in front of the compressed stream. It saves
    /// inflating and deflating the page; off, every gzip page is decoded and encoded again.
    pub splice: bool,
    /// Whether forms get a field that nobody sees.
    pub form_trap: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { prefix: "/_cs".to_owned(), head_limit: 64 * 1024, splice: true, form_trap: false }
    }
}
