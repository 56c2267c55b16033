//! `clicksieve lists`: fetches configured lists, says how all lists stand, which hold an address, a network's number or an agent, and
//! whether they can be used. Must not put anything in force in a running process.

use std::io::Write;
use std::net::IpAddr;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::Subcommand;
use serde_json::Value;
use serde_json::json;

use crate::app;
use crate::app::lists::in_force;
use crate::app::lists::report;
use crate::cli::Ended;
use crate::cli::say;
use crate::clock::Clock;
use crate::config::Config;
use crate::fact::Agent;
use crate::fact::NetworkKind;
use crate::facts;
use crate::facts::About;
use crate::facts::Knowledge;
use crate::facts::Role;
use crate::fault::Fault;
use crate::fault::nearest;
use crate::lists::SHIPPED;
use crate::refresh::lists;
use crate::refresh::lists::Client;
use crate::refresh::lists::Origin;
use crate::refresh::lists::Outcome;
use crate::refresh::lists::Source;

/// The configuration that is meant where none is named; without it, the shipped lists are.
const USUAL: &str = "clicksieve.yaml";
/// For one list.
const PATIENCE: Duration = Duration::from_mins(2);

/// What all commands take.
#[derive(Debug, Args)]
pub(super) struct Common {
    /// The configuration file whose lists are meant; without one, the shipped lists.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// JSON in place of text.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Fetch configured lists now, and keep those that are good.
    Pull {
        /// Only these; all unless any is named.
        #[arg(value_name = "NAME")]
        names: Vec<String>,
        /// Take lists that have grown or shrunk beyond their bounds.
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        common: Common,
    },
    /// Say how old each list is, where it comes from and what it says; ends with 1 where one is missing or past its age.
    Status {
        #[command(flatten)]
        common: Common,
    },
    /// Say which lists hold an address, the number of a network (`AS64500`) or a user agent.
    Lookup {
        /// What to look for.
        #[arg(value_name = "IP|ASN|AGENT")]
        wanted: String,
        #[command(flatten)]
        common: Common,
    },
    /// Check all lists; ends with 1 where one has faults or holds protected addresses.
    Verify {
        #[command(flatten)]
        common: Common,
    },
}

/// Runs one of them.
pub(super) fn run(command: Command, out: &mut dyn Write, err: &mut dyn Write) -> Ended {
    match command {
        Command::Pull { names, force, common } => with(&common, err, |setup, err| pull(setup, &names, force, out, err)),
        Command::Status { common } => {
            with(&common, err, |setup, err| known(setup, err, |knowledge| status(setup, knowledge, out)))
        }
        Command::Lookup { wanted, common } => {
            with(&common, err, |setup, err| known(setup, err, |knowledge| lookup(setup, knowledge, &wanted, out)))
        }
        Command::Verify { common } => {
            with(&common, err, |setup, err| known(setup, err, |knowledge| verify(setup, knowledge, out)))
        }
    }
}

/// What a configuration says of lists.
struct Setup {
    sources: Vec<Source>,
    folder: PathBuf,
    settings: facts::Settings,
    faults: Vec<Fault>,
    json: bool,
}

fn with(common: &Common, err: &mut dyn Write, run: impl FnOnce(&Setup, &mut dyn Write) -> Ended) -> Ended {
    let now = Clock::system().now();
    let path = common.config.as_deref().or_else(|| Some(Path::new(USUAL)).filter(|path| path.exists()));
    let Some(path) = path else {
        let settings = facts::Settings { now, ..facts::Settings::default() };
        let setup = Setup { sources: Vec::new(), folder: PathBuf::new(), settings, faults: Vec::new(), json: common.json };
        return run(&setup, err);
    };
    // Secrets need not be set where only lists are meant.
    match Config::load(path, &|_| Some("unused".to_owned())) {
        Ok(config) => {
            let (folder, (settings, faults)) = (app::lists_folder(&config), app::facts_settings(&config, now));
            run(&Setup { sources: config.lists, folder, settings, faults, json: common.json }, err)
        }
        Err(faults) => told(&faults, err, Ended::Failed),
    }
}

