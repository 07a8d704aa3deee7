//! The typed client of a gateway.

mod attending;
mod error;
mod http;
mod objects;
mod rows;
mod watched;

use std::time::Duration;

use reqwest::{Method, Url};
use shoal_types::{Query, RoleChange};

use attending::Patience;
pub use error::ClientError;
pub use objects::{Download, ListPage};
pub use rows::{Rows, SqlUpdate};
pub use watched::{Step, Watched};

use crate::JOB_HEADER;
use crate::routes::SqlRequest;
use crate::view::{ExaminationView, JobView, StatusView};

pub(crate) type Result<T> = std::result::Result<T, ClientError>;

/// How long a peer on this machine may take to take a connection.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(3);

/// How long a small answer may take. A peer gives up on its own calls to
/// others well before.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(60);

/// Speaks to one peer's gateway. Cheap to clone; connections are reused.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
    address: String,
    patience: Patience,
}

impl Client {
    /// For the gateway at `address`: `HOST:PORT`, with or without `http://`.
    /// Nothing is sent yet.
    pub fn new(address: &str) -> Result<Self> {
        let bare = address.strip_prefix("http://").unwrap_or(address).trim_end_matches('/');
        let strange = |what: String| ClientError::Strange { address: bare.chars().take(120).collect(), what };
        let base = Url::parse(&format!("http://{bare}/"))
            .map_err(|error| strange(format!("it is not an address ({error}); HOST:PORT is wanted")))?;
        let plain = base.path() == "/" && base.query().is_none() && base.username().is_empty();
        if !plain || base.port_or_known_default().is_none() {
            return Err(strange("it is not an address; HOST:PORT is wanted".into()));
        }
        // Never through a proxy: the gateway is on this machine.
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIME_MAX)
            .tcp_nodelay(true);
        // By default the kernel breaks a connection on which no bytes are taken for 30 s: a mesh may be as slow.
        #[cfg(target_os = "linux")]
        let http = http.tcp_user_timeout(None);
        let http = http.build().map_err(|error| strange(format!("no client can be made: {error}")))?;
        Ok(Self { http, base, address: bare.to_owned(), patience: Patience::default() })
    }

    /// The gateway's address, as `HOST:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }

    pub async fn status(&self) -> Result<StatusView> {
        self.fetch(Method::GET, self.url(&["status"])).await
    }

    /// What every live member says of the peer that is asked.
    pub async fn examinations(&self) -> Result<Vec<ExaminationView>> {
        self.fetch(Method::GET, self.url(&["examinations"])).await
    }

    /// Changes the mesh's secret.
    pub async fn rotate_secret(&self) -> Result<()> {
        let request = self.request(Method::POST, self.url(&["secret", "rotate"])).timeout(ANSWER_TIME_MAX);
        self.send(request).await.map(drop)
    }

    /// Has a member take another part in keeping the data: `self`, or one by
    /// its name or the beginning of its id.
    pub async fn change_role(&self, member: &str, change: &RoleChange) -> Result<()> {
        let request = self.request(Method::POST, self.url(&["members", member, "role"])).timeout(ANSWER_TIME_MAX);
        self.send(request.json(change)).await.map(drop)
    }

    /// Jobs, newest first, without their events.
    pub async fn jobs(&self) -> Result<Vec<JobView>> {
        self.fetch(Method::GET, self.url(&["jobs"])).await
    }

    pub async fn job(&self, id: &str) -> Result<JobView> {
        self.fetch(Method::GET, self.url(&["jobs", id])).await
    }

    pub async fn cancel(&self, id: &str) -> Result<()> {
        let request = self.request(Method::DELETE, self.url(&["jobs", id])).timeout(ANSWER_TIME_MAX);
        self.send(request).await.map(drop)
    }

    /// Starts a query. Dropping the rows cancels it.
    pub async fn sql(&self, query: &Query) -> Result<Rows> {
        let body = SqlRequest { sql: query.sql.clone(), task_memory: Some(query.task_memory_bytes) };
        let response = self.send(self.request(Method::POST, self.url(&["sql"])).json(&body)).await?;
        let job = response.headers().get(JOB_HEADER).and_then(|value| value.to_str().ok()).unwrap_or("").to_owned();
        Ok(Rows::new(self.clone(), job, response))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shoal_types::ObjectName;

    #[test]
    fn an_address_is_a_host_and_a_port_and_nothing_else() {
        for good in ["127.0.0.1:7480", "http://127.0.0.1:7480", "http://localhost:7480/", "[::1]:7480"] {
            assert!(Client::new(good).is_ok(), "{good}");
        }
        for bad in ["", "127.0.0.1:99999", "127.0.0.1:7480/v1", "https://127.0.0.1:7480", "a b:1", "u@localhost:1"] {
            assert!(Client::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_name_with_odd_characters_keeps_them_in_the_url() {
        let client = Client::new("127.0.0.1:7480").unwrap();
        let name = ObjectName::new("b/a b/50%?#+ü").unwrap();
        let url = client.object_url("objects", &name);
        assert_eq!(url.as_str(), "http://127.0.0.1:7480/v1/objects/b/a%20b/50%25%3F%23+%C3%BC");
    }

    #[tokio::test]
    async fn nobody_there_is_told_with_the_address_and_what_to_start() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        drop(listener);
        let error = Client::new(&address).unwrap().status().await.unwrap_err();
        assert!(matches!(error, ClientError::NoPeer { .. }), "{error:?}");
        assert!(error.to_string().contains(&address), "{error}");
        assert!(error.hint().contains("shoal up"), "{}", error.hint());
    }
}
