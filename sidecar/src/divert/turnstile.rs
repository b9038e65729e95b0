//! Lets so many through at once as the limit says, while the limit moves.

use std::sync::{Mutex, PoisonError};

use tokio::sync::Semaphore;

/// A semaphore whose number of permits can be changed. After a lowering, whoever is through stays; as
/// they leave, their places are taken away until the new number is reached.
#[derive(Debug)]
pub(crate) struct Turnstile {
    free: Semaphore,
    /// Places that exist, free or taken, and how many there should be.
    places: Mutex<Places>,
}

#[derive(Debug, Clone, Copy)]
struct Places {
    exist: usize,
    wanted: usize,
}

/// A place; given back when dropped.
#[derive(Debug)]
pub(crate) struct Place<'a>(&'a Turnstile);

impl Turnstile {
    pub(crate) fn new(places: u32) -> Self {
        let places = places as usize;
        Self {
            free: Semaphore::new(places),
            places: Mutex::new(Places {
                exist: places,
                wanted: places,
            }),
        }
    }

    /// Waits for a place; first come, first served.
    pub(crate) async fn enter(&self) -> Place<'_> {
        // The semaphore is never closed. The place counts by itself, not by the permit.
        if let Ok(permit) = self.free.acquire().await {
            permit.forget();
        }
        Place(self)
    }

    /// A place if one is free and nobody waits for it.
    pub(crate) fn try_enter(&self) -> Option<Place<'_>> {
        self.free.try_acquire().ok()?.forget();
        Some(Place(self))
    }

    /// From now on there are to be so many places.
    pub(crate) fn resize(&self, wanted: u32) {
        let mut places = self.lock();
        places.wanted = wanted as usize;
        if places.wanted > places.exist {
            self.free.add_permits(places.wanted - places.exist);
            places.exist = places.wanted;
        } else {
            places.exist -= self.free.forget_permits(places.exist - places.wanted);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut places = self.0.lock();
        if places.exist > places.wanted {
            places.exist -= 1;
        } else {
            self.0.free.add_permits(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::*;

    /// Everyone who can come in at once.
    fn enter_all(turnstile: &Turnstile) -> Vec<Place<'_>> {
        std::iter::from_fn(|| turnstile.try_enter()).collect()
    }

    #[test]
    fn there_are_as_many_places_as_were_last_asked_for() {
        let turnstile = Turnstile::new(3);
        let mut inside = enter_all(&turnstile);
        assert_eq!(inside.len(), 3);
        // Two too many are inside; the first two to leave free nothing.
        turnstile.resize(1);
        inside.pop();
        inside.pop();
        assert!(enter_all(&turnstile).is_empty());
        inside.pop();
        let one = enter_all(&turnstile);
        assert_eq!(one.len(), 1);
        turnstile.resize(4);
        assert_eq!(enter_all(&turnstile).len(), 3);
    }

    #[test]
    fn free_places_are_taken_away_at_once() {
        let turnstile = Turnstile::new(5);
        turnstile.resize(2);
        assert_eq!(enter_all(&turnstile).len(), 2);
    }

    #[test]
    fn a_lowering_that_is_taken_back_before_anyone_leaves_changes_nothing() {
        let turnstile = Turnstile::new(3);
        let inside = enter_all(&turnstile);
        turnstile.resize(1);
        turnstile.resize(3);
        drop(inside);
        assert_eq!(enter_all(&turnstile).len(), 3);
    }

    #[test]
    fn whoever_gives_up_waiting_takes_no_place_with_him() {
        let turnstile = Turnstile::new(1);
        let inside = enter_all(&turnstile);
        let mut context = Context::from_waker(Waker::noop());
        {
            let mut waiting = pin!(turnstile.enter());
            assert!(waiting.as_mut().poll(&mut context).is_pending());
            drop(inside);
            // Given up after the place was his, and before he knew.
        }
        assert_eq!(enter_all(&turnstile).len(), 1);
    }
}
