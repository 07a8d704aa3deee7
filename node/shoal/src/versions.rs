//! What names stand for and stood for, name by name.

use std::pin::Pin;

use futures::stream::{self, BoxStream, Peekable, Stream, StreamExt, TryStreamExt};
use shoal_gateway::Client;
use shoal_gateway::view::{ObjectView, VersionView};

use crate::failure::Failure;
use crate::listing;

type Views<T> = Pin<Box<Peekable<BoxStream<'static, Result<T, Failure>>>>>;

/// The versions of each name that begins with `prefix`, names in byte order:
/// what it stands for first, then the latest that it stood for.
pub(crate) fn by_name(client: &Client, prefix: &str) -> impl Stream<Item = Result<Vec<VersionView>, Failure>> + use<> {
    let now: Views<ObjectView> = Box::pin(listing::objects(client, prefix).boxed().peekable());
    let former: Views<VersionView> = Box::pin(former(client, prefix).boxed().peekable());
    stream::try_unfold((now, former), |(mut now, mut former)| async move {
        let name_now = peek(&mut now, |object| object.name.clone()).await?;
        let name_then = peek(&mut former, |version| version.object.name.clone()).await?;
        let Some(name) = name_now.into_iter().chain(name_then).min() else {
            return Ok::<_, Failure>(None);
        };
        let stands_for = match now.as_mut().next_if(|next| is_of(next, &name, |object| &object.name)).await {
            Some(object) => Some(object?),
            None => None,
        };
        let mut stood_for = Vec::new();
        while let Some(version) =
            former.as_mut().next_if(|next| is_of(next, &name, |version| &version.object.name)).await
        {
            stood_for.push(version?);
        }
        Ok(Some((in_order(stands_for, stood_for), (now, former))))
    })
}

fn in_order(now: Option<ObjectView>, mut former: Vec<VersionView>) -> Vec<VersionView> {
    // One that was about to be replaced, and was not.
    former.retain(|version| now.as_ref() != Some(&version.object));
    former.sort_by_key(|version| std::cmp::Reverse((version.replaced_ms, version.object.modified_ms)));
    let now = now.map(|object| VersionView { object, replaced_ms: None, number: None });
    now.into_iter().chain(former).collect()
}

/// The name of the next one.
async fn peek<T>(views: &mut Views<T>, name: impl Fn(&T) -> String) -> Result<Option<String>, Failure> {
    match views.as_mut().peek().await {
        Some(Ok(view)) => return Ok(Some(name(view))),
        None => return Ok(None),
        Some(Err(_)) => {}
    }
    views.as_mut().next().await.transpose().map(|_| None)
}

fn is_of<T>(next: &Result<T, Failure>, name: &str, name_of: impl Fn(&T) -> &String) -> bool {
    next.as_ref().is_ok_and(|next| name_of(next) == name)
}

/// What names stood for, by name, page by page.
fn former(client: &Client, prefix: &str) -> impl Stream<Item = Result<VersionView, Failure>> + use<> {
    let start = Some((client.clone(), prefix.to_owned(), None::<VersionView>));
    let pages = stream::try_unfold(start, |state| async move {
        let Some((client, prefix, after)) = state else { return Ok::<_, Failure>(None) };
        let page = client.versions(&prefix, after.as_ref()).await?;
        let last = page.versions.last().cloned();
        let next = (page.more && last.is_some()).then_some((client, prefix, last));
        Ok(Some((stream::iter(page.versions).map(Ok), next)))
    });
    pages.try_flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use shoal_types::Format;

    fn object(etag: &str, modified_ms: u64) -> ObjectView {
        let name = "b/x".to_owned();
        ObjectView { name, bytes: 1, etag: etag.into(), md5: None, format: Format::Bytes, modified_ms, chunks: 0 }
    }

    fn former(etag: &str, modified_ms: u64, replaced_ms: u64) -> VersionView {
        VersionView { object: object(etag, modified_ms), replaced_ms: Some(replaced_ms), number: Some(1) }
    }

    #[test]
    fn the_latest_comes_first_and_what_the_name_stands_for_is_not_told_twice() {
        let history = vec![former("a", 1, 5), former("c", 9, 9), former("b", 5, 9)];
        let told = in_order(Some(object("c", 9)), history.clone());
        let etags = |versions: &[VersionView]| versions.iter().map(|it| it.object.etag.clone()).collect::<Vec<_>>();
        assert_eq!(etags(&told), ["c", "b", "a"]);
        assert_eq!(told[0].replaced_ms, None);
        assert_eq!(etags(&in_order(None, history)), ["c", "b", "a"], "it was removed");
    }
}
