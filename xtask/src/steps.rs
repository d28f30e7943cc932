//! Steps with their times, shown as a table at the end.

use std::time::{Duration, Instant};

use anyhow::Result;

/// What was done, in order.
#[derive(Default)]
pub(crate) struct Steps {
    done: Vec<Step>,
}

struct Step {
    name: String,
    took: Duration,
    failed: bool,
}

impl Steps {
    /// Does one step and keeps its time.
    pub(crate) fn step<T>(&mut self, name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        eprintln!("\n── {name}");
        let start = Instant::now();
        let outcome = work();
        self.done.push(Step {
            name: name.to_owned(),
            took: start.elapsed(),
            failed: outcome.is_err(),
        });
        outcome
    }

    /// Prints the table.
    pub(crate) fn print(&self) {
        if !self.done.is_empty() {
            eprint!("\n{}", self.table());
        }
    }

    fn table(&self) -> String {
        let total: Duration = self.done.iter().map(|step| step.took).sum();
        let width = self
            .done
            .iter()
            .map(|step| step.name.chars().count())
            .chain(["total".len()])
            .max()
            .unwrap_or(0);
        let mut table = String::new();
        for step in &self.done {
            let mark = if step.failed { "  FAILED" } else { "" };
            table += &row(&step.name, width, step.took, mark);
        }
        table + &row("total", width, total, "")
    }
}

fn row(name: &str, width: usize, took: Duration, mark: &str) -> String {
    format!("{name:<width$} {:>8.1} s{mark}\n", took.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_step_is_marked_and_stops_nothing_by_itself() {
        let mut steps = Steps::default();
        steps.step("good", || Ok(())).expect("it does nothing");
        let error = steps
            .step("bad", || -> Result<()> { anyhow::bail!("no") })
            .expect_err("it fails");
        assert_eq!(error.to_string(), "no");
        let table = steps.table();
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines.len(), 3, "{table}");
        assert!(lines[0].starts_with("good ") && !lines[0].contains("FAILED"));
        assert!(lines[1].starts_with("bad ") && lines[1].ends_with("FAILED"));
        assert!(lines[2].starts_with("total"));
    }
}
