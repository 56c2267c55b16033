//! The numbers of the simulated day: how many buyers and phones there are, how they behave, and from which networks they come.
//! They were written down before the simulation first ran and are not changed afterwards: it judges the program, and must not
//! be fitted to it. Shares are in thousandths, times in milliseconds. Must not know any rule.

pub(super) const SECOND: u64 = 1_000;
pub(super) const MINUTE: u64 = 60 * SECOND;
pub(super) const HOUR: u64 = 60 * MINUTE;

/// Seeds: buyers are the same in each run.
pub(super) const BUYERS_SEED: u64 = 0x0b0e_5eed;
pub(super) const FARM_SEED: u64 = 0xfa12_5eed;

/// Campaigns as `utm_campaign`, each with as many ads as below (`utm_content`).
pub(super) const CAMPAIGNS: [&str; 3] = ["autumn-mugs", "gifts-lookalike", "retarget-cart"];
pub(super) const ADS: u64 = 8;

pub(super) const BUYERS: usize = 2_000;
/// Relative weight of each hour of the day in which people shop.
pub(super) const DAY: [u64; 24] = [4, 2, 1, 1, 1, 2, 6, 14, 20, 22, 24, 26, 34, 30, 24, 22, 26, 32, 40, 52, 60, 56, 36, 14];

/// Where buyers are when they click; the rest are at home.
pub(super) const AT_OFFICE: u64 = 60;
pub(super) const ON_FARMS_CARRIER: u64 = 150;
pub(super) const ON_OTHER_CARRIER: u64 = 190;
pub(super) const BEHIND_RELAY: u64 = 60;
/// Offices, each behind one address; the share of colleagues who click the same campaign over lunch.
pub(super) const OFFICES: u64 = 10;
pub(super) const LUNCH_TOGETHER: u64 = 500;
/// Households behind one address each: families, as there are fewer of them than buyers at home.
pub(super) const HOUSEHOLDS: u64 = 850;
/// The share of phones at home that switch to a carrier within the visit.
pub(super) const SWITCHES_NETWORK: u64 = 60;

/// What they use on the way: Facebook and Instagram on iPhones, the same on Android, Safari and Chrome on phones. At home
/// and at the office some sit at a desk: Chrome and Edge, Firefox, Safari on a Mac.
pub(super) const PHONE_MIX: [u64; 6] = [190, 200, 200, 130, 160, 120];
pub(super) const DESK_MIX: [u64; 4] = [600, 120, 150, 130];
pub(super) const DESK_AT_HOME: u64 = 250;
pub(super) const DESK_AT_OFFICE: u64 = 600;

/// Never a beacon: the tag is blocked.
pub(super) const BLOCKERS: u64 = 60;
pub(super) const PROOF_AFTER: (u64, u64) = (SECOND, 5 * SECOND);
/// Visits without any touch, and when the first touch of a page comes after its proof.
pub(super) const UNTOUCHED: u64 = 100;
pub(super) const TOUCH_AFTER: (u64, u64) = (500, 12 * SECOND);
/// Another page after this one, up to twelve; the pause between them is log-normal.
pub(super) const ANOTHER_PAGE: u64 = 560;
pub(super) const MOST_PAGES: usize = 12;
pub(super) const PAUSE_MEDIAN: u64 = 19 * SECOND;
pub(super) const PAUSE_SIGMA: f64 = 0.95;
pub(super) const RELOADS: u64 = 60;
pub(super) const GOES_BACK: u64 = 90;
/// Visits whose script and pictures are asked for, too; it costs requests and shows the rest nothing new.
pub(super) const SUB_RESOURCES: u64 = 80;

/// Kinds of customers; the rest click one ad once.
pub(super) const COMPARES: u64 = 170;
pub(super) const COMPARES_ADS: (u64, u64) = (2, 4);
pub(super) const CLICKS_TWICE: u64 = 50;
pub(super) const RETURNS: u64 = 120;
/// Groups of friends with one shared link, each of them a buyer.
pub(super) const SHARED_LINKS: u64 = 30;
pub(super) const FRIENDS: u64 = 3;

/// Who buys, how many of them at once, and when after the click.
pub(super) const BUYS: u64 = 40;
pub(super) const EXPRESS: u64 = 200;
pub(super) const EXPRESS_AFTER: (u64, u64) = (25 * SECOND, 60 * SECOND);
pub(super) const CHECKOUT_AFTER: (u64, u64) = (2 * MINUTE, 6 * HOUR);
/// The back end reports so long after the thank-you page; it knows the browser's cookies in this share of orders.
pub(super) const REPORT_AFTER: (u64, u64) = (SECOND, 90 * SECOND);
pub(super) const REPORT_KNOWS_COOKIES: u64 = 700;

