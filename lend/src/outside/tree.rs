//! What a VMM finds of the device in `/dev` and `/sys`, as entries with their text.

use cxl_spec::pci::CONFIG_SPACE_SIZE;
use sim_device::kernel::Kernel;
use vfio_abi::info::region;

use super::Order;
use crate::desk::Door;
use crate::fields::Fields;

/// Numbers of device nodes: those of Linux where they are fixed.
const MISC_MAJOR: u32 = 10;
const CONTAINER_MINOR: u32 = 196;
const IOMMUFD_MINOR: u32 = 126;
const GROUP_MAJOR: u32 = 241;
const DEVICE_MAJOR: u32 = 242;

/// How many resources a device has in the table of them.
const RESOURCES: usize = 13;

/// Flags of a BAR in the table of resources: memory that is sized by its address, 64 bits wide, prefetchable.
const MEMORY: u64 = 0x4_0200;
const WIDE: u64 = 0x10_0004;
const PREFETCHABLE: u64 = 0x2008;

/// Where the host would have put the first BAR.
const FIRST_ADDRESS: u64 = 0x20_0000_0000;

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// A directory.
    Folder,
    /// A file with this in it.
    File(Vec<u8>),
    /// A symbolic link.
    Link(String),
    /// A node that can be opened.
    Door(Door),
}

/// An entry and its path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) path: String,
    pub(super) what: What,
}

/// Major and minor number of a node.
pub(super) fn numbers(order: &Order, door: Door) -> (u32, u32) {
    match door {
        Door::Container => (MISC_MAJOR, CONTAINER_MINOR),
        Door::Iommufd => (MISC_MAJOR, IOMMUFD_MINOR),
        Door::Group => (GROUP_MAJOR, order.group),
        Door::Device => (DEVICE_MAJOR, order.index),
    }
}

/// The path of each node.
pub(super) fn doors(order: &Order) -> [(String, Door); 4] {
    [
        ("/dev/vfio/vfio".to_owned(), Door::Container),
        (format!("/dev/vfio/{}", order.group), Door::Group),
        (format!("/dev/vfio/devices/vfio{}", order.index), Door::Device),
        ("/dev/iommu".to_owned(), Door::Iommufd),
    ]
}

/// All entries.
pub(super) fn entries(order: &Order, kernel: &Kernel) -> Vec<Entry> {
    let mut tree = Tree(Vec::new());
    for (path, door) in doors(order) {
        let (major, minor) = numbers(order, door);
        tree.link(&format!("/dev/char/{major}:{minor}"), &format!("..{}", path.trim_start_matches("/dev")));
        tree.add(path, What::Door(door));
    }
    tree.device(order, kernel);
    tree.buses(order);
    tree.0
}

struct Tree(Vec<Entry>);

impl Tree {
    fn add(&mut self, path: String, what: What) {
        self.0.push(Entry { path, what });
    }

    fn link(&mut self, path: &str, to: &str) {
        self.add(path.to_owned(), What::Link(to.to_owned()));
    }

    fn text(&mut self, path: String, text: &str) {
        self.add(path, What::File(format!("{text}\n").into_bytes()));
    }

