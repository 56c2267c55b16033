//! `clicksieve classify`: JSON Lines with `ip` and `ua` in, the same lines with what is known of both out. For enriching
//! logs. Must not score anybody.

use std::collections::HashMap;
use std::io::Read;
use std::io::Write;
use std::net::IpAddr;
use std::path::PathBuf;

use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use crate::cli::Ended;
use crate::cli::lines;
use crate::cli::say;
use crate::fact::Agent;
use crate::fact::InApp;
use crate::fact::Network;
use crate::fact::Os;
use crate::facts::Knowledge;
use crate::facts::Settings;

/// Classifies a stream; ends wrong where a line could not be read.
pub(super) fn classify(data: Option<PathBuf>, input: Box<dyn Read + Send>, out: &mut dyn Write, err: &mut dyn Write) -> Ended {
    let settings = Settings { data, ..Settings::default() };
    let knowledge = match Knowledge::load(&settings) {
        Ok(knowledge) => knowledge,
        Err(faults) => {
            for fault in &faults {
                say(err, fault);
            }
            return Ended::Wrong;
        }
    };
    let done = lines::pump(input, out, || {
        let mut agents = Agents { knowledge: &knowledge, known: HashMap::new() };
        move |fields: &mut Map<String, Value>| enrich(&mut agents, fields)
    });
    lines::ended(done, err)
}

/// The agents that one worker met; logs repeat a few thousand.
struct Agents<'a> {
    knowledge: &'a Knowledge,
    known: HashMap<String, Value>,
}

/// Agents that a worker remembers; it begins anew where there are more.
const REMEMBERED: usize = 20_000;

impl Agents<'_> {
    fn fields(&mut self, agent: &str) -> Value {
        if let Some(known) = self.known.get(agent) {
            return known.clone();
        }
        let read = agent_fields(&self.knowledge.agent(agent));
        if self.known.len() >= REMEMBERED {
            self.known.clear();
        }
        self.known.insert(agent.to_owned(), read.clone());
        read
    }
}

/// Adds what is known; of a field that cannot be read nothing is known, and the line says why.
fn enrich(agents: &mut Agents<'_>, fields: &mut Map<String, Value>) -> Result<(), String> {
    let text = |key: &str| match fields.get(key) {
        None | Some(Value::Null) => Ok(""),
        Some(Value::String(text)) => Ok(text.as_str()),
        Some(_) => Err(format!("`{key}` is not a text")),
    };
    let address = text("ip").and_then(|ip| match ip.trim() {
        "" => Ok(None),
        ip => ip.parse::<IpAddr>().map(Some).map_err(|_| "`ip` is not an address".to_owned()),
    });
    let agent = text("ua");
    let network = address.clone().unwrap_or_default().map(|address| agents.knowledge.network(address)).unwrap_or_default();
    let network = network_fields(&network, agents.knowledge.list_names());
    let known = agents.fields(agent.clone().unwrap_or_default());
    let done = address.map(|_| ()).and(agent.map(|_| ()));
    fields.insert("network".to_owned(), network);
    fields.insert("agent".to_owned(), known);
    done
}

fn network_fields(network: &Network, lists: &[String]) -> Value {
    let on: Vec<&str> = network.lists.places().filter_map(|place| lists.get(usize::from(place)).map(String::as_str)).collect();
    let country = network.country.map(|code| String::from_utf8_lossy(&code).into_owned());
    json!({ "kind": network.kind.name(), "asn": network.asn, "country": country, "lists": on })
}

fn agent_fields(agent: &Agent) -> Value {
    json!({
        "kind": agent.kind.name(),
        "family": &*agent.family,
        "major": agent.major,
        "os": agent.os.map(Os::name),
        "robot": agent.robot.as_deref(),
        "in_app": agent.in_app.map(InApp::name),
    })
}
