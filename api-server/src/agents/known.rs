//! Credentials that were looked up before. A credential's key and secret never change, so they need not be asked for again;
//! whether it is revoked, and whether its tenant is served, is asked in the database with each request's sequence number.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use store::credentials::Credential;
use uuid::Uuid;

/// Credentials of one generation, some 300 bytes each: as many agents as may wait on one replica by default.
const GENERATION: usize = 20_000;

type Generation = HashMap<Uuid, Arc<Credential>>;

/// What is kept: those that were used lately, and those before them, which the next full generation replaces.
#[derive(Debug, Default)]
pub struct KnownCredentials(Mutex<(Generation, Generation)>);

impl KnownCredentials {
    /// The credential, if it was used lately.
    pub fn get(&self, credential_id: Uuid) -> Option<Arc<Credential>> {
        let (known, is_old) = {
            let generations = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            match generations.0.get(&credential_id) {
                Some(known) => (known.clone(), false),
                None => (generations.1.get(&credential_id)?.clone(), true),
            }
        };
        if is_old {
            self.keep(known.clone());
        }
        Some(known)
    }

    /// Keeps a credential that holds.
    pub fn keep(&self, credential: Arc<Credential>) {
        let mut generations = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if generations.0.contains_key(&credential.credential_id) {
            return;
        }
        if generations.0.len() >= GENERATION {
            generations.1 = std::mem::take(&mut generations.0);
        }
        generations.0.insert(credential.credential_id, credential);
    }

    /// Asks anew next time.
    pub fn forget(&self, credential_id: Uuid) {
        let mut generations = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        generations.0.remove(&credential_id);
        generations.1.remove(&credential_id);
    }
}

#[cfg(test)]
mod tests {
    use store::{Slug, TenantRef, tenants::TenantState};

    use super::*;

    fn credential(number: u128) -> Arc<Credential> {
        Arc::new(Credential {
            credential_id: Uuid::from_u128(number),
            tenant: TenantRef { slug: Slug::parse("acme").expect("a slug"), id: Uuid::nil() },
            tenant_state: TenantState::Active,
            agent_id: Uuid::nil(),
            asset_id: Uuid::nil(),
            secret_hash: [0; 32],
            public_key: [0; 32],
            revoked_at: None,
        })
    }

    #[test]
    fn what_is_used_stays_and_what_is_not_goes() {
        let known = KnownCredentials::default();
        let generation = GENERATION as u128;
        for number in 0..3 * generation {
            known.keep(credential(number));
            assert!(known.get(Uuid::nil()).is_some(), "used all the time, after {number}");
        }
        assert!(known.get(Uuid::from_u128(1)).is_none());
        assert!(known.get(Uuid::from_u128(3 * generation - 1)).is_some());
        known.forget(Uuid::nil());
        assert!(known.get(Uuid::nil()).is_none());
    }
}
