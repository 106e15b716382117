//! What a profile must obey before a device is made of it.

use std::ops::Range;

use cxl_spec::address::Hpa;
use cxl_spec::address::Span;
use cxl_spec::component::BLOCK_SIZE;
use cxl_spec::component::CACHEMEM_SIZE;
use cxl_spec::component::array;
use cxl_spec::component::back_invalidate;
use cxl_spec::component::hdm;
use cxl_spec::component::ras;
use cxl_spec::pci::msix;

use super::Coherency;
use super::ConfigLock;
use super::Profile;
use super::quantity::Quantity;

/// A geometry that cannot be: which field, its value, and what it must be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} = {value}: {must}")]
pub struct Impossible {
    /// The field, as a dotted path.
    pub field: &'static str,
    /// Its value.
    pub value: String,
    /// What it must be.
    pub must: String,
}

/// A profile whose geometry can be.
#[derive(Clone, Debug)]
pub struct Checked {
    profile: Profile,
    decoders: hdm::DecoderCount,
    host_range: Span<Hpa>,
}

/// Length of BAR 0: MSI-X table in the lower half, pending bits behind it.
pub(crate) const CONTROL_BAR_SIZE: u64 = 0x1_0000;

/// Offset of the pending bits in BAR 0.
pub(crate) const PENDING_OFFSET: u64 = 0x8000;

/// The most vectors that MSI-X has.
const MAX_VECTORS: u16 = 2048;

const _: () = assert!(MAX_VECTORS as u64 * msix::ENTRY_SIZE <= PENDING_OFFSET);

/// Bytes that CXL.mem moves at a time: poison comes by the line.
pub(crate) const LINE: u64 = 64;

/// The largest BAR and the largest memory: with 2^46 bytes each, every sum of them fits 64 bits many times.
const LARGEST: u64 = 1 << 46;

impl Profile {
    /// The profile, if its geometry can be.
    ///
    /// # Errors
    /// The first field whose value cannot be.
    pub fn check(&self) -> Result<Checked, Impossible> {
        self.check_ids()?;
        self.check_dvsec()?;
        self.check_block()?;
        let decoders = self.check_capabilities()?;
        let host_range = self.check_memory()?;
        self.check_faults()?;
        Ok(Checked { profile: self.clone(), decoders, host_range })
    }

    fn check_ids(&self) -> Result<(), Impossible> {
        let class = self.ids.class;
        require(class < 1 << 24, "ids.class", format!("{class:#x}"), "must have 24 bits")?;
        let vectors = self.interrupts.msix_vectors;
        let fits = (1..=MAX_VECTORS).contains(&vectors);
        require(fits, "interrupts.msix_vectors", vectors, "must be 1 to 2048")
    }

    fn check_dvsec(&self) -> Result<(), Impossible> {
        let dvsec = &self.dvsec;
        let timeout = dvsec.cxl_reset_timeout;
        require(timeout <= 4, "dvsec.cxl_reset_timeout", timeout, "must be 0 to 4: 10 ms to 100 s")?;
        let clears = dvsec.mem_clear_capable;
        let must = "must go with cxl_reset_capable: memory is cleared by a CXL reset";
        require(!clears || dvsec.cxl_reset_capable, "dvsec.mem_clear_capable", clears, must)?;
        let locks = self.firmware.config_lock != ConfigLock::Never;
        let must = "must go with committed: what is locked cannot be turned on afterwards";
        let value = self.firmware.config_lock.name();
        require(!locks || self.firmware.committed, "firmware.config_lock", value, must)
    }

    fn check_block(&self) -> Result<(), Impossible> {
        let component = &self.component;
        let bar = component.bar;
        require(
            matches!(bar, 2 | 4),
            "component.bar",
            bar,
            "must be 2 or 4: BARs are 64-bit and BAR 0 has MSI-X",
        )?;
        let Quantity(size) = component.bar_size;
        let fits = size.is_power_of_two() && (BLOCK_SIZE..=LARGEST).contains(&size);
        require(
            fits,
            "component.bar_size",
            component.bar_size,
            "must be a power of two from 64KiB to 64TiB",
        )?;
        let Quantity(offset) = component.offset;
        let aligned = offset.is_multiple_of(BLOCK_SIZE);
        require(aligned, "component.offset", component.offset, "must be a multiple of 64KiB")?;
        let inside = offset <= size - BLOCK_SIZE;
        let must = format!("must leave room for the 64KiB block in a BAR of {}", component.bar_size);
        require(inside, "component.offset", component.offset, must)
    }

