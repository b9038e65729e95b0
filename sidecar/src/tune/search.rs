//! The search itself.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::objective::Objective;
use super::space::{self, Place};
use crate::decide::{Policy, PolicyMode};
use crate::sim::{Noise, Outcome, Phase, PhaseOutcome, Scenario};

/// Policies are refined in rounds of this many, so that the result does not depend on the number of cores.
const ROUND: usize = 8;
/// How far refinement moves at first, and what is left of that after each round.
const RADIUS: f64 = 0.25;
const SHRINK: f64 = 0.85;

/// What is searched.
#[derive(Debug, Clone)]
pub struct Search {
    /// Job, load, prices; its policy is where the search starts from, and gives what is not searched.
    pub scenario: Scenario,
    /// What has to be achieved.
    pub objective: Objective,
    /// Share of the load, at its end, that is not searched on.
    pub holdout: f64,
    /// By what share a bound has to be undercut: simulations are not exact.
    pub margin: f64,
    /// Policies to try.
    pub evaluations: usize,
}

/// A policy and what came of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// The policy.
    pub policy: Policy,
    /// On the part that was searched on.
    pub searched: PhaseOutcome,
    /// On the rest; `None` without one, or if it was not looked at.
    pub held_out: Option<PhaseOutcome>,
}

/// What a search found.
#[derive(Debug, Clone)]
pub struct Found {
    /// The cheapest policy that meets the objective, on the part that was not searched on too.
    pub best: Option<Candidate>,
    /// The one that comes nearest to it, if none meets it; else the best.
    pub nearest: Candidate,
    /// Policies of which no other is both cheaper and quicker, cheapest first.
    pub front: Vec<Candidate>,
    /// All policies that were tried: cost per hour and latency.
    pub tried: Vec<(f64, f64)>,
    /// The whole load under the recommended (or nearest) policy, second by second.
    pub outcome: Outcome,
}

impl Candidate {
    /// What it costs, in USD an hour.
    pub fn usd_per_hour(&self) -> f64 {
        self.searched.usd_per_hour()
    }
}

impl Search {
    /// Where the part that is not searched on begins, in ms.
    pub fn split_ms(&self) -> u64 {
        let whole = self.scenario.load.rate.duration_ms() as f64;
        // A share of the load's length.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let split = (whole * (1.0 - self.holdout)).round() as u64;
        split.max(1)
    }

    /// What is wrong with the load, of which a part without a single record would say nothing.
    pub fn problem(&self) -> Option<String> {
        let rate = &self.scenario.load.rate;
        let (split, end) = (self.split_ms(), rate.duration_ms());
        if rate.records(0, split) < 1.0 {
            Some("there is no record in the part of the load that is searched on".into())
        } else if split < end && rate.records(split, end) < 1.0 {
            Some("there is no record in the part of the load that is held out".into())
        } else {
            None
        }
    }

    /// Searches.
    pub fn run(&self) -> Found {
        let split = self.split_ms();
        let mut part = self.scenario.clone();
        part.load.rate = part.load.rate.before(split);
        part.phases.clear();
        let base = &self.scenario.policy;
        let mut noise = Noise::new(self.scenario.seed);

        let with_mode = |mode| Policy {
            mode,
            ..base.clone()
        };
        let mut policies: Vec<(Option<Place>, Policy)> = vec![
            (None, base.clone()),
            (None, with_mode(PolicyMode::Local)),
            (None, with_mode(PolicyMode::Burst)),
        ];
        let first = (self.evaluations * 3 / 5).max(ROUND);
        for place in space::spread(first, &mut noise) {
            policies.push((
                Some(place),
                space::policy(&place, &with_mode(PolicyMode::Auto)),
            ));
        }
        let mut tried = evaluate(&part, policies);
        let mut radius = RADIUS;
        while tried.len() < self.evaluations {
            let Some(from) = self
                .best_of(&tried)
                .and_then(|(place, _)| *place)
                .or_else(|| {
                    let placed = tried.iter().filter(|(place, _)| place.is_some());
                    placed
                        .min_by(|a, b| self.rank(&a.1).total_cmp(&self.rank(&b.1)))?
                        .0
                })
            else {
                break;
            };
            let round = (0..ROUND.min(self.evaluations - tried.len())).map(|_| {
                let place = space::near(&from, radius, &mut noise);
                (
                    Some(place),
                    space::policy(&place, &with_mode(PolicyMode::Auto)),
                )
            });
            tried.extend(evaluate(&part, round.collect()));
            radius *= SHRINK;
        }
        self.sum_up(tried)
    }

