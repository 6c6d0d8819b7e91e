//! Which modules a tenant has: patterns over slugs, as in `Tenant.spec.modules`.

use crate::module::Module;

/// Whether `pattern` names `module`: a glob over its slug (`linux-*`), its category, or a framework one of its checks maps to.
pub fn names(pattern: &str, module: &Module) -> bool {
    glob(pattern, &module.slug)
        || pattern == module.category.as_str()
        || module.checks.iter().any(|check| check.controls.contains_key(pattern))
}

/// Whether `module` is enabled: some pattern of `enable` names it and none of `disable` does. No `enable` means all.
pub fn is_enabled(module: &Module, enable: &[String], disable: &[String]) -> bool {
    (enable.is_empty() || enable.iter().any(|pattern| names(pattern, module)))
        && !disable.iter().any(|pattern| names(pattern, module))
}

/// `*` stands for any characters, `?` for one.
fn glob(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    // Where to go on when what follows the last `*` does not match: linear in practice, never exponential.
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                retry = Some((p + 1, t + 1));
                p += 1;
            }
            Some(&letter) if letter == b'?' || letter == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match retry {
                Some((after_star, next)) => {
                    p = after_star;
                    t = next;
                    retry = Some((after_star, next + 1));
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|&letter| letter == b'*')
}

#[cfg(test)]
mod tests {
    use super::glob;

    #[test]
    fn globs_match_whole_slugs() {
        for (pattern, text, expected) in [
            ("linux-*", "linux-sshd-hardening", true),
            ("linux-*", "windows-registry", false),
            ("*", "anything", true),
            ("*-hardening", "linux-sshd-hardening", true),
            ("*-harden", "linux-sshd-hardening", false),
            ("linux-?ron", "linux-cron", true),
            ("linux-cron", "linux-cron", true),
            ("linux-cron", "linux-cron-extra", false),
            ("*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaa", false),
            ("", "", true),
        ] {
            assert_eq!(glob(pattern, text), expected, "{pattern} against {text}");
        }
    }
}
