/* SPDX-License-Identifier: MIT */
#include "zone.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

#include "text.h"

#define ZONE_FOLDER "/usr/share/zoneinfo"
#define FILE_MAX ((size_t) 256 * 1024)
#define NAME_MAX_LENGTH 64
#define DAY ((int64_t) 86400)
#define HOUR ((int64_t) 3600)
/* RFC 9636, 3.2: no clock is further from Greenwich. */
#define OFFSET_MIN (-25 * HOUR)
#define OFFSET_MAX (26 * HOUR)

/* "M3.5.0/2": the day of a year and the time of that day at which the clocks are changed. */
typedef struct Turn {
        enum {
                TURN_WEEKDAY,
                TURN_JULIAN,
                TURN_DAY
        } kind;
        int month, week, day;
        int64_t time;
} Turn;

/* The last line of the file: what holds after the last change that is written out. */
typedef struct Rule {
        bool given, has_summer;
        int32_t winter, summer; /* offsets */
        Turn to_summer, to_winter;
} Rule;

typedef struct Change {
        int64_t at;
        int32_t offset;
} Change;

struct Zone {
        int32_t first; /* offset before the first change */
        Change *changes;
        size_t n;
        Rule rule;
};

void zone_free(Zone *z) {
        if (!z)
                return;
        free(z->changes);
        free(z);
}

/* ---- the rule of the last line ---- */

static bool take(const char **p, char c) {
        if (**p != c)
                return false;
        (*p)++;
        return true;
}

static bool take_number(const char **p, int max, int *ret) {
        int n = 0;

        if (**p < '0' || **p > '9')
                return false;
        for (; **p >= '0' && **p <= '9'; (*p)++) {
                n = n * 10 + (**p - '0');
                if (n > max)
                        return false;
        }
        *ret = n;
        return true;
}

