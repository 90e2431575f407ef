//! Samples, their medians, and the table.

use std::time::Duration;

/// CPU time that all threads of a process have used, as the scheduler counts it (Linux).
pub(crate) fn cpu_time(process: u32) -> Duration {
    let tasks = std::fs::read_dir(format!("/proc/{process}/task")).unwrap();
    let nanos = tasks.filter_map(|task| {
        let text = std::fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanos.sum())
}

/// What one run came to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    requests_per_second: f64,
    p50_us: f64,
    p99_us: f64,
    cpu_us: f64,
}

impl Sample {
    pub(crate) fn new(mut latencies: Vec<Duration>, elapsed: Duration, cpu: Duration) -> Self {
        latencies.sort_unstable();
        let at = |share: f64| {
            let index = (latencies.len() as f64 * share) as usize;
            latencies[index.min(latencies.len() - 1)].as_secs_f64() * 1e6
        };
        let count = latencies.len() as f64;
        Self {
            requests_per_second: count / elapsed.as_secs_f64(),
            p50_us: at(0.5),
            p99_us: at(0.99),
            cpu_us: cpu.as_secs_f64() * 1e6 / count,
        }
    }
}

/// The samples of one target.
pub(crate) struct Row {
    name: &'static str,
    samples: Vec<Sample>,
}

impl Row {
    pub(crate) const fn new(name: &'static str) -> Self {
        Self {
            name,
            samples: Vec::new(),
        }
    }

    pub(crate) fn add(&mut self, sample: Sample) {
        self.samples.push(sample);
    }

    fn median(&self, of: impl Fn(&Sample) -> f64) -> f64 {
        let mut values: Vec<f64> = self.samples.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    }

    /// Prints all rows; the first one is what the others are compared with.
    pub(crate) fn print(rows: &[Self]) {
        println!(
            "{:<34} {:>9} {:>9} {:>9} {:>9} {:>8} {:>8}",
            "target", "req/s", "p50 µs", "p99 µs", "CPU µs", "CPU ×", "req/s ×"
        );
        let base_cpu = rows[0].median(|s| s.cpu_us);
        let base_rate = rows[0].median(|s| s.requests_per_second);
        for row in rows {
            let (rate, cpu) = (
                row.median(|s| s.requests_per_second),
                row.median(|s| s.cpu_us),
            );
            println!(
                "{:<34} {:>9.0} {:>9.0} {:>9.0} {:>9.1} {:>8.2} {:>8.2}",
                row.name,
                rate,
                row.median(|s| s.p50_us),
                row.median(|s| s.p99_us),
                cpu,
                cpu / base_cpu,
                rate / base_rate
            );
        }
    }
}
