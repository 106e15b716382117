//! A life that somebody else's bytes choose, without sockets, threads, processes or clocks: property tests and fuzzers
//! are two callers of [`any_life`].
//!
//! What must hold is what [`soak`](super::soak) checks: after each accident memory is where it should be and nowhere
//! else, and in the end no memory slot is left. It asserts, so a caller who wants to go on must be one who expects to
//! be stopped.

use std::collections::BTreeMap;
use std::path::PathBuf;

use vmm_core::backend::vfio_user::DEFAULT_TIMEOUT;

use super::Changed;
use super::Servers;
use super::Setting;
use super::dice::Dice;
use super::live;
use crate::world::GuestKind;

/// Any bytes are a life: of which machine, with which devices, and what happens to them.
pub fn any_life(bytes: &[u8]) {
    changed_life(Changed::default(), None, bytes);
}

/// The same life, changed on purpose. Where a machine refuses its devices with these words, that is right.
pub fn changed_life(changed: Changed, refusal: Option<&str>, bytes: &[u8]) {
    let setting = Setting {
        program: PathBuf::new(),
        guest: GuestKind::Soft,
        timeout: DEFAULT_TIMEOUT,
        servers: Servers::Within,
        changed,
    };
    let mut accidents = BTreeMap::new();
    let lived = live(&setting, &mut Dice::Bytes(bytes.to_vec()), &mut accidents);
    let is_refused =
        |why: &String| accidents.is_empty() && refusal.is_some_and(|refusal| why.contains(refusal));
    if !lived.as_ref().is_err_and(is_refused) {
        assert_eq!(lived, Ok(()), "after {accidents:?}");
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn any_bytes_are_a_life_that_leaves_nothing(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            any_life(&bytes);
        }
    }
}
