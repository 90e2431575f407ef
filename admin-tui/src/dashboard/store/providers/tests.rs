//! Keys are sealed and tested against a provider on loopback.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;

use tollgate_common::command::{Command, ProviderRef};
use tollgate_common::provider::{PassFields, ProviderKind};
use tollgate_common::secret::Secret;

use super::*;
use crate::dashboard::change::{Change, Operation};
use crate::dashboard::store::Store as _;
use crate::dashboard::testing::installation::source;

const GOOD: &str = "sk-proj-0123456789abcdefGOOD";
const BAD: &str = "sk-proj-0123456789abcdef0BAD";

/// A provider that lists two models to whoever has the good key, and refuses others.
fn provider() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut is_good = false;
            let lines = BufReader::new(stream.try_clone().unwrap()).lines();
            for line in lines.map_while(Result::ok) {
                is_good |= line.contains(GOOD);
                if line.is_empty() {
                    break;
                }
            }
            let (status, body) = if is_good {
                ("200 OK", r#"{"data": [{"id": "a"}, {"id": "b"}]}"#)
            } else {
                ("401 Unauthorized", "{}")
            };
            let length = body.len();
            let head = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n");
            let answer = format!("{head}connection: close\r\n\r\n{body}");
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    format!("http://{address}/v1")
}

fn reference() -> ProviderRef {
    ProviderRef {
        org_id: None,
        name: "local".parse().unwrap(),
    }
}

async fn change(source: &Source, operation: Operation) -> Outcome {
    source
        .change(&Change::new(operation, "done"))
        .await
        .unwrap()
}

fn with_secret(secret: &str, command: SealedCommand) -> Operation {
    Operation::WithSecret {
        secret: Secret::new(secret.to_owned()),
        command,
    }
}

fn test_of(credential: Option<CredentialId>) -> Operation {
    Operation::TestProvider {
        provider: reference(),
        credential,
    }
}

async fn found(source: &Source) -> ProviderRow {
    let query = super::super::Query::Providers(Query::One(reference()));
    match source.load(query).await.unwrap() {
        super::super::Answer::Providers(Answer::One(Some(row))) => *row,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn each_key_is_tested_and_what_was_not_asked_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let source = source(folder.path()).await;
    let add = SealedCommand::AddProvider {
        provider: reference(),
        kind: ProviderKind::OpenAi,
        base_url: provider().parse().unwrap(),
        pass_fields: PassFields::default(),
    };
    change(&source, with_secret(GOOD, add)).await;
    let outcome = change(&source, test_of(None)).await;
    assert_eq!(outcome.sentence, "local: 1 of 1 keys taken");
    assert!(!outcome.is_bad && outcome.lines[0].contains("2 models"));

    let provider = reference();
    change(
        &source,
        with_secret(BAD, SealedCommand::AddCredential { provider }),
    )
    .await;
    let outcome = change(&source, test_of(None)).await;
    assert_eq!(outcome.sentence, "local: 1 of 2 keys taken, 1 refused");
    let text = outcome.lines.join("\n");
    assert!(outcome.is_bad && text.contains("REFUSED"), "{text}");
    assert!(!text.contains("0123456789"), "{text}");

    let bad = found(&source).await.listed.keys[1].clone();
    assert_eq!(bad.hint, "…0BAD");
    let disable = Command::EnableCredential {
        id: bad.id,
        enabled: false,
    };
    change(&source, Operation::Command(Box::new(disable))).await;
    let outcome = change(&source, test_of(None)).await;
    assert_eq!(outcome.sentence, "local: 1 of 1 keys taken");
    assert!(outcome.lines.join("\n").contains("1 disabled, not asked"));
    let outcome = change(&source, test_of(Some(bad.id))).await;
    assert_eq!(outcome.sentence, "local: 0 of 1 keys taken, 1 refused");
}

#[tokio::test]
async fn a_rotation_leaves_the_new_key_alone_in_use() {
    let folder = tempfile::tempdir().unwrap();
    let source = source(folder.path()).await;
    let add = SealedCommand::AddProvider {
        provider: reference(),
        kind: ProviderKind::OpenAi,
        base_url: "http://127.0.0.1:9/v1".parse().unwrap(),
        pass_fields: PassFields::default(),
    };
    change(&source, with_secret(BAD, add)).await;
    let provider = reference();
    change(
        &source,
        with_secret(GOOD, SealedCommand::Rotate { provider }),
    )
    .await;
    let row = found(&source).await;
    let keys = row
        .listed
        .keys
        .iter()
        .map(|key| (key.hint.as_str(), key.enabled));
    assert_eq!(
        keys.collect::<Vec<_>>(),
        [("…0BAD", false), ("…GOOD", true)]
    );
    assert!(row.nodes == 0 && row.rests.is_empty());
    // A refused connection is no verdict on the key.
    let outcome = change(&source, test_of(None)).await;
    assert_eq!(
        outcome.sentence,
        "local: 0 of 1 keys taken, 1 could not be tested"
    );
}

#[tokio::test]
async fn a_provider_that_models_need_is_not_removed() {
    let folder = tempfile::tempdir().unwrap();
    let source = source(folder.path()).await;
    let add = SealedCommand::AddProvider {
        provider: reference(),
        kind: ProviderKind::OpenAi,
        base_url: "http://127.0.0.1:9/v1".parse().unwrap(),
        pass_fields: PassFields::default(),
    };
    change(&source, with_secret(GOOD, add)).await;
    let settings = tollgate_common::command::ModelSettings {
        provider: Some("local".parse().unwrap()),
        upstream_model: Some("x".to_owned()),
        ..Default::default()
    };
    let alias = "mini".parse().unwrap();
    let model = Command::AddModel { alias, settings };
    change(&source, Operation::Command(Box::new(model))).await;
    let provider = reference();
    let impact = super::super::Query::Providers(Query::Impact(provider.clone()));
    let super::super::Answer::Impact(lines) = source.load(impact).await.unwrap() else {
        panic!("no impact");
    };
    assert_eq!(lines[0], ("! Models".to_owned(), "mini".to_owned()));
    let remove = Operation::Command(Box::new(Command::RemoveProvider { provider }));
    let refused = source.change(&Change::new(remove, "")).await.unwrap_err();
    assert!(
        refused.sentence.contains("used by model mini"),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_new_provider_is_sent_the_fields_that_were_named_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let source = source(folder.path()).await;
    let add = SealedCommand::AddProvider {
        provider: reference(),
        kind: ProviderKind::OpenAi,
        base_url: "http://127.0.0.1:9/v1".parse().unwrap(),
        pass_fields: "my_field,house_field".parse().unwrap(),
    };
    change(&source, with_secret(GOOD, add)).await;
    let listed = found(&source).await.listed;
    assert_eq!(listed.pass_fields, "my_field,house_field".parse().unwrap());
}
