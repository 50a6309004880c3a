/* SPDX-License-Identifier: MIT */

#include "cli/old-workers.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/text.h"

#define FILE_MAX ((size_t) 1024 * 1024)
#define SHOWN_MAX 160

/* The scripts by their names without .js or .ts, and the names under which PM2 knows them. */
static const struct {
        const char *script;
        const char *in_pm2; /* or NULL */
        bool publishes;
} workers[] = {
        { "job-processor", "job-worker", true },
        { "realtime-processor", NULL, true },
        { "social-media-scheduler", NULL, true },
        { "daily-processor", "daily-jobs", false },
        { "email-processor", "email-verification", false },
        { "daily-suggestions", NULL, false },
        { "email-verification", NULL, false },
        { "cleanup-jobs", NULL, false },
        { "scripts/analytics", NULL, false },
};

/* A whole file of at most 1 MiB, its NULs as line ends; NULL where it cannot be read: what nobody
 * shows us we cannot warn of. */
static char *read_file(const char *path) {
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        _cleanup_free_ char *text = NULL;
        struct stat st;
        size_t n = 0;
        ssize_t k;

        if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
                return NULL;
        text = malloc(FILE_MAX + 1);
        while (text && n < FILE_MAX && (k = read(fd, text + n, FILE_MAX - n)) > 0)
                n += (size_t) k;
        for (size_t i = 0; text && i < n; i++)
                if (text[i] == '\0')
                        text[i] = '\n';
        if (text)
                text[n] = '\0';
        return TAKE_PTR(text);
}

/* Which script a line runs; -1: none. Its name begins a path's last part and ends before an
 * extension, a space, a quote or the line. */
static int find_script(const char *line) {
        for (size_t i = 0; i < ELEMENTSOF(workers); i++) {
                size_t n = strlen(workers[i].script);

                for (const char *p = strstr(line, workers[i].script); p;
                     p = strstr(p + 1, workers[i].script))
                        if ((p == line || strchr("/ \t\"'", p[-1])) &&
                            (p[n] == '\0' || strchr(" \t\n\"'", p[n]) ||
                             (p[n] == '.' && strspn(p + n + 1, "cm") <= 1 &&
                              strchr("jt", p[n + 1 + strspn(p + n + 1, "cm")]))))
                                return (int) i;
        }
        return -1;
}

static int add(JsonObject *list, const char *where, const char *what, const char *stop,
               bool publishes, bool hides) {
        _cleanup_(json_unrefp) JsonObject *o = json_object_new_object();
        _cleanup_free_ char *shown = utf8_make_valid(what, strlen(what), SHOWN_MAX);

        if (!o || !shown || json_set_string(o, "where", where) < 0 ||
            json_set_string(o, "what", shown) < 0 || json_set_string(o, "stop", stop) < 0 ||
            json_set_bool(o, "publishes", publishes) < 0 || json_set_bool(o, "hides", hides) < 0 ||
            json_object_array_add(list, o) < 0)
                return -ENOMEM;
        TAKE_PTR(o);
        return 0;
}

/* ---- cron ---- */

static int look_at_crontab(const char *path, JsonObject *list) {
        static const char spool[] = "/var/spool/cron/crontabs/";
        _cleanup_free_ char *text = read_file(path), *stop = NULL;
        char *save = NULL;
        int r = 0;

        stop = strncmp(path, spool, strlen(spool)) == 0
                       ? strjoinf("crontab -u %s -e, and take the line out", path + strlen(spool))
                       : strjoinf("take the line out of %s", path);
        if (!stop)
                return -ENOMEM;
        for (char *line = text ? strtok_r(text, "\n", &save) : NULL; line && r >= 0;
             line = strtok_r(NULL, "\n", &save)) {
                int i;

                line += strspn(line, " \t");
                i = *line == '#' ? -1 : find_script(line);
                if (i >= 0)
                        r = add(list, path, line, stop, workers[i].publishes, false);
        }
        return r;
}

/* ---- PM2 ---- */

static int find_in_pm2(const char *name, const char *path) {
        int i = path ? find_script(path) : -1;

        for (size_t k = 0; i < 0 && name && k < ELEMENTSOF(workers); k++)
                if (workers[k].in_pm2 && streq(workers[k].in_pm2, name))
                        i = (int) k;
        return i;
}