/* "CET", "<-03>": only skipped. */
static bool take_abbreviation(const char **p) {
        size_t n;

        if (take(p, '<')) {
                n = strcspn(*p, ">");
                *p += n;
                return n > 0 && take(p, '>');
        }
        n = strspn(*p, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");
        *p += n;
        return n > 0;
}

/* [+-]H[H[H]][:MM[:SS]] */
static bool take_time(const char **p, int max_hours, int64_t *ret) {
        int hours, minutes = 0, seconds = 0;
        int64_t sign = 1;

        if (take(p, '-'))
                sign = -1;
        else
                (void) take(p, '+');
        if (!take_number(p, max_hours, &hours) || (take(p, ':') && !take_number(p, 59, &minutes)) ||
            (take(p, ':') && !take_number(p, 59, &seconds)))
                return false;
        *ret = sign * (hours * HOUR + minutes * 60 + seconds);
        return true;
}

/* In these lines west is positive. */
static bool take_offset(const char **p, int32_t *ret) {
        int64_t west;

        if (!take_time(p, 24, &west))
                return false;
        *ret = (int32_t) -west;
        return true;
}

static bool take_turn(const char **p, Turn *ret) {
        Turn t = { .time = 2 * HOUR };

        if (take(p, 'M')) {
                t.kind = TURN_WEEKDAY;
                if (!take_number(p, 12, &t.month) || t.month < 1 || !take(p, '.') ||
                    !take_number(p, 5, &t.week) || t.week < 1 || !take(p, '.') ||
                    !take_number(p, 6, &t.day))
                        return false;
        } else if (take(p, 'J')) {
                t.kind = TURN_JULIAN;
                if (!take_number(p, 365, &t.day) || t.day < 1)
                        return false;
        } else {
                t.kind = TURN_DAY;
                if (!take_number(p, 365, &t.day))
                        return false;
        }
        if (take(p, '/') && !take_time(p, 167, &t.time))
                return false;
        *ret = t;
        return true;
}

static bool parse_rule(const char *p, Rule *ret) {
        Rule r = { .given = true };

        if (!take_abbreviation(&p) || !take_offset(&p, &r.winter))
                return false;
        if (*p) {
                r.has_summer = true;
                if (!take_abbreviation(&p))
                        return false;
                r.summer = r.winter + (int32_t) HOUR;
                if (*p != ',' && !take_offset(&p, &r.summer))
                        return false;
                if (!take(&p, ',') || !take_turn(&p, &r.to_summer) || !take(&p, ',') ||
                    !take_turn(&p, &r.to_winter))
                        return false;
        }
        if (*p)
                return false;
        *ret = r;
        return true;
}

/* 00:00 of the first of a month, as if in UTC. */
static int64_t month_start(int year, int month) {
        struct tm tm = { .tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = 1 };

        return timegm(&tm);
}

static int year_of(int64_t at) {
        time_t seconds = at;
        struct tm tm = {};

        (void) gmtime_r(&seconds, &tm);
        return tm.tm_year + 1900;
}

/* When a turn comes in a year, by the clock that is about to be changed. */
static int64_t turn_wall(const Turn *t, int year) {
        int64_t start = month_start(year, 1), day;

        if (t->kind == TURN_WEEKDAY) {
                int64_t first = month_start(year, t->month),
                        next = month_start(year + t->month / 12, t->month % 12 + 1);
                int weekday = (int) (((first / DAY + 4) % 7 + 7) % 7);

                day = first + ((t->day - weekday + 7) % 7 + 7 * (t->week - 1)) * DAY;
                while (day >= next)
                        day -= 7 * DAY;
        } else {
                bool leap = month_start(year, 3) - month_start(year, 2) == 29 * DAY;

                /* J60 is 1 March in every year: 29 February is not counted. */
                day = start + (t->kind == TURN_DAY ? t->day : t->day - 1) * DAY;
                if (t->kind == TURN_JULIAN && leap && t->day >= 60)
                        day += DAY;
        }
        return day + t->time;
}

/* The changes by the rule from the year before to the year after, in their order. */
static void rule_changes(const Rule *r, int year, Change ret[static 6]) {
        for (int i = 0; i < 3; i++) {
                Change summer = { turn_wall(&r->to_summer, year - 1 + i) - r->winter, r->summer };
                Change winter = { turn_wall(&r->to_winter, year - 1 + i) - r->summer, r->winter };
                bool south = winter.at < summer.at;

                ret[2 * i] = south ? winter : summer;
                ret[2 * i + 1] = south ? summer : winter;
        }
}

/* ---- questions ---- */

static int64_t last_change(const Zone *z) {
        return z->n > 0 ? z->changes[z->n - 1].at : INT64_MIN;
}

/* How many of the written changes are at or before an instant. */
static size_t changes_until(const Zone *z, int64_t at) {
        size_t low = 0, high = z->n;

        while (low < high) {
                size_t middle = (low + high) / 2;

                if (z->changes[middle].at <= at)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low;
}

int32_t zone_offset(const Zone *z, int64_t at) {
        size_t n = changes_until(z, at);
        int32_t offset = n > 0 ? z->changes[n - 1].offset : z->first;
        Change changes[6];

        if (n < z->n || !z->rule.given)
                return offset;
        if (!z->rule.has_summer)
                return z->n > 0 ? offset : z->rule.winter;
        rule_changes(&z->rule, year_of(at), changes);
        for (size_t i = 0; i < ELEMENTSOF(changes); i++)
                if (changes[i].at <= at && changes[i].at > last_change(z))
                        offset = changes[i].offset;
        return offset;
}

bool zone_next_change(const Zone *z, int64_t after, int64_t *ret) {
        int32_t offset = zone_offset(z, after);
        Change changes[6];

        for (size_t i = changes_until(z, after); i < z->n; i++)
                if (z->changes[i].offset != offset) {
                        *ret = z->changes[i].at;
                        return true;
                }
        if (!z->rule.has_summer)
                return false;
        after = MAX(after, last_change(z));
        rule_changes(&z->rule, year_of(after), changes);
        for (size_t i = 0; i < ELEMENTSOF(changes); i++)
                /* Where summer has no end (its last moment is the first of the next) nothing
                 * changes, and where a year has no room for both neither does. */
                if (changes[i].at > after && changes[i].offset != offset &&
                    zone_offset(z, changes[i].at) != offset) {
                        *ret = changes[i].at;
                        return true;
                }
        return false;
}

int64_t zone_first(const Zone *z, int64_t wall, WallTime *ret_kind) {
        /* From a moment at which no clock shows it yet, period by period. */
        int64_t start = INT64_MIN, at = wall - OFFSET_MAX - 1, end, first;
        bool ends;

        for (;;) {
                int32_t offset = zone_offset(z, at);

                ends = zone_next_change(z, at, &end);
                first = wall - offset;
                if (!ends || first < end)
                        break;
                start = at = end;
        }
        if (ret_kind)
                *ret_kind = first < start                               ? WALL_NEVER
                            : ends && wall - zone_offset(z, end) >= end ? WALL_TWICE
                                                                        : WALL_ONCE;
        return MAX(first, start);
}

/* ---- the file ---- */

typedef struct Reader {
        const uint8_t *p;
        size_t left;
} Reader;

static bool skip(Reader *r, size_t n) {
        if (n > r->left)
                return false;
        r->p += n;
        r->left -= n;
        return true;
}

/* Of a big-endian number whose presence has been checked. */
static int64_t number_at(const uint8_t *p, size_t size) {
        uint64_t n = p[0] & 0x80 ? UINT64_MAX : 0;

        for (size_t i = 0; i < size; i++)
                n = n << 8 | p[i];
        return (int64_t) n;
}

typedef struct Header {
        uint8_t version;
        size_t is_ut, is_std, leap, times, types, chars;
} Header;

static bool take_header(Reader *r, Header *ret) {
        const uint8_t *p = r->p;
        size_t counts[6];

        if (!skip(r, 44) || memcmp(p, "TZif", 4) != 0)
                return false;
        for (size_t i = 0; i < ELEMENTSOF(counts); i++) {
                int64_t n = number_at(p + 20 + 4 * i, 4);

                if (n < 0 || (size_t) n > FILE_MAX)
                        return false;
                counts[i] = (size_t) n;
        }
        *ret = (Header){ p[4], counts[0], counts[1], counts[2], counts[3], counts[4], counts[5] };
        return true;
}

/* What follows a header: its size, with times of so many bytes. */
static size_t block_size(const Header *h, size_t time_size) {
        return h->times * (time_size + 1) + h->types * 6 + h->chars + h->leap * (time_size + 4) +
               h->is_std + h->is_ut;
}

static bool read_changes(const Header *h, const uint8_t *p, Zone *z) {
        const uint8_t *types = p + 8 * h->times, *offsets = types + h->times;

        for (size_t i = 0; i < h->types; i++) {
                int64_t offset = number_at(offsets + 6 * i, 4);

                if (offset < OFFSET_MIN || offset > OFFSET_MAX)
                        return false;
        }
        z->first = (int32_t) number_at(offsets, 4);
        for (size_t i = 0; i < h->times; i++) {
                int64_t at = number_at(p + 8 * i, 8);

                if (types[i] >= h->types || (i > 0 && at <= number_at(p + 8 * (i - 1), 8)))
                        return false;
                z->changes[z->n++] =
                        (Change){ at, (int32_t) number_at(offsets + 6 * (size_t) types[i], 4) };
        }
        return true;
}

static bool read_rule(Reader *r, Zone *z) {
        const uint8_t *end;
        char line[128];

        if (r->left == 0 || *r->p != '\n')
                return false;
        (void) skip(r, 1);
        end = memchr(r->p, '\n', r->left);
        if (!end || (size_t) (end - r->p) >= sizeof(line))
                return false;
        memcpy(line, r->p, (size_t) (end - r->p));
        line[end - r->p] = '\0';
        return *line == '\0' || parse_rule(line, &z->rule);
}

int zone_parse(const void *data, size_t n, Zone **ret) {
        _cleanup_(zone_freep) Zone *z = calloc(1, sizeof(Zone));
        Reader r = { data, n };
        const uint8_t *block;
        Header h;

        if (!z)
                return -ENOMEM;
        /* First the same in 32 bits, for old readers. Leap seconds are of zones that no clock of
         * ours shows. */
        if (!take_header(&r, &h) || h.version < '2' || !skip(&r, block_size(&h, 4)) ||
            !take_header(&r, &h) || h.types == 0 || h.leap > 0)
                return -EBADMSG;
        block = r.p;
        if (!skip(&r, block_size(&h, 8)))
                return -EBADMSG;
        z->changes = calloc(h.times + 1, sizeof(Change));
        if (!z->changes)
                return -ENOMEM;
        if (!read_changes(&h, block, z) || !read_rule(&r, z))
                return -EBADMSG;
        *ret = TAKE_PTR(z);
        return 0;
}

static bool is_zone_name(const char *name) {
        size_t n = strlen(name);

        return n > 0 && n <= NAME_MAX_LENGTH &&
               strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                            "_+-/") == n &&
               name[0] != '/' && name[n - 1] != '/';
}

static int read_file(const char *path, uint8_t **ret, size_t *ret_n) {
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        _cleanup_free_ uint8_t *data = NULL;
        struct stat st;
        ssize_t n;

        if (fd < 0)
                return -errno;
        if (fstat(fd, &st) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode) || st.st_size <= 0 || (size_t) st.st_size > FILE_MAX)
                return S_ISDIR(st.st_mode) ? -ENOENT : -EBADMSG;
        data = malloc((size_t) st.st_size);
        if (!data)
                return -ENOMEM;
        n = read(fd, data, (size_t) st.st_size);
        if (n < 0)
                return -errno;
        *ret = TAKE_PTR(data);
        *ret_n = (size_t) n;
        return 0;
}

