-- Who may call what; everything else may be called by the owner alone. Last, when all is there. What
-- the release before granted stays: hosts that still run it call it.

REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA automapost FROM PUBLIC;

-- The worker, and the operator's command.
GRANT EXECUTE ON FUNCTION
    automapost.tick(text, text[]),
    automapost.look(text, text[]),
    automapost.schema_version(),
    automapost.meet_host(text, text, text, bigint, timestamptz),
    automapost.register_worker(text, text, text, text, bigint, text, timestamptz),
    automapost.enter_worker(text, text, text, text, bigint, text, timestamptz, text),
    automapost.beat(text, bigint[], timestamptz),
    automapost.claim_jobs(text, text, text[], bigint),
    automapost.begin_jobs(text, text, jsonb),
    automapost.settle_jobs(text, jsonb),
    automapost.settle_done(text, uuid[], bigint[], uuid[], timestamptz[], bigint[], text[], uuid[], uuid[],
        text[], text[], timestamptz[]),
    automapost.log_jobs(text, jsonb),
    automapost.release_worker(text, text),
    automapost.others_at_work(text, text[]),
    automapost.rescue_lapsed(),
    automapost.record_run(text, text, timestamptz, text, jsonb, text),
    automapost.collect_social_media_post(jsonb, bigint),
    automapost.preview(text, text[], bigint),
    automapost.try_undefined_jobs(bigint),
    automapost.release_process(text, text),
    automapost.mark_missed(bigint),
    automapost.expire_overdue(bigint),
    automapost.forget_old(bigint),
    automapost.take_slot(text, timestamptz, text),
    automapost.finish_slot(text, timestamptz, text),
    automapost.enqueue_slot(text, timestamptz, text),
    automapost.status(),
    automapost.take_alerts(text),
    automapost.put_alerts(text, text, boolean)
TO automapost_jobs_service;

-- What the operator's command reads, and schedules and hosts, which no application changes.
GRANT EXECUTE ON FUNCTION
    automapost.list_jobs(jsonb),
    automapost.show_job(text),
    automapost.job_log_lines(text, timestamptz, text, bigint),
    automapost.held_deliveries(),
    automapost.pauses(),
    automapost.engine_settings(),
    automapost.set_schedule(text, text, text),
    automapost.adopt_installation(text, text, text),
    automapost.join_host(text, text, text, text)
TO automapost_jobs_service;

-- What setup asks last, as the services' login.
GRANT EXECUTE ON FUNCTION
    automapost.publishing_state(),
    automapost.start_publishing(timestamptz)
TO automapost_jobs_service;

-- The SQL API: for the application, and for the operator's command.
GRANT EXECUTE ON FUNCTION
    automapost.enqueue(text, jsonb, bigint, timestamptz, bigint, text, text, text),
    automapost.enqueue_many(jsonb),
    automapost.cancel(text),
    automapost.retry(text, boolean),
    automapost.pause(text, text, timestamptz),
    automapost.resume(text),
    automapost.wake(text),
    automapost.resolve_delivery(text, text, text),
    automapost.resolve_restored(text, timestamptz, text),
    automapost.forget_user(text),
    automapost.claim(text[], text, text, bigint),
    automapost.beat(text, bigint[], timestamptz),
    automapost.complete(text, bigint, jsonb),
    automapost.fail(text, bigint, text, text, timestamptz),
    automapost.publication(text[]),
    automapost.accounts(text[]),
    automapost.why(text)
TO automapost_jobs_service, automapost_jobs_app;

GRANT SELECT ON automapost.job_definitions, automapost.job_queue, automapost.job_executions,
    automapost.job_logs, automapost.post_publication, automapost.account_status
TO automapost_jobs_app;
GRANT INSERT ON automapost.job_queue TO automapost_jobs_app;
-- Only to be refused with what to call instead (change_refused).
GRANT UPDATE, DELETE ON automapost.job_queue TO automapost_jobs_app;
GRANT INSERT, UPDATE, DELETE ON automapost.job_definitions, automapost.job_executions, automapost.job_logs
TO automapost_jobs_app;
-- What the trigger on its inserts calls as the caller.
GRANT EXECUTE ON FUNCTION automapost.check_new_job(text, jsonb, bigint, timestamptz, bigint, text)
TO automapost_jobs_app;

-- When services run: all that the timers are made of, and whether it can be used.
GRANT EXECUTE ON FUNCTION
    automapost.schedules(),
    automapost.note_schedule(text, text, text, text)
TO automapost_jobs_service, automapost_jobs_schedule;
GRANT SELECT (name, kind, cron_schedule, timezone, is_active, paused_reason, paused_by, paused_at,
              paused_until)
ON automapost.job_definitions TO automapost_jobs_schedule;