fn told(faults: &[Fault], err: &mut dyn Write, ended: Ended) -> Ended {
    for fault in faults {
        say(err, fault);
    }
    ended
}

/// Loads all lists; ends wrong where they have faults.
fn known(setup: &Setup, err: &mut dyn Write, run: impl FnOnce(&Knowledge) -> Ended) -> Ended {
    match Knowledge::load(&setup.settings) {
        Ok(knowledge) if setup.faults.is_empty() => run(&knowledge),
        loaded => {
            told(&setup.faults, err, Ended::Wrong);
            told(&loaded.err().unwrap_or_default(), err, Ended::Wrong)
        }
    }
}

fn pull(setup: &Setup, names: &[String], force: bool, out: &mut dyn Write, err: &mut dyn Write) -> Ended {
    let by_url = || setup.sources.iter().filter(|source| matches!(source.origin, Origin::Url(_)));
    if let Some(unknown) = names.iter().find(|name| !by_url().any(|source| source.name == **name)) {
        say(err, format_args!("no list named `{unknown}` is configured with a `url`"));
        if let Some(meant) = nearest(unknown, by_url().map(|source| source.name.as_str())) {
            say(err, format_args!("hint: did you mean `{meant}`?"));
        }
        return Ended::Failed;
    }
    // Another part of the process may have installed it already; there is only one provider to choose from.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string());
    let (runtime, client) = match (runtime, Client::new(PATIENCE)) {
        (Ok(runtime), Ok(client)) => (runtime, client),
        (runtime, client) => {
            say(err, runtime.err().or(client.err()).unwrap_or_default());
            return Ended::Failed;
        }
    };
    let mut ended = Ended::Well;
    for source in by_url().filter(|source| names.is_empty() || names.contains(&source.name)) {
        let outcome = runtime.block_on(lists::refresh(source, &setup.folder, &client, Clock::system().now(), force));
        let (name, says) = (outcome.name(), outcome.says());
        if setup.json {
            say(out, json!({ "name": source.name, "source": source.shown(), "outcome": name, "says": says }));
        } else {
            say(out, format_args!("{}: {name}{}{says}", source.name, if says.is_empty() { "" } else { ": " }));
        }
        ended = match (ended, &outcome) {
            (Ended::Failed, _) | (_, Outcome::Failed(_)) => Ended::Failed,
            (Ended::Wrong, _) | (_, Outcome::Refused(_)) => Ended::Wrong,
            _ => ended,
        };
    }
    ended
}

fn status(setup: &Setup, knowledge: &Knowledge, out: &mut dyn Write) -> Ended {
    let rows = report(knowledge, &setup.sources, None);
    let rows = rows.as_array().map(Vec::as_slice).unwrap_or_default();
    let text = |row: &Value, key: &str| row.get(key).and_then(Value::as_str).unwrap_or("-").to_owned();
    if setup.json {
        say(out, Value::from(rows));
    } else {
        say(
            out,
            format_args!(
                "{:<32} {:<14} {:<13} {:>9} {:<10} {:<8} source",
                "list", "kind", "identity", "entries", "as of", "state"
            ),
        );
        for row in rows {
            let day: String = text(row, "as_of").chars().take(10).collect();
            let (name, kind, identity, state) = (text(row, "name"), text(row, "kind"), text(row, "identity"), text(row, "state"));
            let entries = row.get("entries").and_then(Value::as_u64).unwrap_or(0);
            let source = text(row, "source");
            say(out, format_args!("{name:<32} {kind:<14} {identity:<13} {entries:>9} {day:<10} {state:<8} {source}"));
        }
    }
    if rows.iter().all(|row| text(row, "state") == "fresh") { Ended::Well } else { Ended::Wrong }
}