    fn check_capabilities(&self) -> Result<hdm::DecoderCount, Impossible> {
        let count = self.decoder.count;
        let decoders = hdm::DecoderCount::of(count).filter(|_| count <= 10);
        let decoders = decoders.ok_or_else(|| Impossible {
            field: "decoder.count",
            value: count.to_string(),
            must: "must be 1, 2, 4, 6, 8 or 10: a device's counts".to_owned(),
        })?;
        // The array's header and its entries are first.
        let array_end = array::entry_offset(self.entries() + 1);
        let ras = self.capability("component.ras", self.component.ras, array_end, ras::SIZE)?;
        let hdm = self.capability("component.hdm", self.component.hdm, array_end, hdm::length(count))?;
        let apart = ras.end <= hdm.start || hdm.end <= ras.start;
        let must = format!("must not overlap the RAS capability at {}", self.component.ras);
        require(apart, "component.hdm", self.component.hdm, must)?;
        if self.memory.coherency == Coherency::HdmDb {
            let bi = self.capability("component.bi", self.component.bi, array_end, back_invalidate::SIZE)?;
            let apart = [ras, hdm].iter().all(|other| bi.end <= other.start || other.end <= bi.start);
            let must = "must not overlap the RAS and HDM capabilities";
            require(apart, "component.bi", self.component.bi, must)?;
        }
        Ok(decoders)
    }

    /// How many entries the capability array has: RAS, HDM, and back-invalidate where it is needed.
    pub(crate) fn entries(&self) -> u8 {
        match self.memory.coherency {
            Coherency::HdmD => 2,
            Coherency::HdmDb => 3,
        }
    }

    /// The place of a capability in the CXL.cache and CXL.mem registers.
    fn capability(
        &self,
        field: &'static str,
        offset: Quantity,
        first: u64,
        size: u64,
    ) -> Result<Range<u64>, Impossible> {
        let must = format!("must be a multiple of 4 from {first:#x}, with {size:#x} bytes below 0x1000");
        let Quantity(at) = offset;
        let fits = at.is_multiple_of(4) && at >= first && at <= CACHEMEM_SIZE - size;
        require(fits, field, offset, must)?;
        Ok(at..at + size)
    }

    fn check_memory(&self) -> Result<Span<Hpa>, Impossible> {
        let Quantity(size) = self.memory.size;
        let fits = size.is_multiple_of(hdm::GRANULE) && (hdm::GRANULE..=LARGEST).contains(&size);
        require(fits, "memory.size", self.memory.size, "must be a multiple of 256MiB from 256MiB to 64TiB")?;
        let Quantity(base) = self.firmware.host_base;
        let aligned = base.is_multiple_of(hdm::GRANULE) && base > 0;
        let field = "firmware.host_base";
        require(aligned, field, self.firmware.host_base, "must be a multiple of 256MiB and not 0")?;
        Span::new(Hpa::new(base), size).ok_or_else(|| Impossible {
            field,
            value: self.firmware.host_base.to_string(),
            must: format!("must leave room for {} below 2^64", self.memory.size),
        })
    }

