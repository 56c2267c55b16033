//! The spool's files as a crash, a fault or an operator may leave them: what it opens with, and what it refuses to touch.

mod damage;
mod log;
mod prefixes;

use std::path::Path;

use clicksieve::clock::UnixMillis;
use clicksieve::event::EventId;
use clicksieve::event::Source;
use clicksieve::spool::NewEvent;
use clicksieve::spool::NewState;
use clicksieve::spool::Settings;
use uuid::Uuid;

const NOW: UnixMillis = UnixMillis(1_774_000_000_000);
const VISIT: Uuid = Uuid::from_u128(9);

fn settings(folder: &Path) -> Settings {
    Settings { path: folder.join("spool.db"), ..Settings::default() }
}

/// An event whose body has so many bytes more than it needs.
fn event(id: &str, source: Source, state: NewState, more: usize) -> NewEvent {
    NewEvent {
        destination: "shop".into(),
        name: "Purchase".to_owned(),
        id: EventId::parse(id).unwrap(),
        aliases: Vec::new(),
        source,
        visit: Some(VISIT),
        fbp: None,
        apart: None,
        time: NOW.seconds(),
        body: format!(r#"{{"event_id":"{id}","pad":"{}"}}"#, "p".repeat(more)),
        state,
    }
}
