//! The closed sets of words that facts take. Must not know what a fact says.

use serde::Deserialize;
use serde::Serialize;

macro_rules! words {
    ($(#[$says:meta])* $kind:ident { $($(#[$variant_says:meta])* $variant:ident = $name:literal,)+ }) => {
        $(#[$says])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum $kind { $($(#[$variant_says])* #[serde(rename = $name)] $variant,)+ }

        impl $kind {
            /// All values.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];
            /// The names of all values, in order.
            pub const NAMES: &'static [&'static str] = &[$($name,)+];

            /// The name used in rules, records and batch output.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// The value of that name.
            pub fn of_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|value| value.name() == name)
            }
        }
    };
}
pub(super) use words;

words! {
    /// What kind of network an address belongs to; the first that applies in this order of the lists
    /// (private relay, corporate, crawler, then tor, vpn, open proxy, then cloud, datacenter).
    NetworkKind {
        /// iCloud Private Relay and its like: paying people.
        PrivateRelay = "private_relay",
        /// Office gateways.
        Corporate = "corporate",
        /// A published range of a crawler's operator.
        Crawler = "crawler",
        /// A Tor exit.
        Tor = "tor",
        /// A commercial VPN.
        Vpn = "vpn",
        /// A listed open proxy.
        OpenProxy = "open_proxy",
        /// A cloud provider's published range.
        Cloud = "cloud",
        /// A datacenter network or hosting ASN.
        Datacenter = "datacenter",
        /// A mobile carrier.
        MobileCarrier = "mobile_carrier",
        /// A consumer access network.
        Residential = "residential",
        /// Reserved or unrouted space.
        Bogon = "bogon",
        /// Nothing is known.
        Unknown = "unknown",
    }
}

words! {
    /// What a user agent says it is.
    AgentKind {
        /// A browser.
        Browser = "browser",
        /// A browser inside an app (Facebook, Instagram, TikTok, …) or a WebView.
        InApp = "in_app",
        /// An HTTP library or command-line client.
        Library = "library",
        /// A browser that says it has no window.
        Headless = "headless",
        /// A declared crawler, spider or link-preview fetcher.
        Crawler = "crawler",
        /// An uptime or performance monitor.
        Monitor = "monitor",
        /// A scanner, downloader, feed reader or other tool.
        Tool = "tool",
        /// The field is missing or empty.
        Empty = "empty",
        /// None of these could be told.
        Unknown = "unknown",
    }
}

words! {
    /// The engine family a user agent claims.
    Engine {
        /// Chromium: Chrome, Edge, Opera, Samsung Internet, Android WebView.
        Chromium = "chromium",
        /// Gecko: Firefox.
        Gecko = "gecko",
        /// WebKit: Safari and every browser on iOS.
        Webkit = "webkit",
        /// Trident: Internet Explorer.
        Trident = "trident",
    }
}

words! {
    /// The operating system a user agent claims.
    Os {
        /// Windows.
        Windows = "windows",
        /// macOS.
        Macos = "macos",
        /// iOS or iPadOS.
        Ios = "ios",
        /// Android.
        Android = "android",
        /// Desktop Linux.
        Linux = "linux",
        /// ChromeOS.
        Chromeos = "chromeos",
        /// A television, console or other device.
        Other = "other",
    }
}

words! {
    /// The app around an in-app browser.
    InApp {
        /// Facebook (`FBAN`, `FBAV`, `FB_IAB`).
        Facebook = "facebook",
        /// Instagram.
        Instagram = "instagram",
        /// Messenger.
        Messenger = "messenger",
        /// TikTok (`musical_ly`, `BytedanceWebview`).
        Tiktok = "tiktok",
        /// Snapchat.
        Snapchat = "snapchat",
        /// Pinterest.
        Pinterest = "pinterest",
        /// LinkedIn.
        Linkedin = "linkedin",
        /// X.
        X = "x",
        /// Line.
        Line = "line",
        /// WeChat.
        Wechat = "wechat",
        /// The Google app.
        Google = "google",
        /// Another app's WebView.
        Other = "other",
    }
}

words! {
    /// Whether an ad identifier has the shape its network gives it.
    IdShape {
        /// The URL carries none.
        Absent = "absent",
        /// It looks like one.
        Ok = "ok",
        /// It cannot be one: template text, a wrong alphabet or length.
        Malformed = "malformed",
    }
}

