//! A query's answer on its way out: rows in one of five formats, to stdout or
//! to a file that appears once it is whole.

mod out;
mod progress;
mod table;
mod text;

use std::io::Write;
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use clap::ValueEnum;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;

use self::out::Out;
use self::table::Table;
use crate::failure::Failure;
use crate::stdout;

pub(crate) use progress::Progress;

/// How rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum RowFormat {
    /// For people; at most 10,000 rows.
    Table,
    /// With a header; NULL is empty.
    Csv,
    /// One JSON object per line.
    Json,
    /// Arrow IPC: a stream on stdout, a file with -o.
    Arrow,
    Parquet,
}

impl RowFormat {
    /// By a file name's ending; `None` when it says nothing.
    pub(crate) fn of_file(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "csv" => Some(Self::Csv),
            "json" | "jsonl" | "ndjson" => Some(Self::Json),
            "arrow" | "arrows" | "feather" | "ipc" => Some(Self::Arrow),
            "parquet" | "pq" => Some(Self::Parquet),
            "txt" => Some(Self::Table),
            _ => None,
        }
    }

    /// Whether it would only garble a terminal.
    pub(crate) const fn is_binary(self) -> bool {
        matches!(self, Self::Arrow | Self::Parquet)
    }
}

/// Takes the rows of an answer, batch by batch.
pub(crate) struct Sink {
    format: RowFormat,
    file: Option<PathBuf>,
    writer: Option<Writer>,
}

enum Writer {
    Table(Table, Out),
    Csv(Box<arrow::csv::Writer<Out>>),
    Json(arrow::json::LineDelimitedWriter<Out>),
    ArrowStream(Box<arrow::ipc::writer::StreamWriter<Out>>),
    ArrowFile(Box<arrow::ipc::writer::FileWriter<Out>>),
    Parquet(Box<ArrowWriter<Out>>),
}

impl Sink {
    /// To `file`, or else to stdout. Nothing is opened yet.
    pub(crate) fn new(format: RowFormat, file: Option<PathBuf>) -> Self {
        Self { format, file, writer: None }
    }

    /// The columns of the rows to come; called once, before any rows.
    pub(crate) fn begin(&mut self, schema: &SchemaRef) -> Result<(), Failure> {
        let out = Out::open(self.file.as_deref())?;
        let writer = match self.format {
            RowFormat::Table => Ok(Writer::Table(Table::new(schema.clone()), out)),
            RowFormat::Csv => {
                let mut writer = arrow::csv::WriterBuilder::new().with_header(true).build(out);
                // An empty batch writes the header, which an answer without rows has too.
                let header = RecordBatch::new_empty(text::flat_schema(schema));
                writer.write(&header).map(|()| Writer::Csv(Box::new(writer)))
            }
            RowFormat::Json => {
                let builder = arrow::json::WriterBuilder::new().with_explicit_nulls(true);
                Ok(Writer::Json(builder.build(out)))
            }
            RowFormat::Arrow if self.file.is_none() => {
                let writer = arrow::ipc::writer::StreamWriter::try_new(out, schema);
                writer.map(|writer| Writer::ArrowStream(Box::new(writer)))
            }
            RowFormat::Arrow => {
                let writer = arrow::ipc::writer::FileWriter::try_new(out, schema);
                writer.map(|writer| Writer::ArrowFile(Box::new(writer)))
            }
            RowFormat::Parquet => {
                let properties = WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::default()));
                let writer = ArrowWriter::try_new(out, schema.clone(), Some(properties.build()));
                writer.map(|writer| Writer::Parquet(Box::new(writer))).map_err(from_parquet)
            }
        };
        self.writer = Some(writer.map_err(|error| self.failure(error))?);
        Ok(())
    }

    /// Takes rows.
    pub(crate) fn write(&mut self, batch: &RecordBatch) -> Result<(), Failure> {
        let outcome = match &mut self.writer {
            None => return Err(Failure::request("rows came before their columns", "")),
            Some(Writer::Table(table, _)) => {
                table.push(batch);
                Ok(())
            }
            Some(Writer::Csv(writer)) => text::flat(batch).and_then(|batch| writer.write(&batch)),
            Some(Writer::Json(writer)) => writer.write(batch),
            Some(Writer::ArrowStream(writer)) => writer.write(batch),
            Some(Writer::ArrowFile(writer)) => writer.write(batch),
            Some(Writer::Parquet(writer)) => writer.write(batch).map_err(from_parquet),
        };
        outcome.map_err(|error| self.failure(error))
    }

    /// Says that these were all rows; a file has its name after this.
    pub(crate) fn finish(mut self) -> Result<(), Failure> {
        let Some(writer) = self.writer.take() else { return Ok(()) };
        let mut note = None;
        let out = match writer {
            Writer::Table(table, mut out) => {
                note = table.note();
                table.print(&mut out).map(|()| out)
            }
            Writer::Csv(writer) => Ok(writer.into_inner()),
            Writer::Json(mut writer) => writer.finish().map(|()| writer.into_inner()),
            Writer::ArrowStream(mut writer) => writer.finish().and_then(|()| writer.into_inner()),
            Writer::ArrowFile(mut writer) => writer.finish().and_then(|()| writer.into_inner()),
            Writer::Parquet(writer) => writer.into_inner().map_err(from_parquet),
        };
        let closed = out.and_then(|mut out| {
            out.flush()?;
            out.close().map_err(ArrowError::from)
        });
        closed.map_err(|error| self.failure(error))?;
        if let Some(note) = note {
            eprintln!("{note}");
        }
        Ok(())
    }

    /// Whether what was written so far can be taken back, as rows in a file
    /// without its name can, and rows on a pipe cannot. Then the sink begins
    /// anew.
    pub(crate) fn restart(&mut self) -> bool {
        let undone = match &self.writer {
            None | Some(Writer::Table(..)) => true,
            Some(_) => self.file.is_some(),
        };
        if undone {
            self.writer = None;
        }
        undone
    }

    fn failure(&self, error: ArrowError) -> Failure {
        match (io_error(error), &self.file) {
            (Ok(error), Some(file)) => Failure::file("write", file, &error),
            (Ok(error), None) => stdout::failure(error),
            (Err(error), _) => Failure::request(
                format!("the answer cannot be written in this format: {error}"),
                "choose another --format, or cast the column in the query",
            ),
        }
    }
}

/// The error of the file below, if that is what went wrong.
fn io_error(error: ArrowError) -> Result<std::io::Error, ArrowError> {
    match error {
        ArrowError::IoError(_, error) => Ok(error),
        ArrowError::ExternalError(error) => match error.downcast::<std::io::Error>() {
            Ok(error) => Ok(*error),
            Err(error) => Err(ArrowError::ExternalError(error)),
        },
        // The CSV and JSON writers turn an error of the file into text.
        ArrowError::CsvError(text) | ArrowError::JsonError(text) if text.contains("Broken pipe") => {
            Ok(std::io::ErrorKind::BrokenPipe.into())
        }
        error => Err(error),
    }
}

fn from_parquet(error: ParquetError) -> ArrowError {
    match error {
        ParquetError::External(error) => ArrowError::ExternalError(error),
        error => ArrowError::ParquetError(error.to_string()),
    }
}

#[cfg(test)]
mod tests;
