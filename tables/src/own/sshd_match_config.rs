//! `sshd_match_config`: what blocks of `Match` in `sshd_config` say that hold for some connections only. sshd takes it for these
//! before all that `sshd_effective_config` shows, so that a block for one user or one address can loosen what holds for others.

use crate::own::sshd_effective_config::{self, ForSome};
use crate::reader::Scan;
use crate::schema::{Rows, row, table};

table! {
    /// What blocks of Match in sshd_config say for some connections only, for which it comes before sshd_effective_config; may_be_root is 0 where the block names users and root is none of them.
    sshd_match_config: kept {
        criteria: Text,
        keyword: Text,
        value: Text,
        source: Text,
        may_be_root: Integer,
    }
}

fn rows(scan: &Scan) -> Rows {
    let blocks = sshd_effective_config::for_some(scan);
    Box::new(blocks.into_iter().flat_map(ForSome::into_settings).map(|(criteria, setting)| {
        row! {
            criteria: criteria.shown,
            keyword: setting.keyword,
            value: setting.value,
            source: setting.source,
            may_be_root: criteria.may_be_root,
        }
    }))
}
