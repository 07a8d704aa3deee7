//! Text in columns.

use super::units::shortened;

/// Which way a column leans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lean {
    Left,
    Right,
}

/// Rows of cells, two spaces between columns, as wide as their widest cell.
#[derive(Debug)]
pub(super) struct Grid {
    leans: Vec<Lean>,
    rows: Vec<Vec<String>>,
}

impl Grid {
    /// A grid with a head; `columns` are their names and leans.
    pub(super) fn new(columns: &[(&str, Lean)]) -> Self {
        let head = columns.iter().map(|(name, _)| (*name).to_owned()).collect();
        Self { leans: columns.iter().map(|(_, lean)| *lean).collect(), rows: vec![head] }
    }

    /// Adds a row of cells, each cut to the width beside it.
    pub(super) fn row<const N: usize>(&mut self, cells: [(&str, usize); N]) {
        self.rows.push(cells.iter().map(|(cell, width_max)| shortened(cell, *width_max)).collect());
    }

    /// The lines, each after `indent` spaces and cut to `width`.
    pub(super) fn lines(&self, indent: usize, width: usize) -> impl Iterator<Item = String> {
        let cell_width = |column: usize| {
            self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.leans.len()).map(cell_width).collect();
        self.rows.iter().map(move |row| {
            let mut line = " ".repeat(indent);
            for ((cell, lean), width) in row.iter().zip(&self.leans).zip(&widths) {
                match lean {
                    Lean::Left => line.push_str(&format!("{cell:<width$}  ")),
                    Lean::Right => line.push_str(&format!("{cell:>width$}  ")),
                }
            }
            shortened(line.trim_end(), width)
        })
    }
}
