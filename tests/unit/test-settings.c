/* SPDX-License-Identifier: MIT */
#include "test.h"

#include "base/settings.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/text.h"
#include "fake.h"

static char directory[] = "/tmp/test-settings-XXXXXX";

/* Nothing of ours is in the environment. */
static int set_up(void **state _unused_) {
        for (char **e = environ; *e;) {
                _cleanup_free_ char *name = strndup(*e, strcspn(*e, "="));

                if (strncmp(name, "AUTOMAPOST_", 11) == 0 || streq(name, "STATE_DIRECTORY") ||
                    streq(name, "CREDENTIALS_DIRECTORY")) {
                        if (unsetenv(name) < 0)
                                return -1;
                        e = environ;
                } else
                        e++;
        }

        return 0;
}

static int make_directory(void **state _unused_) {
        return mkdtemp(directory) ? 0 : -1;
}

static int remove_directory(void **state _unused_) {
        return rmdir(directory);
}

static void set(const char *name, const char *value) {
        assert_int_equal(setenv(name, value, 1), 0);
}

static void write_credential(const char *name, const char *content, size_t n) {
        _cleanup_free_ char *path = strjoinf("%s/%s", directory, name);
        _cleanup_close_ int fd = -1;

        fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
        assert_int_equal(write(fd, content, n), n);
        set("CREDENTIALS_DIRECTORY", directory);
}

static void remove_credential(const char *name) {
        _cleanup_free_ char *path = strjoinf("%s/%s", directory, name);

        (void) unlink(path);
        (void) rmdir(path);
}

static void load(Settings *ret) {
        _cleanup_(error_done) Error e = ERROR_NULL;

        if (settings_load(ret, &e) != 0)
                fail_msg("%s", e.message);
}

/* Loading fails, as an error of configuration with exactly this text. */
static void assert_refused(const char *expected) {
        _cleanup_(error_done) Error e = ERROR_NULL;
        Settings s = { .actors = 4711 };

        assert_int_equal(settings_load(&s, &e), -EINVAL);
        assert_int_equal(e.class, ERROR_CONFIG);
        assert_string_equal(e.message, expected);
        assert_int_equal(s.actors, 4711);
        assert_int_equal(settings_load(&s, NULL), -EINVAL);
}

static const Setting *setting(const char *name) {
        for (size_t i = 0; i < n_settings; i++)
                if (streq(settings_table[i].name, name))
                        return &settings_table[i];

        fail_msg("there is no %s", name);
        return NULL;
}

static void assert_described(const Settings *s, const char *name, const char *text,
                             SettingOrigin origin) {
        _cleanup_free_ char *described = NULL;
        SettingOrigin from;

        assert_int_equal(setting_describe(setting(name), s, &described, &from), 0);
        assert_string_equal(described, text);
        assert_int_equal(from, origin);
}

static void test_table(void **state _unused_) {
        for (size_t i = 0; i < n_settings; i++) {
                const Setting *t = &settings_table[i];

                assert_int_equal(strncmp(t->name, "AUTOMAPOST_", 11), 0);
                assert_non_null(t->fallback);
                assert_non_null(t->help);
                assert_true(strlen(t->help) > 0 && strlen(t->help) <= 80);
                assert_null(strchr(t->help, '\n'));
                assert_int_equal(t->type == SETTING_CHOICE, t->choices != NULL);
                assert_int_equal(t->type == SETTING_UINT, t->max > 0);
                assert_int_equal(t->secret, t->credential != NULL);
                for (size_t k = 0; k < i; k++) {
                        assert_string_not_equal(t->name, settings_table[k].name);
                        assert_int_not_equal(t->offset, settings_table[k].offset);
                }
        }
}

