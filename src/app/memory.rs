//! The process's own memory under watch: near its bound, connections are closed after their answers, and nearer still new ones are
//! turned away, so that the kernel does not end the process and every connection with it. Must not know connections.

use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::watch;

use crate::config::Memory;
use crate::server::Press;
use crate::server::Pressure;

/// How often it is looked: a flood of connections takes some 100 MiB a second at most.
const LOOK: Duration = Duration::from_millis(250);
/// Percent of the bound from which connections are closed after their answer, and from which new ones are turned away.
const PARTING: u64 = 80;
const REFUSING: u64 = 90;
/// A press ends only so many percent below where it began, so that it does not flicker.
const SLACK: u64 = 5;
/// The kernel's pages; `statm` counts in them.
const PAGE: u64 = 4_096;

/// Looks until the end.
pub(super) async fn watch(
    mut bound: watch::Receiver<Memory>,
    pressure: Pressure,
    shown: [Gauge; 2],
    mut stopped: watch::Receiver<bool>,
) {
    let [bytes, state] = shown;
    let mut every = tokio::time::interval(LOOK);
    let mut press = Press::None;
    let mut meter = Meter::of(*bound.borrow_and_update());
    loop {
        tokio::select! {
            _ = every.tick() => {}
            Ok(()) = bound.changed() => meter = Meter::of(*bound.borrow_and_update()),
            _ = stopped.wait_for(|stopped| *stopped) => return,
        }
        let Some(used) = meter.used() else { continue };
        bytes.set(i64::try_from(used).unwrap_or(i64::MAX));
        let newer = meter.bound.map_or(Press::None, |bound| judge(press, used, bound));
        if newer != press {
            let mib = used >> 20;
            match newer {
                Press::None => tracing::info!(mib, "memory is enough again"),
                Press::Parting => tracing::warn!(mib, "memory is short: connections are closed after their answer"),
                Press::Refusing => tracing::error!(mib, "memory is very short: new connections are turned away"),
            }
            press = newer;
            pressure.set(press);
            state.set(press as i64);
        }
    }
}

fn judge(before: Press, used: u64, bound: u64) -> Press {
    let percent = used.saturating_mul(100) / bound.max(1);
    let mark = |press: Press, mark: u64| if before >= press { mark - SLACK } else { mark };
    if percent >= mark(Press::Refusing, REFUSING) {
        Press::Refusing
    } else if percent >= mark(Press::Parting, PARTING) {
        Press::Parting
    } else {
        Press::None
    }
}

/// Where the use is read, and what it is held against.
struct Meter {
    group: Option<PathBuf>,
    bound: Option<u64>,
}

impl Meter {
    fn of(memory: Memory) -> Self {
        match memory {
            Memory::Off => Self { group: None, bound: None },
            Memory::Bytes(bytes) => Self { group: None, bound: Some(bytes) },
            // What the kernel holds the group to counts all of the group.
            Memory::Auto => match group() {
                Some((folder, bound)) => Self { group: Some(folder), bound: Some(bound) },
                None => Self { group: None, bound: None },
            },
        }
    }

    fn used(&self) -> Option<u64> {
        let own = resident()?;
        let Some(folder) = &self.group else { return Some(own) };
        // Pages of files are given back before anybody is ended.
        let files = stat(&std::fs::read_to_string(folder.join("memory.stat")).ok()?, "inactive_file").unwrap_or(0);
        Some(shared(own, number(&folder.join("memory.current"))?.saturating_sub(files)))
    }
}

/// What counts of a group's use: all of it, unless most of it is others', which closing connections would not bring back.
fn shared(own: u64, group: u64) -> u64 {
    if own.saturating_mul(2) < group { own } else { group }
}

fn resident() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    statm.split_whitespace().nth(1)?.parse::<u64>().ok().map(|pages| pages.saturating_mul(PAGE))
}

/// The process's group (cgroup v2) and its bound, where it has one.
fn group() -> Option<(PathBuf, u64)> {
    let own = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    let path = own.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let folder = Path::new("/sys/fs/cgroup").join(path);
    let bound = number(&folder.join("memory.max"))?;
    Some((folder, bound))
}

fn number(path: &Path) -> Option<u64> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

fn stat(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_of_the_group_hold_is_not_ours_to_give_back() {
        assert_eq!(shared(400, 900), 400);
        assert_eq!(shared(600, 900), 900);
    }

    #[test]
    fn a_press_begins_at_its_mark_and_ends_below_it() {
        assert_eq!(judge(Press::None, 79, 100), Press::None);
        assert_eq!(judge(Press::None, 80, 100), Press::Parting);
        assert_eq!(judge(Press::Parting, 76, 100), Press::Parting);
        assert_eq!(judge(Press::Parting, 74, 100), Press::None);
        assert_eq!(judge(Press::None, 90, 100), Press::Refusing);
        assert_eq!(judge(Press::Refusing, 86, 100), Press::Refusing);
        assert_eq!(judge(Press::Refusing, 84, 100), Press::Parting);
    }
}
