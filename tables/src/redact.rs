//! Takes secrets out of what leaves the host: what looks like one wherever it stands, what is assigned to a name that promises
//! one, and what the options of well-known programs take. Columns that hold command lines or values are read more strictly.
//! What a module shows on purpose (a user, a path, a setting) does not look like a secret. The work grows with the text alone.

mod names;
mod words;

use std::sync::LazyLock;

use regex::Regex;

use crate::reader::cut;
use crate::value::Value;

/// Text longer than this is cut: evidence is to be read by a person, and a result holds no more than 4,096 letters.
const MAX_TEXT_BYTES: usize = 4_000;
/// A secret that begins in what is shown ends before this.
const MAX_SEARCHED_BYTES: usize = 64 << 10;

/// Columns whose texts are command lines, lines of files or values of any kind.
const FREE_COLUMNS: [&str; 11] = [
    "command",
    "cmdline",
    "command_line",
    "arguments",
    "exec_start",
    "environment",
    "line",
    "content",
    "value",
    "current_value",
    "data",
];
/// Columns that say what the value beside them is.
const NAMING_COLUMNS: [&str; 8] = ["key", "name", "variable", "keyword", "option", "setting", "label", "resource"];
const NAMED_COLUMNS: [&str; 3] = ["value", "current_value", "data"];

/// A word of a shell.
const WORD: &str = r#"(?:"(?:[^"\\]|\\.)*"?|'[^']*'?|\\.|[^\s"'\\])+"#;
/// The same where no other command follows in it.
const ARGUMENT: &str = r#"(?:"(?:[^"\\]|\\.)*"|'[^']*'|\\.|[^\s"'\\|;&])+"#;
/// An argument that is no option and not empty.
const NOT_OPTION: &str = r#"(?:"[^"\n]+"?|'[^'\n]+'?|[^\s"'|;&<>()-][^\s|;&]*)"#;
/// What reads a secret from its standard input.
const READERS: &str = r"(?:sudo\s+)?(?:/usr)?(?:/s?bin/)?(?:chpasswd|passwd|smbpasswd|vncpasswd|kinit|cryptsetup|su)(?-u:\b)|[^\s|;&]*sudo\s+(?:-\S+\s+(?:[^-\s|;&]\S*\s+)?)*?(?:-[A-Za-z]*S[A-Za-z]*|--stdin)(?-u:\b)|(?:[^|;&\n]*[\s/])?(?:--password-stdin|--passwd-on-stdin|--with-token|--passphrase-fd|(?:vault|bao)\s+login|-pass\w*\s+(?:stdin|fd:0))(?-u:\b)";
/// Options of Vault's program that stand before a token.
const VAULT_OPTIONS: &str = r"(?:--?(?:no-print|no-store|token-only|non-interactive|tls-skip-verify|output-curl-string|output-policy|[a-z-]+=\S+|(?:address|agent-address|ca-cert|ca-path|client-cert|client-key|method|path|format|field|header|mfa|namespace|ns|tls-server-name|wrap-ttl)\s+\S+)\s+)*";

