//! Three ways to run two hundred phones: slowly, in bursts, and with copied proofs. Must not know buyers.

use crate::farms::devices::Arrival;
use crate::farms::devices::Device;
use crate::farms::dice::Dice;
use crate::farms::parameters as given;
use crate::farms::parameters::HOUR;
use crate::farms::parameters::SECOND;
use crate::farms::places;
use crate::farms::plan;
use crate::farms::plan::Act;
use crate::farms::plan::Conversion;
use crate::farms::plan::Plan;
use crate::farms::plan::Who;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Farm {
    Slow,
    Bursty,
    Replayed,
    /// No farm: programs under their own name, by which the count is tried.
    Plain,
}

impl Farm {
    /// The farms that are judged.
    pub(super) const ALL: [Self; 3] = [Self::Slow, Self::Bursty, Self::Replayed];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Slow => "A slow",
            Self::Bursty => "B bursty",
            Self::Replayed => "C replayed",
            Self::Plain => "plain programs",
        }
    }

    /// Adds the farm's day to the buyers'.
    pub(super) fn joins(self, plan: &mut Plan) {
        let mut dice = Dice::new(given::FARM_SEED);
        let racked: Vec<Device> = (0..given::PHONES).map(|_| Device::racked(&mut dice)).collect();
        match self {
            Self::Slow => racked.into_iter().for_each(|device| slow(plan, device, dice.child())),
            Self::Bursty => racked.into_iter().for_each(|device| bursty(plan, device, dice.child())),
            Self::Replayed => replayed(plan, racked, dice),
            Self::Plain => (0..20).for_each(|_| slow(plan, Device::program(), dice.child())),
        }
    }
}

fn fresh_click(campaign: usize, dice: &mut Dice) -> (String, Arrival, bool) {
    let id = plan::click_id(dice);
    (plan::landing(campaign, &id, dice), Arrival::Ad, true)
}

/// A purchase or a lead that is none.
fn fake(dice: &mut Dice) -> Conversion {
    if dice.share(500) {
        Conversion { name: "Purchase", order: Some(format!("S-{}", dice.between((20_000, 99_999_999)))) }
    } else {
        Conversion { name: "Lead", order: None }
    }
}

fn slow(plan: &mut Plan, device: Device, mut dice: Dice) {
    let client = plan.client(Who::Farm("slow"), device);
    let around = places::around_the_farm();
    let mut at = given::SHIFT.0 + dice.below(HOUR);
    while at < given::SHIFT.1 {
        let address = around[dice.index(around.len())].clone();
        let campaign = dice.index(given::CAMPAIGNS.len());
        plan.step(at, client, &address, Act::Forget);
        let click = fresh_click(campaign, &mut dice);
        let mut tab = plan.open(at, client, &address, click);
        let started = at + dice.between(given::PROOF_AFTER);
        plan.step(started, client, &address, Act::Prove { tab, touched: false });
        plan.step(started + dice.between((SECOND, 3 * SECOND)), client, &address, Act::Prove { tab, touched: true });
        if dice.share(given::SLOW_SECOND_PAGE) {
            let second = at + dice.between(given::SLOW_DWELL);
            tab = plan.open(second, client, &address, (plan::product(&mut dice).to_owned(), Arrival::Within, false));
            let started = second + dice.between((SECOND, 4 * SECOND));
            plan.step(started, client, &address, Act::Prove { tab, touched: true });
        }
        if dice.share(given::SLOW_EVENTS) {
            let told = at + dice.between(given::SLOW_EVENT_AFTER);
            let event = fake(&mut dice);
            plan.tell(told, client, &address, tab, event);
        }
        at += dice.between(given::SLOW_EVERY);
    }
}

/// One request of a proxy's, each from another address.
fn exit(vpn: bool, dice: &mut Dice) -> String {
    places::anywhere(if vpn { &given::PROXY_VPN } else { &given::PROXY_HOMES }, dice)
}

