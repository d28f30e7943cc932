//! How much the traffic suites do. Each size has a default that shows what is promised, and an environment variable
//! that makes it larger for a soak, or smaller for a quick look.
//!
//! | variable | default | what |
//! |---|---|---|
//! | `SPLITTER_HELD` | 120 | connections held in `traffic_held` |
//! | `SPLITTER_HELD_CHANGES` | 200 | changes of weights in `traffic_held` |
//! | `SPLITTER_THOUSAND` | 1000 | connections held in `traffic_thousand` |
//! | `SPLITTER_THOUSAND_CHANGES` | 1000 | changes of weights in `traffic_thousand` |
//! | `SPLITTER_THOUSAND_KILLS` | 12 | daemon kills in `traffic_thousand` |
//! | `SPLITTER_RESTARTS` | 3 | restarts of each kind in `traffic_restart` |
//! | `SPLITTER_SHARE_SAMPLES` | 2000 | requests that each share in `traffic_transition` is measured from |
//! | `SPLITTER_EXPLAINED` | 10000 | flows compared with the kernel in `control_explain` |
//! | `SPLITTER_FLOOD_HELD` | 2000 | connections held in `traffic_flood` |
//! | `SPLITTER_FLOOD_FRAMES` | 1000000 | forged SYNs, and as many ACKs, in `traffic_flood` |
//! | `SPLITTER_FLOOD_RATE` | 100000 | forged frames a second, at most |

/// Reads a size.
///
/// # Panics
///
/// If the variable is set to something that is not a positive number: a soak that silently runs the default proves
/// less than it says.
pub fn size(variable: &str, default: usize) -> usize {
    match std::env::var(variable) {
        Err(_) => default,
        Ok(text) => match text.parse() {
            Ok(n) if n > 0 => n,
            _ => panic!("{variable} is {text:?}: expected a positive whole number"),
        },
    }
}

/// Connections held in `traffic_held`.
pub fn held() -> usize {
    size("SPLITTER_HELD", 120)
}

/// Changes of weights in `traffic_held`.
pub fn held_changes() -> usize {
    size("SPLITTER_HELD_CHANGES", 200)
}

/// Connections held in `traffic_thousand`.
pub fn thousand() -> usize {
    size("SPLITTER_THOUSAND", 1000)
}

/// Changes of weights in `traffic_thousand`.
pub fn thousand_changes() -> usize {
    size("SPLITTER_THOUSAND_CHANGES", 1000)
}

/// Daemon kills in `traffic_thousand`.
pub fn thousand_kills() -> usize {
    size("SPLITTER_THOUSAND_KILLS", 12)
}

/// Restarts of each kind in `traffic_restart`.
pub fn restarts() -> usize {
    size("SPLITTER_RESTARTS", 3)
}

/// Requests that each share in `traffic_transition` is measured from.
pub fn share_samples() -> usize {
    size("SPLITTER_SHARE_SAMPLES", 2000)
}

/// Flows compared with the kernel in `control_explain`.
pub fn explained() -> usize {
    size("SPLITTER_EXPLAINED", 10_000)
}

/// Connections held in `traffic_flood`.
pub fn flood_held() -> usize {
    size("SPLITTER_FLOOD_HELD", 2000)
}

/// Forged SYNs, and as many ACKs, in `traffic_flood`.
pub fn flood_frames() -> u64 {
    size("SPLITTER_FLOOD_FRAMES", 1_000_000) as u64
}

/// Forged frames a second in `traffic_flood`, at most.
pub fn flood_rate() -> u64 {
    size("SPLITTER_FLOOD_RATE", 100_000) as u64
}
