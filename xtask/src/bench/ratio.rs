//! Ratios of what two needed in one run of the benchmark.

use std::fmt;

use super::Spread;
use super::results::{PeerResult, Results, Sample};

/// What is compared.
pub(super) type Figure = fn(&Sample) -> f64;

pub(super) fn wall(sample: &Sample) -> f64 {
    sample.wall
}

pub(super) fn memory(sample: &Sample) -> f64 {
    sample.memory as f64
}

pub(super) fn layers(sample: &Sample) -> f64 {
    sample.layers as f64
}

/// One that was measured in a case.
pub(super) fn measured<'a>(results: &'a Results, case: &str, peer: &str) -> Option<&'a PeerResult> {
    let case = results.cases.iter().find(|found| found.id == case)?;
    case.peers.iter().find(|found| found.peer == peer && !found.samples.is_empty())
}

/// The median of a figure, with the least and the most; of one that was measured.
pub(super) fn spread(of: &PeerResult, figure: Figure) -> Spread {
    let figures: Vec<f64> = of.samples.iter().map(figure).collect();
    Spread::of(&figures)
}

/// A ratio of medians, and the least and the most of each round's own ratio.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Ratio {
    pub(super) medians: f64,
    rounds: Option<(f64, f64)>,
}

impl Ratio {
    /// Of two that were measured. None if there is nothing to divide by.
    pub(super) fn new(of: &PeerResult, to: &PeerResult, figure: Figure) -> Option<Self> {
        let (above, below) = (spread(of, figure).median, spread(to, figure).median);
        let medians = (below > 0.0).then(|| above / below)?;
        // Only rounds in which both were measured can be told from one another.
        let same = of.samples.len() == to.samples.len();
        let pairs = || of.samples.iter().zip(&to.samples).filter(|_| same);
        let each: Vec<f64> = pairs().map(|(of, to)| figure(of) / figure(to)).collect();
        let finite = !each.is_empty() && each.iter().all(|ratio| ratio.is_finite());
        let rounds = finite.then(|| Spread::of(&each)).map(|all| (all.least, all.most));
        Some(Self { medians, rounds })
    }
}

impl Ratio {
    /// Beside what it may be at most: with one digit more where two would not tell which is larger.
    pub(super) fn beside(&self, at_most: f64) -> String {
        if (self.medians - at_most).abs() < 0.005 { format!("{self:.3}") } else { self.to_string() }
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{:.*}", to.precision().unwrap_or(2), self.medians)?;
        match self.rounds {
            Some((least, most)) => write!(to, " ({least:.2}–{most:.2})"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::made_up::peer;
    use super::*;

    #[test]
    fn a_ratio_is_of_medians_and_its_spread_of_rounds() {
        let kiln = peer("kiln-chroot", &[1.0, 2.0, 3.0]);
        let other = peer("kaniko", &[10.0, 5.0, 4.0]);
        let ratio = Ratio::new(&kiln, &other, wall).unwrap();
        assert_eq!(ratio.to_string(), "0.40 (0.10–0.75)");
    }

    #[test]
    fn what_is_missed_by_a_hair_is_seen_to_be() {
        let ratio = Ratio { medians: 0.4012, rounds: Some((0.36, 0.41)) };
        assert_eq!(ratio.beside(0.4), "0.401 (0.36–0.41)");
        assert_eq!(ratio.beside(0.5), "0.40 (0.36–0.41)");
    }

    #[test]
    fn rounds_that_do_not_match_are_not_compared() {
        let (kiln, other) = (peer("kiln-chroot", &[1.0, 3.0]), peer("kaniko", &[4.0]));
        assert_eq!(Ratio::new(&kiln, &other, wall).unwrap().to_string(), "0.50");
    }

    #[test]
    fn nothing_is_divided_by_nothing() {
        let (kiln, other) = (peer("kiln-chroot", &[1.0]), peer("kaniko", &[0.0]));
        assert_eq!(Ratio::new(&kiln, &other, wall), None);
    }
}
