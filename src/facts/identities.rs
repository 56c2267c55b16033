//! Who operates which declared crawler, and by what its addresses are known: published ranges, and names behind addresses.
//! Promises: a name belongs to an operator only where nobody else is given names below it (`docs/identities.md`).
//! Must not know requests.

/// An operator of crawlers.
#[derive(Debug)]
pub(super) struct Operator {
    /// The identity, as rules name it.
    pub(super) name: &'static str,
    /// The shipped lists that hold its addresses.
    pub(super) lists: &'static [&'static str],
    /// The domains below which the names of its addresses stand.
    pub(super) hosts: &'static [&'static str],
    /// Whether lists and domains are known to hold all its addresses, so that whoever is elsewhere is somebody else.
    complete: bool,
}

/// Operators of whom something is published. Google gives names below `googleusercontent.com` to everybody who rents a
/// machine, so that they prove nothing; LinkedIn's names are its own but nowhere promised, and `ByteDance` promises its names
/// for one of two crawlers: those can only confirm.
#[rustfmt::skip]
const OPERATORS: [Operator; 30] = [
    all("meta", &["facebook"], &[]),
    all("google", &["googlebot", "google_special_crawlers", "google_user_triggered_fetchers"], &["googlebot.com", "google.com"]),
    all("bing", &["bing"], &["search.msn.com"]),
    all("apple", &["applebot"], &["applebot.apple.com"]),
    all("duckduckgo", &["duckduckbot"], &[]),
    all("yandex", &["yandexbot"], &["yandex.ru", "yandex.net", "yandex.com"]),
    all("openai", &["openai", "gptbot", "chatgpt_user", "oai_searchbot"], &[]),
    all("anthropic", &["claudebot"], &[]),
    all("perplexity", &["perplexity", "perplexity_user", "perplexitybot"], &[]),
    all("telegram", &["telegram"], &[]),
    all("x", &["twitter"], &["twttr.com"]),
    all("ahrefs", &["ahrefsbot"], &["ahrefs.com", "ahrefs.net"]),
    all("semrush", &["semrush"], &["bot.semrush.com"]),
    all("uptimerobot", &["uptimerobot"], &["uptimerobot.com"]),
    all("pingdom", &["pingdom"], &[]),
    all("statuscake", &["statuscake"], &[]),
    all("betterstack", &["betterstack"], &[]),
    all("kagi", &["kagi"], &[]),
    all("censys", &["censys"], &[]),
    all("shodan", &["shodan"], &["shodan.io"]),
    all("pinterest", &[], &["pinterest.com", "pinterestcrawler.com"]),
    all("baidu", &[], &["baidu.com", "baidu.jp"]),
    all("seznam", &[], &["seznam.cz"]),
    all("naver", &[], &["naver.com"]),
    all("petal", &[], &["petalsearch.com", "aspiegel.com"]),
    all("yahoo", &[], &["crawl.yahoo.net"]),
    all("amazon", &[], &["crawl.amazonbot.amazon"]),
    all("commoncrawl", &[], &["crawl.commoncrawl.org"]),
    some("linkedin", &["linkedin.com"]),
    some("tiktok", &["crawl.bytedance.com"]),
];

const fn all(name: &'static str, lists: &'static [&'static str], hosts: &'static [&'static str]) -> Operator {
    Operator { name, lists, hosts, complete: true }
}

const fn some(name: &'static str, hosts: &'static [&'static str]) -> Operator {
    Operator { name, lists: &[], hosts, complete: false }
}

/// Robots that can be verified, or that matter for ads: name as sent, family, identity. `TelegramBot` also says `TwitterBot`.
pub(super) const CLAIMS: [(&str, &str); 74] = [
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
    ("Google-CloudVertexBot", "google"),
    ("Google-Safety", "google"),
    ("MicrosoftPreview", "bing"),
    ("YandexRenderResourcesBot", "yandex"),
    ("YandexAccessibilityBot", "yandex"),
    ("YandexMetrika", "yandex"),
    ("YandexDirect", "yandex"),
    ("YandexAdNet", "yandex"),
    ("Claude-SearchBot", "anthropic"),
    ("Bytespider", "tiktok"),
    ("TikTokSpider", "tiktok"),
    ("Baiduspider", "baidu"),
    ("SeznamBot", "seznam"),
    ("Yeti/", "naver"),
    ("PetalBot", "petal"),
    ("Yahoo! Slurp", "yahoo"),
    ("Amazonbot", "amazon"),
    ("CCBot", "commoncrawl"),
    ("Slackbot", "slack"),
    ("Slack-ImgProxy", "slack"),
    ("WhatsApp/", "whatsapp"),
    ("Discordbot", "discord"),
    ("Snap URL Preview", "snapchat"),
    ("SkypeUriPreview", "skype"),
    ("DuckDuckGo-Favicons-Bot", "duckduckgo"),
];

impl Operator {
    /// Whether an address outside all lists cannot be its, as far as ranges tell.
    pub(super) fn is_ranged(&self) -> bool {
        !self.lists.is_empty()
    }

    /// Whether an address outside all lists and domains cannot be its.
    pub(super) fn is_complete(&self) -> bool {
        self.complete
    }
}

/// The operator of an identity; none where nothing is published.
pub(super) fn operator(identity: &str) -> Option<&'static Operator> {
    OPERATORS.iter().find(|operator| operator.name == identity)
}

/// The identity whose addresses a shipped list holds.
pub(super) fn of_list(list: &str) -> Option<&'static str> {
    OPERATORS.iter().find(|operator| operator.lists.contains(&list)).map(|operator| operator.name)
}

/// The identity below whose domains a name stands; a whole label is compared at a time, letters' case does not count.
pub fn identity_of_host(host: &str) -> Option<&'static str> {
    let host = host.strip_suffix('.').unwrap_or(host);
    let below = |domain: &str| {
        let at = host.len().checked_sub(domain.len());
        at.and_then(|at| Some((host.get(..at)?, host.get(at..)?)))
            .is_some_and(|(before, end)| end.eq_ignore_ascii_case(domain) && (before.is_empty() || before.ends_with('.')))
    };
    OPERATORS.iter().find(|operator| operator.hosts.iter().any(|domain| below(domain))).map(|operator| operator.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_belongs_to_an_operator_by_whole_labels_only() {
        for (host, identity) in [
            ("crawl-66-249-66-1.googlebot.com", Some("google")),
            ("RATE-limited-proxy-1.Google.com.", Some("google")),
            ("msnbot-1.search.msn.com", Some("bing")),
            ("evilgooglebot.com", None),
            ("googlebot.com.evil.example", None),
            ("1.2.3.4.bc.googleusercontent.com", None),
            ("msn.com", None),
            ("", None),
            ("é.com", None),
        ] {
            assert_eq!(identity_of_host(host), identity, "{host}");
        }
    }

    #[test]
    fn every_claim_and_operator_is_an_identity_that_rules_know() {
        for name in CLAIMS.iter().map(|(_, name)| *name).chain(OPERATORS.iter().map(|operator| operator.name)) {
            assert!(crate::fact::identity_names().contains(&name), "{name}");
        }
    }
}
