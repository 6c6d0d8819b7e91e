//! The order of paths in a walk and in a baseline: a folder comes before what is in it, and what is in it before the next
//! name beside it.

use std::cmp::Ordering;

/// Compares name by name. A slash sorts before every byte that a name can have.
pub(super) fn of_paths(left: &[u8], right: &[u8]) -> Ordering {
    let rank = |byte: &u8| if *byte == b'/' { 0 } else { *byte };
    left.iter().map(rank).cmp(right.iter().map(rank))
}

/// Whether `path` is `folder` or lies in it.
pub(super) fn is_within(path: &[u8], folder: &[u8]) -> bool {
    folder == b"/" || path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_a_folder_comes_before_its_neighbours() {
        let mut paths = ["/usr/lib-x", "/usr/lib/b", "/usr", "/usr/lib.d", "/usr/lib", "/usr/lib/a/z"];
        paths.sort_unstable_by(|left, right| of_paths(left.as_bytes(), right.as_bytes()));
        assert_eq!(paths, ["/usr", "/usr/lib", "/usr/lib/a/z", "/usr/lib/b", "/usr/lib-x", "/usr/lib.d"]);
    }

    #[test]
    fn a_name_that_begins_alike_is_not_within() {
        assert!(is_within(b"/usr/lib", b"/usr"));
        assert!(is_within(b"/usr", b"/usr"));
        assert!(is_within(b"/x", b"/"));
        assert!(!is_within(b"/usrlocal", b"/usr"));
    }
}
