//! What commands of SCA rules would print, as queries with the column `line`. A module runs no command: those that only
//! show what a table has are here, the others are not translated.

use crate::import::sql_text::quote;

/// What policies ask dpkg-query to print.
const PACKAGE_FORMAT: &str = r"${binary:Package}\t${Status}\t${db:Status-Status}";

/// The lines of a command's output; none if no table has them.
pub(super) fn lines(command: &str) -> Option<String> {
    let words: Vec<&str> = command.split_whitespace().collect();
    let (program, arguments) = words.split_first()?;
    let program = program.rsplit('/').next().unwrap_or(program);
    match (program, arguments) {
        ("sysctl", [name]) if is_plain(name) => Some(format!(
            "SELECT name || ' = ' || current_value AS line FROM system_controls WHERE name = {}",
            quote(name)
        )),
        ("sysctl", ["-n", name]) if is_plain(name) => {
            Some(format!("SELECT current_value AS line FROM system_controls WHERE name = {}", quote(name)))
        }
        ("sshd", ["-T"]) => Some("SELECT keyword || ' ' || value AS line FROM sshd_effective_config".to_owned()),
        ("lsmod", []) => Some("SELECT name || ' ' || size AS line FROM kernel_modules".to_owned()),
        ("mount", []) => Some(mounts(None)),
        ("findmnt", ["--kernel" | "-n" | "-kn", path] | [path]) if path.starts_with('/') => Some(mounts(Some(path))),
        ("systemctl", ["is-enabled", unit]) if is_plain(unit) => Some(unit_field("unit_file_state", unit)),
        ("systemctl", ["is-active", unit]) if is_plain(unit) => Some(unit_field("active_state", unit)),
        ("dpkg" | "dpkg-query", ["-s", package]) if is_plain(package) => Some(package_status(package)),
        ("dpkg-query", ["-W", .., package]) if is_plain(package) && command.contains(PACKAGE_FORMAT) => {
            Some(package_query(package))
        }
        ("rpm", ["-q", package]) if is_plain(package) => Some(rpm(package)),
        ("stat", _) => stat(command),
        _ => None,
    }
}

/// A name that no shell would read as anything else.
fn is_plain(name: &str) -> bool {
    let allowed =
        |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '-' | '_' | '@' | '+' | ':' | '/');
    !name.starts_with('-') && name.chars().all(allowed)
}

fn mounts(path: Option<&str>) -> String {
    let all = "SELECT device || ' on ' || path || ' type ' || type || ' (' || flags || ')' AS line FROM mounts";
    match path {
        None => all.to_owned(),
        // findmnt: TARGET SOURCE FSTYPE OPTIONS
        Some(path) => format!(
            "SELECT path || ' ' || device || ' ' || type || ' ' || flags AS line FROM mounts WHERE path = {}",
            quote(path)
        ),
    }
}

fn unit_field(column: &str, unit: &str) -> String {
    let id = if unit.contains('.') { unit.to_owned() } else { format!("{unit}.service") };
    format!("SELECT {column} AS line FROM systemd_units WHERE id = {}", quote(&id))
}

fn package_status(package: &str) -> String {
    let name = quote(package);
    let absent = quote(&format!("dpkg-query: package '{package}' is not installed and no information is available"));
    format!(
        "SELECT 'Package: ' || name AS line FROM deb_packages WHERE name = {name} \
         UNION ALL SELECT 'Status: ' || status FROM deb_packages WHERE name = {name} \
         UNION ALL SELECT 'Version: ' || version FROM deb_packages WHERE name = {name} \
         UNION ALL SELECT {absent} WHERE NOT EXISTS (SELECT 1 FROM deb_packages WHERE name = {name})"
    )
}

/// `-f='${binary:Package}\t${Status}\t${db:Status-Status}\n'`.
fn package_query(package: &str) -> String {
    let name = quote(package);
    let absent = quote(&format!("dpkg-query: no packages found matching {package}"));
    format!(
        "SELECT name || char(9) || status || char(9) || replace(status, rtrim(status, replace(status, ' ', '')), '') AS line \
         FROM deb_packages WHERE name = {name} \
         UNION ALL SELECT {absent} WHERE NOT EXISTS (SELECT 1 FROM deb_packages WHERE name = {name})"
    )
}

fn rpm(package: &str) -> String {
    let name = quote(package);
    let absent = quote(&format!("package {package} is not installed"));
    format!(
        "SELECT name || '-' || version || '-' || release || '.' || arch AS line FROM rpm_packages WHERE name = {name} \
         UNION ALL SELECT {absent} WHERE NOT EXISTS (SELECT 1 FROM rpm_packages WHERE name = {name})"
    )
}

/// `stat -Lc "%n %a %u/%U %g/%G" /etc/passwd`: only with a format, whose parts are columns.
fn stat(command: &str) -> Option<String> {
    let options = command.strip_prefix("stat ")?.trim_start();
    let options = ["-L -c", "-Lc", "-c"].into_iter().find_map(|option| options.strip_prefix(option))?.trim_start();
    let quote_mark = options.chars().next().filter(|letter| matches!(letter, '"' | '\''))?;
    let (format, path) = options[1..].split_once(quote_mark)?;
    let path = path.trim();
    if !path.starts_with('/') || path.contains(char::is_whitespace) || path.contains(['*', '?', '$']) {
        return None;
    }
    let mut parts = Vec::new();
    let mut literal = String::new();
    let mut letters = format.chars();
    while let Some(letter) = letters.next() {
        if letter != '%' {
            literal.push(letter);
            continue;
        }
        let column = match letters.next()? {
            'n' => "f.path",
            'a' => "coalesce(nullif(ltrim(f.mode, '0'), ''), '0')",
            'u' => "f.uid",
            'g' => "f.gid",
            's' => "f.size",
            'U' => "(SELECT u.username FROM users u WHERE u.uid = f.uid)",
            'G' => "(SELECT g.groupname FROM groups g WHERE g.gid = f.gid)",
            _ => return None,
        };
        if !literal.is_empty() {
            parts.push(quote(&std::mem::take(&mut literal)));
        }
        parts.push(format!("coalesce({column}, 'UNKNOWN')"));
    }
    if !literal.is_empty() {
        parts.push(quote(&literal));
    }
    Some(format!("SELECT {} AS line FROM file f WHERE f.path = {}", parts.join(" || "), quote(path)))
}

#[cfg(test)]
mod tests {
    use super::lines;

    #[test]
    fn a_command_that_only_shows_a_table_is_a_query_and_no_other() {
        for (command, part) in [
            ("sysctl net.ipv4.ip_forward", Some("system_controls WHERE name = 'net.ipv4.ip_forward'")),
            ("/usr/sbin/sshd -T", Some("sshd_effective_config")),
            ("systemctl is-enabled cron", Some("id = 'cron.service'")),
            ("findmnt --kernel /tmp", Some("path = '/tmp'")),
            ("stat -Lc \"%n %a %u/%U %g/%G\" /etc/passwd", Some("f.path = '/etc/passwd'")),
            ("stat -Lc \"%Z\" /etc/passwd", None),
            ("sh -c 'rm -rf /'", None),
            ("sysctl a; reboot", None),
            ("dpkg -s x$(reboot)", None),
            ("systemctl is-enabled -H", None),
            ("", None),
        ] {
            let made = lines(command);
            assert_eq!(made.is_some(), part.is_some(), "{command}");
            assert!(made.unwrap_or_default().contains(part.unwrap_or_default()), "{command}");
        }
    }
}
