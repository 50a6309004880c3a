-- Rows: worker, service, host, jobs.
SELECT r.worker, r.service, r.host, r.jobs FROM automapost.rescue_lapsed() r
