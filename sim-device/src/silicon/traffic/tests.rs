use cxl_spec::access::Access;
use cxl_spec::access::Width;
use cxl_spec::component::hdm;
use proptest::prelude::*;

use super::*;
use crate::profile::Profile;

const HDM: u64 = 0x2_1110;
const BASE: u64 = 0x48_3000_0000;
const CONTROL_OF_DVSEC: u64 = 0x15c;
const GLOBAL_CONTROL: u64 = HDM + 4;

fn silicon(text: &str) -> Silicon {
    Silicon::power_on(Profile::parse("test", text).unwrap().check().unwrap()).unwrap()
}

fn write_bar2(silicon: &mut Silicon, offset: u64, value: u32) {
    silicon.bar_write(2, Access::new(offset, Width::Dword).unwrap(), value.into());
}

fn read(silicon: &Silicon, at: u64) -> (Completion, [u8; 8]) {
    let mut bytes = [0x11; 8];
    let completion = silicon.memory_read(Hpa::new(at), &mut bytes);
    (completion, bytes)
}

/// Programs a decoder without lock, in the order that Linux takes.
fn commit(silicon: &mut Silicon, index: u8, programme: [u64; 3], control: u32) {
    let decoder = HDM + hdm::decoder_offset(index);
    let [base, size, skip] = programme;
    for (offset, value) in [(hdm::BASE_LOW, base), (hdm::SIZE_LOW, size), (hdm::SKIP_LOW, skip)] {
        write_bar2(silicon, decoder + offset + 4, (value >> 32) as u32);
        write_bar2(silicon, decoder + offset, value as u32);
    }
    write_bar2(silicon, decoder + hdm::CONTROL, control | 0x200);
}

#[test]
fn what_the_host_stores_is_in_the_memory_and_comes_back() {
    let mut silicon = silicon("");
    assert_eq!(silicon.memory_write(Hpa::new(BASE + 0x1000), b"over CXL"), Written::Stored);
    assert_eq!(read(&silicon, BASE + 0x1000), (Completion::Data, *b"over CXL"));
    let mut bytes = [0; 8];
    silicon.memory().read_bytes(0x1000, &mut bytes);
    assert_eq!(&bytes, b"over CXL");
}

#[test]
fn what_no_decoder_takes_reads_ones_and_is_dropped() {
    let mut silicon = silicon("");
    for at in [0, BASE - 8, BASE + (256 << 20), u64::MAX - 7] {
        assert_eq!(silicon.memory_write(Hpa::new(at), &[0; 8]), Written::Dropped);
        assert_eq!(read(&silicon, at), (Completion::AllOnes, [0xff; 8]), "{at:#x}");
    }
}

#[test]
fn a_transfer_over_the_end_is_cut_at_the_line() {
    let mut silicon = silicon("");
    let end = BASE + (256 << 20);
    assert_eq!(silicon.memory_write(Hpa::new(end - 4), &[7; 8]), Written::Dropped);
    assert_eq!(read(&silicon, end - 4), (Completion::AllOnes, [7, 7, 7, 7, 0xff, 0xff, 0xff, 0xff]));
}

#[test]
fn a_miss_is_poison_where_the_device_can_and_software_chose_it() {
    let mut able = silicon("[decoder]\npoison_on_decode_error = true");
    assert_eq!(read(&able, 0).0, Completion::AllOnes);
    write_bar2(&mut able, GLOBAL_CONTROL, 3);
    assert_eq!(read(&able, 0), (Completion::Poison(Poison::DecodeError), [0xff; 8]));
    assert_eq!(read(&able, BASE).0, Completion::Data);

    let mut unable = silicon("");
    write_bar2(&mut unable, GLOBAL_CONTROL, 3);
    assert_eq!(read(&unable, 0).0, Completion::AllOnes);
}

#[test]
fn without_mem_enable_nothing_is_decoded() {
    let mut silicon = silicon("");
    silicon.config_write(Access::new(CONTROL_OF_DVSEC, Width::Word).unwrap(), 2);
    assert_eq!(read(&silicon, BASE).0, Completion::AllOnes);
}

#[test]
fn while_the_decoders_are_off_the_range_of_the_dvsec_decodes() {
    let mut silicon = silicon("[firmware]\nlocked = false");
    commit(&mut silicon, 0, [0; 3], 0);
    write_bar2(&mut silicon, HDM + 0x20, 0);
    assert_eq!(silicon.dpa_of(Hpa::new(BASE)), None, "released, and the decoders are still on");
    write_bar2(&mut silicon, GLOBAL_CONTROL, 0);
    assert_eq!(silicon.dpa_of(Hpa::new(BASE + 0x123)), Some(Dpa::new(0x123)));
    assert_eq!(silicon.dpa_of(Hpa::new(BASE + (256 << 20))), None);
    write_bar2(&mut silicon, GLOBAL_CONTROL, 2);
    commit(&mut silicon, 0, [0x1_0000_0000, 0x1000_0000, 0], 0);
    assert_eq!(silicon.dpa_of(Hpa::new(BASE)), None);
    assert_eq!(silicon.dpa_of(Hpa::new(0x1_0000_0040)), Some(Dpa::new(0x40)));
}

