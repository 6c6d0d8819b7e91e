//! Thin clients of the systems outside this program. Each call has a time limit and starts only under the lead; what the
//! calls mean is the provisioners' business.

pub mod child;
pub mod fields;
pub mod kubernetes;
pub mod openbao;
