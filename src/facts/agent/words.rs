//! What the shape of an agent gives away: robots' words at word boundaries, contact addresses, a bare product.
//! Must not know any particular robot.

/// Endings of words that robots call themselves by.
pub(super) const ENDINGS: [&str; 13] = [
    "bot",
    "bots",
    "crawler",
    "crawl",
    "spider",
    "scraper",
    "fetcher",
    "checker",
    "validator",
    "scanner",
    "archiver",
    "slurp",
    "crawling",
];
/// Words that end like a robot's and are not: a brand of phones.
const INNOCENT: [&str; 2] = ["cubot", "talkabot"];

/// The word or contact address by which an agent shows that it is a robot.
pub(super) fn robot_word(text: &str) -> Option<&str> {
    contact(text).or_else(|| {
        text.split(|letter: char| !letter.is_ascii_alphanumeric()).find(|word| {
            let is = |known: &str| word.eq_ignore_ascii_case(known);
            let ends = |ending: &str| {
                word.len()
                    .checked_sub(ending.len())
                    .and_then(|at| word.get(at..))
                    .is_some_and(|tail| tail.eq_ignore_ascii_case(ending))
            };
            ENDINGS.iter().any(|ending| ends(ending)) && !INNOCENT.iter().any(|word| is(word))
        })
    })
}

/// A web or e-mail address, which robots leave for the site's owner. An address before `Build/` is part of the name
/// that somebody gave the system of a phone; `app@1.2.3` is a version.
fn contact(text: &str) -> Option<&str> {
    let web = ["http://", "https://", "+www."].iter().find_map(|mark| text.find(mark)).and_then(|at| text.get(at..));
    let web = web.filter(|rest| !rest.contains(" Build/")).and_then(|rest| rest.split([' ', ';', ')', ',']).next());
    let mail = || text.split([' ', ';', '(', ')', ',', '<', '>', '/']).find(|word| is_mail(word));
    web.or_else(mail)
}

fn is_mail(word: &str) -> bool {
    word.split_once('@').and_then(|(name, host)| host.rsplit_once('.').map(|(host, top)| (name, host, top))).is_some_and(
        |(name, host, top)| {
            !name.is_empty() && !host.is_empty() && top.len() >= 2 && top.bytes().all(|letter| letter.is_ascii_alphabetic())
        },
    )
}

/// Whether an agent is that of a phone before the smartphone: by features such phones list, or by the maker's name in front.
pub(super) fn is_old_phone(text: &str) -> bool {
    const FEATURES: [&str; 9] =
        ["MIDP", "Profile/", "UP.Browser", "UP.Link", "Obigo", "NetFront", "Teleca", "Dolfin/", "Browser/"];
    const MAKERS: [&str; 22] = [
        "alcatel",
        "docomo",
        "htc",
        "huawei",
        "lg",
        "mot-",
        "motorola",
        "nokia",
        "samsung",
        "sonyericsson",
        "blackberry",
        "kddi",
        "softbank",
        "vodafone",
        "j-phone",
        "sie-",
        "sharp",
        "panasonic",
        "philips",
        "zte",
        "sagem",
        "lenovo",
    ];
    let begins = |name: &&str| text.get(..name.len()).is_some_and(|head| head.eq_ignore_ascii_case(name));
    FEATURES.iter().any(|word| text.contains(word)) || MAKERS.iter().any(begins)
}

/// The browser without script, or without pictures, that an agent names first. They are people's, though nearly nobody's.
pub(super) fn text_browser(text: &str) -> Option<&'static str> {
    const NAMES: [(&str, &str); 8] = [
        ("Lynx/", "lynx"),
        ("w3m/", "w3m"),
        ("Links (", "links"),
        ("ELinks/", "elinks"),
        ("Dillo/", "dillo"),
        ("edbrowse/", "edbrowse"),
        ("NetSurf/", "netsurf"),
        ("URL/Emacs", "eww"),
    ];
    NAMES.iter().find(|(mark, _)| text.starts_with(mark)).map(|(_, family)| *family)
}

/// Whether an agent is a product and no browser: all browsers begin with `Mozilla/` or `Opera/`.
pub(super) fn is_bare_product(text: &str) -> bool {
    !text.starts_with("Mozilla/") && !text.starts_with("Opera/") && !text.contains("Mobile")
}

/// A product's name as families are written: lower case, `_` between words.
pub(super) fn family(text: &str) -> String {
    let name = text.split(['/', ' ', '(', ';']).find(|part| !part.is_empty()).unwrap_or_default();
    let name = name.chars().take(40).map(|letter| if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { '_' });
    name.collect::<String>().trim_matches('_').to_owned()
}

/// The major version behind a name and one mark, as in `Chrome/126.0`; letters' case does not count.
pub(super) fn version_after(text: &str, name: &str) -> Option<u32> {
    if name.is_empty() {
        return None;
    }
    let at = text.as_bytes().windows(name.len()).position(|part| part.eq_ignore_ascii_case(name.as_bytes()))?;
    number(text.get(at + name.len()..)?)
}

/// The number that a text begins with, behind one mark or none.
pub(super) fn number(text: &str) -> Option<u32> {
    let text = text.strip_prefix(['/', ' ', '-', ':']).unwrap_or(text);
    let length = text.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    text.get(..length)?.parse().ok()
}
