//! How threads share a worker's processors.

/// Gives each of `demands` (processor time, in ms, at most `span` each) its part of what `supply` there is.
///
/// A thread that runs keeps its processor for a slice: in each slice another thread comes first, the others get
/// what is left. Over some slices that is fair, within one it is not, and that is what a record feels.
pub(crate) fn share_out(supply: f64, demands: &[f64], first: usize, grants: &mut Vec<f64>) {
    grants.clear();
    grants.resize(demands.len(), 0.0);
    let wanted: f64 = demands.iter().sum();
    if wanted <= supply {
        grants.copy_from_slice(demands);
        return;
    }
    let mut left = supply;
    for turn in 0..demands.len() {
        let index = (first + turn) % demands.len();
        grants[index] = demands[index].min(left);
        left -= grants[index];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn with_enough_for_all_everyone_gets_what_he_wants() {
        let mut grants = Vec::new();
        share_out(2.0, &[1.0, 0.5, 0.0], 1, &mut grants);
        assert_eq!(grants, [1.0, 0.5, 0.0]);
    }

    #[test]
    fn with_too_little_the_turn_decides_and_over_all_turns_it_is_fair() {
        let mut sums = [0.0; 3];
        let mut grants = Vec::new();
        for turn in 0..3 {
            share_out(1.0, &[1.0, 1.0, 1.0], turn, &mut grants);
            assert!((grants.iter().sum::<f64>() - 1.0).abs() < 1e-9);
            for (sum, grant) in sums.iter_mut().zip(&grants) {
                *sum += grant;
            }
        }
        assert_eq!(sums.to_vec(), vec![1.0; 3]);
    }
}
