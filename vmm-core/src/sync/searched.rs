//! Locks that a search decides over while one goes on, and that are `parking_lot`'s all the time.
//!
//! Whoever locks in a search first waits for his turn, and whose it is the search chooses; then the lock itself is
//! free. As `parking_lot`'s, a lock that has readers lets no more of them in once somebody waits to write: who holds
//! it and waits for another reader may wait for ever, and the search says so.

use std::ops::Deref;
use std::ops::DerefMut;
use std::sync::atomic;
use std::sync::atomic::Ordering;

use shuttle::current;
use shuttle::future::batch_semaphore::BatchSemaphore;
use shuttle::future::batch_semaphore::Fairness;

/// All turns of a lock that can have readers: more than there are threads in a search.
const ALL: usize = 64;

/// A turn, or several, at something. Dropping it gives them back.
#[derive(Debug)]
struct Turn<'a> {
    semaphore: &'a BatchSemaphore,
    count: usize,
}

impl<'a> Turn<'a> {
    /// Waits for it. Nothing where no search goes on.
    fn take(semaphore: &'a BatchSemaphore, count: usize) -> Option<Self> {
        current::try_get_current_task()?;
        // It is never closed.
        let _ = semaphore.acquire_blocking(count);
        Some(Self { semaphore, count })
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.semaphore.release(self.count);
    }
}

/// Here a search may let others go on.
pub(crate) fn point() {
    if current::try_get_current_task().is_some() {
        shuttle::sync::atomic::AtomicBool::new(false).load(Ordering::SeqCst);
    }
}

#[derive(Debug)]
pub(crate) struct Mutex<T> {
    turn: BatchSemaphore,
    inner: parking_lot::Mutex<T>,
}

/// Fields are dropped in this order: whose turn is next finds the lock free.
#[derive(Debug)]
#[allow(unreachable_pub, reason = "a public function gives it, as it gives parking_lot's")]
pub struct MutexGuard<'a, T> {
    inner: parking_lot::MutexGuard<'a, T>,
    _turn: Option<Turn<'a>>,
}

impl<T> Mutex<T> {
    pub(crate) const fn new(value: T) -> Self {
        let turn = BatchSemaphore::const_new(1, Fairness::Unfair);
        Self { turn, inner: parking_lot::Mutex::new(value) }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        let turn = Turn::take(&self.turn, 1);
        MutexGuard { inner: self.inner.lock(), _turn: turn }
    }

    pub(crate) fn get_mut(&mut self) -> &mut T {
        self.inner.get_mut()
    }
}

impl<T: Default> Default for Mutex<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.inner
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.inner
    }
}

#[derive(Debug)]
pub(crate) struct RwLock<T> {
    turns: BatchSemaphore,
    inner: parking_lot::RwLock<T>,
}

/// Fields are dropped in this order, as those of a [`MutexGuard`].
pub(crate) struct Guard<'a, G> {
    inner: G,
    _turn: Option<Turn<'a>>,
}

impl<T> RwLock<T> {
    pub(crate) const fn new(value: T) -> Self {
        let turns = BatchSemaphore::const_new(ALL, Fairness::StrictlyFair);
        Self { turns, inner: parking_lot::RwLock::new(value) }
    }

    pub(crate) fn read(&self) -> Guard<'_, parking_lot::RwLockReadGuard<'_, T>> {
        let turn = Turn::take(&self.turns, 1);
        Guard { inner: self.inner.read(), _turn: turn }
    }

    /// Whether nobody writes. Not for a search.
    pub(crate) fn try_read(&self) -> Option<parking_lot::RwLockReadGuard<'_, T>> {
        self.inner.try_read()
    }

    pub(crate) fn write(&self) -> Guard<'_, parking_lot::RwLockWriteGuard<'_, T>> {
        let turn = Turn::take(&self.turns, ALL);
        Guard { inner: self.inner.write(), _turn: turn }
    }
}

impl<T: Default> Default for RwLock<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<G: Deref> Deref for Guard<'_, G> {
    type Target = G::Target;

    fn deref(&self) -> &G::Target {
        &self.inner
    }
}

impl<G: DerefMut> DerefMut for Guard<'_, G> {
    fn deref_mut(&mut self) -> &mut G::Target {
        &mut self.inner
    }
}

/// A flag; before it is looked at or changed, others may go on.
#[derive(Debug)]
pub(crate) struct AtomicBool(atomic::AtomicBool);

impl AtomicBool {
    pub(crate) const fn new(value: bool) -> Self {
        Self(atomic::AtomicBool::new(value))
    }

    pub(crate) fn load(&self, ordering: Ordering) -> bool {
        point();
        self.0.load(ordering)
    }

    pub(crate) fn store(&self, value: bool, ordering: Ordering) {
        point();
        self.0.store(value, ordering);
    }

    pub(crate) fn swap(&self, value: bool, ordering: Ordering) -> bool {
        point();
        self.0.swap(value, ordering)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use shuttle::thread;

    use super::*;

    /// What the search says of two threads that do this.
    fn found(one: fn(&Pair), other: fn(&Pair)) -> Option<String> {
        let life = move || {
            let pair = Arc::<Pair>::default();
            let second = thread::spawn({
                let pair = pair.clone();
                move || other(&pair)
            });
            one(&pair);
            second.join().unwrap();
        };
        let search = std::panic::catch_unwind(|| shuttle::check_random(life, 200));
        search.err().map(|why| *why.downcast::<String>().unwrap())
    }

    #[derive(Default)]
    struct Pair {
        list: RwLock<u32>,
        device: Mutex<u32>,
    }

    fn list_then_device(pair: &Pair) {
        let list = pair.list.read();
        *pair.device.lock() += *list;
    }

    fn device_then_list(pair: &Pair) {
        let device = pair.device.lock();
        *pair.list.write() += *device;
    }

    #[test]
    fn the_search_finds_two_who_lock_in_different_orders_and_none_who_do_in_one() {
        assert!(found(list_then_device, device_then_list).unwrap().contains("deadlock"));
        assert_eq!(found(list_then_device, list_then_device), None);
    }

    #[test]
    fn the_search_finds_a_reader_who_reads_again_behind_somebody_who_waits_to_write() {
        let twice = |pair: &Pair| {
            let list = pair.list.read();
            assert_eq!(*list, *pair.list.read());
        };
        assert!(found(twice, |pair| *pair.list.write() = 1).unwrap().contains("deadlock"));
        assert_eq!(found(|pair| drop(pair.list.read()), |pair| *pair.list.write() = 1), None);
    }

    #[test]
    fn without_a_search_they_are_locks_as_others() {
        let pair = Pair::default();
        *pair.device.lock() = 3;
        device_then_list(&pair);
        assert_eq!((*pair.list.read(), *pair.device.lock()), (3, 3));
        assert!(pair.list.try_read().is_some());
    }
}