#[test]
fn a_second_decoder_decodes_behind_the_first_and_what_is_skipped() {
    let mut silicon = silicon("[decoder]\ncount = 2\n[memory]\nsize = \"1GiB\"\n[firmware]\nlocked = false");
    write_bar2(&mut silicon, HDM + 0x20, 0);
    commit(&mut silicon, 0, [0x1_0000_0000, 0x1000_0000, 0], 0);
    commit(&mut silicon, 1, [0x2_0000_0000, 0x2000_0000, 0x1000_0000], 0);
    let dpa = |at| silicon.dpa_of(Hpa::new(at)).map(Dpa::get);
    assert_eq!(dpa(0x1_0fff_ffff), Some(0x0fff_ffff));
    assert_eq!(dpa(0x2_0000_0000), Some(0x2000_0000));
    assert_eq!(dpa(0x2_1fff_ffff), Some(0x3fff_ffff));
}

#[test]
fn of_two_decoders_that_overlap_the_lower_index_decodes() {
    let mut silicon =
        silicon("[decoder]\ncount = 2\n[memory]\nsize = \"512MiB\"\n[firmware]\nlocked = false");
    write_bar2(&mut silicon, HDM + 0x20, 0);
    commit(&mut silicon, 0, [0x1_0000_0000, 0x1000_0000, 0], 0);
    commit(&mut silicon, 1, [0x1_0000_0000, 0x1000_0000, 0], 0);
    assert_eq!(silicon.dpa_of(Hpa::new(0x1_0000_0000)), Some(Dpa::new(0)));
}

#[test]
fn a_range_beyond_the_memory_commits_without_lock_and_misses_there() {
    let mut silicon = silicon("[firmware]\nlocked = false");
    write_bar2(&mut silicon, HDM + 0x20, 0);
    commit(&mut silicon, 0, [0x1_0000_0000, 0x2000_0000, 0], 0);
    assert_eq!(silicon.dpa_of(Hpa::new(0x1_0fff_ffff)), Some(Dpa::new(0x0fff_ffff)));
    assert_eq!(silicon.dpa_of(Hpa::new(0x1_1000_0000)), None);
    assert_eq!(silicon.memory_write(Hpa::new(0x1_1000_0000), &[1]), Written::Dropped);
}

/// Two devices share a range, 4 KiB each in turn: this one gets the second, fourth and so on.
#[test]
fn an_interleaved_range_is_half_as_long_in_the_memory() {
    let mut silicon = silicon("[decoder]\ninterleave_14_12 = true\n[firmware]\nlocked = false");
    write_bar2(&mut silicon, HDM + 0x20, 0);
    commit(&mut silicon, 0, [0x1_0000_0000, 0x2000_0000, 0], 0x14);
    silicon.memory_write(Hpa::new(0x1_0000_3040), &[5; 8]);
    let mut bytes = [0; 8];
    silicon.memory().read_bytes(0x1040, &mut bytes);
    assert_eq!(bytes, [5; 8]);
}

#[test]
fn a_poisoned_line_reads_poison_until_all_of_it_is_written() {
    let mut silicon = silicon("[faults]\npoison_at = [0x1000]");
    let poison = Completion::Poison(Poison::Line(Dpa::new(0x1000)));
    assert_eq!(read(&silicon, BASE + 0x1038), (poison, [0xff; 8]));
    assert_eq!(read(&silicon, BASE + 0x0fff).0, poison, "a transfer that touches the line");
    assert_eq!(read(&silicon, BASE + 0x1040).0, Completion::Data);
    silicon.memory_write(Hpa::new(BASE + 0x1000), &[3; 32]);
    assert_eq!(read(&silicon, BASE + 0x1000).0, poison);
    silicon.memory_write(Hpa::new(BASE + 0x1000), &[4; 64]);
    assert_eq!(read(&silicon, BASE + 0x1000), (Completion::Data, [4; 8]));
}

proptest! {
    /// The memory as the host sees it is a map from host addresses to bytes, whatever the decoders do.
    #[test]
    fn what_the_host_stored_last_is_what_it_reads(
        writes in prop::collection::vec((0u64..0x800, prop::collection::vec(any::<u8>(), 1..200)), 1..20),
        at in 0u64..0x800,
    ) {
        let mut silicon = silicon("");
        let mut model = vec![0; 0x900];
        for (offset, data) in writes {
            model[offset as usize..][..data.len()].copy_from_slice(&data);
            silicon.memory_write(Hpa::new(BASE + offset), &data);
        }
        let mut bytes = vec![1; 0x100];
        prop_assert_eq!(silicon.memory_read(Hpa::new(BASE + at), &mut bytes), Completion::Data);
        prop_assert_eq!(&bytes[..], &model[at as usize..][..0x100]);
    }
}
