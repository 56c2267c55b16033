//! What one user agent says of itself. Declared robots are looked for first, then apps and browsers are recognised
//! positively, then the shape of the rest is judged. Promises: bounded work on any text. Must not know addresses.

mod browsers;
mod filter;
mod form;
mod marks;
mod robots;
mod words;

use std::sync::Arc;

use crate::fact::Agent;
use crate::fact::AgentKind;
use crate::fact::Os;
use crate::facts::agent::browsers::Names;
use crate::facts::agent::marks::Mark;
use crate::facts::agent::marks::Marks;
use crate::facts::agent::robots::File;
use crate::facts::agent::robots::Robots;
use crate::fault::Fault;

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

/// All that agents are read by, compiled.
#[derive(Debug)]
pub(crate) struct Reader {
    robots: Robots,
    marks: Marks,
    names: Names,
}

impl Reader {
    /// Compiles the two pattern lists, and what is built in.
    pub(crate) fn load(crawlers: &File, known: &File) -> Result<Self, Vec<Fault>> {
        let robots = Robots::load(crawlers, known)?;
        let marks = Marks::new().map_err(|error| vec![Fault::of_file(&crawlers.0, format!("marks do not compile: {error}"))])?;
        Ok(Self { robots, marks, names: Names::new() })
    }

    /// Reads a user agent.
    pub(super) fn read(&self, agent: &str) -> Agent {
        let text = bounded(agent);
        if text.is_empty() {
            return empty();
        }
        let seen = self.marks.seen(text);
        let mut read = self.names.read(&seen);
        let robot_word = || {
            let may_be = seen.ends(Mark::RobotEnding) || seen.has(Mark::Contact);
            may_be.then(|| words::robot_word(text)).flatten()
        };
        if let Some(found) = self.robots.find(text) {
            read.kind = found.kind;
            read.major = words::version_after(text, found.family);
            read.family = Arc::clone(found.family);
            read.claims = found.claims;
            read.robot = Some(found.pattern);
            read.in_app = None;
        } else if let Some(word) = robot_word() {
            read.kind = AgentKind::Crawler;
            read.family = Arc::from(words::family(word));
            read.robot = Some(Arc::from(word));
            read.in_app = None;
        } else if read.kind == AgentKind::Unknown && words::is_old_phone(text) {
            read.kind = AgentKind::Browser;
            read.family = Arc::from("feature_phone");
            read.os = read.os.or(Some(Os::Other));
            read.mobile = true;
        } else if let Some(family) = words::text_browser(text) {
            read.kind = AgentKind::Browser;
            read.family = Arc::from(family);
        } else if read.kind == AgentKind::Unknown && words::is_bare_product(text) {
            read.kind = AgentKind::Tool;
            read.family = Arc::from(words::family(text));
        }
        read.form = form::of(&seen, &read);
        read
    }
}

#[cfg(test)]
mod tests;
