//! What nothing lists any more goes, and nothing else does.

use futures::{StreamExt, TryStreamExt};
use shoal_runtime::{CopyVersion, PutCondition};
use shoal_types::{Error, Format, Query};

use super::asking::{CHUNKS, GRACE, SECOND, content, mesh, name, slowly};
use super::*;

#[test]
fn chunks_of_what_was_removed_or_replaced_go_after_the_grace_and_others_stay() {
    mesh(1, |mesh| async move {
        mesh.put(0, "b/stays", 1).await;
        mesh.put(1, "b/goes", 2).await;
        mesh.put(2, "b/changes", 3).await;
        let each = mesh.copies() / 3;
        assert_eq!(each * 3, mesh.copies());
        mesh.put(3, "b/changes", 4).await;
        mesh.remove(0, "b/goes").await;
        mesh.pass(GRACE * 3 / 4).await;
        assert_eq!(mesh.copies(), 4 * each, "nothing goes before the grace is over");
        mesh.pass(2 * GRACE).await;
        assert_eq!(mesh.copies(), 2 * each);
        for object in ["b/stays", "b/changes"] {
            assert_eq!(mesh.length(2, object).await.unwrap(), content(0).len(), "{object}");
        }
        // And what goes can come again.
        mesh.put(1, "b/again", 2).await;
        mesh.pass(3 * GRACE).await;
        assert_eq!((mesh.copies(), mesh.length(0, "b/again").await.unwrap()), (3 * each, content(0).len()));
    });
}

#[test]
fn a_copy_keeps_the_chunks_of_a_source_that_goes() {
    mesh(2, |mesh| async move {
        mesh.put(0, "b/source", 1).await;
        let copies = mesh.copies();
        let peer = mesh.peer(1);
        mesh.ask(
            async move { peer.copy(name("b/source"), name("b/copy"), CopyVersion::Now, PutCondition::Always).await },
        )
        .await
        .unwrap();
        mesh.remove(2, "b/source").await;
        mesh.pass(4 * GRACE).await;
        assert_eq!((mesh.copies(), mesh.length(3, "b/copy").await.unwrap()), (copies, content(0).len()));
        mesh.remove(2, "b/copy").await;
        mesh.pass(4 * GRACE).await;
        assert_eq!(mesh.copies(), 0);
    });
}

// What a query reads was held from when its tasks were planned: one that had to
// wait for a subquery lost what was removed meanwhile.
#[test]
fn a_query_whose_planning_takes_longer_than_the_grace_reads_what_it_began_with() {
    mesh(8, |mesh| async move {
        mesh.put(0, "b/goes", 1).await;
        let (peer, spec) = (mesh.peer(1), format!("input = 'b/goes'\nplanning_seconds = {}", 4 * GRACE.as_secs()));
        let job = tokio::spawn(async move {
            let mut answer = peer.query(Query::new(spec)).await?;
            while let Some(update) = answer.updates.next().await {
                update?;
            }
            Ok::<_, Error>(())
        });
        mesh.pass(GRACE / 20).await;
        mesh.remove(2, "b/goes").await;
        mesh.pass(3 * GRACE).await;
        assert!(!job.is_finished() && mesh.copies() > 0);
        mesh.pass(2 * GRACE).await;
        assert!(job.is_finished());
        job.await.unwrap().unwrap();
        mesh.pass(3 * GRACE).await;
        assert_eq!(mesh.copies(), 0);
    });
}

#[test]
fn a_put_may_take_longer_than_the_grace() {
    mesh(3, |mesh| async move {
        let (peer, body) = (mesh.peer(0), slowly(&mesh.world, 1, GRACE));
        mesh.ask(async move { peer.put(name("b/slow"), Format::Bytes, PutCondition::Always, body).await })
            .await
            .unwrap();
        mesh.pass(3 * GRACE).await;
        assert_eq!(mesh.length(1, "b/slow").await.unwrap(), 4096 * CHUNKS);
    });
}

#[test]
fn a_put_goes_on_while_a_member_is_let_go_of() {
    mesh(6, |mesh| async move {
        let (peer, body) = (mesh.peer(0), slowly(&mesh.world, 1, GRACE));
        let put = tokio::spawn(async move {
            peer.put(name("b/slow"), Format::Bytes, PutCondition::Always, body).await.map(|_| ())
        });
        mesh.pass(2 * SECOND).await;
        mesh.world.crash(HostId(3), crate::host::Death::Kill);
        mesh.ask(put).await.unwrap().unwrap();
        assert_eq!(mesh.peer(0).layout().unwrap().members.len(), 3, "the put outlasts the delay of a repair");
        mesh.pass(4 * GRACE).await;
        assert_eq!(mesh.length(1, "b/slow").await.unwrap(), 4096 * CHUNKS);
    });
}

#[test]
fn a_reader_has_all_of_what_is_removed_while_it_reads() {
    mesh(4, |mesh| async move {
        mesh.put(0, "b/read", 1).await;
        let (peer, world) = (mesh.peer(1), mesh.world.clone());
        let reading = mesh.ask(async move { peer.get(name("b/read"), None).await }).await.unwrap().1;
        let slow = reading.and_then(move |piece| {
            let world = world.clone();
            async move {
                world.sleep(GRACE).await;
                Ok(piece)
            }
        });
        mesh.remove(2, "b/read").await;
        let read = mesh.ask(slow.try_fold(0, async |sum, piece| Ok(sum + piece.len()))).await.unwrap();
        assert_eq!(read, content(0).len());
        mesh.pass(4 * GRACE).await;
        assert_eq!(mesh.copies(), 0);
    });
}

#[test]
fn nothing_goes_while_a_member_is_away_and_cannot_say_what_it_knows() {
    mesh(5, |mesh| async move {
        mesh.put(0, "b/goes", 1).await;
        let copies = mesh.copies();
        mesh.remove(0, "b/goes").await;
        mesh.world.crash(HostId(3), crate::host::Death::Kill);
        mesh.pass(2 * GRACE).await;
        assert!(mesh.copies() >= copies, "{} of {copies}", mesh.copies());
    });
}
