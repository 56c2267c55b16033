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
