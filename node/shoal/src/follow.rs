//! Waiting until the layout has followed a wish.

use std::time::Duration;

use shoal_gateway::view::{LayoutMemberView, MemberView, StatusView};
use shoal_gateway::{Client, ClientError};

use crate::failure::Failure;
use crate::interrupt::{interruptible, say};

/// Between two looks.
const LOOK: Duration = Duration::from_millis(300);

/// Waits until what is wished is so on the peer that is asked, and data has
/// moved to where it belongs. An interrupt ends the waiting only.
pub(crate) async fn until(client: &Client, is_so: impl Fn(&StatusView) -> bool) -> Result<StatusView, Failure> {
    let waiting = async {
        let mut moving = None;
        loop {
            let status = client.status().await?;
            let layout = status.layout.as_ref();
            if is_so(&status) && layout.is_some_and(|layout| !layout.joint) {
                return Ok(status);
            }
            if let Some(layout) = layout.filter(|layout| layout.joint && moving != Some(layout.version)) {
                moving = Some(layout.version);
                eprintln!("layout {}: data is moving to its new owners", layout.version);
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    interruptible(waiting, async || say("it goes on without this command; see: shoal status")).await
}

/// The member that is meant by `who`: itself, a name, or the beginning of an id.
pub(crate) fn member<'a>(status: &'a StatusView, who: &str) -> Option<&'a MemberView> {
    status.members.iter().find(|member| match who {
        "self" => member.is_self,
        who => member.name == who || member.id.starts_with(who),
    })
}

/// The same as the layout in force has it.
pub(crate) fn in_layout<'a>(status: &'a StatusView, who: &str) -> Option<&'a LayoutMemberView> {
    let id = &member(status, who)?.id;
    status.layout.as_ref()?.members.iter().find(|member| member.id == *id)
}

/// Whether a peer does not answer any more.
pub(crate) fn is_gone(error: &ClientError) -> bool {
    matches!(error, ClientError::NoPeer { .. } | ClientError::Cut { .. })
}
