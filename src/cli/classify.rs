//! `clicksieve classify`: JSON Lines with `ip` and `ua` in, the same lines with what is known of both out. For enriching
//! logs. Must not score anybody.

use std::borrow::Cow;
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
use crate::facts::Sources;

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
    let lists = knowledge.list_names().to_vec();
    let sources = Sources::new(knowledge, &settings);
    let done = lines::pump(input, out, |fields| enrich(&sources, &lists, fields));
    lines::ended(done, err)
}

fn enrich(sources: &Sources, lists: &[&'static str], fields: &mut Map<String, Value>) -> Result<(), String> {
    let text = |key: &str| match fields.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(Cow::Borrowed(text.as_str()))),
        Some(_) => Err(format!("`{key}` is not a text")),
    };
    let (ip, agent) = (text("ip")?, text("ua")?);
    let address: Option<IpAddr> = match ip.as_deref().map(str::trim).filter(|ip| !ip.is_empty()) {
        None => None,
        Some(ip) => Some(ip.parse().map_err(|_| "`ip` is not an address")?),
    };
    let agent = agent_fields(&sources.agent(agent.as_deref()));
    let network = network_fields(&sources.network(address), lists);
    fields.insert("network".to_owned(), network);
    fields.insert("agent".to_owned(), agent);
    Ok(())
}

fn network_fields(network: &Network, lists: &[&'static str]) -> Value {
    let on: Vec<&str> = network.lists.places().filter_map(|place| lists.get(usize::from(place)).copied()).collect();
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
