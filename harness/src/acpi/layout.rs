//! Where the fields of tables are: offsets and names as the ACPI, CXL and IORT specifications have them.

use vmm_core::acpi::read::Bytes;
use vmm_core::acpi::read::Read;

/// A table.
#[derive(Debug)]
pub struct Table {
    /// Its signature.
    pub signature: &'static str,
    /// What it has once.
    pub fields: &'static [Field],
    /// Where its structures begin.
    pub first: usize,
    /// Where a structure says how long it is.
    pub length: Length,
    /// The structures that it can have.
    pub structures: &'static [Layout],
}

/// How long a structure is.
#[derive(Clone, Copy, Debug)]
pub enum Length {
    /// There are none.
    None,
    /// All are this long, and of one type.
    Fixed(usize),
    /// The structure says it in so many bytes at an offset. Its type is its first byte.
    At(usize, usize),
}

/// A structure of a table.
#[derive(Debug)]
pub struct Layout {
    /// Its type.
    pub kind: u8,
    /// What it is called in scenarios.
    pub name: &'static str,
    /// Its fields.
    pub fields: &'static [Field],
}

/// A field.
#[derive(Debug)]
pub struct Field {
    /// What it is called in scenarios.
    pub name: &'static str,
    /// Where it is.
    pub at: usize,
    /// What it is.
    pub what: What,
}

/// Bits by their names.
pub type Bits = &'static [(&'static str, u32)];