static void test_defaults(void **state _unused_) {
        _cleanup_(settings_done) Settings s = {};

        load(&s);
        assert_string_equal(s.database_url, "");
        assert_string_equal(s.providers, "real");
        assert_string_equal(s.sandbox_dir, "");
        assert_string_equal(s.state_dir, "/var/lib/automapost-jobs");
        assert_string_equal(s.log_level, "info");
        assert_int_equal(s.actors, 64);
        assert_int_equal(s.budget_sec, 600);
        assert_int_equal(s.grace_sec, 15);
        assert_false(s.allow_private_hosts);
        assert_string_equal(s.ca_file, "");
        assert_string_equal(s.linkedin_url, "https://api.linkedin.com");
        assert_string_equal(s.linkedin_auth_url, "https://www.linkedin.com");
        assert_string_equal(s.linkedin_version, "202609");
        assert_string_equal(s.linkedin_client_id, "");
        assert_string_equal(s.linkedin_client_secret, "");
        assert_string_equal(s.bluesky_url, "https://bsky.social");
        assert_string_equal(s.bluesky_web_url, "https://bsky.app");
        assert_string_equal(s.plc_url, "https://plc.directory");
        assert_string_equal(s.mastodon_url, "");
        assert_string_equal(s.smtp_tls, "starttls");
        assert_int_equal(s.alert_after_sec, 5 * 60);
        assert_int_equal(s.alert_person_after_sec, 60 * 60);
        assert_int_equal(s.alert_repeat_sec, 6 * 60 * 60);
        assert_int_equal(s.alert_over_sec, 2 * 60);

        for (size_t i = 0; i < n_settings; i++) {
                _cleanup_free_ char *text = NULL;
                SettingOrigin origin;

                assert_int_equal(setting_describe(&settings_table[i], &s, &text, &origin), 0);
                assert_string_equal(text, settings_table[i].fallback);
                assert_int_equal(origin, ORIGIN_DEFAULT);
        }
}

static void test_environment(void **state _unused_) {
        _cleanup_(settings_done) Settings s = {};

        set("AUTOMAPOST_DATABASE_URL", "postgresql:///x");
        set("AUTOMAPOST_PROVIDERS", "sandbox");
        set("AUTOMAPOST_SANDBOX_DIR", "/tmp/sandbox");
        set("AUTOMAPOST_LOG_LEVEL", "debug");
        set("AUTOMAPOST_ACTORS", "512");
        set("AUTOMAPOST_BUDGET_SEC", "1");
        set("AUTOMAPOST_ALLOW_PRIVATE_HOSTS", "Yes");
        set("AUTOMAPOST_LINKEDIN_VERSION", "202512");
        set("AUTOMAPOST_BLUESKY_URL", "http://127.0.0.1:8080/base//");
        set("AUTOMAPOST_MASTODON_URL", "https://mastodon.example/");
        /* not ours */
        set("AUTOMAPOSTX", "x");
        set("OTHER_AUTOMAPOST_X", "x");
        /* as good as not set */
        set("AUTOMAPOST_GRACE_SEC", "");
        set("AUTOMAPOST_PLC_URL", "");

        load(&s);
        assert_string_equal(s.database_url, "postgresql:///x");
        assert_string_equal(s.providers, "sandbox");
        assert_string_equal(s.sandbox_dir, "/tmp/sandbox");
        assert_string_equal(s.log_level, "debug");
        assert_int_equal(s.actors, 512);
        assert_int_equal(s.budget_sec, 1);
        assert_true(s.allow_private_hosts);
        assert_string_equal(s.linkedin_version, "202512");
        assert_string_equal(s.bluesky_url, "http://127.0.0.1:8080/base");
        assert_string_equal(s.mastodon_url, "https://mastodon.example");
        assert_int_equal(s.grace_sec, 15);
        assert_string_equal(s.plc_url, "https://plc.directory");

        assert_described(&s, "AUTOMAPOST_ACTORS", "512", ORIGIN_ENVIRONMENT);
        assert_described(&s, "AUTOMAPOST_ALLOW_PRIVATE_HOSTS", "yes", ORIGIN_ENVIRONMENT);
        assert_described(&s, "AUTOMAPOST_BLUESKY_URL", "http://127.0.0.1:8080/base",
                         ORIGIN_ENVIRONMENT);
        assert_described(&s, "AUTOMAPOST_DATABASE_URL", "[set]", ORIGIN_ENVIRONMENT);
        assert_described(&s, "AUTOMAPOST_GRACE_SEC", "15", ORIGIN_DEFAULT);
        assert_described(&s, "AUTOMAPOST_LINKEDIN_CLIENT_SECRET", "", ORIGIN_DEFAULT);
}

