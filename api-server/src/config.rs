//! What the program can be told, and where from: flags, `TENA_*` variables, a `…_FILE` variant for each secret, and the
//! names older installations used. A value that cannot work stops the start with a sentence.
//!
//! Aliases and files are turned into flags before clap sees them: clap knows one variable for each option, and setting
//! variables from inside a process is not safe. Flags win over `TENA_*`, `TENA_*` over files, files over aliases.

use std::{ffi::OsString, fmt, net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Parser, Subcommand, ValueEnum};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

/// Where a bad value was found and what to write instead.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A `…_FILE` variable names a file that cannot be read.
    #[error("{variable} names {path}, which cannot be read: {source}")]
    SecretFile {
        /// The variable.
        variable: String,
        /// The file it names.
        path: String,
        /// Why it cannot be read.
        source: std::io::Error,
    },
    /// A value that parses but cannot work.
    #[error("{variable} {problem}")]
    Invalid {
        /// The variable.
        variable: &'static str,
        /// What is wrong, continuing the sentence that starts with the variable.
        problem: String,
    },
}

/// One option that may come from a file or under an older name.
struct Source {
    flag: &'static str,
    variable: &'static str,
    aliases: &'static [&'static str],
    is_secret: bool,
}

const fn secret(flag: &'static str, variable: &'static str, aliases: &'static [&'static str]) -> Source {
    Source { flag, variable, aliases, is_secret: true }
}

const fn plain(flag: &'static str, variable: &'static str, aliases: &'static [&'static str]) -> Source {
    Source { flag, variable, aliases, is_secret: false }
}

const SOURCES: &[Source] = &[
    secret("--db-url", "TENA_DB_URL", &["DATABASE_URL", "DB_URL"]),
    secret("--jwt-secret", "TENA_JWT_SECRET", &["JWT_SECRET"]),
    secret("--bundle-key", "TENA_BUNDLE_KEY", &[]),
    secret("--archive-secret-access-key", "TENA_ARCHIVE_SECRET_ACCESS_KEY", &[]),
    secret("--seed-admin-password", "TENA_SEED_ADMIN_PASSWORD", &["SEED_ADMIN_PASSWORD"]),
    plain("--jwt-algorithm", "TENA_JWT_ALGORITHM", &["JWT_ALGORITHM"]),
    plain("--access-token-expire-minutes", "TENA_ACCESS_TOKEN_EXPIRE_MINUTES", &["ACCESS_TOKEN_EXPIRE_MINUTES"]),
    plain("--refresh-token-expire-days", "TENA_REFRESH_TOKEN_EXPIRE_DAYS", &["REFRESH_TOKEN_EXPIRE_DAYS"]),
    plain("--log-level", "TENA_LOG_LEVEL", &["LOG_LEVEL"]),
    plain("--seed-admin-email", "TENA_SEED_ADMIN_EMAIL", &["SEED_ADMIN_EMAIL"]),
    plain("--seed-tenant-slug", "TENA_SEED_TENANT_SLUG", &["SEED_TENANT_SLUG"]),
    plain("--sec-hsts", "TENA_SEC_HSTS", &["SEC_HSTS"]),
    plain("--sec-csp", "TENA_SEC_CSP", &["SEC_CSP"]),
    plain("--sec-frame-options", "TENA_SEC_FRAME_OPTIONS", &["SEC_FRAME_OPTIONS"]),
    plain("--sec-content-type-options", "TENA_SEC_CONTENT_TYPE_OPTIONS", &["SEC_CONTENT_TYPE_OPTIONS"]),
    plain("--sec-referrer-policy", "TENA_SEC_REFERRER_POLICY", &["SEC_REFERRER_POLICY"]),
];

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For a person at a terminal.
    Text,
}

/// Algorithms that this program signs access tokens with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum JwtAlgorithm {
    /// HMAC with SHA-256 under `TENA_JWT_SECRET`.
    #[value(name = "HS256")]
    Hs256,
}

