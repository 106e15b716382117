//! Opening a device: the order of the steps, which way is taken, and what each failure says.

use std::sync::Arc;

use rstest::rstest;
use vfio_abi::errno::Errno;

use super::DEVICE;
use super::open;
use super::played::Played;
use super::played::Tree;
use crate::backend::Backend;

fn refusal(kernel: &Arc<Played>, tree: &Tree, address: &str) -> String {
    open(kernel, tree, address).unwrap_err().to_string()
}

#[test]
fn a_group_is_put_into_a_container_before_its_device_is_had() {
    let (kernel, tree) = (Arc::new(Played::default()), Tree::whole());
    let device = open(&kernel, &tree, &format!("{DEVICE},type1")).unwrap();
    assert_eq!(device.name(), "vfio:0002:81:00.0,type1");
    assert_eq!(
        kernel.log(),
        [
            "open /dev/vfio/vfio",
            "/dev/vfio/vfio: GET_API_VERSION",
            "/dev/vfio/vfio: CHECK_EXTENSION 3",
            "open /dev/vfio/12",
            "/dev/vfio/12: GROUP_GET_STATUS",
            "/dev/vfio/12: GROUP_SET_CONTAINER",
            "/dev/vfio/vfio: SET_IOMMU 3",
            "GROUP_GET_DEVICE_FD 0002:81:00.0",
            "/dev/vfio/vfio: IOMMU_GET_INFO",
            "/dev/vfio/vfio: IOMMU_GET_INFO",
        ]
    );
}

#[test]
fn a_device_of_its_own_file_is_bound_before_it_is_attached() {
    let (kernel, tree) = (Arc::new(Played::default()), Tree::whole());
    let device = open(&kernel, &tree, &format!("{DEVICE},iommufd")).unwrap();
    assert_eq!(device.name(), "vfio:0002:81:00.0,iommufd");
    assert_eq!(
        kernel.log(),
        [
            "open /dev/iommu",
            "open /dev/vfio/devices/vfio3",
            "/dev/vfio/devices/vfio3: DEVICE_BIND_IOMMUFD",
            "/dev/iommu: IOAS_ALLOC",
            "/dev/vfio/devices/vfio3: DEVICE_ATTACH_IOMMUFD_PT",
            "/dev/iommu: IOAS_IOVA_RANGES",
        ]
    );
    let attach = kernel.asked(vfio_abi::kernel::Order::DEVICE_ATTACH_IOMMUFD_PT);
    assert_eq!(attach, [12, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0], "the address space that was allocated");
}

#[rstest]
#[case(None, "iommufd")]
#[case(Some("sys/bus/pci/devices/0002:81:00.0/vfio-dev"), "type1")]
#[case(Some("dev/vfio/devices/vfio3"), "type1")]
#[case(Some("dev/iommu"), "type1")]
fn without_a_wish_the_devices_own_file_is_taken_where_there_is_one(
    #[case] missing: Option<&str>,
    #[case] way: &str,
) {
    let (kernel, tree) = (Arc::new(Played::default()), Tree::whole());
    missing.into_iter().for_each(|path| tree.without(path));
    let device = open(&kernel, &tree, DEVICE).unwrap();
    assert_eq!(device.name(), format!("vfio:{DEVICE},{way}"), "and the name says which way it was");
}

#[rstest]
#[case("sys/bus/pci/devices/0002:81:00.0/vfio-dev", "CONFIG_VFIO_DEVICE_CDEV, or take `,type1`")]
#[case("dev/iommu", "dev/iommu is not there: the kernel needs CONFIG_IOMMUFD")]
fn a_way_that_is_wished_and_not_there_is_no_other(#[case] missing: &str, #[case] said: &str) {
    let (kernel, tree) = (Arc::new(Played::default()), Tree::whole());
    tree.without(missing);
    let refusal = refusal(&kernel, &tree, &format!("{DEVICE},iommufd"));
    assert!(refusal.contains(said), "{refusal}");
    assert!(kernel.log().is_empty(), "nothing was opened");
}

#[test]
fn a_device_that_is_not_there_is_named() {
    let (kernel, tree) = (Arc::new(Played::default()), Tree::whole());
    let refusal = refusal(&kernel, &tree, "0002:82:00.0");
    assert!(refusal.contains("sys/bus/pci/devices/0002:82:00.0 is not there: `lspci -D`"), "{refusal}");
}

#[rstest]
#[case(Some("cxl_pci"), "the driver cxl_pci has it, and not vfio-pci")]
#[case(None, "no driver has it, and not vfio-pci")]
fn a_device_of_another_driver_says_how_it_comes_to_vfio_pci(
    #[case] driver: Option<&str>,
    #[case] said: &str,
) {
    let (kernel, tree) = (Arc::new(Played::default()), Tree::whole());
    let link = format!("{}/driver", Tree::sysfs(DEVICE));
    match driver {
        Some(driver) => tree.link(&link, &format!("bus/pci/drivers/{driver}")),
        None => tree.without(&link),
    }
    let refusal = refusal(&kernel, &tree, DEVICE);
    assert!(refusal.contains(said), "{refusal}");
    assert_eq!(refusal.contains("driver/unbind"), driver.is_some(), "{refusal}");
    assert!(refusal.contains(&format!("echo vfio-pci > {}", tree.host().sys.display())), "{refusal}");
    assert!(refusal.contains(&format!("echo {DEVICE} > ")), "{refusal}");
}

