//! What one user agent says of itself. Declared robots are looked for first, then apps and browsers are recognised
//! positively, then the shape of the rest is judged. Promises: bounded work on any text. Must not know addresses.

mod browsers;
mod robots;
mod words;

pub(crate) use robots::Robots;

use std::sync::Arc;

use crate::fact::Agent;
use crate::fact::AgentKind;
use crate::fact::Os;

/// Bytes of an agent that are looked at; real ones, in-app ones included, stay below 800.
const LIMIT: usize = 1_024;

/// The part of an agent that is looked at, without spaces around it.
pub(super) fn bounded(agent: &str) -> &str {
    agent.get(..agent.floor_char_boundary(LIMIT)).unwrap_or_default().trim()
}

/// The agent of a request that names none.
pub(super) fn empty() -> Agent {
    Agent { kind: AgentKind::Empty, ..Agent::default() }
}

/// Reads a user agent.
pub(super) fn read(robots: &Robots, agent: &str) -> Agent {
    let text = bounded(agent);
    if text.is_empty() {
        return empty();
    }
    let mut read = browsers::read(text);
    if let Some(found) = robots.find(text) {
        read.kind = found.kind;
        read.family = Arc::from(found.family);
        read.major = words::version_after(text, found.family);
        read.claims = found.claims;
        read.robot = Some(found.pattern);
        read.in_app = None;
    } else if let Some(word) = words::robot_word(text) {
        read.kind = AgentKind::Crawler;
        read.family = Arc::from(words::family(word));
        read.robot = Some(Arc::from(word));
        read.in_app = None;
    } else if read.kind == AgentKind::Unknown && words::is_old_phone(text) {
        read.kind = AgentKind::Browser;
        read.family = Arc::from("feature_phone");
        read.os = read.os.or(Some(Os::Other));
        read.mobile = true;
    } else if read.kind == AgentKind::Unknown && words::is_bare_product(text) {
        read.kind = AgentKind::Tool;
        read.family = Arc::from(words::family(text));
    }
    read
}

#[cfg(test)]
mod tests;