/// What the daily retention does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RetentionMode {
    /// Deletes what is older than the tenants' policies allow.
    On,
    /// Writes down what it would delete.
    DryRun,
    /// Nothing.
    Off,
}

/// What the program does instead of serving.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Serves the API and the dashboard (the default).
    Serve,
    /// Prints the OpenAPI 3.1 document and ends; needs no database.
    Openapi,
}

/// The REST API of Tenantra: ingestion, scoring, background jobs and the web dashboard.
///
/// Each option is also an environment variable; each secret also takes a variable with the suffix `_FILE` that names a
/// file holding it. Also understood: `DATABASE_URL`, `DB_URL`, `JWT_SECRET`, `JWT_ALGORITHM`, `ACCESS_TOKEN_EXPIRE_MINUTES`,
/// `REFRESH_TOKEN_EXPIRE_DAYS`, `LOG_LEVEL`, SEED_*, SEC_*; the prefixed name wins.
#[derive(Clone, Debug, Parser)]
#[command(name = "tenantra-api", version, args_override_self = true)]
pub struct Config {
    /// Where to listen.
    #[arg(long, env = "TENA_LISTEN", default_value = "0.0.0.0:8443")]
    pub listen: SocketAddr,
    /// Where `/metrics`, `/healthz` and `/readyz` are served in plain HTTP, for Prometheus and the kubelet; `/metrics` then
    /// leaves the main address, which strangers reach.
    #[arg(long, env = "TENA_METRICS_LISTEN")]
    pub metrics_listen: Option<SocketAddr>,
    /// PEM file with the serving certificate and its chain; without it the server speaks plain HTTP.
    #[arg(long, env = "TENA_TLS_CERT_FILE", requires = "tls_key_file")]
    pub tls_cert_file: Option<PathBuf>,
    /// PEM file with the key of the serving certificate.
    #[arg(long, env = "TENA_TLS_KEY_FILE", requires = "tls_cert_file")]
    pub tls_key_file: Option<PathBuf>,

    /// Postgres, as the role `tenantra_api`.
    #[arg(long, env = "TENA_DB_URL", hide_env_values = true, default_value = "")]
    pub db_url: Secret,
    /// The most connections held to Postgres.
    #[arg(long, env = "TENA_DB_MAX_CONNECTIONS", default_value_t = 20, value_parser = clap::value_parser!(u32).range(2..=500))]
    pub db_max_connections: u32,

    /// Signs access tokens; at least 32 bytes.
    #[arg(long, env = "TENA_JWT_SECRET", hide_env_values = true, default_value = "")]
    pub jwt_secret: Secret,
    /// The algorithm access tokens are signed with.
    #[arg(long, env = "TENA_JWT_ALGORITHM", default_value = "HS256")]
    pub jwt_algorithm: JwtAlgorithm,
    /// How long an access token holds, in minutes.
    #[arg(long, env = "TENA_ACCESS_TOKEN_EXPIRE_MINUTES", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=1440))]
    pub access_token_expire_minutes: u32,
    /// How long a refresh token holds, in days.
    #[arg(long, env = "TENA_REFRESH_TOKEN_EXPIRE_DAYS", default_value_t = 14, value_parser = clap::value_parser!(u32).range(1..=90))]
    pub refresh_token_expire_days: u32,
    /// Sign-ins one address may try in a minute.
    #[arg(long, env = "TENA_SIGNIN_PER_MINUTE", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub signin_per_minute: u32,
    /// Enrolments one address may try in a minute.
    #[arg(long, env = "TENA_ENROLL_PER_MINUTE", default_value_t = 120, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub enroll_per_minute: u32,

