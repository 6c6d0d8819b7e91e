//! How far includes are followed by those who read a file as its program does: sudo, sshd and nft. A few files that include each
//! other by a pattern would otherwise be read without end.

use crate::reader::Scan;

/// sshd and nft themselves end at 16, sudo at 128.
const MAX_DEPTH: usize = 16;
const MAX_FILES: usize = 256;

/// The files that were read so far.
#[derive(Debug, Default)]
pub(crate) struct Included {
    files: usize,
}

impl Included {
    /// Whether one more file is read that so many include, one within the other; where it is not, that is told.
    pub fn may_read(&mut self, scan: &Scan, depth: usize) -> bool {
        let may_read = self.has_room(depth);
        if !may_read {
            scan.warn(format!(
                "more than {MAX_FILES} files, or {MAX_DEPTH} within each other, are included; the rest is not read"
            ));
        }
        may_read
    }

    fn has_room(&mut self, depth: usize) -> bool {
        self.files = self.files.saturating_add(1);
        self.files <= MAX_FILES && depth <= MAX_DEPTH
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_files_are_read_and_none_too_deep() {
        let mut included = Included::default();
        assert!(included.has_room(0) && included.has_room(MAX_DEPTH) && !included.has_room(MAX_DEPTH + 1));
        let read = (0..MAX_FILES).filter(|_| included.has_room(1)).count();
        assert_eq!(read, MAX_FILES - 3, "each that is asked for counts");
    }
}
