//! Two thousand people on one day: where they are, what they hold, how they look round, come back and buy. Must not know farms.

use crate::farms::devices::Arrival;
use crate::farms::devices::Device;
use crate::farms::dice::Dice;
use crate::farms::parameters as given;
use crate::farms::parameters::HOUR;
use crate::farms::parameters::MINUTE;
use crate::farms::parameters::SECOND;
use crate::farms::places;
use crate::farms::places::Home;
use crate::farms::plan;
use crate::farms::plan::Act;
use crate::farms::plan::Conversion;
use crate::farms::plan::Plan;
use crate::farms::plan::Who;

/// How a buyer's addresses come about.
#[derive(Clone, Debug)]
enum Place {
    Home(String),
    Office(String, usize),
    Carrier(Vec<String>),
    Relay,
}

impl Place {
    fn address(&self, dice: &mut Dice) -> String {
        match self {
            Self::Home(address) | Self::Office(address, _) => address.clone(),
            Self::Carrier(shared) => shared[dice.index(shared.len())].clone(),
            Self::Relay => places::anywhere(&given::RELAY, dice),
        }
    }
}

/// What all buyers share.
struct Town {
    homes: Vec<Home>,
    offices: Vec<String>,
    farms_carrier: Vec<String>,
    other_carrier: Vec<String>,
}

struct Buyer {
    client: usize,
    place: Place,
    blocks: bool,
    phone: bool,
    dice: Dice,
}

/// A link that friends pass on.
struct Link {
    path: String,
    at: u64,
}

/// One way through the shop.
struct Visit {
    at: u64,
    path: String,
    arrival: Arrival,
    click: bool,
    most_pages: usize,
}

/// The day of all buyers.
pub(super) fn day() -> Plan {
    let mut dice = Dice::new(given::BUYERS_SEED);
    let town = Town {
        homes: places::households(&mut dice),
        offices: places::offices(&mut dice),
        farms_carrier: places::shared(&given::FARMS_CARRIER),
        other_carrier: places::shared(&given::OTHER_CARRIER),
    };
    let shared: Vec<Link> = (0..given::SHARED_LINKS).map(|_| link(&mut dice)).collect();
    let friends = shared.len() * usize::try_from(given::FRIENDS).unwrap();
    let mut plan = Plan::default();
    for n in 0..given::BUYERS {
        let mut buyer = somebody(&mut plan, &town, dice.child());
        if n < friends {
            let link = &shared[n % shared.len()];
            friend(&mut plan, &mut buyer, link, n < shared.len());
        } else {
            shops(&mut plan, &mut buyer);
        }
    }
    plan
}

fn link(dice: &mut Dice) -> Link {
    let (campaign, id) = (dice.index(given::CAMPAIGNS.len()), plan::click_id(dice));
    Link { path: plan::landing(campaign, &id, dice), at: when(dice) }
}

/// A moment of the day, as people shop.
fn when(dice: &mut Dice) -> u64 {
    let hour = u64::try_from(dice.weighted(&given::DAY)).unwrap();
    hour * HOUR + dice.below(HOUR)
}

fn somebody(plan: &mut Plan, town: &Town, mut dice: Dice) -> Buyer {
    let home = &town.homes[dice.index(town.homes.len())];
    let rest = 1_000 - given::AT_OFFICE - given::ON_FARMS_CARRIER - given::ON_OTHER_CARRIER - given::BEHIND_RELAY;
    let weights = [given::AT_OFFICE, given::ON_FARMS_CARRIER, given::ON_OTHER_CARRIER, given::BEHIND_RELAY, rest];
    let (place, device) = match dice.weighted(&weights) {
        0 => {
            let office = dice.index(town.offices.len());
            let desk = dice.share(given::DESK_AT_OFFICE);
            let device = if desk { Device::desk("en-GB", &mut dice) } else { Device::phone("en-GB", &mut dice) };
            (Place::Office(town.offices[office].clone(), office), device)
        }
        1 => (Place::Carrier(town.farms_carrier.clone()), Device::phone("en-GB", &mut dice)),
        2 => (Place::Carrier(town.other_carrier.clone()), Device::phone("en-GB", &mut dice)),
        3 => (Place::Relay, Device::safari(home.language, &mut dice)),
        _ => {
            let desk = dice.share(given::DESK_AT_HOME);
            let device = if desk { Device::desk(home.language, &mut dice) } else { Device::phone(home.language, &mut dice) };
            (Place::Home(home.address.clone()), device)
        }
    };
    let phone = device.phone;
    let client = plan.client(Who::Buyer, device);
    Buyer { client, place, blocks: dice.share(given::BLOCKERS), phone, dice }
}

/// One of three who open the same link; the first has clicked the ad, the others got it in a message.
fn friend(plan: &mut Plan, buyer: &mut Buyer, link: &Link, first: bool) {
    let later = if first { 0 } else { buyer.dice.spread((2 * MINUTE, 3 * HOUR)) };
    let arrival = if first { Arrival::Ad } else { Arrival::Direct };
    let visit = Visit { at: link.at + later, path: link.path.clone(), arrival, click: true, most_pages: given::MOST_PAGES };
    looks_round(plan, buyer, visit);
}

