//! Panics of simulated peers. The executor and the actors catch them, so
//! nobody would hear of them without this.

use std::cell::{Cell, RefCell};
use std::panic::PanicHookInfo;
use std::sync::Once;

thread_local! {
    static LISTENING: Cell<bool> = const { Cell::new(false) };
    static CAUGHT: RefCell<Option<String>> = const { RefCell::new(None) };
}

static HOOK: Once = Once::new();

/// Panics on this thread are noted, rather than printed, until it is dropped.
pub(crate) struct Listening(());

pub(crate) fn listen() -> Listening {
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if LISTENING.get() {
                note(info);
            } else {
                before(info);
            }
        }));
    });
    CAUGHT.take();
    LISTENING.set(true);
    Listening(())
}

impl Drop for Listening {
    fn drop(&mut self) {
        LISTENING.set(false);
    }
}

/// The first panic since the last call: its message and its place.
pub(crate) fn take() -> Option<String> {
    CAUGHT.take()
}

fn note(info: &PanicHookInfo<'_>) {
    let message = info.payload_as_str().unwrap_or("a panic without a message");
    let place = info.location().map(|place| format!(", at {}:{}", place.file(), place.line())).unwrap_or_default();
    CAUGHT.with_borrow_mut(|caught| {
        // Others may follow from the first.
        caught.get_or_insert_with(|| format!("{message}{place}"));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_that_is_caught_is_noted_with_its_place() {
        let listening = listen();
        assert_eq!(take(), None);
        assert!(std::panic::catch_unwind(|| panic!("too {}", "bad")).is_err());
        assert!(std::panic::catch_unwind(|| panic!("the second")).is_err());
        let noted = take().unwrap();
        assert!(noted.starts_with("too bad, at ") && noted.contains("panics.rs:"), "{noted}");
        assert_eq!(take(), None);
        drop(listening);
    }
}
