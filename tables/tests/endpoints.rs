//! The tables of network endpoints against a server of this host: OpenSSL's own. Where the program is missing, nothing is shown
//! and the test says so.
#![allow(clippy::unwrap_used, clippy::panic)] // a failing test may end

use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

mod made;

use made::{Made, ask, lines};

struct Server {
    process: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// A server with a certificate for `host.test`, or none without OpenSSL.
fn serve(options: &[&str]) -> Option<Server> {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (key, certificate) = (path("key"), path("certificate"));
    let subject = ["-subj", "/CN=host.test", "-addext", "subjectAltName=DNS:host.test,IP:127.0.0.1"];
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "3", "-keyout", &key, "-out", &certificate])
        .args(subject)
        .stderr(Stdio::null())
        .status();
    if !made.is_ok_and(|status| status.success()) {
        eprintln!("not shown here: there is no OpenSSL");
        return None;
    }
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let process = Command::new("openssl")
        .args(["s_server", "-accept", &format!("127.0.0.1:{port}"), "-key", &key, "-cert", &certificate, "-quiet"])
        .args(options)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let server = Server { process, port, _folder: folder };
    let deadline = Instant::now() + Duration::from_secs(10);
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < deadline, "the server does not start");
        std::thread::sleep(Duration::from_millis(20));
    }
    Some(server)
}

fn shown(port: u16, columns: &str) -> Vec<String> {
    let host = Made::new().with("/proc/1/stat", "");
    let sql =
        format!("SELECT {columns} FROM tls_endpoints WHERE host = '127.0.0.1' AND port = {port} ORDER BY protocol");
    let output = ask(&host.running(), &sql);
    assert!(output.warnings.is_empty(), "{:?}", output.warnings);
    lines(&output)
}

#[test]
fn a_server_of_today_takes_two_versions() {
    let Some(server) = serve(&[]) else { return };
    assert_eq!(
        shown(
            server.port,
            "protocol, cipher, weak_cipher, common_name, alternative_names, is_name_right, self_signed, key_strength"
        ),
        [
            "TLSv1.2|TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256||host.test|host.test,127.0.0.1|1|1|2048",
            "TLSv1.3|TLS_AES_128_GCM_SHA256||host.test|host.test,127.0.0.1|1|1|2048",
        ]
    );
}

#[test]
fn a_server_of_old_is_seen_as_what_it_is() {
    let Some(server) = serve(&["-no_tls1_3", "-min_protocol", "TLSv1", "-cipher", "ALL:NULL:@SECLEVEL=0"]) else {
        return;
    };
    let found = shown(server.port, "protocol, weak_cipher IS NOT NULL, signing_algorithm");
    assert_eq!(found, ["TLSv1", "TLSv1.1", "TLSv1.2"].map(|version| format!("{version}|1|sha256WithRSAEncryption")));
}

#[test]
fn nobody_and_a_stranger_are_told_from_a_server() {
    let host = Made::new().with("/proc/1/stat", "");
    let engine = host.running();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for table in ["tls_endpoints", "ssh_endpoints", "rdp_endpoints"] {
        let output = ask(&engine, &format!("SELECT * FROM {table} WHERE host = '127.0.0.1' AND port = {port}"));
        assert!(output.rows.is_empty(), "{table}");
        assert!(output.warnings.iter().all(|warning| warning.gap == tables::Gap::NoSubject), "{table}");
        let stranger = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = stranger.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for stream in stranger.incoming().take(2) {
                std::io::Write::write_all(&mut stream.unwrap(), b"220 mail.example ESMTP\r\n").ok();
            }
        });
        let output = ask(&engine, &format!("SELECT * FROM {table} WHERE host = '127.0.0.1' AND port = {port}"));
        assert!(output.rows.is_empty(), "{table}");
        assert!(output.warnings.iter().any(|warning| warning.gap == tables::Gap::Unread), "{table}");
    }
}
