// SPDX-License-Identifier: MIT
//
// The worker that this project replaces, as the plan has it: take ten jobs, and one after the other
// for each an execution row and log lines, its handler, and job and execution marked; every
// statement a commit of its own.
export class PlanWorker {
    constructor(pool, name, handlers) {
        this.pool = pool;
        this.name = name;
        this.handlers = handlers;
    }

    async dequeue(limit) {
        const { rows } = await this.pool.query(
            `UPDATE plan.job_queue
             SET status = 'running', locked_at = NOW(), locked_by = $1, attempts = attempts + 1
             WHERE id IN (
                 SELECT id FROM plan.job_queue
                 WHERE status = 'pending' AND job_type = ANY($2) AND scheduled_for <= NOW()
                     AND attempts < max_attempts
                     AND (locked_at IS NULL OR locked_at < NOW() - INTERVAL '5 minutes')
                 ORDER BY priority DESC, created_at ASC
                 LIMIT $3
                 FOR UPDATE SKIP LOCKED)
             RETURNING *`, [this.name, Object.keys(this.handlers), limit]);
        return rows;
    }

    log(execution, message) {
        return this.pool.query(
            `INSERT INTO plan.job_logs (job_execution_id, level, message) VALUES ($1, 'info', $2)`,
            [execution, message]);
    }

    async run(job) {
        const started = Date.now();
        const { rows: [execution] } = await this.pool.query(
            `INSERT INTO plan.job_executions (job_queue_id, status, started_at, metadata)
             VALUES ($1, 'running', NOW(), $2) RETURNING id`, [job.id, job.payload]);
        await this.log(execution.id, `Starting job: ${job.job_type}`);
        await this.handlers[job.job_type](job.payload);
        await this.pool.query(
            `UPDATE plan.job_queue
             SET status = 'completed', locked_at = NULL, locked_by = NULL, updated_at = NOW()
             WHERE id = $1`, [job.id]);
        await this.pool.query(
            `UPDATE plan.job_executions
             SET status = 'completed', finished_at = NOW(), duration_ms = $2
             WHERE id = $1`, [execution.id, Date.now() - started]);
        await this.log(execution.id, 'Job completed successfully');
    }

    // Until none is left.
    async runAll() {
        for (;;) {
            const jobs = await this.dequeue(10);
            if (jobs.length === 0)
                return;
            for (const job of jobs)
                await this.run(job);
        }
    }
}
