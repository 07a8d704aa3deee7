use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, StringArray, StringViewBuilder};
use arrow::buffer::{Buffer, OffsetBuffer};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Schema, SchemaRef};
use arrow::error::ArrowError;

use super::Decode;
use crate::session::BATCH_ROWS;

/// A batch ends early once its text has this many bytes.
const BATCH_BYTES_MAX: usize = 8 << 20;

/// Decodes text into a row per line, or per word.
///
/// A line ends with `\n` or `\r\n`, neither of which belongs to it; the last
/// may lack it. A word is a longest run of letters and digits (of any
/// script), in lower case: `Don't` is `don` and `t`. Bytes that are not UTF-8
/// become U+FFFD.
pub(crate) struct TextDecode {
    schema: SchemaRef,
    /// The name of the file, where the table has it as a column.
    file: Option<String>,
    words: bool,
    /// What has come of a line that has not ended.
    tail: Vec<u8>,
    values: Vec<u8>,
    offsets: Vec<i32>,
    projection: Vec<usize>,
}

impl TextDecode {
    pub(crate) fn new(
        table: &Schema,
        projection: &[usize],
        file: Option<String>,
        words: bool,
    ) -> Result<Self, ArrowError> {
        Ok(Self {
            schema: Arc::new(table.project(projection)?),
            file,
            words,
            tail: Vec::new(),
            values: Vec::new(),
            offsets: vec![0],
            projection: projection.to_vec(),
        })
    }

    /// Takes lines that are complete.
    fn lines(&mut self, text: &[u8], out: &mut Vec<RecordBatch>) -> Result<(), ArrowError> {
        if self.words {
            return match std::str::from_utf8(text) {
                Ok(text) => self.split_words(text, out),
                Err(_) => self.split_words(&String::from_utf8_lossy(text), out),
            };
        }
        let mut start = 0;
        for end in memchr::memchr_iter(b'\n', text) {
            self.line(&text[start..end], out)?;
            start = end + 1;
        }
        if start < text.len() {
            self.line(&text[start..], out)?;
        }
        Ok(())
    }

    fn line(&mut self, line: &[u8], out: &mut Vec<RecordBatch>) -> Result<(), ArrowError> {
        self.value(line.strip_suffix(b"\r").unwrap_or(line), out)
    }

    fn split_words(&mut self, text: &str, out: &mut Vec<RecordBatch>) -> Result<(), ArrowError> {
        if !text.is_ascii() {
            for word in text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
                self.value(word.to_lowercase().as_bytes(), out)?;
            }
            return Ok(());
        }
        for word in text.as_bytes().split(|byte| !byte.is_ascii_alphanumeric()).filter(|word| !word.is_empty()) {
            self.value(word, out)?;
            let start = self.values.len() - word.len();
            self.values[start..].make_ascii_lowercase();
        }
        Ok(())
    }

    fn value(&mut self, value: &[u8], out: &mut Vec<RecordBatch>) -> Result<(), ArrowError> {
        if self.offsets.len() > BATCH_ROWS || self.values.len() + value.len() > BATCH_BYTES_MAX {
            self.flush(out)?;
        }
        self.values.extend_from_slice(value);
        let end =
            i32::try_from(self.values.len()).map_err(|_| ArrowError::CsvError("a line is longer than 2 GiB".into()))?;
        self.offsets.push(end);
        Ok(())
    }

    fn flush(&mut self, out: &mut Vec<RecordBatch>) -> Result<(), ArrowError> {
        let rows = self.offsets.len() - 1;
        if rows == 0 {
            return Ok(());
        }
        let values = std::mem::take(&mut self.values);
        let offsets = std::mem::replace(&mut self.offsets, vec![0]);
        let text = strings(values, offsets)?;
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(2);
        if let Some(file) = &self.file {
            let mut builder = StringViewBuilder::with_capacity(rows).with_deduplicate_strings();
            (0..rows).for_each(|_| builder.append_value(file));
            columns.push(Arc::new(builder.finish()));
        }
        columns.push(cast(&text, &DataType::Utf8View)?);
        let mut wanted = Vec::with_capacity(self.projection.len());
        for at in &self.projection {
            let column = columns.get(*at).ok_or_else(|| ArrowError::SchemaError(format!("text has no column {at}")))?;
            wanted.push(Arc::clone(column));
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        out.push(RecordBatch::try_new_with_options(Arc::clone(&self.schema), wanted, &options)?);
        Ok(())
    }
}

