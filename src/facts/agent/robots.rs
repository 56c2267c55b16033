//! Robots by name: declared crawlers with the identity they claim, libraries, headless browsers, and the shipped
//! pattern lists. Literal patterns are one automaton, the rest one set of regexes, compiled when loaded.
//! Must not know browsers.

use std::sync::Arc;

use aho_corasick::AhoCorasick;
use regex::RegexSet;
use serde::Deserialize;

use crate::fact::AgentKind;
use crate::fault::Fault;

/// Patterns of the lists that are people: the build of OPPO, realme and `OnePlus` phones, and Facebook's browser on Android
/// (`data/bot-ua/ORIGIN.md`); Amazon's tablet browser; Pinterest's own app; a phone of HTC.
const PEOPLE: [&str; 6] =
    ["AP3A\\.240617\\.008", "MetaIAB Facebook", "^Silk\\/", "Pinterest(bot)?\\/", "Pinterest\\/", "Butterfly"];

/// Robots that can be verified, or that matter for ads: name as sent, family, identity. `TelegramBot` also says `TwitterBot`.
const CLAIMS: [(&str, &str); 49] = [
    ("facebookexternalhit", "meta"),
    ("facebookcatalog", "meta"),
    ("facebookbot", "meta"),
    ("meta-external", "meta"),
    ("meta-webindexer", "meta"),
    ("meta-externalads", "meta"),
    ("Googlebot", "google"),
    ("AdsBot-Google", "google"),
    ("Mediapartners-Google", "google"),
    ("Google-InspectionTool", "google"),
    ("GoogleOther", "google"),
    ("Storebot-Google", "google"),
    ("Google-Read-Aloud", "google"),
    ("APIs-Google", "google"),
    ("FeedFetcher-Google", "google"),
    ("Google-Site-Verification", "google"),
    ("GoogleProducer", "google"),
    ("bingbot", "bing"),
    ("BingPreview", "bing"),
    ("adidxbot", "bing"),
    ("msnbot", "bing"),
    ("Applebot", "apple"),
    ("DuckDuckBot", "duckduckgo"),
    ("DuckAssistBot", "duckduckgo"),
    ("YandexBot", "yandex"),
    ("YandexMobileBot", "yandex"),
    ("YandexImages", "yandex"),
    ("GPTBot", "openai"),
    ("ChatGPT-User", "openai"),
    ("OAI-SearchBot", "openai"),
    ("ClaudeBot", "anthropic"),
    ("Claude-User", "anthropic"),
    ("anthropic-ai", "anthropic"),
    ("PerplexityBot", "perplexity"),
    ("Perplexity-User", "perplexity"),
    ("TelegramBot", "telegram"),
    ("Twitterbot", "x"),
    ("Pinterestbot", "pinterest"),
    ("LinkedInBot", "linkedin"),
    ("AhrefsBot", "ahrefs"),
    ("AhrefsSiteAudit", "ahrefs"),
    ("SemrushBot", "semrush"),
    ("UptimeRobot", "uptimerobot"),
    ("Pingdom", "pingdom"),
    ("StatusCake", "statuscake"),
    ("Better Stack", "betterstack"),
    ("Kagibot", "kagi"),
    ("CensysInspect", "censys"),
    ("Shodan", "shodan"),
];

/// Headless browsers and their drivers.
const HEADLESS: [&str; 9] =
    ["HeadlessChrome", "PhantomJS", "Lightpanda", "SlimerJS", "Puppeteer", "Playwright", "Selenium", "Electron/", "HtmlUnit"];

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

/// Names that mean a library only where an agent begins with them: old phones list `Java/` among their features.
const FIRST: [&str; 6] = ["Java/", "Dalvik/", "Python/", "Ruby", "Dart/", "hyper/"];

/// A robot found in an agent.
pub(crate) struct Found<'a> {
    pub(crate) kind: AgentKind,
    pub(crate) family: &'a str,
    pub(crate) claims: Option<&'static str>,
    pub(crate) pattern: Arc<str>,
}

#[derive(Debug)]
struct Robot {
    pattern: Arc<str>,
    family: String,
    kind: AgentKind,
    claims: Option<&'static str>,
    from_start: bool,
}

/// All robots known by name, compiled.
#[derive(Debug)]
pub(crate) struct Robots {
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
type File = (String, Vec<u8>);

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
            let family = super::words::family(literal.as_deref().unwrap_or(&entry.pattern));
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
        let refused =
            |error: &dyn std::fmt::Display| vec![Fault::of_file(&crawlers.0, format!("patterns do not compile: {error}"))];
        Ok(Self {
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
        (name, Robot { pattern: Arc::from(name), family, kind, claims, from_start })
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