fn lookup(setup: &Setup, knowledge: &Knowledge, wanted: &str, out: &mut dyn Write) -> Ended {
    let wanted = wanted.trim();
    let digits = wanted.get(..2).filter(|head| head.eq_ignore_ascii_case("as")).and_then(|_| wanted.get(2..));
    let number: Option<u32> = digits.unwrap_or(wanted).parse().ok();
    let found = if let Ok(address) = wanted.parse::<IpAddr>() {
        of_address(knowledge, address)
    } else if let Some(number) = number {
        of_number(knowledge, number)
    } else {
        of_agent(&knowledge.agent(wanted), wanted)
    };
    if setup.json {
        say(out, found);
        return Ended::Well;
    }
    for (key, value) in found.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null() && !value.is_array()) {
        say(out, format_args!("{key}: {}", value.as_str().map_or_else(|| value.to_string(), str::to_owned)));
    }
    let lists = found.get("lists").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if lists.is_empty() {
        say(out, "on no list");
    }
    for list in lists {
        let text = |key: &str| list.get(key).and_then(Value::as_str).unwrap_or("-");
        let (name, kind, identity, source, state) = (text("name"), text("kind"), text("identity"), text("source"), text("state"));
        let day = text("as_of").get(..10).unwrap_or("-");
        say(out, format_args!("on {name}: kind {kind}, identity {identity}, as of {day} ({state}), source {source}"));
    }
    Ended::Well
}

fn of_address(knowledge: &Knowledge, address: IpAddr) -> Value {
    let network = knowledge.network(address);
    let on = |about: &&About| about.place.is_some_and(|place| network.lists.has(place)) && !about.disabled;
    json!({
        "ip": address.to_string(),
        "kind": network.kind.name(),
        "stale": network.stale,
        "identity": network.crawler,
        "asn": network.asn,
        "organisation": knowledge.organisation(address),
        "country": network.country.map(|code| String::from_utf8_lossy(&code).into_owned()),
        "lists": knowledge.about().iter().filter(on).map(in_force).collect::<Vec<_>>(),
    })
}

/// Lists of numbers say one kind each, and are told by it.
fn of_number(knowledge: &Knowledge, number: u32) -> Value {
    let kinds = knowledge.kinds_of(number);
    let on = |about: &&About| about.place.is_none() && matches!(about.role, Role::Kind(kind) if kinds.contains(&kind));
    let rows: Vec<Value> = knowledge.about().iter().filter(on).map(in_force).collect();
    json!({ "asn": number, "kind": kinds.first().copied().map(NetworkKind::name), "lists": rows })
}

fn of_agent(agent: &Agent, text: &str) -> Value {
    let patterns = SHIPPED.iter().filter(|file| file.path.starts_with("bot-ua/"));
    let row = |list: &str, date: &str| json!({ "name": list, "as_of": date, "source": "shipped", "state": "fresh", "identity": agent.claims });
    let rows: Vec<Value> =
        if agent.robot.is_some() { patterns.map(|file| row(file.list, file.date)).collect() } else { Vec::new() };
    json!({ "agent": text, "kind": agent.kind.name(), "family": &*agent.family, "pattern": agent.robot.as_deref(), "lists": rows })
}

fn verify(setup: &Setup, knowledge: &Knowledge, out: &mut dyn Write) -> Ended {
    let against: Vec<&About> = knowledge.about().iter().filter(|about| about.against_protected > 0).collect();
    if setup.json {
        let row = |about: &&About| {
            let examples: Vec<String> = about.examples.iter().map(ToString::to_string).collect();
            json!({ "name": about.name, "against_protected": about.against_protected, "examples": examples })
        };
        say(out, json!({ "lists": knowledge.about().len(), "against_protected": against.iter().map(row).collect::<Vec<_>>() }));
    } else {
        for about in &against {
            let examples: Vec<String> = about.examples.iter().map(|network| format!("`{network}`")).collect();
            let (name, count) = (&about.name, about.against_protected);
            say(
                out,
                format_args!("{name}: {count} entries hit protected ranges, which are left out of it: {}", examples.join(", ")),
            );
        }
        say(out, format_args!("{} lists, {} of them against protected ranges", knowledge.about().len(), against.len()));
    }
    if against.is_empty() { Ended::Well } else { Ended::Wrong }
}
