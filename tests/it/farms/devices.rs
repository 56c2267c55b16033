//! What each kind of browser sends over https: agents, client hints, fetch metadata, as Chromium, Firefox and WebKit and the
//! in-app browsers on them write it. Must not know who holds the device.

use serde_json::Value;
use serde_json::json;

use crate::farms::dice::Dice;
use crate::farms::parameters as given;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Engine {
    Chromium,
    WebView,
    WebKit,
    Gecko,
}

/// How a page is come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    Ad,
    Direct,
    Within,
    Reload,
}

#[derive(Clone, Debug)]
pub(super) struct Device {
    engine: Engine,
    pub(super) agent: String,
    hints: String,
    language: String,
    referer: &'static str,
    /// The package name that a `WebView` tells.
    package: Option<&'static str>,
    pub(super) phone: bool,
}

const WEBKIT: &str = "AppleWebKit/605.1.15 (KHTML, like Gecko)";
const BLINK: &str = "AppleWebKit/537.36 (KHTML, like Gecko)";
/// Versions and how each orders and greases its brands.
const CHROMES: [(&str, &str); 3] = [
    ("147", r#""NAME";v="147", "Not.A/Brand";v="8", "Chromium";v="147""#),
    ("148", r#""Chromium";v="148", "NAME";v="148", "Not/A)Brand";v="99""#),
    ("146", r#""Chromium";v="146", "Not-A.Brand";v="24", "NAME";v="146""#),
];
/// Model, build and version of Android, then what Instagram tells of it.
const ANDROIDS: [(&str, &str, &str, &str); 6] = [
    ("SM-A156B", "AP3A.240905.015.A2", "15", "35/15; 450dpi; 1080x2125; samsung; SM-A156B; a15x; mt6835"),
    ("SM-S921B", "AP3A.240905.015.A2", "15", "35/15; 480dpi; 1080x2125; samsung; SM-S921B; e1s; s5e9945"),
    ("Pixel 8", "BP2A.250805.005", "16", "36/16; 420dpi; 1080x2163; Google/google; Pixel 8; shiba; shiba"),
    ("2312DRA50G", "AP3A.240905.015.A2", "15", "35/15; 440dpi; 1220x2506; Xiaomi/Redmi; 2312DRA50G; garnet; qcom"),
    ("moto g54 5G", "U1TDS34.94-12-7", "14", "34/14; 400dpi; 1080x2226; motorola; moto g54 5G; cancunf; mt6855"),
    ("CPH2591", "AP3A.240617.008", "15", "35/15; 320dpi; 720x1460; OPPO; CPH2591; OP5AF5L1; mt6769"),
];
/// The cheap ones among them stand in racks.
const CHEAP: [usize; 3] = [0, 4, 5];
const IPHONES: [(&str, &str, &str); 5] = [
    ("iPhone16,1", "18_6", "1179x2556"),
    ("iPhone15,2", "18_5", "1179x2556"),
    ("iPhone14,5", "18_7", "1170x2532"),
    ("iPhone17,3", "18_7", "1179x2556"),
    ("iPhone12,1", "18_3_2", "828x1792"),
];

impl Device {
    /// A phone of somebody's.
    pub(super) fn phone(language: &str, dice: &mut Dice) -> Self {
        let model = dice.index(ANDROIDS.len());
        Self::mobile(given::PHONE_MIX, model, language, dice)
    }

    /// A phone in a rack.
    pub(super) fn racked(dice: &mut Dice) -> Self {
        let model = CHEAP[dice.index(CHEAP.len())];
        Self::mobile(given::FARM_MIX, model, "en-GB", dice)
    }

    fn mobile(mix: [u64; 6], model: usize, language: &str, dice: &mut Dice) -> Self {
        match dice.weighted(&mix) {
            0 => Self::facebook_on_iphone(language, dice),
            1 => Self::instagram_on_iphone(language, dice),
            2 => Self::facebook_on_android(model, language, dice),
            3 => Self::instagram_on_android(model, language, dice),
            4 => Self::safari_on_iphone(language, dice),
            _ => {
                let (version, brands) = CHROMES[dice.weighted(&[6, 2, 2])];
                let agent = format!("Mozilla/5.0 (Linux; Android 10; K) {BLINK} Chrome/{version}.0.0.0 Mobile Safari/537.36");
                Self::chromium(agent, brands, "Google Chrome", "?1", "Android", language)
            }
        }
    }

    /// A computer on somebody's desk.
    pub(super) fn desk(language: &str, dice: &mut Dice) -> Self {
        let (version, brands) = CHROMES[dice.weighted(&[6, 2, 2])];
        let windows = format!("Mozilla/5.0 (Windows NT 10.0; Win64; x64) {BLINK} Chrome/{version}.0.0.0 Safari/537.36");
        match dice.weighted(&given::DESK_MIX) {
            0 => Self::chromium(windows, brands, "Google Chrome", "?0", "Windows", language),
            1 => Self::chromium(format!("{windows} Edg/{version}.0.0.0"), brands, "Microsoft Edge", "?0", "Windows", language),
            2 => {
                let version = dice.one(&["150.0", "151.0"]);
                let agent = format!("Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:{version}) Gecko/20100101 Firefox/{version}");
                Self::plain(Engine::Gecko, agent, language, "https://l.facebook.com/", false)
            }
            _ => Self::safari_on_mac(language, dice),
        }
    }

    /// A browser that Private Relay stands behind: Safari alone.
    pub(super) fn safari(language: &str, dice: &mut Dice) -> Self {
        if dice.share(750) { Self::safari_on_iphone(language, dice) } else { Self::safari_on_mac(language, dice) }
    }

    fn safari_on_mac(language: &str, dice: &mut Dice) -> Self {
        let version = dice.one(&["26.4", "26.3", "18.6"]);
        let agent = format!("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) {WEBKIT} Version/{version} Safari/605.1.15");
        Self::plain(Engine::WebKit, agent, language, "https://l.facebook.com/", false)
    }

    fn safari_on_iphone(language: &str, dice: &mut Dice) -> Self {
        let (system, version) = [("18_7", "26.4"), ("18_7", "26.3"), ("18_5", "18.5")][dice.index(3)];
        let agent = format!(
            "Mozilla/5.0 (iPhone; CPU iPhone OS {system} like Mac OS X) {WEBKIT} Version/{version} Mobile/15E148 Safari/604.1"
        );
        Self::plain(Engine::WebKit, agent, language, "https://l.facebook.com/", true)
    }

    fn facebook_on_iphone(language: &str, dice: &mut Dice) -> Self {
        let (model, system, _) = IPHONES[dice.index(IPHONES.len())];
        let (app, build) = [("528.0.0.30.107", "779999999"), ("531.1.0.41.96", "792210418")][dice.index(2)];
        let (dotted, spoken) = (system.replace('_', "."), language.replace('-', "_"));
        let agent = format!(
            "Mozilla/5.0 (iPhone; CPU iPhone OS {system} like Mac OS X) {WEBKIT} Mobile/15E148 [FBAN/FBIOS;FBAV/{app};FBBV/{build};\
             FBDV/{model};FBMD/iPhone;FBSN/iOS;FBSV/{dotted};FBSS/3;FBCR/;FBID/phone;FBLC/{spoken};FBOP/80]"
        );
        Self::plain(Engine::WebKit, agent, language, "http://m.facebook.com/", true)
    }

    fn instagram_on_iphone(language: &str, dice: &mut Dice) -> Self {
        let (model, system, screen) = IPHONES[dice.index(IPHONES.len())];
        let (app, build) = [("384.0.0.26.108", "741028221"), ("396.0.0.31.77", "791567012")][dice.index(2)];
        let (short, spoken) = (language.split('-').next().unwrap(), language.replace('-', "_"));
        let agent = format!(
            "Mozilla/5.0 (iPhone; CPU iPhone OS {system} like Mac OS X) {WEBKIT} Mobile/15E148 \
             Instagram {app} ({model}; iOS {system}; {spoken}; {short}; scale=3.00; {screen}; {build})"
        );
        Self::plain(Engine::WebKit, agent, language, "https://l.instagram.com/", true)
    }

    fn facebook_on_android(model: usize, language: &str, dice: &mut Dice) -> Self {
        let (agent, brands) = webview(model, dice);
        let app = dice.one(&["528.0.0.52.76", "531.0.0.44.85"]);
        let agent = format!("{agent} [FB_IAB/FB4A;FBAV/{app};]");
        let base = Self::chromium(agent, brands, "Android WebView", "?1", "Android", language);
        Self { engine: Engine::WebView, referer: "http://m.facebook.com/", package: Some("com.facebook.katana"), ..base }
    }

    fn instagram_on_android(model: usize, language: &str, dice: &mut Dice) -> Self {
        let (agent, brands) = webview(model, dice);
        let (app, build) = [("396.0.0.46.242", "791567890"), ("398.1.0.53.77", "802371104")][dice.index(2)];
        let (_, _, _, told) = ANDROIDS[model];
        let agent = format!("{agent} Instagram {app} Android ({told}; {}; {build})", language.replace('-', "_"));
        let base = Self::chromium(agent, brands, "Android WebView", "?1", "Android", language);
        Self { engine: Engine::WebView, referer: "https://l.instagram.com/", package: Some("com.instagram.android"), ..base }
    }

    fn chromium(agent: String, brands: &str, name: &str, mobile: &str, platform: &str, language: &str) -> Self {
        let brands = brands.replace("NAME", name);
        let hints = format!("sec-ch-ua: {brands}\r\nsec-ch-ua-mobile: {mobile}\r\nsec-ch-ua-platform: \"{platform}\"\r\n");
        let base = Self::plain(Engine::Chromium, agent, language, "https://l.facebook.com/", mobile == "?1");
        Self { hints, ..base }
    }

    fn plain(engine: Engine, agent: String, language: &str, referer: &'static str, phone: bool) -> Self {
        let short = language.split('-').next().unwrap();
        let language = match (engine, short) {
            (Engine::Chromium, "en") => {
                format!("{language},en-US;q=0.9,en;q=0.8").replace("en-US,en-US;q=0.9,en;q=0.8", "en-US,en;q=0.9")
            }
            (Engine::Chromium, _) => format!("{language},{short};q=0.9,en-US;q=0.8,en;q=0.7"),
            (Engine::Gecko, "en") => format!("{language},en;q=0.5"),
            (Engine::Gecko, _) => format!("{short},en-US;q=0.7,en;q=0.3"),
            _ => format!("{language},{short};q=0.9"),
        };
        Self { engine, agent, hints: String::new(), language, referer, package: None, phone }
    }

    /// A program that does not even say it were a browser: by it the count itself is tried.
    pub(super) fn program() -> Self {
        Self::plain(Engine::Gecko, "curl/8.14.1".to_owned(), "en-GB", "https://l.facebook.com/", false)
    }

    /// What the tag's beacon says of this device: no driver holds it, and whether it was touched.
    pub(super) fn shows(touched: bool) -> Value {
        json!({ "webdriver": false, "interaction": touched })
    }

    /// The lines of a navigation; `from` is the page of the shop that the visitor is on.
    pub(super) fn navigates(&self, arrival: Arrival, from: Option<&str>) -> String {
        let (site, referer) = match arrival {
            Arrival::Ad => ("cross-site", Some(self.referer)),
            Arrival::Direct => ("none", None),
            Arrival::Within | Arrival::Reload => ("same-origin", from),
        };
        let referer = referer.map(|page| format!("referer: {page}\r\n")).unwrap_or_default();
        let Self { agent, hints, language, .. } = self;
        let reload = if arrival == Arrival::Reload { "cache-control: max-age=0\r\n" } else { "" };
        match self.engine {
            Engine::Chromium | Engine::WebView => {
                let package = self.package.map(|name| format!("x-requested-with: {name}\r\n")).unwrap_or_default();
                format!(
                    "{reload}{hints}upgrade-insecure-requests: 1\r\nuser-agent: {agent}\r\naccept: text/html,application/xhtml+xml,\
                     application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8,application/signed-exchange;v=b3;q=0.7\r\n\
                     {package}sec-fetch-site: {site}\r\nsec-fetch-mode: navigate\r\nsec-fetch-user: ?1\r\nsec-fetch-dest: document\r\n\
                     {referer}accept-encoding: gzip, deflate, br, zstd\r\naccept-language: {language}\r\npriority: u=0, i\r\n"
                )
            }
            Engine::WebKit => format!(
                "sec-fetch-dest: document\r\nuser-agent: {agent}\r\naccept: text/html,application/xhtml+xml,application/xml;q=0.9,\
                 */*;q=0.8\r\nsec-fetch-site: {site}\r\nsec-fetch-mode: navigate\r\naccept-language: {language}\r\npriority: u=0, i\r\n\
                 {referer}accept-encoding: gzip, deflate, br\r\n"
            ),
            Engine::Gecko => format!(
                "user-agent: {agent}\r\naccept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n\
                 accept-language: {language}\r\naccept-encoding: gzip, deflate, br, zstd\r\n{referer}upgrade-insecure-requests: 1\r\n\
                 sec-fetch-dest: document\r\nsec-fetch-mode: navigate\r\nsec-fetch-site: {site}\r\nsec-fetch-user: ?1\r\n\
                 priority: u=0, i\r\n"
            ),
        }
    }

    /// The lines of what a page asks for by itself: `cors` and `empty` for the tag's posts, `no-cors` and the kind otherwise.
    pub(super) fn asks(&self, page: &str, mode: &str, kind: &str) -> String {
        let Self { agent, hints, language, .. } = self;
        let package = self.package.map(|name| format!("x-requested-with: {name}\r\n")).unwrap_or_default();
        let coding = if self.engine == Engine::WebKit { "gzip, deflate, br" } else { "gzip, deflate, br, zstd" };
        let origin = if mode == "cors" { "origin: https://shop.example\r\n" } else { "" };
        let accept = if kind == "image" { "image/avif,image/webp,image/*;q=0.8,*/*;q=0.5" } else { "*/*" };
        format!(
            "{hints}user-agent: {agent}\r\naccept: {accept}\r\n{origin}{package}sec-fetch-site: same-origin\r\nsec-fetch-mode: {mode}\r\n\
             sec-fetch-dest: {kind}\r\nreferer: {page}\r\naccept-encoding: {coding}\r\naccept-language: {language}\r\n"
        )
    }
}

/// The agent of the system's `WebView` on that model.
fn webview(model: usize, dice: &mut Dice) -> (String, &'static str) {
    let (version, brands) = CHROMES[dice.weighted(&[6, 2, 2])];
    let (name, build, system, _) = ANDROIDS[model];
    let patch = dice.one(&["0.7727.55", "0.7727.102"]);
    let agent = format!(
        "Mozilla/5.0 (Linux; Android {system}; {name} Build/{build}; wv) {BLINK} Version/4.0 Chrome/{version}.{patch} Mobile Safari/537.36"
    );
    (agent, brands)
}