pub(super) const PHONES: usize = 200;
/// The farm's shift: phones are put to work at its beginning, within the first hour, and laid aside at its end.
pub(super) const SHIFT: (u64, u64) = (9 * HOUR, 17 * HOUR);
/// What the farm's phones use: as `PHONE_MIX`; cheap Android phones above all.
pub(super) const FARM_MIX: [u64; 6] = [100, 100, 450, 250, 0, 100];

/// Farm A, slow.
pub(super) const SLOW_EVERY: (u64, u64) = (20 * MINUTE, 60 * MINUTE);
pub(super) const SLOW_DWELL: (u64, u64) = (8 * SECOND, 20 * SECOND);
pub(super) const SLOW_SECOND_PAGE: u64 = 500;
pub(super) const SLOW_EVENTS: u64 = 100;
pub(super) const SLOW_EVENT_AFTER: (u64, u64) = (30 * SECOND, 90 * SECOND);

/// Farm B, bursty: one burst a phone and shift.
pub(super) const BURST_CLICKS: (u64, u64) = (5, 15);
pub(super) const BURST_WITHIN: u64 = 2 * MINUTE;
pub(super) const BURST_JITTER: u64 = 30;
pub(super) const BURST_KEEPS_COOKIES: u64 = 500;
pub(super) const BURST_RUNS_SCRIPT: u64 = 700;
pub(super) const BURST_TOUCHED: u64 = 500;
pub(super) const BURST_EVENTS: u64 = 400;
pub(super) const BURST_EVENT_AFTER: (u64, u64) = (3 * SECOND, 10 * SECOND);
/// The share of phones whose proxies are machines of a VPN's; the others come out of homes.
pub(super) const PROXY_IS_VPN: u64 = 250;

/// Farm C, replayed: clicks a scripted client and shift, half on either network.
pub(super) const REPLAY_CLICKS: u64 = 10;
/// Click ids that all clients share.
pub(super) const REPLAY_IDS: u64 = 60;
/// A phone's beacon is copied anew so often, and posted whole in this share of visits; the others post their own token with
/// the copied facts.
pub(super) const REPLAY_HARVEST: u64 = 20 * MINUTE;
pub(super) const REPLAY_WHOLE: u64 = 500;
pub(super) const REPLAY_AFTER: (u64, u64) = (800, 4 * SECOND);
pub(super) const REPLAY_EVENTS: u64 = 150;
pub(super) const REPLAY_EVENT_AFTER: (u64, u64) = (5 * SECOND, 40 * SECOND);

/// Networks as the first two numbers of their addresses and the range of the third. Each was looked up in the shipped
/// tables; the comment names who announces it.
pub(super) type Range = (u8, u8, u8, u8);

/// AS206067, Three's phones in the United Kingdom: the farm's carrier. Sixteen addresses of each /24 stand for its NAT.
pub(super) const FARMS_CARRIER: [Range; 3] = [(92, 40, 176, 177), (188, 29, 164, 165), (94, 197, 120, 120)];
/// AS35228, O2's phones in the United Kingdom.
pub(super) const OTHER_CARRIER: [Range; 1] = [(82, 132, 220, 222)];
pub(super) const CARRIER_NAT: u64 = 16;
/// As many of the carrier's addresses stand where the farm does.
pub(super) const FARMS_NAT: u64 = 12;
/// AS5089, Virgin Media's homes: what a "residential" proxy comes out of, and some buyers live in.
pub(super) const PROXY_HOMES: [Range; 3] = [(82, 16, 7, 70), (86, 1, 7, 70), (82, 3, 9, 40)];
/// AS9009, M247: machines that carry a VPN.
pub(super) const PROXY_VPN: [Range; 3] = [(146, 70, 30, 30), (193, 27, 12, 12), (185, 245, 84, 84)];
/// iCloud Private Relay: Cloudflare's, Fastly's and Akamai's exits.
pub(super) const RELAY: [Range; 3] = [(104, 28, 86, 86), (146, 75, 168, 168), (172, 225, 110, 110)];
/// Offices: BT's and Colt's lines for companies.
pub(super) const OFFICE: [Range; 3] = [(81, 144, 3, 3), (80, 169, 4, 4), (62, 6, 3, 3)];
/// Homes and the language spoken there, by weight: BT, Sky, Virgin Media; Deutsche Telekom; Orange; Comcast; Telefonica;
/// Telecom Italia; KPN.
pub(super) const HOMES: [(u64, Range, &str); 10] = [
    (220, (86, 130, 60, 99), "en-GB"),
    (180, (90, 200, 7, 60), "en-GB"),
    (100, (82, 16, 7, 70), "en-GB"),
    (50, (94, 1, 3, 40), "en-GB"),
    (150, (84, 128, 3, 60), "de-DE"),
    (100, (86, 192, 4, 60), "fr-FR"),
    (80, (73, 1, 3, 60), "en-US"),
    (50, (83, 32, 4, 60), "es-ES"),
    (40, (79, 0, 3, 60), "it-IT"),
    (30, (86, 80, 4, 60), "nl-NL"),
];
