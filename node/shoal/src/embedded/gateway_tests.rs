//! The gateway before a real peer: a mesh of one in this process.

use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, stream};
use reqwest::StatusCode;
use reqwest::header::{CONTENT_RANGE, ETAG, IF_NONE_MATCH, RANGE};
use shoal_engine::read_frames;
use shoal_gateway::view::JobStateView;
use shoal_gateway::{Client, ClientError, Gateway, Serving, SqlUpdate};
use shoal_runtime::{ContentMd5, CopyVersion, PutCondition, Said};
use shoal_types::{AppendId, Error, Etag, Format, ObjectName, Query, Result};

use super::Embedded;

struct Served {
    client: Client,
    serving: Serving,
    _embedded: Embedded,
}

async fn serve() -> Served {
    let embedded = Embedded::start().await.unwrap();
    let gateway = Gateway::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let client = Client::new(&gateway.address().to_string()).unwrap();
    let serving = gateway.serve(embedded.running.peer.clone());
    Served { client, serving, _embedded: embedded }
}

impl Served {
    fn url(&self, path: &str) -> String {
        format!("http://{}/v1/{path}", self.serving.address())
    }

    async fn put(&self, name: &str, condition: PutCondition, bytes: &[u8]) -> Result<String, ClientError> {
        let body = stream::iter([Ok(Bytes::copy_from_slice(bytes))]);
        let stored = self.client.put(&name.parse().unwrap(), Some(Format::Bytes), &condition, body).await?;
        Ok(stored.object.etag)
    }