    /// Ed25519 key (PKCS#8 PEM) that signs the agents' module bundles.
    #[arg(long, env = "TENA_BUNDLE_KEY", hide_env_values = true, default_value = "")]
    pub bundle_key: Secret,
    /// How often an idle agent asks for work, in seconds.
    #[arg(long, env = "TENA_AGENT_POLL_SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=300))]
    pub agent_poll_seconds: u32,
    /// Agents that may wait for work on this replica at one time; one more is answered at once.
    #[arg(long, env = "TENA_MAX_WAITING_AGENTS", default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..=200_000))]
    pub max_waiting_agents: u32,

    /// Deprecated versions that each module keeps; older ones are retired.
    #[arg(long, env = "TENA_MODULE_VERSIONS_KEPT", default_value_t = 2, value_parser = clap::value_parser!(u32).range(0..=20))]
    pub module_versions_kept: u32,
    /// How long a module version stays schedulable after a newer one was released, in days.
    #[arg(long, env = "TENA_MODULE_SUNSET_DAYS", default_value_t = 90, value_parser = clap::value_parser!(u32).range(1..=3650))]
    pub module_sunset_days: u32,
    /// The program `tenantra`, which runs quality gates for this server; left out, the one beside this program.
    #[arg(long, env = "TENA_GATES_PROGRAM")]
    pub gates_program: Option<PathBuf>,

    /// What the daily retention does: delete what is older than the tenants' policies allow, write down what it would
    /// delete, or nothing.
    #[arg(long, env = "TENA_RETENTION", default_value = "on")]
    pub retention: RetentionMode,
    /// How often tenants whose last retention is a day ago are looked for, in seconds.
    #[arg(long, env = "TENA_RETENTION_LOOK_SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub retention_look_seconds: u32,
    /// Where rows go that are archived before they are deleted: `file:///folder` or `s3://bucket/prefix`.
    #[arg(long, env = "TENA_ARCHIVE_URL")]
    pub archive_url: Option<Url>,
    /// Address of an S3-compatible store; left out, Amazon's.
    #[arg(long, env = "TENA_ARCHIVE_ENDPOINT")]
    pub archive_endpoint: Option<Url>,
    /// Region of the bucket.
    #[arg(long, env = "TENA_ARCHIVE_REGION")]
    pub archive_region: Option<String>,
    /// Key for the bucket; left out with its secret, what the environment gives (`AWS_*`, a pod's or a machine's role).
    #[arg(long, env = "TENA_ARCHIVE_ACCESS_KEY_ID")]
    pub archive_access_key_id: Option<String>,
    /// Secret of the key.
    #[arg(long, env = "TENA_ARCHIVE_SECRET_ACCESS_KEY", hide_env_values = true)]
    pub archive_secret_access_key: Option<Secret>,

    /// E-mail of the platform's first super admin, made at the start if nobody has it.
    #[arg(long, env = "TENA_SEED_ADMIN_EMAIL")]
    pub seed_admin_email: Option<String>,
    /// Password of the first super admin.
    #[arg(long, env = "TENA_SEED_ADMIN_PASSWORD", hide_env_values = true)]
    pub seed_admin_password: Option<Secret>,
    /// Slug of a tenant whose admin the seeded user is as well.
    #[arg(long, env = "TENA_SEED_TENANT_SLUG")]
    pub seed_tenant_slug: Option<String>,

    /// Origins of other sites that may call the API from a browser.
    #[arg(long, env = "TENA_CORS_ORIGINS", value_delimiter = ',')]
    pub cors_origins: Vec<Url>,
    /// Strict-Transport-Security, sent where the server ends TLS itself.
    #[arg(long, env = "TENA_SEC_HSTS", default_value = "max-age=63072000; includeSubDomains")]
    pub sec_hsts: String,
    /// Content-Security-Policy of everything but the docs page.
    #[arg(
        long,
        env = "TENA_SEC_CSP",
        default_value = "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )]
    pub sec_csp: String,
    /// X-Frame-Options.
    #[arg(long, env = "TENA_SEC_FRAME_OPTIONS", default_value = "DENY")]
    pub sec_frame_options: String,
    /// X-Content-Type-Options.
    #[arg(long, env = "TENA_SEC_CONTENT_TYPE_OPTIONS", default_value = "nosniff")]
    pub sec_content_type_options: String,
    /// Referrer-Policy.
    #[arg(long, env = "TENA_SEC_REFERRER_POLICY", default_value = "no-referrer")]
    pub sec_referrer_policy: String,

