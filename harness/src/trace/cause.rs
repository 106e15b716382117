//! Which of the things that were said to a device a failure is about.
//!
//! A machine that fails on the way undoes what it has done, and says more to its devices by that. So it is not simply
//! what was said last: it is what failed in the words of the failure, or the last access to the register that the
//! failure names.

use cxl_spec::component::hdm;

use super::names;
use crate::report::story::Event;

/// The number of the event that a failure is about, among those of the step that failed.
pub(super) fn cause<'a>(
    events: impl DoubleEndedIterator<Item = &'a Event> + Clone,
    failure: &str,
) -> Option<usize> {
    let failed = events.clone().find(|event| is_told(event, failure));
    let named = || {
        let wrong = hdm::DECODER.iter().find(|register| {
            !register.fields.is_empty() && failure.contains(&format!("{} reads", register.name))
        })?;
        let place = names::of_decoder(0, wrong.name);
        events.clone().rfind(|event| event.place == place && event.what.contains("read"))
    };
    failed.or_else(named).or_else(|| events.clone().next_back()).map(|event| event.number)
}

/// Whether it failed, and the failure says so.
fn is_told(event: &Event, failure: &str) -> bool {
    let is_named = !event.place.is_empty() || failure.contains(&event.what);
    is_named && event.failure.as_ref().is_some_and(|why| failure.contains(why.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::story::Who;

    fn event(number: usize, what: &str, place: &str, failure: Option<&str>) -> Event {
        Event {
            number,
            step: 0,
            at_us: 0,
            who: Who::Machine,
            device: "gpu0".to_owned(),
            what: what.to_owned(),
            place: place.to_owned(),
            offset: String::new(),
            value: String::new(),
            words: String::new(),
            failure: failure.map(str::to_owned),
        }
    }

    fn events() -> [Event; 6] {
        [
            event(1, "DEVICE_SET_IRQS of interrupt 3", "", Some("refused with EINVAL")),
            event(2, "write", "HDM decoder 0 BASE LOW", None),
            event(3, "read", "HDM decoder 0 BASE LOW", None),
            event(4, "DMA_MAP of [0x0, 0x1000)", "", Some("refused with EINVAL")),
            event(5, "DMA_UNMAP of [0x0, 0x1000)", "", Some("refused with EINVAL")),
            event(6, "write", "Command", None),
        ]
    }

    #[test]
    fn a_failure_is_about_what_it_names_and_not_about_what_undoes_it() {
        let events = events();
        let about = |failure| cause(events.iter(), failure);
        assert_eq!(about("gpu0: HDM Decoder Base Low reads 0x0 where 0x10000000 was expected"), Some(3));
        assert_eq!(about("gpu0: DMA_MAP of [0x0, 0x1000): refused with EINVAL"), Some(4));
        assert_eq!(about("gpu0: committed = false"), Some(6));
        assert_eq!(cause([].iter(), "gpu0: committed = false"), None);
    }
}
