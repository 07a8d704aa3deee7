//! Walks through all registers here, layouts' aside.

use std::collections::VecDeque;
use std::sync::Arc;

use shoal_ports::Store;
use shoal_types::{RegisterEntry, RegisterKind, RegisterPlace, RegisterSpan, Result};

use crate::context::Context;

/// Registers looked at in one step.
const PAGE: usize = 1_000;

/// Where a page of registers begins.
pub(super) type From = (RegisterKind, Option<RegisterPlace>);

/// Where all of them begin.
pub(super) const FIRST: From = (RegisterKind::ALL[0], None);

/// A page of the registers in a store, and where the next begins.
pub(super) fn page(store: &dyn Store, (kind, after): From) -> Result<(Vec<RegisterEntry>, Option<From>)> {
    let entries = store.register_scan(&RegisterSpan::all(kind), after.as_ref(), PAGE)?;
    let last = entries.last().filter(|_| entries.len() == PAGE).and_then(|entry| entry.key.place());
    let next = match last {
        Some(last) => Some((kind, Some(last))),
        None => kind.next().map(|kind| (kind, None)),
    };
    Ok((entries, next))
}

/// The registers here, one after the other.
pub(super) struct Walk {
    kind: RegisterKind,
    page: VecDeque<RegisterEntry>,
    next: Option<From>,
}

impl Walk {
    pub(super) fn begin() -> Self {
        Self { kind: FIRST.0, page: VecDeque::new(), next: Some(FIRST) }
    }

    /// The next one, unless a page from there on has it.
    pub(super) async fn before(
        &mut self,
        context: &Arc<Context>,
        from: Option<&From>,
    ) -> Result<Option<RegisterEntry>> {
        while self.page.is_empty() {
            let Some(begin) = self.next.take() else {
                return Ok(None);
            };
            self.kind = begin.0;
            let (page, next) = page_here(context, begin).await?;
            (self.page, self.next) = (page.into(), next);
        }
        let is_before = |entry: &RegisterEntry| from.is_none_or(|from| (self.kind, entry.key.place()) <= *from);
        Ok(if self.page.front().is_some_and(is_before) { self.page.pop_front() } else { None })
    }
}

/// The same of the registers here.
pub(super) async fn page_here(context: &Arc<Context>, from: From) -> Result<(Vec<RegisterEntry>, Option<From>)> {
    let store = context.ports.store.clone();
    context.blocking(move || page(&*store, from)).await
}
