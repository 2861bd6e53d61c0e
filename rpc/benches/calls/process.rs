//! This program in another process, as one end of what is measured. Killed when dropped.

use std::process::{Child, Command};

pub(crate) struct Process(Child);

impl Process {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let program = std::env::current_exe().unwrap();
        Self(Command::new(program).args(arguments).spawn().unwrap())
    }

    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}
