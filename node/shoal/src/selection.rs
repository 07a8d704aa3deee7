//! Which objects a word on the command line stands for.

use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use shoal_gateway::view::ObjectView;
use shoal_gateway::{Client, ClientError};
use shoal_types::{Error, ObjectName};

use crate::failure::Failure;
use crate::glob::Glob;
use crate::{listing, named};

/// The objects that are meant.
#[derive(Debug, Clone)]
pub(crate) enum Selection {
    /// One, by its name; whether it is there is not known.
    One(ObjectName),
    /// Everything in a bucket or path, which ends in a slash; all of the mesh when empty.
    Below(String),
    /// All that match a pattern.
    Matching(Glob),
}

impl Selection {
    /// With `recursive`, everything below the bucket or path that is named:
    /// never `trips/2025-old/x` for `trips/2025`. Else a pattern or a name. A
    /// word that is the name of an object means that one, whatever characters
    /// it has: for that, the mesh is asked when it could be a pattern. When
    /// that object has gone, the same word is a pattern: `exact` says that it
    /// never is.
    pub(crate) async fn of(client: &Client, text: &str, recursive: bool, exact: bool) -> Result<Self, Failure> {
        if exact {
            return if recursive { Ok(Self::Below(folder(text))) } else { Ok(Self::One(named::source(text)?)) };
        }
        match (recursive, Glob::is_one(text)) {
            (true, false) => Ok(Self::Below(folder(text))),
            (true, true) => Err(Failure::usage(
                format!("'{text}' is a pattern, and everything below a path was asked for"),
                "give the pattern without -r (** crosses folders); --exact means the path that is called so",
            )),
            (false, false) => Ok(Self::One(named::source(text)?)),
            (false, true) => match ObjectName::new(text) {
                Ok(name) if is_there(client, &name).await? => Ok(Self::One(name)),
                _ => {
                    let glob = Glob::new(text)?;
                    if glob.may_be_a_name() {
                        eprintln!("hint: '{text}' is taken as a pattern; --exact takes it as a name");
                    }
                    Ok(Self::Matching(glob))
                }
            },
        }
    }

    /// Those that are there, in byte order; what is named is looked at.
    pub(crate) fn objects(&self, client: &Client) -> BoxStream<'static, Result<ObjectView, Failure>> {
        match self {
            Self::One(name) => {
                let (client, name) = (client.clone(), name.clone());
                stream::once(async move { Ok(client.stat(&name).await?.object) }).boxed()
            }
            Self::Below(folder) => listing::objects(client, folder).boxed(),
            Self::Matching(glob) => {
                let wanted = glob.clone();
                let matches = move |object: &ObjectView| futures::future::ready(wanted.matches(&object.name));
                listing::objects(client, glob.prefix()).try_filter(matches).boxed()
            }
        }
    }

    /// What is left of a selected name below a target: the last segment of
    /// one that is named, the path below the folder of the others.
    pub(crate) fn relative<'a>(&self, name: &'a str) -> &'a str {
        match self {
            Self::One(_) => last(name),
            Self::Below(folder) => name.strip_prefix(folder.as_str()).unwrap_or(name),
            Self::Matching(glob) => name.strip_prefix(glob.folder()).unwrap_or(name),
        }
    }

    /// That there is nothing of the kind.
    pub(crate) fn nothing(&self) -> Failure {
        let what = match self {
            Self::One(name) => format!("there is no object '{name}'"),
            Self::Below(folder) => format!("there is nothing below '{folder}'"),
            Self::Matching(glob) => format!("no name matches '{glob}'"),
        };
        Error::not_found(what, "see what there is with: shoal ls").into()
    }
}

/// The prefix of all that is below a bucket or path; empty for everything.
pub(crate) fn folder(text: &str) -> String {
    match text.trim_end_matches('/') {
        "" => String::new(),
        path => format!("{path}/"),
    }
}

/// The last segment of a name.
pub(crate) fn last(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

async fn is_there(client: &Client, name: &ObjectName) -> Result<bool, Failure> {
    match client.stat(name).await {
        Ok(_) => Ok(true),
        Err(ClientError::Shoal(Error::NotFound { .. })) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_does_not_reach_its_neighbours() {
        assert_eq!(folder("trips/2025"), "trips/2025/");
        assert_eq!(folder("trips/"), "trips/");
        assert_eq!((folder(""), folder("/")), (String::new(), String::new()));
    }

    #[test]
    fn below_a_target_a_name_keeps_what_was_not_named() {
        let relative = |selection: Selection, name: &'static str| selection.relative(name);
        assert_eq!(relative(Selection::One("b/x/y.csv".parse().unwrap()), "b/x/y.csv"), "y.csv");
        assert_eq!(relative(Selection::Below("b/x/".into()), "b/x/sub/y.csv"), "sub/y.csv");
        assert_eq!(relative(Selection::Below(String::new()), "b/x"), "b/x");
        assert_eq!(relative(Selection::Matching(Glob::new("b/2026-*.csv").unwrap()), "b/2026-01.csv"), "2026-01.csv");
        assert_eq!(relative(Selection::Matching(Glob::new("b/*/y.csv").unwrap()), "b/x/y.csv"), "x/y.csv");
    }
}
