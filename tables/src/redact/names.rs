//! Which names promise a secret, and which values are none in spite of their name.

/// A longer name is no name.
const MAX_NAME_BYTES: usize = 128;
/// A longer value is no word of a configuration and no path worth showing.
const MAX_PLAIN_BYTES: usize = 256;

/// Anywhere in a part of a name.
const WITHIN: [&str; 6] = ["password", "passwd", "passphrase", "passwort", "credential", "apikey"];
/// At the end of a part.
const ENDS: [&str; 9] = ["secret", "secrets", "token", "tokens", "pass", "pwd", "accesskey", "authkey", "secretkey"];
/// A part as a whole.
const WHOLE: [&str; 8] = ["pw", "pin", "passcode", "passin", "passout", "bindpw", "rootpw", "privatekey"];
/// Before a part `key`.
const KEYS: &str =
    "api access secret private shared account auth encryption signing master storage application session";
/// Words that end in `pass` and mean something else.
const OTHER_PASS: [&str; 8] =
    ["bypass", "compass", "encompass", "surpass", "trespass", "overpass", "underpass", "keepass"];
/// What may stand before such a part to deny it.
const DENIES: [&str; 4] = ["no", "without", "permit", "require"];
/// What follows such a part where the value says something about the secret.
const ABOUT: &str = "\
    file files path dir directory max min days age len length ttl expire expires expiry expiration timeout \
    policy algorithm method authentication auth type name id count changed change warn inactive history \
    quality complexity required enabled disabled allowed status state aging lock locked last url uri \
    endpoint ref bits size strength score format provider manager service reset retry retries tries prompt \
    rotation version stdin through priority";
/// Values that are words of a configuration: of switches, of PAM, of nsswitch.conf, of what APT pins.
const PLAIN: &str = "\
    yes no true false on off none null nil undefined enabled disabled required optional sufficient requisite \
    include set unset locked present absent never always default files compat systemd sss ldap nis winbind \
    prompt stdin release origin version";
/// How what this program puts in a secret's place begins.
const MARKS: [&str; 5] = ["[secret]", "[token]", "[access", "[password", "[private"];
/// Where paths begin; what is made of 64 letters can begin with a slash too.
const FOLDERS: &str = "bin boot data dev etc home lib media mnt opt proc root run sbin srv tmp usr var";

fn holds(list: &str, word: &str) -> bool {
    list.split(' ').any(|one| one == word)
}

/// Whether it is a name as programs have them, and no path or sentence.
pub(super) fn is_name(text: &str) -> bool {
    (2..=MAX_NAME_BYTES).contains(&text.len()) && text.bytes().all(is_in_name)
}

/// The letters of names.
pub(super) fn is_in_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.')
}

/// Whether what goes by this name is a secret, such as `DB_PASS`, `clientSecret` or `X-Auth`.
pub(super) fn promises_secret(name: &str) -> bool {
    if !(2..=MAX_NAME_BYTES).contains(&name.len()) || !name.is_ascii() {
        return false;
    }
    let parts = parts(name);
    if parts.len() > 1 && parts.last().is_some_and(|last| last == "auth") && matches!(parts[0].as_str(), "x" | "proxy")
    {
        return true;
    }
    (0..parts.len()).any(|at| ends_secret(&parts, at).is_some_and(|tail| is_meant(&parts, at, tail)))
}

/// What follows in the part if a secret is named there.
fn ends_secret(parts: &[String], at: usize) -> Option<&str> {
    let part = parts[at].as_str();
    if OTHER_PASS.contains(&part) {
        return None;
    }
    if let Some((found, word)) = WITHIN.iter().find_map(|word| Some((part.find(*word)?, word))) {
        let tail = &part[found + word.len()..];
        return Some(if tail == "s" { "" } else { tail });
    }
    let is_key = part == "key" && at > 0 && holds(KEYS, parts[at - 1].as_str());
    (is_key || WHOLE.contains(&part) || ENDS.iter().any(|end| part.ends_with(*end))).then_some("")
}

/// Whether the name means the secret and not something about it.
fn is_meant(parts: &[String], at: usize, tail: &str) -> bool {
    let is_denied = at > 0 && DENIES.contains(&parts[at - 1].as_str());
    let is_about = holds(ABOUT, tail) || parts[at + 1..].iter().any(|part| holds(ABOUT, part.as_str()));
    !is_denied && !is_about
}

/// `DB_PASS`, `dbPass` and `db.pass` are `db` and `pass`; digits part too.
fn parts(name: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut was_lower = false;
    for letter in name.chars() {
        if !letter.is_ascii_alphabetic() || (letter.is_ascii_uppercase() && was_lower) {
            parts.push(String::new());
        }
        was_lower = letter.is_ascii_lowercase();
        if let Some(last) = parts.last_mut().filter(|_| letter.is_ascii_alphabetic()) {
            last.push(letter.to_ascii_lowercase());
        }
    }
    parts.retain(|part| !part.is_empty());
    parts
}

/// Whether a value shows nothing, although its name promises a secret: a switch, a path, a variable, a number of tokens.
pub(super) fn is_no_secret(name: &str, value: &str) -> bool {
    if value.len() > MAX_PLAIN_BYTES {
        return false;
    }
    let word = value.trim_end_matches([',', ';', ')', '}', ']']).to_ascii_lowercase();
    let is_folder = ["pwd", "oldpwd"].iter().any(|one| name.eq_ignore_ascii_case(one)) && value.starts_with('/');
    let is_many =
        ["ords", "tokens", "secrets", "credentials"].iter().any(|end| name.to_ascii_lowercase().ends_with(*end));
    word.chars().all(|letter| matches!(letter, '*' | '!' | 'x' | '.'))
        || holds(PLAIN, word.as_str())
        || (is_many && word.bytes().all(|byte| byte.is_ascii_digit()))
        || MARKS.iter().any(|mark| value.starts_with(*mark))
        || ["{", "[{", "[]", "file:", "env:", "fd:"].iter().any(|start| value.starts_with(*start))
        || (value.starts_with('<') && value.ends_with('>'))
        || is_folder
        || is_variable(value)
        || is_path(value)
}

/// `$PASS`, `${PASS}`, `$(cat file)`, `%(pass)s`; a password that begins with a dollar is none of these.
fn is_variable(value: &str) -> bool {
    let Some(rest) = value.strip_prefix('$') else { return value.starts_with("%(") };
    let rest = rest.trim_end_matches([',', ';', ')']);
    rest.starts_with(['{', '('])
        || (!rest.is_empty()
            && rest.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_'))
}

fn is_path(value: &str) -> bool {
    let Some(rest) = value.strip_prefix('/') else { return false };
    rest.is_empty() || rest.split(['/', ',', ';', ':']).next().is_some_and(|first| holds(FOLDERS, first))
}