int zone_open(const char *name, Zone **ret, Error *ret_error) {
        _cleanup_free_ char *path = NULL, *shown = NULL;
        _cleanup_free_ uint8_t *data = NULL;
        size_t n = 0;
        int r;

        if (streq(name, "UTC")) {
                *ret = calloc(1, sizeof(Zone));
                return *ret ? 0 : error_oom(ret_error);
        }
        shown = utf8_make_valid(name, strlen(name), NAME_MAX_LENGTH);
        path = strjoinf(ZONE_FOLDER "/%s", name);
        if (!path || !shown)
                return error_oom(ret_error);
        r = is_zone_name(name) ? read_file(path, &data, &n) : -EINVAL;
        if (r >= 0)
                r = zone_parse(data, n, ret);
        if (r == -ENOMEM)
                return error_oom(ret_error);
        if (r == -EINVAL || r == -ENOENT || r == -ENOTDIR)
                return error_setf(ret_error, ERROR_PERMANENT, r == -ENOTDIR ? -ENOENT : r,
                                  "timezone",
                                  "there is no time zone \"%s\"\n"
                                  "HINT: names are those of the IANA database, such as UTC or "
                                  "Europe/Berlin: timedatectl list-timezones",
                                  shown);
        if (r < 0)
                return error_setf(ret_error, ERROR_CONFIG, r, "timezone",
                                  "the time zone \"%s\" cannot be read from %s: %s\n"
                                  "HINT: install the package tzdata",
                                  shown, path, strerrordesc_np(-r));
        return 0;
}
