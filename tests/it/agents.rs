//! User agents of real robots and browsers: how many robots are told and how many people accused, as shipped and without
//! the very pattern whose sample an agent is, since most robots known here are samples of the shipped lists.
//!
//! The patterns left out together are dealt into folds. `CLICKSIEVE_FOLDS=all` leaves out one agent's at a time: exact, and slow.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::collections::HashSet;
use std::path::Path;

use clicksieve::fact::Agent;
use clicksieve::fact::AgentKind;
use clicksieve::fact::Facts;
use clicksieve::fact::Network;
use clicksieve::facts::Knowledge;
use clicksieve::facts::Settings;
use clicksieve::rules::Policy;
use clicksieve::verdict::Band;
use serde_json::Value;

const LISTS: [&str; 2] = ["crawler-user-agents.json", "well-known-bots.json"];
const FOLDS: usize = 12;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sample(name: &str) -> Vec<String> {
    let text = std::fs::read_to_string(root().join("tests/it/data/agents/train").join(name)).unwrap();
    let agent = |line: &str| serde_json::from_str::<Value>(line).unwrap()["ua"].as_str().unwrap().to_owned();
    text.lines().map(agent).collect()
}

fn is_robot(agent: &Agent) -> bool {
    use AgentKind::*;
    agent.robot.is_some() || matches!(agent.kind, Library | Headless | Crawler | Monitor | Tool)
}

/// The shipped pattern lists, and for each sample the entries it belongs to.
struct Lists {
    entries: [Vec<Value>; 2],
    owners: HashMap<String, Vec<(usize, usize)>>,
}

impl Lists {
    fn read() -> Self {
        let read = |name| {
            let text = std::fs::read_to_string(root().join("data/bot-ua").join(name)).unwrap();
            serde_json::from_str::<Vec<Value>>(&text).unwrap()
        };
        let entries = LISTS.map(read);
        let mut owners: HashMap<String, Vec<(usize, usize)>> = HashMap::new();
        for (list, entries) in entries.iter().enumerate() {
            for (at, entry) in entries.iter().enumerate() {
                let instances = &entry["instances"];
                let samples = instances.get("accepted").unwrap_or(instances).as_array().into_iter().flatten();
                for sample in samples.filter_map(Value::as_str) {
                    owners.entry(sample.to_owned()).or_default().push((list, at));
                }
            }
        }
        Self { entries, owners }
    }

    /// Knowledge without some entries; the databases are small ones, as no address is asked for.
    fn without(&self, left_out: &HashSet<(usize, usize)>) -> Knowledge {
        let folder = tempfile::tempdir().unwrap();
        for (path, database) in [("asn/origin-asn", "GeoLite2-ASN-Test"), ("country/user-country", "GeoLite2-Country-Test")] {
            let to = folder.path().join(format!("{path}.mmdb"));
            std::fs::create_dir_all(to.parent().unwrap()).unwrap();
            std::fs::copy(root().join(format!("tests/it/data/mmdb/{database}.mmdb")), to).unwrap();
        }
        std::fs::create_dir_all(folder.path().join("bot-ua")).unwrap();
        for (list, entries) in self.entries.iter().enumerate() {
            let kept = entries.iter().enumerate().filter(|(at, _)| !left_out.contains(&(list, *at))).map(|(_, entry)| entry);
            let text = serde_json::to_string(&kept.collect::<Vec<_>>()).unwrap();
            std::fs::write(folder.path().join("bot-ua").join(LISTS[list]), text).unwrap();
        }
        Knowledge::load(&Settings { data: Some(folder.path().to_owned()), ..Settings::default() }).unwrap()
    }
}

/// How well agents are told. `cargo test --test it agents -- --nocapture` prints it.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// Robots in all, and those that were not told.
    pub(crate) robots: usize,
    pub(crate) missed: Vec<String>,
    /// Browsers in all, and those that were called robots.
    pub(crate) browsers: usize,
    pub(crate) accused: Vec<String>,
    /// Robots that were not told without the pattern whose own sample they are.
    pub(crate) missed_without_their_own: Vec<String>,
    /// Browsers whose agent alone brings them out of the human band under the shipped rules, and those that show each oddity.
    pub(crate) suspected: Vec<String>,
    pub(crate) odd: BTreeMap<&'static str, usize>,
}

impl Told {
    /// Robots told, in hundredths of a percent.
    pub(crate) fn recall(&self) -> usize {
        10_000 - self.missed.len() * 10_000 / self.robots
    }

