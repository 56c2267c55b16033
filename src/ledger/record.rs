//! What a decision record says, as the rooms hand it over. Must not know how records are written.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use uuid::Uuid;

use crate::clock::UnixMillis;
use crate::event::Source;
use crate::fact::Agent;
use crate::fact::H2Shown;
use crate::fact::HttpVersion;
use crate::fact::Network;
use crate::fact::TlsShown;
use crate::verdict::Band;
use crate::verdict::Mode;
use crate::verdict::PixelAction;
use crate::verdict::Reason;
use crate::verdict::Score;
use crate::verdict::Verdict;

/// One decision, to be recorded.
#[derive(Clone, Debug)]
pub enum Record {
    /// A page view that was an ad click.
    Click(PageRecord),
    /// Any other page view.
    Page(PageRecord),
    /// A step of a conversion event: taken, or a delivery attempt.
    Event(EventRecord),
}

/// A page view and its verdict.
#[derive(Clone, Debug)]
pub struct PageRecord {
    /// When it was decided.
    pub time: UnixMillis,
    /// The visit.
    pub visit: Uuid,
    /// The page view, whose id is its first event's `event_id`.
    pub page: Uuid,
    /// The client's address in full; the ledger cuts it.
    pub address: Option<IpAddr>,
    /// The URL asked for, with its query; the ledger cleans it and reads campaign and ad network from it.
    pub url: String,
    /// The verdict.
    pub verdict: Arc<Verdict>,
    /// What the Pixel was told, after the operating mode was applied.
    pub pixel: PixelAction,
    /// What is known of the address.
    pub network: Network,
    /// What the agent says.
    pub agent: Arc<Agent>,
    /// The HTTP version of the visitor's own connection.
    pub http: Option<HttpVersion>,
    /// What the visitor's TLS handshake shows.
    pub tls: Option<Arc<TlsShown>>,
    /// What the visitor's HTTP/2 shows.
    pub h2: Option<Arc<H2Shown>>,
    /// The digest of the rules that judged.
    pub rules: Arc<str>,
    /// The operating mode.
    pub mode: Mode,
    /// What was done with the click.
    pub action: &'static str,
    /// What `strict` would have done, where that differs.
    pub action_shadow: Option<&'static str>,
}

/// One step of one conversion event towards one destination. Start from `EventRecord::default()`.
#[derive(Clone, Debug, Default)]
pub struct EventRecord {
    /// When it was decided or tried.
    pub time: UnixMillis,
    /// The visit it was joined to.
    pub visit: Option<Uuid>,
    /// The id it is sent under.
    pub event_id: String,
    /// Its name as reported.
    pub event_name: String,
    /// Which half reported it; `None` for a delivery attempt.
    pub source: Option<Source>,
    /// The destination's name.
    pub destination: Arc<str>,
    /// `forward`, `suppress`, `hold`, `modify`, or `copy` for a copy of an event already taken.
    pub decision: Cow<'static, str>,
    /// The policy row that decided.
    pub rule: Option<Arc<str>>,
    /// The reasons of the verdict it was decided by.
    pub reasons: Arc<[Reason]>,
    /// The score it was decided by.
    pub score: Option<Score>,
    /// The band it was decided by.
    pub band: Option<Band>,
    /// Score and band of the visit's landing, before anything else was known of it.
    pub landing: Option<(Score, Band)>,
    /// In `observe`: what would have been decided.
    pub shadow: Option<Cow<'static, str>>,
    /// The Pixel had sent the browser's copy although the decision is not to send.
    pub leaked: bool,
    /// The delivery attempt, from 1.
    pub attempt: Option<u32>,
    /// What became of the attempt or the event: `accepted`, `retry`, `parked`, … or a reason code.
    pub outcome: Option<Cow<'static, str>>,
    /// What joined it to its visit: `token`, `event_id`, `order`, `fbp`, `fbc`, `external_id`, `client`.
    pub joined_by: Option<Cow<'static, str>>,
    /// The id it would have had, which another browser's event had spent before.
    pub instead_of: Option<String>,
    /// The visit's `utm_content`.
    pub utm_content: Option<String>,
    /// The digest of the rules that decided.
    pub rules: Option<Arc<str>>,
    /// The operating mode.
    pub mode: Option<Mode>,
}