words! {
    /// Whether the page's script has run.
    Proof {
        /// The signed beacon came.
        Present = "present",
        /// It did not come, though the page could have sent it.
        Absent = "absent",
    }
}

words! {
    /// What is known of the money behind an event.
    Payment {
        /// The shop's back end reported it through an authenticated door.
        Captured = "captured",
        /// Only the browser says so.
        Claimed = "claimed",
    }
}

words! {
    /// The version of HTTP that a visitor speaks with us, by its ALPN name (RFC 7301 section 6).
    HttpVersion {
        /// HTTP/1.0.
        OneZero = "http/1.0",
        /// HTTP/1.1.
        OneOne = "http/1.1",
        /// HTTP/2.
        Two = "h2",
    }
}

words! {
    /// A version of TLS.
    TlsVersion {
        /// SSL 3.0 or older, or a number nobody knows.
        Other = "other",
        /// TLS 1.0.
        OneZero = "tls1.0",
        /// TLS 1.1.
        OneOne = "tls1.1",
        /// TLS 1.2.
        OneTwo = "tls1.2",
        /// TLS 1.3.
        OneThree = "tls1.3",
    }
}

words! {
    /// The class of device a user agent claims.
    Device {
        /// A desktop or laptop computer.
        Desktop = "desktop",
        /// A telephone, smart or not.
        Phone = "phone",
        /// A tablet.
        Tablet = "tablet",
        /// A television, a box beside one, or a projector.
        Tv = "tv",
        /// A game console.
        Console = "console",
        /// A watch or headset.
        Wearable = "wearable",
        /// A car.
        Car = "car",
    }
}

words! {
    /// How the signature of an automated client stands (RFC 9421, tag `web-bot-auth`).
    Signed {
        /// There is none.
        Absent = "absent",
        /// There is one by a key that is not known here.
        Unverified = "unverified",
        /// A known key made it for this request.
        Verified = "verified",
        /// It names a known key and is wrong, out of date, or does not cover what it must.
        Invalid = "invalid",
    }
}

words! {
    /// How the names of a request's fields are written.
    NameCase {
        /// All in small letters.
        Lower = "lower",
        /// Each word with a capital, as browsers write them.
        Title = "title",
        /// Neither.
        Mixed = "mixed",
    }
}

words! {
    /// Whether two things that a browser says of itself agree.
    Agreement {
        /// They do.
        Ok = "ok",
        /// They do not.
        Mismatch = "mismatch",
    }
}

words! {
    /// Whether something is as it is for people.
    Look {
        /// It is.
        Ok = "ok",
        /// It is not.
        Odd = "odd",
    }
}

words! {
    /// How the pointer came to the first mouse click.
    ClickMoves {
        /// There was no mouse click: none at all, or by touch, pen or keyboard.
        None = "none",
        /// It jumped there.
        Few = "few",
        /// It moved there.
        Ok = "ok",
    }
}

words! {
    /// What a visitor did first.
    Deed {
        /// Moved or pressed a mouse or pen.
        Pointer = "pointer",
        /// Touched the screen.
        Touch = "touch",
        /// Pressed a key.
        Key = "key",
        /// Turned a wheel.
        Wheel = "wheel",
    }
}

words! {
    /// What a counter counts different ones of.
    Distinct {
        /// Ad click identifiers.
        ClickId = "click.id",
        /// Clients.
        Client = "client.fp",
        /// Addresses.
        Address = "net.ip",
        /// Address prefixes, /24 or /48.
        Prefix = "net.prefix",
        /// Campaigns.
        Campaign = "utm.campaign",
    }
}

words! {
    /// Whom a counter counts by.
    Counter {
        /// A client: the visit of its cookie, or without one what its address prefix, agent and handshake have in common.
        Client = "client.fp",
        /// An address.
        Address = "net.ip",
        /// An address prefix, /24 or /48.
        Prefix = "net.prefix",
        /// An ad click identifier.
        ClickId = "click.id",
        /// A campaign within one network.
        CampaignAsn = "utm.campaign+net.asn",
        /// A visit.
        Visit = "visit",
    }
}
