//! Robots by name: declared crawlers with the identity they claim, libraries, headless browsers, and the shipped
//! pattern lists. Literal patterns are one automaton, the rest one set of regexes, compiled when loaded.
//! Must not know browsers.

use std::sync::Arc;

use aho_corasick::AhoCorasick;
use regex::RegexSet;
use regex_syntax::hir::literal::Extractor;
use serde::Deserialize;

use crate::fact::AgentKind;
use crate::facts::agent::filter::Filter;
use crate::facts::identities::CLAIMS;
use crate::fault::Fault;

/// Patterns of the lists that are people: the build of OPPO, realme and `OnePlus` phones, and Facebook's browser on Android
/// (`data/bot-ua/ORIGIN.md`); Amazon's tablet browser; Pinterest's own app; a phone of HTC.
const PEOPLE: [&str; 6] =
    ["AP3A\\.240617\\.008", "MetaIAB Facebook", "^Silk\\/", "Pinterest(bot)?\\/", "Pinterest\\/", "Butterfly"];

/// Headless browsers and their drivers.
const HEADLESS: [&str; 10] = [
    "HeadlessChrome",
    "PhantomJS",
    "Lightpanda",
    "SlimerJS",
    "Puppeteer",
    "Playwright",
    "Selenium",
    "Electron/",
    "HtmlUnit",
    "wkhtmlto",
];

/// HTTP libraries and command-line clients.
const LIBRARIES: [&str; 36] = [
    "curl/",
    "Wget",
    "python-requests",
    "python-httpx",
    "python-urllib",
    "aiohttp",
    "Go-http-client",
    "okhttp",
    "axios",
    "node-fetch",
    "undici",
    "got (",
    "Java/",
    "libwww-perl",
    "Scrapy",
    "Guzzle",
    "Apache-HttpClient",
    "HTTPie",
    "reqwest",
    "PostmanRuntime",
    "Faraday",
    "libcurl",
    "Ruby",
    "RestSharp",
    "insomnia",
    "lwp-",
    "WinHttp",
    "Python/",
    "hyper/",
    "ureq/",
    "Dart/",
    "Deno/",
    "colly",
    "resty",
    "Jakarta",
    "Dalvik/",
];

/// Names that mean a robot only where an agent begins with them: old phones list `Java/` among their features, apps say whose
/// window they are.
const FIRST: [&str; 7] = ["Java/", "Dalvik/", "Python/", "Ruby", "Dart/", "hyper/", "WhatsApp/"];

/// A robot found in an agent.
pub(crate) struct Found<'a> {
    pub(crate) kind: AgentKind,
    pub(crate) family: &'a Arc<str>,
    pub(crate) claims: Option<&'static str>,
    pub(crate) pattern: Arc<str>,
}

#[derive(Debug)]
struct Robot {
    pattern: Arc<str>,
    family: Arc<str>,
    kind: AgentKind,
    claims: Option<&'static str>,
    from_start: bool,
}

/// All robots known by name, compiled.
#[derive(Debug)]
pub(crate) struct Robots {
    /// Tells most people's agents at one look; none where a pattern is too short for that.
    filter: Option<Filter>,
    named: AhoCorasick,
    behind_names: Vec<Robot>,
    literals: AhoCorasick,
    behind_literals: Vec<Robot>,
    regexes: RegexSet,
    behind_regexes: Vec<Robot>,
}

#[derive(Deserialize)]
struct Listed {
    pattern: String,
    #[serde(default)]
    tags: Vec<String>,
}

#[derive(Deserialize)]
struct WellKnown {
    pattern: Patterns,
    #[serde(default)]
    categories: Vec<String>,
}

#[derive(Deserialize)]
struct Patterns {
    accepted: Vec<String>,
    #[serde(default)]
    forbidden: Vec<String>,
}

/// A file's name for messages, and its content.
pub(crate) type File = (String, Vec<u8>);

