//! Our program, linked statically: it runs on any machine as it is.

use std::path::Path;
use std::path::PathBuf;

use crate::commands::cargo;
use crate::commands::program;
use crate::commands::run;
use crate::workspace::Workspace;

/// What it is built for.
const TARGET: &str = "x86_64-unknown-linux-musl";

/// The program.
#[derive(Debug)]
pub(super) struct Program(PathBuf);

impl Program {
    /// Builds it. Nobody debugs it there, and what it is linked of comes with the compiler.
    ///
    /// # Errors
    /// If it does not build: what was said.
    pub(super) fn build(workspace: &Workspace) -> Result<Self, String> {
        // What is installed is asked for first: adding it a second time may want the network.
        let installed = run(program(workspace, "rustup", "target list --installed"))?;
        if !installed.lines().any(|line| line == TARGET) {
            run(program(workspace, "rustup", &format!("target add {TARGET}")))?;
        }
        let linker = format!("--config target.{TARGET}.linker=\"rust-lld\" --config profile.dev.debug=false");
        run(cargo(workspace, &format!("build --package harness --target {TARGET} {linker}")))?;
        Ok(Self(workspace.target.join(TARGET).join("debug/cxl-sim")))
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}
