use super::Unit;

/// A table has at most this many partitions; larger ones scan more at once.
const SCAN_PARTITIONS_MAX: u64 = 4096;

/// A table that is large enough is cut into about this many partitions,
/// before they grow to the size of their target.
const SCAN_PARTITIONS_WANTED: u64 = 8;

/// No partition is made smaller than this to have more of them.
const SCAN_BYTES_MIN: u64 = 2 << 20;

/// The bytes that a partition of a table of `total` bytes should scan.
pub(crate) fn scan_bytes(total: u64, target: u64) -> u64 {
    let wanted = (total / SCAN_PARTITIONS_WANTED).clamp(SCAN_BYTES_MIN.min(target), target);
    wanted.max(total / SCAN_PARTITIONS_MAX).max(1)
}

/// Adjacent units together, up to `target` bytes a partition; parts of a
/// file that touch become one.
pub(crate) fn partitions(units: &[Unit], target: u64) -> Vec<Vec<Unit>> {
    let mut partitions: Vec<Vec<Unit>> = Vec::new();
    let mut filled = 0;
    for unit in units {
        match partitions.last_mut() {
            Some(partition) if filled + unit.bytes() <= target => {
                filled += unit.bytes();
                match partition.last_mut() {
                    Some(last) if last.file == unit.file && last.end == unit.start => last.end = unit.end,
                    _ => partition.push(*unit),
                }
            }
            _ => {
                filled = unit.bytes();
                partitions.push(vec![*unit]);
            }
        }
    }
    partitions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_units_are_scanned_together_and_large_ones_alone() {
        let unit = |file, start, end| Unit { file, start, end };
        let units = [unit(0, 0, 4), unit(0, 4, 8), unit(1, 0, 2), unit(1, 2, 22), unit(2, 0, 1)];
        assert_eq!(
            partitions(&units, 10),
            [vec![unit(0, 0, 8), unit(1, 0, 2)], vec![unit(1, 2, 22)], vec![unit(2, 0, 1)]]
        );
        assert_eq!(partitions(&[], 10), Vec::<Vec<Unit>>::new());
    }

    #[test]
    fn partitions_grow_with_the_table_and_stay_bounded_in_number() {
        let target = 16 << 20;
        assert_eq!(scan_bytes(1 << 20, target), 2 << 20);
        assert_eq!(scan_bytes(64 << 20, target), 8 << 20);
        assert_eq!(scan_bytes(1 << 30, target), target);
        assert_eq!(scan_bytes(1 << 40, target), (1 << 40) / 4096);
    }
}
