/* SPDX-License-Identifier: MIT */

/* The part of text.h that finds URLs, hashtags and mentions in running text. All three walk over
 * code points and ask two questions: does a word end here, and what belongs to the thing found.
 * Bytes that are no UTF-8 end every word. */

#include <assert.h>
#include <strings.h>
#include <unictype.h>

#include "text.h"

/* The domains that people write without "https://" in front. Country codes are all of two letters
 * that exist; of the others those in common use, a list of ours and not complete: what is missing
 * is found when it has its scheme. */
static const char country_domains[] =
        "ac ad ae af ag ai al am ao aq ar as at au aw ax az ba bb bd be bf bg bh bi bj bm bn bo br "
        "bs bt bw by bz ca cc cd cf cg ch ci ck cl cm cn co cr cu cv cw cx cy cz de dj dk dm do dz "
        "ec ee eg er es et eu fi fj fk fm fo fr ga gd ge gf gg gh gi gl gm gn gp gq gr gs gt gu gw "
        "gy hk hm hn hr ht hu id ie il im in io iq ir is it je jm jo jp ke kg kh ki km kn kp kr kw "
        "ky kz la lb lc li lk lr ls lt lu lv ly ma mc md me mg mh mk ml mm mn mo mp mq mr ms mt mu "
        "mv mw mx my mz na nc ne nf ng ni nl no np nr nu nz om pa pe pf pg ph pk pl pm pn pr ps pt "
        "pw py qa re ro rs ru rw sa sb sc sd se sg sh si sk sl sm sn so sr ss st su sv sx sy sz tc "
        "td tf tg th tj tk tl tm tn to tr tt tv tw tz ua ug uk us uy uz va vc ve vg vi vn vu wf ws "
        "ye yt za zm zw";
static const char generic_domains[] =
        "com org net edu gov int mil info biz name pro mobi jobs travel museum coop aero asia cat "
        "academy agency app art audio bank bar berlin blog book business cafe camp capital career "
        "careers center chat church city cloud club coach codes coffee community company computer "
        "consulting cool courses dance design dev digital directory doctor earth eco education "
        "email energy engineer engineering events exchange expert farm fashion film finance fit "
        "foundation fun fund gallery game games garden gmbh group guide guru health help homes host "
        "house immo inc institute international land law lawyer legal life link live llc london ltd "
        "market marketing media money movie music network new news ngo one online ong page party "
        "partners photo photography photos pizza place plus press productions properties pub "
        "radio recipes rent repair report restaurant rocks run sale school science services shop "
        "show site ski social software solutions space sport store studio style support systems "
        "taxi team tech technology tips today tools top tours town training tube university video "
        "vip website wiki work works world wtf xyz yoga zone";

/* Scripts that are written without spaces, or (Hangul) put particles right behind a foreign word:
 * next to them a word of Latin letters begins and ends. */
static bool runs_on(uint32_t c) {
        static const struct {
                uint32_t first, last;
        } ranges[] = {
                { 0x0e00, 0x0fff },   /* Thai, Lao, Tibetan */
                { 0x1000, 0x109f },   /* Myanmar */
                { 0x1100, 0x11ff },   /* Hangul Jamo */
                { 0x1780, 0x17ff },   /* Khmer */
                { 0x2e80, 0xa4cf },   /* Han, Kana, Bopomofo, Yi */
                { 0xa960, 0xa97f },   /* Hangul Jamo */
                { 0xac00, 0xd7ff },   /* Hangul */
                { 0xf900, 0xfaff },   /* Han */
                { 0xff00, 0xffef },   /* full and half width */
                { 0x1aff0, 0x1b16f }, /* Kana */
                { 0x20000, 0x3ffff }, /* Han */
        };

        for (size_t i = 0; i < ELEMENTSOF(ranges); i++)
                if (c >= ranges[i].first && c <= ranges[i].last)
                        return true;

        return false;
}

static bool is_ascii_digit(uint32_t c) {
        return c >= '0' && c <= '9';
}