    /// The first of those that meet the objective is the cheapest, of those that do not the nearest.
    fn rank(&self, candidate: &Candidate) -> f64 {
        let excess = self.objective.excess(&candidate.searched, self.margin);
        if excess > 0.0 {
            1e12 * (1.0 + excess)
        } else {
            candidate.usd_per_hour()
        }
    }

    fn best_of<'a>(
        &self,
        tried: &'a [(Option<Place>, Candidate)],
    ) -> Option<&'a (Option<Place>, Candidate)> {
        tried
            .iter()
            .min_by(|a, b| self.rank(&a.1).total_cmp(&self.rank(&b.1)))
    }

    fn latency(&self, candidate: &Candidate) -> f64 {
        let both = candidate.searched.both();
        both.quantile_ms(self.objective.quantile()).unwrap_or(0.0)
    }

    fn sum_up(&self, tried: Vec<(Option<Place>, Candidate)>) -> Found {
        let mut all: Vec<Candidate> = tried.into_iter().map(|(_, candidate)| candidate).collect();
        let points = all
            .iter()
            .map(|candidate| (candidate.usd_per_hour(), self.latency(candidate)))
            .collect();
        // Stable: of equals the one that was tried first stays first.
        all.sort_by(|a, b| {
            let cost = a.usd_per_hour().total_cmp(&b.usd_per_hour());
            cost.then(self.latency(a).total_cmp(&self.latency(b)))
        });
        let mut front: Vec<usize> = Vec::new();
        for (index, candidate) in all.iter().enumerate() {
            let quicker = front
                .last()
                .is_none_or(|last| self.latency(candidate) < self.latency(&all[*last]));
            if quicker {
                front.push(index);
            }
        }
        let best = self.confirmed(&mut all);
        let nearest = best.unwrap_or_else(|| self.nearest(&all));
        self.look_ahead(&mut all, &[front.as_slice(), &[nearest]].concat());
        Found {
            outcome: run(&self.whole(), &all[nearest].policy, true),
            best: best.map(|best| all[best].clone()),
            nearest: all[nearest].clone(),
            front: front.iter().map(|index| all[*index].clone()).collect(),
            tried: points,
        }
    }

    /// The cheapest that meets the objective with the margin where it was searched and without it on the part that
    /// was not; of those that cost the same, the one that costs least there. `all` is in the order of cost.
    fn confirmed(&self, all: &mut [Candidate]) -> Option<usize> {
        let good: Vec<usize> = (0..all.len())
            .filter(|index| self.excess(&all[*index]).0 <= 0.0)
            .collect();
        let mut best: Option<usize> = None;
        for round in good.chunks(ROUND) {
            let dearer = |best: usize| all[best].usd_per_hour() < all[round[0]].usd_per_hour();
            if best.is_some_and(dearer) {
                break;
            }
            self.look_ahead(all, round);
            let held = round
                .iter()
                .copied()
                .filter(|index| self.excess(&all[*index]).1 <= 0.0);
            best = best.into_iter().chain(held).min_by(|a, b| {
                let costs = |index: usize| {
                    let ahead = all[index].held_out.as_ref();
                    (
                        all[index].usd_per_hour(),
                        ahead.map_or(0.0, PhaseOutcome::usd_per_hour),
                    )
                };
                let (a, b) = (costs(*a), costs(*b));
                a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1))
            });
        }
        best
    }

    /// The one that misses the objective least: where it was searched and, if it does not miss it there, on the rest.
    fn nearest(&self, all: &[Candidate]) -> usize {
        let nearer = |a: &usize, b: &usize| {
            let (a, b) = (self.excess(&all[*a]), self.excess(&all[*b]));
            a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1))
        };
        (0..all.len()).min_by(nearer).unwrap_or(0)
    }

    /// By how much a candidate misses the objective: with the margin where it was searched, and without it on the
    /// rest, as far as that was looked at.
    fn excess(&self, candidate: &Candidate) -> (f64, f64) {
        let ahead = candidate.held_out.as_ref();
        (
            self.objective.excess(&candidate.searched, self.margin),
            ahead.map_or(0.0, |held_out| self.objective.excess(held_out, 0.0)),
        )
    }

    /// Runs these on the whole load, to see what comes of them on the part that was not searched on.
    fn look_ahead(&self, all: &mut [Candidate], chosen: &[usize]) {
        let whole = self.whole();
        if whole.phases.is_empty() {
            return;
        }
        let mut unknown: Vec<usize> = chosen
            .iter()
            .copied()
            .filter(|index| all[*index].held_out.is_none())
            .collect();
        unknown.sort_unstable();
        unknown.dedup();
        let policies: Vec<Policy> = unknown
            .iter()
            .map(|index| all[*index].policy.clone())
            .collect();
        let outcomes = spread_over_cores(&policies, |policy| run(&whole, policy, false));
        for (index, outcome) in unknown.into_iter().zip(outcomes) {
            let mut phases = outcome.phases.into_iter();
            all[index].held_out = phases.find(|phase| phase.name == HELD_OUT);
        }
    }

    /// The whole load, its second part looked at by itself.
    fn whole(&self) -> Scenario {
        let mut whole = self.scenario.clone();
        let (split, end) = (self.split_ms(), whole.load.rate.duration_ms());
        whole.phases.clear();
        if split < end {
            whole.phases.push(Phase {
                name: HELD_OUT.into(),
                start_ms: split,
                end_ms: end,
            });
        }
        whole
    }
}

