//! The format of bytes that come in, where nobody has said one.

use std::sync::Arc;

use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use shoal_ports::{Cut, Cutter};
use shoal_types::{Error, Format, ObjectName, Result};

use crate::context::Context;

type Body = BoxStream<'static, Result<Bytes>>;

/// The format that was said, or what name and first bytes tell; and the body,
/// whole again. Waits for [`Format::HEAD_BYTES`] of it where they have a say, in
/// whatever pieces they come.
pub(super) async fn recognise(name: &ObjectName, said: Option<Format>, body: Body) -> Result<(Format, Body)> {
    let by_name = Format::of_name(name.as_str());
    if let Some(known) = said.or((!by_name.has_magic()).then_some(by_name)) {
        return Ok((known, body));
    }
    // Of a short one the end is met here, and once more by whoever takes the body.
    let mut body = body.fuse();
    let (mut head, mut pieces) = (Vec::with_capacity(Format::HEAD_BYTES), Vec::new());
    while head.len() < Format::HEAD_BYTES
        && let Some(piece) = body.try_next().await?
    {
        // Empty pieces are not kept, so that there are as many as bytes at most.
        if !piece.is_empty() {
            let wanted = piece.len().min(Format::HEAD_BYTES - head.len());
            head.extend_from_slice(&piece[..wanted]);
            pieces.push(Ok(piece));
        }
    }
    Ok((Format::of(name.as_str(), &head), stream::iter(pieces).chain(body).boxed()))
}

/// Cuts bytes by a format. One that neither was said nor is what the name says
/// is given up where the bytes turn out, at their end, to be none.
pub(super) struct Cutting {
    cutter: Box<dyn Cutter>,
    format: Format,
    is_guess: bool,
}

impl Cutting {
    pub(super) fn new(context: &Arc<Context>, name: &ObjectName, said: Option<Format>, format: Format) -> Self {
        let cutter = context.ports.compute.cutter(name.as_str(), format);
        Self { cutter, format, is_guess: said.unwrap_or(Format::of_name(name.as_str())) != format }
    }

    pub(super) fn push(&mut self, piece: Bytes) -> Result<Vec<Cut>> {
        self.cutter.push(piece)
    }

    pub(super) fn finish_some(&mut self) -> Result<Vec<Cut>> {
        match self.cutter.finish_some() {
            Err(Error::BadData { .. }) if self.is_guess && self.cutter.turn_plain() => {
                (self.format, self.is_guess) = (Format::Bytes, false);
                self.cutter.finish_some()
            }
            cuts => cuts,
        }
    }

    /// What the bytes are, once they are cut.
    pub(super) fn format(&self) -> Format {
        self.format
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A body in pieces, which must not be asked for more once it has ended.
    fn body(pieces: &'static [&'static [u8]]) -> Body {
        stream::unfold(0, move |n| async move { Some((Ok(Bytes::from_static(pieces.get(n)?)), n + 1)) }).boxed()
    }

    async fn check(name: &str, said: Option<Format>, pieces: &'static [&'static [u8]], expected: Format) {
        let (format, whole) = recognise(&name.parse().unwrap(), said, body(pieces)).await.unwrap();
        let whole: Vec<Bytes> = whole.try_collect().await.unwrap();
        assert_eq!((format, whole.concat()), (expected, pieces.concat()), "{name} {pieces:?}");
    }

    #[tokio::test]
    async fn the_body_is_whole_again_in_whatever_pieces_it_came() {
        check("b/x", None, &[], Format::Bytes).await;
        check("b/x.gz", None, &[], Format::Gzip).await;
        check("b/x", None, &[b"short"], Format::Bytes).await;
        check("b/x", None, &[b"", b"P", b"", b"AR", b"1\x15 and more", b"and more"], Format::Parquet).await;
        check("b/x.parquet", None, &[b"P", b"AR", b"2 and more", b"and more"], Format::Bytes).await;
        check("b/x.csv", None, &[b"PAR1"], Format::Csv).await;
        check("b/x", Some(Format::Bytes), &[b"PAR1 and so on"], Format::Bytes).await;
    }
}