    /// What is logged: a level, or directives such as `info,store=debug`.
    #[arg(long, env = "TENA_LOG_LEVEL", default_value = "info")]
    pub log_level: String,
    /// How log lines are written.
    #[arg(long, env = "TENA_LOG_FORMAT", default_value = "json")]
    pub log_format: LogFormat,
    /// Name of the installation, in every log line.
    #[arg(long, env = "TENA_ENV", default_value = "production")]
    pub environment: String,
    /// How long running requests may take to finish when the program is told to end, in seconds.
    #[arg(long, env = "TENA_SHUTDOWN_SECONDS", default_value_t = 20, value_parser = clap::value_parser!(u32).range(0..=600))]
    pub shutdown_seconds: u32,

    /// What to do; serves when left out.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// A secret that clap can hold: parsing it cannot fail, so that no error message ever quotes it.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// The value, where it is used.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl From<&str> for Secret {
    fn from(value: &str) -> Self {
        Self(SecretString::from(value.trim_end_matches(['\r', '\n']).to_owned()))
    }
}

impl From<String> for Secret {
    fn from(value: String) -> Self {
        Self::from(value.as_str())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}

impl Config {
    /// Reads flags and environment; clap prints and ends the process for `--help` and for values that do not parse.
    ///
    /// Answers with the configuration and one sentence for each alias used, to be logged once logging works.
    ///
    /// # Errors
    /// A secret's file that cannot be read, or a value that cannot work.
    pub fn load() -> Result<(Self, Vec<String>), Error> {
        let arguments: Vec<OsString> = std::env::args_os().collect();
        let (resolved, notes) = resolve(arguments, |name| std::env::var(name).ok())?;
        let config = Self::parse_from(resolved);
        if config.command != Some(Command::Openapi) {
            config.validate()?;
        }
        Ok((config, notes))
    }

    /// The configuration of defaults and the given flags, for tests and other programs; reads no aliases and no files.
    ///
    /// # Errors
    /// clap's sentence.
    pub fn from_flags<I, T>(flags: I) -> Result<Self, clap::Error>
    where
        I: IntoIterator<Item = T>,
        T: Into<OsString> + Clone,
    {
        Self::try_parse_from(std::iter::once(OsString::from("tenantra-api")).chain(flags.into_iter().map(Into::into)))
    }

    /// Checks what clap cannot: what is required and what belongs together.
    ///
    /// # Errors
    /// The first value that cannot work.
    pub fn validate(&self) -> Result<(), Error> {
        let invalid = |variable, problem: &str| Err(Error::Invalid { variable, problem: problem.to_owned() });
        match Url::parse(self.db_url.expose()) {
            Ok(url) if matches!(url.scheme(), "postgres" | "postgresql") => {}
            _ if self.db_url.expose().is_empty() => {
                return invalid("TENA_DB_URL", "is not set; write postgres://tenantra_api:<password>@<host>/tenantra");
            }
            _ => {
                return invalid(
                    "TENA_DB_URL",
                    "is not a Postgres address; write postgres://<user>:<password>@<host>/<database>",
                );
            }
        }
        if self.jwt_secret.expose().len() < 32 {
            return invalid("TENA_JWT_SECRET", "must have at least 32 bytes; `openssl rand -base64 48` makes one");
        }
        if self.bundle_key.expose().is_empty() {
            return invalid(
                "TENA_BUNDLE_KEY",
                "is not set; `openssl genpkey -algorithm ed25519` makes the key that signs the agents' modules",
            );
        }
        if self.seed_admin_email.is_some() != self.seed_admin_password.is_some() {
            return invalid("TENA_SEED_ADMIN_EMAIL", "and TENA_SEED_ADMIN_PASSWORD go together; set both or none");
        }
        if self.seed_tenant_slug.is_some() && self.seed_admin_email.is_none() {
            return invalid("TENA_SEED_TENANT_SLUG", "needs TENA_SEED_ADMIN_EMAIL, whose tenant it names");
        }
        for (variable, value) in [
            ("TENA_SEC_HSTS", &self.sec_hsts),
            ("TENA_SEC_CSP", &self.sec_csp),
            ("TENA_SEC_FRAME_OPTIONS", &self.sec_frame_options),
            ("TENA_SEC_CONTENT_TYPE_OPTIONS", &self.sec_content_type_options),
            ("TENA_SEC_REFERRER_POLICY", &self.sec_referrer_policy),
        ] {
            if http::HeaderValue::from_str(value).is_err() {
                return invalid(variable, "has characters that a header cannot carry; write visible ASCII only");
            }
        }
        Ok(())
    }

