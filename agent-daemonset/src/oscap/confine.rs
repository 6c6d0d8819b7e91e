//! Landlock of the scanner's thread and of the scanner itself; seccomp is the sandbox's.

use std::path::Path;

use landlock::{AccessFs, PathFd};

use crate::sandbox::{self, Error, place, restrict, writing};

/// The loaders of shared libraries, which the kernel executes beside a program.
const LOADERS: [&str; 6] = [
    "/lib64/ld-linux-x86-64.so.2",
    "/lib/ld-linux-aarch64.so.1",
    "/lib/ld-linux-armhf.so.3",
    "/lib/ld-linux-riscv64-lp64d.so.1",
    "/lib64/ld64.so.2",
    "/lib/ld64.so.1",
];

/// Forbids this thread, and what it starts, each write outside of a folder.
pub fn writes_below(folder: &Path) -> Result<(), Error> {
    restrict(writing(), vec![(place(folder)?, writing())])
}

/// The same, and to execute anything but one program; to change the system, to signal others, to reach a network.
pub fn scanner(folder: &Path, program: &Path) -> Result<(), Error> {
    let mut rules = vec![(place(folder)?, writing()), (place(program)?, AccessFs::Execute.into())];
    rules.extend(LOADERS.iter().filter_map(|loader| Some((PathFd::new(loader).ok()?, AccessFs::Execute.into()))));
    restrict(writing() | AccessFs::Execute, rules)?;
    sandbox::confine_foreign()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::net::{TcpListener, UdpSocket};
    use std::os::unix::net::UnixListener;
    use std::process::Command;

    use super::*;

    #[test]
    fn a_scanner_writes_in_its_folder_and_starts_nothing_but_itself() {
        let (own, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let folder = own.path().to_owned();
        let result = std::thread::spawn(move || {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let reached = listener.local_addr().unwrap();
            let socket = other.path().join("socket");
            let _local = UnixListener::bind(&socket).unwrap();
            scanner(&folder, Path::new("/bin/true")).unwrap();
            let holds = [
                fs::write(folder.join("x"), "1").is_ok() && fs::remove_file(folder.join("x")).is_ok(),
                fs::write(other.path().join("x"), "1").is_err(),
                Command::new("/bin/true").status().is_ok_and(|status| status.success()),
                Command::new("/bin/sh").args(["-c", "true"]).status().is_err(),
                std::net::TcpStream::connect(reached).is_err(),
                UdpSocket::bind("127.0.0.1:0").is_ok_and(|asks| {
                    asks.send_to(b"x", "127.0.0.1:9").is_err() && asks.connect("127.0.0.1:9").is_err()
                }),
                // Units of systemd are asked over a socket of this machine.
                std::os::unix::net::UnixStream::connect(&socket).is_ok(),
            ];
            // To be removed by somebody who may.
            (holds, other)
        });
        assert_eq!(result.join().unwrap().0, [true; 7]);
    }
}
