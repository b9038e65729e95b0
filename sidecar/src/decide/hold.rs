//! Conditions that must have held for a while, and changes that must not come too often.

use std::time::Duration;

use super::moment::Moment;

/// So many mode changes may follow each other freely: a square spike needs two.
const FREE_CHANGES: f64 = 2.0;
/// One more is earned in so long a time: a load that swings around a threshold may change the mode once
/// a minute.
const CHANGE_EVERY: Duration = Duration::from_mins(1);

/// Since when a condition has held without a break.
#[derive(Debug, Clone, Copy, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct Hold(Option<Moment>);

impl Hold {
    /// Takes in whether the condition holds now.
    pub(crate) fn see(&mut self, holds: bool, now: Moment) {
        self.0 = holds.then(|| self.0.unwrap_or(now));
    }

    /// How long it has held; `None` if it does not.
    pub(crate) fn span(self, now: Moment) -> Option<Duration> {
        self.0.map(|since| now.since(since))
    }

    /// Whether it has held for at least `hold`.
    pub(crate) fn lasted(self, hold: Duration, now: Moment) -> bool {
        self.span(now).is_some_and(|span| span >= hold)
    }
}

/// Keeps the mode from flapping, without ever delaying a spike's diverting: each change takes one from a
/// bucket that holds two and gets one a minute. To engage is always allowed, on credit if need be; to
/// release waits until the bucket can pay. So a single spike is left as soon as it is over, while a load
/// that keeps coming back stays in mode burst, where an arrival that the lane can take is not diverted
/// either.
#[derive(Debug, Clone, Copy, serde::Serialize, serde::Deserialize)]
pub(crate) struct Changes {
    balance: f64,
    at: Moment,
}

impl Default for Changes {
    fn default() -> Self {
        Self {
            balance: FREE_CHANGES,
            at: Moment::default(),
        }
    }
}

impl Changes {
    /// A spike is being diverted from now on.
    pub(crate) fn engaged(&mut self, now: Moment) {
        self.pay(now);
    }

    /// It is over; false if the mode must not change yet.
    pub(crate) fn release(&mut self, now: Moment) -> bool {
        let may = self.balance(now) >= 1.0;
        if may {
            self.pay(now);
        }
        may
    }

    fn pay(&mut self, now: Moment) {
        // Owing more than one would make up for changes long ago.
        self.balance = (self.balance(now) - 1.0).max(-1.0);
        self.at = now;
    }

    fn balance(&self, now: Moment) -> f64 {
        let earned = now.since(self.at).as_secs_f64() / CHANGE_EVERY.as_secs_f64();
        (self.balance + earned).min(FREE_CHANGES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: u64) -> Moment {
        Moment::at(Duration::from_secs(s))
    }

    #[test]
    fn a_break_starts_the_hold_anew() {
        let mut hold = Hold::default();
        hold.see(true, at(0));
        hold.see(true, at(5));
        assert!(hold.lasted(Duration::from_secs(5), at(5)));
        hold.see(false, at(6));
        hold.see(true, at(7));
        assert_eq!(hold.span(at(8)), Some(Duration::from_secs(1)));
    }

    #[test]
    fn a_spike_is_left_at_once_and_one_that_comes_back_soon_is_not() {
        let mut changes = Changes::default();
        changes.engaged(at(0));
        assert!(changes.release(at(20)));
        changes.engaged(at(30));
        assert!(!changes.release(at(40)));
        assert!(changes.release(at(150)));
    }

    #[test]
    fn the_mode_changes_once_a_minute_at_most_however_often_it_would() {
        let mut changes = Changes::default();
        let (mut count, mut burst) = (0, false);
        for second in 0..3_600 {
            if burst {
                burst = !changes.release(at(second));
                count += u32::from(!burst);
            } else {
                changes.engaged(at(second));
                burst = true;
                count += 1;
            }
        }
        assert!((55..=63).contains(&count), "{count}");
    }
}