    /// The device's own folder.
    fn device(&mut self, order: &Order, kernel: &Kernel) {
        let folder = folder(order);
        let mut config = vec![0; CONFIG_SPACE_SIZE as usize];
        // What cannot be read is 0: the file is as long all the same.
        let _ = kernel.read(region::CONFIG, 0, &mut config);
        let config = Fields(config);
        let class = config.u32(8) >> 8;
        for (name, text) in [
            ("vendor", format!("{:#06x}", config.u16(0))),
            ("device", format!("{:#06x}", config.u16(2))),
            ("subsystem_vendor", format!("{:#06x}", config.u16(0x2c))),
            ("subsystem_device", format!("{:#06x}", config.u16(0x2e))),
            ("class", format!("{class:#08x}")),
            ("revision", format!("{:#04x}", config.u32(8) & 0xff)),
            ("resource", resources(kernel, &config)),
            ("numa_node", "-1".to_owned()),
            ("irq", "0".to_owned()),
            ("enable", "1".to_owned()),
            ("power_state", "D0".to_owned()),
            ("reset_method", "flr".to_owned()),
            ("driver_override", "vfio-pci".to_owned()),
            ("uevent", uevent(order, &config)),
        ] {
            self.text(format!("{folder}/{name}"), &text);
        }
        self.add(format!("{folder}/reset"), What::File(Vec::new()));
        self.add(format!("{folder}/config"), What::File(config.0));
        self.link(&format!("{folder}/driver"), "../../../bus/pci/drivers/vfio-pci");
        self.link(&format!("{folder}/subsystem"), "../../../bus/pci");
        self.link(&format!("{folder}/iommu"), "../../virtual/iommu/cxl-sim");
        self.link(&format!("{folder}/iommu_group"), &format!("../../../kernel/iommu_groups/{}", order.group));
        let (major, minor) = numbers(order, Door::Device);
        let node = format!("{folder}/vfio-dev/vfio{}", order.index);
        self.text(format!("{node}/dev"), &format!("{major}:{minor}"));
        self.link(&format!("{node}/device"), &format!("../../../{}", order.bdf));
        self.link(&format!("{node}/subsystem"), "../../../../../class/vfio-dev");
        let uevent = format!("MAJOR={major}\nMINOR={minor}\nDEVNAME=vfio/devices/vfio{}", order.index);
        self.text(format!("{node}/uevent"), &uevent);
    }

    /// Where else the device is found.
    fn buses(&mut self, order: &Order) {
        let (bdf, group, index) = (&order.bdf, order.group, order.index);
        let folder = folder(order);
        let below_sys = folder.trim_start_matches("/sys/").to_owned();
        self.link(&format!("/sys/bus/pci/devices/{bdf}"), &format!("../../../{below_sys}"));
        let driver = "/sys/bus/pci/drivers/vfio-pci";
        self.link(&format!("{driver}/{bdf}"), &format!("../../../../{below_sys}"));
        for name in ["bind", "unbind", "new_id", "remove_id"] {
            self.add(format!("{driver}/{name}"), What::File(Vec::new()));
        }
        let groups = format!("/sys/kernel/iommu_groups/{group}");
        self.link(&format!("{groups}/devices/{bdf}"), &format!("../../../../{below_sys}"));
        self.text(format!("{groups}/type"), "DMA");
        let reserved = "0x00000000fee00000 0x00000000feefffff msi";
        self.text(format!("{groups}/reserved_regions"), reserved);
        let iommu = "/sys/devices/virtual/iommu/cxl-sim";
        self.link(&format!("{iommu}/devices/{bdf}"), &format!("../../../../../{below_sys}"));
        self.link("/sys/class/iommu/cxl-sim", "../../devices/virtual/iommu/cxl-sim");
        let (major, minor) = numbers(order, Door::Group);
        let node = format!("/sys/devices/virtual/vfio/{group}");
        self.text(format!("{node}/dev"), &format!("{major}:{minor}"));
        self.link(&format!("/sys/class/vfio/{group}"), &format!("../../devices/virtual/vfio/{group}"));
        self.link(&format!("/sys/dev/char/{major}:{minor}"), &format!("../../devices/virtual/vfio/{group}"));
        let own = format!("../../{below_sys}/vfio-dev/vfio{index}");
        self.link(&format!("/sys/class/vfio-dev/vfio{index}"), &own);
        let (major, minor) = numbers(order, Door::Device);
        self.link(&format!("/sys/dev/char/{major}:{minor}"), &own);
        for module in ["vfio", "vfio_pci", "vfio_iommu_type1", "iommufd"] {
            self.add(format!("/sys/module/{module}"), What::Folder);
        }
    }
}

/// The device's folder.
fn folder(order: &Order) -> String {
    let bdf = order.bdf.to_string();
    let bus = bdf.rsplit_once(':').map_or(bdf.as_str(), |(bus, _)| bus);
    format!("/sys/devices/pci{bus}/{bdf}")
}