fn strings(values: Vec<u8>, offsets: Vec<i32>) -> Result<StringArray, ArrowError> {
    let buffer = Buffer::from_vec(values);
    let array = StringArray::try_new(OffsetBuffer::new(offsets.clone().into()), buffer.clone(), None);
    Ok(array.unwrap_or_else(|_| {
        let bytes = buffer.as_slice();
        StringArray::from_iter_values(
            offsets.windows(2).map(|ends| String::from_utf8_lossy(&bytes[ends[0] as usize..ends[1] as usize])),
        )
    }))
}

impl Decode for TextDecode {
    fn push(&mut self, bytes: &[u8], out: &mut Vec<RecordBatch>) -> Result<(), ArrowError> {
        let Some(last) = memchr::memrchr(b'\n', bytes) else {
            self.tail.extend_from_slice(bytes);
            return Ok(());
        };
        let (complete, rest) = bytes.split_at(last + 1);
        let mut complete = complete;
        if !self.tail.is_empty() {
            let first = memchr::memchr(b'\n', complete).map_or(complete.len(), |at| at + 1);
            let mut line = std::mem::take(&mut self.tail);
            line.extend_from_slice(&complete[..first]);
            self.lines(&line, out)?;
            complete = &complete[first..];
        }
        self.lines(complete, out)?;
        self.tail.extend_from_slice(rest);
        Ok(())
    }

    fn unfinished_bytes(&self) -> usize {
        self.tail.len()
    }

    fn finish(&mut self, out: &mut Vec<RecordBatch>) -> Result<(), ArrowError> {
        let tail = std::mem::take(&mut self.tail);
        self.lines(&tail, out)?;
        self.flush(out)
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::AsArray;
    use arrow::datatypes::Field;

    use super::*;

    fn decode(text: &[u8], piece: usize, words: bool) -> Vec<String> {
        let schema = Schema::new(vec![Field::new("line", DataType::Utf8View, false)]);
        let mut decoder = TextDecode::new(&schema, &[0], None, words).unwrap();
        let mut out = Vec::new();
        text.chunks(piece).for_each(|piece| decoder.push(piece, &mut out).unwrap());
        decoder.finish(&mut out).unwrap();
        let rows = |batch: &RecordBatch| -> Vec<String> {
            batch.column(0).as_string_view().iter().map(|line| line.unwrap().to_owned()).collect()
        };
        out.iter().flat_map(rows).collect()
    }

    #[test]
    fn lines_are_the_same_however_the_bytes_are_cut() {
        let text = b"one\r\n\ntwo words\nlast";
        for piece in 1..=text.len() {
            assert_eq!(decode(text, piece, false), ["one", "", "two words", "last"], "in pieces of {piece}");
        }
        assert_eq!(decode(b"a\n", 1, false), ["a"]);
        assert_eq!(decode(b"", 1, false), Vec::<String>::new());
        assert_eq!(decode(b"bad \xff byte\nfine", 3, false), ["bad \u{fffd} byte", "fine"]);
    }

    #[test]
    fn words_are_runs_of_letters_and_digits_in_lower_case() {
        let text = "Don't PANIC, 42 times!\nÉtude über 東京-tower".as_bytes();
        for piece in [1, 5, text.len()] {
            assert_eq!(
                decode(text, piece, true),
                ["don", "t", "panic", "42", "times", "étude", "über", "東京", "tower"]
            );
        }
    }

    #[test]
    fn more_lines_than_a_batch_holds_make_several() {
        let text = "x\n".repeat(BATCH_ROWS * 2 + 1);
        assert_eq!(decode(text.as_bytes(), 1000, false).len(), BATCH_ROWS * 2 + 1);
        assert_eq!(decode(text.to_uppercase().as_bytes(), 1000, true), vec!["x"; BATCH_ROWS * 2 + 1]);
    }
}