impl Robots {
    /// Compiles the two pattern lists and the names built in.
    pub(crate) fn load(crawlers: &File, known: &File) -> Result<Self, Vec<Fault>> {
        let listed: Vec<Listed> = json(crawlers)?;
        let known: Vec<WellKnown> = json(known)?;
        let known = known.into_iter().filter(|bot| bot.pattern.forbidden.is_empty()).flat_map(|bot| {
            let tags = bot.categories;
            bot.pattern.accepted.into_iter().map(move |pattern| Listed { pattern, tags: tags.clone() })
        });
        let (mut literals, mut behind_literals, mut regexes, mut behind_regexes) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for entry in listed.into_iter().chain(known).filter(|entry| !PEOPLE.contains(&entry.pattern.as_str())) {
            let body = entry.pattern.strip_prefix('^');
            let literal = literal(body.unwrap_or(&entry.pattern));
            let family = super::words::family(literal.as_deref().unwrap_or(&entry.pattern)).into();
            let kind = kind(&entry.tags);
            let robot = Robot { pattern: Arc::from(&*entry.pattern), family, kind, claims: None, from_start: body.is_some() };
            if let Some(literal) = literal {
                literals.push(literal);
                behind_literals.push(robot);
            } else {
                regexes.push(entry.pattern);
                behind_regexes.push(robot);
            }
        }
        let (names, behind_names): (Vec<&str>, Vec<Robot>) = built_in().unzip();
        let filter = filter(&names, &literals, &regexes);
        let refused =
            |error: &dyn std::fmt::Display| vec![Fault::of_file(&crawlers.0, format!("patterns do not compile: {error}"))];
        Ok(Self {
            filter,
            named: AhoCorasick::builder().ascii_case_insensitive(true).build(names).map_err(|error| refused(&error))?,
            behind_names,
            literals: AhoCorasick::new(literals).map_err(|error| refused(&error))?,
            behind_literals,
            regexes: RegexSet::new(regexes).map_err(|error| refused(&error))?,
            behind_regexes,
        })
    }

    /// The robot an agent names, if it names one.
    pub(crate) fn find(&self, text: &str) -> Option<Found<'_>> {
        if self.filter.as_ref().is_some_and(|filter| !filter.may_be_in(text)) {
            return None;
        }
        self.search(text)
    }

    /// The same, whatever the filter says.
    fn search(&self, text: &str) -> Option<Found<'_>> {
        let named = self
            .named
            .find_overlapping_iter(text)
            .filter(|found| bounded(text, found.start()))
            .map(|found| (found.pattern().as_usize(), found.start()))
            .filter(|(at, start)| *start == 0 || self.behind_names.get(*at).is_some_and(|robot| !robot.from_start))
            .map(|(at, _)| at)
            .min();
        let robot = named.and_then(|at| self.behind_names.get(at)).or_else(|| {
            self.literals.find_overlapping_iter(text).find_map(|found| {
                let robot = self.behind_literals.get(found.pattern().as_usize())?;
                let short = found.len() <= 5;
                let apart = !short || (bounded(text, found.start()) && bounded_end(text, found.end()));
                (apart && (found.start() == 0 || !robot.from_start)).then_some(robot)
            })
        });
        let robot = robot.or_else(|| self.regexes.matches(text).iter().next().and_then(|at| self.behind_regexes.get(at)))?;
        Some(Found { kind: robot.kind, family: &robot.family, claims: robot.claims, pattern: Arc::clone(&robot.pattern) })
    }
}

/// A filter of all that robots are known by. A match of a regex begins with one of the texts drawn from it.
fn filter(names: &[&str], literals: &[String], regexes: &[String]) -> Option<Filter> {
    let mut begins = Vec::new();
    for regex in regexes {
        let read = regex_syntax::parse(regex).ok()?;
        let drawn = Extractor::new().extract(&read);
        begins.extend(drawn.literals()?.iter().map(|literal| literal.as_bytes().to_vec()));
    }
    let words = names.iter().map(|name| name.as_bytes()).chain(literals.iter().map(String::as_bytes));
    Filter::of(words.chain(begins.iter().map(Vec::as_slice)))
}

/// Whether a word begins at a place.
fn bounded(text: &str, at: usize) -> bool {
    text.as_bytes().get(at.wrapping_sub(1)).is_none_or(|before| !before.is_ascii_alphanumeric())
}

/// Whether a word ends before a place.
fn bounded_end(text: &str, at: usize) -> bool {
    let last_is_mark = text.as_bytes().get(at.wrapping_sub(1)).is_some_and(|last| !last.is_ascii_alphanumeric());
    last_is_mark || text.as_bytes().get(at).is_none_or(|next| !next.is_ascii_alphanumeric())
}

fn built_in() -> impl Iterator<Item = (&'static str, Robot)> {
    let claims = CLAIMS.iter().map(|(name, identity)| {
        let monitor = ["uptimerobot", "pingdom", "statuscake", "betterstack"].contains(identity);
        let scanner = ["censys", "shodan"].contains(identity);
        let kind = if monitor {
            AgentKind::Monitor
        } else if scanner {
            AgentKind::Tool
        } else {
            AgentKind::Crawler
        };
        (*name, kind, Some(*identity))
    });
    let headless = HEADLESS.iter().map(|name| (*name, AgentKind::Headless, None));
    let libraries = LIBRARIES.iter().map(|name| (*name, AgentKind::Library, None));
    claims.chain(headless).chain(libraries).map(|(name, kind, claims)| {
        let family = if name == "HeadlessChrome" { "headless_chrome".to_owned() } else { super::words::family(name) };
        let from_start = FIRST.contains(&name);
        (name, Robot { pattern: Arc::from(name), family: family.into(), kind, claims, from_start })
    })
}

