//! The day as a list of steps in time: who opens, proves, tells or reports what, and from which address. Must not know how a
//! step is carried out.

use crate::farms::devices::Arrival;
use crate::farms::devices::Device;
use crate::farms::dice::Dice;
use crate::farms::parameters as given;

/// Who really did it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Who {
    Buyer,
    /// A farm, and the way in which it did.
    Farm(&'static str),
}

#[derive(Clone, Debug)]
pub(super) struct Conversion {
    pub(super) name: &'static str,
    pub(super) order: Option<String>,
}

#[derive(Clone, Debug)]
pub(super) enum Act {
    Open {
        tab: usize,
        path: String,
        arrival: Arrival,
        click: bool,
    },
    /// The script and a picture of the page.
    Load {
        tab: usize,
    },
    Prove {
        tab: usize,
        touched: bool,
    },
    Tell {
        tab: usize,
        event: Conversion,
    },
    /// The shop's back end reports a paid order.
    Report {
        order: String,
        mail: String,
        cookies: bool,
    },
    /// Cookies are cleared.
    Forget,
    /// The last beacon that `of` sent is posted once more as it was.
    Replay {
        of: usize,
    },
    /// What that beacon said, under this page's own token.
    Copy {
        of: usize,
        tab: usize,
    },
}

#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) at: u64,
    pub(super) client: usize,
    pub(super) address: String,
    pub(super) act: Act,
}

#[derive(Clone, Debug)]
pub(super) struct Client {
    pub(super) who: Who,
    pub(super) device: Device,
}

/// A day; tabs are numbered through, each is one page view.
#[derive(Clone, Debug, Default)]
pub(super) struct Plan {
    pub(super) clients: Vec<Client>,
    pub(super) steps: Vec<Step>,
    pub(super) tabs: usize,
    pub(super) orders: Vec<String>,
}

impl Plan {
    pub(super) fn client(&mut self, who: Who, device: Device) -> usize {
        self.clients.push(Client { who, device });
        self.clients.len() - 1
    }

    pub(super) fn step(&mut self, at: u64, client: usize, address: &str, act: Act) {
        self.steps.push(Step { at, client, address: address.to_owned(), act });
    }

    pub(super) fn open(&mut self, at: u64, client: usize, address: &str, page: (String, Arrival, bool)) -> usize {
        let (tab, (path, arrival, click)) = (self.tabs, page);
        self.tabs += 1;
        self.step(at, client, address, Act::Open { tab, path, arrival, click });
        tab
    }

    pub(super) fn tell(&mut self, at: u64, client: usize, address: &str, tab: usize, event: Conversion) {
        self.step(at, client, address, Act::Tell { tab, event });
    }

    /// In the order of time; what falls together stays in the order in which it was planned.
    pub(super) fn in_order(mut self) -> Self {
        self.steps.sort_by_key(|step| step.at);
        self
    }
}

const PRODUCTS: [&str; 8] = ["/mug", "/teapot", "/bowl", "/plate", "/vase", "/jug", "/tray", "/lamp"];

pub(super) fn product(dice: &mut Dice) -> &'static str {
    dice.one(&PRODUCTS)
}

/// A click id of Meta's shape.
pub(super) fn click_id(dice: &mut Dice) -> String {
    let begins = dice.one(&["IwZXh0bgNhZW0BMABhZGlkAas", "IwY2xjawNhZW0BMQABHaem"]);
    let (middle, end) = (dice.text(30), dice.text(22));
    format!("{begins}{middle}_aem_{end}")
}

/// The landing page of an ad of that campaign.
pub(super) fn landing(campaign: usize, id: &str, dice: &mut Dice) -> String {
    let name = given::CAMPAIGNS[campaign];
    let ad = dice.below(given::ADS);
    let page = PRODUCTS[(campaign * 2 + usize::try_from(ad).unwrap()) % PRODUCTS.len()];
    format!("{page}?utm_source=facebook&utm_medium=paid&utm_campaign={name}&utm_content={}&fbclid={id}", ad_name(campaign, ad))
}

/// `utm_content` of an ad.
pub(super) fn ad_name(campaign: usize, ad: u64) -> String {
    format!("{}-{ad}", given::CAMPAIGNS[campaign])
}
