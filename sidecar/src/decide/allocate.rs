//! Splits what the whole valve may do over its subtasks.

use super::units::RecordsPerSecond;

/// A subtask that brought nothing so far still gets this share of an equal part when there is not enough
/// for all, so that its first records of a spike need not wait for the next report.
const FLOOR: f64 = 0.05;
/// Of the weight by which credits are split, so much is the demand itself rather than what exceeds the
/// subtask's part of the local rate: who has no excess yet may have some before the next report.
const DEMAND_WEIGHT: f64 = 0.1;

/// Splits `total` over subtasks by their demand, max-min fair: nobody's part can be raised without
/// lowering that of somebody who has no more.
///
/// If there is enough, everyone gets what he asks for and an equal part of the rest. If not, there is a
/// level up to which everyone gets what he asks for; who asks for more gets the level. So a subtask that
/// receives most of a skewed load cannot starve the others, and what those do not need goes to it. The
/// parts add up to `total`, and a higher demand never gets less.
pub(crate) fn split_rate(
    total: RecordsPerSecond,
    demands: &[RecordsPerSecond],
) -> Vec<RecordsPerSecond> {
    if demands.is_empty() {
        return Vec::new();
    }
    let count = demands.len() as f64;
    let floor = total.times(FLOOR / count);
    let asked: f64 = demands.iter().map(|demand| demand.max(floor).get()).sum();
    if asked <= total.get() {
        let spare = RecordsPerSecond::new((total.get() - asked) / count);
        return demands
            .iter()
            .map(|demand| demand.max(floor).plus(spare))
            .collect();
    }
    let level = level(total, demands, floor);
    demands
        .iter()
        .map(|demand| demand.max(floor).min(level))
        .collect()
}

/// The level at which the parts add up to `total`, which is less than what is asked for: water poured
/// over the demands, lowest first.
fn level(
    total: RecordsPerSecond,
    demands: &[RecordsPerSecond],
    floor: RecordsPerSecond,
) -> RecordsPerSecond {
    let mut ascending: Vec<f64> = demands
        .iter()
        .map(|demand| demand.max(floor).get())
        .collect();
    ascending.sort_by(f64::total_cmp);
    let mut left = total.get();
    for (index, demand) in ascending.iter().enumerate() {
        let equal = left / (ascending.len() - index) as f64;
        if *demand > equal {
            return RecordsPerSecond::new(equal);
        }
        left -= demand;
    }
    // Only by rounding: together they ask for more than there is.
    RecordsPerSecond::new(*ascending.last().unwrap_or(&0.0))
}

