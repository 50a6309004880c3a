-- Lines are found by their execution, and one by its own id hardly ever: with one key for both, a job
-- leaves two entries less in indexes. The id is still nobody else's, for it is the execution's with a
-- number (line_id).
ALTER TABLE automapost.job_logs DROP CONSTRAINT job_logs_pkey, ADD PRIMARY KEY (job_execution_id, id);
DROP INDEX automapost.job_logs_execution;