/// A pattern of a secret, and what stays of it.
static PATTERNS: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    // A program, and the first such option of it, whose argument is a secret; `joined` where that must follow without a blank.
    let option = |program: &str, option: &str, joined: bool| {
        let blanks = if joined { "" } else { r"\s*=?\s*" };
        format!(r"(?-u:\b)((?:{program})\s(?:[^|;&\n]*?\s)??(?:{option}){blanks}){WORD}")
    };
    // The same for arguments that begin with a user, which stays.
    let pair = |program: &str, option: &str, between: &str| {
        format!(
            r#"(?-u:\b)((?:{program})\s(?:[^|;&\n]*?\s)??(?:{option})\s*=?\s*["']?[^\s"'{between}]*{between})[^\s"']+"#
        )
    };
    // A password behind a user, and a file but for `-n`, of htpasswd.
    let positional = |flags: &str, letter: &str, words: usize| {
        let others = format!(r"(?:-{letter}*[Cr]\s+\d+\s+|-{letter}+\s+)*");
        format!(r"(?-u:\b)(htpasswd\s+{others}?{flags}\s+(?:\d+\s+)?{others}(?:{WORD}\s+){{{words}}}){WORD}")
    };
    [
        (
            r"-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(-----END [A-Z ]*PRIVATE KEY-----|$)".to_owned(),
            "[private key]",
        ),
        // crypt(5): $6$salt$digest and its kin, and Apache's $apr1$
        (
            r"\$(?:[1-9][a-z]?|y|gy|apr1|md5|sha1|scrypt|argon2(?:id|i|d)|pbkdf2[a-z0-9-]*)\$[^\s:,$]*\$[^\s:]{8,}"
                .to_owned(),
            "[password digest]",
        ),
        (r"\{(?:S?SHA\d*|S?MD5|CRYPT|ARGON2|PBKDF2[\w-]*)\}[^\s:]{8,}".to_owned(), "[password digest]"),
        (r"grub\.pbkdf2\.[^\s]+".to_owned(), "[password digest]"),
        (r"(?-u:\b)(?:AKIA|ASIA)[0-9A-Z]{16}(?-u:\b)".to_owned(), "[access key]"),
        (
            r"(?-u:\b)(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{22,}|glpat-[A-Za-z0-9_-]{20,}|xox[abposr]-[A-Za-z0-9-]{10,})"
                .to_owned(),
            "[token]",
        ),
        (
            r"(?-u:\b)(?:hf_[A-Za-z0-9]{16,}|[rsp]k_(?:live|test)_[A-Za-z0-9]{8,}|AIza[A-Za-z0-9_-]{20,}|sk-[A-Za-z0-9_-]{20,}|npm_[A-Za-z0-9]{30,}|dckr_pat_[A-Za-z0-9_-]{16,}|hv[sb]\.[A-Za-z0-9_-]{20,}|SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,})"
                .to_owned(),
            "[token]",
        ),
        (r"(?-u:\b)eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*".to_owned(), "[token]"),
        (
            r#"(?i)(authorization["']?[ \t]*[:=][ \t]*["']?(?:(?:basic|bearer|digest|negotiate|token|apikey)[ \t]+)?)[^\s"']+"#
                .to_owned(),
            "${1}[secret]",
        ),
        (r"(?i)(?-u:\b)(bearer[ \t]+)[A-Za-z0-9._~+/=-]{8,}".to_owned(), "${1}[secret]"),
        (option("sshpass", "-p", false), "${1}[secret]"),
        (option("mysql[a-z_]*|mariadb[a-z-]*", "-p", true), "${1}[secret]"),
        (option("ldap[a-z]+|kadmin", "-w", false), "${1}[secret]"),
        (option("redis-cli", "-a", false), "${1}[secret]"),
        (option("7z[ar]?|unrar|rar", "-p", true), "${1}[secret]"),
        (option("(?:un)?zip|ipmitool|sqlcmd|bcp|freebcp|tsql", "-P", false), "${1}[secret]"),
        (option("snmp[a-z]+", "-A", false), "${1}[secret]"),
        (option("snmp[a-z]+", "-X", false), "${1}[secret]"),
        (option("snmp[a-z]+", "-c", false), "${1}[secret]"),
        (option("mongo[a-z]*|cqlsh|ncftp[a-z]*|veracrypt", "-p", false), "${1}[secret]"),
        (option("mosquitto_[a-z]+", "-P", false), "${1}[secret]"),
        (
            option(r"(?:docker|podman|nerdctl|buildah|oras|helm|az|oc|skopeo|crane)\s[^|;&\n]*?login", "-p", false),
            "${1}[secret]",
        ),
        (option("useradd|usermod", "-p", false), "${1}[secret]"),
        (option("curl", "--oauth2-bearer", false), "${1}[secret]"),
        (option("openssl", r"-(?:k|K|hmac|psk)\s", false), "${1}[secret]"),
        (option("openssl", r"-macopt\s", false), "${1}[secret]"),
        (option("sendemail|sendEmail", r"-xp\s", false), "${1}[secret]"),
        (option("swaks", r"-ap\s", false), "${1}[secret]"),
        (option("[a-z]*freerdp[0-9]*", "/p:|/gp:|/gateway-password:", true), "${1}[secret]"),
        (option("rdesktop", "-p", false), "${1}[secret]"),
        (pair("curl", "-u|--user", ":"), "${1}[secret]"),
        (pair("curl", "-U|--proxy-user", ":"), "${1}[secret]"),
        (pair("smbclient|smbcacls|rpcclient|net|smbget|winexe|wmic", "-U|--user", "%"), "${1}[secret]"),
        (pair("lftp", "-u|--user", ","), "${1}[secret]"),
        (pair("etcdctl", "--user", ":"), "${1}[secret]"),
        (pair("https?", "-a|--auth", ":"), "${1}[secret]"),
        (positional(r"-[A-Za-z]*n[A-Za-z]*", "[A-Za-z]", 1), "${1}[secret]"),
        (positional(r"-[A-Za-mo-z]*b[A-Za-mo-z]*", "[A-Za-mo-z]", 2), "${1}[secret]"),
        (
            r#"(?-u:\b)(smbclient\s(?:[^|;&\n]*?\s)??["']?//[^\s"'|;&<>]+["']?[ \t]+)(?:"[^"\n]*"?|'[^'\n]*'?|[^\s"'|;&<>-]\S*)"#
                .to_owned(),
            "${1}[secret]",
        ),
        (
            r#"(?-u:\b)((?:sqlplus|sqlldr|sqlcl|expdp|impdp|rman)\s(?:[^|;&\n]*?\s)??["']?[^\s"'/@=|;&<>.-][^\s"'/@]*/)[^\s"']+"#
                .to_owned(),
            "${1}[secret]",
        ),
        // Cookies, addresses that open what they name, what a script types
        (
            r#"(?-u:\b)(curl\s(?:[^|;&\n]*?\s)??(?:-b|--cookie)[\s=]*)(?:"[^"\n]*=[^"\n]*"?|'[^'\n]*=[^'\n]*'?|[^\s"']*=[^\s"']+)"#
                .to_owned(),
            "${1}[secret]",
        ),
        (r#"(?i)(?-u:\b)(cookie["']?[ \t]*:[ \t]*)[^"'\n=]*=[^"'\n]+"#.to_owned(), "${1}[secret]"),
        (
            r#"(?i)([?&](?:key|sig|signature|x-amz-signature|code|auth|session|sessionid|sid|jwt|pin)=)[^\s"'&#<>]+"#
                .to_owned(),
            "${1}[secret]",
        ),
        (
            r#"(?i)((?:hooks\.slack\.com/(?:services|workflows|triggers)|discord(?:app)?\.com/api/webhooks|webhook\.office\.com/webhookb2|api\.telegram\.org/bot)/?)[^\s"'<>]+"#
                .to_owned(),
            "${1}[secret]",
        ),
        (r#"(?-u:\b)(send\s+(?:--?[a-z]*\s+)*(?:\\?"|'|\{)?)[^\n]+?(\\+[rn])"#.to_owned(), "${1}[secret]${2}"),
        (format!(r"(<<<\s*){WORD}"), "${1}[secret]"),
        // netrc(5), redis.conf, slapd.conf, npm, aws, pdftk, SQL
        (format!(r"(?i)(?-u:\b)(login\s+\S+\s+password\s+){WORD}"), "${1}[secret]"),
        (
            format!(
                r"(?i)(?-u:\b)((?:requirepass|masterauth|rootpw|bindpw|_authtoken|aws_secret_access_key|aws_session_token|input_pw|owner_pw|user_pw)[ \t]+(?:[=:]>?[ \t]+)?){WORD}"
            ),
            "${1}[secret]",
        ),
        (r"(?i)(?-u:\b)((?:identified[ \t]+by|password)[ \t]+')[^']+".to_owned(), "${1}[secret]"),
        // What an echo gives to a program that asks
        (
            format!(
                r"(?-u:\b)((?:echo|printf|yes)\s+(?:-[a-z]+\s+)*)(?:{ARGUMENT}\s+)*?{ARGUMENT}(\s*\|\s*(?:{READERS}))"
            ),
            "${1}[secret]${2}",
        ),
        // Arguments without an option
        (
            format!(
                r#"(?-u:\b)((?:vault|bao)\s+(?:login|unwrap|operator\s+unseal|token\s+(?:lookup|renew|revoke))\s+{VAULT_OPTIONS}["']?)[^\s"'=|;&<>()-][^\s"'=|;&<>()]*=*(["'\s|;&)`]|$)"#
            ),
            "${1}[secret]${2}",
        ),
        (
            format!(r"(?-u:\b)(openssl\s+passwd\s+(?:-(?:salt|in|out)\s+\S+\s+|-[a-z0-9]+\s+)*){NOT_OPTION}"),
            "${1}[secret]",
        ),
        (
            format!(r"(?-u:\b)(mkpasswd\s+(?:-[mRSP]\s*\S+\s+|--[a-z-]+=\S+\s+|-s\s+|--stdin\s+)*){NOT_OPTION}"),
            "${1}[secret]",
        ),
        (format!(r"(?-u:\b)(ssh-keygen\s(?:[^|;&\n]*?\s)??-N\s*){NOT_OPTION}"), "${1}[secret]"),
        (format!(r"(?-u:\b)(ssh-keygen\s(?:[^|;&\n]*?\s)??-P\s*){NOT_OPTION}"), "${1}[secret]"),
        (
            format!(r"(?-u:\b)((?:mysqladmin|mariadb-admin|nmcli)\s(?:[^|;&\n]*?\s)??password\s+){NOT_OPTION}"),
            "${1}[secret]",
        ),
        (
            format!(
                r"(?-u:\b)((?:wpa_passphrase|rabbitmqctl\s(?:[^|;&\n]*?\s)??(?:add_user|change_password))\s+{ARGUMENT}\s+){NOT_OPTION}"
            ),
            "${1}[secret]",
        ),
        (format!(r"(--from-literal[=\s][^\s=]+=){ARGUMENT}"), "${1}[secret]"),
    ]
    .into_iter()
    .filter_map(|(pattern, shown)| Some((Regex::new(&pattern).ok()?, shown)))
    .collect()
});

