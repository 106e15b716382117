//! Our program, linked statically: it runs on any machine as it is.

use std::path::Path;
use std::path::PathBuf;

use crate::commands::cargo;
use crate::commands::program;
use crate::commands::run;
use crate::workspace::Workspace;

/// The program.
#[derive(Debug)]
pub(super) struct Program(PathBuf);

impl Program {
    /// Builds it for a target of the compiler's. Nobody debugs it there, and what it is linked of comes with the
    /// compiler.
    ///
    /// # Errors
    /// If it does not build: what was said.
    pub(super) fn build(workspace: &Workspace, target: &str) -> Result<Self, String> {
        // What is installed is asked for first: adding it a second time may want the network.
        let installed = run(program(workspace, "rustup", "target list --installed"))?;
        if !installed.lines().any(|line| line == target) {
            run(program(workspace, "rustup", &format!("target add {target}")))?;
        }
        let linker = format!("--config target.{target}.linker=\"rust-lld\" --config profile.dev.debug=false");
        run(cargo(workspace, &format!("build --package harness --target {target} {linker}")))?;
        Ok(Self(workspace.target.join(target).join("debug/cxl-sim")))
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}
