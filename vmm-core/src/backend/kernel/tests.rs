//! A device of the host's against a kernel that is played: what is asked of it, in which order, with which bytes, and
//! what is made of its answers.

mod calls;
mod maps;
mod opening;
mod played;

use std::sync::Arc;

use played::Played;
use played::Tree;

use super::Address;
use super::KernelVfio;
use crate::backend::BackendError;

const DEVICE: &str = "0002:81:00.0";

/// Opens the device of a host that is played.
fn open(kernel: &Arc<Played>, tree: &Tree, address: &str) -> Result<KernelVfio, BackendError> {
    let address: Address = address.parse().unwrap();
    KernelVfio::open_by(kernel.clone(), &tree.host(), &address)
}

/// The device, reached in both ways.
fn both() -> [(Arc<Played>, Tree, KernelVfio); 2] {
    ["type1", "iommufd"].map(|way| {
        let (kernel, tree) = (Arc::new(Played::default()), Tree::whole());
        let device = open(&kernel, &tree, &format!("{DEVICE},{way}")).unwrap();
        kernel.forget();
        (kernel, tree, device)
    })
}
