use std::collections::VecDeque;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use parquet::file::metadata::ParquetMetaData;
use shoal_ports::{Cut, Cutter};
use shoal_types::{Error, Format, Result};

use super::CutLimits;
use super::parquet_cuts::{Extent, cuts};
use super::spool::Spool;

/// Cuts a Parquet file between its row groups.
///
/// Where they are is written at the file's end, so it is spooled, and every
/// chunk comes at the end.
pub(super) struct ParquetCutter {
    name: String,
    limits: CutLimits,
    spool: Spool,
    state: State,
}

enum State {
    TakingIn,
    GivingOut(VecDeque<Range<u64>>),
    /// It is none: everything goes through another cutter, as far as `at` so far.
    Plain {
        cutter: Box<dyn Cutter>,
        at: u64,
    },
}

const MAGIC: &[u8] = b"PAR1";
const MAGIC_ENCRYPTED: &[u8] = b"PARE";

/// The footer's length and the magic.
const TAIL_BYTES: u64 = 8;

impl ParquetCutter {
    /// A file up to this size is spooled in memory.
    const SPOOL_MEMORY_BYTES_MAX: usize = 64 << 20;

    /// The longest footer that is parsed: decoding it takes some times its size.
    const FOOTER_BYTES_MAX: u64 = 256 << 20;

    /// What is none after all is cut in pieces of so many bytes.
    const PLAIN_PIECE_BYTES: u64 = 1 << 20;

    pub(super) fn new(name: &str, limits: CutLimits) -> Self {
        Self::with_memory(name, limits, Self::SPOOL_MEMORY_BYTES_MAX)
    }

    pub(super) fn with_memory(name: &str, limits: CutLimits, memory_bytes_max: usize) -> Self {
        Self { name: name.to_owned(), limits, spool: Spool::new(memory_bytes_max), state: State::TakingIn }
    }

    /// Decides the cuts once everything is there.
    fn giving_out(&mut self) -> Result<&mut VecDeque<Range<u64>>> {
        if let State::TakingIn = self.state {
            let cuts = if self.spool.len() == 0 { VecDeque::new() } else { self.plan()? };
            self.state = State::GivingOut(cuts);
        }
        match &mut self.state {
            State::GivingOut(cuts) => Ok(cuts),
            State::TakingIn | State::Plain { .. } => Err(Error::bug("a Parquet file without a plan of its cuts")),
        }
    }

    fn plan(&mut self) -> Result<VecDeque<Range<u64>>> {
        let len = self.spool.len();
        if len < MAGIC.len() as u64 + TAIL_BYTES {
            return Err(self.bad("it is too short to be a Parquet file"));
        }
        self.check_magic()?;
        let tail = self.spool.read(len - TAIL_BYTES, len)?;
        let (footer_bytes, magic) = tail.split_at(4);
        if magic != MAGIC {
            return Err(self.bad(if magic == MAGIC_ENCRYPTED {
                ENCRYPTED
            } else {
                "it does not end as a Parquet file: it was cut short, perhaps"
            }));
        }
        let footer_bytes = footer_bytes.try_into().map_or(0, u32::from_le_bytes);
        let Some(footer) = (len - TAIL_BYTES).checked_sub(u64::from(footer_bytes)) else {
            return Err(self.bad("its footer is longer than the file"));
        };
        if u64::from(footer_bytes) > Self::FOOTER_BYTES_MAX {
            return Err(self.bad("its footer is longer than 256 MiB"));
        }
        // Bytes from outside: an assertion in the decoder must not end the process.
        let metadata = catch_unwind(AssertUnwindSafe(|| self.spool.parquet_footer()))
            .map_err(|_| self.bad("its footer contradicts itself"))?
            .map_err(|error| self.bad(&format!("its footer cannot be read: {error}")))?;
        let groups = self.extents(&metadata, footer)?;
        Ok(cuts(&groups, len, &self.limits).into())
    }

    /// Where the row groups' columns are; an error for one that is not before the footer.
    fn extents(&self, metadata: &ParquetMetaData, footer: u64) -> Result<Vec<Vec<Extent>>> {
        let mut groups = Vec::with_capacity(metadata.num_row_groups());
        for (number, group) in metadata.row_groups().iter().enumerate() {
            let mut columns = Vec::with_capacity(group.num_columns());
            for column in group.columns() {
                // Some writers say 0 where there is no dictionary.
                let data = column.data_page_offset();
                let start =
                    column.dictionary_page_offset().filter(|page| *page > 0).map_or(data, |page| page.min(data));
                let extent = u64::try_from(start).ok().zip(u64::try_from(column.compressed_size()).ok());
                let extent = extent.and_then(|(start, bytes)| Some(Extent { start, end: start.checked_add(bytes)? }));
                match extent {
                    Some(extent) if extent.start >= MAGIC.len() as u64 && extent.end <= footer => columns.push(extent),
                    _ => return Err(self.bad(&format!("row group {number} is not within the file"))),
                }
            }
            groups.push(columns);
        }
        Ok(groups)
    }

    fn check_magic(&mut self) -> Result<()> {
        let head = self.spool.read(0, MAGIC.len() as u64)?;
        match &head[..] {
            MAGIC => Ok(()),
            MAGIC_ENCRYPTED => Err(self.bad(ENCRYPTED)),
            _ => Err(self.bad("it does not begin as a Parquet file")),
        }
    }

    fn bad(&self, what: &str) -> Error {
        Error::BadData {
            object: self.name.clone(),
            what: what.to_owned(),
            hint: "store it as plain bytes with --format bytes".into(),
        }
    }
}

const ENCRYPTED: &str = "its footer is encrypted";

impl Cutter for ParquetCutter {
    fn push(&mut self, bytes: Bytes) -> Result<Vec<Cut>> {
        let magic = MAGIC.len() as u64;
        let begins = self.spool.len() < magic;
        self.spool.push(&bytes)?;
        // What is no Parquet file at all need not be taken in to its end.
        if begins && self.spool.len() >= magic {
            self.check_magic()?;
        }
        Ok(Vec::new())
    }

    fn finish(&mut self) -> Result<Vec<Cut>> {
        let mut all = Vec::new();
        loop {
            let some = self.finish_some()?;
            if some.is_empty() {
                return Ok(all);
            }
            all.extend(some);
        }
    }

    fn finish_some(&mut self) -> Result<Vec<Cut>> {
        if let State::Plain { cutter, at } = &mut self.state {
            while *at < self.spool.len() {
                let end = self.spool.len().min(*at + Self::PLAIN_PIECE_BYTES);
                let cuts = cutter.push(self.spool.read(*at, end)?)?;
                *at = end;
                if !cuts.is_empty() {
                    return Ok(cuts);
                }
            }
            return cutter.finish_some();
        }
        match self.giving_out()?.pop_front() {
            Some(cut) => Ok(vec![self.spool.read(cut.start, cut.end)?]),
            None => Ok(Vec::new()),
        }
    }

    fn turn_plain(&mut self) -> bool {
        // Nothing was given out before the plan was made.
        if let State::TakingIn = self.state {
            self.state = State::Plain { cutter: super::cutter(&self.name, Format::Bytes, self.limits), at: 0 };
        }
        matches!(self.state, State::Plain { .. })
    }
}
