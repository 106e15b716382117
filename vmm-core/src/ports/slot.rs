//! When a slot's events interrupt (PCIe 6.2, 6.7.3.4), as a value.
//!
//! ```text
//!  Slot Status    an event, until it is cleared ─┐
//!  Slot Control   that event is on ──────────────┴ and ─▶ any ─┐
//!                 hot-plug interrupt is on ────────────────────┴ and ─▶ condition: false to true is one message
//! ```
//!
//! Whether MSI is on is no part of the condition: what becomes true while it is off is told to nobody, and turning it
//! on later tells nothing.

use cxl_spec::pci::express::SlotControl;
use cxl_spec::pci::express::SlotStatus;

/// The condition as it was seen last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Slot {
    interrupts: bool,
}

impl Slot {
    /// The registers are seen. True if that is a message.
    pub(super) fn sees(&mut self, control: SlotControl, status: SlotStatus) -> bool {
        let before = std::mem::replace(&mut self.interrupts, interrupts(control, status));
        self.interrupts && !before
    }
}

fn interrupts(control: SlotControl, status: SlotStatus) -> bool {
    let presence = control.presence_detect_changed() && status.presence_detect_changed();
    let command = control.command_completed() && status.command_completed();
    let link = control.link_changed() && status.link_changed();
    control.hot_plug_interrupt() && (presence || command || link)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Bits of Slot Control, and the bit of Slot Status that each turns on, by hand.
    const EVENTS: [(u16, u16); 3] = [(0x0008, 0x0008), (0x0010, 0x0010), (0x1000, 0x0100)];
    const HOT_PLUG_INTERRUPT: u16 = 0x0020;

    fn sees(slot: &mut Slot, control: u16, status: u16) -> bool {
        slot.sees(SlotControl::new(control), SlotStatus::new(status))
    }

    #[test]
    fn an_event_is_one_message_until_all_are_cleared() {
        let mut slot = Slot::default();
        let on = 0x1038;
        assert!(!sees(&mut slot, on, 0));
        assert!(sees(&mut slot, on, 0x0148), "presence and link");
        assert!(!sees(&mut slot, on, 0x0148), "it has been told");
        assert!(!sees(&mut slot, on, 0x0140), "the link is left");
        assert!(!sees(&mut slot, on, 0x0148), "so the condition was true all the time");
        assert!(!sees(&mut slot, on, 0x0040), "a device that is there is no event");
        assert!(sees(&mut slot, on, 0x0048));
    }

    #[test]
    fn turning_an_event_on_that_has_come_is_a_message_and_without_the_main_switch_there_is_none() {
        let mut slot = Slot::default();
        assert!(!sees(&mut slot, 0x1018, 0x0118));
        assert!(sees(&mut slot, 0x1038, 0x0118));
        assert!(!sees(&mut slot, 0x0020, 0x0118));
        assert!(sees(&mut slot, 0x0028, 0x0118));
    }

    proptest! {
        /// The same by bits: each step's condition, and the steps at which it is true and was not.
        #[test]
        fn a_message_is_a_rising_edge_of_the_bits(
            steps in prop::collection::vec((any::<u16>(), any::<u16>()), 0..40)
        ) {
            let mut slot = Slot::default();
            let mut before = 0;
            for (control, status) in steps {
                let told = EVENTS.iter().filter(|(on, event)| control & on != 0 && status & event != 0).count();
                let now = told * usize::from(control & HOT_PLUG_INTERRUPT != 0);
                prop_assert_eq!(sees(&mut slot, control, status), before == 0 && now > 0);
                before = now;
            }
        }
    }
}
