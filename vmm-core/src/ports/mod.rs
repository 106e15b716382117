//! What the machine itself has of CXL: host bridges and root ports, as registers that a guest finds.
//!
//! ```text
//!  configuration space ─▶ root port: header of a bridge, PCI Express, DVSECs 3, 4, 7 and 8
//!  its BAR 0           ─▶ component registers: RAS, link
//!  a slot of its own   ─▶ component registers of the host bridge: extended security
//! ```
//!
//! Neither has HDM decoders: with one port below a bridge and one endpoint below a port, everything that reaches
//! the bridge is for that endpoint. Bus numbers, windows and BARs are the machine's and stay where they are.
//!
//! Below a port is a slot whose device comes and goes. Its status tells, and where the guest has turned that on, a
//! message of the port's. A port that resets what is below it, and errors that a port finds, are not here.

mod component;
mod registers;
mod root_port;
mod slot;

use std::sync::Arc;

use cxl_spec::access::Access;

use crate::backend::event::Event;
use crate::irq::Connection;
use crate::irq::IrqError;
use crate::irq::Message;
use crate::irq::Receiver;
use crate::plan::Bridge;
use crate::sync::Mutex;
use component::ComponentBlock;
use root_port::RootPort;

/// A host bridge and its root port.
#[derive(Debug)]
pub(crate) struct HostBridge {
    /// The port's requester ID.
    pub(crate) port_function: u16,
    registers: Mutex<ComponentBlock>,
    port: Mutex<RootPort>,
    port_registers: Mutex<ComponentBlock>,
    receiver: Arc<dyn Receiver>,
    messages: Mutex<Option<Messages>>,
}

/// What takes the port's messages to the guest.
#[derive(Debug)]
struct Messages {
    message: Message,
    event: Arc<Event>,
    _connection: Box<dyn Connection>,
}

/// Whose component registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Component {
    /// Those of the host bridge with this number in the plan.
    HostBridge(usize),
    /// Those of its root port.
    RootPort(usize),
}

impl HostBridge {
    /// The bridge that was planned, with a device in the slot of its port or without one, and who takes the port's
    /// messages.
    pub(crate) fn new(planned: &Bridge, is_present: bool, receiver: Arc<dyn Receiver>) -> Self {
        Self {
            port_function: planned.port.bdf.requester_id(),
            registers: Mutex::new(ComponentBlock::of_host_bridge(planned.port.number)),
            port: Mutex::new(RootPort::new(planned, is_present)),
            port_registers: Mutex::new(ComponentBlock::of_root_port()),
            receiver,
            messages: Mutex::default(),
        }
    }

    /// A device came into the port's slot, or went.
    pub(crate) fn set_present(&self, is_present: bool) {
        if self.port.lock().set_present(is_present) {
            self.send();
        }
    }

    /// The port's message goes to the guest, if MSI is on.
    fn send(&self) {
        self.messages.lock().iter().for_each(|messages| messages.event.signal());
    }

    /// From now on the port's messages are this, or there are none.
    fn connect(&self, message: Option<Message>) -> Result<(), IrqError> {
        let mut messages = self.messages.lock();
        if messages.as_ref().map(|messages| messages.message) == message {
            return Ok(());
        }
        // What was sent before goes as it was.
        self.receiver.attend();
        *messages = None;
        if let Some(message) = message {
            let event = Arc::new(Event::new()?);
            let _connection = self.receiver.connect(&event, message)?;
            *messages = Some(Messages { message, event, _connection });
        }
        Ok(())
    }

    /// What is read of the port's configuration space.
    pub(crate) fn config_read(&self, access: Access) -> u64 {
        self.port.lock().read(access)
    }

    /// What is written there.
    ///
    /// # Errors
    /// If the hypervisor does not take the port's messages. It sends none then.
    pub(crate) fn config_write(&self, access: Access, value: u64) -> Result<(), IrqError> {
        let mut port = self.port.lock();
        let is_sent = port.write(access, value);
        let connected = self.connect(port.message());
        if is_sent {
            self.send();
        }
        connected
    }

    /// What is read of component registers; nothing where an access is not one that they take.
    pub(crate) fn read(&self, of: Component, access: Access) -> Option<u64> {
        self.block(of).lock().read(access)
    }

    /// What is written there; nothing where an access is not one that they take.
    pub(crate) fn write(&self, of: Component, access: Access, value: u64) -> Option<()> {
        self.block(of).lock().write(access, value)
    }

    fn block(&self, of: Component) -> &Mutex<ComponentBlock> {
        match of {
            Component::HostBridge(_) => &self.registers,
            Component::RootPort(_) => &self.port_registers,
        }
    }
}

impl Component {
    /// The number of the bridge in the plan.
    pub(crate) fn bridge(self) -> usize {
        match self {
            Self::HostBridge(bridge) | Self::RootPort(bridge) => bridge,
        }
    }
}

#[cfg(test)]
mod tests;