    fn check_faults(&self) -> Result<(), Impossible> {
        let after = self.faults.answer_after_ms;
        require(after <= 60_000, "faults.answer_after_ms", after, "must be at most a minute, 60000")?;
        if let Some(wrong) = self.faults.wrong_errno_at_message {
            let field = "faults.wrong_errno_at_message.errno";
            require(wrong.errno > 0, field, wrong.errno, "must not be 0: that is no error")?;
        }
        let places = [
            ("faults.host_base_at", self.faults.host_base_at, self.component.bar_size),
            ("faults.host_base_in_bar0_at", self.faults.host_base_in_bar0_at, Quantity(CONTROL_BAR_SIZE)),
        ];
        for (field, at, size) in places {
            let Some(Quantity(at)) = at else { continue };
            let inside = at.is_multiple_of(8) && at <= size.0 - 8;
            require(inside, field, Quantity(at), format!("must be a multiple of 8 inside a BAR of {size}"))?;
        }
        let memory = self.memory.size;
        for at in &self.faults.poison_at {
            let line = at.0.is_multiple_of(LINE) && *at < memory;
            let must = format!("must be multiples of {LINE} inside a memory of {memory}");
            require(line, "faults.poison_at", *at, must)?;
        }
        Ok(())
    }
}

fn require(
    holds: bool,
    field: &'static str,
    value: impl ToString,
    must: impl Into<String>,
) -> Result<(), Impossible> {
    if holds { Ok(()) } else { Err(Impossible { field, value: value.to_string(), must: must.into() }) }
}

impl Checked {
    /// The profile.
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    /// How many decoders there are.
    pub fn decoders(&self) -> hdm::DecoderCount {
        self.decoders
    }