    async fn get(&self, name: &str) -> Result<Vec<u8>, ClientError> {
        let mut download = self.client.get(&name.parse().unwrap()).await?;
        let mut bytes = Vec::new();
        while let Some(piece) = download.next().await? {
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_md5_is_kept_where_asked_for_and_checked_where_expected() {
    let served = serve().await;
    let put = async |name: &str, md5| {
        // Several pieces, and more than is hashed where it comes up.
        let body = stream::iter(vec![Ok(Bytes::from(vec![7; 40_000])); 3]);
        let said = Said { format: None, md5 };
        served.client.put(&name.parse().unwrap(), said, &PutCondition::Always, body).await.map(|put| put.object.md5)
    };
    // As md5sum has it.
    let expected = "0db21189d5950d58ee1191f5214599c0";
    assert_eq!(put("b/left", ContentMd5::Left).await.unwrap(), None);
    let kept = put("b/kept", ContentMd5::Kept).await.unwrap();
    assert_eq!(kept.as_deref(), Some(expected));
    let answer = reqwest::get(served.url("objects/b/kept")).await.unwrap();
    assert_eq!(answer.headers()["x-shoal-md5"].to_str().unwrap(), expected);
    let mut digest = [0; 16];
    digest.copy_from_slice(&data_encoding::HEXLOWER.decode(expected.as_bytes()).unwrap());
    assert_eq!(put("b/same", ContentMd5::Expected(digest)).await.unwrap(), kept);
    digest[3] ^= 1;
    let refused = put("b/other", ContentMd5::Expected(digest)).await.unwrap_err();
    assert!(matches!(&refused, ClientError::Shoal(Error::Invalid { .. })) && refused.to_string().contains(expected));
    assert!(served.get("b/other").await.is_err(), "nothing was stored");
    // A copy is the same content; what was appended to is another.
    let of = |name: &str| name.parse::<ObjectName>().unwrap();
    let copy = served.client.copy(&of("b/kept"), &of("b/copy"), &CopyVersion::Now, &PutCondition::Always).await;
    assert_eq!(copy.unwrap().md5, kept);
    let more = stream::iter([Ok(Bytes::from_static(b"more"))]);
    let id = AppendId::from_bytes([1; 16]);
    assert_eq!(served.client.append(&of("b/copy"), None, id, None, more).await.unwrap().md5, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_comes_back_whole_in_parts_and_conditionally() {
    let served = serve().await;
    let content: Vec<u8> = (0..100_000u32).flat_map(u32::to_le_bytes).collect();
    let etag = served.put("b/a b%/ü.bin", PutCondition::IfAbsent, &content).await.unwrap();
    assert_eq!(etag, blake3::hash(&content).to_hex().as_str());
    assert!(served.get("b/a b%/ü.bin").await.unwrap() == content);

    let again = served.put("b/a b%/ü.bin", PutCondition::IfAbsent, b"x").await.unwrap_err();
    assert!(matches!(again, ClientError::Shoal(Error::Conflict { .. })), "{again:?}");
    let other = PutCondition::IfMatch(Etag("0".repeat(64)));
    assert!(matches!(served.put("b/a b%/ü.bin", other, b"x").await, Err(ClientError::Shoal(Error::Conflict { .. }))));
    served.put("b/a b%/ü.bin", PutCondition::IfMatch(Etag(etag.clone())), b"0123456789").await.unwrap();

    let http = reqwest::Client::new();
    let url = served.url("objects/b/a%20b%25/%C3%BC.bin");
    let part = http.get(&url).header(RANGE, "bytes=-3").send().await.unwrap();
    assert_eq!(
        (part.status(), part.headers()[CONTENT_RANGE].to_str().unwrap()),
        (StatusCode::PARTIAL_CONTENT, "bytes 7-9/10")
    );
    let tag = part.headers()[ETAG].clone();
    assert_eq!(part.text().await.unwrap(), "789");
    let known = http.get(&url).header(IF_NONE_MATCH, tag).send().await.unwrap();
    assert_eq!(known.status(), StatusCode::NOT_MODIFIED);
    let past = http.get(&url).header(RANGE, "bytes=10-").send().await.unwrap();
    assert_eq!(past.status(), StatusCode::RANGE_NOT_SATISFIABLE);
    let old = http.get(&url).header(RANGE, "bytes=0-1").header("if-range", format!("\"{etag}\"")).send().await.unwrap();
    assert_eq!((old.status(), old.text().await.unwrap().as_str()), (StatusCode::OK, "0123456789"));

    served.client.remove(&"b/a b%/ü.bin".parse().unwrap(), PutCondition::Always).await.unwrap();
    let gone = served.get("b/a b%/ü.bin").await.unwrap_err();
    assert!(matches!(gone, ClientError::Shoal(Error::NotFound { .. })), "{gone:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removal_that_is_asked_for_again_removes_nothing_else() {
    let served = serve().await;
    let x: ObjectName = "b/x".parse().unwrap();
    let remove = async |condition: PutCondition, n: u8| {
        served.client.remove(&x, condition.asked_as(AppendId::from_bytes([n; 16]))).await
    };
    let is_missing = |outcome| matches!(outcome, Err(ClientError::Shoal(Error::NotFound { .. })));
    let etag = Etag(served.put("b/x", PutCondition::Always, b"1").await.unwrap());
    let version = PutCondition::IfMatch(etag);
    for _ in 0..2 {
        remove(version.clone(), 1).await.unwrap();
    }
    assert!(is_missing(remove(PutCondition::Always, 2).await), "another's removal is not this one's");
    // Neither what somebody has put there since, nor the same content.
    for content in [b"2", b"1"] {
        served.put("b/x", PutCondition::Always, content).await.unwrap();
        remove(version.clone(), 1).await.unwrap();
        assert_eq!(served.get("b/x").await.unwrap(), content);
    }
    remove(PutCondition::Always, 3).await.unwrap();
    // What was put before it is remembered behind it.
    let put = async |n: u8| {
        let body = stream::iter([Ok(Bytes::from_static(b"put"))]);
        let terms = PutCondition::IfAbsent.asked_as(AppendId::from_bytes([n; 16]));
        served.client.put(&x, None, terms, body).await.map(drop)
    };
    put(4).await.unwrap();
    remove(PutCondition::Always, 5).await.unwrap();
    let refused = put(4).await.unwrap_err();
    assert!(refused.to_string().contains("was put, and removed since"), "{refused}");
    assert!(served.get("b/x").await.is_err(), "it was put once");
    let append = async || {
        let more = stream::iter([Ok(Bytes::from_static(b"more"))]);
        served.client.append(&x, None, AppendId::from_bytes([6; 16]), None, more).await
    };
    append().await.unwrap();
    remove(PutCondition::Always, 7).await.unwrap();
    let refused = append().await.unwrap_err();
    assert!(refused.to_string().contains("removed since"), "{refused}");
}

/// It was told to have been stored where nothing was, and with the ETag of
/// bytes that nobody has.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_put_that_is_asked_for_again_is_told_as_what_it_was() {
    let served = serve().await;
    let [x, y]: [ObjectName; 2] = ["b/x", "b/y"].map(|name| name.parse().unwrap());
    let put = async |content: &'static [u8], condition: PutCondition| {
        let body = stream::iter([Ok(Bytes::from_static(content))]);
        let terms = condition.asked_as(AppendId::from_bytes([1; 16]));
        served.client.put(&x, Format::Bytes, terms, body).await.map(|stored| stored.object)
    };
    let any = || PutCondition::Always;
    let first = put(b"1", any()).await.unwrap();
    assert_eq!(put(b"1", PutCondition::IfAbsent).await.unwrap(), first);
    let other = put(b"other", any()).await.unwrap_err();
    assert!(matches!(&other, ClientError::Shoal(Error::Invalid { .. })), "{other:?}");
    assert!(other.to_string().contains(&first.etag), "{other}");
    assert_eq!(served.get("b/x").await.unwrap(), b"1");

    // By whomever it was replaced, it was stored.
    served.put("b/x", any(), b"another's").await.unwrap();
    assert_eq!(put(b"1", PutCondition::IfAbsent).await.unwrap().etag, first.etag);
    assert_eq!(served.get("b/x").await.unwrap(), b"another's");

    served.client.remove(&x, any()).await.unwrap();
    for condition in [any(), PutCondition::IfAbsent, PutCondition::IfMatch(Etag(first.etag))] {
        let gone = put(b"1", condition).await.unwrap_err();
        assert!(matches!(&gone, ClientError::Shoal(Error::NotFound { .. })), "{gone:?}");
    }
    // Nor is a copy there that is not: whoever moves would remove the source.
    served.put("b/x", any(), b"2").await.unwrap();
    let copy = async || {
        let terms = any().asked_as(AppendId::from_bytes([2; 16]));
        served.client.copy(&x, &y, &CopyVersion::Now, terms).await
    };
    copy().await.unwrap();
    served.client.remove(&y, any()).await.unwrap();
    for source_is_there in [true, false] {
        if !source_is_there {
            served.client.remove(&x, any()).await.unwrap();
        }
        let gone = copy().await.unwrap_err();
        assert!(gone.to_string().contains("'b/y' was put, and removed since"), "{gone}");
    }
}

/// There was said to be no object, though there is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_that_a_name_does_not_have_is_told_as_that() {
    let served = serve().await;
    let etag = served.put("b/x", PutCondition::Always, b"1").await.unwrap();
    let purge = async |version: &str| {
        let error = served.client.purge_version(&"b/x".parse().unwrap(), version).await.unwrap_err();
        assert!(matches!(&error, ClientError::Shoal(Error::NotFound { .. })), "{error:?}");
        assert!(error.to_string().contains(&format!("'b/x' has no former version '{version}'")), "{error}");
        error.hint()
    };
    assert!(purge(&etag).await.contains("shoal rm b/x") && purge(&etag[..8]).await.contains("shoal rm b/x"));
    let hint = purge("feedfeed").await;
    assert!(hint.contains("ls --versions b/x") && !hint.contains("shoal rm"), "{hint}");
    assert_eq!(served.get("b/x").await.unwrap(), b"1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_has_the_chunks_of_the_original_and_a_changed_original_is_not_removed() {
    let served = serve().await;
    let content = vec![7; 100_000];
    let etag = Etag(served.put("b/x", PutCondition::Always, &content).await.unwrap());
    let [x, y]: [ObjectName; 2] = ["b/x", "b/y"].map(|name| name.parse().unwrap());
    let copied = served.client.copy(&x, &y, &CopyVersion::NowIf(etag.clone()), &PutCondition::IfAbsent).await.unwrap();
    assert_eq!((copied.name.as_str(), &copied.etag), ("b/y", &etag.0));
    let chunks = async |name| served.client.stat(name).await.unwrap().chunk_list;
    assert_eq!(chunks(&x).await, chunks(&y).await);
    assert!(served.get("b/y").await.unwrap() == content);

    let refused = |outcome: Result<_, ClientError>| {
        assert!(matches!(outcome, Err(ClientError::Shoal(Error::Conflict { .. }))), "{outcome:?}");
    };
    refused(served.client.copy(&x, &y, &CopyVersion::Now, &PutCondition::IfAbsent).await.map(drop));
    served.put("b/x", PutCondition::Always, b"newer").await.unwrap();
    refused(served.client.copy(&x, &y, &CopyVersion::NowIf(etag.clone()), &PutCondition::Always).await.map(drop));
    refused(served.client.remove(&x, PutCondition::IfMatch(etag.clone())).await);
    assert_eq!(served.get("b/x").await.unwrap(), b"newer");

    served.client.remove(&y, PutCondition::IfMatch(etag.clone())).await.unwrap();
    let gone = served.client.remove(&y, PutCondition::IfMatch(etag.clone())).await;
    assert!(matches!(gone, Err(ClientError::Shoal(Error::NotFound { .. }))), "{gone:?}");
    let itself = served.client.copy(&x, &x, &CopyVersion::Now, &PutCondition::Always).await;
    assert!(matches!(itself, Err(ClientError::Shoal(Error::Invalid { .. }))), "{itself:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_breaks_off_stores_nothing_and_its_own_error_comes_back() {
    let served = serve().await;
    let broken = Error::invalid("cannot read 'x': it is broken", "");
    let body = stream::iter([Ok(Bytes::from_static(b"half")), Err(broken.clone())]);
    let name: ObjectName = "b/x".parse().unwrap();
    let error = served.client.put(&name, None, &PutCondition::Always, body).await.unwrap_err();
    assert_eq!(error, ClientError::Shoal(broken));
    assert!(matches!(served.client.stat(&name).await, Err(ClientError::Shoal(Error::NotFound { .. }))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_are_listed_page_by_page_in_byte_order() {
    let served = serve().await;
    for name in ["b/2", "b/10", "b/1", "c/1"] {
        served.put(name, PutCondition::Always, b"x").await.unwrap();
    }
    let names = async |query: &str| -> (Vec<String>, bool) {
        let page: serde_json::Value = reqwest::get(served.url(query)).await.unwrap().json().await.unwrap();
        let names = page["objects"].as_array().unwrap().iter().map(|o| o["name"].as_str().unwrap().to_owned());
        (names.collect(), page["more"] == true)
    };
    assert_eq!(names("objects?prefix=b/&limit=2").await, (vec!["b/1".into(), "b/10".into()], true));
    assert_eq!(names("objects?prefix=b/&after=b/10").await, (vec!["b/2".into()], false));
    assert_eq!(served.client.list("", None).await.unwrap().objects.len(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_querys_answer_comes_with_its_events_and_its_summary() {
    let served = serve().await;
    let mut rows = served.client.sql(&Query::new("SELECT 1 + 1 AS two")).await.unwrap();
    let (mut frames, mut summary) = (Vec::new(), None);
    while let Some(update) = rows.next().await.unwrap() {
        match update {
            SqlUpdate::Event(_) => {}
            SqlUpdate::Frame(frame) => frames.push(frame),
            SqlUpdate::Summary(job) => summary = Some(job),
        }
    }
    let (schema, batches) = read_frames(frames).unwrap();
    assert_eq!((schema.field(0).name().as_str(), batches[0].num_rows()), ("two", 1));
    let summary = summary.unwrap();
    assert_eq!((summary.state, summary.rows, summary.id.as_str()), (JobStateView::Done, Some(1), rows.job()));
    assert_eq!(served.client.job(&summary.id).await.unwrap().fingerprint, summary.fingerprint);
    assert!(served.client.jobs().await.unwrap().iter().all(|job| job.events.is_empty()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_query_is_the_users_error_and_stays_typed() {
    let served = serve().await;
    let outcome = match served.client.sql(&Query::new("SELEC 1")).await {
        Ok(mut rows) => loop {
            match rows.next().await {
                Ok(Some(_)) => {}
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        },
        Err(error) => Err(error),
    };
    assert!(matches!(outcome, Err(ClientError::Shoal(Error::Invalid { .. }))), "{outcome:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_goes_away_cancels_its_query() {
    let served = serve().await;
    // Hours of work, if it were let.
    let endless =
        "SELECT count(*) FROM generate_series(1, 10000000) a(x), generate_series(1, 10000000) b(y) WHERE x * y % 7 = 3";
    let rows = served.client.sql(&Query::new(endless)).await.unwrap();
    let job = rows.job().to_owned();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!served.client.job(&job).await.unwrap().state.is_final());
    drop(rows);
    for _ in 0..1_000 {
        if served.client.job(&job).await.unwrap().state == JobStateView::Cancelled {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("it runs on: {:?}", served.client.job(&job).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_web_page_gets_nowhere() {
    let served = serve().await;
    let http = reqwest::Client::new();
    let rebound = http.get(served.url("status")).header("host", "evil.example").send().await.unwrap();
    assert_eq!(rebound.status(), StatusCode::FORBIDDEN);
    let unmarked = http.put(served.url("objects/b/x")).body("x").send().await.unwrap();
    assert_eq!(unmarked.status(), StatusCode::FORBIDDEN);
    let allowed = http.get(served.url("status")).header("origin", "http://evil.example").send().await.unwrap();
    assert!(allowed.headers().keys().all(|name| !name.as_str().starts_with("access-control")));
    let long = http.post(served.url("sql")).header("x-shoal", "1").body(vec![b' '; 2 << 20]).send().await.unwrap();
    assert_eq!(long.status(), StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_gateway_stops_though_a_client_holds_on() {
    let served = serve().await;
    let held = std::net::TcpStream::connect(served.serving.address()).unwrap();
    let mut status = stream::iter(0..3).then(|_| served.client.status()).boxed();
    assert_eq!(status.next().await.unwrap().unwrap().alive(), 1);
    drop(status);
    let started = std::time::Instant::now();
    served.serving.stop(Duration::from_millis(300)).await;
    assert!(started.elapsed() < Duration::from_secs(30));
    drop(held);
    let error = served.client.status().await.unwrap_err();
    assert!(matches!(error, ClientError::NoPeer { .. } | ClientError::Cut { .. }), "{error:?}");
}