/// The kind that a list's tags give; a crawler where they say nothing better.
fn kind(tags: &[String]) -> AgentKind {
    let has = |words: &[&str]| tags.iter().any(|tag| words.contains(&tag.as_str()));
    if has(&["http-library"]) {
        AgentKind::Library
    } else if has(&["browser-automation"]) {
        AgentKind::Headless
    } else if has(&["monitoring", "monitor"]) {
        AgentKind::Monitor
    } else if has(&["scanner", "feed-reader", "feedfetcher", "tool", "webhook"]) {
        AgentKind::Tool
    } else {
        AgentKind::Crawler
    }
}

/// The text a pattern stands for, if it stands for one text only.
fn literal(pattern: &str) -> Option<String> {
    let mut text = String::with_capacity(pattern.len());
    let mut letters = pattern.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => text.push(letters.next().filter(|next| !next.is_ascii_alphanumeric())?),
            '[' | ']' | '(' | ')' | '{' | '}' | '|' | '*' | '+' | '?' | '^' | '$' | '.' => return None,
            _ => text.push(letter),
        }
    }
    (!text.is_empty()).then_some(text)
}

fn json<'a, T: Deserialize<'a>>(file: &'a File) -> Result<T, Vec<Fault>> {
    serde_json::from_slice(&file.1).map_err(|error| {
        let place = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        vec![Fault::at(&file.0, place(error.line()), place(error.column()), format!("not a list of robot patterns: {error}"))]
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lists::shipped;

    fn load(path: &str) -> File {
        (path.to_owned(), shipped(path).unwrap().bytes().unwrap())
    }

    /// All text between quotation marks: patterns, and agents that they are made for.
    fn texts(file: &File) -> Vec<String> {
        fn all(value: &serde_json::Value, into: &mut Vec<String>) {
            match value {
                serde_json::Value::String(text) => into.push(text.clone()),
                serde_json::Value::Array(values) => values.iter().for_each(|value| all(value, into)),
                serde_json::Value::Object(fields) => fields.values().for_each(|value| all(value, into)),
                _ => {}
            }
        }
        let mut texts = Vec::new();
        all(&serde_json::from_slice(&file.1).unwrap(), &mut texts);
        texts
    }

    #[test]
    fn no_robot_slips_through_the_filter() {
        let (crawlers, known) = (load("bot-ua/crawler-user-agents.json"), load("bot-ua/well-known-bots.json"));
        let robots = Robots::load(&crawlers, &known).unwrap();
        assert!(robots.filter.is_some());
        let names = built_in().map(|(name, _)| name.to_owned());
        let mut found = 0;
        for text in texts(&crawlers).into_iter().chain(texts(&known)).chain(names) {
            for text in [text.to_ascii_uppercase(), format!("x {text}"), text] {
                let pattern = robots.search(&text).map(|robot| robot.pattern);
                found += usize::from(pattern.is_some());
                assert_eq!(robots.find(&text).map(|robot| robot.pattern), pattern, "{text}");
            }
        }
        assert!(found > 5_000, "{found}");
    }

    #[test]
    fn the_filter_tells_most_people_at_one_look() {
        let robots = Robots::load(&load("bot-ua/crawler-user-agents.json"), &load("bot-ua/well-known-bots.json")).unwrap();
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/data/agents/train/browsers.jsonl");
        let people = std::fs::read_to_string(path).unwrap();
        let agents = people.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        let filter = robots.filter.as_ref().unwrap();
        let (passed, all) = agents.fold((0, 0), |(passed, all), person| {
            (passed + usize::from(filter.may_be_in(person["ua"].as_str().unwrap())), all + 1)
        });
        assert!(all > 5_000 && passed < all / 4, "{passed} of {all} are looked for among all robots");
    }

    #[test]
    fn a_pattern_that_may_begin_with_anything_leaves_nothing_to_the_filter() {
        let none = ("b".to_owned(), b"[]".to_vec());
        for pattern in ["[a-z]+-fetch", ".*bot", "x?y?"] {
            let listed = ("a".to_owned(), format!("[{{\"pattern\": \"{pattern}\"}}]").into_bytes());
            let robots = Robots::load(&listed, &none).unwrap();
            for text in ["q-fetch", "abot", "nothing of that kind"] {
                let pattern = robots.search(text).map(|robot| robot.pattern);
                assert_eq!(robots.find(text).map(|robot| robot.pattern), pattern, "{pattern:?} {text}");
            }
        }
    }
}