/// The text without what looks like a secret, at most 4 KiB long.
pub fn redact(text: &str) -> String {
    let mut clean = hidden(text);
    cut(&mut clean, MAX_TEXT_BYTES);
    clean
}

/// The values of a row without what looks like a secret. What a column is called, and what a column beside it says, count.
pub(crate) fn redact_row(columns: &[String], row: &[Value]) -> Vec<serde_json::Value> {
    let is_in = |list: &[&str], column: &str| list.iter().any(|one| column.eq_ignore_ascii_case(one));
    let name = columns.iter().zip(row).find_map(|(column, value)| {
        let name = value.as_str().filter(|_| is_in(&NAMING_COLUMNS, column))?;
        (names::is_name(name) && names::promises_secret(name)).then_some(name)
    });
    let one = |(column, value): (&String, &Value)| {
        let Value::Text(text) = value else { return value.to_json() };
        let named = name.filter(|_| is_in(&NAMED_COLUMNS, column));
        let named = named.or_else(|| Some(column.as_str()).filter(|column| names::promises_secret(column)));
        if named.is_some_and(|name| !names::is_no_secret(name, text)) {
            return words::SECRET.into();
        }
        let mut clean = hidden(text);
        if is_in(&FREE_COLUMNS, column) {
            clean = words::hide_random(&clean);
        }
        cut(&mut clean, MAX_TEXT_BYTES);
        clean.into()
    };
    columns.iter().zip(row).map(one).collect()
}

fn hidden(text: &str) -> String {
    let mut clean = text[..text.floor_char_boundary(MAX_SEARCHED_BYTES)].to_owned();
    for (pattern, shown) in PATTERNS.iter() {
        if pattern.is_match(&clean) {
            clean = pattern.replace_all(&clean, *shown).into_owned();
        }
    }
    words::hide_assigned(&words::hide_options(&words::hide_in_addresses(&clean)))
}

#[cfg(test)]
mod tests;
