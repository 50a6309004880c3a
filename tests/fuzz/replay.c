/* SPDX-License-Identifier: MIT */

/* Stands in for libFuzzer: runs the target once for each file of the folders that are named. */

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/macro.h"
#include "fuzz.h"

static void dir_close(DIR *dir) {
        (void) closedir(dir);
}
DEFINE_CLEANUP(DIR, dir_close);

/* Memory of exactly the file's size, so that a sanitizer sees a read behind its end. */
static int replay_file(int dir_fd, const char *name) {
        _cleanup_free_ uint8_t *data = NULL;
        _cleanup_close_ int fd = -1;
        struct stat st;
        size_t size;

        fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || fstat(fd, &st) < 0)
                return -1;

        size = (size_t) st.st_size;
        data = malloc(size);
        if ((!data && size > 0) || read(fd, data, size) != st.st_size)
                return -1;

        return LLVMFuzzerTestOneInput(data, size);
}

static int replay_folder(const char *path) {
        _cleanup_(dir_closep) DIR *dir = opendir(path);
        struct dirent *entry;
        int n = 0;

        if (!dir)
                return -1;

        while ((entry = readdir(dir))) {
                if (entry->d_name[0] == '.')
                        continue;
                if (replay_file(dirfd(dir), entry->d_name) != 0) {
                        (void) fprintf(stderr, "cannot replay %s/%s\n", path, entry->d_name);
                        return -1;
                }
                n++;
        }

        return n;
}

int main(int argc, char *argv[]) {
        int n, total = 0;

        for (int i = 1; i < argc; i++) {
                n = replay_folder(argv[i]);
                if (n < 0)
                        return EXIT_FAILURE;
                total += n;
        }

        /* A folder that moved must not pass for one that is fine. */
        if (total == 0) {
                (void) fprintf(stderr, "nothing to replay\n");
                return EXIT_FAILURE;
        }

        (void) printf("%d files replayed\n", total);
        return EXIT_SUCCESS;
}
