//! What decoders do, told a second time: with divisions where the device shifts (CXL 3.2, 8.2.4.20.13).

use cxl_spec::address::Hpa;
use cxl_spec::component::hdm;

use crate::silicon::Silicon;
use crate::silicon::decoder::Programming;
use crate::silicon::decoder::State;

/// All decoders of a device: what each does, and with what.
pub(super) struct Seen(Vec<(State, Programming)>);

impl Seen {
    pub(super) fn of(silicon: &Silicon) -> Self {
        let component = silicon.component();
        let one = |index| (component.decoder_state(index), component.programming(index));
        Self((0..silicon.profile().decoders().number()).map(one).collect())
    }

    /// Checks the decoders after a step: what decodes is held until it is released, what is locked until a reset.
    pub(super) fn check(&self, silicon: &Silicon, was_reset: bool) {
        let now = Self::of(silicon);
        if !was_reset {
            for (index, (before, after)) in self.0.iter().zip(&now.0).enumerate() {
                let is_held = before.0 == State::Locked || before.0.is_active() && after.0.is_active();
                assert!(!is_held || before == after, "decoder {index}: {before:?} became {after:?}");
            }
        }
        for address in now.edges() {
            let decoded = silicon.component().decode(Hpa::new(address)).map(|dpa| dpa.get());
            assert_eq!(decoded, now.expected(address), "{address:#x}");
        }
    }

    /// Addresses at and beside the ends of what decodes, and in the middle.
    fn edges(&self) -> Vec<u64> {
        let active = self.0.iter().filter(|(state, _)| state.is_active());
        let around = active.flat_map(|(_, programming)| {
            let (base, size) = (programming.base.get(), programming.size);
            let end = base.wrapping_add(size);
            [base.wrapping_sub(1), base, base.wrapping_add(0x4321), end.wrapping_sub(1), end]
        });
        around.chain([0, 1 << 52, u64::MAX]).collect()
    }

    /// The device address of a host address: that of the first decoder which takes it.
    fn expected(&self, address: u64) -> Option<u64> {
        let mut used: u128 = 0;
        for (_, programming) in self.0.iter().filter(|(state, _)| state.is_active()) {
            let ways = ways(programming).unwrap_or(1);
            let base = (used + u128::from(programming.skip)).min(u64::MAX.into());
            if let Some(inside) = inside(programming, address) {
                return u64::try_from(base + u128::from(inside)).ok();
            }
            used = (base + u128::from(programming.size / ways)).min(u64::MAX.into());
        }
        None
    }
}

fn ways(programming: &Programming) -> Option<u64> {
    hdm::ways(programming.ways).map(u64::from)
}

/// How far behind its first device address a decoder puts a host address; nothing if it does not take it.
fn inside(programming: &Programming, address: u64) -> Option<u64> {
    let offset = address.checked_sub(programming.base.get()).filter(|offset| *offset < programming.size)?;
    // A range that would pass the last address is none, and a host address has 52 bits.
    programming.base.get().checked_add(programming.size - 1).filter(|_| address < 1 << 52)?;
    let granularity = programming.granularity.value();
    let granule = (granularity <= 6).then(|| 256u64 << granularity)?;
    let turn = ways(programming)? * granule;
    Some(offset / turn * granule + offset % granule)
}
