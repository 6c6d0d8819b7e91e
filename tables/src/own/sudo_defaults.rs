//! `sudo_defaults`: what `Defaults` of sudo set, an entry each, in the order in which sudo reads them: the last one counts.

use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::sudo;

table! {
    /// Settings of sudo, one a row, the last of a name counts; scope is empty for everybody, else `:user`, `@host`, `>runas` or `!command`; a flag is `on` or `off`.
    sudo_defaults {
        position: BigInt,
        source: Text,
        scope: Text,
        name: Text,
        operator: Text,
        value: Text,
    }
}

fn rows(scan: &Scan) -> Rows {
    let lines = sudo::lines(scan);
    for line in lines.iter().filter(|line| sudo::is_strange(line)) {
        scan.warn(format!("{} has a line that sudo does not read", line.source));
    }
    let settings = lines
        .into_iter()
        .flat_map(|line| sudo::defaults(&line).into_iter().map(move |setting| (line.source.clone(), setting)));
    Box::new((1_i64..).zip(settings).map(|(position, (source, setting))| {
        let sudo::Setting { scope, name, operator, value } = setting;
        row! { position, source, scope, name, operator, value }
    }))
}
