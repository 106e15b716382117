//! What an access reaches, and what it does there.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use cxl_spec::access::Access;
use cxl_spec::access::Width;
use cxl_spec::address::Gpa;

use super::Bus;
use super::Device;
use crate::map::space::Behind;
use crate::map::space::Shape;
use crate::map::space::Target;
use crate::map::space::Trap;

/// A part of an access, and what it reaches.
#[derive(Debug)]
struct Piece {
    access: Access,
    target: Option<Target>,
    /// The device that a region is of, if it is there.
    device: Option<Arc<Device>>,
}

impl Bus {
    /// The guest loads `buffer.len()` bytes.
    pub fn load(&self, at: Gpa, buffer: &mut [u8]) {
        let mut rest = buffer;
        for piece in self.reached(at, rest.len()) {
            let width = piece.access.width();
            let (bytes, length) = width.to_bytes(self.load_piece(&piece));
            let Some((piece, behind)) = rest.split_at_mut_checked(length) else { break };
            piece.copy_from_slice(bytes.get(..length).unwrap_or_default());
            rest = behind;
        }
        self.act_on_losses();
    }

    /// The guest stores.
    pub fn store(&self, at: Gpa, data: &[u8]) {
        let mut rest = data;
        for piece in self.reached(at, data.len()) {
            let length = piece.access.width().bytes() as usize;
            let Some((bytes, behind)) = rest.split_at_checked(length) else { break };
            self.store_piece(&piece, bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)));
            rest = behind;
        }
        self.act_on_losses();
    }

    /// All that an access reaches, as it is at one moment: no device that has come since, or moved, is taken for the
    /// one that was there.
    fn reached(&self, at: Gpa, length: usize) -> Vec<Piece> {
        self.accesses.fetch_add(1, Ordering::Relaxed);
        let devices = self.devices.read();
        let targets = self.space.targets(at, length as u64).into_iter();
        let piece = |(access, target)| {
            let device = match &target {
                Some(Target::Trap(Trap::Region(behind), _)) => devices.get(&behind.device).cloned(),
                _ => None,
            };
            Piece { access, target, device }
        };
        targets.map(piece).collect()
    }

    fn load_piece(&self, Piece { access, target, device }: &Piece) -> u64 {
        let width = access.width();
        let ones = width.mask();
        match target {
            Some(Target::Memory(memory, offset)) => memory.load(*offset, width).unwrap_or(ones),
            Some(Target::Trap(Trap::Ecam, offset)) => self.config_load(*offset, width),
            Some(Target::Trap(Trap::IoApic, offset)) => self.controller_load(*offset, width),
            Some(Target::Trap(Trap::Component(of), offset)) => self.component_load(*of, *offset, width),
            Some(Target::Trap(Trap::Smmu(index), offset)) => {
                let smmu = self.smmus.get(*index).zip(Access::new(*offset, width));
                smmu.map_or(ones, |(smmu, access)| smmu.read(access))
            }
            Some(Target::Trap(Trap::Region(behind), offset)) => {
                let inside = device.as_deref().zip(inside(behind, *offset, width));
                inside.map_or(ones, |(device, access)| self.region_load(device, behind, access))
            }
            None => self.nothing_there() & ones,
        }
    }

    fn store_piece(&self, Piece { access, target, device }: &Piece, value: u64) {
        let width = access.width();
        match target {
            Some(Target::Memory(memory, offset)) => drop(memory.store(*offset, width, value)),
            Some(Target::Trap(Trap::Ecam, offset)) => self.config_store(*offset, width, value),
            Some(Target::Trap(Trap::IoApic, offset)) => self.controller_store(*offset, width, value),
            Some(Target::Trap(Trap::Component(of), offset)) => {
                self.component_store(*of, *offset, width, value);
            }
            Some(Target::Trap(Trap::Smmu(index), offset)) => {
                let smmu = self.smmus.get(*index).zip(Access::new(*offset, width));
                smmu.into_iter().for_each(|(smmu, access)| smmu.write(access, value));
            }
            Some(Target::Trap(Trap::Region(behind), offset)) => {
                let inside = device.as_deref().zip(inside(behind, *offset, width));
                inside
                    .into_iter()
                    .for_each(|(device, access)| self.region_store(device, behind, access, value));
            }
            None => drop(self.nothing_there()),
        }
    }

    /// Of an access that is two calls both are answered, or it reads ones.
    fn region_load(&self, device: &Device, behind: &Behind, access: Access) -> u64 {
        let load = |piece: Access| {
            let own = device.memory.decoder_read(behind.region, piece).map(u64::from);
            own.or_else(|| self.device_load(device, behind.region, piece))
        };
        let loaded = match (behind.shape, access.width()) {
            (Shape::Any, _) | (Shape::Dwords, Width::Dword) => load(access),
            (Shape::Dwords, Width::Qword) => {
                let mut dwords = Access::split(access.offset(), 8, Width::Dword);
                dwords.try_fold(0, |value, piece| {
                    Some(value | load(piece)? << (8 * (piece.offset() - access.offset())))
                })
            }
            (Shape::Dwords, Width::Byte | Width::Word) => Some(self.nothing_there()),
        };
        loaded.unwrap_or(u64::MAX) & access.width().mask()
    }

    fn region_store(&self, device: &Device, behind: &Behind, access: Access, value: u64) {
        let store =
            |piece: Access, value| match device.memory.decoder_write(behind.region, piece, value as u32) {
                Some(true) => {}
                Some(false) => drop(self.nothing_there()),
                None => self.device_store(device, behind.region, piece, value),
            };
        match (behind.shape, access.width()) {
            (Shape::Any, _) | (Shape::Dwords, Width::Dword) => store(access, value),
            (Shape::Dwords, Width::Qword) => {
                for piece in Access::split(access.offset(), 8, Width::Dword) {
                    store(piece, value >> (8 * (piece.offset() - access.offset())) & piece.width().mask());
                }
            }
            (Shape::Dwords, Width::Byte | Width::Word) => {
                self.nothing_there();
            }
        }
    }
}

/// The access as the region sees it.
fn inside(behind: &Behind, offset: u64, width: Width) -> Option<Access> {
    Access::new(behind.offset.saturating_add(offset), width)
}
