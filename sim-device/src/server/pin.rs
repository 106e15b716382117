//! The interrupt pin as its user hears of it, as a value.
//!
//! ```text
//!               attached                 asserted, and told
//!  Unheard ────────────────▶ Listening ─────────────────────▶ Masked
//!     ▲                        │   ▲ └─────── masked ──────────▶ │
//!     │                        │   └──────── unmasked ───────────┘
//!     └────── taken back ──────┴─────────────────────────────────┘
//! ```
//!
//! It masks itself when it is told, as a kernel has it: nobody else can make it quiet. What is asserted when it is
//! unmasked is told again.

/// Whether the user hears of the pin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Pin {
    /// Nobody has attached anything.
    #[default]
    Unheard,
    /// It is told as soon as it is asserted.
    Listening,
    /// It was told, or the user masked it.
    Masked,
}

impl Pin {
    /// The user has attached an event. In place of another one, it stays masked if it was.
    pub(super) fn attach(&mut self) {
        if *self == Self::Unheard {
            *self = Self::Listening;
        }
    }

    /// The user has taken the event back.
    pub(super) fn take_back(&mut self) {
        *self = Self::Unheard;
    }

    /// The user masks it, or unmasks it. Nothing where nobody has attached anything.
    pub(super) fn set_masked(&mut self, masked: bool) -> Option<()> {
        *self = match self {
            Self::Unheard => return None,
            Self::Listening | Self::Masked if masked => Self::Masked,
            Self::Listening | Self::Masked => Self::Listening,
        };
        Some(())
    }

    /// The pin is seen. True if that is told now.
    pub(super) fn sees(&mut self, asserted: bool) -> bool {
        let told = asserted && *self == Self::Listening;
        if told {
            *self = Self::Masked;
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Copy, Debug)]
    enum Event {
        Attach,
        TakeBack,
        Mask,
        Unmask,
        Asserts,
        Deasserts,
    }

    fn event() -> impl Strategy<Value = Event> {
        use Event::Asserts;
        use Event::Attach;
        use Event::Deasserts;
        use Event::Mask;
        use Event::TakeBack;
        use Event::Unmask;
        prop::sample::select(vec![Attach, TakeBack, Mask, Unmask, Asserts, Deasserts])
    }

    /// At which events the pin tells.
    fn told(events: &[Event]) -> Vec<usize> {
        let (mut pin, mut asserted) = (Pin::default(), false);
        let mut told = Vec::new();
        for (now, event) in events.iter().enumerate() {
            match event {
                Event::Attach => pin.attach(),
                Event::TakeBack => pin.take_back(),
                Event::Mask => drop(pin.set_masked(true)),
                Event::Unmask => drop(pin.set_masked(false)),
                Event::Asserts => asserted = true,
                Event::Deasserts => asserted = false,
            }
            told.extend(pin.sees(asserted).then_some(now));
        }
        told
    }

    /// The same by a count of open gates: attached, not masked, asserted. All three open tells, and shuts one.
    fn expected(events: &[Event]) -> Vec<usize> {
        let (mut attached, mut open, mut asserted) = (false, true, false);
        let mut told = Vec::new();
        for (now, event) in events.iter().enumerate() {
            match event {
                Event::Attach => (attached, open) = (true, open || !attached),
                Event::TakeBack => attached = false,
                Event::Mask => open = open && !attached,
                Event::Unmask => open = open || attached,
                Event::Asserts | Event::Deasserts => asserted = matches!(event, Event::Asserts),
            }
            if [attached, open, asserted].iter().filter(|gate| **gate).count() == 3 {
                told.push(now);
                open = false;
            }
        }
        told
    }

    #[test]
    fn who_has_attached_nothing_masks_nothing() {
        let mut pin = Pin::default();
        assert_eq!((pin.set_masked(true), pin.set_masked(false), pin.sees(true)), (None, None, false));
        pin.attach();
        assert_eq!((pin.set_masked(true), pin.sees(true)), (Some(()), false));
        assert_eq!((pin.set_masked(false), pin.sees(true), pin.sees(true)), (Some(()), true, false));
    }

    #[test]
    fn another_event_in_place_of_the_first_leaves_the_mask() {
        let mut pin = Pin::default();
        pin.attach();
        assert!(pin.sees(true));
        pin.attach();
        assert!(!pin.sees(true));
        pin.take_back();
        pin.attach();
        assert!(pin.sees(true), "who begins anew is told of what is asserted");
    }

    proptest! {
        #[test]
        fn it_tells_when_all_gates_are_open_and_not_twice_without_a_new_reason(
            events in prop::collection::vec(event(), 0..40)
        ) {
            let told = told(&events);
            prop_assert_eq!(&told, &expected(&events));
            for pair in told.windows(2) {
                let between = &events[pair[0] + 1..=pair[1]];
                prop_assert!(between.iter().any(|event| matches!(event, Event::Unmask | Event::Attach)));
            }
        }
    }
}
