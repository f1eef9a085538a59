//! The futures of what may block: each does what its blocking form does, on any executor.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use futures_lite::future::block_on;
use meldb::{
    BackupSummary, ChangeCursor, Effect, Error, History, PastWrite, Quota, Revision, Store,
};
use serde_json::{Value, json};

#[test]
fn each_future_does_what_its_blocking_form_does() {
    block_on(async {
        let store = Store::in_memory()?;
        let acme = store.tenant("acme")?;
        let users = acme.collection("users")?;
        users.put("ada", json!({"n": 1})).commit_async("a").await?;
        let ada: Option<Value> = users.get_as_async("ada").await?;
        assert_eq!(ada, users.get_as("ada")?);
        assert_eq!(ada.expect("there")["n"], 1);
        assert!(users.exists_async("ada").await? && !users.exists_async("bob").await?);
        assert_eq!(acme.last_revision_async().await?, acme.last_revision()?);
        assert_eq!(acme.totals_async().await?, acme.totals()?);
        assert_eq!(acme.totals()?.documents, 1);
        store.sync_async().await?;
        store.checkpoint_async().await?;
        store.compact_async().await?;
        assert_eq!(store.housekeep_async().await?, store.housekeep()?);

        let change = acme.changes(ChangeCursor::START).with_documents().next().expect("one")?;
        let past = PastWrite {
            key: change.path.key().clone(),
            revision: change.revision,
            kind: change.kind,
            updated_ms: change.updated_ms,
            updated_by: change.updated_by.clone(),
            text: Some(r#"{"n":1}"#.into()),
            expires_ms: None,
        };
        let other = store.tenant("other")?;
        assert_eq!(other.import_async(vec![past]).await?.stored, 1);
        assert_eq!(other.last_revision()?, Revision::new(1));
        assert_eq!(other.erase_async("officer").await?.documents, 1);
        assert_eq!(other.totals()?.documents, 0);

        assert_eq!(acme.last_updated_ms_async().await?, acme.last_updated_ms()?);
        assert_eq!(acme.reset_time_async().await?, acme.reset_time()?);
        let quota = Quota { documents: Some(5), ..Quota::UNLIMITED };
        acme.set_quota_async(Some(quota), "ops").await?;
        assert_eq!(acme.quota(), quota);
        users.set_history_async(History::days(1), "ops").await?;
        assert_eq!(users.history_setting(), Some(History::days(1)));
        acme.set_history_async(History::days(2), "ops").await?;
        assert_eq!(acme.history_setting(), Some(History::days(2)));
        let mut tenants = store.tenants();
        let first = tenants.page_async(1).await?;
        let rest = tenants.page_async(10).await?;
        let ids = first.iter().chain(&rest).map(|tenant| tenant.id().as_str());
        assert_eq!((first.len(), ids.collect::<Vec<_>>()), (1, vec!["acme", "other"]));

        let (summary, backup) = store.backup_to_async(Vec::new(), None).await?;
        assert_eq!(BackupSummary::read(&backup[..])?, summary);
        let problems = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&problems);
        let count = move |_| {
            counted.fetch_add(1, SeqCst);
        };
        let verified = store.verify_async(count).await;
        assert_eq!((verified.documents, verified.problems, problems.load(SeqCst)), (4, 0, 0));

        let dir = tempfile::tempdir().expect("a directory");
        let (restored, copied) = (dir.path().join("restored"), dir.path().join("copied"));
        let opened = Store::builder().restore_async(&restored, [io::Cursor::new(backup)]).await?;
        assert_eq!(opened.tenant("acme")?.collection("users")?.get("ada")?, users.get("ada")?);
        opened.close_async().await?;
        let copy = Store::open_async(&copied).await?;
        assert_eq!(store.copy_to_async(&copy, |_| ()).await?.entries, summary.entries);
        drop(copy);
        drop(Store::builder().open_existing_async(&copied).await?);
        let read_only = Store::builder().open_read_only_async(&copied).await?;
        assert_eq!(read_only.tenant("acme")?.totals()?.documents, 1);

        let bad = users.get_as_async::<Value>("").await;
        assert!(matches!(bad, Err(Error::InvalidName(_))), "{bad:?}");
        let bad = acme.erase_async("").await;
        assert!(matches!(bad, Err(Error::InvalidName(_))), "{bad:?}");
        assert!(users.exists_async("ada").await?, "nothing was erased");
        Ok::<(), Error>(())
    })
    .expect("no error");
}

#[test]
fn a_delete_has_an_outcome_as_the_other_verbs() {
    let store = Store::in_memory().expect("a store");
    let users = store.tenant("acme").and_then(|acme| acme.collection("users")).expect("names");
    let put = users.put("ada", json!({})).outcome("a").expect("put");
    assert_eq!(
        (put.effect, put.revision, put.document.is_some()),
        (Effect::Created, Revision::new(1), true)
    );
    let deleted = users.delete("ada").outcome("a").expect("deleted");
    assert_eq!((deleted.effect, deleted.revision), (Effect::Deleted, Revision::new(2)));
    assert_eq!(deleted.document, None);
    let missing = users.delete("ada").outcome("a").expect_err("gone");
    assert!(matches!(missing, Error::NotFound { .. }), "{missing:?}");
}