    /// How long module versions live on that a newer one has replaced.
    pub fn succession(&self) -> store::modules::Succession {
        store::modules::Succession {
            kept: usize::try_from(self.module_versions_kept).unwrap_or(usize::MAX),
            window: Duration::from_secs(u64::from(self.module_sunset_days) * 86_400),
        }
    }

    /// How long an access token holds.
    pub fn access_token_lifetime(&self) -> Duration {
        Duration::from_secs(u64::from(self.access_token_expire_minutes) * 60)
    }

    /// How long a refresh token holds.
    pub fn refresh_token_lifetime(&self) -> Duration {
        Duration::from_secs(u64::from(self.refresh_token_expire_days) * 86_400)
    }
}

/// Puts what files and older names say in front of the given arguments, where clap lets later ones win.
fn resolve(
    arguments: Vec<OsString>,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<(Vec<OsString>, Vec<String>), Error> {
    let mut arguments = arguments.into_iter();
    let mut resolved: Vec<OsString> = arguments.next().into_iter().collect();
    let mut notes = Vec::new();
    for source in SOURCES {
        if variable(source.variable).is_some() {
            continue;
        }
        let from_file = if source.is_secret { read_file_variant(source.variable, &variable)? } else { None };
        let mut value = from_file;
        for alias in source.aliases {
            if value.is_some() {
                break;
            }
            value = variable(alias);
            if value.is_none() && source.is_secret {
                value = read_file_variant(alias, &variable)?;
            }
            if value.is_some() {
                notes.push(format!("{alias} is used for {}", source.variable));
            }
        }
        if let Some(value) = value {
            resolved.push(format!("{}={value}", source.flag).into());
        }
    }
    if !resolved.iter().any(|argument| argument.to_string_lossy().starts_with("--db-url="))
        && variable("TENA_DB_URL").is_none()
        && let Some(url) = postgres_parts(&variable)?
    {
        notes.push("POSTGRES_* are used for TENA_DB_URL".to_owned());
        resolved.push(format!("--db-url={url}").into());
    }
    resolved.extend(arguments);
    Ok((resolved, notes))
}

fn read_file_variant(name: &str, variable: &impl Fn(&str) -> Option<String>) -> Result<Option<String>, Error> {
    let file_variable = format!("{name}_FILE");
    let Some(path) = variable(&file_variable) else { return Ok(None) };
    match std::fs::read_to_string(&path) {
        Ok(value) => Ok(Some(value.trim_end_matches(['\r', '\n']).to_owned())),
        Err(source) => Err(Error::SecretFile { variable: file_variable, path, source }),
    }
}

fn postgres_parts(variable: &impl Fn(&str) -> Option<String>) -> Result<Option<Url>, Error> {
    let Some(host) = variable("POSTGRES_HOST") else { return Ok(None) };
    let invalid = |variable, problem: &str| Error::Invalid { variable, problem: problem.to_owned() };
    let mut url = Url::parse(&format!("postgres://{host}"))
        .map_err(|_| invalid("POSTGRES_HOST", "is not a host name; write the name or address alone"))?;
    let password = match variable("POSTGRES_PASSWORD") {
        Some(password) => Some(password),
        None => read_file_variant("POSTGRES_PASSWORD", variable)?,
    };
    let port = match variable("POSTGRES_PORT") {
        Some(port) => Some(
            port.parse::<u16>().map_err(|_| invalid("POSTGRES_PORT", "is not a port; write a number up to 65535"))?,
        ),
        None => None,
    };
    let user = variable("POSTGRES_USER").unwrap_or_else(|| "tenantra_api".to_owned());
    let is_set =
        url.set_username(&user).is_ok() && url.set_password(password.as_deref()).is_ok() && url.set_port(port).is_ok();
    if !is_set {
        return Err(invalid("POSTGRES_HOST", "is not a host name; write the name or address alone"));
    }
    url.set_path(&variable("POSTGRES_DB").unwrap_or_else(|| "tenantra".to_owned()));
    Ok(Some(url))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn load(flags: &[&str], environment: &[(&str, &str)]) -> Result<(Config, Vec<String>), Error> {
        let environment: HashMap<String, String> =
            environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let arguments = std::iter::once("tenantra-api").chain(flags.iter().copied()).map(OsString::from).collect();
        let (resolved, notes) = resolve(arguments, |name| environment.get(name).cloned())?;
        Ok((Config::try_parse_from(resolved).expect("flags parse"), notes))
    }

    #[test]
    fn an_older_name_is_used_and_said() {
        let (config, notes) = load(&[], &[("DATABASE_URL", "postgres://a@h/d")]).unwrap();
        assert_eq!(config.db_url.expose(), "postgres://a@h/d");
        assert_eq!(notes, ["DATABASE_URL is used for TENA_DB_URL"]);
    }

    #[test]
    fn the_parts_of_an_older_installation_make_an_address() {
        let (config, _) =
            load(&[], &[("POSTGRES_HOST", "db"), ("POSTGRES_PASSWORD", "a b/c"), ("POSTGRES_PORT", "5433")]).unwrap();
        assert_eq!(config.db_url.expose(), "postgres://tenantra_api:a%20b%2Fc@db:5433/tenantra");
    }

    #[test]
    fn a_secret_is_read_from_its_file_without_the_line_end() {
        let file = std::env::temp_dir().join(format!("tenantra-config-{}", std::process::id()));
        std::fs::write(&file, "s3cret\n").unwrap();
        let (config, _) = load(&[], &[("TENA_JWT_SECRET_FILE", file.to_str().unwrap())]).unwrap();
        std::fs::remove_file(&file).unwrap();
        assert_eq!(config.jwt_secret.expose(), "s3cret");
        assert!(!format!("{config:?}").contains("s3cret"));
    }

    #[test]
    fn a_missing_secret_file_is_named() {
        let error = load(&[], &[("TENA_JWT_SECRET_FILE", "/nonexistent")]).unwrap_err().to_string();
        assert!(error.starts_with("TENA_JWT_SECRET_FILE names /nonexistent, which cannot be read"), "{error}");
    }

    #[test]
    fn a_value_that_cannot_work_is_a_sentence() {
        let (config, _) = load(&["--jwt-secret=short"], &[("DB_URL", "postgres://a@h/d")]).unwrap();
        let error = config.validate().unwrap_err().to_string();
        assert_eq!(error, "TENA_JWT_SECRET must have at least 32 bytes; `openssl rand -base64 48` makes one");
    }

    #[test]
    fn flags_win_over_older_names() {
        let (config, _) = load(&["--log-level=debug"], &[("LOG_LEVEL", "warn")]).unwrap();
        assert_eq!(config.log_level, "debug");
    }
}
