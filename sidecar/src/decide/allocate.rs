//! Splits what the whole valve may do over its subtasks.

use super::units::RecordsPerSecond;

/// A subtask that brought nothing so far still gets this share of an equal part when there is not enough
/// for all, so that its first records of a spike need not wait for the next report.
const FLOOR: f64 = 0.05;

/// Splits `total` over subtasks by their demand.
///
/// If there is enough, everyone gets what he asks for and an equal part of the rest; if not, everyone
/// gets the same share of what he asks for. The parts add up to `total`.
pub(crate) fn split_rate(
    total: RecordsPerSecond,
    demands: &[RecordsPerSecond],
) -> Vec<RecordsPerSecond> {
    if demands.is_empty() {
        return Vec::new();
    }
    let equal = total.get() / demands.len() as f64;
    let asked: f64 = demands.iter().map(|demand| demand.get()).sum();
    if asked <= total.get() {
        let spare = (total.get() - asked) / demands.len() as f64;
        return demands
            .iter()
            .map(|demand| RecordsPerSecond::new(demand.get() + spare))
            .collect();
    }
    let rest = total.get() * (1.0 - FLOOR);
    demands
        .iter()
        .map(|demand| RecordsPerSecond::new(equal * FLOOR + rest * (demand.get() / asked)))
        .collect()
}

/// Splits `total` credits over subtasks by demand; at least one each, as long as there are enough, the
/// subtasks with the highest demand first. The parts add up to `total`.
pub(crate) fn split_credits(total: u32, demands: &[RecordsPerSecond]) -> Vec<u32> {
    let count = demands.len();
    if count == 0 {
        return Vec::new();
    }
    let mut by_demand: Vec<usize> = (0..count).collect();
    by_demand.sort_by(|a, b| {
        demands[*b]
            .get()
            .total_cmp(&demands[*a].get())
            .then(a.cmp(b))
    });
    let base = u32::from(total as usize >= count);
    let mut credits = vec![base; count];
    let spare = total - base * u32::try_from(count).unwrap_or(u32::MAX).min(total);
    let asked: f64 = demands.iter().map(|demand| demand.get()).sum();
    let mut left = spare;
    if asked > 0.0 {
        for index in &by_demand {
            let part = f64::from(spare) * demands[*index].get() / asked;
            // In 0..=spare, so the cast neither wraps nor truncates more than the fraction.
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let part = (part as u32).min(left);
            credits[*index] += part;
            left -= part;
        }
    }
    // What rounding left over, or everything if nobody asks for anything: equally, then one by one.
    let each = left / u32::try_from(count).unwrap_or(u32::MAX);
    let mut rest = left as usize - each as usize * count;
    for index in by_demand {
        credits[index] += each + u32::from(rest > 0);
        rest = rest.saturating_sub(1);
    }
    credits
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rates(values: &[f64]) -> Vec<RecordsPerSecond> {
        values.iter().copied().map(RecordsPerSecond::new).collect()
    }

    #[test]
    fn with_enough_for_all_everyone_gets_his_demand_and_an_equal_part_of_the_rest() {
        assert_eq!(
            split_rate(
                RecordsPerSecond::new(100.0),
                &rates(&[40.0, 10.0, 10.0, 0.0])
            ),
            rates(&[50.0, 20.0, 20.0, 10.0])
        );
    }

    #[test]
    fn with_too_little_for_all_the_skew_of_the_demand_is_kept() {
        let parts = split_rate(RecordsPerSecond::new(100.0), &rates(&[900.0, 100.0]));
        assert_eq!(parts, rates(&[88.0, 12.0]));
    }

    #[test]
    fn credits_follow_the_demand_and_nobody_goes_without() {
        assert_eq!(
            split_credits(24, &rates(&[900.0, 100.0, 0.0])),
            vec![20, 3, 1]
        );
        assert_eq!(split_credits(24, &rates(&[0.0, 0.0, 0.0])), vec![8, 8, 8]);
        assert_eq!(split_credits(24, &rates(&[5.0])), vec![24]);
    }

    #[test]
    fn too_few_credits_go_to_the_highest_demand() {
        assert_eq!(split_credits(1, &rates(&[1.0, 9.0, 5.0])), vec![0, 1, 0]);
        assert_eq!(split_credits(0, &rates(&[1.0, 9.0])), vec![0, 0]);
    }

    proptest! {
        #[test]
        fn nothing_is_given_twice_or_lost(
            total in 0_u32..2000,
            demands in prop::collection::vec(prop_oneof![Just(0.0), 0.0..1e15], 1..70),
        ) {
            let demands = rates(&demands);
            let credits = split_credits(total, &demands);
            prop_assert_eq!(credits.iter().sum::<u32>(), total);
            let parts = split_rate(RecordsPerSecond::new(f64::from(total)), &demands);
            let sum: f64 = parts.iter().map(|part| part.get()).sum();
            prop_assert!((sum - f64::from(total)).abs() <= 1e-6 * f64::from(total).max(1.0));
        }
    }
}
