//! The calls on a fake device.

use std::fs::File;
use std::os::fd::AsFd;
use std::sync::Arc;

use cxl_spec::address::Iova;
use cxl_spec::address::Span;
use vfio_abi::errno::Errno;
use vfio_abi::info::IrqInfo;
use vfio_abi::info::region;
use vfio_abi::request::DmaFlags;

use super::super::Backend;
use super::super::BackendError;
use super::super::Call;
use super::super::DmaMemory;
use super::super::Failure;
use super::super::Given;
use super::super::event::Event;
use super::super::irqs::Action;
use super::super::irqs::IoEvent;
use super::super::irqs::IrqChange;
use super::super::irqs::Vectors;
use super::Fake;
use super::HDM_IN_BAR;
use super::Kernel;
use crate::map::memory::HostMemory;

impl Backend for Fake {
    fn name(&self) -> &str {
        "fake"
    }

    fn device_info(&mut self) -> Result<Vec<u8>, BackendError> {
        Ok(self.called(Call::DeviceInfo)?.info.encode(u32::MAX))
    }

    fn region_info(&mut self, index: u32) -> Result<(Vec<u8>, Option<File>), BackendError> {
        let call = Call::RegionInfo { index };
        let state = self.called(call)?;
        let refused =
            || BackendError { device: "fake".to_owned(), call, failure: Failure::Refused(Errno::EINVAL) };
        let region = state.regions.get(&index).ok_or_else(refused)?;
        let copy = |memory: &HostMemory| File::from(memory.file().as_fd().try_clone_to_owned().unwrap());
        Ok((region.info.encode(u32::MAX), region.memory.as_ref().map(copy)))
    }

    fn irq_info(&mut self, index: u32) -> Result<IrqInfo, BackendError> {
        drop(self.called(Call::IrqInfo { index })?);
        let count = [0, 0, 8, 1, 1].get(index as usize).copied().unwrap_or(0);
        Ok(IrqInfo { argsz: 16.into(), flags: 1.into(), index: index.into(), count: count.into() })
    }

    fn read(&mut self, region: u32, offset: u64, buffer: &mut [u8]) -> Result<(), BackendError> {
        let call = Call::Read { region, offset, count: buffer.len() };
        let state = self.called(call)?;
        let error = |failure| BackendError { device: "fake".to_owned(), call, failure };
        if state.is_asleep(region) {
            return Err(error(Failure::Refused(Errno::EIO)));
        }
        let hides = state.kernel == Kernel::Newest && region == 2;
        let region = state.regions.get(&region).ok_or_else(|| error(Failure::Refused(Errno::EINVAL)))?;
        if let Some(memory) = &region.memory {
            memory.read(offset, buffer).unwrap();
            if hides && (HDM_IN_BAR..HDM_IN_BAR + 0x30).contains(&offset) {
                buffer.fill(0xff);
            }
            return Ok(());
        }
        let end = offset as usize + buffer.len();
        let short = Failure::Short { done: 0, asked: buffer.len() };
        buffer.copy_from_slice(region.bytes.get(offset as usize..end).ok_or_else(|| error(short))?);
        Ok(())
    }

    fn write(&mut self, region: u32, offset: u64, data: &[u8]) -> Result<(), BackendError> {
        let mut state = self.called(Call::Write { region, offset, count: data.len() })?;
        if region == state.registers() {
            state.write_register(offset, u32::from_le_bytes(data.try_into().unwrap()));
            return Ok(());
        }
        if let Some(memory) = &state.regions[&region].memory {
            memory.write(offset, data).unwrap();
            return Ok(());
        }
        state.bytes(region)[offset as usize..offset as usize + data.len()].copy_from_slice(data);
        // Initiate Function Level Reset, in the upper byte of Device Control, which reads 0.
        if region == region::CONFIG && state.bytes(region)[0x49] & 0x80 != 0 {
            state.bytes(region)[0x49] = 0;
            state.was_reset();
        }
        Ok(())
    }

