//! What the form of an agent shows beside its names, who a request says it is, and how its signature stands, as rules ask
//! for it. Must not know how it was found out.

use crate::fact::AgentKind;
use crate::fact::Facts;
use crate::fact::Identity;
use crate::fact::Value;
use crate::fact::names::FactName;
use crate::fact::words::Device;

/// What the form of an agent shows; `None` is unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AgentForm {
    /// The class of device it claims to run on.
    pub device: Option<Device>,
    /// Majors behind the newest known of a family that updates itself; unknown for families and devices that do not.
    pub behind: Option<u32>,
    /// A version that nobody can have yet.
    pub future: Option<bool>,
    /// It contradicts itself as no browser does.
    pub impossible: Option<bool>,
    /// As browsers do not send it, but the tools of some people do: Chrome with a full version, or on an iPhone.
    pub altered: Option<bool>,
    /// A browser known by name, and no known robot.
    pub known_browser: Option<bool>,
}

impl Facts<'_> {
    /// The value of a fact of this file.
    pub(super) fn form_value(&self, name: FactName) -> Value<'_> {
        let form = &self.agent.form;
        let flag = |flag: Option<bool>| flag.map_or(Value::Unknown, Value::Bool);
        match name {
            FactName::UaDevice => form.device.map_or(Value::Unknown, |device| Value::Text(device.name())),
            FactName::UaBehind => form.behind.map_or(Value::Unknown, |majors| Value::Number(i64::from(majors))),
            FactName::UaFuture => flag(form.future),
            FactName::UaImpossible => flag(form.impossible),
            FactName::UaAltered => flag(form.altered),
            FactName::UaKnownBrowser => flag(form.known_browser),
            FactName::IdentityClaim => match (self.agent.claims, self.agent.kind) {
                (Some(name), _) => Value::Text(name),
                (None, AgentKind::Unknown) => Value::Unknown,
                (None, _) => Value::Missing,
            },
            FactName::IdentityUnverified => Value::Bool(self.identity == Identity::Unverifiable),
            _ => self.signed.map_or(Value::Unknown, |signed| Value::Text(signed.name())),
        }
    }
}
