/* SPDX-License-Identifier: MIT */
#include "test.h"

#include "base/text.h"
#include "base/time-util.h"
#include "net/mail.h"

#include <errno.h>

static Mail a_mail(void) {
        Mail m = {
                .from = "alerts@example.org",
                .to = "operator@example.org",
                .subject = "Posts are not going out",
                .text = "One line.\n",
                .id = "4711",
        };

        assert_int_equal(time_parse_iso8601("2026-11-05T06:41:09Z", &m.date), 0);
        return m;
}

static char *compose(const Mail *m) {
        _cleanup_(error_done) Error e = ERROR_NULL;
        char *s = NULL;

        if (mail_compose(m, &s, &e) < 0)
                fail_msg("%s", e.message);
        return s;
}

/* What must hold of every message: CRLF alone, ASCII, short lines. */
static void check_lines(const char *message) {
        const char *line = message;

        assert_true(strlen(message) > 2);
        assert_string_equal(message + strlen(message) - 2, "\r\n");
        for (const char *p = message; *p; p++) {
                assert_true((*p >= ' ' && *p <= '~') || *p == '\t' || *p == '\r' || *p == '\n');
                if (*p == '\r')
                        assert_int_equal(p[1], '\n');
                if (*p == '\n') {
                        assert_true(p > message && p[-1] == '\r');
                        assert_true(p - 1 - line <= 76);
                        line = p + 1;
                }
        }
}

static void test_plain(_unused_ void **state) {
        const Mail m = a_mail();
        _cleanup_free_ char *s = compose(&m);

        assert_string_equal(s, "Date: Thu, 5 Nov 2026 06:41:09 +0000\r\n"
                               "From: alerts@example.org\r\n"
                               "To: operator@example.org\r\n"
                               "Subject: Posts are not going out\r\n"
                               "Message-ID: <4711@example.org>\r\n"
                               "Auto-Submitted: auto-generated\r\n"
                               "MIME-Version: 1.0\r\n"
                               "Content-Type: text/plain; charset=UTF-8\r\n"
                               "Content-Transfer-Encoding: quoted-printable\r\n"
                               "\r\n"
                               "One line.\r\n");
}

static void test_names(_unused_ void **state) {
        Mail m = a_mail();
        _cleanup_free_ char *s = NULL, *encoded = NULL;

        m.from = "AutomaPost, alerts <alerts@example.org>";
        m.to = "\"Operator\" <operator@example.org>";
        s = compose(&m);
        assert_non_null(strstr(s, "\r\nFrom: \"AutomaPost, alerts\" <alerts@example.org>\r\n"));
        assert_non_null(strstr(s, "\r\nTo: \"Operator\" <operator@example.org>\r\n"));
        assert_non_null(strstr(s, "\r\nMessage-ID: <4711@example.org>\r\n"));

        m.from = "Überwachung <alerts@example.org>";
        encoded = compose(&m);
        /* base64 of the eleven letters, by hand: c3 9c 62 65 72 77 61 63 68 75 6e 67 */
        assert_non_null(strstr(encoded, "From: =?UTF-8?B?w5xiZXJ3YWNodW5n?= "
                                        "<alerts@example.org>\r\n"));
}

static void test_subject(_unused_ void **state) {
        Mail m = a_mail();
        _cleanup_free_ char *injected = NULL, *folded = NULL, *encoded = NULL, *looks = NULL;
        size_t words = 0;

        m.subject = "a\r\nBcc: victim@example.org";
        injected = compose(&m);
        assert_null(strstr(injected, "\nBcc:"));
        assert_non_null(strstr(injected, "\r\nSubject: a Bcc: victim@example.org\r\n"));

        m.subject = "0123456789 0123456789 0123456789 0123456789 0123456789 0123456789 end";
        folded = compose(&m);
        check_lines(folded);
        assert_non_null(strstr(folded, "0123456789 0123456789\r\n end\r\n"));

        m.subject = "Посты не выходят уже шесть часов, потому что база данных не отвечает";
        encoded = compose(&m);
        check_lines(encoded);
        for (const char *p = encoded; (p = strstr(p, "=?UTF-8?B?")); p++) {
                const char *end = strstr(p + 2, "?=");
                _cleanup_free_ char *word = strndup(p + 10, (size_t) (end - p - 10));
                _cleanup_free_ uint8_t *bytes = NULL;
                size_t n;

                assert_true(end - p + 2 <= 75);
                assert_int_equal(base64_decode(word, &bytes, &n), 0);
                assert_true(utf8_is_valid((const char *) bytes, n)); /* no character is cut */
                words++;
        }
        assert_true(words >= 2);

        /* What a reader would decode is encoded. */
        m.subject = "=?UTF-8?B?eA==?=";
        looks = compose(&m);
        assert_non_null(strstr(looks, "Subject: =?UTF-8?B?PT9VVEYtOD9CP2VBPT0/PQ==?=\r\n"));
}

