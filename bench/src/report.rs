//! Figures of several runs, as a table for people and one JSON line for programs.

use std::collections::BTreeMap;

use comfy_table::Table;
use serde_json::{Map, Value, json};

/// Figures of one run by key; the keys carry their unit (`wall_s`, `peak_mib`, `writes`).
pub type Figures = BTreeMap<&'static str, f64>;

/// What keys end with whose limit is the least that is to be reached.
const MORE_IS_BETTER: [&str; 2] = ["agree_pct", "per_s"];

/// What a benchmark found.
pub struct Report {
    /// Its name, as `make bench BENCH=` takes it.
    pub bench: &'static str,
    /// Our runs.
    pub ours: Vec<Figures>,
    /// The peer's, where there is one.
    pub peer: Vec<Figures>,
    /// What is to be reached.
    pub limit: Figures,
    /// The key whose medians are compared: ours divided by the peer's.
    pub ratio: &'static str,
}

/// Median, least and greatest.
fn spread(runs: &[Figures], key: &str) -> Option<(f64, f64, f64)> {
    let mut values: Vec<f64> = runs.iter().filter_map(|run| run.get(key).copied()).collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let median = if values.len() % 2 == 1 {
        *values.get(middle)?
    } else {
        f64::midpoint(*values.get(middle.checked_sub(1)?)?, *values.get(middle)?)
    };
    Some((median, *values.first()?, *values.last()?))
}

fn keys(runs: &[Figures]) -> impl Iterator<Item = &'static str> {
    runs.first().into_iter().flat_map(|run| run.keys().copied())
}

fn rounded(value: f64) -> Value {
    json!((value * 1000.0).round() / 1000.0)
}

fn side(runs: &[Figures]) -> Value {
    let mut object = Map::new();
    for key in keys(runs) {
        if let Some((median, least, greatest)) = spread(runs, key) {
            object.insert(key.to_owned(), rounded(median));
            object.insert(format!("{key}_min"), rounded(least));
            object.insert(format!("{key}_max"), rounded(greatest));
        }
    }
    Value::Object(object)
}

impl Report {
    /// The last line: one object.
    pub fn json(&self) -> Value {
        let ratio =
            spread(&self.ours, self.ratio).zip(spread(&self.peer, self.ratio)).map(|(ours, peer)| ours.0 / peer.0);
        let limit: Map<String, Value> =
            self.limit.iter().map(|(key, value)| ((*key).to_owned(), rounded(*value))).collect();
        json!({
            "bench": self.bench,
            "ours": side(&self.ours),
            "peer": if self.peer.is_empty() { Value::Null } else { side(&self.peer) },
            "limit": limit,
            "ratio": ratio.map(rounded),
        })
    }

    /// Prints the table, then the JSON line.
    pub fn print(&self) {
        let mut table = Table::new();
        table.set_header(["figure", "ours", "peer", "goal"]);
        let cell = |runs: &[Figures], key: &str| {
            spread(runs, key).map_or_else(String::new, |(median, least, greatest)| {
                format!("{median:.2}  ({least:.2}–{greatest:.2})")
            })
        };
        for key in keys(&self.ours) {
            let sign = if MORE_IS_BETTER.iter().any(|end| key.ends_with(end)) { '≥' } else { '≤' };
            let goal = self.limit.get(key).map_or_else(String::new, |limit| format!("{sign} {limit}"));
            table.add_row([key.to_owned(), cell(&self.ours, key), cell(&self.peer, key), goal]);
        }
        println!("{} (median of {} runs, least–greatest)\n{table}\n{}", self.bench, self.ours.len(), self.json());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(values: &[f64]) -> Vec<Figures> {
        values.iter().map(|&value| Figures::from([("wall_s", value)])).collect()
    }

    #[test]
    fn the_median_of_an_even_number_of_runs_lies_between_the_middle_two() {
        assert_eq!(spread(&runs(&[4.0, 1.0, 3.0, 2.0]), "wall_s"), Some((2.5, 1.0, 4.0)));
        assert_eq!(spread(&runs(&[3.0, 1.0, 2.0]), "wall_s"), Some((2.0, 1.0, 3.0)));
        assert_eq!(spread(&[], "wall_s"), None);
    }

    #[test]
    fn the_json_line_has_both_sides_and_their_ratio() {
        let report = Report {
            bench: "tenants",
            ours: runs(&[3.0]),
            peer: runs(&[2.0]),
            limit: Figures::from([("wall_s", 20.0)]),
            ratio: "wall_s",
        };
        assert_eq!(
            report.json(),
            json!({
                "bench": "tenants",
                "ours": { "wall_s": 3.0, "wall_s_min": 3.0, "wall_s_max": 3.0 },
                "peer": { "wall_s": 2.0, "wall_s_min": 2.0, "wall_s_max": 2.0 },
                "limit": { "wall_s": 20.0 },
                "ratio": 1.5
            })
        );
    }
}
