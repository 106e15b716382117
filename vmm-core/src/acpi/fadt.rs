//! FADT: what fixed hardware there is, which is none, and where the DSDT is.

use acpi_tables::Aml;
use acpi_tables::fadt::FADTBuilder;
use acpi_tables::fadt::Flags;
use acpi_tables::fadt::PmProfile;
use cxl_spec::address::Gpa;

use super::sealed::OEM_ID;
use super::sealed::OEM_REVISION;
use super::sealed::OEM_TABLE_ID;
use super::system::Platform;
use super::system::System;

/// x86-64: there is no VGA to be probed.
const NO_VGA: u16 = 1 << 2;

/// x86-64: there is no clock in CMOS.
const NO_CMOS_CLOCK: u16 = 1 << 5;

/// aarch64: processors are started and stopped by PSCI.
const PSCI: u16 = 1 << 0;

/// aarch64: PSCI is called by HVC, as a hypervisor is.
const PSCI_BY_HVC: u16 = 1 << 1;

/// The table, with the DSDT here.
pub(super) fn table(system: &System, dsdt: Gpa) -> Vec<u8> {
    let mut fadt = FADTBuilder::new(OEM_ID, OEM_TABLE_ID, OEM_REVISION)
        .dsdt_64(dsdt.get())
        .flag(Flags::HwReducedAcpi)
        .preferred_pm_profile(PmProfile::EnterpriseServer);
    match system.platform {
        Platform::X86_64 { .. } => fadt.iapc_boot_arch = (NO_VGA | NO_CMOS_CLOCK).into(),
        Platform::Aarch64 { .. } => fadt.arm_boot_arch = (PSCI | PSCI_BY_HVC).into(),
    }
    let mut bytes = Vec::new();
    fadt.finalize().to_aml_bytes(&mut bytes);
    bytes
}