#[test]
fn a_driver_that_is_vfio_pci_for_one_kind_of_device_will_do() {
    let (kernel, tree) = (Arc::new(Played::default()), Tree::whole());
    tree.link(&format!("{}/driver", Tree::sysfs(DEVICE)), "bus/pci/drivers/nvgrace-gpu-vfio-pci");
    assert!(open(&kernel, &tree, DEVICE).is_ok());
}

#[test]
fn a_device_without_an_iommu_says_how_it_is_switched_on() {
    let (kernel, tree) = (Arc::new(Played::default()), Tree::whole());
    tree.without(&format!("{}/iommu_group", Tree::sysfs(DEVICE)));
    let refusal = refusal(&kernel, &tree, DEVICE);
    assert!(refusal.contains("iommu_group is not there, so no IOMMU") && refusal.contains("intel_iommu=on"));
}

#[test]
fn a_group_that_others_share_names_them() {
    let (kernel, tree) = (Arc::new(Played::default()), Tree::whole());
    for (other, driver) in
        [("0002:81:00.1", "snd_hda_intel"), ("0002:80:00.0", "pcieport"), ("0002:81:00.2", "vfio-pci")]
    {
        tree.file(&format!("sys/kernel/iommu_groups/12/devices/{other}"), "");
        tree.link(&format!("{}/driver", Tree::sysfs(other)), &format!("bus/pci/drivers/{driver}"));
    }
    tree.file("sys/kernel/iommu_groups/12/devices/0002:81:00.3", "");
    kernel.is_not_viable();
    let refused = refusal(&kernel, &tree, &format!("{DEVICE},type1"));
    let said = "group 12 cannot be had while other drivers have 0002:81:00.1 (driver snd_hda_intel): give";
    assert!(refused.contains(said), "{refused}");
    kernel.fail("DEVICE_BIND_IOMMUFD", Errno::EINVAL);
    let refused = refusal(&kernel, &tree, &format!("{DEVICE},iommufd"));
    assert!(refused.contains(said), "{refused}");
}

#[rstest]
#[case("type1", "/dev/vfio/vfio", Errno::ENOENT, "modprobe vfio-pci")]
#[case("type1", "/dev/vfio/12", Errno::EACCES, "vfio/12: EACCES: the user may not: chown")]
#[case("type1", "/dev/vfio/12", Errno::EBUSY, "the group is open already")]
#[case("type1", "SET_IOMMU", Errno::EPERM, "allow_unsafe_interrupts=1")]
#[case("type1", "GROUP_GET_DEVICE_FD", Errno::EBUSY, "the device is in use")]
#[case("type1", "CHECK_EXTENSION", Errno::EINVAL, "modprobe vfio_iommu_type1")]
#[case("type1", "GET_API_VERSION", Errno::ENOTTY, "is not VFIO's")]
#[case("iommufd", "/dev/iommu", Errno::EACCES, "dev/iommu: EACCES: the user may not: chown")]
#[case("iommufd", "/dev/vfio/devices/vfio3", Errno::EBUSY, "the device is in use")]
#[case("iommufd", "DEVICE_BIND_IOMMUFD", Errno::EBUSY, "(fuser -v ")]
#[case("iommufd", "DEVICE_ATTACH_IOMMUFD_PT", Errno::EPERM, "or of iommufd")]
#[case("iommufd", "IOAS_ALLOC", Errno::ENOMEM, "IOMMU_IOAS_ALLOC: ENOMEM")]
fn each_step_that_fails_says_what_to_do(
    #[case] way: &str,
    #[case] what: &str,
    #[case] errno: Errno,
    #[case] said: &str,
) {
    let (kernel, tree) = (Arc::new(Played::default()), Tree::whole());
    kernel.fail(what, errno);
    let refusal = refusal(&kernel, &tree, &format!("{DEVICE},{way}"));
    assert!(refusal.contains(said), "{refusal}");
    assert!(refusal.starts_with(&format!("vfio:{DEVICE},{way}: connecting: ")), "{refusal}");
}

#[test]
fn a_device_that_sleeps_though_it_is_open_says_how_it_wakes() {
    let (kernel, tree) = (Arc::new(Played::default()), Tree::whole());
    tree.file(&format!("{}/power_state", Tree::sysfs(DEVICE)), "D3cold\n");
    let refusal = refusal(&kernel, &tree, DEVICE);
    assert!(refusal.contains("the device is in D3cold") && refusal.contains("power/control"), "{refusal}");
}
