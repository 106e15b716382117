//! Which Linux boots: the lab's own, if it has been built, or else Debian's.

use std::path::PathBuf;

use super::architecture::Architecture;
use crate::commands::program;
use crate::commands::reason;
use crate::commands::run;
use crate::workspace::Workspace;

/// The script that says where Debian's is.
const STOCK: &str = "ci/lab-stock.sh";

/// A Linux to boot.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Kernel {
    /// Its image.
    pub(super) image: PathBuf,
    /// What is known of its modules, as `modules/VERSION` in it.
    pub(super) modules: PathBuf,
    /// Why it is not the lab's own, if it is not.
    instead: Option<String>,
}

impl Kernel {
    /// The one that is there for an architecture.
    ///
    /// # Errors
    /// If there is none: why.
    pub(super) fn find(workspace: &Workspace, architecture: &Architecture) -> Result<Self, String> {
        let own = match architecture.own_kernel {
            Some(script) => folder(workspace, script),
            None => Err("the lab has a kernel of its own for x86-64 alone".to_owned()),
        };
        match own {
            Ok(folder) => {
                Ok(Self { image: folder.join("bzImage"), modules: folder.join("lib"), instead: None })
            }
            Err(why) => {
                let folder = folder(workspace, &format!("{STOCK} {}", architecture.debian))?;
                let modules = folder.join("lib");
                Ok(Self { image: folder.join("vmlinuz"), modules, instead: Some(why) })
            }
        }
    }

    /// The ways to the IOMMU that it has.
    pub(super) fn ways(&self) -> &'static [&'static str] {
        if self.instead.is_none() { &["type1", "iommufd"] } else { &["type1"] }
    }

    /// Which it is.
    pub(super) fn told(&self) -> String {
        match &self.instead {
            None => "Linux is the lab's own".to_owned(),
            Some(why) => {
                format!("Linux is Debian's own, which has no iommufd: that way is skipped, as {why}")
            }
        }
    }
}

/// The folder that a script names in its last line.
fn folder(workspace: &Workspace, script: &str) -> Result<PathBuf, String> {
    let said = run(program(workspace, "sh", script))
        .map_err(|said| reason(&said).trim_start_matches("error: ").to_owned())?;
    Ok(said.lines().next_back().unwrap_or_default().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_the_labs_own_there_is_no_iommufd_and_the_reason_is_told() {
        let own = Kernel { image: "bzImage".into(), modules: "lib".into(), instead: None };
        assert_eq!(own.ways(), ["type1", "iommufd"]);
        let stock = Kernel { instead: Some("it was not built".to_owned()), ..own };
        assert_eq!(stock.ways(), ["type1"]);
        assert!(stock.told().ends_with("that way is skipped, as it was not built"));
    }
}