    /// Robots told without the pattern whose own sample they are, in hundredths of a percent.
    pub(crate) fn recall_without_their_own(&self) -> usize {
        10_000 - self.missed_without_their_own.len() * 10_000 / self.robots
    }

    /// Browsers called robots, in hundredths of a percent.
    pub(crate) fn accused(&self) -> usize {
        (self.accused.len() * 10_000).div_ceil(self.browsers)
    }
}

/// Counts over the whole training sample.
pub(crate) fn tell() -> Told {
    let lists = Lists::read();
    let knowledge = lists.without(&HashSet::new());
    let (robots, browsers) = (sample("bots.jsonl"), sample("browsers.jsonl"));
    let mut told = Told { robots: robots.len(), browsers: browsers.len(), ..Told::default() };
    told.missed = robots.iter().filter(|agent| !is_robot(&knowledge.agent(agent))).cloned().collect();
    let (policy, nowhere) = (Policy::shipped(), Network::default());
    for text in browsers {
        let agent = knowledge.agent(&text);
        let form = agent.form;
        for (name, shows) in [
            ("ua.impossible", form.impossible == Some(true)),
            ("ua.altered", form.altered == Some(true)),
            ("ua.future", form.future == Some(true)),
            ("ua.behind >= 25", form.behind.is_some_and(|majors| majors >= 25)),
            ("ua.behind >= 60", form.behind.is_some_and(|majors| majors >= 60)),
            ("no ua.known_browser", form.known_browser == Some(false)),
        ] {
            *told.odd.entry(name).or_default() += usize::from(shows);
        }
        if policy.score(&Facts::unknown(&nowhere, &agent)).band > Band::Human {
            told.suspected.push(text.clone());
        }
        if is_robot(&agent) {
            told.accused.push(text);
        }
    }
    told.missed_without_their_own = missed_without_their_own(&lists, &robots);
    told
}

/// Robots that are not told without the pattern whose own sample they are.
fn missed_without_their_own(lists: &Lists, robots: &[String]) -> Vec<String> {
    let mut folds: BTreeMap<usize, Vec<&str>> = BTreeMap::new();
    let by_owners: BTreeMap<&[(usize, usize)], usize> =
        robots.iter().filter_map(|agent| lists.owners.get(agent)).map(|owners| (owners.as_slice(), 0)).collect();
    let places: HashMap<&[(usize, usize)], usize> = by_owners.keys().enumerate().map(|(at, owners)| (*owners, at)).collect();
    let folded = if std::env::var("CLICKSIEVE_FOLDS").is_ok_and(|folds| folds == "all") { places.len() } else { FOLDS };
    for agent in robots {
        // An agent of no list stands in a fold of its own, from which nothing is left out.
        let fold = lists.owners.get(agent).map_or(folded, |owners| places[owners.as_slice()] % folded);
        folds.entry(fold).or_default().push(agent);
    }
    let mut missed = Vec::new();
    for agents in folds.values() {
        let left_out = agents.iter().filter_map(|agent| lists.owners.get(*agent)).flatten().copied().collect();
        let knowledge = lists.without(&left_out);
        missed.extend(agents.iter().filter(|agent| !is_robot(&knowledge.agent(agent))).map(|agent| (*agent).to_owned()));
    }
    if let Ok(file) = std::env::var("CLICKSIEVE_MISSED") {
        std::fs::write(file, missed.join("\n")).unwrap();
    }
    missed
}

#[test]
fn robots_are_told_by_name_and_by_shape_and_people_are_not_accused() {
    let told = tell();
    let Told { robots, browsers, missed, accused, missed_without_their_own, suspected, odd } = &told;
    println!("as shipped: {} of {robots} robots missed, {} of {browsers} browsers accused", missed.len(), accused.len());
    println!("without their own pattern: {} of {robots} robots missed", missed_without_their_own.len());
    println!("of the browsers: {} suspected by their agent alone, {odd:#?}", suspected.len());
    assert!(told.recall() >= 9_800, "{missed:#?}");
    assert!(told.accused() <= 5, "{accused:#?}");
    assert!(told.recall_without_their_own() >= 9_000, "{missed_without_their_own:#?}");
    // One browser in 2,945: what a browser says of itself must not make a suspect of its owner.
    assert!(suspected.len() <= 2, "{suspected:#?}");
}
