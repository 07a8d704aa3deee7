use std::ops::Range;

use super::CutLimits;

/// Where a column of a row group lies in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Extent {
    pub(super) start: u64,
    pub(super) end: u64,
}

/// Where a Parquet file of `len` bytes with these row groups is cut: small
/// groups share a chunk up to the target, a group larger than the maximum is
/// cut between its columns where possible, and what follows the last group
/// (indexes, bloom filters, footer) is a chunk of its own. A file below the
/// minimum is one chunk.
///
/// Everything between two groups belongs to the first of them; what stands
/// before the first group belongs to it.
pub(super) fn cuts(groups: &[Vec<Extent>], len: u64, limits: &CutLimits) -> Vec<Range<u64>> {
    let (target, max, min) = (limits.target_bytes as u64, limits.max_bytes as u64, limits.min_bytes as u64);
    if len <= min {
        return std::iter::once(0..len).collect();
    }
    let data_end = groups.iter().flatten().map(|column| column.end).max().unwrap_or(0);
    let mut cuts = Cuts { done: Vec::new(), start: 0, end: 0, max };
    for group in spans(groups, data_end) {
        let bytes = group.end - group.start;
        // Too little for a chunk of its own goes with its neighbour if it can.
        let too_little = cuts.open_bytes() < min || bytes < min;
        let fits = cuts.open_bytes() + bytes <= if too_little { max } else { target };
        if !fits {
            cuts.close();
        }
        if bytes > max {
            for column in columns(groups, &group) {
                if cuts.open_bytes() + (column.end - column.start) > max {
                    cuts.close();
                }
                cuts.extend(column.end);
            }
            cuts.close();
        } else {
            cuts.extend(group.end);
        }
    }
    cuts.close();
    cuts.extend(len);
    cuts.close();
    cuts.done
}

struct Cuts {
    done: Vec<Range<u64>>,
    /// The chunk that is open.
    start: u64,
    end: u64,
    max: u64,
}

impl Cuts {
    fn open_bytes(&self) -> u64 {
        self.end - self.start
    }

    fn extend(&mut self, end: u64) {
        self.end = end;
    }

    /// Ends the open chunk; what is larger than any chunk may be is cut as it comes.
    fn close(&mut self) {
        while self.start < self.end {
            let end = self.end.min(self.start + self.max);
            self.done.push(self.start..end);
            self.start = end;
        }
    }
}

/// The row groups in the order of the file, without gaps; groups that overlap are one.
fn spans(groups: &[Vec<Extent>], data_end: u64) -> Vec<Range<u64>> {
    let mut extents: Vec<Extent> = groups
        .iter()
        .filter_map(|columns| {
            let start = columns.iter().map(|column| column.start).min()?;
            let end = columns.iter().map(|column| column.end).max()?;
            Some(Extent { start, end })
        })
        .collect();
    extents.sort_unstable();
    let mut starts: Vec<u64> = Vec::with_capacity(extents.len());
    let mut reach = 0;
    for extent in extents {
        if starts.is_empty() {
            starts.push(0);
        } else if extent.start >= reach && extent.end > extent.start {
            starts.push(extent.start);
        }
        reach = reach.max(extent.end);
    }
    let ends = starts.iter().skip(1).copied().chain(std::iter::once(data_end));
    starts.iter().zip(ends).map(|(start, end)| *start..end).collect()
}

/// The columns inside a span, without gaps.
fn columns(groups: &[Vec<Extent>], span: &Range<u64>) -> Vec<Range<u64>> {
    let mut starts: Vec<u64> =
        groups.iter().flatten().map(|column| column.start).filter(|start| span.contains(start)).collect();
    starts.sort_unstable();
    starts.dedup();
    if let Some(first) = starts.first_mut() {
        *first = span.start;
    }
    let ends = starts.iter().skip(1).copied().chain(std::iter::once(span.end));
    starts.iter().zip(ends).map(|(start, end)| *start..end).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: CutLimits = CutLimits { target_bytes: 100, max_bytes: 400, min_bytes: 10 };

    /// Row groups of one column each, from byte 4 on, and a footer of 20 bytes.
    fn check(sizes: &[u64]) -> Vec<u64> {
        let mut at = 4;
        let groups: Vec<Vec<Extent>> = sizes
            .iter()
            .map(|bytes| {
                at += bytes;
                vec![Extent { start: at - bytes, end: at }]
            })
            .collect();
        lengths(&groups, at + 20)
    }

    fn lengths(groups: &[Vec<Extent>], len: u64) -> Vec<u64> {
        let cuts = cuts(groups, len, &LIMITS);
        let mut end = 0;
        for cut in &cuts {
            assert_eq!(cut.start, end);
            end = cut.end;
        }
        assert_eq!(end, len);
        cuts.iter().map(|cut| cut.end - cut.start).collect()
    }

    #[test]
    fn small_row_groups_share_a_chunk_up_to_the_target() {
        assert_eq!(check(&[30, 30, 30, 30, 30]), [94, 60, 20]);
        assert_eq!(check(&[96, 96, 300]), [100, 96, 300, 20]);
    }

    #[test]
    fn the_footer_is_a_chunk_of_its_own_unless_the_file_is_tiny() {
        assert_eq!(check(&[50]), [54, 20]);
        assert_eq!(check(&[]), [24]);
        assert_eq!(lengths(&[vec![Extent { start: 4, end: 6 }]], 10), [10]);
    }

    #[test]
    fn a_row_group_too_small_for_a_chunk_goes_with_its_neighbour() {
        assert_eq!(check(&[96, 5]), [105, 20]);
        assert_eq!(check(&[5, 200]), [209, 20]);
    }

    #[test]
    fn a_row_group_larger_than_the_maximum_is_cut_between_its_columns() {
        let columns = |sizes: &[u64]| {
            let mut at = 4;
            let extents = sizes.iter().map(|bytes| {
                at += bytes;
                Extent { start: at - bytes, end: at }
            });
            vec![extents.collect::<Vec<_>>()]
        };
        assert_eq!(lengths(&columns(&[146, 150, 150, 150]), 620), [300, 300, 20]);
        assert_eq!(lengths(&columns(&[96, 1000, 100]), 1220), [100, 400, 400, 200, 100, 20]);
    }

    #[test]
    fn row_groups_that_overlap_or_are_out_of_order_are_never_cut_inside() {
        let group = |start, end| vec![Extent { start, end }];
        assert_eq!(lengths(&[group(204, 304), group(4, 104), group(104, 204)], 324), [104, 100, 100, 20]);
        assert_eq!(lengths(&[group(4, 150), group(100, 250)], 270), [250, 20]);
        assert_eq!(lengths(&[vec![], group(4, 104)], 124), [104, 20]);
    }
}