/// Splits `total` credits over subtasks by what each has to divert, its demand beyond its part of the
/// local rate (`None`: everything may stay, so by demand alone); at least one each, as long as there are
/// enough, the neediest first. The parts add up to `total`.
pub(crate) fn split_credits(
    total: u32,
    demands: &[RecordsPerSecond],
    kept: Option<&[RecordsPerSecond]>,
) -> Vec<u32> {
    let count = demands.len();
    if count == 0 {
        return Vec::new();
    }
    let need: Vec<f64> = demands
        .iter()
        .enumerate()
        .map(|(index, demand)| match kept {
            Some(kept) => {
                DEMAND_WEIGHT * demand.get() + demand.get() - demand.min(kept[index]).get()
            }
            None => demand.get(),
        })
        .collect();
    let mut neediest: Vec<usize> = (0..count).collect();
    neediest.sort_by(|a, b| need[*b].total_cmp(&need[*a]).then(a.cmp(b)));
    let base = u32::from(total as usize >= count);
    let mut credits = vec![base; count];
    let spare = total - base * u32::try_from(count).unwrap_or(u32::MAX).min(total);
    let asked: f64 = need.iter().sum();
    let mut left = spare;
    if asked > 0.0 {
        for index in &neediest {
            let part = f64::from(spare) * need[*index] / asked;
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
    for index in neediest {
        credits[index] += each + u32::from(rest > 0);
        rest = rest.saturating_sub(1);
    }
    credits
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rate(value: f64) -> RecordsPerSecond {
        RecordsPerSecond::new(value)
    }

    fn rates(values: &[f64]) -> Vec<RecordsPerSecond> {
        values.iter().copied().map(rate).collect()
    }

    #[test]
    fn with_enough_for_all_everyone_gets_his_demand_and_an_equal_part_of_the_rest() {
        assert_eq!(
            split_rate(rate(100.0), &rates(&[40.0, 10.0, 10.0])),
            rates(&[40.0 + 40.0 / 3.0, 10.0 + 40.0 / 3.0, 10.0 + 40.0 / 3.0])
        );
    }

    #[test]
    fn with_too_little_for_all_who_asks_for_little_gets_it_and_the_others_share_the_rest() {
        assert_eq!(
            split_rate(rate(100.0), &rates(&[900.0, 20.0, 500.0])),
            rates(&[40.0, 20.0, 40.0])
        );
    }

    #[test]
    fn a_subtask_that_brought_nothing_gets_a_little_all_the_same() {
        assert_eq!(
            split_rate(rate(100.0), &rates(&[900.0, 0.0])),
            rates(&[97.5, 2.5])
        );
    }

    #[test]
    fn credits_follow_what_has_to_be_diverted_and_nobody_goes_without() {
        let demands = rates(&[900.0, 100.0, 0.0]);
        assert_eq!(split_credits(24, &demands, None), vec![20, 3, 1]);
        let kept = rates(&[100.0, 100.0, 5.0]);
        assert_eq!(split_credits(24, &demands, Some(&kept)), vec![22, 1, 1]);
        assert_eq!(split_credits(24, &rates(&[0.0; 3]), None), vec![8, 8, 8]);
        assert_eq!(split_credits(24, &rates(&[5.0]), None), vec![24]);
    }

    #[test]
    fn too_few_credits_go_to_the_highest_demand() {
        let demands = rates(&[1.0, 9.0, 5.0]);
        assert_eq!(split_credits(1, &demands, None), vec![0, 1, 0]);
        assert_eq!(split_credits(0, &rates(&[1.0, 9.0]), None), vec![0, 0]);
    }

    fn demands() -> impl Strategy<Value = Vec<f64>> {
        prop::collection::vec(prop_oneof![Just(0.0), 0.0..1e6, 0.0..1e15], 1..70)
    }

    proptest! {
        #[test]
        fn the_parts_add_up_to_the_total_and_never_to_more(
            total in 0.0..1e9_f64, demands in demands(), credits in 0_u32..2000,
        ) {
            let demands = rates(&demands);
            let parts = split_rate(rate(total), &demands);
            let sum: f64 = parts.iter().map(|part| part.get()).sum();
            prop_assert!((sum - total).abs() <= 1e-9 * total.max(1.0), "{sum} of {total}");
            for kept in [None, Some(parts.as_slice())] {
                prop_assert_eq!(split_credits(credits, &demands, kept).iter().sum::<u32>(), credits);
            }
        }

        #[test]
        fn nobody_starves(total in 1.0..1e9_f64, demands in demands()) {
            let count = demands.len() as f64;
            let parts = split_rate(rate(total), &rates(&demands));
            for (demand, part) in demands.iter().zip(parts) {
                let due = demand.clamp(total * FLOOR / count, total / count);
                prop_assert!(part.get() >= due * (1.0 - 1e-9), "{part} of {due}");
            }
        }

        #[test]
        fn a_higher_demand_never_gets_less(total in 1.0..1e9_f64, demands in demands()) {
            let parts = split_rate(rate(total), &rates(&demands));
            for (first, one) in demands.iter().zip(&parts) {
                for (second, other) in demands.iter().zip(&parts) {
                    prop_assert!(first < second || one.get() >= other.get() * (1.0 - 1e-9));
                }
            }
        }

        #[test]
        fn more_for_all_is_less_for_nobody(
            total in 1.0..1e9_f64, more in 0.0..1e9_f64, demands in demands(),
        ) {
            let demands = rates(&demands);
            let before = split_rate(rate(total), &demands);
            let after = split_rate(rate(total + more), &demands);
            for (before, after) in before.iter().zip(after) {
                prop_assert!(after.get() >= before.get() * (1.0 - 1e-9), "{before} → {after}");
            }
        }

        #[test]
        fn who_is_cut_short_is_so_at_a_level_that_nobody_exceeds(
            total in 1.0..1e9_f64, demands in demands(),
        ) {
            let parts = split_rate(rate(total), &rates(&demands));
            let most = parts.iter().map(|part| part.get()).fold(0.0, f64::max);
            for (demand, part) in demands.iter().zip(&parts) {
                prop_assert!(part.get() >= demand.min(most) * (1.0 - 1e-9));
            }
        }
    }
}