    fn dma_map(
        &mut self,
        range: Span<Iova>,
        file: &Arc<File>,
        offset: u64,
        allowed: DmaFlags,
    ) -> Result<(), BackendError> {
        let call = Call::DmaMap { range };
        let given = Given::File { range, file: file.clone(), offset, allowed };
        self.remember(|all| all.push(given.clone()));
        let mut state = self.called(call)?;
        if let Some((_, errno)) = state.refuses_from.filter(|(from, _)| range.start().get() >= *from) {
            let failure = Failure::Refused(errno);
            return Err(BackendError { device: "fake".to_owned(), call, failure });
        }
        if state.kept.contains(&range) {
            let failure = Failure::Refused(Errno::EEXIST);
            return Err(BackendError { device: "fake".to_owned(), call, failure });
        }
        let there = state.dma.iter().find(|there| there.overlaps(range));
        assert_eq!(there, None, "two mappings overlap: {range}");
        state.dma.push(range);
        state.files.insert(range.start().get(), (range.size(), offset, allowed));
        state.given.push(given);
        Ok(())
    }

    fn dma_ask(&mut self, range: Span<Iova>, memory: Arc<dyn DmaMemory>) -> Result<(), BackendError> {
        let given = Given::Asked { range, memory: memory.clone() };
        self.remember(|all| all.push(given.clone()));
        let mut state = self.called(Call::DmaAsk { range })?;
        state.dma.push(range);
        state.given.push(given);
        state.asks = Some(memory);
        Ok(())
    }

    fn attend(&mut self) -> Result<(), BackendError> {
        let (asks, wants) = self.look(|state| (state.asks.clone(), state.wants));
        if let Some((asks, wants)) = asks.zip(wants) {
            let mut bytes = [0; 8];
            let answer = asks.read(wants, &mut bytes).map(|()| u64::from_le_bytes(bytes));
            self.state.lock().told.push(answer);
        }
        Ok(())
    }

    fn lost(&self) -> Option<BackendError> {
        self.look(|state| state.lost.clone())
    }

    fn given(&self) -> Vec<Given> {
        self.look(|state| state.given.clone())
    }

    fn dma_unmap(&mut self, range: Span<Iova>) -> Result<(), BackendError> {
        let others = |all: &mut Vec<Given>| all.retain(|given| given.range() != range);
        if let Err(error) = self.called(Call::DmaUnmap { range }).map(drop) {
            // One that is lost over it, too.
            self.remember(others);
            self.state.lock().kept.push(range);
            return Err(error);
        }
        let mut state = self.state.lock();
        others(&mut state.given);
        state.kept.retain(|kept| *kept != range);
        let at = state.dma.iter().position(|mapped| *mapped == range);
        state.dma.remove(at.expect("only what was mapped is unmapped"));
        state.files.remove(&range.start().get());
        Ok(())
    }

    fn set_irqs(&mut self, change: &IrqChange<'_>) -> Result<(), BackendError> {
        let (index, start, count) = (change.index, change.start, change.vectors.count());
        let call = Call::SetIrqs { index, start, count };
        let mut state = self.called(call)?;
        match change.vectors {
            Vectors::All(count) if change.action == Action::Unmask => state.unmasked += count,
            Vectors::Events(_) if change.action == Action::Unmask && state.no_unmask_events => {
                let failure = Failure::Refused(Errno::ENOTTY);
                return Err(BackendError { device: "fake".to_owned(), call, failure });
            }
            Vectors::Events(events) if change.action == Action::Unmask => {
                let event =
                    events.first().copied().flatten().map(|event| event.try_clone_to_owned().unwrap());
                state.unmask_event = event.map(Event::of);
            }
            Vectors::All(0) => state.events.retain(|(there, _), _| *there != index),
            Vectors::Events(events) => {
                for (vector, event) in (start..).zip(events) {
                    state.events.remove(&(index, vector));
                    let event = event.map(|event| Event::of(event.try_clone_to_owned().unwrap()));
                    state.events.extend(event.map(|event| ((index, vector), event)));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn io_events(&mut self, region: u32) -> Result<Vec<IoEvent>, BackendError> {
        self.called(Call::IoEvents { index: region }).map(|state| state.io_events.clone())
    }

    fn reset(&mut self) -> Result<(), BackendError> {
        self.called(Call::Reset)?.was_reset();
        Ok(())
    }
}