static void test_bool(void **state _unused_) {
        static const char *const yes[] = { "yes", "true", "on", "1", "TRUE" }, *const no[] = {
                "no", "false", "off", "0", "Off"
        };

        for (size_t i = 0; i < ELEMENTSOF(yes); i++) {
                _cleanup_(settings_done) Settings s = {}, t = {};

                set("AUTOMAPOST_ALLOW_PRIVATE_HOSTS", yes[i]);
                load(&s);
                assert_true(s.allow_private_hosts);
                set("AUTOMAPOST_ALLOW_PRIVATE_HOSTS", no[i]);
                load(&t);
                assert_false(t.allow_private_hosts);
        }
}

static void test_state_directory(void **state _unused_) {
        _cleanup_(settings_done) Settings a = {}, b = {}, c = {};

        set("STATE_DIRECTORY", "/var/lib/private/automapost-jobs");
        load(&a);
        assert_string_equal(a.state_dir, "/var/lib/private/automapost-jobs");
        assert_described(&a, "AUTOMAPOST_STATE_DIR", "/var/lib/private/automapost-jobs",
                         ORIGIN_ENVIRONMENT);
        assert_described(&a, "AUTOMAPOST_SANDBOX_DIR", "", ORIGIN_DEFAULT);

        set("STATE_DIRECTORY", "/var/lib/one:/var/lib/two");
        load(&b);
        assert_string_equal(b.state_dir, "/var/lib/one");

        set("AUTOMAPOST_STATE_DIR", "/srv/state");
        load(&c);
        assert_string_equal(c.state_dir, "/srv/state");
}

static void test_bad_values(void **state _unused_) {
        static const struct {
                const char *name, *value, *expected;
        } cases[] = {
                { "ACTORS", "0", "is \"0\", must be a whole number from 1 to 512" },
                { "ACTORS", "513", "is \"513\", must be a whole number from 1 to 512" },
                { "ACTORS", "-1", "is \"-1\", must be a whole number from 1 to 512" },
                { "ACTORS", "+1", "is \"+1\", must be a whole number from 1 to 512" },
                { "ACTORS", " 1", "is \" 1\", must be a whole number from 1 to 512" },
                { "ACTORS", "1 ", "is \"1 \", must be a whole number from 1 to 512" },
                { "ACTORS", "1.5", "is \"1.5\", must be a whole number from 1 to 512" },
                { "ACTORS", "0x10", "is \"0x10\", must be a whole number from 1 to 512" },
                { "ACTORS", "18446744073709551617",
                  "is \"18446744073709551617\", must be a whole number from 1 to 512" },
                { "BUDGET_SEC", "3601", "is \"3601\", must be a whole number from 1 to 3600 s" },
                { "GRACE_SEC", "5min", "is \"5min\", must be a whole number from 1 to 300 s" },
                { "PROVIDERS", "fake", "is \"fake\", must be one of real|sandbox" },
                { "PROVIDERS", "Real", "is \"Real\", must be one of real|sandbox" },
                { "PROVIDERS", "real|sandbox", "is \"real|sandbox\", must be one of real|sandbox" },
                { "PROVIDERS", "rea", "is \"rea\", must be one of real|sandbox" },
                { "LOG_LEVEL", "warn", "is \"warn\", must be one of debug|info|warning|error" },
                { "ALLOW_PRIVATE_HOSTS", "maybe", "is \"maybe\", must be yes or no" },
                { "LINKEDIN_VERSION", "2026", "is \"2026\", must be a year and month as YYYYMM" },
                { "LINKEDIN_VERSION", "202600",
                  "is \"202600\", must be a year and month as YYYYMM" },
                { "LINKEDIN_VERSION", "202613",
                  "is \"202613\", must be a year and month as YYYYMM" },
                { "LINKEDIN_VERSION", "2026-9",
                  "is \"2026-9\", must be a year and month as YYYYMM" },
                { "LINKEDIN_VERSION", "2026091",
                  "is \"2026091\", must be a year and month as YYYYMM" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_free_ char *name = strjoinf("AUTOMAPOST_%s", cases[i].name),
                                    *expected = strjoinf("%s %s", name, cases[i].expected);

                set(name, cases[i].value);
                assert_refused(expected);
                assert_int_equal(unsetenv(name), 0);
        }
}

static void test_bad_urls(void **state _unused_) {
        static const char *const bad[] = {
                "example.org",        "ftp://example.org", "https:/example.org", "https://",
                "https:///x",         "https://:80",       "HTTPS//x",           "https://a b",
                "https://a\n",        "https://a?x=1",     "https://a#x",        "https://\xc3\xa4",
                " https://a.example", "https://a/<x>",
        };

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                _cleanup_free_ char *expected = strjoinf(
                        "AUTOMAPOST_MASTODON_URL is \"%s\", must be an http:// or https:// "
                        "URL without user, query and fragment",
                        bad[i]);

                set("AUTOMAPOST_MASTODON_URL", bad[i]);
                assert_refused(expected);
        }

        /* the password in it is not repeated */
        set("AUTOMAPOST_MASTODON_URL", "https://user:hunter2@example.org");
        assert_refused("AUTOMAPOST_MASTODON_URL must be an http:// or https:// URL without user, "
                       "query and fragment");
}

