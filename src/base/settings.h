/* SPDX-License-Identifier: MIT */
#pragma once

/* What an operator sets by environment (/etc/automapost-jobs/automapost-jobs.env) or, for secrets,
 * by systemd credential ($CREDENTIALS_DIRECTORY/NAME, which comes first). One table lists every
 * setting; an unknown AUTOMAPOST_ name is an error. What changes at run time is a row in the
 * database instead. */

#include "error.h"

typedef struct Settings {
        char *database_url;
        char *application_env;
        char *providers; /* "real" or "sandbox" */
        char *sandbox_dir;
        char *state_dir;
        char *log_level;
        uint64_t actors;
        uint64_t budget_sec; /* how long one tick may go on claiming */
        uint64_t grace_sec;  /* how long SIGTERM lets running work go on */
        bool allow_private_hosts;
        bool migrate_on_upgrade;
        char *ca_file;
        char *linkedin_url, *linkedin_auth_url, *linkedin_version;
        char *linkedin_client_id, *linkedin_client_secret;
        char *bluesky_url, *bluesky_web_url, *plc_url;
        char *mastodon_url; /* "" = https://HOST of the account */
        char *smtp_host, *smtp_tls, *smtp_user, *smtp_password;
        uint64_t smtp_port; /* 0 = as smtp_tls has it */
        char *mail_from;
        char *alert_mail_to; /* separated by commas */
        char *alert_webhook_url, *alert_webhook_secret;
        char *heartbeat_url;
        uint64_t alert_after_sec;        /* for what keeps posts from going out */
        uint64_t alert_person_after_sec; /* for what waits for a person */
        uint64_t alert_repeat_sec;
        uint64_t alert_over_sec;
} Settings;

typedef enum SettingType {
        SETTING_STRING,
        SETTING_UINT,
        SETTING_BOOL,
        SETTING_CHOICE, /* one of the words in .choices, separated by '|' */
        SETTING_URL,  /* http or https; kept without a slash at its end; may be empty by default */
        SETTING_LINK, /* http or https, with path and query, kept as it is; may be empty */
        SETTING_MAILBOX,   /* of base/mailbox.h; may be empty */
        SETTING_MAILBOXES, /* several, separated by commas */
        SETTING_MONTH,     /* YYYYMM */
} SettingType;

typedef struct Setting {
        const char *name;       /* of the environment variable */
        const char *credential; /* name of the credential file, or NULL */
        SettingType type;
        size_t offset; /* in Settings */
        const char *fallback;
        uint64_t min, max;
        const char *unit;
        const char *choices;
        bool secret;
        const char *help; /* one line */
} Setting;

extern const Setting settings_table[];
extern const size_t n_settings;

/* Reads the environment and credentials (NAME, or automapost_NAME of a folder). An empty variable
 * is as good as none, a credential loses one line end, and where AUTOMAPOST_STATE_DIR is not set
 * $STATE_DIRECTORY of systemd is taken. -EINVAL with ERROR_CONFIG names the variable, what it holds
 * (never a secret's value) and what it may hold; other errors (ERROR_CONFIG) are a credential that
 * cannot be read; -ENOMEM. */
int settings_load(Settings *ret, Error *ret_error);
/* The same for who must go on whatever is wrong: what cannot be used is taken as not set. *ret is
 * filled, unless it is -ENOMEM, and the error is the first one. */
int settings_load_usable(Settings *ret, Error *ret_error);
void settings_done(Settings *s);

/* What systemd has put into $CREDENTIALS_DIRECTORY as NAME, or as automapost_NAME of a folder,
 * without the line end that editors add. 1; 0 where there is none; ERROR_CONFIG where it cannot be
 * read, or is no text. The caller erases it. */
int credential_read(const char *name, char **ret, Error *ret_error);

/* Where an operator puts them, for messages. */
const char *credentials_home(void);
#define CREDENTIALS_INSTALLED "/etc/automapost-jobs/credentials"

typedef enum SettingOrigin {
        ORIGIN_DEFAULT,
        ORIGIN_ENVIRONMENT,
        ORIGIN_CREDENTIAL,
} SettingOrigin;
/* For `automapost config`: the effective text (secrets as "[set]") and where it came from. */
int setting_describe(const Setting *setting, const Settings *s, char **ret,
                     SettingOrigin *ret_origin);