static bool is_ascii_alnum(uint32_t c) {
        return is_ascii_digit(c) || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static bool one_of(uint32_t c, const char *set) {
        return c != 0 && c < 0x80 && strchr(set, (int) c);
}

static bool is_mark(uint32_t c) {
        return uc_is_general_category_withtable(c, UC_CATEGORY_MASK_M);
}

/* Number letters (〇, Ⅷ) are written as letters are. */
static bool is_letter(uint32_t c) {
        return uc_is_general_category_withtable(c, UC_CATEGORY_MASK_L | UC_CATEGORY_MASK_Nl);
}

bool text_is_word(uint32_t c) {
        if (c < 0x80)
                return is_ascii_alnum(c) || c == '_';

        return uc_is_general_category_withtable(c, UC_CATEGORY_MASK_L | UC_CATEGORY_MASK_M |
                                                           UC_CATEGORY_MASK_Nd |
                                                           UC_CATEGORY_MASK_Nl);
}

/* Letters, marks and digits of scripts that put spaces between words. */
static bool is_spaced_word(uint32_t c) {
        return c != '_' && text_is_word(c) && !runs_on(c);
}

/* The code point at offset i and its length; 0 and one byte where there is none. */
static uint32_t at(const char *s, size_t n, size_t i, size_t *ret_length) {
        uint32_t c;
        int k;

        k = i < n ? utf8_decode(s + i, n - i, &c) : -1;
        if (ret_length)
                *ret_length = k < 0 ? 1 : (size_t) k;

        return k < 0 ? 0 : c;
}

/* The code point that ends at offset i, 0 where there is none. */
static uint32_t before(const char *s, size_t i) {
        uint32_t c;

        for (size_t k = 1; k <= 4 && k <= i; k++)
                if (((uint8_t) s[i - k] & 0xc0) != 0x80)
                        return utf8_decode(s + i - k, k, &c) == (int) k ? c : 0;

        return 0;
}

/* ---- URLs ---- */

static size_t scheme_at(const char *s, size_t i) {
        if (strncasecmp(s + i, "https://", 8) == 0)
                return 8;
        if (strncasecmp(s + i, "http://", 7) == 0)
                return 7;

        return 0;
}

/* The end of "user:password@" at i, or i. */
static size_t skip_userinfo(const char *s, size_t i) {
        size_t end = i;

        while (is_ascii_alnum((uint8_t) s[end]) || one_of((uint8_t) s[end], "-._~!$&'()*+,;=:%"))
                end++;

        return end > i && s[end] == '@' ? end + 1 : i;
}

/* The end of a host name at i, or i if there is none. The last label begins at *ret_last. */
static size_t skip_host(const char *s, size_t n, size_t i, bool bare, size_t *ret_last) {
        enum {
                LABEL_MAX = 63
        };
        size_t end = i, label = i, length = 0, k;
        bool ascii = true;

        *ret_last = i;

        for (;;) {
                size_t hyphens = end;
                uint32_t c;

                while (hyphens > label && (s[hyphens] == '-' || s[hyphens] == '_'))
                        hyphens++;

                c = at(s, n, hyphens, &k);
                if (c == 0 || c == '_' || !(bare ? is_spaced_word(c) : text_is_word(c))) {
                        size_t next = end + 1;

                        /* A dot goes on only in front of a further label. */
                        if (end == label || s[end] != '.')
                                break;
                        c = at(s, n, next, NULL);
                        if (c == 0 || c == '_' || !(bare ? is_spaced_word(c) : text_is_word(c)))
                                break;
                        end = label = next;
                        length = 0;
                        ascii = true;
                        continue;
                }
                /* "example.jpは" ends before the particle, "例え.テスト" is a name. */
                if (end > label && runs_on(c) && ascii && label > i)
                        break;
                /* DNS has no longer ones, and what is not ASCII only grows on its way there. */
                length += hyphens - end + 1;
                if (length > LABEL_MAX)
                        return i;
                ascii = ascii && c < 0x80;
                end = hyphens + k;
        }

        *ret_last = label;
        return end > label ? end : i;
}

/* [2001:db8::1] */
static size_t skip_ipv6(const char *s, size_t i) {
        size_t n;

        if (s[i] != '[')
                return i;

        n = strspn(s + i + 1, "0123456789abcdefABCDEF:.");
        return n >= 2 && s[i + 1 + n] == ']' ? i + n + 2 : i;
}

static size_t skip_port(const char *s, size_t i) {
        size_t digits;

        if (s[i] != ':')
                return i;

        digits = strspn(s + i + 1, "0123456789");
        return digits >= 1 && digits <= 5 ? i + 1 + digits : i;
}

static bool is_path(uint32_t c) {
        /* Of RFC 3986, and letters that people paste undecoded. */
        return c < 0x80 ? is_ascii_alnum(c) || one_of(c, "-._~:/?#[]@!$&'()*+,;=%")
                        : is_spaced_word(c);
}

/* '|' and the en dash stand between things, and in the addresses of pages ("/Hatfield–McCoy"): they
 * belong to one that goes on behind them. */
static bool is_joint(const char *s, size_t n, size_t i) {
        uint32_t c, next;
        size_t k;

        c = at(s, n, i, &k);
        if (c != '|' && c != 0x2013)
                return false;

        next = at(s, n, i + k, NULL);
        return (next == '|' || is_spaced_word(next)) && scheme_at(s, i + k) == 0;
}

/* The end of path, query and fragment at i: without unbalanced brackets and trailing punctuation
 * (but "http://example.org/a_(b)" is whole). */
static size_t skip_path(const char *s, size_t n, size_t i) {
        enum {
                DEPTH_MAX = 16
        };
        size_t end = i, open_at[DEPTH_MAX], depth = 0, k;
        char open[DEPTH_MAX];
        uint32_t c;

        if (!one_of((uint8_t) s[i], "/?#"))
                return i;

        for (; is_path(c = at(s, n, end, &k)) || is_joint(s, n, end); end += k) {
                if (c == '(' || c == '[') {
                        if (depth == DEPTH_MAX)
                                break;
                        open[depth] = (char) c;
                        open_at[depth++] = end;
                } else if (c == ')' || c == ']') {
                        if (depth == 0 || open[depth - 1] != (c == ')' ? '(' : '['))
                                break;
                        depth--;
                }
        }
        if (depth > 0)
                end = open_at[0];
        while (end > i && one_of((uint8_t) s[end - 1], ".,;:!?'*&~|"))
                end--;

        return end;
}

static bool in_list(const char *list, const char *word, size_t n) {
        for (const char *p = list; p; p = strchr(p, ' ')) {
                p += *p == ' ' ? 1 : 0;
                if (strncasecmp(p, word, n) == 0 && (p[n] == ' ' || p[n] == '\0'))
                        return true;
        }

        return false;
}

/* A top-level domain in one case: "Thanks.It is" ends a sentence. */
static bool is_plausible_domain(const char *label, size_t n) {
        size_t lower = 0, upper = 0;

        for (size_t i = 0; i < n; i++) {
                lower += label[i] >= 'a' && label[i] <= 'z' ? 1 : 0;
                upper += label[i] >= 'A' && label[i] <= 'Z' ? 1 : 0;
        }
        if (lower != n && upper != n)
                return false;

        return in_list(n == 2 ? country_domains : generic_domains, label, n);
}

static bool url_at(const char *s, size_t n, size_t i, bool bare, size_t *ret_end) {
        size_t scheme, host, end, last;
        uint32_t c;

        scheme = scheme_at(s, i);
        if (scheme > 0) {
                c = before(s, i);
                if (is_ascii_alnum(c) || one_of(c, "+-.@_"))
                        return false;

                host = skip_userinfo(s, i + scheme);
                end = skip_ipv6(s, host);
                if (end == host)
                        end = skip_host(s, n, host, false, &last);
                /* "http://example-.org" is a mistake, not a link to "example". */
                if (end == host || one_of((uint8_t) s[s[end] == '.' ? end + 1 : end], "-_"))
                        return false;
        } else {
                if (!bare)
                        return false;
                c = before(s, i);
                if (is_spaced_word(c) || one_of(c, "_-.@/:#$&=%+\\~"))
                        return false;

                end = skip_host(s, n, i, true, &last);
                /* "first.last@example.org" is an address, also as "first.last+tag@example.org". */
                if (last == i || !is_plausible_domain(s + last, end - last) ||
                    one_of((uint8_t) s[end], "@_-+"))
                        return false;
        }

        *ret_end = skip_path(s, n, skip_port(s, end));
        return true;
}

int text_next_url(const char *s, bool bare, size_t *pos, TextSpan *ret) {
        bool broken = false;
        size_t n, i, k;
        uint32_t c;

        assert(s);
        assert(pos);
        assert(ret);

        n = strlen(s);
        for (i = *pos; i < n; i += k) {
                size_t end;

                if (url_at(s, n, i, bare && !broken, &end)) {
                        *ret = (TextSpan){ .start = i, .end = end };
                        *pos = end;
                        return 1;
                }

                c = at(s, n, i, &k);
                /* What a scheme stands in front of, and is no host, is not a link to the rest of
                 * it: "http://✪example.org" does not lead to example.org. */
                broken =
                        scheme_at(s, i) > 0 || (broken && c != 0 && !uc_is_property_white_space(c));

                /* Nothing begins inside of a word; this also keeps a long one from being looked at
                 * again at each of its letters. */
                if (is_spaced_word(c) && scheme_at(s, i + k) == 0)
                        for (size_t m; i + k < n && scheme_at(s, i + k) == 0; k += m) {
                                c = at(s, n, i + k, &m);
                                if (!is_spaced_word(c) && !one_of(c, "-._"))
                                        break;
                        }
        }

        *pos = MAX(n, *pos);
        return 0;
}

/* ---- hashtags ---- */

static bool is_variation_selector(uint32_t c) {
        return (c >= 0xfe00 && c <= 0xfe0f) || (c >= 0xe0100 && c <= 0xe01ef);
}

/* What stands inside of words without being a letter (UAX #31, "medial"): zero width (non-)joiners
 * in Persian and Indic scripts, · in Catalan, maqaf and geresh in Hebrew, tsheg in Tibetan, ・ in
 * Japanese. */
static bool is_medial(uint32_t c) {
        switch (c) {
        case 0x00b7:
        case 0x05be:
        case 0x05f3:
        case 0x05f4:
        case 0x0f0b:
        case 0x200c:
        case 0x200d:
        case 0x30fb:
                return true;
        default:
                return false;
        }
}

/* "#http://example.org", "@https://…": the sign belongs to the link. */
static bool is_scheme(const char *s, size_t end) {
        return strncmp(s + end, "://", 3) == 0;
}

static size_t hashtag_end(const char *s, size_t n, size_t i) {
        size_t end = i, k, m;
        bool letter = false;
        uint32_t c;

        /* A mark here belongs to the sign: the keycap "#️⃣". */
        if (is_mark(at(s, n, i, NULL)))
                return i;

        for (;; end += k) {
                c = at(s, n, end, &k);
                if (is_medial(c) && end > i) {
                        c = at(s, n, end + k, &m);
                        k += m;
                }
                if (!text_is_word(c) || is_variation_selector(c))
                        break;
                letter = letter || is_letter(c);
        }

        return letter && !is_scheme(s, end) ? end : i;
}

int text_next_hashtag(const char *s, size_t *pos, TextSpan *ret) {
        size_t n, k, end;
        uint32_t c, p;

        assert(s);
        assert(pos);
        assert(ret);

        n = strlen(s);
        for (size_t i = *pos; i < n; i += k) {
                c = at(s, n, i, &k);
                if (c != '#' && c != 0xff03)
                        continue;

                /* '&': "&#39;" is an escape; '/': the fragment of a URL. */
                p = before(s, i);
                if ((text_is_word(p) && !is_variation_selector(p)) || p == 0xff03 ||
                    one_of(p, "#&/"))
                        continue;

                end = hashtag_end(s, n, i + k);
                if (end == i + k)
                        continue;

                *ret = (TextSpan){ .start = i, .end = end };
                *pos = end;
                return 1;
        }

        *pos = MAX(n, *pos);
        return 0;
}

/* ---- mentions ---- */

static size_t mention_end(const char *s, size_t n, size_t i) {
        size_t end = i;
        uint32_t c;

        if (!is_ascii_alnum((uint8_t) s[i]) && s[i] != '_')
                return i;

        while (is_ascii_alnum((uint8_t) s[end]) || s[end] == '_' || s[end] == '-' ||
               (s[end] == '.' && (is_ascii_alnum((uint8_t) s[end + 1]) || s[end + 1] == '_')))
                end++;
        while (end > i && s[end - 1] == '-')
                end--;

        /* "@josé" is a name that no platform knows, not the mention of "jos". */
        c = at(s, n, end, NULL);
        if (c >= 0x80 && is_spaced_word(c) && !is_variation_selector(c))
                return i;

        return is_scheme(s, end) ? i : end;
}

int text_next_mention(const char *s, size_t *pos, TextSpan *ret) {
        size_t n, k, end;
        uint32_t p;

        assert(s);
        assert(pos);
        assert(ret);

        n = strlen(s);
        for (size_t i = *pos; i < n; i += k) {
                if (at(s, n, i, &k) != '@')
                        continue;

                /* What can stand in front of the '@' of an address, and '/' for the paths of
                 * profiles; but the '.' of ".@name" is a habit of people. */
                p = before(s, i);
                if ((text_is_word(p) && !is_variation_selector(p) && !runs_on(p)) ||
                    one_of(p, "@/+-%&=$#*!"))
                        continue;

                end = mention_end(s, n, i + k);
                if (end == i + k)
                        continue;

                *ret = (TextSpan){ .start = i, .end = end };
                *pos = end;
                return 1;
        }

        *pos = MAX(n, *pos);
        return 0;
}
