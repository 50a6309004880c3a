/* SPDX-License-Identifier: MIT */

/* The message of mail.h. libcurl could write one, but always as multipart/mixed with the text
 * inside, and nobody could look at it without sending it. */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "base/mailbox.h"
#include "base/text.h"
#include "mail.h"

#define LINE_MAX_LENGTH ((size_t) 76)
#define WORD_MAX_LENGTH ((size_t) 75) /* of an encoded word */
#define CRLF "\r\n"

/* No line of quoted-printable can be this: '=' is followed by digits or ends a line. */
#define BOUNDARY "=_alternative"

/* ---- headers ---- */

static bool is_plain(const char *s) {
        for (const char *p = s; *p; p++)
                if ((unsigned char) *p < ' ' || (unsigned char) *p > '~')
                        return false;
        return !strstr(s, "=?");
}

/* Folds at blanks; *column is where the line stands. */
static int append_words(Str *s, size_t *column, const char *text) {
        int r = 0;

        for (const char *p = text; *p && r >= 0;) {
                size_t blanks = strspn(p, " "), n = strcspn(p + blanks, " ");

                /* A line of blanks alone would end the header. */
                if (blanks > 0 && n > 0 && *column + blanks + n > LINE_MAX_LENGTH && *column > 1) {
                        r = str_append(s, CRLF);
                        *column = 0;
                }
                if (r >= 0)
                        r = str_append_n(s, p, blanks + n);
                *column += blanks + n;
                p += blanks + n;
        }
        return r;
}

/* RFC 2047: words in base64, each of whole characters. */
static int append_encoded(Str *s, size_t *column, const char *text) {
        static const char open[] = "=?UTF-8?B?", close[] = "?=";
        size_t left = strlen(text);
        const char *p = text;

        while (left > 0) {
                size_t frame = strlen(open) + strlen(close), n = 0, room;
                _cleanup_free_ char *word = NULL;

                if (*column + frame + 8 > LINE_MAX_LENGTH) {
                        if (str_append(s, CRLF " ") < 0)
                                return -ENOMEM;
                        *column = 1;
                }
                room = (MIN(LINE_MAX_LENGTH - *column, WORD_MAX_LENGTH) - frame) / 4 * 3;
                while (n < left) {
                        uint32_t c;
                        int length = utf8_decode(p + n, left - n, &c);

                        if (length <= 0)
                                return -EINVAL;
                        if (n + (size_t) length > room)
                                break;
                        n += (size_t) length;
                }
                if (base64_encode(p, n, &word) < 0 ||
                    str_appendf(s, "%s%s%s", open, word, close) < 0)
                        return -ENOMEM;
                *column += frame + strlen(word);
                p += n;
                left -= n;
                if (left > 0) {
                        if (str_append(s, CRLF " ") < 0)
                                return -ENOMEM;
                        *column = 1;
                }
        }
        return 0;
}

/* Valid UTF-8 of one line: nobody puts a header of his own into ours. */
static char *one_line(const char *text) {
        char *s = utf8_make_valid(text, strlen(text), 2000);

        for (char *p = s; p && *p; p++)
                if ((unsigned char) *p < ' ' || *p == 0x7f)
                        *p = ' ';
        return s;
}

static int append_text(Str *s, size_t *column, const char *text) {
        _cleanup_free_ char *line = one_line(text);

        if (!line)
                return -ENOMEM;
        return is_plain(line) ? append_words(s, column, line) : append_encoded(s, column, line);
}

static int append_subject(Str *s, const char *subject) {
        size_t column = strlen("Subject: ");

        if (str_append(s, "Subject: ") < 0 || append_text(s, &column, subject) < 0)
                return -ENOMEM;
        return str_append(s, CRLF);
}

/* "From: Name <user@host>" */
static int append_mailbox(Str *s, const char *header, const char *mailbox) {
        _cleanup_free_ char *name = NULL, *address = NULL, *quoted = NULL;
        size_t column = strlen(header) + 2;
        int r;

        r = mailbox_parse(mailbox, &name, &address);
        if (r < 0)
                return r;
        if (str_appendf(s, "%s: ", header) < 0)
                return -ENOMEM;
        if (!name)
                return str_appendf(s, "%s" CRLF, address);
        /* The name has neither quotes nor backslashes. */
        if (is_plain(name))
                quoted = strjoinf("\"%s\"", name);
        else
                quoted = strdup(name);
        if (!quoted || append_text(s, &column, quoted) < 0)
                return -ENOMEM;
        return str_appendf(s, "%s<%s>" CRLF,
                           column + strlen(address) + 3 > LINE_MAX_LENGTH ? CRLF " " : " ",
                           address);
}