/// What a field is.
#[derive(Clone, Copy, Debug)]
pub enum What {
    /// A number of so many bytes.
    Number(usize),
    /// So many bytes, of which some bits have names.
    Flags(usize, Bits),
    /// A text of so many bytes.
    Text(usize),
    /// Numbers, found by a rule.
    Numbers(fn(Bytes<'_>) -> Read<Vec<u64>>),
    /// The ID mappings of an IORT node.
    Mappings,
}

const fn number(name: &'static str, at: usize, size: usize) -> Field {
    Field { name, at, what: What::Number(size) }
}

const fn flags(name: &'static str, at: usize, size: usize, bits: Bits) -> Field {
    Field { name, at, what: What::Flags(size, bits) }
}

const fn numbers(name: &'static str, rule: fn(Bytes<'_>) -> Read<Vec<u64>>) -> Field {
    Field { name, at: 0, what: What::Numbers(rule) }
}

const fn layout(kind: u8, name: &'static str, fields: &'static [Field]) -> Layout {
    Layout { kind, name, fields }
}

const ENABLED: Bits = &[("enabled", 0)];

/// What every table has in its header, and a scenario may look at.
pub const REVISION: Field = number("revision", 8, 1);

/// The fields of an ID mapping, 20 bytes.
pub const MAPPING: &[Field] = &[
    number("input_base", 0, 4),
    number("id_count", 4, 4),
    number("output_base", 8, 4),
    number("output_reference", 12, 4),
    flags("flags", 16, 4, &[("single-mapping", 0)]),
];

/// All tables but the DSDT, which is AML.
pub const TABLES: &[Table] = &[CEDT, IORT, MADT, MCFG, SRAT, HMAT, FADT, GTDT, SPCR];

const CEDT: Table = Table {
    signature: "CEDT",
    fields: &[],
    first: 36,
    length: Length::At(2, 2),
    structures: &[
        layout(
            0,
            "chbs",
            &[
                number("uid", 4, 4),
                number("cxl_version", 8, 4),
                number("base", 16, 8),
                number("length", 24, 8),
            ],
        ),
        layout(
            1,
            "cfmws",
            &[
                number("base", 8, 8),
                number("size", 16, 8),
                number("interleave_ways", 24, 1),
                number("interleave_arithmetic", 25, 1),
                number("granularity", 28, 4),
                flags("restrictions", 32, 2, RESTRICTIONS),
                number("qtg_id", 34, 2),
                numbers("targets", |window| dwords(window, 36, (window.bytes.len().saturating_sub(36)) / 4)),
            ],
        ),
    ],
};

const RESTRICTIONS: Bits = &[
    ("device-coherent", 0),
    ("host-only-coherent", 1),
    ("volatile", 2),
    ("persistent", 3),
    ("fixed-device-configuration", 4),
    ("back-invalidate", 5),
];

const IORT: Table = Table {
    signature: "IORT",
    fields: &[number("node_count", 36, 4)],
    first: 48,
    length: Length::At(1, 2),
    structures: &[
        layout(0, "its_group", &[numbers("its_ids", |node| dwords(node, 20, node.u32(16)? as usize))]),
        layout(
            2,
            "root_complex",
            &[
                number("cache_coherent", 16, 4),
                flags("memory_access_flags", 23, 1, &[("cpm", 0), ("dacs", 1), ("canwbs", 2)]),
                flags("ats_attribute", 24, 4, &[("ats", 0), ("pri", 1), ("pasid-forwarding", 2)]),
                number("segment", 28, 4),
                number("memory_address_size_limit", 32, 1),
                Field { name: "mappings", at: 0, what: What::Mappings },
            ],
        ),
        layout(
            4,
            "smmuv3",
            &[
                number("base", 16, 8),
                flags("flags", 24, 4, &[("cohacc-override", 0), ("proximity-domain-valid", 3)]),
                number("model", 40, 4),
                number("event_gsiv", 44, 4),
                number("pri_gsiv", 48, 4),
                number("gerr_gsiv", 52, 4),
                number("sync_gsiv", 56, 4),
                Field { name: "mappings", at: 0, what: What::Mappings },
            ],
        ),
    ],
};

const MADT: Table = Table {
    signature: "APIC",
    fields: &[
        number("local_interrupt_controller_address", 36, 4),
        flags("flags", 40, 4, &[("pcat-compat", 0)]),
    ],
    first: 44,
    length: Length::At(1, 1),
    structures: &[
        layout(
            0,
            "local_apic",
            &[number("acpi_processor_uid", 2, 1), number("apic_id", 3, 1), flags("flags", 4, 4, ENABLED)],
        ),
        layout(1, "io_apic", &[number("id", 2, 1), number("address", 4, 4), number("gsi_base", 8, 4)]),
        layout(
            11,
            "gicc",
            &[
                number("cpu_interface_number", 4, 4),
                number("acpi_processor_uid", 8, 4),
                flags("flags", 12, 4, ENABLED),
                number("mpidr", 68, 8),
            ],
        ),
        layout(12, "gicd", &[number("gic_id", 4, 4), number("base", 8, 8), number("gic_version", 20, 1)]),
        layout(14, "gicr", &[number("base", 4, 8), number("length", 12, 4)]),
        layout(15, "gic_its", &[number("its_id", 4, 4), number("base", 8, 8)]),
    ],
};

const MCFG: Table = Table {
    signature: "MCFG",
    fields: &[],
    first: 44,
    length: Length::Fixed(16),
    structures: &[layout(
        0,
        "allocation",
        &[
            number("base", 0, 8),
            number("segment", 8, 2),
            number("start_bus", 10, 1),
            number("end_bus", 11, 1),
        ],
    )],
};

const SRAT: Table = Table {
    signature: "SRAT",
    fields: &[],
    first: 48,
    length: Length::At(1, 1),
    structures: &[
        layout(
            0,
            "local_apic",
            &[number("proximity_domain", 2, 1), number("apic_id", 3, 1), flags("flags", 4, 4, ENABLED)],
        ),
        layout(
            1,
            "memory",
            &[
                number("proximity_domain", 2, 4),
                number("base", 8, 8),
                number("length", 16, 8),
                flags("flags", 28, 4, &[("enabled", 0), ("hot-pluggable", 1), ("non-volatile", 2)]),
            ],
        ),
        layout(
            3,
            "gicc",
            &[
                number("proximity_domain", 2, 4),
                number("acpi_processor_uid", 6, 4),
                flags("flags", 10, 4, ENABLED),
            ],
        ),
        layout(
            6,
            "generic_port",
            &[
                number("device_handle_type", 3, 1),
                number("proximity_domain", 4, 4),
                Field { name: "acpi_hid", at: 8, what: What::Text(8) },
                number("acpi_uid", 16, 4),
                flags("flags", 24, 4, &[("enabled", 0), ("architectural-transactions", 1)]),
            ],
        ),
    ],
};

const HMAT: Table = Table {
    signature: "HMAT",
    fields: &[],
    first: 40,
    length: Length::At(4, 4),
    structures: &[
        layout(
            0,
            "memory_proximity_domain",
            &[
                flags("flags", 8, 2, &[("initiator-valid", 0)]),
                number("initiator_domain", 12, 4),
                number("memory_domain", 16, 4),
            ],
        ),
        layout(
            1,
            "latency_and_bandwidth",
            &[
                number("data_type", 9, 1),
                number("entry_base_unit", 24, 8),
                numbers("initiators", |matrix| dwords(matrix, 32, matrix.u32(12)? as usize)),
                numbers("targets", |matrix| {
                    let initiators = matrix.u32(12)? as usize;
                    dwords(matrix, initiators.saturating_mul(4).saturating_add(32), matrix.u32(16)? as usize)
                }),
                numbers("entries", |matrix| {
                    let (rows, columns) = (matrix.u32(12)? as usize, matrix.u32(16)? as usize);
                    let at = rows.saturating_add(columns).saturating_mul(4).saturating_add(32);
                    run(matrix, at, rows.saturating_mul(columns), 2)
                }),
            ],
        ),
    ],
};

const FADT: Table = Table {
    signature: "FACP",
    fields: &[
        flags("iapc_boot_arch", 109, 2, &[("vga-not-present", 2), ("cmos-rtc-not-present", 5)]),
        flags("flags", 112, 4, &[("hw-reduced-acpi", 20)]),
        flags("arm_boot_arch", 129, 2, &[("psci-compliant", 0), ("psci-use-hvc", 1)]),
    ],
    first: 0,
    length: Length::None,
    structures: &[],
};

const GTDT: Table = Table {
    signature: "GTDT",
    fields: &[
        number("secure_el1_timer_gsiv", 48, 4),
        number("non_secure_el1_timer_gsiv", 56, 4),
        number("virtual_el1_timer_gsiv", 64, 4),
        number("el2_timer_gsiv", 72, 4),
    ],
    first: 0,
    length: Length::None,
    structures: &[],
};

const SPCR: Table = Table {
    signature: "SPCR",
    fields: &[
        number("interface_type", 36, 1),
        number("base_address", 44, 8),
        number("global_system_interrupt", 54, 4),
    ],
    first: 0,
    length: Length::None,
    structures: &[],
};

fn dwords(part: Bytes<'_>, at: usize, count: usize) -> Read<Vec<u64>> {
    run(part, at, count, 4)
}

/// So many numbers of `size` bytes from `at`.
fn run(part: Bytes<'_>, at: usize, count: usize, size: usize) -> Read<Vec<u64>> {
    let all = part.run(at, count.saturating_mul(size))?;
    all.chunks_exact(size).map(|bytes| Bytes { name: part.name, bytes }.number(0, size)).collect()
}

impl Table {
    /// The layout of the table with this signature.
    pub fn of(signature: &str) -> Option<&'static Self> {
        TABLES.iter().find(|table| table.signature == signature)
    }
}
