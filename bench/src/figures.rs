//! Arithmetic of the report: percentiles and ratios. Knows nothing of where the numbers come from.

/// The value below or at which `part` (0 to 1) of the values lie, by nearest rank; `None` of none. Sorts.
pub fn percentile(values: &mut [u32], part: f64) -> Option<u32> {
    values.sort_unstable();
    let rank = (part * values.len() as f64).ceil() as usize;
    values.get(rank.clamp(1, values.len().max(1)) - 1).copied()
}

/// `a / b`, or nothing when there is nothing to divide by.
pub fn ratio(a: f64, b: f64) -> Option<f64> {
    (b > 0.0).then(|| a / b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_occurred() {
        let mut values: Vec<u32> = (1..=1000).rev().collect();
        assert_eq!(percentile(&mut values, 0.5), Some(500));
        assert_eq!(percentile(&mut values, 0.99), Some(990));
        assert_eq!(percentile(&mut values, 0.999), Some(999));
        assert_eq!(percentile(&mut values, 1.0), Some(1000));
        assert_eq!(percentile(&mut [7], 0.001), Some(7));
        assert_eq!(percentile(&mut [], 0.5), None);
    }

    #[test]
    fn nothing_is_divided_by_nothing() {
        assert_eq!(ratio(3.0, 2.0), Some(1.5));
        assert_eq!(ratio(3.0, 0.0), None);
    }
}