static void test_links(void **state _unused_) {
        static const char *const good[] = { "https://hooks.example/a/b?key=c&d=%20",
                                            "http://127.0.0.1:8080", "https://a.example/" };
        static const char *const bad[] = { "hooks.example", "https://",       "https://?x",
                                           "https://:80",   "https://u:p@h/", "https://a b/",
                                           "https://a/#x",  "mailto:a@b" };

        for (size_t i = 0; i < ELEMENTSOF(good); i++) {
                _cleanup_(settings_done) Settings s = {};

                set("AUTOMAPOST_ALERT_WEBHOOK_URL", good[i]);
                load(&s);
                assert_string_equal(s.alert_webhook_url, good[i]);
                assert_described(&s, "AUTOMAPOST_ALERT_WEBHOOK_URL", "[set]", ORIGIN_ENVIRONMENT);
        }
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                set("AUTOMAPOST_ALERT_WEBHOOK_URL", bad[i]);
                assert_refused("AUTOMAPOST_ALERT_WEBHOOK_URL must be an http:// or https:// URL "
                               "without user and fragment");
        }
}

static void test_mailboxes(void **state _unused_) {
        _cleanup_(settings_done) Settings s = {};

        set("AUTOMAPOST_MAIL_FROM", "AutomaPost <alerts@example.org>");
        set("AUTOMAPOST_ALERT_MAIL_TO", "one@example.org, Night shift <two@example.org>");
        load(&s);
        assert_string_equal(s.mail_from, "AutomaPost <alerts@example.org>");
        assert_string_equal(s.alert_mail_to, "one@example.org, Night shift <two@example.org>");

        set("AUTOMAPOST_MAIL_FROM", "one@example.org, two@example.org");
        assert_refused("AUTOMAPOST_MAIL_FROM is \"one@example.org, two@example.org\", must be a "
                       "mail address: user@host or Name <user@host>");
        assert_int_equal(unsetenv("AUTOMAPOST_MAIL_FROM"), 0);
        set("AUTOMAPOST_ALERT_MAIL_TO", "one@example.org, two");
        assert_refused("AUTOMAPOST_ALERT_MAIL_TO is \"one@example.org, two\", must be mail "
                       "addresses, separated by commas");
}

