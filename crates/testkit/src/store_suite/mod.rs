//! What every store must do, on every engine.
//!
//! A case is a function that is given an empty [`Fixture`](crate::fixture::Fixture). The macros make a test
//! of each case, named after it:
//!
//! ```ignore
//! mod fjall {
//!     meldb_testkit::store_conformance!(meldb_testkit::fixture::TestEngine::Fjall);
//!     meldb_testkit::store_on_disk_conformance!(meldb_testkit::fixture::TestEngine::Fjall);
//! }
//! ```

#![allow(missing_docs, reason = "the name of a case is its description")]

use meldb::{Collection, Document, Error, Result};
use serde_json::{Value, json};

pub mod backups;
pub mod batch_limits;
pub mod batches;
pub mod changes;
pub mod conditions;
pub mod disk;
pub mod documents;
pub mod durability;
pub mod expiry;
pub mod history;
pub mod idempotency;
pub mod isolation;
pub mod listing;
pub mod members;
pub mod merging;
pub mod outcomes;
pub mod patching;
pub mod preserving;
pub mod quotas;
pub mod refusals;
pub mod revisions;
pub mod runtimes;
pub mod stamps;
pub mod sub_documents;
pub mod time_reset;
pub mod totals;
pub mod unchanged;

/// Makes a test of every case that a store on any engine passes.
#[macro_export]
macro_rules! store_conformance {
    ($engine:expr) => {
        $crate::store_tests! { $engine;
            history: [
                nothing_is_kept_unless_it_is_asked_for,
                a_batch_that_writes_a_document_twice_leaves_two_entries_of_one_batch,
                untouched_bytes_come_back_as_they_were,
                an_undo_keeps_what_came_later_and_refuses_what_it_would_lose,
                a_deleted_document_comes_back_with_its_time_of_expiry,
                a_part_of_a_document_has_a_history_of_its_own,
                a_condition_on_fields_looks_into_history_after_a_restart,
                each_collection_has_its_own_retention,
                an_erased_tenant_has_no_history,
                what_is_forgotten_or_redacted_is_in_no_version,
                a_backup_and_those_that_go_on_from_it_carry_history,
                a_copy_has_the_history_and_goes_on,
                an_import_that_keeps_revisions_leaves_entries,
                history_counts_towards_a_quota_until_it_is_removed,
            ]
            documents: [
                a_missing_document_reads_as_none,
                put_creates_and_then_replaces_and_says_which,
                put_replaces_the_document_whole,
                insert_creates_an_absent_document,
                insert_refuses_a_present_document_and_leaves_it,
                merge_changes_the_named_members_and_keeps_the_rest,
                merge_never_creates,
                delete_removes_the_document_and_returns_its_revision,
                deleting_a_missing_document_is_not_found,
                a_deleted_document_can_be_created_again,
                a_write_returns_the_document_that_is_stored,
                a_document_knows_where_it_lives,
                a_document_can_be_read_as_a_type,
                a_document_of_another_shape_is_a_deserialize_error,
                any_serializable_value_can_be_written,
                a_value_that_cannot_be_serialized_is_refused,
                a_tenant_has_a_document_of_its_own,
                large_documents_read_back,
                the_empty_document_is_a_document,
            ]
            refusals: [
                a_bad_tenant_id_is_refused,
                a_bad_collection_name_is_refused,
                a_bad_id_is_refused_by_every_verb,
                a_bad_actor_is_refused_by_every_verb,
                a_text_that_is_no_acceptable_object_is_refused,
                a_refusal_names_line_and_column,
                a_refused_write_leaves_the_document_and_writes_nothing,
                errors_name_the_document,
            ]
            conditions: [
                put_into_nothing,
                put_over_a_document,
                put_over_a_deleted_document,
                merge_into_nothing,
                merge_into_a_document,
                patch_of_nothing,
                patch_of_a_document,
                delete_of_nothing,
                delete_of_a_document,
                put_of_a_missing_sub_document,
                put_over_a_sub_document,
                merge_into_a_missing_sub_document,
                merge_into_a_sub_document,
                delete_of_a_sub_document,
                a_revision_from_before_a_delete_never_matches_again,
                only_a_stale_revision_is_retryable,
            ]
            merging: [
                the_semantics_table_holds,
                untouched_members_keep_their_bytes,
                untouched_members_keep_their_bytes_in_a_sub_document,
                new_members_come_last_and_replaced_ones_keep_their_place,
                a_hundred_merges_leave_what_they_do_not_name,
            ]
            unchanged: [
                skipping_keeps_revision_stamp_and_bytes,
                skipping_asks_nothing_of_the_engine,
                skipping_still_writes_a_change,
                without_skipping_an_unchanged_merge_is_a_write,
                other_digits_are_a_change,
                skipping_works_on_sub_documents,
                skipping_a_missing_document_is_not_found,
                a_put_and_a_patch_can_be_skipped_as_well,
            ]
            batch_limits: [
                a_batch_is_bounded_in_operations,
                a_batch_is_bounded_in_bytes_sent,
                a_batch_is_bounded_in_bytes_to_store,
                a_batch_is_there_after_reopening,
            ]
            batches: [
                a_batch_makes_writes_of_every_kind,
                a_batch_has_one_stamp_and_one_range_of_revisions,
                a_failing_operation_undoes_the_batch_and_is_named,
                what_is_wrong_with_a_description_is_named_too,
                each_operation_finds_what_those_before_it_left,
                conditions_look_at_the_document_before_the_batch,
                a_batch_that_fails_in_a_group_leaves_the_others_alone,
                a_write_of_another_tenant_or_store_is_refused,
                an_empty_batch_does_nothing,
                a_dry_run_of_a_batch_writes_nothing,
                a_reader_never_sees_half_of_a_batch,
            ]
            outcomes: [
                a_difference_is_told_when_it_is_asked_for,
                a_difference_is_empty_when_nothing_changes,
                a_difference_needs_two_texts,
                a_delete_tells_what_it_has_removed,
                a_dry_run_tells_and_writes_nothing,
                a_dry_run_fails_as_the_write_would,
            ]
            members: [
                two_clients_that_edit_different_members_both_succeed,
                members_that_collide_are_named_with_what_they_are,
                what_stands_in_the_way_collides,
                any_revision_of_the_tenant_will_do,
                a_write_of_any_verb_can_collide,
                other_verbs_ask_for_the_whole_document,
                after_a_restart_the_whole_document_counts,
                a_sub_document_has_members_of_its_own,
                writes_of_one_group_collide_as_well,
                a_batch_does_not_collide_with_itself,
            ]
            patching: [
                all_operations_are_applied,
                a_failing_operation_undoes_those_before_it,
                a_conflict_names_operation_and_pointer,
                patching_nothing_is_not_found,
                a_patch_that_is_no_array_of_operations_is_refused,
                members_off_the_paths_keep_their_bytes,
                a_sub_document_can_be_patched,
                stamps_win_over_operations,
            ]
            stamps: [
                the_stamps_come_first_and_tell_who_and_when,
                stamps_win_over_what_a_client_sends,
                a_stamp_that_is_sent_as_null_is_ignored,
                stamps_further_down_are_members_like_any_other,
                every_verb_stamps,
                updated_never_goes_back_within_a_tenant,
                updated_never_goes_back_over_a_reopening,
                updated_never_goes_back_after_a_delete,
                an_actor_may_be_any_text,
            ]
            sub_documents: [
                a_missing_sub_document_reads_as_none,
                put_creates_the_parents,
                put_creates_a_missing_document_around_it,
                put_replaces_what_is_no_object,
                put_replaces_the_sub_document_whole,
                merge_changes_only_the_sub_document,
                merge_into_what_is_no_object_is_not_found,
                both_are_stamped,
                delete_leaves_the_parents,
                insert_refuses_a_present_sub_document,
                its_revision_is_the_documents,
                paths_join,
                names_are_plain_and_not_pointers,
                a_stamp_is_no_sub_document,
                a_tenants_document_has_sub_documents,
            ]
            backups: [
                a_backup_restores_all_there_is,
                backups_that_go_on_from_one_another_restore_the_last_state,
                nothing_may_follow_a_backup,
                a_backup_that_was_changed_or_cut_is_refused,
                a_store_is_not_restored_over,
                a_backup_does_not_go_on_over_removed_tombstones,
                a_backup_under_load_is_of_one_revision,
                erasing_leaves_nothing_but_the_fact,
                erasing_beside_writers_leaves_right_totals,
                tenants_are_listed_without_the_stores_own,
            ]
            changes: [
                the_feed_has_the_last_write_of_each_document_in_order,
                the_feed_can_be_limited_to_a_collection,
                pages_of_changes_join,
                a_feed_goes_on_where_it_stopped,
                a_feed_that_has_ended_goes_on_after_the_next_write,
                waiting_ends_with_the_next_commit,
                a_wait_that_is_given_up_loses_nothing,
                a_tombstone_is_kept_for_its_time_and_then_removed,
                a_reader_from_the_start_is_not_expired_by_older_tombstones,
                a_tenants_last_change_is_never_removed,
                many_tombstones_are_removed_in_steps,
                a_cursor_from_the_future_is_refused,
            ]
            revisions: [
                revisions_begin_at_one_and_rise_by_write,
                revisions_are_counted_by_tenant,
                a_revision_never_comes_back_after_delete_and_create,
                a_revision_never_comes_back_after_a_reopening,
                a_refused_write_takes_no_revision,
                last_revision_is_the_newest,
                reads_show_the_revision_of_the_last_write,
            ]
            listing: [
                an_empty_collection_lists_nothing,
                documents_come_in_byte_order_of_their_ids,
                a_listing_starts_behind_its_cursor,
                a_cursor_need_not_exist,
                a_bad_cursor_is_refused,
                pages_join_without_gap_or_overlap,
                a_page_of_exactly_the_rest_has_no_more,
                deleted_documents_are_not_listed,
                only_tombstones_behind_a_page_are_no_more,
                pages_can_be_awaited,
                a_long_collection_is_listed_whole,
                a_listing_shows_the_documents_as_stored,
                a_listing_reads_a_bounded_number_of_documents_ahead,
                a_listing_reads_a_bounded_number_of_bytes_ahead,
                a_page_of_large_documents_is_cut,
                what_exists_throughout_is_listed_exactly_once,
            ]
            runtimes: [
                every_verb_can_be_awaited_without_a_runtime,
                every_verb_can_be_awaited_on_tokio,
                many_tasks_on_one_thread_do_not_block_each_other,
                a_future_that_was_never_polled_writes_nothing,
                a_future_that_was_dropped_after_a_poll_still_writes,
                awaited_and_blocking_writes_keep_one_order,
                a_store_can_be_reopened_after_a_read_was_cancelled,
                waiting_writes_share_one_commit,
                waiting_threads_share_commits,
                within_a_group_each_write_sees_those_before_it,
                a_write_that_fails_in_a_group_fails_alone,
                a_mismatch_on_a_write_of_the_same_group_names_its_revision,
                a_missing_sub_document_in_a_group_has_no_revision,
                no_reader_sees_a_write_that_is_not_committed,
            ]
            expiry: [
                a_document_reads_as_absent_from_its_time_on,
                a_write_finds_nothing_where_a_document_has_expired,
                a_time_is_kept_until_it_is_changed_or_cleared,
                a_time_can_be_so_long_after_the_write,
                what_has_expired_is_deleted_and_told,
                a_time_outlives_a_restart_and_a_backup,
                a_clock_that_goes_back_revives_nothing,
                a_clock_that_goes_back_over_a_restart_revives_nothing,
                erasing_leaves_no_time_behind,
                what_has_expired_counts_until_it_is_deleted,
            ]
            time_reset: [
                what_was_stamped_ahead_is_stamped_anew,
                requests_that_are_remembered_are_taken_back,
                what_is_not_ahead_stays,
            ]
            idempotency: [
                a_repeated_write_is_made_once_and_answered_alike,
                a_repeated_batch_is_made_once,
                another_request_with_the_key_is_refused,
                what_wrote_nothing_is_made_when_it_is_repeated,
                a_repetition_needs_no_condition_to_hold_again,
                at_once_one_of_them_is_made,
                a_repetition_in_the_group_of_the_first_is_answered,
                a_receipt_outlives_a_restart,
                a_receipt_is_kept_for_its_time_and_then_removed,
                a_key_counts_within_its_tenant,
                erasing_a_tenant_erases_its_receipts,
            ]
            preserving: [
                what_is_preserved_is_as_it_was,
                what_is_there_already_is_skipped,
                what_does_not_fit_is_refused_whole,
            ]
            quotas: [
                a_write_beyond_the_quota_is_refused_and_says_so,
                bytes_are_those_of_the_stored_texts,
                a_batch_counts_as_a_whole,
                writers_at_once_do_not_exceed_it_together,
                within_a_group_every_write_counts,
                a_tenants_own_quota_wins_and_outlives_a_restart,
                tombstones_count_and_deletes_are_always_possible,
                receipts_count_until_they_are_forgotten,
            ]
            durability: [
                synced_writes_ask_for_stable_storage,
                buffered_writes_do_not,
                buffered_writes_are_synced_in_the_background,
                nothing_is_synced_when_nothing_was_written,
                sync_brings_everything_to_stable_storage,
                closing_syncs_what_is_buffered,
                buffered_writes_are_there_after_reopening,
                options_out_of_range_are_refused,
                times_without_a_limit_are_taken,
            ]
            isolation: [
                tenants_do_not_see_each_other,
                collections_do_not_see_each_other,
                names_that_start_alike_stay_apart,
                the_system_tenant_cannot_be_reached_by_name,
                the_system_tenant_is_a_tenant,
                handles_may_be_cloned_and_sent,
            ]
            totals: [
                a_new_tenant_holds_nothing,
                totals_follow_every_verb,
                totals_are_there_after_reopening,
                totals_are_by_tenant,
                a_write_during_a_check_is_no_damage,
                tombstones_are_counted_until_they_are_removed,
            ]
        }
    };
}

