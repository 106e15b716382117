//! Where a device has which register, by the tables of the specifications.

use cxl_spec::component;
use cxl_spec::component::array;
use cxl_spec::component::hdm;
use cxl_spec::dvsec;
use cxl_spec::pci;
use cxl_spec::register::Register;
use sim_device::kernel::Abi;
use sim_device::profile::Profile;
use vfio_abi::info::region;
use vmm_core::backend::Shared;
use vmm_core::discover::Inventory;
use vmm_core::discover::config::Extended;
use vmm_core::discover::cxl::Cxl;
use vmm_core::discover::discover;

use crate::within::Within;

/// The head of the capability array, and an entry of it.
const ARRAY: &[Register] = &[array::Header::at(0)];
const ENTRY: &[Register] = &[array::Entry::at(0)];

/// What is known of where registers are.
#[derive(Clone, Debug)]
pub struct Names {
    blocks: Vec<Block>,
    memory: Option<u32>,
    registers: Option<u32>,
}

/// A table of registers at its place.
#[derive(Clone, Copy, Debug)]
struct Block {
    region: u32,
    start: u64,
    table: &'static [Register],
    /// Which decoder, if it is one.
    decoder: Option<u8>,
}

/// A register of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Its name, with the number of the decoder that it belongs to.
    pub name: String,
    /// Where in its region it is.
    pub offset: u64,
    /// What the table says of it.
    pub register: Register,
}

impl Names {
    /// What every PCI function has: its header.
    pub fn of_any() -> Self {
        let blocks = vec![Block::new(region::CONFIG, 0, pci::header::REGISTERS)];
        Self { blocks, memory: None, registers: None }
    }

    /// What this device has.
    pub fn of(found: &Inventory) -> Self {
        let mut names = Self::of_any();
        let config = |start, table| Block::new(region::CONFIG, start, table);
        let plain = found.config.capabilities.iter();
        names.blocks.extend(plain.map(|at| config(at.offset.into(), pci::capability_registers(at.id))));
        let extended = found.config.extended.iter();
        names.blocks.extend(extended.map(|at| config(at.offset.into(), extended_table(at))));
        if let Some(cxl) = &found.cxl {
            names.memory = Some(cxl.description.memory);
            names.registers = Some(cxl.description.registers);
            names.blocks.extend(component_blocks(cxl));
        }
        names
    }

    /// What a device of this profile has that this kernel binds. It is asked of another one of its kind, in this
    /// process: nobody but the scenario says a word to the device itself. One that lies about where its registers are
    /// has the names of any.
    pub fn of_simulated(profile: Option<&Profile>, abi: &Abi) -> Self {
        let usual = Profile::default();
        let client = Within::client(profile.unwrap_or(&usual), abi).ok();
        let found = client.and_then(|client| discover(&Shared::new(client)).ok());
        found.map_or_else(Self::of_any, |found| Self::of(&found))
    }

    /// What a region is called.
    pub fn region(&self, index: u32) -> String {
        match index {
            region::CONFIG => "config".to_owned(),
            region::BAR0..=region::BAR5 => format!("bar{index}"),
            region::ROM => "rom".to_owned(),
            _ if self.memory == Some(index) => "device memory".to_owned(),
            _ if self.registers == Some(index) => "COMP_REGS".to_owned(),
            _ => format!("region {index}"),
        }
    }

    /// The registers that an access of so many bytes has a part of, without reserved ones.
    pub fn registers(&self, region: u32, offset: u64, count: u64) -> Vec<Named> {
        let blocks = self.blocks.iter().filter(|block| block.region == region);
        let mut found: Vec<_> = blocks.flat_map(|block| block.touched(offset, count)).collect();
        found.sort_by_key(|named| named.offset);
        found
    }
}

impl Block {
    fn new(region: u32, start: u64, table: &'static [Register]) -> Self {
        Self { region, start, table, decoder: None }
    }

    fn touched(&self, offset: u64, count: u64) -> impl Iterator<Item = Named> + '_ {
        let end = offset.saturating_add(count);
        let at = |register: &Register| self.start.saturating_add(register.offset);
        let is_touched = move |register: &&Register| {
            !register.fields.is_empty()
                && at(register) < end
                && self.start.saturating_add(register.end()) > offset
        };
        self.table.iter().filter(is_touched).map(move |register| Named {
            name: self.name(register),
            offset: at(register),
            register: *register,
        })
    }

    fn name(&self, register: &Register) -> String {
        self.decoder.map_or_else(|| register.name.to_owned(), |decoder| of_decoder(decoder, register.name))
    }
}

/// What a register is called that each decoder has.
pub(super) fn of_decoder(decoder: u8, register: &str) -> String {
    let of_one = register.strip_prefix("HDM Decoder ").unwrap_or(register);
    let short = if of_one == "Control" { "CTRL".to_owned() } else { of_one.to_uppercase() };
    format!("HDM decoder {decoder} {short}")
}

fn extended_table(at: &Extended) -> &'static [Register] {
    match at.dvsec {
        Some(found) if found.vendor == dvsec::VENDOR => dvsec::registers(found.id),
        Some(_) => &[],
        None => pci::extended_capability_registers(at.id),
    }
}

/// The component registers in their own region, and in the BAR that it covers a part of.
fn component_blocks(cxl: &Cxl) -> Vec<Block> {
    let (region, bar) = (cxl.description.registers, region::BAR0.saturating_add(cxl.description.bar.into()));
    let places = [(region, 0), (bar, cxl.description.offset)];
    let decoders = cxl.capabilities.iter().find(|entry| entry.id == array::id::HDM_DECODER);
    // What the array says counts from the array; a region may begin elsewhere.
    let listed = decoders.map_or(cxl.hdm, |entry| entry.offset);
    let in_region = |offset: u64| offset.saturating_add(cxl.hdm).checked_sub(listed);
    let mut blocks = Vec::new();
    for (region, start) in places {
        let at = |offset: u64| start.saturating_add(offset);
        if let Some(array) = in_region(0) {
            blocks.push(Block::new(region, at(array), ARRAY));
            let entries = (1..=u8::MAX).zip(&cxl.capabilities).map(|(index, _)| array::entry_offset(index));
            blocks.extend(entries.map(|offset| Block::new(region, at(array).saturating_add(offset), ENTRY)));
        }
        for entry in &cxl.capabilities {
            let table = component::registers(entry.id);
            blocks.extend(in_region(entry.offset).map(|offset| Block::new(region, at(offset), table)));
        }
        for (index, _) in (0..).zip(&cxl.decoders) {
            let start = at(cxl.hdm.saturating_add(hdm::decoder_offset(index)));
            blocks.push(Block { region, start, table: hdm::DECODER, decoder: Some(index) });
        }
    }
    blocks
}