/// The name of the phase that is not searched on.
const HELD_OUT: &str = "held-out";

fn run(scenario: &Scenario, policy: &Policy, timeline: bool) -> Outcome {
    let mut scenario = scenario.clone();
    scenario.policy = policy.clone();
    scenario.run(timeline)
}

fn evaluate(
    part: &Scenario,
    policies: Vec<(Option<Place>, Policy)>,
) -> Vec<(Option<Place>, Candidate)> {
    let searched = spread_over_cores(&policies, |(_, policy)| run(part, policy, false).whole);
    let pairs = policies.into_iter().zip(searched);
    pairs
        .map(|((place, policy), searched)| {
            let candidate = Candidate {
                policy,
                searched,
                held_out: None,
            };
            (place, candidate)
        })
        .collect()
}

/// Does `work` for each of `items` on all cores; the results are in the items' order.
fn spread_over_cores<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let next = AtomicUsize::new(0);
    let results: Mutex<Vec<(usize, R)>> = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..cores.min(items.len()) {
            scope.spawn(|| {
                while let Some((index, item)) = {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    items.get(index).map(|item| (index, item))
                } {
                    let result = work(item);
                    results
                        .lock()
                        .unwrap_or_else(std::sync::PoisonError::into_inner)
                        .push((index, result));
                }
            });
        }
    });
    let mut results = results
        .into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn search(objective: &str) -> Search {
        searching("40k:6s,300k:8s,40k:2s,300k:8s", "", objective)
    }

    fn searching(profile: &str, more: &str, objective: &str) -> Search {
        let text = format!(
            "name = \"spike\"\nabout = \"A spike.\"\n[load]\nprofile = \"{profile}\"\n{more}"
        );
        let none = |path: &Path| Err(path.display().to_string());
        Search {
            scenario: Scenario::parse(&text, "test.toml", none).unwrap(),
            objective: objective.parse().unwrap(),
            holdout: 0.4,
            margin: 0.1,
            evaluations: 30,
        }
    }

    #[test]
    fn the_cheapest_policy_that_meets_the_objective_is_found_and_is_always_the_same() {
        let search = search("p99<400ms");
        let found = search.run();
        let best = found.best.clone().unwrap();
        assert!(search.objective.excess(&best.searched, 0.1) <= 0.0);
        assert!(best.policy.problems().is_empty());
        // Keeping everything would be cheaper, but is not quick enough.
        assert!(best.searched.spend_usd > 0.0);
        assert!(
            found
                .tried
                .iter()
                .any(|(cost, latency)| *cost <= 0.0 && *latency > 400.0)
        );
        // Nothing that was tried and is cheaper is quick enough.
        assert!(
            found
                .tried
                .iter()
                .all(|(cost, latency)| *cost >= best.usd_per_hour() || *latency >= 360.0)
        );
        let again = search.run();
        assert_eq!(again.best, Some(best));
        assert_eq!(again.tried, found.tried);
    }

    #[test]
    fn on_the_front_who_pays_more_waits_less() {
        let search = search("p99<400ms");
        let found = search.run();
        assert!(found.front.len() > 1);
        for pair in found.front.windows(2) {
            assert!(pair[0].usd_per_hour() < pair[1].usd_per_hour());
            assert!(search.latency(&pair[0]) > search.latency(&pair[1]));
        }
    }

    #[test]
    fn what_was_not_searched_on_is_looked_at_by_itself() {
        let search = search("p99<400ms");
        assert_eq!(search.split_ms(), 14_400);
        let held_out = search.run().best.unwrap().held_out.unwrap();
        assert_eq!(held_out.ms, 9_600);
        let due = 40e3 * 1.6 + 300e3 * 8.0;
        let seen = held_out.local.count() + held_out.cloud.count();
        assert!((seen / due - 1.0).abs() < 1e-6, "{seen}");
    }

    #[test]
    fn an_objective_that_nothing_meets_is_refused_with_what_came_nearest() {
        let search = search("p99<1ms");
        let found = search.run();
        assert_eq!(found.best, None);
        assert!(search.objective.excess(&found.nearest.searched, 0.1) > 0.0);
    }

    /// A spike only in the part that is held out, the last two fifths.
    const LATE: &str = "40k:20s,300k:8s";

    #[test]
    fn what_the_part_held_out_refutes_is_not_recommended() {
        let search = searching(LATE, "", "p99<400ms");
        let found = search.run();
        let best = found.best.unwrap();
        // To keep everything costs nothing and is quick, where it was searched.
        let cheapest = &found.front[0];
        assert!(search.objective.is_met(&cheapest.searched));
        assert!(!search.objective.is_met(cheapest.held_out.as_ref().unwrap()));
        assert!(search.objective.is_met(best.held_out.as_ref().unwrap()));
        assert!(best.held_out.as_ref().unwrap().spend_usd > 0.0);
        assert_eq!(found.nearest, best);
    }

    #[test]
    fn nothing_is_recommended_if_the_part_held_out_refutes_all() {
        let search = searching(LATE, "[cloud]\noutages = [\"10s..60s\"]", "p99<400ms");
        let found = search.run();
        assert_eq!(found.best, None);
        let nearest = found.nearest;
        assert!(search.objective.excess(&nearest.searched, 0.1) <= 0.0);
        assert!(!search.objective.is_met(&nearest.held_out.unwrap()));
    }

    #[test]
    fn with_nothing_held_out_what_was_searched_on_decides() {
        let mut search = searching("40k:6s", "", "p99<400ms");
        search.holdout = 0.0;
        assert_eq!(search.run().best.unwrap().held_out, None);
    }

    #[test]
    fn as_many_policies_are_tried_as_were_asked_for() {
        let mut search = searching("40k:2s", "", "p99<400ms");
        for evaluations in [16, 21, 30] {
            search.evaluations = evaluations;
            assert_eq!(search.run().tried.len(), evaluations);
        }
    }

    #[test]
    fn a_part_without_a_record_is_told() {
        for (profile, word) in [("0:8s,5k:2s", "searched on"), ("5k:5s,0:5s", "held out")] {
            let problem = searching(profile, "", "p99<1s").problem().unwrap();
            assert!(problem.contains(word), "{problem}");
        }
        assert_eq!(searching(LATE, "", "p99<1s").problem(), None);
    }
}
