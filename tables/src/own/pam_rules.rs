//! `pam_rules`: the lines of `/etc/pam.d`, of `/usr/lib/pam.d` for what the former has no file, and of `/etc/pam.conf` where neither
//! folder is (`pam.d(5)`). `@include` and the controls `include` and `substack` are shown as lines, not followed: a check
//! names the file it is about.

use crate::pam::{self, Rule};
use crate::paths;
use crate::reader::Scan;
use crate::schema::{Rows, row, table};

table! {
    /// Lines of /etc/pam.d, and of /usr/lib/pam.d or /etc/pam.conf where libpam reads these, cut into words as it does; of `@include` the type is `@include` and the module the file. on_success and on_failure are what follows from what the module says (`ok`, `done`, `bad`, `die`, `ignore`, `reset`, or how many rules are passed over); reached is `never` where no rule before it in the file leads to it, and `sometimes` where one can pass over it.
    pam_rules {
        file: Text [index],
        line: BigInt,
        r#type: Text,
        control: Text,
        module: Text,
        arguments: Text,
        on_success: Text,
        on_failure: Text,
        reached: Text,
    }
}

fn rows(scan: &Scan) -> Rows {
    let wanted = scan.texts("file", crate::constraints::Operator::Equals);
    let (form, mut files) = pam::files(scan);
    files.retain(|path| wanted.is_empty() || wanted.contains(&paths::display(path)));
    Box::new(pam::rules(scan, form, files).map(|(file, rule)| {
        let arguments = rule.shown_arguments();
        let Rule { line, kind, control, module, on_success, on_failure, reached, .. } = rule;
        row! {
            file,
            line,
            r#type: kind,
            control,
            module,
            arguments,
            on_success: on_success.map(|action| action.to_string()),
            on_failure: on_failure.map(|action| action.to_string()),
            reached: reached.as_str(),
        }
    }))
}
