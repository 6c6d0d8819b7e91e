//! Lines that `auditctl` refuses (`auditctl.c`, `setopt`). `auditctl -R` ends at the first of them, so that no line behind it is
//! loaded, but for one that `-c` or `-i` stands before. Whether a call or an account of a rule is known is not looked at.

use crate::own::audit_words;

/// Options that stand alone.
const FLAGS: &str = "hicslvt";
/// Options with an argument.
const WITH_ARGUMENT: &str = "CefrbaAdSFmwWkpq";
const LONG: [&str; 5] =
    ["--loginuid-immutable", "--backlog_wait_time", "--reset-lost", "--reset_backlog_wait_time_actual", "--signal"];
const LISTS: [&str; 7] = ["task", "exit", "entry", "user", "exclude", "filesystem", "io_uring"];
const ACTIONS: [&str; 3] = ["always", "never", "possible"];
const FIELDS: &str = "\
    pid ppid uid euid suid fsuid obj_uid gid egid sgid fsgid obj_gid auid loginuid sessionid pers arch msgtype \
    subj_user subj_role subj_type subj_sen subj_clr obj_user obj_role obj_type obj_lev_low obj_lev_high \
    devmajor devminor inode exit success path perm dir filetype a0 a1 a2 a3 key exe saddr_fam fstype";
const MAX_KEY_BYTES: usize = 31;

/// Whether a line has the program go on behind lines that it refuses.
pub(super) fn goes_on(line: &str) -> bool {
    line.split(' ').any(|word| matches!(word, "-c" | "-i"))
}

/// Whether the program refuses a line, whose words one blank parts.
pub(super) fn is_refused(line: &str) -> bool {
    // A blank behind a backslash is part of a word.
    let line = line.replace("\\ ", "_");
    let words: Vec<&str> = line.split(' ').collect();
    match words.as_slice() {
        ["-D"] | ["-D", "-k", _] => false,
        [long, ..] if long.starts_with("--") => {
            !LONG.contains(&long.split('=').next().unwrap_or_default()) || words.len() > 2
        }
        _ => Reading::default().options(&words).is_none(),
    }
}

/// What the options so far say.
#[derive(Debug, Default)]
struct Reading<'a> {
    /// The list of the rule; a watch is on `exit`.
    list: Option<&'a str>,
    /// Whether a key may follow.
    takes_key: bool,
}

impl<'a> Reading<'a> {
    /// Reads all words; none where one is refused.
    fn options(&mut self, words: &[&'a str]) -> Option<()> {
        let mut words = words.iter().copied();
        while let Some(word) = words.next() {
            let mut letters = word.strip_prefix('-').filter(|letters| !letters.is_empty())?;
            while let Some(letter) = letters.chars().next() {
                let rest = &letters[letter.len_utf8()..];
                if FLAGS.contains(letter) {
                    letters = rest;
                    continue;
                }
                if !WITH_ARGUMENT.contains(letter) {
                    return None;
                }
                let argument = if rest.is_empty() { words.next()? } else { rest };
                self.take(letter, argument).then_some(())?;
                break;
            }
        }
        Some(())
    }

    /// Whether an option with its argument is accepted here.
    fn take(&mut self, option: char, argument: &'a str) -> bool {
        match option {
            'e' | 'f' => matches!(argument, "0" | "1" | "2"),
            'r' | 'b' => argument.starts_with(|letter: char| letter.is_ascii_digit()),
            'a' | 'A' | 'd' => self.list.is_none() && self.take_list(argument),
            'w' | 'W' => {
                let is_accepted = self.list.is_none() && argument.starts_with('/');
                (self.list, self.takes_key) = (Some("exit"), true);
                is_accepted
            }
            'S' => {
                self.takes_key = true;
                !matches!(self.list, Some("task" | "user" | "filesystem" | "exclude")) && are_calls(argument)
            }
            'F' => self.list.is_some() && self.take_field(argument),
            'C' => self.list.is_some() && argument.contains('='),
            'k' => self.list.is_some() && self.takes_key && argument.len() <= MAX_KEY_BYTES,
            'p' => {
                self.takes_key = true;
                self.list.is_some() && argument.len() <= 4 && argument.chars().all(|letter| "rwxaRWXA".contains(letter))
            }
            _ => true,
        }
    }

    /// A list and an action, in either order.
    fn take_list(&mut self, argument: &'a str) -> bool {
        let Some((first, second)) = argument.split_once(',') else { return false };
        let (list, action) = if ACTIONS.contains(&first) { (second, first) } else { (first, second) };
        self.list = Some(list);
        LISTS.contains(&list) && ACTIONS.contains(&action)
    }

    fn take_field(&mut self, argument: &str) -> bool {
        let (field, operator, value) = audit_words::parts(argument);
        if operator.is_empty() {
            return false;
        }
        self.takes_key |= matches!(field, "perm" | "exe" | "fstype");
        let is_key_too_long = field == "key" && value.len() > MAX_KEY_BYTES;
        !value.is_empty() && !is_key_too_long && FIELDS.split(' ').any(|known| known.eq_ignore_ascii_case(field))
    }
}

/// Names or numbers of calls, with commas between them.
fn are_calls(argument: &str) -> bool {
    argument
        .split(',')
        .all(|call| !call.is_empty() && call.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lines_that_auditctl_refuses_are_told_from_others() {
        for line in [
            "-D",
            "-D -k x",
            "-b 8192",
            "-f 1",
            "-e2",
            "-r 0",
            "-i",
            "-c",
            "--loginuid-immutable",
            "--backlog_wait_time 60000",
            "-w /etc/passwd -p wa -k x",
            "-w /my\\ file -p wa",
            "-W /etc/passwd",
            "-a always,exit -F arch=b64 -S init_module,finit_module -F auid>=1000 -F auid!=unset -k modules",
            "-a exit,always -S all -F path=/usr/bin/x -F perm=x -F auid!=-1 -F key=x",
            "-a always,exit -F dir=/etc -F perm=wa -k x",
            "-a always,exit -F arch=b64 -C euid!=uid -F euid=0 -S execve -k x",
            "-a never,user -F subj_type=crond_t",
            "-a always,exclude -F msgtype=CWD",
            "-a never,filesystem -F fstype=tracefs",
            "-A task,never",
            "-d always,exit -S open",
            "-a always,exit -Fa2&03 -Sopen",
        ] {
            assert!(!is_refused(line), "{line}");
        }
        for line in [
            "-a nonsense",
            "-a always,nonsense",
            "-a",
            "nonsense",
            "- w /etc/passwd",
            "-w etc/passwd",
            "-w /etc/passwd -p wz",
            "-w /etc/passwd -p wa # why",
            "-w /etc/passwd -p wa -k a_key_that_is_longer_than_what_audit_takes",
            "-a always,exit -F nonsense=1",
            "-a always,exit -F uid",
            "-F uid=0 -a always,exit",
            "-a always,task -S open",
            "-a always,exit -S open -a always,exit",
            "-a always,exit -F path=/x -k no_call",
            "-e 3",
            "-f x",
            "-b many",
            "-R /etc/other",
            "-z",
            "-D -w /x",
            "--nonsense",
        ] {
            assert!(is_refused(line), "{line}");
        }
        assert!(goes_on("-c") && goes_on("-i") && !goes_on("-e 2"));
    }

    proptest! {
        #[test]
        fn any_line_is_read_without_panic(line in "[- a-zA-Z=,/é\\\\]{0,60}") {
            is_refused(&line);
        }
    }
}
