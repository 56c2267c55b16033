//! What is known of behaviour over time: counts, pace, what a landing was followed by. Must not know how it is kept.

use std::time::Duration;

use crate::fact::FactName;
use crate::fact::Value;

/// What one request, event or visit shows of behaviour over time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Behaviour<'a> {
    /// Values of the policy's counters, in their order; beyond the end nothing is known.
    pub counts: &'a [Option<u32>],
    /// From the landing to the second page view.
    pub second_page_after: Option<Duration>,
    /// Whether the landing was followed by its style sheets, scripts, images or fonts.
    pub assets: Option<bool>,
    /// How much the times between page views vary, in hundredths of their mean.
    pub cadence: Option<u32>,
    /// The shortest time from a page to the next one reached from it.
    pub fastest_step: Option<Duration>,
    /// The usual one of these times.
    pub median_step: Option<Duration>,
    /// How far the campaign's clicks from one network stand above what is usual, in standard deviations.
    pub burst: Option<i64>,
    /// From the visit's newest page view to the event.
    pub since_page: Option<Duration>,
    /// Events of the same name that the visit had before, within an hour.
    pub repeats: Option<u32>,
}

impl Behaviour<'_> {
    /// The value of the counter at this place.
    pub fn count(&self, place: usize) -> Value<'static> {
        let count = self.counts.get(place).copied().flatten();
        count.map_or(Value::Unknown, |count| Value::Number(i64::from(count)))
    }

    /// The value of a fact of behaviour.
    pub(super) fn value(&self, name: FactName) -> Value<'static> {
        let number = |number: Option<u32>| number.map_or(Value::Unknown, |number| Value::Number(i64::from(number)));
        let time = |time: Option<Duration>| {
            time.map_or(Value::Unknown, |time| Value::Number(i64::try_from(time.as_millis()).unwrap_or(i64::MAX)))
        };
        match name {
            FactName::VisitSecondPageAfter => time(self.second_page_after),
            FactName::VisitAssets => self.assets.map_or(Value::Unknown, Value::Bool),
            FactName::VisitCadence => number(self.cadence),
            FactName::VisitFastestStep => time(self.fastest_step),
            FactName::VisitMedianStep => time(self.median_step),
            FactName::BurstCampaignAsn => self.burst.map_or(Value::Unknown, Value::Number),
            FactName::EventSincePage => time(self.since_page),
            FactName::EventRepeats => number(self.repeats),
            _ => Value::Unknown,
        }
    }
}
