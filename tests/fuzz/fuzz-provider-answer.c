/* SPDX-License-Identifier: MIT */
#include "base/json.h"

#include <errno.h>

#include "base/text.h"
#include "fuzz.h"
#include "providers/parts.h"

/* What a platform answers, or a member's did:web host: any JSON, read as each of the shapes. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
        static const char did[] = "did:plc:a";
        _cleanup_(json_unrefp) JsonObject *o = NULL;
        _cleanup_free_ char *pds = NULL, *urn = NULL;
        LinkedinError said;
        int r;

        if (json_parse((const char *) data, n, &o) < 0)
                return 0;

        said = linkedin_parse_error(o);
        assert(linkedin_find_urn(said.message, &urn) == 0);
        if (urn) {
                assert(strstr(said.message, urn));
                assert(strncmp(urn, "urn:li:", 7) == 0);
                assert(usable_id(urn, 200));
        }

        r = bluesky_did_pds(o, did, &pds);
        assert(r == 0 || r == -EINVAL);
        assert((r == 0) == (pds != NULL));
        if (pds)
                assert(*pds == '\0' || usable_id(pds, 4096));

        (void) mastodon_is_proper(o);
        return 0;
}
