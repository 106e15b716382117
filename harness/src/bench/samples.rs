//! Numbers of one kind that were measured, turn by turn, and the middles of them.

/// Numbers of one kind that were measured, turn by turn.
#[derive(Debug, Default)]
pub(super) struct Samples {
    pub(super) turns: Vec<Vec<f64>>,
}

impl Samples {
    /// A turn with one number.
    pub(super) fn push(&mut self, value: f64) {
        self.turns.push(vec![value]);
    }

    /// The value that `share` of all stay below.
    pub(super) fn share(&self, share: f64) -> f64 {
        below(self.turns.concat(), share)
    }

    /// The middle of the turns' ratios to `other`'s.
    pub(super) fn ratio_to(&self, other: &Self, share: f64) -> f64 {
        let pairs = self.turns.iter().zip(&other.turns);
        below(
            pairs.map(|(ours, theirs)| below(ours.clone(), share) / below(theirs.clone(), share)).collect(),
            0.5,
        )
    }
}

/// The value that `share` of `values`, from 0 to 1, stay below.
fn below(mut values: Vec<f64>, share: f64) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let last = values.len().saturating_sub(1);
    values.get((last as f64 * share).round() as usize).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_the_value_that_so_many_stay_below() {
        let samples = Samples { turns: vec![(0..=100).rev().map(f64::from).collect()] };
        assert_eq!([0.0, 0.5, 0.99, 1.0].map(|share| samples.share(share)), [0.0, 50.0, 99.0, 100.0]);
    }

    #[test]
    fn a_ratio_is_taken_turn_by_turn() {
        let turns = |numbers: [f64; 3]| Samples { turns: numbers.map(|number| vec![number]).to_vec() };
        // The machine was ten times slower for the last turn, for both.
        assert_eq!(turns([2.0, 2.0, 20.0]).ratio_to(&turns([1.0, 1.0, 10.0]), 0.5), 2.0);
    }

    #[test]
    fn nothing_measured_is_no_number() {
        assert!(Samples::default().share(0.5).is_nan());
    }
}