fn shops(plan: &mut Plan, buyer: &mut Buyer) {
    let (mut at, mut campaign) = (when(&mut buyer.dice), buyer.dice.index(given::CAMPAIGNS.len()));
    if let Place::Office(_, office) = &buyer.place {
        // Colleagues show each other what they found.
        if buyer.dice.share(given::LUNCH_TOGETHER) {
            (at, campaign) = (12 * HOUR + buyer.dice.below(50 * MINUTE), office % given::CAMPAIGNS.len());
        }
    }
    let (buys, express) = (buyer.dice.share(given::BUYS), buyer.dice.share(given::EXPRESS));
    let rest = 1_000 - given::COMPARES - given::CLICKS_TWICE - given::RETURNS;
    let kind = buyer.dice.weighted(&[given::COMPARES, given::CLICKS_TWICE, given::RETURNS, rest]);
    let most_pages = if buys && express { 1 } else { given::MOST_PAGES };
    clicks(plan, buyer, at, campaign, most_pages);
    let mut last = at;
    match kind {
        0 => {
            for _ in 1..buyer.dice.between(given::COMPARES_ADS) {
                last += buyer.dice.spread((2 * MINUTE, 4 * HOUR));
                let campaign = buyer.dice.index(given::CAMPAIGNS.len());
                clicks(plan, buyer, last, campaign, most_pages);
            }
        }
        1 => {
            last += buyer.dice.between((400, 3 * SECOND));
            clicks(plan, buyer, last, campaign, most_pages);
        }
        2 => {
            let back = at + buyer.dice.spread((20 * MINUTE, 8 * HOUR));
            let path = plan::product(&mut buyer.dice).to_owned();
            looks_round(plan, buyer, Visit { at: back, path, arrival: Arrival::Direct, click: false, most_pages: 4 });
        }
        _ => {}
    }
    if buys {
        let after = if express { buyer.dice.between(given::EXPRESS_AFTER) } else { buyer.dice.spread(given::CHECKOUT_AFTER) };
        pays(plan, buyer, last + after);
    }
}

fn clicks(plan: &mut Plan, buyer: &mut Buyer, at: u64, campaign: usize, most_pages: usize) {
    let id = plan::click_id(&mut buyer.dice);
    let path = plan::landing(campaign, &id, &mut buyer.dice);
    looks_round(plan, buyer, Visit { at, path, arrival: Arrival::Ad, click: true, most_pages });
}

fn looks_round(plan: &mut Plan, buyer: &mut Buyer, visit: Visit) {
    let Visit { mut at, path, mut arrival, click, most_pages } = visit;
    let mut address = buyer.place.address(&mut buyer.dice);
    let untouched = buyer.dice.share(given::UNTOUCHED);
    let switches = buyer.phone && matches!(buyer.place, Place::Home(_)) && buyer.dice.share(given::SWITCHES_NETWORK);
    let mut seen = vec![path];
    for page in 0..most_pages {
        let path = seen[seen.len() - 1].clone();
        let tab = plan.open(at, buyer.client, &address, (path, arrival, click && page == 0));
        if page == 0 && buyer.dice.share(given::SUB_RESOURCES) {
            plan.step(at + 300, buyer.client, &address, Act::Load { tab });
        }
        let pause = buyer.dice.pause(given::PAUSE_MEDIAN, given::PAUSE_SIGMA);
        if !buyer.blocks {
            proves(plan, buyer, (tab, at, pause), &address, page > 0, !untouched);
        }
        at += pause;
        if !buyer.dice.share(given::ANOTHER_PAGE) {
            break;
        }
        if page == 0 && switches {
            address = buyer.dice.one(&["82.132.220.14", "82.132.221.19", "82.132.222.11"]).to_owned();
        }
        if buyer.dice.share(given::RELOADS) {
            arrival = Arrival::Reload;
        } else {
            arrival = Arrival::Within;
            let back = seen.len() > 1 && buyer.dice.share(given::GOES_BACK);
            if back {
                seen.pop();
            } else {
                seen.push(plan::product(&mut buyer.dice).to_owned());
            }
        }
    }
}

/// The page's beacons, where it stands long enough. On later pages start and touch are told in one, which saves a request.
fn proves(plan: &mut Plan, buyer: &mut Buyer, view: (usize, u64, u64), address: &str, at_once: bool, touches: bool) {
    let (tab, at, pause) = view;
    let started = buyer.dice.between(given::PROOF_AFTER);
    let later = started + buyer.dice.between(given::TOUCH_AFTER);
    if started >= pause {
        return;
    }
    let touches = touches && later < pause;
    plan.step(at + started, buyer.client, address, Act::Prove { tab, touched: at_once && touches });
    if touches && !at_once {
        plan.step(at + later, buyer.client, address, Act::Prove { tab, touched: true });
    }
}

/// Cart, checkout, and the thank-you page at the given moment; then the back end's report.
fn pays(plan: &mut Plan, buyer: &mut Buyer, at: u64) {
    let address = buyer.place.address(&mut buyer.dice);
    let order = format!("S-{}", 10_001 + plan.orders.len());
    plan.orders.push(order.clone());
    let steps = [(14 * SECOND, "/cart", "AddToCart"), (9 * SECOND, "/checkout", "InitiateCheckout"), (0, "/thanks", "Purchase")];
    for (before, path, name) in steps {
        let at = at - before;
        let tab = plan.open(at, buyer.client, &address, (path.to_owned(), Arrival::Within, false));
        if !buyer.blocks {
            let started = at + buyer.dice.between((SECOND, 3 * SECOND));
            plan.step(started, buyer.client, &address, Act::Prove { tab, touched: path != "/thanks" });
            let order = (name == "Purchase").then(|| order.clone());
            plan.tell(started + 50, buyer.client, &address, tab, Conversion { name, order });
        }
    }
    let (reported, mail) = (at + buyer.dice.between(given::REPORT_AFTER), buyer.dice.hash());
    let cookies = buyer.dice.share(given::REPORT_KNOWS_COOKIES);
    plan.step(reported, buyer.client, &address, Act::Report { order, mail, cookies });
}