/* Without the locale's names of days. */
static int append_date(Str *s, usec_t t) {
        static const char days[][4] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
        static const char months[][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                          "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
        time_t seconds = (time_t) (t / USEC_PER_SEC);
        struct tm tm;

        if (!gmtime_r(&seconds, &tm))
                return -EINVAL;
        return str_appendf(s, "Date: %s, %d %s %d %02d:%02d:%02d +0000" CRLF, days[tm.tm_wday],
                           tm.tm_mday, months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min,
                           tm.tm_sec);
}

/* The part on the right is the sender's, who is answerable for its being unique. */
static int append_id(Str *s, const char *id, const char *from) {
        _cleanup_free_ char *name = NULL, *address = NULL;
        int r = mailbox_parse(from, &name, &address);

        if (r < 0)
                return r;
        return str_appendf(s, "Message-ID: <%s@%s>" CRLF, id, strchr(address, '@') + 1);
}

static int append_header(Str *s, const char *header) {
        _cleanup_free_ char *line = one_line(header);
        size_t column = 0;

        if (!line)
                return -ENOMEM;
        if (!is_plain(line))
                return -EINVAL;
        if (append_words(s, &column, line) < 0)
                return -ENOMEM;
        return str_append(s, CRLF);
}

/* ---- bodies ---- */

/* One line without its end. */
static int append_quoted_line(Str *s, const char *line, size_t n) {
        size_t column = 0;

        for (size_t i = 0; i < n; i++) {
                unsigned char c = (unsigned char) line[i];
                bool last = i + 1 == n;
                /* A blank at a line's end would be lost on the way. */
                bool literal = (c >= ' ' && c <= '~' && c != '=' && !(c == ' ' && last)) ||
                               (c == '\t' && !last);
                size_t width = literal ? 1 : 3;

                /* Room for the '=' that says that the line goes on. */
                if (column + width > LINE_MAX_LENGTH - (last ? 0 : 1)) {
                        if (str_append(s, "=" CRLF) < 0)
                                return -ENOMEM;
                        column = 0;
                }
                if (literal ? str_append_n(s, &line[i], 1) < 0 : str_appendf(s, "=%02X", c) < 0)
                        return -ENOMEM;
                column += width;
        }
        return str_append(s, CRLF);
}

static int append_body(Str *s, const char *type, const char *text) {
        _cleanup_free_ char *valid = utf8_make_valid(text, strlen(text), SIZE_MAX);
        int r;

        if (!valid)
                return -ENOMEM;
        r = str_appendf(s,
                        "Content-Type: %s; charset=UTF-8" CRLF
                        "Content-Transfer-Encoding: quoted-printable" CRLF CRLF,
                        type);
        for (const char *p = valid; *p && r >= 0;) {
                size_t n = strcspn(p, "\n");

                r = append_quoted_line(s, p, n);
                p += n + (p[n] == '\n');
        }
        return r;
}

static int append_alternatives(Str *s, const Mail *m) {
        if (str_append(s, "Content-Type: multipart/alternative; boundary=\"" BOUNDARY "\"" CRLF CRLF
                          "--" BOUNDARY CRLF) < 0 ||
            append_body(s, "text/plain", m->text) < 0 ||
            str_append(s, CRLF "--" BOUNDARY CRLF) < 0 || append_body(s, "text/html", m->html) < 0)
                return -ENOMEM;
        return str_append(s, CRLF "--" BOUNDARY "--" CRLF);
}

int mail_compose(const Mail *m, char **ret, Error *ret_error) {
        static const char *const none[] = { NULL };
        _cleanup_(str_done) Str s = {};
        int r;

        r = append_date(&s, m->date);
        if (r >= 0)
                r = append_mailbox(&s, "From", m->from);
        if (r == -EINVAL)
                return error_setf(ret_error, ERROR_CONFIG, r, NULL,
                                  "the sender is no mail address");
        if (r >= 0)
                r = append_mailbox(&s, "To", m->to);
        if (r == -EINVAL)
                return error_setf(ret_error, ERROR_PERMANENT, r, NULL,
                                  "the recipient is no mail address");
        if (r >= 0)
                r = append_subject(&s, m->subject);
        if (r >= 0)
                r = append_id(&s, m->id, m->from);
        for (const char *const *h = m->headers ?: none; *h && r >= 0; h++)
                r = append_header(&s, *h);
        /* RFC 3834: nobody's holiday notice shall answer. */
        if (r >= 0)
                r = str_append(&s, "Auto-Submitted: auto-generated" CRLF "MIME-Version: 1.0" CRLF);
        if (r >= 0)
                r = m->html ? append_alternatives(&s, m) : append_body(&s, "text/plain", m->text);
        if (r == -EINVAL)
                return error_setf(ret_error, ERROR_PERMANENT, r, NULL,
                                  "a header of the mail is not ASCII");
        if (r < 0)
                return error_oom(ret_error);

        *ret = TAKE_PTR(s.data);
        return 0;
}
