//! What an agent that has nothing to do costs its network: the real agent and the real API over TLS, every byte counted between
//! them, and a day's worth of it by how long the API holds a poll.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::json;
use tests::harness::{Counted, program, until};
use tokio::net::TcpStream;
use uuid::Uuid;

use super::fixture::Fixture;

const DAY_SECONDS: u64 = 86_400;
const MOST_MESSAGES: u64 = 300;
const MOST_BYTES: u64 = 200_000;
/// More than fit into HPACK's table, so that what has to be said again now and then is counted.
const CYCLES: i64 = 30;

/// A program that is ended with its guard.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A further replica of the API that ends TLS itself; its address and the file of its CA.
async fn replica_with_tls(fixture: &Fixture, folder: &Path) -> Result<(Running, SocketAddr, std::path::PathBuf)> {
    let certificate = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()])?;
    let (ca, key) = (folder.join("ca.crt"), folder.join("tls.key"));
    fs::write(&ca, certificate.cert.pem())?;
    fs::write(&key, certificate.signing_key.serialize_pem())?;
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let child = Command::new(program("tenantra-api")?)
        .env_clear()
        .envs(fixture.environment())
        .env("TENA_LISTEN", address.to_string())
        .env("TENA_TLS_CERT_FILE", &ca)
        .env("TENA_TLS_KEY_FILE", &key)
        .stdin(Stdio::null())
        .spawn()?;
    let running = Running(child);
    until(Duration::from_secs(30), "the replica listens", async || Ok(TcpStream::connect(address).await.is_ok()))
        .await?;
    Ok((running, address, ca))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_agent_sends_and_receives_little_in_a_day() -> Result<()> {
    let fixture = Fixture::start().await?;
    let spec = json!({ "plan": "Enterprise", "modules": { "enable": ["linux-inventory-users"] } });
    fixture.tenant("acme", spec).await?;
    let folder = tempfile::tempdir()?;
    let (_replica, address, ca) = replica_with_tls(&fixture, folder.path()).await?;
    let counted = Counted::start(address).await?;
    let poll_seconds = u64::from(fixture.host("acme").await?.enrolled.config.poll_seconds);

    let agent = Command::new(program("tenantra-agent")?)
        .args(["run", "--poll-seconds", "0", "--token", &fixture.enrollment_token("acme", 1).await?])
        .args(["--server", &format!("https://localhost:{}", counted.address().port())])
        .arg("--ca-file")
        .arg(&ca)
        .arg("--state-dir")
        .arg(folder.path().join("state"))
        .stdin(Stdio::null())
        .spawn()?;
    let _agent = Running(agent);

    let db = sqlx::PgPool::connect(&fixture.owner_url()).await?;
    let registration = folder.path().join("state/agent.json");
    until(Duration::from_mins(2), "the first run is delivered", async || {
        let Ok(text) = fs::read_to_string(&registration) else { return Ok(false) };
        let agent: serde_json::Value = serde_json::from_str(&text)?;
        let agent_id = Uuid::try_parse(agent["agent_id"].as_str().context("an agent has an id")?)?;
        let open: i64 = sqlx::query_scalar("SELECT count(*) FROM shared.jobs WHERE agent_id = $1 AND state <> 'done'")
            .bind(agent_id)
            .fetch_one(&db)
            .await?;
        Ok(open == 0)
    })
    .await?;
    let agent: serde_json::Value = serde_json::from_str(&fs::read_to_string(&registration)?)?;
    let agent_id = Uuid::try_parse(agent["agent_id"].as_str().context("an agent has an id")?)?;
    // Each signed request takes the next number.
    let requests = async || -> Result<i64> {
        let top = sqlx::query_scalar("SELECT window_top FROM shared.agent_credentials WHERE agent_id = $1");
        Ok(top.bind(agent_id).fetch_one(&db).await?)
    };
    let settled = requests().await? + 3;
    until(Duration::from_secs(30), "nothing but polls", async || Ok(requests().await? >= settled)).await?;
    let (first, before) = (requests().await?, counted.bytes());
    until(Duration::from_mins(2), "some polls", async || Ok(requests().await? >= first + CYCLES)).await?;
    let cycles = u64::try_from(requests().await? - first)?;
    let bytes_of_cycle = (counted.bytes() - before).div_ceil(cycles);

    let messages = DAY_SECONDS.div_ceil(poll_seconds);
    let of_day = messages * bytes_of_cycle;
    eprintln!("{messages} messages a day, {bytes_of_cycle} bytes each with TLS, {of_day} bytes a day");
    assert!(messages <= MOST_MESSAGES, "{messages} messages a day");
    assert!(of_day <= MOST_BYTES, "{of_day} bytes a day: {bytes_of_cycle} for each of {messages} polls");
    Ok(())
}
