use super::Pair;
use crate::host::HostId;

/// What there is between each two of many hosts. In a mesh that is something
/// for nearly every two, and it is looked up at every packet.
pub(super) struct Table<T> {
    /// By the host with the higher number, then by the other.
    rows: Vec<Vec<Option<T>>>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { rows: Vec::new() }
    }
}

/// The two in order.
fn sorted(a: HostId, b: HostId) -> (usize, usize) {
    let (a, b) = (a.index(), b.index());
    if a < b { (b, a) } else { (a, b) }
}

impl<T> Table<T> {
    pub(super) fn get(&self, a: HostId, b: HostId) -> Option<&T> {
        let (row, column) = sorted(a, b);
        self.rows.get(row)?.get(column)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, a: HostId, b: HostId) -> Option<&mut T> {
        let (row, column) = sorted(a, b);
        self.rows.get_mut(row)?.get_mut(column)?.as_mut()
    }

    /// `a` and `b` are two.
    pub(super) fn insert(&mut self, a: HostId, b: HostId, value: T) {
        let (row, column) = sorted(a, b);
        if self.rows.len() <= row {
            self.rows.resize_with(row + 1, Vec::new);
        }
        let found = &mut self.rows[row];
        if found.is_empty() {
            found.resize_with(row, || None);
        }
        found[column] = Some(value);
    }

    pub(super) fn remove(&mut self, a: HostId, b: HostId) {
        let (row, column) = sorted(a, b);
        if let Some(found) = self.rows.get_mut(row).and_then(|row| row.get_mut(column)) {
            *found = None;
        }
    }

    /// What there is between a host and others, by their numbers.
    pub(super) fn of(&self, host: HostId) -> impl Iterator<Item = (HostId, &T)> {
        (0..self.rows.len() as u32).map(HostId).filter_map(move |other| Some((other, self.get(host, other)?)))
    }

    /// All of it, with the two hosts in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Pair, &T)> {
        (0u32..).zip(&self.rows).flat_map(|(b, row)| {
            let row = (0u32..).zip(row).filter_map(|(a, value)| Some((a, value.as_ref()?)));
            row.map(move |(a, value)| ((HostId(a), HostId(b)), value))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_between_two_hosts_is_found_from_both() {
        let mut table = Table::default();
        let host = HostId;
        table.insert(host(4), host(1), 'a');
        table.insert(host(0), host(1), 'b');
        table.insert(host(2), host(4), 'c');
        assert_eq!((table.get(host(1), host(4)), table.get(host(4), host(1))), (Some(&'a'), Some(&'a')));
        for (a, b) in [(0, 4), (1, 1), (9, 0), (3, 2)] {
            assert_eq!(table.get(host(a), host(b)), None);
        }
        let all: Vec<_> = table.iter().map(|((a, b), value)| (a.0, b.0, *value)).collect();
        assert_eq!(all, [(0, 1, 'b'), (1, 4, 'a'), (2, 4, 'c')]);
        let of = |table: &Table<char>, n| table.of(host(n)).map(|(other, _)| other.0).collect::<Vec<_>>();
        assert_eq!((of(&table, 1), of(&table, 4), of(&table, 3)), (vec![0, 4], vec![1, 2], vec![]));
        table.remove(host(1), host(4));
        assert_eq!((of(&table, 1), of(&table, 4)), (vec![0], vec![2]));
        *table.get_mut(host(4), host(2)).unwrap() = 'd';
        assert_eq!(table.get(host(2), host(4)), Some(&'d'));
    }
}
