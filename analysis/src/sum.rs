//! What is kept instead of computed: sums that grow and shrink by differences and merge in any order.

use std::fmt::Debug;

/// A commutative group: `plus` is associative and commutative, the default is its zero, and every value has an inverse.
/// With that a change costs the same however much is kept, and parts may be summed in any order.
pub trait Sum: Copy + Default + PartialEq + Debug {
    /// Both together.
    #[must_use]
    fn plus(self, other: Self) -> Self;

    /// What undoes it: `a.plus(a.negated())` is the default.
    #[must_use]
    fn negated(self) -> Self;

    /// What is left without the other.
    #[must_use]
    fn minus(self, other: Self) -> Self {
        self.plus(other.negated())
    }

    /// All together.
    fn total(parts: impl IntoIterator<Item = Self>) -> Self {
        parts.into_iter().fold(Self::default(), Self::plus)
    }
}

/// `part ÷ whole × 100`, rounded down, so that 100 means all of it; none if there is no whole. A part below zero or
/// above the whole counts as none or all of it.
pub fn percent(part: i64, whole: i64) -> Option<u8> {
    if whole <= 0 {
        return None;
    }
    u8::try_from(i128::from(part.clamp(0, whole)) * 100 / i128::from(whole)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hundred_percent_means_all() {
        for (part, whole, expected) in [
            (0, 0, None),
            (0, 3, Some(0)),
            (1, 3, Some(33)),
            (2, 3, Some(66)),
            (999, 1000, Some(99)),
            (1000, 1000, Some(100)),
            (5, 3, Some(100)),
            (-1, 3, Some(0)),
            (i64::MAX, i64::MAX, Some(100)),
        ] {
            assert_eq!(percent(part, whole), expected, "{part} of {whole}");
        }
    }
}
