/* SPDX-License-Identifier: MIT */

#include <errno.h>
#include <libpq-fe.h>

#include "base/text.h"
#include "db/url.h"

DEFINE_CLEANUP(PQconninfoOption, PQconninfoFree);

/* What ORMs add to a URL and libpq refuses. */
static const char *const orm_parameters[] = {
        "schema",
        "connection_limit",
        "pgbouncer",
        "pool_timeout",
        "socket_timeout",
        "sslaccept",
        "statement_cache_size",
        "uselibpqcompat",
        "sslidentity",
        "max_connection_lifetime",
        "max_idle_connection_lifetime",
        "single_use_connections",
};

static bool is_orm_parameter(const char *p, size_t n) {
        for (size_t i = 0; i < ELEMENTSOF(orm_parameters); i++)
                if (strlen(orm_parameters[i]) == n && strncmp(p, orm_parameters[i], n) == 0)
                        return true;
        return false;
}

char *db_url_strip(const char *url) {
        const char *query = strchr(url, '?');
        _cleanup_(str_done) Str s = {};
        char separator = '?';

        if (!query ||
            (strncmp(url, "postgres://", 11) != 0 && strncmp(url, "postgresql://", 13) != 0))
                return strdup(url);
        if (str_append_n(&s, url, (size_t) (query - url)) < 0)
                return NULL;
        for (const char *p = query + 1; *p;) {
                size_t n = strcspn(p, "&");

                if (n > 0 && !is_orm_parameter(p, strcspn(p, "=&"))) {
                        if (str_append_n(&s, &separator, 1) < 0 || str_append_n(&s, p, n) < 0)
                                return NULL;
                        separator = '&';
                }
                p += n + (p[n] == '&');
        }
        return TAKE_PTR(s.data);
}

static int parse_url(const char *url, PQconninfoOption **ret) {
        _cleanup_(erase_and_freep) char *stripped = db_url_strip(url);

        if (!stripped)
                return -ENOMEM;
        *ret = PQconninfoParse(stripped, NULL);
        return *ret ? 0 : -EINVAL;
}

int db_url_get(const char *url, const char *keyword, char **ret) {
        _cleanup_(PQconninfoFreep) PQconninfoOption *options = NULL;
        const char *value = NULL;
        char *copy = NULL;
        int r;

        r = parse_url(url, &options);
        if (r < 0)
                return r;
        for (PQconninfoOption *o = options; o->keyword; o++)
                if (streq(o->keyword, keyword) && !isempty(o->val))
                        value = o->val;
        if (value) {
                copy = strdup(value);
                if (!copy)
                        return -ENOMEM;
        }
        *ret = copy;
        return 0;
}

static int append_encoded(Str *s, const char *before, const char *value) {
        _cleanup_(erase_and_freep) char *encoded = percent_encode(value);

        return !encoded || str_append(s, before) < 0 ? -ENOMEM : str_append(s, encoded);
}

/* The value after the changes; NULL where there is none. */
static const char *changed(const PQconninfoOption *options, const char *const *changes,
                           const char *keyword) {
        for (; *changes; changes += 2)
                if (streq(*changes, keyword))
                        return isempty(changes[1]) ? NULL : changes[1];
        for (const PQconninfoOption *o = options; o->keyword; o++)
                if (streq(o->keyword, keyword))
                        return isempty(o->val) ? NULL : o->val;
        return NULL;
}

bool db_url_is_peer(const char *url) {
        _cleanup_(erase_and_freep) char *password = NULL;
        _cleanup_free_ char *host = NULL;

        return db_url_get(url, "password", &password) >= 0 && !password &&
               db_url_get(url, "host", &host) >= 0 && (!host || *host == '/');
}

int db_url_set(const char *url, const char *const *changes, char **ret) {
        static const char *const in_front[] = { "user", "password", "host", "port", "dbname" };
        _cleanup_(PQconninfoFreep) PQconninfoOption *options = NULL;
        const char *value[ELEMENTSOF(in_front)];
        Str s = {};
        bool plain;
        char separator[] = "?";
        int r;

        r = parse_url(url, &options);
        if (r < 0)
                return r;
        for (size_t i = 0; i < ELEMENTSOF(in_front); i++)
                value[i] = changed(options, changes, in_front[i]);
        /* several hosts, folders of sockets and IPv6 are easier to read as parameters */
        plain = value[2] && !strpbrk(value[2], ",/:");

        r = str_append(&s, "postgresql://");
        if (r >= 0 && value[0])
                r = append_encoded(&s, "", value[0]);
        if (r >= 0 && value[0] && value[1])
                r = append_encoded(&s, ":", value[1]);
        if (r >= 0 && value[0])
                r = str_append(&s, "@");
        if (r >= 0 && plain)
                r = append_encoded(&s, "", value[2]);
        if (r >= 0 && plain && value[3])
                r = append_encoded(&s, ":", value[3]);
        if (r >= 0)
                r = append_encoded(&s, "/", value[4] ?: "");
        for (PQconninfoOption *o = options; r >= 0 && o->keyword; o++) {
                const char *v = changed(options, changes, o->keyword);
                bool front = false;

                for (size_t i = 0; i < ELEMENTSOF(in_front); i++)
                        front = front || streq(in_front[i], o->keyword);
                if (!v ||
                    (front && (plain || !(streq(o->keyword, "host") || streq(o->keyword, "port")))))
                        continue;
                r = str_append(&s, separator);
                if (r >= 0)
                        r = str_append(&s, o->keyword);
                if (r >= 0)
                        r = append_encoded(&s, "=", v);
                separator[0] = '&';
        }
        if (r < 0) {
                erase_and_freep(&s.data);
                return r;
        }
        *ret = s.data;
        return 0;
}

int db_url_target(const char *url, char **ret_host, char **ret_port) {
        _cleanup_(PQconninfoFreep) PQconninfoOption *options = NULL;
        _cleanup_(erase_and_freep) char *stripped = db_url_strip(url);
        const char *host = getenv("PGHOST"), *port = getenv("PGPORT");
        _cleanup_free_ char *host_copy = NULL, *port_copy = NULL;

        if (!stripped)
                return -ENOMEM;
        options = PQconninfoParse(stripped, NULL);
        for (PQconninfoOption *o = options; o && o->keyword; o++) {
                if (isempty(o->val))
                        continue;
                if (streq(o->keyword, "host") || (streq(o->keyword, "hostaddr") && isempty(host)))
                        host = o->val;
                else if (streq(o->keyword, "port"))
                        port = o->val;
        }
        host_copy = isempty(host) ? NULL : strdup(host);
        port_copy = isempty(port) ? NULL : strdup(port);
        if ((!isempty(host) && !host_copy) || (!isempty(port) && !port_copy))
                return -ENOMEM;
        *ret_host = TAKE_PTR(host_copy);
        *ret_port = TAKE_PTR(port_copy);
        return 0;
}