static void test_body(_unused_ void **state) {
        Mail m = a_mail();
        _cleanup_free_ char *s = NULL;
        const char *body;
        char longest[400];

        m.text = "1 + 1 = 2\nends with a blank \nand a tab\t\n\n.\nGrüße\rx";
        s = compose(&m);
        check_lines(s);
        body = strstr(s, "\r\n\r\n");
        assert_non_null(body);
        assert_string_equal(body + 4, "1 + 1 =3D 2\r\n"
                                      "ends with a blank=20\r\n"
                                      "and a tab=09\r\n"
                                      "\r\n"
                                      ".\r\n"
                                      "Gr=C3=BC=C3=9Fex\r\n");

        /* Lines of every length, of one byte to a character and of three: none is too long. */
        for (size_t n = 0; n + 1 < sizeof(longest); n++) {
                _cleanup_free_ char *plain = NULL, *quoted = NULL;

                memset(longest, 'x', n);
                longest[n] = '\0';
                m.text = longest;
                plain = compose(&m);
                check_lines(plain);
                memset(longest, '=', n);
                quoted = compose(&m);
                check_lines(quoted);
                assert_true(strlen(quoted) >= strlen(plain) + 2 * n);
        }
}

static void test_alternatives(_unused_ void **state) {
        Mail m = a_mail();
        _cleanup_free_ char *s = NULL;

        m.html = "<p>=_alternative</p>";
        m.headers = (const char *const[]){ "List-Unsubscribe: <https://example.org/u>", NULL };
        s = compose(&m);
        check_lines(s);
        assert_string_equal(strstr(s, "List-Unsubscribe:"),
                            "List-Unsubscribe: <https://example.org/u>\r\n"
                            "Auto-Submitted: auto-generated\r\n"
                            "MIME-Version: 1.0\r\n"
                            "Content-Type: multipart/alternative; boundary=\"=_alternative\"\r\n"
                            "\r\n"
                            "--=_alternative\r\n"
                            "Content-Type: text/plain; charset=UTF-8\r\n"
                            "Content-Transfer-Encoding: quoted-printable\r\n"
                            "\r\n"
                            "One line.\r\n"
                            "\r\n"
                            "--=_alternative\r\n"
                            "Content-Type: text/html; charset=UTF-8\r\n"
                            "Content-Transfer-Encoding: quoted-printable\r\n"
                            "\r\n"
                            "<p>=3D_alternative</p>\r\n"
                            "\r\n"
                            "--=_alternative--\r\n");
}

static void test_refused(_unused_ void **state) {
        static const char *const wrong[] = {
                "",      "operator",        "@example.org", "a@b@c",
                "a b@c", "a@b\r\nBcc: x@y", "A <a@b",       "<a@b> A"
        };
        char *s = NULL;

        for (size_t i = 0; i < ELEMENTSOF(wrong); i++) {
                _cleanup_(error_done) Error e = ERROR_NULL, ours = ERROR_NULL;
                Mail m = a_mail();

                m.to = wrong[i];
                assert_int_equal(mail_compose(&m, &s, &e), -EINVAL);
                assert_int_equal(e.class, ERROR_PERMANENT);
                m = a_mail();
                m.from = wrong[i];
                assert_int_equal(mail_compose(&m, &s, &ours), -EINVAL);
                assert_int_equal(ours.class, ERROR_CONFIG);
                assert_null(s);
        }
}

static void test_security(_unused_ void **state) {
        assert_int_equal(mail_security_from_string("starttls"), MAIL_STARTTLS);
        assert_int_equal(mail_security_from_string("tls"), MAIL_TLS);
        assert_int_equal(mail_security_from_string("none"), MAIL_OPEN);
        assert_int_equal(mail_security_from_string("ssl"), _MAIL_SECURITY_INVALID);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_plain),        cmocka_unit_test(test_names),
                cmocka_unit_test(test_subject),      cmocka_unit_test(test_body),
                cmocka_unit_test(test_alternatives), cmocka_unit_test(test_refused),
                cmocka_unit_test(test_security),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