    /// The host addresses at which firmware put the memory.
    pub fn host_range(&self) -> Span<Hpa> {
        self.host_range
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::profile::DEFAULT_PRESET;
    use crate::profile::PRESETS;

    #[test]
    fn the_default_preset_is_the_default_of_every_field() {
        assert_eq!(Profile::find(DEFAULT_PRESET).unwrap(), Profile::default());
    }

    #[test]
    fn every_preset_can_be_and_comes_back_from_its_text() {
        for preset in PRESETS {
            let profile = Profile::find(preset.name).unwrap();
            assert_eq!(Profile::parse(preset.name, &profile.to_toml()).unwrap(), profile);
        }
    }

    #[test]
    fn what_is_not_a_default_comes_back_from_its_text_too() {
        let text = "[faults]\ncapability_array = \"255-entries\"\nmemory_info_valid_late = 3\n\
                    poison_at = [0, \"1MiB\"]\nras_errors = [\"ide-receive\", \"correctable-physical\"]\n\
                    [memory]\ncoherency = \"hdm-db\"\n[silicon]\nflr_disturbs_decoders = true\n\
                    [dvsec]\nmem_clear_capable = true\n[ids]\nserial = \"0xffff_ffff_ffff_ffff\"";
        let profile = Profile::parse("test", text).unwrap();
        assert_ne!(profile, Profile::default());
        assert_eq!(Profile::parse("test", &profile.to_toml()).unwrap(), profile);
    }

    #[rstest]
    #[case("[ids]\nclass = 0x100_0000", 2, "ids.class = 0x1000000: must have 24 bits")]
    #[case("[interrupts]\nmsix_vectors = 0", 2, "interrupts.msix_vectors = 0: must be 1 to 2048")]
    #[case("[interrupts]\nmsix_vectors = 2049", 2, "interrupts.msix_vectors = 2049: must be 1 to 2048")]
    #[case("[component]\nbar = 0", 2, "component.bar = 0: must be 2 or 4")]
    #[case("[component]\nbar_size = \"96KiB\"", 2, "component.bar_size = 96KiB: must be a power of two")]
    #[case("[component]\nbar_size = \"32KiB\"", 2, "component.bar_size = 32KiB: must be a power of two")]
    #[case("[component]\noffset = 0x1000", 2, "component.offset = 4KiB: must be a multiple of 64KiB")]
    #[case("[component]\n\noffset = \"1MiB\"", 3, "component.offset = 1MiB: must leave room")]
    #[case("[component]\nras = 8", 2, "component.ras = 0x8: must be a multiple of 4 from 0xc")]
    #[case("[component]\nhdm = 0x112", 2, "component.hdm = 0x112: must be a multiple of 4")]
    #[case(
        "[component]\nhdm = 0xfd4",
        2,
        "component.hdm = 0xfd4: must be a multiple of 4 from 0xc, with 0x30"
    )]
    #[case("[component]\nhdm = 0x80", 2, "component.hdm = 0x80: must not overlap the RAS capability")]
    #[case("[decoder]\ncount = 3", 2, "decoder.count = 3: must be 1, 2, 4, 6, 8 or 10")]
    #[case("[decoder]\ncount = 12", 2, "decoder.count = 12: must be 1, 2, 4, 6, 8 or 10")]
    #[case("[memory]\nsize = \"128MiB\"", 2, "memory.size = 128MiB: must be a multiple of 256MiB")]
    #[case("[memory]\nsize = 0", 2, "memory.size = 0x0: must be a multiple of 256MiB")]
    #[case("[firmware]\nhost_base = 0x1000", 2, "firmware.host_base = 4KiB: must be a multiple of 256MiB")]
    #[case("[firmware]\nhost_base = \"0xffff_ffff_f000_0000\"", 2, "must leave room for 256MiB below 2^64")]
    #[case(
        "[faults]\nhost_base_at = \"1MiB\"",
        2,
        "faults.host_base_at = 1MiB: must be a multiple of 8 inside"
    )]
    #[case(
        "[faults]\nhost_base_in_bar0_at = 4",
        2,
        "faults.host_base_in_bar0_at = 0x4: must be a multiple of 8"
    )]
    #[case("[dvsec]\ncxl_reset_timeout = 5", 2, "dvsec.cxl_reset_timeout = 5: must be 0 to 4")]
    #[case(
        "[dvsec]\nmem_clear_capable = true\ncxl_reset_capable = false",
        2,
        "mem_clear_capable = true: must go with cxl_reset_capable"
    )]
    #[case(
        "[memory]\ncoherency = \"hdm-db\"\n[component]\nbi = 0x8",
        4,
        "component.bi = 0x8: must be a multiple of 4 from 0x10"
    )]
    #[case(
        "[memory]\ncoherency = \"hdm-db\"\n[component]\nbi = 0x108",
        4,
        "component.bi = 0x108: must not overlap the RAS and HDM capabilities"
    )]
    #[case(
        "[firmware]\ncommitted = false\nconfig_lock = \"after-mem-enable\"",
        3,
        "firmware.config_lock = after-mem-enable: must go with committed"
    )]
    #[case("[memory]\ncoherency = \"hdm-h\"", 2, "unknown variant `hdm-h`")]
    #[case("[faults]\npoison_at = [0, 0x41]", 2, "faults.poison_at = 0x41: must be multiples of 64")]
    #[case("[faults]\npoison_at = [\"256MiB\"]", 2, "faults.poison_at = 256MiB: must be multiples of 64")]
    #[case("[faults]\nras_errors = [\"mem-data-ecc\", \"rain\"]", 2, "unknown variant `rain`")]
    #[case(
        "[faults]\nanswer_after_ms = 60001",
        2,
        "faults.answer_after_ms = 60001: must be at most a minute"
    )]
    #[case("[faults.wrong_errno_at_message]\nmessage = 1\nerrno = 0", 3, "errno = 0: must not be 0")]
    #[case("[ids]\nvendro = 1", 2, "unknown field `vendro`")]
    #[case("[ids]\nvendor = 0x1_0000", 2, "in `vendor = 0x1_0000`")]
    #[case("[memory]\nsize = \"big\"", 2, "\"big\" is no number")]
    #[case("colour = 1", 1, "unknown field `colour`")]
    fn an_impossible_profile_is_refused_by_line_field_and_value(
        #[case] text: &str,
        #[case] line: usize,
        #[case] message: &str,
    ) {
        let mistake = Profile::parse("p.toml", text).unwrap_err();
        assert_eq!(mistake.line, line, "{mistake}");
        assert!(mistake.to_string().contains(message), "{mistake}");
    }

    #[test]
    fn an_unknown_profile_is_refused_with_the_names_that_there_are() {
        let error = Profile::find("t2-comitted").unwrap_err().to_string();
        assert!(
            error.starts_with("profile \"t2-comitted\" is neither a preset (t2-committed, t2-uncommitted"),
            "{error}"
        );
        assert!(error.ends_with("t2-many-decoders) nor a file"), "{error}");
    }
}
