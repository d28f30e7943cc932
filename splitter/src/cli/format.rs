//! How numbers, shares, times and backends are written for people.

use std::net::{IpAddr, SocketAddr};

use crate::api::types::{BackendRef, ServiceView};

/// `1234567` as `1,234,567`.
pub(super) fn count(number: impl Into<u64>) -> String {
    let digits = number.into().to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A share: `90.00 %`.
pub(super) fn percent(share: f64) -> String {
    format!("{share:.2} %")
}

/// A share as it is typed: `90`, `12.5`, `0.01`.
pub(super) fn short_percent(share: f64) -> String {
    let text = format!("{share:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A duration in seconds: `0.4 s`, `12 s`, `4 min 58 s`, `1 h 0 min`.
pub(super) fn seconds(duration: f64) -> String {
    if duration < 10.0 {
        let text = format!("{:.1}", duration.max(0.0));
        return format!("{} s", text.strip_suffix(".0").unwrap_or(&text));
    }
    // A float beyond the range of the integer becomes its last value: a very long time, either way.
    let whole = duration.round() as u64;
    match (whole / 3600, whole / 60 % 60, whole % 60) {
        (0, 0, s) => format!("{s} s"),
        (0, min, s) => format!("{min} min {s} s"),
        (h, min, _) => format!("{h} h {min} min"),
    }
}

/// A moment, to the second: `2026-11-30 22:50:01 UTC`.
pub(super) fn moment(at: jiff::Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// An address with its port; IPv6 in brackets.
pub(super) fn address(ip: IpAddr, port: u16) -> String {
    match port {
        0 => ip.to_string(),
        port => SocketAddr::new(ip, port).to_string(),
    }
}

/// What clients of a service dial: `203.0.113.10:443`, `203.0.113.10:80,443,8000-8099`.
pub(super) fn front(service: &ServiceView) -> String {
    match service.vip {
        IpAddr::V4(vip) => format!("{vip}:{}", service.ports),
        IpAddr::V6(vip) => format!("[{vip}]:{}", service.ports),
    }
}

/// A backend: `blue 10.0.0.11:8080`.
pub(super) fn backend(backend: &BackendRef) -> String {
    let version = backend.version.as_deref().unwrap_or("(removed)");
    format!("{version} {}", address(backend.address, backend.port))
}

/// Slots of a service that are not at rest.
pub(super) fn slots_in_transition(service: &ServiceView) -> u32 {
    service.transition.as_ref().map_or(0, |t| {
        t.track.saturating_add(t.handover).saturating_add(t.residue)
    })
}

/// `1 slot`, `2 slots`.
pub(super) fn plural(number: u64, noun: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{} {noun}{ending}", count(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_thousands_separators() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (123_456, "123,456"),
            (u64::MAX, "18,446,744,073,709,551,615"),
        ] {
            assert_eq!(count(number), text);
        }
    }

    #[test]
    fn durations_read_well() {
        for (duration, text) in [
            (-1.0, "0 s"),
            (0.0, "0 s"),
            (0.44, "0.4 s"),
            (3.0, "3 s"),
            (59.6, "1 min 0 s"),
            (298.0, "4 min 58 s"),
            (3600.0, "1 h 0 min"),
        ] {
            assert_eq!(seconds(duration), text);
        }
    }

    #[test]
    fn shares_as_typed_have_no_needless_zeros() {
        for (share, text) in [(100.0, "100"), (12.5, "12.5"), (0.01, "0.01"), (0.0, "0")] {
            assert_eq!(short_percent(share), text);
        }
    }
}
