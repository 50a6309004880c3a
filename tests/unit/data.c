/* SPDX-License-Identifier: MIT */
#include "test.h"

#include "data.h"

#include <errno.h>
#include <stdio.h>

#include "base/text.h"

#define DATA_MAX ((size_t) 256 * 1024)

char *read_data(const char *name, size_t *ret_n) {
        _cleanup_free_ char *path = strjoinf("%s/%s", getenv("TEST_DATA") ?: "tests/data", name);
        char *data = malloc(DATA_MAX);
        FILE *f;

        assert_non_null(path);
        assert_non_null(data);
        f = fopen(path, "re");
        if (!f)
                fail_msg("%s: %s (TEST_DATA names the folder)", path, strerror(errno));

        *ret_n = fread(data, 1, DATA_MAX - 1, f);
        assert_true(feof(f) && !ferror(f));
        assert_int_equal(fclose(f), 0);
        data[*ret_n] = '\0';
        return data;
}
