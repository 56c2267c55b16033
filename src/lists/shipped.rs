//! The lists that come with the program, embedded compressed, each with the date of its snapshot. Their sources and
//! licences are in `data/*/ORIGIN.md`; `data/pack.rs` compresses them. Must not know what a list means for a visitor.

use std::io;
use std::io::Read;

use flate2::read::GzDecoder;

/// One embedded file.
#[derive(Clone, Copy, Debug)]
pub struct Shipped {
    /// Its path under `data/`; a file of the same path in an operator's data folder replaces it.
    pub path: &'static str,
    /// The list it belongs to; IPv4 and IPv6 files share one.
    pub list: &'static str,
    /// The date of the snapshot, `YYYY-MM-DD`.
    pub date: &'static str,
    /// Its content, gzip (RFC 1952).
    pub packed: &'static [u8],
}

impl Shipped {
    /// Its content, unpacked anew with each call.
    ///
    /// # Errors
    /// The program was damaged: what it carries does not unpack or its checksum is wrong.
    pub fn bytes(&self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        GzDecoder::new(self.packed).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

macro_rules! shipped {
    ($(($path:literal, $list:literal, $date:literal),)+) => {
        &[$(Shipped {
            path: $path,
            list: $list,
            date: $date,
            packed: include_bytes!(concat!(env!("OUT_DIR"), "/", $path, ".gz")),
        },)+]
    };
}

/// All embedded files: networks first, then numbers, databases and patterns. Not a constant, which would stand in the
/// binary once for each place that names it.
pub static SHIPPED: &[Shipped] = shipped![
    ("private-relay/ipv4.txt", "private_relay", "2026-08-22"),
    ("private-relay/ipv6.txt", "private_relay", "2026-08-22"),
    ("corporate-gateways/zscaler.txt", "zscaler", "2026-08-11"),
    ("crawlers/ahrefsbot.txt", "ahrefsbot", "2026-05-05"),
    ("crawlers/applebot.txt", "applebot", "2026-05-05"),
    ("crawlers/betterstack.txt", "betterstack", "2026-05-05"),
    ("crawlers/bing.txt", "bing", "2026-08-22"),
    ("crawlers/censys.txt", "censys", "2026-05-05"),
    ("crawlers/chatgpt-user.txt", "chatgpt_user", "2026-05-05"),
    ("crawlers/claudebot.txt", "claudebot", "2026-05-05"),
    ("crawlers/duckduckbot.txt", "duckduckbot", "2026-08-22"),
    ("crawlers/facebook.txt", "facebook", "2026-08-22"),
    ("crawlers/google-special-crawlers.txt", "google_special_crawlers", "2026-05-05"),
    ("crawlers/google-user-triggered-fetchers.txt", "google_user_triggered_fetchers", "2026-05-05"),
    ("crawlers/googlebot.txt", "googlebot", "2026-08-22"),
    ("crawlers/gptbot.txt", "gptbot", "2026-05-05"),
    ("crawlers/kagi.txt", "kagi", "2026-05-05"),
    ("crawlers/oai-searchbot.txt", "oai_searchbot", "2026-05-05"),
    ("crawlers/openai.txt", "openai", "2026-08-22"),
    ("crawlers/perplexity-user.txt", "perplexity_user", "2026-05-05"),
    ("crawlers/perplexity.txt", "perplexity", "2026-08-22"),
    ("crawlers/perplexitybot.txt", "perplexitybot", "2026-05-05"),
    ("crawlers/pingdom.txt", "pingdom", "2026-08-22"),
    ("crawlers/semrush.txt", "semrush", "2026-05-05"),
    ("crawlers/shodan.txt", "shodan", "2026-05-05"),
    ("crawlers/statuscake.txt", "statuscake", "2026-08-22"),
    ("crawlers/telegram.txt", "telegram", "2026-08-22"),
    ("crawlers/twitter.txt", "twitter", "2026-08-22"),
    ("crawlers/uptimerobot.txt", "uptimerobot", "2026-05-05"),
    ("crawlers/yandexbot.txt", "yandexbot", "2026-05-05"),
    ("tor/exits-ipv4.txt", "tor", "2026-08-22"),
    ("tor/exits-ipv6.txt", "tor", "2026-08-22"),
    ("vpn/ipv4.txt", "vpn", "2026-08-22"),
    ("vpn/ipv6.txt", "vpn", "2026-08-22"),
    ("vpn/providers/mullvadvpn.txt", "mullvad", "2026-08-22"),
    ("vpn/providers/pia.txt", "pia", "2026-08-22"),
    ("vpn/providers/protonvpn.txt", "protonvpn", "2026-08-22"),
    ("proxies/ips.txt", "open_proxies", "2026-08-22"),
    ("cloud/amazon-ipv4.txt", "amazon", "2026-08-22"),
    ("cloud/amazon-ipv6.txt", "amazon", "2026-08-22"),
    ("cloud/bunny-net.txt", "bunny", "2026-08-11"),
    ("cloud/cloudflare-ipv4.txt", "cloudflare", "2026-08-22"),
    ("cloud/cloudflare-ipv6.txt", "cloudflare", "2026-08-22"),
    ("cloud/digitalocean-ipv4.txt", "digitalocean", "2026-08-22"),
    ("cloud/digitalocean-ipv6.txt", "digitalocean", "2026-08-22"),
    ("cloud/fastly.txt", "fastly", "2026-08-19"),
    ("cloud/github-ipv4.txt", "github", "2026-08-22"),
    ("cloud/github-ipv6.txt", "github", "2026-08-22"),
    ("cloud/google-ipv4.txt", "google", "2026-08-22"),
    ("cloud/google-ipv6.txt", "google", "2026-08-22"),
    ("cloud/linode-ipv4.txt", "linode", "2026-08-22"),
    ("cloud/linode-ipv6.txt", "linode", "2026-08-22"),
    ("cloud/microsoft-ipv4.txt", "microsoft", "2026-08-22"),
    ("cloud/microsoft-ipv6.txt", "microsoft", "2026-08-22"),
    ("cloud/oracle-ipv4.txt", "oracle", "2026-08-22"),
    ("cloud/vultr-ipv4.txt", "vultr", "2026-08-22"),
    ("cloud/vultr-ipv6.txt", "vultr", "2026-08-22"),
    ("datacenter/ipv4.txt", "datacenter", "2026-08-22"),
    ("datacenter/ipv6.txt", "datacenter", "2026-08-22"),
    ("vpn/asn.txt", "vpn_asn", "2026-08-22"),
    ("datacenter/asn.txt", "datacenter_asn", "2026-08-22"),
    ("carriers/asn.txt", "carrier_asn", "2026-09-16"),
    ("asn/origin-asn.mmdb", "asn", "2026-09-16"),
    ("country/user-country.mmdb", "country", "2026-09-16"),
    ("bot-ua/crawler-user-agents.json", "crawler_user_agents", "2026-07-02"),
    ("bot-ua/well-known-bots.json", "well_known_bots", "2026-02-26"),
];

/// The embedded file of a path under `data/`.
pub fn shipped(path: &str) -> Option<&'static Shipped> {
    SHIPPED.iter().find(|file| file.path == path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_embedded_file_unpacks_to_the_file_it_was() {
        for file in SHIPPED {
            let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("data").join(file.path);
            assert!(file.bytes().unwrap() == std::fs::read(&path).unwrap(), "{}", file.path);
        }
    }

    #[test]
    fn the_embedded_files_take_less_than_half_their_size() {
        let packed: usize = SHIPPED.iter().map(|file| file.packed.len()).sum();
        let plain: usize = SHIPPED.iter().map(|file| file.bytes().unwrap().len()).sum();
        assert!(packed * 2 < plain, "{packed} of {plain} bytes");
    }
}