/// Makes a test of every case about a store's directory.
#[macro_export]
macro_rules! store_on_disk_conformance {
    ($engine:expr) => {
        $crate::store_tests! { $engine;
            disk: [
                documents_are_there_after_reopening,
                a_store_is_opened_with_the_engine_it_was_made_with,
                another_engine_is_refused_by_name,
                a_store_that_is_open_is_in_use,
                the_directory_is_free_when_the_last_handle_is_gone,
                a_pending_listing_keeps_the_store_open,
                closing_ends_writing_and_other_handles_read_on,
                a_directory_of_others_is_no_store,
                reopening_twenty_times_loses_nothing,
                a_store_that_must_exist_is_never_made,
            ]
        }
    };
}

/// Makes a test of each case; used by the macros above.
#[doc(hidden)]
#[macro_export]
macro_rules! store_tests {
    ($engine:expr; $($group:ident: [$($case:ident),* $(,)?])*) => {
        $(
            mod $group {
                #[allow(unused_imports, reason = "the engine's name may be in scope already")]
                use super::*;
                $(
                    #[test]
                    fn $case() {
                        if let Some(fixture) = $crate::fixture::Fixture::available($engine) {
                            $crate::store_suite::$group::$case(&fixture);
                        }
                    }
                )*
            }
        )*
    };
}

