/* SPDX-License-Identifier: MIT */

/* The application's .env, and the database that it names. */

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/env-file.h"
#include "base/text.h"
#include "cli/dotenv.h"
#include "cli/setup.h"
#include "db/url.h"

#define URL_EXAMPLE "DATABASE_URL='postgresql://USER:PASSWORD@HOST:5432/DATABASE'"

/* Where such an application lies on a server, and its files as Next.js ranks them in production. */
static const char *const folders[] = { "/var/www/automapost", "/srv/automapost",
                                       "/opt/automapost" };
static const char *const files[] = { ".env.production.local", ".env.local", ".env.production",
                                     ".env" };
/* A direct one first: a pooler between is good enough for the services, not for migrations. */
static const char *const url_names[] = { "DIRECT_URL", "DATABASE_URL" };

/* 1: the file names a URL; 0: it does not. */
static int read_url(Setup *s, const char *path, Error *ret_error) {
        _cleanup_(dotenv_done) Dotenv d = {};
        int r;

        r = dotenv_load(path, &d, ret_error);
        if (r < 0)
                return r;
        for (size_t i = 0; i < ELEMENTSOF(url_names); i++) {
                _cleanup_(erase_and_freep) char *url = NULL;
                _cleanup_(error_done) Error error = ERROR_NULL;

                r = dotenv_get(&d, url_names[i], &url, &error);
                if (r < 0)
                        return error_setf(ret_error, error.class, r, error.code, "%s: %s", path,
                                          error.message);
                if (isempty(url))
                        continue;
                s->env_path = strdup(path);
                if (!s->env_path)
                        return error_oom(ret_error);
                s->url_name = url_names[i];
                s->url = TAKE_PTR(url);
                return 1;
        }
        return 0;
}

/* 0: it is not there, or names no URL. */
static int look_in_file(Setup *s, const char *folder, const char *name, Error *ret_error) {
        _cleanup_free_ char *path = strjoinf("%s/%s", folder, name);

        if (!path)
                return error_oom(ret_error);
        return access(path, F_OK) < 0 ? 0 : read_url(s, path, ret_error);
}

/* The first file of a folder that names a URL. 0: none does. */
static int look_in_folder(Setup *s, const char *folder, Error *ret_error) {
        int r = 0;

        for (size_t i = 0; r == 0 && i < ELEMENTSOF(files); i++)
                r = look_in_file(s, folder, files[i], ret_error);
        return r;
}

static int no_url(const char *where, Error *ret_error) {
        return error_setf(ret_error, ERROR_CONFIG, -ENOENT, "no-url",
                          "%s names no database\n"
                          "HINT: it needs a line like " URL_EXAMPLE,
                          where);
}

static int look_at(Setup *s, const char *path, Error *ret_error) {
        struct stat st;
        int r;

        if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
                r = look_in_folder(s, path, ret_error);
        else
                r = read_url(s, path, ret_error);
        return r == 0 ? no_url(path, ret_error) : r;
}

/* Nobody said where: the one that an earlier setup was told, else the usual places. */
static int search(Setup *s, Error *ret_error) {
        _cleanup_free_ char *kept = NULL;
        int r;

        r = env_file_get(SETUP_FILE, "AUTOMAPOST_APPLICATION_ENV", &kept, ret_error);
        if (r < 0)
                return r;
        if (!isempty(kept))
                return look_at(s, kept, ret_error);
        for (size_t i = 0; i < ELEMENTSOF(folders); i++) {
                r = look_in_folder(s, folders[i], ret_error);
                if (r != 0)
                        return r;
        }
        return error_setf(ret_error, ERROR_CONFIG, -ENOENT, "no-env",
                          "the application's .env was not found in %s, %s or %s\n"
                          "HINT: automapost setup --env FILE, the file in which the application "
                          "keeps its DATABASE_URL",
                          folders[0], folders[1], folders[2]);
}

/* Also where the URL is one for the application's ORM alone. */
static int check_url(const Setup *s, Error *ret_error) {
        _cleanup_free_ char *database = NULL, *scheme = NULL;
        int r;

        if (strncmp(s->url, "postgres://", 11) != 0 && strncmp(s->url, "postgresql://", 13) != 0) {
                scheme = utf8_make_valid(s->url, strcspn(s->url, ":/@ "), 20);
                return error_setf(ret_error, ERROR_CONFIG, -EINVAL, "database-url",
                                  "%s in %s is no URL of PostgreSQL: it begins with \"%s\"\n"
                                  "HINT: it needs a line like " URL_EXAMPLE "%s",
                                  s->url_name, s->env_path, strnull(scheme),
                                  streq(s->url_name, "DATABASE_URL")
                                          ? ", or a DIRECT_URL of that kind beside it"
                                          : "");
        }
        r = db_url_get(s->url, "dbname", &database);
        if (r == -ENOMEM)
                return error_oom(ret_error);
        if (r < 0)
                return error_setf(ret_error, ERROR_CONFIG, -EINVAL, "database-url",
                                  "%s in %s is no URL that libpq understands\n"
                                  "HINT: signs like @ / # %% in a password are written %%40 %%2F "
                                  "%%23 %%25; parameters that only an ORM knows are left out here",
                                  s->url_name, s->env_path);
        if (!database)
                return error_setf(ret_error, ERROR_CONFIG, -EINVAL, "database-url",
                                  "%s in %s names no database after the host\n"
                                  "HINT: it needs a line like " URL_EXAMPLE
                                  "; outside of quotes a # ends it",
                                  s->url_name, s->env_path);
        return 0;
}

int setup_application(Setup *s, const char *env, Error *ret_error) {
        _cleanup_free_ char *path = NULL;
        int r;

        r = env ? look_at(s, env, ret_error) : search(s, ret_error);
        if (r < 0)
                return r;
        /* it is kept, and read again from elsewhere */
        path = realpath(s->env_path, NULL);
        if (!path)
                return error_setf(ret_error, ERROR_CONFIG, -errno, "dotenv", "cannot find %s: %s",
                                  s->env_path, strerrordesc_np(errno));
        free(s->env_path);
        s->env_path = TAKE_PTR(path);
        return check_url(s, ret_error);
}