/* What "pm2 save" kept of a user's list. */
static int look_at_pm2(const char *user, const char *home, JsonObject *list) {
        _cleanup_free_ char *path = strjoinf("%s/.pm2/dump.pm2", home),
                            *text = path ? read_file(path) : NULL;
        _cleanup_(json_unrefp) JsonObject *apps = NULL;
        int r = 0;

        if (!path)
                return -ENOMEM;
        if (!text || json_parse(text, strlen(text), &apps) < 0 ||
            !json_object_is_type(apps, json_type_array))
                return 0;
        for (size_t i = 0; i < json_object_array_length(apps) && r >= 0; i++) {
                JsonObject *app = json_object_array_get_idx(apps, i);
                const char *name = json_string(app, "name"),
                           *script = json_string(app, "pm_exec_path");
                int k = find_in_pm2(name, script);
                _cleanup_free_ char *stop = NULL, *what = NULL;

                if (k < 0)
                        continue;
                what = strjoinf("%s (%s)", strnull(name), strnull(script));
                stop = strjoinf("sudo -u %s pm2 delete %s && sudo -u %s pm2 save", user,
                                strnull(name), user);
                r = what && stop ? add(list, path, what, stop, workers[k].publishes, false)
                                 : -ENOMEM;
        }
        return r;
}

static int look_at_users(JsonObject *list) {
        const struct passwd *p;
        int r = 0;

        setpwent();
        while (r >= 0 && (p = getpwent()))
                r = look_at_pm2(p->pw_name, p->pw_dir, list);
        endpwent();
        return r;
}

/* ---- units ---- */

/* A unit that somebody wrote. One that bears a name of ours is the one that systemd takes. */
static int look_at_unit(const char *path, JsonObject *list) {
        static const char *const ours[] = {
#define SERVICE(name) "automapost-" name ".service",
#define RESIDENT SERVICE
#include "service-list.h"
#undef SERVICE
        };
        _cleanup_free_ char *text = read_file(path), *stop = NULL;
        const char *name = strrchr(path, '/') + 1, *line;
        bool hides = false;
        int i;

        line = text ? strstr(text, "\nExecStart=") : NULL;
        if (!line || strstr(line, LIBEXECDIR))
                return 0;
        line++;
        text[(line - text) + (ptrdiff_t) strcspn(line, "\n")] = '\0';
        for (size_t k = 0; k < ELEMENTSOF(ours); k++)
                hides = hides || streq(name, ours[k]);
        i = find_script(line);
        if (i < 0 && !hides)
                return 0;
        stop = strjoinf("systemctl disable --now %.*s.timer %s; rm /etc/systemd/system/%.*s.*; "
                        "systemctl daemon-reload",
                        (int) strcspn(name, "."), name, name, (int) strcspn(name, "."), name);
        return stop ? add(list, path, line, stop, i >= 0 && workers[i].publishes, hides) : -ENOMEM;
}

/* ---- processes ---- */

static int look_at_process(const char *path, JsonObject *list) {
        _cleanup_free_ char *text = read_file(path), *where = NULL, *stop = NULL;
        unsigned long pid = strtoul(path + strlen("/proc/"), NULL, 10);
        const char *program;
        int i;

        if (!text || pid == (unsigned long) getpid())
                return 0;
        for (char *p = text; *p; p++)
                if (*p == '\n')
                        *p = p[1] ? ' ' : '\0';
        program = text;
        for (const char *p = text; *p && *p != ' '; p++)
                if (*p == '/')
                        program = p + 1;
        if (strncmp(program, "node", 4) != 0 && strncmp(program, "bun", 3) != 0 &&
            strncmp(program, "tsx", 3) != 0)
                return 0;
        i = find_script(text);
        if (i < 0)
                return 0;
        where = strjoinf("process %lu", pid);
        stop = strjoinf("stop what starts it, then: kill %lu", pid);
        return where && stop ? add(list, where, text, stop, workers[i].publishes, false) : -ENOMEM;
}

static int look_at_each(const char *pattern, int (*look)(const char *path, JsonObject *list),
                        JsonObject *list) {
        glob_t found = {};
        int r = 0;

        if (glob(pattern, GLOB_NOSORT, NULL, &found) == 0)
                for (size_t i = 0; i < found.gl_pathc && r >= 0; i++)
                        r = look(found.gl_pathv[i], list);
        globfree(&found);
        return r;
}

int old_workers_find(JsonObject **ret) {
        static const struct {
                const char *pattern;
                int (*look)(const char *path, JsonObject *list);
        } places[] = {
                { "/etc/crontab", look_at_crontab },
                { "/etc/cron.d/*", look_at_crontab },
                { "/var/spool/cron/crontabs/*", look_at_crontab },
                { "/etc/systemd/system/*.service", look_at_unit },
                { "/proc/[0-9]*/cmdline", look_at_process },
        };
        _cleanup_(json_unrefp) JsonObject *list = json_object_new_array();
        int r = list ? look_at_users(list) : -ENOMEM;

        for (size_t i = 0; i < ELEMENTSOF(places) && r >= 0; i++)
                r = look_at_each(places[i].pattern, places[i].look, list);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(list);
        return 0;
}