/// Returns the document's text behind its stamps: `"a":1,"b":2`, without the newlines.
pub(crate) fn content(document: &Document) -> String {
    let text = document.as_text().expect("stored text is UTF-8").replace('\n', "");
    let text = text.strip_prefix("{\"updated\":").expect("the first stamp");
    let digits = text.find(|c: char| !c.is_ascii_digit()).expect("more than digits");
    let text = text[digits..].strip_prefix(",\"updatedBy\":\"").expect("the second stamp");
    let end = text.find('"').expect("the end of the actor");
    let text = text[end + 1..].strip_suffix('}').expect("the end of the document");
    text.strip_prefix(',').unwrap_or(text).to_owned()
}

/// Returns the document's value without its stamps.
pub(crate) fn value(document: &Document) -> Value {
    let mut value: Value = document.to().expect("a document is JSON");
    let members = value.as_object_mut().expect("a document is an object");
    assert!(members.remove("updated").is_some_and(|updated| updated.is_u64()), "not stamped");
    assert!(members.remove("updatedBy").is_some_and(|by| by.is_string()), "not stamped");
    value
}

/// Returns the stored document.
pub(crate) fn read(collection: &Collection, id: &str) -> Document {
    collection.get(id).expect("reading works").expect("the document is there")
}

/// Puts a document and returns it.
pub(crate) fn put(collection: &Collection, id: &str, value: Value) -> Document {
    collection.put(id, value).commit("setup").expect("the put is made").document
}

/// Puts `{"name": "Ada", "role": "member"}` as `ada`.
pub(crate) fn put_ada(collection: &Collection) -> Document {
    put(collection, "ada", json!({"name": "Ada", "role": "member"}))
}

/// Fails the test unless `result` is an error that `expected` accepts.
pub(crate) fn assert_refused<T>(result: Result<T>, what: &str, expected: impl Fn(&Error) -> bool) {
    match result {
        Ok(_) => panic!("{what}: was not refused"),
        Err(error) => assert!(expected(&error), "{what}: refused with {error:?}"),
    }
}
