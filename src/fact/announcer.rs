//! What the name of whoever announces an address says of it, word by word. A weak hint: names are chosen freely. Must not know who asks.

/// What a name's words say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AsWords {
    /// That machines are hosted there.
    Hosting,
    /// Nothing.
    Nothing,
}

impl AsWords {
    /// The words that rules can ask for.
    pub const NAMES: &'static [&'static str] = &["hosting"];

    /// What a name says; whole words only, so that `Cloudflare` is no cloud.
    pub fn of(name: &str) -> Self {
        let mut before = "";
        for word in name.split(|letter: char| !letter.is_ascii_alphabetic()).filter(|word| !word.is_empty()) {
            let is = |one: &&str| word.eq_ignore_ascii_case(one);
            let centre = ["center", "centre", "centers", "centres"].iter().any(is);
            if HOSTING.iter().any(is) || (centre && before.eq_ignore_ascii_case("data")) {
                return Self::Hosting;
            }
            before = word;
        }
        Self::Nothing
    }
}

const HOSTING: [&str; 13] = [
    "hosting",
    "hoster",
    "webhosting",
    "server",
    "servers",
    "vps",
    "vds",
    "datacenter",
    "datacentre",
    "datacenters",
    "colocation",
    "colo",
    "cloud",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_words_tell_who_hosts_machines() {
        for name in [
            "KRYSTAL Hosting Ltd",
            "BBDO-COLO - BBDO NY",
            "Scala Data Centers",
            "LLC \"ASTRA CLOUD\"",
            "Tier4 VPS",
            "x Datacentre",
        ] {
            assert_eq!(AsWords::of(name), AsWords::Hosting, "{name}");
        }
        for name in ["Cloudflare, Inc.", "Deutsche Telekom AG", "Data Telecom Center", "Observers Ltd", "", "Ministry of Data"] {
            assert_eq!(AsWords::of(name), AsWords::Nothing, "{name}");
        }
    }
}
