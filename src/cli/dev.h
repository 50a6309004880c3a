/* SPDX-License-Identifier: MIT */
#pragma once

/* "automapost dev": a private PostgreSQL cluster in a folder, with the application's tables and
 * sample data. Never the system's cluster: everything is below the folder, the socket included,
 * and the folder is known by a marker file before anything in it is started or removed. */

#include "cli/cli.h"

#define DEV_DATABASE "automapost"

/* The folder unless told: $XDG_DATA_HOME/automapost-jobs/dev, ~/.local/share/…; of root, whose home
 * no server may enter, /var/lib/automapost-jobs-dev. NULL without a home or memory. */
char *dev_default_dir(void);

typedef struct Dev {
        char *dir;    /* absolute */
        char *bindir; /* of the server's programs */
        uid_t uid;    /* that the server runs as; 0: as ourselves */
        gid_t gid;
        unsigned port; /* of the socket, and of TCP where it listens */
        char *host;    /* that it listens on, or NULL */
} Dev;

void dev_done(Dev *d);

/* Paths below the folder. NULL when memory is short. */
char *dev_path(const Dev *d, const char *name);
/* A connection URL for a login of the cluster, over its socket. */
char *dev_url(const Dev *d, const char *login, const char *database);

/* Finds the folder; dir may be NULL. Whether there is a cluster is dev_exists(). */
int dev_open(const char *dir, Dev *ret, Error *ret_error);
bool dev_exists(const Dev *d);
/* The folder is one that "up" made, also where it was interrupted. */
bool dev_is_ours(const Dev *d);
/* 1 running, 0 not. */
int dev_is_running(Dev *d, Error *ret_error);
/* Makes what is missing and starts what does not run; says what it does. listen: HOST:PORT, or NULL
 * to leave it as it is. */
int dev_up(Cli *c, Dev *d, const char *listen, Error *ret_error);
int dev_stop(Dev *d, Error *ret_error);
/* Removes what "dev up" made, and nothing else. */
int dev_remove(const Dev *d, Error *ret_error);

/* The services at their schedules until a signal comes. real: deliver to the platforms. */
int dev_run(Cli *c, const Dev *d, bool real, Error *ret_error);
