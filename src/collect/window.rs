//! How often somebody may come within a minute. Must not know who or what for.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use crate::clock::UnixMillis;

/// The length of a window.
pub(super) const MINUTE: Duration = Duration::from_mins(1);

/// Calls counted from the first one of a minute on.
#[derive(Debug, Default)]
pub(super) struct Window(Mutex<(UnixMillis, u32)>);

impl Window {
    /// Counts a call; once `most` are passed, answers how long the window lasts still.
    pub(super) fn admit(&self, now: UnixMillis, most: u32) -> Result<(), Duration> {
        let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A clock that was set back begins anew, or the window would last until it has caught up.
        if now.since(window.0) >= MINUTE || now < window.0 {
            *window = (now, 0);
        }
        if window.1 >= most {
            return Err(MINUTE.saturating_sub(now.since(window.0)));
        }
        window.1 += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_came_too_often_is_told_when_to_come_again_and_may_then() {
        let window = Window::default();
        let at = |seconds: u64| UnixMillis(1_774_000_000_000 + seconds * 1_000);
        assert_eq!((window.admit(at(0), 2), window.admit(at(1), 2)), (Ok(()), Ok(())));
        assert_eq!(window.admit(at(20), 2), Err(Duration::from_secs(40)));
        assert_eq!(window.admit(at(60), 2), Ok(()));
    }
}
