//! Doing the same to many inputs, several at once.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use crate::error::Error;

/// Takes the lock. A thread that panicked while it held it ends the whole command anyway, so what
/// it left behind is not looked at again.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn wait<'a, T>(condition: &Condvar, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
    condition
        .wait(guard)
        .unwrap_or_else(PoisonError::into_inner)
}

/// Calls `work` for every item on `threads` threads. After the first error no more items are
/// begun; of several errors, the one of the earliest item is returned.
pub(crate) fn for_each<I, T>(
    threads: usize,
    items: I,
    work: impl Fn(T) -> Result<(), Error> + Sync,
) -> Result<(), Error>
where
    I: Iterator<Item = Result<T, Error>> + Send,
    T: Send,
{
    let items = Mutex::new(items.enumerate());
    let failed: Mutex<Option<(usize, Error)>> = Mutex::new(None);
    let next = || {
        if lock(&failed).is_some() {
            None
        } else {
            lock(&items).next()
        }
    };
    let run = || {
        while let Some((index, item)) = next() {
            if let Err(error) = item.and_then(&work) {
                let mut failed = lock(&failed);
                if failed.as_ref().is_none_or(|(earlier, _)| index < *earlier) {
                    *failed = Some((index, error));
                }
            }
        }
    };
    thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(run);
        }
        run();
    });
    let failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
    failed.map_or(Ok(()), |(_, error)| Err(error))
}

/// Things that many threads share and of which each needs one for a while.
#[derive(Debug)]
pub(crate) struct Pool<T> {
    things: Vec<Mutex<T>>,
    /// Indexes of those that nobody uses.
    idle: Mutex<Vec<usize>>,
    returned: Condvar,
}

impl<T> Pool<T> {
    /// A pool of these; at least one.
    pub(crate) fn new(things: Vec<T>) -> Self {
        let idle = Mutex::new((0..things.len()).collect());
        let things = things.into_iter().map(Mutex::new).collect();
        Self {
            things,
            idle,
            returned: Condvar::new(),
        }
    }

    /// Waits for one of them, lends it to `work`, takes it back.
    pub(crate) fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> R {
        let mut idle = lock(&self.idle);
        let index = loop {
            match idle.pop() {
                Some(index) => break index,
                None => idle = wait(&self.returned, idle),
            }
        };
        drop(idle);
        // Given back also if `work` panics: the others must not wait for ever.
        let _back = OnDrop(|| {
            lock(&self.idle).push(index);
            self.returned.notify_one();
        });
        work(&mut lock(&self.things[index]))
    }

    /// All of them, when nobody uses one any more.
    pub(crate) fn into_inner(self) -> Vec<T> {
        let unlock = |thing: Mutex<T>| thing.into_inner().unwrap_or_else(PoisonError::into_inner);
        self.things.into_iter().map(unlock).collect()
    }
}

struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// Bytes of memory that many threads share.
#[derive(Debug)]
pub(crate) struct Allowance {
    total: usize,
    left: Mutex<usize>,
    returned: Condvar,
}

impl Allowance {
    /// An allowance of `bytes`.
    pub(crate) fn new(bytes: usize) -> Self {
        Self {
            total: bytes,
            left: Mutex::new(bytes),
            returned: Condvar::new(),
        }
    }

    /// Runs `work` once `bytes` are free. More than there are in all waits until it is alone.
    pub(crate) fn with<R>(&self, bytes: usize, work: impl FnOnce() -> R) -> R {
        let bytes = bytes.min(self.total);
        let mut left = lock(&self.left);
        while *left < bytes {
            left = wait(&self.returned, left);
        }
        *left -= bytes;
        drop(left);
        let _back = OnDrop(|| {
            *lock(&self.left) += bytes;
            self.returned.notify_all();
        });
        work()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn every_item_is_worked_on_once() {
        let sum = AtomicUsize::new(0);
        for_each(4, (1..=100).map(Ok), |n: usize| {
            sum.fetch_add(n, Ordering::Relaxed);
            Ok(())
        })
        .unwrap();
        assert_eq!(sum.into_inner(), 5050);
    }

    #[test]
    fn an_error_stops_the_rest_and_is_returned() {
        let done = AtomicUsize::new(0);
        let error = for_each(1, (0..100).map(Ok), |n: usize| {
            done.fetch_add(1, Ordering::Relaxed);
            if n == 3 {
                Err(Error::new(ErrorKind::Data, "three"))
            } else {
                Ok(())
            }
        });
        assert_eq!(error.unwrap_err().to_string(), "three");
        assert_eq!(done.into_inner(), 4);
    }

    #[test]
    fn a_pool_lends_each_thing_to_one_at_a_time() {
        let pool = Pool::new(vec![0, 0]);
        for_each(8, (0..1000).map(Ok), |_: usize| {
            pool.with(|count| *count += 1);
            Ok(())
        })
        .unwrap();
        let counts = pool.into_inner();
        assert_eq!((counts.len(), counts.iter().sum()), (2, 1000));
    }

    #[test]
    fn an_allowance_is_never_overdrawn_and_lets_a_giant_pass_alone() {
        let (allowance, used) = (Allowance::new(10), AtomicUsize::new(0));
        for_each(8, (0..500).map(Ok), |n: usize| {
            let bytes = if n.is_multiple_of(7) { 1000 } else { n % 6 };
            allowance.with(bytes, || {
                let now = used.fetch_add(bytes.min(10), Ordering::SeqCst) + bytes.min(10);
                assert!(now <= 10, "{now}");
                used.fetch_sub(bytes.min(10), Ordering::SeqCst);
            });
            Ok(())
        })
        .unwrap();
    }
}