fn bursty(plan: &mut Plan, device: Device, mut dice: Dice) {
    let vpn = dice.share(given::PROXY_IS_VPN);
    let client = plan.client(Who::Farm(if vpn { "bursty, VPN" } else { "bursty, homes" }), device);
    let (keeps, campaign) = (dice.share(given::BURST_KEEPS_COOKIES), dice.index(given::CAMPAIGNS.len()));
    let clicks = dice.between(given::BURST_CLICKS);
    let every = given::BURST_WITHIN / clicks;
    let mut at = dice.between(given::SHIFT);
    for _ in 0..clicks {
        if !keeps {
            plan.step(at, client, "", Act::Forget);
        }
        let click = fresh_click(campaign, &mut dice);
        let tab = plan.open(at, client, &exit(vpn, &mut dice), click);
        let started = at + dice.between((SECOND, 3 * SECOND));
        if dice.share(given::BURST_RUNS_SCRIPT) {
            plan.step(started, client, &exit(vpn, &mut dice), Act::Prove { tab, touched: false });
            if dice.share(given::BURST_TOUCHED) {
                plan.step(started + SECOND, client, &exit(vpn, &mut dice), Act::Prove { tab, touched: true });
            }
        }
        if dice.share(given::BURST_EVENTS) {
            let told = at + dice.between(given::BURST_EVENT_AFTER);
            let event = fake(&mut dice);
            plan.tell(told, client, &exit(vpn, &mut dice), tab, event);
        }
        let jitter = every * given::BURST_JITTER / 1_000;
        at += dice.between((every - jitter, every + jitter));
    }
}

/// One real phone visits now and then; the others' scripts copy its headers' like and its beacons.
fn replayed(plan: &mut Plan, racked: Vec<Device>, mut dice: Dice) {
    let ids: Vec<String> = (0..given::REPLAY_IDS).map(|_| plan::click_id(&mut dice)).collect();
    let around = places::around_the_farm();
    let harvested = harvest(plan, racked[0].clone(), &mut dice);
    for device in racked.into_iter().skip(1) {
        let mut dice = dice.child();
        let whole = dice.share(given::REPLAY_WHOLE);
        let client = plan.client(Who::Farm(if whole { "replayed whole" } else { "replayed facts" }), device);
        for _ in 0..given::REPLAY_CLICKS {
            let at = dice.between((given::SHIFT.0 + SECOND * 30, given::SHIFT.1));
            let proxied = dice.share(500);
            let vpn = dice.share(given::PROXY_IS_VPN);
            let from = |dice: &mut Dice| {
                if proxied { exit(vpn, dice) } else { around[dice.index(around.len())].clone() }
            };
            let (id, campaign) = (ids[dice.index(ids.len())].clone(), dice.index(given::CAMPAIGNS.len()));
            let path = plan::landing(campaign, &id, &mut dice);
            plan.step(at, client, "", Act::Forget);
            let tab = plan.open(at, client, &from(&mut dice), (path, Arrival::Ad, true));
            let &(_, of) = harvested.iter().rev().find(|(copied, _)| *copied <= at).unwrap();
            let proof = if whole { Act::Replay { of } } else { Act::Copy { of, tab } };
            plan.step(at + dice.between(given::REPLAY_AFTER), client, &from(&mut dice), proof);
            if dice.share(given::REPLAY_EVENTS) {
                let (told, event) = (at + dice.between(given::REPLAY_EVENT_AFTER), fake(&mut dice));
                plan.tell(told, client, &from(&mut dice), tab, event);
            }
        }
    }
}

/// The beacons that are copied: when each was sent, and from which tab.
fn harvest(plan: &mut Plan, device: Device, dice: &mut Dice) -> Vec<(u64, usize)> {
    let client = plan.client(Who::Farm("replayed, copied from"), device);
    let address = places::around_the_farm()[0].clone();
    let mut harvested = Vec::new();
    let mut at = given::SHIFT.0;
    while at < given::SHIFT.1 {
        let campaign = dice.index(given::CAMPAIGNS.len());
        plan.step(at, client, &address, Act::Forget);
        let click = fresh_click(campaign, dice);
        let tab = plan.open(at, client, &address, click);
        plan.step(at + 2 * SECOND, client, &address, Act::Prove { tab, touched: false });
        plan.step(at + 5 * SECOND, client, &address, Act::Prove { tab, touched: true });
        harvested.push((at + 6 * SECOND, tab));
        at += given::REPLAY_HARVEST;
    }
    harvested
}
