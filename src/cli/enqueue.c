/* SPDX-License-Identifier: MIT */

#include <assert.h>
#include <errno.h>
#include <inttypes.h>

#include "base/text.h"
#include "cli/cli.h"
#include "queries.h"

/* What the queue takes is smaller; it says how much. */
#define PAYLOAD_MAX ((size_t) 256 * 1024)

static int read_stdin(char **ret, Error *ret_error) {
        _cleanup_free_ char *text = malloc(PAYLOAD_MAX + 1);
        size_t n = 0;
        ssize_t k;

        if (!text)
                return error_oom(ret_error);
        while (n < PAYLOAD_MAX && (k = read(STDIN_FILENO, text + n, PAYLOAD_MAX - n)) != 0) {
                if (k < 0 && errno == EINTR)
                        continue;
                if (k < 0)
                        return error_setf(ret_error, ERROR_TRANSIENT, -errno, NULL,
                                          "cannot read the payload from standard input: %s",
                                          strerrordesc_np(errno));
                n += (size_t) k;
        }
        text[n] = '\0';
        *ret = TAKE_PTR(text);
        return 0;
}

/* 0, or an exit status: said in our words, for the shell's quoting is the usual mistake. */
static int check_payload(const Cli *c, const char *text) {
        _cleanup_(json_unrefp) JsonObject *o = NULL;
        _cleanup_free_ char *shown = NULL;

        assert(text);
        shown = utf8_make_valid(text, strlen(text), 60);
        if (json_parse(text, strlen(text), &o) < 0)
                return cli_usage(c,
                                 "the payload is no JSON: %s\n(in a shell: '{\"postId\": \"…\"}')",
                                 strnull(shown));
        if (!json_object_is_type(o, json_type_object))
                return cli_usage(c, "the payload must be a JSON object, not %s", strnull(shown));
        return 0;
}

static int print_answer(const Cli *c, JsonObject *answer, const char *at) {
        _cleanup_free_ char *when = cli_time_age(at);
        const char *id = json_string(answer, "id"), *was = json_string(answer, "was");

        if (streq_ptr(was, "kept"))
                cli_print(c, STYLE_NONE, "Kept job %s, which has the same key.", id);
        else if (streq_ptr(was, "replaced") || streq_ptr(was, "rescheduled"))
                cli_print(c, STYLE_NONE, "Job %s was %s, due %s.", id, was,
                          at ? strnull(when) : "now");
        else if (streq_ptr(was, "successor"))
                cli_print(c, STYLE_NONE, "Job %s starts after the one with the same key, due %s.",
                          id, at ? strnull(when) : "now");
        else
                cli_print(c, STYLE_NONE, "Job %s is due %s.", id, at ? strnull(when) : "now");
        return EX_OK;
}

static int enqueue_run(Cli *c, Error *ret_error) {
        static const char *const ways[] = { "reject", "keep", "replace", "reschedule" };
        const char *payload = c->n_args > 1 ? c->args[1] : "{}",
                   *way = cli_option(c, "on-conflict");
        _cleanup_free_ char *input = NULL, *at = NULL, *priority = NULL, *tries = NULL;
        _cleanup_(json_unrefp) JsonObject *answer = NULL;
        uint64_t n_priority = 5, n_tries = 0;
        bool known = !way;
        int r;

        if (streq(payload, "-")) {
                r = read_stdin(&input, ret_error);
                if (r < 0)
                        return r;
                payload = input;
        }
        r = check_payload(c, payload);
        if (r == 0)
                r = cli_option_uint(c, "priority", 0, 1000, &n_priority);
        if (r == 0)
                r = cli_option_uint(c, "max-attempts", 1, 1000, &n_tries);
        if (r == 0 && cli_option(c, "at"))
                r = cli_parse_time(c, "--at", cli_option(c, "at"), false, &at);
        if (r != 0)
                return r;
        for (size_t i = 0; way && i < ELEMENTSOF(ways); i++)
                known = known || streq(way, ways[i]);
        if (!known)
                return cli_usage(
                        c, "--on-conflict must be reject, keep, replace or reschedule, not \"%s\"",
                        way);

        priority = strjoinf("%" PRIu64, n_priority);
        tries = n_tries > 0 ? strjoinf("%" PRIu64, n_tries) : NULL;
        if (!priority || (n_tries > 0 && !tries))
                return error_oom(ret_error);
        r = cli_ask_one(c, &query_enqueue,
                        (const char *[]){ c->args[0], payload, priority, at, tries,
                                          cli_option(c, "key"), way },
                        &answer, ret_error);
        if (r < 0) {
                cli_rephrase_hint(
                        ret_error, "on_conflict =>",
                        "--on-conflict keep, replace or reschedule says what to do with it");
                cli_rephrase_hint(ret_error, "Leave job_key out",
                                  "leave --key out: the queue gives it");
                return r;
        }
        return c->json ? cli_print_json(answer) : print_answer(c, answer, at);
}

const Verb verb_enqueue = {
        .name = "enqueue",
        .arguments = "TYPE [PAYLOAD|-]",
        .help = "Put a job into the queue",
        .details = "PAYLOAD is a JSON object; - reads it from standard input. Publishing needs no\n"
                   "job: a post with status SCHEDULED and a time is enough.",
        .group = GROUP_ACT,
        .options =
                (const Option[]){
                        { "priority", 'p', "N", "0 to 1000, higher first; 5 unless told" },
                        { "at", 0, "TIME", "not before: 08:00, \"tomorrow 08:00\", +2h" },
                        { "max-attempts", 0, "N",
                          "tries in all; the type's own number unless told" },
                        { "key", 0, "K", "only one job of a type lives with a key" },
                        { "on-conflict", 0, "WAY",
                          "where it lives: reject, keep, replace, reschedule" },
                        {},
                },
        .min_args = 1,
        .max_args = 2,
        .run = enqueue_run,
};