/* The first thing that is wrong is said, and everything that is right is taken. */
static void test_usable(void **state _unused_) {
        _cleanup_(settings_done) Settings s = {}, right = {};
        _cleanup_(error_done) Error e = ERROR_NULL, none = ERROR_NULL;

        set("AUTOMAPOST_ACTORS", "many");
        set("AUTOMAPOST_BUDGET_SEC", "x");
        set("AUTOMAPOST_GRACE_SEC", "7");
        set("AUTOMAPOST_MAIL_FROM", "alerts@example.org");
        assert_int_equal(settings_load_usable(&s, &e), -EINVAL);
        assert_int_equal(e.class, ERROR_CONFIG);
        assert_string_equal(e.message,
                            "AUTOMAPOST_ACTORS is \"many\", must be a whole number from 1 to 512");
        assert_int_equal(s.actors, 64);
        assert_int_equal(s.budget_sec, 600);
        assert_int_equal(s.grace_sec, 7);
        assert_string_equal(s.mail_from, "alerts@example.org");

        set("AUTOMAPOST_ACTORS", "1");
        set("AUTOMAPOST_BUDGET_SEC", "1");
        assert_int_equal(settings_load_usable(&right, &none), 0);
        assert_int_equal(right.actors, 1);
        assert_int_equal(none.class, ERROR_NONE);
}

