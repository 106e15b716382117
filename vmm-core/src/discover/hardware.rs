//! The component registers of a device that the kernel shows without vfio-cxl: through the BAR that has them, where the
//! Register Locator says. Memory Space is on for so long.

use cxl_spec::component::BLOCK_SIZE;
use cxl_spec::component::CACHEMEM_OFFSET;
use cxl_spec::component::CACHEMEM_SIZE;
use cxl_spec::component::hdm;
use cxl_spec::dvsec::register_locator;

use super::DiscoverError;
use super::Here;
use super::Inventory;
use super::cxl::Component;
use super::cxl::Decoder;
use super::registers::Registers;
use crate::backend::Shared;
use crate::backend::enabled::Enabled;

/// What the hardware itself says of its decoders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hardware {
    /// The BAR that has the component block.
    pub bar: u8,
    /// Offset in the BAR of the component block.
    pub component: u64,
    /// The capability array.
    pub capabilities: Vec<Component>,
    /// What the decoders can do.
    pub capability: hdm::Capability,
    /// The decoders.
    pub decoders: Vec<Decoder>,
}

/// Reads the decoders through the BAR; nothing where the device lists no component block, or none that is in a BAR.
///
/// # Errors
/// If the device does not answer, or says something that cannot be.
pub fn hardware(backend: &Shared, inventory: &Inventory) -> Result<Option<Hardware>, DiscoverError> {
    let here = Here { device: &inventory.device };
    let mut blocks = inventory.config.blocks.iter();
    let block = blocks.find(|found| found.block == register_locator::block::COMPONENT);
    let inside = block.and_then(|block| {
        let region = inventory.region(block.bar.into())?;
        block.offset.checked_add(BLOCK_SIZE).filter(|end| *end <= region.size)
    });
    let Some((block, _)) = block.zip(inside) else { return Ok(None) };
    let _answering = Enabled::with_memory_space(backend)?;
    let start = block.offset.saturating_add(CACHEMEM_OFFSET);
    let array = Registers { backend, here: &here, region: block.bar.into(), start, size: CACHEMEM_SIZE };
    let capabilities = array.capability_array()?;
    let (capability, decoders) = array.hdm(array.hdm_pointer(&capabilities)?)?;
    Ok(Some(Hardware { bar: block.bar, component: block.offset, capabilities, capability, decoders }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::fake::Fake;
    use crate::discover::discover;

    #[test]
    fn the_decoders_are_where_the_locator_and_the_array_lead() {
        let fake = Fake::committed().with(|state| {
            let memory = state.regions[&2].memory.as_ref().unwrap();
            memory.write(0x2_1128, &0x1000_0000_u32.to_le_bytes()).unwrap();
            memory.write(0x2_1130, &0x700_u32.to_le_bytes()).unwrap();
        });
        let inventory = discover(&fake.shared()).unwrap();
        let before = fake.dword(7, 4);
        let found = hardware(&fake.shared(), &inventory).unwrap().unwrap();
        assert_eq!((found.bar, found.component, found.capabilities.len()), (2, 0x2_0000, 2));
        let decoder = found.decoders[0];
        assert_eq!((decoder.size, decoder.control.committed()), (0x1000_0000, true));
        assert_eq!(fake.dword(7, 4), before, "the command register is as it was");
    }

    #[test]
    fn without_a_locator_or_a_bar_for_its_block_there_is_nothing_to_read() {
        let gone = Fake::committed().with(|state| state.set(7, 0x20c, 0x0002_0002));
        let outside = Fake::committed().with(|state| state.set(7, 0x20c, 0x00f1_0102));
        for fake in [gone, outside] {
            let inventory = discover(&fake.shared()).unwrap();
            assert_eq!(hardware(&fake.shared(), &inventory), Ok(None));
        }
    }

    #[test]
    fn a_block_that_reads_ones_is_an_error_and_leaves_the_command_register() {
        let fake = Fake::committed().with(|state| {
            let memory = state.regions[&2].memory.as_ref().unwrap();
            memory.write(0x2_1000, &[0xff; 4]).unwrap();
        });
        let inventory = discover(&fake.shared()).unwrap();
        let before = fake.dword(7, 4);
        let error = hardware(&fake.shared(), &inventory).unwrap_err().to_string();
        assert!(error.contains("a dead device reads all ones"), "{error}");
        assert_eq!(fake.dword(7, 4), before);
    }
}
