//! The table that says what memory the device has and how fast it is.

use cxl_spec::access::Width;
use cxl_spec::address::Dpa;
use cxl_spec::address::Span;
use cxl_spec::cdat;
use cxl_spec::cdat::Dslbis;
use cxl_spec::cdat::DslbisFlags;
use cxl_spec::cdat::Dsmas;
use cxl_spec::cdat::Figure;

use crate::profile::Checked;

/// The one run of memory.
const HANDLE: u8 = 0;

/// The figures: which, its unit, and how many. A read takes 150 ns; 50 GB pass in a second each way.
const FIGURES: [(Figure, u64, u16); 4] = [
    (Figure::ReadLatency, 1000, 150),
    (Figure::WriteLatency, 1000, 150),
    (Figure::ReadBandwidth, 1000, 50),
    (Figure::WriteBandwidth, 1000, 50),
];

/// The entries of the table as dwords: the header, then a structure each.
pub(super) fn entries(profile: &Checked) -> Vec<Vec<u32>> {
    let size = profile.profile().memory.size.0;
    let memory = Span::new(Dpa::new(0), size).map(|range| Dsmas { handle: HANDLE, flags: 0, range }.encode());
    let figure = |(figure, unit, value)| {
        Dslbis { handle: HANDLE, flags: DslbisFlags::new(0), figure, unit, value }.encode()
    };
    let structures: Vec<_> = memory.into_iter().chain(FIGURES.map(figure)).collect();
    let header = cdat::header(0, structures.as_flattened());
    [dwords(&header)].into_iter().chain(structures.iter().map(|bytes| dwords(bytes))).collect()
}

fn dwords(bytes: &[u8]) -> Vec<u32> {
    let dword = |bytes: &[u8]| bytes.iter().rev().fold(0, |value, byte| value << 8 | u32::from(*byte));
    bytes.chunks(Width::Dword.bytes() as usize).map(dword).collect()
}
