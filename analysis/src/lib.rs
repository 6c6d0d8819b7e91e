//! Pure functions over what scans found. No IO, and no type of another crate: callers say what a number means.
//!
//! | module | answers |
//! | --- | --- |
//! | [`score`] | how much of what was assessed passes |
//! | [`compliance`] | how controls, frameworks, groups and tenants stand, and since when |
//! | [`risk`] | how bad it is, and what made it so |
//! | [`drift`] | what changed, how unusual that is, in words |
//!
//! Everything that is kept is a sum of integers ([`sum::Sum`]): it is changed by differences, merged in any order, and
//! equal to what a recompute gives. `docs/scoring.md` shows the formulas with the numbers of the tests here.

#![forbid(unsafe_code)]

pub mod compliance;
pub mod drift;
pub mod grant;
pub mod risk;
pub mod score;
pub mod sum;
pub mod text;
