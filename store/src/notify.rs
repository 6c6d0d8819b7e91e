//! What Postgres tells listening replicas, so that a long poll or a logout waits for nobody's timer. A payload is an
//! identifier and never data: any session of the database could listen.

use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::PgListener;
use tokio::time::timeout;

use crate::error::{Error, Result};

/// A channel of notifications.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    /// A job was enqueued; the payload is the agent's id.
    Jobs,
    /// A row was put into the outbox; the payload is empty.
    Outbox,
    /// A session or credential was revoked; the payload is its id.
    Revoked,
    /// A tenant's audit log has a new row; the payload is the tenant's id.
    Audit,
}

impl Channel {
    /// The channel's name in Postgres.
    pub fn name(self) -> &'static str {
        match self {
            Self::Jobs => "tenantra_jobs",
            Self::Outbox => "tenantra_outbox",
            Self::Revoked => "tenantra_revoked",
            Self::Audit => "tenantra_audit",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        [Self::Jobs, Self::Outbox, Self::Revoked, Self::Audit].into_iter().find(|channel| channel.name() == name)
    }
}

/// A notification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// Where it came in.
    pub channel: Channel,
    /// What was said.
    pub payload: String,
}

/// A connection that waits for notifications; it connects again by itself.
#[derive(Debug)]
pub struct Listener {
    inner: PgListener,
}

impl Listener {
    pub(crate) async fn open(pool: &PgPool, channels: &[Channel]) -> Result<Self> {
        let mut inner = PgListener::connect_with(pool).await?;
        inner.listen_all(channels.iter().map(|channel| channel.name())).await?;
        Ok(Self { inner })
    }

    /// The next notification, or `None` when `limit` passed or the connection was lost and made again (then what was
    /// said in between is gone: look yourself).
    pub async fn next(&mut self, limit: Duration) -> Result<Option<Notification>> {
        match timeout(limit, self.inner.try_recv()).await {
            Err(_) | Ok(Ok(None)) => Ok(None),
            Ok(Ok(Some(said))) => Ok(Channel::parse(said.channel())
                .map(|channel| Notification { channel, payload: said.payload().to_owned() })),
            Ok(Err(error)) => Err(Error::from(error)),
        }
    }
}
