//! Waiting with an end, for what happens elsewhere.

use std::time::{Duration, Instant};

use anyhow::bail;

const PAUSE: Duration = Duration::from_millis(100);

/// Looks every tenth of a second until there is something to see, and returns it. An error ends the wait only when the
/// time is up; it is then part of the answer.
pub async fn eventually<T>(
    limit: Duration,
    what: &str,
    mut look: impl AsyncFnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let end = Instant::now() + limit;
    loop {
        let seen = match tokio::time::timeout(limit, look()).await {
            Ok(Ok(Some(found))) => return Ok(found),
            Ok(Ok(None)) => "not yet so".to_owned(),
            Ok(Err(error)) => format!("{error:#}"),
            Err(_) => "no answer".to_owned(),
        };
        if Instant::now() > end {
            bail!("{what}: not within {} s ({seen})", limit.as_secs());
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Looks every tenth of a second until it is so.
pub async fn until(
    limit: Duration,
    what: &str,
    mut is_so: impl AsyncFnMut() -> anyhow::Result<bool>,
) -> anyhow::Result<()> {
    eventually(limit, what, async || Ok(is_so().await?.then_some(()))).await
}