static void test_unknown(void **state _unused_) {
        static const char *const cases[][2] = {
                { "AUTOMAPOST_ACTOR", "AUTOMAPOST_ACTORS" },
                { "AUTOMAPOST_actors", "AUTOMAPOST_ACTORS" },
                { "AUTOMAPOST_DATABSE_URL", "AUTOMAPOST_DATABASE_URL" },
                { "AUTOMAPOST_LINKEDIN_CLIENTSECRET", "AUTOMAPOST_LINKEDIN_CLIENT_SECRET" },
                { "AUTOMAPOST_BUDGET", "AUTOMAPOST_BUDGET_SEC" },
                { "AUTOMAPOST_ACTORSX", "AUTOMAPOST_ACTORS" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_free_ char *expected =
                        strjoinf("unknown setting %s, did you mean %s?", cases[i][0], cases[i][1]);

                set(cases[i][0], "hunter2");
                assert_refused(expected);
                assert_int_equal(unsetenv(cases[i][0]), 0);
        }
}

static void test_unknown_long(void **state _unused_) {
        _cleanup_(error_done) Error e = ERROR_NULL;
        char name[1000] = "AUTOMAPOST_";
        Settings s = {};

        memset(name + 11, 'X', sizeof(name) - 12);
        set(name, "");
        assert_int_equal(settings_load(&s, &e), -EINVAL);
        assert_true(strlen(e.message) < 200);
}

static void test_credentials(void **state _unused_) {
        _cleanup_(settings_done) Settings s = {}, t = {};

        set("AUTOMAPOST_DATABASE_URL", "postgresql:///from-environment");
        write_credential("database-url", "postgresql:///from-credential\n", 30);
        load(&s);
        assert_string_equal(s.database_url, "postgresql:///from-credential");
        assert_string_equal(s.linkedin_client_secret, "");
        assert_described(&s, "AUTOMAPOST_DATABASE_URL", "[set]", ORIGIN_CREDENTIAL);
        assert_described(&s, "AUTOMAPOST_LINKEDIN_CLIENT_SECRET", "", ORIGIN_DEFAULT);

        /* one line end is the editor's, what is more is meant */
        write_credential("linkedin-client-secret", " x \n\n", 5);
        load(&t);
        assert_string_equal(t.linkedin_client_secret, " x \n");

        /* of a folder that systemd loads as a whole; by its own name comes first */
        write_credential("automapost_smtp-password", "of a folder\n", 12);
        write_credential("automapost_database-url", "postgresql:///other", 19);
        settings_done(&t);
        load(&t);
        assert_string_equal(t.smtp_password, "of a folder");
        assert_string_equal(t.database_url, "postgresql:///from-credential");
        assert_described(&t, "AUTOMAPOST_SMTP_PASSWORD", "[set]", ORIGIN_CREDENTIAL);
        remove_credential("automapost_smtp-password");
        remove_credential("automapost_database-url");

        remove_credential("database-url");
        remove_credential("linkedin-client-secret");
        settings_done(&s);
        load(&s);
        assert_string_equal(s.database_url, "postgresql:///from-environment");
        assert_described(&s, "AUTOMAPOST_DATABASE_URL", "[set]", ORIGIN_ENVIRONMENT);
}

static void test_bad_credentials(void **state _unused_) {
        _cleanup_free_ char *path = strjoinf("%s/database-url", directory),
                            *no_text = strjoinf("credential %s is no text or too large", path),
                            *unreadable =
                                    strjoinf("cannot read credential %s: Is a directory", path),
                            *large = calloc(1, 65537);
        _cleanup_(error_done) Error e = ERROR_NULL;
        _cleanup_(settings_done) Settings s = {};

        write_credential("database-url", "a\0b", 3);
        assert_refused(no_text);

        memset(large, 'x', 65536);
        write_credential("database-url", large, 65536);
        assert_refused(no_text);
        write_credential("database-url", large, 65535);
        load(&s);
        assert_int_equal(strlen(s.database_url), 65535);
        settings_done(&s);
        remove_credential("database-url");

        assert_int_equal(mkdir(path, 0700), 0);
        assert_int_equal(settings_load(&s, &e), -EISDIR);
        assert_int_equal(e.class, ERROR_CONFIG);
        assert_string_equal(e.message, unreadable);
        remove_credential("database-url");
}

static void test_done(void **state _unused_) {
        Settings s = {};

        settings_done(NULL);
        settings_done(&s);
        load(&s);
        settings_done(&s);
        assert_null(s.database_url);
        assert_null(s.linkedin_url);
}

static void test_no_memory(void **state _unused_) {
        set("STATE_DIRECTORY", "/var/lib/one");
        set("CREDENTIALS_DIRECTORY", directory);
        write_credential("database-url", "postgresql:///x", 15);

        for (size_t i = 0;; i++) {
                _cleanup_(settings_done) Settings s = {};
                _cleanup_(error_done) Error e = ERROR_NULL;
                int r;

                oom_at(i);
                r = settings_load(&s, &e);
                if (!oom_off()) {
                        assert_int_equal(r, 0);
                        assert_true(i > n_settings / 2);
                        break;
                }
                assert_int_equal(r, -ENOMEM);
                assert_int_equal(e.class, ERROR_TRANSIENT);
                assert_null(s.database_url);
        }
        remove_credential("database-url");
}

static void test_no_memory_to_refuse(void **state _unused_) {
        set("AUTOMAPOST_DATABASE_URL", "x");
        for (size_t unknown = 0; unknown < 2; unknown++) {
                set(unknown ? "AUTOMAPOST_X" : "AUTOMAPOST_PROVIDERS", "x");
                for (size_t i = 0; i < 20; i++) {
                        _cleanup_(error_done) Error e = ERROR_NULL;
                        Settings s = {};
                        int r;

                        oom_at(i);
                        r = settings_load(&s, &e);
                        assert_true(oom_off() ? r == -ENOMEM || r == -EINVAL : r == -EINVAL);
                }
                (void) set_up(NULL);
        }
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup(test_table, set_up),
                cmocka_unit_test_setup(test_defaults, set_up),
                cmocka_unit_test_setup(test_environment, set_up),
                cmocka_unit_test_setup(test_bool, set_up),
                cmocka_unit_test_setup(test_state_directory, set_up),
                cmocka_unit_test_setup(test_bad_values, set_up),
                cmocka_unit_test_setup(test_bad_urls, set_up),
                cmocka_unit_test_setup(test_links, set_up),
                cmocka_unit_test_setup(test_mailboxes, set_up),
                cmocka_unit_test_setup(test_usable, set_up),
                cmocka_unit_test_setup(test_unknown, set_up),
                cmocka_unit_test_setup(test_unknown_long, set_up),
                cmocka_unit_test_setup(test_credentials, set_up),
                cmocka_unit_test_setup(test_bad_credentials, set_up),
                cmocka_unit_test_setup(test_done, set_up),
                cmocka_unit_test_setup(test_no_memory, set_up),
                cmocka_unit_test_setup(test_no_memory_to_refuse, set_up),
        };

        return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