fn uevent(order: &Order, config: &Fields) -> String {
    let (vendor, device) = (config.u16(0), config.u16(2));
    let (class, bdf) = (config.u32(8) >> 8, &order.bdf);
    let of_board = format!("{:04X}:{:04X}", config.u16(0x2c), config.u16(0x2e));
    format!(
        "DRIVER=vfio-pci\nPCI_CLASS={class:X}\nPCI_ID={vendor:04X}:{device:04X}\n\
         PCI_SUBSYS_ID={of_board}\nPCI_SLOT_NAME={bdf}"
    )
}

/// The table of resources: first and last address and flags of each BAR, as a host would have placed them.
fn resources(kernel: &Kernel, config: &Fields) -> String {
    let (mut next, mut lines) = (FIRST_ADDRESS, Vec::new());
    for bar in region::BAR0..=region::BAR5 {
        let size = kernel.silicon().bar_size(bar as u8);
        if size == 0 {
            lines.push(resource(0, 0, 0));
            continue;
        }
        let kind = config.u32(0x10 + 4 * bar as usize);
        let wide = if kind & 4 == 0 { 0 } else { WIDE };
        let flags = MEMORY | wide | if kind & 8 == 0 { 0 } else { PREFETCHABLE };
        let at = next.next_multiple_of(size.next_power_of_two());
        lines.push(resource(at, at.saturating_add(size - 1), flags));
        next = at.saturating_add(size);
    }
    lines.resize(RESOURCES, resource(0, 0, 0));
    lines.join("\n")
}

fn resource(first: u64, last: u64, flags: u64) -> String {
    format!("{first:#018x} {last:#018x} {flags:#018x}")
}

#[cfg(test)]
mod tests {
    use sim_device::kernel::DEFAULT_ABI;
    use sim_device::profile::Profile;
    use sim_device::silicon::Silicon;

    use super::*;

    fn all() -> Vec<Entry> {
        let profile = Profile::default().check().unwrap();
        let mut kernel = Kernel::bind(Silicon::power_on(profile.clone()).unwrap(), DEFAULT_ABI).unwrap();
        kernel.open();
        let bdf = "0000:c1:00.0".parse().unwrap();
        entries(&Order { profile, abi: DEFAULT_ABI, bdf, group: 7, index: 3 }, &kernel)
    }

    fn text(path: &str) -> String {
        let found = all().into_iter().find(|entry| entry.path == path).unwrap();
        match found.what {
            What::File(text) => String::from_utf8(text).unwrap(),
            What::Link(to) => to,
            what => format!("{what:?}"),
        }
    }

    #[test]
    fn the_device_is_told_as_the_kernel_tells_one() {
        let own = "/sys/devices/pci0000:c1/0000:c1:00.0";
        assert_eq!(text(&format!("{own}/class")), "0x120000\n");
        assert_eq!(text(&format!("{own}/vfio-dev/vfio3/dev")), "242:3\n");
        assert_eq!(text(&format!("{own}/iommu_group")), "../../../kernel/iommu_groups/7");
        assert_eq!(text("/sys/bus/pci/devices/0000:c1:00.0"), "../../../devices/pci0000:c1/0000:c1:00.0");
        let table = text(&format!("{own}/resource"));
        let lines: Vec<_> = table.lines().collect();
        assert_eq!(lines.len(), 13);
        assert_eq!(lines[0], "0x0000002000000000 0x000000200000ffff 0x0000000000140204");
        assert_eq!(lines[1], "0x0000000000000000 0x0000000000000000 0x0000000000000000");
    }

    #[test]
    fn every_link_inside_leads_to_an_entry_of_ours_or_to_a_folder_with_some() {
        let all = all();
        for entry in &all {
            let What::Link(to) = &entry.what else { continue };
            let mut parts: Vec<_> = entry.path.split('/').collect();
            parts.pop();
            for part in to.split('/') {
                if part == ".." {
                    parts.pop();
                } else {
                    parts.push(part);
                }
            }
            let target = parts.join("/");
            let leads = |other: &Entry| other.path == target || other.path.starts_with(&format!("{target}/"));
            assert!(all.iter().any(leads), "{} leads to {target}", entry.path);
        }
    }
}
