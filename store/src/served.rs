//! Which tenants each connection has served. Postgres keeps catalog entries of every schema a connection ever touched and
//! gives none back, so after a number of tenants a connection is closed and another one opened.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use uuid::Uuid;

/// Backends remembered; more than any pool has, so that what is left of connections that ended otherwise is forgotten.
const BACKENDS: usize = 1_024;

/// The tenants by the process id of the connection's backend.
#[derive(Debug)]
pub(crate) struct Served {
    most: usize,
    tenants: Mutex<HashMap<i32, HashSet<Uuid>>>,
}

impl Served {
    /// Connections serve `most` tenants each, at least one.
    pub(crate) fn new(most: usize) -> Self {
        Self { most: most.max(1), tenants: Mutex::default() }
    }

    /// Notes that the backend serves the tenant now. Whether that was its last one: then it is forgotten, and the caller
    /// closes the connection.
    pub(crate) fn is_enough(&self, backend: i32, tenant: Uuid) -> bool {
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        if tenants.len() >= BACKENDS && !tenants.contains_key(&backend) {
            tenants.clear();
        }
        let of_backend = tenants.entry(backend).or_default();
        of_backend.insert(tenant);
        let is_enough = of_backend.len() >= self.most;
        if is_enough {
            tenants.remove(&backend);
        }
        is_enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backend_ends_with_its_last_tenant_and_its_successor_begins_anew() {
        let served = Served::new(3);
        let tenants = [1, 1, 2, 1, 2, 3].map(Uuid::from_u128);
        assert_eq!(tenants.map(|tenant| served.is_enough(7, tenant)), [false, false, false, false, false, true]);
        assert!(!served.is_enough(7, Uuid::from_u128(3)));
        assert!(!served.is_enough(8, Uuid::from_u128(4)));
    }
}
