use bytes::Bytes;

use super::links::Epoch;
use crate::host::HostId;

/// What travels.
#[derive(Debug, Clone)]
pub(crate) enum Packet {
    /// A dial: who, and in which of its lives.
    Connect {
        from: HostId,
        incarnation: u64,
    },
    /// Its answer.
    Accept {
        from: HostId,
        epoch: Epoch,
    },
    /// The answer's answer: from here on the link is there for both.
    Confirm {
        from: HostId,
        epoch: Epoch,
    },
    /// Nobody listens there.
    Refuse {
        from: HostId,
    },
    /// A dial has waited long enough.
    DialOver {
        to: HostId,
        dial: u64,
    },
    /// The other end has closed the link, or it broke.
    Close {
        from: HostId,
        epoch: Epoch,
    },
    /// Time to see whether a link is still of any use.
    Silence {
        other: HostId,
        epoch: Epoch,
    },
    Gossip {
        from: HostId,
        epoch: Epoch,
        frame: Bytes,
    },
    Request {
        from: HostId,
        epoch: Epoch,
        call: u64,
        frame: Bytes,
    },
    /// `None`: whoever had the request let go of it.
    Answer {
        call: u64,
        frame: Option<Bytes>,
    },
    /// A flow's header; its pipes have the numbers `flow` (there) and `flow + 1` (back).
    Open {
        from: HostId,
        epoch: Epoch,
        flow: u64,
        header: Bytes,
    },
    /// The other side has taken the flow.
    Opened {
        /// Or has no room for it.
        taken: bool,
        flow: u64,
    },
    /// To the reader of a pipe, the how-manieth it is.
    Piece {
        pipe: u64,
        number: u64,
        piece: Piece,
    },
    /// To the writer of a pipe: so many frames were read.
    Credit {
        pipe: u64,
        frames: u64,
    },
    /// To the writer of a pipe: the reader is gone.
    Unwanted {
        pipe: u64,
    },
}

/// What travels in a pipe.
#[derive(Debug, Clone)]
pub(crate) enum Piece {
    Frame(Bytes),
    End,
    Reset,
}

impl Packet {
    /// The bytes that peers put into it.
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Self::Gossip { frame, .. } | Self::Request { frame, .. } => frame,
            Self::Open { header, .. } => header,
            Self::Answer { frame: Some(frame), .. } | Self::Piece { piece: Piece::Frame(frame), .. } => frame,
            Self::Answer { frame: None, .. }
            | Self::Piece { .. }
            | Self::Connect { .. }
            | Self::Accept { .. }
            | Self::Confirm { .. }
            | Self::Refuse { .. }
            | Self::DialOver { .. }
            | Self::Close { .. }
            | Self::Silence { .. }
            | Self::Opened { .. }
            | Self::Credit { .. }
            | Self::Unwanted { .. } => &[],
        }
    }
}
