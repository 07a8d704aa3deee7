use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use shoal_runtime::Peer;
use shoal_types::{Error, MemberStatus, PeerId, RoleChange};

use crate::query::{Asked, Nothing};
use crate::reply::Failure;

/// The shortest beginning of an id that names a peer.
const PREFIX_MIN: usize = 4;

/// `POST /v1/members/WHO/role`: has a member take another part in keeping the
/// data. WHO is `self`, a name, or an id or its beginning.
pub(crate) async fn change_role(
    _: Asked<Nothing>,
    State(peer): State<Peer>,
    Path(who): Path<String>,
    body: Bytes,
) -> Result<StatusCode, Failure> {
    let change: RoleChange = serde_json::from_slice(&body).map_err(|error| {
        Error::invalid(format!("the body is no change of a member: {error}"), r#"send {"weight": 200}, as JSON"#)
    })?;
    let member = match who.as_str() {
        "self" => peer.id(),
        who => find(who, &peer.status().await?.members)?,
    };
    peer.change_role(member, change).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The one member that is meant.
pub(super) fn find(who: &str, members: &[MemberStatus]) -> Result<PeerId, Error> {
    let named: Vec<&MemberStatus> = members.iter().filter(|member| member.info.name == who).collect();
    let prefixed = || members.iter().filter(|member| member.id.to_string().starts_with(who)).collect();
    let found = match named.is_empty() {
        true if who.len() >= PREFIX_MIN => prefixed(),
        _ => named,
    };
    let shown: String = who.chars().take(80).filter(|c| !c.is_control()).collect();
    match found[..] {
        [member] => Ok(member.id),
        [] => Err(Error::not_found(
            format!("there is no member '{shown}'"),
            "see the members with: shoal status; name one by its name or the beginning of its id",
        )),
        _ => Err(Error::invalid(
            format!("{} members are called '{shown}'", found.len()),
            "name it by its id, which shoal status shows",
        )),
    }
}
