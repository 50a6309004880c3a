-- In a transaction of its own, beside whatever goes on.
ALTER TABLE automapost.job_queue VALIDATE CONSTRAINT job_queue_status;
