//! A kubeconfig, as far as it says who one is without running a program. What would start one (`exec`, `auth-provider`),
//! send a password or act as another is refused with a sentence, never left out in silence.

use std::io::Read;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::access::{AccessError, ClientCertificate, Secret, Stated, Trust};

const MAX_BYTES: u64 = 1 << 20;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Kubeconfig {
    #[serde(default)]
    current_context: Option<String>,
    #[serde(default)]
    clusters: Vec<NamedCluster>,
    #[serde(default)]
    users: Vec<NamedUser>,
    #[serde(default)]
    contexts: Vec<NamedContext>,
}

#[derive(Debug, Deserialize)]
struct NamedCluster {
    name: String,
    cluster: ClusterEntry,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct ClusterEntry {
    server: String,
    #[serde(default)]
    certificate_authority: Option<String>,
    #[serde(default)]
    certificate_authority_data: Option<String>,
    #[serde(default)]
    insecure_skip_tls_verify: bool,
    #[serde(default)]
    tls_server_name: Option<String>,
    #[serde(default)]
    proxy_url: Option<String>,
}

#[derive(Debug, Deserialize)]
struct NamedUser {
    name: String,
    #[serde(default)]
    user: Option<User>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct User {
    #[serde(default)]
    client_certificate: Option<String>,
    #[serde(default)]
    client_certificate_data: Option<String>,
    #[serde(default)]
    client_key: Option<String>,
    #[serde(default)]
    client_key_data: Option<Secret>,
    #[serde(default)]
    token: Option<Secret>,
    #[serde(default, rename = "tokenFile")]
    token_file: Option<String>,
    #[serde(default)]
    username: Option<String>,
    #[serde(default, rename = "as")]
    acts_as: Option<String>,
    #[serde(default)]
    exec: Option<serde_json::Value>,
    #[serde(default)]
    auth_provider: Option<serde_json::Value>,
}

#[derive(Debug, Deserialize)]
struct NamedContext {
    name: String,
    context: Context,
}

#[derive(Debug, Deserialize)]
struct Context {
    cluster: String,
    #[serde(default)]
    user: Option<String>,
}

/// What the file says of a context.
pub(super) fn read(path: &Path, context: Option<&str>, may_skip_verification: bool) -> Result<Stated, AccessError> {
    let text = text_of(path)?;
    let file: Kubeconfig = serde_saphyr::from_str(&text).map_err(|error| AccessError::NotKubeconfig {
        path: path.to_owned(),
        // The rest of the message shows lines of the file, which holds keys.
        reason: error.to_string().lines().next().unwrap_or_default().to_owned(),
    })?;
    let name = context.or(file.current_context.as_deref().filter(|name| !name.is_empty()));
    let name = name.ok_or(AccessError::NoContext)?.to_owned();
    let names = |names: Vec<&str>| if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    let unknown =
        |kind, name: &str, known: Vec<&str>| AccessError::Unknown { kind, name: name.to_owned(), known: names(known) };
    let context = file
        .contexts
        .iter()
        .find(|one| one.name == name)
        .ok_or_else(|| unknown("context", &name, file.contexts.iter().map(|one| one.name.as_str()).collect()))?;
    let wanted = &context.context.cluster;
    let cluster = file
        .clusters
        .iter()
        .find(|one| one.name == *wanted)
        .ok_or_else(|| unknown("cluster", wanted, file.clusters.iter().map(|one| one.name.as_str()).collect()))?;
    let nobody = User::default();
    let user = match context.context.user.as_deref().filter(|user| !user.is_empty()) {
        None => &nobody,
        Some(wanted) => file
            .users
            .iter()
            .find(|one| one.name == wanted)
            .ok_or_else(|| unknown("user", wanted, file.users.iter().map(|one| one.name.as_str()).collect()))?
            .user
            .as_ref()
            .unwrap_or(&nobody),
    };
    stated(path, name, &cluster.cluster, user, may_skip_verification)
}

fn stated(
    path: &Path,
    context: String,
    cluster: &ClusterEntry,
    user: &User,
    may_skip_verification: bool,
) -> Result<Stated, AccessError> {
    refuse_what_is_not_kept(cluster, user)?;
    let folder = path.parent().unwrap_or(Path::new("."));
    let pem = |what, data: Option<&str>, file: Option<&String>| match (data, file) {
        (Some(data), _) => decoded(what, data).map(Some),
        (None, Some(file)) => text_of(&folder.join(file)).map(Some),
        (None, None) => Ok(None),
    };
    let authority = pem(
        "certificate-authority-data",
        cluster.certificate_authority_data.as_deref(),
        cluster.certificate_authority.as_ref(),
    )?;
    let trust = match authority {
        _ if may_skip_verification => Trust::Anybody,
        _ if cluster.insecure_skip_tls_verify => {
            return Err(AccessError::Refused(
                "the kubeconfig says insecure-skip-tls-verify: whoever stands in between would read the token and forge \
                 every answer; name the authority with certificate-authority, or pass --insecure-skip-tls-verify"
                    .to_owned(),
            ));
        }
        Some(authority) => Trust::Only(authority),
        None => Trust::Public,
    };
    let chain =
        pem("client-certificate-data", user.client_certificate_data.as_deref(), user.client_certificate.as_ref())?;
    let key =
        pem("client-key-data", user.client_key_data.as_ref().map(|key| key.0.as_str()), user.client_key.as_ref())?;
    let certificate = match (chain, key) {
        (Some(chain), Some(key)) => Some(ClientCertificate { chain, key: Secret(key) }),
        (None, None) => None,
        (Some(_), None) => return Err(refused("the user has a client-certificate and no client-key")),
        (None, Some(_)) => return Err(refused("the user has a client-key and no client-certificate")),
    };
    let token = match (&user.token, &user.token_file) {
        // kubectl reads the file first as well.
        (_, Some(file)) => Some(Secret(text_of(&folder.join(file))?.trim().to_owned())),
        (Some(token), None) => Some(token.clone()),
        (None, None) => None,
    };
    Ok(Stated {
        context,
        server: cluster.server.clone(),
        server_name: cluster.tls_server_name.clone(),
        trust,
        certificate,
        token: token.filter(|token| !token.0.is_empty()),
    })
}

fn refused(reason: &str) -> AccessError {
    AccessError::Refused(reason.to_owned())
}

fn refuse_what_is_not_kept(cluster: &ClusterEntry, user: &User) -> Result<(), AccessError> {
    let token = "make a token with `kubectl create token`, and write it as token or tokenFile";
    for (is_there, reason) in [
        (user.exec.is_some(), format!("the user's exec would start a program, which a scan never does: {token}")),
        (user.auth_provider.is_some(), format!("the user's auth-provider would start a program: {token}")),
        (user.username.is_some(), format!("the user has a password, which API servers no longer take: {token}")),
        (user.acts_as.is_some(), format!("the user acts as another: {token} for that account")),
        (cluster.proxy_url.is_some(), "the cluster is behind a proxy-url, which is not supported".to_owned()),
    ] {
        if is_there {
            return Err(AccessError::Refused(reason));
        }
    }
    Ok(())
}

fn decoded(what: &'static str, data: &str) -> Result<String, AccessError> {
    let wrong = |reason: String| AccessError::Certificate { what, reason };
    let compact: String = data.split_whitespace().collect();
    let bytes = STANDARD.decode(compact).map_err(|error| wrong(format!("it is not base64: {error}")))?;
    String::from_utf8(bytes).map_err(|_| wrong("it is not PEM".to_owned()))
}

/// The text of a small file.
pub(super) fn text_of(path: &Path) -> Result<String, AccessError> {
    let read = |source| AccessError::Read { path: path.to_owned(), source };
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(read)?;
    file.take(MAX_BYTES + 1).read_to_string(&mut text).map_err(read)?;
    if text.len() as u64 > MAX_BYTES {
        return Err(AccessError::TooLong(path.to_owned()));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "\
current-context: one
contexts:
- { name: one, context: { cluster: c, user: u } }
- { name: two, context: { cluster: c, user: v } }
clusters:
- { name: c, cluster: { server: 'https://127.0.0.1:6443', CLUSTER } }
users:
- { name: u, user: { token: abc } }
- { name: v, user: { USER } }
";

    fn ask(cluster: &str, user: &str, context: Option<&str>, may_skip: bool) -> Result<Stated, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config");
        std::fs::write(&path, FILE.replace("CLUSTER", cluster).replace("USER", user)).unwrap();
        std::fs::write(folder.path().join("token"), "from-a-file\n").unwrap();
        read(&path, context, may_skip).map_err(|error| error.to_string())
    }

    #[test]
    fn the_current_context_is_taken_unless_one_is_named() {
        let one = ask("x: 1", "tokenFile: token", None, false).unwrap();
        assert_eq!((one.context.as_str(), one.token.unwrap().0.as_str()), ("one", "abc"));
        let two = ask("x: 1", "tokenFile: token", Some("two"), false).unwrap();
        assert_eq!(two.token.unwrap().0, "from-a-file");
        let error = ask("x: 1", "x: 1", Some("three"), false).unwrap_err();
        assert_eq!(error, "the kubeconfig has no context \"three\"; it has one, two");
    }

    #[test]
    fn what_starts_a_program_or_skips_a_check_is_refused_with_a_sentence() {
        for (cluster, user, word) in [
            ("x: 1", "exec: { command: aws }", "exec"),
            ("x: 1", "auth-provider: { name: gcp }", "auth-provider"),
            ("x: 1", "username: me", "password"),
            ("x: 1", "as: root", "acts as"),
            ("proxy-url: 'http://x'", "x: 1", "proxy-url"),
            ("insecure-skip-tls-verify: true", "x: 1", "--insecure-skip-tls-verify"),
            ("certificate-authority: /does/not/exist", "x: 1", "cannot read"),
            ("certificate-authority-data: '*'", "x: 1", "base64"),
            ("x: 1", "client-certificate-data: AAAA", "client-key"),
        ] {
            let error = ask(cluster, user, Some("two"), false).unwrap_err();
            assert!(error.contains(word), "{error}");
        }
        let stated = ask("insecure-skip-tls-verify: true", "x: 1", Some("two"), true).unwrap();
        assert!(matches!(stated.trust, Trust::Anybody));
    }

    #[test]
    fn a_broken_file_does_not_show_its_secrets() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config");
        std::fs::write(&path, "users:\n- name: u\n  user: { token: hunter22, : }\nclusters: 7\n").unwrap();
        let error = read(&path, None, false).unwrap_err().to_string();
        assert!(error.contains("is no kubeconfig") && !error.contains("hunter22"), "{error}");
    }
}
