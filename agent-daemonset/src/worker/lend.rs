//! An open file that goes to a worker with its order (`SCM_RIGHTS`): a worker can read and write what it was given, and
//! open nothing for writing.

use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::AsFd;

use rustix::io::{IoSlice, IoSliceMut};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, sendmsg,
};

/// What carries the file, or the place of one.
const MARK: &[u8] = b"\0";

/// Sends a file, or that there is none.
pub fn send(socket: impl AsFd, file: Option<&File>) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let files = file.map(|file| [file.as_fd()]);
    if let Some(files) = &files
        && !ancillary.push(SendAncillaryMessage::ScmRights(files))
    {
        return Err(io::Error::other("no room for a file"));
    }
    sendmsg(socket, &[IoSlice::new(MARK)], &mut ancillary, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// What [`send`] sent.
pub fn receive(socket: impl AsFd) -> io::Result<Option<File>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut mark = [0];
    let received = recvmsg(socket, &mut [IoSliceMut::new(&mut mark)], &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
    if received.bytes == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let file = ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut files) => files.next(),
        _ => None,
    });
    Ok(file.map(File::from))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Seek, Write};
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn a_file_arrives_open_and_what_follows_arrives_whole() {
        let (mut ours, mut theirs) = UnixStream::pair().unwrap();
        let mut file = tempfile::tempfile().unwrap();
        send(&ours, Some(&file)).unwrap();
        ours.write_all(b"order").unwrap();
        drop(ours);
        receive(&theirs).unwrap().unwrap().write_all(b"through the socket").unwrap();
        let mut order = String::new();
        theirs.read_to_string(&mut order).unwrap();
        assert_eq!(order, "order");
        let mut text = String::new();
        file.rewind().unwrap();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "through the socket");
    }

    #[test]
    fn no_file_is_no_file() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        send(&ours, None).unwrap();
        assert!(receive(&theirs).unwrap().is_none());
        drop(ours);
        assert!(receive(&theirs).is_err());
    }
}
